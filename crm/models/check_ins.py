"""How often somebody should be in touch with a customer: rules for many, intervals for one, and when it is due next."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Computed, Date, Integer, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section, face_named
from crm.core.fields import (
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    date_field,
    declare,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import rule as must
from crm.core.triggers import Trigger
from crm.models.loyalty_programs import LoyaltyTier
from crm.models.parties import Party
from crm.models.party_choices import PartyType
from crm.models.segments import Segment

LONGEST = 3650  # days
USUAL = 30


class CheckInRule(Entity):
    """How often to be in touch with the customers of a segment, tier or type; where several fit, the shortest counts."""

    about = About(
        area="Setup", icon="calendar-clock", label="Check-in rule", label_plural="Check-in rules", columns=("name", "segment", "tier", "type", "every_days", "active"), search=("name",),
        filters=("segment", "tier", "type", "every_days", "active"), sort=("name", "every_days"), delete=True,
        sections=(Section("Rule", ("name", "segment", "tier", "type", "every_days", "active"),
                          "For customers whom all of it fits; without any, for everybody. It is applied each night."),),
        detail=(Section("Rule", ("name", "segment", "tier", "type", "every_days", "active")),),
        help="How often to be in touch with which customers.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120)
    segment_id: Mapped[int | None] = reference_field("segment", table="segment", help="Empty: whatever the segment")
    tier_id: Mapped[int | None] = reference_field("loyalty_tier", table="loyalty_tier", help="Empty: whatever the tier")
    type: Mapped[PartyType | None] = choice_field(PartyType, label="Customer type", help="Empty: whatever the type")
    every_days: Mapped[int] = integer_field(required=True, minimum=1, maximum=LONGEST, label="Every (days)")
    active: Mapped[bool] = boolean_field(label="In use", column={"server_default": text("true")})
    segment: Mapped[Segment | None] = relationship()
    tier: Mapped[LoyaltyTier | None] = relationship()


class CheckIn(Entity):
    """When somebody was in touch with a customer last, how often that should be, and when it is due next."""

    about = About(
        area="Customers", icon="calendar-clock", title="words", label="Check-in", label_plural="Check-ins", delete=True,
        columns=("words", "party", "due_on", "last_on", "every_days", "rule"),
        filters=("party", "account_manager", "due_on", "last_on", "every_days", "rule", "created_at"), sort=("due_on", "created_at"),
        within=("party", "owner"),
        sections=(Section("Check-in", ("party", "own_days", "remarks"), "The interval of this customer alone; it goes before any rule."),),
        detail=(Section("Check-in", ("party", "due_on", "last_on", "every_days", "own_days", "rule", "remarks")),),
        help="Whom to be in touch with, and until when. Whatever is logged with a customer counts.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="With", required=True)
    own_days: Mapped[int | None] = integer_field(minimum=1, maximum=LONGEST, label="Every (days), for this customer",
                                                 help="Empty: as the rule says; where there is none, 30")  # fmt: skip
    rule_days: Mapped[int | None] = integer_field(editable=False, label="Every (days), by rule")
    rule_id: Mapped[int | None] = reference_field(
        "check_in_rule", table="check_in_rule", on_delete="SET NULL", editable=False
    )
    last_on: Mapped[dt.date] = date_field(
        editable=False, label="Last contact", column={"server_default": text("CURRENT_DATE")}
    )
    every_days: Mapped[int] = declare("integer", Integer, Computed("coalesce(own_days, rule_days)", persisted=True), label="Every (days)", editable=False,
                                      column={"nullable": False})  # fmt: skip
    due_on: Mapped[dt.date] = declare("date", Date, Computed("last_on + coalesce(own_days, rule_days)", persisted=True),
                                      label="Due", editable=False, column={"nullable": False})  # fmt: skip
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, help="What to talk about")
    derived = {"words": Field(kind="text", label="Interval")}
    party: Mapped[Party] = relationship(backref=backref("check_ins"))
    rule: Mapped[CheckInRule | None] = relationship()

    triggers = tuple(
        # A row at a time: it is one look by index, and a day's second contact changes nothing.
        Trigger(f"interaction_check_in_{when.lower()}", f"AFTER {when}", each="ROW", on="interaction", only="NEW.state = 'done'",
                body="""
BEGIN
  UPDATE check_in SET last_on = NEW.occurred_at::date
   WHERE party_id = NEW.party_id AND last_on < NEW.occurred_at::date AND NEW.occurred_at <= now();
  RETURN NULL;
END""")
        for when in ("INSERT", "UPDATE")
    )  # fmt: skip

    __table_args__ = (
        UniqueConstraint("party_id", name="uq_check_in_party_id"),
        must("own_days", "num_nonnulls(own_days, rule_days) > 0", "is required where no rule says it"),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"Every {self.every_days} days"

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """Whoever makes one for a customer says how often, or leaves it at the usual."""
        if values.get("own_days") in (None, ""):
            values["own_days"] = USUAL


face_named("check_in").linked["account_manager"] = Field(
    kind="reference", name="account_manager", label="Account manager", refers_to="user", editable=False, derived=True,
    linked=lambda: (select(CheckIn.id).join(CheckIn.party).where(Party.owner_id.is_not(None)), Party.owner_id))  # fmt: skip
