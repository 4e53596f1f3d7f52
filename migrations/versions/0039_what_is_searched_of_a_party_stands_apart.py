"""What is searched of a party stands apart: a change of anything else doesn't write its letters anew."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

TEXT = (
    "crm_sort_key(coalesce(name, '') || ' ' || coalesce(company_name, '') || ' ' || coalesce(email, '') || ' ' || "
    "coalesce(email2, '') || ' ' || coalesce(phone, '') || ' ' || coalesce(phone2, '') || ' ' || "
    "coalesce((code_letter || '-' || lpad(id::text, greatest(6, length(id::text)), '0')), '') || ' ' || "
    "coalesce(account_number, ''))"
)


def upgrade() -> None:
    op.create_table("party_search",
                    sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
                    sa.Column("search_text", sa.Text(), nullable=False),
                    sa.PrimaryKeyConstraint("id", name=op.f("pk_party_search")))  # fmt: skip
    op.execute("INSERT INTO party_search SELECT id, search_text FROM party")
    op.drop_index("ix_party_search", table_name="party")
    op.create_index("ix_party_search", "party_search", ["search_text"], postgresql_using="gin",
                    postgresql_ops={"search_text": "gin_trgm_ops"})  # fmt: skip
    op.drop_column("party", "search_text")


def downgrade() -> None:
    for name in ("party_search_new", "party_search_gone", "party_search_changed"):
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON party")
        op.execute(f"DROP FUNCTION IF EXISTS {name}()")
    op.drop_table("party_search")
    op.add_column("party", sa.Column("search_text", sa.Text(), sa.Computed(TEXT, persisted=True)))
    op.create_index("ix_party_search", "party", ["search_text"], postgresql_using="gin",
                    postgresql_ops={"search_text": "gin_trgm_ops"})  # fmt: skip
