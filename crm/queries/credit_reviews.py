"""Which credit accounts are to be reviewed when: what a calendar of reviews shows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, select

from crm.core.entity import db
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import AccountState
from crm.models.credit_figures import CreditAccountFigures

_day: Any = CreditAccount.next_review_on
_approver: Any = CreditAccountFigures.approved_by  # type: ignore[attr-defined]  # it moves


@dataclass
class Reviews:
    """Those of a day, or of all days before: `number` in all, of which the first are `accounts`."""

    number: int = 0
    accounts: list[CreditAccount] = field(default_factory=list)


def due(found: Select[Any], *between: Any) -> Select[Any]:
    """Of the accounts found those that are open and to be reviewed within these bounds."""
    return found.where(CreditAccount.state == AccountState.OPEN, _day.is_not(None), *between)


def by_day(found: Select[Any], first: dt.date, last: dt.date, *, most: int) -> dict[dt.date, Reviews]:
    """The reviews from one day to another, both included; at most so many accounts of each day."""
    place = func.row_number().over(partition_by=_day, order_by=CreditAccount.id)
    number = func.count().over(partition_by=_day)
    told = (
        due(found, _day.between(first, last))
        .with_only_columns(CreditAccount.id, place.label("place"), number.label("number"))
        .order_by(None)
        .subquery()
    )
    days: dict[dt.date, Reviews] = {}
    statement = (
        select(CreditAccount, told.c.number).join(told, told.c.id == CreditAccount.id)
        .where(told.c.place <= most).order_by(_day, CreditAccount.id)
    )  # fmt: skip
    for account, number in db.session.execute(statement):
        assert account.next_review_on is not None
        day = days.setdefault(account.next_review_on, Reviews(number))
        day.accounts.append(account)
    return days


def overdue(found: Select[Any], today: dt.date, *, most: int) -> Reviews:
    """Those whose day is over, the oldest first."""
    late = due(found, _day < today)
    number = db.session.scalar(late.with_only_columns(func.count()).order_by(None)) or 0
    return Reviews(number, list(db.session.scalars(late.order_by(_day, CreditAccount.id).limit(most))))


def approvers(found: Select[Any], last: dt.date) -> list[tuple[str, int]]:
    """Who approved the limits that are to be reviewed until a day, and how many of each; who has most first."""
    ids = due(found, _day <= last).with_only_columns(CreditAccount.id).order_by(None)
    statement = (
        select(_approver, func.count()).where(CreditAccountFigures.id.in_(ids), _approver.is_not(None))
        .group_by(_approver).order_by(func.count().desc(), _approver)
    )  # fmt: skip
    return [(name, number) for name, number in db.session.execute(statement)]
