"""The plan of an import: what is read how, what each column becomes, what happens to known records."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from crm.core.entity import Face, face_named
from crm.core.fields import countries
from crm.core.permissions import Actor
from crm.importing.decisions import MOST
from crm.importing.files import Column, ReadOptions
from crm.importing.keys import EXTERNAL, NUMBER, usable
from crm.importing.mapping import known_words, suggest
from crm.importing.matching import as_ladder, best_match, given_by, matchable, offered
from crm.importing.reading import Table, open_table
from crm.importing.rules import rules_of
from crm.importing.targets import DOT, Landing, brought_face, is_external, landings, own_landings
from crm.importing.values import Style, date_style, number_style
from crm.models.imports import Duplicates
from crm.queries.exports import WITHHELD

NUMBERS = frozenset(("money", "decimal", "integer"))
DATES = frozenset(("date", "datetime"))
STYLES = frozenset(("dmy", "mdy", "ymd", "serial", "point", "comma"))
SYSTEM_LENGTH = 64
OVERWRITE, FILL, NEVER = "overwrite", "fill", "never"
# When the file changes a field of a known record.
RULES = {OVERWRITE: "Overwrite", FILL: "Only if blank", NEVER: "Only for new records"}
QUOTED = re.compile(r"\{([^{}]+)\}")


class PlanRefused(ValueError):
    """The plan cannot be carried out; the message says what to change."""


class PlanChanged(PlanRefused):
    """It is not the plan that was checked."""

    def __init__(self) -> None:
        super().__init__("the plan changed since it was checked: check again")


@dataclass(frozen=True)
class Plan:
    """`columns` says what each column of the file (by its number) becomes, `styles` how it is written, or by what a
    column names another record. `match` is the ladder by which known records are found. `constants` are values for where
    the file says nothing. `system` is where the file comes from: numbers of that system are kept, and other records are
    found by them. `words` says of a field what the words of the file mean. `rules` says of a field when the file changes
    it in a known record, where that isn't always; with `known_only` no record is made. `only`
    says of columns what a row must have there to be taken, see `row_filter`. `rows` says of single rows by their number
    that they are left out, or which record they mean, `cells` what was written in them instead of what the file says, see
    `decisions`."""

    face: str
    options: ReadOptions
    columns: Mapping[int, str]
    styles: Mapping[int, str] = field(default_factory=dict)
    duplicates: Duplicates = Duplicates.SKIP
    match: tuple[str, ...] = ()
    country: str | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    known_only: bool = False
    only: Mapping[int, str] = field(default_factory=dict)
    rows: Mapping[int, str] = field(default_factory=dict)
    cells: Mapping[int, Mapping[int, str]] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return {
            "face": self.face,
            "options": self.options.as_data(),
            "duplicates": str(self.duplicates.value),
            "columns": {str(number): name for number, name in self.columns.items()},
            "styles": {str(number): style for number, style in self.styles.items()},
            "match": list(self.match),
            "country": self.country,
            "constants": dict(self.constants),
            "system": self.system,
            "words": {name: dict(meant) for name, meant in self.words.items()},
            "rules": dict(self.rules),
            "known_only": self.known_only,
            "only": {str(number): pattern for number, pattern in self.only.items()},
            "rows": {str(line): decided for line, decided in self.rows.items()},
            "cells": {
                str(line): {str(number): cell for number, cell in cells.items()} for line, cells in self.cells.items()
            },
        }

    @property
    def names(self) -> list[str]:
        """Everything that gets a value: by a column, or the same for all."""
        return list(dict.fromkeys((*self.columns.values(), *self.constants)))

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
            match=as_ladder(data.get("match")),
            country=data.get("country"),
            constants=data.get("constants", {}),
            system=data.get("system"),
            words=data.get("words", {}),
            rules=data.get("rules", {}),
            known_only=data.get("known_only", False),
            only={int(number): pattern for number, pattern in data.get("only", {}).items()},
            rows={int(line): decided for line, decided in data.get("rows", {}).items()},
            cells={
                int(line): {int(number): cell for number, cell in cells.items()}
                for line, cells in data.get("cells", {}).items()
            },
        )

    @property
    def own(self) -> Plan:
        """The same without what the rows bring along."""
        return replace(
            self,
            columns={number: name for number, name in self.columns.items() if DOT not in name},
            constants={name: given for name, given in self.constants.items() if DOT not in name},
            words={name: meant for name, meant in self.words.items() if DOT not in name},
            rules={name: rule for name, rule in self.rules.items() if DOT not in name},
        )

    def brought(self) -> dict[str, Plan]:
        """The plan of each record that a row brings along, by the reference to it. A known one is taken as it is."""
        face, found = face_named(self.face), {}
        for reference in dict.fromkeys(name.partition(DOT)[0] for name in self.names if DOT in name):
            prefix = reference + DOT
            columns = {n: name.removeprefix(prefix) for n, name in self.columns.items() if name.startswith(prefix)}
            constants = {name.removeprefix(prefix): given for name, given in self.constants.items()
                         if name.startswith(prefix)}  # fmt: skip
            words = {name.removeprefix(prefix): meant for name, meant in self.words.items() if name.startswith(prefix)}
            other = brought_face(face, reference)
            found[reference] = replace(
                self, face=other.name, columns=columns, constants=constants, words=words,
                duplicates=Duplicates.SKIP, rules={}, known_only=False,
                match=best_match(other, (*columns.values(), *constants), brought=True),
            )  # fmt: skip
        return found


# What a person decided about single rows of one file.
ROW_BY_ROW = ("rows", "cells")
# What a person chose besides the file, how it is read and what its columns become.
CHOSEN = tuple(one.name for one in fields(Plan) if one.name not in ("face", "options", "columns", "styles"))


def named_by(face: Face, actor: Actor | None) -> dict[str, str]:
    """How a column may name a record of a face, with the words for it."""
    known = {key.name: key.label for key in usable(face, actor)}
    return known | {EXTERNAL: "Number in the source system", NUMBER: "Number here"}


def open_for(face: Face, path: Any, options: ReadOptions | None = None) -> Table:
    """Open a file that is to become records of a face. Raises FileRefused."""
    return open_table(path, options, words=known_words([landing.target() for landing in landings(face)]))


def suggested_columns(face: Face, table: Table, actor: Actor | None, *, system: str | None = None) -> dict[int, str]:
    """The columns that mean something to this person, by number."""
    ours = _columns_of_export(face, table, actor)
    if ours:
        return ours
    shut = {NUMBER} if system else {NUMBER, EXTERNAL}
    targets = [landing.target() for landing in landings(face, actor)
               if landing.is_suggested and landing.name.rpartition(DOT)[2] not in shut]  # fmt: skip
    while True:
        found = {one.column: one.target for one in suggest(table.columns, targets) if one.target}
        left_out = _left_out(face, set(found.values()))
        if left_out is None:
            return found
        targets = [target for target in targets if not left_out(target.name)]


def _left_out(face: Face, names: set[str]) -> Callable[[str], bool] | None:
    """What of the suggestions goes: one value alone names a record that is there, so nothing comes with the row; more than
    that is a record that comes with the row, so it isn't named."""
    for reference in sorted({name.rpartition(DOT)[0] for name in names if DOT in name}):
        beginning, other, needed = reference + DOT, face, False
        for part in reference.split(DOT):
            needed, other = other.fields[part].required, brought_face(other, part)
        inner = [name.removeprefix(beginning) for name in names if name.startswith(beginning)]
        if len(inner) == 1 and (needed or other.about.title not in given_by(other, inner)):
            return partial(_begins, beginning)
        if reference in names:
            return reference.__eq__
    return None


