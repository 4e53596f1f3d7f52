"""A lead becomes a customer with a contact and a deal: once, in one piece, and not beside one that is there already."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from crm.core.audit import Acting, acting_as
from crm.core.command import command_named, perform
from crm.core.entity import db, face_named
from crm.models.access import User
from crm.models.parties import Contact, Party
from crm.models.sales_deals import Deal
from crm.models.sales_journey import StageChange
from crm.models.sales_leads import Lead
from crm.queries.scope import row_scope
from tests.conftest import sign_in
from tests.factories import make

LEAD = face_named("lead")


def convert(lead, by, **values):
    asked = {"customer": None, "anyway": None, "deal": None} | values
    [outcome] = perform(
        command_named(LEAD, "convert"), [lead.id], by=by, values=asked, where=row_scope(LEAD, by, "convert")
    )
    return outcome.reason


def user(as_user, role="admin") -> User:
    return db.session.get(User, as_user(role).user_id)


def numbers() -> list[int]:
    return [db.session.scalar(select(func.count()).select_from(entity)) for entity in (Party, Contact, Deal)]


def test_one_action_makes_customer_contact_and_deal_and_the_lead_stays_linked(session, as_user):
    by, colleague = user(as_user), user(as_user, "sales_rep")
    track = make(face_named("nurture_track"))
    lead = make(LEAD, name="Ada Byron", first_name="Ada", last_name="Byron", company_name="Engines Ltd", designation="CEO",
                email="Ada@Engines.example", phone="+441234567890", city="London", country="GB", state_province="Greater London",
                budget=5000, currency="GBP", industry="Machines", owner_id=colleague.id, track_id=track.id)  # fmt: skip
    assert convert(lead, by) == ""
    party, contact, deal = lead.customer, lead.contact, lead.deal
    assert (party.name, str(party.kind), str(party.lifecycle), str(party.stage), str(party.sub_stage)) == (
        "Engines Ltd", "organization", "prospect", "prospect", "conversion")  # fmt: skip
    assert (party.email, party.owner_id, party.roles) == ("ada@engines.example", colleague.id, ["business_customer"])
    assert [(one.city, one.state, one.is_default) for one in party.addresses] == [("London", "Greater London", True)]
    assert (contact.name, contact.party_id, contact.designation, contact.email) == (
        "Ada Byron", party.id, "CEO", "ada@engines.example")  # fmt: skip
    session.refresh(contact)
    assert contact.is_primary
    assert (deal.name, deal.customer_id, deal.contact_id, deal.owner_id, deal.amount, deal.currency) == (
        "Ada Byron", party.id, contact.id, colleague.id, 5000, "GBP")  # fmt: skip
    session.refresh(lead)
    assert (str(lead.status), str(lead.track_end)) == ("converted", "converted")
    assert [str(one.sub_stage) for one in session.scalars(select(StageChange).where(StageChange.party_id == party.id))] == [
        "conversion"]  # fmt: skip
    before = numbers()
    assert convert(lead, by) == "it is converted already"
    assert numbers() == before


def test_what_a_lead_is_interested_in_becomes_a_line_of_the_deal(session, as_user):
    """By a sales person, whose rights reach that far; a price in another currency than the lead's budget isn't taken."""
    by = user(as_user, "sales_rep")
    van = make(face_named("product"), name="Van", sku="VAN", price=30_000, currency="EUR")
    for given, amount, line in (
        ({}, (30_000, "EUR"), 30_000),
        ({"budget": 25_000, "currency": "EUR"}, (25_000, "EUR"), 30_000),
        ({"budget": 28_000, "currency": "USD"}, (28_000, "USD"), 28_000),
    ):
        lead = make(LEAD, owner_id=by.id, interest_id=van.id, **({"budget": None, "currency": None} | given))
        assert convert(lead, by, anyway=True) == ""
        assert (lead.deal.amount, lead.deal.currency) == amount
        assert [(one.name, one.sku, one.product_id, one.quantity, one.unit_price) for one in lead.deal.lines] == [
            ("Van", "VAN", van.id, 1, line)]  # fmt: skip


def test_a_customer_that_is_there_is_chosen_never_doubled_by_accident(session, as_user):
    by = user(as_user)
    known = make(face_named("customer"), email="ada@example.com")
    person = make(face_named("contact"), party_id=known.id, email="ada@example.com")
    lead = make(LEAD, email="ada@example.com", phone=None)
    before = numbers()
    assert convert(lead, by) == (f"{known.code} has the same e-mail or phone number: "
                                 "choose it, or say that a new one is to be made")  # fmt: skip
    assert numbers() == before
    assert convert(lead, by, customer=known.id, deal="Two vans") == ""
    assert (lead.customer_id, lead.contact_id, lead.deal.name) == (known.id, person.id, "Two vans")
    assert numbers() == [before[0], before[1], before[2] + 1]
    again = make(LEAD, email="ada@example.com", phone=None)
    assert convert(again, by, anyway=True) == ""
    assert again.customer_id != known.id


def test_what_cannot_be_made_whole_is_not_made_at_all(session, as_user):
    by, rep = user(as_user), user(as_user, "sales_rep")
    archived = make(face_named("customer"), archived_at=db.func.now())
    lead = make(LEAD, owner_id=rep.id)
    before = numbers()
    assert "archived" in convert(lead, by, customer=archived.id)
    foreign = make(face_named("customer"), owner_id=by.id)
    before[0] += 1
    assert convert(lead, rep, customer=foreign.id) == "there is no such customer for you"
    assert convert(lead, rep, customer=2**62) == "there is no such customer for you"
    assert (numbers(), lead.converted_at, lead.customer_id) == (before, None, None)
    # Who may not hand customers out keeps what he makes; a lead of somebody else isn't his to convert.
    assert convert(lead, rep) == ""
    assert lead.customer.owner_id == rep.id
    assert convert(make(LEAD, owner_id=by.id), rep) == "there is no such record for you"


@pytest.mark.soak
def test_two_who_convert_at_once_make_one_customer(own_database):
    app, start, reasons = own_database.app, threading.Barrier(4), []
    with app.app_context(), acting_as(Acting(via="test")):
        by = sign_in(app, "admin").user_id
        lead = make(LEAD)
        db.session.commit()
        number, before = lead.id, numbers()

    def run() -> None:
        with app.app_context(), acting_as(Acting(user_id=by, via="test")):
            person, mine = db.session.get(User, by), db.session.get(Lead, number)
            start.wait()
            reasons.append(convert(mine, person))
            db.session.commit()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reasons) == ["", *["it is converted already"] * 3]
    with app.app_context():
        assert numbers() == [one + 1 for one in before]


def test_the_screen_begins_with_the_customer_that_matches_and_the_program_does_the_same(as_user, session):
    person = as_user("manager")
    known = make(face_named("customer"), email="ada@example.com", owner_id=person.user_id, name="Ada & Co")
    lead = make(LEAD, email="ada@example.com", name="Ada", owner_id=person.user_id)
    session.commit()
    shown = person.client.get(f"/admin/leads/details/?id={lead.id}").text
    assert f"{known.code} Ada &amp; Co has the same e-mail or phone number" in shown
    asked = person.client.get(f"/admin/leads/action/?action=convert&rowid={lead.id}").text
    assert f'<option value="{known.id}" selected>Ada &amp; Co</option>' in asked
    sent = {"action": "convert", "rowid": lead.id, "confirm": "1", "customer": known.id, "deal": "Vans"}
    done = person.client.post("/admin/leads/action/", data=sent, follow_redirects=True).text
    assert "Convert: done for Ada" in done
    assert "Ada &amp; Co</a>" in done
    assert "Vans" in person.client.get(f"/admin/customers/details/?id={known.id}&tab=deals").text
    assert (
        "it is converted already" in person.client.post("/admin/leads/action/", data=sent, follow_redirects=True).text
    )
    assert "action=convert" not in person.client.get(f"/admin/leads/details/?id={lead.id}").text
