"""A rule as the builder's form holds it: nodes in order, with what was chosen and typed so far, complete or not.

The form is the whole state. Each node has a number that it keeps; its fields are called `value-7` and the like, and a
hidden field `node` says `7:3:field`: node 7 lies in node 3 and is a condition over a field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from crm.core.entity import Face
from crm.core.fields import Field
from crm.queries.listing import BadQuery
from crm.queries.operators import MANY, WITH_PERIOD, WITHOUT_VALUE
from crm.queries.segment_rules.catalogue import AGGREGATES, CHANGED, RANKS, field_at, related_named, root
from crm.queries.segment_rules.reading import GROUPS, MOST_NODES, UNITS

PERIODS = WITH_PERIOD | {"anniversary_within", CHANGED}
ANY = "any"  # of related records: that there are some
_NODE = re.compile(r"([1-9][0-9]{0,5}):([0-9]{1,6}):(group|field|related|segment)")
_PARTS = (
    "mode",
    "field",
    "op",
    "value",
    "number",
    "unit",
    "related",
    "agg",
    "of",
    "within",
    "within_unit",
    "segment",
    "was",
)
_DO = re.compile(r"(add-field|add-group|add-related|add-segment|remove|up|down):([1-9][0-9]{0,5})")


@dataclass
class Draft:
    """A node: `given` is what was chosen and typed, by the part of its name; related records hold one group, their
    conditions."""

    id: int
    kind: str
    given: dict[str, list[str]] = field(default_factory=dict)
    inside: list[Draft] = field(default_factory=list)

    def one(self, part: str, usual: str = "") -> str:
        return next(iter(self.given.get(part, ())), usual)

    def put(self, part: str, *values: str) -> None:
        self.given[part] = list(values)

    def walk(self) -> Iterator[Draft]:
        yield self
        for one in self.inside:
            yield from one.walk()

    def holder_of(self, number: int) -> Draft | None:
        return next((one for one in self.walk() if any(inner.id == number for inner in one.inside)), None)

    def named(self, number: int) -> Draft | None:
        return next((one for one in self.walk() if one.id == number), None)


# From a form


def read_form(form: MultiDict[str, str]) -> Draft:
    """The tree that a form holds. Raises BadQuery for one that no page of ours has sent."""
    nodes: dict[int, Draft] = {}
    for text in form.getlist("node"):
        found = _NODE.fullmatch(text)
        number, holder = (int(found[1]), int(found[2])) if found else (0, 0)
        if found is None or number in nodes or len(nodes) > 2 * MOST_NODES:
            raise BadQuery("node", "the form doesn't hold together; open the page again")
        node = Draft(number, found[3])
        if nodes:
            above = nodes.get(holder)
            if above is None or above.kind not in ("group", "related"):
                raise BadQuery("node", "the form doesn't hold together; open the page again")
            above.inside.append(node)
        elif node.kind != "group":
            raise BadQuery("node", "the form doesn't hold together; open the page again")
        node.given = {part: form.getlist(f"{part}-{number}") for part in _PARTS if f"{part}-{number}" in form}
        nodes[number] = node
    if not nodes:
        raise BadQuery("node", "the form holds no rule; open the page again")
    tree = next(iter(nodes.values()))
    for node in list(tree.walk()):
        if node.kind == "related" and [one.kind for one in node.inside] != ["group"]:
            node.inside = [Draft(_free(tree), "group")]
    return tree


def _free(tree: Draft) -> int:
    return max(node.id for node in tree.walk()) + 1


def change(tree: Draft, do: str) -> int | None:
    """Do what a button says: `add-field:3`, `remove:7`, `up:7`. Answers the node that one goes on with, where it is another."""
    asked = _DO.fullmatch(do)
    node = tree.named(int(asked[2])) if asked else None
    if asked is None or node is None:
        return None
    if asked[1].startswith("add-"):
        return _add(tree, node, asked[1].removeprefix("add-"))
    holder = tree.holder_of(node.id)
    if holder is None or holder.kind == "related":
        return node.id
    if asked[1] == "remove":
        holder.inside.remove(node)
        return holder.id
    _move(tree, holder, node, -1 if asked[1] == "up" else 1)
    return None  # the button keeps the focus


def _add(tree: Draft, node: Draft, kind: str) -> int:
    made = Draft(_free(tree), kind)
    if kind == "group":
        made.put("mode", "any")
    node.inside.append(made)
    if kind == "related":
        made.inside.append(Draft(made.id + 1, "group", {"mode": ["all"]}))
    return made.id


def _move(tree: Draft, holder: Draft, node: Draft, step: int) -> None:
    """One place up or down as a person sees it: past the next one, into a group that stands there, out of one's own."""
    place = holder.inside.index(node)
    to = place + step
    if 0 <= to < len(holder.inside):
        next_one = holder.inside[to]
        holder.inside.remove(node)
        if next_one.kind == "group":
            next_one.inside.insert(len(next_one.inside) if step < 0 else 0, node)
        else:
            holder.inside.insert(to, node)
        return
    above = tree.holder_of(holder.id)
    if above is None or above.kind == "related":
        return
    holder.inside.remove(node)
    above.inside.insert(above.inside.index(holder) + (step > 0), node)


# To a rule


def rule_of(tree: Draft) -> tuple[dict[str, Any], dict[str, int]]:
    """The rule as JSON, and the path of each node as the reader tells faults by."""
    paths: dict[str, int] = {}
    return _rule(tree, "", root(), paths), paths


def place_of(fault: str, paths: Mapping[str, int]) -> int:
    """The node that a fault's path leads to, or the nearest above it."""
    fitting = [path for path in paths if path == "" or fault == path or fault.startswith((path + ".", path + "["))]
    return paths[max(fitting, key=len)]


