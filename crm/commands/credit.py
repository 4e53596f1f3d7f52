"""What may happen to credit: requests are decided by others than who asked, holds are placed and released, payments
allocated and taken back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Text, func, insert, literal, select, update

from crm.commands.communications import refuse_archived
from crm.commands.ledger_entries import enter
from crm.core import figures
from crm.core.command import Refused, among, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount, CreditHold
from crm.models.credit_choices import AccountState, HoldScope, PaymentKind, RequestStatus, Verdict
from crm.models.credit_figures import CreditAccountFigures, InvoiceFigures, PaymentFigures
from crm.models.credit_invoices import Invoice, Payment, PaymentAllocation
from crm.models.credit_policy import says
from crm.models.credit_reminders import CreditReminder
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.models.insight_choices import AlertKind, AlertState
from crm.models.insights import Alert
from crm.models.parties import Party
from crm.queries.credit_decisions import judged

_REASON = field_of("long_text", required=True, field_class=FieldClass.FINANCIAL)
_FASTER = "somebody else has decided it just now"


# Requests


@command(CreditRequest, "Approve", icon="check", tone="good", confirm="The limit becomes what was asked for.",
         asks={"reason": field_of("long_text", field_class=FieldClass.FINANCIAL),
               "even_stale": field_of("boolean", label="Stale ones too", help="I have looked at the figures of today")},
         applies=lambda request: request.status is RequestStatus.PENDING)  # fmt: skip
def approve(request: CreditRequest, *, by: User, reason: str | None, even_stale: bool | None = False) -> None:
    """Approve what another person asked for, as far as your authority goes; above it a second approver is needed."""
    _said(request, approve_many([request.id], by=by, reason=reason, even_stale=even_stale))


@approve.many
def approve_many(ids: list[int], *, by: User, reason: str | None, even_stale: bool | None = False) -> dict[int, str]:
    return _decide(ids, by, Verdict.APPROVED, reason, even_stale=bool(even_stale))


@command(CreditRequest, "Refuse", icon="x", tone="bad", asks={"reason": _REASON},
         applies=lambda request: request.status is RequestStatus.PENDING)  # fmt: skip
def refuse(request: CreditRequest, *, by: User, reason: str) -> None:
    """Refuse what another person asked for. The limit stays as it is."""
    _said(request, refuse_many([request.id], by=by, reason=reason))


@refuse.many
def refuse_many(ids: list[int], *, by: User, reason: str) -> dict[int, str]:
    return _decide(ids, by, Verdict.REFUSED, reason)


def _said(request: CreditRequest, refused: dict[int, str]) -> None:
    if request.id in refused:
        raise Refused(refused[request.id])
    db.session.expire(request.account, ["terms"])
    db.session.expire(request)


def _decide(
    ids: list[int], by: User, verdict: Verdict, reason: str | None, *, even_stale: bool = False
) -> dict[int, str]:
    """Decide these requests; of those that can't be decided the reasons. Locked first: what is read then stays true."""
    approving = verdict is Verdict.APPROVED
    db.session.flush()
    them = among(CreditRequest.id, ids)
    db.session.execute(select(CreditRequest.id).where(them).order_by(CreditRequest.id).with_for_update(key_share=True))
    told = judged(them, by, "approve" if approving else "refuse", even_stale=even_stale, together=True)
    why_not = db.session.execute(select(told.c.id, told.c.why).where(told.c.why.is_not(None)))
    refused: dict[int, str] = {row.id: row.why for row in why_not}
    values: dict[str, Any] = {
        "request_id": told.c.id, "account_id": told.c.account_id, "requested_by_id": told.c.requested_by_id,
        "step": told.c.step, "final": told.c.final, "verdict": literal(verdict, CreditDecision.verdict.type),
        "reason": literal(reason, Text), "decided_by_id": literal(by.id), "on_behalf_of_id": told.c.behalf,
    }  # fmt: skip
    if approving:
        values |= {"credit_limit": told.c.amount, "terms": told.c.terms}
    decided = select(*values.values()).where(told.c.why.is_(None)).order_by(told.c.id)
    made = (
        insert(CreditDecision)
        .from_select(list(values), decided)
        .returning(CreditDecision.request_id, CreditDecision.final)
    )
    final = [number for number, last in db.session.execute(made) if last]
    _close(among(CreditRequest.id, final), RequestStatus(verdict.value))
    if approving:
        last = (select(func.max(CreditRequest.id)).where(among(CreditRequest.id, final), CreditRequest.terms.is_not(None))
                .group_by(CreditRequest.account_id))  # fmt: skip
        db.session.execute(update(CreditAccount).where(CreditRequest.id.in_(last), CreditAccount.id == CreditRequest.account_id)
                           .values(terms=CreditRequest.terms).execution_options(synchronize_session=False))  # fmt: skip
    return refused


