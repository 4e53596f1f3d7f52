"""Regions of addresses: from the table for whoever writes, but never over what a person gave."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from crm.commands import party_regions
from crm.core.command import Refused
from crm.core.entity import db, face_named
from crm.core.jobs import Job
from crm.models.parties import Address
from tests.factories import make

REGION, ADDRESS, CUSTOMER, USER = (face_named(name) for name in ("region", "address", "customer", "user"))


def regions() -> dict[str, str | None]:
    return {city: region for city, region in db.session.execute(select(Address.city, Address.region)) if city}


def test_an_address_takes_its_region_from_the_table_and_follows_it_until_somebody_gives_one(session: Any) -> None:
    make(REGION, name="DACH", country="DE")
    bavaria = make(REGION, name="South", country="DE", state="Bayern")
    make(REGION, name="Alps", country="AT")
    party = make(CUSTOMER)
    one = make(ADDRESS, party_id=party.id, city="one", country="DE", state=" BAYERN ", region=None)
    assert one.region == "South"
    # Many at once, as imports write them.
    places = (("plain", "DE", None), ("given", "DE", "Mine"), ("nowhere", "FR", None), ("without", None, None))
    db.session.execute(insert(Address).values([
        {"party_id": party.id, "city": city, "country": country, "region": region} for city, country, region in places]))  # fmt: skip
    assert regions() == {"one": "South", "plain": "DACH", "given": "Mine", "nowhere": None, "without": None}

    one.country = "AT"
    db.session.flush()
    assert one.region == "Alps"
    one.region = "By hand"
    db.session.flush()
    one.country = "DE"
    db.session.flush()
    db.session.delete(bavaria)
    make(REGION, name="Gaul", country="FR")
    db.session.flush()
    assert regions() == {"one": "By hand", "plain": "DACH", "given": "Mine", "nowhere": None, "without": None}
    before = set(db.session.execute(select(Address.id, Address.xmin).where(Address.city != "nowhere")).all())
    party_regions.fill_regions(1, one.id + 100)
    db.session.expire_all()
    assert regions() == {"one": "By hand", "plain": "DACH", "given": "Mine", "nowhere": "Gaul", "without": None}
    assert before == set(db.session.execute(select(Address.id, Address.xmin).where(Address.city != "nowhere")).all())


def test_the_table_is_applied_in_the_background_once_at_a_time(session: Any) -> None:
    region, user = make(REGION), make(USER)
    party_regions.refill.run(region, by=user)
    with pytest.raises(Refused, match="being filled already"):
        party_regions.refill.run(region, by=user)
    assert len(list(session.scalars(select(Job).where(Job.task == party_regions.TASK)))) == 1
