"""What belongs to a record is written in its form: each row with its own right, scope and version, with and without a
script; and a choice on the conflict page is what is saved."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from crm.core.about import Inline
from crm.core.entity import About, DeclarationError, Entity, Section, check_declarations, db, face_named, forget
from crm.core.fields import text_field
from crm.models.parties import Address, Contact, Party
from tests.conftest import Own, sign_in
from tests.factories import make
from tests.test_every_entity import _hidden
from tests.wellformed import inputs

CUSTOMER, CONTACT = face_named("customer"), face_named("contact")


@pytest.fixture
def admin(session: Any, as_user: Any) -> Any:
    return as_user("admin")


def without_blanks(page: str) -> str:
    """The page without the rows that the script copies."""
    return re.sub(r"<template.*?</template>", "", page, flags=re.S)


def opened(person: Any, record: Any) -> dict[str, str]:
    """The hidden fields of the form, and those of its rows."""
    page = without_blanks(person.client.get(f"/admin/customers/edit/?id={record.id}").text)
    return _hidden(page) | {name: value for name, value in _inputs(page).items() if "-_" in name}


def _inputs(page: str) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in inputs(page) if one.get("type") == "hidden"}


def save(person: Any, record: Any, data: dict[str, Any]) -> Any:
    return person.client.post(f"/admin/customers/edit/?id={record.id}", data=data)


def names(record: Any) -> list[str]:
    db.session.expire_all()
    return sorted(one.name for one in record.contacts)


def test_a_new_customer_comes_with_contacts_and_addresses(admin: Any) -> None:
    shown = admin.client.get("/admin/customers/new/").text
    assert "Add a contact" in shown
    answer = admin.client.post("/admin/customers/new/", data={
        "name": "Acme", "email": "a@acme.example", "contacts-0-name": "Ann", "contacts-0-email": "Ann@Acme.example",
        "contacts-1-name": "", "contacts-1-email": "", "contacts-7-name": "Bob", "addresses-0-kind": "billing",
        "addresses-0-city": "Bonn"})  # fmt: skip
    assert answer.status_code == 303
    record = db.session.scalars(select(Party).where(Party.name == "Acme")).one()
    assert names(record) == ["Ann", "Bob"]
    assert [one.is_primary for one in record.contacts] == [True, False]
    assert [(one.city, one.is_default) for one in record.addresses] == [("Bonn", True)]


def test_a_fault_in_a_row_is_named_and_nothing_at_all_is_made(admin: Any) -> None:
    answer = admin.client.post("/admin/customers/new/", data={
        "name": "Acme", "email": "a@acme.example", "contacts-0-name": "Ann", "contacts-0-email": "nonsense"})  # fmt: skip
    assert answer.status_code == 422
    assert 'href="#contacts-0-email">Contact: E-mail</a>' in answer.text
    assert 'value="nonsense"' in answer.text
    assert db.session.scalar(select(func.count()).where(Party.name == "Acme")) == 0


def test_rows_are_changed_added_and_removed_together(admin: Any) -> None:
    record = make(CUSTOMER)
    ann = make(CONTACT, party_id=record.id, name="Ann")
    make(CONTACT, party_id=record.id, name="Bob")
    make(CONTACT, party_id=record.id, name="Cid")
    db.session.commit()
    form = opened(admin, record)
    places = {form[f"contacts-{n}-_id"]: n for n in range(3)}
    row = places[str(ann.id)]
    other = next(n for number, n in places.items() if number != str(ann.id))
    gone = db.session.get_one(Contact, int(form[f"contacts-{other}-_id"])).name
    answer = save(admin, record, form | {f"contacts-{row}-name": "Anna", f"contacts-{other}-_remove": "1",
                                         "contacts-9-name": "Dora"})  # fmt: skip
    assert answer.status_code == 303
    assert names(record) == sorted({"Anna", "Bob", "Cid", "Dora"} - {gone})


def test_where_one_row_is_refused_all_are_shown_as_they_were_sent(admin: Any) -> None:
    record = make(CUSTOMER)
    for name in ("Ann", "Bob"):
        make(CONTACT, party_id=record.id, name=name)
    db.session.commit()
    form = opened(admin, record)
    answer = save(
        admin, record, form | {"contacts-0-_remove": "1", "contacts-1-email": "nonsense", "contacts-9-name": "Dora"}
    )
    assert answer.status_code == 422
    sent = _inputs(without_blanks(answer.text))
    assert {sent["contacts-0-_id"], sent["contacts-1-_id"]} == {form["contacts-0-_id"], form["contacts-1-_id"]}
    assert "contacts-9-_id" not in sent
    assert 'value="Dora"' in answer.text
    assert 'value="nonsense"' in answer.text
    assert names(record) == ["Ann", "Bob"]


def test_without_a_script_a_button_gives_another_row(admin: Any) -> None:
    record = make(CUSTOMER)
    answer = save(
        admin, record, opened(admin, record) | {"_more": "contacts", "name": "Typed", "contacts-0-name": "Ann"}
    )
    assert answer.status_code == 200
    page = without_blanks(answer.text)
    assert 'name="contacts-0-name"' in page
    assert 'value="Ann"' in page
    assert 'name="contacts-1-name"' in page
    assert 'value="Typed"' in page
    assert names(record) == []


def test_two_who_change_one_contact_meet_and_the_choice_counts(own_database: Own) -> None:
    app = own_database.app
    person = sign_in(app, "admin")
    with app.app_context():
        record = make(CUSTOMER, name="Acme", industry="Old")
        make(CONTACT, party_id=record.id, name="Ann", designation="Old")
        db.session.commit()
        stub = type("Stub", (), {"id": record.id})
    first, second = opened(person, stub), opened(person, stub)
    changes = {"contacts-0-designation": "Theirs", "industry": "Theirs"}
    assert save(person, stub, first | changes).status_code == 303
    answer = save(person, stub, second | {"contacts-0-designation": "Mine", "contacts-0-name": "Anna", "industry": "Mine",
                                          "name": "Acme 2"})  # fmt: skip
    assert answer.status_code == 409
    shown = answer.text
    assert "Contact Ann: Title" in shown
    assert "pick_contacts-0-name" not in shown  # only she changed it
    again = _inputs(answer.text) | {"pick_contacts-0-designation": "theirs", "pick_industry": "theirs"}
    assert save(person, stub, again).status_code == 303
    with app.app_context():
        found = db.session.get_one(Party, stub.id)
        contact = found.contacts[0]
        assert (found.name, found.industry, contact.name, contact.designation) == ("Acme 2", "Theirs", "Anna", "Theirs")
    # Chosen on a page that is itself too old by now: asked again.
    third = {"contacts-0-designation": "Late", "pick_contacts-0-designation": "mine"}
    assert save(person, stub, second | third).status_code == 409


def test_a_row_reaches_nothing_that_is_not_the_person_s(admin: Any, as_user: Any) -> None:
    rep = as_user("sales_rep")
    own, foreign = make(CUSTOMER, owner_id=rep.user_id), make(CUSTOMER)
    secret = make(CONTACT, party_id=foreign.id, name="Secret")
    mine = make(CONTACT, party_id=own.id, name="Mine")
    db.session.commit()
    sent = opened(rep, own)
    for more in ({"contacts-5-_id": str(secret.id), "contacts-5-name": "Stolen"},
                 {"contacts-5-_id": str(secret.id), "contacts-5-_remove": "1", "contacts-5-_version": str(secret.xmin)}):  # fmt: skip
        answer = save(rep, own, sent | more)
        assert answer.status_code == 422
        assert "not for you" in answer.text
    # Also who may reach both moves nothing from one customer to another.
    assert (
        save(admin, own, opened(admin, own) | {"contacts-5-_id": str(secret.id), "contacts-5-name": "X"}).status_code
        == 422
    )
    db.session.expire_all()
    assert (secret.name, secret.party_id, mine.name) == ("Secret", foreign.id, "Mine")


def test_more_than_fit_into_a_form_have_their_list(admin: Any) -> None:
    record = make(CUSTOMER)
    db.session.execute(Contact.__table__.insert(), [{"party_id": record.id, "name": f"C{n}"} for n in range(51)])
    db.session.commit()
    assert "contacts-0-name" not in admin.client.get(f"/admin/customers/edit/?id={record.id}").text
    many = {f"contacts-{n}-name": "x" for n in range(101)}
    answer = admin.client.post("/admin/customers/new/", data={"name": "Y", "email": "y@example.com"} | many)
    assert answer.status_code == 422
    assert "at most fit" in answer.text


def test_the_default_address_stands_in_the_form_once(admin: Any) -> None:
    record = make(CUSTOMER)
    CUSTOMER.put(record, "city", "Bonn")
    db.session.add(Address(party_id=record.id, kind="billing", city="Ulm"))
    db.session.commit()
    sent = opened(admin, record)
    assert [name for name in sent if name.endswith("-_id")] == ["addresses-0-_id"]


@pytest.mark.parametrize("inline", [Inline("contacts.notes", ("name",)), Inline("contacts", ("name",), most=51),
                                    Inline("contacts", ("nothing",)), Inline("owner", ("name",))])  # fmt: skip
def test_a_deeper_declaration_stops_the_start(inline: Inline) -> None:
    before = CUSTOMER.about
    object.__setattr__(CUSTOMER, "about", replace(before, inline=(inline,)))
    try:
        with pytest.raises(DeclarationError, match="inline"):
            check_declarations()
    finally:
        object.__setattr__(CUSTOMER, "about", before)
    check_declarations()


def test_a_quick_field_must_be_a_column_of_the_form() -> None:
    class QuickThing(Entity):
        """A declaration with a slip."""

        about = About(area="Yard", title="plate", columns=("plate", "created_at"), quick=("created_at",),
                      sections=(Section("One", ("plate",)),))  # fmt: skip
        plate = text_field()

    try:
        with pytest.raises(DeclarationError, match=r"quick.*created_at"):
            check_declarations()
    finally:
        forget(QuickThing)
