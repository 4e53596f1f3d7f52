"""What happened to a record: who changed what, from what to what, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from crm.core.entity import Entity, Face, db
from crm.core.fields import MASK, Field
from crm.core.permissions import Access, Actor, accesses
from crm.models.access import AuditAction, AuditEntry, AuditValue, User

SHOWN = 100


@dataclass(frozen=True)
class Change:
    """One field of one entry; texts as the database wrote them, None where the value was erased or empty."""

    field: Field | None
    column: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Event:
    entry: AuditEntry
    actor: User | None
    changes: list[Change]

    @property
    def action(self) -> AuditAction:
        return self.entry.action


def history(record: Entity, limit: int = SHOWN) -> list[Event]:
    """The newest entries of a record with their personal values, in two queries."""
    statement = (
        select(AuditEntry, User).outerjoin(User, User.id == AuditEntry.actor_id)
        .where(AuditEntry.entity == record.__tablename__, AuditEntry.record_id == record.id)
        .order_by(AuditEntry.id.desc()).limit(limit)
    )  # fmt: skip
    found = [(row[0], row[1]) for row in db.session.execute(statement)]
    values: dict[tuple[int, str], AuditValue] = {
        (value.entry_id, value.field): value
        for value in db.session.scalars(select(AuditValue).where(AuditValue.entry_id.in_([e.id for e, _ in found])))
    }  # fmt: skip
    by_column = {column_name(type(record), declared): declared for declared in type(record).fields().values()
                 if not declared.derived}  # fmt: skip
    return [Event(entry, actor, [_change(by_column, entry.id, name, kept, values) for name, kept in entry.changes.items()])
            for entry, actor in found]  # fmt: skip


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
