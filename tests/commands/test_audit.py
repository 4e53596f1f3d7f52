"""The audit's chain: everything gets its place once, and whatever is done to it behind our back is found and named."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from psycopg import errors
from sqlalchemy import create_engine, delete, select, text, update

from app import create_app, main
from crm.commands import audit as sealing
from crm.commands.parties import block
from crm.core.audit import Acting, acting_as
from crm.core.command import perform_set
from crm.core.entity import db
from crm.logins import dsn
from crm.models.access import AuditEntry
from crm.models.parties import Party
from crm.queries import audit
from crm.servers import Servers
from tests.conftest import Own, _copy, _drop, _settings

CHANGES = 12


def seal_everything(seconds: float = 20) -> None:
    """Other tests' open transactions may hold it up for a moment, as they would in life."""
    deadline = time.monotonic() + seconds
    sealing.seal_all()
    while audit.sealed().open:
        assert time.monotonic() < deadline, "not sealed in time"
        time.sleep(0.05)
        sealing.seal_all()


@pytest.fixture(scope="module")
def home(worker_id: str) -> Iterator[Own]:
    """One database for these tests; each leaves the chain as it was."""
    name = f"desk_audit_{worker_id}"
    servers = _copy(name)
    app = create_app(_settings(), servers)
    with app.app_context(), acting_as(Acting(via="test")):
        for number in range(CHANGES):
            db.session.add(Party(name=f"Party {number}", industry="Steel"))
        db.session.commit()
        for party in db.session.scalars(select(Party)):
            party.name, party.industry = f"{party.name} Ltd", "Retail"
        db.session.commit()
        seal_everything()
    yield Own(app, servers)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    assert servers.superuser_url
    _drop(name, servers.superuser_url)


@pytest.fixture
def inside(home: Own) -> Iterator[Flask]:
    with home.app.app_context(), acting_as(Acting(via="test")):
        yield home.app
        db.session.rollback()


@pytest.fixture
def tamper(home: Own) -> Iterator[Callable[..., None]]:
    """SQL as the superuser, past every right; all that it did is undone after the test."""
    url = home.servers.superuser_url
    assert url
    tables = ("audit_entry", "audit_value", "audit_head")
    engine = create_engine(home.servers.owner_database_url)
    with engine.begin() as owner:
        for table in tables:
            owner.execute(text(f"CREATE TABLE kept_{table} AS TABLE {table}"))

    def run(*statements: str) -> None:
        with engine.begin() as owner:
            for statement in statements:
                owner.execute(text(statement))

    yield run
    with engine.begin() as owner:
        for table in tables:
            owner.execute(text(f"DELETE FROM {table}"))
            owner.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))
            owner.execute(text(f"DROP TABLE kept_{table}"))
    engine.dispose()


def chain() -> list[tuple[int, int]]:
    """(place, entry) in order of the chain."""
    rows = db.session.execute(select(AuditEntry.seq, AuditEntry.id).where(AuditEntry.seq.is_not(None)))
    return sorted((row[0], row[1]) for row in rows)


def test_every_entry_has_its_place_without_gaps_and_the_chain_is_right(inside: Flask) -> None:
    places = [seq for seq, _ in chain()]
    assert len(places) >= 2 * CHANGES
    assert places == list(range(1, len(places) + 1))
    verdict = audit.verify()
    assert (verdict.fault, verdict.checked, verdict.sealed.open) == (None, len(places), 0)


BAD = [
    ("changed", 7, ["UPDATE audit_entry SET actor_id = 99 WHERE seq = 7"]),
    ("changed", -3, ["UPDATE audit_entry SET changes = jsonb_set(changes, '{industry,0}', '\"Gold\"') WHERE seq = :place"]),
    ("changed", 9, ["UPDATE audit_entry SET created_at = created_at - interval '1 day' WHERE seq = 9"]),
    ("changed", -4, [("UPDATE audit_value SET after = 'Somebody else' WHERE entry_id = "
                     "(SELECT id FROM audit_entry WHERE seq = :place)")]),
    ("removed", 5, ["DELETE FROM audit_entry WHERE seq = 5"]),
    ("removed", 1, ["DELETE FROM audit_entry WHERE seq = 1"]),
    ("removed", 0, ["DELETE FROM audit_entry WHERE seq = (SELECT max(seq) FROM audit_entry)"]),
    ("reordered", 4, ["UPDATE audit_entry SET seq = -4 WHERE seq = 4", "UPDATE audit_entry SET seq = 4 WHERE seq = 11",
                      "UPDATE audit_entry SET seq = 11 WHERE seq = -4"]),
    ("inserted", 6, ["UPDATE audit_entry SET seq = -seq - 1 WHERE seq >= 6", "UPDATE audit_entry SET seq = -seq WHERE seq < 0",
                     "INSERT INTO audit_entry (entity, record_id, action, seq, hash) VALUES ('party', 1, 'create', 6, 'x')"]),
    ("inserted", 1, [("INSERT INTO audit_entry (entity, record_id, action, seq, hash) "
                        "SELECT 'party', 1, 'create', max(seq) + 1, repeat('0', 64) FROM audit_entry")]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "place", "done"), BAD, ids=[f"{kind}-{place}" for kind, place, _ in BAD])
