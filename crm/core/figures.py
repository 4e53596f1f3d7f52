"""Figures: what records add up to, in a narrow table beside them, true at every commit whoever wrote.

Statement triggers only note whose figures a change may touch, with the differences that follow from single rows. One
deferred constraint trigger settles the notes of a transaction at its commit, in the order of ids, so that two
transactions never wait for each other: first the figures of records (`OfRecord`, worked out anew, as they hang on rows of
several tables), then sums over many records (`Summed`, moved by the difference; first and last come by index).

The same declaration works everything out from scratch: for the check, for new declarations and after a bulk load.
"""

# ruff: noqa: S608 - all SQL is made of declarations
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, Index, Table, false, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapped, column_property, foreign, mapped_column, relationship

from crm.core.entity import Base, DeclarationError, Face, Model, db, face_named
from crm.core.fields import Field
from crm.core.statistics import refresh_outgrown
from crm.core.triggers import NEVER_ROW_BY_ROW, Trigger

Only = Callable[[str], str]  # a column → the condition that it is one of the wanted ids

_TX = "pg_current_xact_id()::text::bigint"
_DUE = Table("figures_due", Base.metadata, Column("tx", BigInteger, primary_key=True, autoincrement=False),
             prefixes=["UNLOGGED"])  # fmt: skip
_SETTLE = "figures_settle"
_ALL: Only = lambda column: "true"  # noqa: E731
_THESE: Only = lambda column: f"{column} = ANY (ids)"  # noqa: E731


@dataclass(frozen=True)
class Edge:
    """The first (`min`) or last (`max`) of a value of rows `r`, of those that meet a condition."""

    figure: str
    which: str
    value: str
    where: str = "true"


@dataclass(frozen=True)
class Source:
    """Rows that count for the one whose id stands in `of`: what each adds to a figure (SQL over `r`, never NULL)."""

    table: str
    of: str
    adds: Mapping[str, str] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()


class Figures(Model):
    """A table of figures; its id is that of the record. `shown_by` names the faces that show its fields as their own,
    `sort` those that lists may sort by. A figure that may be empty is sorted by `sort_<name>`, which never is."""

    __abstract__ = True
    shown_by: ClassVar[tuple[str, ...]] = ()
    sort: ClassVar[tuple[str, ...]] = ()
    # Figures are brought up to date level by level: what reads another's table lies above it.
    level: ClassVar[int] = 0
    # Kept by triggers of its own in the statement that changes it, so nothing is noted for later.
    at_once: ClassVar[bool] = False
    moving: ClassVar[dict[str, Field]]
    note: ClassVar[Table]
    __table__: ClassVar[Any]

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, sort_order=-10)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__abstract__" in cls.__dict__:
            return
        table = cls.__table__
        cls.moving = {}
        for name in cls.sort:
            column = table.c.get(f"sort_{name}", table.c[name])
            Index(f"ix_{table.name}_sort_{name}", column, table.c.id)
        _declared.append(cls)
        _declared.sort(key=lambda one: one.level)
        for name in cls.shown_by:
            _show(face_named(name), cls)
        if cls.at_once:
            return
        # What is noted never outlives its transaction, so it needn't survive a crash either.
        cls.note = Table(f"{table.name}_note", Base.metadata, Column("tx", BigInteger, server_default=text(_TX), nullable=False),
                         Column("id", BigInteger, nullable=False), *cls.noted(), prefixes=["UNLOGGED"])  # fmt: skip
        Index(f"ix_{table.name}_note_tx", cls.note.c.tx)

    @classmethod
    def noted(cls) -> list[Column[Any]]:
        return []

    @classmethod
    def fields(cls) -> dict[str, Field]:
        """What is shown, by name; nobody sets a figure."""
        stored = {column.key: column.info["field"] for column in cls.__table__.columns if "field" in column.info}
        return {name: replace(declared, name=name, attribute=name, label=declared.label or name.replace("_", " ").capitalize(),
                              editable=False, figure=True)
                for name, declared in (stored | cls.moving).items()}  # fmt: skip

    @classmethod
    def moves(cls, name: str, declared: Field, expression: ColumnElement[Any]) -> None:
        """Declare a figure that moves with the calendar: worked out from what is stored, whenever it is asked for."""
        cls.moving[name] = declared
        setattr(cls, name, column_property(expression))
        for shown in cls.shown_by:
            setattr(face_named(shown).entity, name, _told(cls.__tablename__, name))

    @classmethod
    def stored(cls) -> list[str]:
        """The columns that are written; the others follow from them."""
        return [column.name for column in cls.__table__.columns if column.computed is None and column.name != "id"]

    @classmethod
    def triggers(cls) -> Iterator[tuple[str, str, str]]:
        """(table, event, statement) of what is to be done or noted when rows change."""
        raise NotImplementedError

    @classmethod
    def from_scratch(cls, only: Only) -> str:
        """SQL of id and every stored column, worked out from the records."""
        raise NotImplementedError

    @classmethod
    def settle(cls) -> str:
        """plpgsql that brings the figures of the noted `ids` up to date."""
        raise NotImplementedError


