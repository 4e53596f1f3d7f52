"""What became of the rows: counts, samples with their differences, and the refused ones as a file to mend."""

from __future__ import annotations

import csv
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from crm.core.entity import Face, db
from crm.core.spreadsheets import neutral
from crm.importing.decisions import LONGEST
from crm.importing.plan import Plan
from crm.importing.reading import Table
from crm.importing.storage import uploads
from crm.importing.targets import DOT, brought_face, landings
from crm.models.access import User
from crm.models.imports import Import
from crm.models.parties import Party
from crm.queries.duplicates import like_known_ones

SAMPLE = 20
LOOKED_AT, EXAMPLES = 500, 3  # new rows that are compared with who is there, and those that are told
_NOT_TAKEN = "outcome IN ('refused', 'ambiguous')"
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_refused(connection: Connection, import_id: int, table: Table, folder: Path) -> str | None:
    """Write the rows that were not taken, as they stand in the file, with `_row`, `_field`, `_error`.

    Answers the file's name in the folder, None when all rows were taken. It appears whole or not at all.
    """
    told = ((line, (field, reason)) for line, _, field, reason in _rows_told(connection, import_id, _NOT_TAKEN))
    return _write_rows(table, folder, ("_field", "_error"), told)


def write_annotated(connection: Connection, import_id: int, table: Table, folder: Path) -> str | None:
    """Write every row that was tried, as it stands in the file, with `_row`, `_outcome`, `_field`, `_error`."""
    told = ((line, (outcome, field, reason)) for line, outcome, field, reason in _rows_told(connection, import_id))
    return _write_rows(table, folder, ("_outcome", "_field", "_error"), told)


def _write_rows(
    table: Table, folder: Path, names: Sequence[str], told: Iterator[tuple[int, tuple[str | None, ...]]]
) -> str | None:
    """The rows of which something is told, in the order of the file. None when it is none."""
    wanted = next(told, None)
    if wanted is None:
        return None
    name = f"{secrets.token_hex(16)}.csv"
    temporary = folder / f"{name}.part"
    with temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(neutral(column.name) for column in table.columns), "_row", *names])
        for row in table.rows():
            if wanted is None:
                break
            if row.number == wanted[0]:
                cells = [neutral(_SURROGATE.sub("\ufffd", cell.replace("\0", ""))) for cell in row.cells]
                writer.writerow([*cells, row.number, *(neutral(words or "") for words in wanted[1])])
                wanted = next(told, None)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o600)
    temporary.rename(folder / name)
    return name


def refused_file(record: Import, reopen: Callable[[], Table]) -> Path | None:
    """The file of refused rows, made now if the import was stopped early; None when there is none, or none any more."""
    if not record.stored_name:
        return None  # deleted after a while, as is the file of refused rows
    if record.refused_name is None:
        record.refused_name = write_refused(db.session.connection(), record.id, reopen(), uploads())
    return uploads() / record.refused_name if record.refused_name else None


def _rows_told(
    connection: Connection, import_id: int, narrowed: str = "true"
) -> Iterator[tuple[int, str | None, str | None, str | None]]:
    """Line, outcome, field and reason in the order of the file, a thousand at a time."""
    after = 0
    while True:
        rows = connection.execute(
            text(
                "SELECT line, outcome, field, reason FROM import_row WHERE import_id = :import AND step = '' "  # noqa: S608 - ours
                f"AND line > :after AND {narrowed} ORDER BY line LIMIT 1000"
            ),
            {"import": import_id, "after": after},
        ).all()
        yield from ((line, outcome, field, reason) for line, outcome, field, reason in rows)
        if not rows:
            return
        after = rows[-1][0]


def count_remarks(connection: Connection, import_id: int, face: Face, remarks: Counter[str]) -> list[str]:
    """What a person should know of rows that were taken with a difference."""
    dropped = connection.execute(
        text(
            "SELECT field, count(*) FROM import_row WHERE import_id = :import AND step = '' AND outcome = 'created' "
            "AND field IS NOT NULL GROUP BY 1 ORDER BY 1"
        ),
        {"import": import_id},
    )
    lines = [f"{number:,} {sentence}" for sentence, number in sorted(remarks.items()) if number]
    for told in (_brought, _said_differently, _doubts):
        lines += told(connection, import_id, face)
    for field, number in dropped:
        lines.append(
            f"{number:,} records were created without their {field.replace('_', ' ')}: it belongs to another record"
        )
    return lines


def _brought(connection: Connection, import_id: int, face: Face) -> list[str]:
    """How many records the rows brought along."""
    found = connection.execute(
        text(
            "SELECT step, count(*) FROM import_row WHERE import_id = :import AND step <> '' AND outcome = 'created' "
            "GROUP BY 1 ORDER BY 1"
        ),
        {"import": import_id},
    )
    return [f"{number:,} {_face_of(face, step).label_plural.lower()} came with the rows" for step, number in found]


