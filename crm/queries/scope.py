"""Which rows of a face somebody may see: the one place that list, detail, picker, action, export and API all ask."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    any_,
    bindparam,
    false,
    func,
    inspect,
    or_,
    select,
    union,
)

from crm.core.entity import Entity, Face, all_faces, db, face_named
from crm.core.permissions import Actor, Asking, Scope, allowed, reach
from crm.models.access import Team, TeamMember

MAX_ID = 2**63 - 1


def row_scope(face: Face, actor: Actor, verb: str = "read") -> list[ColumnElement[bool]]:
    """The conditions that a row must meet: it shows this face, and the actor's right to the verb reaches it."""
    if face.through:
        return [or_(false(), *(and_(*row_scope(face_named(other), actor, verb)) for other in face.through))]
    given, denied = reach(actor, face, verb)
    if given is None:
        return [false()]
    conditions = face.where()
    if face.about.within:
        if given is not Scope.ALL:
            conditions.append(_within(face, actor, given))
        if denied is not None:
            conditions.append(_within(face, actor, denied).is_not(True))
    return conditions


def visible(face: Face, actor: Actor, verb: str = "read") -> Select[Any]:
    return select(face.entity).where(*row_scope(face, actor, verb))


def find(face: Face, actor: Actor, given: str, verb: str = "read") -> Any:
    """The record with this number or code, if the actor may reach it; None otherwise."""
    if is_id(given):
        return db.session.scalars(_numbered(face, Asking.of(actor), verb), {"number": int(given)}).one_or_none()
    condition = by_id_or_code(face, given)
    if condition is None:
        return None
    return db.session.scalars(visible(face, actor, verb).where(condition)).one_or_none()


@lru_cache(maxsize=1024)  # to put it together takes longer than to ask it
def _numbered(face: Face, actor: Asking, verb: str) -> Select[Any]:
    return visible(face, actor, verb).where(face.entity.id == bindparam("number", type_=BigInteger()))


def is_id(given: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,19}", given)) and 0 < int(given) <= MAX_ID


def by_id_or_code(face: Face, given: str) -> ColumnElement[bool] | None:
    """None for what can be neither: the caller answers 'not there'."""
    if is_id(given):
        return face.entity.id == int(given)
    if "code" in face.fields and re.fullmatch(r"[A-Za-z]{1,4}-[0-9]{6,19}", given):
        return face.column("code") == given.upper()
    return None


def teams_of(user_id: int) -> Select[Any]:
    """The numbers of the teams that a person leads or is in."""
    led = select(Team.id).where(Team.lead_id == user_id)
    return select(union(led, select(TeamMember.team_id).where(TeamMember.user_id == user_id)).subquery().c.id)


def colleagues_of(user_id: int) -> Select[Any]:
    """The numbers of everybody who leads or is in one of a person's teams."""
    teams = teams_of(user_id)
    leads = select(Team.lead_id.label("id")).where(Team.id.in_(teams), Team.lead_id.is_not(None))
    return select(union(leads, select(TeamMember.user_id).where(TeamMember.team_id.in_(teams))).subquery().c.id)


def _within(face: Face, actor: Actor, scope: Scope) -> ColumnElement[bool]:
    """The row is in scope by any of its paths."""
    return or_(*(_leads_to(face.entity, path, actor, scope) for path in face.about.paths))


def _leads_to(entity: type[Entity], path: tuple[str, ...], actor: Actor, scope: Scope) -> ColumnElement[bool]:
    """`("party", "owner")` → EXISTS party whose owner is the actor, or for teams one of theirs."""
    *steps, last = path
    if not steps:
        return _held(entity, last, actor, scope)
    relation = getattr(entity, steps[0])
    target = inspect(entity).relationships[steps[0]].mapper.class_
    return relation.has(_leads_to(target, path[1:], actor, scope))


def _held(entity: type[Entity], owner: str, actor: Actor, scope: Scope) -> ColumnElement[bool]:
    """The row is the actor's; by scope of teams also a colleague's, one of a team's, and for those who hand rows out
    what is nobody's yet."""
    fields = entity.fields()
    column = getattr(entity, fields[owner].attribute)
    mine = column == actor.id
    if scope is Scope.OWN:
        return mine
    # Arrays that are worked out once per query: the planner then takes the indexes of owner and team.
    ways = [mine, column == any_(_array(colleagues_of(actor.id)))]
    team = fields.get("team")
    if team is not None and team.refers_to == "team":
        team_column = getattr(entity, team.attribute)
        ways.append(team_column == any_(_array(teams_of(actor.id))))
        if any(allowed(actor, f"{face.name}.reassign") for face in entity.faces):
            ways.append(and_(column.is_(None), team_column.is_(None)))
    return or_(*ways)


def _array(numbers: Select[Any]) -> Any:
    return func.array(numbers.scalar_subquery())


def related_face(face: Face, relation: str) -> Face:
    """The face of what a relationship leads to."""
    entity = inspect(face.entity).relationships[relation].mapper.class_
    return next(other for other in all_faces() if other.entity is entity)


def belongs_to(face: Face, number: Any, relation: str) -> ColumnElement[bool]:
    """The condition that a row of a relationship belongs to the record of this number."""
    remote: Any = next(iter(inspect(face.entity).relationships[relation].remote_side))
    return cast(ColumnElement[bool], remote == number)


def belonging(face: Face, record: Entity, relation: str, actor: Actor) -> Select[Any]:
    """What belongs to a record and the actor may reach, in the order of the relationship; what stands in the timeline
    newest first, as its index has it."""
    link = inspect(face.entity).relationships[relation]
    remote, other = next(iter(link.remote_side)), related_face(face, relation)
    order: Iterable[Any] = link.order_by or ()
    moment = other.about.timeline
    if moment and remote is other.entity.__table__.c[other.fields[moment.party].attribute]:
        order = other.column(moment.at).desc(), other.entity.id.desc()
    return visible(other, actor).where(belongs_to(face, record.id, relation)).order_by(*order)
