"""Turns the cells of a row into values of the declared fields, or says which cell cannot be taken and why."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from crm.core.entity import Face
from crm.core.fields import Choice, Field
from crm.importing.decisions import BY_HAND, LEAVE_OUT
from crm.importing.files import Row
from crm.importing.keys import keys_of
from crm.importing.plan import (
    DATES,
    NUMBERS,
    QUOTED,
    Plan,
    PlanRefused,
    column_style,
    quoted_columns,
    row_filter,
)  # fmt: skip
from crm.importing.reading import Table
from crm.importing.rules import rules_of
from crm.importing.targets import DOT, Landing, brought_face, own_landings
from crm.importing.unfit import Unfit
from crm.importing.values import as_datetime, as_number, as_yes_no, clean, one_line
from crm.queries.suppressions import KINDS, digest

REMEMBERED = 4_096
_FLOAT_KEY = re.compile(r"^(\d+)\.0$")


class Staged(NamedTuple):
    """A row ready for the staging table; with a `reason` it is refused, `data` is what could be read."""

    line: int
    data: dict[str, Any] | None
    key: str | None
    field: str | None = None
    reason: str | None = None
    step: str = ""  # the reference under which a row brings this along; of the row itself nothing


class _Said(NamedTuple):
    """A value for all rows that quotes columns of the row; where those are blank, so is their place in it."""

    landing: Landing
    pattern: str
    quoted: tuple[int, ...]
    read: Callable[[str, dict[str, Any]], None]

    def of(self, row: Row) -> str | None:
        values = iter([_as_key(clean(row.cells[number]) or "") for number in self.quoted])
        return clean(QUOTED.sub(lambda _: next(values), self.pattern))


class RowReader:
    """Reads rows as a plan says. `remarks` counts what was taken otherwise than it was written.

    `kept_out` are the digests of persons who were erased: their rows are refused. Raises PlanRefused for a value for all
    rows that can't be one.
    """

    def __init__(
        self,
        plan: Plan,
        face: Face,
        table: Table,
        *,
        remarks: Counter[str] | None = None,
        kept_out: Collection[str] = (),
    ) -> None:
        self._unfit = Unfit()
        self.remarks: Counter[str] = Counter() if remarks is None else remarks
        self._kept_out = kept_out
        own, known = plan.own, {landing.name: landing for landing in own_landings(face)}
        self._face, self._plan = face, own
        self._rules = rules_of(face)
        self._keys = {key.name for key in keys_of(face)}
        self._brought = {reference: RowReader(part, brought_face(face, reference), table, remarks=self.remarks, kept_out=kept_out)
                         for reference, part in plan.brought().items()}  # fmt: skip
        self._mapped = frozenset((*own.names, *self._brought))
        filled = self._rules.fills(self._mapped)
        self._required = [landing for landing in known.values() if landing.field.required and landing.embed is None
                          and landing.name not in filled]  # fmt: skip
        # Phones are read last: the country of their row completes them.
        ordered = sorted(own.columns.items(), key=lambda item: known[item[1]].field.kind == "phone")
        self._columns = [
            (
                number,
                table.columns[number].name,
                known[name],
                self._reader(known[name], own.styles.get(number), repeats=_repeats(table.columns[number].values)),
            )
            for number, name in ordered
        ]
        self._same, self._said = self._constants(known, table)
        self._filter = row_filter(plan.only)
        wanted = ", ".join(f"“{table.columns[number].name}” is “{pattern}”" for number, pattern in plan.only.items())
        self._not_wanted = f"rows were left out: only those come in where {wanted}"
        self._words = {
            name: {word.casefold(): meant for word, meant in words.items()} for name, words in own.words.items()
        }
        # What rows bring along is found by one key.
        self._match_key = known[own.match[0]].key if own.match and own.match[0] in known else None
        self._named_for_all = self._match_key in self._same
        self._looked_at = {number for number, *_ in self._columns} | {n for said in self._said for n in said.quoted}

    def _constants(self, known: dict[str, Landing], table: Table) -> tuple[dict[str, Any], list[_Said]]:
        """The values that are the same in every row, as they are staged, and those that quote its columns."""
        data: dict[str, Any] = {}
        said = []
        numbers = {column.name.casefold(): column.index for column in table.columns}
        for name, given in self._plan.constants.items():
            landing, quoted = known[name], [numbers[header] for header in quoted_columns(given)]
            style = _constant_style(landing)
            if quoted:
                if QUOTED.fullmatch(given):  # a column and nothing else is written as a column is
                    found = column_style(landing, table.columns[quoted[0]])
                    style = found.value if found else style
                said.append(_Said(landing, given, tuple(quoted), self._reader(landing, style, repeats=False)))
                continue
            try:
                self._reader(landing, style, repeats=False)(given, data)
            except ValueError as fault:
                raise PlanRefused(f"{landing.field.label} for all rows: {_sentence(given, str(fault))}") from None
        return data, said

    def mended(self, row: Row) -> Row:
        """The row with what a person wrote in it instead of what the file says."""
        cells = self._plan.cells.get(row.number)
        return row if cells is None else row._replace(cells=[cells.get(n, cell) for n, cell in enumerate(row.cells)])

    def wants(self, row: Row) -> bool:
        """Whether the plan takes such rows at all; what can't be read is for `read` to tell."""
        if self._plan.rows.get(row.number) == LEAVE_OUT:
            self.remarks[BY_HAND] += 1
            return False
        wanted = row.problem is not None or self._filter(row.cells)
        if not wanted:
            self.remarks[self._not_wanted] += 1
        return wanted

    @property
    def left_out(self) -> int:
        """How many rows the plan didn't want so far."""
        return self.remarks[self._not_wanted] + self.remarks[BY_HAND]

    def read(self, row: Row) -> list[Staged]:
        """Values or refusal of one row, then of what it brings along; never raises for what stands in it."""
        if row.problem:
            return [Staged(row.number, None, None, None, row.problem)]
        data, fields, reasons = self._values(row)
        if self._kept_out:
            self._refuse_erased(data, fields, reasons)
        brought: list[Staged] = []
        for reference, reader in self._brought.items():
            if not reader.has_values(row):
                continue
            first, *others = reader.read(row)
            brought += [one._replace(step=_below(reference, one.step)) for one in (first, *others)]
            if first.reason:
                label = self._face.fields[reference].label
                fields.append(first.field or "")
                reasons.append(f"{label}: {first.reason}")
        if not reasons:
            self._complete(data, {one.step for one in brought}, fields, reasons)
        if reasons:
            told = ", ".join(dict.fromkeys(fields))[:255], "; ".join(reasons)[:2000]
            return [Staged(row.number, data or None, None, *told)]
        key = data.get(self._match_key) if self._match_key else None
        return [Staged(row.number, data, key), *brought]

    def _refuse_erased(self, data: dict[str, Any], fields: list[str], reasons: list[str]) -> None:
        said = [(said.landing.name, said.landing) for said in self._said]
        for header, landing in [*((header, landing) for _, header, landing, _ in self._columns), *said]:
            value = data.get(landing.key) if landing.field.kind in KINDS else None
            if value and digest(value) in self._kept_out:
                fields.append(header)
                reasons.append(f"{landing.field.label}: belongs to somebody who was erased at their request")

    def unfit(self) -> Iterator[tuple[str, str, int]]:
        """The values so far that fit no choice: (target, value, how often)."""
        yield from ((name, value, number) for (name, value), number in self._unfit.values.items())
        for reference, reader in self._brought.items():
            yield from ((f"{reference}{DOT}{name}", value, number) for name, value, number in reader.unfit())

    def has_values(self, row: Row) -> bool:
        """Whether the row says anything of this record, or the plan says which one it is where the row doesn't."""
        return (
            self._named_for_all
            or any(clean(row.cells[number]) is not None for number in self._looked_at)
            or any(reader.has_values(row) for reader in self._brought.values())
        )

    def _values(self, row: Row) -> tuple[dict[str, Any], list[str], list[str]]:
        data: dict[str, Any] = {}
        fields, reasons = [], []
        for number, header, landing, read in self._columns:
            cell = raw = clean(row.cells[number])
            if raw is not None and landing.name in self._words:
                raw = self._words[landing.name].get(raw.casefold(), raw) or None
            if raw is None:
                continue
            try:
                read(raw, data)
            except ValueError as fault:
                fields.append(header)
                reasons.append(f"{landing.field.label}: {_sentence(raw, str(fault))}")
                self._unfit.note(landing, cell or raw)
        for said in self._said:
            try:
                if said.landing.key not in data and (text := said.of(row)) is not None:
                    said.read(text, data)
            except ValueError as fault:
                fields.append(said.landing.name)
                reasons.append(f"{said.landing.field.label}: {_sentence(text or '', str(fault))}")
        return {**self._same, **data} if self._same else data, fields, reasons

    def _complete(self, data: dict[str, Any], brought: set[str], fields: list[str], reasons: list[str]) -> None:
        given, before = bool(data.get("name")), set(data)
        self._rules.prepare(self._face, data)
        data |= {name: _plain(data[name]) for name in data.keys() - before}
        if not given and isinstance(data.get("name"), str):
            data["name"] = data["name"][:255]
        for landing in self._required:
            if data.get(landing.key) in (None, "") and landing.name not in brought:
                fields.append(landing.name)
                reasons.append(f"{landing.field.label}: is empty")
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
            return lambda raw, data: data.__setitem__(key, _as_key(one_line(raw))[:255])
        convert = _converter(landing, style, is_key=landing.name in self._keys)
        if declared.measured:
            return lambda raw, data: data.__setitem__(key, self._rounded(declared, as_number(raw, style or "point")))
        if repeats and kind not in ("long_text", "json"):
            # Countries, states, industries: a few thousand values stand in a million rows.
            convert = lru_cache(maxsize=REMEMBERED)(convert)

        def read(raw: str, data: dict[str, Any]) -> None:
            value = _plain(convert(raw))
            if value is not None:
                data[key] = value

        return read

    def _rounded(self, declared: Field, number: Decimal) -> Any:
        """What was measured more exactly than it is kept; the report says that."""
        whole = number.quantize(Decimal(1), ROUND_HALF_UP)
        self.remarks[f"values of “{declared.label}” were rounded to whole numbers"] += whole != number
        return declared.parse(whole)

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


