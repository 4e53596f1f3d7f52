"""Vehicles, who owns and owned them, and what they report of themselves."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import Computed, Index, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    boolean_field,
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
from crm.core.rules import Doubt, in_order, rule, with_currency
from crm.models.access import User
from crm.models.parties import Party
from crm.models.products import Product

SATISFACTION: dict[str, Any] = {"minimum": 1, "maximum": 5, "help": "1 (poor) to 5 (excellent)"}


class Engine(Choice):
    PETROL = "petrol"
    DIESEL = "diesel"
    HYBRID = "hybrid"
    ELECTRIC = "electric"
    GAS = "gas"
    OTHER = "other"


class Use(Choice):
    PERSONAL = "personal", "Personal", "neutral"
    BUSINESS = "business", "Business", "info"


class Comparison(Choice):
    ABOVE = "above", "Is above"
    BELOW = "below", "Is below"
    EQUAL = "equal", "Is exactly"


class Vehicle(Entity):
    """A vehicle that somebody you know has, had or ordered."""

    about = About(
        area="Vehicles", icon="car", title="words",
        columns=("words", "plate", "year", "mileage", "customer", "end_customer", "dealer", "next_service_on"),
        search=("vin", "plate", "brand", "model"), sort=("created_at",),
        filters=("customer", "end_customer", "order_customer", "vendor", "dealer", "advisor", "brand", "model", "year", "trim",
                 "engine", "mileage", "vin", "plate", "product", "registered_on", "next_service_on", "next_service_mileage",
                 "created_at"),
        within=("customer", "owner"), also_within=("end_customer", "owner"),
        related=("ownerships", "service_records", "service_appointments", "warranties", "readings"),
        brings=("customer",),
        sections=(
            Section("Vehicle", ("vin", "plate", "brand", "model", "year", "trim", "engine", "color", "product", "mileage",
                                "mileage_on", "registered_on", "remarks")),
            Section("Who", ("customer", "end_customer", "order_customer", "vendor", "dealer", "advisor")),
            Section("Next service", ("service_interval_days", "service_interval_distance", "next_service_on",
                                     "next_service_mileage")),
        ),
        help="Every vehicle of your customers, with its owners, service, warranties and readings.",
    )  # fmt: skip

    vin: Mapped[str | None] = text_field(max_length=32, label="VIN", field_class=FieldClass.PERSONAL,
        help="Vehicle identification number; no other vehicle has it",
        synonyms=("chassis number", "vehicle identification number"))  # fmt: skip
    vin_key: Mapped[str | None] = mapped_column(
        Text, Computed("nullif(upper(regexp_replace(vin, '[^[:alnum:]]', '', 'g')), '')", persisted=True)
    )
    plate: Mapped[str | None] = text_field(max_length=32, label="Registration number", field_class=FieldClass.PERSONAL,
                                           synonyms=("licence plate", "license plate", "plate number"))  # fmt: skip
    brand: Mapped[str] = text_field(required=True, max_length=120, synonyms=("make", "manufacturer"))
    model: Mapped[str | None] = text_field(max_length=120)
    year: Mapped[int | None] = integer_field(
        minimum=1886, maximum=2200, grouped=False, label="Model year", synonyms=("year", "model year")
    )
    trim: Mapped[str | None] = text_field(max_length=120)
    engine: Mapped[Engine | None] = choice_field(Engine, synonyms=("engine type", "fuel", "fuel type"))
    color: Mapped[str | None] = text_field(max_length=60, label="Colour", synonyms=("color",))
    product_id: Mapped[int | None] = reference_field("product", table="product", help="As it stands in the catalogue")
    mileage: Mapped[int | None] = integer_field(minimum=0, measured=True, help="The last known, in kilometres",
                                                synonyms=("odometer", "kilometres"))  # fmt: skip
    mileage_on: Mapped[dt.date | None] = date_field(label="Mileage read on")
    registered_on: Mapped[dt.date | None] = date_field(label="First registered")
    customer_id: Mapped[int | None] = reference_field("customer", table="party", help="Whose business it is")
    end_customer_id: Mapped[int | None] = reference_field("end_customer", table="party", help="Who drives it")
    order_customer_id: Mapped[int | None] = reference_field("customer", table="party", label="Sales-order customer",
                                                            help="Who ordered it")  # fmt: skip
    vendor_id: Mapped[int | None] = reference_field("vendor", table="party", help="From whom it was bought")
    dealer_id: Mapped[int | None] = reference_field("partner", table="party", label="Dealer")
    advisor_id: Mapped[int | None] = reference_field("user", table="app_user", label="Service advisor")
    service_interval_days: Mapped[int | None] = integer_field(minimum=1, label="Service every … days",
                                                              synonyms=("service interval",))  # fmt: skip
    service_interval_distance: Mapped[int | None] = integer_field(minimum=1, label="Service every … km")
    next_service_on: Mapped[dt.date | None] = date_field(label="Next service", column={"index": True})
    next_service_mileage: Mapped[int | None] = integer_field(minimum=0, label="Next service at (km)")
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"words": Field(kind="text", label="Vehicle", field_class=FieldClass.PERSONAL)}

    product: Mapped[Product | None] = relationship()
    customer: Mapped[Party | None] = relationship(
        foreign_keys=customer_id, backref=backref("vehicles", order_by="Vehicle.id.desc()", passive_deletes="all"))  # fmt: skip
    end_customer: Mapped[Party | None] = relationship(foreign_keys=end_customer_id)
    order_customer: Mapped[Party | None] = relationship(foreign_keys=order_customer_id)
    vendor: Mapped[Party | None] = relationship(foreign_keys=vendor_id)
    dealer: Mapped[Party | None] = relationship(foreign_keys=dealer_id)
    advisor: Mapped[User | None] = relationship()

    doubts = (
        Doubt("lower(brand) IN ('tesla', 'polestar', 'rivian', 'lucid') AND engine <> 'electric'",
              "have another engine than their brand builds"),
        Doubt("mileage > 1500000", "have gone more than 1,500,000 km"),
        Doubt("year > extract(year FROM now()) + 1", "are of a model year that is still to come"),
    )  # fmt: skip

    __table_args__ = (
        Index("uq_vehicle_vin", "vin_key", unique=True), Index("ix_vehicle_model", "brand", "model", "year"),
    )  # fmt: skip

    @property
    def words(self) -> str:
        """What a person calls it: brand, model, year, and what tells it from others."""
        said = " ".join(str(part) for part in (self.brand, self.model, self.year) if part)
        number = self.plate or self.vin
        return f"{said} ({number})" if said and number else said or number or f"Vehicle {self.id}"


class Ownership(Entity):
    """That somebody owns or owned a vehicle, from when to when, and how they came by it."""

    about = About(
        area="Vehicles", icon="key-round", title="words",
        columns=("party", "vehicle", "use", "owned_from", "owned_until", "purchase_price", "currency", "satisfaction"),
        filters=("vehicle", "party", "use", "owned_from", "owned_until", "purchase_price", "satisfaction"),
        sort=("created_at",), within=("party", "owner"), related=("financings",), delete=True,
        sections=(Section("Ownership", ("vehicle", "party", "use", "owned_from", "owned_until")),
                  Section("Purchase", ("purchase_price", "currency", "trade_in_vehicle", "trade_in_value", "satisfaction",
                                       "remarks"))),
        help="Who owns which vehicle now, and who did before.",
    )  # fmt: skip

    vehicle_id: Mapped[int] = reference_field("vehicle", table="vehicle", required=True)
    party_id: Mapped[int] = reference_field("party", table="party", label="Owned by", required=True)
    use: Mapped[Use] = choice_field(Use, column={"server_default": "personal"})
    owned_from: Mapped[dt.date | None] = date_field(label="Since", synonyms=("purchase date",))
    owned_until: Mapped[dt.date | None] = date_field(label="Until", help="Empty while it lasts")
    purchase_price: Mapped[Decimal | None] = money_field(minimum=0)
    currency: Mapped[str | None] = currency_field()
    trade_in_vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle", label="Vehicle traded in")
    trade_in_value: Mapped[Decimal | None] = money_field(minimum=0, label="Value of the trade-in")
    satisfaction: Mapped[int | None] = integer_field(label="Satisfaction with the purchase", **SATISFACTION)
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"words": Field(kind="text", label="Ownership", field_class=FieldClass.PERSONAL)}

    vehicle: Mapped[Vehicle] = relationship(
        foreign_keys=vehicle_id,
        backref=backref("ownerships", order_by="Ownership.owned_from.desc().nulls_last()", passive_deletes="all"))  # fmt: skip
    party: Mapped[Party] = relationship(
        backref=backref("ownerships", order_by="Ownership.owned_from.desc().nulls_last()", passive_deletes="all"))  # fmt: skip
    trade_in_vehicle: Mapped[Vehicle | None] = relationship(foreign_keys=trade_in_vehicle_id)

    __table_args__ = (
        in_order("owned_from", "owned_until"),
        rule("trade_in_vehicle", "trade_in_vehicle_id <> vehicle_id", "is the vehicle itself"),
        with_currency("purchase_price", "trade_in_value"),
        UniqueConstraint("party_id", "vehicle_id", "owned_from", postgresql_nulls_not_distinct=True),
        Index("ix_ownership_current", "vehicle_id", "party_id", postgresql_where=text("owned_until IS NULL")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.vehicle.words} of {self.party.name}"


class Reading(Entity):
    """A value that a vehicle reported, or an event in it: odometer, fault, battery, tyre, anything with a name."""

    about = About(
        area="Vehicles", icon="gauge", columns=("name", "vehicle", "value", "unit", "text", "measured_at", "source"),
        search=("name", "text"), filters=("vehicle", "name", "value", "measured_at", "source"), sort=("measured_at",),
        within=("vehicle", "customer", "owner"), also_within=("vehicle", "end_customer", "owner"), delete=True,
        sections=(Section("Reading", ("vehicle", "name", "value", "unit", "text", "measured_at", "source")),),
        help="What connected vehicles report, sent in through the API.",
    )  # fmt: skip

    vehicle_id: Mapped[int] = reference_field("vehicle", table="vehicle", required=True)
    name: Mapped[str] = text_field(required=True, max_length=64, help="Such as odometer, fault, battery, tyre")
    value: Mapped[Decimal | None] = decimal_field(decimals=4)
    unit: Mapped[str | None] = text_field(max_length=16)
    text: Mapped[str | None] = text_field(help="What isn't a number: a fault code, what was experienced")
    measured_at: Mapped[dt.datetime] = datetime_field(label="When", column={"server_default": func.now()})
    source: Mapped[str | None] = text_field(max_length=64, help="Which device or system sent it")
    vehicle: Mapped[Vehicle] = relationship(
        backref=backref("readings", order_by="Reading.measured_at.desc()", passive_deletes="all"))  # fmt: skip

    __table_args__ = (

        Index("ix_reading_of_vehicle", "vehicle_id", "name", "measured_at"),
    )  # fmt: skip


class ReadingRule(Entity):
    """What a reading means: when it lies above or below a threshold, a service is due."""

    about = About(
        area="Vehicles", icon="scale", title="advice", columns=("advice", "reading", "comparison", "threshold", "active"),
        search=("advice", "reading"), filters=("reading", "comparison", "active"), sort=("created_at",), delete=True,
        sections=(Section("Rule", ("reading", "comparison", "threshold", "advice", "active")),),
        help="Which readings make a service due.",
    )  # fmt: skip

    reading: Mapped[str] = text_field(required=True, max_length=64, help="Its name, such as battery")
    comparison: Mapped[Comparison] = choice_field(Comparison, required=True, label="When it")
    threshold: Mapped[Decimal] = decimal_field(required=True, decimals=4)
    advice: Mapped[str] = text_field(required=True, label="Then", help="What is to be done, as the advisor reads it")
    active: Mapped[bool] = boolean_field(column={"server_default": text("true")})
