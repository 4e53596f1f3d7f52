"""Lists of what belongs to customers are filtered by the segments that those are in now."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import inspect, select

from crm.core.about import SYSTEM
from crm.core.entity import Face, all_faces, face_named
from crm.core.fields import Field
from crm.models.parties import Party
from crm.models.segments import SegmentMembership

NAME = "segment"


def filter_by_segment() -> None:
    """Once every entity is declared: the filter for each list whose records belong to a party, by whatever steps."""
    for face in all_faces():
        way = face.about.within[:-1]
        if face.about.area == SYSTEM or NAME in face.fields or not way or _led_to(face, way) is not Party:
            continue
        face.linked[NAME] = Field(kind="reference", name=NAME, label="Segment", refers_to="segment", editable=False, derived=True,
                                  linked=partial(_rows, face, way))  # fmt: skip
        vars(face).pop("fields", None)  # kept from before


def _led_to(face: Face, way: tuple[str, ...]) -> Any:
    for step in way:
        face = face_named(face.fields[step].refers_to)
    return face.entity


def _rows(face: Face, way: tuple[str, ...]) -> Any:
    """The numbers of records whose customer is in a segment, and which."""
    found, here = select(face.entity.id), face.entity
    for step in way[:-1]:
        relation = inspect(here).relationships[step]
        found, here = found.join(relation.class_attribute), relation.mapper.class_
    holder = getattr(here, inspect(here).relationships[way[-1]].local_remote_pairs[0][0].name)
    member = SegmentMembership
    return found.join(member, member.party_id == holder).where(member.left_at.is_(None)), member.segment_id
