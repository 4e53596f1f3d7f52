"""What a screen must refuse, and say so: taken numbers, lost updates, rights that would leak through a side door."""

from __future__ import annotations

import base64
import json

import pytest

from crm.core.command import Refused, command_named, perform
from crm.core.entity import db, face_named
from crm.models.access import Role, User
from tests.conftest import sign_in
from tests.factories import make
from tests.test_every_entity import _hidden

CUSTOMER, VENDOR, CONTACT = face_named("customer"), face_named("vendor"), face_named("contact")


@pytest.fixture
def admin(session, as_user):
    return as_user("admin")


@pytest.fixture
def rep(session, as_user):
    return as_user("sales_rep")


def opened(person, record, plural="customers"):
    """The hidden fields of an edit form as it was when the person opened it."""
    return _hidden(person.client.get(f"/admin/{plural}/edit/", query_string={"id": record.id}).text)


def save(person, record, data, plural="customers"):
    return person.client.post(f"/admin/{plural}/edit/", query_string={"id": record.id}, data=data)


def test_a_taken_number_comes_back_beside_its_field_with_what_was_typed(admin):
    make(CUSTOMER, account_number="A-1")
    record = make(CUSTOMER, account_number="A-2")
    answer = save(admin, record, opened(admin, record) | {"account_number": "A-1", "industry": "Mining"})
    assert answer.status_code == 422
    assert "is taken" in answer.text
    assert 'value="Mining"' in answer.text
    db.session.expire_all()
    assert (record.account_number, record.industry) == ("A-2", None)


def test_values_that_do_not_fit_each_other_are_refused(admin):
    record = make(CUSTOMER)
    assert save(admin, record, opened(admin, record) | {"price_from": "9", "price_to": "1"}).status_code == 422


def test_two_who_change_one_address_through_the_customer_meet(admin, own_database):
    person = sign_in(own_database.app, "admin")
    with own_database.app.app_context():
        record = make(CUSTOMER)
        CUSTOMER.put(record, "city", "Bonn")
        db.session.commit()
        number = record.id
        stub = type("Stub", (), {"id": number})
    first, second = opened(person, stub), opened(person, stub)
    assert save(person, stub, first | {"city": "Berlin"}).status_code == 303
    answer = save(person, stub, second | {"city": "Hamburg"})
    assert answer.status_code == 409
    assert "Berlin" in answer.text


@pytest.mark.parametrize("roles", [[""], ["", "vendor"]])
def test_a_customer_stays_a_customer(admin, roles):
    record = make(CUSTOMER)
    answer = save(admin, record, opened(admin, record) | {"roles": roles})
    assert answer.status_code == 422
    assert "must keep one that makes it a customer" in answer.text


def test_who_may_not_make_vendors_makes_none_by_a_tick(rep):
    answer = rep.client.post("/admin/customers/new/", data={
        "name": "Side door", "email": "a@example.com", "roles": ["business_customer", "vendor"]})  # fmt: skip
    assert answer.status_code == 422
    assert "you may not make a vendor of it" in answer.text


def test_who_may_not_reassign_gives_nothing_away(rep, admin):
    record = make(CUSTOMER, owner_id=rep.user_id)
    answer = save(rep, record, opened(rep, record) | {"owner": str(admin.user_id)})
    assert answer.status_code == 422
    assert "may reassign" in answer.text
    db.session.expire_all()
    assert record.owner_id == rep.user_id


def test_what_belongs_to_a_vendor_is_shown_within_the_scope_alone(rep, admin):
    vendor = make(VENDOR, name="Volt Supply")
    make(CONTACT, party_id=vendor.id, name="Hidden Person", is_primary=True)
    query = {"id": vendor.id, "relation": "contacts"}
    assert "Hidden Person" in admin.client.get("/admin/vendors/related/", query_string=query).text
    assert "Hidden Person" not in rep.client.get("/admin/vendors/related/", query_string=query).text
    assert "Hidden Person" not in rep.client.get("/admin/vendors/details/", query_string={"id": vendor.id}).text
    assert "Volt Supply" not in rep.client.get("/admin/vendors/", query_string={"search": "hidden person"}).text
    made = rep.client.post("/admin/contacts/new/", data={"party": str(vendor.id), "name": "Planted"})
    assert made.status_code == 422


def test_what_belongs_to_something_archived_is_read_only(admin):
    record = make(CUSTOMER)
    contact = make(CONTACT, party_id=record.id)
    archive = command_named(CUSTOMER, "archive")
    user = db.session.get_one(User, admin.user_id)
    assert perform(archive, [record.id], by=user, values={"reason": None})[0].done
    admin.client.post("/admin/contacts/new/", data={"party": str(record.id), "name": "Late"})
    admin.client.post("/admin/contacts/delete/", data={"id": str(contact.id), "confirm": "1"})
    save(admin, contact, opened(admin, contact, "contacts") | {"name": "Changed"}, "contacts")
    db.session.expire_all()
    assert [one.name for one in record.contacts] == [contact.name]
    assert contact.name != "Changed"


def test_people_are_picked_by_name_and_not_read(rep):
    assert rep.client.get("/admin/users/").status_code == 403
    assert rep.client.get("/admin/users/lookup/").get_json()["items"]


def test_there_is_always_an_administrator(admin, as_user):
    first, second = (db.session.get_one(User, one.user_id) for one in (admin, as_user("admin")))
    role = db.session.query(Role).filter_by(name="admin").one().id
    take = command_named(face_named("user"), "take_role")
    others = [user for user in db.session.query(User) if user not in (first, second)]
    for user in others:
        user.active = False
    db.session.flush()
    assert perform(take, [second.id], by=first, values={"role": role})[0].done
    with pytest.raises(Refused, match="no administrator"):
        take.run(first, by=second, role=role)


def test_odd_days_cursors_and_zones_are_refused_with_a_sentence(admin):
    cursor = base64.urlsafe_b64encode(json.dumps([1, "\ud800", 1, False]).encode()).decode().rstrip("=")
    for query in (
        {"flt_created_at_eq": "9999-12-31"},
        {"flt_created_at_le": "9999-12-31"},
        {"sort": "name", "after": cursor},
    ):
        assert admin.client.get("/admin/customers/", query_string=query).status_code == 422
    user = db.session.get_one(User, admin.user_id)
    assert save(admin, user, opened(admin, user, "users") | {"time_zone": "Europe"}, "users").status_code == 422
