"""What invoices, payments and decisions add up to: of each invoice and payment, of each account. How old a debt is, and so
how an account stands, moves with the calendar and is worked out when it is asked for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Date,
    Enum,
    Index,
    Integer,
    Numeric,
    Text,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    select,
    table,
    text,
    type_coerce,
)
from sqlalchemy.orm import Mapped, mapped_column

from crm.core.fields import Choice, FieldClass, choice_field, date_field, field_of, integer_field, money_field
from crm.core.figures import Edge, OfRecord, Only, Source, Summed
from crm.core.ledgers import OpenLots
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount, why_held
from crm.models.credit_choices import AccountState, Ageing, InvoiceState, Reminder, Standing, Verdict
from crm.models.credit_invoices import MONEY
from crm.models.credit_policy import counted, says
from crm.models.credit_reminders import CreditReminder
from crm.models.credit_requests import CreditDecision
from crm.models.party_figures import CustomerFigures


class OpenInvoice(OpenLots):
    """What is left of invoices that aren't settled."""

    __tablename__ = "open_invoice"
    ledger = MONEY


class InvoiceFigures(OfRecord):
    """What is open of an invoice, in its currency; `open_worth` is the company's."""

    shown_by = ("invoice",)
    record = "invoice"
    touched_by = {"invoice": "SELECT r.id FROM {rows} r", "payment_allocation": "SELECT r.invoice_id FROM {rows} r"}

    account_id: Mapped[int] = mapped_column(BigInteger)
    due_on: Mapped[dt.date] = mapped_column(Date)
    open_amount: Mapped[Decimal] = money_field(label="Open")
    open_worth: Mapped[Decimal] = mapped_column(Numeric(19, 4))
    settlement: Mapped[InvoiceState] = choice_field(InvoiceState, label="Status")
    settled_on: Mapped[dt.date | None] = date_field(label="Paid", help="The last payment for it; credit notes aside")

    __table_args__ = (
        CheckConstraint("open_amount >= 0", name="open_amount"),
        Index("ix_invoice_figures_open", "account_id", "due_on", postgresql_where=text("open_worth > 0")),
    )

    @classmethod
    def query(cls, only: Only) -> str:
        return f"""
SELECT i.id, i.account_id, i.due_on, i.amount - coalesce(b.paid, 0) AS open_amount,
  round((i.amount - coalesce(b.paid, 0)) * i.exchange_rate, 4) AS open_worth,
  CASE WHEN coalesce(b.paid, 0) = 0 THEN 'open' WHEN b.paid < i.amount THEN 'part_paid' ELSE 'paid' END AS settlement,
  CASE WHEN b.paid >= i.amount THEN b.last_on END AS settled_on
FROM invoice i
LEFT JOIN (SELECT a.invoice_id, sum(a.amount) AS paid, max(p.paid_on) FILTER (WHERE a.amount > 0 AND p.kind = 'payment') AS last_on
             FROM payment_allocation a JOIN payment p ON p.id = a.payment_id WHERE {only("a.invoice_id")} GROUP BY a.invoice_id) b
  ON b.invoice_id = i.id
WHERE {only("i.id")}"""  # noqa: S608 - made of constants


class PaymentFigures(OfRecord):
    """What of a payment has settled nothing yet."""

    shown_by = ("payment",)
    record = "payment"
    touched_by = {"payment": "SELECT r.id FROM {rows} r", "payment_allocation": "SELECT r.payment_id FROM {rows} r"}

    account_id: Mapped[int] = mapped_column(BigInteger)
    paid_on: Mapped[dt.date | None] = mapped_column(Date)
    left_amount: Mapped[Decimal] = money_field(label="Not allocated")
    left_worth: Mapped[Decimal] = mapped_column(Numeric(19, 4))

    __table_args__ = (Index("ix_payment_figures_of_account", "account_id", "paid_on"),)

    @classmethod
    def query(cls, only: Only) -> str:
        return f"""
SELECT p.id, p.account_id, CASE WHEN p.kind = 'payment' THEN p.paid_on END AS paid_on, p.amount - coalesce(b.used, 0) AS left_amount,
  round((p.amount - coalesce(b.used, 0)) * p.exchange_rate, 4) AS left_worth
FROM payment p
LEFT JOIN (SELECT a.payment_id, sum(a.amount) AS used FROM payment_allocation a WHERE {only("a.payment_id")} GROUP BY a.payment_id) b
  ON b.payment_id = p.id
WHERE {only("p.id")}"""  # noqa: S608 - made of constants


