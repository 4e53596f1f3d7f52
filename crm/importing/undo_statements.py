"""The SQL that undoes what an import did to one table: whole chunks, found by the audit's entries of the import.

In every statement `:ids` are the numbers of the records of a chunk, `:mark` and `:undo` what the audit calls the import
and its undo. Names come from declarations only; whatever a person gave travels as a bound value.
"""

# ruff: noqa: S608 - see above: no text of a person's gets into a statement

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from crm.core.audit import audited_columns, is_audited
from crm.core.entity import Base, Entity, entities
from crm.importing.statements import type_of
from crm.models.external_ids import ExternalId

EXTERNAL_IDS = ExternalId.__tablename__
# What a person may insist on: everything, or single keys (`party:12:email`; a whole record: `party:12:`).
_IDS = "CAST(:ids AS bigint[])"
_INSISTS = "(:all OR {key} = ANY (CAST(:chosen AS text[])))"


@dataclass(frozen=True)
class Referrer:
    """A column by which records of another table refer to those of this one; `part` says that they go with it."""

    entity: type[Entity]
    column: str
    part: bool

    @property
    def table(self) -> str:
        return str(self.entity.__tablename__)


def entity_of(table: str) -> type[Entity] | None:
    """The entity whose records lie in a table; None when this version has none."""
    return next((one for one in entities() if one.__tablename__ == table), None)


def referrers(entity: type[Entity]) -> list[Referrer]:
    """Everything by which others refer to records of an entity, but what is only their own trail."""
    found = []
    for table in Base.metadata.tables.values():
        other = entity_of(table.name)
        for key in table.foreign_keys if other is not None else ():
            if other is None or key.column.table is not entity.__table__ or key.column.name != "id":
                continue
            cascades = key.ondelete == "CASCADE" and other.only_changes is None
            if is_audited(other) or not cascades:
                found.append(Referrer(other, key.parent.name, cascades))
    return sorted(found, key=lambda one: (one.table, one.column))


def children_first(tables: list[str]) -> list[str]:
    """The tables in the order in which their records can go; what other systems call them goes last."""
    left, ordered = sorted(tables), []
    while left:
        blocked = {
            table for table in left if any(one.table in left and one.table != table for one in _referring(table))
        }
        free = [table for table in left if table not in blocked] or left[:1]
        ordered += free
        left = [table for table in left if table not in free]
    return sorted(ordered, key=lambda table: table == EXTERNAL_IDS)


def _referring(table: str) -> list[Referrer]:
    entity = entity_of(table)
    return [] if entity is None else referrers(entity)


def _probe(table: str, condition: str) -> str:
    """EXISTS as a look-up for each row: whatever the planner thinks of the tables, it never walks a whole one."""
    return f"((SELECT true FROM {table} WHERE {condition} LIMIT 1) IS NOT NULL)"


def made(table: str, number: str) -> str:
    """SQL: the import made this record."""
    return _probe("audit_entry m", f"m.request_id = :mark AND starts_with(m.request_id, 'import-') AND m.action = 'create' "
                  f"AND m.entity = '{table}' AND m.record_id = {number}")  # fmt: skip


def edited(table: str, number: str) -> str:
    """SQL: somebody else has changed this record since it was made, and nobody insists that it goes."""
    key = f"'{table}:' || {number} || ':'"
    changed = _probe("audit_entry s", f"s.entity = '{table}' AND s.record_id = {number} AND s.action = 'update' "
                     "AND s.request_id NOT IN (:mark, :undo)")  # fmt: skip
    return f"({changed} AND NOT {_INSISTS.format(key=key)})"


def kept(table: str, number: str) -> str:
    """SQL: this undo has decided to leave the record; `table` is SQL as well."""
    return _probe(
        "import_kept k", f"k.import_id = :import AND k.entity = {table} AND k.record_id = {number} AND k.field = ''"
    )


