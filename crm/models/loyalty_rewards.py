"""Rewards that members took, and who brought whom."""

# ruff: noqa: S608 - all SQL is made of declarations

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import FetchedValue, Index, func, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section, db
from crm.core.fields import (
    Field,
    FieldClass,
    choice_field,
    code_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import rule
from crm.core.triggers import Trigger
from crm.models.access import User
from crm.models.communication_choices import Channel
from crm.models.loyalty_accounts import LoyaltyAccount, PointEntry
from crm.models.loyalty_choices import RedemptionState, ReferralState
from crm.models.loyalty_programs import LoyaltyProgram, Reward
from crm.models.parties import Party
from crm.models.referral_codes import as_written
from crm.models.sales_leads import Lead


class Redemption(Entity):
    """A reward that a member takes: held, then given or voided."""

    about = About(
        area="Loyalty", icon="gift", title="code",
        columns=("code", "account", "customer", "reward", "points", "state", "held_until", "created_at", "settled_at", "by"),
        search=("code", "reference"),
        filters=("account", "reward", "points", "state", "reference", "held_until", "by", "created_at", "settled_at"),
        sort=("created_at", "points"), within=("account", "party", "owner"), create=False, edit=False,
        detail=(Section("Redemption", ("code", "account", "customer", "reward", "points", "state", "held_until", "reference", "entry",
                                       "by", "created_at", "settled_at", "reason")),),
        help="What points were spent on.",
    )  # fmt: skip

    code: Mapped[str] = code_field("RD")
    account_id: Mapped[int] = reference_field(
        "loyalty_account", table="loyalty_account", editable=False, label="Membership"
    )
    reward_id: Mapped[int | None] = reference_field(
        "reward", table="reward", editable=False, help="Empty: points are taken for something else"
    )
    entry_id: Mapped[int] = reference_field("point_entry", table="point_entry", editable=False, label="Points taken",
                                            column={"unique": True})  # fmt: skip
    points: Mapped[int] = integer_field(editable=False, minimum=1)
    state: Mapped[RedemptionState] = choice_field(
        RedemptionState, editable=False, label="Status", column={"server_default": "held"}
    )
    held_until: Mapped[dt.datetime | None] = datetime_field(
        editable=False, help="The points go back when it isn't given by then"
    )
    reference: Mapped[str | None] = text_field(
        editable=False, max_length=120, column={"unique": True}, help="Of whoever asked for it; unique if given"
    )
    settled_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Given or voided")
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)
    by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    derived = {"customer": Field(kind="text", field_class=FieldClass.PERSONAL)}
    account: Mapped[LoyaltyAccount] = relationship(lazy="selectin",
        backref=backref("redemptions", order_by="Redemption.id.desc()", passive_deletes="all"))  # fmt: skip
    reward: Mapped[Reward | None] = relationship(lazy="selectin")
    entry: Mapped[PointEntry] = relationship()
    by: Mapped[User | None] = relationship()

    __table_args__ = (
        rule("settled_at", "(state = 'held') = (settled_at IS NULL)", "doesn't fit the status"),
        Index("ix_redemption_held", "held_until", "id", postgresql_where=text("state = 'held'")),
    )

    @property
    def customer(self) -> str:
        return self.account.party.name


