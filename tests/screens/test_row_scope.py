"""Who reaches own customers only reaches no other by any way: list, pages, pickers, commands, export, API."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.models.parties import BlockState, Lifecycle, Party
from tests.conftest import Person
from tests.factories import make

SECRET = "Somebody elses secret"


@dataclass
class Two:
    """A sales representative with a customer of his own, and one of somebody else, each with a contact."""

    person: Person
    mine: int
    other: int
    my_contact: int
    other_contact: int


@pytest.fixture
def two(app: Flask, as_user: Any) -> Two:
    person, colleague = as_user("sales_rep"), as_user("sales_rep")
    with app.app_context(), acting_as(Acting(via="test")):
        mine = make(face_named("customer"), name="My own", owner_id=person.user_id)
        other = make(face_named("customer"), name=SECRET, owner_id=colleague.user_id, lifecycle=Lifecycle.PROSPECT)
        nobodys = make(face_named("customer"), name=SECRET)
        first = make(face_named("contact"), party_id=mine.id, name="My contact")
        second = make(face_named("contact"), party_id=other.id, name=SECRET)
        found = Two(person, mine.id, other.id, first.id, second.id)
        assert nobodys.owner_id is None
        db.session.commit()
    return found


def test_lists_searches_and_pickers_show_own_rows_only(two: Two) -> None:
    get = two.person.client.get
    for address in ("customers/", "customers/?search=secret", "customers/?sort=name", "customers/?flt_name_starts=Somebody",
                    "contacts/", "contacts/?search=secret", "end-customers/", "customers/lookup/",
                    "customers/lookup/?q=secret", "contacts/lookup/", f"contacts/?flt_party_eq={two.other}"):  # fmt: skip
        answer = get(f"/admin/{address}")
        assert answer.status_code == 200, address
        assert "elses secret" not in answer.text, address
    assert "My own" in get("/admin/customers/").text
    assert [item["id"] for item in get("/admin/customers/lookup/").get_json()["items"]] == [two.mine]
    assert [item["id"] for item in get("/admin/contacts/lookup/").get_json()["items"]] == [two.my_contact]
    assert "elses secret" not in get("/admin/").text


@pytest.mark.parametrize("page", ["details", "edit", "history", "menu", "related"])
def test_the_pages_of_a_foreign_record_are_not_there(two: Two, page: str) -> None:
    for face, mine, other in (("customers", two.mine, two.other), ("contacts", two.my_contact, two.other_contact)):
        if page == "related" and face == "contacts":
            continue
        get = two.person.client.get
        more = "&relation=contacts" if page == "related" else ""
        assert get(f"/admin/{face}/{page}/?id={mine}{more}").status_code == 200
        answer = get(f"/admin/{face}/{page}/?id={other}{more}")
        assert answer.status_code == 404
        assert "elses secret" not in answer.text
    # By code it is no more there than by number.
    assert two.person.client.get(f"/admin/customers/details/?id=C-{two.other:06}").status_code == 404


def test_a_foreign_record_is_neither_changed_nor_moved_nor_removed(two: Two, app: Flask) -> None:
    post = two.person.client.post
    assert post(f"/admin/customers/edit/?id={two.other}", data={"name": "Changed"}).status_code == 404
    assert post("/admin/contacts/delete/", data={"id": two.other_contact, "confirm": "1"}).status_code == 404
    assert post("/admin/customers/action/", data={"action": "activate", "rowid": two.other}).status_code == 404
    post("/admin/customers/action/", data={"action": "activate", "rowid": two.other, "confirm": "1"})
    both = post("/admin/customers/action/",
                data={"action": "deactivate", "rowid": [two.mine, two.other], "confirm": "1"})  # fmt: skip
    assert both.status_code == 200
    assert "elses secret" not in both.text
    assert "there is no such record for you" in both.text
    # Rights that he doesn't hold at all.
    for verb in ("block", "blacklist", "reassign", "archive"):
        data = {"action": verb, "rowid": two.mine, "confirm": "1", "reason": "x", "owner": two.person.user_id}
        assert post("/admin/customers/action/", data=data).status_code == 403
    with app.app_context():
        other, mine = db.session.get_one(Party, two.other), db.session.get_one(Party, two.mine)
        assert (other.name, other.lifecycle, other.block_state) == (SECRET, Lifecycle.PROSPECT, BlockState.NONE)
        assert (mine.lifecycle, mine.block_state) == (Lifecycle.INACTIVE, BlockState.NONE)
        assert db.session.get(face_named("contact").entity, two.other_contact) is not None


def test_nothing_is_hung_onto_a_foreign_customer(two: Two, app: Flask) -> None:
    values = {"name": "Planted", "party": str(two.other)}
    answer = two.person.client.post("/admin/contacts/new/", data=values)
    assert answer.status_code == 422
    assert "that you may see" in answer.text
    assert "elses secret" not in answer.text
    shown = two.person.client.get(f"/admin/contacts/new/?party={two.other}")
    assert "elses secret" not in shown.text
    moved = two.person.client.post(f"/admin/contacts/edit/?id={two.my_contact}", data={"party": str(two.other)})
    assert moved.status_code in (409, 422)
    with app.app_context():
        assert db.session.get_one(face_named("contact").entity, two.my_contact).party_id == two.mine


def test_the_export_holds_own_rows_only(two: Two) -> None:
    answer = two.person.client.get("/admin/customers/export/csv/")
    assert answer.status_code == 200
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert [row["id"] for row in rows] == [str(two.mine)]
    assert two.person.client.get("/admin/contacts/export/csv/").status_code == 403


def test_a_new_customer_of_his_is_his_own(two: Two, app: Flask) -> None:
    answer = two.person.client.post("/admin/customers/new/", data={"name": "New", "email": "new@example.com"})
    assert answer.status_code == 303
    assert two.person.client.get(answer.location).status_code == 200
    with app.app_context():
        made = db.session.query(Party).filter_by(email="new@example.com").one()
        assert made.owner_id == two.person.user_id


def test_his_key_reaches_no_more_than_he_does(two: Two, app: Flask, client: Any, api_key: Any) -> None:
    headers = api_key(user_id=two.person.user_id)
    listed = client.get("/api/v1/customers", headers=headers)
    assert listed.status_code == 200
    assert "elses secret" not in listed.text
    assert "My own" in listed.text
    assert client.get(f"/api/v1/customers/{two.mine}", headers=headers).status_code == 200
    assert client.get(f"/api/v1/customers/{two.other}", headers=headers).status_code == 404
    changed = client.patch(f"/api/v1/customers/{two.other}", headers=headers, json={"name": "Changed"})
    assert changed.status_code == 404
    moved = client.post(f"/api/v1/customers/{two.other}/activate", headers=headers, json={})
    assert moved.status_code == 404
    assert client.get(f"/api/v1/contacts/{two.other_contact}", headers=headers).status_code == 404
    with app.app_context():
        other = db.session.get_one(Party, two.other)
        assert (other.name, other.lifecycle) == (SECRET, Lifecycle.PROSPECT)
