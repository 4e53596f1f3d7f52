"""The scheduler: one works, the others wait; what is due is done."""

from __future__ import annotations

import datetime as dt
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, func, select, text, update

from crm.commands import access
from crm.core import jobs as table
from crm.core.entity import db
from crm.core.jobs import Bell, Job
from crm.models.access import AuditEntry, LoginAttempt, UserSession
from crm.models.parties import BlockState, Party, Status
from jobs import schedule
from tests.jobs.conftest import Desk, until
from tests.jobs.processes import Forked

# Advisory locks are per database, but the view shows those of all.
HELD = (
    "locktype = 'advisory' AND objid = :lock AND granted AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)


@contextmanager
def scheduler(desk: Desk, done: list[str], name: str) -> Iterator[threading.Event]:
    """A scheduler in a thread, whose only duty is to write its name down."""
    ended = threading.Event()

    def note() -> int:
        done.append(name)
        return 1

    def run() -> None:
        with desk.app.app_context():
            schedule.run(ended=ended, duties=(schedule.Duty("note", 0.05, note),))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ended
    finally:
        ended.set()
        thread.join(5)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "TICK", 0.05)


def test_two_schedulers_do_nothing_twice_and_the_second_takes_over(desk: Desk) -> None:
    done: list[str] = []
    with scheduler(desk, done, "first") as first:
        until(lambda: "first" in done)
        with scheduler(desk, done, "second"):
            time.sleep(0.3)
            assert set(done) == {"first"}
            first.set()
            until(lambda: "second" in done)


def test_a_scheduler_that_lost_its_connection_takes_the_lock_again(desk: Desk) -> None:
    done: list[str] = []
    with scheduler(desk, done, "first"):
        until(lambda: done)
        holder = text(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {HELD}")
        assert db.session.execute(holder, {"lock": schedule.LOCK}).all()
        db.session.commit()
        seen = len(done)
        until(lambda: len(done) > seen + 2)


def test_a_duty_that_fails_does_not_end_the_others(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    done, ended = [], threading.Event()

    def fail() -> int:
        raise RuntimeError("broken")

    def note() -> int:
        done.append(1)
        ended.set()
        return 0

    schedule.run(ended=ended, duties=(schedule.Duty("fail", 9, fail), schedule.Duty("note", 9, note)))
    assert done == [1]
    assert "could not fail" in caplog.text


def test_sigterm_ends_it_within_two_seconds(desk: Desk, start: Callable[..., Forked]) -> None:
    process = start("schedule")
    lock = text(f"SELECT count(*) FROM pg_locks WHERE {HELD}")
    until(lambda: db.session.execute(lock, {"lock": schedule.LOCK}).scalar())
    process.send_signal(signal.SIGTERM)
    assert process.wait(2) == 0


def test_forgotten_jobs_are_rung_again(desk: Desk) -> None:
    fresh, lost, silent, ended = (desk.ask() for _ in range(4))
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    # Rows get their time of change from a trigger; the owner of the table may do without it.
    _as_owner(desk, f"UPDATE job SET updated_at = '{long_ago}' WHERE id IN ({lost}, {ended})")
    db.session.execute(update(Job).where(Job.id == silent).values(state="running", heartbeat_at=long_ago))
    db.session.commit()
    _as_owner(desk, f"UPDATE job SET state = 'done' WHERE id = {ended}")
    desk.rung.clear()
    assert schedule.ring_unattended() == 2
    assert desk.rung == [lost, silent]
    assert fresh not in desk.rung


def test_while_the_queue_is_away_nothing_is_rung(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    number = desk.ask()
    _as_owner(desk, f"UPDATE job SET updated_at = now() - interval '1 hour' WHERE id = {number}")
    table.hang(Bell(ring=desk.rung.append, state=lambda: {"reachable": False}))
    desk.rung.clear()
    assert schedule.ring_unattended() == 0
    assert desk.rung == []
    assert "1 jobs wait" in caplog.text


def test_blocks_end_on_their_day(desk: Desk) -> None:
    today = dt.datetime.now(dt.UTC).date()
    for name, until_day, state in (
        ("due", today, "blocked"),
        ("overdue", today - dt.timedelta(days=3), "blocked"),
        ("later", today + dt.timedelta(days=1), "blocked"),
        ("open", None, "blocked"),
        ("blacklisted", today, "blacklisted"),
    ):
        db.session.add(Party(name=name, block_state=state, block_reason="x", blocked_until=until_day))
    db.session.commit()
    assert schedule.end_blocks() == 2
    free = db.session.scalars(select(Party.name).where(Party.block_state == BlockState.NONE).order_by(Party.name))
    assert list(free) == ["due", "overdue"]
    assert db.session.scalar(select(func.count()).where(Party.status == Status.ACTIVE)) == 2
    assert schedule.end_blocks() == 0


def test_what_the_scheduler_does_stands_in_the_history(desk: Desk) -> None:
    party = Party(name="due", block_state="blocked", block_reason="x", blocked_until=dt.date(2020, 1, 1))
    db.session.add(party)
    db.session.commit()
    number, ended = party.id, threading.Event()

    def once() -> int:
        ended.set()
        return schedule.end_blocks()

    schedule.run(ended=ended, duties=(schedule.Duty("end blocks", 9, once),))
    entry = db.session.scalars(
        select(AuditEntry).where(AuditEntry.record_id == number, AuditEntry.action == "update")
    ).one()
    assert (entry.actor_id, entry.via) == (None, "scheduler")


def test_old_traces_are_deleted(desk: Desk) -> None:
    user = desk.user()
    access.sign_in(user.email, "wrong", ip="127.0.0.1", user_agent="x")
    now = dt.datetime.now(dt.UTC)
    old = now - dt.timedelta(days=40)
    db.session.add(LoginAttempt(email_hash="x", ip="127.0.0.1", succeeded=False, created_at=old))
    for number, expires in enumerate((now - dt.timedelta(days=2), now + dt.timedelta(hours=1))):
        db.session.add(UserSession(user_id=user.id, token_hash=f"{number}", expires_at=expires))
    db.session.commit()
    assert schedule.delete_old_traces() == 2
    assert db.session.scalar(select(func.count()).select_from(LoginAttempt)) == 1
    assert list(db.session.scalars(select(UserSession.token_hash))) == ["1"]


def _as_owner(desk: Desk, statement: str) -> None:
    engine = create_engine(desk.servers.owner_database_url)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(text("ALTER TABLE job DISABLE TRIGGER touch_job"))
        connection.execute(text(statement))
        connection.execute(text("ALTER TABLE job ENABLE TRIGGER touch_job"))
    engine.dispose()
