"""What a person may decide of credit requests, and why not of the others; one place for the commands, the approver's desk
and the preview of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, null, or_, select
from sqlalchemy.sql.selectable import Subquery

from crm.core.entity import db
from crm.core.permissions import Actor
from crm.models.access import UserRole
from crm.models.credit_accounts import ApprovalBand, CreditAccount
from crm.models.credit_choices import RequestStatus
from crm.models.credit_figures import BLOCKED_AFTER, CreditAccountFigures
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.models.parties import Party

# A request is stale after so many days, or when the account's limit is another one, when what is used of it moved by more than
# this share of the limit asked for, or when an invoice has become too late since. After more days nobody decides it any more.
STALE_AFTER, STALE_SHARE, EXPIRES_AFTER = 30, Decimal("0.25"), 90
OWN = "you asked for it yourself: another approver must decide"
TWICE = "you have approved it already: a second approver must decide"
OLD = f"it is stale: asked more than {STALE_AFTER} days ago; look at it again and confirm that"
ANOTHER = "an earlier request of this account is among them, and its limit changes with that: decide them one by one"
CHANGED = "it is stale: the account's figures have changed since; look at it again and confirm that"


def band_of(actor: Actor) -> ApprovalBand | None:
    """The widest band of the person's roles."""
    bands = db.session.scalars(
        select(ApprovalBand).where(
            ApprovalBand.role_id.in_(select(UserRole.role_id).where(UserRole.user_id == actor.id))
        )
    )
    return max(bands, key=lambda band: (band.up_to is None, band.up_to or 0, band.alone_up_to), default=None)


def judged(
    which: ColumnElement[bool], actor: Actor, verb: str, *, even_stale: bool = False, together: bool = False
) -> Subquery:
    """Of these requests id, account_id, requested_by_id, amount, terms, created_at; the `step` and whether it is `final` if
    the actor decided now; and `why` he can't, null where he can. `verb` is approve or refuse; a stale one can be refused. Of an account's requests that are approved
    `together` the first one alone can be: the others were asked for by another limit."""
    band, figures = band_of(actor), CreditAccountFigures
    used = figures.used  # type: ignore[attr-defined]  # it moves with the calendar
    decided = select(literal(1)).where(CreditDecision.request_id == CreditRequest.id)
    step = (
        select(func.count() + 1).where(CreditDecision.request_id == CreditRequest.id)
        .correlate(CreditRequest).scalar_subquery()
    )  # fmt: skip
    approving, old, changed = verb == "approve", _old(), _changed(figures, used)
    reasons: list[tuple[Any, Any]] = [
        (CreditRequest.requested_by_id == actor.id, OWN),
        *((CreditRequest.status == one, f"it is {one.label.lower()} already") for one in RequestStatus
          if one is not RequestStatus.PENDING),
        (decided.where(CreditDecision.decided_by_id == actor.id).correlate(CreditRequest).exists(), TWICE),
    ]  # fmt: skip
    if band is None:
        reasons.append((literal(True), "none of your roles may decide on credit: ask for an approval band"))
    elif approving and band.up_to is not None:
        reasons.append((CreditRequest.amount > band.up_to, f"it is above your authority of {band.up_to:,.0f}"))
    reasons.append((Party.archived_at.is_not(None), "the party is archived: restore it first"))
    if approving and not even_stale:
        reasons += [(old, OLD), (changed, CHANGED)]
    if approving and together:
        pending = func.min(CreditRequest.id).filter(CreditRequest.status == RequestStatus.PENDING)
        reasons.append((pending.over(partition_by=CreditRequest.account_id) < CreditRequest.id, ANOTHER))
    final = or_(step > 1, CreditRequest.amount <= (band.alone_up_to if band else 0)) if approving else literal(True)
    columns = ("id", "account_id", "requested_by_id", "amount", "terms", "created_at")
    return (
        select(*(getattr(CreditRequest, name) for name in columns), step.label("step"), final.label("final"),
               case(*reasons, else_=null()).label("why"), case((old, OLD), (changed, CHANGED), else_=null()).label("stale"))
        .select_from(CreditRequest).join(CreditAccount, CreditAccount.id == CreditRequest.account_id)
        .join(Party, Party.id == CreditAccount.party_id).outerjoin(figures, figures.id == CreditRequest.account_id)
        .where(which).subquery("judged")
    )  # fmt: skip


def _old() -> ColumnElement[bool]:
    return CreditRequest.created_at < func.now() - func.make_interval(0, 0, 0, STALE_AFTER)


def _changed(figures: Any, used: Any) -> ColumnElement[bool]:
    late = func.current_date() - figures.oldest_due_on > BLOCKED_AFTER
    return or_(
        func.coalesce(figures.credit_limit, 0) != CreditRequest.limit_then,
        func.abs(func.coalesce(used, 0) - CreditRequest.exposure_then) > CreditRequest.amount * STALE_SHARE,
        and_(func.coalesce(late, False), CreditRequest.oldest_overdue_then <= BLOCKED_AFTER),
    )


def queue(found: Select[Any], actor: Actor, *, limit: int) -> list[tuple[CreditRequest, str | None, str | None]]:
    """(request, why the actor can't approve it, why it is stale) of the pending ones among those found: his to decide first,
    then the oldest first. A stale one is his, he has to look at it."""
    told = judged(CreditRequest.id.in_(_pending(found)), actor, "approve", even_stale=True)
    statement = (
        select(CreditRequest, told.c.why, told.c.stale).join(told, told.c.id == CreditRequest.id)
        .order_by(told.c.why.is_not(None), CreditRequest.created_at, CreditRequest.id).limit(limit)
    )  # fmt: skip
    return [(request, why, stale) for request, why, stale in db.session.execute(statement)]


def counted(found: Select[Any], actor: Actor) -> tuple[int, int]:
    """(how many of those found are pending, how many of these are the actor's to decide)."""
    told = judged(CreditRequest.id.in_(_pending(found)), actor, "approve", even_stale=True)
    number, mine = db.session.execute(
        select(func.count(), func.count().filter(told.c.why.is_(None))).select_from(told)
    ).one()
    return number, mine


@dataclass(frozen=True)
class Foreseen:
    """What would become of `number` requests: `why` not, if not; whether they are settled with that; `total` is asked for."""

    why: str | None
    final: bool
    number: int
    total: Decimal


def preview(found: Select[Any], actor: Actor, verb: str) -> list[Foreseen]:
    """What the verb would do now to those found; what would be done comes first."""
    told = judged(
        CreditRequest.id.in_(found.with_only_columns(CreditRequest.id).order_by(None)), actor, verb, together=True
    )
    final = or_(told.c.final, told.c.why.is_not(None))
    statement = (
        select(told.c.why, final, func.count(), func.sum(told.c.amount)).group_by(told.c.why, final)
        .order_by(told.c.why.is_not(None), final.desc(), func.count().desc(), told.c.why)
    )  # fmt: skip
    return [Foreseen(*row) for row in db.session.execute(statement)]


def _pending(found: Select[Any]) -> Select[Any]:
    pending = found.where(CreditRequest.status == RequestStatus.PENDING)
    return pending.with_only_columns(CreditRequest.id).order_by(None)
