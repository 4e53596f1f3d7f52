"""Look-ups of a party by something it is known by: each a union of index look-ups, never a scan.

`email` and `phone` find the primary, the second, and those of its contacts; archived ones are found as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, literal, select, union_all

from crm.core.entity import Face, db, face_named
from crm.core.fields import field_of
from crm.core.permissions import Actor, access_of, allowed
from crm.models.external_ids import ExternalId
from crm.models.parties import Contact, Party
from crm.models.vehicles import Vehicle
from crm.queries.scope import MAX_ID, visible

# What a party is looked up by, in words.
NAMES = {"email": "e-mail", "phone": "phone", "code": "code", "account_number": "account number", "tax_id": "tax ID",
         "vin": "the VIN of a vehicle of theirs", "external_id": "what another system calls them, as system:id"}  # fmt: skip
PARAMETERS = frozenset({*NAMES, "country", "limit", "cursor"})
_COUNTRY = field_of("country")


class BadLookup(ValueError):
    """What was given can't be looked up: parameter → sentence."""

    def __init__(self, parameter: str, sentence: str) -> None:
        super().__init__(sentence)
        self.errors = {parameter: sentence}


def offered(face: Face) -> tuple[str, ...]:
    """What records of this face can be looked up by."""
    return tuple(NAMES) if face.entity is Party else ()


Found = list[tuple[Any, str]]


def look_up(face: Face, given: Mapping[str, str], actor: Actor, *, load: list[Any]) -> tuple[Found, str | None]:
    """([(record, what matched)], cursor of the next ones), ordered by id. Raises BadLookup."""
    names = [name for name in NAMES if name in given]
    if len(names) != 1:
        raise BadLookup(names[1], "can't be combined: look up by one thing at a time")
    name = names[0]
    if "country" in given and name != "phone":
        raise BadLookup("country", "only completes a phone number")
    limit, after = _whole(given, "limit", 50, 200), _whole(given, "cursor", 0, MAX_ID)
    seen = [rank for rank, place in enumerate(_MATCHED[name]) if _shows(actor, face, place)]
    if not seen:
        raise BadLookup(name, "isn't shown to the user of this key, so nothing can be looked up by it")
    found = _matches(name, _value(name, given), seen).subquery("found")
    best = select(found.c.id, func.min(found.c.rank).label("rank")).group_by(found.c.id).subquery("best")
    statement = (
        visible(face, actor)
        .join(best, best.c.id == Party.id)
        .add_columns(best.c.rank)
        .where(Party.id > after)
        .order_by(Party.id)
        .limit(limit + 1)
        .options(*load)
    )
    rows = [(record, _MATCHED[name][rank]) for record, rank in db.session.execute(statement)]
    return rows[:limit], str(rows[limit - 1][0].id) if len(rows) > limit else None


_MATCHED = {
    "email": ("email", "email2", "contact.email"),
    "phone": ("phone", "phone2", "contact.phone"),
    "code": ("code",),
    "account_number": ("account_number",),
    "tax_id": ("tax_id",),
    "vin": ("vin", "vin"),
    "external_id": ("external_id",),
}
_IN = {"contact": "contact", "vin": "vehicle"}  # whose field it is, where it isn't the party's own


def _shows(actor: Actor, face: Face, place: str) -> bool:
    if place == "external_id":
        return True  # whoever asks knows it already, and finds only whom he may see
    other = _IN.get(place.partition(".")[0])
    if other is not None:
        face, place = face_named(other), place.removeprefix(f"{other}.")
        if allowed(actor, f"{other}.read") is None:
            return False
    return access_of(actor, face, place).shows


def _matches(name: str, value: Any, seen: list[int]) -> Any:
    places: list[tuple[Any, Any]]
    match name:
        case "email":
            places = [(Party.id, Party.email), (Party.id, Party.email2), (Contact.party_id, Contact.email)]
        case "phone":
            places = [(Party.id, Party.phone), (Party.id, Party.phone2), (Contact.party_id, Contact.phone)]
        case "tax_id":
            places = [(Party.id, Party.tax_id_key)]
        case "vin":
            places = [(Vehicle.customer_id, Vehicle.vin_key), (Vehicle.end_customer_id, Vehicle.vin_key)]
        case "external_id":
            system, _, ident = value.partition(":")
            return select(ExternalId.record.label("id"), literal(0).label("rank")).where(
                ExternalId.system == system, ExternalId.entity == Party.__tablename__, ExternalId.external_id == ident)  # fmt: skip
        case _:
            places = [(Party.id, getattr(Party, name))]
    selects: list[Any] = [
        select(ident.label("id"), literal(rank).label("rank")).where(column == value)
        for rank, (ident, column) in enumerate(places)
        if rank in seen
    ]
    return union_all(*selects) if len(selects) > 1 else selects[0]


def _value(name: str, given: Mapping[str, str]) -> Any:
    raw, country = given[name], _country(given)
    if name == "external_id":
        if not all(raw.partition(":")):
            raise BadLookup(name, "is the system and what it says, such as erp:4711")
        return raw
    field = (Vehicle if name == "vin" else Party).fields()[name]
    try:
        if name == "phone":
            value = field.parse(_with_plus(raw), country=country)
        elif name in ("tax_id", "vin") and not any(char.isalnum() for char in raw):
            value = None
        else:
            value = field.parse(raw)
    except ValueError as fault:
        raise BadLookup(name, str(fault)) from None
    if value is None:
        raise BadLookup(name, "is empty: give what to look up")
    if name in ("tax_id", "vin"):
        # The same expression as the generated column, so that both sides agree to the letter.
        return func.upper(func.regexp_replace(value, "[^[:alnum:]]", "", "g"))
    return value.upper() if name == "code" else value


def _with_plus(raw: str) -> str:
    """In an address `+` means a blank, and people forget to write %2B."""
    return "+" + raw[1:] if re.match(r" \d", raw) else raw


def _country(given: Mapping[str, str]) -> str | None:
    try:
        return _COUNTRY.parse(given.get("country"))
    except ValueError as fault:
        raise BadLookup("country", str(fault)) from None


def _whole(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    raw = given.get(name)
    if raw is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", raw) or not 1 <= int(raw) <= most:
        raise BadLookup(
            name,
            f"must be a whole number from 1 to {most}"
            if name == "limit"
            else "is not a cursor of this list; start again from its first page",
        )
    return int(raw)