def test_what_the_owner_of_the_database_does_to_it_is_found_and_named(
    inside: Flask, tamper: Callable[..., None], kind: str, place: int, done: list[str]
) -> None:
    place = place if place > 1 or (kind == "removed" and place) else audit.sealed().seq + place
    entry = dict(chain())
    tamper(*(statement.replace(":place", str(place)) for statement in done))
    fault = audit.verify().fault
    assert fault is not None
    assert (fault.kind, fault.seq) == (kind, place)
    if kind == "changed":
        assert fault.entry == entry[place]


def test_a_chain_made_anew_is_noticed_by_whoever_kept_a_hash_of_the_old_one(
    inside: Flask, tamper: Callable[..., None]
) -> None:
    before = audit.sealed()
    tamper("UPDATE audit_entry SET actor_id = 99 WHERE seq = 3", "UPDATE audit_entry SET seq = NULL, hash = NULL",
           "DELETE FROM audit_head")  # fmt: skip
    seal_everything()
    assert audit.verify().fault is None, "a chain alone can't tell; that is what --known is for"
    fault = audit.verify(known=(before.seq, before.hash)).fault
    assert fault is not None
    assert "made anew" in fault.says


def test_values_that_were_erased_leave_the_chain_right(inside: Flask, tamper: Callable[..., None]) -> None:
    tamper("DELETE FROM audit_value")
    assert audit.verify().fault is None


def test_no_personal_value_stands_in_what_is_chained(inside: Flask) -> None:
    shown = db.session.execute(text("SELECT string_agg(changes::text, '') FROM audit_entry")).scalar_one()
    assert "Retail" in shown
    assert "Party" not in shown


def test_what_a_transaction_that_is_still_open_wrote_or_began_before_is_left_for_later(
    home: Own, inside: Flask
) -> None:
    with psycopg.connect(dsn(home.servers.database_url)) as slow:
        slow.execute("INSERT INTO party (name) VALUES ('slow')")
        db.session.add(Party(name="quick"))
        db.session.commit()
        sealing.seal_all()
        assert audit.sealed().open == 1, "its own can't be seen, the later one must wait for it"
    seal_everything()
    names = [name for (name,) in db.session.execute(text(
        "SELECT p.name FROM audit_entry e JOIN party p ON p.id = e.record_id WHERE e.action = 'create' "
        "ORDER BY seq DESC LIMIT 2"))]  # fmt: skip
    assert sorted(names) == ["quick", "slow"]
    assert audit.verify().fault is None


def test_many_writers_and_several_sealers_leave_no_gap_and_nothing_out(home: Own, inside: Flask) -> None:
    written = threading.Event()

    def write(_: int) -> None:
        with psycopg.connect(dsn(home.servers.database_url), autocommit=True) as connection:
            for number in range(40):
                with connection.transaction():
                    connection.execute("INSERT INTO party (name) SELECT 'w' FROM generate_series(1, 5)")
                    if number % 5 == 0:
                        time.sleep(0.002)

    def seal() -> None:
        with home.app.app_context():
            while not written.is_set():
                sealing.seal_all()

    with ThreadPoolExecutor(6) as threads:
        sealers = [threads.submit(seal) for _ in range(2)]
        try:
            list(threads.map(write, range(4)))
        finally:
            written.set()
        assert [sealer.result() for sealer in sealers] == [None, None]
    seal_everything()
    places = [seq for seq, _ in chain()]
    assert places == list(range(1, len(places) + 1))
    assert len(places) >= 800
    assert audit.verify().fault is None