class Undoing:
    """The statements for one table. `reached` is SQL: the records that the person may change."""

    def __init__(self, entity: type[Entity], reached: str) -> None:
        self.entity, self.table, self._reached = entity, str(entity.__tablename__), reached
        self.columns = [name for name, _ in audited_columns(entity)]
        self.referrers = referrers(entity)
        about = entity.about
        self.archived = about.archived if about is not None else ""

    @cached_property
    def _types(self) -> dict[str, str]:
        return {name: type_of(self.entity.__table__.c[name]) for name in self.columns}

    @property
    def some(self) -> str:
        """The records of the chunk, by their key."""
        return f"(SELECT * FROM {self.table} WHERE {self.table}.id = ANY ({_IDS})) AS {self.table}"

    def next(self, action: str) -> str:
        """The numbers of the next records: those that were changed from the first on, those that were made from the last."""
        if action == "update":
            order, beyond, but = "ASC", ">", f"AND NOT {made(self.table, 'e.record_id')}"
        else:
            order, beyond, but = "DESC", "<", ""
        return f"""
            SELECT DISTINCT e.record_id FROM audit_entry e WHERE e.request_id = :mark AND starts_with(e.request_id, 'import-')
            AND e.action = '{action}' AND e.entity = '{self.table}' AND e.record_id {beyond} :after {but}
            ORDER BY e.record_id {order} LIMIT :chunk"""

    def lock(self) -> str:
        """The one order everybody uses."""
        return (
            f"SELECT count(*) FROM (SELECT id FROM {self.table} WHERE id = ANY ({_IDS}) ORDER BY id FOR UPDATE) locked"
        )

    def touched(self) -> str:
        """The columns that the import changed in this chunk."""
        return (
            f"SELECT DISTINCT c.key FROM ({self._entries}) e CROSS JOIN LATERAL jsonb_object_keys(e.changes) AS c(key)"
        )

    @property
    def _entries(self) -> str:
        return f"""SELECT e.id, e.record_id, e.changes FROM audit_entry e
            WHERE e.request_id = :mark AND starts_with(e.request_id, 'import-') AND e.action = 'update'
            AND e.entity = '{self.table}' AND e.record_id = ANY ({_IDS})"""

    def _stands(self, columns: list[str], *, now: bool = False) -> str:
        """Of each field: what it was, what the import made of it, and (`fate`) what becomes of it: `back`, or why it is
        left; NULL when it is as it was already."""
        key = f"'{self.table}:' || n.record_id || ':' || n.field"

        def same(value: str) -> str:
            cases = " ".join(
                f"WHEN '{name}' THEN {self.table}.{name} IS NOT DISTINCT FROM CAST(n.{value} AS {self._types[name]})"
                for name in columns
            )
            return f"(CASE n.field {cases} END)"

        shown = " ".join(f"WHEN '{name}' THEN CAST({self.table}.{name} AS text)" for name in columns)
        present = f"CASE n.field {shown} END AS now," if now else ""
        personal = "jsonb_typeof(c.value) = 'object'"
        return f"""
            told AS (
                SELECT e.id AS entry, e.record_id, c.key AS field, {personal} AND v.entry_id IS NULL AS erased,
                       CASE WHEN {personal} THEN v.before ELSE c.value->>0 END AS before,
                       CASE WHEN {personal} THEN v.after ELSE c.value->>1 END AS after
                FROM ({self._entries}) e CROSS JOIN LATERAL jsonb_each(e.changes) AS c(key, value)
                LEFT JOIN LATERAL (SELECT a.entry_id, a.before, a.after FROM audit_value a
                    WHERE {personal} AND a.entry_id = e.id AND a.field = c.key LIMIT 1) v ON true
                WHERE c.key = ANY (CAST(:columns AS text[]))),
            net AS (
                SELECT record_id, field, (array_agg(before ORDER BY entry))[1] AS before,
                       (array_agg(after ORDER BY entry DESC))[1] AS after, bool_or(erased) AS erased
                FROM told GROUP BY record_id, field),
            stands AS MATERIALIZED (
                SELECT n.record_id, n.field, n.before, n.after, {present}
                       CASE WHEN {self.table}.id IS NULL THEN 'deleted' WHEN n.erased THEN 'erased'
                            WHEN {same("before")} THEN NULL WHEN ({self._reached}) IS NOT TRUE THEN 'reach'
                            WHEN {same("after")} OR {_INSISTS.format(key=key)} THEN 'back' ELSE 'changed' END AS fate
                FROM net n LEFT JOIN {self.some} ON {self.table}.id = n.record_id
                WHERE n.erased OR n.before IS DISTINCT FROM n.after)"""

    def restore(self, columns: list[str]) -> str:
        """Give every field its value from before, if it still has the one that the import gave it; note the others.

        Answers how many records were changed.
        """
        sets = ", ".join(
            f"{name} = CASE WHEN jsonb_exists(b.was, '{name}') THEN CAST(b.was->>'{name}' AS {self._types[name]}) "
            f"ELSE {self.table}.{name} END"
            for name in columns
        )
        return f"""
            WITH {self._stands(columns)},
            back AS (SELECT record_id, jsonb_object_agg(field, before) AS was FROM stands WHERE fate = 'back' GROUP BY 1),
            undone AS (UPDATE {self.table} SET {sets} FROM back b
                WHERE {self.table}.id = b.record_id AND {self.table}.id = ANY ({_IDS}) RETURNING 1),
            left_so AS (INSERT INTO import_kept (import_id, entity, record_id, field, reason)
                SELECT DISTINCT :import, '{self.table}', record_id, CASE WHEN fate = 'deleted' THEN '' ELSE field END, fate
                FROM stands WHERE fate <> 'back' ON CONFLICT DO NOTHING)
            SELECT count(*) FROM undone"""

    def look(self, columns: list[str]) -> str:
        """What `restore` would do: fields with what they were, what the import wrote, what they are now and their fate."""
        return f"WITH {self._stands(columns, now=True)} SELECT record_id, field, before, after, now, fate FROM stands"

    def fates(self) -> str:
        """Of each record that the import made, and that is there: `go`, or why it stays. What goes with another one that
        the import made isn't told."""
        own = f"{self.table}.id"
        if self.entity.only_changes is not None:
            return f"SELECT id, 'ledger' AS fate FROM {self.some}"
        insisted = _INSISTS.format(key=f"'{self.table}:' || {own} || ':'")
        used = self._used(own)
        if self.archived:
            used = f"({used} AND NOT {insisted})"
        return f"""
            SELECT id, CASE WHEN ({self._reached}) IS NOT TRUE THEN 'reach' WHEN {edited(self.table, own)} THEN 'changed'
                            WHEN {used} THEN 'used' ELSE 'go' END AS fate
            FROM {self.some} WHERE {self._alone()} {f"AND {self.archived} IS NULL" if self.archived else ""}"""

    def _used(self, number: str, depth: int = 0) -> str:
        """SQL: something refers to the record that doesn't go itself."""
        ways = []
        for one in self.referrers:
            alias = f"o{depth}"
            if self.archived and not is_audited(one.entity):
                continue  # what the house itself notes of it
            own = f"{alias}.id"
            left = kept(f"'{one.table}'", own)
            stays = f"NOT {made(one.table, own)} OR {edited(one.table, own)} OR {left}"
            if one.part and depth < 2:
                stays += f" OR {Undoing(one.entity, 'true')._used(own, depth + 1)}"
            ways.append(_probe(f"{one.table} {alias}", f"{alias}.{one.column} = {number} AND ({stays})"))
        if self.table != EXTERNAL_IDS:
            named = f"x.entity = '{self.table}' AND x.record = {number} AND NOT {made(EXTERNAL_IDS, 'x.id')}"
            ways.append(_probe(f"{EXTERNAL_IDS} x", named))
        return f"({' OR '.join(ways) or 'false'})"

    def _alone(self) -> str:
        """SQL: the record is no part of another one that the import made; parts go, or stay, with that."""
        if self.table == EXTERNAL_IDS:
            return f"NOT {kept(f'{self.table}.entity', f'{self.table}.record')}"
        whole = [
            made(str(key.column.table.name), f"{self.table}.{key.parent.name}")
            for key in self.entity.__table__.foreign_keys
            if key.column.name == "id" and (key.ondelete == "CASCADE" or self._is_shown_in(str(key.column.table.name)))
        ]
        return f"NOT ({' OR '.join(sorted(whole)) or 'false'})"

    def _is_shown_in(self, table: str) -> bool:
        """Whether records of that table show these as their own fields, as a customer its address."""
        other = entity_of(table)
        embeds = other.about.embeds if other is not None and other.about is not None else ()
        return any(getattr(other, embed.relation).property.mapper.class_ is self.entity for embed in embeds)

    def parts(self) -> list[Referrer]:
        """What goes with these records."""
        return [one for one in self.referrers if one.part]

    def release(self) -> str | None:
        """SQL: what goes into the archive lets go of the numbers that only one record may have."""
        names = [column.name for column in self.entity.__table__.columns
                 if column.unique and column.nullable and column.computed is None]  # fmt: skip
        if not names:
            return None
        return (f"UPDATE {self.table} SET {', '.join(f'{name} = NULL' for name in names)} "
                f"WHERE id = ANY ({_IDS}) AND ({' OR '.join(f'{name} IS NOT NULL' for name in names)})")  # fmt: skip
