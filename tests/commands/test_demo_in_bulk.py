"""Demo data by the million, in small: the same as part by part, one audit entry, and nothing left of what was stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app import main
from crm.commands import demo
from crm.commands import demo_in_bulk as bulk
from crm.commands.demo_catalogue import load_catalogue
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused
from crm.core.entity import db
from crm.logins import dsn
from migrations import database
from tests.conftest import Own
from tests.jobs.processes import Forked, kill_tree

Owner = Callable[..., list[Any]]

# What the hour of loading and the order of numbers decide.
_NOT_COMPARED = {"id", "party_id", "code", "referral_code", "search_text", "created_at", "updated_at", "blocked_at", "archived_at",
                 "customer_since", "email_state_at", "phone_state_at", "email2_state_at", "phone2_state_at"}  # fmt: skip


def rows(run: Callable[[str], Any]) -> list[str]:
    found = []
    for table in bulk.TABLES:
        for (row,) in run(f"SELECT to_jsonb(t) FROM {table} t"):
            found.append(
                f"{table} {json.dumps({k: v for k, v in row.items() if k not in _NOT_COMPARED and not k.endswith(('_id', '_at', '_on', '_from'))}, sort_keys=True)}"
            )
    return sorted(found)


def load(own: Own, customers: int, **more: Any) -> int:
    return bulk.load_in_bulk(own.servers.owner_database_url, customers=customers, seed=3, **more)


def agreed(own: Own) -> bool:
    return database.check(own.servers.owner_database_url, own.servers.database_url) == []


def test_it_makes_what_the_triggers_would_have_made_with_one_audit_entry(
    own_database: Own, owner_sql: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PART", 40)
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        load_catalogue()
        db.session.commit()
        demo.load_demo(customers=100, seed=3)
        slow = rows(lambda sql: db.session.execute(text(sql)))
        db.session.rollback()
        db.session.remove()
    before = owner_sql("SELECT count(*) FROM audit_entry")[0][0]
    told: list[int] = []
    assert load(own_database, 100, tell=told.append) == 104
    assert told == sorted(told)
    assert told[-1] == bulk.work(100)
    assert rows(owner_sql) == slow
    [entry] = owner_sql("SELECT entity, record_id, action, via, changes FROM audit_entry OFFSET :before", before=before)
    assert (entry.entity, entry.action, entry.via) == ("job", "create", "cli")
    assert entry.changes == {"label": [None, "Load demo data: 100 customers"]}
    assert owner_sql("SELECT state, done, total FROM job WHERE id = :id", id=entry.record_id) == [("done", 104, 104)]
    assert agreed(own_database), "indexes, foreign keys and triggers are as they were"
    with pytest.raises(Refused, match="demo data is there already"):
        load(own_database, 10)


def test_what_is_there_already_keeps_its_indexes_when_little_comes_to_it(own_database: Own, owner_sql: Owner) -> None:
    owner_sql("INSERT INTO party (name) SELECT 'x' FROM generate_series(1, 20)")
    kept = "SELECT indexrelid FROM pg_index WHERE indrelid = 'party'::regclass ORDER BY 1"
    before = owner_sql(kept)
    load(own_database, 10)
    assert owner_sql(kept) == before


@pytest.mark.soak
def test_killed_in_the_middle_it_leaves_nothing_and_can_be_started_again(
    own_database: Own, owner_sql: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PART", 20)
    reached = tmp_path / "reached"

    def stop(done: int) -> None:
        if done > 100:  # all are made, and some indexes
            reached.touch()
            time.sleep(60)

    process = Forked(lambda: load(own_database, 100, tell=stop), tmp_path / "log")
    try:
        deadline = time.monotonic() + 20
        while not reached.exists():
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.02)
    finally:
        kill_tree(process)
    assert owner_sql("SELECT count(*) FROM party") == [(0,)]
    assert agreed(own_database)
    assert load(own_database, 100) == 104


def test_who_holds_the_table_is_waited_for_and_then_named(own_database: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_SETTINGS", ("SET LOCAL lock_timeout = '50ms'",))
    with psycopg.connect(dsn(own_database.servers.database_url)) as writer:
        writer.execute("INSERT INTO party (name) VALUES ('x')")
        with pytest.raises(Refused, match="others are writing parties"):
            load(own_database, 10)


def test_the_command_loads_tells_how_many_and_refuses_a_second_time(own_database: Own) -> None:
    servers = own_database.servers
    environment = {"CRM_DATABASE_URL": servers.database_url, "CRM_OWNER_DATABASE_URL": servers.owner_database_url,
                   "CRM_REDIS_URL": servers.redis_url, "CRM_SECRET_KEY": servers.secret_key}  # fmt: skip
    first = CliRunner().invoke(main, ["demo", "--customers", "200", "--json"], env=environment)
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout.splitlines()[-1]) == {"parties": 205 + 15}
    second = CliRunner().invoke(main, ["demo", "--customers", "200"], env=environment)
    assert second.exit_code == 1
    assert "demo data is there already" in second.output
