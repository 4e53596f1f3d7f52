"""Merges are proposed and confirmed"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('merge', sa.Column('needs_second', sa.Text(), nullable=True))
    op.add_column('merge', sa.Column('state', sa.Enum('proposed', 'made', 'declined', 'undone', name='mergestate', native_enum=False, length=32), sa.Computed("CASE WHEN undone_at IS NOT NULL THEN CASE WHEN merged_at IS NULL THEN 'declined' ELSE 'undone' END WHEN merged_at IS NULL THEN 'proposed' ELSE 'made' END", persisted=True), nullable=False))
    op.add_column('merge', sa.Column('kept_back', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True))
    op.add_column('merge', sa.Column('proposed_by_id', sa.BigInteger(), nullable=True))
    op.add_column('merge', sa.Column('job_id', sa.BigInteger(), nullable=True))
    op.alter_column('merge', 'merged_at',
               existing_type=postgresql.TIMESTAMP(timezone=True),
               nullable=True,
               server_default=None)
    op.create_check_constraint(op.f('ck_merge_state_choice'), 'merge', "state IN ('proposed', 'made', 'declined', 'undone')")
    op.create_check_constraint(op.f('ck_merge_merged_by_rule'), 'merge', 'merged_by_id <> proposed_by_id')
    op.drop_index('uq_merge_merged_party_id', table_name='merge')
    op.create_index('uq_merge_merged_party_id', 'merge', ['merged_party_id'], unique=True,
                    postgresql_where=sa.text('merged_at IS NOT NULL AND undone_at IS NULL'))
    op.drop_index(op.f('ix_merge_sort_merged_at'), table_name='merge')
    op.create_index('ix_merge_job_id', 'merge', ['job_id'], unique=False, postgresql_where=sa.text('job_id IS NOT NULL'))
    op.create_index('ix_merge_proposed_by_id', 'merge', ['proposed_by_id'], unique=False, postgresql_where=sa.text('proposed_by_id IS NOT NULL'))
    op.create_index('ix_merge_sort_created_at', 'merge', ['created_at', 'id'], unique=False)
    op.create_foreign_key(op.f('fk_merge_proposed_by_id'), 'merge', 'app_user', ['proposed_by_id'], ['id'], ondelete='RESTRICT')
    op.create_foreign_key(op.f('fk_merge_job_id'), 'merge', 'job', ['job_id'], ['id'], ondelete='SET NULL')


def downgrade() -> None:
    op.execute('DELETE FROM merge WHERE merged_at IS NULL')
    op.drop_index('uq_merge_merged_party_id', table_name='merge')
    op.create_index('uq_merge_merged_party_id', 'merge', ['merged_party_id'], unique=True,
                    postgresql_where=sa.text('undone_at IS NULL'))
    op.drop_constraint(op.f('ck_merge_merged_by_rule'), 'merge', type_='check')
    op.drop_constraint(op.f('ck_merge_state_choice'), 'merge', type_='check')
    op.drop_constraint(op.f('fk_merge_job_id'), 'merge', type_='foreignkey')
    op.drop_constraint(op.f('fk_merge_proposed_by_id'), 'merge', type_='foreignkey')
    op.drop_index('ix_merge_sort_created_at', table_name='merge')
    op.drop_index('ix_merge_proposed_by_id', table_name='merge', postgresql_where=sa.text('proposed_by_id IS NOT NULL'))
    op.drop_index('ix_merge_job_id', table_name='merge', postgresql_where=sa.text('job_id IS NOT NULL'))
    op.create_index(op.f('ix_merge_sort_merged_at'), 'merge', ['merged_at', 'id'], unique=False)
    op.alter_column('merge', 'merged_at',
               existing_type=postgresql.TIMESTAMP(timezone=True),
               nullable=False,
               server_default=sa.text('now()'))
    op.drop_column('merge', 'job_id')
    op.drop_column('merge', 'proposed_by_id')
    op.drop_column('merge', 'kept_back')
    op.drop_column('merge', 'state')
    op.drop_column('merge', 'needs_second')
