"""A rule as JSON becomes a tree whose every name is known and every value read; what is wrong is told with its path.

Limits keep a hostile rule from costing more than its reading: how deep, how many conditions, how long a list.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from crm.core.entity import Face
from crm.core.fields import Field
from crm.core.permissions import Actor
from crm.queries.conditions import read
from crm.queries.operators import MANY, WITH_PERIOD, WITHOUT_VALUE, Period, check_period
from crm.queries.segment_rules.catalogue import (
    AGGREGATES,
    CHANGED,
    RANKS,
    Related,
    RuleField,
    field_at,
    fields_of,
    may_read,
    may_read_rows,
    related_named,
    related_of,
    root,
)

DEEPEST = 16  # groups and related records inside each other
MOST_NODES = 200
MOST_VALUES = 1_000
MOST_FAULTS = 20
GROUPS = ("all", "any", "none")
UNITS = {"days": "d", "weeks": "w", "months": "m", "years": "y"}
_PERIODS = WITH_PERIOD | {"anniversary_within", CHANGED}
_DATES_ONLY = frozenset({"min", "max", "last"})
_COUNT = Field(kind="integer", name="count", label="Number", minimum=0)


class BadRule(ValueError):
    """A rule that can't be taken: what is wrong where, as (path, sentence)."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path or 'rule'}: {sentence}" for path, sentence in faults))
        self.faults = faults


@dataclass(frozen=True)
class Group:
    path: str
    mode: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Condition:
    path: str
    field: RuleField
    op: str
    values: tuple[Any, ...] = ()
    period: Period | None = None
    number: Decimal = Decimal(0)  # of top_percent and top_n


@dataclass(frozen=True)
class RelatedCondition:
    """`of` is the value that is summed, or whose last is meant; None for a number of records. `test` says how it is
    compared: a condition over a field that has the shape of the outcome."""

    path: str
    related: Related
    where: Node | None
    within: Period | None
    aggregate: str
    of: RuleField | None
    test: Condition
    key: str  # the same for the same records, whatever is asked of them


@dataclass(frozen=True)
class InSegment:
    path: str
    name: str


Node = Group | Condition | RelatedCondition | InSegment


def read_rule(raw: Any, actor: Actor | None = None, *, is_segment: Callable[[str], bool] | None = None) -> Node:
    """The tree of a rule. `actor` is who writes it: only over what that person may read; None is the house.

    `is_segment` says whether there is a segment of a name. Raises BadRule with the faults, the first of them at least.
    """
    reader = _Reader(actor, is_segment)
    found = reader.node(raw, "", root(), 0)
    if reader.faults or found is None:
        raise BadRule(reader.faults[:MOST_FAULTS])
    return found


def walk(node: Node | None) -> Iterator[Node]:
    """Every node of a tree, itself first."""
    if node is None:
        return
    yield node
    inner = node.nodes if isinstance(node, Group) else (node.where,) if isinstance(node, RelatedCondition) else ()
    for one in inner:
        yield from walk(one)


def segments_in(node: Node) -> set[str]:
    """The names of the segments that a rule asks for, in lower case."""
    return {one.name.lower() for one in walk(node) if isinstance(one, InSegment)}


