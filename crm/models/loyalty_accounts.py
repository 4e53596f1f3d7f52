"""Memberships and their two ledgers: points in lots that expire, and cashback. Entries hang on the membership's account,
never on the party, and are never changed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import FetchedValue, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    code_field,
    currency_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.ledgers import Ledger
from crm.core.rules import fits_currency, in_order, rule
from crm.core.triggers import Trigger
from crm.models.access import User
from crm.models.loyalty_choices import CashbackKind, Membership, PointKind
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTerms, LoyaltyTier
from crm.models.parties import Party
from crm.models.sales_orders import Order

POINTS = Ledger(
    accounts="loyalty_account", entries="point_entry", lots="point_entry", allocations="point_allocation", amount="points",
    entry="point_entry_id", lot="lot_id", sign=-1, too_much="is more than there is", prefers="reverses_id",
    left="point_lot", opens="l.reverses_id IS NULL", order="l.expires_on NULLS LAST, l.id",
    # What has expired is spent by nobody, also before it is written off.
    may="(NEW.kind NOT IN ('redeem', 'transfer') OR l.expires_on IS NULL OR l.expires_on >= CURRENT_DATE)",
)  # fmt: skip


class LoyaltyAccount(Entity):
    """A customer's membership in a program, which is also the account of points and cashback."""

    about = About(
        area="Loyalty", icon="id-card", label="Membership", label_plural="Memberships", plural="loyalty-accounts", title="code",
        columns=("code", "party", "program", "state", "tier", "points", "next_expiry_on", "cashback", "joined_on"),
        search=("code", "number"), sort=("created_at", "points"),
        filters=("party", "program", "state", "tier", "points", "earned", "redeemed", "next_expiry_on", "cashback", "joined_on",
                 "valid_until", "number", "fee_due_on", "tier_below_since", "created_at"),
        within=("party", "owner"), related=("point_entries", "earnings", "redemptions", "point_requests", "cashback_entries"),
        unfolds=("program", "tier", "benefits", "points", "next_expiry_on", "expiring", "rewards_held", "cashback"),
        sections=(
            Section("Membership", ("party", "program", "number", "joined_on", "valid_until", "referral_code", "notes")),
            Section("Fee", ("fee_charged_on", "fee_paid_on", "fee_due_on")),
        ),
        detail=(
            Section("Membership", ("code", "party", "program", "number", "state", "joined_on", "valid_until", "ended_on", "referral_code",
                                   "notes")),
            Section("Points", ("points", "earned", "redeemed", "expired", "next_expiry_on", "expiring", "rewards_held", "cashback")),
            Section("Tier", ("tier", "benefits", "tier_since", "tier_below_since", "tier_locked")),
            Section("Invitation and terms", ("invited_at", "invitation_accepted_at", "terms", "terms_accepted_at")),
            Section("Fee", ("fee_charged_on", "fee_paid_on", "fee_due_on")),
        ),
        help="Who is a member of which program, with points, tier and cashback.",
    )  # fmt: skip

    code: Mapped[str] = code_field("M")
    party_id: Mapped[int] = reference_field("customer", table="party", required=True, label="Customer")
    program_id: Mapped[int] = reference_field("loyalty_program", table="loyalty_program", required=True)
    number: Mapped[str | None] = text_field(
        max_length=64, label="Card number", column={"unique": True}, help="Unique if given"
    )
    state: Mapped[Membership] = choice_field(
        Membership, editable=False, label="Status", column={"server_default": "active"}
    )
    joined_on: Mapped[dt.date] = date_field(label="Member since", column={"server_default": func.current_date()})
    valid_until: Mapped[dt.date | None] = date_field()
    ended_on: Mapped[dt.date | None] = date_field(editable=False, label="Ended")
    referral_code: Mapped[str | None] = text_field(
        max_length=32, label="Came by the code", help="Of who referred them; makes a referral"
    )
    tier_id: Mapped[int | None] = reference_field("loyalty_tier", table="loyalty_tier", editable=False)
    tier_since: Mapped[dt.date | None] = date_field(editable=False)
    tier_below_since: Mapped[dt.date | None] = date_field(
        editable=False, label="Too little for it since", help="The tier is lost when the time of grace is over"
    )
    tier_locked: Mapped[bool] = boolean_field(
        editable=False, help="Set by hand: it stays", column={"server_default": text("false")}
    )
    invited_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Invited")
    invitation_accepted_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Invitation accepted")
    terms_id: Mapped[int | None] = reference_field(
        "loyalty_terms", table="loyalty_terms", editable=False, label="Accepted terms"
    )
    terms_accepted_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Terms accepted")
    fee_charged_on: Mapped[dt.date | None] = date_field(label="Fee charged")
    fee_paid_on: Mapped[dt.date | None] = date_field(label="Fee paid")
    fee_due_on: Mapped[dt.date | None] = date_field(label="Fee due again")
    notes: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"benefits": Field(kind="long_text", label="Benefits of the tier")}
    party: Mapped[Party] = relationship(lazy="selectin",
        backref=backref("loyalty_accounts", order_by="LoyaltyAccount.id", passive_deletes="all"))  # fmt: skip
    program: Mapped[LoyaltyProgram] = relationship(lazy="selectin")
    tier: Mapped[LoyaltyTier | None] = relationship(foreign_keys=tier_id)
    terms: Mapped[LoyaltyTerms | None] = relationship()
    point_entries: Mapped[list[PointEntry]] = relationship(
        back_populates="account", order_by="PointEntry.id.desc()", passive_deletes="all"
    )
    cashback_entries: Mapped[list[CashbackEntry]] = relationship(
        back_populates="account", order_by="CashbackEntry.id.desc()", passive_deletes="all"
    )

    __table_args__ = (
        ForeignKeyConstraint(["program_id", "tier_id"], ["loyalty_tier.program_id", "loyalty_tier.id"]),
        in_order("joined_on", "valid_until"),
        in_order("invited_at", "invitation_accepted_at"),
        rule("terms", "(terms_id IS NULL) = (terms_accepted_at IS NULL)", "need the time of their acceptance"),
        Index(
            "uq_loyalty_account_party", "party_id", "program_id", unique=True, postgresql_where=text("state <> 'ended'")
        ),
    )

    triggers = (
        Trigger("loyalty_account_fee", "BEFORE INSERT OR UPDATE OF fee_paid_on", each="ROW", body="""
DECLARE
  months int := (SELECT p.fee_months FROM loyalty_program p WHERE p.id = NEW.program_id);
BEGIN
  IF NEW.fee_due_on IS NOT DISTINCT FROM OLD.fee_due_on THEN
    NEW.fee_due_on := coalesce((NEW.fee_paid_on + make_interval(months => months))::date, NEW.fee_due_on);
  END IF;
  RETURN NEW;
END"""),
        # Of whoever joined earlier nobody knows any more what there was on that day.
        Trigger("loyalty_account_joins", "BEFORE INSERT", each="ROW", only="NEW.joined_on >= CURRENT_DATE", body="""
DECLARE
  p loyalty_program%ROWTYPE;
  wrong text;
BEGIN
  SELECT * INTO p FROM loyalty_program WHERE id = NEW.program_id;
  IF p.state <> 'active' THEN
    wrong := 'isn''t active: nobody can join';
  ELSIF NEW.joined_on NOT BETWEEN coalesce(p.valid_from, NEW.joined_on) AND coalesce(p.valid_until, NEW.joined_on) THEN
    wrong := 'isn''t open on that day';
  ELSIF p.segment_id IS NOT NULL AND NOT EXISTS (SELECT FROM segment_membership m WHERE m.segment_id = p.segment_id
      AND m.party_id = NEW.party_id AND m.left_at IS NULL) THEN
    wrong := 'is for members of the segment ' || (SELECT s.name FROM segment s WHERE s.id = p.segment_id) || ' alone';
  ELSIF p.minimum_purchase > (SELECT coalesce(sum(f.total - f.refunded), 0) FROM sales_order o JOIN order_figures f ON f.id = o.id
      WHERE o.customer_id = NEW.party_id AND o.currency = p.currency AND o.state = 'completed') THEN
    wrong := 'is for customers who bought for ' || round(p.minimum_purchase, 2) || ' ' || p.currency || ' or more';
  END IF;
  IF wrong <> '' THEN
    RAISE EXCEPTION '%', wrong USING ERRCODE = 'check_violation', COLUMN = 'program', TABLE = 'loyalty_account';
  END IF;
  IF p.by_invitation AND NEW.state = 'active' AND NEW.invitation_accepted_at IS NULL THEN
    NEW.state := 'invited';
    NEW.invited_at := coalesce(NEW.invited_at, now());
  END IF;
  IF p.fee > 0 THEN
    NEW.fee_charged_on := coalesce(NEW.fee_charged_on, NEW.joined_on);
  END IF;
  RETURN NEW;
END"""),
    )  # fmt: skip

    @property
    def benefits(self) -> str | None:
        return self.tier.benefits if self.tier is not None else None


