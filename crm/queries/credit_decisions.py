"""What a person may decide of credit requests, and why not of the others; one place for the commands, the approver's desk
and the preview of a batch."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.sql.selectable import Subquery

from crm.core.entity import db
from crm.core.permissions import Actor, allowed
from crm.models.access import User, UserRole
from crm.models.credit_accounts import ApprovalBand, CreditAccount
from crm.models.credit_choices import RequestStatus
from crm.models.credit_delegations import CreditDelegation
from crm.models.credit_figures import CreditAccountFigures
from crm.models.credit_policy import says
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.models.parties import Party
from crm.queries.scope import row_scope

OWN = "you asked for it yourself: another approver must decide"
TWICE = "you have approved it already: a second approver must decide"
IN_YOUR_NAME = "it was approved in your name already: a second approver must decide"
NOT_FOR = "whom you could decide it for asked for it, has approved it already or may not decide it himself"
APPROVE = "credit_request.approve"
# A request is stale after so many days as the policy says, or when the account's limit is another one, when what is used of it
# moved by more than the policy's share of the limit asked for, or when an invoice has become too late since.
OLD = "it is stale: asked too long ago; look at it again and confirm that"
ANOTHER = "an earlier request of this account is among them, and its limit changes with that: decide them one by one"
CHANGED = "it is stale: the account's figures have changed since; look at it again and confirm that"


@dataclass(frozen=True)
class Authority:
    """How far a person decides: alone, and as one of two (None: any amount). `behalf` is whose it is, if another's, which
    lent it until a day; then `rows` are the requests that this other one may decide."""

    alone_up_to: Decimal
    up_to: Decimal | None
    behalf: User | None = None
    until: dt.date | None = None
    rows: tuple[ColumnElement[bool], ...] = ()

    @property
    def width(self) -> tuple[bool, Decimal, Decimal]:
        return self.up_to is None, self.up_to or Decimal(0), self.alone_up_to

    def within(self, most: Decimal | None) -> Authority:
        """The same, up to this amount only."""
        if most is None:
            return self
        return replace(
            self, alone_up_to=min(self.alone_up_to, most), up_to=most if self.up_to is None else min(self.up_to, most)
        )


def band_of(actor: Actor) -> ApprovalBand | None:
    """The widest band of the person's roles."""
    bands = db.session.scalars(
        select(ApprovalBand).where(
            ApprovalBand.role_id.in_(select(UserRole.role_id).where(UserRole.user_id == actor.id))
        )
    )
    return max(bands, key=lambda band: (band.up_to is None, band.up_to or 0, band.alone_up_to), default=None)


def authorities(actor: Actor, verb: str) -> list[Authority]:
    """The person's own, then what others lend him today. These must still have it, by their own roles."""
    band, face = band_of(actor), CreditRequest.faces[0]
    own = [Authority(band.alone_up_to, band.up_to)] if band else []
    lent: dict[int, Authority] = {}
    for made in db.session.scalars(delegations().where(CreditDelegation.delegate_id == actor.id)):
        whose = made.delegator
        band = band_of(whose) if whose.active and allowed(whose, f"credit_request.{verb}") else None
        if band is None:
            continue
        rows = tuple(row_scope(face, whose, verb))
        one = Authority(band.alone_up_to, band.up_to, whose, made.ends_on, rows).within(made.up_to)
        lent[whose.id] = max(lent.get(whose.id, one), one, key=lambda authority: authority.width)
    return own + list(lent.values())


def delegations() -> Select[Any]:
    """Those that hold today."""
    today = func.current_date()
    return select(CreditDelegation).where(CreditDelegation.revoked_at.is_(None), CreditDelegation.starts_on <= today,
                                          CreditDelegation.ends_on >= today).order_by(CreditDelegation.id)  # fmt: skip


