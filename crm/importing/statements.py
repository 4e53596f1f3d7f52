"""The SQL of an import, written from a face's declarations and the plan: whole chunks, never a row by itself.

In every statement `r` is the staged row, `v` its values as a record; the entity's table has its own name.
Names come from declarations only; whatever a person gave travels as a bound value.
"""

# ruff: noqa: S608 - see above: no text of a person's gets into a statement

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql

from crm.core.entity import Embed, Entity, Face
from crm.importing import matching
from crm.importing.aside import without, without_one
from crm.importing.keys import EXTERNAL, keys_of
from crm.importing.plan import FILL, Plan
from crm.importing.rules import rules_of
from crm.importing.targets import Landing, embed_key, embedded_entity, own_landings
from crm.models.external_ids import ExternalId
from crm.models.imports import Duplicates

_DIALECT = postgresql.dialect()
OPEN = matching.OPEN
_STATUS = ("lifecycle", "block_state", "block_reason", "blocked_at", "archived_at")  # what one word of a file says


def type_of(column: Any) -> str:
    return str(column.type.compile(dialect=_DIALECT))


def default_of(column: Any) -> str | None:
    """The server default of a NOT NULL column as SQL; None where it is a trigger that fills in."""
    argument = getattr(column.server_default, "arg", None)
    if column.nullable or argument is None:
        return None
    return f"'{argument}'" if isinstance(argument, str) else str(argument.compile(dialect=_DIALECT))


@dataclass(frozen=True)
class Part:
    """A related record that rows bring along (an address), and its columns with their staged keys."""

    number: int
    embed: Embed
    entity: type[Entity]
    link: str
    columns: tuple[tuple[str, str], ...]

    @property
    def table(self) -> str:
        name: str = self.entity.__tablename__
        return name

    @property
    def alias(self) -> str:
        return f"part{self.number}"

    def condition(self, alias: str) -> str:
        """SQL: this row is the one the embedding means."""
        parts = []
        for name, value in self.embed.where:
            parts.append(f"{alias}.{name}" if value is True else f"{alias}.{name} = '{getattr(value, 'value', value)}'")
        return " AND ".join(parts) or "true"

    @property
    def given(self) -> str:
        return "(" + " OR ".join(f"v.{key} IS NOT NULL" for _, key in self.columns) + ")"

    @property
    def differs(self) -> str:
        return "(" + " OR ".join(_changed(f"v.{key}", f"{self.alias}.{name}") for name, key in self.columns) + ")"

    def join(self, record: str) -> str:
        """The existing one beside each record, where there is one."""
        return (
            f"LEFT JOIN LATERAL (SELECT * FROM {self.table} x "
            f"WHERE x.{self.link} = {record} AND {self.condition('x')} "
            f"ORDER BY x.id LIMIT 1) {self.alias} ON true"
        )


def _changed(new: str, old: str) -> str:
    return f"({new} IS NOT NULL AND {new} IS DISTINCT FROM {old})"


