"""A rule as a person reads it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from crm.core.fields import Field
from crm.queries.operators import WITHOUT_VALUE, Period, operator_word
from crm.queries.segment_rules.catalogue import RANKS
from crm.queries.segment_rules.reading import Condition, Group, InSegment, Node, RelatedCondition

_UNITS = {"d": "day", "w": "week", "m": "month", "y": "year"}
_JOINED = {"all": " and ", "any": " or ", "none": " or "}
_AGGREGATES = {
    "sum": "the sum of",
    "avg": "the average of",
    "min": "the lowest",
    "max": "the highest",
    "last": "the last",
}
MOST_NAMED = 5


def in_words(node: Node) -> str:
    """One sentence without a full stop: “Industry is Retail and at least 3 orders in the last 90 days”."""
    match node:
        case Group():
            return _group(node)
        case InSegment():
            return f"in the segment “{node.name}”"
        case RelatedCondition():
            return _related(node)
        case Condition():
            return f"{node.field.field.label} {_test(node)}"


def _group(node: Group) -> str:
    if not node.nodes:
        return "nobody" if node.mode == "any" else "everybody"
    inner = _JOINED[node.mode].join(_inside(one, alone=len(node.nodes) == 1) for one in node.nodes)
    return f"not ({inner})" if node.mode == "none" else inner


def _inside(node: Node, *, alone: bool) -> str:
    nested = isinstance(node, Group) and len(node.nodes) > 1 and node.mode != "none"
    return f"({in_words(node)})" if nested and not alone else in_words(node)


def _related(node: RelatedCondition) -> str:
    what = node.related.label.lower() + (f" in the last {period(node.within)}" if node.within else "")
    if node.where is not None:
        what += f" with {_inside(node.where, alone=False)}"
    if node.aggregate == "count":
        if node.test.op == "ge" and node.test.values == (1,):
            return f"has {what}"
        return f"number of {what} {_test(node.test)}"
    of = node.of.field.label.lower() if node.of else ""
    return f"{_AGGREGATES[node.aggregate]} {of} of {what} {_test(node.test)}"


def _test(node: Condition) -> str:
    field, word = node.field.field, operator_word(node.field.field, node.op)
    if node.op in WITHOUT_VALUE:
        return word
    if node.op in RANKS:
        number = f"{node.number.normalize():f}"
        return f"is among the highest {number}{' per cent' if node.op == 'top_percent' else ''}"
    if node.period is not None:
        return f"{word} {period(node.period)}"
    told = [_value(field, value) for value in node.values[:MOST_NAMED]]
    if node.op == "between":
        return f"{word} {' and '.join(told)}"
    more = len(node.values) - len(told)
    return f"{word} {', '.join(told)}{f' and {more:,} more' if more else ''}"


def _value(field: Field, value: Any) -> str:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    word = field.word(value)
    return f"“{word}”" if field.family == "text" else word


def period(given: Period) -> str:
    number, unit = given
    return _UNITS[unit] if number == 1 else f"{number} {_UNITS[unit]}s"
