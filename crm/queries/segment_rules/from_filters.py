"""The filters of a list of customers as a rule, where each of them can be said by one."""

from __future__ import annotations

from typing import Any

from crm.core.entity import face_named
from crm.core.permissions import PICK, Actor
from crm.queries.conditions import period_of, split
from crm.queries.listing import Filter, ListQuery
from crm.queries.operators import MANY, WITH_PERIOD, WITHOUT_VALUE
from crm.queries.scope import find
from crm.queries.segment_rules.catalogue import field_at, root
from crm.queries.segment_rules.dependence import is_segment
from crm.queries.segment_rules.reading import UNITS, BadRule, read_rule

_UNITS = {letter: unit for unit, letter in UNITS.items()}


class NoRule(ValueError):
    """What no rule can say, with its reason."""


def rule_of_query(query: ListQuery, actor: Actor) -> dict[str, Any]:
    """Raises NoRule with the first filter that can't be taken along."""
    if query.search:
        raise NoRule("the search can't be part of a rule: use filters instead")
    if not query.filters:
        raise NoRule("there is no filter yet")
    return {"all": [_node(kept, actor) for kept in query.filters]}


def _node(kept: Filter, actor: Actor) -> dict[str, Any]:
    name, label = kept.field.name, kept.field.label
    if name in (root().about.archived, "status") and (name != "status" or "archived" in kept.raw):
        raise NoRule(f"the filter “{label}” asks for archived customers, who are in no segment by rule")
    if name == "segment":
        return _in_segments(kept, actor)
    found = field_at(root(), name)
    if found is None or kept.op not in found.operators:
        raise NoRule(f"the filter “{label}” can't be part of a rule")
    node = {"field": name, "op": kept.op} | _value(kept)
    try:
        read_rule(node, actor)
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
