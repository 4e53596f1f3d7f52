"""the organisation and its currency"""

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('organisation',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_organisation_one')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_organisation'))
    )
    op.execute("INSERT INTO organisation (id, name, currency) VALUES (1, 'Our organisation', 'EUR')")


def downgrade() -> None:
    op.drop_table('organisation')
