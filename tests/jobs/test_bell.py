"""The bell: rung after the commit and only then, once, with a number in JSON, and never a reason to fail."""

from __future__ import annotations

import json
import logging
import zlib
from typing import Any

import pytest
from redis import Redis

from crm.core.command import Refused, perform
from crm.core.entity import db
from crm.core.jobs import Bell, Job, JobState, ask, retry
from jobs import queue
from tests.jobs.conftest import Desk


def test_it_rings_after_the_commit(desk: Desk) -> None:
    job = ask("jobs.trial.chunks", label="Trial", args={}, by=None)
    assert desk.rung == []
    db.session.commit()
    assert desk.rung == [job.id]
    db.session.commit()
    assert desk.rung == [job.id]


def test_it_does_not_ring_after_a_rollback(desk: Desk) -> None:
    ask("jobs.trial.chunks", label="Trial", args={}, by=None)
    db.session.rollback()
    db.session.commit()
    assert desk.rung == []


def test_savepoints_neither_ring_early_nor_silence_what_was_asked_before(desk: Desk) -> None:
    first = ask("jobs.trial.chunks", label="First", args={}, by=None)
    with db.session.begin_nested():
        second = ask("jobs.trial.chunks", label="Second", args={}, by=None)
    assert desk.rung == []
    with pytest.raises(Refused), db.session.begin_nested():
        raise Refused("no")
    numbers = [first.id, second.id]
    db.session.commit()
    assert desk.rung == numbers


def test_a_refused_row_of_a_batch_does_not_silence_the_others(desk: Desk) -> None:
    failed, running = (
        Job(task="jobs.trial.chunks", label="Trial", state=state) for state in (JobState.FAILED, JobState.RUNNING)
    )
    db.session.add_all([failed, running])
    db.session.flush()
    outcomes = perform(retry, [failed.id, running.id], by=None, values={})
    assert [outcome.done for outcome in outcomes] == [True, False]
    number = failed.id
    db.session.commit()
    assert desk.rung == [number]


def test_only_the_number_travels(desk: Desk, real_bell: Bell) -> None:
    number = desk.ask(secret="alice@example.com")
    connection = Redis.from_url(desk.servers.redis_url)
    (ring,) = queue.open_queue(connection).get_job_ids()
    kept: dict[Any, Any] = connection.hgetall(f"rq:job:{ring}")
    assert json.loads(zlib.decompress(kept[b"data"])) == ["jobs.runner.run", None, [number], {}]
    everything = b" ".join(part for pair in kept.items() for part in pair)
    assert b"alice" not in everything


def test_rings_for_one_job_do_not_pile_up(desk: Desk, real_bell: Bell) -> None:
    one, eleven = desk.ask(), desk.ask()
    for _ in range(5):
        real_bell.ring(one)
    real_bell.ring(eleven)
    real_bell.ring(eleven * 10 + 1)
    assert real_bell.state() == {"reachable": True, "queued": 3, "workers": 0}


def test_without_the_queue_the_work_is_kept_and_nobody_is_hindered(
    desk: Desk, real_bell: Bell, caplog: pytest.LogCaptureFixture
) -> None:
    away = queue.connect("unix:///nowhere/valkey.sock")
    real_bell.ring, real_bell.stop, real_bell.state = away.ring, away.stop, away.state
    with caplog.at_level(logging.WARNING):
        number = desk.ask()
    assert desk.job(number).state is JobState.WAITING
    assert [record.message for record in caplog.records] == [
        f"job {number} could not be rung (ConnectionError): it waits for the next round"
    ]
    assert away.state() == {"reachable": False, "queued": 0, "workers": 0}
    away.stop(number)
