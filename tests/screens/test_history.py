"""The history of a record and the audit's own screens: all that happened, in parts, as far as one may see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Flask
from sqlalchemy import select

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.models.access import AuditEntry
from crm.models.parties import Contact, Party
from crm.queries.history import SHOWN


def customer(app: Flask, changes: int = 1) -> tuple[int, int]:
    """A customer with a contact that was changed; made by an import. Answers their numbers."""
    with app.app_context(), acting_as(Acting(via="import 12", request_id="import-12")):
        party = Party(name="Northwind", roles=["business_customer"])
        contact = Contact(name="Ann Old", email="ann@old.example")
        party.contacts.append(contact)
        db.session.add(party)
        db.session.commit()
        contact.name, contact.email = "Ann New", "ann@new.example"
        db.session.commit()
        for number in range(changes):
            party.industry = f"Industry {number}"
            db.session.commit()
        return party.id, contact.id


def test_the_history_tells_of_the_record_and_of_what_belongs_to_it(app: Flask, as_user: Callable[..., Any]) -> None:
    party, _ = customer(app)
    shown = as_user("admin").client.get(f"/admin/customers/history/?id={party}").text
    for words in ("made this customer", "added the contact Ann New", "changed the contact Ann New", "Ann Old",
                  "ann@old.example", "By import 12", "Request import-12", "Industry 0"):  # fmt: skip
        assert words in shown, words


def test_it_comes_in_parts_that_follow_each_other(app: Flask, as_user: Callable[..., Any]) -> None:
    party, _ = customer(app, changes=SHOWN + 5)
    person = as_user("admin")
    first = person.client.get(f"/admin/customers/history/?id={party}").text
    more = re.search(r'hx-get="([^"]+before=\d+)"', first)
    assert more is not None
    second = person.client.get(more[1].replace("&amp;", "&")).text
    told = [re.findall(r"Industry (\d+)", part) for part in (first, second)]
    assert len(re.findall("<li", first)) == SHOWN
    assert not set(told[1]) - {str(n) for n in range(6)}
    assert "made this customer" in second
    assert "before=" not in second
    assert person.client.get(f"/admin/customers/history/?id={party}&before=x").status_code == 422


def test_who_may_not_read_contacts_personally_sees_no_past_values_of_them(
    app: Flask, as_user: Callable[..., Any]
) -> None:
    party, contact = customer(app)
    person = as_user("auditor")
    page = person.client.get(f"/admin/customers/history/?id={party}")
    assert page.status_code == 200
    assert "ann@old.example" not in page.text
    assert "Ann Old" not in page.text
    with app.app_context():
        entry = db.session.scalars(select(AuditEntry.id).where(
            AuditEntry.entity == "contact", AuditEntry.record_id == contact, AuditEntry.action == "update")).one()  # fmt: skip
    one = person.client.get(f"/admin/audit/details/?id={entry}")
    assert one.status_code == 200
    assert "ann@old.example" not in one.text


def test_the_audit_is_filtered_by_who_what_and_when_and_says_how_far_it_is_sealed(
    app: Flask, as_user: Callable[..., Any]
) -> None:
    party, contact = customer(app)
    person = as_user("auditor")
    page = person.client.get(f"/admin/audit/?flt_entity_eq=contact&flt_record_id_eq={contact}&flt_via_eq=import 12")
    assert page.status_code == 200
    assert "2" in re.search(r'class="count">([^<]+)', page.text)[1]  # type: ignore[index]
    assert "Sealed up to entry" in page.text
    assert "wait for it" in page.text
    with app.app_context():
        entry = db.session.scalars(select(AuditEntry.id).where(
            AuditEntry.entity == "party", AuditEntry.record_id == party, AuditEntry.action == "update")).one()  # fmt: skip
    one = person.client.get(f"/admin/audit/details/?id={entry}").text
    for words in ("Industry 0", "Not sealed yet", f"/admin/{face_named('customer').plural}/details/?id={party}"):
        assert words in one, words
