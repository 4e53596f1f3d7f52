"""The controls of the rule builder: what each node of a tree offers to choose from and to type, by its field and operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import url_for
from markupsafe import Markup

from admin_views.cells import asking, html, title_of
from admin_views.forms import _attributes
from admin_views.lists import endpoint
from admin_views.segment_tree import ANY, PERIODS, Draft
from crm.core.entity import Face, face_named
from crm.core.fields import Field
from crm.core.permissions import PICK
from crm.queries.operators import MANY, WITHOUT_VALUE, operator_word
from crm.queries.scope import find
from crm.queries.segment_rules.catalogue import (
    AGGREGATES,
    RANKS,
    RuleField,
    field_at,
    may_read,
    related_named,
    root,
)
from crm.queries.segment_rules.offered import Groups, offered_fields, offered_records, offered_values
from crm.queries.segment_rules.reading import UNITS, outcome_of

MODES = (("all", "all of these"), ("any", "any of these"), ("none", "none of these"))
AGGREGATE_WORDS = {
    "count": "number of them", "sum": "sum of", "avg": "average of", "min": "lowest", "max": "highest", "last": "last",
}  # fmt: skip
USUAL = {"text": "eq", "choice": "eq", "list": "contains", "number": "ge", "date": "within_last"}
ONE_OF_MANY = frozenset({"in", "not_in"})


@dataclass(frozen=True)
class Builder:
    """What a tree is drawn with: where a changed choice is sent, the segments to choose from, which node gets the focus."""

    build_url: str
    segments: list[str]
    focus: int | None = None


def shown(tree: Draft, builder: Builder) -> dict[str, Any]:
    """The tree for its template. Choices that don't fit what was chosen before them are taken back in `tree` too."""
    return _node(tree, root(), builder, at_root=True)


def _node(
    node: Draft, place: Face | None, builder: Builder, *, at_root: bool = False, where: bool = False
) -> dict[str, Any]:
    made: dict[str, Any] = {"id": node.id, "kind": node.kind, "root": at_root, "where": where, "focus": builder.focus == node.id,
            "inside": []}  # fmt: skip
    match node.kind:
        case "group":
            node.put("mode", node.one("mode") if node.one("mode") in dict(MODES) else "all")
            made["controls"] = [_select(node, "mode", MODES, "Which of them", builder)]
            made["inside"] = [_node(one, place, builder) for one in node.inside]
            made["can_segment"] = place is root() and bool(builder.segments)
            made["can_related"] = bool(place and offered_records(asking(), place))
        case "segment":
            names = [(name, name) for name in builder.segments]
            kept = node.one("segment")  # maybe written otherwise: names are known without case
            extra = [(kept, kept)] if kept and kept not in builder.segments else []
            made["controls"] = [
                _select(node, "segment", names, "Segment", builder, empty="Choose a segment", extra=extra)
            ]
        case "field":
            made["controls"] = _field(node, place, builder)
        case "related":
            related = related_named(place, node.one("related")) if place and node.one("related") else None
            made["controls"] = _records(node, place, builder)
            made["inside"] = [_node(node.inside[0], related.face if related else None, builder, where=True)]
            made["chosen"] = related.label.lower() if related else ""
    return made


def _field(node: Draft, place: Face | None, builder: Builder) -> list[Markup]:
    name = node.one("field")
    groups = offered_fields(asking(), place) if place else ()
    controls = [
        _select(node, "field", groups, "Field", builder, empty="Choose a field", extra=_missing(groups, place, name))
    ]
    found = field_at(place, name) if place and name else None
    if found is None or not may_read(asking(), found, place or root()):
        return controls
    return [*controls, *_test(node, found, name, builder)]


def _missing(groups: Groups, place: Face | None, name: str) -> tuple[tuple[str, str], ...]:
    """What a rule asks for although it isn't offered: a path of two steps, a field that went."""
    if not name or any(name == one for _, options in groups for one, _ in options):
        return ()
    found = field_at(place, name) if place else None
    return ((name, found.field.label if found else name),)


