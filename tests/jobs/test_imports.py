"""Imports by real workers: killed in the middle nothing is lost or doubled; cancelled, what is done stays."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable

import pytest

from crm.core.command import perform
from crm.core.entity import db, face_named
from crm.core.jobs import Bell, Job, JobState, cancel, pause, resume, retry, unattended
from crm.importing.start import ask_check, draft
from crm.importing.start import start as start_import
from crm.importing.undo_looking import ask_look, looked
from crm.importing.undoing import ask_undo
from crm.models.imports import Duplicates, Import
from tests.jobs.conftest import Desk, kill_tree, until

pytestmark = pytest.mark.usefixtures("real_bell")
Start = Callable[..., subprocess.Popen[bytes]]
ROWS = 12_000


def customers() -> bytes:
    """Every hundredth row repeats an address, every thousandth has none that can be read."""
    lines = ["name,email,city,industry"]
    for number in range(ROWS):
        address = f"p{number - 1 if number % 100 == 99 else number}@x.org" if number % 1000 else "nowhere"
        lines.append(f"Person {number},{address},City {number % 50},Steel")
    return "\n".join(lines).encode()


def ask(desk: Desk) -> tuple[int, int]:
    record, _ = draft(face_named("customer"), io.BytesIO(customers()), "many.csv", by=desk.user().id)
    job = start_import(record, by=record.asked_by_id)
    db.session.commit()
    return record.id, job.id


def done(desk: Desk, job_id: int) -> int:
    return desk.job(job_id).done


def ended(desk: Desk, job_id: int) -> Job:
    job: Job = until(lambda: (found := desk.job(job_id)).is_open is False and found, 90)
    return job


def parties() -> int:
    db.session.rollback()
    return int(db.session.execute(db.text("SELECT count(*) FROM party")).scalar_one())


@pytest.mark.soak
@pytest.mark.slow
def test_kill_9_in_the_middle_of_an_import_and_of_its_undo_loses_and_doubles_nothing(
    desk: Desk, start: Start, soak_round: int
) -> None:
    start("schedule")
    worker = start("work", "1")
    import_id, job_id = ask(desk)
    until(lambda: done(desk, job_id) >= (5_000, 1, 10_000)[soak_round % 3], 60)
    kill_tree(worker)
    stopped_at = done(desk, job_id)
    assert stopped_at < ROWS
    worker = start("work", "1")
    job = ended(desk, job_id)
    assert (job.state, job.done, job.run) == (JobState.DONE, ROWS, 2)
    db.session.rollback()
    record = db.session.get_one(Import, import_id)
    refused, skipped = ROWS // 1000, ROWS // 100
    created = ROWS - refused - skipped
    assert (record.rows, record.rows_created, record.rows_skipped, record.rows_refused) == (
        ROWS,
        created,
        skipped,
        refused,
    )
    found = db.session.execute(
        db.text(
            "SELECT (SELECT count(*) FROM party), (SELECT count(DISTINCT email) FROM party), "
            "(SELECT count(*) FROM address), "
            "(SELECT count(*) FROM audit_entry WHERE entity = 'party' AND action = 'create' AND via = :via), "
            "(SELECT count(*) FROM import_row)"
        ),
        {"via": f"import {import_id}"},
    ).one()
    assert found == (created, created, created, created, 0)
    undo_id = ask_undo(record, by=record.asked_by_id).id
    db.session.commit()
    until(lambda: done(desk, undo_id) >= 5_000, 60)
    kill_tree(worker)
    start("work", "1")
    job = ended(desk, undo_id)
    assert (job.state, job.run) == (JobState.DONE, 2)
    assert job.result == {"restored": 0, "archived": created, "deleted": 0, "kept": 0, "import": import_id}
    db.session.rollback()
    twice = db.text("SELECT count(*) FROM (SELECT 1 FROM audit_entry WHERE request_id = :undo GROUP BY entity, record_id "
                    "HAVING count(*) > 1) twice")  # fmt: skip
    left = db.text("SELECT count(*) FROM party WHERE archived_at IS NULL")
    assert [db.session.scalar(twice, {"undo": f"undo-{import_id}"}), db.session.scalar(left)] == [0, 0]


@pytest.mark.slow
def test_a_paused_import_rests_until_it_is_resumed_and_goes_on_where_it_was(desk: Desk, start: Start) -> None:
    start("schedule")
    start("work", "1")
    import_id, job_id = ask(desk)
    until(lambda: desk.job(job_id).total, 60)
    perform(pause, [job_id], by=None, values={})
    db.session.commit()
    until(lambda: desk.job(job_id).state is JobState.PAUSED, 60)
    rested = desk.job(job_id)
    assert 0 <= rested.done < ROWS
    assert (rested.pace, rested.pause_asked, parties() <= rested.done) == (None, False, True)
    assert job_id not in unattended()
    perform(resume, [job_id], by=None, values={})
    db.session.commit()
    assert (ended(desk, job_id).state, desk.job(job_id).run) == (JobState.DONE, 2)
    assert parties() == ROWS - ROWS // 1000 - ROWS // 100
    assert db.session.get_one(Import, import_id, populate_existing=True).rows == ROWS


@pytest.mark.slow
def test_a_cancelled_import_stops_after_its_chunk_and_can_go_on(desk: Desk, start: Start, real_bell: Bell) -> None:
    start("work", "1")
    import_id, job_id = ask(desk)
    until(lambda: desk.job(job_id).total, 60)
    perform(cancel, [job_id], by=None, values={})
    db.session.commit()
    assert ended(desk, job_id).state is JobState.CANCELLED
    db.session.rollback()
    record = db.session.get_one(Import, import_id)
    number = parties()
    assert number < ROWS * 0.95
    assert number == (record.rows_created or 0)
    perform(retry, [job_id], by=None, values={})
    db.session.commit()
    assert ended(desk, job_id).state is JobState.DONE
    assert parties() == db.session.get_one(Import, import_id, populate_existing=True).rows_created
    assert parties() == ROWS - ROWS // 1000 - ROWS // 100


def test_a_check_by_a_worker_writes_nothing_but_its_findings(desk: Desk, start: Start) -> None:
    start("work", "1")
    record, _ = draft(
        face_named("customer"),
        io.BytesIO(b"name,email\nAnn,a@x.org\nBob,b\n"),
        "few.csv",
        by=desk.user().id,
        duplicates=Duplicates.UPDATE,
    )
    job = ask_check(record, by=record.asked_by_id)
    db.session.commit()
    until(lambda: desk.job(job.id).is_open is False, 30)
    db.session.rollback()
    found = db.session.get_one(Import, record.id)
    assert found.checked is not None
    assert found.checked["counts"] == {
        "rows": 2,
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "skipped": 0,
        "ambiguous": 0,
        "refused": 1,
    }
    assert db.session.execute(db.text("SELECT count(*) FROM party")).scalar_one() == 0
    assert db.session.execute(db.text("SELECT count(*) FROM import_row")).scalar_one() == 0


def test_a_look_at_an_undo_by_a_worker_keeps_its_findings_and_changes_nothing_else(desk: Desk, start: Start) -> None:
    start("work", "1")
    user = desk.user().id
    record, _ = draft(face_named("customer"), io.BytesIO(b"name,email\nAnn,a@x.org\nBob,b@x.org\n"), "few.csv", by=user)
    load = start_import(record, by=user)
    db.session.commit()
    assert ended(desk, load.id).state is JobState.DONE
    look = ask_look(record, by=user)
    db.session.commit()
    job = ended(desk, look.id)
    assert (job.state, job.done, job.total) == (JobState.DONE, 2, 2)
    assert job.result == {"restored": 0, "put_away": 2, "kept": 0, "import": record.id}
    db.session.rollback()
    found = looked(db.session.get_one(Import, record.id, populate_existing=True), user)
    assert found is not None
    assert (found.put_away, found.left, found.complete) == ({"party": 2}, [], True)
    assert parties() == 2
