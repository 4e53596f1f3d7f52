"""Returns of what was bought elsewhere"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("return_line", sa.Column("name", sa.String(length=255), nullable=True))
    op.alter_column("return_line", "order_line_id", existing_type=sa.BIGINT(), nullable=True)
    op.create_check_constraint(
        op.f("ck_return_line_order_line_rule"), "return_line", "num_nonnulls(order_line_id, name) > 0"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_return_line_order_line_rule"), "return_line", type_="check")
    op.execute("DELETE FROM return_line WHERE order_line_id IS NULL")
    op.alter_column("return_line", "order_line_id", existing_type=sa.BIGINT(), nullable=False)
    op.drop_column("return_line", "name")
