"""How much an export withheld"""

import sqlalchemy as sa
from alembic import op

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('export', sa.Column('withheld', sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column('export', 'withheld')