def _test(node: Draft, found: RuleField, was: str, builder: Builder) -> list[Markup]:
    """How it is compared, and with what; another field begins anew."""
    declared = found.field
    if node.one("was") != was:
        node.put("value")
        node.put("number")
    if node.one("op") not in found.operators or node.one("was") != was:
        usual = USUAL.get(declared.family, "eq")
        node.put("op", usual if usual in found.operators else found.operators[0])
    node.put("was", was)
    ops = [(op, operator_word(declared, op)) for op in found.operators]
    kept = html('<input type="hidden" name="was-%s" value="%s">', node.id, was)
    return [_select(node, "op", ops, f"How {declared.label} is compared", builder) + kept, *_value(node, declared)]


def _value(node: Draft, declared: Field) -> list[Markup]:
    op = node.one("op")
    if op in WITHOUT_VALUE:
        return []
    if op in PERIODS:
        return [_period(node, "number", "unit", "How many", "Days, weeks, months or years")]
    if op in RANKS:
        after = "per cent" if op == "top_percent" else "customers"
        return [html('<span class="affix">%s<span class="affix-text">%s</span></span>',
                     _number(node, "number", "How many"), after)]  # fmt: skip
    values = node.given.get("value", [])
    label = f"Value of {declared.label}"
    if op == "between":
        both = [*values, "", ""][:2]
        return [_one(node, declared, both[0], f"{label}: from"), html('<span class="rule-word">and</span>'),
                _one(node, declared, both[1], f"{label}: to", second=True)]  # fmt: skip
    if op in MANY:
        return [_many(node, declared, values, label)]
    return [_one(node, declared, values[0] if values else "", label)]


def _one(node: Draft, declared: Field, text: str, label: str, *, second: bool = False) -> Markup:
    """One value: the control that a form of this field has, or a line where any part of one may be asked for."""
    ident = f"value-{node.id}{'-to' if second else ''}"
    options = declared.options()
    if options:
        return _select(node, "value", options, label, None, empty="Choose", chosen=text, ident=ident)
    if declared.family == "reference":
        return _picker(node, declared, [text] if text else [], label)
    if declared.family == "number":
        control = _input(ident, f"value-{node.id}", text, label, node, numeric=True)
        affix = html('<span class="affix">%s<span class="affix-text">%s</span></span>', control, declared.currency)
        return affix if declared.currency else control
    # A time is asked for by its day; one that a rule has to the minute is shown as it stands.
    dated = declared.family == "date" and len(text) <= 10
    return _input(ident, f"value-{node.id}", text, label, node, kind="date" if dated else "text")


def _many(node: Draft, declared: Field, values: list[str], label: str) -> Markup:
    options = declared.options()
    if declared.family == "reference":
        return _picker(node, declared, values, label, multiple=True)
    if options:
        pairs = {"class": "input", "id": f"value-{node.id}", "name": f"value-{node.id}", "multiple": True, "aria-label": label,
                 "aria-describedby": f"told-{node.id}", "data-picker": True, "data-placeholder": "Choose some"}  # fmt: skip
        return html("<select%s>%s</select>", _attributes(pairs), _options(options, values))
    lines = "\n".join(values)
    pairs = {"class": "input rule-lines", "id": f"value-{node.id}", "name": f"value-{node.id}", "rows": 2,
             "aria-label": f"{label}, one on each line", "placeholder": "One on each line", "aria-describedby": f"told-{node.id}"}  # fmt: skip
    return html("<textarea%s>\n%s</textarea>", _attributes(pairs), lines)


def _picker(node: Draft, declared: Field, values: list[str], label: str, *, multiple: bool = False) -> Markup:
    target = face_named(declared.refers_to)
    chosen = []
    for value in values:
        record = find(target, asking(), value, PICK) if value.isdigit() else None
        chosen.append((value, title_of(target, record) if record is not None else f"No. {value}"))
    pairs = {"class": "input", "id": f"value-{node.id}", "name": f"value-{node.id}", "multiple": multiple or None, "aria-label": label,
             "data-picker": True, "data-url": url_for(endpoint(target, "lookup_view")),
             "data-placeholder": f"Search {target.label_plural.lower()}", "aria-describedby": f"told-{node.id}"}  # fmt: skip
    empty = Markup("") if multiple else Markup('<option value=""></option>')
    return html("<select%s>%s%s</select>", _attributes(pairs), empty, _options(chosen, values))


