"""The whole house, killed at random while it imports and undoes, and while many decide on credit: nothing is lost or doubled, and
all ends by itself.

Part of `make soak`: each round kills twice, and a worker that was killed is missed after some twenty seconds.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from crm.commands import access
from crm.commands.batch import ask_for_all
from crm.config import PROJECT_ROOT
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.core.figures import differences
from crm.core.jobs import Job, JobState
from crm.importing.start import draft, start
from crm.importing.undoing import ask_undo
from crm.models.access import User
from crm.models.imports import Duplicates, Import
from crm.servers import ServersDown, attach
from tests.homes import settings_in, temporary_folder
from tests.test_supervisor import free_port

VICTIMS = ("worker", "postgres", "valkey", "web")
KNOWN, ROWS = 6_000, 12_000
ENDS_WITHIN = 60  # seconds from the moment when everything runs again
T = TypeVar("T")

pytestmark = [pytest.mark.soak, pytest.mark.slow]


class House:
    """`app.py up` in a home of its own, and a way into its database that outlives its kills."""

    def __init__(self, folder: Path, app: Flask) -> None:
        self.app, self.home = app, folder / "home"
        self.settings = settings_in(folder, port=str(free_port()), workers="1")
        environ = os.environ | {"CRM_HOME": str(self.home), "CRM_PORT": str(self.settings.port), "CRM_WORKERS": "1",
                                "CRM_ADMIN_PASSWORD": "correct horse battery staple"}  # fmt: skip
        self.log = (folder / "up.log").open("wb")
        self.process = subprocess.Popen([sys.executable, str(PROJECT_ROOT / "app.py"), "up"], cwd=PROJECT_ROOT, env=environ,
                                        stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip

    def pid(self, name: str) -> int:
        known = json.loads((self.home / "children.json").read_text())
        return int(next(pid for key, (pid, _, _) in known.items() if key.startswith(name)))

    def kill(self, name: str) -> None:
        """kill -9 of a process and all below it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.pid(name))
            for member in [root, *(root.children(recursive=True) if name in ("worker", "web") else ())]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()

    def ask(self, work: Callable[[], T], seconds: float = 60) -> T:
        """Work on its database, again while that is away."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self.app.app_context(), acting_as(Acting(via="test")):
                    answer = work()
                    db.session.commit()
                    return answer
            except DBAPIError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            finally:
                with self.app.app_context(), contextlib.suppress(DBAPIError):
                    db.session.remove()

    def value(self, sql: str, **values: Any) -> Any:
        return self.ask(lambda: db.session.execute(db.text(sql), values).scalar())

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        finally:
            self.log.close()


@pytest.fixture(scope="module")
def house(built_app: Flask) -> Iterator[House]:
    with temporary_folder() as folder:
        made = House(folder, built_app)
        usual_settings = built_app.config["DESK_SETTINGS"]
        with built_app.app_context():
            usual = db.engines[None]
        try:
            made_servers = None
            deadline = time.monotonic() + 120
            while made_servers is None:
                assert made.process.poll() is None, (folder / "up.log").read_text()
                assert time.monotonic() < deadline, (folder / "up.log").read_text()
                with contextlib.suppress(ServersDown, OSError):
                    if "runs on" in (folder / "up.log").read_text():
                        made_servers = attach(made.settings)
                time.sleep(0.2)
            built_app.config["DESK_SETTINGS"] = made.settings
            with built_app.app_context():
                own = db.engines[None] = create_engine(made_servers.database_url, pool_pre_ping=True)
            run(
                made,
                "\n".join(["name,email,city,industry", *(f"Known {n},k{n}@x.org,Rome,Wood" for n in range(KNOWN))]),
                None,
            )
            yield made
            with built_app.app_context():
                db.session.remove()
                own.dispose()
        finally:
            with built_app.app_context():
                db.engines[None] = usual
            built_app.config["DESK_SETTINGS"] = usual_settings
            made.end()


def run(house: House, data: str, victim: str | None) -> tuple[int, float]:
    def begin() -> tuple[int, int]:
        record, _ = draft(face_named("customer"), io.BytesIO(data.encode()), "many.csv", by=None, duplicates=Duplicates.UPDATE,
                          match="email")  # fmt: skip
        return record.id, start(record, by=None).id

    import_id, job_id = house.ask(begin)
    return import_id, to_its_end(house, job_id, victim)


def to_its_end(house: House, job_id: int, victim: str | None) -> float:
    """Kill somebody at a random moment of a job, and answer the seconds until the job had ended."""
    if victim is not None:
        time.sleep(random.uniform(0, 5))
        house.kill(victim)
    began = time.monotonic()
    while True:
        job = house.ask(lambda: _apart(job_id))
        if not job.is_open:
            break
        assert time.monotonic() - began < 2 * ENDS_WITHIN, (victim, job.state, job.log)
        time.sleep(0.3)
    assert job.state is JobState.DONE, (victim, job.error, job.log)
    return time.monotonic() - began


def _apart(job_id: int) -> Job:
    job = db.session.get_one(Job, job_id, populate_existing=True)
    db.session.expunge(job)
    return job


WHOLE = """SELECT md5(string_agg((to_jsonb(t) - 'updated_at')::text, ' ' ORDER BY t.id)) FROM {table} t WHERE {which}"""
KNOWN_PARTIES = WHOLE.format(table="party", which="email LIKE 'k%'")
KNOWN_ADDRESSES = WHOLE.format(table="address", which="party_id IN (SELECT id FROM party WHERE email LIKE 'k%')")


def test_kills_at_any_moment_lose_and_double_nothing(house: House, soak_round: int) -> None:
    random.seed(soak_round)
    first, second = VICTIMS[soak_round % 4], random.choice(VICTIMS)
    before = house.value(KNOWN_PARTIES), house.value(KNOWN_ADDRESSES)
    new = f"n{soak_round}-{time.time_ns()}"
    lines = [
        f"Changed {n},k{n}@x.org,Bonn,Steel" if n < KNOWN else f"New {n},{new}-{n}@x.org,Oslo,Coal" for n in range(ROWS)
    ]
    import_id, took = run(house, "\n".join(["name,email,city,industry", *lines]), first)
    counts = house.ask(
        lambda: (r := db.session.get_one(Import, import_id)) and (r.rows, r.rows_created, r.rows_updated)
    )
    assert counts == (ROWS, ROWS - KNOWN, KNOWN)
    assert house.value("SELECT count(*) FROM party WHERE email LIKE :new", new=f"{new}%") == ROWS - KNOWN
    assert house.value("SELECT count(DISTINCT email) FROM party WHERE email LIKE :new", new=f"{new}%") == ROWS - KNOWN
    assert (
        house.value("SELECT count(*) FROM party WHERE email LIKE 'k%' AND industry = 'Steel' AND name LIKE 'Changed%'")
        == KNOWN
    )
    entries = "SELECT count(*) FROM audit_entry WHERE entity = 'party' AND request_id = :mark"
    assert house.value(entries, mark=f"import-{import_id}") == ROWS
    undo_id = house.ask(lambda: ask_undo(db.session.get_one(Import, import_id), by=None).id)
    back = to_its_end(house, undo_id, second)
    assert (house.value(KNOWN_PARTIES), house.value(KNOWN_ADDRESSES)) == before
    assert house.value("SELECT count(*) FROM party WHERE email LIKE :new AND archived_at IS NULL", new=f"{new}%") == 0
    assert house.value(entries, mark=f"undo-{import_id}") == ROWS
    assert house.value("SELECT count(*) FROM import_kept") == 0
    assert house.ask(lambda: list(differences(db.session.connection()))) == []
    print(
        f"round {soak_round}: {first} killed, import ended after {took:.0f} s; {second} killed, undo ended after {back:.0f} s"
    )


APPROVERS, BY_HAND, BY_JOB = 16, 60, 3_000
# Every third by hand needs two who approve; the job's are another approver's, apart from the ones he asked for himself.
ASKED = """
WITH made AS (INSERT INTO party (name, roles) SELECT :mark || lpad(n::text, 5, '0'), ARRAY['end_customer'] FROM generate_series(1, :many) n RETURNING id, name),
held AS (INSERT INTO credit_account (party_id) SELECT id FROM made RETURNING id, party_id)
INSERT INTO credit_request (account_id, amount, requested_by_id)
SELECT held.id, CASE WHEN n > :by_hand THEN 1000 + n WHEN n % 3 = 0 THEN 200000 + n ELSE n END, (CAST(:people AS bigint[]))[1 + n % :approvers]
  FROM held JOIN made ON made.id = held.party_id CROSS JOIN LATERAL (SELECT right(made.name, 5)::int) AS numbered (n) ORDER BY n
