"""What the database or an entity would refuse of single rows, found for all rows of a chunk at once and told in words."""

# ruff: noqa: S608 - statements are put together from declarations; what a person gave is always bound

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import CheckConstraint, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError

from crm.core.entity import Entity, Face, db
from crm.importing.plan import Plan
from crm.importing.statements import OPEN, Statements, default_of, type_of
from crm.importing.targets import Landing, own_landings

# Values of the wrong kind never get this far: each was read as its field says.
_READ_SO = ("_choice", "_bounds", "_lower")


def refuse_broken(sql: Statements, scope: str, *, but: Collection[str] = ()) -> str | None:
    """SQL: rows whose values don't fit together, and new ones that lack what every record has, `but` what is still to
    come."""
    rules = list(_rules(sql.face))
    required = [landing for landing in own_landings(sql.face)
                if landing.field.required and landing.embed is None and landing.name not in but]  # fmt: skip
    needed = dict.fromkeys(landing.field.attribute for landing in required)
    for condition, *_ in rules:
        needed |= dict.fromkeys(re.findall(r"\b[a-z_0-9]+\b", condition))
    columns = sql.face.entity.__table__.c
    values = [f"{_value(sql, name)} AS {name}" for name in needed if name in columns]
    cases = [
        f"WHEN {landing.field.attribute} IS NULL THEN ARRAY['{landing.name}', {_quoted(f'{landing.field.label}: is empty')}]"
        for landing in required
    ]
    cases += [
        f"WHEN ({condition}) IS FALSE THEN ARRAY['{name}', {_quoted(f'{label}: {says}')}]"
        for condition, name, label, says in rules
    ]
    if not cases:
        return None
    return f"""
        UPDATE import_row r SET outcome = 'refused', field = f.told[1], reason = f.told[2]
        FROM (SELECT row_, CASE {" ".join(cases)} END AS told
              FROM (SELECT r.id AS row_, {", ".join(values)} FROM import_row r {sql.values}
                    LEFT JOIN {sql.each()} WHERE {scope} AND {OPEN}) given) f
        WHERE {scope} AND r.id = f.row_ AND f.told IS NOT NULL"""


def _rules(face: Face) -> Iterator[tuple[str, str, str, str]]:
    """(condition, field, its label, what is wrong) of every rule between values."""
    for constraint in sorted(face.entity.__table__.constraints, key=lambda one: str(one.name)):
        if isinstance(constraint, CheckConstraint) and not str(constraint.name).endswith(_READ_SO):
            condition = str(constraint.sqltext)
            name, says = constraint.info.get("says") or (_first_field(face, condition), "doesn't fit the other values")
            label = face.fields[name].label if name in face.fields else name.replace("_", " ").capitalize()
            yield condition, name, label, says


def _first_field(face: Face, condition: str) -> str:
    words = set(re.findall(r"\b[a-z_0-9]+\b", condition))
    return next((name for name, field in face.fields.items() if field.attribute in words and name != "id"), "")


def _value(sql: Statements, name: str) -> str:
    """What a column will be: of a known record what it has unless the row changes it, of a new one also its default."""
    column = sql.face.entity.__table__.c[name]
    if name == "id":
        return "r.record_id"
    given = [f"v.{name}"] if name in sql.own else []
    defaults = [one for one in (default_of(column), sql.given_default(name)) if one]
    new = f"coalesce({', '.join(given + defaults)})" if given + defaults else f"CAST(NULL AS {type_of(column)})"
    known = sql.new_value(name) if name in sql.own else f"{sql.table}.{name}"
    return f"CASE WHEN r.record_id IS NULL THEN {new} ELSE {known} END"


def refuse_checked(connection: Connection, sql: Statements, plan: Plan, scope: str, values: dict[str, Any]) -> None:
    """Ask the entity itself, row by row, where it has rules that only Python knows."""
    face = sql.face
    if sql.rules.checked or face.entity.check.__func__ is Entity.check.__func__:  # type: ignore[attr-defined]
        return
    known = {landing.name: landing for landing in own_landings(face)}
    mapped = [known[name] for name in plan.own.names]
    rows = connection.execute(
        text(f"SELECT r.id, r.record_id, r.data FROM import_row r WHERE {scope} AND {OPEN} ORDER BY r.line"), values
    ).all()
    refused = []
    for row, record, data in rows:
        given = {landing.name: _parsed(landing, data) for landing in mapped if _raw(landing, data) is not None}
        wrong = face.entity.check(face, db.session.get(face.entity, record) if record else None, given, None)
        for name, says in wrong.items():
            label = face.fields[name].label if name in face.fields else name
            refused.append({"row": row, "field": name, "reason": f"{label}: {says}"})
            break
    if refused:
        connection.execute(
            text("UPDATE import_row SET outcome = 'refused', field = :field, reason = :reason WHERE id = :row"), refused
        )


def _raw(landing: Landing, data: dict[str, Any]) -> Any:
    return data.get(landing.field.attribute if landing.is_link else landing.key)


def _parsed(landing: Landing, data: dict[str, Any]) -> Any:
    return landing.field.parse(_raw(landing, data))


def put_first(face: Face, scope: str) -> list[str]:
    """SQL: where one of several records of a party comes first (`UNIQUE … WHERE is_primary`), the first one does."""
    table = face.entity.__tablename__
    found = []
    for index in face.entity.__table__.indexes:
        flag = str(index.dialect_options["postgresql"]["where"])
        columns = list(index.columns)
        if not index.unique or flag not in face.entity.__table__.c or len(columns) != 1 or not columns[0].foreign_keys:
            continue
        of = columns[0].name
        found.append(f"""
            UPDATE {table} SET {flag} = true WHERE {table}.id = ANY (ARRAY(
                SELECT DISTINCT ON (n.{of}) n.id FROM import_row r
                JOIN LATERAL (SELECT * FROM {table} x WHERE x.id = r.record_id OFFSET 0) n ON true
                WHERE {scope} AND r.outcome = 'created' AND NOT EXISTS
                    (SELECT FROM {table} o WHERE o.{of} = n.{of} AND o.{flag} OFFSET 0) ORDER BY n.{of}, r.line))""")
    return found


def out_of_reach(sql: Statements, scope: str, reached: str) -> str:
    """SQL: the lines of new records that the person could not reach."""
    return f"""
        SELECT r.line FROM import_row r WHERE {scope} AND r.outcome = 'created' AND NOT EXISTS
            (SELECT FROM {sql.table} WHERE {sql.table}.id = r.record_id AND ({reached}) OFFSET 0)"""


def _quoted(words: str) -> str:
    """Words of a declaration as SQL text; a colon would begin a bound value."""
    return "'" + words.replace("'", "''").replace(":", "\\:") + "'"


def explain(face: Face, fault: IntegrityError | DataError) -> tuple[str | None, str]:
    """(field, sentence) of a rule of the database that refused a row; our triggers say the field and what is wrong."""
    diagnosis = getattr(fault.orig, "diag", None)
    broken = getattr(diagnosis, "constraint_name", None)
    column = getattr(diagnosis, "column_name", None)
    if getattr(fault.orig, "sqlstate", None) == "23514" and column in face.fields and not broken:
        return column, f"{face.fields[column].label}: {getattr(diagnosis, 'message_primary', '')}"
    return None, f"its values don't fit together ({(broken or 'a rule of the database').replace('_', ' ')})"
