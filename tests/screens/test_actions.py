"""Commands on ticked rows and on all that match, as the screens ask for them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobItem
from crm.models.parties import Party, Status
from tests.factories import make

CUSTOMER = face_named("customer")
QUERY = {"flt_industry_eq": "mining", "sort": "name"}


@pytest.fixture
def admin(session: Any, as_user: Any) -> Any:
    return as_user("admin")


def test_all_that_match_are_counted_named_and_fixed(admin: Any) -> None:
    for number in range(3):
        make(CUSTOMER, industry="Mining", name=f"Miner {number}")
    make(CUSTOMER, industry="Other")
    asked = admin.client.post("/admin/customers/action/", data=QUERY | {"action": "block", "all": "1"})
    assert "Block 3 customers?" in asked.text.replace(": ", " ")
    assert "Miner 2" in asked.text
    answer = admin.client.post(
        "/admin/customers/action/", data=QUERY | {"action": "block", "all": "1", "confirm": "1", "reason": "x"}
    )
    job = db.session.scalars(select(Job)).one()
    assert answer.location == f"/admin/jobs/details/?id={job.id}"
    assert (job.total, job.label) == (3, "Block: 3 customers")
    assert db.session.scalar(select(func.count()).select_from(JobItem).where(JobItem.job_id == job.id)) == 3


def test_where_nothing_matches_there_is_nothing_to_ask(admin: Any) -> None:
    answer = admin.client.post("/admin/customers/action/", data=QUERY | {"action": "block", "all": "1"})
    assert answer.status_code == 303
    assert answer.location == "/admin/customers/?flt_industry_eq=mining&sort=name"


def test_after_the_ticked_rows_the_list_is_as_it_was(admin: Any) -> None:
    ids = [make(CUSTOMER, industry="Mining").id for _ in range(2)]
    values = QUERY | {"action": "block", "rowid": ids}
    shown = admin.client.post("/admin/customers/action/", data=values)
    assert 'name="flt_industry_eq" value="mining"' in shown.text
    answer = admin.client.post("/admin/customers/action/", data=values | {"confirm": "1", "reason": "x"})
    assert answer.location == "/admin/customers/?flt_industry_eq=mining&sort=name"
    assert db.session.scalar(select(func.count()).where(Party.status == Status.BLOCKED)) == 2
    again = admin.client.post("/admin/customers/action/", data=values | {"confirm": "1", "reason": "x"})
    assert "it is blocked already" in again.text
    assert 'href="/admin/customers/?flt_industry_eq=mining&amp;sort=name"' in again.text


def test_what_was_typed_stays_when_a_command_refuses(admin: Any) -> None:
    blocked = make(CUSTOMER, name="Miner")
    asked = {"action": "block", "rowid": str(blocked.id), "confirm": "1", "reason": "Three letters came back"}
    assert admin.client.post("/admin/customers/action/", data=asked).status_code == 303
    again = admin.client.post("/admin/customers/action/", data=asked)
    assert again.status_code == 422
    assert "Not done: it is blocked already." in again.text
    assert "Three letters came back" in again.text
    db.session.expire_all()
    assert blocked.status == Status.BLOCKED
