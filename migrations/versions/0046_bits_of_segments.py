"""In which segments each customer is, as bits."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # It is filled when the figures are worked out, at the end of the upgrade.
    op.create_table("segment_bits",
                    sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
                    sa.Column("bits", sa.BigInteger(), nullable=False),
                    sa.PrimaryKeyConstraint("id", name=op.f("pk_segment_bits")))  # fmt: skip


def downgrade() -> None:
    for event in ("insert", "update", "delete"):
        op.execute(f"DROP TRIGGER IF EXISTS figures_segment_membership_{event} ON segment_membership")
        op.execute(f"DROP FUNCTION IF EXISTS figures_segment_membership_{event}()")
    op.drop_table("segment_bits")
