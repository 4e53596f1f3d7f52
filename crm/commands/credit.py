"""What may happen to credit: requests are decided by others than who asked, holds are placed and released, payments
allocated and taken back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, update

from crm.commands.communications import refuse_archived
from crm.commands.ledger_entries import enter
from crm.core import figures
from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.credit_accounts import ApprovalBand, CreditAccount, CreditHold
from crm.models.credit_choices import AccountState, HoldScope, PaymentKind, RequestStatus, Verdict
from crm.models.credit_figures import InvoiceFigures, PaymentFigures
from crm.models.credit_invoices import Invoice, Payment, PaymentAllocation
from crm.models.credit_requests import CreditDecision, CreditRequest

_REASON = field_of("long_text", required=True, field_class=FieldClass.FINANCIAL)
_FASTER = "somebody else has decided it just now"


# Requests


@command(CreditRequest, "Approve", icon="check", tone="good", confirm="The limit becomes what was asked for.",
         asks={"reason": field_of("long_text", field_class=FieldClass.FINANCIAL)},
         applies=lambda request: request.status is RequestStatus.PENDING)  # fmt: skip
def approve(request: CreditRequest, *, by: User, reason: str | None) -> None:
    """Approve what another person asked for, as far as your authority goes; above it a second approver is needed."""
    band = _authority(request, by)
    if band.up_to is not None and request.amount > band.up_to:
        raise Refused(f"it is above your authority of {band.up_to:,.0f}")
    step = 1 + len(request.decisions)
    _decide(request, by, Verdict.APPROVED, reason, final=step == 2 or request.amount <= band.alone_up_to,
            credit_limit=request.amount, terms=request.terms)  # fmt: skip


@command(CreditRequest, "Refuse", icon="x", tone="bad", asks={"reason": _REASON},
         applies=lambda request: request.status is RequestStatus.PENDING)  # fmt: skip
def refuse(request: CreditRequest, *, by: User, reason: str) -> None:
    """Refuse what another person asked for. The limit stays as it is."""
    _authority(request, by)
    _decide(request, by, Verdict.REFUSED, reason, final=True)


@command(CreditRequest, "Withdraw", icon="undo-2", confirm="Nobody needs to decide it any more.",
         applies=lambda request: request.status is RequestStatus.PENDING)  # fmt: skip
def withdraw(request: CreditRequest, *, by: User) -> None:
    """Take back what you asked for yourself."""
    if request.requested_by_id != by.id:
        raise Refused("only who asked may take it back")
    _close(request, RequestStatus.WITHDRAWN)


def _authority(request: CreditRequest, by: User) -> ApprovalBand:
    """The widest band of the person's roles."""
    if request.requested_by_id == by.id:
        raise Refused("you asked for it yourself: another approver must decide")
    if request.status is not RequestStatus.PENDING:
        raise Refused(f"it is {request.status.label.lower()} already")
    db.session.expire(request, ["decisions"])  # the row is locked now: nobody adds another
    if any(decision.decided_by_id == by.id for decision in request.decisions):
        raise Refused("you have approved it already: a second approver must decide")
    bands = db.session.scalars(select(ApprovalBand).where(ApprovalBand.role_id.in_([role.id for role in by.roles])))
    widest = max(bands, key=lambda band: (band.up_to is None, band.up_to or 0, band.alone_up_to), default=None)
    if widest is None:
        raise Refused("none of your roles may decide on credit: ask for an approval band")
    return widest


def _decide(
    request: CreditRequest, by: User, verdict: Verdict, reason: str | None, *, final: bool, **more: Any
) -> None:
    refuse_archived(request.account.party)
    if final:
        _close(request, RequestStatus(verdict.value))
    decision = CreditDecision(
        request_id=request.id, account_id=request.account_id, requested_by_id=request.requested_by_id, decided_by_id=by.id,
        step=1 + len(request.decisions), final=final, verdict=verdict, reason=reason, **more)  # fmt: skip
    enter(decision, twice=_FASTER)
    if final and verdict is Verdict.APPROVED and request.terms is not None:
        request.account.terms = request.terms
    db.session.expire(request, ["decisions"])


def _close(request: CreditRequest, status: RequestStatus) -> None:
    """Only from pending, whoever else is at it."""
    moved = (update(CreditRequest).where(CreditRequest.id == request.id, CreditRequest.status == RequestStatus.PENDING)
             .values(status=status).returning(CreditRequest.id).execution_options(synchronize_session=False))  # fmt: skip
    if db.session.scalar(moved) is None:
        raise Refused(_FASTER)
    db.session.expire(request, ["status", "xmin", "updated_at"])


# Accounts and holds


@command(CreditAccount, "Hold", icon="octagon-alert", tone="warning",
         asks={"scope": field_of("choice", choices=HoldScope, required=True), "reason": _REASON,
               "until": field_of("date", help="Empty: until it is released")})  # fmt: skip
def hold(account: CreditAccount, *, by: User, scope: HoldScope, reason: str, until: dt.date | None) -> None:
    """Nothing more on credit for the time being."""
    refuse_archived(account.party)
    if until is not None and until < today():
        raise Refused("that day is over")
    db.session.add(CreditHold(account_id=account.id, scope=scope, reason=reason, until=until, by_id=by.id))
    db.session.flush()


