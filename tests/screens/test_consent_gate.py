"""Lists for campaigns: how to reach somebody leaves in a file only where that person agreed to marketing on that channel."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

from crm.commands.access import create_user
from crm.core.entity import db, face_named
from crm.models.communication_choices import SendChannel
from crm.models.imports import Export
from crm.models.privacy import Consent
from crm.models.privacy_choices import ConsentPurpose, ConsentSource, ConsentState
from crm.queries.exports import export_names
from jobs import runner
from tests.conftest import Own, sign_in
from tests.factories import make, newest

CUSTOMER, CONTACT = face_named("customer"), face_named("contact")
GIVEN, WITHDRAWN, EMAIL, SMS = ConsentState.GIVEN, ConsentState.WITHDRAWN, SendChannel.EMAIL, SendChannel.SMS
MARKETING = ConsentPurpose.MARKETING
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
BOTH, NONE = {"email", "phone"}, set[str]()


def said(party: Any, state: ConsentState, channel: SendChannel | None = None, *, later: int = 0, **more: Any) -> None:
    db.session.add(Consent(party_id=party.id, state=state, channel=channel, decided_at=NOW + dt.timedelta(days=later),
                           **{"purpose": MARKETING, "source": ConsentSource.FORM, "evidence": "A form"} | more))  # fmt: skip


def taken(client: Any, plural: str = "customers") -> dict[str, dict[str, str]]:
    columns = "id,email,phone,industry" if plural == "customers" else "id,email"
    answer = client.get(f"/admin/{plural}/export/csv/?columns={columns}")
    body = answer.get_data().decode("utf-8-sig")
    answer.close()
    return {row["id"]: row for row in csv.DictReader(io.StringIO(body))}


# What they said → which of e-mail and phone leave.
WORDS: list[tuple[list[dict[str, Any]], set[str]]] = [
    ([], NONE),
    ([{"state": GIVEN}], BOTH),
    ([{"state": GIVEN, "channel": EMAIL}], {"email"}),
    ([{"state": GIVEN, "channel": SMS}], {"phone"}),
    ([{"state": GIVEN}, {"state": WITHDRAWN, "channel": EMAIL, "later": 1}], {"phone"}),
    ([{"state": GIVEN, "channel": EMAIL}, {"state": WITHDRAWN, "later": 1}], NONE),
    ([{"state": WITHDRAWN}, {"state": GIVEN, "channel": EMAIL, "later": 1}], {"email"}),
    ([{"state": GIVEN, "purpose": ConsentPurpose.SURVEYS}], NONE),
    ([{"state": GIVEN, "valid_until": dt.date(2026, 3, 2)}], NONE),
]


def test_contact_values_leave_by_consent_alone(session: Any, as_user: Any) -> None:
    expected = {}
    for place, (words, leaves) in enumerate(WORDS):
        party = make(CUSTOMER, email=f"p{place}@example.com", phone="+49301234567", industry="Mining")
        for word in words:
            said(party, **word)
        expected[str(party.id)] = leaves
    nobody = make(CUSTOMER, industry="Mining")
    expected[str(nobody.id)] = NONE
    db.session.commit()
    found = taken(as_user("marketer").client)
    for number, leaves in expected.items():
        row = found[number]
        assert {name for name in BOTH if row[name]} == leaves
        withheld = NONE if number == str(nobody.id) else BOTH - leaves
        assert set(filter(None, row["_withheld"].split(", "))) == withheld
        assert row["industry"] == "Mining"
    export = newest(face_named("export"))
    db.session.refresh(export)
    assert (export.rows, export.withheld) == (len(expected), len(WORDS) - 1)
    # Who may take personal values out at all isn't asked for consent.
    full = taken(as_user("admin").client)
    assert all(row["email"] for number, row in full.items() if number != str(nobody.id))
    assert "_withheld" not in next(iter(full.values()))
    db.session.expire_all()
    assert newest(face_named("export")).withheld is None


def test_a_contact_speaks_for_itself(session: Any, as_user: Any) -> None:
    company = make(CUSTOMER)
    said(company, GIVEN)
    silent, agreed = (make(CONTACT, party_id=company.id, email=f"{name}@example.com") for name in ("silent", "agreed"))
    said(company, GIVEN, EMAIL, contact_id=agreed.id)
    db.session.commit()
    found = taken(as_user("marketer").client, "contacts")
    assert (found[str(silent.id)]["email"], found[str(agreed.id)]["email"]) == ("", "agreed@example.com")


def test_names_and_other_personal_values_stay(session: Any) -> None:
    user, _ = create_user(email="m@example.com", role="marketer", password="correct horse battery staple")
    offered = export_names(CUSTOMER, user)
    assert {"email", "phone", "city"} <= set(offered)
    assert not {"name", "first_name", "date_of_birth", "tax_id", "age_group"} & set(offered)
    rep, _ = create_user(email="r@example.com", role="sales_rep", password="correct horse battery staple")
    assert "email" not in export_names(CUSTOMER, rep)


def test_a_file_made_in_the_background_asks_too(own_database: Own) -> None:
    person = sign_in(own_database.app, "marketer")
    with own_database.app.app_context():
        said(make(CUSTOMER, email="yes@example.com"), GIVEN)
        make(CUSTOMER, email="no@example.com")
        db.session.commit()
    person.client.post("/admin/customers/export/xlsx/?columns=id,email")
    with own_database.app.app_context():
        export = db.session.query(Export).one()
        assert runner.run(export.job_id) == "done"
        db.session.expire_all()
        assert (export.rows, export.withheld) == (2, 1)
