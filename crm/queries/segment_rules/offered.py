"""What a person who builds a rule may choose from: fields in their sections, records, segments; by what the roles show."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import select

from crm.core.entity import Face, db, face_named
from crm.core.permissions import Actor, Asking
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segments import Segment
from crm.queries.scope import row_scope
from crm.queries.segment_rules.catalogue import (
    CHANGED,
    RANKS,
    Related,
    field_at,
    fields_of,
    may_read,
    may_read_rows,
    related_of,
    target_of,
)

MOST_SEGMENTS = 500
Options = tuple[tuple[str, str], ...]  # (name, label)
Groups = tuple[tuple[str, Options], ...]  # (label, what stands under it)


@lru_cache(maxsize=512)
def offered_fields(actor: Asking, place: Face) -> Groups:
    """The fields of a place by section, then those of what its references lead to, one step."""
    left = {name: found for name, found in fields_of(place).items() if name != "id" and may_read(actor, found, place)}
    groups: list[tuple[str, Options]] = []

    def group(label: str, names: list[str]) -> None:
        there = tuple((name, left.pop(name).field.label) for name in names if name in left)
        if there:
            groups.append((label, there))

    for section in (*place.about.detail, *place.about.sections):
        group(section.title, list(section.fields))
    group("Figures", [name for name, found in left.items() if found.field.figure])
    for embed in place.about.embeds:
        group(f"{embed.prefix.rstrip('_').capitalize() or 'Default'} address",
              [name for name, found in left.items() if found.embed is embed])  # fmt: skip
    group("More", [name for name, _ in sorted(left.items(), key=lambda item: item[1].field.label)])
    for name, declared in place.fields.items():
        if (
            declared.kind == "reference"
            and field_at(place, name)
            and target_of(place, name).entity not in (Party, User)
        ):
            groups.append((declared.label, _led_to(actor, place, name)))
    return tuple((label, there) for label, there in groups if there)


def _led_to(actor: Actor, place: Face, reference: str) -> Options:
    found = []
    for inner in fields_of(target_of(place, reference)):
        path = f"{reference}.{inner}"
        there = field_at(place, path)
        if there is not None and inner != "id" and may_read(actor, there, place):
            found.append((path, there.field.label))
    return tuple(sorted(found, key=lambda pair: pair[1]))


@lru_cache(maxsize=512)
def offered_records(actor: Asking, place: Face) -> Options:
    """The records that lead to a row of this place."""
    found = [(name, one.label) for name, one in related_of(place).items() if may_read_rows(actor, one)]
    return tuple(sorted(found, key=lambda pair: pair[1]))


@lru_cache(maxsize=512)
def offered_values(actor: Asking, related: Related, aggregate: str) -> Groups:
    """What can be added up, or whose last can be asked for, of related records."""
    families = {"sum": ("number",), "avg": ("number",), "min": ("number", "date"), "max": ("number", "date")}.get(
        aggregate
    )
    groups = []
    for label, options in offered_fields(actor, related.face):
        fitting = []
        for name, word in options:
            found = field_at(related.face, name)
            family = found.field.family if found else ""
            if (family in families) if families else family != "list":
                fitting.append((name, word))
        groups.append((label, tuple(fitting)))
    return tuple((label, options) for label, options in groups if options)


def offered_segments(actor: Actor, besides: int | None = None) -> list[str]:
    """The names of the segments that a rule may ask for, without its own."""
    scope = row_scope(face_named("segment"), actor)
    wanted = (
        select(Segment.name).where(*scope, Segment.id != (besides or 0)).order_by(Segment.name).limit(MOST_SEGMENTS)
    )
    return list(db.session.scalars(wanted))


def without_ranks(operators: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(op for op in operators if op not in (*RANKS, CHANGED))
