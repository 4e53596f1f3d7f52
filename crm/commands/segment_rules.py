"""What is asked of a rule when a segment is saved, and of a segment that others' rules ask for when it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm.commands.records import before_delete, when_saved
from crm.core.command import Refused
from crm.core.permissions import Actor
from crm.models.segments import Segment
from crm.queries.segment_rules.dependence import circle, is_segment, listed, used_by
from crm.queries.segment_rules.reading import BadRule, read_rule, segments_in
from crm.queries.segment_uses import uses

SAID = 5


def why_not(rule: Any, actor: Actor | None, *, name: str = "") -> str:
    """What is wrong with a rule for a segment of this name, place by place; empty when it can be taken."""
    try:
        asked = segments_in(read_rule(rule, actor, is_segment=lambda one: is_segment(one, actor)))
    except BadRule as fault:
        return f"can't be taken: {fault}"
    way = circle(name, asked) if name and asked else []
    return f"leads back to the segment itself: {' → '.join(way)}" if way else ""


@when_saved(Segment)
def check_rule(segment: Segment | None, values: Mapping[str, Any], by: Actor) -> dict[str, str]:
    errors = {}
    name = values.get("name") or (segment.name if segment else "")
    if values.get("rule") is not None and (reason := why_not(values["rule"], by, name=name)):
        errors["rule"] = reason
    renamed = segment is not None and "name" in values and name.lower() != segment.name.lower()
    if segment is not None and renamed and (users := used_by(segment)):
        errors["name"] = f"can't be changed: the rules of {listed(users)} ask for it by this name"
    return errors


@before_delete(Segment)
def check_unused(segment: Segment) -> None:
    if users := used_by(segment):
        raise Refused(f"the rules of {listed(users)} ask for it")
    if named := [f"{face.label.lower()} “{one.title}”" for face, records in uses(segment) for one in records]:
        raise Refused(f"it is used by {', '.join(named[:SAID])}{' and others' if named[SAID:] else ''}")
