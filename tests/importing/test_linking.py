"""A file names other records: by whatever tells them apart, never guessed, and only those that the person may reach."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from crm.commands.access import create_user
from crm.core.entity import db, face_named
from crm.core.permissions import Scope
from crm.importing.plan import PlanRefused
from crm.importing.storage import uploads
from crm.models.access import RoleGrant
from crm.models.external_ids import ExternalId
from crm.models.imports import Duplicates
from crm.models.parties import Contact, Party
from crm.models.sales_deals import Deal
from crm.models.sales_orders import Order
from tests.factories import make
from tests.importing.conftest import counts


def reasons(record) -> dict[str, str]:
    """First cell → why the row wasn't taken."""
    with (uploads() / record.refused_name).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    return {row[0]: row[-1] for row in rows[1:]}


def test_a_record_is_named_by_code_number_e_mail_or_name_and_several_are_ambiguous(bring, session):
    customer = face_named("customer")
    ann = make(customer, name="Ann Smith", account_number="A-7", email="ann@x.org", tax_id="DE 12-3")
    for _ in range(2):
        make(customer, name="Bob Jones", email="bob@x.org")
    gone = make(customer, name="Gone")
    session.execute(text("UPDATE party SET archived_at = now() WHERE id = :id"), {"id": gone.id})
    make(face_named("vendor"), name="Only A Vendor")
    named = [ann.code.lower(), "A-7", "ANN@x.org", "ann smith", "de123", f"#{ann.id}"]
    unknown = [str(ann.id), "Gone", "Only A Vendor", "Nobody; DROP TABLE party"]
    several = ["Bob Jones", "bob@x.org"]
    rows = "".join(f'"{given}",Deal\n' for given in [*named, *unknown, *several])
    record = bring("customer,name\n" + rows, "deals", columns={"customer": "customer", "name": "name"})
    assert counts(record) == {"created": len(named), "refused": len(unknown), "ambiguous": len(several)}
    assert {deal.customer_id for deal in session.scalars(select(Deal))} == {ann.id}
    told = reasons(record)
    assert told["Gone"] == (
        "Customer: there is no customer with the code, account number, tax ID, e-mail or display name “Gone” that can be "
        "linked: bring it in first, or mend the value"
    )
    assert "are 2 customers: C-" in told["bob@x.org"]


def test_a_column_names_records_by_what_was_chosen_alone(bring, session):
    ann = make(face_named("customer"), name="77", account_number="A-7")
    bob = make(face_named("customer"), name="Bob", account_number="77")
    file = "customer,name\n77,Deal\n"
    for by, found in (("", bob), ("account_number", bob), ("name", ann)):
        bring(file, "deals", columns={"customer": "customer", "name": "name"}, styles={"customer": by})
        assert session.scalars(select(Deal).order_by(Deal.id.desc())).first().customer_id == found.id
    bring(
        f"customer,name\n{ann.id},Deal\n",
        "deals",
        styles={"customer": "id"},
        columns={"customer": "customer", "name": "name"},
    )
    assert session.scalars(select(Deal).order_by(Deal.id.desc())).first().customer_id == ann.id
    with pytest.raises(PlanRefused, match="can't be named by “phone”"):
        bring(file, "deals", columns={"customer": "customer", "name": "name"}, styles={"customer": "phone"})


def test_vins_are_compared_without_their_blanks_and_dashes(bring, session):
    car = make(face_named("vehicle"), vin="WVW-ZZZ 1JZ", brand="VW")
    record = bring("vin,date,kind\nwvwzzz1jz,2024-05-01,repair\n", "service-records",
                   columns={"vin": "vehicle", "date": "served_on", "kind": "kind"})  # fmt: skip
    assert counts(record) == {"created": 1}
    again = bring("VIN,Make,Model\nWVW ZZZ-1JZ,VW,Golf\n", "vehicles", duplicates=Duplicates.UPDATE)
    assert counts(again) == {"updated": 1}
    session.refresh(car)
    assert (car.model, len(car.service_records)) == ("Golf", 1)


def test_the_numbers_of_a_system_find_its_records_again_and_mean_nothing_to_another(bring, session):
    file = "id,name,industry\n7,Ann,Steel\n8,Bob,Wood\n"
    columns = {"id": "external_id", "name": "name", "industry": "industry"}
    assert counts(bring(file, system="erp", columns=columns)) == {"created": 2}
    changed = file.replace("Steel", "Paper")
    assert counts(bring(changed, system="erp", columns=columns, duplicates=Duplicates.UPDATE)) == {
        "updated": 1,
        "unchanged": 1,
    }
    assert counts(bring(changed, system="shop", columns=columns)) == {"created": 2}
    assert session.query(ExternalId).count() == 4
    deals = {"customer": "customer", "name": "name"}
    assert counts(bring("customer,name\n7,Deal\n", "deals", system="erp", columns=deals)) == {"created": 1}
    assert counts(bring("customer,name\n7,Deal 2\n", "deals", columns=deals)) == {"refused": 1}
    with pytest.raises(PlanRefused, match="say which system"):
        bring(file, columns=columns)