def _records(node: Draft, place: Face | None, builder: Builder) -> list[Markup]:
    """Which records, of which time, and what is asked of them together."""
    options = offered_records(asking(), place) if place else ()
    name = node.one("related")
    extra = () if not name or name in dict(options) else ((name, name),)
    controls = [_select(node, "related", options, "Records", builder, empty="Choose records", extra=extra)]
    related = related_named(place, name) if place and name else None
    if related is None:
        return controls
    within = html(
        '<span class="rule-word">in the last</span>%s',
        _period(
            node,
            "within",
            "within_unit",
            "In the last; empty: at any time",
            "Days, weeks, months or years",
            placeholder="any",
        ),
    )
    word = node.one("agg") if node.one("agg") in AGGREGATES else ANY
    node.put("agg", word)
    words = [(ANY, "there is at least one"), *((one, AGGREGATE_WORDS[one]) for one in AGGREGATES)]
    controls += [
        html('<span class="rule-pair">%s</span>', within),
        _select(node, "agg", words, "What is asked of them", builder),
    ]
    if word == ANY:
        return controls
    of: RuleField | None = None
    if word != "count":
        groups = offered_values(asking(), related, word)
        given = node.one("of")
        controls.append(
            _select(
                node,
                "of",
                groups,
                "Of which value",
                builder,
                empty="Choose a value",
                extra=_missing(groups, related.face, given),
            )
        )
        of = field_at(related.face, given) if given else None
        if of is None or not may_read(asking(), of, related.face):
            return controls
    return [
        *controls,
        *_test(node, outcome_of(word, of), f"{word} {node.one('of') if word != 'count' else ''}", builder),
    ]


# Small parts


def _options(pairs: Iterable[tuple[str, str]], chosen: Iterable[str]) -> Markup:
    now = set(chosen)
    return Markup("").join(html('<option value="%s"%s>%s</option>', value, Markup(" selected") if value in now else "", label)
                           for value, label in pairs)  # fmt: skip


def _select(node: Draft, part: str, options: Iterable[Any], label: str, builder: Builder | None, *, empty: str = "",
            extra: Iterable[tuple[str, str]] = (), chosen: str | None = None, ident: str = "") -> Markup:  # fmt: skip
    """A list to choose from; with a builder the tree is drawn anew when something else is chosen. Options are pairs, or
    groups of pairs."""
    now = node.one(part) if chosen is None else chosen
    body = html('<option value="">%s</option>', empty) if empty else Markup("")
    body += _options(extra, [now])
    for label_or_value, rest in options:
        if isinstance(rest, tuple):
            body += html('<optgroup label="%s">%s</optgroup>', label_or_value, _options(rest, [now]))
        else:
            body += _options([(label_or_value, rest)], [now])
    pairs: Mapping[str, Any] = {
        "class": f"input rule-{part}", "id": ident or f"{part}-{node.id}", "name": f"{part}-{node.id}", "aria-label": label,
        "aria-describedby": f"told-{node.id}", "hx-post": builder.build_url if builder else None,
        # Letters that are typed choose one entry after the other: the last one counts.
        "hx-trigger": "change delay:300ms" if builder else None, "hx-sync": "#rule-form:replace" if builder else None,
        "autofocus": True if builder and builder.focus == node.id and part in ("mode", "field", "related", "segment") else None,
    }  # fmt: skip
    return html("<select%s>%s</select>", _attributes(pairs), body)


def _number(node: Draft, part: str, label: str, placeholder: str | None = None) -> Markup:
    return _input(
        f"{part}-{node.id}", f"{part}-{node.id}", node.one(part), label, node, numeric=True, placeholder=placeholder
    )


def _input(ident: str, name: str, text: str, label: str, node: Draft, *, kind: str = "text", numeric: bool = False,
           placeholder: str | None = None) -> Markup:  # fmt: skip
    pairs = {"class": "input num" if numeric else "input", "id": ident, "name": name, "type": kind, "value": text,
             "inputmode": "decimal" if numeric else None, "aria-label": label, "aria-describedby": f"told-{node.id}",
             "autocomplete": "off", "placeholder": placeholder, "maxlength": 40 if numeric else 1_000}  # fmt: skip
    return html("<input%s>", _attributes(pairs))


def _period(node: Draft, part: str, unit: str, label: str, unit_label: str, placeholder: str | None = None) -> Markup:
    return html('<span class="affix">%s%s</span>', _number(node, part, label, placeholder),
                _select(node, unit, [(one, one) for one in UNITS], unit_label, None))  # fmt: skip