@command(CreditHold, "Release", icon="lock-open", tone="good", asks={"reason": _REASON},
         applies=lambda placed: placed.released_at is None)  # fmt: skip
def release(placed: CreditHold, *, by: User, reason: str) -> None:
    """The hold is over."""
    refuse_archived(placed.account.party)
    if placed.released_at is not None:
        raise Refused("it is released already")
    placed.released_at, placed.released_by_id, placed.release_reason = dt.datetime.now(dt.UTC), by.id, reason


@command(CreditAccount, "Reviewed", icon="clipboard-check",
         asks={"next_review_on": field_of("date", label="Next review", help="Empty: as often as the account says")})  # fmt: skip
def review(account: CreditAccount, *, by: User, next_review_on: dt.date | None) -> None:
    """Note that the account was reviewed today."""
    refuse_archived(account.party)
    day = today()
    if next_review_on is not None and next_review_on < day:
        raise Refused("the next review can't lie before today")
    if next_review_on is None and account.review_months:
        next_review_on = db.session.scalar(
            select(func.date(func.current_date() + func.make_interval(0, account.review_months)))
        )
    account.last_review_on, account.next_review_on = day, next_review_on


@command(CreditAccount, "Close", icon="lock", tone="warning", confirm="The limit counts no more; invoices and payments stay.",
         applies=lambda account: account.state is AccountState.OPEN)  # fmt: skip
def close(account: CreditAccount, *, by: User) -> None:
    """No more credit; what is owed stays owed."""
    refuse_archived(account.party)
    if account.state is AccountState.CLOSED:
        raise Refused("it is closed already")
    account.state = AccountState.CLOSED


# Invoices and payments


@command(Invoice, "Change due date", icon="calendar", asks={"due_on": field_of("date", required=True, label="Due")})
def change_due_date(invoice: Invoice, *, by: User, due_on: dt.date) -> None:
    """Give the customer another day to pay."""
    refuse_archived(invoice.account.party)
    if due_on < invoice.issued_on:
        raise Refused("that lies before the day of the invoice")
    invoice.due_on = due_on


@command(Invoice, "Credit note", icon="undo-2", tone="warning",
         asks={"amount": field_of("money", label="Amount", help="Empty: all that is open", field_class=FieldClass.FINANCIAL),
               "reason": _REASON})  # fmt: skip
def credit(invoice: Invoice, *, by: User, amount: Decimal | None, reason: str) -> None:
    """Credit an invoice, in full or in part."""
    refuse_archived(invoice.account.party)
    figures.settle()
    there = db.session.scalar(select(InvoiceFigures.open_amount).where(InvoiceFigures.id == invoice.id)) or Decimal(0)
    if there <= 0:
        raise Refused("nothing of it is open")
    if amount is not None and not 0 < amount <= there:
        raise Refused(f"give an amount up to {there:,.2f}")
    enter(Payment(account_id=invoice.account_id, kind=PaymentKind.CREDIT_NOTE, amount=amount or there, currency=invoice.currency,
                  exchange_rate=invoice.exchange_rate, invoice_id=invoice.id, remarks=reason, by_id=by.id), twice=_FASTER)  # fmt: skip


@command(Payment, "Take back", icon="rotate-ccw", tone="bad", asks={"reason": _REASON},
         confirm="What it settled is open again.", applies=lambda payment: payment.reverses_id is None)  # fmt: skip
def take_back(payment: Payment, *, by: User, reason: str) -> None:
    """It came back, or was entered wrongly: what it settled is open again."""
    refuse_archived(payment.account.party)
    if payment.reverses_id is not None:
        raise Refused("it takes one back itself")
    enter(Payment(account_id=payment.account_id, kind=PaymentKind.TAKEN_BACK, amount=-payment.amount, currency=payment.currency,
                  exchange_rate=payment.exchange_rate, reverses_id=payment.id, remarks=reason, by_id=by.id),
          twice="it was taken back already")  # fmt: skip


@command(Payment, "Allocate", icon="split", applies=lambda payment: (getattr(payment, "left_amount", None) or 0) > 0)
def allocate(payment: Payment, *, by: User) -> None:
    """Settle open invoices with what is left of it, the oldest first."""
    refuse_archived(payment.account.party)
    db.session.scalar(
        select(CreditAccount.id).where(CreditAccount.id == payment.account_id).with_for_update(key_share=True)
    )
    figures.settle()
    left = db.session.scalar(select(PaymentFigures.left_amount).where(PaymentFigures.id == payment.id)) or Decimal(0)
    if left <= 0 or db.session.scalar(select(Payment.id).where(Payment.reverses_id == payment.id)):
        raise Refused("nothing is left of it")
    found = db.session.execute(
        select(InvoiceFigures.id, InvoiceFigures.open_amount).join(Invoice, Invoice.id == InvoiceFigures.id)
        .where(InvoiceFigures.account_id == payment.account_id, InvoiceFigures.open_worth > 0, Invoice.currency == payment.currency)
        .order_by(InvoiceFigures.due_on, InvoiceFigures.id))  # fmt: skip
    done = False
    for number, there in found.all():
        if left <= 0:
            break
        db.session.add(PaymentAllocation(payment_id=payment.id, invoice_id=number, amount=min(left, there)))
        left, done = left - min(left, there), True
    if not done:
        raise Refused("no invoice in its currency is open")
    db.session.flush()
