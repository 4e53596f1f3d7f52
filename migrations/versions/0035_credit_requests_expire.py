"""Credit requests expire"""

from alembic import op

revision = '0035'
down_revision = '0034'
branch_labels = None
depends_on = None


def upgrade() -> None:
    _statuses("'pending', 'approved', 'refused', 'withdrawn', 'expired'")


def downgrade() -> None:
    op.execute("UPDATE credit_request SET status = 'withdrawn' WHERE status = 'expired'")
    _statuses("'pending', 'approved', 'refused', 'withdrawn'")


def _statuses(words: str) -> None:
    op.drop_constraint(op.f('ck_credit_request_status_choice'), 'credit_request', type_='check')
    op.create_check_constraint(op.f('ck_credit_request_status_choice'), 'credit_request', f"status IN ({words})")