def _begins(beginning: str, name: str) -> bool:
    return name.startswith(beginning)


def _columns_of_export(face: Face, table: Table, actor: Actor | None) -> dict[int, str]:
    """Those of a file that was exported here: it has our names alone, with the number and the day of making of each
    record. What can't be set is left alone."""
    names = {column.index: column.name for column in table.columns}
    if not {NUMBER, "created_at"} <= set(names.values()) <= {*face.fields, *face.embedded_names, WITHHELD}:
        return {}
    offered = {landing.name for landing in own_landings(face, actor)}
    return {number: name for number, name in names.items() if name in offered}


def make_plan(
    face: Face,
    table: Table,
    *,
    columns: Mapping[int, str] | None = None,
    duplicates: Duplicates = Duplicates.SKIP,
    match: str | Sequence[str] | None = None,
    country: str | None = None,
    styles: Mapping[int, str] | None = None,
    constants: Mapping[str, str] | None = None,
    system: str | None = None,
    words: Mapping[str, Mapping[str, str]] | None = None,
    rules: Mapping[str, str] | None = None,
    known_only: bool = False,
    only: Mapping[int, str] | None = None,
    rows: Mapping[int, str] | None = None,
    cells: Mapping[int, Mapping[int, str]] | None = None,
    complete: bool = True,
    actor: Actor | None = None,
) -> Plan:
    """A plan with what the actor may set; what isn't given is found out. Raises PlanRefused, for gaps too unless `complete` is off."""
    chosen = dict(suggested_columns(face, table, actor, system=system) if columns is None else columns)
    known = {landing.name: landing for landing in landings(face, actor)}
    same = {name: given.strip() for name, given in (constants or {}).items() if given.strip()}
    _check_columns(face, table, chosen, known, same, complete=complete)
    _check_source(system, (*chosen.values(), *same))
    if wrong := next((number for number in only or {} if not 0 <= number < len(table.columns)), None):
        raise PlanRefused(f"the file has no column {wrong + 1}")
    if len({*(rows or {}), *(cells or {})}) > MOST:
        raise PlanRefused(f"more than {MOST:,} single rows are decided: mend them in the file")
    if duplicates is Duplicates.UPDATE and not face.about.edit:
        raise PlanRefused(f"{face.label_plural.lower()} are never changed: choose to skip what is there already")
    ladder = _ladder(face, match, [*chosen.values(), *same], actor, complete=complete)
    if country is not None and country not in countries():
        raise PlanRefused(f"“{country}” is not the two-letter code of a country")
    found = {number: style.value for number, style in column_styles(table, chosen, known).items()}
    by = {number: style for number, style in (styles or {}).items()
          if number in chosen and (known[chosen[number]].is_link or style in STYLES)}  # fmt: skip
    for number, style in by.items():
        landing = known[chosen[number]]
        if landing.is_link and style:
            _check_named_by(face_named(landing.field.refers_to), style, system, actor)
    return Plan(face.name, table.options, chosen, {**found, **by}, duplicates, ladder, country, same, system or None,
                words or {}, _rules(rules or {}, [*chosen.values(), *same]), known_only and duplicates is Duplicates.UPDATE,
                only or {}, rows or {}, cells or {})  # fmt: skip


