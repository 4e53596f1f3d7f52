"""Which segments' rules ask for which other segments: who uses one, what must be worked out first, circles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import func, select

from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.segments import Segment
from crm.queries.scope import row_scope
from crm.queries.segment_rules.reading import BadRule, read_rule, segments_in


def is_segment(name: str, actor: Actor | None = None) -> bool:
    """Whether there is a segment of this name that the actor may see; None sees all."""
    scope = [] if actor is None else row_scope(face_named("segment"), actor)
    wanted = select(Segment.id).where(func.lower(Segment.name) == func.lower(name), *scope)
    return db.session.scalar(wanted) is not None


def asked_for() -> dict[int, set[str]]:
    """Segment → the names of segments that its rule asks for, in lower case; of those that ask for any."""
    found = {}
    for number, rule in db.session.execute(select(Segment.id, Segment.rule).where(Segment.rule.is_not(None))):
        try:
            names = segments_in(read_rule(rule))
        except BadRule:
            continue  # it can't be refreshed either, and says so then
        if names:
            found[number] = names
    return found


def used_by(segment: Segment) -> list[Segment]:
    """The segments whose rules ask for this one."""
    name = segment.name.lower()
    numbers = [number for number, names in asked_for().items() if name in names]
    return list(db.session.scalars(select(Segment).where(Segment.id.in_(numbers)).order_by(Segment.name)))


def circle(name: str, rule_asks: set[str]) -> list[str]:
    """The way by which a rule that asks for these leads back to the segment of this name; empty when it doesn't."""
    names: dict[int, str] = {
        number: word.lower() for number, word in db.session.execute(select(Segment.id, Segment.name))
    }
    leads = {names[number]: asked for number, asked in asked_for().items()} | {name.lower(): rule_asks}
    ways = [[name.lower()]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for step in sorted(leads.get(way[-1], ())):
            if step == name.lower():
                return [*way, step]
            if step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return []


def in_levels(asked: Mapping[int, set[str]], names: Mapping[int, str]) -> list[list[int]]:
    """Segments in the order in which they are worked out: those of a level ask only for those of earlier ones, as far as
    they are among these at all. What goes round in a circle comes last, as it stands."""
    by_name = {name.lower(): number for number, name in names.items()}
    waits = {number: {by_name[name] for name in asked.get(number, ()) if name in by_name} for number in names}
    levels: list[list[int]] = []
    done: set[int] = set()
    while left := [number for number in waits if number not in done]:
        ready = [number for number in left if waits[number] <= done] or left
        levels.append(ready)
        done.update(ready)
    return levels


def listed(segments: Iterable[Segment]) -> str:
    return ", ".join(f"“{segment.name}”" for segment in segments)
