"""Times in forms: the person's own zone, kept in UTC, and untouched where nobody touched them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from crm.core.entity import db, face_named
from crm.models.access import AuditEntry, User
from tests.conftest import Person
from tests.factories import make
from tests.test_every_entity import _hidden

TASK = face_named("task")


@pytest.fixture
def in_tokyo(session: Any, as_user: Callable[..., Person]) -> Person:
    person = as_user()
    session.get_one(User, person.user_id).time_zone = "Asia/Tokyo"
    session.commit()
    return person


def shown(person: Person, number: int) -> tuple[str, dict[str, str]]:
    """The control's value, and what the form carries along."""
    page = person.client.get(f"/admin/tasks/edit/?id={number}").text
    [control] = re.findall(r'<input[^>]* name="due_at"[^>]*>', page)
    assert 'type="datetime-local"' in control
    return re.search(r'value="([^"]*)"', control).group(1), _hidden(page)  # type: ignore[union-attr]


def saved(person: Person, record: Any, carried: dict[str, str], **typed: str) -> dt.datetime:
    answer = person.client.post(f"/admin/tasks/edit/?id={record.id}", data=carried | typed)
    assert answer.status_code == 303, answer.text
    db.session.expire_all()
    return record.due_at  # type: ignore[no-any-return]


def test_a_time_is_typed_in_the_person_s_own_zone(in_tokyo: Person) -> None:
    record = make(TASK, due_at=dt.datetime(2026, 5, 1, 20, 30, tzinfo=dt.UTC))
    value, carried = shown(in_tokyo, record.id)
    assert value == "2026-05-02T05:30"
    assert ">Time zone: Asia/Tokyo<" in in_tokyo.client.get("/admin/tasks/new/").text
    assert saved(in_tokyo, record, carried, due_at="2026-05-03T06:15") == dt.datetime(2026, 5, 2, 21, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize("exact", [0, 123456])
def test_a_time_that_nobody_touched_stays_to_the_microsecond(in_tokyo: Person, exact: int) -> None:
    record = make(TASK, due_at=dt.datetime(2026, 5, 1, 20, 30, 7, exact, tzinfo=dt.UTC))
    before = record.due_at
    value, carried = shown(in_tokyo, record.id)
    assert saved(in_tokyo, record, carried, due_at=value, subject="Another subject") == before
    last = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last is not None
    assert list(last.changes) == ["subject"]


def test_what_is_no_time_is_told(in_tokyo: Person) -> None:
    record = make(TASK)
    _, carried = shown(in_tokyo, record.id)
    for typed in ("soon", "0001-01-01T00:00", "9999-12-31T23:59"):
        answer = in_tokyo.client.post(f"/admin/tasks/edit/?id={record.id}", data=carried | {"due_at": typed})
        assert answer.status_code == 422, typed