class Referral(Entity):
    """Somebody whom a customer brought, from the invitation to the reward for both."""

    about = About(
        area="Loyalty", icon="users", title="words",
        columns=("words", "referrer", "state", "channel", "referred_on", "value_bought", "program"),
        filters=("referrer", "referred", "lead", "state", "channel", "program", "referred_on", "referral_code", "created_at"),
        sort=("referred_on", "created_at"), within=("referrer", "owner"), also_within=("referred", "owner"),
        sections=(Section("Referral", ("name", "referral_code", "referrer", "referred", "lead", "channel", "referred_on", "program",
                                       "notes"), "The code tells who referred; without one choose them."),),
        detail=(Section("Referral", ("referrer", "name", "referred", "lead", "referral_code", "channel", "referred_on", "state",
                                     "value_bought", "program", "notes")),
                Section("Bonus", ("referrer_bonus", "referred_bonus", "rewarded_at"))),
        help="Who brought whom, what they bought, and the bonus for both.",
    )  # fmt: skip

    referrer_id: Mapped[int] = reference_field("customer", table="party", column={"server_default": FetchedValue()})
    name: Mapped[str | None] = text_field(
        field_class=FieldClass.PERSONAL, label="Invited person", help="Until there is a record"
    )
    referred_id: Mapped[int | None] = reference_field("customer", table="party", label="Customer who came")
    lead_id: Mapped[int | None] = reference_field("lead", table="lead")
    program_id: Mapped[int | None] = reference_field("loyalty_program", table="loyalty_program")
    referral_code: Mapped[str | None] = text_field(max_length=32, help="Of who referred, as they told it")
    channel: Mapped[Channel | None] = choice_field(Channel)
    referred_on: Mapped[dt.date] = date_field(label="Referred", column={"server_default": func.current_date()})
    state: Mapped[ReferralState] = choice_field(ReferralState, editable=False, label="Status", computed=(
        "CASE WHEN rewarded_at IS NOT NULL THEN 'rewarded' WHEN referred_id IS NOT NULL THEN 'customer' "
        "WHEN lead_id IS NOT NULL THEN 'lead' ELSE 'invited' END"))  # fmt: skip
    referrer_bonus: Mapped[int | None] = integer_field(editable=False, minimum=0, label="Points for the referrer")
    referred_bonus: Mapped[int | None] = integer_field(editable=False, minimum=0, label="Points for who came")
    rewarded_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Rewarded")
    notes: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"words": Field(kind="text", label="Invited", field_class=FieldClass.PERSONAL),
               "value_bought": Field(kind="money", field_class=FieldClass.FINANCIAL)}  # fmt: skip
    referrer: Mapped[Party] = relationship(foreign_keys=referrer_id,
        backref=backref("referrals", order_by="Referral.id.desc()", passive_deletes="all"))  # fmt: skip
    referred: Mapped[Party | None] = relationship(foreign_keys=referred_id, lazy="selectin")
    lead: Mapped[Lead | None] = relationship(lazy="selectin")
    program: Mapped[LoyaltyProgram | None] = relationship()

    __table_args__ = (rule("referred", "referred_id <> referrer_id", "is the referrer"),)

    triggers = (
        # A code of a merged record means whoever stands for it.
        Trigger("referral_by_code", "BEFORE INSERT OR UPDATE OF referral_code, lead_id", each="ROW", body=f"""
DECLARE
  found bigint;
  wrong text;
BEGIN
  IF NEW.referral_code IS DISTINCT FROM OLD.referral_code AND NEW.referral_code <> '' THEN
    NEW.referral_code := {as_written("NEW.referral_code")};
    SELECT survivor_of(p.id) INTO found FROM party p WHERE p.referral_code = NEW.referral_code;
    NEW.referrer_id := coalesce(NEW.referrer_id, found);
    IF found IS NULL THEN
      wrong := 'is nobody''s code: look at it again';
    ELSIF survivor_of(NEW.referrer_id) <> found THEN
      wrong := 'is the code of somebody else';
    ELSIF survivor_of(NEW.referred_id) = found THEN
      wrong := 'is their own code: nobody refers themselves';
    END IF;
    IF wrong <> '' THEN
      RAISE EXCEPTION '%', wrong USING ERRCODE = 'check_violation', COLUMN = 'referral_code', TABLE = 'referral';
    END IF;
    NEW.program_id := coalesce(NEW.program_id, (SELECT p.id FROM loyalty_program p WHERE p.state = 'active' AND 'referral' = ANY (p.kinds)
                                                ORDER BY p.main DESC, p.id LIMIT 1));
  END IF;
  IF NEW.referrer_id IS NULL THEN
    RAISE EXCEPTION 'is required where there is no code' USING ERRCODE = 'check_violation', COLUMN = 'referrer', TABLE = 'referral';
  END IF;
  NEW.referred_id := coalesce(NEW.referred_id, (SELECT l.customer_id FROM lead l WHERE l.id = NEW.lead_id AND l.customer_id <> NEW.referrer_id));
  RETURN NEW;
END"""),
        Trigger("referral_of_lead", "AFTER UPDATE OF customer_id", on="lead", each="ROW", only="NEW.customer_id IS NOT NULL", body="""
BEGIN
  UPDATE referral r SET referred_id = NEW.customer_id
   WHERE r.lead_id = NEW.id AND r.referred_id IS NULL AND r.referrer_id <> NEW.customer_id;
  RETURN NULL;
END"""),
        # Whoever joins with a code came by a referral, in this program or in the one for referrals.
        Trigger("referral_of_member", "AFTER INSERT OR UPDATE OF referral_code", on="loyalty_account", each="ROW",
                only="NEW.referral_code <> ''", body=f"""
BEGIN
  INSERT INTO referral (referral_code, referred_id, referred_on, program_id)
  SELECT NEW.referral_code, NEW.party_id, NEW.joined_on,
         (SELECT p.id FROM loyalty_program p WHERE p.id = NEW.program_id AND 'referral' = ANY (p.kinds))
   WHERE NOT EXISTS (SELECT FROM referral r JOIN party p ON survivor_of(p.id) = r.referrer_id
                      WHERE r.referred_id = NEW.party_id AND p.referral_code = {as_written("NEW.referral_code")});
  RETURN NULL;
END"""),
    )  # fmt: skip

    def created(self) -> None:
        """The code is kept as it stands with the customer, and told who it is."""
        db.session.refresh(self)

    @property
    def words(self) -> str:
        return (
            (self.referred and self.referred.name)
            or (self.lead and self.lead.name)
            or self.name
            or f"Referral {self.id}"
        )

    @property
    def value_bought(self) -> Decimal | None:
        return getattr(self.referred, "total_spent", None)
