"""Indexes leave out what has no value, and none repeats the beginning of another."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

REPEATED = (("attachment", "document_id"), ("channel_preference", "party_id"), ("identifier", "party_id"), ("party", "owner_id"),
            ("team_member", "team_id"), ("user_role", "user_id"))  # fmt: skip
SPARSE = (("audit_entry", "actor_id"), ("job", "asked_by_id"), ("team", "lead_id"), ("export", "asked_by_id"),
          ("export", "job_id"), ("import", "asked_by_id"), ("import", "job_id"), ("party", "email"), ("party", "email2"),
          ("party", "phone"), ("party", "phone2"), ("party", "preferred_advisor_id"), ("party", "preferred_dealer_id"),
          ("party", "tax_id_key"), ("party", "team_id"), ("contact", "email"), ("contact", "phone"),
          ("document", "expires_on"), ("document", "verified_by_id"), ("identifier", "verified_by_id"), ("note", "author_id"),
          ("status_change", "who_id"), ("attachment", "uploaded_by_id"))  # fmt: skip


def upgrade() -> None:
    for table, column in REPEATED:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    _make_anew(sparse=True)


def downgrade() -> None:
    _make_anew(sparse=False)
    for table, column in REPEATED:
        op.create_index(f"ix_{table}_{column}", table, [column])


def _make_anew(*, sparse: bool) -> None:
    for table, column in SPARSE:
        _index(f"ix_{table}_{column}", table, [column], column, sparse)
    _index("ix_party_gender", "party", ["gender", "id"], "gender", sparse)
    _index("ix_party_industry", "party", [sa.text("lower(industry)"), "id"], "industry", sparse)
    for column in ("account_number", "tax_id"):
        _index(f"ix_party_{column}_lower", "party", [sa.text(f"lower({column}) text_pattern_ops"), "id"], column, sparse)


def _index(name: str, table: str, what: list[str | sa.TextClause], column: str, sparse: bool) -> None:
    op.drop_index(name, table_name=table)
    op.create_index(name, table, what, postgresql_where=sa.text(f"{column} IS NOT NULL") if sparse else None)
