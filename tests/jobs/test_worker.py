"""Real workers of RQ, in processes of their own, killed and stopped in the middle of their work."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable

import psutil
import pytest

from crm.core import jobs as table
from crm.core.entity import db
from crm.core.jobs import Bell, Job, JobState
from jobs import schedule
from tests.jobs.conftest import Desk, expected, until
from tests.jobs.processes import Forked, kill_tree, tree

pytestmark = pytest.mark.usefixtures("real_bell")
Start = Callable[..., Forked]


def progress(desk: Desk, number: int) -> int:
    return desk.job(number).done


def ended(desk: Desk, number: int) -> Job | None:
    job = desk.job(number)
    return None if job.is_open else job


def horse(worker: Forked) -> psutil.Process | None:
    """The process that works on a job: a child of a child, in a process group of its own."""
    return next((below for child in psutil.Process(worker.pid).children() for below in child.children()), None)


@pytest.mark.soak
def test_kill_9_of_the_whole_tree_in_mid_job_loses_and_doubles_nothing(desk: Desk, start: Start) -> None:
    start("schedule")
    first = start("work", 2)
    number = desk.ask(chunks=12, seconds=0.15)
    until(lambda: progress(desk, number) >= 3)
    family = tree(first)
    assert len(family) >= 4  # the program, two workers, the job's process
    kill_tree(first)
    until(lambda: not any(member.is_running() and member.status() != "zombie" for member in family))
    stopped_at = progress(desk, number)
    assert stopped_at < 12
    start("work")
    job = until(lambda: ended(desk, number))
    assert (job.state, job.done, job.run) == (JobState.DONE, 12, 2)
    assert desk.effects() == expected(12)


def test_a_killed_worker_is_replaced_and_its_job_goes_on_where_it_is(desk: Desk, start: Start) -> None:
    """The job's own process outlives its worker, and ends the job."""
    workers = start("work")
    number = desk.ask(chunks=8, seconds=0.1)
    until(lambda: progress(desk, number) >= 1)
    (child,) = psutil.Process(workers.pid).children()
    child.kill()
    job = until(lambda: ended(desk, number))
    assert (job.state, job.run) == (JobState.DONE, 1)
    second = desk.ask(chunks=1)
    assert until(lambda: ended(desk, second)).state is JobState.DONE
    assert desk.effects() == expected(8) + expected(1)


def test_sigterm_ends_the_workers_soon_and_the_job_goes_on_in_the_next_ones(
    desk: Desk, start: Start, real_bell: Bell
) -> None:
    first = start("work", 2)
    until(lambda: real_bell.state()["workers"] == 2)
    number = desk.ask(chunks=20, seconds=0.2)
    until(lambda: progress(desk, number) >= 2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    assert real_bell.state()["workers"] == 0
    job = desk.job(number)
    assert job.state is JobState.WAITING
    assert 2 <= job.done < 20
    start("work")
    assert until(lambda: ended(desk, number)).done == 20
    assert desk.effects() == expected(20)


def test_sigterm_in_a_long_chunk_rolls_it_back_and_leaves_the_job(desk: Desk, start: Start) -> None:
    first = start("work")
    number = desk.ask(chunks=1, seconds=60)
    until(lambda: desk.job(number).state is JobState.RUNNING)
    first.send_signal(signal.SIGTERM)
    first.wait(30)  # half of what the chunk would take
    assert desk.job(number).state is JobState.WAITING
    assert desk.effects() == []


def test_stop_ends_a_chunk_that_does_not_end(
    desk: Desk, start: Start, real_bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "STALE_AFTER", dt.timedelta(seconds=4))  # the worker's is 3
    workers = start("work")
    number = desk.ask(chunks=1, seconds=60)
    until(lambda: desk.job(number).state is JobState.RUNNING)
    stuck = until(lambda: horse(workers))
    db.session.execute(db.text("UPDATE job SET cancel_asked = true"))
    db.session.commit()
    real_bell.stop(number)
    until(lambda: not stuck.is_running() or stuck.status() == "zombie")
    until(schedule.ring_unattended)
    assert until(lambda: ended(desk, number)).state is JobState.CANCELLED
    assert desk.effects() == []
