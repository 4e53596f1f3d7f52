"""How many are in a segment stands with it."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # It is filled when the figures are worked out, at the end of the upgrade.
    op.create_table("segment_figures",
                    sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
                    sa.Column("member_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
                    sa.PrimaryKeyConstraint("id", name=op.f("pk_segment_figures")))  # fmt: skip
    op.create_index("ix_segment_figures_sort_member_count", "segment_figures", ["member_count", "id"])
    op.create_table("segment_figures_note",
                    sa.Column("tx", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False),
                    sa.Column("id", sa.BigInteger(), nullable=False),
                    sa.Column("member_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
                    sa.Column("afresh", sa.Boolean(), server_default=sa.text("false"), nullable=False),
                    prefixes=["UNLOGGED"])  # fmt: skip
    op.create_index("ix_segment_figures_note_tx", "segment_figures_note", ["tx"])


def downgrade() -> None:
    for table in ("segment", "segment_membership"):
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER IF EXISTS figures_{table}_{event} ON {table}")
            op.execute(f"DROP FUNCTION IF EXISTS figures_{table}_{event}()")
    op.drop_table("segment_figures_note")
    op.drop_table("segment_figures")
