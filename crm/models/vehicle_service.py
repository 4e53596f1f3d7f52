"""The service of vehicles: what was done, what is booked, what a warranty covers and what was claimed under it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.days import today
from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    choice_field,
    currency_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, rule, with_currency
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import ServiceChannel
from crm.models.vehicles import SATISFACTION, Vehicle


class ServiceKind(Choice):
    MAINTENANCE = "maintenance", "Maintenance", "good"
    REPAIR = "repair", "Repair", "warning"
    RECALL = "recall", "Recall", "bad"
    INSPECTION = "inspection", "Inspection", "info"


class ServiceState(Choice):
    DUE = "due", "Due", "warning"
    IN_WORK = "in_work", "In the workshop", "info"
    DONE = "done", "Done", "good"
    CANCELLED = "cancelled", "Cancelled", "neutral"


class AppointmentState(Choice):
    REQUESTED = "requested", "Requested", "warning"
    CONFIRMED = "confirmed", "Confirmed", "info"
    ARRIVED = "arrived", "Arrived", "info"
    DONE = "done", "Done", "good"
    MISSED = "missed", "Missed", "bad"
    CANCELLED = "cancelled", "Cancelled", "neutral"


class Priority(Choice):
    NORMAL = "normal", "Normal", "neutral"
    HIGH = "high", "High", "warning"


class Coverage(Choice):
    FULL = "full", "Full vehicle"
    POWERTRAIN = "powertrain", "Powertrain"
    BATTERY = "battery", "Battery"
    CORROSION = "corrosion", "Corrosion"
    PARTS = "parts", "Parts and accessories"
    EXTENDED = "extended", "Extended"
    OTHER = "other", "Other"


class WarrantyState(Choice):
    """What was decided about it; whether it still runs follows from its days."""

    VALID = "valid", "Valid", "good"
    SUSPENDED = "suspended", "Suspended", "warning"
    VOID = "void", "Void", "bad"


class ClaimState(Choice):
    SUBMITTED = "submitted", "Submitted", "warning"
    IN_REVIEW = "in_review", "In review", "info"
    APPROVED = "approved", "Approved", "good"
    REFUSED = "refused", "Refused", "bad"
    PAID = "paid", "Paid", "good"


class ServiceAppointment(Entity):
    """A visit of a vehicle that was asked for or agreed."""

    about = About(
        area="Service", icon="calendar-clock", label="Appointment", title="requested_work",
        columns=("requested_work", "vehicle", "customer", "starts_at", "state", "channel", "dealer", "advisor", "priority"),
        search=("requested_work",), sort=("starts_at", "created_at"), delete=True,
        filters=("state", "starts_at", "vehicle", "customer", "dealer", "advisor", "channel", "priority"),
        timeline=Moment("starts_at", "advisor", "customer"),
        within=("customer", "owner"), also_within=("vehicle", "customer", "owner"),
        sections=(Section("Appointment", ("customer", "vehicle", "requested_work", "starts_at", "ends_at", "channel", "dealer",
                                          "advisor", "state", "priority", "remarks")),),
        help="Who comes when, and what for.",
    )  # fmt: skip

    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    vehicle_id: Mapped[int] = reference_field("vehicle", table="vehicle", required=True)
    requested_work: Mapped[str] = text_field(required=True, label="What is asked for")
    starts_at: Mapped[dt.datetime] = datetime_field(required=True, label="When")
    ends_at: Mapped[dt.datetime | None] = datetime_field(label="Until")
    channel: Mapped[ServiceChannel] = choice_field(ServiceChannel, column={"server_default": "workshop"})
    dealer_id: Mapped[int | None] = reference_field("partner", table="party", label="Dealer")
    advisor_id: Mapped[int | None] = reference_field("user", table="app_user", label="Service advisor")
    state: Mapped[AppointmentState] = choice_field(AppointmentState, column={"server_default": "requested"})
    priority: Mapped[Priority] = choice_field(Priority, column={"server_default": "normal"})
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)

    customer: Mapped[Party] = relationship(
        foreign_keys=customer_id,
        backref=backref("service_appointments", order_by="ServiceAppointment.starts_at.desc()", passive_deletes="all"))  # fmt: skip
    vehicle: Mapped[Vehicle] = relationship(
        backref=backref("service_appointments", order_by="ServiceAppointment.starts_at.desc()", passive_deletes="all"))  # fmt: skip
    dealer: Mapped[Party | None] = relationship(foreign_keys=dealer_id)
    advisor: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("starts_at", "ends_at"),
        Index("ix_service_appointment_open", "starts_at", "id",
              postgresql_where=text("state IN ('requested', 'confirmed', 'arrived')")),
    )  # fmt: skip


class ServiceRecord(Entity):
    """Work on a vehicle that was done, or is due: maintenance, repair, recall."""

    about = About(
        area="Service", icon="wrench", title="summary",
        columns=("summary", "vehicle", "customer", "kind", "state", "served_on", "mileage", "charged", "currency", "dealer",
                 "satisfaction"),
        search=("work", "reference"), sort=("served_on", "created_at"), delete=True,
        filters=("vehicle", "customer", "kind", "state", "served_on", "mileage", "dealer", "advisor", "charged", "cost",
                 "satisfaction", "reference"),
        timeline=Moment("served_on", "advisor", "customer"),
        within=("vehicle", "customer", "owner"), also_within=("customer", "owner"),
        sections=(
            Section("Service", ("vehicle", "customer", "kind", "state", "served_on", "mileage", "work", "reference", "dealer",
                                "advisor", "appointment", "satisfaction", "remarks")),
            Section("Charged and cost", ("parts_charged", "labour_charged", "parts_cost", "labour_cost", "currency"),
                    "What the customer pays, and what it costs you."),
        ),
        detail=(
            Section("Service", ("vehicle", "customer", "kind", "state", "served_on", "mileage", "work", "reference", "dealer",
                                "advisor", "appointment", "satisfaction", "remarks")),
            Section("Charged and cost", ("parts_charged", "labour_charged", "charged", "parts_cost", "labour_cost", "cost",
                                         "currency")),
        ),
        help="The service history of all vehicles, recalls included.",
    )  # fmt: skip

    vehicle_id: Mapped[int] = reference_field("vehicle", table="vehicle", required=True)
    customer_id: Mapped[int | None] = reference_field("customer", table="party", help="Who brought it")
    kind: Mapped[ServiceKind] = choice_field(ServiceKind, required=True)
    state: Mapped[ServiceState] = choice_field(ServiceState, column={"server_default": "done"})
    served_on: Mapped[dt.date] = date_field(required=True, label="Day", help="When it was done, or is due",
                                            synonyms=("service date",))  # fmt: skip
    mileage: Mapped[int | None] = integer_field(minimum=0, help="In kilometres")
    work: Mapped[str | None] = text_field(label="Work", help="What was done or is to be done")
    reference: Mapped[str | None] = text_field(max_length=64, label="Recall or job number", column={"index": True})
    dealer_id: Mapped[int | None] = reference_field("partner", table="party", label="Dealer")
    advisor_id: Mapped[int | None] = reference_field("user", table="app_user", label="Service advisor")
    appointment_id: Mapped[int | None] = reference_field("service_appointment", table="service_appointment")
    satisfaction: Mapped[int | None] = integer_field(**SATISFACTION)
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    parts_charged: Mapped[Decimal | None] = money_field(minimum=0)
    labour_charged: Mapped[Decimal | None] = money_field(minimum=0)
    charged: Mapped[Decimal] = money_field(computed="coalesce(parts_charged, 0) + coalesce(labour_charged, 0)",
                                           editable=False, label="Charged in all", column={"nullable": False})  # fmt: skip
    parts_cost: Mapped[Decimal | None] = money_field(minimum=0, label="Our cost of parts")
    labour_cost: Mapped[Decimal | None] = money_field(minimum=0, label="Our cost of labour")
    cost: Mapped[Decimal] = money_field(computed="coalesce(parts_cost, 0) + coalesce(labour_cost, 0)", editable=False,
                                        label="Our cost in all", column={"nullable": False})  # fmt: skip
    currency: Mapped[str | None] = currency_field()
    derived = {"summary": Field(kind="text", label="Service")}

    vehicle: Mapped[Vehicle] = relationship(
        backref=backref("service_records", order_by="ServiceRecord.served_on.desc()", passive_deletes="all"))  # fmt: skip
    customer: Mapped[Party | None] = relationship(
        foreign_keys=customer_id,
        backref=backref("service_records", order_by="ServiceRecord.served_on.desc()", passive_deletes="all"))  # fmt: skip
    dealer: Mapped[Party | None] = relationship(foreign_keys=dealer_id)
    advisor: Mapped[User | None] = relationship()
    appointment: Mapped[ServiceAppointment | None] = relationship()

    __table_args__ = (
        with_currency("parts_charged", "labour_charged", "parts_cost", "labour_cost"),
        Index("ix_service_record_open", "served_on", "id", postgresql_where=text("state IN ('due', 'in_work')")),
        Index("ix_service_record_of_vehicle", "vehicle_id", "served_on"),
    )  # fmt: skip

    @property
    def summary(self) -> str:
        return self.work or f"{self.kind.label} of {self.served_on:%d.%m.%Y}"


class Warranty(Entity):
    """What a warranty covers of a vehicle, for whom, and how long."""

    about = About(
        area="Service", icon="shield-check", title="number",
        columns=("number", "vehicle", "customer", "coverage", "standing", "starts_on", "ends_on", "mileage_limit"),
        search=("number", "covered"), sort=("ends_on", "created_at"), delete=True,
        filters=("vehicle", "customer", "vendor", "coverage", "state", "starts_on", "ends_on", "mileage_limit", "number"),
        within=("customer", "owner"), also_within=("vehicle", "customer", "owner"), related=("claims",),
        sections=(Section("Warranty", ("number", "vehicle", "customer", "vendor", "coverage", "covered", "state", "starts_on",
                                       "ends_on", "mileage_limit", "remarks")),
                  Section("Amounts", ("price", "deductible", "limit_amount", "currency"))),
        detail=(Section("Warranty", ("number", "vehicle", "customer", "vendor", "coverage", "covered", "standing", "state",
                                     "starts_on", "ends_on", "mileage_limit", "remarks")),
                Section("Amounts", ("price", "deductible", "limit_amount", "currency"))),
        help="Warranties with what they cover. Filter by the day they end to see what runs out.",
    )  # fmt: skip

    number: Mapped[str] = text_field(required=True, max_length=64, help="Of the warranty card or policy")
    vehicle_id: Mapped[int] = reference_field("vehicle", table="vehicle", required=True)
    customer_id: Mapped[int | None] = reference_field("customer", table="party")
    vendor_id: Mapped[int | None] = reference_field("vendor", table="party", label="Given by")
    coverage: Mapped[Coverage] = choice_field(Coverage, required=True)
    covered: Mapped[str | None] = long_text_field(label="What is covered and what isn't")
    state: Mapped[WarrantyState] = choice_field(WarrantyState, column={"server_default": "valid"})
    starts_on: Mapped[dt.date | None] = date_field(label="From")
    ends_on: Mapped[dt.date] = date_field(required=True, label="Until", help="The last day")
    mileage_limit: Mapped[int | None] = integer_field(minimum=0, label="Up to (km)")
    price: Mapped[Decimal | None] = money_field(minimum=0, label="Price of the warranty")
    deductible: Mapped[Decimal | None] = money_field(minimum=0, help="What the customer bears of each claim")
    limit_amount: Mapped[Decimal | None] = money_field(minimum=0, label="Covered up to")
    currency: Mapped[str | None] = currency_field()
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"standing": Field(kind="text", label="Status")}

    vehicle: Mapped[Vehicle] = relationship(
        backref=backref("warranties", order_by="Warranty.ends_on.desc()", passive_deletes="all"))  # fmt: skip
    customer: Mapped[Party | None] = relationship(
        foreign_keys=customer_id, backref=backref("warranties", order_by="Warranty.ends_on.desc()", passive_deletes="all"))  # fmt: skip
    vendor: Mapped[Party | None] = relationship(foreign_keys=vendor_id)
    claims: Mapped[list[WarrantyClaim]] = relationship(
        back_populates="warranty", order_by="WarrantyClaim.claimed_on.desc()", passive_deletes="all"
    )

    __table_args__ = (
        in_order("starts_on", "ends_on"),
        with_currency("price", "deductible", "limit_amount"),
    )  # fmt: skip

    @property
    def standing(self) -> str:
        """Whether it covers today; days move by themselves, so this is never stored."""
        if self.state is not WarrantyState.VALID:
            return self.state.label
        day = today()
        if self.starts_on is not None and day < self.starts_on:
            return "Not begun"
        return "Valid" if day <= self.ends_on else "Ended"


class WarrantyClaim(Entity):
    """What somebody asked for under a warranty, and what came of it."""

    about = About(
        area="Service", icon="shield-alert", title="fault",
        columns=("fault", "warranty", "number", "state", "claimed_on", "amount_claimed", "amount_approved", "amount_paid",
                 "currency"),
        search=("fault", "number"), sort=("claimed_on", "created_at"), delete=True,
        filters=("warranty", "state", "claimed_on", "decided_on", "amount_claimed", "amount_approved", "amount_paid", "number",
                 "decided_by"),
        within=("warranty", "customer", "owner"), also_within=("warranty", "vehicle", "customer", "owner"),
        sections=(Section("Claim", ("warranty", "number", "fault", "service_record", "claimed_on", "mileage", "state",
                                    "decided_on", "decided_by", "reason", "remarks")),
                  Section("Amounts", ("amount_claimed", "amount_approved", "amount_paid", "currency"))),
        help="Claims under warranties, from submitted to paid.",
    )  # fmt: skip

    warranty_id: Mapped[int] = reference_field("warranty", table="warranty", required=True)
    number: Mapped[str | None] = text_field(max_length=64, label="Claim number", column={"index": True})
    fault: Mapped[str] = text_field(required=True, help="What failed")
    service_record_id: Mapped[int | None] = reference_field("service_record", table="service_record", label="Repair")
    claimed_on: Mapped[dt.date] = date_field(label="Claimed", column={"server_default": func.current_date()})
    mileage: Mapped[int | None] = integer_field(minimum=0, help="In kilometres")
    state: Mapped[ClaimState] = choice_field(ClaimState, column={"server_default": "submitted"})
    decided_on: Mapped[dt.date | None] = date_field(label="Decided")
    decided_by_id: Mapped[int | None] = reference_field("user", table="app_user")
    reason: Mapped[str | None] = long_text_field(help="Why it was approved or refused")
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    amount_claimed: Mapped[Decimal | None] = money_field(minimum=0, label="Claimed amount")
    amount_approved: Mapped[Decimal | None] = money_field(minimum=0, label="Approved amount")
    amount_paid: Mapped[Decimal | None] = money_field(minimum=0, label="Paid amount")
    currency: Mapped[str | None] = currency_field()
    warranty: Mapped[Warranty] = relationship(back_populates="claims")
    service_record: Mapped[ServiceRecord | None] = relationship()
    decided_by: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("claimed_on", "decided_on"),
        rule("amount_approved", "amount_approved <= amount_claimed", "is more than was claimed"),
        rule("amount_paid", "amount_paid <= amount_approved", "is more than was approved"),
        with_currency("amount_claimed", "amount_approved", "amount_paid"),
    )  # fmt: skip
