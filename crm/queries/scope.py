"""Which rows of a face somebody may see: the one place that list, detail, picker, action, export and API all ask."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, inspect, or_, select

from crm.core.entity import Entity, Face, db, face_named
from crm.core.permissions import Actor, Scope, allowed

MAX_ID = 2**63 - 1


def row_scope(face: Face, actor: Actor, verb: str = "read") -> list[ColumnElement[bool]]:
    """The conditions that a row must meet: it shows this face, and the actor's right to the verb reaches it."""
    if face.through:
        return [or_(false(), *(and_(*row_scope(face_named(other), actor, verb)) for other in face.through))]
    scope = allowed(actor, f"{face.name}.{verb}")
    if scope is None:
        return [false()]
    conditions = face.where()
    if scope is Scope.OWN and face.about.within:
        conditions.append(or_(*(_owned_by(face.entity, path, actor) for path in face.about.paths)))
    return conditions


def visible(face: Face, actor: Actor, verb: str = "read") -> Select[Any]:
    return select(face.entity).where(*row_scope(face, actor, verb))


def find(face: Face, actor: Actor, given: str, verb: str = "read") -> Any:
    """The record with this number or code, if the actor may reach it; None otherwise."""
    condition = by_id_or_code(face, given)
    if condition is None:
        return None
    return db.session.scalars(visible(face, actor, verb).where(condition)).one_or_none()


def by_id_or_code(face: Face, given: str) -> ColumnElement[bool] | None:
    """None for what can be neither: the caller answers 'not there'."""
    if re.fullmatch(r"[0-9]{1,19}", given) and 0 < int(given) <= MAX_ID:
        return face.entity.id == int(given)
    if "code" in face.fields and re.fullmatch(r"[A-Za-z]{1,4}-[0-9]{6,19}", given):
        return face.column("code") == given.upper()
    return None


def _owned_by(entity: type[Entity], path: tuple[str, ...], actor: Actor) -> ColumnElement[bool]:
    """`("party", "owner")` → EXISTS party whose owner is the actor."""
    *steps, last = path
    if not steps:
        return getattr(entity, entity.fields()[last].attribute) == actor.id
    relation = getattr(entity, steps[0])
    target = inspect(entity).relationships[steps[0]].mapper.class_
    return relation.has(_owned_by(target, path[1:], actor))