def _repeats(values: Sequence[str]) -> bool:
    return len(values) > 20 and len(set(values)) < len(values) / 3


def _converter(landing: Landing, style: str | None, *, is_key: bool) -> Callable[[str], Any]:
    declared = landing.field
    kind = declared.kind
    if kind in NUMBERS:
        return lambda raw: declared.parse(as_number(raw, style or "point"))
    if kind in DATES:
        if kind == "date":
            return lambda raw: declared.parse(as_datetime(raw, style or "ymd").date())
        moment = lambda raw: declared.parse(as_datetime(raw, style or "ymd"))  # noqa: E731
        return (lambda raw: _past(moment(raw))) if declared.original else moment
    if kind == "boolean":
        return lambda raw: declared.parse(as_yes_no(raw))
    if kind == "choice":
        return lambda raw: _choice(declared, raw)
    if kind == "long_text":
        return declared.parse
    if is_key:
        return lambda raw: declared.parse(_as_key(one_line(raw)))
    joint = ", " if landing.embed is not None else " "
    return lambda raw: declared.parse(one_line(raw, joint))


def _past(moment: dt.datetime) -> dt.datetime:
    if moment > dt.datetime.now(dt.UTC):
        raise ValueError("lies in the future")
    return moment


def _as_key(text: str) -> str:
    """13085.0 is a number that went through a table with gaps."""
    return _FLOAT_KEY.sub(r"\1", text) if text.endswith(".0") else text


def _constant_style(landing: Landing) -> str | None:
    kind = landing.field.kind
    return "ymd" if kind in DATES else "point" if kind in NUMBERS else None


def _below(reference: str, step: str) -> str:
    return f"{reference}{DOT}{step}" if step else reference


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
