"""What rules may speak of, derived from the declarations: the fields of a customer, and the records that lead to one.

A place is a face whose rows conditions are about: customers at the root, then the records that belong to them, and what
belongs to those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from sqlalchemy import inspect

from crm.core.about import SYSTEM
from crm.core.audit import audited_columns
from crm.core.entity import Embed, Face, all_faces, face_named
from crm.core.fields import Field
from crm.core.permissions import PICK, Actor, accesses, allowed, narrowest
from crm.models.parties import Party

ROOT = "customer"
STEPS = 2  # references that a field may be reached by, such as product.category.name
NO_RULE = frozenset({"segment_membership"})  # in_segment says it

MORE_OPERATORS: dict[str, tuple[str, ...]] = {
    "date": ("ne", "in", "not_in", "anniversary_within"), "number": ("in", "not_in"), "boolean": ("ne", "empty", "not_empty"),
    "list": ("in", "not_in"),
}  # fmt: skip
RANKS = ("top_percent", "top_n")
CHANGED = "changed_within"
AGGREGATES = ("count", "sum", "avg", "min", "max", "last")


@dataclass(frozen=True)
class RuleField:
    """A field as rules have it. `path` leads by references to the face that has it; an embedded one (`billing_city`)
    stands in a related record of the root."""

    name: str
    field: Field
    face: Face  # that has it
    path: tuple[str, ...] = ()
    embed: Embed | None = None
    operators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Related:
    """Records that lead to those of a place: `steps` are the references from one of them to its holder."""

    name: str
    label: str
    face: Face
    steps: tuple[str, ...]
    at: RuleField  # the time by which a period is meant, and which one is the last
    rate: RuleField | None  # what its amounts are told in the company's currency by


def root() -> Face:
    return face_named(ROOT)


def target_of(face: Face, reference: str) -> Face:
    """The face that a reference leads to."""
    return face_named(face.fields[reference].refers_to)


def _fit(face: Face, declared: Field) -> bool:
    stored = not declared.derived and not declared.linked and declared.kind != "json"
    if declared.name.endswith("_given") and declared.name.removesuffix("_given") in face.fields:
        return False
    return stored and (face.name == ROOT or not _moves(face, declared))


def _moves(face: Face, declared: Field) -> bool:
    """Worked out by the day it is: of the customers themselves alone."""
    return declared.figure and declared.name in face.figures[0].moving


def _operators(face: Face, declared: Field) -> tuple[str, ...]:
    found = (*declared.operators, *MORE_OPERATORS.get(declared.family, ()))
    if face.name != ROOT:
        return found
    ranks = RANKS if declared.family == "number" and declared.name != "id" else ()
    audited = {name for name, _ in audited_columns(face.entity)}
    changed = (CHANGED,) if not declared.figure and declared.attribute in audited else ()
    return (*found, *ranks, *changed)


@cache
def fields_of(face: Face) -> dict[str, RuleField]:
    """Public name → what rules say of a row of this face itself; not what is reached by a reference."""
    found = {name: RuleField(name, declared, face, operators=_operators(face, declared))
             for name, declared in face.fields.items() if _fit(face, declared)}  # fmt: skip
    if face.name == ROOT:
        found |= dict(_embedded(face))
    return found


def _embedded(face: Face) -> Iterator[tuple[str, RuleField]]:
    for embed in face.about.embeds:
        other: Face = inspect(face.entity).relationships[embed.relation].mapper.class_.faces[0]
        for inner in (*embed.fields, "region"):
            name = embed.prefix + inner
            declared = replace(other.fields[inner], name=inner, label=_label(embed, other.fields[inner]))
            yield name, RuleField(name, declared, other, embed=embed, operators=_operators(other, declared))


def _label(embed: Embed, declared: Field) -> str:
    return f"{embed.prefix.rstrip('_').capitalize()} {declared.label.lower()}" if embed.prefix else declared.label


@cache
def field_at(face: Face, name: str) -> RuleField | None:
    """The field of this name, or of a path of names such as `product.category.name`; None where there is none."""
    *path, last = name.split(".")
    if len(path) > STEPS:
        return None
    here, labels = face, []
    for step in path:
        declared = here.fields.get(step)
        if declared is None or declared.kind != "reference" or declared.linked or not _fit(here, declared):
            return None
        labels.append(declared.label)
        here = target_of(here, step)
    found = fields_of(here).get(last)
    if found is None or not path:
        return found
    if found.embed is not None or _moves(here, found.field):
        return None
    label = ": ".join((*labels, found.field.label))
    kept = tuple(op for op in found.operators if op not in (*RANKS, CHANGED))
    return RuleField(name, replace(found.field, label=label), here, tuple(path), operators=kept)


@cache
def related_of(face: Face) -> dict[str, Related]:
    """Name → the records that lead to a row of this face: by a reference of their own, else by what they belong to."""
    found: dict[str, Related] = {}
    names = {one.name for one in face.entity.faces} - ({"vendor", "partner"} if face.name == ROOT else set())
    for other in all_faces():
        about = other.about
        if other is not other.entity.faces[0] or other.entity is Party or about.area == SYSTEM or other.name in NO_RULE:
            continue
        ways = [name for name, declared in other.fields.items()
                if declared.kind == "reference" and not declared.linked and declared.refers_to in names]  # fmt: skip
        ways.sort(key=lambda name: name != next(iter(about.within), ""))  # what it belongs to goes first
        plain = other.plural.replace("-", "_")
        for number, way in enumerate(ways):
            name, label = plain, other.label_plural
            if number:
                name, label = f"{plain}_as_{way}", f"{label} ({other.fields[way].label.lower()})"
            found[name] = _related(name, label, other, (way,))
        steps = about.within[:-1]
        if not ways and face.name == ROOT and len(steps) > 1:
            found[plain] = _related(plain, other.label_plural, other, steps)
    return found


def related_named(face: Face, name: str) -> Related | None:
    """By its name, or by that of the entity (`order_lines` are Purchases)."""
    known = related_of(face)
    singular = name.removesuffix("s")
    return known.get(name) or next(
        (one for one in known.values() if one.face.name == singular and one.name == one.face.plural), None
    )


def _related(name: str, label: str, face: Face, steps: tuple[str, ...]) -> Related:
    first = steps[0] + "."
    rate = field_at(face, "exchange_rate") or next(
        (found for step in _references(face) if (found := field_at(face, f"{step}.exchange_rate"))), None)  # fmt: skip
    moment = face.about.timeline
    at = field_at(face, moment.at) if moment else None
    if at is None:
        times = [
            name
            for name in (*face.about.columns, *face.about.sort)
            if name != "created_at" and _always_dated(face, name)
        ]
        at = next((field_at(face, name) for name in times), None)
    if at is None and (holder := target_of(face, steps[0]).about.timeline):
        at = field_at(face, first + holder.at)
    at = at or field_at(face, "created_at")
    assert at is not None, "every record has the time it was made"
    return Related(name, label, face, steps, at, rate)


def _always_dated(face: Face, name: str) -> bool:
    found = fields_of(face).get(name)
    dated = found is not None and found.field.family == "date" and not found.field.figure
    return dated and not face.column(name).property.columns[0].nullable


def _references(face: Face) -> list[str]:
    """What it belongs to: whose rate its amounts have."""
    return list(face.about.within[:1])


# Rights


def may_read(actor: Actor | None, found: RuleField, place: Face) -> bool:
    """Whether a person may write rules over a field; None is the house itself."""
    if actor is None:
        return True
    here, shown = place, []
    for step in found.path:
        shown.append(accesses(actor, here)[step])
        here = target_of(here, step)
        if allowed(actor, f"{here.name}.{PICK}") is None:
            return False
    if found.embed is not None:
        shown.append(accesses(actor, found.face)[found.field.name])
        if found.name in place.embedded_names:
            shown.append(accesses(actor, place)[found.name])
    else:
        shown.append(accesses(actor, here)[found.field.name])
    return narrowest(shown).shows


def may_read_rows(actor: Actor | None, related: Related) -> bool:
    return actor is None or allowed(actor, f"{related.face.name}.read") is not None
