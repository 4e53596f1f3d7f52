"""What a job's page tells of its life, who may start it again, and what is deleted in time."""

from __future__ import annotations

import datetime as dt
import io
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text

from crm.core import jobs as table
from crm.core.command import perform
from crm.core.entity import db, face_named
from crm.core.jobs import ItemState, Job, JobItem, JobState, cancel, retry
from crm.importing import cleaning
from crm.importing.start import draft
from crm.importing.start import start as start_import
from crm.importing.storage import uploads
from crm.models.imports import Import, ImportRow
from jobs import runner, schedule
from tests.conftest import sign_in
from tests.jobs.conftest import Desk, until
from tests.jobs.processes import Forked, kill_tree

Start = Callable[..., Forked]


def told(desk: Desk, number: int) -> list[str]:
    return [line["text"] for line in desk.job(number).log]


def test_a_job_that_fails_and_is_started_again_tells_so_and_by_whom(desk: Desk) -> None:
    user = desk.user()
    number = desk.ask(chunks=2, refuse_at=1, by=user.id)
    runner.run(number)
    assert told(desk, number) == ["Started", "Not done: the moon is full"]
    perform(retry, [number], by=user, values={})
    db.session.execute(text("UPDATE job SET args = '{\"chunks\": 2}'"))
    db.session.commit()
    runner.run(number)
    assert told(desk, number)[2:] == ["Asked for again", "Went on, where it stood", "Done"]
    assert [line.get("by") for line in desk.job(number).log] == [None, None, user.id, None, None]


def test_a_worker_that_was_gone_a_part_done_again_and_a_cancel_are_told(desk: Desk) -> None:
    user = desk.user()
    number = desk.ask(chunks=1)
    table.claim(number)
    db.session.execute(text("UPDATE job SET heartbeat_at = now() - interval '1 hour'"))
    db.session.commit()
    run = table.claim(number)
    assert run == 2
    table.note_chunk_again(number, run)
    perform(cancel, [number], by=user, values={})
    table.finish(number, run, JobState.CANCELLED)
    db.session.commit()
    assert told(desk, number) == ["Started", "Taken up again, where it stood: its worker had gone silent",
                                  "A part stood in the way of others and is done again", "Cancel was asked for",
                                  "Ended, as was asked"]  # fmt: skip


def test_the_log_stays_short_and_keeps_its_first_line(desk: Desk) -> None:
    user = desk.user()
    number = desk.ask(chunks=1)
    run = table.claim(number) or 0
    for _ in range(table.LOG_LINES + 5):
        table.note_chunk_again(number, run)
    perform(cancel, [number], by=user, values={})
    db.session.commit()
    lines = told(desk, number)
    assert len(lines) == table.LOG_LINES
    assert (lines[0], lines[-1]) == ("Started", "Cancel was asked for")


def test_the_page_shows_who_asked_how_long_it_took_what_happened_and_the_refused_as_a_file(desk: Desk) -> None:
    person = sign_in(desk.app, "admin")
    number = desk.ask(chunks=1, by=person.user_id)
    runner.run(number)
    job = db.session.get_one(Job, number)
    job.args = {"face": "customer"}
    db.session.add(JobItem(job_id=number, record_id=7, state=ItemState.REFUSED, reason="=it is blocked"))
    db.session.commit()
    page = person.client.get(f"/admin/jobs/details/?id={number}").text
    for words in ("by Admin", "took under a second", "What happened", "Started", "Not done, and why", "a second"):
        assert words in page, words
    file = person.client.get(f"/admin/jobs/refused/?id={number}")
    assert file.text == "id,_error\r\n7,'=it is blocked\r\n"
    assert "attachment" in file.headers["Content-Disposition"]
    assert sign_in(desk.app, "sales_rep").client.get(f"/admin/jobs/refused/?id={number}").status_code in (403, 404)


# Imports


def failed_import(desk: Desk) -> tuple[Import, int]:
    user = desk.user()
    record, _ = draft(face_named("customer"), io.BytesIO(b"name,email\nAnn,ann@x.org\n"), "one.csv", by=user.id)
    job = start_import(record, by=user.id)
    job.state, job.finished_at = JobState.FAILED, dt.datetime.now(dt.UTC)
    db.session.commit()
    return record, job.id