def test_links_and_new_records_stay_within_what_the_person_reaches(bring, session):
    """A manager of a team names a customer of another one: to that file there is none."""
    manager, _ = create_user(email="m@x.org", role="manager")
    mine = make(face_named("customer"), name="Mine", owner_id=manager.id)
    other, _ = create_user(email="o@x.org", role="manager")
    make(face_named("customer"), name="Theirs", owner_id=other.id)
    file = "customer,name\nMine,One\nTheirs,Other\n"
    record = bring(file, "deals", columns={"customer": "customer", "name": "name"}, by=manager.id)
    assert counts(record) == {"created": 1, "refused": 1}
    assert session.scalars(select(Deal)).one().customer_id == mine.id
    # Who finds everybody, but may bring in contacts of the team's customers alone, makes none of others.
    session.add(RoleGrant(role_id=manager.roles[0].id, pattern="customer.read", scope=Scope.ALL))
    session.flush()
    record = bring(file, "contacts", columns={"customer": "party", "name": "name"}, by=manager.id)
    assert counts(record) == {"created": 1, "refused": 1}
    assert reasons(record) == {"Theirs": "is outside of what you may reach"}
    assert session.scalars(select(Contact)).one().party_id == mine.id


def test_of_an_order_nothing_comes_in_by_a_line_that_is_refused(bring, session):
    make(face_named("customer"), name="Ann")
    make(face_named("product"), sku="T-1", name="Tyre", price=Decimal("99.5"), currency="EUR")
    columns = {"number": "order.number", "who": "order.customer", "sku": "product", "quantity": "quantity"}
    file = (
        "number,who,sku,quantity\n"
        "1,Ann,T-1,2\n1,Ann,T-1,\n"  # what the product says is filled in
        "2,Ann,T-9,1\n"  # no such product: no order either
        "3,Nobody,T-1,1\n3,Ann,T-1,1\n"  # the first row speaks for the order
        "4,Ann,T-1,-1\n"  # a rule of the line
        ",Ann,T-1,1\n"  # an order without a number of its own
    )
    record = bring(file, "purchases", columns=columns, constants={"order.currency": "EUR"})
    assert counts(record) == {"created": 3, "refused": 4}
    orders = {order.number: [(line.name, line.quantity, line.unit_price) for line in order.lines]
              for order in session.scalars(select(Order))}  # fmt: skip
    line = ("Tyre", Decimal(1), Decimal("99.5"))
    assert orders == {"1": [("Tyre", Decimal(2), Decimal("99.5")), line], None: [line]}
    assert "Order: row 5: Customer: there is no customer" in (uploads() / record.refused_name).read_text("utf-8-sig")


def test_rules_between_values_are_told_by_their_field(bring, session):
    make(face_named("customer"), name="Ann")
    columns = {"customer": "customer", "name": "name", "amount": "amount", "from": "opened_on", "to": "closed_on"}
    file = "customer,name,amount,from,to\nAnn,a,5,,\nAnn,b,,2024-05-02,2024-05-01\nAnn,c,,2024-05-01,2024-05-02\n"
    record = bring(file, "deals", columns=columns)
    assert counts(record) == {"created": 1, "refused": 2}
    text_of = (uploads() / record.refused_name).read_text("utf-8-sig")
    assert "Currency: is required with an amount" in text_of
    assert "Closed: lies before “opened”" in text_of


def test_a_contact_belongs_to_whoever_it_names_whatever_that_is(bring, session):
    make(face_named("vendor"), name="Steel Works")
    record = bring("company,first name,last name\nSteel Works,Ann,Smith\nSteel Works,Bob,Jones\n", "contacts",
                   columns={"company": "party", "first name": "first_name", "last name": "last_name"})  # fmt: skip
    assert counts(record) == {"created": 2}
    party = session.scalars(select(Party).where(Party.name == "Steel Works")).one()
    found = session.scalars(select(Contact).where(Contact.party_id == party.id).order_by(Contact.id)).all()
    assert [(one.name, one.is_primary) for one in found] == [("Ann Smith", True), ("Bob Jones", False)]
    assert db.session.scalar(select(Contact.id).where(Contact.name == "")) is None


def test_an_account_is_named_by_what_names_its_customer_and_what_is_never_changed_is_not_updated(bring, session):
    ann = make(face_named("customer"), name="Ann", account_number="A-7")
    account = make(face_named("credit_account"), party_id=ann.id)
    file = "customer no,number,amount,currency\nA-7,I-1,100.50,EUR\nA-8,I-2,1,EUR\n"
    columns = {"customer no": "account", "number": "number", "amount": "amount", "currency": "currency"}
    record = bring(file, "invoices", columns=columns)
    assert counts(record) == {"created": 1, "refused": 1}
    assert session.execute(text("SELECT account_id, amount FROM invoice")).all() == [(account.id, Decimal("100.5"))]
    assert "customer's account number" in reasons(record)["A-8"]
    assert counts(bring(file, "invoices", columns=columns)) == {"skipped": 1, "refused": 1}
    with pytest.raises(PlanRefused, match="never changed"):
        bring(file, "invoices", columns=columns, duplicates=Duplicates.UPDATE)
