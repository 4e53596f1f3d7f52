"""The runner: chunk and checkpoint together, whatever happens in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from crm.core import jobs as table
from crm.core.command import perform
from crm.core.entity import db
from crm.core.jobs import Job, JobState, Step
from crm.core.transaction import run_in_transaction
from jobs import runner
from tests.jobs import trial
from tests.jobs.conftest import Desk, expected, until


def test_a_job_runs_to_its_end(desk: Desk) -> None:
    number = desk.ask(chunks=3)
    assert runner.run(number) == "done"
    job = desk.job(number)
    assert (job.state, job.done, job.total, job.result, job.run) == (JobState.DONE, 3, 3, {"chunks": 3}, 1)
    assert job.finished_at is not None
    assert job.error is None
    assert desk.effects() == expected(3)
    assert trial.tidied == [number]


def test_a_job_that_has_ended_is_not_had_again(desk: Desk) -> None:
    number = desk.ask(chunks=1)
    runner.run(number)
    assert runner.run(number) is None
    assert runner.run(number + 1000) is None
    assert desk.effects() == expected(1)


def test_what_comes_after_the_last_step_is_kept_with_the_end(desk: Desk) -> None:
    assert runner.run(desk.ask("jobs.trial.late")) == "done"
    assert desk.effects() == ["after the last step"]


def test_the_audit_names_who_asked_and_the_job(desk: Desk) -> None:
    user = desk.user()
    number = desk.ask(chunks=1, by=user.id)
    runner.run(number)
    rows = db.session.execute(db.text("SELECT DISTINCT actor_id, via FROM audit_entry WHERE entity = 'party'")).all()
    assert rows == [(user.id, f"job {number}")]


def test_a_fault_keeps_the_chunks_before_it_and_tells_no_personal_data(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    number = desk.ask(chunks=3, fail_at=1)
    assert runner.run(number) == "failed"
    job = desk.job(number)
    assert job.error == f"Stopped by an unexpected error (KeyError); the log tells more under “job {number}”"
    assert job.finished_at is not None
    assert desk.effects() == expected(1)
    assert "Traceback" in caplog.text


def test_a_refusal_is_told_as_it_is(desk: Desk) -> None:
    number = desk.ask(chunks=2, refuse_at=0)
    assert runner.run(number) == "failed"
    assert desk.job(number).error == "Not done: the moon is full"
    assert desk.effects() == []


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("jobs.gone.load", "This version has no work called jobs.gone.load"),
        ("jobs.trial.no_steps", "TypeError"),
    ],
)
def test_a_task_that_is_none_fails(desk: Desk, task: str, said: str) -> None:
    number = desk.ask(task)
    assert runner.run(number) == "failed"
    assert said in str(desk.job(number).error)


def test_retry_goes_on_from_the_checkpoint(desk: Desk) -> None:
    number = desk.ask(chunks=4, fail_at=2)
    runner.run(number)
    job = db.session.get_one(Job, number)
    job.args = {"chunks": 4}
    assert all(outcome.done for outcome in perform(table.retry, [number], by=None, values={}))
    desk.rung.clear()
    db.session.commit()
    assert desk.rung == [number]
    assert runner.run(number) == "done"
    assert desk.effects() == expected(4)


def test_a_waiting_job_is_cancelled_at_once(desk: Desk) -> None:
    number = desk.ask(chunks=1)
    perform(table.cancel, [number], by=None, values={})
    db.session.commit()
    assert desk.job(number).state is JobState.CANCELLED
    assert runner.run(number) is None
    assert desk.effects() == []


def test_a_running_job_is_cancelled_after_its_chunk(desk: Desk) -> None:
    number = desk.ask(chunks=5)

    def cancel(chunk: int) -> None:
        if chunk == 1:
            in_a_thread(desk, lambda: perform(table.cancel, [number], by=None, values={}))

    trial.before_step = cancel
    assert runner.run(number) == "cancelled"
    assert desk.effects() == expected(2)
    assert trial.tidied == [number]
    assert desk.job(number).finished_at is not None


def test_cancelling_holds_when_the_worker_dies_first(desk: Desk) -> None:
    number = desk.ask(chunks=2)
    sql("UPDATE job SET state = 'running', run = 1, cancel_asked = true, heartbeat_at = '2020-01-01'")
    assert runner.run(number) == "cancelled"
    assert desk.effects() == []


def test_a_chunk_that_stood_in_the_way_is_done_again(desk: Desk) -> None:
    number, faults = desk.ask(chunks=3), [1, 1, 2]

    def deadlock(chunk: int) -> None:
        if faults and faults[0] == chunk:
            faults.pop(0)
            sql("DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '40P01'; END $$", commit=False)

    trial.before_step = deadlock
    assert runner.run(number) == "done"
    assert faults == []
    assert desk.effects() == expected(3)


def test_a_chunk_that_always_stands_in_the_way_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TRIES", 2)
    number = desk.ask(chunks=2, deadlock_at=1)
    assert runner.run(number) == "failed"
    assert "OperationalError" in str(desk.job(number).error)
    assert desk.effects() == expected(1)


def test_who_was_overtaken_leaves_no_trace(desk: Desk) -> None:
    number = desk.ask(chunks=3)

    def overtake(chunk: int) -> None:
        if chunk == 1:
            in_a_thread(desk, lambda: sql("UPDATE job SET run = run + 1"))

    trial.before_step = overtake
    assert runner.run(number) is None
    job = desk.job(number)
    assert (job.state, job.done, job.error) == (JobState.RUNNING, 1, None)
    assert desk.effects() == expected(1)


def test_of_two_runners_at_once_one_works(desk: Desk) -> None:
    number, answers = desk.ask(chunks=3, seconds=0.1), []
    threads = [threading.Thread(target=lambda: answers.append(alone(desk, number))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(str(answer) for answer in answers) == ["None", "None", "None", "done"]
    assert desk.effects() == expected(3)


def test_a_runner_that_wakes_up_late_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stops in mid-chunk without a heartbeat, another takes over and ends the job, the first wakes up."""
    monkeypatch.setattr(runner, "BEAT_EVERY", 3600)
    number, asleep, wake = desk.ask(chunks=3), threading.Event(), threading.Event()

    def sleep(chunk: int) -> None:
        if chunk == 1 and not asleep.is_set():
            asleep.set()
            wake.wait(10)

    trial.before_step = sleep
    answers: list[str | None] = []
    first = threading.Thread(target=lambda: answers.append(alone(desk, number)))
    first.start()
    assert asleep.wait(10)
    sql("UPDATE job SET heartbeat_at = now() - interval '1 min'")
    assert runner.run(number) == "done"
    wake.set()
    first.join(20)
    assert answers == [None]
    assert desk.effects() == expected(3)
    assert desk.job(number).run == 2


