"""What happened with a party, newest first, whatever it was: one query over every entity that takes part
(`About.timeline`), each by its own index and under its own rights, and over the changes of the party itself."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    bindparam,
    cast,
    collate,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm.attributes import set_committed_value

from crm.core.command import among
from crm.core.entity import Entity, Face, all_faces, db, face_named
from crm.core.permissions import Actor, Asking, accesses, allowed
from crm.models.access import AuditAction, AuditEntry, User
from crm.queries.conditions import compile_condition, search_key
from crm.queries.history import events_numbered
from crm.queries.listing import BadQuery, holds
from crm.queries.scope import row_scope

SHOWN = 30
CHANGE = "change"
PARTY: BindParameter[int] = bindparam("party", type_=BigInteger())
# What status and stage changes tell, in words of their own.
_TOLD = ("lifecycle", "block_state", "block_reason", "blocked_at", "blocked_until", "archived_at", "status_reason",
         "status_code", "stage", "sub_stage")  # fmt: skip

Place = tuple[dt.datetime, str, int]


@dataclass(frozen=True)
class Asked:
    """What is wanted of a timeline. `kinds` are names of faces and `change`, none: all; days are in UTC, both ends
    included; `before` is the place of the last one that was shown."""

    kinds: frozenset[str] = frozenset()
    person: int | None = None
    since: dt.date | None = None
    until: dt.date | None = None
    search: str = ""
    before: Place | None = None


@dataclass(frozen=True)
class Happened:
    """One thing: a record of a face, or for a change of the party itself its `history.Event`."""

    kind: str
    at: dt.datetime
    face: Face
    what: Any


def takes_part(actor: Actor) -> list[Face]:
    """The faces whose records this actor finds in the timeline of a party."""
    found = [other for other in all_faces() if other.about.timeline and allowed(actor, f"{other.name}.read")]
    return [other for other in found if all(accesses(actor, other)[name].shows for name in _needed(other))]


def timeline(
    face: Face, party: Entity, actor: Actor, sources: Iterable[Face], asked: Asked, limit: int = SHOWN
) -> tuple[list[Happened], Place | None]:
    """(what happened, the place to go on after). The party has been found under this face by the same actor; `sources`
    is what `takes_part` answers for him."""
    statement = _asking(face, tuple(sources), Asking.of(actor), asked, limit + 1)
    if statement is None:
        return [], None
    rows: list[Place] = [(at, kind, number) for kind, number, at in db.session.execute(statement, {"party": party.id})]
    shown = rows[:limit]
    records = _records(face, actor, shown)
    happened = [Happened(kind, at, *records[kind, number]) for at, kind, number in shown if (kind, number) in records]
    return happened, shown[-1] if len(rows) > limit else None


NAMES = ("type", "who", "since", "until", "q")


def read_asked(given: Iterable[tuple[str, str]], sources: Iterable[Face]) -> Asked:
    """What an address asks of a timeline of these sources: `type` may come several times, `before` is a place. Raises
    BadQuery."""
    pairs = [(name, value) for name, value in given if value]
    one = dict(pairs)
    kinds = frozenset(value for name, value in pairs if name == "type")
    if wrong := kinds - {CHANGE, *(face.name for face in sources)}:
        raise BadQuery("type", f"“{min(wrong)[:60]}” isn't in this timeline")
    who, search = one.get("who", ""), one.get("q", "").strip()
    if who and not re.fullmatch(r"[1-9][0-9]{0,17}", who):
        raise BadQuery("who", "is the number of a user")
    if "\x00" in search:
        raise BadQuery("q", "contains a NUL character")
    return Asked(kinds, int(who) if who else None, _day(one, "since"), _day(one, "until"), search[:200],
                 read_place(one["before"]) if "before" in one else None)  # fmt: skip


def _day(given: Mapping[str, str], name: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(given[name]) if name in given else None
    except ValueError:
        raise BadQuery(name, "is a day, such as 2026-01-31") from None


@lru_cache(maxsize=512)  # to put it together takes longer than to ask it
def _asking(face: Face, sources: tuple[Face, ...], actor: Asking, asked: Asked, limit: int) -> Select[Any] | None:
    """The question for the newest of all sources; of the party that is given as `party`."""
    parts = [_of_face(other, actor, asked, limit) for other in sources if _fits(other, actor, asked)]
    if face.about.audited and not asked.search and (not asked.kinds or CHANGE in asked.kinds):
        parts.append(_changes(face, asked, limit))
    if not parts:
        return None
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    newest = (found.c.at.desc(), collate(found.c.kind, "C").desc(), found.c.id.desc())
    return select(found.c.kind, found.c.id, found.c.at).order_by(*newest).limit(limit)


def place_text(place: Place) -> str:
    """A place as an address carries it."""
    packed = json.dumps([place[0].isoformat(), place[1], place[2]])
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def read_place(raw: str) -> Place:
    """Raises BadQuery for what is none."""
    try:
        at, kind, number = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
        time = dt.datetime.fromisoformat(at)
        good = time.tzinfo is not None and isinstance(kind, str) and kind.isidentifier() and type(number) is int
        good = good and abs(number) < 2**63
    except (ValueError, TypeError, binascii.Error, RecursionError):
        good = False
    if not good:
        raise BadQuery("before", "is no place in this timeline; start again from its beginning")
    return time.astimezone(dt.UTC), kind, number


def _needed(face: Face) -> tuple[str, str]:
    assert face.about.timeline is not None
    return face.about.timeline.at, face.about.timeline.party


def _fits(face: Face, actor: Actor, asked: Asked) -> bool:
    """Whether anything of this face can be among what is asked for."""
    assert face.about.timeline is not None
    by = face.about.timeline.by
    return ((not asked.kinds or face.name in asked.kinds)
            and (asked.person is None or (bool(by) and accesses(actor, face)[by].shows))
            and (not asked.search or bool(face.about.search)))  # fmt: skip


def _of_face(face: Face, actor: Actor, asked: Asked, limit: int) -> Select[*tuple[Any, ...]]:
    """The newest records of a face, by the index over party, time and number."""
    moment = face.about.timeline
    assert moment is not None
    column, number = face.column(moment.at), face.entity.id
    conditions = [face.column(moment.party) == PARTY, *row_scope(face, actor)]
    for op, day in (("ge", asked.since), ("le", asked.until)):
        if day is not None:
            conditions.append(compile_condition(face, face.fields[moment.at], op, day.isoformat()))
    if asked.person is not None:
        conditions.append(face.column(moment.by) == asked.person)
    if asked.search:
        pattern = func.concat("%", search_key(asked.search), "%")
        conditions.append(holds(face, asked.search, pattern, actor))
    is_day = face.fields[moment.at].kind == "date"
    if asked.before is not None:
        conditions.append(_after(asked.before, face.name, column, number, is_day=is_day))
    # A day counts as its first moment: what has a time stands above it.
    at = func.timezone("UTC", cast(column, TIMESTAMP())) if is_day else column
    return (select(literal(face.name).label("kind"), number.label("id"), at.label("at")).where(*conditions)
            .order_by(column.desc(), number.desc()).limit(limit))  # fmt: skip


def _changes(face: Face, asked: Asked, limit: int) -> Select[*tuple[Any, ...]]:
    """The newest changes of the party that nothing else in the timeline tells."""
    table = face.entity.__tablename__
    untold = AuditEntry.changes.op("-")(literal(list(_TOLD), ARRAY(TEXT))) != {}
    conditions: list[ColumnElement[bool]] = [
        # As literals: only so the index over the changes of parties fits.
        AuditEntry.entity == literal(table, literal_execute=True), AuditEntry.record_id == PARTY,
        (AuditEntry.action != AuditAction.UPDATE) | untold,
    ]  # fmt: skip
    for op, day in (("ge", asked.since), ("le", asked.until)):
        if day is not None:
            audit = next(iter(AuditEntry.faces))
            conditions.append(compile_condition(audit, audit.fields["created_at"], op, day.isoformat()))
    if asked.person is not None:
        conditions.append(AuditEntry.actor_id == asked.person)
    if asked.before is not None:
        conditions.append(_after(asked.before, CHANGE, AuditEntry.created_at, AuditEntry.id, is_day=False))
    return (select(literal(CHANGE).label("kind"), AuditEntry.id, AuditEntry.created_at.label("at")).where(*conditions)
            .order_by(AuditEntry.created_at.desc(), AuditEntry.id.desc()).limit(limit))  # fmt: skip


def _after(place: Place, kind: str, column: Any, number: Any, *, is_day: bool) -> ColumnElement[bool]:
    """What comes after a place in the order of time, kind and number, newest first."""
    time, last_kind, last_number = place
    value: Any = time
    same_time_too = kind < last_kind
    if is_day:
        value = time.date()
        # Later on that day than its first moment: the whole day is still to come.
        same_time_too = same_time_too or time > dt.datetime.combine(value, dt.time(), dt.UTC)
    if same_time_too:
        return column <= value
    if kind == last_kind:
        return tuple_(column, number) < tuple_(literal(value, column.type), literal(last_number, number.type))
    return column < value


def _records(face: Face, actor: Actor, places: Iterable[Place]) -> dict[tuple[str, int], tuple[Face, Any]]:
    """What stands at these places and its face, with one query for each kind among them."""
    wanted: dict[str, list[int]] = {}
    for _, kind, number in places:
        wanted.setdefault(kind, []).append(number)
    found: dict[tuple[str, int], tuple[Face, Any]] = {}
    had_in_hand: list[tuple[Any, str, int]] = []
    for kind, numbers in wanted.items():
        if kind == CHANGE:
            found |= {(kind, event.entry.id): (face, event) for event in events_numbered(face, numbers, actor)}
            continue
        other = face_named(kind)
        assert other.about.timeline is not None
        by = other.about.timeline.by
        for record in db.session.scalars(select(other.entity).where(among(other.entity.id, numbers))):
            found[kind, record.id] = (other, record)
            if by and (person := other.value(record, by)) is not None:
                had_in_hand.append((record, by, person))
    people = {
        one.id: one for one in db.session.scalars(select(User).where(User.id.in_({who for _, _, who in had_in_hand})))
    }
    for record, by, person in had_in_hand:
        set_committed_value(record, by, people[person])
    return found