def test_the_app_may_ask_for_sealing_and_write_nothing_itself(home: Own) -> None:
    with psycopg.connect(dsn(home.servers.database_url), autocommit=True) as app_login:
        app_login.execute("SELECT audit_seal(10)")
        for statement in (
            "UPDATE audit_head SET seq = 0",
            "DELETE FROM audit_head",
            "UPDATE audit_entry SET seq = NULL",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                app_login.execute(statement.encode())


# Whatever way it was written


def test_each_way_of_writing_leaves_one_entry_for_each_record_it_changed(home: Own, inside: Flask) -> None:
    """Imports are tested with importing, demo data with demo data."""
    with db.session.begin_nested() as undone:
        made = [Party(name=f"way {number}", industry="Steel", roles=["business_customer"]) for number in range(4)]
        db.session.add_all(made)
        db.session.flush()
        ids = [party.id for party in made]

        def entries(action: str) -> list[tuple[int, list[str]]]:
            found = db.session.execute(text(
                "SELECT record_id, ARRAY(SELECT jsonb_object_keys(changes) ORDER BY 1) FROM audit_entry WHERE entity = 'party' "
                "AND action = :action AND record_id = ANY (:ids) AND id > :after ORDER BY record_id"),
                {"action": action, "ids": ids, "after": after})  # fmt: skip
            return [(row[0], row[1]) for row in found]

        def mark() -> int:
            return int(db.session.execute(text("SELECT coalesce(max(id), 0) FROM audit_entry")).scalar_one())

        after = 0
        assert entries("create") == [(number, []) for number in ids]
        after = mark()
        made[0].industry = "Retail"
        db.session.flush()
        assert entries("update") == [(ids[0], ["industry"])]
        after = mark()
        # One of them has this value already: nothing is written about it.
        db.session.execute(update(Party).where(Party.id.in_(ids)).values(industry="Retail"))
        assert entries("update") == [(number, ["industry"]) for number in ids[1:]]
        after = mark()
        refused = perform_set(block, ids[:3], by=None, values={"reason": "unpaid", "code": None, "until": None})
        assert refused == {}
        changed = dict(entries("update"))
        assert set(changed) == set(ids[:3])
        assert {"block_state", "block_reason"} <= set(changed[ids[0]])
        after = mark()
        # The others have a history of their status now, which keeps them.
        db.session.execute(delete(Party).where(Party.id.in_(ids[3:])))
        assert [number for number, _ in entries("delete")] == ids[3:]
        undone.rollback()


# The command


def run(servers: Servers, *arguments: str) -> Result:
    environment = {"CRM_DATABASE_URL": servers.database_url, "CRM_OWNER_DATABASE_URL": servers.owner_database_url,
                   "CRM_REDIS_URL": servers.redis_url, "CRM_SECRET_KEY": servers.secret_key}  # fmt: skip
    return CliRunner().invoke(main, list(arguments), env=environment)


def test_the_command_says_what_it_found(home: Own, inside: Flask, tamper: Callable[..., None]) -> None:
    good = run(home.servers, "audit", "verify", "--json")
    assert good.exit_code == 0, good.stderr
    answer = json.loads(good.stdout.splitlines()[-1])
    assert answer["ok"]
    assert answer["first_bad"] is None
    assert answer["checked"] == answer["seq"] >= 2 * CHANGES
    tamper("UPDATE audit_entry SET record_id = record_id + 1 WHERE seq = 8")
    bad = run(home.servers, "audit", "verify", "--json", "--known", f"{answer['seq']}:{answer['hash']}")
    assert bad.exit_code == 1
    assert json.loads(bad.stdout.splitlines()[-1])["first_bad"]["seq"] == 8
    words = run(home.servers, "audit", "verify")
    assert words.exit_code == 1
    assert "NOT as it was sealed, after 7 good entries" in words.stdout
    assert run(home.servers, "audit", "verify", "--known", "12").exit_code == 1


def test_a_savepoint_is_of_whoever_acts_now_also_after_another_was_undone(session: object) -> None:
    """The database is told once for a transaction; what it was told inside of what was undone counts for nothing."""
    party = Party(name="Acme")
    with acting_as(Acting(via="first")):
        db.session.add(party)
        db.session.commit()
        with db.session.begin_nested():
            party.industry = "Steel"
        undone = db.session.begin_nested()
        with acting_as(Acting(via="second")), db.session.begin_nested():
            party.industry = "Retail"
        undone.rollback()
        with acting_as(Acting(via="second")), db.session.begin_nested():
            party.industry = "Energy"
        with db.session.begin_nested():
            party.industry = "Mining"
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.entity == "party", AuditEntry.record_id == party.id)
                                 .order_by(AuditEntry.id))  # fmt: skip
    assert [(one.via, one.changes.get("industry", ["", ""])[1]) for one in entries] == [
        ("first", ""), ("first", "Steel"), ("second", "Energy"), ("first", "Mining")]  # fmt: skip