def _rule(node: Draft, path: str, place: Face | None, paths: dict[str, int]) -> dict[str, Any]:
    paths[path] = node.id
    before = path + "." if path else ""
    match node.kind:
        case "group":
            mode = node.one("mode") if node.one("mode") in GROUPS else "all"
            return {
                mode: [_rule(one, f"{before}{mode}[{number}]", place, paths) for number, one in enumerate(node.inside)]
            }
        case "segment":
            return {"in_segment": node.one("segment")}
        case "field":
            name, op = node.one("field"), node.one("op")
            found = field_at(place, name) if place and name else None
            return {"field": name, "op": op} | _value(node, op, found.field if found else None)
    return _related(node, before, place, paths)


def _related(node: Draft, before: str, place: Face | None, paths: dict[str, int]) -> dict[str, Any]:
    name, word = node.one("related"), node.one("agg", ANY)
    related = related_named(place, name) if place and name else None
    made: dict[str, Any] = {"related": name}
    where = node.inside[0]
    inner = related.face if related else None
    if len(where.inside) == 1 and where.one("mode", "all") == "all":
        made["where"] = _rule(where.inside[0], f"{before}where", inner, paths)
    elif where.inside or where.one("mode", "all") != "all":
        made["where"] = _rule(where, f"{before}where", inner, paths)
    if node.one("within"):
        made["within_last"] = _period(node.one("within"), node.one("within_unit"))
    if word in AGGREGATES:
        of = node.one("of")
        found = field_at(inner, of) if inner and of else None
        op = node.one("op")
        test = _value(node, op, found.field if found else Field(kind="integer"))
        made[word] = ({"of": of} if word != "count" else {}) | {op: test.get("value", True)}
    return made


def _value(node: Draft, op: str, declared: Field | None) -> dict[str, Any]:
    """The value as JSON has it; left out where none is needed, None where none was given."""
    if op in WITHOUT_VALUE:
        return {}
    if op in PERIODS:
        return {"value": _period(node.one("number"), node.one("unit"))}
    if op in RANKS:
        return {"value": _number(node.one("number"))}
    texts = [text for text in node.given.get("value", ()) if text.strip()]
    if op == "between":
        return {"value": [_json(declared, text) for text in node.given.get("value", ["", ""])]}
    if op in MANY:
        lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
        return {"value": [_json(declared, line) for line in lines]}
    return {"value": _json(declared, texts[0]) if texts else None}


def _json(declared: Field | None, text: str) -> Any:
    if not text.strip():
        return None
    match declared.family if declared else "text":
        case "number":
            return _number(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case "reference" if re.fullmatch(r"[0-9]{1,18}", text):
            return int(text)
    return text


def _number(text: str) -> Any:
    """A number where it is one, to be written as one; otherwise what was typed, for the reader to refuse."""
    text = text.strip()
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,6}", text) and str(float(text)) == text:
        return float(text)
    return text or None


def _period(number: str, unit: str) -> dict[str, Any]:
    return {unit if unit in UNITS else "days": _number(number)}


# From a rule


def draft_of(rule: Any) -> Draft:
    """The tree of a kept rule; what the builder doesn't know is left out."""
    numbers = iter(range(1, 10 * MOST_NODES))
    top = rule if isinstance(rule, dict) and any(mode in rule for mode in GROUPS) else {"all": [rule] if rule else []}
    return _draft(top, root(), numbers)


def _draft(raw: Any, place: Face | None, numbers: Iterator[int]) -> Draft:
    raw = raw if isinstance(raw, dict) else {}
    number = next(numbers)
    mode = next((mode for mode in GROUPS if mode in raw), None)
    if mode is not None:
        return Draft(number, "group", {"mode": [mode]}, [_draft(one, place, numbers) for one in raw[mode]])
    if "in_segment" in raw:
        return Draft(number, "segment", {"segment": [str(raw["in_segment"])]})
    if "related" in raw:
        return _draft_related(raw, number, place, numbers)
    name, op = str(raw.get("field", "")), str(raw.get("op", ""))
    return Draft(number, "field", {"field": [name], "op": [op], "was": [name]} | _texts(op, raw.get("value")))


def _draft_related(raw: dict[str, Any], number: int, place: Face | None, numbers: Iterator[int]) -> Draft:
    name = str(raw["related"])
    related = related_named(place, name) if place else None
    node = Draft(number, "related", {"related": [related.name if related else name]})
    if isinstance(raw.get("within_last"), dict):
        [(unit, many)] = raw["within_last"].items()
        node.given |= {"within": [str(many)], "within_unit": [unit]}
    word = next((word for word in AGGREGATES if word in raw), ANY)
    node.put("agg", word)
    if word != ANY:
        [(op, value)] = [(key, value) for key, value in raw[word].items() if key != "of"]
        of = raw[word].get("of", related.at.name if related and word == "last" else "")
        node.given |= {"op": [op], "of": [of], "was": [f"{word} {of}"]} | _texts(op, value)
    where = raw.get("where")
    inner = related.face if related else None
    if isinstance(where, dict) and any(mode in where for mode in GROUPS):
        node.inside = [_draft(where, inner, numbers)]
    else:
        group = Draft(next(numbers), "group", {"mode": ["all"]})
        group.inside = [_draft(where, inner, numbers)] if where else []
        node.inside = [group]
    return node


def _texts(op: str, value: Any) -> dict[str, list[str]]:
    if op in PERIODS and isinstance(value, dict):
        [(unit, many)] = value.items()
        return {"number": [str(many)], "unit": [unit]}
    if op in RANKS:
        return {"number": [str(value)]}
    if op in WITHOUT_VALUE or value is None:
        return {}
    return {"value": [_text(one) for one in value] if isinstance(value, list) else [_text(value)]}


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
