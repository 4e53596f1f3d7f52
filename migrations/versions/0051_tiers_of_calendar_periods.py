"""Tiers may go by calendar periods instead of the last months"""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

PERIOD = sa.Enum("rolling", "calendar", name="tierperiod", native_enum=False, length=32)


def upgrade() -> None:
    op.add_column("loyalty_program", sa.Column("tier_period", PERIOD, server_default="rolling", nullable=False))
    op.create_check_constraint(op.f("ck_loyalty_program_tier_period_choice"), "loyalty_program",
                               "tier_period IN ('rolling', 'calendar')")  # fmt: skip


def downgrade() -> None:
    op.drop_column("loyalty_program", "tier_period")
