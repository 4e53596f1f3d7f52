"""Programs are kept to: who may join, from what amount and up to how many points an order earns, what expired isn't owed."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

CHECKS = {"least_purchase_bounds": "least_purchase >= 0", "most_points_bounds": "most_points >= 1"}
OWED = "entered > points{} OR cashback_entered > cashback"


def upgrade() -> None:
    op.add_column("loyalty_program", sa.Column("segment_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "loyalty_program", sa.Column("terms_first", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_index("ix_loyalty_program_segment_id", "loyalty_program", ["segment_id"],
                    postgresql_where=sa.text("segment_id IS NOT NULL"))  # fmt: skip
    op.create_foreign_key(op.f("fk_loyalty_program_segment_id"), "loyalty_program", "segment", ["segment_id"], ["id"],
                          ondelete="RESTRICT")  # fmt: skip
    op.add_column("loyalty_terms", sa.Column("least_purchase", sa.Numeric(precision=19, scale=2), nullable=True))
    op.add_column("loyalty_terms", sa.Column("most_points", sa.Integer(), nullable=True))
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_loyalty_terms_{name}"), "loyalty_terms", condition)
    op.add_column("order_earning", sa.Column("lapsed", sa.Integer(), server_default=sa.text("0"), nullable=False))
    _owed(" + lapsed")


def downgrade() -> None:
    for name in ("loyalty_account_fee", "loyalty_account_joins"):
        op.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
    _owed("")
    op.drop_column("order_earning", "lapsed")
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_loyalty_terms_{name}"), "loyalty_terms", type_="check")
    op.drop_column("loyalty_terms", "most_points")
    op.drop_column("loyalty_terms", "least_purchase")
    op.drop_constraint(op.f("fk_loyalty_program_segment_id"), "loyalty_program", type_="foreignkey")
    op.drop_index("ix_loyalty_program_segment_id", table_name="loyalty_program")
    op.drop_column("loyalty_program", "terms_first")
    op.drop_column("loyalty_program", "segment_id")


def _owed(lapsed: str) -> None:
    op.drop_index("ix_order_earning_owed", table_name="order_earning")
    op.create_index("ix_order_earning_owed", "order_earning", ["account_id"],
                    postgresql_where=sa.text(OWED.format(lapsed)))  # fmt: skip
