"""Records that move in from another system keep when they were made there and who wrote them, and the report adds the file
up against what is here now."""

from __future__ import annotations

import datetime as dt
import io

from crm.commands.access import create_user
from crm.core.entity import all_faces, db, face_named
from crm.core.permissions import accesses
from crm.importing.reconciling import totals_of
from crm.importing.start import draft
from crm.importing.targets import own_landings, template
from crm.models.imports import Duplicates
from crm.models.parties import Party
from crm.models.party_notes import Note
from tests.factories import make
from tests.importing.conftest import counts
from tests.importing.test_linked_files import refused

OLD = dt.datetime(2019, 5, 4, 8, 30, tzinfo=dt.UTC)


def test_notes_keep_their_day_and_their_author_who_may_have_left(bring, session):
    customer = make(face_named("customer"), name="Acme")
    left, _ = create_user(email="left@example.com", role="sales_rep", password="correct horse battery staple")
    left.active = False
    db.session.commit()
    record = bring(
        f"about,what,when,who\n{customer.code},Called,2019-05-04 08:30,left@example.com\n{customer.code},Wrote,,\n"
        f"{customer.code},Too early,2199-01-01 00:00,\n{customer.code},By nobody,,nobody@example.com\n",
        "notes", columns={"about": "party", "what": "text", "when": "created_at", "who": "author"},
    )  # fmt: skip
    assert counts(record) == {"created": 2, "refused": 2}
    told = refused(record)
    assert [(row["_row"], row["_field"]) for row in told] == [("4", "when"), ("5", "author")]
    assert "lies in the future" in told[0]["_error"]
    assert "there is no user" in told[1]["_error"]
    called, wrote = db.session.query(Note).order_by(Note.id)
    assert (called.text, called.created_at, called.author_id) == ("Called", OLD, left.id)
    assert (wrote.text, wrote.author_id, wrote.created_at > OLD) == ("Wrote", None, True)


def test_when_a_record_was_made_is_said_once(bring, session):
    file = "name,email,since\nAnn,ann@x.org,2019-05-04T08:30:00Z\n"
    columns = {"name": "name", "email": "email", "since": "created_at"}
    bring(file, columns=columns)
    ann = db.session.query(Party).filter_by(email="ann@x.org").one()
    assert ann.created_at == OLD
    again = bring(file.replace("2019", "2011").replace("Ann,", "Anna,"), columns=columns, duplicates=Duplicates.UPDATE)
    assert counts(again) == {"updated": 1}
    db.session.refresh(ann)
    assert (ann.name, ann.created_at) == ("Anna", OLD)


def test_it_is_offered_for_all_but_ledgers_and_suggested_for_none(session):
    for face in all_faces():
        names = {landing.name for landing in own_landings(face)}
        assert ("created_at" in names) is (face.entity.only_changes is None), face.name
    admin, _ = create_user(email="admin2@example.com", role="admin", password="correct horse battery staple")
    assert not {"created_at", "author"} & set(template(face_named("note"), admin))
    record, _ = draft(
        face_named("note"), io.BytesIO(b"Note,Created,Author\nCalled,2019-05-04,Ann\n"), "notes.csv", by=admin.id
    )
    assert "text" in record.plan["columns"].values()
    assert not {"created_at", "author"} & set(record.plan["columns"].values())


def test_the_file_is_added_up_against_the_records(bring, session):
    make(face_named("customer"), name="Bob", email="bob@x.org", employees=7)
    file = (
        "name,email,staff,revenue\nAnn,ann@x.org,3,1000.10\nBob,bob@x.org,4,\nCid,nonsense,5,20.00\nAnna,ann@x.org,8,\n"
    )
    columns = {"name": "name", "email": "email", "staff": "employees", "revenue": "annual_revenue"}
    record = bring(file, columns=columns, duplicates=Duplicates.UPDATE, rules={"employees": "fill"})
    assert counts(record) == {"created": 1, "updated": 1, "refused": 1, "unchanged": 1}
    totals = {total.field: total for total in totals_of(record, face_named("customer"), None)}
    assert [*totals] == ["name", "email", "employees", "annual_revenue"]
    assert (totals["name"].values, totals["name"].sums) == ((4, 3, 2), None)
    assert totals["email"].values == (3, 3, 2)
    assert (totals["employees"].values, totals["employees"].sums) == ((4, 3, 2), ("20", "15", "10"))
    assert (totals["annual_revenue"].values, totals["annual_revenue"].sums) == (
        (2, 1, 1),
        ("1020.1", "1000.1", "1000.1"),
    )


def test_what_comes_in_whole_agrees_and_tells_nobody_what_he_may_not_see(bring, session):
    face = face_named("customer")
    record = bring("name,email,revenue,tel\nAnn,ann@x.org,1000.10,345-840-9409\n",
                   columns={"name": "name", "email": "email", "revenue": "annual_revenue", "tel": "phone"})  # fmt: skip
    assert {total.field: total.values for total in totals_of(record, face, None)}["phone"] == (1, 1, 1), (
        "kept as written"
    )
    assert not any(total.is_left_out or total.differs for total in totals_of(record, face, None))
    person, _ = create_user(email="r@example.com", role="service_advisor", password="correct horse battery staple")
    seen = {name for name, access in accesses(person, face).items() if access.shows}
    assert "annual_revenue" not in seen
    assert {total.field for total in totals_of(record, face, person)} == {
        "name",
        "email",
        "annual_revenue",
        "phone",
    } & seen
