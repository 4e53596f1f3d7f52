"""To whom a statement goes, as far as whoever takes it out may see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crm.core.entity import face_named
from crm.core.kinds import countries
from crm.core.permissions import Actor, Scope, accesses, allowed, title_for
from crm.models.parties import Address, Party
from crm.models.party_choices import AddressKind
from crm.queries.credit_statement_texts import language_of
from crm.queries.organisation import company_name


def reads_statements(actor: Actor) -> bool:
    """Whoever reads the statements of credit accounts."""
    return reads_entries(actor, "credit_account", ("outstanding",), {"invoice": "amount", "payment": "amount"})


def reads_entries(actor: Actor, account: str, figures: Iterable[str], entries: Mapping[str, str]) -> bool:
    """Whether somebody reads the entries of every account that they read, with the amount of each and these figures of the
    account."""
    of, seen = allowed(actor, f"{account}.read"), accesses(actor, face_named(account))
    return all(seen[name].shows for name in figures) and all(
        allowed(actor, f"{name}.read") in (of, Scope.ALL) and accesses(actor, face_named(name))[amount].shows
        for name, amount in entries.items())  # fmt: skip


def addressed(party: Party, actor: Actor) -> dict[str, Any]:
    """What a letter says of it. The customer's own address: for bills, else the default one, else any; left out for whoever
    may not see it."""
    face = face_named("address")
    may = accesses(actor, face)
    shown = allowed(actor, f"{face.name}.read") is not None and all(
        may[name].shows for name in ("address", "street", "city", "one_line")
    )
    first = min(
        party.addresses, key=lambda one: (one.kind is not AddressKind.BILLING, not one.is_default, one.id), default=None
    )
    return {"company": company_name(), "customer": title_for(actor, face_named("customer"), party),
            "address": _lines(first) if shown and first else (),
            "language": language_of(party.communication_language, party.language)}  # fmt: skip


def _lines(one: Address) -> list[str]:
    street = one.address or " ".join(part for part in (one.street, one.house, one.flat) if part)
    place = " ".join(part for part in (one.postal_code, one.city) if part)
    return [part for part in (street, place, one.state, countries().get(one.country or "", one.country)) if part]
