"""How vendors, partners and business customers do: scores over time, risks, health of the relationship."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Computed, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.audit import acting
from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    FieldClass,
    boolean_field,
    choice_field,
    currency_field,
    date_field,
    decimal_field,
    declare,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, with_currency
from crm.models.access import User
from crm.models.parties import Party
from crm.models.partner_choices import RiskKind, RiskLevel, Source, Standing

_RATED = ("delivery", "quality", "cost", "response", "payment")
_GIVEN = " + ".join(f"CAST({name} IS NOT NULL AS integer)" for name in _RATED)
_MEAN = f"({' + '.join(f'coalesce({name}, 0)' for name in _RATED)})::numeric / nullif({_GIVEN}, 0)"


class PerformanceScore(Entity):
    """How well a party did in a period: what it was rated, and what it bought or sold against its target."""

    about = About(
        area="Partners", icon="gauge", title="words", label="Performance score",
        columns=("party", "period_from", "period_to", "overall", "delivery", "quality", "cost", "response", "volume"),
        filters=("party", "period_from", "period_to", "overall", "delivery", "quality", "cost", "response", "payment",
                 "growth_percent", "returns_percent", "created_at"),
        sort=("period_from", "created_at"), within=("party", "owner"),
        sections=(Section("Period", ("party", "period_from", "period_to")),
                  Section("Rated from 0 to 100", ("delivery", "quality", "cost", "response", "payment")),
                  Section("Business", ("volume", "volume_target", "currency", "growth_percent", "returns_percent", "remarks"))),
        detail=(Section("Period", ("party", "period_from", "period_to", "rated_by", "source")),
                Section("Rated from 0 to 100", ("overall", "delivery", "quality", "cost", "response", "payment")),
                Section("Business", ("volume", "volume_target", "currency", "growth_percent", "returns_percent", "remarks"))),
        help="How vendors, dealers and business customers did, period by period.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Whose", required=True)
    period_from: Mapped[dt.date] = date_field(required=True, label="From")
    period_to: Mapped[dt.date] = date_field(required=True, label="To")
    delivery: Mapped[int | None] = integer_field(minimum=0, maximum=100, help="On time and complete")
    quality: Mapped[int | None] = integer_field(minimum=0, maximum=100)
    cost: Mapped[int | None] = integer_field(minimum=0, maximum=100, help="100 is the best price")
    response: Mapped[int | None] = integer_field(minimum=0, maximum=100, help="How fast and well they answer")
    payment: Mapped[int | None] = integer_field(minimum=0, maximum=100, help="100 is always on time")
    overall: Mapped[Decimal | None] = declare("decimal", Numeric(19, 1), Computed(f"round({_MEAN}, 1)", persisted=True),
        editable=False, decimals=1, help="The mean of what is rated")  # fmt: skip
    volume: Mapped[Decimal | None] = money_field(minimum=0)
    volume_target: Mapped[Decimal | None] = money_field(minimum=0, label="Target of the volume")
    currency: Mapped[str | None] = currency_field()
    growth_percent: Mapped[Decimal | None] = decimal_field(label="Growth (%)", minimum=-100)
    returns_percent: Mapped[Decimal | None] = decimal_field(label="Returns (%)", minimum=0, maximum=100)
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    source: Mapped[Source] = choice_field(Source, editable=False, column={"server_default": "person"})
    rated_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False,
                                                      column={"default": lambda: acting().user_id})  # fmt: skip
    party: Mapped[Party] = relationship()
    rated_by: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("period_from", "period_to"),
        with_currency("volume", "volume_target"),
        UniqueConstraint("party_id", "period_from", "period_to"),
    )

    @property
    def words(self) -> str:
        return f"{self.period_from} – {self.period_to}"


class RiskAssessment(Entity):
    """How risky it is to deal with a party, and why."""

    about = About(
        area="Partners", icon="shield-alert", title="words", label="Risk assessment",
        columns=("party", "kind", "level", "score", "assessed_on", "early_warning", "review_on"), search=("reasons", "measures"),
        filters=("party", "kind", "level", "score", "assessed_on", "early_warning", "review_on", "source", "created_at"),
        sort=("score", "assessed_on", "created_at"), within=("party", "owner"),
        sections=(Section("Risk", ("party", "kind", "score", "reasons", "early_warning", "assessed_on")),
                  Section("What is done", ("measures", "review_on"))),
        detail=(Section("Risk", ("party", "kind", "level", "score", "reasons", "early_warning", "assessed_on",
                                 "assessed_by", "source")),
                Section("What is done", ("measures", "review_on"))),
        help="Risks of vendors and customers, with their reasons.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Whose", required=True)
    kind: Mapped[RiskKind] = choice_field(RiskKind, required=True)
    score: Mapped[int] = integer_field(minimum=0, maximum=100, required=True, help="0 is no risk, 100 the highest")
    level: Mapped[RiskLevel] = choice_field(RiskLevel, editable=False, computed=(
        "CASE WHEN score < 25 THEN 'low' WHEN score < 50 THEN 'medium' WHEN score < 75 THEN 'high' ELSE 'critical' END"))  # fmt: skip
    reasons: Mapped[str] = long_text_field(required=True, field_class=FieldClass.PERSONAL)
    early_warning: Mapped[bool] = boolean_field(
        column={"server_default": text("false")}, help="Somebody should look now"
    )
    assessed_on: Mapped[dt.date] = date_field(label="Assessed", help="Empty: today",
                                              column={"server_default": text("CURRENT_DATE")})  # fmt: skip
    assessed_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False,
                                                         column={"default": lambda: acting().user_id})  # fmt: skip
    source: Mapped[Source] = choice_field(Source, editable=False, column={"server_default": "person"})
    measures: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    review_on: Mapped[dt.date | None] = date_field(label="Look again on")
    party: Mapped[Party] = relationship()
    assessed_by: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("assessed_on", "review_on"),
        Index("ix_risk_assessment_warning", "party_id", "id", postgresql_where=text("early_warning")),
    )

    @property
    def words(self) -> str:
        return f"{self.kind.label}: {self.level.label.lower()}"


class RelationshipHealth(Entity):
    """How a relationship stands on a day, and what should be done next."""

    about = About(
        area="Partners", icon="heart-pulse", title="next_action", plural="relationship-health", label="Relationship health",
        label_plural="Relationship health",
        columns=("party", "standing", "score", "next_action", "action_due_on", "responsible", "assessed_on"),
        search=("next_action", "reasons"),
        filters=("party", "standing", "score", "assessed_on", "action_due_on", "responsible", "done_on", "source", "created_at"),
        sort=("assessed_on", "created_at"), within=("party", "owner"), also_within=("responsible",),
        sections=(Section("How it stands", ("party", "standing", "score", "reasons", "assessed_on")),
                  Section("Next best action", ("next_action", "why", "action_due_on", "responsible", "done_on"))),
        detail=(Section("How it stands", ("party", "standing", "score", "reasons", "assessed_on", "source")),
                Section("Next best action", ("next_action", "why", "action_due_on", "responsible", "done_on"))),
        help="How the relationships with vendors, partners and business customers stand, and what to do next.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="With", required=True)
    standing: Mapped[Standing] = choice_field(Standing, required=True)
    score: Mapped[int | None] = integer_field(minimum=0, maximum=100, help="100 is the best")
    reasons: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    assessed_on: Mapped[dt.date] = date_field(label="Assessed", help="Empty: today",
                                              column={"server_default": text("CURRENT_DATE")})  # fmt: skip
    source: Mapped[Source] = choice_field(Source, editable=False, column={"server_default": "person"})
    next_action: Mapped[str | None] = text_field(label="Next best action", field_class=FieldClass.PERSONAL)
    why: Mapped[str | None] = long_text_field(label="Why this", field_class=FieldClass.PERSONAL)
    action_due_on: Mapped[dt.date | None] = date_field(label="Until")
    responsible_id: Mapped[int | None] = reference_field("user", table="app_user")
    done_on: Mapped[dt.date | None] = date_field(label="Done")
    party: Mapped[Party] = relationship()
    responsible: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("assessed_on", "action_due_on"), in_order("assessed_on", "done_on"),
        Index("ix_relationship_health_latest", "party_id", text("assessed_on DESC"), text("id DESC")),
        Index("ix_relationship_health_open", "responsible_id", "action_due_on",
              postgresql_where=text("next_action IS NOT NULL AND done_on IS NULL")),
    )  # fmt: skip