class CreditAccountSums(Summed):
    """The sums of an account's invoices and payments, in the company's currency."""

    holders = ("credit_account", "true")
    sources = (
        Source("invoice_figures", "account_id", {
            "open_worth": "r.open_worth", "open_invoices": "(r.open_worth > 0)::int",
            "paid_on_time": "coalesce(r.settled_on <= r.due_on, false)::int",
            "paid_late": "coalesce(r.settled_on > r.due_on, false)::int",
        }, (Edge("oldest_due_on", "min", "r.due_on", "r.open_worth > 0"),)),
        Source("payment_figures", "account_id", {"unallocated": "r.left_worth"},
               (Edge("last_paid_on", "max", "r.paid_on"),)),
    )  # fmt: skip

    open_worth: Mapped[Decimal] = mapped_column(Numeric(19, 4), server_default=text("0"))
    unallocated: Mapped[Decimal] = mapped_column(Numeric(19, 4), server_default=text("0"))
    open_invoices: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    paid_on_time: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    paid_late: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    oldest_due_on: Mapped[dt.date | None] = mapped_column(Date)
    last_paid_on: Mapped[dt.date | None] = mapped_column(Date)


class CreditAccountFigures(OfRecord):
    """An account's limit, which is what the last final approval says, and what is owed on it."""

    shown_by = ("credit_account",)
    level = 2
    sort = ("credit_limit", "outstanding")
    record = "credit_account"
    touched_by = {
        "credit_account": "SELECT r.id FROM {rows} r",
        "credit_account_sums": "SELECT r.id FROM {rows} r",
        "credit_decision": "SELECT r.account_id FROM {rows} r",
    }

    party_id: Mapped[int] = mapped_column(BigInteger, index=True)
    credit_limit: Mapped[Decimal] = money_field(help="What the last decision says")
    approved_on: Mapped[dt.date | None] = date_field(label="Limit approved")
    outstanding: Mapped[Decimal] = money_field(help="Open invoices without unallocated payments")
    open_invoices: Mapped[int] = integer_field()
    unallocated: Mapped[Decimal] = money_field(label="Credit balance", help="Paid and not allocated yet")
    oldest_due_on: Mapped[dt.date | None] = date_field(label="Oldest due date", help="Of the open invoices")
    last_paid_on: Mapped[dt.date | None] = date_field(label="Last payment")
    paid_on_time: Mapped[int] = mapped_column(Integer)
    paid_late: Mapped[int] = mapped_column(Integer)
    reviewed_on: Mapped[dt.date | None] = mapped_column(Date)

    @classmethod
    def query(cls, only: Only) -> str:
        return f"""
SELECT a.id, a.party_id, CASE WHEN a.state = 'open' THEN coalesce(d.credit_limit, 0) ELSE 0 END AS credit_limit,
  (d.created_at AT TIME ZONE 'UTC')::date AS approved_on, s.open_worth - s.unallocated AS outstanding, s.open_invoices, s.unallocated,
  s.oldest_due_on, s.last_paid_on, s.paid_on_time, s.paid_late, a.last_review_on AS reviewed_on
FROM credit_account a
JOIN credit_account_sums s ON s.id = a.id
LEFT JOIN LATERAL (SELECT c.credit_limit, c.created_at FROM credit_decision c
                    WHERE c.account_id = a.id AND c.final AND c.verdict = 'approved' ORDER BY c.id DESC LIMIT 1) d ON true
WHERE {only("a.id")}"""  # noqa: S608 - made of constants


# What moves with the calendar

_TODAY = func.current_date()
_DAYS = case(
    (and_(InvoiceFigures.open_amount > 0, InvoiceFigures.due_on < _TODAY), _TODAY - InvoiceFigures.due_on), else_=0
)


def _word(choices: type[Choice], expression: ColumnElement[Any]) -> ColumnElement[Any]:
    return type_coerce(expression, Enum(choices, native_enum=False, length=32, create_constraint=False,
                                        values_callable=lambda members: [member.value for member in members]))  # fmt: skip


InvoiceFigures.moves("overdue_days", field_of("integer", label="Days overdue"), _DAYS)
InvoiceFigures.moves("ageing", field_of("choice", choices=Ageing), _word(Ageing, case(
    (InvoiceFigures.open_amount <= 0, None), (_DAYS == 0, "current"), (_DAYS <= 30, "1_30"), (_DAYS <= 60, "31_60"),
    (_DAYS <= 90, "61_90"), else_="over_90")))  # fmt: skip

_limit, _oldest = CreditAccountFigures.credit_limit, CreditAccountFigures.oldest_due_on
_buyer = table("customer_figures", *map(column, ("id", "unbilled", "uninvoiced")))


def _of_orders(figure: str) -> ColumnElement[Any]:
    found = select(_buyer.c[figure]).where(_buyer.c.id == CreditAccountFigures.party_id).correlate(CreditAccountFigures)
    return func.coalesce(found.scalar_subquery(), 0)


