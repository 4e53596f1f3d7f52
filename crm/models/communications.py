"""What is said and done with parties: interactions, tasks, the templates of messages, what they do on site and app."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, Computed, Index, Integer, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.audit import acting
from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import (
    FieldClass,
    boolean_field,
    choice_field,
    date_field,
    datetime_field,
    declare,
    integer_field,
    language_field,
    long_text_field,
    reference_field,
    text_field,
    url_field,
)  # fmt: skip
from crm.core.rules import in_order
from crm.models.access import User
from crm.models.communication_choices import (
    Channel,
    Direction,
    EventKind,
    EventSource,
    InteractionState,
    InteractionStatus,
    LoggedBy,
    Outcome,
    Priority,
    SendChannel,
    TaskKind,
    TaskState,
)
from crm.models.parties import Contact, Party
from crm.models.party_choices import Purpose
from crm.models.sales_deals import Deal
from crm.models.sales_leads import Lead
from crm.models.sales_orders import Order
from crm.models.vehicles import Vehicle


class MessageTemplate(Entity):
    """A text that is sent again and again, once for each language and channel."""

    about = About(
        area="Marketing", icon="mail", delete=True,
        columns=("name", "channel", "purpose", "language", "subject", "active", "updated_at"),
        search=("name", "subject", "body"), filters=("channel", "purpose", "language", "active", "created_at"),
        sort=("name", "created_at"),
        sections=(Section("Template", ("name", "channel", "purpose", "language", "active")),
                  Section("Message", ("subject", "body"))),
        detail=(Section("Template", ("name", "channel", "purpose", "language", "active")),
                Section("Message", ("subject", "body"))),
        help="The messages you send, in each language that your customers read.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120)
    channel: Mapped[SendChannel] = choice_field(SendChannel, required=True)
    purpose: Mapped[Purpose] = choice_field(Purpose, required=True, help="Consent and quiet hours are asked for this")
    language: Mapped[str] = language_field(required=True)
    subject: Mapped[str | None] = text_field(help="Of e-mails and notifications")
    body: Mapped[str] = long_text_field(required=True, label="Text",
                                        help="{name} and other fields of the customer stand in braces")  # fmt: skip
    active: Mapped[bool] = boolean_field(label="In use", column={"server_default": text("true")})

    __table_args__ = (UniqueConstraint("name", "channel", "language"),)


class Interaction(Entity):
    """Something said or sent between a party and us, on whatever channel."""

    about = About(
        area="Customers", icon="messages-square", title="subject", delete=True,
        columns=("subject", "party", "channel", "status", "occurred_at", "handled_by", "outcome", "follow_up_on"),
        search=("subject", "content"),
        filters=("party", "channel", "direction", "status", "occurred_at", "handled_by", "outcome", "follow_up_required",
                 "follow_up_on", "follow_up_done_at", "logged_by", "contact", "satisfaction", "response_minutes", "template",
                 "deal", "order", "vehicle", "created_at"),
        sort=("occurred_at", "created_at"), timeline=Moment("occurred_at", "handled_by"), within=("party", "owner"),
        sections=(Section("What happened", ("party", "contact", "channel", "direction", "state", "subject", "content",
                                            "occurred_at", "duration_minutes", "outcome", "satisfaction")),
                  Section("About", ("deal", "order", "vehicle")),
                  Section("Follow-up", ("follow_up_required", "follow_up_on")),
                  Section("More", ("handled_by", "counterpart", "asked_at", "answers", "template", "logged_by"))),
        detail=(Section("What happened", ("party", "contact", "channel", "direction", "status", "subject", "content",
                                          "occurred_at", "duration_minutes", "outcome", "satisfaction")),
                Section("About", ("deal", "order", "vehicle")),
                Section("Follow-up", ("follow_up_required", "follow_up_on", "follow_up_done_at")),
                Section("More", ("handled_by", "counterpart", "asked_at", "response_minutes", "answers", "template",
                                 "logged_by"))),
        help="Calls, e-mails, chats and meetings: what was said, and what is to follow.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="With", required=True)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact", help="The person, at an organisation")
    channel: Mapped[Channel] = choice_field(Channel, required=True, synonyms=("channel type", "activity type", "type"))
    direction: Mapped[Direction] = choice_field(Direction, column={"server_default": "outbound"})
    state: Mapped[InteractionState] = choice_field(InteractionState, column={"server_default": "done"})
    status: Mapped[InteractionStatus] = choice_field(InteractionStatus, editable=False, computed=(
        "CASE WHEN state <> 'done' THEN state WHEN direction = 'inbound' THEN 'received' ELSE 'sent' END"))  # fmt: skip
    subject: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL, synonyms=("title",))
    content: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, label="Message or notes",
                                                  synonyms=("message", "description", "notes"))  # fmt: skip
    occurred_at: Mapped[dt.datetime] = datetime_field(label="When", help="Empty: now",
        synonyms=("date", "date time"), column={"server_default": func.now()})  # fmt: skip
    duration_minutes: Mapped[int | None] = integer_field(minimum=0, label="Duration (minutes)")
    outcome: Mapped[Outcome | None] = choice_field(Outcome)
    satisfaction: Mapped[int | None] = integer_field(minimum=1, maximum=5, help="1 to 5, as the customer said")
    follow_up_required: Mapped[bool] = boolean_field(
        label="Follow-up required", column={"server_default": text("false")}
    )
    follow_up_on: Mapped[dt.date | None] = date_field(label="Follow-up on", synonyms=("follow up date",))
    follow_up_done_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Followed up")
    handled_by_id: Mapped[int | None] = reference_field("user", table="app_user", help="Empty: you",
        column={"default": lambda: acting().user_id})  # fmt: skip
    counterpart: Mapped[str | None] = text_field(field_class=FieldClass.CONTACT, label="Their address or number",
                                                 help="Where it came from or went to")  # fmt: skip
    asked_at: Mapped[dt.datetime | None] = datetime_field(
        label="They asked", help="The time to respond counts from here"
    )
    response_minutes: Mapped[int | None] = declare("integer", Integer, Computed(
        "CAST(floor(extract(epoch FROM occurred_at - asked_at) / 60) AS integer)", persisted=True),
        label="Response time (minutes)", editable=False)  # fmt: skip
    answers_id: Mapped[int | None] = reference_field("interaction", table="interaction", label="Answers")
    deal_id: Mapped[int | None] = reference_field("deal", table="deal", on_delete="SET NULL")
    order_id: Mapped[int | None] = reference_field("order", table="sales_order", on_delete="SET NULL")
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle", on_delete="SET NULL")
    template_id: Mapped[int | None] = reference_field(
        "message_template", table="message_template", on_delete="SET NULL"
    )
    logged_by: Mapped[LoggedBy] = choice_field(LoggedBy, label="Logged by", column={"server_default": "person"})

    party: Mapped[Party] = relationship(backref=backref("interactions", order_by="Interaction.occurred_at.desc()"))
    contact: Mapped[Contact | None] = relationship()
    handled_by: Mapped[User | None] = relationship()
    answers: Mapped[Interaction | None] = relationship(remote_side="Interaction.id")
    template: Mapped[MessageTemplate | None] = relationship()
    deal: Mapped[Deal | None] = relationship()
    order: Mapped[Order | None] = relationship()
    vehicle: Mapped[Vehicle | None] = relationship()

    __table_args__ = (
        in_order("asked_at", "occurred_at"),
        Index("ix_interaction_follow_up_open", "handled_by_id", "follow_up_on", "id",
              postgresql_where=text("follow_up_required AND follow_up_done_at IS NULL")),
        Index("ix_interaction_follow_up_of_party", "party_id", "follow_up_on",
              postgresql_where=text("follow_up_required AND follow_up_done_at IS NULL")),
        Index("ix_interaction_status_open", "status", "id", postgresql_where=text("state <> 'done'")),
    )  # fmt: skip


class Task(Entity):
    """Something a colleague has to do until a time, for a party or in general."""

    about = About(
        area="Customers", icon="square-check", title="subject", delete=True,
        columns=("subject", "party", "state", "priority", "due_at", "assignee", "kind"), search=("subject", "description"),
        filters=("state", "priority", "kind", "assignee", "party", "due_at", "remind_at", "created_by", "done_at",
                 "lead", "deal", "order", "vehicle", "created_at"),
        sort=("created_at",), timeline=Moment("created_at", "assignee"), within=("party", "owner"),
        also_within=("assignee",),
        sections=(Section("Task", ("subject", "kind", "party", "contact", "interaction", "priority", "assignee", "due_at",
                                   "remind_at", "description")),
                  Section("About", ("lead", "deal", "order", "vehicle"))),
        detail=(Section("Task", ("subject", "kind", "state", "party", "contact", "interaction", "priority", "assignee",
                                 "due_at", "remind_at", "description", "created_by", "done_at", "done_by")),
                Section("About", ("lead", "deal", "order", "vehicle"))),
        help="What is to be done, by whom and until when.",
    )  # fmt: skip

    subject: Mapped[str] = text_field(required=True, label="What is to be done",
                                      help="In a few words; personal details belong below")  # fmt: skip
    kind: Mapped[TaskKind] = choice_field(TaskKind, column={"server_default": "task"})
    state: Mapped[TaskState] = choice_field(TaskState, editable=False, column={"server_default": "open"})
    priority: Mapped[Priority] = choice_field(Priority, column={"server_default": "normal"})
    party_id: Mapped[int | None] = reference_field("party", table="party", label="For")
    contact_id: Mapped[int | None] = reference_field("contact", table="contact")
    interaction_id: Mapped[int | None] = reference_field("interaction", table="interaction", label="Follows",
                                                         on_delete="SET NULL")  # fmt: skip
    lead_id: Mapped[int | None] = reference_field("lead", table="lead", on_delete="SET NULL")
    deal_id: Mapped[int | None] = reference_field("deal", table="deal", on_delete="SET NULL")
    order_id: Mapped[int | None] = reference_field("order", table="sales_order", on_delete="SET NULL")
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle", on_delete="SET NULL")
    assignee_id: Mapped[int | None] = reference_field("user", table="app_user", label="Who does it", help="Empty: you",
        column={"default": lambda: acting().user_id})  # fmt: skip
    due_at: Mapped[dt.datetime | None] = datetime_field(label="Due")
    remind_at: Mapped[dt.datetime | None] = datetime_field(label="Remind")
    description: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, label="Details")
    created_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, original=True,
                                                        column={"default": lambda: acting().user_id})  # fmt: skip
    done_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Done")
    done_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)

    party: Mapped[Party | None] = relationship(backref=backref("tasks", order_by="Task.id.desc()"))
    contact: Mapped[Contact | None] = relationship()
    interaction: Mapped[Interaction | None] = relationship()
    lead: Mapped[Lead | None] = relationship()
    deal: Mapped[Deal | None] = relationship()
    order: Mapped[Order | None] = relationship()
    vehicle: Mapped[Vehicle | None] = relationship()
    assignee: Mapped[User | None] = relationship(foreign_keys=assignee_id)
    created_by: Mapped[User | None] = relationship(foreign_keys=created_by_id)
    done_by: Mapped[User | None] = relationship(foreign_keys=done_by_id)

    __table_args__ = (
        in_order("remind_at", "due_at"),
        CheckConstraint("(state = 'done') = (done_at IS NOT NULL)", name="done_at_state"),
        Index("ix_task_open", "assignee_id", "due_at", "id", postgresql_where=text("state = 'open'")),
    )  # fmt: skip


class DigitalEvent(Entity):
    """What a party did on the website, in the app or on the portal; taken in as it happened and not changed."""

    about = About(
        area="Marketing", icon="activity", title="subject", edit=False,
        columns=("occurred_at", "party", "source", "kind", "subject", "campaign"), search=("subject", "url"),
        filters=("party", "source", "kind", "occurred_at", "campaign", "session"), sort=("occurred_at", "created_at"),
        timeline=Moment("occurred_at"), within=("party", "owner"),
        sections=(Section("Event", ("party", "source", "kind", "subject", "occurred_at", "session", "url", "campaign")),),
        detail=(Section("Event", ("party", "source", "kind", "subject", "occurred_at", "session", "url", "campaign")),),
        help="What customers do on your site and in your app, sent by those systems with their consent.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Who", required=True)
    source: Mapped[EventSource] = choice_field(EventSource, required=True, label="Where")
    kind: Mapped[EventKind] = choice_field(EventKind, required=True, label="What")
    subject: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL, help="The page, search or model")
    occurred_at: Mapped[dt.datetime] = datetime_field(label="When", column={"server_default": func.now()})
    session: Mapped[str | None] = text_field(max_length=64, field_class=FieldClass.PERSONAL)
    url: Mapped[str | None] = url_field(label="Page", field_class=FieldClass.PERSONAL)
    campaign: Mapped[str | None] = text_field(max_length=120, help="As the link named it")
    party: Mapped[Party] = relationship()
