"""The same thing twice at one moment, over real connections: one import, one undo, and the other gets a clear answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from crm.core.audit import Acting, acting_as
from crm.core.command import Command, Refused, perform
from crm.core.entity import db, face_named
from crm.core.jobs import JobState, bell, retry
from crm.core.transaction import run_in_transaction
from crm.importing import start, undo_looking
from crm.importing.start import AGAIN, AlreadyImported, import_file
from crm.importing.undoing import ask_undo
from crm.models.imports import Import
from tests.api.conftest import new_program
from tests.api.test_imports import PLAN, send
from tests.conftest import Own, _plain, sign_in
from tests.importing.conftest import asked
from tests.screens.test_imports import FILE, confirmed, mapped

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"


def _until_they_wait(begun: list[Future[Any]], own: Own) -> None:
    """Wait until all stand before a lock; nobody may have got past."""
    deadline = time.monotonic() + 60
    name = make_url(own.servers.database_url).database
    with psycopg.connect(_plain(str(own.servers.superuser_url)), autocommit=True) as watching:
        while watching.execute(WAITING, (name,)).fetchone() != (len(begun),):
            assert time.monotonic() < deadline
            assert not any(one.done() for one in begun), [one.result() for one in begun if one.done()]
            time.sleep(0.01)


@pytest.fixture
def at_once(own_database: Own) -> Callable[..., list[Any]]:
    """Do several things, each on a connection of its own, and hold all before their first lock on an import or a job:
    what they had read until then is old to all but one."""

    def run(*work: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(work)) as pool:
            with psycopg.connect(_plain(own_database.servers.owner_database_url)) as gate:
                gate.execute("LOCK TABLE import, job IN EXCLUSIVE MODE")
                begun = [pool.submit(one) for one in work]
                _until_they_wait(begun, own_database)
            return [one.result() for one in begun]

    return run


@pytest.fixture
def inside(own_database: Own) -> Callable[..., Any]:
    """A function that does work in a transaction of its own, and answers what that refused."""

    def made(work: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with own_database.app.app_context(), acting_as(Acting(via="test")):
                try:
                    return run_in_transaction(work)
                except (Refused, AlreadyImported) as fault:
                    return f"{fault}"

        return run

    return made


def _done(made: Command, number: int) -> str:
    (outcome,) = perform(made, [number], by=None, values={})
    return outcome.reason


def _imports(own: Own, task: str = "jobs.imports.load") -> int:
    with own.app.app_context():
        return int(db.session.scalar(db.text("SELECT count(*) FROM job WHERE task = :task"), {"task": task}) or 0)


def test_two_browsers_with_one_draft_start_one_import(own_database, at_once):
    person = sign_in(own_database.app)
    number = mapped(person, FILE)
    form = confirmed(person, number)
    address = f"/admin/imports/preview/?id={number}"

    def click() -> tuple[int, str, str]:
        browser = own_database.app.test_client()
        with person.client.session_transaction() as held, browser.session_transaction() as cookie:
            cookie.update(held)
        answer = browser.post(address, data=form)
        return answer.status_code, answer.location, browser.get(answer.location).text

    answers = at_once(click, click, click)
    assert {answer[:2] for answer in answers} == {(303, f"/admin/imports/progress/?id={number}")}
    assert sorted("It is running already" in page for _, _, page in answers) == [False, True, True]
    assert _imports(own_database) == 1


def test_two_people_with_one_file_start_one_import_and_the_other_is_asked(own_database, at_once):
    people = [sign_in(own_database.app), sign_in(own_database.app)]
    drafts = [(person, mapped(person, FILE)) for person in people]
    forms = [confirmed(person, number) for person, number in drafts]

    def click(place: int) -> Any:
        person, number = drafts[place]
        return person.client.post(f"/admin/imports/preview/?id={number}", data=forms[place])

    answers = at_once(lambda: click(0), lambda: click(1))
    assert sorted("/progress/" in answer.location for answer in answers) == [False, True]
    assert _imports(own_database) == 1
    (place,) = (place for place, answer in enumerate(answers) if "/preview/" in answer.location)
    person, number = drafts[place]
    page = person.client.get(answers[place].location).text
    assert "The same file is being imported already" in page
    assert "Import it all the same" in page
    forms[place] = confirmed(person, number)
    assert forms[place]["again"] == "1"
    assert "/progress/" in click(place).location
    assert _imports(own_database) == 2


def test_a_program_that_sends_a_file_twice_imports_it_once(own_database, at_once):
    ask = new_program(own_database.app, "customers:import")
    answers = at_once(lambda: send(ask, PLAN), lambda: send(ask, PLAN))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    (question,) = (answer.get_json()["detail"] for answer in answers if answer.status_code == 409)
    assert "is being imported already" in question
    again = json.dumps(PLAN | {"again": True})
    answers = at_once(*2 * [lambda: send(ask, again, Idempotency_Key="k1")])
    assert {answer.status_code for answer in answers} == {201}
    assert answers[0].get_json()["id"] == answers[1].get_json()["id"]
    assert _imports(own_database) == 2


def test_two_command_lines_with_one_file_start_one_import(own_database, at_once, inside, tmp_path: Path):
    path = tmp_path / "customers.csv"
    path.write_bytes(FILE)
    bring = inside(lambda: import_file(path, face_named("customer"))[0].id)
    answers = at_once(bring, bring)
    assert sorted(isinstance(answer, int) for answer in answers) == [False, True]
    assert any("is being imported already" in str(answer) for answer in answers)
    assert _imports(own_database) == 1


def test_two_windows_before_one_check_or_one_look_watch_the_same(own_database, at_once, inside, monkeypatch):
    monkeypatch.setattr(bell, "state", lambda: {"workers": 1})
    monkeypatch.setattr(start, "CHECKED_AT_ONCE", 0)
    monkeypatch.setattr(undo_looking, "AT_ONCE", -1)
    person = sign_in(own_database.app)
    number = mapped(person, FILE)
    ended, _ = _ended(inside, JobState.DONE)
    for address, task in (
        (f"/admin/imports/preview/?id={number}", start.CHECK),
        (f"/admin/imports/undo/?id={ended}", undo_looking.LOOK),
    ):
        answers = at_once(*2 * [lambda address=address: person.client.get(address)])
        assert {answer.status_code for answer in answers} == {200}
        assert all("Nothing is written yet" in answer.text for answer in answers)
        assert _imports(own_database, task) == 1


def _ended(inside: Any, state: JobState) -> tuple[int, int]:
    """An import that came to its end, and its job."""

    def work() -> tuple[int, int]:
        record, job = asked(FILE)
        record.plan = {**record.plan, AGAIN: False}  # nobody has said so
        job.state = state
        return record.id, job.id

    return inside(work)()


def test_a_job_that_is_retried_twice_runs_once(own_database, at_once, inside):
    _, job_id = _ended(inside, JobState.FAILED)
    again = inside(lambda: _done(retry, job_id))
    assert sorted(at_once(again, again)) == ["", "the job is waiting: only a failed or cancelled one can be retried"]
    assert _imports(own_database) == 1


def test_a_retry_and_the_same_file_again_are_one_import_and_a_question(own_database, at_once, inside, tmp_path: Path):
    _, job_id = _ended(inside, JobState.FAILED)
    path = tmp_path / "customers.csv"
    path.write_bytes(FILE)
    bring = inside(lambda: import_file(path, face_named("customer")) and "")
    answers = at_once(inside(lambda: _done(retry, job_id)), bring)
    assert sorted("he same file is being imported already" in answer for answer in answers) == [False, True], answers


@pytest.mark.parametrize("first", ["retry", "undo"])
def test_an_import_is_not_gone_on_with_while_it_is_undone(own_database, inside, first):
    """Whoever comes second waits for the other's end, whatever it read before."""
    import_id, job_id = _ended(inside, JobState.CANCELLED)
    ways = {"retry": lambda: _done(retry, job_id),
            "undo": lambda: ask_undo(db.session.get_one(Import, import_id), by=None) and ""}  # fmt: skip
    second = inside(ways["undo" if first == "retry" else "retry"])
    with ThreadPoolExecutor(1) as pool:
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            assert ways[first]() == ""
            begun = pool.submit(second)
            _until_they_wait([begun], own_database)
            db.session.commit()
        assert begun.result() == {"retry": "it is not at its end: cancel it first",
                                  "undo": "it was undone: send the file again"}[first]  # fmt: skip


def test_an_undo_that_is_asked_for_twice_runs_once(own_database, at_once, inside):
    import_id, _ = _ended(inside, JobState.DONE)
    undo = inside(lambda: ask_undo(db.session.get_one(Import, import_id), by=None).state and "")
    assert sorted(at_once(undo, undo)) == ["", "that is under way already"]
    assert _imports(own_database, "jobs.imports.undo") == 1