_declared: list[type[Figures]] = []
_ROWS = {"INSERT": ("new_rows",), "UPDATE": ("old_rows", "new_rows"), "DELETE": ("old_rows",)}


class OfRecord(Figures):
    """Figures of each row of a table, worked out anew when that or what belongs to it has changed.

    `touched_by` names for each table the ids that a change of its `{rows}` touches; `query` answers id and every column.
    """

    __abstract__ = True
    record: ClassVar[str]
    touched_by: ClassVar[Mapping[str, str]]

    @classmethod
    def query(cls, only: Only) -> str:
        raise NotImplementedError

    @classmethod
    def from_scratch(cls, only: Only) -> str:
        return cls.query(only)

    @classmethod
    def triggers(cls) -> Iterator[tuple[str, str, str]]:
        for table, ids in cls.touched_by.items():
            for event, rows in _ROWS.items():
                found = " UNION ".join(ids.format(rows=name) for name in rows)
                yield (
                    table,
                    event,
                    f"INSERT INTO {cls.note.name} (id) SELECT DISTINCT t.id FROM ({found}) t (id) WHERE t.id IS NOT NULL",
                )

    @classmethod
    def settle(cls) -> str:
        table, names = cls.__tablename__, cls.stored()
        listed = ", ".join(names)
        mine, given = (", ".join(f"{of}.{name}" for name in names) for of in ("f", "excluded"))
        return f"""
  PERFORM FROM {table} f WHERE f.id = ANY (ids) ORDER BY f.id FOR NO KEY UPDATE;
  IF (SELECT count(*) FROM {cls.record} o WHERE o.id = ANY (ids)) < cardinality(ids) THEN
    DELETE FROM {table} f WHERE f.id = ANY (ids) AND f.id NOT IN (SELECT o.id FROM {cls.record} o WHERE o.id = ANY (ids));
  END IF;
  INSERT INTO {table} AS f (id, {listed}) SELECT q.id, {listed} FROM ({cls.query(_THESE)}) q
    ON CONFLICT (id) DO UPDATE SET ({listed}) = ROW ({given}) WHERE ({mine}) IS DISTINCT FROM ({given});"""