# Alone an account is told by its figures; what stands above and below it the database walks.
_used = case((says("over_group"), func.credit_used(CreditAccountFigures.id)), else_=counted(
    invoices=CreditAccountFigures.outstanding + CreditAccountFigures.unallocated, pending=_of_orders("unbilled"),
    completed=_of_orders("uninvoiced"), payments=CreditAccountFigures.unallocated))  # fmt: skip
_available = case((says("over_group"), func.credit_room(CreditAccountFigures.id)), else_=_limit - _used)
_open = select(literal(1)).where(InvoiceFigures.account_id == CreditAccountFigures.id, InvoiceFigures.open_worth > 0,
                                 InvoiceFigures.due_on < _TODAY)  # fmt: skip
_held = why_held(CreditAccountFigures.id).correlate(CreditAccountFigures)
# The first that fits says how the account stands, and why.
_RULES = (
    (_held.is_not(None), Standing.BLOCKED, _held),
    (_available < 0, Standing.BLOCKED, "More is used than the limit"),
    (_oldest < _TODAY, Standing.WARNING, "An invoice is overdue"),
    (_used * 100 > _limit * says("warned_percent"), Standing.WARNING,
     func.concat("More than ", says("warned_percent"), "% of the limit is used")),
)  # fmt: skip
CreditAccountFigures.moves("used", field_of("money", label="Used", field_class=FieldClass.FINANCIAL,
                                            help="What counts as used by the credit policy"), _used)  # fmt: skip
CreditAccountFigures.moves(
    "available", field_of("money", label="Available", field_class=FieldClass.FINANCIAL), _available
)
CreditAccountFigures.moves(
    "overdue", field_of("money", label="Overdue", field_class=FieldClass.FINANCIAL),
    _open.with_only_columns(func.coalesce(func.sum(InvoiceFigures.open_worth), 0)).correlate(CreditAccountFigures).scalar_subquery())  # fmt: skip
CreditAccountFigures.moves("standing", field_of("choice", choices=Standing, label="Status"), _word(
    Standing, case(*((condition, standing.value) for condition, standing, _ in _RULES), else_="good")))  # fmt: skip
CreditAccountFigures.moves("standing_reason", field_of("text", label="Because"), case(
    *((condition, why) for condition, _, why in _RULES), else_=None))  # fmt: skip
_last_approval = (
    select(User.name).join(CreditDecision, CreditDecision.decided_by_id == User.id)
    .where(CreditDecision.account_id == CreditAccountFigures.id, CreditDecision.final, CreditDecision.verdict == Verdict.APPROVED)
    .order_by(CreditDecision.id.desc()).limit(1).correlate(CreditAccountFigures).scalar_subquery()
)  # fmt: skip
CreditAccountFigures.moves("approved_by", field_of("text", label="Limit approved by"), _last_approval)

# Whom to remind: by how late the oldest is, whether that was done, and when any was last.
_late = _TODAY - _oldest
_level = case(
    (_late >= says("last_days"), "last"),
    (_late >= says("second_days"), "second"),
    (_late >= says("first_days"), "first"),
)
_reminders = (
    select(literal(1)).where(CreditReminder.account_id == CreditAccountFigures.id).correlate(CreditAccountFigures)
)
CreditAccountFigures.moves("reminder", field_of("choice", choices=Reminder, label="To be reminded"), _word(Reminder, case(
    (_reminders.where(CreditReminder.oldest_due_on == _oldest, cast(CreditReminder.level, Text) == _level).exists(), None),
    else_=_level)))  # fmt: skip
CreditAccountFigures.moves("late", field_of("choice", choices=Reminder, label="Overdue for"), _word(Reminder, _level))
CreditAccountFigures.moves("reminded_on", field_of("date", label="Last reminder"), cast(
    _reminders.with_only_columns(func.max(CreditReminder.created_at)).scalar_subquery(), Date))  # fmt: skip


def _of_customer(figure: ColumnElement[Any]) -> ColumnElement[Any]:
    """The figure of a customer's open account; there is one at most."""
    found = (
        select(figure).select_from(CreditAccountFigures).join(CreditAccount, CreditAccount.id == CreditAccountFigures.id)
        .where(CreditAccountFigures.party_id == CustomerFigures.id, CreditAccount.state == AccountState.OPEN)
        .correlate(CustomerFigures)
    )  # fmt: skip
    return func.coalesce(found.scalar_subquery(), 0)


CustomerFigures.moves("credit_used", field_of("money", label="Credit used", field_class=FieldClass.FINANCIAL,
                                              help="What counts as used by the credit policy"), _of_customer(_used))  # fmt: skip
CustomerFigures.moves(
    "credit_available", field_of("money", label="Credit available", field_class=FieldClass.FINANCIAL), _of_customer(_available)
)  # fmt: skip
