"""What the home page tells: how many, how many new, what is going on."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Date, cast, func, select
from sqlalchemy.orm import selectinload

from crm.core.entity import db, face_named
from crm.core.jobs import OPEN, Job
from crm.core.permissions import Actor, accesses
from crm.models.parties import Party
from crm.queries.listing import FAR_MORE, ListQuery, count, fetch_page, read_query
from crm.queries.scope import row_scope

WEEKS = 12


# What a count is by; who doesn't see that gets no such count.
_BY = {"active": "status", "blocked": "status", "new": "created_at"}


def customer_counts(actor: Actor) -> dict[str, tuple[int, bool]]:
    """Named counts of the customers the actor sees: (number, exact)."""
    face = face_named("customer")
    asked = {"all": [], "active": [("flt_status_eq", "active")], "blocked": [("flt_status_in", "blocked,blacklisted")],
             "new": [("flt_created_at_within_last", "7 days")]}  # fmt: skip
    may = accesses(actor, face)
    asked = {name: pairs for name, pairs in asked.items() if name not in _BY or may[_BY[name]].shows}
    return {
        name: count(face, read_query(face, pairs) if pairs else ListQuery(), actor, most=FAR_MORE)
        for name, pairs in asked.items()
    }


def new_per_week(actor: Actor, today: dt.date) -> list[tuple[dt.date, int]]:
    """(Monday, new customers in that week), oldest first, weeks without any included."""
    face = face_named("customer")
    monday = today - dt.timedelta(days=today.weekday())
    first = monday - dt.timedelta(weeks=WEEKS - 1)
    week = cast(func.date_trunc("week", Party.created_at), Date)
    start = dt.datetime.combine(first, dt.time(), dt.UTC)
    statement = (select(week, func.count())
                 .where(*row_scope(face, actor), Party.archived_at.is_(None), Party.created_at >= start).group_by(week))  # fmt: skip
    found: dict[Any, int] = {row[0]: row[1] for row in db.session.execute(statement)}
    return [(first + dt.timedelta(weeks=n), found.get(first + dt.timedelta(weeks=n), 0)) for n in range(WEEKS)]


def recent_customers(actor: Actor, limit: int = 6) -> list[Party]:
    face = face_named("customer")
    newest = ListQuery(sort="created_at", limit=limit)
    return list(fetch_page(face, newest, actor, load=[selectinload(Party.owner)]).rows)


def open_jobs(actor: Actor, limit: int = 5) -> list[Job]:
    statement = (select(Job).where(*row_scope(face_named("job"), actor), Job.state.in_(OPEN))
                 .order_by(Job.id.desc()).limit(limit))  # fmt: skip
    return list(db.session.scalars(statement))