class Summed(Figures):
    """Figures of each holder: sums over its `sources`, and first and last. `holders` is the table and who has a row."""

    __abstract__ = True
    level = 1
    holders: ClassVar[tuple[str, str]]
    sources: ClassVar[tuple[Source, ...]]

    @classmethod
    def noted(cls) -> list[Column[Any]]:
        summed = [
            Column(name, cls.__table__.c[name].type, server_default=text("0"), nullable=False) for name in cls._sums()
        ]
        return [*summed, Column("afresh", Boolean, server_default=false(), nullable=False)]

    @classmethod
    def _sums(cls) -> list[str]:
        return [name for name in cls.stored() if any(name in source.adds for source in cls.sources)]

    @classmethod
    def _edges(cls, name: str) -> list[tuple[Source, Edge]]:
        return [(source, edge) for source in cls.sources for edge in source.edges if edge.figure == name]

    @classmethod
    def _extremes(cls) -> dict[str, str]:
        """Figure → `min` or `max`, of those that are no sums."""
        return {name: found[0][1].which for name in cls.stored() if (found := cls._edges(name))}

    @classmethod
    def triggers(cls) -> Iterator[tuple[str, str, str]]:
        for source in cls.sources:
            for event, rows in _ROWS.items():
                yield source.table, event, cls._differences(source, rows)
        table, condition = cls.holders
        figures, note = cls.__tablename__, cls.note.name
        yield table, "INSERT", f"INSERT INTO {figures} (id) SELECT {table}.id FROM new_rows {table} WHERE {condition}"
        yield table, "DELETE", f"DELETE FROM {figures} f WHERE f.id = ANY (ARRAY(SELECT o.id FROM old_rows o))"
        held, now = (f"SELECT {table}.id FROM {rows} {table} WHERE {condition}" for rows in _ROWS["UPDATE"])
        yield table, "UPDATE", f"DELETE FROM {figures} f WHERE f.id = ANY (ARRAY({held} EXCEPT {now}))"
        # Whoever comes to hold a role has a past already.
        yield table, "UPDATE", (f"WITH came AS (INSERT INTO {figures} (id) {now} EXCEPT {held} RETURNING id) "
                                f"INSERT INTO {note} (id, afresh) SELECT c.id, true FROM came c")  # fmt: skip

    @classmethod
    def _differences(cls, source: Source, rows: tuple[str, ...]) -> str:
        signed = {"new_rows": 1, "old_rows": -1}
        each = " UNION ALL ".join(f"SELECT {signed[name]} AS sign, n.* FROM {name} n" for name in rows)
        sums = {name: f"sum(r.sign * ({value}))" for name, value in source.adds.items()}
        columns = "".join(f", {name}" for name in sums)
        values = "".join(f", {value}" for value in sums.values())
        having = ""
        if len(rows) == 2:
            moved = [f"{value} <> 0" for value in sums.values()]
            for edge in source.edges:
                before, after = (
                    f"{edge.which}({edge.value}) FILTER (WHERE r.sign = {sign} AND ({edge.where}))" for sign in (-1, 1)
                )
                moved.append(f"{before} IS DISTINCT FROM {after}")
            having = f" HAVING {' OR '.join(moved)}"
        return (f"INSERT INTO {cls.note.name} (id{columns}) SELECT r.{source.of}{values} FROM ({each}) r "
                f"WHERE r.{source.of} IS NOT NULL GROUP BY r.{source.of}{having}")  # fmt: skip

    @classmethod
    def from_scratch(cls, only: Only) -> str:
        sums, extremes = cls._sums(), cls._extremes()
        parts = []
        for source in cls.sources:
            cells = [f"sum({source.adds[name]}) AS {name}" if name in source.adds else f"0 AS {name}" for name in sums]
            for name, which in extremes.items():
                own = [edge for edge in source.edges if edge.figure == name]
                found = ", ".join(f"{which}({edge.value}) FILTER (WHERE {edge.where})" for edge in own)
                empty = f"NULL::{_type(cls, name)}"
                cells.append(f"{_PICK[which]}({found}) AS {name}" if own else f"{empty} AS {name}")
            parts.append(f"SELECT r.{source.of} AS id, {', '.join(cells)} FROM {source.table} r "
                         f"WHERE r.{source.of} IS NOT NULL AND {only(f'r.{source.of}')} GROUP BY r.{source.of}")  # fmt: skip
        table, condition = cls.holders
        cells = [f"coalesce(sum(u.{name}), 0) AS {name}" for name in sums]
        cells += [f"{which}(u.{name}) AS {name}" for name, which in extremes.items()]
        return (f"SELECT {table}.id, {', '.join(cells)} FROM {table} LEFT JOIN ({' UNION ALL '.join(parts)}) u "
                f"ON u.id = {table}.id WHERE {condition} AND {only(f'{table}.id')} GROUP BY {table}.id")  # fmt: skip

    @classmethod
    def settle(cls) -> str:
        table, note = cls.__tablename__, cls.note.name
        holders, _ = cls.holders
        sums, extremes = cls._sums(), cls._extremes()
        sets = [f"{name} = f.{name} + d.{name}" for name in sums]
        for name, which in extremes.items():
            found = ", ".join(f"(SELECT {which}({edge.value}) FROM {source.table} r WHERE r.{source.of} = f.id AND {edge.where})"
                              for source, edge in cls._edges(name))  # fmt: skip
            sets.append(f"{name} = {_PICK[which]}({found})")
        listed = ", ".join([*sums, *extremes])
        totals = ", ".join(f"sum(n.{name}) AS {name}" for name in sums)
        return f"""
  -- Somebody may be about to come among the holders: wait for that, as the one who does it can't see what is done here.
  PERFORM FROM {holders} h WHERE h.id = ANY (ids) AND h.id NOT IN (SELECT f.id FROM {table} f WHERE f.id = ANY (ids))
    ORDER BY h.id FOR SHARE;
  PERFORM FROM {table} f WHERE f.id = ANY (ids) ORDER BY f.id FOR NO KEY UPDATE;
  UPDATE {table} f SET {", ".join(sets)}
    FROM (SELECT n.id, {totals} FROM {note} n WHERE n.tx = this GROUP BY n.id HAVING NOT bool_or(n.afresh)) d
   WHERE d.id = f.id AND f.id = ANY (ids);
  ids := ARRAY(SELECT DISTINCT n.id FROM {note} n WHERE n.tx = this AND n.afresh);
  IF cardinality(ids) > 0 THEN
    UPDATE {table} f SET ({listed}) = ROW ({listed.replace(", ", ", q.").join(("q.", ""))})
      FROM ({cls.from_scratch(_THESE)}) q WHERE q.id = f.id AND f.id = ANY (ids);
  END IF;"""


