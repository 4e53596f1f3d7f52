"""Whatever is sent, over screens or API, the answer is a sentence: never an error of ours, never a change.

`make test` sends a part of it, for each entity another; `make soak` sends all, paired anew in each round.
"""

from __future__ import annotations

import datetime as dt
import json
import os

import pytest
from werkzeug.test import TestResponse

from crm.commands import access
from crm.core.entity import all_faces, db
from tests.factories import make
from tests.hostile import Attempt, attempts
from tests.untouched import Tables

# What is the same under each of an entity's faces is tried under the first.
FACES = [face for face in all_faces() if face.about.screen and face is face.entity.faces[0]]
# Each way of being hostile meets two of the entities.
STRIDE = 1 if os.environ.get("SOAK_N") else len(FACES) // 2
LEAST = 200
NEVER_TAKEN = ("a number that is none", "a field", "a verb", "ten megabytes", "a body", "an old way in")
TOLD = ("Traceback", "psycopg", "sqlalchemy")


@pytest.mark.soak
@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_hostile_requests_get_an_answer_and_change_nothing(
    face, session, app, as_user, api_key, soak_round, monkeypatch
):
    monkeypatch.setattr(access, "SEEN_EVERY", dt.timedelta(days=1))  # who is seen again is noted: that is a change
    record_id = make(face).id
    session.commit()
    admin, key = as_user("admin"), api_key()
    tried = attempts(face, record_id, soak_round)
    assert len(tried) >= LEAST
    seen = [admin.client.get("/admin/"), app.test_client().get("/api/v1/customers", headers=key)]
    assert [answer.status_code for answer in seen] == [200, 200]
    tables = Tables(app)
    for attempt in tried[FACES.index(face) % STRIDE :: STRIDE]:
        inner = db.engines[None].begin_nested()
        answer = _send(attempt, app, admin.client, key)
        _check(attempt, answer)
        changed = tables.changed()
        sane = attempt.maybe_sane and answer.status_code in (200, 201, 303)
        assert not changed or sane, f"{attempt}\n{answer.status} changed {changed}"
        if attempt.of_program and answer.status_code == 422 and attempt.maybe_sane:
            _send_the_rest(attempt, answer, app, key)
        inner.rollback()
        session.rollback()


def _send(attempt: Attempt, app, browser, key) -> TestResponse:
    client, headers = (app.test_client(), key) if attempt.of_program else (browser, {})
    try:
        return client.open(attempt.path, method=attempt.method, data=attempt.data, headers=headers | attempt.headers)
    except Exception as fault:
        fault.add_note(str(attempt))
        raise


def _check(attempt: Attempt, answer: TestResponse) -> None:
    body = answer.get_data(as_text=True)
    assert answer.status_code < 500, attempt
    assert answer.status_code != 429, attempt
    assert answer.status_code >= 400 or attempt.what not in NEVER_TAKEN, (attempt, answer.status)
    assert not [word for word in TOLD if word in body], attempt
    assert answer.mimetype != "text/html" or "<script>alert(1)" not in body, attempt
    assert "evil.test" not in answer.headers.get("Location", ""), attempt
    if attempt.of_program and answer.status_code >= 400 and attempt.method not in ("HEAD", "TRACE", "CONNECT"):
        assert answer.content_type == "application/problem+json", attempt
        assert answer.get_json()["status"] == answer.status_code


def _send_the_rest(attempt: Attempt, answer: TestResponse, app, key) -> None:
    """What was not refused alone must be kept or refused by its field: so it gets as far as the database."""
    given = json.loads(attempt.data or b"{}")
    good = {name: value for name, value in given.items() if name not in answer.get_json().get("errors", {})}
    again = app.test_client().post(attempt.path, json={"name": "x"} | good, headers=key)
    assert again.status_code in (200, 201, 409, 422), (attempt, again.get_data(as_text=True)[:300])
