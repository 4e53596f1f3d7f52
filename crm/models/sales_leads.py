"""Leads: people who may become customers, and the tracks of messages and tasks that keep in touch with them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    FieldClass,
    boolean_field,
    choice_field,
    code_field,
    country_field,
    currency_field,
    date_field,
    datetime_field,
    email_field,
    integer_field,
    language_field,
    long_text_field,
    money_field,
    phone_field,
    reference_field,
    tags_field,
    text_field,
    url_field,
)  # fmt: skip
from crm.core.rules import in_order, with_currency
from crm.models.access import Team, User
from crm.models.parties import Contact, Party
from crm.models.products import Product
from crm.models.sales_deals import Deal


class LeadSource(Choice):
    FORM = "form", "Form"
    IMPORT = "import", "Import"
    MANUAL = "manual", "By hand"
    API = "api", "API"
    REFERRAL = "referral", "Referral"
    CAMPAIGN = "campaign", "Campaign"
    EVENT = "event", "Event"
    PARTNER = "partner", "Partner or dealer"
    PHONE = "phone", "Phone call"
    OTHER = "other", "Other"


class LeadState(Choice):
    NEW = "new", "New", "info"
    CONTACTED = "contacted", "Contacted", "info"
    NURTURING = "nurturing", "Nurturing", "warning"
    QUALIFIED = "qualified", "Qualified", "good"
    UNQUALIFIED = "unqualified", "Unqualified", "neutral"
    LOST = "lost", "Lost", "bad"


class LeadStatus(Choice):
    """The state and the conversion told as one word."""

    NEW = "new", "New", "info"
    CONTACTED = "contacted", "Contacted", "info"
    NURTURING = "nurturing", "Nurturing", "warning"
    QUALIFIED = "qualified", "Qualified", "good"
    UNQUALIFIED = "unqualified", "Unqualified", "neutral"
    LOST = "lost", "Lost", "bad"
    CONVERTED = "converted", "Converted", "good"


class Degree(Choice):
    LOW = "low", "Low", "neutral"
    MEDIUM = "medium", "Medium", "info"
    HIGH = "high", "High", "good"


class TrackEnd(Choice):
    """Why a nurturing track is over."""

    REPLIED = "replied", "Replied", "good"
    CONVERTED = "converted", "Converted", "good"
    FINISHED = "finished", "All steps done", "neutral"
    STOPPED = "stopped", "Stopped by hand", "neutral"


class StepKind(Choice):
    MESSAGE = "message", "Message"
    TASK = "task", "Task"


class NurtureTrack(Entity):
    """Steps in time that keep in touch with leads until they reply or become customers."""

    about = About(
        area="Setup", icon="route", label="Nurturing track", columns=("name", "description", "active"), search=("name",),
        filters=("active",), sort=("name",), related=("steps",), delete=True,
        sections=(Section("Track", ("name", "description", "active")),), help="How leads are kept warm, step by step.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    description: Mapped[str | None] = long_text_field()
    active: Mapped[bool] = boolean_field(column={"server_default": text("true")})
    steps: Mapped[list[NurtureStep]] = relationship(back_populates="track", order_by="NurtureStep.after_days",
                                                    passive_deletes="all")  # fmt: skip


class NurtureStep(Entity):
    """A message or task of a nurturing track, so many days after its beginning."""

    about = About(
        area="Setup", icon="list-checks", label="Nurturing step", title="subject",
        columns=("subject", "track", "after_days", "kind"), search=("subject",), filters=("track", "kind", "after_days"),
        sort=("after_days",), delete=True, sections=(Section("Step", ("track", "subject", "after_days", "kind", "text")),),
    )  # fmt: skip

    track_id: Mapped[int] = reference_field("nurture_track", table="nurture_track", on_delete="CASCADE", required=True)
    subject: Mapped[str] = text_field(required=True)
    after_days: Mapped[int] = integer_field(required=True, minimum=0, maximum=3650, label="After … days")
    kind: Mapped[StepKind] = choice_field(StepKind, required=True)
    text: Mapped[str | None] = long_text_field(help="What is sent, or what is to be done")
    track: Mapped[NurtureTrack] = relationship(back_populates="steps")
    __table_args__ = (UniqueConstraint("track_id", "after_days", "subject"),)


class Lead(Entity):
    """Somebody who may buy: not a customer yet."""

    about = About(
        area="Sales", icon="funnel", columns=("name", "company_name", "status", "score", "source", "email", "phone", "owner",
                                              "created_at"),
        search=("name", "company_name", "email", "phone", "code"), sort=("name", "created_at"), delete=True,
        filters=("status", "source", "intent", "capability", "score", "owner", "team", "country", "city", "industry",
                 "interest", "track", "email", "phone", "budget", "created_at", "converted_at", "name"),
        within=("owner",),
        sections=(
            Section("Lead", ("name", "first_name", "last_name", "company_name", "designation", "industry", "owner", "team",
                             "state", "source", "source_detail", "language", "tags", "description")),
            Section("Contact", ("email", "phone", "website", "address", "city", "state_province", "postal_code", "country")),
            Section("Qualification", ("intent", "capability", "score", "interest", "budget", "currency", "buys_by",
                                      "lost_reason")),
            Section("Nurturing", ("track", "track_since", "track_end", "track_ended_on")),
        ),
        detail=(
            Section("Lead", ("code", "name", "first_name", "last_name", "company_name", "designation", "industry", "owner",
                             "team", "status", "source", "source_detail", "language", "tags", "description")),
            Section("Contact", ("email", "phone", "website", "address", "city", "state_province", "postal_code", "country")),
            Section("Qualification", ("intent", "capability", "score", "interest", "budget", "currency", "buys_by",
                                      "lost_reason")),
            Section("Nurturing", ("track", "track_since", "track_end", "track_ended_on")),
            Section("Conversion", ("converted_at", "customer", "contact", "deal")),
        ),
        help="Who might become a customer, from first contact to conversion.",
    )  # fmt: skip

    code: Mapped[str] = code_field("L")
    name: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL, synonyms=("full name", "lead"))
    first_name: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL)
    last_name: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL)
    company_name: Mapped[str | None] = text_field(synonyms=("company", "organization", "organisation"))
    designation: Mapped[str | None] = text_field(max_length=120, label="Title")
    industry: Mapped[str | None] = text_field(max_length=120)
    owner_id: Mapped[int | None] = reference_field("user", table="app_user", label="Sales person")
    team_id: Mapped[int | None] = reference_field("team", table="team")
    state: Mapped[LeadState] = choice_field(LeadState, label="State", column={"server_default": "new"})
    status: Mapped[LeadStatus] = choice_field(
        LeadStatus, editable=False, computed="CASE WHEN converted_at IS NOT NULL THEN 'converted' ELSE state END")  # fmt: skip
    source: Mapped[LeadSource] = choice_field(LeadSource, column={"server_default": "manual"})
    source_detail: Mapped[str | None] = text_field(help="Which form, campaign or partner")
    language: Mapped[str | None] = language_field()
    tags: Mapped[list[str] | None] = tags_field(help="Separated by commas")
    description: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    email: Mapped[str | None] = email_field(label="E-mail", column={"index": True})
    phone: Mapped[str | None] = phone_field(column={"index": True})
    website: Mapped[str | None] = url_field()
    address: Mapped[str | None] = text_field(wide=True, field_class=FieldClass.CONTACT)
    city: Mapped[str | None] = text_field(max_length=120, field_class=FieldClass.CONTACT)
    state_province: Mapped[str | None] = text_field(
        max_length=120, label="State or province", field_class=FieldClass.CONTACT
    )
    postal_code: Mapped[str | None] = text_field(max_length=32, field_class=FieldClass.CONTACT)
    country: Mapped[str | None] = country_field()
    intent: Mapped[Degree | None] = choice_field(Degree, label="Purchase intent")
    capability: Mapped[Degree | None] = choice_field(Degree, label="Purchase capability")
    score: Mapped[int | None] = integer_field(minimum=0, maximum=100, help="0 to 100")
    interest_id: Mapped[int | None] = reference_field("product", table="product", label="Interested in")
    budget: Mapped[Decimal | None] = money_field(minimum=0)
    currency: Mapped[str | None] = currency_field()
    buys_by: Mapped[dt.date | None] = date_field(label="Wants to buy by")
    lost_reason: Mapped[str | None] = text_field(label="Why it was lost or is unqualified")
    track_id: Mapped[int | None] = reference_field("nurture_track", table="nurture_track", label="Nurturing track")
    track_since: Mapped[dt.date | None] = date_field(label="On the track since")
    track_end: Mapped[TrackEnd | None] = choice_field(TrackEnd, label="Track ended by")
    track_ended_on: Mapped[dt.date | None] = date_field(label="Track ended")
    converted_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Converted")
    customer_id: Mapped[int | None] = reference_field("customer", table="party", editable=False)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact", editable=False)
    deal_id: Mapped[int | None] = reference_field("deal", table="deal", on_delete="SET NULL", editable=False)

    owner: Mapped[User | None] = relationship()
    team: Mapped[Team | None] = relationship()
    interest: Mapped[Product | None] = relationship()
    track: Mapped[NurtureTrack | None] = relationship()
    customer: Mapped[Party | None] = relationship(
        backref=backref("leads", order_by="Lead.id.desc()", passive_deletes="all"))  # fmt: skip
    contact: Mapped[Contact | None] = relationship()
    deal: Mapped[Deal | None] = relationship()

    __table_args__ = (
        with_currency("budget"),
        in_order("track_since", "track_ended_on"),
        CheckConstraint("converted_at IS NULL OR customer_id IS NOT NULL", name="converted_to_customer"),
        Index("ix_lead_open", "state", "owner_id", "id",
              postgresql_where=text("converted_at IS NULL AND state NOT IN ('unqualified', 'lost')")),
    )  # fmt: skip
