"""What happens by itself: rules with their steps and runs, and webhooks with what was delivered."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    Field,
    boolean_field,
    choice_field,
    datetime_field,
    declare,
    integer_field,
    json_field,
    long_text_field,
    reference_field,
    tags_field,
    text_field,
    url_field,
)  # fmt: skip
from crm.core.rules import in_order
from crm.core.rules import rule as must
from crm.models.access import User
from crm.models.communications import MessageTemplate
from crm.models.segments import Segment


class When(Choice):
    CREATED = "created", "It is made"
    CHANGED = "changed", "It changes"
    COMMANDED = "commanded", "A command is done to it"
    ENTERED = "entered", "It enters a segment"
    LEFT = "left", "It leaves a segment"
    TIME = "time", "Its time comes"


class StepKind(Choice):
    TASK = "task", "Make a task"
    ALERT = "alert", "Make an alert"
    COMMAND = "command", "Do a command"
    MESSAGE = "message", "Send a message"
    SEGMENT = "segment", "Add to a segment"
    WEBHOOK = "webhook", "Call a webhook"
    WAIT = "wait", "Wait"
    APPROVAL = "approval", "Ask for approval"
    STOP = "stop", "Stop unless"


class RunState(Choice):
    RUNNING = "running", "Running", "info"
    WAITING = "waiting", "Waiting", "neutral"
    DONE = "done", "Done", "good"
    STOPPED = "stopped", "Stopped", "neutral"
    FAILED = "failed", "Failed", "bad"


class DeliveryState(Choice):
    WAITING = "waiting", "Waiting", "neutral"
    DELIVERED = "delivered", "Delivered", "good"
    FAILED = "failed", "Failed", "bad"


class Webhook(Entity):
    """An address of another program that is told what happens here; each message is signed with a secret of its own."""

    about = About(
        area="System", icon="webhook", columns=("name", "url", "events", "active", "secret_begins", "updated_at"), api=False,
        search=("name", "url"), filters=("active", "events", "created_at"), sort=("name", "created_at"), delete=True,
        related=("deliveries",),
        sections=(Section("Webhook", ("name", "url", "events", "active")),),
        detail=(Section("Webhook", ("name", "url", "events", "active", "secret_begins", "secret_at")),),
        help="Programs that are told what happens here. The secret that signs is told once, by flask webhooks secret.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    url: Mapped[str] = url_field(required=True, label="Address")
    events: Mapped[list[str]] = tags_field(required=True, help="Such as customer.created or order.changed, separated by commas",
                                           column={"server_default": text("'{}'")})  # fmt: skip
    active: Mapped[bool] = boolean_field(label="In use", column={"server_default": text("true")})
    # The secret itself isn't kept: the system's own key makes it again from this, and nobody is shown it twice.
    secret_salt: Mapped[str | None] = mapped_column(String(64))
    secret_begins: Mapped[str | None] = text_field(max_length=16, editable=False, label="Secret begins with")
    secret_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Secret of")

    __table_args__ = (must("url", "url ~* '^https?://'", "must begin with https://"),)


class AutomationRule(Entity):
    """When something happens to a record, and conditions hold, steps are done."""

    about = About(
        area="System", icon="workflow", columns=("name", "entity", "event", "active", "owner", "updated_at"), search=("name", "description"),
        filters=("entity", "event", "active", "owner", "created_at"), sort=("name", "created_at"), delete=True,
        related=("steps", "runs"), api=False,
        sections=(Section("Rule", ("name", "description", "owner", "active")),
                  Section("When", ("entity", "event", "detail", "conditions"))),
        detail=(Section("Rule", ("name", "description", "owner", "active")),
                Section("When", ("entity", "event", "detail", "conditions"))),
        help="What happens by itself. Rules are kept here; they don't run yet.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    description: Mapped[str | None] = long_text_field()
    entity: Mapped[str] = text_field(
        required=True, max_length=64, label="Kind of record", help="Such as customer or ticket"
    )
    event: Mapped[When] = choice_field(When, required=True, label="When")
    detail: Mapped[str | None] = text_field(help="Which field, command or segment")
    conditions: Mapped[dict[str, Any] | None] = json_field(help="As JSON, like the rule of a segment; empty: always")
    active: Mapped[bool] = boolean_field(label="In use", column={"server_default": text("false")})
    owner_id: Mapped[int | None] = reference_field("user", table="app_user")
    owner: Mapped[User | None] = relationship()


class AutomationStep(Entity):
    """One thing that a rule does, in its place among the others."""

    about = About(
        area="System", icon="list-checks", title="words", columns=("words", "rule", "kind", "command", "wait_minutes"),
        filters=("rule", "kind", "position"), sort=("created_at",), delete=True, api=False,
        sections=(Section("Step", ("rule", "position", "kind", "subject", "command", "wait_minutes", "template", "segment",
                                   "webhook", "settings")),),
        detail=(Section("Step", ("rule", "position", "kind", "subject", "command", "wait_minutes", "template", "segment",
                                 "webhook", "settings")),),
    )  # fmt: skip

    rule_id: Mapped[int] = reference_field(
        "automation_rule", table="automation_rule", on_delete="CASCADE", required=True
    )
    position: Mapped[int] = integer_field(required=True, minimum=1, maximum=50, label="Step")
    kind: Mapped[StepKind] = choice_field(StepKind, required=True, label="What")
    subject: Mapped[str | None] = text_field(help="Of a task, alert or approval")
    command: Mapped[str | None] = text_field(max_length=120, help="Such as customer.activate")
    wait_minutes: Mapped[int | None] = integer_field(minimum=1, label="Wait (minutes)")
    template_id: Mapped[int | None] = reference_field("message_template", table="message_template", label="Message")
    segment_id: Mapped[int | None] = reference_field("segment", table="segment")
    webhook_id: Mapped[int | None] = reference_field("webhook", table="webhook")
    settings: Mapped[dict[str, Any] | None] = json_field(help="Values that it asks for, as JSON")
    derived = {"words": Field(kind="text", label="Step")}
    rule: Mapped[AutomationRule] = relationship(
        backref=backref("steps", order_by="AutomationStep.position", passive_deletes="all")
    )
    template: Mapped[MessageTemplate | None] = relationship()
    segment: Mapped[Segment | None] = relationship()
    webhook: Mapped[Webhook | None] = relationship()

    __table_args__ = (UniqueConstraint("rule_id", "position", name="uq_automation_step_position"),)

    @property
    def words(self) -> str:
        return f"{self.position}. {self.kind.label}"


class AutomationRun(Entity):
    """A time at which a rule was at work on a record. Its own history."""

    about = About(
        area="System", icon="play", title="words", create=False, edit=False, audited=False, api=False,
        columns=("words", "rule", "entity", "record", "state", "started_at", "finished_at"),
        filters=("rule", "state", "entity", "record", "started_at"), sort=("started_at",),
        detail=(Section("Run", ("rule", "entity", "record", "state", "step", "next_at", "started_at", "finished_at", "error")),),
        help="What rules did to which record, and how it went.",
    )  # fmt: skip

    rule_id: Mapped[int] = reference_field(
        "automation_rule", table="automation_rule", on_delete="CASCADE", editable=False
    )
    entity: Mapped[str] = text_field(max_length=64, editable=False, label="Kind of record")
    record: Mapped[int] = declare("integer", BigInteger, editable=False, minimum=1, label="Number of the record")
    state: Mapped[RunState] = choice_field(RunState, editable=False, column={"server_default": "running"})
    step: Mapped[int] = integer_field(editable=False, minimum=0, label="Steps done", column={"server_default": "0"})
    next_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Goes on")
    started_at: Mapped[dt.datetime] = datetime_field(
        editable=False, label="Begun", column={"server_default": func.now()}
    )
    finished_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Ended")
    error: Mapped[str | None] = long_text_field(editable=False)
    derived = {"words": Field(kind="text", label="Run")}
    rule: Mapped[AutomationRule] = relationship(
        backref=backref("runs", order_by="AutomationRun.id.desc()", passive_deletes="all")
    )

    __table_args__ = (
        in_order("started_at", "finished_at"),
        Index("ix_automation_run_record", "entity", "record", "id"),
        Index("ix_automation_run_next", "next_at", "id", postgresql_where=text("state = 'waiting'")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.entity} {self.record}"


class WebhookDelivery(Entity):
    """A message to a webhook: what it was about, how often it was tried, and what came back. Its own history."""

    about = About(
        area="System", icon="send", title="event", label="Webhook delivery", create=False, edit=False, audited=False, api=False,
        columns=("event", "webhook", "entity", "record", "state", "attempts", "status_code", "created_at"),
        filters=("webhook", "event", "state", "entity", "record", "created_at", "attempts"), sort=("created_at",),
        detail=(Section("Delivery", ("webhook", "event", "entity", "record", "state", "attempts", "next_try_at",
                                     "status_code", "error", "delivered_at")),),
        help="What webhooks were told, and whether it arrived.",
    )  # fmt: skip

    webhook_id: Mapped[int] = reference_field("webhook", table="webhook", on_delete="CASCADE", editable=False)
    event: Mapped[str] = text_field(max_length=120, editable=False)
    entity: Mapped[str] = text_field(max_length=64, editable=False, label="Kind of record")
    record: Mapped[int] = declare("integer", BigInteger, editable=False, minimum=1, label="Number of the record")
    # What is sent, never shown: who reads deliveries need not see the record.
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"), deferred=True)
    state: Mapped[DeliveryState] = choice_field(DeliveryState, editable=False, column={"server_default": "waiting"})
    attempts: Mapped[int] = integer_field(editable=False, minimum=0, column={"server_default": "0"})
    next_try_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Next try")
    status_code: Mapped[int | None] = integer_field(editable=False, label="Answer")
    error: Mapped[str | None] = text_field(editable=False)
    delivered_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    webhook: Mapped[Webhook] = relationship(
        backref=backref("deliveries", order_by="WebhookDelivery.id.desc()", passive_deletes="all")
    )

    __table_args__ = (
        must("delivered_at", "(state = 'delivered') = (delivered_at IS NOT NULL)", "doesn't fit the state"),
        Index("ix_webhook_delivery_next", "next_try_at", "id", postgresql_where=text("state = 'waiting'")),
    )  # fmt: skip
