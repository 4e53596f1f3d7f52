"""What lies below a record: each list of what belongs to it, and below a party the timeline of what happened with it.

Whoever may read the record finds there what the rights to those records show; the key needs no scope of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import request
from sqlalchemy import select

from crm.api.documents import documents, loads
from crm.api.entering import actor
from crm.api.problems import wrong
from crm.api.segments import asked as _asked
from crm.api.segments import must_read, tell
from crm.core.entity import Entity, Face, db, face_named
from crm.core.fields import field_of
from crm.core.permissions import accesses, title_for
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import Membership
from crm.models.parties import Party
from crm.models.segments import Segment
from crm.queries.credit_check import credit_check, open_account
from crm.queries.listing import BadQuery, fetch_page, read_query
from crm.queries.scope import belongs_to, find, related_face, visible
from crm.queries.timeline import CHANGE, NAMES, Happened, place_text, read_asked, takes_part, timeline

TIMELINE = "timeline"
# Of a party: how its credit account stands, and what would become of an order on credit.
CREDIT, CHECK = "credit", "credit-check"
# Of a party: its memberships, with points, tier and cashback.
LOYALTY = "loyalty"
_AMOUNT = field_of("money", minimum=0)
# What lies below besides, of segments and of who may be in one: what it is, in words for the description.
OF_SEGMENT = {"members": "Customers who are in it now", "contains": "Whether customers with this e-mail are in it",
              "changes": "Who came and went since an earlier answer"}  # fmt: skip
OF_MEMBER = {"segments": "Segments that one is in now"}
PAGING = frozenset({"limit", "cursor"})


def lists_below(face: Face) -> dict[str, str]:
    """What stands in the address → the relation: the lists of a record's page whose records the API opens."""
    return {name.replace("_", "-"): name for name in face.about.related if related_face(face, name).about.api}


def below(face: Face) -> list[str]:
    """What may stand after the number of a record to be read."""
    return [
        *lists_below(face),
        *([TIMELINE, CREDIT, CHECK, LOYALTY] if face.entity is Party else []),
        *told_below(face),
    ]


def told_below(face: Face) -> dict[str, str]:
    """Of those what is told of segments → in words."""
    return (
        OF_SEGMENT if face.entity is Segment else OF_MEMBER if "segment" in face.linked and face.entity is Party else {}
    )


def read_below(face: Face, record: Entity, name: str) -> dict[str, Any]:
    """A page of one of them, of a record that the key's user may read. Raises Problem."""
    try:
        if name == TIMELINE:
            return _timeline(face, record)
        if name in (CREDIT, CHECK):
            must_read(face_named("credit_account"))
            return _check(record) if name == CHECK else _credit(record)
        if name == LOYALTY:
            must_read(face_named("loyalty_account"))
            return _loyalty(record)
        if name in told_below(face):
            return tell(name, record)
        return _list(face, record, lists_below(face)[name])
    except BadQuery as fault:
        given = "cursor" if fault.parameter in ("after", "before") else fault.parameter
        raise wrong({given: str(fault)}, "A parameter can't be taken.") from None


def _list(face: Face, record: Entity, relation: str) -> dict[str, Any]:
    """The newest first: by the time that the timeline has them at, which an index knows, else by number."""
    other = related_face(face, relation)
    must_read(other)
    at = other.about.timeline.at if other.about.timeline else ""
    order = [("sort", at), ("desc", "1")] if at in other.about.sort and accesses(actor(), other)[at].shows else []
    query = read_query(other, [*order, *_asked(PAGING).items()])
    page = fetch_page(other, query, actor(), load=loads(other), where=[belongs_to(face, record.id, relation)])
    return {"items": documents(other, page.rows, actor()), "next": page.older}


def _credit(party: Any) -> dict[str, Any]:
    """The document of the open credit account, if there is one that the key's user sees."""
    _asked(frozenset())
    face, account = face_named("credit_account"), open_account(party)
    seen = account is not None and find(face, actor(), str(account.id)) is not None
    return {"account": documents(face, [account], actor())[0] if account and seen else None}


