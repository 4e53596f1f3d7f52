"""A value changed in the list itself: right, scope, version and faults are those of the form. And forms sent twice."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from crm.core.entity import db, face_named
from crm.models.access import AuditEntry
from crm.models.parties import Party
from tests.factories import make
from tests.test_every_entity import _hidden

CUSTOMER = face_named("customer")


@pytest.fixture
def admin(session: Any, as_user: Any) -> Any:
    return as_user("admin")


def cell(person: Any, record: Any, field: str = "email", **data: str) -> Any:
    address = f"/admin/customers/cell/?id={record.id}&field={field}"
    return person.client.post(address, data=data) if data else person.client.get(address)


def test_a_value_is_changed_where_it_stands(admin: Any) -> None:
    record = make(CUSTOMER, email="old@example.com")
    assert f'data-id="{record.id}"' in admin.client.get("/admin/customers/").text
    assert 'data-edit="email"' in admin.client.get("/admin/customers/").text
    asked = cell(admin, record)
    assert 'value="old@example.com"' in asked.text
    answer = cell(admin, record, email="New@Example.com", **_hidden(asked.text))
    assert answer.status_code == 200
    assert "mailto:new@example.com" in answer.text
    assert "<form" not in answer.text
    db.session.refresh(record)
    assert record.email == "new@example.com"
    last = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last is not None
    assert (last.actor_id, last.via) == (admin.user_id, "screen")
    assert set(last.changes) == {"email", "email_given", "email_state_at"}


def test_a_fault_stands_beside_it_and_nothing_changes(admin: Any) -> None:
    record = make(CUSTOMER, email="old@example.com")
    answer = cell(admin, record, email="nonsense", **_hidden(cell(admin, record).text))
    assert answer.status_code == 422
    assert "is not an e-mail address" in answer.text
    assert 'value="nonsense"' in answer.text
    db.session.expire_all()
    assert record.email == "old@example.com"


def test_whoever_was_slower_chooses(admin: Any) -> None:
    record = make(CUSTOMER, email="old@example.com")
    stale = _hidden(cell(admin, record).text) | {"_version": "1", "email": "mine@example.com"}
    record.email = "theirs@example.com"
    db.session.commit()
    answer = cell(admin, record, **stale)
    assert answer.status_code == 409
    assert "theirs@example.com" in answer.text
    fresh = _hidden(answer.text) | {"email": "mine@example.com"}
    assert "theirs@example.com" in cell(admin, record, pick_email="theirs", **fresh).text
    assert "mine@example.com" in cell(admin, record, pick_email="mine", **fresh).text
    db.session.expire_all()
    assert record.email == "mine@example.com"


def test_what_the_form_would_refuse_is_refused_here(admin: Any, as_user: Any) -> None:
    rep = as_user("sales_rep")
    foreign = make(CUSTOMER, email="old@example.com")
    own = make(CUSTOMER, owner_id=rep.user_id)
    assert cell(rep, foreign).status_code == 404
    assert cell(rep, foreign, email="x@example.com").status_code == 404
    assert cell(rep, own, "owner", owner=str(admin.user_id), **_hidden(cell(rep, own, "owner").text)).status_code == 422
    assert cell(as_user("auditor"), own).status_code == 403
    assert cell(admin, own, "name").status_code == 422  # not one of those that the declaration names
    db.session.expire_all()
    assert (foreign.email, own.owner_id) == ("old@example.com", rep.user_id)
    assert "data-edit" not in as_user("auditor").client.get("/admin/customers/").text


def test_what_is_archived_is_not_changed(admin: Any) -> None:
    record = make(CUSTOMER, email="old@example.com", archived_at=func.now())
    answer = cell(admin, record, email="x@example.com", **_hidden(cell(admin, record).text))
    assert answer.status_code == 422
    assert "restore it first" in answer.text
    db.session.expire_all()
    assert record.email == "old@example.com"
    assert "data-edit" not in admin.client.get("/admin/customers/?flt_status_eq=archived").text


def test_a_form_sent_twice_makes_one(admin: Any) -> None:
    form = _hidden(admin.client.get("/admin/customers/new/").text) | {"name": "Once", "email": "not an address"}
    assert admin.client.post("/admin/customers/new/", data=form).status_code == 422  # may be mended and sent again
    form["email"] = "once@example.com"
    first, second = (admin.client.post("/admin/customers/new/", data=form) for _ in range(2))
    assert first.location == second.location
    assert "made once" in admin.client.get(second.location).text
    assert db.session.scalar(select(func.count()).where(Party.name == "Once")) == 1
    other = _hidden(admin.client.get("/admin/customers/new/").text)
    admin.client.post("/admin/customers/new/", data=form | {"_token": other["_token"]})
    assert db.session.scalar(select(func.count()).where(Party.name == "Once")) == 2
