"""A field, an operator and a value become SQL: for list filters, the API and rules alike, always with bound values.

Every condition is true or false: an empty value matches only `empty`, `ne` and `not_in`. Text compares without case.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, func, not_, select

from crm.core.entity import Face
from crm.core.fields import Field
from crm.core.searching import SEARCH_TEXT
from crm.queries.operators import (
    MANY,
    WITH_PERIOD,
    WITHOUT_VALUE,
    BadCondition,
    Period,
    blank,
    check_period,
    compare,
    has_one,
    in_period,
    like,
)


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
        return blank(field, column, op)
    try:
        if op in WITH_PERIOD:
            return in_period(field, column, op, period_of(field, raw))
        if op == "contains" and field.family == "list":
            return has_one(column, [_read_one(field, raw)], op)
        if op in {"contains", "starts"}:
            return _like(face, field, column, op, raw)
        values = [read(field, part) for part in split(raw)] if op in MANY else [read(field, raw)]
    except BadCondition:
        raise
    except ValueError as fault:
        raise BadCondition(f"{field.label}: {fault}") from None
    return compare(field, column, op, values)


def _linked(face: Face, field: Field, op: str, raw: str) -> ColumnElement[bool]:
    """Whether a row that leads here has one of the values; `ne` and `not_in` also where there is no such row."""
    assert field.linked is not None
    rows, value = field.linked()
    if op not in WITHOUT_VALUE:
        try:
            values = [read(field, part) for part in (split(raw) if op in MANY else [raw])]
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


def read(field: Field, raw: str) -> Any:
    if field.kind == "email" or field.kind == "url":
        return raw.strip().lower()  # a part or an odd address is searched for, not refused
    if field.kind == "datetime" and re.fullmatch(r"\d{4}-\d\d-\d\d", raw.strip()):
        return replace(field, kind="date").parse(raw)
    value = field.parse(raw)
    if value is None:
        raise ValueError("give a value")
    return value


def split(raw: str) -> list[str]:
    """A list in the text of a filter. Raises ValueError."""
    parts = [part.strip() for part in raw.split(",") if part.strip()]
    if not parts or len(parts) > 200:
        raise ValueError("give 1 to 200 values, separated by commas")
    return parts


def period_of(field: Field, raw: str) -> Period:
    """A period in the text of a filter. Raises BadCondition."""
    found = re.fullmatch(r"\s*(\d{1,5})\s*(d|day|days|w|week|weeks|m|month|months|y|year|years)?\s*", raw)
    if not found:
        raise BadCondition(f"{field.label}: write a period like 90 days, 3 months or 1 year")
    return check_period((int(found[1]), (found[2] or "d")[0]))


def _like(face: Face, field: Field, column: Any, op: str, raw: str) -> ColumnElement[bool]:
    """Found by the index over all that is searched, where that holds the column."""
    found = like(field, column, op, raw)
    if field.name not in face.about.search:
        return found
    term = raw.strip()
    return and_(found, has_letters(face, term, func.concat("%", search_key(term), "%")))


def has_letters(face: Face, term: str, pattern: Any) -> ColumnElement[bool]:
    """Whether all that is searched of a record, taken together, has the pattern of a term.

    One or two letters have no trigram: the index would be read as a whole, which takes many times longer than the
    table, so it is hidden from them.
    """
    apart = face.entity.search_apart
    text: ColumnElement[str] = getattr(apart or face.entity, SEARCH_TEXT)
    found = (text if len(term) > 2 else text.concat("")).like(pattern)
    return found if apart is None else face.entity.id.in_(select(apart.id).where(found))


def search_key(term: str) -> ColumnElement[str]:
    """A term as the text that is searched has it, without case and accents, for LIKE."""
    key = func.crm_sort_key(term)
    return func.replace(func.replace(func.replace(key, "\\", "\\\\"), "%", "\\%"), "_", "\\_")
