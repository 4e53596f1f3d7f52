"""Loyalty programs: who may join, their terms by version, their tiers, and what points are spent on."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import FetchedValue, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    boolean_field,
    choice_field,
    choices_field,
    currency_field,
    date_field,
    decimal_field,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import fits_currency, in_order, rule, with_currency
from crm.core.triggers import Trigger
from crm.models.loyalty_choices import EarnsWhen, ProgramKind, ProgramState, RewardKind, TierMeasure, TierPeriod
from crm.models.products import Product, ProductCategory
from crm.models.segments import Segment


class LoyaltyProgram(Entity):
    """A program that customers can be members of. What it gives stands in its terms, version by version."""

    about = About(
        area="Loyalty", icon="award", columns=("name", "kinds", "state", "main", "valid_from", "valid_until", "currency"),
        search=("name",), filters=("kinds", "state", "main", "valid_from", "valid_until", "by_invitation", "created_at"),
        sort=("created_at",), related=("terms", "tiers", "rewards"),
        sections=(
            Section("Program", ("name", "kinds", "state", "main", "valid_from", "valid_until", "currency", "notes")),
            Section("Who may join", ("eligibility", "segment", "minimum_purchase", "fee", "fee_months", "by_invitation", "terms_first"),
                    "Asked of those who join from today on; whoever was a member earlier is taken over."),
            Section("Tiers", ("tier_measure", "tier_months", "tier_period", "grace_days"),
                    "What a tier is reached by, over how many months, and how long one stays after falling short."),
            Section("Points", ("hold_hours", "alone_up_to"),
                    "How long points stay held for what wasn't given, and how many one person may adjust alone."),
        ),
        help="Programs with points, tiers, cashback, referrals or for an event.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    kinds: Mapped[list[str]] = choices_field(ProgramKind, required=True, label="Program type")
    state: Mapped[ProgramState] = choice_field(ProgramState, label="Status", column={"server_default": "active"})
    main: Mapped[bool] = boolean_field(label="Main program", help="Its tier and points stand on the customer's page",
                                       column={"server_default": text("false")})  # fmt: skip
    valid_from: Mapped[dt.date | None] = date_field()
    valid_until: Mapped[dt.date | None] = date_field(help="Empty: without an end")
    currency: Mapped[str] = currency_field(required=True, help="Of purchases that count, fees and cashback")
    notes: Mapped[str | None] = long_text_field()
    eligibility: Mapped[str | None] = long_text_field(help="In words: who may become a member")
    segment_id: Mapped[int | None] = reference_field("segment", table="segment", label="Only members of the segment",
        help="Its rule may ask for country, type, purchases and all else")  # fmt: skip
    minimum_purchase: Mapped[Decimal | None] = money_field(
        minimum=0, help="Bought before one may join: completed orders in the program's currency, less refunds"
    )
    fee: Mapped[Decimal | None] = money_field(
        minimum=0, label="Membership fee", help="Until it is paid nothing is earned or redeemed"
    )
    fee_months: Mapped[int | None] = integer_field(minimum=1, maximum=120, label="Fee is due every (months)")
    by_invitation: Mapped[bool] = boolean_field(
        help="Whoever joins is invited, and is a member when the terms are accepted",
        column={"server_default": text("false")},
    )
    terms_first: Mapped[bool] = boolean_field(label="Terms must be accepted", help="Nothing is earned or redeemed before",
                                              column={"server_default": text("false")})  # fmt: skip
    tier_measure: Mapped[TierMeasure] = choice_field(
        TierMeasure, label="Tiers count", column={"server_default": "points"}
    )
    tier_months: Mapped[int] = integer_field(minimum=1, maximum=120, label="Tiers count over (months)",
                                             column={"server_default": text("12")})  # fmt: skip
    tier_period: Mapped[TierPeriod] = choice_field(TierPeriod, label="Of which months", column={"server_default": "rolling"},
        help="With calendar periods, such as years, a tier is kept to the end of the one after it was earned in")  # fmt: skip
    grace_days: Mapped[int] = integer_field(minimum=0, maximum=3650, column={"server_default": text("30")})
    hold_hours: Mapped[int] = integer_field(minimum=1, maximum=8760, label="Points are held for (hours)",
                                            column={"server_default": text("72")})  # fmt: skip
    alone_up_to: Mapped[int] = integer_field(minimum=0, label="One person adjusts up to (points)",
                                             help="More needs a second person", column={"server_default": text("1000")})  # fmt: skip
    tiers_checked_on: Mapped[dt.date | None] = date_field(editable=False, label="Tiers checked")

    terms: Mapped[list[LoyaltyTerms]] = relationship(
        back_populates="program", order_by="LoyaltyTerms.id.desc()", passive_deletes="all"
    )
    tiers: Mapped[list[LoyaltyTier]] = relationship(
        back_populates="program", order_by="LoyaltyTier.rank", passive_deletes="all"
    )
    segment: Mapped[Segment | None] = relationship()
    rewards: Mapped[list[Reward]] = relationship(
        back_populates="program", order_by="Reward.points", passive_deletes="all"
    )

    __table_args__ = (
        in_order("valid_from", "valid_until"),
        fits_currency("minimum_purchase"),
        fits_currency("fee"),
        Index("uq_loyalty_program_main", "main", unique=True, postgresql_where=text("main")),
    )


class LoyaltyTerms(Entity):
    """The rules of a program from a day on. A version is never changed: the next one takes its place."""

    only_changes = ()
    about = About(
        area="Loyalty", icon="scroll-text", label="Terms", label_plural="Terms", plural="loyalty-terms", title="called",
        columns=("program", "version", "valid_from", "points_per_unit", "point_value", "points_last_months", "cashback_percent"),
        filters=("program", "valid_from", "created_at"), sort=("created_at",), edit=False,
        sections=(
            Section("Terms", ("program", "valid_from", "conditions"), "They hold from this day until the next version."),
            Section("Points", ("points_per_unit", "earns_when", "least_purchase", "most_points", "without_category", "point_value", "points_last_months")),
            Section("More", ("cashback_percent", "referrer_bonus", "referred_bonus")),
        ),
        detail=(
            Section("Terms", ("program", "version", "valid_from", "conditions")),
            Section("Points", ("points_per_unit", "earns_when", "least_purchase", "most_points", "without_category", "point_value", "points_last_months")),
            Section("More", ("cashback_percent", "referrer_bonus", "referred_bonus")),
        ),
        help="What each program gives and asks, version by version.",
    )  # fmt: skip

    program_id: Mapped[int] = reference_field("loyalty_program", table="loyalty_program", required=True)
    version: Mapped[int] = integer_field(editable=False, column={"server_default": FetchedValue()})
    valid_from: Mapped[dt.date] = date_field(required=True, label="From")
    conditions: Mapped[str | None] = long_text_field(label="Terms and conditions")
    points_per_unit: Mapped[Decimal] = decimal_field(
        decimals=4, minimum=0, label="Points per unit bought", help="Earned for one of the program's currency",
        column={"server_default": text("1")})  # fmt: skip
    earns_when: Mapped[EarnsWhen] = choice_field(EarnsWhen, label="Earned when", column={"server_default": "completed"})
    least_purchase: Mapped[Decimal | None] = decimal_field(
        minimum=0,
        label="Orders count from",
        help="The amount that counts, in the program's currency; less earns nothing",
    )
    most_points: Mapped[int | None] = integer_field(minimum=1, label="Points at most", help="For one order")
    without_category_id: Mapped[int | None] = reference_field(
        "product_category", table="product_category", label="Nothing is earned for", help="With the categories in it"
    )
    point_value: Mapped[Decimal] = decimal_field(
        decimals=4, minimum=0, label="One point is worth", help="When redeemed, in the program's currency",
        column={"server_default": text("0.10")})  # fmt: skip
    points_last_months: Mapped[int | None] = integer_field(minimum=1, maximum=240, label="Points last (months)",
                                                           help="Empty: they never expire")  # fmt: skip
    cashback_percent: Mapped[Decimal] = decimal_field(minimum=0, maximum=100, label="Cashback in per cent",
                                                      column={"server_default": text("0")})  # fmt: skip
    referrer_bonus: Mapped[int] = integer_field(
        minimum=0, label="Points for who refers", column={"server_default": text("0")}
    )
    referred_bonus: Mapped[int] = integer_field(
        minimum=0, label="Points for who comes", column={"server_default": text("0")}
    )
    program: Mapped[LoyaltyProgram] = relationship(back_populates="terms", lazy="selectin")
    without_category: Mapped[ProductCategory | None] = relationship()

    __table_args__ = (UniqueConstraint("program_id", "version"),)

    triggers = (
        Trigger("loyalty_terms_version", "BEFORE INSERT", each="ROW", body="""
