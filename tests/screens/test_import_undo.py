"""Pausing an import, and the way back from one: who may, what is asked, what is told, and what the history says."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from crm.core.entity import db
from crm.core.jobs import Job, JobState, bell
from crm.importing import undo_looking, undoing
from crm.importing.undoing import run_undo
from crm.models.imports import Import
from crm.models.parties import Party
from tests.screens.test_imports import end, mapped, run

FIRST = b"name,email,industry\nAnn,ann@x.org,Steel\nBob,bob@x.org,Wood\n"
SECOND = b"name,email,industry\nAnna,ann@x.org,Glass\nBob,bob@x.org,Paper\nCid,cid@x.org,Salt\n"


def bring(app, person, data: bytes, **more) -> int:
    number = mapped(person, data, **more)
    assert run(person, number).status_code == 303
    end(app, number)
    return number


def finish(app, number: int) -> None:
    with app.app_context():
        job = db.session.get_one(Import, number).undo_job
        for step in run_undo(job):
            job.done, job.total, job.checkpoint, job.result = step.done, step.total, step.checkpoint, step.result
            db.session.commit()
        job.state = JobState.DONE
        db.session.commit()


def test_from_the_report_over_the_question_to_what_was_left(app, as_user):
    person = as_user("manager")
    bring(app, person, FIRST)
    number = bring(app, person, SECOND, duplicates="update")
    with app.app_context():
        ann = db.session.query(Party).filter_by(email="ann@x.org").one()
        ann.industry = "Gold"
        key, ann_id = f"party:{ann.id}:industry", ann.id
        db.session.commit()
    report = person.client.get(f"/admin/imports/progress/?id={number}").text
    assert "Undo this import" in report
    page = person.client.get(f"/admin/imports/undo/?id={number}").text
    assert "Industry: was Steel, the import wrote Glass, now Gold" in page
    assert f'name="chosen" value="{key}"' in page
    assert "go into the archive" in page
    for _ in range(2):  # a double click
        answer = person.client.post(f"/admin/imports/undo/?id={number}")
        assert (answer.status_code, answer.location) == (303, f"/admin/imports/undo/?id={number}")
    assert 'hx-get="/admin/imports/undo-status/' in person.client.get(answer.location).text
    finish(app, number)
    page = person.client.get(f"/admin/imports/undo-status/?id={number}").text
    assert "Left as it is" in page
    assert "now Gold" in page
    assert "Put back all the same" not in page
    assert "Undone" in person.client.get(f"/admin/imports/progress/?id={number}").text
    history = person.client.get(f"/admin/customers/history/?id={ann_id}").text
    for words in (f'Undo of the import of <a href="/admin/imports/undo/?id={number}">customers.csv</a>',
                  f'Import of <a href="/admin/imports/progress/?id={number}">customers.csv</a>'):  # fmt: skip
        assert words in history
    again = bring(app, person, SECOND, duplicates="update")
    assert again > number, "no question whether the same file is to be imported again"
    for address in ("progress", "details"):
        assert person.client.get(f"/admin/imports/{address}/?id={number}").status_code == 200


def test_what_one_ticks_goes_back_though_it_was_changed_since(app, as_user):
    person = as_user("manager")
    bring(app, person, FIRST)
    number = bring(app, person, SECOND, duplicates="update")
    with app.app_context():
        for party in db.session.query(Party).filter(Party.email.in_(("ann@x.org", "bob@x.org"))):
            party.industry = "Gold"
        ann = db.session.query(Party).filter_by(email="ann@x.org").one().id
        db.session.commit()
    person.client.post(f"/admin/imports/undo/?id={number}", data={"chosen": f"party:{ann}:industry"})
    finish(app, number)
    with app.app_context():
        found = {party.email: party.industry for party in db.session.query(Party).filter(Party.archived_at.is_(None))}
    assert found == {"ann@x.org": "Steel", "bob@x.org": "Gold"}


def test_where_not_all_were_looked_at_one_may_insist_on_what_was_not_seen(app, as_user, monkeypatch):
    person = as_user("manager")
    number = bring(app, person, FIRST)
    address = f"/admin/imports/undo/?id={number}"
    assert "Put everything back all the same" not in person.client.get(address).text
    monkeypatch.setattr(undoing, "CHUNK", 1)
    monkeypatch.setattr(undo_looking, "LOOKED_AT", 1)
    assert "Put everything back all the same" in person.client.get(address).text


def test_of_a_large_import_a_job_looks_what_its_undo_would_do(app, as_user, monkeypatch):
    monkeypatch.setattr(undo_looking, "AT_ONCE", 0)
    monkeypatch.setattr(bell, "state", lambda: {"workers": 1})
    person = as_user("manager")
    bring(app, person, FIRST)
    number = bring(app, person, SECOND, duplicates="update")
    with app.app_context():
        ann = db.session.query(Party).filter_by(email="ann@x.org").one()
        ann.industry = "Gold"
        db.session.commit()
    address, status = f"/admin/imports/undo/?id={number}", f"/admin/imports/undo-status/?id={number}&look=1"
    for _ in range(2):  # a second window watches the same
        page = person.client.get(address).text
        assert "Nothing is written yet" in page
        assert f'hx-get="{status.replace("&", "&amp;")}"' in page
    assert 'id="job-cancel"' in person.client.get(status).text
    look(app, number)
    assert person.client.get(status).headers["HX-Redirect"] == address
    page = person.client.get(address).text
    for words in (
        "Industry: was Steel, the import wrote Glass, now Gold",
        "go into the archive",
        "Put everything back all",
    ):
        assert words in page
    with app.app_context():
        record = db.session.get_one(Import, number)
        assert "Steel" not in str(record.undo_looked), "values stand in the audit alone"
    # What another person may reach is another thing, and what was found is old after a while.
    assert "job-status" in as_user("admin").client.get(address).text
    person.client.post(f"/admin/imports/cancel/?id={number}")
    with app.app_context():
        record = db.session.get_one(Import, number)
        record.undo_looked = record.undo_looked | {"at": "2020-01-01T00:00:00+00:00"}
        db.session.commit()
    assert "job-status" in person.client.get(address).text
    assert person.client.post(f"/admin/imports/cancel/?id={number}").location == f"/admin/imports/progress/?id={number}"
    person.client.get(address)
    with app.app_context():
        job = db.session.query(Job).filter_by(task=undo_looking.LOOK, state=JobState.WAITING).one()
        job.state, job.error, job.finished_at = JobState.FAILED, "it broke", dt.datetime.now(dt.UTC)
        db.session.commit()
    assert person.client.get(address, follow_redirects=True).text.count("Not undone: it broke.") == 1
    person.client.post(address)
    finish(app, number)
    with app.app_context():
        assert db.session.get_one(Import, number).undo_looked is None
    assert "Undo of an import" in person.client.get(address).text


def look(app, number: int) -> None:
    with app.app_context():
        job = db.session.query(Job).filter_by(task=undo_looking.LOOK, state=JobState.WAITING).one()
        assert job.args == {"import": number}
        steps = []
        for step in undo_looking.run_look(job):
            steps.append((step.done, step.total))
            db.session.commit()
        assert steps == [(2, 3), (3, 3), (3, 3)]
        assert step.result == {"restored": 2, "put_away": 1, "kept": 1, "import": number}
        job.state = JobState.DONE
        db.session.commit()


def test_only_who_may_import_undoes_and_only_what_is_at_its_end(app, as_user):
    person = as_user("manager")
    number = mapped(person, FIRST)
    assert person.client.get(f"/admin/imports/undo/?id={number}").status_code == 403
    run(person, number)
    answer = person.client.post(f"/admin/imports/undo/?id={number}", follow_redirects=True)
    assert "cancel it first" in answer.text
    end(app, number)
    for role in ("manager", "auditor", "marketer"):
        stranger = as_user(role).client
        assert stranger.get(f"/admin/imports/undo/?id={number}").status_code == 404
        assert stranger.post(f"/admin/imports/undo/?id={number}").status_code == 404
        assert stranger.post(f"/admin/imports/pause/?id={number}").status_code == 404
    assert "go into the archive" in as_user("admin").client.get(f"/admin/imports/undo/?id={number}").text


def test_an_import_is_paused_resumed_and_cancelled_while_it_rests(app, as_user):
    person = as_user("manager")
    number = mapped(person, FIRST)
    run(person, number)

    def state() -> JobState:
        with app.app_context():
            return db.session.get_one(Import, number).job.state

    page = person.client.get(f"/admin/imports/progress/?id={number}").text
    assert 'id="job-pause"' in page
    assert person.client.post(f"/admin/imports/pause/?id={number}").status_code == 303
    assert state() is JobState.PAUSED
    page = person.client.get(f"/admin/imports/status/?id={number}").text
    assert ('id="job-resume"' in page, 'id="job-pause"' in page, 'id="job-cancel"' in page) == (True, False, True)
    assert "It is paused" in page
    person.client.post(f"/admin/imports/resume/?id={number}")
    assert state() is JobState.WAITING
    person.client.post(f"/admin/imports/pause/?id={number}")
    person.client.post(f"/admin/imports/cancel/?id={number}")
    assert state() is JobState.CANCELLED


@pytest.mark.parametrize(
    ("pace_done", "rate", "left"), [(0, "100 a second", "15 min"), (50_000, "50 a second", "30 min")]
)
def test_the_rate_counts_from_the_last_start_on(app, as_user, pace_done, rate, left):
    person = as_user("manager")
    number = mapped(person, FIRST)
    run(person, number)
    with app.app_context():
        now = dt.datetime.now(dt.UTC)
        job = db.session.get_one(Import, number).job
        job.state, job.started_at, job.done, job.total = JobState.RUNNING, now - dt.timedelta(days=2), 100_000, 190_000
        job.pace_at, job.pace_done = now - dt.timedelta(seconds=1000), pace_done
        db.session.commit()
    page = person.client.get(f"/admin/imports/progress/?id={number}").text
    told = re.findall(r"<span>([\d,]+ a second)</span><span>about (\d+ min) left", page)
    assert told == [(rate, left)]
