"""A field, an operator and a value become SQL: for list filters, the API and rules alike, always with bound values.

Every condition is true or false: an empty value matches only `empty`, `ne` and `not_in`. Text compares without case.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, func, not_, or_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import String

from crm.core.entity import SEARCH_TEXT, Face
from crm.core.fields import Field

OPERATOR_WORDS = {
    "eq": "is", "ne": "is not", "in": "is one of", "not_in": "is none of", "contains": "contains",
    "starts": "starts with", "empty": "is empty", "not_empty": "is not empty", "lt": "less than", "le": "at most",
    "gt": "more than", "ge": "at least", "between": "between", "within_last": "in the last",
    "before_last": "not in the last", "within_next": "in the next",
}  # fmt: skip
DATE_WORDS = {"eq": "on", "lt": "before", "le": "until", "gt": "after", "ge": "since"}
WITHOUT_VALUE = frozenset({"empty", "not_empty"})
WITH_PERIOD = frozenset({"within_last", "before_last", "within_next"})
MANY = frozenset({"in", "not_in", "between"})


class BadCondition(ValueError):
    """The operator doesn't fit the field, or the value can't be read; the message says which."""


def operator_word(field: Field, op: str) -> str:
    return (DATE_WORDS if field.family == "date" else {}).get(op) or OPERATOR_WORDS[op]


def compile_condition(face: Face, field: Field, op: str, raw: str) -> ColumnElement[bool]:
    """`raw` is the text of the value; lists are separated by commas, periods look like `90 days`.

    Raises BadCondition.
    """
    if op not in field.operators:
        raise BadCondition(f"{field.label}: there is no operator “{op[:20]}” for it; use {', '.join(field.operators)}")
    if field.linked is not None:
        return _linked(face, field, op, raw)
    column = face.column(field.name)
    if op in WITHOUT_VALUE:
        blank = func.coalesce(func.cardinality(column), 0) == 0 if field.family == "list" else column.is_(None)
        return blank if op == "empty" else not_(blank)
    try:
        if op in WITH_PERIOD:
            return _in_period(field, column, op, raw)
        if op == "contains" and field.family == "list":
            return column.contains(cast([_read_one(field, raw)], ARRAY(String)))
        if op in {"contains", "starts"}:
            return _like(face, field, column, op, raw)
        values = [_read(field, part) for part in _split(raw)] if op in MANY else [_read(field, raw)]
    except BadCondition:
        raise
    except ValueError as fault:
        raise BadCondition(f"{field.label}: {fault}") from None
    return _compare(field, column, op, values)


def _linked(face: Face, field: Field, op: str, raw: str) -> ColumnElement[bool]:
    """Whether a row that leads here has one of the values; `ne` and `not_in` also where there is no such row."""
    assert field.linked is not None
    rows, value = field.linked()
    if op not in WITHOUT_VALUE:
        try:
            values = [_read(field, part) for part in (_split(raw) if op in MANY else [raw])]
        except ValueError as fault:
            raise BadCondition(f"{field.label}: {fault}") from None
        rows = rows.where(value.in_(values))
    found = face.entity.id.in_(rows)
    return not_(found) if op in ("ne", "not_in", "empty") else found


def _read_one(field: Field, raw: str) -> str:
    values = field.parse(raw)
    if not values or len(values) != 1:
        raise ValueError("give one value")
    return str(values[0])


def _read(field: Field, raw: str) -> Any:
    if field.kind == "email" or field.kind == "url":
        return raw.strip().lower()  # a part or an odd address is searched for, not refused
    if field.kind == "datetime" and re.fullmatch(r"\d{4}-\d\d-\d\d", raw.strip()):
        return replace(field, kind="date").parse(raw)
    value = field.parse(raw)
    if value is None:
        raise ValueError("give a value")
    return value


def _split(raw: str) -> list[str]:
    parts = [part.strip() for part in raw.split(",") if part.strip()]
    if not parts or len(parts) > 200:
        raise ValueError("give 1 to 200 values, separated by commas")
    return parts


def _compare(field: Field, column: Any, op: str, values: list[Any]) -> ColumnElement[bool]:
    if field.kind == "datetime":
        return _compare_times(column, op, values)
    if field.family == "text":
        # E-mails are kept in lower case, phones and codes have no other: their plain indexes answer.
        column = column if field.kind in ("email", "phone", "code") else func.lower(column)
        values = [str(value) if field.kind in ("phone", "code") else str(value).lower() for value in values]
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

    first, last = values[0], values[-1]
    match op:
        case "eq":
            return and_(column >= start(first), column < end(first))
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


def _in_period(field: Field, column: Any, op: str, raw: str) -> ColumnElement[bool]:
    found = re.fullmatch(r"\s*(\d{1,5})\s*(d|day|days|w|week|weeks|m|month|months|y|year|years)?\s*", raw)
    if not found:
        raise BadCondition(f"{field.label}: write a period like 90 days, 3 months or 1 year")
    number, unit = int(found[1]), (found[2] or "d")[0]
    days = {"d": 0, "w": 0, "m": 0, "y": 0} | {unit: number}
    if number * {"d": 1, "w": 7, "m": 30, "y": 365}[unit] > 36_500:
        raise BadCondition(f"{field.label}: the period is longer than 100 years")
    span = func.make_interval(days["y"], days["m"], days["w"], days["d"])
    today = func.current_date()
    day = func.date(column) if field.kind == "datetime" else column
    match op:
        case "within_last":
            return and_(column >= func.date(today - span), day <= today)
        case "before_last":
            return column < func.date(today - span)
    return and_(day >= today, day <= func.date(today + span))


def like_literally(term: str) -> str:
    """`%`, `_` and the backslash stand for themselves."""
    return re.sub(r"([\\%_])", r"\\\1", term)


def _like(face: Face, field: Field, column: Any, op: str, raw: str) -> ColumnElement[bool]:
    """As it stands, without case; found by the index over all that is searched where that holds the column."""
    term = raw.strip()
    if not term or len(raw) > 200 or "\x00" in raw:
        raise BadCondition(f"{field.label}: give 1 to 200 letters")
    anywhere = "%" if op == "contains" else ""
    found = func.lower(column).like(anywhere + like_literally(term.lower()) + "%", escape="\\")
    if field.name not in face.about.search:
        return found
    return and_(found, search_text(face, term).like(func.concat("%", search_key(term), "%")))


def search_text(face: Face, term: str) -> ColumnElement[str]:
    """All that is searched of a record. One or two letters have no trigram: the index would be read as a whole, which
    takes many times longer than the table, so it is hidden from them."""
    text: ColumnElement[str] = getattr(face.entity, SEARCH_TEXT)
    return text if len(term) > 2 else text.concat("")


def search_key(term: str) -> ColumnElement[str]:
    """A term as the text that is searched has it, without case and accents, for LIKE."""
    key = func.crm_sort_key(term)
    return func.replace(func.replace(func.replace(key, "\\", "\\\\"), "%", "\\%"), "_", "\\_")
