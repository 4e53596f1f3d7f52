"""The figures of customers: what their orders, deals, tickets and what was said to them add up to."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Computed,
    DateTime,
    Integer,
    Numeric,
    column,
    func,
    select,
    table,
    text,
)
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column

from crm.core.fields import (
    Choice,
    FieldClass,
    choice_field,
    date_field,
    datetime_field,
    declare,
    field_of,
    integer_field,
    money_field,
    text_field,
)
from crm.core.figures import Edge, Source, Summed
from crm.models import party_faces as _faces  # noqa: F401 - declares the faces that show these
from crm.models.credit_choices import PaymentBehaviour
from crm.models.party_choices import shows

# A figure that may be empty is sorted by a time before all others instead.
_BEFORE_ALL = "'0001-01-01 00:00:00+00'::timestamptz"
_RATED = {"ratings_sum": "coalesce(r.satisfaction, 0)", "ratings_count": "(r.satisfaction IS NOT NULL)::int"}
# A survey that was answered keeps its kind.
_OF_SATISFACTION = "(SELECT s.kind = 'csat' FROM survey s WHERE s.id = r.survey_id)"
# Days between purchases up to which they are called so, and what was spent from which it is much.
_DAILY, _WEEKLY, _MONTHLY = 3, 14, 60
_HIGH, _MEDIUM = 50_000, 5_000
_LATE_OF = 5


class PurchaseFrequency(Choice):
    DAILY = "daily", "Daily", "good"
    WEEKLY = "weekly", "Weekly", "good"
    MONTHLY = "monthly", "Monthly", "info"
    YEARLY = "yearly", "Yearly or less", "neutral"


class PurchaseVolume(Choice):
    HIGH = "high", "High", "good"
    MEDIUM = "medium", "Medium", "info"
    LOW = "low", "Low", "neutral"


def _count(label: str, help: str = "") -> MappedColumn[int]:
    return integer_field(label=label, help=help, column={"server_default": text("0")})


def _sum(label: str, help: str = "") -> MappedColumn[Decimal]:
    return money_field(label=label, help=help, column={"server_default": text("0")})


def _sort_of(name: str) -> MappedColumn[dt.datetime]:
    return mapped_column(
        DateTime(timezone=True), Computed(f"coalesce({name}, {_BEFORE_ALL})", persisted=True), nullable=False
    )


def _last(value: str, where: str = "true") -> tuple[Edge, ...]:
    return (Edge("last_activity_at", "max", value, where),)


class CustomerFigures(Summed):
    """What a customer is worth and how things stand, in the company's currency."""

    shown_by = ("customer", "end_customer")
    holders = ("party", shows("customer"))
    level = 3
    sort = ("orders_count", "total_spent", "average_order", "total_value", "last_purchase_at", "last_activity_at", "credit_limit",
            "outstanding", "points")  # fmt: skip
    sources = (
        Source("order_figures", "customer_id", {
            "orders_count": "r.completed::int", "pending_orders": "r.pending::int",
            # An order without lines stands for purchases that aren't known here: what came back of them counts all the same.
            "total_spent": "CASE WHEN r.completed OR r.lines_count = 0 THEN r.worth - r.refund_worth ELSE 0 END",
            "returns_count": "r.returns_count", "refunded": "r.refund_worth", "unbilled": "r.unbilled", "uninvoiced": "r.uninvoiced", **_RATED,
        }, (Edge("first_purchase_at", "min", "r.ordered_at", "r.completed"),
            Edge("last_purchase_at", "max", "r.ordered_at", "r.completed"),
            *_last("r.ordered_at", "r.completed"), *_last("r.ordered_at", "NOT r.completed"))),
        Source("deal_figures", "customer_id", {
            "deals_count": "1", "open_deals": "(NOT r.won AND NOT r.lost)::int", "won_deals": "r.won::int",
            "open_deals_value": "CASE WHEN r.won OR r.lost THEN 0 ELSE r.worth END",
            "won_deals_value": "CASE WHEN r.won THEN r.worth ELSE 0 END",
            "won_without_order": "CASE WHEN r.won AND r.orders_count = 0 THEN r.worth ELSE 0 END",
        }),
        Source("ticket_figures", "party_id", {
            "open_tickets": "r.open::int", "complaints": "r.complaint::int",
            "open_complaints": "(r.complaint AND r.open)::int", "escalations": "r.escalations_count", **_RATED,
        }, _last("r.opened_at")),
        Source("interaction", "party_id", {
            "interactions_count": "(r.state = 'done')::int",
            "response_minutes_sum": "coalesce(r.response_minutes, 0)", "responses_count": "(r.response_minutes IS NOT NULL)::int",
            **_RATED,
        }, _last("r.occurred_at", "r.state = 'done'")),
        Source("service_record", "customer_id", _RATED,
               _last("r.served_on::timestamp AT TIME ZONE 'UTC'", "r.state = 'done'")),
        Source("survey_answer", "party_id", {
            "ratings_sum": f"CASE WHEN {_OF_SATISFACTION} THEN coalesce(r.score, 0) ELSE 0 END",
            "ratings_count": f"(r.score IS NOT NULL AND {_OF_SATISFACTION})::int",
        }, _last("r.answered_at")),
        Source("digital_event", "party_id", edges=_last("r.occurred_at")),
        Source("credit_account_figures", "party_id", {
            "credit_accounts": "1", "credit_limit": "r.credit_limit", "outstanding": "r.outstanding",
            "open_invoices": "r.open_invoices", "paid_on_time": "r.paid_on_time", "paid_late": "r.paid_late",
        }, (Edge("oldest_due_on", "min", "r.oldest_due_on"), Edge("last_credit_review_on", "max", "r.reviewed_on"))),
        Source("loyalty_account_figures", "party_id", {
            "points": "CASE WHEN r.main THEN r.points ELSE 0 END", "rewards_held": "r.rewards_held",
        }, (Edge("tier", "max", "r.tier_name", "r.main"), Edge("next_points_expiry_on", "min", "r.next_expiry_on", "r.main"))),
    )  # fmt: skip

    orders_count: Mapped[int] = _count("Orders", "Completed ones")
    pending_orders: Mapped[int] = _count("Pending orders")
    total_spent: Mapped[Decimal] = _sum("Total spent", "Completed orders without what was paid back")
    average_order: Mapped[Decimal] = money_field(
        label="Average order", computed="CASE WHEN orders_count = 0 THEN 0 ELSE round(total_spent / orders_count, 4) END",
        column={"nullable": False})  # fmt: skip
    total_value: Mapped[Decimal] = money_field(
        label="Total value", computed="total_spent + won_without_order", help="Spent, and won deals without an order",
        column={"nullable": False})  # fmt: skip
    first_purchase_at: Mapped[dt.datetime | None] = datetime_field(label="First purchase")
    last_purchase_at: Mapped[dt.datetime | None] = datetime_field(label="Last purchase")
    purchase_frequency: Mapped[PurchaseFrequency | None] = choice_field(
        PurchaseFrequency, label="Buys", help="By the days between purchases",
        computed="CASE WHEN orders_count < 2 THEN NULL" + "".join(
            f" WHEN extract(epoch FROM last_purchase_at - first_purchase_at) / 86400 / (orders_count - 1) <= {days} THEN '{word}'"
            for days, word in ((_DAILY, "daily"), (_WEEKLY, "weekly"), (_MONTHLY, "monthly"))) + " ELSE 'yearly' END")  # fmt: skip
    purchase_volume: Mapped[PurchaseVolume | None] = choice_field(
        PurchaseVolume, label="Purchase volume", help="By what was spent",
        computed=f"CASE WHEN orders_count = 0 THEN NULL WHEN total_spent >= {_HIGH} THEN 'high' "
                 f"WHEN total_spent >= {_MEDIUM} THEN 'medium' ELSE 'low' END")  # fmt: skip
    returns_count: Mapped[int] = _count("Returns", "Without refused ones")
    refunded: Mapped[Decimal] = _sum("Refunds", "Paid back for what was returned")

    deals_count: Mapped[int] = _count("Deals")
    open_deals: Mapped[int] = _count("Open deals")
    open_deals_value: Mapped[Decimal] = _sum("Value of open deals")
    won_deals: Mapped[int] = _count("Deals won")
    won_deals_value: Mapped[Decimal] = _sum("Value of deals won")
    won_without_order: Mapped[Decimal] = mapped_column(Numeric(19, 4), server_default=text("0"))

    last_activity_at: Mapped[dt.datetime | None] = datetime_field(
        label="Last activity", help="Last order, contact, ticket, service, answer to a survey, or visit to site or app")  # fmt: skip
    interactions_count: Mapped[int] = _count("Interactions", "Calls, messages and meetings that took place")
    response_minutes_sum: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    responses_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    response_minutes: Mapped[int | None] = declare(
        "integer", Integer, Computed("round(response_minutes_sum::numeric / nullif(responses_count, 0))::int", persisted=True),
        label="Average response (minutes)", help="From their asking to your answer")  # fmt: skip
    open_tickets: Mapped[int] = _count("Open tickets", "Unresolved issues")
    complaints: Mapped[int] = _count("Complaints", "Ever")
    open_complaints: Mapped[int] = _count("Open complaints")
    escalations: Mapped[int] = _count("Escalations")
    ratings_sum: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    ratings_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    satisfaction: Mapped[Decimal | None] = declare(
        "decimal", Numeric(3, 2), Computed("round(ratings_sum::numeric / nullif(ratings_count, 0), 2)", persisted=True),
        help="Average from 1 to 5 of orders, contacts, tickets, services and surveys")  # fmt: skip

    credit_accounts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    credit_limit: Mapped[Decimal] = _sum("Credit limit", "What the last decision says")
    outstanding: Mapped[Decimal] = _sum("Outstanding", "Open invoices without unallocated payments")
    unbilled: Mapped[Decimal] = mapped_column(Numeric(19, 4), server_default=text("0"))
    uninvoiced: Mapped[Decimal] = mapped_column(Numeric(19, 4), server_default=text("0"))
    open_invoices: Mapped[int] = _count("Open invoices")
    oldest_due_on: Mapped[dt.date | None] = date_field(label="Oldest due date", help="Of the open invoices")
    paid_on_time: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    paid_late: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    payment_behaviour: Mapped[PaymentBehaviour | None] = choice_field(
        PaymentBehaviour, label="Pays", help=f"Delayed: more than one in {_LATE_OF} invoices late",
        computed=f"CASE WHEN paid_late * {_LATE_OF} > paid_on_time + paid_late THEN 'delayed' WHEN paid_on_time > 0 THEN 'on_time' "
                 "WHEN open_invoices > 0 THEN 'credit' END")  # fmt: skip
    last_credit_review_on: Mapped[dt.date | None] = date_field(label="Last credit review")
    points: Mapped[int] = _count("Points", "Available in the main loyalty program")
    tier: Mapped[str | None] = text_field(max_length=60, label="Membership tier", help="Of the main loyalty program")
    next_points_expiry_on: Mapped[dt.date | None] = date_field(label="Next points expire")
    rewards_held: Mapped[int] = _count("Rewards", "Taken in exchange for points")

    sort_last_purchase_at: Mapped[dt.datetime] = _sort_of("last_purchase_at")
    sort_last_activity_at: Mapped[dt.datetime] = _sort_of("last_activity_at")


