"""The filters of a list as a rule, where each of them can be said by one: of customers themselves, or of what belongs to them."""

from __future__ import annotations

from typing import Any

from crm.core.entity import Face, face_named
from crm.core.permissions import PICK, Actor
from crm.queries.conditions import period_of, split
from crm.queries.listing import Filter, ListQuery
from crm.queries.operators import MANY, WITH_PERIOD, WITHOUT_VALUE
from crm.queries.scope import find
from crm.queries.segment_rules.catalogue import Related, field_at, related_of, root
from crm.queries.segment_rules.dependence import is_segment
from crm.queries.segment_rules.reading import UNITS, BadRule, read_rule

_UNITS = {letter: unit for unit, letter in UNITS.items()}


class NoRule(ValueError):
    """What no rule can say, with its reason."""


def records_of(face: Face) -> Related | None:
    """What rules call the records of a list by whom they belong to; None where they belong to no customer."""
    way = face.about.within[:-1]
    return next((one for one in related_of(root()).values() if one.face is face and one.steps == way), None)


def rule_of_query(face: Face, query: ListQuery, actor: Actor) -> dict[str, Any]:
    """The customers of a list, or those who have records such as it shows. Raises NoRule with the first filter that can't
    be taken along."""
    related = None if face is root() else records_of(face)
    if query.search:
        raise NoRule("the search can't be part of a rule: use filters instead")
    if not query.filters:
        raise NoRule("there is no filter yet")
    of_segments = [_in_segments(kept, actor) for kept in query.filters if kept.field.name == "segment"]
    nodes = [_node(kept, related, actor) for kept in query.filters if kept.field.name != "segment"]
    if related is None:
        return {"all": [*nodes, *of_segments]}
    where = {"where": nodes[0] if len(nodes) == 1 else {"all": nodes}} if nodes else {}
    return {"all": [{"related": related.name} | where, *of_segments]}


def _node(kept: Filter, related: Related | None, actor: Actor) -> dict[str, Any]:
    name, label = kept.field.name, kept.field.label
    place = related.face if related else root()
    if related is None and name in (place.about.archived, "status") and (name != "status" or "archived" in kept.raw):
        raise NoRule(f"the filter “{label}” asks for archived customers, who are in no segment by rule")
    found = field_at(place, name)
    if found is None or kept.op not in found.operators:
        raise NoRule(f"the filter “{label}” can't be part of a rule")
    node = {"field": name, "op": kept.op} | _value(kept)
    try:
        read_rule({"related": related.name, "where": node} if related else node, actor)
    except BadRule as fault:
        raise NoRule(f"the filter “{label}” {fault.faults[0][1]}") from None
    return node


def _value(kept: Filter) -> dict[str, Any]:
    if kept.op in WITHOUT_VALUE:
        return {}
    if kept.op in WITH_PERIOD:
        number, unit = period_of(kept.field, kept.raw)
        return {"value": {_UNITS[unit]: number}}
    if kept.op in MANY:
        return {"value": [_plain(kept, part) for part in split(kept.raw)]}
    return {"value": _plain(kept, kept.raw)}


def _plain(kept: Filter, raw: str) -> Any:
    """As JSON has it."""
    raw = raw.strip()
    if kept.field.family == "boolean":
        return bool(kept.field.parse(raw))
    if kept.field.family in ("number", "reference") and raw.lstrip("-").isdecimal():
        return int(raw)
    return raw


def _in_segments(kept: Filter, actor: Actor) -> dict[str, Any]:
    if kept.op in WITHOUT_VALUE:
        raise NoRule(f"the filter “{kept.field.label}” must name segments to be part of a rule")
    numbers = split(kept.raw) if kept.op in MANY else [kept.raw.strip()]
    segments = [find(face_named("segment"), actor, number, PICK) for number in numbers]
    names = [one.name for one in segments if one is not None and is_segment(one.name, actor)]
    if len(names) < len(numbers):
        raise NoRule(f"the filter “{kept.field.label}” names a segment that you don't see")
    nodes = [{"in_segment": name} for name in names]
    if kept.op in ("ne", "not_in"):
        return {"none": nodes}
    return nodes[0] if len(nodes) == 1 else {"any": nodes}
