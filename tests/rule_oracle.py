"""What a rule means, said once more, slowly and in plain Python: for the tests of what the database makes of it.

Nothing of `crm.queries` is used. A world holds customers and what belongs to them, as records that were read.
"""

from __future__ import annotations

import datetime as dt
import math
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from crm.core.entity import Face, face_named
from crm.core.fields import Choice

AGGREGATES = ("count", "sum", "avg", "min", "max", "last")


@dataclass(frozen=True)
class Kin:
    """Records that belong to a customer: under which face, whose they are, when they were, at which rate."""

    face: str
    holder: Callable[[Any], int | None]
    at: str
    rate: str = ""


# (place, name) → what is meant.
KIN = {
    ("customer", "orders"): Kin("order", lambda one: one.customer_id, "ordered_at", "exchange_rate"),
    ("customer", "purchases"): Kin("order_line", lambda one: one.order.customer_id, "order.ordered_at", "order.exchange_rate"),
    ("order", "purchases"): Kin("order_line", lambda one: one.order_id, "order.ordered_at", "order.exchange_rate"),
    ("customer", "interactions"): Kin("interaction", lambda one: one.party_id, "occurred_at"),
    ("customer", "tickets"): Kin("ticket", lambda one: one.party_id, "opened_at"),
    ("customer", "contacts"): Kin("contact", lambda one: one.party_id, "created_at"),
    ("customer", "consents"): Kin("consent", lambda one: one.party_id, "decided_at"),
    ("customer", "invoices"): Kin("invoice", lambda one: one.account.party_id, "issued_on", "exchange_rate"),
    ("customer", "vehicles"): Kin("vehicle", lambda one: one.customer_id, "created_at"),
    ("customer", "vehicles_as_end_customer"): Kin("vehicle", lambda one: one.end_customer_id, "created_at"),
}  # fmt: skip


@dataclass
class World:
    today: dt.date
    customers: list[Any]
    rows: dict[str, list[Any]] = field(default_factory=dict)
    members: dict[str, set[int]] = field(default_factory=dict)  # name of a segment → numbers
    changed: dict[str, dict[int, dt.datetime]] = field(default_factory=dict)  # attribute → number → when last

    def fits(self, rule: dict[str, Any]) -> set[int]:
        return {one.id for one in self.customers if self.holds(rule, one, face_named("customer"))}

    def holds(self, rule: dict[str, Any], row: Any, face: Face) -> bool:
        if "all" in rule:
            return all(self.holds(one, row, face) for one in rule["all"])
        if "any" in rule:
            return any(self.holds(one, row, face) for one in rule["any"])
        if "none" in rule:
            return not any(self.holds(one, row, face) for one in rule["none"])
        if "in_segment" in rule:
            return row.id in self.members[rule["in_segment"].lower()]
        if "related" in rule:
            return self._related(rule, row, face)
        name, op = rule["field"], rule["op"]
        if op == "changed_within":
            when = self.changed.get(face.fields[name].attribute, {}).get(row.id)
            return when is not None and when.date() >= back(self.today, rule["value"])
        kind, value = self.value(row, face, name)
        if op in ("top_n", "top_percent"):
            ranked = sorted(
                (v for one in self.customers if (v := self.value(one, face, name)[1]) is not None), reverse=True
            )
            number = (
                rule["value"] if op == "top_n" else math.ceil(Fraction(str(rule["value"])) * len(self.customers) / 100)
            )
            return value is not None and value >= ranked[min(number, len(ranked)) - 1]
        return self.fulfils(kind, value, op, rule.get("value"))

    def _related(self, rule: dict[str, Any], row: Any, face: Face) -> bool:
        kin = KIN[face.name, rule["related"]]
        other = face_named(kin.face)
        found = [one for one in self.rows[kin.face] if kin.holder(one) == row.id]
        if "within_last" in rule:
            found = [
                one
                for one in found
                if self.fulfils(*self.value(one, other, kin.at), "within_last", rule["within_last"])
            ]
        if "where" in rule:
            found = [one for one in found if self.holds(rule["where"], one, other)]
        word = next((word for word in AGGREGATES if word in rule), "count")
        test = dict(rule.get(word, {"ge": 1}))
        of = test.pop("of", kin.at if word == "last" else None)
        [(op, wanted)] = test.items()
        if word == "count":
            return self.fulfils("integer", len(found), op, wanted)
        kind = self.value(None, other, of)[0]
        if word == "last":
            found.sort(key=lambda one: (self.value(one, other, kin.at)[1], one.id))
            return self.fulfils(kind, self.value(found[-1], other, of)[1] if found else None, op, wanted)
        values = []
        for one in found:
            value = self.value(one, other, of)[1]
            if value is None:
                continue
            if kind == "money" and kin.rate and "." not in of:
                rate = self.value(one, other, kin.rate)[1]
                value = (value * rate).quantize(Decimal("0.0001"), ROUND_HALF_UP)
            values.append(value)
        if word == "sum":
            return self.fulfils("decimal", sum(values, Decimal(0)), op, wanted)
        if word == "avg":
            return self.fulfils("decimal", sum(map(Fraction, values)) / len(values) if values else None, op, wanted)
        return self.fulfils(kind, {"min": min, "max": max}[word](values) if values else None, op, wanted)

    def value(self, row: Any, face: Face, name: str) -> tuple[str, Any]:
        """(kind, value) of a path of names; the value is None where something on the way is."""
        *path, last = name.split(".")
        for step in path:
            row = None if row is None else getattr(row, step)
            face = face_named(face.fields[step].refers_to)
        if last not in face.fields:
            return self._of_address(row, last)
        declared = face.fields[last]
        return declared.kind, None if row is None else getattr(row, declared.attribute)

    def _of_address(self, party: Any, name: str) -> tuple[str, Any]:
        prefix, inner = name.split("_", 1) if name.startswith(("billing_", "shipping_")) else ("", name)
        places = sorted(self.rows["address"], key=lambda one: (not one.is_default, one.id))
        mine = [one for one in places if party is not None and one.party_id == party.id]
        mine = [one for one in mine if (one.kind.value == prefix if prefix else one.is_default)]
        return face_named("address").fields[inner].kind, getattr(mine[0], inner) if mine else None

    def fulfils(self, kind: str, value: Any, op: str, wanted: Any) -> bool:
        if kind in ("tags", "choices"):
            has = set(value or ())
            match op:
                case "contains":
                    return wanted in has
                case "in":
                    return bool(has & set(wanted))
                case "not_in":
                    return not has & set(wanted)
                case "empty":
                    return not has
                case "not_empty":
                    return bool(has)
        if op in ("empty", "not_empty"):
            return (value is None) == (op == "empty")
        if value is None:
            return op in ("ne", "not_in")
        if kind == "datetime":
            value = value.astimezone(dt.UTC)
        day = value.date() if isinstance(value, dt.datetime) else value
        match op:
            case "within_last":
                return bool(back(self.today, wanted) <= day <= self.today)
            case "before_last":
                return bool(day < back(self.today, wanted))
            case "within_next":
                return bool(self.today <= day <= back(self.today, wanted, -1))
            case "anniversary_within":
                last = back(self.today, wanted, -1)
                days = (in_year(day, year) for year in range(self.today.year, self.today.year + 2))
                return any(day < one and self.today <= one <= last for one in days)
            case "contains":
                return low(wanted.strip()) in low(value)
            case "starts":
                return low(value).startswith(low(wanted.strip()))
        return compare(kind, value, op, wanted)


