"""What happened to a record: who changed what, from what to what, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import literal, select, union_all

from crm.core.entity import Entity, Face, db, face_named
from crm.core.fields import MASK, Field
from crm.core.permissions import Access, Actor, accesses, allowed
from crm.models.access import AuditAction, AuditEntry, AuditValue, User
from crm.models.parties import Party
from crm.queries.party_merges import merged_into
from crm.queries.scope import belonging, related_face

SHOWN = 50
MOST_CHILDREN = 200  # of one kind whose changes stand in the history of what they belong to


@dataclass(frozen=True)
class Change:
    """One field of one entry; texts as the database wrote them, None where the value was erased or empty."""

    field: Field | None
    column: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Event:
    """An entry with who did it. `child` is the record it is about, where that belongs to the one that was asked for."""

    entry: AuditEntry
    actor: User | None
    changes: list[Change]
    face: Face | None = None
    child: Entity | None = None

    @property
    def action(self) -> AuditAction:
        return self.entry.action


def history(record: Entity, limit: int = SHOWN) -> list[Event]:
    """The newest entries of a record with their personal values, in two queries."""
    return _events([(_about(record.__tablename__, [record.id], None, limit), type(record))], limit)


def whole_history(
    face: Face, record: Entity, actor: Actor, *, before: int | None = None, limit: int = SHOWN
) -> list[Event]:
    """What happened to a record and to what belongs to it, newest first, as this actor may see it.

    `before` is the number of the last entry that was shown. What was deleted since shows by its parent no more.
    """
    belongs = {other.entity.__tablename__: (other, ids) for other, ids in _belonging(face, record, actor) if ids}
    parts = [(_about(table, ids, before, limit), other.entity) for table, (other, ids) in belongs.items()]
    own = [record.id]
    if isinstance(record, Party) and (merged := merged_into(record.id)):
        own += merged
        belongs[record.__tablename__] = face, merged  # what happened to those that are part of it now
    events = _events([(_about(record.__tablename__, own, before, limit), face.entity), *parts], limit)
    children = _children(belongs, events)
    shown = []
    for event in events:
        other, _ = belongs.get(event.entry.entity, (face, []))
        child = children.get((event.entry.entity, event.entry.record_id))
        shown += seen_by(actor, other, [replace(event, face=other, child=child)])
    return shown


def _belonging(face: Face, record: Entity, actor: Actor) -> list[tuple[Face, list[int]]]:
    """The faces of what belongs to a record, each with the numbers of those the actor may reach; in one question."""
    found: dict[Face, list[int]] = {}
    asked = []
    for relation in face.about.related:
        other = related_face(face, relation)
        if other.about.audited and allowed(actor, f"{other.name}.read"):
            found[other] = []
            few = belonging(face, record, relation, actor).limit(MOST_CHILDREN)
            asked.append(select(few.with_only_columns(literal(other.name).label("name"), other.entity.id).subquery()))
    if asked:
        for name, number in db.session.execute(union_all(*asked)):
            found[face_named(name)].append(number)
    return list(found.items())


def _children(belongs: Mapping[str, tuple[Face, list[int]]], events: Iterable[Event]) -> dict[tuple[str, int], Entity]:
    """(table, number) → the record, of those that the events are about."""
    wanted: dict[str, set[int]] = {}
    for event in events:
        if event.entry.entity in belongs and event.entry.record_id in belongs[event.entry.entity][1]:
            wanted.setdefault(event.entry.entity, set()).add(event.entry.record_id)
    return {(table, row.id): row for table, numbers in wanted.items() for row in db.session.scalars(
        select(belongs[table][0].entity).where(belongs[table][0].entity.id.in_(sorted(numbers))))}  # fmt: skip


def events_numbered(face: Face, numbers: list[int], actor: Actor) -> list[Event]:
    """These entries about records of this face, as this actor may see them."""
    these = select(AuditEntry.id).where(AuditEntry.id.in_(numbers)).subquery()
    return seen_by(actor, face, _events([(these, face.entity)], len(numbers)))


def _about(table: str, ids: list[int], before: int | None, limit: int) -> Any:
    """The numbers of the newest entries about these records, by the index over record and entry."""
    conditions = [AuditEntry.entity == table, AuditEntry.record_id.in_(ids)]
    if before is not None:
        conditions.append(AuditEntry.id < before)
    return select(AuditEntry.id).where(*conditions).order_by(AuditEntry.id.desc()).limit(limit).subquery()


def _events(parts: list[tuple[Any, type[Entity]]], limit: int) -> list[Event]:
    numbers = union_all(*(select(part.c.id) for part, _ in parts))
    statement = (select(AuditEntry, User).outerjoin(User, User.id == AuditEntry.actor_id)
                 .where(AuditEntry.id.in_(numbers)).order_by(AuditEntry.id.desc()).limit(limit))  # fmt: skip
    found = [(row[0], row[1]) for row in db.session.execute(statement)]
    values: dict[tuple[int, str], AuditValue] = {
        (value.entry_id, value.field): value
        for value in db.session.scalars(select(AuditValue).where(AuditValue.entry_id.in_([e.id for e, _ in found])))
    }  # fmt: skip
    columns = {entity.__tablename__: {column_name(entity, declared): declared for declared in entity.fields().values()
                                      if not declared.derived} for _, entity in parts}  # fmt: skip
    return [Event(entry, actor, [_change(columns[entry.entity], entry.id, name, kept, values)
                                 for name, kept in entry.changes.items()]) for entry, actor in found]  # fmt: skip


def seen_by(actor: Actor | None, face: Face, events: Iterable[Event]) -> list[Event]:
    """The events as this actor may see them: what isn't there for him is left out, what is masked for him stays so
    in the past."""
    may = accesses(actor, face)
    return [replace(event, changes=[_seen(change, may[change.field.name] if change.field else Access.MASKED)
                                    for change in event.changes
                                    if change.field is None or may[change.field.name] is not Access.HIDDEN])
            for event in events]  # fmt: skip


def _seen(change: Change, access: Access) -> Change:
    if access.shows:
        return change
    before, after = (None if value is None else MASK for value in (change.before, change.after))
    return replace(change, before=before, after=after)


def column_name(entity: type[Entity], declared: Field) -> str:
    return str(getattr(entity, declared.attribute).property.columns[0].name)


def _change(by_column: dict[str, Field], entry_id: int, column: str, kept: Any,
            values: dict[tuple[int, str], AuditValue]) -> Change:  # fmt: skip
    if isinstance(kept, dict):
        value = values.get((entry_id, column))
        return Change(by_column.get(column), column, value.before if value else None, value.after if value else None)
    return Change(by_column.get(column), column, kept[0], kept[1])