def _loyalty(party: Any) -> dict[str, Any]:
    """The documents of the memberships that go on, that of the main program first."""
    _asked(frozenset())
    face = face_named("loyalty_account")
    wanted = visible(face, actor()).where(LoyaltyAccount.party_id == party.id, LoyaltyAccount.state != Membership.ENDED)
    found: list[Any] = list(db.session.scalars(wanted.options(*loads(face)).order_by(None).order_by(LoyaltyAccount.id)))
    found.sort(key=lambda one: not one.program.main)
    return {"items": documents(face, found, actor())}


def _check(party: Any) -> dict[str, Any]:
    """What would become of an order of the `amount` asked for, with amounts where the key's user sees them."""
    try:
        amount = _AMOUNT.parse(_asked(frozenset({"amount"})).get("amount"))
    except ValueError as fault:
        raise wrong({"amount": str(fault)}, "A parameter can't be taken.") from None
    if amount is None:
        raise wrong(
            {"amount": "is required: what the order comes to, in the company's currency"}, "A parameter is missing."
        )
    checked = credit_check(party, amount)
    told = {"decision": checked.decision, "reason": checked.why}
    shown = checked.available is not None and accesses(actor(), face_named("credit_account"))["available"].shows
    return told | ({"amount": f"{amount:.2f}", "available": f"{checked.available:.2f}"} if shown else {})


def _timeline(face: Face, record: Entity) -> dict[str, Any]:
    asked, sources = _asked(PAGING | frozenset(NAMES)), takes_part(actor())
    limit = read_query(face, [(name, asked[name]) for name in ("limit",) if name in asked]).limit
    pairs = [("before" if name == "cursor" else name, value) for name, value in request.args.items(multi=True)]
    found, place = timeline(face, record, actor(), sources, read_asked(pairs, sources), limit)
    shown = _documents(found)
    items = [_change(one) if one.kind == CHANGE else _record(one, shown[one.kind, one.what.id]) for one in found]
    return {"items": [item for item in items if item is not None], "next": place_text(place) if place else None}


def _documents(found: Iterable[Happened]) -> dict[tuple[str, int], dict[str, Any]]:
    """(face, number) → the record's document, those of a face at once."""
    by_face: dict[str, list[Any]] = {}
    for one in found:
        if one.kind != CHANGE:
            by_face.setdefault(one.kind, []).append(one.what)
    shown: dict[tuple[str, int], dict[str, Any]] = {}
    for name, rows in by_face.items():
        face = face_named(name)
        if options := loads(face):
            db.session.scalars(
                select(face.entity).where(face.entity.id.in_([row.id for row in rows])).options(*options)
            ).all()
        shown |= {(name, row.id): document for row, document in zip(rows, documents(face, rows, actor()), strict=True)}
    return shown


def _record(one: Happened, document: dict[str, Any]) -> dict[str, Any]:
    assert one.face.about.timeline is not None
    by = document.get(one.face.about.timeline.by)
    return _entry(one, by if isinstance(by, dict) else None) | {"document": document}


def _change(one: Happened) -> dict[str, Any] | None:
    """None where what changed is not for this user to see."""
    event = one.what
    changes = [{"field": change.field.name if change.field else change.column, "before": change.before, "after": change.after}
               for change in event.changes]  # fmt: skip
    if event.action == "update" and not changes:
        return None
    return _entry(one, _named(event.actor)) | {"action": event.action.value, "changes": changes}


def _entry(one: Happened, by: dict[str, Any] | None) -> dict[str, Any]:
    number = one.what.entry.id if one.kind == CHANGE else one.what.id
    return {"type": one.kind, "id": number, "at": one.at.isoformat().replace("+00:00", "Z"), "by": by}


def _named(user: User | None) -> dict[str, Any] | None:
    return None if user is None else {"id": user.id, "name": title_for(actor(), face_named("user"), user)}
