"""Statements of a segment"""

from alembic import op

revision = '0045'
down_revision = '0044'
branch_labels = None
depends_on = None


def upgrade() -> None:
    _formats("'csv', 'xlsx', 'json', 'pdf', 'zip'")


def downgrade() -> None:
    op.execute("UPDATE export SET format = 'csv' WHERE format = 'zip'")
    _formats("'csv', 'xlsx', 'json', 'pdf'")


def _formats(words: str) -> None:
    op.drop_constraint(op.f('ck_export_format_choice'), 'export', type_='check')
    op.create_check_constraint(op.f('ck_export_format_choice'), 'export', f"format IN ({words})")