"""


@pytest.mark.timeout(600)
def test_approvers_whose_servers_are_killed_decide_each_request_once(house: House, soak_round: int) -> None:
    random.seed(soak_round)
    mark = f"credit{soak_round}-{time.time_ns()}-"

    def begin() -> tuple[list[int], list[str]]:
        people = [
            access.create_user(email=f"{mark}{number}@example.com", role="credit_approver")[0]
            for number in range(APPROVERS)
        ]
        keys = [access.create_key(name="till", user=one, scopes=access.scope_names())[1] for one in people]
        known = {
            "mark": mark,
            "many": BY_HAND + BY_JOB,
            "by_hand": BY_HAND,
            "approvers": APPROVERS,
            "people": [one.id for one in people],
        }
        db.session.execute(text(ASKED), known)
        return [one.id for one in people], keys

    people, keys = house.ask(begin)
    among = "FROM credit_request q JOIN credit_account a ON a.id = q.account_id JOIN party p ON p.id = a.party_id WHERE p.name LIKE :some"
    found = house.value(f"SELECT array_agg(q.id) {among} AND (q.amount <= 1000 OR q.amount > 200000)", some=f"{mark}%")
    assert len(found) == BY_HAND
    until = time.monotonic() + 4 * ENDS_WITHIN

    def decide(key: str) -> None:
        rng = random.Random(key)
        for number in rng.sample(found, len(found)):
            while (code := _approve(house, number, key)) not in (200, 409):
                # Nobody there, too many, or no database just now: once more, whatever became of it.
                assert code in (0, 429, 503), code
                assert time.monotonic() < until
                time.sleep(rng.uniform(0.1, 0.5))

    def begin_job() -> int:
        by = db.session.get_one(User, people[0])
        return ask_for_all(face_named("credit_request"), "approve",
                           [("flt_status_eq", "pending"), ("flt_amount_between", f"1001,{1000 + BY_HAND + BY_JOB}")], {"reason": "Good"}, by=by).id  # fmt: skip

    with ThreadPoolExecutor(APPROVERS) as pool:
        work = [pool.submit(decide, key) for key in keys]
        job = house.ask(begin_job)
        for victim in ("worker", "web", "postgres", *random.sample(VICTIMS, 2)):
            wait(work, timeout=random.uniform(1, 6))
            house.kill(victim)
        for one in work:
            one.result()
    to_its_end(house, job, None)
    own = len([n for n in range(BY_HAND + 1, BY_HAND + BY_JOB + 1) if n % APPROVERS == 0])
    two, some = BY_HAND // 3, f"{mark}%"
    decided = among.replace("FROM", "FROM credit_decision d JOIN").replace("q JOIN", "q ON q.id = d.request_id JOIN")
    assert house.value(f"SELECT count(*) {decided}", some=some) == BY_HAND + two + BY_JOB - own
    assert house.value(f"SELECT count(*) {decided} AND d.decided_by_id = q.requested_by_id", some=some) == 0
    assert house.value(f"SELECT count(*) {among} AND q.status = 'approved'", some=some) == BY_HAND + BY_JOB - own
    limits = among.replace("WHERE", "JOIN credit_account_figures f ON f.id = a.id WHERE")
    assert (
        house.value(
            f"SELECT count(*) {limits} AND f.credit_limit = CASE WHEN q.status = 'approved' THEN q.amount ELSE 0 END",
            some=some,
        )
        == BY_HAND + BY_JOB
    )
    assert house.ask(lambda: list(differences(db.session.connection()))) == []


def _approve(house: House, number: int, key: str) -> int:
    """The status of the answer; 0 where none came."""
    asked = urllib.request.Request(f"http://127.0.0.1:{house.settings.port}/api/v1/credit-requests/{number}/approve",
                                   data=b'{"reason": "Good"}', headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"})  # fmt: skip
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 - our own address
            return int(answer.status)
    except urllib.error.HTTPError as fault:
        return fault.code
    except (OSError, http.client.HTTPException):
        return 0
