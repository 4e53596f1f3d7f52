"""What a file may change of a known record, column by column: always, only what is blank, or nothing."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import select

from crm.core.entity import db
from crm.importing.plan import PlanRefused
from crm.importing.start import draft, replan
from crm.models.imports import Duplicates
from crm.models.parties import Party
from tests.importing.conftest import counts

HEADER = "first name,last name,email,phone,industry,tags,city,billing_city,status,website\n"
KNOWN = HEADER + "Ann,Smith,a@x.org,030-901820,Steel,one,Bonn,,active,\n,Jones,b@x.org,,,,,Ulm,,x.org\n"
NEW = (HEADER + "Anna,Miller,a@x.org,+49301234567,Paper,two,Köln,Kiel,inactive,new.org\n"
       "Bob,Miller,b@x.org,+49301234568,Wood,three,Jena,Trier,blocked,new.org\n"
       "Cyd,Miller,c@x.org,+49301234569,Wood,four,Jena,Trier,prospect,new.org\n")  # fmt: skip


def seen() -> dict[str, tuple]:
    found = {}
    for party in db.session.scalars(select(Party).execution_options(populate_existing=True)):
        places = {str(place.kind): place.city for place in party.addresses}
        found[party.email[0]] = (party.name, party.phone, party.industry, party.tags, places.get("main"),
                                 places.get("billing"), str(party.status), party.website)  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("rule", "first", "second"),
    [
        ("fill", ("Ann Smith", None, "Steel", ["one"], "Bonn", "Kiel", "active", "https://new.org"),
         ("Bob Jones", "+49301234568", "Wood", ["three"], None, "Ulm", "active", "https://x.org")),
        ("never", ("Ann Smith", None, "Steel", ["one"], "Bonn", None, "active", None),
         ("Jones", None, None, None, None, "Ulm", "active", "https://x.org")),
    ],
)  # fmt: skip
def test_each_column_has_its_rule(bring, rule, first, second):
    bring(KNOWN)
    names = ("first_name", "last_name", "phone", "industry", "tags", "city", "billing_city", "status", "website")
    record = bring(NEW, duplicates=Duplicates.UPDATE, rules=dict.fromkeys(names, rule))
    assert counts(record) == {"created": 1, **({"updated": 2} if rule == "fill" else {"unchanged": 2})}
    found = seen()
    assert (found["a"], found["b"]) == (first, second)
    assert found["c"] == (
        "Cyd Miller",
        "+49301234569",
        "Wood",
        ["four"],
        "Jena",
        "Trier",
        "prospect",
        "https://new.org",
    )


def test_what_is_known_may_be_all_that_changes(bring):
    bring(KNOWN)
    record = bring(
        NEW.replace("blocked", "active"), duplicates=Duplicates.UPDATE, known_only=True, rules={"industry": "overwrite"}
    )
    assert counts(record) == {"updated": 2, "skipped": 1}
    assert set(seen()) == {"a", "b"}
    assert record.plan["rules"] == {}, "to overwrite is what happens without a rule"


def test_a_rule_that_is_none_is_refused(face):
    record, table = draft(face, io.BytesIO(b"name,email\nAnn,a@x.org\n"), "f.csv", by=None)
    with pytest.raises(PlanRefused, match="“maybe” doesn't say when .*; use overwrite or fill or never"):
        replan(record, face, table, {0: "name", 1: "email"}, rules={"email": "maybe"})