class _Reader:
    def __init__(self, actor: Actor | None, is_segment: Callable[[str], bool] | None) -> None:
        self.actor, self.is_segment = actor, is_segment
        self.faults: list[tuple[str, str]] = []
        self.nodes = 0

    def fault(self, path: str, sentence: str) -> Any:
        """Answers None, in place of what could not be read."""
        self.faults.append((path, sentence))
        return None

    def node(self, raw: Any, path: str, place: Face, depth: int) -> Node | None:
        self.nodes += 1
        if depth > DEEPEST:
            return self.fault(path, f"is nested too deep: at most {DEEPEST} levels")
        if self.nodes > MOST_NODES or len(self.faults) >= MOST_FAULTS:
            if self.nodes == MOST_NODES + 1:
                self.fault(path, f"is one too many: a rule has at most {MOST_NODES} conditions and groups")
            return None
        if not isinstance(raw, dict):
            return self.fault(path, f'must be an object such as {{"all": []}}, not {_kind(raw)}')
        kinds = [key for key in (*GROUPS, "field", "related", "in_segment") if key in raw]
        if len(kinds) != 1:
            return self.fault(
                path, f"must have one of all, any, none, field, related or in_segment, not {_listed(raw)}"
            )
        match kinds[0]:
            case "field":
                return self._condition(raw, path, place)
            case "related":
                return self._related(raw, path, place, depth)
            case "in_segment":
                return self._in_segment(raw, path, place)
        return self._group(raw, kinds[0], path, place, depth)

    def _group(self, raw: dict[str, Any], mode: str, path: str, place: Face, depth: int) -> Node | None:
        self._only(raw, {mode}, path)
        inside = raw[mode]
        here = _join(path, mode)
        if not isinstance(inside, list):
            return self.fault(here, f"must be a list, not {_kind(inside)}")
        if len(inside) > MOST_NODES:
            return self.fault(
                here, f"has {len(inside):,} entries; a rule has at most {MOST_NODES} conditions and groups"
            )
        nodes = [self.node(one, f"{here}[{number}]", place, depth + 1) for number, one in enumerate(inside)]
        return Group(path, mode, tuple(one for one in nodes if one is not None))

    def _condition(self, raw: dict[str, Any], path: str, place: Face) -> Node | None:
        self._only(raw, {"field", "op", "value"}, path)
        found = self._field(raw["field"], _join(path, "field"), place)
        return None if found is None else self._test(found, raw.get("op"), raw, path)

    def _test(
        self, found: RuleField, op: Any, raw: dict[str, Any], path: str, value: str = "value"
    ) -> Condition | None:
        """An operator with its value, which stands in `raw` under the name `value`."""
        if not isinstance(op, str) or op not in found.operators:
            told = f"“{op[:40]}”" if isinstance(op, str) else "no operator" if op is None else _kind(op)
            return self.fault(
                _join(path, "op"), f"{told} doesn't fit {found.field.label}; use one of: {', '.join(found.operators)}"
            )
        here, given = _join(path, value), raw.get(value)
        try:
            if op in WITHOUT_VALUE:
                if given not in (None, True):
                    raise ValueError("isn't needed with this operator; leave it out")
                return Condition(path, found, op)
            if op in _PERIODS:
                return Condition(path, found, op, period=read_period(given))
            if op in RANKS:
                return Condition(path, found, op, number=_rank(op, given))
            return Condition(path, found, op, self._values(found.field, op, given, here))
        except ValueError as fault:
            return self.fault(fault.path if isinstance(fault, _At) else here, str(fault))

    def _values(self, field: Field, op: str, given: Any, path: str) -> tuple[Any, ...]:
        if op not in MANY:
            if isinstance(given, list | dict):
                raise ValueError(f"must be one value, not {_kind(given)}")
            return (_read(field, op, given),)
        if not isinstance(given, list):
            raise ValueError(f"must be a list, not {_kind(given)}")
        if op == "between" and len(given) != 2:
            raise ValueError("must have two values, from and to")
        if not 1 <= len(given) <= MOST_VALUES:
            raise ValueError(f"must have 1 to {MOST_VALUES:,} values, not {len(given):,}")
        values = []
        for number, one in enumerate(given):
            try:
                if isinstance(one, list | dict):
                    raise ValueError(f"must be one value, not {_kind(one)}")
                values.append(_read(field, op, one))
            except ValueError as fault:
                raise _At(f"{path}[{number}]", str(fault)) from None
        return tuple(values)

    def _field(self, name: Any, path: str, place: Face) -> RuleField | None:
        if not isinstance(name, str):
            return self.fault(path, f"must be the name of a field, not {_kind(name)}")
        found = field_at(place, name) if len(name) < 200 else None
        if found is None:
            return self.fault(
                path, f"{place.label_plural} have no field “{name[:60]}” for rules{_near(name, fields_of(place))}"
            )
        if not may_read(self.actor, found, place):
            return self.fault(path, f"your roles don't show “{name[:60]}”, so no rule of yours can ask for it")
        return found

    def _related(self, raw: dict[str, Any], path: str, place: Face, depth: int) -> Node | None:
        self._only(raw, {"related", "where", "within_last", *AGGREGATES}, path)
        name, here = raw["related"], _join(path, "related")
        if not isinstance(name, str):
            return self.fault(here, f"must be the name of records, not {_kind(name)}")
        related = related_named(place, name) if len(name) < 200 else None
        if related is None:
            return self.fault(
                here, f"{place.label_plural} have no records “{name[:60]}”{_near(name, related_of(place))}"
            )
        if not may_read_rows(self.actor, related):
            return self.fault(
                here, f"your roles don't show {related.label.lower()}, so no rule of yours can ask for them"
            )
        where = self.node(raw["where"], _join(path, "where"), related.face, depth + 1) if "where" in raw else None
        within = None
        if "within_last" in raw:
            try:
                within = read_period(raw["within_last"])
            except ValueError as fault:
                self.fault(_join(path, "within_last"), str(fault))
        asked = [word for word in AGGREGATES if word in raw]
        if len(asked) > 1:
            return self.fault(path, f"must have one of {', '.join(AGGREGATES)}, not {' and '.join(asked)}")
        read_test = self._aggregate(asked[0] if asked else "count", raw, path, related)
        if read_test is None or self.faults:
            return None
        of, test = read_test
        key = json.dumps([related.name, raw.get("where"), raw.get("within_last")], sort_keys=True)
        return RelatedCondition(path, related, where, within, asked[0] if asked else "count", of, test, key)

    def _aggregate(
        self, word: str, raw: dict[str, Any], path: str, related: Related
    ) -> tuple[RuleField | None, Condition] | None:
        here = _join(path, word)
        given = raw.get(word, {"ge": 1})
        if not isinstance(given, dict):
            return self.fault(here, f'must be an object such as {{"ge": 3}}, not {_kind(given)}')
        tests = [key for key in given if key != "of"]
        if len(tests) != 1:
            return self.fault(here, f'must have one comparison such as {{"ge": 3}}, not {len(tests)}')
        of = None
        if word != "count":
            name = given.get("of", related.at.name if word == "last" else None)
            of = self._field(name, _join(here, "of"), related.face)
            if of is None:
                return None
            if reason := _no_aggregate(word, of):
                return self.fault(_join(here, "of"), reason)
        elif "of" in given:
            return self.fault(_join(here, "of"), "isn't asked for: records are counted, not values")
        test = self._test(outcome_of(word, of), tests[0], given, here, tests[0])
        return None if test is None else (of, test)

    def _in_segment(self, raw: dict[str, Any], path: str, place: Face) -> Node | None:
        self._only(raw, {"in_segment"}, path)
        name, here = raw["in_segment"], _join(path, "in_segment")
        if not isinstance(name, str):
            return self.fault(here, f"must be the name of a segment, not {_kind(name)}")
        if place is not root():
            return self.fault(here, f"{place.label_plural} are in no segment; only customers are")
        if self.is_segment is not None and not self.is_segment(name):
            return self.fault(here, f"there is no segment “{name[:60]}” that you may see")
        return InSegment(path, name)

    def _only(self, raw: dict[str, Any], known: set[str], path: str) -> None:
        for key in raw:
            if key not in known:
                self.fault(_join(path, str(key)[:40]), f"is not known here; there is {', '.join(sorted(known))}")