def _rules(given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    wrong = next((rule for rule in given.values() if rule not in RULES), None)
    if wrong is not None:
        raise PlanRefused(f"“{wrong[:60]}” doesn't say when the file changes a known record; use {' or '.join(RULES)}")
    return {name: rule for name, rule in given.items() if name in names and DOT not in name and rule != OVERWRITE}


def _ladder(
    face: Face, match: str | Sequence[str] | None, names: Sequence[str], actor: Actor | None, *, complete: bool
) -> tuple[str, ...]:
    """The steps that were chosen and that the file can take; without a choice the best one."""
    chosen, own = as_ladder(match), [name for name in names if DOT not in name]
    known = matchable(face, actor)
    wrong = next((name for name in chosen if name not in known), None)
    if wrong is not None:
        raise PlanRefused(f"records can't be matched by “{wrong[:60]}”; use {' or '.join(known)}")
    possible = offered(face, own, actor)
    taken = tuple(name for name in chosen if name in possible)
    if chosen and not taken and complete:
        raise PlanRefused(f"no column becomes {known[chosen[0]].label}, by which known records are to be found")
    return taken or best_match(face, own)


def _check_source(system: str | None, names: Iterable[str]) -> None:
    if system and len(system) > SYSTEM_LENGTH:
        raise PlanRefused(f"the name of the source system is longer than {SYSTEM_LENGTH} characters")
    if not system and any(is_external(name) for name in names):
        raise PlanRefused("say which system the numbers come from, such as erp")


def _check_named_by(face: Face, style: str, system: str | None, actor: Actor | None) -> None:
    offered = named_by(face, actor)
    if style not in offered:
        raise PlanRefused(f"a {face.label.lower()} can't be named by “{style[:60]}”; use {' or '.join(offered)}")
    if style == EXTERNAL and not system:
        raise PlanRefused("say which system the numbers come from, such as erp")


def quoted_columns(value: str) -> list[str]:
    """The columns of which a value for all rows takes what they say, such as {Order ID}; small letters."""
    return [header.casefold() for header in QUOTED.findall(value)]


def row_filter(only: Mapping[int, str]) -> Callable[[Sequence[str]], bool]:
    """Whether the cells of a row are what the plan wants: `C*` begins with C, `!C*` does not, `!` alone is not blank."""
    tests = []
    for number, pattern in only.items():
        wanted = ".*".join(re.escape(part) for part in pattern.removeprefix("!").strip().split("*"))
        tests.append((number, re.compile(wanted, re.DOTALL | re.IGNORECASE).fullmatch, not pattern.startswith("!")))
    return lambda cells: all((fits(cells[number].strip()) is not None) is yes for number, fits, yes in tests)


def column_styles(table: Table, columns: Mapping[int, str], known: Mapping[str, Landing]) -> dict[int, Style]:
    """How the dates and numbers of each column are written, with the reason."""
    found = {number: column_style(known[name], table.columns[number]) for number, name in columns.items()}
    return {number: style for number, style in found.items() if style is not None}


def column_style(landing: Landing, column: Column) -> Style | None:
    if landing.field.kind in DATES:
        return date_style(column.values)
    return number_style(column.values) if landing.field.kind in NUMBERS else None


def missing(face: Face, names: Sequence[str]) -> dict[str, str]:
    """Required fields, with their labels, that nothing gives and no others make up (first and last name do)."""
    own = [name for name in names if DOT not in name]
    probe: dict[str, Any] = dict.fromkeys(own, "x")
    face.entity.complete(probe)
    filled = rules_of(face).fills(frozenset(name.partition(DOT)[0] for name in names))
    inner: dict[str, str] = {}
    for reference in dict.fromkeys(name.partition(DOT)[0] for name in names if DOT in name):
        probe[reference] = "x"
        brought = [name.partition(DOT)[2] for name in names if name.startswith(reference + DOT)]
        inner |= {f"{reference}{DOT}{name}": f"{face.fields[reference].label}: {label}"
                  for name, label in missing(brought_face(face, reference), brought).items()}  # fmt: skip
    return {
        landing.name: landing.field.label
        for landing in own_landings(face)
        if landing.field.required
        and landing.embed is None
        and not probe.get(landing.name)
        and landing.name not in filled
    } | inner


def _check_columns(
    face: Face,
    table: Table,
    columns: Mapping[int, str],
    known: Mapping[str, Landing],
    constants: Mapping[str, str],
    *,
    complete: bool,
) -> None:
    taken: dict[str, int] = {}
    headers = {column.name.casefold() for column in table.columns}
    for name in constants:
        if name not in known or (is_external(name) and not quoted_columns(constants[name])):
            raise PlanRefused(f"“{name[:60]}” is nothing that can be the same in every row")
        for header in quoted_columns(constants[name]):
            if header not in headers:
                raise PlanRefused(f"“{{{header[:60]}}}” in a value for all rows: the file has no such column")
    for number, name in columns.items():
        if not 0 <= number < len(table.columns):
            raise PlanRefused(f"the file has no column {number + 1}")
        if name not in known:
            raise PlanRefused(f"“{name[:60]}” is nothing that can be imported")
        if name in taken:
            first, second = table.columns[taken[name]].name, table.columns[number].name
            raise PlanRefused(f"“{first}” and “{second}” both become {known[name].field.label}; choose one")
        taken[name] = number
    for reference in {name.partition(DOT)[0] for name in taken if DOT in name} & taken.keys():
        raise PlanRefused(f"{known[reference].field.label} is either named by a column or comes with the row, not both")
    lacking = list(missing(face, [*taken, *constants]).values()) if complete else []
    if lacking:
        raise PlanRefused(
            f"no column becomes {lacking[0]}, and no record goes without it: choose one, or give it for all rows"
        )