@command(CreditRequest, "Withdraw", icon="undo-2", confirm="Nobody needs to decide it any more.",
         applies=lambda request: request.status is RequestStatus.PENDING)  # fmt: skip
def withdraw(request: CreditRequest, *, by: User) -> None:
    """Take back what you asked for yourself."""
    if request.requested_by_id != by.id:
        raise Refused("only who asked may take it back")
    if not _close(CreditRequest.id == request.id, RequestStatus.WITHDRAWN):
        raise Refused(_FASTER)
    db.session.expire(request, ["status", "xmin", "updated_at"])


def hold_by_rule() -> int:
    """Place and release holds as the rules of the policy say today. Answers how many."""
    return run_in_transaction(lambda: int(db.session.scalar(select(func.credit_hold_by_rule())) or 0))


def expire_requests() -> int:
    """End the requests that nobody decided for too long; their figures say nothing any more. Answers how many."""
    waited = CreditRequest.created_at < func.now() - func.make_interval(0, 0, 0, says("expire_days"))
    return run_in_transaction(lambda: len(_close(waited, RequestStatus.EXPIRED)))


def _close(which: ColumnElement[bool], status: RequestStatus) -> list[int]:
    """Only from pending, whoever else is at it. Answers the numbers of those that were closed."""
    moved = (update(CreditRequest).where(which, CreditRequest.status == RequestStatus.PENDING)
             .values(status=status).returning(CreditRequest.id).execution_options(synchronize_session=False))  # fmt: skip
    return list(db.session.scalars(moved))


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
    alerts = (Alert.kind == AlertKind.CREDIT, Alert.state == AlertState.OPEN, Alert.party_id == account.party_id,
              Alert.due_on == account.next_review_on, Alert.subject == _overdue(account.code))  # fmt: skip
    db.session.execute(
        update(Alert).where(*alerts).values(state=AlertState.DONE, settled_at=func.now(), settled_by_id=by.id)
    )
    account.last_review_on, account.next_review_on = day, next_review_on


def _overdue(code: Any) -> Any:
    return "The credit review of " + code + " is overdue"


def alert_overdue_reviews() -> int:
    """An alert for the owner of each customer whose credit should have been reviewed by now, once for each day it was due.
    Answers how many."""
    subject = _overdue(CreditAccount.code)
    there = select(Alert.id).where(Alert.kind == AlertKind.CREDIT, Alert.party_id == CreditAccount.party_id,
                                   Alert.due_on == CreditAccount.next_review_on, Alert.subject == subject)  # fmt: skip
    due = (
        select(subject, literal(AlertKind.CREDIT, Alert.kind.type), CreditAccount.party_id, Party.owner_id, CreditAccount.next_review_on)
        .join(Party, Party.id == CreditAccount.party_id)
        .where(CreditAccount.state == AccountState.OPEN, CreditAccount.next_review_on < func.current_date(),
               Party.archived_at.is_(None), ~there.exists())
        .order_by(CreditAccount.id)
    )  # fmt: skip
    made = insert(Alert).from_select(["subject", "kind", "party_id", "assignee_id", "due_on"], due).returning(Alert.id)
    return run_in_transaction(lambda: len(db.session.scalars(made).all()))


@command(CreditAccount, "Reminder sent", icon="bell", confirm="It is noted with today's date and stays.",
         asks={"remarks": field_of("long_text", field_class=FieldClass.FINANCIAL)},
         applies=lambda account: getattr(account, "reminder", None) is not None)  # fmt: skip
def remind(account: CreditAccount, *, by: User, remarks: str | None) -> None:
    """Note that the reminder which is due went out, by letter, mail or phone. Nothing is sent by this."""
    refuse_archived(account.party)
    figures.settle()
    db.session.expire(account)
    due: CreditAccountFigures = account.credit_account_figures  # type: ignore[attr-defined]
    db.session.refresh(due)
    level = due.reminder  # type: ignore[attr-defined]
    if level is None:
        raise Refused("no reminder is due")
    enter(CreditReminder(account_id=account.id, level=level, overdue=due.overdue, oldest_due_on=due.oldest_due_on,  # type: ignore[attr-defined]
                         remarks=remarks, by_id=by.id), twice="that reminder was noted already")  # fmt: skip


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
