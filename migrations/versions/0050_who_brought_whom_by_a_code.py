"""Everybody has a code to refer by, made of their number; where a referral stands follows from what it says"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None

STATES = "state IN ('invited', 'lead', 'customer', 'rewarded')"
STATE = sa.Enum("invited", "lead", "customer", "rewarded", name="referralstate", native_enum=False, length=32)
FOLLOWS = (
    "CASE WHEN rewarded_at IS NOT NULL THEN 'rewarded' WHEN referred_id IS NOT NULL THEN 'customer' "
    "WHEN lead_id IS NOT NULL THEN 'lead' ELSE 'invited' END"
)
CODE = (
    "substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', ((id * 107374183 % 27512614111) / 1 % 31)::int + 1, 1)"
    " || substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', ((id * 107374183 % 27512614111) / 31 % 31)::int + "
    "1, 1) || substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', ((id * 107374183 % 27512614111) / 961 % 31)::"
    "int + 1, 1) || substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', ((id * 107374183 % 27512614111) / 29791"
    " % 31)::int + 1, 1) || '-' || substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', ((id * 107374183 % 27512"
    "614111) / 923521 % 31)::int + 1, 1) || substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', ((id * 10737418"
    "3 % 27512614111) / 28629151 % 31)::int + 1, 1) || substr('23456789ABCDEFGHJKMNPQRSTUVWXYZ', ((id"
    " * 107374183 % 27512614111) / 887503681 % 31)::int + 1, 1) || substr('23456789ABCDEFGHJKMNPQRSTU"
    "VWXYZ', ((2 * ((id * 107374183 % 27512614111) / 1 % 31) + 3 * ((id * 107374183 % 27512614111) / "
    "31 % 31) + 4 * ((id * 107374183 % 27512614111) / 961 % 31) + 5 * ((id * 107374183 % 27512614111)"
    " / 29791 % 31) + 6 * ((id * 107374183 % 27512614111) / 923521 % 31) + 7 * ((id * 107374183 % 275"
    "12614111) / 28629151 % 31) + 8 * ((id * 107374183 % 27512614111) / 887503681 % 31)) % 31)::int +"
    " 1, 1)"
)


def upgrade() -> None:
    op.add_column("loyalty_account", sa.Column("referral_code", sa.String(length=32), nullable=True))
    op.drop_column("party", "referral_code")  # nothing could set it
    op.add_column("party", sa.Column("referral_code", sa.Text(), sa.Computed(CODE, persisted=True), nullable=False))
    op.create_unique_constraint(op.f("uq_party_referral_code"), "party", ["referral_code"])
    op.drop_column("referral", "state")
    op.add_column("referral", sa.Column("state", STATE, sa.Computed(FOLLOWS, persisted=True), nullable=False))
    op.create_check_constraint(op.f("ck_referral_state_choice"), "referral", STATES)


def downgrade() -> None:
    for name in ("referral_by_code", "referral_of_lead", "referral_of_member"):
        op.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
    op.drop_column("referral", "state")
    op.add_column("referral", sa.Column("state", STATE, server_default="invited", nullable=False))
    op.execute(f"UPDATE referral SET state = {FOLLOWS}")
    op.create_check_constraint(op.f("ck_referral_state_choice"), "referral", STATES)
    op.create_check_constraint(op.f("ck_referral_rewarded_at_rule"), "referral",
                               "(state = 'rewarded') = (rewarded_at IS NOT NULL)")  # fmt: skip
    op.drop_column("party", "referral_code")
    op.add_column("party", sa.Column("referral_code", sa.String(length=32), nullable=True))
    op.create_unique_constraint(op.f("uq_party_referral_code"), "party", ["referral_code"])
    op.drop_column("loyalty_account", "referral_code")
