"""Turns the cells of a row into values of the declared fields, or says which cell cannot be taken and why."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import select

from crm.core.entity import Face, db
from crm.core.fields import Choice, Field
from crm.importing.files import Row
from crm.importing.plan import DATES, NUMBERS, Plan
from crm.importing.reading import Table
from crm.importing.targets import Landing, landings, rules_of
from crm.importing.values import as_datetime, as_number, as_yes_no, clean, one_line
from crm.models.access import Team, User

REMEMBERED = 4_096
_FLOAT_KEY = re.compile(r"(\d+)\.0")


class Staged(NamedTuple):
    """A row ready for the staging table; with a `reason` it is refused, `data` is what could be read."""

    line: int
    data: dict[str, Any] | None
    key: str | None
    field: str | None = None
    reason: str | None = None


class RowReader:
    """Reads rows as a plan says. `remarks` counts what was taken otherwise than it was written."""

    def __init__(self, plan: Plan, face: Face, table: Table) -> None:
        known = {landing.name: landing for landing in landings(face)}
        self.remarks: Counter[str] = Counter()
        self._face, self._plan = face, plan
        self._rules = rules_of(face)
        self._people: dict[str, int] | None = None
        self._mapped = frozenset(plan.columns.values())
        self._required = [
            landing.field for landing in known.values() if landing.field.required and landing.embed is None
        ]
        # Phones are read last: the country of their row completes them.
        ordered = sorted(plan.columns.items(), key=lambda item: known[item[1]].field.kind == "phone")
        self._columns = [
            (
                number,
                table.columns[number].name,
                known[name],
                self._reader(known[name], plan.styles.get(number), repeats=_repeats(table.columns[number].values)),
            )
            for number, name in ordered
        ]
        self._match_key = known[plan.match].key if plan.match in known else None

    def read(self, row: Row) -> Staged:
        """Values or refusal of one row; never raises for what stands in it."""
        if row.problem:
            return Staged(row.number, None, None, None, row.problem)
        data: dict[str, Any] = {}
        fields, reasons = [], []
        for number, header, landing, read in self._columns:
            raw = clean(row.cells[number])
            if raw is None:
                continue
            try:
                read(raw, data)
            except ValueError as fault:
                fields.append(header)
                reasons.append(f"{landing.field.label}: {_sentence(raw, str(fault))}")
        if not reasons:
            self._complete(data, fields, reasons)
        if reasons:
            return Staged(row.number, data or None, None, ", ".join(fields)[:255], "; ".join(reasons)[:2000])
        key = data.get(self._match_key) if self._match_key else None
        return Staged(row.number, data, key)

    def _complete(self, data: dict[str, Any], fields: list[str], reasons: list[str]) -> None:
        given = bool(data.get("name"))
        self._face.entity.complete(data)
        if not given and isinstance(data.get("name"), str):
            data["name"] = data["name"][:255]
        for declared in self._required:
            if not data.get(declared.attribute):
                fields.append(declared.name)
                reasons.append(f"{declared.label}: is empty")
                return
        try:
            self._rules.complete(data, mapped=self._mapped)
        except ValueError as fault:
            reasons.append(str(fault))

    def _reader(self, landing: Landing, style: str | None, *, repeats: bool) -> Callable[[str, dict[str, Any]], None]:
        declared, key = landing.field, landing.key
        kind = declared.kind
        if kind == "phone":
            return lambda raw, data: self._phone(declared, key, raw, data)
        if kind == "email":
            return lambda raw, data: data.update({key: declared.parse(raw), f"{key}_given": raw})
        if kind == "reference":
            find = self._person if declared.refers_to == "user" else _team
            return lambda raw, data: data.__setitem__(key, find(raw))
        convert = _converter(landing, style)
        if repeats:
            # Countries, states, industries: a few thousand values stand in a million rows.
            convert = lru_cache(maxsize=REMEMBERED)(convert)

        def read(raw: str, data: dict[str, Any]) -> None:
            value = _plain(convert(raw))
            if value is not None:
                data[key] = value

        return read

    def _phone(self, declared: Field, key: str, raw: str, data: dict[str, Any]) -> None:
        """A number that cannot be brought into the international form is kept as it was written."""
        country = data.get("main_country") or self._plan.country
        raw = raw.lstrip("'")  # a guard that another program put there
        try:
            data[key] = declared.parse(raw, country=country)
        except ValueError:
            if sum(sign.isdigit() for sign in raw) < 5 or len(raw) > 40:
                raise
            self.remarks["phones kept as written: no country code, or not possible in its country"] += 1
        data[f"{key}_given"] = raw

    def _person(self, raw: str) -> int:
        if self._people is None:
            rows = db.session.execute(select(User.id, User.email, User.name).where(User.active).order_by(User.id))
            self._people = {}
            for ident, email, name in rows:
                self._people.setdefault(name.casefold(), ident)
                self._people[email] = ident
        found = self._people.get(raw.casefold())
        if found is None:
            raise ValueError("is the name or e-mail of no active user")
        return found


def _team(raw: str) -> int:
    found = db.session.scalars(select(Team.id).where(Team.name == raw)).one_or_none()
    if found is None:
        raise ValueError("is the name of no team")
    return found


def _repeats(values: Sequence[str]) -> bool:
    return len(values) > 20 and len(set(values)) < len(values) / 3


def _converter(landing: Landing, style: str | None) -> Callable[[str], Any]:
    declared = landing.field
    kind = declared.kind
    if kind in NUMBERS:
        return lambda raw: declared.parse(as_number(raw, style or "point"))
    if kind in DATES:
        if kind == "date":
            return lambda raw: declared.parse(as_datetime(raw, style or "ymd").date())
        return lambda raw: declared.parse(as_datetime(raw, style or "ymd"))
    if kind == "boolean":
        return lambda raw: declared.parse(as_yes_no(raw))
    if kind == "choice":
        return lambda raw: _choice(declared, raw)
    if kind == "long_text":
        return declared.parse
    if landing.name == "account_number":
        # 13085.0 is a number that went through a table with gaps.
        return lambda raw: declared.parse(_FLOAT_KEY.sub(r"\1", one_line(raw)) if raw.endswith(".0") else one_line(raw))
    joint = ", " if landing.embed is not None else " "
    return lambda raw: declared.parse(one_line(raw, joint))


def _choice(declared: Field, raw: str) -> Any:
    """M and F are enough where only one choice begins so."""
    if len(raw) == 1 and declared.choices is not None:
        found = [member for member in declared.choices if member.value.startswith(raw.casefold())]
        if len(found) == 1:
            return found[0]
    return declared.parse(raw)


def _plain(value: Any) -> Any:
    """As JSON takes it."""
    match value:
        case Choice():
            return str(value.value)
        case Decimal():
            return str(value)
        case dt.datetime() | dt.date():
            return value.isoformat()
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def _sentence(raw: str, fault: str) -> str:
    return fault if fault[:1] in "'“" else f"“{raw[:60]}” {fault}"
