"""What customers say of us of their own accord, what was answered, and what of it others may read."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
    url_field,
)  # fmt: skip
from crm.core.rules import rule
from crm.models.parties import Contact, Party
from crm.models.sales_orders import Order
from crm.models.vehicle_service import ServiceRecord
from crm.models.vehicles import Vehicle


class FeedbackSource(Choice):
    IN_PERSON = "in_person", "In person"
    CALL = "call", "Call"
    EMAIL = "email", "E-mail"
    WEBSITE = "website", "Website"
    REVIEW_SITE = "review_site", "Review site"
    SOCIAL = "social", "Social media"
    SURVEY = "survey", "Survey"
    OTHER = "other", "Other"


class FeedbackTopic(Choice):
    ORDER = "order", "Order"
    VEHICLE = "vehicle", "Vehicle"
    DEALER = "dealer", "Dealer"
    SERVICE = "service", "Service"
    OTHER = "other", "Other"


_GIVEN = ("party", "contact", "rating", "comment", "source", "url", "given_on")
_ABOUT = ("topic", "order", "vehicle", "dealer", "service_record")


class Feedback(Entity):
    """Praise, criticism or a review from a party, with our reply to it."""

    about = About(
        area="Service", icon="star", plural="feedback", title="words", label="Feedback", label_plural="Feedback",
        columns=("words", "party", "comment", "topic", "source", "given_on", "published_on"), search=("comment", "reply"),
        filters=("party", "rating", "topic", "source", "given_on", "dealer", "order", "vehicle", "may_publish", "published_on",
                 "replied_at", "created_at"),
        sort=("given_on", "created_at"), timeline=Moment("given_on"), within=("party", "owner"),
        sections=(Section("Feedback", _GIVEN), Section("About", _ABOUT),
                  Section("What we did with it", ("reply", "replied_at", "may_publish", "published_on"))),
        detail=(Section("Feedback", _GIVEN), Section("About", _ABOUT),
                Section("What we did with it", ("reply", "replied_at", "may_publish", "published_on"))),
        help="Reviews and what people say of you, with your replies; what may be published is a testimonial.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="From", required=True)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact", on_delete="SET NULL")
    rating: Mapped[int | None] = integer_field(minimum=1, maximum=5, help="1 to 5; empty: none was given")
    comment: Mapped[str] = long_text_field(required=True, field_class=FieldClass.PERSONAL, label="What they said")
    source: Mapped[FeedbackSource] = choice_field(FeedbackSource, required=True)
    url: Mapped[str | None] = url_field(label="Address", help="Where it stands")
    given_on: Mapped[dt.date] = date_field(label="Given on", help="Empty: today",
                                           column={"server_default": func.current_date()})  # fmt: skip
    topic: Mapped[FeedbackTopic | None] = choice_field(FeedbackTopic, label="About")
    order_id: Mapped[int | None] = reference_field("order", table="sales_order", on_delete="SET NULL")
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle", on_delete="SET NULL")
    dealer_id: Mapped[int | None] = reference_field("partner", table="party")
    service_record_id: Mapped[int | None] = reference_field(
        "service_record", table="service_record", on_delete="SET NULL"
    )
    reply: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    replied_at: Mapped[dt.datetime | None] = datetime_field(label="Replied")
    may_publish: Mapped[bool] = boolean_field(
        label="May be published", help="They agreed", column={"server_default": text("false")}
    )
    published_on: Mapped[dt.date | None] = date_field(label="Published")
    derived = {"words": Field(kind="text", label="Rating")}

    party: Mapped[Party] = relationship(
        foreign_keys=party_id, backref=backref("feedback", order_by="Feedback.given_on.desc()")
    )
    contact: Mapped[Contact | None] = relationship()
    order: Mapped[Order | None] = relationship()
    vehicle: Mapped[Vehicle | None] = relationship()
    dealer: Mapped[Party | None] = relationship(foreign_keys=dealer_id)
    service_record: Mapped[ServiceRecord | None] = relationship()

    __table_args__ = (
        rule("published_on", "may_publish OR published_on IS NULL", "is set, and nobody said that it may be published"),
        rule("replied_at", "reply IS NOT NULL OR replied_at IS NULL", "is set without a reply"),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.rating} of 5" if self.rating else "No rating"
