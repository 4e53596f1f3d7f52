"""What an operator says of a column and values that were read: one meaning for list filters, the API and rules.

Every condition is true or not; where it would be unknown it counts as not. An empty value matches only `empty`, `ne` and
`not_in`. Text compares without case. Days are the company's, both ends included.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from sqlalchemy import ColumnElement, Date, and_, cast, func, literal, not_, or_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Integer, String

from crm.core.fields import Field

OPERATOR_WORDS = {
    "eq": "is", "ne": "is not", "in": "is one of", "not_in": "is none of", "contains": "contains",
    "starts": "starts with", "empty": "is empty", "not_empty": "is not empty", "lt": "less than", "le": "at most",
    "gt": "more than", "ge": "at least", "between": "between", "within_last": "in the last",
    "before_last": "not in the last", "within_next": "in the next", "anniversary_within": "has its day in the next",
    "changed_within": "changed in the last", "top_percent": "among the highest per cent", "top_n": "among the highest",
}  # fmt: skip
DATE_WORDS = {"eq": "on", "lt": "before", "le": "until", "gt": "after", "ge": "since"}
WITHOUT_VALUE = frozenset({"empty", "not_empty"})
WITH_PERIOD = frozenset({"within_last", "before_last", "within_next"})
MANY = frozenset({"in", "not_in", "between"})
LONGEST_PERIOD = 36_500  # days
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}

Period = tuple[int, str]  # how many of d, w, m or y


class BadCondition(ValueError):
    """The operator doesn't fit the field, or the value can't be read; the message says which."""


def operator_word(field: Field, op: str) -> str:
    return (DATE_WORDS if field.family == "date" else {}).get(op) or OPERATOR_WORDS[op]


def blank(field: Field, column: Any, op: str) -> ColumnElement[bool]:
    empty = func.coalesce(func.cardinality(column), 0) == 0 if field.family == "list" else column.is_(None)
    return empty if op == "empty" else not_(empty)


def has_one(column: Any, values: list[str], op: str) -> ColumnElement[bool]:
    """Of a list: `contains` all of these, `in` one of them, `not_in` none."""
    wanted = cast(values, ARRAY(String))
    if op == "contains":
        return column.contains(wanted)
    found: ColumnElement[bool] = column.overlap(wanted)
    return found if op == "in" else or_(not_(found), column.is_(None))


def compare(field: Field, column: Any, op: str, values: list[Any]) -> ColumnElement[bool]:
    """Raises BadCondition for what can't be compared so."""
    if field.kind == "datetime":
        return _compare_times(column, op, values)
    if field.family == "text":
        # E-mails are kept in lower case, phones and codes have no other: their plain indexes answer.
        column = column if field.kind in ("email", "phone", "code") else func.lower(column)
        values = [str(value) if field.kind in ("phone", "code") else func.lower(str(value)) for value in values]
    first = values[0]
    match op:
        case "eq":
            return column == first
        case "ne":
            return or_(column != first, column.is_(None))
        case "in":
            return column.in_(values)
        case "not_in":
            return or_(column.not_in(values), column.is_(None))
        case "between":
            if len(values) != 2:
                raise BadCondition(f"{field.label}: give two values, separated by a comma")
            return column.between(*values)
        case "lt":
            return column < first
        case "le":
            return column <= first
        case "gt":
            return column > first
        case "ge":
            return column >= first
    raise BadCondition(f"{field.label}: there is no operator “{op[:20]}”")


def _compare_times(column: Any, op: str, values: list[Any]) -> ColumnElement[bool]:
    """A time compared with a day means the whole day, both ends included."""

    def start(value: Any) -> dt.datetime:
        return value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time(), dt.UTC)

    def end(value: Any) -> dt.datetime:
        step = dt.timedelta(microseconds=1) if isinstance(value, dt.datetime) else dt.timedelta(days=1)
        return start(value) + step

    def on(value: Any) -> ColumnElement[bool]:
        return and_(column >= start(value), column < end(value))

    first, last = values[0], values[-1]
    match op:
        case "eq":
            return on(first)
        case "ne":
            return or_(not_(on(first)), column.is_(None))
        case "in":
            return or_(*map(on, values))
        case "not_in":
            return or_(not_(or_(*map(on, values))), column.is_(None))
        case "lt":
            return column < start(first)
        case "le":
            return column < end(first)
        case "gt":
            return column >= end(first)
        case "ge":
            return column >= start(first)
        case "between" if len(values) == 2:
            return and_(column >= start(first), column < end(last))
    raise BadCondition("give two days, separated by a comma")


def check_period(period: Period) -> Period:
    """Raises ValueError for one that is longer than anybody can mean."""
    if period[0] * _DAYS[period[1]] > LONGEST_PERIOD:
        raise ValueError("the period is longer than 100 years")
    return period


def span(period: Period) -> Any:
    return func.make_interval(*(period[0] if unit == period[1] else 0 for unit in "ymwd"))


def day_of(field: Field, column: Any) -> Any:
    return func.date(column) if field.kind == "datetime" else column


def in_period(field: Field, column: Any, op: str, period: Period, today: dt.date | None = None) -> ColumnElement[bool]:
    """Within the last, before the last, within the next so many days, seen from `today`."""
    now = func.current_date() if today is None else literal(today, Date)
    before_tomorrow = column < now + 1 if field.kind == "datetime" else column <= now
    match op:
        case "within_last":
            return and_(column >= func.date(now - span(period)), before_tomorrow)
        case "before_last":
            return column < func.date(now - span(period))
    day = day_of(field, column)
    return and_(day >= now, day <= func.date(now + span(period)))


def has_anniversary(field: Field, column: Any, period: Period, today: dt.date) -> ColumnElement[bool]:
    """A later year's same day lies within the next so many days, today included; the 29th of February has its own on the
    28th in other years."""
    now, day = literal(today, Date), day_of(field, column)
    until = func.date(now + span(period))
    years = func.extract("year", now) - func.extract("year", day)

    def in_year(after: int) -> ColumnElement[bool]:
        there = func.date(day + func.make_interval(cast(years, Integer) + after))
        return and_(there > day, there >= now, there <= until)

    return or_(in_year(0), in_year(1))


def like_literally(term: str) -> str:
    """`%`, `_` and the backslash stand for themselves."""
    return re.sub(r"([\\%_])", r"\\\1", term)


def like(field: Field, column: Any, op: str, raw: str) -> ColumnElement[bool]:
    """As it stands, without case. Raises BadCondition."""
    term = raw.strip()
    if not term or len(raw) > 200 or "\x00" in raw:
        raise BadCondition(f"{field.label}: give 1 to 200 letters")
    anywhere = "%" if op == "contains" else ""
    return func.lower(column).like(func.lower(anywhere + like_literally(term) + "%"), escape="\\")