class _At(ValueError):
    """A fault of one value of a list."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


def outcome_of(word: str, of: RuleField | None) -> RuleField:
    """What an aggregate answers, as a field that can be compared."""
    if of is None:
        return RuleField(
            "count", _COUNT, root(), operators=("eq", "ne", "lt", "le", "gt", "ge", "between", "in", "not_in")
        )
    shape = of.field
    if shape.family == "number":
        shape = replace(shape, minimum=None, maximum=None, currency="")
        if word in ("sum", "avg"):
            shape = replace(shape, kind="decimal" if shape.kind == "integer" else shape.kind, decimals=6)
    kept = tuple(
        op
        for op in of.operators
        if op not in (*RANKS, CHANGED) and (word == "last" or op not in ("starts", "contains"))
    )
    return replace(of, field=shape, operators=kept)


def _no_aggregate(word: str, of: RuleField) -> str:
    family = of.field.family
    if (word == "last" and family != "list") or family == "number" or (family == "date" and word in _DATES_ONLY):
        return ""
    return (
        f"{of.field.label} can't be used for {word}: it must be a number{' or a date' if word in _DATES_ONLY else ''}"
    )


def read_period(given: Any) -> Period:
    """`{"days": 90}`, or weeks, months or years. Raises ValueError."""
    if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in UNITS:
        raise ValueError('must be a period such as {"days": 90}, or weeks, months or years')
    [(unit, number)] = given.items()
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 100_000:
        raise ValueError(f"must have a whole number of {unit}")
    return check_period((number, UNITS[unit]))


def _rank(op: str, given: Any) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | float) or (isinstance(given, int) and abs(given) > 10**9):
        raise ValueError("must be a number")
    number = Decimal(str(given))
    if op == "top_n" and not (number == int(number) and 1 <= number <= 10_000_000):
        raise ValueError("must be a whole number from 1 to 10,000,000")
    if op == "top_percent" and not 0 < number <= 100:
        raise ValueError("must be more than 0 and at most 100")
    return number


def _read(field: Field, op: str, given: Any) -> Any:
    if given is None:
        raise ValueError("is required with this operator")
    if field.family == "list":
        values = field.parse(given)
        if not values or len(values) != 1:
            raise ValueError("give one value")
        return str(values[0])
    if field.family == "text" and op in ("contains", "starts"):
        if not isinstance(given, str) or not given.strip() or len(given) > 200 or "\x00" in given:
            raise ValueError("must be 1 to 200 letters")
        return given
    value = read(field, given) if isinstance(given, str) else field.parse(given)
    if isinstance(value, str) and len(value) > 1_000:
        raise ValueError("is too long to be compared")
    if isinstance(value, dt.datetime) and not isinstance(given, str):
        raise ValueError("must be text such as 2026-01-31")
    return value


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _listed(raw: dict[str, Any]) -> str:
    return " and ".join(str(key)[:20] for key in list(raw)[:5]) or "an empty object"


def _near(name: str, known: Any) -> str:
    """Names that somebody may have meant."""
    word = name.lower().rsplit(".", 1)[-1][:40]
    near = [one for one in known if word and (word in one or one in word)][:3]
    return f"; did you mean {' or '.join(near)}?" if near else ""