def test_the_heart_beats_while_a_chunk_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BEAT_EVERY", 0.1)
    number, seen = desk.ask(chunks=1), []

    def watch(chunk: int) -> None:
        def beats() -> int:
            in_a_thread(desk, lambda: seen.append(sql("SELECT heartbeat_at FROM job")[0][0]))
            return len(set(seen)) >= 3

        until(beats)

    trial.before_step = watch
    assert runner.run(number) == "done"


def test_a_held_row_does_not_hold_up_the_heartbeat_for_long(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BEAT_EVERY", 0.05)
    number = desk.ask(chunks=1)

    def hold(chunk: int) -> None:
        sql("SELECT 1 FROM job FOR UPDATE", commit=False)
        time.sleep(0.4)

    trial.before_step = hold
    began = time.monotonic()
    assert runner.run(number) == "done"
    assert time.monotonic() - began < 2.5


def test_what_ends_its_workers_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FRUITLESS_STARTS", 2)
    number = desk.ask(chunks=2)
    for _ in range(2):
        assert run_in_transaction(lambda: table.claim(number)) is not None
        sql("UPDATE job SET heartbeat_at = now() - interval '1 min'")
    assert runner.run(number) == "failed"
    assert "started 2 times" in str(desk.job(number).error)
    perform(table.retry, [number], by=None, values={})
    db.session.commit()
    assert runner.run(number) == "done"


def test_a_worker_that_has_to_end_gives_the_job_back(desk: Desk) -> None:
    number = desk.ask(chunks=3)
    trial.before_step = lambda chunk: runner.leaving.ask() if chunk == 0 else None
    desk.rung.clear()
    assert runner.run(number) is None
    job = desk.job(number)
    assert (job.state, job.done, job.heartbeat_at) == (JobState.WAITING, 1, None)
    assert desk.rung == [number]
    runner.leaving.since = None
    trial.before_step = lambda chunk: None
    assert runner.run(number) == "done"
    assert desk.effects() == expected(3)


def test_ctrl_c_gives_the_job_back(desk: Desk) -> None:
    number = desk.ask(chunks=2)

    def interrupt(chunk: int) -> None:
        raise KeyboardInterrupt

    trial.before_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        runner.run(number)
    assert desk.job(number).state is JobState.WAITING
    assert desk.effects() == []


def test_waiting_without_workers_does_the_work_here(desk: Desk) -> None:
    heard: list[int] = []
    job = runner.see_to_end(desk.ask(chunks=2), workers=lambda: 0, tell=lambda job: heard.append(job.done))
    assert (job.state, heard) == (JobState.DONE, [0, 2])


def test_waiting_beside_workers_that_do_not_come_does_the_work_in_the_end(desk: Desk) -> None:
    job = runner.see_to_end(desk.ask(chunks=1), workers=lambda: 1, patience=0.3)
    assert job.state is JobState.DONE


def test_a_lost_database_leaves_the_job_to_be_taken_up_again(desk: Desk) -> None:
    number = desk.ask(chunks=2)

    def cut(chunk: int) -> None:
        if chunk == 1:
            mine = sql("SELECT pg_backend_pid()", commit=False)[0][0]
            in_a_thread(desk, lambda: sql(f"SELECT pg_terminate_backend({mine})"))

    trial.before_step = cut
    assert runner.run(number) is None
    trial.before_step = lambda chunk: None
    assert desk.job(number).state is JobState.RUNNING
    sql("UPDATE job SET heartbeat_at = now() - interval '1 min'")
    assert runner.run(number) == "done"
    assert desk.effects() == expected(2)


def test_a_step_of_an_older_start_does_not_count(desk: Desk) -> None:
    number = desk.ask(chunks=1)
    first = run_in_transaction(lambda: table.claim(number))
    assert first == 1
    sql("UPDATE job SET run = 2")
    with pytest.raises(table.Overtaken):
        run_in_transaction(lambda: table.save_step(number, 1, Step(done=9)))
    assert desk.job(number).done == 0


def alone(desk: Desk, number: int) -> str | None:
    with desk.app.app_context():
        return runner.run(number)


def in_a_thread(desk: Desk, work: Callable[[], Any]) -> None:
    """On another connection, while this one is in the middle of its transaction."""

    def run() -> None:
        with desk.app.app_context():
            run_in_transaction(work)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(run).result()


def sql(statement: str, *, commit: bool = True) -> list[tuple[object, ...]]:
    result = db.session.connection().execute(db.text(statement))
    rows = [tuple(row) for row in result] if result.returns_rows else []
    if commit:
        db.session.commit()
    return rows
