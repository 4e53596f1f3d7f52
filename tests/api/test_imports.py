"""A program sends a file with its plan: the same engine as the wizard's, checked, loaded, watched, stopped."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from crm.core.entity import db
from crm.core.jobs import Job
from crm.importing.storage import keep, uploads
from crm.models.imports import Import
from crm.models.parties import Party
from jobs import runner
from tests.api.conftest import new_program

FILE = b"Who,Mail,Town\nAnn,ann@x.org,Bonn\nBob,bob@x.org,Ulm\nCyd,nowhere,Jena\n"
PLAN = {"entity": "customers", "columns": {"Who": "name", "Mail": "email", "Town": "city"}}


def send(ask: Any, plan: Any, data: bytes | None = FILE, **headers: str) -> TestResponse:
    parts: dict[str, Any] = {"plan": plan if isinstance(plan, str) else json.dumps(plan)}
    if data is not None:
        parts["file"] = (io.BytesIO(data), "people.csv")
    sent = ask.headers | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = ask.app.test_client().post("/api/v1/imports", data=parts, headers=sent, content_type="multipart/form-data")
    assert answer.status_code < 400 or answer.content_type == "application/problem+json", answer.get_data(as_text=True)
    return answer


@pytest.fixture
def kept(monkeypatch) -> list[str]:
    """The names under which files are kept; others keep files in the same folder meanwhile."""
    names: list[str] = []

    def noted(*given: Any, **more: Any) -> Any:
        stored = keep(*given, **more)
        names.append(stored.name)
        return stored

    monkeypatch.setattr("crm.importing.start.keep", noted)
    return names


def left(kept: list[str]) -> list[str]:
    return [name for name in kept if (uploads() / name).exists()]


def number_of(entity: Any) -> int:
    return int(db.session.scalar(select(func.count()).select_from(entity)) or 0)


def test_a_dry_run_says_what_would_happen_and_keeps_nothing(program, session, kept):
    ask = program("customers:import")
    answer = send(ask, PLAN | {"dry_run": True})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found = answer.get_json()["findings"]
    assert {name: n for name, n in found["counts"].items() if n} == {"rows": 3, "created": 2, "refused": 1}
    assert "e-mail" in found["rows"][2]["reason"]
    assert (number_of(Import), number_of(Party), left(kept)) == (0, 0, [])


def test_from_the_file_to_the_refused_rows(own_database):
    ask = new_program(own_database.app, "customers:import")
    made = send(ask, PLAN | {"constants": {"industry": "Mining"}}, Idempotency_Key="k1")
    assert made.status_code == 201, made.get_data(as_text=True)
    path = made.headers["Location"].removeprefix("/api/v1")
    document = made.get_json()
    assert (document["state"], document["plan"]["columns"], document["refused"]) == (
        "waiting", {"0": "name", "1": "email", "2": "city"}, None)  # fmt: skip
    # Again with the same key it is the same import; without one it is asked about.
    again = send(ask, PLAN | {"constants": {"industry": "Mining"}}, Idempotency_Key="k1")
    assert (again.data, again.headers["Idempotent-Replayed"]) == (made.data, "true")
    assert send(ask, PLAN, Idempotency_Key="k1").status_code == 422
    question = send(ask, PLAN)
    assert (question.status_code, "again" in question.get_json()["detail"]) == (409, True)
    assert ask("GET", f"{path}/refused").status_code == 409
    with own_database.app.app_context():
        assert runner.run(db.session.scalars(select(Job.id)).one()) == "done"
        assert {party.name: party.industry for party in db.session.scalars(select(Party))} == {
            "Ann": "Mining",
            "Bob": "Mining",
        }
    document = ask.get(path)
    assert (document["state"], document["progress"], document["error"]) == ("done", None, None)
    assert {name: n for name, n in document["counts"].items() if n} == {"rows": 3, "created": 2, "refused": 1}
    with ask("GET", document["refused"].removeprefix("/api/v1")) as answer:
        rows = answer.get_data(as_text=True)
    assert (rows.count("\n"), "Cyd" in rows, "_error" in rows) == (2, True, True)
    assert ask("POST", f"{path}/cancel").status_code == 409
    # Another's isn't there; whoever lacks the scope learns that.
    assert new_program(own_database.app, "customers:import", role="manager")("GET", path).status_code == 404
    assert new_program(own_database.app, "customers:read")("GET", path).status_code == 403
    update = send(
        ask, PLAN | {"duplicates": "update", "match": ["email"], "again": True}, FILE.replace(b"Ulm", b"Kiel")
    )
    stopped = ask("POST", f"{update.headers['Location'].removeprefix('/api/v1')}/cancel")
    assert (stopped.status_code, stopped.get_json()["state"]) == (200, "cancelled")


@pytest.mark.parametrize(
    ("plan", "status", "name"),
    [
        ("{", 400, ""),
        ("[]", 422, ""),
        ({}, 422, "entity"),
        ({"entity": "jobs"}, 422, "entity"),
        ({"entity": "customers", "rows": {"2": "C-000001"}}, 422, "rows"),
        ({"entity": ["customers"]}, 422, "entity"),
        (PLAN | {"colums": {}}, 422, "colums"),
        (PLAN | {"columns": ["name"]}, 422, "columns"),
        (PLAN | {"columns": {"Nowhere": "name"}}, 422, "plan"),
        (PLAN | {"columns": {"Who": "nothing"}}, 422, "plan"),
        (PLAN | {"columns": {"Town": "city"}}, 422, "plan"),
        (PLAN | {"duplicates": "guess"}, 422, "duplicates"),
        (PLAN | {"match": {"email": 1}}, 422, "match"),
        (PLAN | {"match": ["shoe size"]}, 422, "plan"),
        (PLAN | {"styles": {"Town": 1}}, 422, "styles"),
        (PLAN | {"words": {"type": "x"}}, 422, "words"),
        (PLAN | {"known_only": "yes"}, 422, "known_only"),
        (PLAN | {"country": "Narnia"}, 422, "plan"),
        (PLAN | {"options": {"encoding": 5}}, 422, "file"),
        (PLAN | {"options": {"encoding": "klingon"}}, 422, "file"),
        (PLAN | {"options": {"header": 900}}, 422, "file"),
        (PLAN | {"dry_run": "true"}, 422, "dry_run"),
        (PLAN | {"system": "a\x00b"}, 422, "system"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_its_part(program, session, kept, plan, status, name):
    answer = send(program(), plan)
    assert (answer.status_code, name in answer.get_json().get("errors", {"": ""})) == (status, True), answer.get_json()
    assert (number_of(Import), left(kept)) == (0, [])


def test_files_that_are_none_and_keys_that_may_not(program, session):
    ask = program()
    assert "file" in send(ask, PLAN, None).get_json()["errors"]
    assert "PDF" in send(ask, PLAN, b"%PDF-1.4 ...").get_json()["errors"]["file"]
    assert ask("POST", "/imports", PLAN).status_code == 415
    assert (ask("GET", "/imports").status_code, ask("DELETE", "/imports/1").status_code) == (405, 405)
    for path in ("/imports/1", "/imports/x", "/imports/1/refused", f"/imports/{'9' * 30}"):
        assert ask("GET", path).status_code == 404, path
    assert send(program("customers:write"), PLAN).status_code == 403
    assert send(program("vendors:import"), PLAN).status_code == 403
    assert send(program("customers:import", role="auditor"), PLAN).status_code == 403


def test_a_large_file_is_tried_in_the_background(own_database, monkeypatch):
    monkeypatch.setattr("crm.importing.start.CHECKED_AT_ONCE", 10)
    ask = new_program(own_database.app, "customers:import")
    asked = send(ask, PLAN | {"dry_run": True})
    assert (asked.status_code, asked.get_json()["state"]) == (202, "checking")
    with own_database.app.app_context():
        assert runner.run(db.session.scalars(select(Job.id)).one()) == "done"
    found = ask.get(asked.headers["Location"].removeprefix("/api/v1"))
    assert (found["state"], found["findings"]["counts"]["created"]) == ("checked", 2)
