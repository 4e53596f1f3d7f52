"""What a person decides about single rows on the page of the check: left out, the record that a row means, what it should
say instead."""

# ruff: noqa: S608 - statements are put together from declarations; what a person gave is always bound

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm.core.entity import Face
from crm.importing.keys import NUMBER_HERE
from crm.importing.matching import may_be_meant
from crm.importing.rules import rules_of

LEAVE_OUT = ""
MOST = 1_000
LONGEST = 500  # characters of a cell that is mended by hand
BY_HAND = "of the rows left out by hand"


def read_decisions(given: Mapping[str, str], left_out: list[str]) -> dict[int, str]:
    """The lines that are left out, and those for which a record was named (`meant_17`)."""
    meant = {name.removeprefix("meant_"): value.strip() for name, value in given.items() if name.startswith("meant_")}
    found = {line: value for line, value in meant.items() if value} | dict.fromkeys(left_out, LEAVE_OUT)
    return {int(line): value for line, value in found.items() if line.isascii() and line.isdigit() and len(line) < 10}


def read_cells(given: Mapping[str, str], shown: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[int, dict[int, str]]:
    """What was written instead of the cells that were shown (`cell_17_3`); what is as the file has it is none of it."""
    found: dict[int, dict[int, str]] = {}
    for line, cells in shown.items():
        for number, (_, cell) in cells.items():
            value = given.get(f"cell_{line}_{number}", cell)[:LONGEST]
            if value != cell:
                found.setdefault(int(line), {})[int(number)] = value
    return found


def named_records(face: Face, scope: str) -> str:
    """SQL: give each row the record that was named for it, by its code or number here; refuse it where there is none."""
    table = face.entity.__tablename__
    by_code = f" OR {table}.code = upper(c.given)" if "code" in face.entity.__table__.c else ""
    noun = face.label.lower().replace("'", "''")
    return f"""
        UPDATE import_row r SET record_id = t.id,
            outcome = CASE WHEN t.id IS NULL THEN 'refused' WHEN :skip THEN 'skipped' END,
            reason = CASE WHEN t.id IS NULL THEN 'there is no {noun} “' || left(c.given, 60) || '”, which you named for it'
                          WHEN :skip THEN 'it means ' || c.given || ', as you said' END
        FROM unnest(CAST(:named_lines AS integer[]), CAST(:named AS text[])) c(line, given)
        LEFT JOIN LATERAL (
            SELECT {rules_of(face).meant or f"{table}.id"} AS id FROM {table} WHERE {may_be_meant(face)} AND ({table}.id =
                CASE WHEN c.given ~ '^#?{NUMBER_HERE}$' THEN CAST(ltrim(c.given, '#') AS bigint) END{by_code})
            ORDER BY {table}.id LIMIT 1) t ON true
        WHERE {scope} AND r.outcome IS NULL AND r.record_id IS NULL AND r.line = c.line"""
