"""What refers to a segment because somebody said so: ladders, programs, rules of check-ins and of automation, and whatever else
comes to name one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Table, select

from crm.core.entity import Face, all_faces, db
from crm.core.permissions import Actor, allowed
from crm.models.segments import Segment
from crm.queries.scope import row_scope

MOST = 50  # of one kind


def uses(segment: Segment, actor: Actor | None = None) -> list[tuple[Face, list[Any]]]:
    """Kind by kind the records that name the segment in a field that people set; what is only a part of another record, such
    as a step, stands for that one. An actor is told only of what he may see."""
    found: dict[str, tuple[Face, list[Any]]] = {}
    for table, column in _naming():
        whole = _whole(table)
        named = select(whole if whole is not None else table.c.id).where(column == segment.id)
        face = _face_of(next(iter(whole.foreign_keys)).column.table if whole is not None else table)
        if face is None or (actor is not None and allowed(actor, f"{face.name}.read") is None):
            continue
        scope = [] if actor is None else row_scope(face, actor)
        records = select(face.entity).where(face.entity.id.in_(named), *scope).order_by(face.entity.id).limit(MOST)
        known = found.setdefault(face.name, (face, []))[1]
        known += [record for record in db.session.scalars(records) if record not in known]
    return sorted((one for one in found.values() if one[1]), key=lambda one: one[0].label)


def _naming() -> Iterator[tuple[Table, Column[Any]]]:
    """The columns that name a segment and are set by people: what the machine writes is a history."""
    for table in Segment.metadata.sorted_tables:
        for column in table.columns:
            field = column.info.get("field")
            if field is not None and field.editable and column.references(Segment.__table__.c.id):
                yield table, column


def _whole(table: Table) -> Column[Any] | None:
    """The column that names what a row is a part of: it goes with that."""
    return next((column for column in table.columns if not column.nullable
                 and any(key.ondelete == "CASCADE" for key in column.foreign_keys)), None)  # fmt: skip


def _face_of(table: Any) -> Face | None:
    return next((face for face in all_faces() if face.entity.__table__ is table), None)
