"""Values from outside sources: none unless switched on, and written only with the rights of whoever takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from crm.commands import access, party_enrichment
from crm.commands.party_enrichment import accept, enrich, enrich_now, propose, refuse
from crm.core.command import Refused
from crm.core.entity import db, face_named
from crm.models.party_enrichment import EnrichmentProposal, ProposalState
from tests.factories import make

CUSTOMER = face_named("customer")


@pytest.fixture
def admin(session: Any) -> Any:
    return access.create_user(email="a@example.com", role="admin", name="Ada")[0]


def test_no_source_is_asked_unless_it_is_switched_on(app: Any, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    party, told = make(CUSTOMER, name="Acme", special_needs="Quiet room"), []
    with pytest.raises(Refused, match="CRM_ENRICHMENT"):
        enrich.run(party, by=admin)
    monkeypatch.setitem(app.config, "DESK_SETTINGS", replace(app.config["DESK_SETTINGS"], enrichment=("register",)))
    with pytest.raises(Refused, match="no installed package offers"):
        enrich_now(party)

    def register(known: Any) -> dict[str, str]:
        told.append(known)
        return {"industry": "Steel"}

    monkeypatch.setattr(party_enrichment, "load_source", lambda name: register)
    assert [enrich_now(party), enrich_now(party)] == [1, 0]
    assert told[0] == {"name": "Acme"}


def test_what_cannot_be_a_value_is_not_proposed(admin: Any) -> None:
    party = make(CUSTOMER, name="Acme", industry="Steel")
    assert propose(party, "register", {"industry": "Steel", "special_needs": "x", "code": "C-1", "nothing": "x",
                                       "email": "no address", "employees": "many", "website": "acme.example"}) == 1  # fmt: skip
    [only] = db.session.scalars(select(EnrichmentProposal))
    assert (only.field, only.value, only.present) == ("website", "https://acme.example", None)


def test_a_value_is_taken_with_the_rights_to_change_it(admin: Any) -> None:
    party = make(CUSTOMER, name="Acme")
    propose(party, "register", {"industry": "Steel", "employees": "12", "tax_id": "DE 1"})
    industry, employees, tax_id = db.session.scalars(select(EnrichmentProposal).order_by(EnrichmentProposal.id))
    reader, _ = access.create_user(email="r@example.com", role="auditor", name="Rea")
    with pytest.raises(Refused, match="may not change this record"):
        accept.run(industry, by=reader)
    marketer, _ = access.create_user(email="m@example.com", role="marketer", name="Mara")
    with pytest.raises(Refused, match="not yours to set"):
        accept.run(tax_id, by=marketer)
    accept.run(industry, by=admin)
    refuse.run(employees, by=admin, reason="guessed")
    db.session.flush()
    assert (party.industry, party.employees, industry.state) == ("Steel", None, ProposalState.ACCEPTED)
    for decided in (industry, employees):
        with pytest.raises(Refused, match="already"):
            accept.run(decided, by=admin)
    # What was refused isn't proposed again.
    assert propose(party, "register", {"employees": "12"}) == 0