_invoices = table("invoice_figures", *map(column, ("account_id", "due_on", "open_worth")))
_accounts = table("credit_account", *map(column, ("id", "party_id")))
_lots = table("point_entry_figures", *map(column, ("account_id", "expires_on", "remaining")))
_members = table("loyalty_account_figures", *map(column, ("id", "party_id", "main")))
CustomerFigures.moves(
    "overdue", field_of("money", label="Overdue", field_class=FieldClass.FINANCIAL, help="Open invoices after their due date"),
    select(func.coalesce(func.sum(_invoices.c.open_worth), 0)).join(_accounts, _accounts.c.id == _invoices.c.account_id)
    .where(_accounts.c.party_id == CustomerFigures.id, _invoices.c.open_worth > 0, _invoices.c.due_on < func.current_date())
    .correlate(CustomerFigures).scalar_subquery())  # fmt: skip
CustomerFigures.moves(
    "points_expiring", field_of("integer", label="Points that expire next"),
    select(func.coalesce(func.sum(_lots.c.remaining), 0)).join(_members, _members.c.id == _lots.c.account_id)
    .where(_members.c.party_id == CustomerFigures.id, _members.c.main, _lots.c.remaining > 0,
           _lots.c.expires_on == CustomerFigures.next_points_expiry_on)
    .correlate(CustomerFigures).scalar_subquery())  # fmt: skip
