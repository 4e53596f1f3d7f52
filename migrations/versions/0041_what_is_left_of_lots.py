"""What is left of open lots of points and of open invoices stands in a table of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

TABLES = {"point_lot": "point_entry", "open_invoice": "invoice"}


def upgrade() -> None:
    # They are filled when the figures are worked out, at the end of the upgrade.
    for table in TABLES:
        op.create_table(table,
                        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
                        sa.Column("account_id", sa.BigInteger(), nullable=False),
                        sa.Column("remaining", sa.Numeric(precision=19, scale=4), nullable=False),
                        sa.CheckConstraint("remaining > 0", name=op.f(f"ck_{table}_remaining")),
                        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")))  # fmt: skip
        op.create_index(f"ix_{table}_account_id", table, ["account_id"])


def downgrade() -> None:
    for table, lots in TABLES.items():
        op.execute(f"DROP TRIGGER IF EXISTS {lots}_opens ON {lots}")
        op.execute(f"DROP FUNCTION IF EXISTS {lots}_opens()")
        op.drop_table(table)
