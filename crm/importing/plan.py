"""The plan of an import: what is read how, what each column becomes, what happens to known records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm.core.entity import Face
from crm.core.fields import countries
from crm.core.permissions import Actor
from crm.importing.files import ReadOptions
from crm.importing.mapping import known_words, suggest
from crm.importing.reading import Table, open_table
from crm.importing.targets import Landing, landings
from crm.importing.values import Style, date_style, number_style
from crm.models.imports import Duplicates

NUMBERS = frozenset(("money", "decimal", "integer"))
DATES = frozenset(("date", "datetime"))
# Fields a known record can be found by, surest default first: text that names one record, compared exactly.
MATCHABLE = ("email", "account_number")


class PlanRefused(ValueError):
    """The plan cannot be carried out; the message says what to change."""


class PlanChanged(PlanRefused):
    """It is not the plan that was checked."""

    def __init__(self) -> None:
        super().__init__("the plan changed since it was checked: check again")


@dataclass(frozen=True)
class Plan:
    """`columns` says what each column of the file (by its number) becomes, `styles` how it is written."""

    face: str
    options: ReadOptions
    columns: Mapping[int, str]
    styles: Mapping[int, str] = field(default_factory=dict)
    duplicates: Duplicates = Duplicates.SKIP
    match: str | None = None
    country: str | None = None

    def as_data(self) -> dict[str, Any]:
        return {
            "face": self.face,
            "options": self.options.as_data(),
            "duplicates": str(self.duplicates.value),
            "columns": {str(number): name for number, name in self.columns.items()},
            "styles": {str(number): style for number, style in self.styles.items()},
            "match": self.match,
            "country": self.country,
        }

    @property
    def digest(self) -> str:
        """By which a plan is recognised as the one that was checked."""
        return hashlib.sha256(json.dumps(self.as_data(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Plan:
        return cls(
            face=data["face"],
            options=ReadOptions.from_data(data["options"]),
            columns={int(number): name for number, name in data["columns"].items()},
            styles={int(number): style for number, style in data.get("styles", {}).items()},
            duplicates=Duplicates(data["duplicates"]),
            match=data.get("match"),
            country=data.get("country"),
        )


def open_for(face: Face, path: Any, options: ReadOptions | None = None) -> Table:
    """Open a file that is to become records of a face. Raises FileRefused."""
    return open_table(path, options, words=known_words([landing.target() for landing in landings(face)]))


def suggested_columns(face: Face, table: Table, actor: Actor | None) -> dict[int, str]:
    """The columns that mean something to this person, by number."""
    targets = [landing.target() for landing in landings(face, actor)]
    return {found.column: found.target for found in suggest(table.columns, targets) if found.target}


def make_plan(
    face: Face,
    table: Table,
    *,
    columns: Mapping[int, str] | None = None,
    duplicates: Duplicates = Duplicates.SKIP,
    match: str | None = None,
    country: str | None = None,
    styles: Mapping[int, str] | None = None,
    complete: bool = True,
    actor: Actor | None = None,
) -> Plan:
    """A plan with what the actor may set; what isn't given is found out. Raises PlanRefused, for gaps too unless `complete` is off."""
    chosen = dict(suggested_columns(face, table, actor) if columns is None else columns)
    known = {landing.name: landing for landing in landings(face, actor)}
    _check_columns(face, table, chosen, known, complete=complete)
    if match is None:
        match = next((name for name in MATCHABLE if name in chosen.values()), None)
    elif match not in MATCHABLE or match not in known:
        raise PlanRefused(f"records can't be matched by “{match}”; use {' or '.join(MATCHABLE)}")
    if country is not None and country not in countries():
        raise PlanRefused(f"“{country}” is not the two-letter code of a country")
    found = {number: style.value for number, style in column_styles(table, chosen, known).items()}
    return Plan(face.name, table.options, chosen, {**found, **(styles or {})}, duplicates, match, country)


def column_styles(table: Table, columns: Mapping[int, str], known: Mapping[str, Landing]) -> dict[int, Style]:
    """How the dates and numbers of each column are written, with the reason."""
    found = {}
    for number, name in columns.items():
        kind = known[name].field.kind
        if kind in DATES:
            found[number] = date_style(table.columns[number].values)
        elif kind in NUMBERS:
            found[number] = number_style(table.columns[number].values)
    return found


def missing(face: Face, names: Sequence[str]) -> list[str]:
    """Labels of required fields that no column gives and no others make up (first and last name do)."""
    probe: dict[str, Any] = dict.fromkeys(names, "x")
    face.entity.complete(probe)
    return [
        landing.field.label
        for landing in landings(face)
        if landing.field.required and landing.embed is None and not probe.get(landing.name)
    ]


def _check_columns(
    face: Face, table: Table, columns: Mapping[int, str], known: Mapping[str, Landing], *, complete: bool
) -> None:
    taken: dict[str, int] = {}
    for number, name in columns.items():
        if not 0 <= number < len(table.columns):
            raise PlanRefused(f"the file has no column {number + 1}")
        if name not in known:
            raise PlanRefused(f"“{name[:60]}” is nothing that can be imported")
        if name in taken:
            first, second = table.columns[taken[name]].name, table.columns[number].name
            raise PlanRefused(f"“{first}” and “{second}” both become {known[name].field.label}; choose one")
        taken[name] = number
    lacking = missing(face, list(taken)) if complete else []
    if lacking:
        raise PlanRefused(f"no column becomes {lacking[0]}, and no record goes without it")