BEGIN
  PERFORM FROM loyalty_program p WHERE p.id = NEW.program_id FOR NO KEY UPDATE;
  NEW.version := 1 + coalesce((SELECT max(t.version) FROM loyalty_terms t WHERE t.program_id = NEW.program_id), 0);
  RETURN NEW;
END"""),
    )  # fmt: skip

    @property
    def called(self) -> str:
        return f"{self.program.name}, version {self.version}"


class LoyaltyTier(Entity):
    """A step of a program: how much it takes to get there and to stay, and what it gives."""

    about = About(
        area="Loyalty", icon="trophy", label="Tier", label_plural="Tiers", plural="loyalty-tiers",
        columns=("name", "program", "rank", "enter_at", "leave_below", "multiplier", "benefits"),
        search=("name",), filters=("program", "name", "rank", "enter_at", "raises_priority"), sort=("rank",), delete=True,
        sections=(
            Section("Tier", ("program", "name", "rank", "enter_at", "leave_below")),
            Section("What it gives", ("benefits", "multiplier", "raises_priority", "exclusive_access")),
        ),
        help="Silver, Gold, Platinum, VIP: with two thresholds, so that nobody goes up and down every day.",
    )  # fmt: skip

    program_id: Mapped[int] = reference_field("loyalty_program", table="loyalty_program", required=True)
    name: Mapped[str] = text_field(required=True, max_length=60)
    rank: Mapped[int] = integer_field(required=True, minimum=1, maximum=99, help="1 is the lowest")
    enter_at: Mapped[Decimal] = decimal_field(required=True, minimum=0, label="Reached at",
                                              help="Points or amount, as the program counts")  # fmt: skip
    leave_below: Mapped[Decimal] = decimal_field(required=True, minimum=0, label="Kept down to")
    benefits: Mapped[str | None] = long_text_field()
    multiplier: Mapped[Decimal] = decimal_field(minimum=0, maximum=100, label="Points times",
                                                column={"server_default": text("1")})  # fmt: skip
    raises_priority: Mapped[bool] = boolean_field(label="Priority service", help="Tickets and appointments come first",
                                                  column={"server_default": text("false")})  # fmt: skip
    exclusive_access: Mapped[str | None] = text_field(help="Events, lounge, first look at new models")
    program: Mapped[LoyaltyProgram] = relationship(back_populates="tiers")

    __table_args__ = (
        UniqueConstraint("program_id", "rank"),
        UniqueConstraint("program_id", "name"),
        UniqueConstraint("program_id", "id"),
        rule("leave_below", "leave_below <= enter_at", "is more than it takes to get there"),
    )


class Reward(Entity):
    """Something that points of a program are spent on."""

    about = About(
        area="Loyalty", icon="gift", columns=("name", "program", "kind", "points", "worth", "currency", "active", "valid_until"),
        search=("name",), filters=("program", "kind", "points", "active", "product", "valid_until", "created_at"),
        sort=("points", "created_at"),
        sections=(
            Section("Reward", ("program", "name", "kind", "points", "description", "active", "valid_from", "valid_until")),
            Section("Worth", ("worth", "currency", "discount_percent", "product")),
        ),
        help="The catalogue: discounts, free products, priority service, exclusive access.",
    )  # fmt: skip

    program_id: Mapped[int] = reference_field("loyalty_program", table="loyalty_program", required=True)
    name: Mapped[str] = text_field(required=True, max_length=120)
    kind: Mapped[RewardKind] = choice_field(RewardKind, required=True)
    points: Mapped[int] = integer_field(required=True, minimum=1, help="What it takes")
    description: Mapped[str | None] = long_text_field()
    active: Mapped[bool] = boolean_field(help="Can be had", column={"server_default": text("true")})
    valid_from: Mapped[dt.date] = date_field(column={"server_default": func.current_date()})
    valid_until: Mapped[dt.date | None] = date_field()
    worth: Mapped[Decimal | None] = money_field(minimum=0)
    currency: Mapped[str | None] = currency_field()
    discount_percent: Mapped[Decimal | None] = decimal_field(minimum=0, maximum=100, label="Discount in per cent")
    product_id: Mapped[int | None] = reference_field("product", table="product", label="Free product")
    program: Mapped[LoyaltyProgram] = relationship(back_populates="rewards")
    product: Mapped[Product | None] = relationship()

    __table_args__ = (in_order("valid_from", "valid_until"), with_currency("worth"), fits_currency("worth"))