_PICK = {"min": "least", "max": "greatest"}


def _type(cls: type[Figures], name: str) -> str:
    return str(cls.__table__.c[name].type.compile(postgresql.dialect()))


def _show(face: Face, cls: type[Figures]) -> None:
    """The fields of the figures become the face's own: a record tells them like its other values."""
    entity, relation = face.entity, cls.__tablename__
    face.figures.append(cls)
    if hasattr(entity, relation):
        return
    setattr(entity, relation, relationship(cls, primaryjoin=foreign(cls.id) == entity.id, uselist=False, viewonly=True))
    for column in cls.__table__.columns:
        if "field" in column.info or column.name.startswith("sort_"):
            if hasattr(entity, column.name):
                raise DeclarationError(f"{cls.__name__}.{column.name}: {entity.__name__} has a field of that name")
            setattr(entity, column.name, _told(relation, column.name))


def _told(relation: str, name: str) -> property:
    return property(lambda record: getattr(getattr(record, relation), name, None))


# Installing


_FOUND = "  any_found := any_found OR FOUND;\n"


def _noting() -> list[Trigger]:
    """One trigger for each table and event, whatever it is noted for."""
    bodies: dict[tuple[str, str], list[str]] = {}
    for cls in _declared:
        for table, event, statement in cls.triggers():
            bodies.setdefault((table, event), []).append(statement)
    wake = f"INSERT INTO {_DUE.name} (tx) VALUES ({_TX}) ON CONFLICT DO NOTHING;"
    return [Trigger(f"figures_{table}_{event.lower()}", f"AFTER {event}", on=table, body=(
                "\nDECLARE\n  any_found boolean := false;\nBEGIN\n"
                + "".join(f"  {statement};\n{_FOUND if '_note (' in statement else ''}" for statement in statements)
                + f"  IF any_found THEN {wake} END IF;\n  RETURN NULL;\nEND"))
            for (table, event), statements in bodies.items()]  # fmt: skip


def install_statements() -> list[str]:
    """Every function and trigger, in an order that can be run again and again."""
    noting = [line for trigger in _noting() for line in trigger.statements(trigger.on)]
    parts = "".join(
        f"""
  ids := ARRAY(SELECT DISTINCT n.id FROM {cls.note.name} n WHERE n.tx = this ORDER BY n.id);
  IF cardinality(ids) > 0 THEN{cls.settle()}
  DELETE FROM {cls.note.name} n WHERE n.tx = this;
  END IF;"""
        for cls in _settled()
    )
    body = (f"\nDECLARE\n  this bigint := {_TX};\n  ids bigint[];\nBEGIN{parts}\n  DELETE FROM {_DUE.name} d WHERE d.tx = this;\n"
            "  RETURN NULL;\nEND")  # fmt: skip
    return [
        *noting,
        (f"CREATE OR REPLACE FUNCTION {_SETTLE}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {NEVER_ROW_BY_ROW} "
         # To plan anew for each commit takes longer than to settle it.
         f"SET plan_cache_mode = force_generic_plan AS $body${body}$body$"),
        f"REVOKE ALL ON FUNCTION {_SETTLE}() FROM PUBLIC",
        f"DROP TRIGGER IF EXISTS {_SETTLE} ON {_DUE.name}",
        (f"CREATE CONSTRAINT TRIGGER {_SETTLE} AFTER INSERT ON {_DUE.name} DEFERRABLE INITIALLY DEFERRED "
         f"FOR EACH ROW EXECUTE FUNCTION {_SETTLE}()"),
    ]  # fmt: skip