class PointEntry(Entity):
    """Points that came or went. What came is a lot, out of which later entries take, oldest expiry first."""

    only_changes = ()
    about = About(
        area="Loyalty", icon="coins", plural="point-entries", label_plural="Point entries", title="words",
        columns=("words", "account", "customer", "kind", "points", "remaining", "expires_on", "order", "reason", "by", "created_at"),
        filters=("account", "kind", "points", "expires_on", "remaining", "order", "by", "created_at"),
        sort=("created_at", "points"), within=("account", "party", "owner"), create=False, edit=False, audited=False,
        detail=(Section("Entry", ("account", "customer", "kind", "points", "remaining", "expires_on", "order", "reverses", "source", "reason",
                                  "by", "created_at")),),
        help="Every point that came or went. Entries are never changed: a mistake is reversed by another one.",
    )  # fmt: skip

    account_id: Mapped[int] = reference_field(
        "loyalty_account", table="loyalty_account", editable=False, label="Membership"
    )
    kind: Mapped[PointKind] = choice_field(PointKind, editable=False)
    points: Mapped[int] = integer_field(editable=False)
    expires_on: Mapped[dt.date | None] = date_field(editable=False, label="Expires")
    source: Mapped[str] = text_field(editable=False, max_length=120, help="What it comes from: nothing counts twice",
                                     column={"unique": True})  # fmt: skip
    order_id: Mapped[int | None] = reference_field("order", table="sales_order", editable=False)
    reverses_id: Mapped[int | None] = reference_field("point_entry", table="point_entry", editable=False)
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)
    by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    derived = {
        "words": Field(kind="text", label="Entry"),
        "customer": Field(kind="text", field_class=FieldClass.PERSONAL),
    }
    account: Mapped[LoyaltyAccount] = relationship(back_populates="point_entries", lazy="selectin")
    order: Mapped[Order | None] = relationship()
    reverses: Mapped[PointEntry | None] = relationship(remote_side="PointEntry.id")
    by: Mapped[User | None] = relationship()

    __table_args__ = (
        rule("points", "points <> 0", "must not be 0"),
        rule("kind", "CASE kind WHEN 'earn' THEN points > 0 WHEN 'bonus' THEN points > 0 WHEN 'redeem' THEN points < 0 "
                     "WHEN 'expire' THEN points < 0 ELSE true END", "doesn't fit the sign of the points", name="sign"),
        rule("expires_on", "expires_on IS NULL OR (points > 0 AND reverses_id IS NULL)", "is only of points that came"),
        Index("uq_point_entry_reverses", "reverses_id", unique=True, postgresql_where=text("points > 0")),
        Index("ix_point_entry_lots", "account_id", "expires_on", "id", postgresql_where=text("points > 0 AND reverses_id IS NULL")),
    )  # fmt: skip

    triggers = POINTS.triggers()

    @property
    def words(self) -> str:
        return f"{self.points:+,} {self.kind.label.lower()}"

    @property
    def customer(self) -> str:
        return self.account.party.name


