"""Loyalty and credit: programs, memberships and points; accounts, requests, invoices and payments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('credit_account_figures',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('party_id', sa.BigInteger(), nullable=False),
    sa.Column('credit_limit', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('approved_on', sa.Date(), nullable=True),
    sa.Column('outstanding', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('open_invoices', sa.Integer(), nullable=False),
    sa.Column('unallocated', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('oldest_due_on', sa.Date(), nullable=True),
    sa.Column('last_paid_on', sa.Date(), nullable=True),
    sa.Column('paid_on_time', sa.Integer(), nullable=False),
    sa.Column('paid_late', sa.Integer(), nullable=False),
    sa.Column('reviewed_on', sa.Date(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_account_figures'))
    )
    op.create_index(op.f('ix_credit_account_figures_party_id'), 'credit_account_figures', ['party_id'], unique=False)
    op.create_index('ix_credit_account_figures_sort_credit_limit', 'credit_account_figures', ['credit_limit', 'id'], unique=False)
    op.create_index('ix_credit_account_figures_sort_outstanding', 'credit_account_figures', ['outstanding', 'id'], unique=False)
    op.create_table('credit_account_figures_note',
    sa.Column('tx', sa.BigInteger(), server_default=sa.text('pg_current_xact_id()::text::bigint'), nullable=False),
    sa.Column('id', sa.BigInteger(), nullable=False),
    prefixes=['UNLOGGED']
    )
    op.create_index('ix_credit_account_figures_note_tx', 'credit_account_figures_note', ['tx'], unique=False)
    op.create_table('credit_account_sums',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('open_worth', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('unallocated', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('open_invoices', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('paid_on_time', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('paid_late', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('oldest_due_on', sa.Date(), nullable=True),
    sa.Column('last_paid_on', sa.Date(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_account_sums'))
    )
    op.create_table('credit_account_sums_note',
    sa.Column('tx', sa.BigInteger(), server_default=sa.text('pg_current_xact_id()::text::bigint'), nullable=False),
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('open_worth', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('unallocated', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('open_invoices', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('paid_on_time', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('paid_late', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('afresh', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    prefixes=['UNLOGGED']
    )
    op.create_index('ix_credit_account_sums_note_tx', 'credit_account_sums_note', ['tx'], unique=False)
    op.create_table('invoice_figures',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.Column('open_amount', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('open_worth', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('settlement', sa.Enum('open', 'part_paid', 'paid', name='invoicestate', native_enum=False, length=32), nullable=False),
    sa.Column('settled_on', sa.Date(), nullable=True),
    sa.CheckConstraint('open_amount >= 0', name=op.f('ck_invoice_figures_open_amount')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoice_figures'))
    )
    op.create_index('ix_invoice_figures_open', 'invoice_figures', ['account_id', 'due_on'], unique=False, postgresql_where=sa.text('open_worth > 0'))
    op.create_table('invoice_figures_note',
    sa.Column('tx', sa.BigInteger(), server_default=sa.text('pg_current_xact_id()::text::bigint'), nullable=False),
    sa.Column('id', sa.BigInteger(), nullable=False),
    prefixes=['UNLOGGED']
    )
    op.create_index('ix_invoice_figures_note_tx', 'invoice_figures_note', ['tx'], unique=False)
    op.create_table('loyalty_account_figures',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('party_id', sa.BigInteger(), nullable=False),
    sa.Column('main', sa.Boolean(), nullable=False),
    sa.Column('tier_name', sa.String(length=60), nullable=True),
    sa.Column('points', sa.Integer(), nullable=False),
    sa.Column('earned', sa.Integer(), nullable=False),
    sa.Column('redeemed', sa.Integer(), nullable=False),
    sa.Column('expired', sa.Integer(), nullable=False),
    sa.Column('next_expiry_on', sa.Date(), nullable=True),
    sa.Column('rewards_held', sa.Integer(), nullable=False),
    sa.Column('cashback', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loyalty_account_figures'))
    )
    op.create_index(op.f('ix_loyalty_account_figures_party_id'), 'loyalty_account_figures', ['party_id'], unique=False)
    op.create_index('ix_loyalty_account_figures_sort_points', 'loyalty_account_figures', ['points', 'id'], unique=False)
    op.create_table('loyalty_account_figures_note',
    sa.Column('tx', sa.BigInteger(), server_default=sa.text('pg_current_xact_id()::text::bigint'), nullable=False),
    sa.Column('id', sa.BigInteger(), nullable=False),
    prefixes=['UNLOGGED']
    )
    op.create_index('ix_loyalty_account_figures_note_tx', 'loyalty_account_figures_note', ['tx'], unique=False)
    op.create_table('loyalty_account_sums',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('points', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('in_lots', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('earned', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('redeemed', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('expired', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('rewards_held', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('cashback', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('next_expiry_on', sa.Date(), nullable=True),
    sa.CheckConstraint('cashback >= 0', name=op.f('ck_loyalty_account_sums_cashback')),
    sa.CheckConstraint('points = in_lots AND points >= 0', name=op.f('ck_loyalty_account_sums_points')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loyalty_account_sums'))
    )
    op.create_table('loyalty_account_sums_note',
    sa.Column('tx', sa.BigInteger(), server_default=sa.text('pg_current_xact_id()::text::bigint'), nullable=False),
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('points', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('in_lots', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('earned', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('redeemed', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('expired', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('rewards_held', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('cashback', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('afresh', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    prefixes=['UNLOGGED']
    )
    op.create_index('ix_loyalty_account_sums_note_tx', 'loyalty_account_sums_note', ['tx'], unique=False)
    op.create_table('loyalty_program',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('kinds', postgresql.ARRAY(sa.String(length=32)), nullable=False),
    sa.Column('state', sa.Enum('draft', 'active', 'ended', name='programstate', native_enum=False, length=32), server_default='active', nullable=False),
    sa.Column('main', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=True),
    sa.Column('valid_until', sa.Date(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('eligibility', sa.Text(), nullable=True),
    sa.Column('minimum_purchase', sa.Numeric(precision=19, scale=4), nullable=True),
    sa.Column('fee', sa.Numeric(precision=19, scale=4), nullable=True),
    sa.Column('fee_months', sa.Integer(), nullable=True),
    sa.Column('by_invitation', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('tier_measure', sa.Enum('points', 'spent', name='tiermeasure', native_enum=False, length=32), server_default='points', nullable=False),
    sa.Column('tier_months', sa.Integer(), server_default=sa.text('12'), nullable=False),
    sa.Column('grace_days', sa.Integer(), server_default=sa.text('30'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(name, ''))", persisted=True), nullable=True),
    sa.CheckConstraint("kinds <@ ARRAY['points', 'tiers', 'cashback', 'referral', 'event']::varchar[]", name=op.f('ck_loyalty_program_kinds_choice')),
    sa.CheckConstraint("scale(trim_scale(fee)) <= CASE WHEN currency IN ('ADP', 'AFN', 'ALL', 'BIF', 'BYR', 'CLP', 'DJF', 'ESP', 'GNF', 'IQD', 'IRR', 'ISK', 'ITL', 'JPY', 'KMF', 'KPW', 'KRW', 'LAK', 'LBP', 'LUF', 'MGA', 'MGF', 'MMK', 'MRO', 'PYG', 'RSD', 'RWF', 'SLL', 'SOS', 'STD', 'SYP', 'TMM', 'TRL', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'YER', 'ZMK', 'ZWD') THEN 0 WHEN currency IN ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3 WHEN currency IN ('CLF', 'UYW') THEN 4 ELSE 2 END", name=op.f('ck_loyalty_program_fee_decimals')),
    sa.CheckConstraint("scale(trim_scale(minimum_purchase)) <= CASE WHEN currency IN ('ADP', 'AFN', 'ALL', 'BIF', 'BYR', 'CLP', 'DJF', 'ESP', 'GNF', 'IQD', 'IRR', 'ISK', 'ITL', 'JPY', 'KMF', 'KPW', 'KRW', 'LAK', 'LBP', 'LUF', 'MGA', 'MGF', 'MMK', 'MRO', 'PYG', 'RSD', 'RWF', 'SLL', 'SOS', 'STD', 'SYP', 'TMM', 'TRL', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'YER', 'ZMK', 'ZWD') THEN 0 WHEN currency IN ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3 WHEN currency IN ('CLF', 'UYW') THEN 4 ELSE 2 END", name=op.f('ck_loyalty_program_minimum_purchase_decimals')),
    sa.CheckConstraint("state IN ('draft', 'active', 'ended')", name=op.f('ck_loyalty_program_state_choice')),
    sa.CheckConstraint("tier_measure IN ('points', 'spent')", name=op.f('ck_loyalty_program_tier_measure_choice')),
    sa.CheckConstraint('fee >= 0', name=op.f('ck_loyalty_program_fee_bounds')),
    sa.CheckConstraint('fee_months >= 1 AND fee_months <= 120', name=op.f('ck_loyalty_program_fee_months_bounds')),
    sa.CheckConstraint('grace_days >= 0 AND grace_days <= 3650', name=op.f('ck_loyalty_program_grace_days_bounds')),
    sa.CheckConstraint('minimum_purchase >= 0', name=op.f('ck_loyalty_program_minimum_purchase_bounds')),
    sa.CheckConstraint('tier_months >= 1 AND tier_months <= 120', name=op.f('ck_loyalty_program_tier_months_bounds')),
    sa.CheckConstraint('valid_from <= valid_until', name=op.f('ck_loyalty_program_valid_until_order')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loyalty_program')),
    sa.UniqueConstraint('name', name=op.f('uq_loyalty_program_name'))
    )
    op.create_index('ix_loyalty_program_search', 'loyalty_program', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_loyalty_program_sort_created_at', 'loyalty_program', ['created_at', 'id'], unique=False)
    op.create_index('uq_loyalty_program_main', 'loyalty_program', ['main'], unique=True, postgresql_where=sa.text('main'))
    op.create_table('payment_figures',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('paid_on', sa.Date(), nullable=True),
    sa.Column('left_amount', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('left_worth', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment_figures'))
    )
    op.create_index('ix_payment_figures_of_account', 'payment_figures', ['account_id', 'paid_on'], unique=False)
    op.create_table('payment_figures_note',
    sa.Column('tx', sa.BigInteger(), server_default=sa.text('pg_current_xact_id()::text::bigint'), nullable=False),
    sa.Column('id', sa.BigInteger(), nullable=False),
    prefixes=['UNLOGGED']
    )
    op.create_index('ix_payment_figures_note_tx', 'payment_figures_note', ['tx'], unique=False)
    op.create_table('point_entry_figures',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('expires_on', sa.Date(), nullable=True),
    sa.Column('remaining', sa.Integer(), nullable=False),
    sa.CheckConstraint('remaining >= 0', name=op.f('ck_point_entry_figures_remaining')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_point_entry_figures'))
    )
    op.create_index('ix_point_entry_figures_of_account', 'point_entry_figures', ['account_id', 'expires_on'], unique=False, postgresql_where=sa.text('remaining > 0'))
    op.create_table('point_entry_figures_note',
    sa.Column('tx', sa.BigInteger(), server_default=sa.text('pg_current_xact_id()::text::bigint'), nullable=False),
    sa.Column('id', sa.BigInteger(), nullable=False),
    prefixes=['UNLOGGED']
    )
    op.create_index('ix_point_entry_figures_note_tx', 'point_entry_figures_note', ['tx'], unique=False)
    op.create_table('approval_band',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('role_id', sa.BigInteger(), nullable=False),
    sa.Column('alone_up_to', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('up_to', sa.Numeric(precision=19, scale=4), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('alone_up_to <= up_to', name=op.f('ck_approval_band_up_to_order')),
    sa.CheckConstraint('alone_up_to >= 0', name=op.f('ck_approval_band_alone_up_to_bounds')),
    sa.CheckConstraint('up_to >= 0', name=op.f('ck_approval_band_up_to_bounds')),
    sa.ForeignKeyConstraint(['role_id'], ['role.id'], name=op.f('fk_approval_band_role_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_approval_band')),
    sa.UniqueConstraint('role_id', name=op.f('uq_approval_band_role_id'))
    )
    op.create_index('ix_approval_band_sort_alone_up_to', 'approval_band', ['alone_up_to', 'id'], unique=False)
    op.create_table('loyalty_terms',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('program_id', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.Integer(), server_default=sa.FetchedValue(), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=False),
    sa.Column('conditions', sa.Text(), nullable=True),
    sa.Column('points_per_unit', sa.Numeric(precision=19, scale=4), server_default=sa.text('1'), nullable=False),
    sa.Column('point_value', sa.Numeric(precision=19, scale=4), server_default=sa.text('0.10'), nullable=False),
    sa.Column('points_last_months', sa.Integer(), nullable=True),
    sa.Column('cashback_percent', sa.Numeric(precision=19, scale=2), server_default=sa.text('0'), nullable=False),
    sa.Column('referrer_bonus', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('referred_bonus', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('cashback_percent >= 0 AND cashback_percent <= 100', name=op.f('ck_loyalty_terms_cashback_percent_bounds')),
    sa.CheckConstraint('point_value >= 0', name=op.f('ck_loyalty_terms_point_value_bounds')),
    sa.CheckConstraint('points_last_months >= 1 AND points_last_months <= 240', name=op.f('ck_loyalty_terms_points_last_months_bounds')),
    sa.CheckConstraint('points_per_unit >= 0', name=op.f('ck_loyalty_terms_points_per_unit_bounds')),
    sa.CheckConstraint('referred_bonus >= 0', name=op.f('ck_loyalty_terms_referred_bonus_bounds')),
    sa.CheckConstraint('referrer_bonus >= 0', name=op.f('ck_loyalty_terms_referrer_bonus_bounds')),
    sa.ForeignKeyConstraint(['program_id'], ['loyalty_program.id'], name=op.f('fk_loyalty_terms_program_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loyalty_terms')),
    sa.UniqueConstraint('program_id', 'version', name=op.f('uq_loyalty_terms_program_id_version'))
    )
    op.create_index('ix_loyalty_terms_sort_created_at', 'loyalty_terms', ['created_at', 'id'], unique=False)
    op.create_table('loyalty_tier',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('program_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=False),
    sa.Column('enter_at', sa.Numeric(precision=19, scale=2), nullable=False),
    sa.Column('leave_below', sa.Numeric(precision=19, scale=2), nullable=False),
    sa.Column('benefits', sa.Text(), nullable=True),
    sa.Column('multiplier', sa.Numeric(precision=19, scale=2), server_default=sa.text('1'), nullable=False),
    sa.Column('raises_priority', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('exclusive_access', sa.String(length=255), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(name, ''))", persisted=True), nullable=True),
    sa.CheckConstraint('enter_at >= 0', name=op.f('ck_loyalty_tier_enter_at_bounds')),
    sa.CheckConstraint('leave_below <= enter_at', name=op.f('ck_loyalty_tier_leave_below_rule')),
    sa.CheckConstraint('leave_below >= 0', name=op.f('ck_loyalty_tier_leave_below_bounds')),
    sa.CheckConstraint('multiplier >= 0 AND multiplier <= 100', name=op.f('ck_loyalty_tier_multiplier_bounds')),
    sa.CheckConstraint('rank >= 1 AND rank <= 99', name=op.f('ck_loyalty_tier_rank_bounds')),
    sa.ForeignKeyConstraint(['program_id'], ['loyalty_program.id'], name=op.f('fk_loyalty_tier_program_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loyalty_tier')),
    sa.UniqueConstraint('program_id', 'id', name=op.f('uq_loyalty_tier_program_id_id')),
    sa.UniqueConstraint('program_id', 'name', name=op.f('uq_loyalty_tier_program_id_name')),
    sa.UniqueConstraint('program_id', 'rank', name=op.f('uq_loyalty_tier_program_id_rank'))
    )
    op.create_index('ix_loyalty_tier_search', 'loyalty_tier', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_loyalty_tier_sort_rank', 'loyalty_tier', ['rank', 'id'], unique=False)
    op.create_table('reward',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('program_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('kind', sa.Enum('discount', 'free_product', 'priority_service', 'exclusive_access', name='rewardkind', native_enum=False, length=32), nullable=False),
    sa.Column('points', sa.Integer(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('active', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('valid_from', sa.Date(), server_default=sa.text('CURRENT_DATE'), nullable=False),
    sa.Column('valid_until', sa.Date(), nullable=True),
    sa.Column('worth', sa.Numeric(precision=19, scale=4), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=True),
    sa.Column('discount_percent', sa.Numeric(precision=19, scale=2), nullable=True),
    sa.Column('product_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(name, ''))", persisted=True), nullable=True),
    sa.CheckConstraint("kind IN ('discount', 'free_product', 'priority_service', 'exclusive_access')", name=op.f('ck_reward_kind_choice')),
    sa.CheckConstraint("scale(trim_scale(worth)) <= CASE WHEN currency IN ('ADP', 'AFN', 'ALL', 'BIF', 'BYR', 'CLP', 'DJF', 'ESP', 'GNF', 'IQD', 'IRR', 'ISK', 'ITL', 'JPY', 'KMF', 'KPW', 'KRW', 'LAK', 'LBP', 'LUF', 'MGA', 'MGF', 'MMK', 'MRO', 'PYG', 'RSD', 'RWF', 'SLL', 'SOS', 'STD', 'SYP', 'TMM', 'TRL', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'YER', 'ZMK', 'ZWD') THEN 0 WHEN currency IN ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3 WHEN currency IN ('CLF', 'UYW') THEN 4 ELSE 2 END", name=op.f('ck_reward_worth_decimals')),
    sa.CheckConstraint('discount_percent >= 0 AND discount_percent <= 100', name=op.f('ck_reward_discount_percent_bounds')),
    sa.CheckConstraint('num_nonnulls(worth) = 0 OR currency IS NOT NULL', name=op.f('ck_reward_currency_rule')),
    sa.CheckConstraint('points >= 1', name=op.f('ck_reward_points_bounds')),
    sa.CheckConstraint('valid_from <= valid_until', name=op.f('ck_reward_valid_until_order')),
    sa.CheckConstraint('worth >= 0', name=op.f('ck_reward_worth_bounds')),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_reward_product_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['program_id'], ['loyalty_program.id'], name=op.f('fk_reward_program_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reward'))
    )
    op.create_index('ix_reward_product_id', 'reward', ['product_id'], unique=False, postgresql_where=sa.text('product_id IS NOT NULL'))
    op.create_index('ix_reward_program_id', 'reward', ['program_id'], unique=False)
    op.create_index('ix_reward_search', 'reward', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_reward_sort_created_at', 'reward', ['created_at', 'id'], unique=False)
    op.create_index('ix_reward_sort_points', 'reward', ['points', 'id'], unique=False)
    op.create_table('credit_account',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), sa.Computed("'CA-' || lpad(id::text, greatest(6, length(id::text)), '0')", persisted=True), nullable=False),
    sa.Column('party_id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Enum('open', 'closed', name='accountstate', native_enum=False, length=32), server_default='open', nullable=False),
    sa.Column('terms', sa.Enum('net_0', 'net_15', 'net_30', 'net_60', name='paymentterms', native_enum=False, length=32), server_default='net_30', nullable=False),
    sa.Column('special_conditions', sa.Text(), nullable=True),
    sa.Column('last_review_on', sa.Date(), nullable=True),
    sa.Column('next_review_on', sa.Date(), nullable=True),
    sa.Column('review_months', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(('CA-' || lpad(id::text, greatest(6, length(id::text)), '0')), ''))", persisted=True), nullable=True),
    sa.CheckConstraint("state IN ('open', 'closed')", name=op.f('ck_credit_account_state_choice')),
    sa.CheckConstraint("terms IN ('net_0', 'net_15', 'net_30', 'net_60')", name=op.f('ck_credit_account_terms_choice')),
    sa.CheckConstraint('last_review_on <= next_review_on', name=op.f('ck_credit_account_next_review_on_order')),
    sa.CheckConstraint('review_months >= 1 AND review_months <= 60', name=op.f('ck_credit_account_review_months_bounds')),
    sa.ForeignKeyConstraint(['party_id'], ['party.id'], name=op.f('fk_credit_account_party_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_account')),
    sa.UniqueConstraint('code', name=op.f('uq_credit_account_code'))
    )
    op.create_index(op.f('ix_credit_account_next_review_on'), 'credit_account', ['next_review_on'], unique=False, postgresql_where=sa.text('next_review_on IS NOT NULL'))
    op.create_index('ix_credit_account_party_id', 'credit_account', ['party_id'], unique=False)
    op.create_index('ix_credit_account_search', 'credit_account', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_credit_account_sort_created_at', 'credit_account', ['created_at', 'id'], unique=False)
    op.create_index('uq_credit_account_party', 'credit_account', ['party_id'], unique=True, postgresql_where=sa.text("state = 'open'"))
    op.create_table('loyalty_account',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), sa.Computed("'M-' || lpad(id::text, greatest(6, length(id::text)), '0')", persisted=True), nullable=False),
    sa.Column('party_id', sa.BigInteger(), nullable=False),
    sa.Column('program_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.String(length=64), nullable=True),
    sa.Column('state', sa.Enum('invited', 'active', 'paused', 'ended', name='membership', native_enum=False, length=32), server_default='active', nullable=False),
    sa.Column('joined_on', sa.Date(), server_default=sa.text('CURRENT_DATE'), nullable=False),
    sa.Column('valid_until', sa.Date(), nullable=True),
    sa.Column('ended_on', sa.Date(), nullable=True),
    sa.Column('tier_id', sa.BigInteger(), nullable=True),
    sa.Column('tier_since', sa.Date(), nullable=True),
    sa.Column('tier_locked', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('invited_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('invitation_accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('terms_id', sa.BigInteger(), nullable=True),
    sa.Column('terms_accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('fee_charged_on', sa.Date(), nullable=True),
    sa.Column('fee_paid_on', sa.Date(), nullable=True),
    sa.Column('fee_due_on', sa.Date(), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(('M-' || lpad(id::text, greatest(6, length(id::text)), '0')), '') || ' ' || coalesce(number, ''))", persisted=True), nullable=True),
    sa.CheckConstraint("state IN ('invited', 'active', 'paused', 'ended')", name=op.f('ck_loyalty_account_state_choice')),
    sa.CheckConstraint('(terms_id IS NULL) = (terms_accepted_at IS NULL)', name=op.f('ck_loyalty_account_terms_rule')),
    sa.CheckConstraint('invited_at <= invitation_accepted_at', name=op.f('ck_loyalty_account_invitation_accepted_at_order')),
    sa.CheckConstraint('joined_on <= valid_until', name=op.f('ck_loyalty_account_valid_until_order')),
    sa.ForeignKeyConstraint(['party_id'], ['party.id'], name=op.f('fk_loyalty_account_party_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['program_id', 'tier_id'], ['loyalty_tier.program_id', 'loyalty_tier.id'], name=op.f('fk_loyalty_account_program_id_tier_id')),
    sa.ForeignKeyConstraint(['program_id'], ['loyalty_program.id'], name=op.f('fk_loyalty_account_program_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['terms_id'], ['loyalty_terms.id'], name=op.f('fk_loyalty_account_terms_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['tier_id'], ['loyalty_tier.id'], name=op.f('fk_loyalty_account_tier_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loyalty_account')),
    sa.UniqueConstraint('code', name=op.f('uq_loyalty_account_code')),
    sa.UniqueConstraint('number', name=op.f('uq_loyalty_account_number'))
    )
    op.create_index('ix_loyalty_account_party_id', 'loyalty_account', ['party_id'], unique=False)
    op.create_index('ix_loyalty_account_program_id', 'loyalty_account', ['program_id'], unique=False)
    op.create_index('ix_loyalty_account_search', 'loyalty_account', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_loyalty_account_sort_created_at', 'loyalty_account', ['created_at', 'id'], unique=False)
    op.create_index('ix_loyalty_account_terms_id', 'loyalty_account', ['terms_id'], unique=False, postgresql_where=sa.text('terms_id IS NOT NULL'))
    op.create_index('ix_loyalty_account_tier_id', 'loyalty_account', ['tier_id'], unique=False, postgresql_where=sa.text('tier_id IS NOT NULL'))
    op.create_index('uq_loyalty_account_party', 'loyalty_account', ['party_id', 'program_id'], unique=True, postgresql_where=sa.text("state <> 'ended'"))
    op.create_table('credit_hold',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('scope', sa.Enum('all', 'orders', 'deliveries', name='holdscope', native_enum=False, length=32), server_default='all', nullable=False),
    sa.Column('source', sa.Enum('hand', 'rule', name='holdsource', native_enum=False, length=32), server_default='hand', nullable=False),
    sa.Column('rule', sa.String(length=255), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('until', sa.Date(), nullable=True),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('released_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('released_by_id', sa.BigInteger(), nullable=True),
    sa.Column('release_reason', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("scope IN ('all', 'orders', 'deliveries')", name=op.f('ck_credit_hold_scope_choice')),
    sa.CheckConstraint("source IN ('hand', 'rule')", name=op.f('ck_credit_hold_source_choice')),
    sa.ForeignKeyConstraint(['account_id'], ['credit_account.id'], name=op.f('fk_credit_hold_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['by_id'], ['app_user.id'], name=op.f('fk_credit_hold_by_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['released_by_id'], ['app_user.id'], name=op.f('fk_credit_hold_released_by_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_hold'))
    )
    op.create_index('ix_credit_hold_account_id', 'credit_hold', ['account_id'], unique=False)
    op.create_index('ix_credit_hold_active', 'credit_hold', ['account_id'], unique=False, postgresql_where=sa.text('released_at IS NULL'))
    op.create_index('ix_credit_hold_by_id', 'credit_hold', ['by_id'], unique=False, postgresql_where=sa.text('by_id IS NOT NULL'))
    op.create_index('ix_credit_hold_released_by_id', 'credit_hold', ['released_by_id'], unique=False, postgresql_where=sa.text('released_by_id IS NOT NULL'))
    op.create_index('ix_credit_hold_sort_created_at', 'credit_hold', ['created_at', 'id'], unique=False)
    op.create_table('credit_request',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), sa.Computed("'CR-' || lpad(id::text, greatest(6, length(id::text)), '0')", persisted=True), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('terms', sa.Enum('net_0', 'net_15', 'net_30', 'net_60', name='paymentterms', native_enum=False, length=32), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('requested_by_id', sa.BigInteger(), nullable=False),
    sa.Column('status', sa.Enum('pending', 'approved', 'refused', 'withdrawn', name='requeststatus', native_enum=False, length=32), server_default='pending', nullable=False),
    sa.Column('limit_then', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('exposure_then', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False),
    sa.Column('oldest_overdue_then', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(('CR-' || lpad(id::text, greatest(6, length(id::text)), '0')), ''))", persisted=True), nullable=True),
    sa.CheckConstraint("status IN ('pending', 'approved', 'refused', 'withdrawn')", name=op.f('ck_credit_request_status_choice')),
    sa.CheckConstraint("terms IN ('net_0', 'net_15', 'net_30', 'net_60')", name=op.f('ck_credit_request_terms_choice')),
    sa.CheckConstraint('amount >= 0', name=op.f('ck_credit_request_amount_bounds')),
    sa.ForeignKeyConstraint(['account_id'], ['credit_account.id'], name=op.f('fk_credit_request_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['requested_by_id'], ['app_user.id'], name=op.f('fk_credit_request_requested_by_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_request')),
    sa.UniqueConstraint('code', name=op.f('uq_credit_request_code')),
    sa.UniqueConstraint('id', 'account_id', 'requested_by_id', name=op.f('uq_credit_request_id_account_id_requested_by_id'))
    )
    op.create_index('ix_credit_request_account_id', 'credit_request', ['account_id'], unique=False)
    op.create_index('ix_credit_request_pending', 'credit_request', ['created_at', 'id'], unique=False, postgresql_where=sa.text("status = 'pending'"))
    op.create_index('ix_credit_request_requested_by_id', 'credit_request', ['requested_by_id'], unique=False)
    op.create_index('ix_credit_request_search', 'credit_request', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_credit_request_sort_amount', 'credit_request', ['amount', 'id'], unique=False)
    op.create_index('ix_credit_request_sort_created_at', 'credit_request', ['created_at', 'id'], unique=False)
    op.create_table('credit_decision',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('request_id', sa.BigInteger(), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('requested_by_id', sa.BigInteger(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('verdict', sa.Enum('approved', 'refused', name='verdict', native_enum=False, length=32), nullable=False),
    sa.Column('final', sa.Boolean(), nullable=False),
    sa.Column('credit_limit', sa.Numeric(precision=19, scale=4), nullable=True),
    sa.Column('terms', sa.Enum('net_0', 'net_15', 'net_30', 'net_60', name='paymentterms', native_enum=False, length=32), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('decided_by_id', sa.BigInteger(), nullable=False),
    sa.Column('on_behalf_of_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(verdict = 'approved') = (credit_limit IS NOT NULL)", name=op.f('ck_credit_decision_credit_limit_rule')),
    sa.CheckConstraint("final OR (verdict = 'approved' AND step = 1)", name=op.f('ck_credit_decision_final_rule')),
    sa.CheckConstraint("terms IN ('net_0', 'net_15', 'net_30', 'net_60')", name=op.f('ck_credit_decision_terms_choice')),
    sa.CheckConstraint("verdict IN ('approved', 'refused')", name=op.f('ck_credit_decision_verdict_choice')),
    sa.CheckConstraint('credit_limit >= 0', name=op.f('ck_credit_decision_credit_limit_bounds')),
    sa.CheckConstraint('decided_by_id <> requested_by_id', name=op.f('ck_credit_decision_decided_by_rule')),
    sa.CheckConstraint('on_behalf_of_id <> requested_by_id', name=op.f('ck_credit_decision_on_behalf_of_rule')),
    sa.CheckConstraint('step >= 1 AND step <= 2', name=op.f('ck_credit_decision_step_bounds')),
    sa.ForeignKeyConstraint(['account_id'], ['credit_account.id'], name=op.f('fk_credit_decision_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['decided_by_id'], ['app_user.id'], name=op.f('fk_credit_decision_decided_by_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['on_behalf_of_id'], ['app_user.id'], name=op.f('fk_credit_decision_on_behalf_of_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['request_id', 'account_id', 'requested_by_id'], ['credit_request.id', 'credit_request.account_id', 'credit_request.requested_by_id'], name=op.f('fk_credit_decision_request_id_account_id_requested_by_id')),
    sa.ForeignKeyConstraint(['requested_by_id'], ['app_user.id'], name=op.f('fk_credit_decision_requested_by_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_decision')),
    sa.UniqueConstraint('request_id', 'decided_by_id', name=op.f('uq_credit_decision_request_id_decided_by_id')),
    sa.UniqueConstraint('request_id', 'step', name=op.f('uq_credit_decision_request_id_step'))
    )
    op.create_index('ix_credit_decision_account_id', 'credit_decision', ['account_id'], unique=False)
    op.create_index('ix_credit_decision_decided_by_id', 'credit_decision', ['decided_by_id'], unique=False)
    op.create_index('ix_credit_decision_limits', 'credit_decision', ['account_id', 'id'], unique=False, postgresql_where=sa.text("final AND verdict = 'approved'"))
    op.create_index('ix_credit_decision_on_behalf_of_id', 'credit_decision', ['on_behalf_of_id'], unique=False, postgresql_where=sa.text('on_behalf_of_id IS NOT NULL'))
    op.create_index('ix_credit_decision_requested_by_id', 'credit_decision', ['requested_by_id'], unique=False)
    op.create_index('ix_credit_decision_sort_created_at', 'credit_decision', ['created_at', 'id'], unique=False)
    op.create_table('referral',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('referrer_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=True),
    sa.Column('referred_id', sa.BigInteger(), nullable=True),
    sa.Column('lead_id', sa.BigInteger(), nullable=True),
    sa.Column('program_id', sa.BigInteger(), nullable=True),
    sa.Column('referral_code', sa.String(length=32), nullable=True),
    sa.Column('channel', sa.Enum('call', 'email', 'sms', 'whatsapp', 'chat', 'meeting', 'notification', 'social', 'website', 'in_person', name='channel', native_enum=False, length=32), nullable=True),
    sa.Column('referred_on', sa.Date(), server_default=sa.text('CURRENT_DATE'), nullable=False),
    sa.Column('state', sa.Enum('invited', 'lead', 'customer', 'rewarded', name='referralstate', native_enum=False, length=32), server_default='invited', nullable=False),
    sa.Column('referrer_bonus', sa.Integer(), nullable=True),
    sa.Column('referred_bonus', sa.Integer(), nullable=True),
    sa.Column('rewarded_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(state = 'rewarded') = (rewarded_at IS NOT NULL)", name=op.f('ck_referral_rewarded_at_rule')),
    sa.CheckConstraint("channel IN ('call', 'email', 'sms', 'whatsapp', 'chat', 'meeting', 'notification', 'social', 'website', 'in_person')", name=op.f('ck_referral_channel_choice')),
    sa.CheckConstraint("state IN ('invited', 'lead', 'customer', 'rewarded')", name=op.f('ck_referral_state_choice')),
    sa.CheckConstraint('referred_bonus >= 0', name=op.f('ck_referral_referred_bonus_bounds')),
    sa.CheckConstraint('referred_id <> referrer_id', name=op.f('ck_referral_referred_rule')),
    sa.CheckConstraint('referrer_bonus >= 0', name=op.f('ck_referral_referrer_bonus_bounds')),
    sa.ForeignKeyConstraint(['lead_id'], ['lead.id'], name=op.f('fk_referral_lead_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['program_id'], ['loyalty_program.id'], name=op.f('fk_referral_program_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['referred_id'], ['party.id'], name=op.f('fk_referral_referred_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['referrer_id'], ['party.id'], name=op.f('fk_referral_referrer_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_referral'))
    )
    op.create_index('ix_referral_lead_id', 'referral', ['lead_id'], unique=False, postgresql_where=sa.text('lead_id IS NOT NULL'))
    op.create_index('ix_referral_program_id', 'referral', ['program_id'], unique=False, postgresql_where=sa.text('program_id IS NOT NULL'))
    op.create_index('ix_referral_referred_id', 'referral', ['referred_id'], unique=False, postgresql_where=sa.text('referred_id IS NOT NULL'))
    op.create_index('ix_referral_referrer_id', 'referral', ['referrer_id'], unique=False)
    op.create_index('ix_referral_sort_created_at', 'referral', ['created_at', 'id'], unique=False)
    op.create_index('ix_referral_sort_referred_on', 'referral', ['referred_on', 'id'], unique=False)
    op.create_table('cashback_entry',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Enum('earn', 'adjust', 'payout', 'set_off', 'reverse', name='cashbackkind', native_enum=False, length=32), nullable=False),
    sa.Column('amount', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('currency', sa.String(length=3), server_default=sa.FetchedValue(), nullable=False),
    sa.Column('source', sa.String(length=120), nullable=False),
    sa.Column('order_id', sa.BigInteger(), nullable=True),
    sa.Column('reverses_id', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("CASE kind WHEN 'earn' THEN amount > 0 WHEN 'payout' THEN amount < 0 WHEN 'set_off' THEN amount < 0 ELSE true END", name=op.f('ck_cashback_entry_kind_sign')),
    sa.CheckConstraint("kind IN ('earn', 'adjust', 'payout', 'set_off', 'reverse')", name=op.f('ck_cashback_entry_kind_choice')),
    sa.CheckConstraint("scale(trim_scale(amount)) <= CASE WHEN currency IN ('ADP', 'AFN', 'ALL', 'BIF', 'BYR', 'CLP', 'DJF', 'ESP', 'GNF', 'IQD', 'IRR', 'ISK', 'ITL', 'JPY', 'KMF', 'KPW', 'KRW', 'LAK', 'LBP', 'LUF', 'MGA', 'MGF', 'MMK', 'MRO', 'PYG', 'RSD', 'RWF', 'SLL', 'SOS', 'STD', 'SYP', 'TMM', 'TRL', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'YER', 'ZMK', 'ZWD') THEN 0 WHEN currency IN ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3 WHEN currency IN ('CLF', 'UYW') THEN 4 ELSE 2 END", name=op.f('ck_cashback_entry_amount_decimals')),
    sa.CheckConstraint('amount <> 0', name=op.f('ck_cashback_entry_amount_something')),
    sa.ForeignKeyConstraint(['account_id'], ['loyalty_account.id'], name=op.f('fk_cashback_entry_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['by_id'], ['app_user.id'], name=op.f('fk_cashback_entry_by_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['order_id'], ['sales_order.id'], name=op.f('fk_cashback_entry_order_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['reverses_id'], ['cashback_entry.id'], name=op.f('fk_cashback_entry_reverses_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_cashback_entry')),
    sa.UniqueConstraint('source', name=op.f('uq_cashback_entry_source'))
    )
    op.create_index('ix_cashback_entry_account_id', 'cashback_entry', ['account_id'], unique=False)
    op.create_index('ix_cashback_entry_by_id', 'cashback_entry', ['by_id'], unique=False, postgresql_where=sa.text('by_id IS NOT NULL'))
    op.create_index('ix_cashback_entry_order_id', 'cashback_entry', ['order_id'], unique=False, postgresql_where=sa.text('order_id IS NOT NULL'))
    op.create_index('ix_cashback_entry_reverses_id', 'cashback_entry', ['reverses_id'], unique=False, postgresql_where=sa.text('reverses_id IS NOT NULL'))
    op.create_index('ix_cashback_entry_sort_amount', 'cashback_entry', ['amount', 'id'], unique=False)
    op.create_index('ix_cashback_entry_sort_created_at', 'cashback_entry', ['created_at', 'id'], unique=False)
    op.create_table('invoice',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), sa.Computed("'I-' || lpad(id::text, greatest(6, length(id::text)), '0')", persisted=True), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.String(length=64), nullable=False),
    sa.Column('order_id', sa.BigInteger(), nullable=True),
    sa.Column('issued_on', sa.Date(), server_default=sa.text('CURRENT_DATE'), nullable=False),
    sa.Column('due_on', sa.Date(), server_default=sa.FetchedValue(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('exchange_rate', sa.Numeric(precision=19, scale=8), server_default=sa.FetchedValue(), nullable=False),
    sa.Column('remarks', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(number, '') || ' ' || coalesce(('I-' || lpad(id::text, greatest(6, length(id::text)), '0')), ''))", persisted=True), nullable=True),
    sa.CheckConstraint("scale(trim_scale(amount)) <= CASE WHEN currency IN ('ADP', 'AFN', 'ALL', 'BIF', 'BYR', 'CLP', 'DJF', 'ESP', 'GNF', 'IQD', 'IRR', 'ISK', 'ITL', 'JPY', 'KMF', 'KPW', 'KRW', 'LAK', 'LBP', 'LUF', 'MGA', 'MGF', 'MMK', 'MRO', 'PYG', 'RSD', 'RWF', 'SLL', 'SOS', 'STD', 'SYP', 'TMM', 'TRL', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'YER', 'ZMK', 'ZWD') THEN 0 WHEN currency IN ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3 WHEN currency IN ('CLF', 'UYW') THEN 4 ELSE 2 END", name=op.f('ck_invoice_amount_decimals')),
    sa.CheckConstraint('amount > 0', name=op.f('ck_invoice_amount_rule')),
    sa.CheckConstraint('exchange_rate > 0', name=op.f('ck_invoice_exchange_rate_rule')),
    sa.CheckConstraint('issued_on <= due_on', name=op.f('ck_invoice_due_on_order')),
    sa.ForeignKeyConstraint(['account_id'], ['credit_account.id'], name=op.f('fk_invoice_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['order_id'], ['sales_order.id'], name=op.f('fk_invoice_order_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoice')),
    sa.UniqueConstraint('code', name=op.f('uq_invoice_code')),
    sa.UniqueConstraint('number', name=op.f('uq_invoice_number'))
    )
    op.create_index('ix_invoice_lots', 'invoice', ['account_id', 'due_on', 'id'], unique=False)
    op.create_index('ix_invoice_order_id', 'invoice', ['order_id'], unique=False, postgresql_where=sa.text('order_id IS NOT NULL'))
    op.create_index('ix_invoice_search', 'invoice', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_invoice_sort_created_at', 'invoice', ['created_at', 'id'], unique=False)
    op.create_index('ix_invoice_sort_due_on', 'invoice', ['due_on', 'id'], unique=False)
    op.create_index('ix_invoice_sort_issued_on', 'invoice', ['issued_on', 'id'], unique=False)
    op.create_table('point_entry',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Enum('earn', 'bonus', 'adjust', 'redeem', 'expire', 'reverse', 'transfer', 'merge', name='pointkind', native_enum=False, length=32), nullable=False),
    sa.Column('points', sa.Integer(), nullable=False),
    sa.Column('expires_on', sa.Date(), nullable=True),
    sa.Column('source', sa.String(length=120), nullable=False),
    sa.Column('order_id', sa.BigInteger(), nullable=True),
    sa.Column('reverses_id', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("CASE kind WHEN 'earn' THEN points > 0 WHEN 'bonus' THEN points > 0 WHEN 'redeem' THEN points < 0 WHEN 'expire' THEN points < 0 ELSE true END", name=op.f('ck_point_entry_kind_sign')),
    sa.CheckConstraint("kind IN ('earn', 'bonus', 'adjust', 'redeem', 'expire', 'reverse', 'transfer', 'merge')", name=op.f('ck_point_entry_kind_choice')),
    sa.CheckConstraint('expires_on IS NULL OR (points > 0 AND reverses_id IS NULL)', name=op.f('ck_point_entry_expires_on_rule')),
    sa.CheckConstraint('points <> 0', name=op.f('ck_point_entry_points_rule')),
    sa.ForeignKeyConstraint(['account_id'], ['loyalty_account.id'], name=op.f('fk_point_entry_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['by_id'], ['app_user.id'], name=op.f('fk_point_entry_by_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['order_id'], ['sales_order.id'], name=op.f('fk_point_entry_order_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['reverses_id'], ['point_entry.id'], name=op.f('fk_point_entry_reverses_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_point_entry')),
    sa.UniqueConstraint('source', name=op.f('uq_point_entry_source'))
    )
    op.create_index('ix_point_entry_account_id', 'point_entry', ['account_id'], unique=False)
    op.create_index('ix_point_entry_by_id', 'point_entry', ['by_id'], unique=False, postgresql_where=sa.text('by_id IS NOT NULL'))
    op.create_index('ix_point_entry_lots', 'point_entry', ['account_id', 'expires_on', 'id'], unique=False, postgresql_where=sa.text('points > 0 AND reverses_id IS NULL'))
    op.create_index('ix_point_entry_order_id', 'point_entry', ['order_id'], unique=False, postgresql_where=sa.text('order_id IS NOT NULL'))
    op.create_index('ix_point_entry_reverses_id', 'point_entry', ['reverses_id'], unique=False, postgresql_where=sa.text('reverses_id IS NOT NULL'))
    op.create_index('ix_point_entry_sort_created_at', 'point_entry', ['created_at', 'id'], unique=False)
    op.create_index('ix_point_entry_sort_points', 'point_entry', ['points', 'id'], unique=False)
    op.create_index('uq_point_entry_reverses', 'point_entry', ['reverses_id'], unique=True, postgresql_where=sa.text('points > 0'))
    op.create_table('payment',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), sa.Computed("'PY-' || lpad(id::text, greatest(6, length(id::text)), '0')", persisted=True), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Enum('payment', 'credit_note', 'write_off', 'taken_back', name='paymentkind', native_enum=False, length=32), server_default='payment', nullable=False),
    sa.Column('paid_on', sa.Date(), server_default=sa.text('CURRENT_DATE'), nullable=False),
    sa.Column('amount', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('exchange_rate', sa.Numeric(precision=19, scale=8), server_default=sa.FetchedValue(), nullable=False),
    sa.Column('method', sa.Enum('cash', 'card', 'bank', 'mobile_money', name='paymentmethod', native_enum=False, length=32), nullable=True),
    sa.Column('reference', sa.String(length=120), nullable=True),
    sa.Column('invoice_id', sa.BigInteger(), nullable=True),
    sa.Column('reverses_id', sa.BigInteger(), nullable=True),
    sa.Column('remarks', sa.Text(), nullable=True),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(('PY-' || lpad(id::text, greatest(6, length(id::text)), '0')), '') || ' ' || coalesce(reference, ''))", persisted=True), nullable=True),
    sa.CheckConstraint("(kind = 'taken_back') = (reverses_id IS NOT NULL)", name=op.f('ck_payment_kind_reverses')),
    sa.CheckConstraint("CASE WHEN kind = 'taken_back' THEN amount < 0 ELSE amount > 0 END", name=op.f('ck_payment_amount_rule')),
    sa.CheckConstraint("kind IN ('payment', 'credit_note', 'write_off', 'taken_back')", name=op.f('ck_payment_kind_choice')),
    sa.CheckConstraint("method IN ('cash', 'card', 'bank', 'mobile_money')", name=op.f('ck_payment_method_choice')),
    sa.CheckConstraint("scale(trim_scale(amount)) <= CASE WHEN currency IN ('ADP', 'AFN', 'ALL', 'BIF', 'BYR', 'CLP', 'DJF', 'ESP', 'GNF', 'IQD', 'IRR', 'ISK', 'ITL', 'JPY', 'KMF', 'KPW', 'KRW', 'LAK', 'LBP', 'LUF', 'MGA', 'MGF', 'MMK', 'MRO', 'PYG', 'RSD', 'RWF', 'SLL', 'SOS', 'STD', 'SYP', 'TMM', 'TRL', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'YER', 'ZMK', 'ZWD') THEN 0 WHEN currency IN ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3 WHEN currency IN ('CLF', 'UYW') THEN 4 ELSE 2 END", name=op.f('ck_payment_amount_decimals')),
    sa.CheckConstraint('exchange_rate > 0', name=op.f('ck_payment_exchange_rate_rule')),
    sa.ForeignKeyConstraint(['account_id'], ['credit_account.id'], name=op.f('fk_payment_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['by_id'], ['app_user.id'], name=op.f('fk_payment_by_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_payment_invoice_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['reverses_id'], ['payment.id'], name=op.f('fk_payment_reverses_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment')),
    sa.UniqueConstraint('code', name=op.f('uq_payment_code')),
    sa.UniqueConstraint('reference', name=op.f('uq_payment_reference')),
    sa.UniqueConstraint('reverses_id', name=op.f('uq_payment_reverses_id'))
    )
    op.create_index('ix_payment_account_id', 'payment', ['account_id'], unique=False)
    op.create_index('ix_payment_by_id', 'payment', ['by_id'], unique=False, postgresql_where=sa.text('by_id IS NOT NULL'))
    op.create_index('ix_payment_invoice_id', 'payment', ['invoice_id'], unique=False, postgresql_where=sa.text('invoice_id IS NOT NULL'))
    op.create_index('ix_payment_search', 'payment', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_payment_sort_created_at', 'payment', ['created_at', 'id'], unique=False)
    op.create_index('ix_payment_sort_paid_on', 'payment', ['paid_on', 'id'], unique=False)
    op.create_table('point_allocation',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('point_entry_id', sa.BigInteger(), nullable=False),
    sa.Column('lot_id', sa.BigInteger(), nullable=False),
    sa.Column('points', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('points <> 0', name=op.f('ck_point_allocation_points_rule')),
    sa.ForeignKeyConstraint(['lot_id'], ['point_entry.id'], name=op.f('fk_point_allocation_lot_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['point_entry_id'], ['point_entry.id'], name=op.f('fk_point_allocation_point_entry_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_point_allocation')),
    sa.UniqueConstraint('point_entry_id', 'lot_id', name=op.f('uq_point_allocation_point_entry_id_lot_id'))
    )
    op.create_index('ix_point_allocation_lot_id', 'point_allocation', ['lot_id'], unique=False)
    op.create_index('ix_point_allocation_sort_created_at', 'point_allocation', ['created_at', 'id'], unique=False)
    op.create_table('redemption',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), sa.Computed("'RD-' || lpad(id::text, greatest(6, length(id::text)), '0')", persisted=True), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('reward_id', sa.BigInteger(), nullable=False),
    sa.Column('entry_id', sa.BigInteger(), nullable=False),
    sa.Column('points', sa.Integer(), nullable=False),
    sa.Column('state', sa.Enum('held', 'captured', 'voided', name='redemptionstate', native_enum=False, length=32), server_default='held', nullable=False),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('search_text', sa.Text(), sa.Computed("crm_sort_key(coalesce(('RD-' || lpad(id::text, greatest(6, length(id::text)), '0')), ''))", persisted=True), nullable=True),
    sa.CheckConstraint("(state = 'held') = (settled_at IS NULL)", name=op.f('ck_redemption_settled_at_rule')),
    sa.CheckConstraint("state IN ('held', 'captured', 'voided')", name=op.f('ck_redemption_state_choice')),
    sa.CheckConstraint('points >= 1', name=op.f('ck_redemption_points_bounds')),
    sa.ForeignKeyConstraint(['account_id'], ['loyalty_account.id'], name=op.f('fk_redemption_account_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['by_id'], ['app_user.id'], name=op.f('fk_redemption_by_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['entry_id'], ['point_entry.id'], name=op.f('fk_redemption_entry_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['reward_id'], ['reward.id'], name=op.f('fk_redemption_reward_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_redemption')),
    sa.UniqueConstraint('code', name=op.f('uq_redemption_code')),
    sa.UniqueConstraint('entry_id', name=op.f('uq_redemption_entry_id'))
    )
    op.create_index('ix_redemption_account_id', 'redemption', ['account_id'], unique=False)
    op.create_index('ix_redemption_by_id', 'redemption', ['by_id'], unique=False, postgresql_where=sa.text('by_id IS NOT NULL'))
    op.create_index('ix_redemption_reward_id', 'redemption', ['reward_id'], unique=False)
    op.create_index('ix_redemption_search', 'redemption', ['search_text'], unique=False, postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.create_index('ix_redemption_sort_created_at', 'redemption', ['created_at', 'id'], unique=False)
    op.create_index('ix_redemption_sort_points', 'redemption', ['points', 'id'], unique=False)
    op.create_table('payment_allocation',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('payment_id', sa.BigInteger(), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=19, scale=4), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('amount <> 0', name=op.f('ck_payment_allocation_amount_rule')),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_payment_allocation_invoice_id'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_payment_allocation_payment_id'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment_allocation'))
    )
    op.create_index('ix_payment_allocation_invoice_id', 'payment_allocation', ['invoice_id'], unique=False)
    op.create_index('ix_payment_allocation_payment_id', 'payment_allocation', ['payment_id'], unique=False)
    op.create_index('ix_payment_allocation_sort_created_at', 'payment_allocation', ['created_at', 'id'], unique=False)
    op.add_column('customer_figures', sa.Column('credit_accounts', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('credit_limit', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('outstanding', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('unbilled', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('credit_used', sa.Numeric(precision=19, scale=4), sa.Computed('CASE WHEN credit_accounts = 0 THEN 0 ELSE outstanding + unbilled END', persisted=True), nullable=False))
    op.add_column('customer_figures', sa.Column('credit_available', sa.Numeric(precision=19, scale=4), sa.Computed('CASE WHEN credit_accounts = 0 THEN 0 ELSE credit_limit - outstanding - unbilled END', persisted=True), nullable=False))
    op.add_column('customer_figures', sa.Column('open_invoices', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('oldest_due_on', sa.Date(), nullable=True))
    op.add_column('customer_figures', sa.Column('paid_on_time', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('paid_late', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('payment_behaviour', sa.Enum('on_time', 'delayed', 'credit', name='paymentbehaviour', native_enum=False, length=32), sa.Computed("CASE WHEN paid_late * 5 > paid_on_time + paid_late THEN 'delayed' WHEN paid_on_time > 0 THEN 'on_time' WHEN open_invoices > 0 THEN 'credit' END", persisted=True), nullable=True))
    op.add_column('customer_figures', sa.Column('last_credit_review_on', sa.Date(), nullable=True))
    op.add_column('customer_figures', sa.Column('points', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures', sa.Column('tier', sa.String(length=60), nullable=True))
    op.add_column('customer_figures', sa.Column('next_points_expiry_on', sa.Date(), nullable=True))
    op.add_column('customer_figures', sa.Column('rewards_held', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.create_index('ix_customer_figures_sort_credit_limit', 'customer_figures', ['credit_limit', 'id'], unique=False)
    op.create_index('ix_customer_figures_sort_outstanding', 'customer_figures', ['outstanding', 'id'], unique=False)
    op.create_index('ix_customer_figures_sort_points', 'customer_figures', ['points', 'id'], unique=False)
    op.add_column('customer_figures_note', sa.Column('credit_accounts', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('credit_limit', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('outstanding', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('unbilled', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('open_invoices', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('paid_on_time', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('paid_late', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('points', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('customer_figures_note', sa.Column('rewards_held', sa.Integer(), server_default=sa.text('0'), nullable=False))
    # What stands there is worked out anew at the end of the upgrade.
    op.add_column('order_figures', sa.Column('unbilled', sa.Numeric(precision=19, scale=4), server_default=sa.text('0'), nullable=False))
    op.alter_column('order_figures', 'unbilled', server_default=None)
    # As new roles get them when they are delivered.
    for role, alone, most in (('credit_approver', '100000', 'NULL'), ('manager', '10000', '10000')):
        op.execute(f"INSERT INTO approval_band (role_id, alone_up_to, up_to) SELECT id, {alone}, {most} FROM role WHERE name = '{role}'")


def downgrade() -> None:
    op.drop_column('order_figures', 'unbilled')
    op.drop_column('customer_figures_note', 'rewards_held')
    op.drop_column('customer_figures_note', 'points')
    op.drop_column('customer_figures_note', 'paid_late')
    op.drop_column('customer_figures_note', 'paid_on_time')
    op.drop_column('customer_figures_note', 'open_invoices')
    op.drop_column('customer_figures_note', 'unbilled')
    op.drop_column('customer_figures_note', 'outstanding')
    op.drop_column('customer_figures_note', 'credit_limit')
    op.drop_column('customer_figures_note', 'credit_accounts')
    op.drop_index('ix_customer_figures_sort_points', table_name='customer_figures')
    op.drop_index('ix_customer_figures_sort_outstanding', table_name='customer_figures')
    op.drop_index('ix_customer_figures_sort_credit_limit', table_name='customer_figures')
    op.drop_column('customer_figures', 'rewards_held')
    op.drop_column('customer_figures', 'next_points_expiry_on')
    op.drop_column('customer_figures', 'tier')
    op.drop_column('customer_figures', 'points')
    op.drop_column('customer_figures', 'last_credit_review_on')
    op.drop_column('customer_figures', 'payment_behaviour')
    op.drop_column('customer_figures', 'paid_late')
    op.drop_column('customer_figures', 'paid_on_time')
    op.drop_column('customer_figures', 'oldest_due_on')
    op.drop_column('customer_figures', 'open_invoices')
    op.drop_column('customer_figures', 'credit_available')
    op.drop_column('customer_figures', 'credit_used')
    op.drop_column('customer_figures', 'unbilled')
    op.drop_column('customer_figures', 'outstanding')
    op.drop_column('customer_figures', 'credit_limit')
    op.drop_column('customer_figures', 'credit_accounts')
    op.drop_index('ix_payment_allocation_sort_created_at', table_name='payment_allocation')
    op.drop_index('ix_payment_allocation_payment_id', table_name='payment_allocation')
    op.drop_index('ix_payment_allocation_invoice_id', table_name='payment_allocation')
    op.drop_table('payment_allocation')
    op.drop_index('ix_redemption_sort_points', table_name='redemption')
    op.drop_index('ix_redemption_sort_created_at', table_name='redemption')
    op.drop_index('ix_redemption_search', table_name='redemption', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_index('ix_redemption_reward_id', table_name='redemption')
    op.drop_index('ix_redemption_by_id', table_name='redemption', postgresql_where=sa.text('by_id IS NOT NULL'))
    op.drop_index('ix_redemption_account_id', table_name='redemption')
    op.drop_table('redemption')
    op.drop_index('ix_point_allocation_sort_created_at', table_name='point_allocation')
    op.drop_index('ix_point_allocation_lot_id', table_name='point_allocation')
    op.drop_table('point_allocation')
    op.drop_index('ix_payment_sort_paid_on', table_name='payment')
    op.drop_index('ix_payment_sort_created_at', table_name='payment')
    op.drop_index('ix_payment_search', table_name='payment', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_index('ix_payment_invoice_id', table_name='payment', postgresql_where=sa.text('invoice_id IS NOT NULL'))
    op.drop_index('ix_payment_by_id', table_name='payment', postgresql_where=sa.text('by_id IS NOT NULL'))
    op.drop_index('ix_payment_account_id', table_name='payment')
    op.drop_table('payment')
    op.drop_index('uq_point_entry_reverses', table_name='point_entry', postgresql_where=sa.text('points > 0'))
    op.drop_index('ix_point_entry_sort_points', table_name='point_entry')
    op.drop_index('ix_point_entry_sort_created_at', table_name='point_entry')
    op.drop_index('ix_point_entry_reverses_id', table_name='point_entry', postgresql_where=sa.text('reverses_id IS NOT NULL'))
    op.drop_index('ix_point_entry_order_id', table_name='point_entry', postgresql_where=sa.text('order_id IS NOT NULL'))
    op.drop_index('ix_point_entry_lots', table_name='point_entry', postgresql_where=sa.text('points > 0 AND reverses_id IS NULL'))
    op.drop_index('ix_point_entry_by_id', table_name='point_entry', postgresql_where=sa.text('by_id IS NOT NULL'))
    op.drop_index('ix_point_entry_account_id', table_name='point_entry')
    op.drop_table('point_entry')
    op.drop_index('ix_invoice_sort_issued_on', table_name='invoice')
    op.drop_index('ix_invoice_sort_due_on', table_name='invoice')
    op.drop_index('ix_invoice_sort_created_at', table_name='invoice')
    op.drop_index('ix_invoice_search', table_name='invoice', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_index('ix_invoice_order_id', table_name='invoice', postgresql_where=sa.text('order_id IS NOT NULL'))
    op.drop_index('ix_invoice_lots', table_name='invoice')
    op.drop_table('invoice')
    op.drop_index('ix_cashback_entry_sort_created_at', table_name='cashback_entry')
    op.drop_index('ix_cashback_entry_sort_amount', table_name='cashback_entry')
    op.drop_index('ix_cashback_entry_reverses_id', table_name='cashback_entry', postgresql_where=sa.text('reverses_id IS NOT NULL'))
    op.drop_index('ix_cashback_entry_order_id', table_name='cashback_entry', postgresql_where=sa.text('order_id IS NOT NULL'))
    op.drop_index('ix_cashback_entry_by_id', table_name='cashback_entry', postgresql_where=sa.text('by_id IS NOT NULL'))
    op.drop_index('ix_cashback_entry_account_id', table_name='cashback_entry')
    op.drop_table('cashback_entry')
    op.drop_index('ix_referral_sort_referred_on', table_name='referral')
    op.drop_index('ix_referral_sort_created_at', table_name='referral')
    op.drop_index('ix_referral_referrer_id', table_name='referral')
    op.drop_index('ix_referral_referred_id', table_name='referral', postgresql_where=sa.text('referred_id IS NOT NULL'))
    op.drop_index('ix_referral_program_id', table_name='referral', postgresql_where=sa.text('program_id IS NOT NULL'))
    op.drop_index('ix_referral_lead_id', table_name='referral', postgresql_where=sa.text('lead_id IS NOT NULL'))
    op.drop_table('referral')
    op.drop_index('ix_credit_decision_sort_created_at', table_name='credit_decision')
    op.drop_index('ix_credit_decision_requested_by_id', table_name='credit_decision')
    op.drop_index('ix_credit_decision_on_behalf_of_id', table_name='credit_decision', postgresql_where=sa.text('on_behalf_of_id IS NOT NULL'))
    op.drop_index('ix_credit_decision_limits', table_name='credit_decision', postgresql_where=sa.text("final AND verdict = 'approved'"))
    op.drop_index('ix_credit_decision_decided_by_id', table_name='credit_decision')
    op.drop_index('ix_credit_decision_account_id', table_name='credit_decision')
    op.drop_table('credit_decision')
    op.drop_index('ix_credit_request_sort_created_at', table_name='credit_request')
    op.drop_index('ix_credit_request_sort_amount', table_name='credit_request')
    op.drop_index('ix_credit_request_search', table_name='credit_request', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_index('ix_credit_request_requested_by_id', table_name='credit_request')
    op.drop_index('ix_credit_request_pending', table_name='credit_request', postgresql_where=sa.text("status = 'pending'"))
    op.drop_index('ix_credit_request_account_id', table_name='credit_request')
    op.drop_table('credit_request')
    op.drop_index('ix_credit_hold_sort_created_at', table_name='credit_hold')
    op.drop_index('ix_credit_hold_released_by_id', table_name='credit_hold', postgresql_where=sa.text('released_by_id IS NOT NULL'))
    op.drop_index('ix_credit_hold_by_id', table_name='credit_hold', postgresql_where=sa.text('by_id IS NOT NULL'))
    op.drop_index('ix_credit_hold_active', table_name='credit_hold', postgresql_where=sa.text('released_at IS NULL'))
    op.drop_index('ix_credit_hold_account_id', table_name='credit_hold')
    op.drop_table('credit_hold')
    op.drop_index('uq_loyalty_account_party', table_name='loyalty_account', postgresql_where=sa.text("state <> 'ended'"))
    op.drop_index('ix_loyalty_account_tier_id', table_name='loyalty_account', postgresql_where=sa.text('tier_id IS NOT NULL'))
    op.drop_index('ix_loyalty_account_terms_id', table_name='loyalty_account', postgresql_where=sa.text('terms_id IS NOT NULL'))
    op.drop_index('ix_loyalty_account_sort_created_at', table_name='loyalty_account')
    op.drop_index('ix_loyalty_account_search', table_name='loyalty_account', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_index('ix_loyalty_account_program_id', table_name='loyalty_account')
    op.drop_index('ix_loyalty_account_party_id', table_name='loyalty_account')
    op.drop_table('loyalty_account')
    op.drop_index('uq_credit_account_party', table_name='credit_account', postgresql_where=sa.text("state = 'open'"))
    op.drop_index('ix_credit_account_sort_created_at', table_name='credit_account')
    op.drop_index('ix_credit_account_search', table_name='credit_account', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_index('ix_credit_account_party_id', table_name='credit_account')
    op.drop_index(op.f('ix_credit_account_next_review_on'), table_name='credit_account', postgresql_where=sa.text('next_review_on IS NOT NULL'))
    op.drop_table('credit_account')
    op.drop_index('ix_reward_sort_points', table_name='reward')
    op.drop_index('ix_reward_sort_created_at', table_name='reward')
    op.drop_index('ix_reward_search', table_name='reward', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_index('ix_reward_program_id', table_name='reward')
    op.drop_index('ix_reward_product_id', table_name='reward', postgresql_where=sa.text('product_id IS NOT NULL'))
    op.drop_table('reward')
    op.drop_index('ix_loyalty_tier_sort_rank', table_name='loyalty_tier')
    op.drop_index('ix_loyalty_tier_search', table_name='loyalty_tier', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_table('loyalty_tier')
    op.drop_index('ix_loyalty_terms_sort_created_at', table_name='loyalty_terms')
    op.drop_table('loyalty_terms')
    op.drop_index('ix_approval_band_sort_alone_up_to', table_name='approval_band')
    op.drop_table('approval_band')
    op.drop_index('ix_point_entry_figures_note_tx', table_name='point_entry_figures_note')
    op.drop_table('point_entry_figures_note')
    op.drop_index('ix_point_entry_figures_of_account', table_name='point_entry_figures', postgresql_where=sa.text('remaining > 0'))
    op.drop_table('point_entry_figures')
    op.drop_index('ix_payment_figures_note_tx', table_name='payment_figures_note')
    op.drop_table('payment_figures_note')
    op.drop_index('ix_payment_figures_of_account', table_name='payment_figures')
    op.drop_table('payment_figures')
    op.drop_index('uq_loyalty_program_main', table_name='loyalty_program', postgresql_where=sa.text('main'))
    op.drop_index('ix_loyalty_program_sort_created_at', table_name='loyalty_program')
    op.drop_index('ix_loyalty_program_search', table_name='loyalty_program', postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'})
    op.drop_table('loyalty_program')
    op.drop_index('ix_loyalty_account_sums_note_tx', table_name='loyalty_account_sums_note')
    op.drop_table('loyalty_account_sums_note')
    op.drop_table('loyalty_account_sums')
    op.drop_index('ix_loyalty_account_figures_note_tx', table_name='loyalty_account_figures_note')
    op.drop_table('loyalty_account_figures_note')
    op.drop_index('ix_loyalty_account_figures_sort_points', table_name='loyalty_account_figures')
    op.drop_index(op.f('ix_loyalty_account_figures_party_id'), table_name='loyalty_account_figures')
    op.drop_table('loyalty_account_figures')
    op.drop_index('ix_invoice_figures_note_tx', table_name='invoice_figures_note')
    op.drop_table('invoice_figures_note')
    op.drop_index('ix_invoice_figures_open', table_name='invoice_figures', postgresql_where=sa.text('open_worth > 0'))
    op.drop_table('invoice_figures')
    op.drop_index('ix_credit_account_sums_note_tx', table_name='credit_account_sums_note')
    op.drop_table('credit_account_sums_note')
    op.drop_table('credit_account_sums')
    op.drop_index('ix_credit_account_figures_note_tx', table_name='credit_account_figures_note')
    op.drop_table('credit_account_figures_note')
    op.drop_index('ix_credit_account_figures_sort_outstanding', table_name='credit_account_figures')
    op.drop_index('ix_credit_account_figures_sort_credit_limit', table_name='credit_account_figures')
    op.drop_index(op.f('ix_credit_account_figures_party_id'), table_name='credit_account_figures')
    op.drop_table('credit_account_figures')