def why_not(number: int, desk: Desk) -> str:
    [outcome] = perform(retry, [number], by=desk.user(), values={})
    db.session.commit()
    return outcome.reason


def test_an_import_is_not_retried_when_its_file_was_imported_otherwise_or_is_gone(desk: Desk) -> None:
    record, number = failed_import(desk)
    other, _ = draft(
        face_named("customer"), io.BytesIO(b"name,email\nAnn,ann@x.org\n"), "same.csv", by=record.asked_by_id
    )
    again = start_import(other, by=record.asked_by_id)
    again.state = JobState.DONE
    db.session.commit()
    assert why_not(number, desk).startswith("the same file was imported already")
    db.session.delete(other)
    db.session.commit()
    (uploads() / record.stored_name).rename(uploads() / "away")
    assert why_not(number, desk) == "the file was deleted since: send it again"
    (uploads() / "away").rename(uploads() / record.stored_name)
    assert why_not(number, desk) == ""


def test_old_drafts_files_rows_and_jobs_are_deleted_and_the_import_stays(desk: Desk) -> None:
    def long_ago(path: Any) -> None:
        os.utime(path, (time.time() - 9 * 86_400,) * 2)

    record, number = failed_import(desk)
    db.session.add(ImportRow(import_id=record.id, line=2))
    young, _ = draft(face_named("customer"), io.BytesIO(b"name\nYoung\n"), "young.csv", by=record.asked_by_id)
    left, _ = draft(face_named("customer"), io.BytesIO(b"name\nLeft\n"), "left.csv", by=record.asked_by_id)
    plain, fresh = desk.ask(chunks=1), desk.ask(chunks=1)
    for each in (plain, fresh):
        runner.run(each)
    files = {name: uploads() / one.stored_name for name, one in (("ended", record), ("young", young), ("left", left))}
    for path in files.values():
        long_ago(path)
    _as_owner(desk, "UPDATE import SET updated_at = now() - interval '8 days' WHERE id = :id", id=left.id)
    _as_owner(
        desk, "UPDATE job SET finished_at = now() - interval '91 days' WHERE id = ANY (:ids)", ids=[number, plain]
    )
    assert cleaning.clean_up() == 6  # a draft, a row, an import's names, a job, two files
    db.session.expire_all()
    assert {one.file_name for one in db.session.scalars(select(Import))} == {"one.csv", "young.csv"}
    assert set(db.session.scalars(select(Job.id))) == {number, fresh}, "an import keeps its job"
    assert {name: path.exists() for name, path in files.items()} == {"ended": False, "young": True, "left": False}
    assert db.session.scalars(select(ImportRow)).all() == []
    assert why_not(number, desk) == "the file was deleted since: send it again"
    assert cleaning.clean_up() == 0


def _as_owner(desk: Desk, statement: str, **values: Any) -> None:
    """Past the trigger that notes the time of each change."""
    db.session.commit()
    engine = create_engine(desk.servers.owner_database_url)
    with engine.begin() as connection:
        for name in ("job", "import"):
            connection.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER touch_{name}"))
        connection.execute(text(statement), values)
        for name in ("job", "import"):
            connection.execute(text(f"ALTER TABLE {name} ENABLE TRIGGER touch_{name}"))
    engine.dispose()


# Schedulers


def holders() -> list[int]:
    """The connections that hold the schedulers' lock, and those that wait for nothing: only one may have it."""
    db.session.rollback()
    found = text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = :lock AND granted AND database = "
                 "(SELECT oid FROM pg_database WHERE datname = current_database())")  # fmt: skip
    return list(db.session.scalars(found, {"lock": schedule.LOCK}))


@pytest.mark.usefixtures("real_bell")
def test_of_two_scheduler_processes_one_works_and_the_other_takes_over_when_it_is_killed(
    desk: Desk, start: Start
) -> None:
    first = start("schedule")
    [working] = until(holders)
    start("schedule")
    time.sleep(0.5)
    assert holders() == [working]
    kill_tree(first)
    until(lambda: holders() not in ([], [working]))
    number = desk.ask(chunks=1)  # whose ring is lost: nobody heard it
    start("work")
    until(lambda: desk.job(number).state is JobState.DONE)
    assert desk.job(number).run == 1
