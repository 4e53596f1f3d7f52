"""What is foreseen and suggested for customers, what is to be reached, what things cost, what somebody should look at."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    FieldClass,
    choice_field,
    currency_field,
    date_field,
    datetime_field,
    decimal_field,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, with_currency
from crm.models.access import User
from crm.models.communication_choices import Channel
from crm.models.communications import Task
from crm.models.contracts import Contract
from crm.models.insight_choices import (
    AlertKind,
    AlertState,
    CostKind,
    CostPer,
    Direction,
    Metric,
    PredictionKind,
    Severity,
    SuggestionKind,
    SuggestionState,
    Unit,
)
from crm.models.parties import Party
from crm.models.products import Product
from crm.models.sales_deals import Deal
from crm.models.support import Ticket
from crm.models.vehicles import Vehicle


class Prediction(Entity):
    """What is foreseen of a customer, by which model, and how good that model was on data it had not seen."""

    about = About(
        area="Insight", icon="trending-up", title="words",
        columns=("party", "kind", "chance_percent", "value", "expected_on", "computed_at", "model"), search=("reasons",),
        filters=("party", "kind", "chance_percent", "value", "expected_on", "computed_at", "valid_until", "model", "created_at"),
        sort=("computed_at", "created_at"), within=("party", "owner"),
        sections=(Section("Prediction", ("party", "kind", "chance_percent", "value", "currency", "expected_on", "reasons",
                                         "valid_until")),
                  Section("Where it comes from", ("model", "model_version", "computed_at", "measure", "measured"))),
        detail=(Section("Prediction", ("party", "kind", "chance_percent", "value", "currency", "expected_on", "reasons",
                                       "valid_until")),
                Section("Where it comes from", ("model", "model_version", "computed_at", "measure", "measured"))),
        help="Lifetime value, risk of leaving, next purchase: what is foreseen, and how sure that is.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Whose", required=True)
    kind: Mapped[PredictionKind] = choice_field(PredictionKind, required=True)
    chance_percent: Mapped[Decimal | None] = decimal_field(minimum=0, maximum=100, label="Chance (%)")
    value: Mapped[Decimal | None] = money_field()
    currency: Mapped[str | None] = currency_field()
    expected_on: Mapped[dt.date | None] = date_field(label="Expected on")
    reasons: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    valid_until: Mapped[dt.date | None] = date_field()
    model: Mapped[str] = text_field(required=True, max_length=120)
    model_version: Mapped[str | None] = text_field(max_length=32)
    computed_at: Mapped[dt.datetime] = datetime_field(label="Worked out", column={"server_default": func.now()})
    measure: Mapped[str | None] = text_field(max_length=120, help="Such as mean error on held-back data")
    measured: Mapped[Decimal | None] = decimal_field(decimals=4, label="Value of the measure")
    party: Mapped[Party] = relationship()

    __table_args__ = (
        with_currency("value"),
        Index("ix_prediction_latest", "party_id", "kind", text("computed_at DESC"), text("id DESC")),
    )

    @property
    def words(self) -> str:
        return self.kind.label


class Recommendation(Entity):
    """Something suggested for a customer, why, and what became of it."""

    about = About(
        area="Insight", icon="lightbulb", title="subject",
        columns=("subject", "party", "kind", "state", "score", "valid_until"), search=("subject", "reason"),
        filters=("party", "kind", "state", "score", "channel", "valid_until", "shown_at", "decided_at", "model", "created_at"),
        sort=("created_at",), within=("party", "owner"),
        sections=(Section("Suggestion", ("party", "kind", "subject", "product", "reason", "score", "channel", "best_time", "valid_until")),
                  Section("What became of it", ("state", "shown_at", "offered_at", "decided_at", "deal", "bought_at", "refusal_reason",
                                                "model"))),
        detail=(Section("Suggestion", ("party", "kind", "subject", "product", "reason", "score", "channel", "best_time", "valid_until")),
                Section("What became of it", ("state", "shown_at", "offered_at", "decided_at", "deal", "bought_at", "refusal_reason",
                                              "model"))),
        help="What to suggest to whom, why, and what they said.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="For", required=True)
    kind: Mapped[SuggestionKind] = choice_field(SuggestionKind, required=True)
    subject: Mapped[str] = text_field(required=True, label="What", field_class=FieldClass.PERSONAL)
    product_id: Mapped[int | None] = reference_field("product", table="product", on_delete="SET NULL")
    reason: Mapped[str | None] = long_text_field(label="Why", field_class=FieldClass.PERSONAL)
    score: Mapped[int | None] = integer_field(minimum=0, maximum=100, help="100 fits best")
    channel: Mapped[Channel | None] = choice_field(Channel, label="Best channel")
    best_time: Mapped[str | None] = text_field(max_length=120, help="Such as Tuesday evening")
    valid_until: Mapped[dt.date | None] = date_field()
    state: Mapped[SuggestionState] = choice_field(SuggestionState, column={"server_default": "new"})
    shown_at: Mapped[dt.datetime | None] = datetime_field(label="Shown")
    offered_at: Mapped[dt.datetime | None] = datetime_field(label="Offered")
    decided_at: Mapped[dt.datetime | None] = datetime_field(label="Accepted or refused")
    bought_at: Mapped[dt.datetime | None] = datetime_field(label="Bought")
    refusal_reason: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL, label="Why refused")
    deal_id: Mapped[int | None] = reference_field("deal", table="deal", on_delete="SET NULL", label="Deal made of it")
    model: Mapped[str | None] = text_field(max_length=120, label="Suggested by")
    party: Mapped[Party] = relationship()
    product: Mapped[Product | None] = relationship()
    deal: Mapped[Deal | None] = relationship()

    __table_args__ = (
        Index("ix_recommendation_open", "party_id", "score", "id", postgresql_where=text("state IN ('new', 'shown')")),
    )  # fmt: skip


class Target(Entity):
    """Something to be reached until a day: how it is measured, where it stood, where it should stand."""

    about = About(
        area="Insight", icon="target", columns=("name", "metric", "direction", "goal", "unit", "due_on", "responsible"),
        search=("name", "definition"), filters=("metric", "unit", "due_on", "responsible", "created_at"),
        sort=("name", "created_at"),
        sections=(Section("Target", ("name", "metric", "definition", "unit", "direction", "goal", "due_on", "responsible")),
                  Section("Where it began", ("baseline", "baseline_on"))),
        detail=(Section("Target", ("name", "metric", "definition", "unit", "direction", "goal", "due_on", "responsible")),
                Section("Where it began", ("baseline", "baseline_on"))),
        help="What you want to reach, until when, and how it is measured.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120)
    metric: Mapped[Metric] = choice_field(Metric, required=True)
    definition: Mapped[str] = long_text_field(required=True, help="How the figure is worked out")
    unit: Mapped[Unit] = choice_field(Unit, required=True)
    direction: Mapped[Direction] = choice_field(Direction, column={"server_default": "at_least"})
    goal: Mapped[Decimal] = decimal_field(required=True)
    due_on: Mapped[dt.date | None] = date_field(label="Until")
    responsible_id: Mapped[int | None] = reference_field("user", table="app_user", label="Owner")
    baseline: Mapped[Decimal | None] = decimal_field(help="What the figure was before")
    baseline_on: Mapped[dt.date | None] = date_field(label="Baseline of")
    responsible: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("baseline_on", "due_on"),
        UniqueConstraint("name"),
    )


class CostInput(Entity):
    """What something cost: a campaign, a lead source, an interaction on a channel, a service, a reward."""

    about = About(
        area="Insight", icon="calculator", columns=("name", "kind", "channel", "per", "amount", "period_from", "period_to"),
        search=("name", "remarks"), filters=("kind", "channel", "per", "period_from", "period_to", "amount", "created_at"),
        sort=("name", "period_from", "created_at"),
        sections=(Section("Cost", ("name", "kind", "channel", "per", "amount", "currency", "period_from", "period_to",
                                   "remarks")),),
        detail=(Section("Cost", ("name", "kind", "channel", "per", "amount", "currency", "period_from", "period_to",
                                 "remarks")),),
        help="What campaigns, lead sources, interactions, services and rewards cost; the figures use these.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, help="Of the campaign, lead source, product, service or reward")
    kind: Mapped[CostKind] = choice_field(CostKind, required=True)
    channel: Mapped[Channel | None] = choice_field(Channel, help="Of interactions and tickets")
    per: Mapped[CostPer] = choice_field(CostPer, required=True)
    amount: Mapped[Decimal] = money_field(required=True, minimum=0)
    currency: Mapped[str] = currency_field(required=True)
    period_from: Mapped[dt.date] = date_field(required=True, label="From")
    period_to: Mapped[dt.date | None] = date_field(label="To")
    remarks: Mapped[str | None] = long_text_field()

    __table_args__ = (
        in_order("period_from", "period_to"),
        Index("ix_cost_input_kind", "kind", "period_from", "id"),
    )


class Alert(Entity):
    """Something that somebody should look at."""

    about = About(
        area="Insight", icon="bell", title="subject",
        columns=("subject", "severity", "kind", "state", "party", "assignee", "due_on", "created_at"), search=("subject", "details"),
        filters=("state", "severity", "kind", "party", "assignee", "due_on", "created_at"), sort=("created_at",),
        within=("party", "owner"), also_within=("assignee",),
        sections=(Section("Alert", ("subject", "severity", "kind", "party", "assignee", "due_on", "details", "task", "ticket",
                                    "contract", "vehicle")),),
        detail=(Section("Alert", ("subject", "severity", "kind", "state", "party", "assignee", "due_on", "details", "task",
                                  "ticket", "contract", "vehicle", "settled_at", "settled_by")),),
        help="What somebody should look at: risks, follow-ups, papers and contracts that expire.",
    )  # fmt: skip

    subject: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL, label="What")
    kind: Mapped[AlertKind] = choice_field(AlertKind, required=True)
    severity: Mapped[Severity] = choice_field(Severity, column={"server_default": "warning"})
    state: Mapped[AlertState] = choice_field(AlertState, editable=False, column={"server_default": "open"})
    party_id: Mapped[int | None] = reference_field("party", table="party", label="About")
    assignee_id: Mapped[int | None] = reference_field("user", table="app_user", label="For")
    due_on: Mapped[dt.date | None] = date_field(label="Until")
    details: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    task_id: Mapped[int | None] = reference_field("task", table="task", on_delete="CASCADE")
    ticket_id: Mapped[int | None] = reference_field("ticket", table="ticket")
    contract_id: Mapped[int | None] = reference_field("contract", table="contract")
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle", on_delete="SET NULL")
    settled_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Dealt with")
    settled_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    party: Mapped[Party | None] = relationship()
    assignee: Mapped[User | None] = relationship(foreign_keys=assignee_id)
    task: Mapped[Task | None] = relationship()
    ticket: Mapped[Ticket | None] = relationship()
    contract: Mapped[Contract | None] = relationship()
    vehicle: Mapped[Vehicle | None] = relationship()
    settled_by: Mapped[User | None] = relationship(foreign_keys=settled_by_id)

    __table_args__ = (
        CheckConstraint("(state = 'open') = (settled_at IS NULL)", name="settled_at_state"),
        Index("ix_alert_open", "assignee_id", "severity", "id", postgresql_where=text("state = 'open'")),
        Index("ix_alert_open_party", "party_id", "id", postgresql_where=text("state = 'open'")),
    )  # fmt: skip
