"""Refreshes by real workers, killed at any moment: the history holds together all along, and the next run puts all right.

`make test` kills once; `make soak N=` as often again, each round at other moments.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from crm.commands.segment_refresh import ask_refresh
from crm.core.entity import db
from crm.core.jobs import Job, JobState
from crm.models.segments import Segment
from jobs import segments
from tests.jobs.conftest import Desk, until
from tests.jobs.processes import Forked, kill_tree

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_bell")]

CUSTOMERS, SEGMENTS = 1_500, 6
# By hand: a segment means those who employ at least so many, the last one those who are in the first and not in the second.
CUSTOMERS_SQL = """
INSERT INTO party (code_letter, roles, kind, name, employees)
SELECT 'C', ARRAY['business_customer'], 'organization', 'c' || n, n % 100 FROM generate_series(1, :many) n"""
SHOULD = """
SELECT s.id, p.id FROM segment s CROSS JOIN party p
 WHERE CASE s.description WHEN 'last' THEN p.employees >= 0 AND p.employees < 10 ELSE p.employees >= s.priority END"""
ARE = "SELECT segment_id, party_id FROM segment_membership WHERE left_at IS NULL"
# Each in a segment once at a time, stays that don't overlap, and no refresh that is done tells of others than came and went.
TWICE = """
SELECT count(*) FROM segment_membership a JOIN segment_membership b ON b.segment_id = a.segment_id AND b.party_id = a.party_id
 AND b.id > a.id AND tstzrange(a.entered_at, a.left_at) && tstzrange(b.entered_at, b.left_at)"""
TOLD = """
SELECT sum(entered) - sum(gone) - (SELECT count(*) FROM segment_membership WHERE left_at IS NULL) FROM segment_refresh
 WHERE state = 'done'"""
CHANGED = "UPDATE party SET employees = (employees + :by) % 100 WHERE id % 3 = :third"


def rows(sql: str, **values: Any) -> set[tuple[Any, ...]]:
    db.session.rollback()
    return {tuple(row) for row in db.session.execute(db.text(sql), values)}


def value(sql: str) -> Any:
    db.session.rollback()
    return db.session.execute(db.text(sql)).scalar()


def fill() -> None:
    db.session.execute(db.text(CUSTOMERS_SQL), {"many": CUSTOMERS})
    for number in range(SEGMENTS):
        rule = {"field": "employees", "op": "ge", "value": 10 * number}
        _segment(f"s{number}", rule, "step", 10 * number)
    _segment("last", {"all": [{"in_segment": "s0"}, {"none": [{"in_segment": "s1"}]}]}, "last", 0)
    db.session.commit()


def _segment(name: str, rule: dict[str, Any], description: str, priority: int) -> None:
    db.session.add(Segment(name=name, type="dynamic", rule=rule, description=description, priority=priority))


def ended(desk: Desk, job_id: int) -> Job:
    job: Job = until(lambda: (found := desk.job(job_id)).is_open is False and found, 90)
    return job


@pytest.mark.soak
def test_kill_9_at_any_moment_of_a_refresh_leaves_a_history_that_the_next_run_puts_right(
    desk: Desk, start: Callable[..., Forked], monkeypatch: pytest.MonkeyPatch, soak_round: int
) -> None:
    rng = random.Random(soak_round)
    fill()
    monkeypatch.setattr(segments, "PART", 100)  # so that there is something to be killed between
    start("schedule")
    worker = start("work", "1")
    began = time.monotonic()
    job_id = refreshed(desk)
    assert ended(desk, job_id).state is JobState.DONE
    whole = time.monotonic() - began
    assert rows(ARE) == rows(SHOULD)
    killed = 0
    for kills in range(1 + rng.randrange(2)):
        db.session.execute(db.text(CHANGED), {"by": 7 + 11 * kills, "third": rng.randrange(3)})
        db.session.commit()
        before = rows(ARE)
        job_id = refreshed(desk, changed=rng.random() < 0.3)
        time.sleep(rng.uniform(0, whole))
        kill_tree(worker)
        killed += desk.job(job_id).is_open
        should = rows(SHOULD)
        assert before & should <= rows(ARE) <= before | should  # whoever it came to is right, the others as they were
        assert value(TWICE) == 0
        worker = start("work", "1")
        job = ended(desk, job_id)
        assert (job.state, job.error) == (JobState.DONE, None)
        assert rows(ARE) == should
        assert (value(TWICE), value(TOLD)) == (0, 0)
    once_more = refreshed(desk)
    assert ended(desk, once_more).result == {"segments": SEGMENTS + 1, "entered": 0, "gone": 0}
    print(f"round {soak_round}: a refresh took {whole:.1f} s; killed in the middle {killed} times")


def refreshed(desk: Desk, *, changed: bool = False) -> int:
    job = ask_refresh(None, by=None, changed=changed)
    db.session.commit()
    return job.id
