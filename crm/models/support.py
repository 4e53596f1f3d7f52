"""Service: tickets and complaints with their escalations, and the articles that answer them."""

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
    code_field,
    date_field,
    datetime_field,
    declare,
    integer_field,
    language_field,
    long_text_field,
    reference_field,
    tags_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order
from crm.models.access import Team, User
from crm.models.communication_choices import Channel, Priority
from crm.models.communications import Interaction
from crm.models.parties import Contact, Party
from crm.models.products import Product
from crm.models.sales_orders import Order
from crm.models.support_choices import ArticleState, Audience, EscalationState, TicketKind, TicketState, TicketTopic
from crm.models.vehicles import Vehicle


def _minutes(start: str, end: str) -> Computed:
    return Computed(f"CAST(floor(extract(epoch FROM {end} - {start}) / 60) AS integer)", persisted=True)


class KnowledgeArticle(Entity):
    """An answer written once: for colleagues, on the portal, in replies to tickets."""

    about = About(
        area="Service", icon="book-open", columns=("name", "state", "language", "audience", "topic", "review_on", "updated_at"),
        search=("name", "summary", "text"),
        filters=("state", "language", "audience", "topic", "author", "review_on", "published_at", "tags", "created_at"),
        sort=("name", "created_at", "updated_at"),
        sections=(Section("Article", ("name", "summary", "text", "language", "audience", "topic", "tags", "review_on",
                                      "translates")),),
        detail=(Section("Article", ("name", "summary", "text")),
                Section("Where it stands", ("state", "language", "audience", "topic", "tags", "author", "published_at",
                                            "review_on", "translates"))),
        help="Answers that help again: write them once, in each language.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, label="Title")
    summary: Mapped[str | None] = text_field(wide=True, help="One sentence that lists and searches show")
    text: Mapped[str] = long_text_field(required=True, markdown=True, help="Markdown: **bold**, *italic*, - list")
    language: Mapped[str] = language_field(required=True)
    audience: Mapped[Audience] = choice_field(Audience, column={"server_default": "colleagues"})
    state: Mapped[ArticleState] = choice_field(ArticleState, editable=False, column={"server_default": "draft"})
    topic: Mapped[TicketTopic | None] = choice_field(TicketTopic)
    tags: Mapped[list[str] | None] = tags_field()
    author_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False,
                                                    column={"default": lambda: acting().user_id})  # fmt: skip
    published_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Published")
    review_on: Mapped[dt.date | None] = date_field(label="Review on")
    translates_id: Mapped[int | None] = reference_field(
        "knowledge_article", table="knowledge_article", label="Translation of"
    )
    author: Mapped[User | None] = relationship()
    translates: Mapped[KnowledgeArticle | None] = relationship(remote_side="KnowledgeArticle.id")

    __table_args__ = (
        UniqueConstraint("name", "language"), CheckConstraint("translates_id <> id", name="translates_id_itself"),
        CheckConstraint("state <> 'published' OR published_at IS NOT NULL", name="published_at_state"),
    )  # fmt: skip