class PointAllocation(Entity):
    """Which lot an entry took its points from; what is given back stands as less than nothing."""

    only_changes = ()
    about = About(
        area="Loyalty", icon="split", title="words", columns=("lot", "point_entry", "points", "created_at"),
        filters=("lot", "point_entry", "points", "created_at"), sort=("created_at",),
        within=("lot", "account", "party", "owner"), create=False, edit=False, audited=False,
        detail=(Section("Allocation", ("lot", "point_entry", "points", "created_at")),),
        help="What was taken from which lot of points: the oldest expiry first.",
    )  # fmt: skip

    point_entry_id: Mapped[int] = reference_field("point_entry", table="point_entry", editable=False, label="Entry")
    lot_id: Mapped[int] = reference_field("point_entry", table="point_entry", editable=False, label="From")
    points: Mapped[int] = integer_field(editable=False)
    derived = {"words": Field(kind="text", label="Allocation")}
    point_entry: Mapped[PointEntry] = relationship(foreign_keys=point_entry_id)
    lot: Mapped[PointEntry] = relationship(foreign_keys=lot_id)

    __table_args__ = (UniqueConstraint("point_entry_id", "lot_id"), rule("points", "points <> 0", "must not be 0"))

    @property
    def words(self) -> str:
        return f"{self.points:,} of lot {self.lot_id}"


