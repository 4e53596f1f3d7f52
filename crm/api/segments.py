"""What the API tells of segments below their own address and that of customers: members, who is in, who came and went."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import request
from sqlalchemy import select

from crm.api.documents import documents, loads
from crm.api.entering import actor
from crm.api.lookups import BadLookup, look_up
from crm.api.problems import Problem, wrong
from crm.api.reading import one_of_each
from crm.core.command import among
from crm.core.entity import Face, db, face_named
from crm.core.permissions import allowed
from crm.models.parties import Party
from crm.models.segments import Segment, SegmentMembership
from crm.queries.listing import fetch_page, read_query
from crm.queries.scope import MAX_ID
from crm.queries.segment_members import are_in, changes

PAGING = frozenset({"limit", "cursor"})


def asked(known: frozenset[str]) -> dict[str, str]:
    """The parameters, each of them known. Raises Problem."""
    for name in request.args:
        if name not in known:
            raise wrong({name: f"is not known here; there is {', '.join(sorted(known))}"}, "A parameter is unknown.")
    return one_of_each(known - {"type"})


def must_read(face: Face) -> None:
    """Problem 403 unless the key's user may read these records."""
    if allowed(actor(), f"{face.name}.read") is None:
        raise Problem(
            403, f"The user of this key may not read {face.label_plural.lower()}: that needs {face.name}.read."
        )


def _members(segment: Segment) -> dict[str, Any]:
    face = face_named("customer")
    page = fetch_page(
        face, read_query(face, list(asked(PAGING).items())), actor(), load=loads(face), where=[are_in(segment)]
    )
    return {"items": documents(face, page.rows, actor()), "next": page.older}


def _contains(segment: Segment) -> dict[str, Any]:
    """Whether any customer of this e-mail is in it: it may be several people's."""
    face = face_named("customer")
    given = asked(frozenset({"email"}))
    if "email" not in given:
        raise wrong({"email": "is required"}, "A parameter is missing.")
    try:
        found, _ = look_up(face, given | {"limit": "200"}, actor(), load=[])
    except BadLookup as fault:
        raise wrong(fault.errors, "A parameter can't be taken.") from None
    inside = set(
        db.session.scalars(select(Party.id).where(among(Party.id, [one.id for one, _ in found]), are_in(segment)))
    )
    items = [
        {"id": one.id, "code": one.code, "member": one.id in inside, "matched_on": matched} for one, matched in found
    ]
    return {"contains": bool(inside), "items": items}


def _changes(segment: Segment) -> dict[str, Any]:
    given = asked(PAGING | {"since"})
    limit, after = (
        _whole(given, name, usual, most) for name, usual, most in (("limit", 50, 200), ("cursor", 0, MAX_ID))
    )
    found = changes(segment, actor(), since=_whole(given, "since", 0, MAX_ID), after=after, limit=max(limit, 1))
    items = [{"customer": {"id": one.party_id, "code": one.party.code}, "member": one.left_at is None, "entered_at": _at(one.entered_at),
              "left_at": _at(one.left_at), "source": one.source.value} for one in found.rows]  # fmt: skip
    return {"items": items, "next": str(found.place) if found.place else None, "since": found.since}


def _of_member(party: Party) -> dict[str, Any]:
    """The newest first."""
    face, segment = face_named("segment_membership"), face_named("segment")
    query = read_query(face, list(asked(PAGING).items()))
    page = fetch_page(
        face, query, actor(), where=[SegmentMembership.party_id == party.id, SegmentMembership.left_at.is_(None)]
    )
    shown = documents(segment, [one.segment for one in page.rows], actor())
    items = [document | {"entered_at": _at(one.entered_at), "source": one.source.value, "pin": one.pin.value if one.pin else None,
                         "expires_on": one.expires_on.isoformat() if one.expires_on else None}
             for one, document in zip(page.rows, shown, strict=True)]  # fmt: skip
    return {"items": items, "next": page.older}


# The name in the address → what is told, and the faces whose records one must be allowed to read for it.
TOLD: dict[str, tuple[Callable[[Any], dict[str, Any]], tuple[str, ...]]] = {
    "members": (_members, ("customer",)), "contains": (_contains, ("customer",)), "changes": (_changes, ("segment_membership",)),
    "segments": (_of_member, ("segment_membership", "segment")),
}  # fmt: skip


def tell(name: str, record: Any) -> dict[str, Any]:
    """Raises Problem."""
    told, needed = TOLD[name]
    for face in needed:
        must_read(face_named(face))
    return told(record)


def _at(moment: Any) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _whole(given: dict[str, str], name: str, usual: int, most: int) -> int:
    raw = given.get(name, str(usual))
    if not re.fullmatch(r"[0-9]{1,19}", raw) or int(raw) > most:
        raise wrong({name: f"must be a whole number up to {most}"}, "A parameter can't be taken.")
    return int(raw)