class Ticket(Entity):
    """A question, problem or complaint of a party, until it is resolved."""

    about = About(
        area="Service", icon="life-buoy", title="subject",
        columns=("subject", "party", "kind", "state", "priority", "assignee", "due_at", "created_at"),
        search=("subject", "description", "code"),
        filters=("state", "kind", "priority", "topic", "party", "assignee", "team", "channel", "opened_at", "due_at",
                 "resolved_at", "first_contact_resolution", "satisfaction", "response_minutes", "resolution_minutes",
                 "tags", "order", "vehicle", "product", "created_at"),
        sort=("opened_at", "created_at"), timeline=Moment("opened_at", "assignee"), within=("party", "owner"),
        also_within=("assignee",), related=("escalations",),
        brings=("party", "vehicle"),
        sections=(Section("Ticket", ("party", "contact", "kind", "topic", "priority", "subject", "description", "channel",
                                     "interaction", "tags")),
                  Section("Concerns", ("order", "vehicle", "product")),
                  Section("Who and until when", ("assignee", "team", "opened_at", "respond_by", "due_at")),
                  Section("Outcome", ("cause", "article", "satisfaction"))),
        detail=(Section("Ticket", ("code", "party", "contact", "kind", "topic", "priority", "state", "subject", "description",
                                   "channel", "interaction", "tags")),
                Section("Concerns", ("order", "vehicle", "product")),
                Section("Who and until when", ("assignee", "team", "opened_at", "respond_by", "first_response_at",
                                               "response_minutes", "due_at", "resolved_at", "resolution_minutes", "closed_at",
                                               "reopened")),
                Section("Outcome", ("resolution", "first_contact_resolution", "cause", "article", "satisfaction"))),
        help="Questions, problems and complaints, and how far you are with them.",
    )  # fmt: skip

    code: Mapped[str] = code_field("T")
    party_id: Mapped[int] = reference_field("party", table="party", label="Raised by", required=True)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact")
    kind: Mapped[TicketKind] = choice_field(TicketKind, required=True)
    topic: Mapped[TicketTopic | None] = choice_field(TicketTopic, label="About")
    priority: Mapped[Priority] = choice_field(Priority, column={"server_default": "normal"})
    state: Mapped[TicketState] = choice_field(TicketState, editable=False, column={"server_default": "new"})
    subject: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL, synonyms=("title",))
    description: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    channel: Mapped[Channel | None] = choice_field(Channel, label="Came by")
    interaction_id: Mapped[int | None] = reference_field("interaction", table="interaction", label="Came with",
                                                         on_delete="SET NULL")  # fmt: skip
    order_id: Mapped[int | None] = reference_field("order", table="sales_order", on_delete="SET NULL")
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle", on_delete="SET NULL")
    product_id: Mapped[int | None] = reference_field("product", table="product", on_delete="SET NULL")
    tags: Mapped[list[str] | None] = tags_field()
    assignee_id: Mapped[int | None] = reference_field("user", table="app_user", label="Who works on it")
    team_id: Mapped[int | None] = reference_field("team", table="team")
    opened_at: Mapped[dt.datetime] = datetime_field(label="Opened", help="Empty: now",
                                                    column={"server_default": func.now()})  # fmt: skip
    respond_by: Mapped[dt.datetime | None] = datetime_field(label="First answer due")
    first_response_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="First answer")
    response_minutes: Mapped[int | None] = declare("integer", Integer, _minutes("opened_at", "first_response_at"),
                                                   label="Response time (minutes)", editable=False)  # fmt: skip
    due_at: Mapped[dt.datetime | None] = datetime_field(label="Due")
    resolved_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Resolved")
    resolution_minutes: Mapped[int | None] = declare("integer", Integer, _minutes("opened_at", "resolved_at"),
                                                     label="Resolution time (minutes)", editable=False)  # fmt: skip
    closed_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Closed")
    reopened: Mapped[int] = integer_field(minimum=0, editable=False, label="Times reopened",
                                          column={"server_default": text("0")})  # fmt: skip
    resolution: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, editable=False)
    first_contact_resolution: Mapped[bool | None] = boolean_field(editable=False, label="Resolved at first contact")
    cause: Mapped[str | None] = text_field(help="What led to it, in a few words")
    article_id: Mapped[int | None] = reference_field(
        "knowledge_article", table="knowledge_article", label="Answered with"
    )
    satisfaction: Mapped[int | None] = integer_field(minimum=1, maximum=5, help="1 to 5, as the customer said")

    party: Mapped[Party] = relationship(backref=backref("tickets", order_by="Ticket.id.desc()"))
    contact: Mapped[Contact | None] = relationship()
    interaction: Mapped[Interaction | None] = relationship()
    assignee: Mapped[User | None] = relationship()
    team: Mapped[Team | None] = relationship()
    article: Mapped[KnowledgeArticle | None] = relationship()
    order: Mapped[Order | None] = relationship()
    vehicle: Mapped[Vehicle | None] = relationship()
    product: Mapped[Product | None] = relationship()
    escalations: Mapped[list[Escalation]] = relationship(back_populates="ticket", order_by="Escalation.id.desc()")

    __table_args__ = (
        in_order("opened_at", "due_at"), in_order("opened_at", "respond_by"), in_order("opened_at", "first_response_at"), in_order("opened_at", "resolved_at"),
        CheckConstraint("(state IN ('resolved', 'closed')) = (resolved_at IS NOT NULL)", name="resolved_at_state"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_at_state"),
        CheckConstraint("resolved_at IS NULL OR resolution IS NOT NULL", name="resolution_there"),
        Index("ix_ticket_open", "party_id", "kind", "id", postgresql_where=text("resolved_at IS NULL")),
        Index("ix_ticket_open_of", "assignee_id", "due_at", "id", postgresql_where=text("resolved_at IS NULL")),
    )  # fmt: skip


class Escalation(Entity):
    """A ticket was taken a level higher: why, to whom, and what came of it."""

    about = About(
        area="Service", icon="trending-up", title="words",
        columns=("ticket", "level", "reason", "state", "to_user", "escalated_at", "settled_at"),
        filters=("ticket", "level", "state", "to_user", "to_team", "escalated_by", "escalated_at", "settled_at"),
        sort=("escalated_at", "created_at"), within=("ticket", "party", "owner"), also_within=("to_user",),
        sections=(Section("Escalation", ("ticket", "level", "reason", "rule", "to_user", "to_team", "escalated_at")),),
        detail=(Section("Escalation", ("ticket", "level", "reason", "rule", "to_user", "to_team", "escalated_at",
                                       "escalated_by", "state", "settled_at", "outcome")),),
        help="Tickets that were taken a level higher.",
    )  # fmt: skip

    ticket_id: Mapped[int] = reference_field("ticket", table="ticket", required=True)
    level: Mapped[int] = integer_field(minimum=1, maximum=9, required=True)
    reason: Mapped[str] = long_text_field(required=True, field_class=FieldClass.PERSONAL)
    rule: Mapped[str | None] = text_field(help="The rule that did it; empty when a person did")
    to_user_id: Mapped[int | None] = reference_field("user", table="app_user", label="To")
    to_team_id: Mapped[int | None] = reference_field("team", table="team", label="To the team")
    escalated_at: Mapped[dt.datetime] = datetime_field(label="When", column={"server_default": func.now()})
    escalated_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By",
                                                          column={"default": lambda: acting().user_id})  # fmt: skip
    state: Mapped[EscalationState] = choice_field(EscalationState, editable=False, column={"server_default": "open"})
    settled_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Settled")
    outcome: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, editable=False)

    ticket: Mapped[Ticket] = relationship(back_populates="escalations")
    to_user: Mapped[User | None] = relationship(foreign_keys=to_user_id)
    to_team: Mapped[Team | None] = relationship()
    escalated_by: Mapped[User | None] = relationship(foreign_keys=escalated_by_id)

    __table_args__ = (
        CheckConstraint("(state = 'settled') = (settled_at IS NOT NULL)", name="settled_at_state"),
        Index("ix_escalation_open", "ticket_id", "id", postgresql_where=text("state = 'open'")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"Level {self.level}"
