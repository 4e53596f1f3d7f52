"""A database of its own for each test, and a bell that nobody else hears."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import NullPool, create_engine, text

from app import create_app
from crm.commands import access
from crm.core import figures
from crm.core import jobs as table
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.core.jobs import Bell, Job, ask
from crm.models.access import User
from crm.servers import Servers
from jobs import queue, runner
from tests.conftest import FreshClient, Own, _copy, _drop, _settings
from tests.jobs import trial
from tests.jobs.processes import Forked, kill_tree, serve

# Whole houses are killed by `make soak` alone; `make test` kills a worker's tree within an import and its undo, in test_imports.
collect_ignore = [] if os.environ.get("SOAK_N") else ["test_kills.py"]


@dataclass
class Desk:
    """An app on a database of its own, in its context, with what tests of jobs need."""

    app: Flask
    servers: Servers
    rung: list[int] = field(default_factory=list)

    def ask(self, task: str = "jobs.trial.chunks", by: int | None = None, **args: Any) -> int:
        job = ask(task, label="Trial", args=args, by=by)
        db.session.commit()
        return job.id

    def job(self, job_id: int) -> Job:
        return runner.look(job_id)

    def user(self, role: str = "admin") -> User:
        user, _ = access.create_user(email=f"{role}-{secrets.token_hex(3)}@example.com", role=role)
        db.session.commit()
        return user

    def effects(self) -> list[str]:
        """Names of the parties that the trial jobs made, in order."""
        db.session.rollback()
        return [name for (name,) in db.session.execute(db.text("SELECT name FROM party ORDER BY id"))]


_EMPTY = ("TRUNCATE app_user, job, party, loyalty_program, audit_entry, audit_value, audit_head, login_attempt, idempotency_key, "
          f"{', '.join(sorted(figures.tables()))} CASCADE")  # fmt: skip


def expected(chunks: int) -> list[str]:
    return [f"{chunk}-{number}" for chunk in range(chunks) for number in range(trial.PER_CHUNK)]


@pytest.fixture(scope="session")
def jobs_database(worker_id: str) -> Iterator[Own]:
    """One database for all tests of jobs, emptied after each: making the app takes longer than most."""
    number = 1 + int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 1
    copied = _copy(f"desk_jobs_{worker_id}")
    servers = replace(copied, redis_url=f"{copied.redis_url}?db={number}")
    app = create_app(_settings(), servers)
    app.test_client_class = FreshClient
    yield Own(app, servers)
    with app.app_context():
        db.engine.dispose()
    assert servers.superuser_url
    _drop(f"desk_jobs_{worker_id}", servers.superuser_url)


@pytest.fixture
def desk(jobs_database: Own) -> Iterator[Desk]:
    """Bells are only written down; `real_bell` hangs the real one."""
    made = Desk(jobs_database.app, jobs_database.servers)
    before = replace(table.bell)
    table.hang(Bell(ring=made.rung.append))
    trial.before_step = lambda chunk: None
    trial.tidied.clear()
    try:
        with jobs_database.app.app_context(), acting_as(Acting(via="test")):
            yield made
            db.session.rollback()
        with create_engine(jobs_database.servers.owner_database_url, poolclass=NullPool).begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '10s'"))
            connection.execute(text(_EMPTY))
    finally:
        table.hang(before)
        runner.leaving.since = None


@pytest.fixture
def real_bell(desk: Desk) -> Iterator[Bell]:
    Redis.from_url(desk.servers.redis_url).flushdb()
    table.hang(queue.connect(desk.servers.redis_url))
    yield table.bell
    Redis.from_url(desk.servers.redis_url).flushdb()


@pytest.fixture
def start(desk: Desk, tmp_path: Path) -> Iterator[Callable[..., Forked]]:
    """`start("work", 2)` runs two real workers, `start("schedule")` a scheduler."""
    running: list[Forked] = []
    log = tmp_path / "processes.log"

    def begin(what: str, number: int | str = 1) -> Forked:
        running.append(Forked(lambda: serve(desk.app, desk.servers, what, int(number)), log))
        return running[-1]

    yield begin
    for process in running:
        kill_tree(process)
    print(log.read_text() if log.exists() else "")  # pytest shows it when the test fails


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The condition's answer once it is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"did not come true within {seconds} s")