class Statements:
    """All statements of one kind of record of an import: of the rows themselves, or (`step`) of what they bring along."""

    def __init__(self, face: Face, plan: Plan, *, reached: str, sets_owner: bool, step: str = "") -> None:
        self.face, self.plan, self._reached = face, plan.own, reached
        self.step = step
        self.table = face.entity.__tablename__
        self.rules = rules_of(face)
        known = {landing.name: landing for landing in own_landings(face)}
        mapped = [known[name] for name in self.plan.names]
        self.ladder = matching.Ladder(face, self.plan.match, rows=self.rows, title=self._title(), brought=bool(step))
        self._sets_owner = sets_owner and "owner_id" in face.entity.__table__.c
        self.own = self._own_columns(mapped, [face.fields[name].attribute for name in plan.brought()])
        given = {landing.field.attribute for landing in mapped if landing.embed is None}
        once = {landing.field.attribute for landing in mapped if landing.field.original}
        self._updatable = [name for name in self.own if name not in once | (self.rules.only_new - given)]
        self._derived = {
            name: rule for name, rule in self.rules.derived.items() if name not in given and name in self.own
        }
        self.parts = self._parts(mapped)
        self._ruled = [landing for landing in mapped if landing.name in self.plan.rules]
        self.unique = [
            landing
            for landing in mapped
            if landing.embed is None
            and face.entity.__table__.c.get(landing.key) is not None
            and face.entity.__table__.c[landing.key].unique
            and landing.key in self.own
        ]
        self._names = {landing.key if landing.embed else landing.field.attribute: landing.name for landing in mapped}
        self.values = self._record()

    @property
    def chunk(self) -> str:
        """The condition of a whole chunk."""
        return f"{self.rows} AND r.line > :after AND r.line <= :upto"

    @property
    def rows(self) -> str:
        return f"r.import_id = :import AND r.step = '{self.step}'"

    def _own_columns(self, mapped: Iterable[Landing], brought: Iterable[str]) -> list[str]:
        columns = self.face.entity.__table__.c
        names = dict.fromkeys(one.field.attribute for one in mapped if one.embed is None and not one.only_finds)
        for landing in mapped:
            if landing.field.keeps_given:
                names[f"{landing.field.attribute}_given"] = None
            if landing.name == "status":
                names |= dict.fromkeys(_STATUS)
        names |= dict.fromkeys(
            landing.field.attribute
            for landing in own_landings(self.face)
            if landing.field.required and not landing.embed
        )
        names |= dict.fromkeys((*brought, *self.rules.filled))
        return [name for name in names if name in columns and columns[name].computed is None]

    def _parts(self, mapped: Iterable[Landing]) -> list[Part]:
        found: dict[Embed, list[tuple[str, str]]] = {}
        for landing in mapped:
            if landing.embed is not None:
                pairs = found.setdefault(landing.embed, [])
                pairs.append((landing.field.attribute, embed_key(landing.embed, landing.field.attribute)))
        ordered = [embed for embed in self.face.about.embeds if embed in found]
        return [
            Part(
                number,
                embed,
                embedded_entity(self.face, embed),
                link_of(self.face, embed),
                tuple(found[embed]),
            )
            for number, embed in enumerate(ordered)
        ]

    def _record(self) -> str:
        columns = self.face.entity.__table__.c
        types = {name: type_of(columns[name]) for name in self.own}
        for part in self.parts:
            types |= {key: type_of(part.entity.__table__.c[name]) for name, key in part.columns}
        types |= {name: kind for name, kind in self.rules.more.items() if name not in types}
        listed = ", ".join(f"{name} {kind}" for name, kind in types.items())
        return f"CROSS JOIN LATERAL jsonb_to_record(r.data) AS v({listed})"

    @property
    def tables(self) -> list[str]:
        """Every table that these statements look into."""
        return [*dict.fromkeys([self.table, *(part.table for part in self.parts)])]

    def known(self, scope: str) -> str:
        """The condition that records are those of the rows. As an array, so that they are always looked up by their key,
        whatever the planner thinks of the tables."""
        return f"{self.table}.id = ANY (ARRAY(SELECT r.record_id FROM import_row r WHERE {scope} AND r.record_id IS NOT NULL))"

    def each(self, by: str = "id", value: str = "r.record_id") -> str:
        """The record of each row, likewise."""
        return f"LATERAL (SELECT * FROM {self.table} WHERE {self.table}.{by} = {value} OFFSET 0) {self.table} ON true"

    def normalise_keys(self) -> str | None:
        """Bring the keys of what rows bring along into the form in which the table has them."""
        if not self.step:
            return None  # the rows themselves have theirs in their values
        key = next((key for key in keys_of(self.face) if key.name in self.plan.match), None)
        if (
            key is None or key.of == "{}" or self.face.fields[key.name].kind == "email"
        ):  # that was done when it was read
            return None
        return f"UPDATE import_row r SET match_key = {key.sql('r.match_key')} WHERE {self.rows} AND r.match_key IS NOT NULL"

    def keep_external(self, scope: str) -> str | None:
        """Remember what the source system calls the records, so that its next file finds them by it."""
        if EXTERNAL not in self.plan.names:
            return None
        return f"""
            INSERT INTO {ExternalId.__tablename__} (system, external_id, entity, record)
            SELECT :system, r.data->>'{EXTERNAL}', '{self.table}', r.record_id FROM import_row r
            WHERE {scope} AND r.record_id IS NOT NULL AND r.outcome IN ('created', 'updated', 'unchanged', 'skipped')
            AND r.data ? '{EXTERNAL}' ORDER BY r.line ON CONFLICT DO NOTHING"""

    def fill(self, scope: str) -> str | None:
        """What new records get from others, where the file says nothing."""
        filled = self.rules.fill(self.face)
        if filled is None:
            return None
        return f"""
            UPDATE import_row r SET data = f.data || r.data FROM (
                SELECT r.id, filled.data FROM import_row r CROSS JOIN LATERAL ({filled}) filled(data)
                WHERE {scope} AND {OPEN} AND r.record_id IS NULL) f
            WHERE {scope} AND r.id = f.id"""

    def taken(self, scope: str, column: str) -> str:
        """Rows whose unique number belongs to another record: (id, reason)."""
        label = self.face.fields[column].label.lower()
        return f"""
            SELECT r.id, {self._title()} || ' has the {label} ' || v.{column} || ' already' AS reason
            FROM import_row r {self.values} JOIN {self.each(column, f"v.{column}")}
            WHERE {scope} AND {OPEN} AND r.data ? '{column}' AND {self.table}.id IS DISTINCT FROM r.record_id
            UNION ALL
            SELECT id, 'row ' || first_line || ' has the {label} ' || number || ' too'
            FROM (SELECT r.id, r.line, v.{column} AS number,
                         min(r.line) OVER (PARTITION BY v.{column}) AS first_line
                  FROM import_row r {self.values}
                  WHERE {scope} AND {OPEN} AND r.data ? '{column}') repeated
            WHERE first_line < line"""

    def settle_taken(self, scope: str, column: str, policy: Duplicates) -> str:
        """What becomes of them: skipped, refused, or (another one is wanted) taken without the number."""
        if policy is Duplicates.CREATE:
            action = f"data = {without_one(column)}, field = '{column}', reason = t.reason"
        elif policy is Duplicates.SKIP:
            action = "outcome = 'skipped', reason = t.reason"
        else:
            action = f"outcome = 'refused', field = '{column}', reason = t.reason || :advice"
        return f"""
            UPDATE import_row r SET {action}
            FROM (SELECT id, min(reason) AS reason FROM ({self.taken(scope, column)}) found GROUP BY id) t
            WHERE {scope} AND r.id = t.id"""

    def lock(self, scope: str) -> str:
        """The known records in the order of their ids: the one order everybody uses."""
        return f"""
            SELECT count(*) FROM (SELECT {self.table}.id FROM {self.table} WHERE {self.known(f"{scope} AND {OPEN}")}
                ORDER BY {self.table}.id FOR UPDATE) locked"""

    def refuse_updates(self, scope: str) -> str:
        owned = f"CASE WHEN ({self._reached}) IS NOT TRUE THEN 'it is somebody else''s record' END"
        reasons = ", ".join(reason for reason in (owned, self.rules.refuses_update()) if reason)
        return f"""
            UPDATE import_row r SET outcome = 'refused', reason = m.reason
            FROM (SELECT r.id, {self._title()} || ': ' || coalesce({reasons}) AS reason
                  FROM import_row r {self.values} JOIN {self.each()} WHERE {scope} AND {OPEN}) m
            WHERE {scope} AND r.id = m.id AND m.reason IS NOT NULL"""

    def keep_values(self, scope: str) -> str | None:
        """Take out of the rows what isn't to change their known records."""
        if not self._ruled:
            return None
        joins = " ".join(part.join(f"{self.table}.id") for part in self.parts)
        kept = " || ".join(self._kept(landing) for landing in self._ruled)
        return f"""
            UPDATE import_row r SET data = {without("m.kept")}
            FROM (SELECT r.id, {kept} AS kept FROM import_row r JOIN {self.each()} {joins} WHERE {scope} AND {OPEN}) m
            WHERE {scope} AND r.id = m.id"""

    def _kept(self, landing: Landing) -> str:
        """SQL: the names of what a landing gives a row, where the known record keeps its own."""
        names, table, column = [landing.key, landing.field.attribute], self.table, landing.field.attribute
        if landing.field.keeps_given:
            names.append(f"{landing.key}_given")
        if landing.name == "status":
            names += _STATUS
        if landing.embed is not None:
            part = next(part for part in self.parts if part.embed == landing.embed)
            names, table = [landing.key], part.alias
        keys = f"ARRAY[{', '.join(repr(name) for name in dict.fromkeys(names))}]"
        if self.plan.rules[landing.name] != FILL:
            return keys
        blank = " AND ".join(
            f"coalesce({table}.{name}::text, '') IN ('', '{{}}')"
            for name in (column, *((f"{column}_given",) if landing.field.keeps_given else ()))
        )
        return f"CASE WHEN {blank} THEN '{{}}'::text[] ELSE {keys} END"

    def known_only(self, scope: str) -> str | None:
        """Leave out the rows that would become new records."""
        if not self.plan.known_only or self.step:
            return None
        return f"""
            UPDATE import_row r SET outcome = 'skipped', reason = 'no known record is found, and none is to be made'
            WHERE {scope} AND {OPEN} AND r.record_id IS NULL"""

    def compare(self, scope: str) -> str:
        """Whether a matched row changes anything; up to line `watch` what exactly."""
        differences = [self._differs(name) for name in self._updatable] + [part.differs for part in self.parts]
        joins = " ".join(part.join(f"{self.table}.id") for part in self.parts)
        return f"""
            UPDATE import_row r
            SET outcome = CASE WHEN m.differs THEN 'updated' ELSE 'unchanged' END, changes = m.changes
            FROM (SELECT r.id, ({" OR ".join(differences) or "false"}) AS differs,
                         CASE WHEN r.line <= :watch THEN {self._changes()} END AS changes
                  FROM import_row r {self.values} JOIN {self.each()} {joins} WHERE {scope} AND {OPEN}) m
            WHERE {scope} AND r.id = m.id"""

    def _changes(self) -> str:
        pairs = [
            (self._names[name], self._differs(name), f"{self.table}.{name}", f"v.{name}")
            for name in self._updatable
            if name in self._names
        ]
        for name in self._derived:
            pairs.append((name, self._differs(name), f"{self.table}.{name}", self._derived[name][1]))
        for part in self.parts:
            pairs += [
                (
                    self._names[key],
                    _changed(f"v.{key}", f"{part.alias}.{name}"),
                    f"{part.alias}.{name}",
                    f"v.{key}",
                )
                for name, key in part.columns
            ]
        objects = [
            f"CASE WHEN {differs} "
            f"THEN jsonb_build_object('{name}', jsonb_build_array({old}::text, {new}::text)) "
            "ELSE '{}' END"
            for name, differs, old, new in pairs
        ]
        return " || ".join(objects) or "'{}'::jsonb"

    def _differs(self, name: str) -> str:
        old, new = f"{self.table}.{name}", f"v.{name}"
        if name in self._derived:
            condition, value = self._derived[name]
            return f"({condition} AND {value} <> {old})"
        if name.endswith("_given"):
            # The text as given goes with its normal form; without one it fills a gap and replaces nothing.
            normal = name.removesuffix("_given")
            return (
                f"(v.{normal} IS NULL AND {new} IS NOT NULL AND {self.table}.{normal} IS NULL "
                f"AND {new} IS DISTINCT FROM {old})"
            )
        if type_of(self.face.entity.__table__.c[name]).startswith("TIMESTAMP"):
            # Spreadsheets keep no fraction of a second: the same second is the same time.
            return f"({_changed(new, old)} AND {new} IS DISTINCT FROM date_trunc('second', {old}))"
        return _changed(new, old)

    def new_value(self, name: str) -> str:
        old, new = f"{self.table}.{name}", f"v.{name}"
        if name in self._derived:
            condition, value = self._derived[name]
            return f"CASE WHEN {condition} THEN {value} ELSE {old} END"
        if name.endswith("_given"):
            normal = name.removesuffix("_given")
            moved = _changed(f"v.{normal}", f"{self.table}.{normal}")
            return f"CASE WHEN {moved} OR {self._differs(name)} THEN {new} ELSE {old} END"
        return f"coalesce({new}, {old})"

    def update(self, scope: str) -> str | None:
        if not self._updatable:
            return None
        sets = ", ".join(f"{name} = {self.new_value(name)}" for name in self._updatable)
        differs = " OR ".join(self._differs(name) for name in self._updatable)
        return f"""
            UPDATE {self.table} SET {sets} FROM import_row r {self.values}
            WHERE {scope} AND r.outcome = 'updated' AND {self.known(f"{scope} AND r.outcome = 'updated'")}
            AND {self.table}.id = r.record_id AND ({differs})"""

    def number_new(self, scope: str) -> str:
        """Numbers for the rows that become records, in the order of the file."""
        return f"""
            UPDATE import_row r SET outcome = 'created', record_id = n.number
            FROM (SELECT id, nextval(pg_get_serial_sequence('{self.table}', 'id')) AS number FROM
                  (SELECT r.id FROM import_row r WHERE {scope} AND {OPEN} ORDER BY r.line) ordered) n
            WHERE {scope} AND r.id = n.id"""

    def insert(self, scope: str) -> str:
        columns = self.face.entity.__table__.c
        values = {"id": "r.record_id"}
        for name in self.own:
            default = default_of(columns[name])
            values[name] = f"coalesce(v.{name}, {default})" if default else f"v.{name}"
        for name in self.face.defaults:
            given = self.given_default(name) or "NULL"
            values[name] = f"coalesce(nullif(v.{name}, '{{}}'), {given})" if name in values else given
        if self._sets_owner:
            values["owner_id"] = "coalesce(v.owner_id, :actor)" if "owner_id" in values else ":actor"
        return f"""
            INSERT INTO {self.table} ({", ".join(values)}) SELECT {", ".join(values.values())}
            FROM import_row r {self.values} WHERE {scope} AND r.outcome = 'created' ORDER BY r.line
            ON CONFLICT DO NOTHING"""

    def given_default(self, name: str) -> str | None:
        """SQL: what a new record of the face gets in this column."""
        column = self.face.entity.__table__.c[name]
        return f"CAST(:default_{self.face.name}_{name} AS {type_of(column)})" if name in self.face.defaults else None

    def refuse_lost(self, scope: str) -> str:
        """Somebody else took a unique number in the very moment."""
        return f"""
            UPDATE import_row r
            SET outcome = 'refused', record_id = NULL,
                reason = 'another record says the same already, where only one may'
            WHERE {scope} AND r.outcome = 'created'
            AND NOT EXISTS (SELECT FROM {self.table} WHERE {self.table}.id = r.record_id OFFSET 0)"""

    def update_part(self, part: Part, scope: str) -> str:
        sets = ", ".join(f"{name} = coalesce(v.{key}, {part.alias}.{name})" for name, key in part.columns)
        return f"""
            UPDATE {part.table} AS {part.alias} SET {sets} FROM import_row r {self.values}
            WHERE {scope} AND r.outcome = 'updated' AND {part.differs} AND {part.alias}.{part.link} = r.record_id
            AND {part.alias}.id = ANY (ARRAY(
                SELECT (SELECT min(x.id) FROM {part.table} x WHERE x.{part.link} = r.record_id AND {part.condition("x")})
                FROM import_row r WHERE {scope} AND r.outcome = 'updated'))"""

    def insert_part(self, part: Part, scope: str) -> str:
        values = {part.link: "r.record_id"}
        for name, value in part.embed.where:
            values[name] = "true" if value is True else f"'{getattr(value, 'value', value)}'"
        if "is_default" in part.entity.__table__.c and "is_default" not in values:
            values["is_default"] = (
                f"NOT EXISTS (SELECT FROM {part.table} d WHERE d.{part.link} = r.record_id AND d.is_default)"
            )
        values |= {name: f"v.{key}" for name, key in part.columns}
        return f"""
            INSERT INTO {part.table} ({", ".join(values)}) SELECT {", ".join(values.values())}
            FROM import_row r {self.values}
            WHERE {scope} AND r.outcome IN ('created', 'updated') AND {part.given} AND NOT EXISTS
                (SELECT FROM {part.table} x WHERE x.{part.link} = r.record_id AND {part.condition("x")} OFFSET 0)
            ORDER BY r.line"""

    def _title(self) -> str:
        columns = self.face.entity.__table__.c
        return f"{self.table}.code" if "code" in columns else f"('{self.face.label} ' || {self.table}.id)"


def link_of(face: Face, embed: Embed) -> str:
    """The column by which an embedded record points to its owner."""
    (column,) = inspect(face.entity).relationships[embed.relation].remote_side
    return str(column.name)