def _said_differently(connection: Connection, import_id: int, face: Face) -> list[str]:
    """Of how many records that several rows bring along the rows don't say the same: the first of them was heard."""
    found = connection.execute(
        text(
            "SELECT step, key, count(*), min(first) FROM (SELECT r.step, said.key, r.match_key, min(r.line) AS first "
            "FROM import_row r CROSS JOIN LATERAL jsonb_each_text(r.data) said WHERE r.import_id = :import AND r.step <> '' "
            "AND r.match_key IS NOT NULL GROUP BY 1, 2, 3 HAVING count(DISTINCT said.value) > 1) two GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        {"import": import_id},
    )
    told = [(_face_of(face, step), key, number, line) for step, key, number, line in found]
    told += _named_differently(connection, import_id, face)
    return [f"{number:,} {other.label_plural.lower()} have more than one {other.fields[key].label.lower()} in the rows: "
            f"what the first row says was taken, such as row {line:,}"
            for other, key, number, line in told if key in other.fields]  # fmt: skip


def _named_differently(connection: Connection, import_id: int, face: Face) -> list[tuple[Face, str, int, int]]:
    """Likewise of what they bring along in their turn, such as the customer of an order."""
    given = {"import": import_id}
    found = connection.execute(text("SELECT DISTINCT step FROM import_row WHERE import_id = :import ORDER BY 1"), given)
    told = []
    for step in [step for (step,) in found if DOT in step]:
        above, _, key = step.rpartition(DOT)
        number, line = connection.execute(
            text(
                "SELECT count(*), min(first) FROM (SELECT min(line) AS first FROM (SELECT line, min(match_key) FILTER (WHERE step = :above) "
                "AS key, min(match_key) FILTER (WHERE step = :step) AS named FROM import_row WHERE import_id = :import "
                "AND step IN (:above, :step) GROUP BY line) r WHERE key IS NOT NULL GROUP BY key HAVING count(DISTINCT named) > 1) two"
            ),
            given | {"step": step, "above": above},
        ).one()
        if number:
            told.append((_face_of(face, above), key, number, line))
    return told


def _face_of(face: Face, step: str) -> Face:
    for reference in step.split(DOT):
        face = brought_face(face, reference)
    return face


def _doubts(connection: Connection, import_id: int, face: Face) -> list[str]:
    """How many of the records say what is seldom true."""
    table = face.entity.__tablename__
    lines = []
    for doubt in face.entity.doubts:
        number = connection.execute(
            text(
                f"SELECT count(*) FROM import_row r JOIN {table} ON {table}.id = r.record_id WHERE r.import_id = :import "  # noqa: S608 - declarations only
                f"AND r.step = '' AND r.outcome IN ('created', 'updated') AND ({doubt.condition})"
            ),
            {"import": import_id},
        ).scalar_one()
        if number:
            lines.append(f"{number:,} {face.label_plural.lower()} {doubt.says}: please check")
    return lines


def like_known(connection: Connection, import_id: int, face: Face, actor: User | None) -> list[str]:
    """How many of the first new rows look like somebody who is there already, though nothing they are matched by says so."""
    if face.entity is not Party:
        return []
    new = connection.execute(
        text(
            "SELECT record_id, line FROM import_row WHERE import_id = :import AND step = '' AND outcome = 'created' "
            "ORDER BY line LIMIT :most"
        ),
        {"import": import_id, "most": LOOKED_AT},
    )
    lines: dict[int, int] = {record: line for record, line in new}  # noqa: C416 - rows are no pairs to the type checker
    found = like_known_ones(connection, list(lines), face, actor) if lines else []
    if not found:
        return []
    likeliest = sorted(sorted(found, key=lambda one: lines[one.new]), key=lambda one: -one.score)[:EXAMPLES]
    named = "; ".join(f"row {lines[one.new]:,} like {one.code} ({one.reasons})" for one in likeliest)
    among = f" of the first {LOOKED_AT:,} new ones" if len(lines) == LOOKED_AT else ""
    number = "1 row looks" if len(found) == 1 else f"{len(found):,} rows look"
    return [f"{number}{among} like somebody who is there already, and would be new: {named}"]


def sample_rows(connection: Connection, import_id: int, face: Face) -> list[dict[str, Any]]:
    """The first rows of each outcome, with what would change; for a preview."""
    rows = connection.execute(
        text(
            "SELECT line, outcome, data, field, reason, changes FROM "
            "(SELECT *, row_number() OVER (PARTITION BY outcome ORDER BY line) AS place FROM import_row "
            " WHERE import_id = :import AND step = '') placed WHERE place <= :sample ORDER BY line"
        ),
        {"import": import_id, "sample": SAMPLE},
    )
    known = {landing.name: landing for landing in landings(face)}
    title = face.about.title
    found = []
    for line, outcome, data, field, reason, changes in rows:
        values = data or {}
        told = []
        for name, (before, after) in (changes or {}).items():
            landing = known.get(name)
            told.append(
                {
                    "label": landing.field.label if landing else name,
                    "before": before or "",
                    "after": after or "",
                }
            )
        told_first = ("email", "phone", "main_city", "account_number") if face.entity is Party else values
        shown = [str(values[key]) for key in told_first if values.get(key) and key != title][:4]
        found.append(
            {
                "number": line,
                "outcome": outcome,
                "title": str(values.get(title) or ""),
                "text": " · ".join(shown),
                "changes": told,
                "field": field,
                "reason": reason,
            }
        )
    return found


def cells_to_mend(table: Table, plan: Plan, rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Where the fault of a refused row lies, and where a person wrote something else: by line and number of the column its
    name and what the file says. Long cells and those of several lines are mended in the file."""
    wanted = {line: set(cells) for line, cells in plan.cells.items()}
    for row in rows:
        if row["outcome"] == "refused" and row["field"]:
            faults = {row["field"], *row["field"].split(", ")}
            columns = {
                number
                for number, name in plan.columns.items()
                if not faults.isdisjoint((name, table.columns[number].name))
            }
            wanted.setdefault(row["number"], set()).update(columns)
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for line in takewhile(lambda row: row.number <= max(wanted, default=0), table.rows()) if wanted else ():
        cells = {n: line.cells[n] for n in sorted(wanted.get(line.number, ())) if n < len(line.cells)}
        short = {n: cell for n, cell in cells.items() if len(cell) <= LONGEST and cell.isprintable()}
        if short:
            found[str(line.number)] = {str(n): (table.columns[n].name, cell) for n, cell in short.items()}
    return found
