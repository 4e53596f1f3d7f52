"""What follows an order: how it is paid for over time, prepared, delivered and explained."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    Field,
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
from crm.core.rules import with_currency
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import DeliveryMethod
from crm.models.sales_deals import Deal
from crm.models.sales_orders import Order
from crm.models.vehicles import SATISFACTION, Ownership, Vehicle


class FinancingKind(Choice):
    LOAN = "loan", "Loan"
    LEASE = "lease", "Lease"
    HIRE_PURCHASE = "hire_purchase", "Hire purchase"
    BALLOON = "balloon", "Balloon"
    INSTALMENTS = "instalments", "Instalments"
    OTHER = "other", "Other"


class FinancingState(Choice):
    REQUESTED = "requested", "Requested", "warning"
    APPROVED = "approved", "Approved", "info"
    REFUSED = "refused", "Refused", "bad"
    ACTIVE = "active", "Running", "good"
    ENDED = "ended", "Ended", "neutral"
    CANCELLED = "cancelled", "Cancelled", "neutral"


class DeliveryState(Choice):
    PREPARING = "preparing", "Being prepared", "warning"
    READY = "ready", "Ready", "info"
    UNDER_WAY = "under_way", "Under way", "info"
    DELIVERED = "delivered", "Delivered", "good"
    FAILED = "failed", "Failed", "bad"


class OrientationState(Choice):
    PLANNED = "planned", "Planned", "info"
    DONE = "done", "Done", "good"
    MISSED = "missed", "Missed", "bad"
    CANCELLED = "cancelled", "Cancelled", "neutral"


class Financing(Entity):
    """How somebody pays for what they buy over time: with whom, how much, how long, at what rate."""

    about = About(
        area="Sales", icon="landmark", title="lender",
        columns=("lender", "customer", "kind", "amount", "currency", "term_months", "rate", "state", "deal", "order"),
        search=("lender", "number"), sort=("created_at",), delete=True,
        filters=("customer", "kind", "state", "lender", "amount", "currency", "term_months", "rate", "deal", "order",
                 "ownership", "starts_on", "decided_on", "number"),
        within=("customer", "owner"), also_within=("deal", "owner"),
        sections=(Section("Financing", ("customer", "kind", "lender", "number", "amount", "down_payment", "currency",
                                        "term_months", "rate", "instalment", "state", "decided_on", "starts_on")),
                  Section("For", ("deal", "order", "ownership", "remarks"))),
        help="Loans, leases and instalments with which customers pay.",
    )  # fmt: skip

    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    kind: Mapped[FinancingKind] = choice_field(FinancingKind, required=True)
    lender: Mapped[str] = text_field(required=True)
    number: Mapped[str | None] = text_field(max_length=64, label="Contract number", field_class=FieldClass.FINANCIAL)
    amount: Mapped[Decimal | None] = money_field(minimum=0)
    down_payment: Mapped[Decimal | None] = money_field(minimum=0)
    currency: Mapped[str | None] = currency_field()
    term_months: Mapped[int | None] = integer_field(minimum=1, label="Term in months")
    rate: Mapped[Decimal | None] = decimal_field(minimum=0, maximum=100, decimals=4, label="Rate in per cent a year",
                                                 field_class=FieldClass.FINANCIAL)  # fmt: skip
    instalment: Mapped[Decimal | None] = money_field(minimum=0, label="Monthly instalment")
    state: Mapped[FinancingState] = choice_field(FinancingState, column={"server_default": "requested"})
    decided_on: Mapped[dt.date | None] = date_field(label="Decided")
    starts_on: Mapped[dt.date | None] = date_field(label="Begins")
    deal_id: Mapped[int | None] = reference_field("deal", table="deal")
    order_id: Mapped[int | None] = reference_field("order", table="sales_order")
    ownership_id: Mapped[int | None] = reference_field("ownership", table="ownership")
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.FINANCIAL)

    customer: Mapped[Party] = relationship(
        backref=backref("financings", order_by="Financing.id.desc()", passive_deletes="all"))  # fmt: skip
    deal: Mapped[Deal | None] = relationship(
        backref=backref("financings", order_by="Financing.id.desc()", passive_deletes="all"))  # fmt: skip
    order: Mapped[Order | None] = relationship(
        backref=backref("financings", order_by="Financing.id.desc()", passive_deletes="all"))  # fmt: skip
    ownership: Mapped[Ownership | None] = relationship(
        backref=backref("financings", order_by="Financing.id.desc()", passive_deletes="all"))  # fmt: skip

    __table_args__ = (
        with_currency("amount", "down_payment", "instalment"),
        Index("ix_financing_open", "id", postgresql_where=text("state IN ('requested', 'approved')")),
    )  # fmt: skip


class Delivery(Entity):
    """The preparation and handing over of what was ordered."""

    about = About(
        area="Sales", icon="truck", title="summary",
        columns=("summary", "order", "vehicle", "state", "method", "planned_at", "delivered_at", "carrier", "satisfaction"),
        search=("tracking_number", "carrier"), sort=("created_at",), delete=True,
        filters=("order", "vehicle", "state", "method", "planned_at", "delivered_at", "carrier", "tracking_number", "prepared_by",
                 "handed_over_by", "satisfaction"),
        within=("order", "customer", "owner"), also_within=("order", "owner"),
        sections=(Section("Delivery", ("order", "vehicle", "state", "method", "planned_at", "delivered_at", "address", "carrier",
                                       "tracking_number", "prepared_by", "prepared_on", "handed_over_by", "received_by",
                                       "satisfaction", "remarks")),),
        help="Preparation and delivery of orders.",
    )  # fmt: skip

    order_id: Mapped[int] = reference_field("order", table="sales_order", required=True)
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle")
    state: Mapped[DeliveryState] = choice_field(DeliveryState, column={"server_default": "preparing"})
    method: Mapped[DeliveryMethod | None] = choice_field(DeliveryMethod)
    planned_at: Mapped[dt.datetime | None] = datetime_field(label="Planned for")
    delivered_at: Mapped[dt.datetime | None] = datetime_field(label="Delivered", column={"index": True})
    address: Mapped[str | None] = text_field(wide=True, field_class=FieldClass.CONTACT, label="Delivered to")
    carrier: Mapped[str | None] = text_field(max_length=120)
    tracking_number: Mapped[str | None] = text_field(max_length=64, column={"index": True})
    prepared_by_id: Mapped[int | None] = reference_field("user", table="app_user")
    prepared_on: Mapped[dt.date | None] = date_field(label="Prepared")
    handed_over_by_id: Mapped[int | None] = reference_field("user", table="app_user")
    received_by: Mapped[str | None] = text_field(max_length=120, field_class=FieldClass.PERSONAL, help="Who took it")
    satisfaction: Mapped[int | None] = integer_field(**SATISFACTION)
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"summary": Field(kind="text", label="Delivery")}

    order: Mapped[Order] = relationship(
        lazy="selectin", backref=backref("deliveries", order_by="Delivery.id.desc()", passive_deletes="all"))  # fmt: skip
    vehicle: Mapped[Vehicle | None] = relationship()
    prepared_by: Mapped[User | None] = relationship(foreign_keys=prepared_by_id)
    handed_over_by: Mapped[User | None] = relationship(foreign_keys=handed_over_by_id)

    __table_args__ = (
        Index("ix_delivery_open", "planned_at", "id", postgresql_where=text("state IN ('preparing', 'ready', 'under_way')")),
    )  # fmt: skip

    @property
    def summary(self) -> str:
        return f"Delivery of {self.order.code}"


class Orientation(Entity):
    """The hour in which a customer is shown what they bought."""

    about = About(
        area="Sales", icon="graduation-cap", title="topics",
        columns=("topics", "customer", "order", "vehicle", "held_at", "state", "held_by", "satisfaction"),
        search=("topics",), sort=("held_at", "created_at"), delete=True,
        filters=("customer", "order", "vehicle", "state", "held_at", "held_by", "satisfaction"),
        within=("customer", "owner"), also_within=("order", "owner"),
        sections=(Section("Orientation", ("customer", "topics", "order", "vehicle", "held_at", "held_by", "state",
                                          "satisfaction", "remarks")),),
        help="Introductions to what was bought.",
    )  # fmt: skip

    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    topics: Mapped[str] = text_field(required=True, help="What was shown")
    order_id: Mapped[int | None] = reference_field("order", table="sales_order")
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle")
    held_at: Mapped[dt.datetime] = datetime_field(required=True, label="When")
    held_by_id: Mapped[int | None] = reference_field("user", table="app_user")
    state: Mapped[OrientationState] = choice_field(OrientationState, column={"server_default": "planned"})
    satisfaction: Mapped[int | None] = integer_field(**SATISFACTION)
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    customer: Mapped[Party] = relationship(
        backref=backref("orientations", order_by="Orientation.held_at.desc()", passive_deletes="all"))  # fmt: skip
    order: Mapped[Order | None] = relationship(
        backref=backref("orientations", order_by="Orientation.held_at.desc()", passive_deletes="all"))  # fmt: skip
    vehicle: Mapped[Vehicle | None] = relationship()
    held_by: Mapped[User | None] = relationship()