def judged(
    which: ColumnElement[bool], actor: Actor, verb: str, *, even_stale: bool = False, together: bool = False
) -> Subquery:
    """Of these requests id, account_id, requested_by_id, amount, terms, created_at; the `step` and whether it is `final` if
    the actor decided now, and on whose `behalf`; and `why` he can't, null where he can. `verb` is approve or refuse; a stale
    one can be refused. Of an account's requests that are approved `together` the first one alone can be: the others were
    asked for by another limit.

    Of several authorities the one counts that settles it, else the first that reaches so far; his own before others'.
    """
    has, figures = authorities(actor, verb), CreditAccountFigures
    used = figures.used  # type: ignore[attr-defined]  # it moves with the calendar
    decided = select(literal(1)).where(CreditDecision.request_id == CreditRequest.id)
    step = (
        select(func.count() + 1).where(CreditDecision.request_id == CreditRequest.id)
        .correlate(CreditRequest).scalar_subquery()
    )  # fmt: skip
    approving, old, changed = verb == "approve", _old(), _changed(figures, used)

    def said(*by: ColumnElement[bool]) -> ColumnElement[bool]:
        return decided.where(or_(*by)).correlate(CreditRequest).exists()

    def reaches(one: Authority) -> ColumnElement[bool]:
        far = [CreditRequest.amount <= one.up_to] if approving and one.up_to is not None else []
        if one.behalf is None:
            return and_(true(), *far)
        other = one.behalf.id
        return and_(*far, *one.rows, CreditRequest.requested_by_id != other,
                    ~said(CreditDecision.decided_by_id == other, CreditDecision.on_behalf_of_id == other))  # fmt: skip

    def settles(one: Authority) -> ColumnElement[bool]:
        return or_(step > 1, CreditRequest.amount <= one.alone_up_to) if approving else true()

    ways = [(and_(reaches(one), settles(one)), place, True) for place, one in enumerate(has)]
    ways += [(reaches(one), place, False) for place, one in enumerate(has)]
    chosen = case(*((way, place) for way, place, _ in ways), else_=null()) if ways else null()
    behalf = [(way, one.behalf.id if (one := has[place]).behalf else null()) for way, place, _ in ways]
    most = max(has, key=lambda one: one.width, default=None)
    reasons: list[tuple[Any, Any]] = [
        (CreditRequest.requested_by_id == actor.id, OWN),
        *((CreditRequest.status == one, f"it is {one.label.lower()} already") for one in RequestStatus
          if one is not RequestStatus.PENDING),
        (said(CreditDecision.decided_by_id == actor.id), TWICE),
        (said(CreditDecision.on_behalf_of_id == actor.id), IN_YOUR_NAME),
    ]  # fmt: skip
    if most is None:
        reasons.append((literal(True), "none of your roles may decide on credit: ask for an approval band"))
    elif approving and most.up_to is not None:
        reasons.append((CreditRequest.amount > most.up_to, f"it is above your authority of {most.up_to:,.0f}"))
    if any(one.behalf for one in has):
        reasons.append((chosen.is_(None), NOT_FOR))
    reasons.append((Party.archived_at.is_not(None), "the party is archived: restore it first"))
    if approving and not even_stale:
        reasons += [(old, OLD), (changed, CHANGED)]
    if approving and together:
        pending = func.min(CreditRequest.id).filter(CreditRequest.status == RequestStatus.PENDING)
        reasons.append((pending.over(partition_by=CreditRequest.account_id) < CreditRequest.id, ANOTHER))
    final = case(*((way, literal(last)) for way, _, last in ways), else_=false()) if ways else false()
    columns = ("id", "account_id", "requested_by_id", "amount", "terms", "created_at")
    return (
        select(*(getattr(CreditRequest, name) for name in columns), step.label("step"), final.label("final"),
               cast(case(*behalf, else_=null()) if behalf else null(), BigInteger).label("behalf"),
               case(*reasons, else_=null()).label("why"), case((old, OLD), (changed, CHANGED), else_=null()).label("stale"))
        .select_from(CreditRequest).join(CreditAccount, CreditAccount.id == CreditRequest.account_id)
        .join(Party, Party.id == CreditAccount.party_id).outerjoin(figures, figures.id == CreditRequest.account_id)
        .where(which).subquery("judged")
    )  # fmt: skip


def _old() -> ColumnElement[bool]:
    return CreditRequest.created_at < func.now() - func.make_interval(0, 0, 0, says("stale_days"))


def _changed(figures: Any, used: Any) -> ColumnElement[bool]:
    late = func.current_date() - figures.oldest_due_on > says("overdue_days")
    return or_(
        func.coalesce(figures.credit_limit, 0) != CreditRequest.limit_then,
        func.abs(func.coalesce(used, 0) - CreditRequest.exposure_then) * 100
        > CreditRequest.amount * says("stale_percent"),
        and_(func.coalesce(late, False), CreditRequest.oldest_overdue_then <= says("overdue_days")),
    )


@dataclass(frozen=True)
class Queued:
    """A pending request: `why` the actor can't approve it, why it is `stale`, and on whose `behalf` he would."""

    request: CreditRequest
    why: str | None
    stale: str | None
    behalf: User | None


def queue(found: Select[Any], actor: Actor, *, limit: int) -> list[Queued]:
    """The pending ones among those found: the actor's to decide first, then the oldest first. A stale one is his, he has to
    look at it."""
    told = judged(CreditRequest.id.in_(_pending(found)), actor, "approve", even_stale=True)
    statement = (
        select(CreditRequest, told.c.why, told.c.stale, User)
        .join(told, told.c.id == CreditRequest.id).outerjoin(User, User.id == told.c.behalf)
        .order_by(told.c.why.is_not(None), CreditRequest.created_at, CreditRequest.id).limit(limit)
    )  # fmt: skip
    return [Queued(request, why, stale, None if why else behalf)
            for request, why, stale, behalf in db.session.execute(statement)]  # fmt: skip


def counted(found: Select[Any], actor: Actor) -> tuple[int, int]:
    """(how many of those found are pending, how many of these are the actor's to decide)."""
    told = judged(CreditRequest.id.in_(_pending(found)), actor, "approve", even_stale=True)
    number, mine = db.session.execute(
        select(func.count(), func.count().filter(told.c.why.is_(None))).select_from(told)
    ).one()
    return number, mine


@dataclass(frozen=True)
class Foreseen:
    """What would become of `number` requests: `why` not, if not; whether they are settled with that; on whose `behalf`;
    `total` is asked for."""

    why: str | None
    final: bool
    behalf: User | None
    number: int
    total: Decimal


def preview(found: Select[Any], actor: Actor, verb: str) -> list[Foreseen]:
    """What the verb would do now to those found; what would be done comes first."""
    told = judged(
        CreditRequest.id.in_(found.with_only_columns(CreditRequest.id).order_by(None)), actor, verb, together=True
    )
    final = or_(told.c.final, told.c.why.is_not(None))
    behalf = case((told.c.why.is_(None), told.c.behalf))
    statement = (
        select(told.c.why, final, behalf, func.count(), func.sum(told.c.amount)).group_by(told.c.why, final, behalf)
        .order_by(told.c.why.is_not(None), final.desc(), func.count().desc(), told.c.why, behalf.nulls_first())
    )  # fmt: skip
    return [Foreseen(why, last, db.session.get(User, whose) if whose else None, number, total)
            for why, last, whose, number, total in db.session.execute(statement)]  # fmt: skip


def _pending(found: Select[Any]) -> Select[Any]:
    pending = found.where(CreditRequest.status == RequestStatus.PENDING)
    return pending.with_only_columns(CreditRequest.id).order_by(None)
