"""What the file says added up against what is here at the end: how many values of each column, and the sums of numbers."""

# ruff: noqa: S608 - statements are put together from declarations

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from crm.core.entity import Face
from crm.core.permissions import Actor, accesses
from crm.importing.aside import said
from crm.importing.plan import Plan
from crm.importing.targets import Landing, own_landings
from crm.models.imports import Import

PLACES = ("In the file", "In the rows taken", "In the records")
_TAKEN = "r.outcome IN ('created', 'updated', 'unchanged')"


@dataclass(frozen=True)
class Total:
    """Of one field: how many values, and of numbers their sum as text; in the file, in the rows that were taken, and in the
    records of those rows now."""

    field: str
    values: tuple[int, int, int]
    sums: tuple[str, str, str] | None = None

    @property
    def is_left_out(self) -> bool:
        """Something of it stands in rows that weren't taken."""
        return any(figures[0] != figures[1] for figures in (self.values, self.sums) if figures)

    @property
    def differs(self) -> bool:
        """What is here isn't what the rows say that were taken."""
        return any(figures[1] != figures[2] for figures in (self.values, self.sums) if figures)


def add_up(connection: Connection, import_id: int, face: Face, plan: Plan) -> list[dict[str, Any]]:
    """The totals of the fields that the rows' own columns became, while the rows are staged. A value that couldn't be read is
    in none of them: its row was refused."""
    columns = face.entity.__table__.c
    mapped = {landing.name: landing for landing in own_landings(face)}
    counted = [landing for landing in (mapped[name] for name in plan.own.columns.values())
               if landing.embed is None and not landing.only_finds and landing.field.attribute in columns]  # fmt: skip
    if not counted:
        return []
    table = face.entity.__tablename__
    asked = [
        part for landing in counted for only in ("true", _TAKEN) for part in _parts(landing, said, landing.key, only)
    ]
    here = [part for landing in counted for part in _parts(landing, "e.{}".format, landing.field.attribute, "true")]
    rows = f"FROM import_row r WHERE r.import_id = {import_id:d} AND r.step = ''"
    of_file = iter(connection.execute(text(f"SELECT {', '.join(asked)} {rows}")).one())
    of_records = iter(connection.execute(text(
        f"SELECT {', '.join(here)} FROM {table} e WHERE e.id IN (SELECT r.record_id {rows} AND {_TAKEN})")).one())  # fmt: skip
    totals = []
    for landing in counted:
        found = [(next(told), next(told) if _is_number(landing) else None) for told in (of_file, of_file, of_records)]
        sums = tuple(str(total) for _, total in found) if _is_number(landing) else None
        totals.append(asdict(Total(landing.name, tuple(number for number, _ in found), sums)))  # type: ignore[arg-type]
    return totals


def totals_of(record: Import, face: Face, actor: Actor | None) -> list[Total]:
    """The totals that were kept, of fields that the person sees; without a person, all."""
    may = None if actor is None else accesses(actor, face)
    kept = [
        Total(one["field"], tuple(one["values"]), tuple(one["sums"]) if one["sums"] else None)
        for one in record.added_up or ()
    ]
    return [total for total in kept if may is None or (total.field in may and may[total.field].shows)]


def _is_number(landing: Landing) -> bool:
    """Years and the like are numbers that nobody adds up."""
    return landing.field.family == "number" and landing.field.grouped


def _parts(landing: Landing, value_of: Callable[[str], str], name: str, only: str) -> list[str]:
    """SQL: how many values there are, and of numbers their sum, written in one way whatever it is made of. A phone that has no
    international form is there as it was given."""
    value = value_of(name)
    if landing.field.keeps_given:
        value = f"coalesce({value}, {value_of(f'{name}_given')})"
    counted = [f"count({value}) FILTER (WHERE {only})"]
    if _is_number(landing):
        counted.append(f"trim_scale(coalesce(sum(CAST({value} AS numeric)) FILTER (WHERE {only}), 0))")
    return counted