def compare(kind: str, value: Any, op: str, wanted: Any) -> bool:
    match op:
        case "in" | "eq":
            return any(equal(kind, value, one) for one in (wanted if op == "in" else [wanted]))
        case "not_in" | "ne":
            return not any(equal(kind, value, one) for one in (wanted if op == "not_in" else [wanted]))
        case "between":
            return compare(kind, value, "ge", wanted[0]) and compare(kind, value, "le", wanted[1])
    mine, other = comparable(kind, value, wanted)
    return bool({"lt": mine < other, "le": mine <= other, "gt": mine > other, "ge": mine >= other}[op])


def equal(kind: str, value: Any, wanted: Any) -> bool:
    mine, other = comparable(kind, value, wanted)
    return bool(mine == other)


def comparable(kind: str, value: Any, wanted: Any) -> tuple[Any, Any]:
    match kind:
        case "money" | "decimal" | "integer" | "reference":
            return Fraction(value), Fraction(str(wanted))
        case "date":
            return value, dt.date.fromisoformat(wanted)
        case "datetime":
            if len(wanted) == 10:
                return value.date(), dt.date.fromisoformat(wanted)
            return value, dt.datetime.fromisoformat(wanted)
        case "boolean":
            return value, wanted
    return low(value.value if isinstance(value, Choice) else value), low(wanted)


def low(text: str) -> str:
    """Letter by letter, as a database without a language does it."""
    return "".join(small if len(small := letter.lower()) == 1 else letter if letter != "İ" else "i" for letter in text)


def back(day: dt.date, period: dict[str, int], sign: int = 1) -> dt.date:
    [(unit, number)] = period.items()
    if unit in ("days", "weeks"):
        return day - sign * dt.timedelta(**{unit: number})
    months = day.year * 12 + day.month - 1 - sign * number * (12 if unit == "years" else 1)
    year, month = divmod(months, 12)
    return dt.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def in_year(day: dt.date, year: int) -> dt.date:
    return dt.date(year, day.month, min(day.day, monthrange(year, day.month)[1]))