class CashbackEntry(Entity):
    """Cashback that came or went, in the program's currency."""

    only_changes = ()
    about = About(
        area="Loyalty", icon="hand-coins", plural="cashback-entries", label_plural="Cashback entries", title="words",
        columns=("words", "account", "kind", "amount", "currency", "order", "reason", "by", "created_at"),
        filters=("account", "kind", "amount", "currency", "order", "by", "created_at"), sort=("created_at", "amount"),
        within=("account", "party", "owner"), create=False, edit=False, audited=False,
        detail=(Section("Entry", ("account", "kind", "amount", "currency", "order", "reverses", "source", "reason", "by", "created_at")),),
        help="Cashback that was earned, paid out or set off against an invoice.",
    )  # fmt: skip

    account_id: Mapped[int] = reference_field(
        "loyalty_account", table="loyalty_account", editable=False, label="Membership"
    )
    kind: Mapped[CashbackKind] = choice_field(CashbackKind, editable=False)
    amount: Mapped[Decimal] = money_field(editable=False)
    currency: Mapped[str] = currency_field(editable=False, column={"server_default": FetchedValue()})
    source: Mapped[str] = text_field(editable=False, max_length=120, column={"unique": True})
    order_id: Mapped[int | None] = reference_field("order", table="sales_order", editable=False)
    reverses_id: Mapped[int | None] = reference_field("cashback_entry", table="cashback_entry", editable=False)
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)
    by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    derived = {"words": Field(kind="text", label="Entry")}
    account: Mapped[LoyaltyAccount] = relationship(back_populates="cashback_entries")
    order: Mapped[Order | None] = relationship()
    reverses: Mapped[CashbackEntry | None] = relationship(remote_side="CashbackEntry.id")
    by: Mapped[User | None] = relationship()

    __table_args__ = (
        rule("amount", "amount <> 0", "must not be 0", name="something"),
        rule("kind", "CASE kind WHEN 'earn' THEN amount > 0 WHEN 'payout' THEN amount < 0 WHEN 'set_off' THEN amount < 0 "
                     "ELSE true END", "doesn't fit the sign of the amount", name="sign"),
        fits_currency("amount"),
    )  # fmt: skip

    triggers = (
        Trigger("cashback_entry_currency", "BEFORE INSERT", each="ROW", body="""
BEGIN
  SELECT p.currency INTO NEW.currency FROM loyalty_account a JOIN loyalty_program p ON p.id = a.program_id
   WHERE a.id = NEW.account_id;
  RETURN NEW;
END"""),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.amount:+,.2f} {self.currency}"
