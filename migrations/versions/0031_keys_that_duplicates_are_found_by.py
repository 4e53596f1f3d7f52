"""Keys that duplicates are found by"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None

TRIGGERS = {"party": ("new_party", "gone_party", "party"), "address": ("new_address", "gone_address", "address")}


def upgrade() -> None:
    op.create_table(
        'duplicate_keys',
        sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('keys', sa.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_duplicate_keys')),
    )
    op.create_index('ix_duplicate_keys_keys', 'duplicate_keys', ['keys'], unique=False, postgresql_using='gin')
    op.create_table(
        'duplicate_note',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('party_id', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_duplicate_note')),
    )
    op.create_table(
        'duplicate_weights',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('weights', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column('learned_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_duplicate_weights')),
    )
    # Everybody who is there already is looked at once.
    op.execute("INSERT INTO duplicate_note (party_id) SELECT id FROM party")


def downgrade() -> None:
    for table, names in TRIGGERS.items():
        for name in names:
            op.execute(f"DROP TRIGGER IF EXISTS note_duplicates_{name} ON {table}")
            op.execute(f"DROP FUNCTION IF EXISTS note_duplicates_{name}()")
    op.drop_table('duplicate_weights')
    op.drop_table('duplicate_note')
    op.drop_index('ix_duplicate_keys_keys', table_name='duplicate_keys', postgresql_using='gin')
    op.drop_table('duplicate_keys')