def installed_names() -> set[tuple[str, str]]:
    """(table, trigger) of everything `install_statements` makes."""
    return {(trigger.on, trigger.name) for trigger in _noting()} | {(_DUE.name, _SETTLE)}


def tables() -> frozenset[str]:
    """Every table that is kept here: the app reads them and writes none."""
    return frozenset({_DUE.name, *(cls.__tablename__ for cls in _declared), *(cls.note.name for cls in _settled())})


def _settled() -> list[type[Figures]]:
    """Those that are brought up to date at commit."""
    return [cls for cls in _declared if not cls.at_once]


# From scratch


def rebuild(connection: Connection) -> None:
    """Work all figures out anew, as their owner. Who commits meanwhile waits; what isn't committed comes after."""
    names = [cls.__tablename__ for cls in _declared]
    connection.execute(text(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE"))
    for cls in _declared:
        table, listed = cls.__tablename__, ", ".join(cls.stored())
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        connection.execute(text(f"TRUNCATE {table}"))
        query = cls.from_scratch(_ALL)
        connection.execute(
            text(f"INSERT INTO {table} (id, {listed}) SELECT q.id, {listed} FROM ({query}) q".replace(":", r"\:"))
        )
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
        connection.execute(text(f"ANALYZE {table}"))


def rebuild_when_changed(connection: Connection) -> None:
    """Work all out anew when a declaration isn't the one by which the tables were filled."""
    told = " ".join(cls.from_scratch(_ALL) for cls in _declared)
    mark = hashlib.sha256(told.encode()).hexdigest()
    known = connection.execute(text(f"SELECT obj_description(CAST('{_SETTLE}()' AS regprocedure), 'pg_proc')")).scalar()
    if known != mark:
        rebuild(connection)
        connection.execute(text(f"COMMENT ON FUNCTION {_SETTLE}() IS '{mark}'"))


def differences(connection: Connection) -> Iterator[tuple[str, int, str, str | None, str | None]]:
    """(table, id, figure, what stands there, what is true) of everything that isn't as the records add up to.

    On one snapshot: give a connection whose transaction is REPEATABLE READ. What was just filled is counted first.
    """
    read = {table for cls in _declared for table in (cls.__tablename__, *(on for on, _, _ in cls.triggers()))}
    refresh_outgrown(connection, sorted(read))
    worked: dict[str, str] = {}
    for cls in _declared:
        table, names = cls.__tablename__, cls.stored()
        cells = ", ".join(f"('{name}', f.{name}::text, CAST(q.{name} AS {_type(cls, name)})::text)" for name in names)
        # A query that reads figures of records reads what they must be, under the same name.
        given = ", ".join(f"{name} AS ({query})" for name, query in worked.items() if cls.level)
        sql = (f"SELECT coalesce(f.id, q.id), v.figure, v.there, v.due FROM {table} f FULL JOIN "
               f"({f'WITH {given} ' if given else ''}{cls.from_scratch(_ALL)}) q ON q.id = f.id "
               f"CROSS JOIN LATERAL (VALUES ('its row', f.id::text, q.id::text), {cells}) v (figure, there, due) "
               "WHERE v.there IS DISTINCT FROM v.due ORDER BY 1, 2")  # fmt: skip
        for row in connection.execute(text(sql.replace(":", r"\:")).execution_options(yield_per=1000)):
            yield table, *row
        worked[table] = cls.from_scratch(_ALL)


def settle() -> None:
    """Bring what this transaction wrote so far into the figures now, for an answer that tells them."""
    db.session.flush()
    for when in ("IMMEDIATE", "DEFERRED"):
        db.session.execute(text(f"SET CONSTRAINTS {_SETTLE} {when}"))
