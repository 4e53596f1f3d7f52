"""How old what customers owe is: open invoices by the days they are overdue, less what was paid and not allocated yet.

In the company's currency. The parts of a line add up to what is outstanding of the account, to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Subquery, func, or_, select

from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import Ageing
from crm.models.credit_figures import CreditAccountFigures, InvoiceFigures
from crm.queries.scope import visible

BUCKETS = tuple(Ageing)
_NAMES = (*(one.value for one in BUCKETS), "credit", "outstanding")
_bucket: Any = InvoiceFigures.ageing  # type: ignore[attr-defined]  # it moves with the calendar


@dataclass(frozen=True)
class Line:
    """`buckets` in the order of `BUCKETS`; `credit` is what was paid and settles nothing yet, less than nothing."""

    account: CreditAccount | None
    buckets: tuple[Decimal, ...]
    credit: Decimal
    outstanding: Decimal


def _sums(actor: Actor, only: int | None = None) -> Subquery:
    """The accounts that owe or are owed, of those that the actor sees, with their open invoices by bucket."""
    seen = visible(face_named("credit_account"), actor).with_only_columns(CreditAccount.id).order_by(None)
    one = [InvoiceFigures.account_id == only] if only else []
    parts = [func.coalesce(func.sum(InvoiceFigures.open_worth).filter(_bucket == one), 0).label(one.value)
             for one in BUCKETS]  # fmt: skip
    open_ones = (
        select(InvoiceFigures.account_id, *parts)
        .where(InvoiceFigures.open_worth > 0, *one)
        .group_by(InvoiceFigures.account_id)
        .subquery()
    )
    buckets = [func.coalesce(open_ones.c[one.value], 0) for one in BUCKETS]
    told = (
        select(CreditAccountFigures.id.label("id"), *(part.label(one.value) for part, one in zip(buckets, BUCKETS, strict=True)),
               (-CreditAccountFigures.unallocated).label("credit"), CreditAccountFigures.outstanding.label("outstanding"))
        .outerjoin(open_ones, open_ones.c.account_id == CreditAccountFigures.id)
        .where(CreditAccountFigures.id.in_(seen if only is None else seen.where(CreditAccount.id == only)),
               or_(CreditAccountFigures.open_invoices > 0, CreditAccountFigures.unallocated != 0))
    )  # fmt: skip
    return told.subquery()


def _line(row: Sequence[Any], account: CreditAccount | None = None) -> Line:
    *buckets, credit, outstanding = (Decimal(value or 0) for value in row)
    return Line(account, tuple(buckets), credit, outstanding)


def ageing_total(actor: Actor) -> tuple[int, Line]:
    """How many accounts owe or are owed, and the sum of all."""
    told = _sums(actor)
    *sums, number = db.session.execute(select(*(func.sum(told.c[name]) for name in _NAMES), func.count())).one()
    return number, _line(sums)


def ageing(actor: Actor, *, limit: int | None = None, only: int | None = None) -> list[Line]:
    """The accounts, those that owe most first; or the one of this number, if it owes or is owed."""
    told = _sums(actor, only)
    statement = (
        select(CreditAccount, *(told.c[name] for name in _NAMES))
        .join(told, told.c.id == CreditAccount.id).order_by(told.c.outstanding.desc(), CreditAccount.id).limit(limit)
    )  # fmt: skip
    return [_line(row, account) for account, *row in db.session.execute(statement)]
