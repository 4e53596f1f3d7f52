"""Demo data by the million: the owner of the database puts triggers, indexes and foreign keys aside, loads, and makes
them again, all in one transaction; what is interrupted leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from crm.commands import demo_dealings
from crm.commands.demo import TASK, all_records, load_part, refuse
from crm.core.command import Refused
from crm.core.figures import rebuild
from crm.core.jobs import Job, JobState
from crm.core.searching import fill_apart
from crm.models.access import AuditAction, AuditEntry
from crm.models.duplicate_search import DuplicateNote
from crm.models.parties import Address, Contact, Party

TABLES = (*(entity.__tablename__ for entity in (Party, Party.search_apart, Contact, Address)), *demo_dealings.TABLES)
PART = 20_000
_SETTINGS = (
    "SET LOCAL lock_timeout = '10s'", "SET LOCAL work_mem = '64MB'", "SET LOCAL maintenance_work_mem = '512MB'",
    # Whoever presses Ctrl-C must not leave the tables locked until a statement has ended by itself.
    "SET LOCAL client_connection_check_interval = '2s'",
)  # fmt: skip


def work(customers: int) -> int:
    """The length of a progress bar: the parties, and as much again for what is made again afterwards."""
    return 2 * all_records(customers)


def load_in_bulk(owner_url: str, *, customers: int, seed: int, dealings: bool = True,
                 tell: Callable[[int], None] = lambda done: None) -> int:  # fmt: skip
    """Make the customers, some vendors and partners; answers how many parties. Nobody reads or writes parties meanwhile.

    `tell` hears how many of `work(customers)` are done. Raises Refused when demo data is there, or others hold the
    tables for long.
    """
    engine = create_engine(owner_url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.begin() as connection:
            for setting in _SETTINGS:
                connection.execute(text(setting))
            _lock(connection)
            refuse(customers, connection)
            done = 0
            with _set_aside(connection, customers) as made_again:
                for first in range(1, all_records(customers) + 1, PART):
                    last = min(first + PART - 1, all_records(customers))
                    done += load_part(first, last, customers=customers, seed=seed, dealings=dealings, on=connection)
                    tell(done)
                connection.execute(text(fill_apart(Party)))
                for share in made_again:
                    tell(done + int(share * done))
            for table in TABLES:
                connection.execute(text(f"ANALYZE {table}"))  # first: what the figures add up to is planned by it
            rebuild(connection)
            connection.execute(insert(DuplicateNote).from_select(["party_id"], select(Party.id)))  # triggers were off
            _write_down(connection, customers, seed, done)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in TABLES:
                connection.execute(text(f"VACUUM {table}"))
        return done
    finally:
        engine.dispose()


def _lock(connection: Any) -> None:
    try:
        connection.execute(text(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE"))
    except OperationalError as fault:
        raise Refused("others are writing parties for long: try again when imports and jobs have ended") from fault


@contextmanager
def _set_aside(connection: Any, customers: int) -> Iterator[Iterator[float]]:
    """Triggers are off inside; where the load is more than what is there, indexes and foreign keys are gone, and are
    made again as the answer is walked through, which tells what share of them is done."""
    for table in TABLES:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    there = connection.scalar(select(func.count()).select_from(select(Party.id).limit(customers + 1).subquery()))
    drop, make = _indexes_and_keys(connection) if there <= customers else ([], [])
    for statement in drop:
        connection.execute(text(statement))

    def made_again() -> Iterator[float]:
        for number, statement in enumerate(make, 1):
            connection.execute(text(statement.replace(":", r"\:")))
            yield number / len(make)

    yield made_again()
    for table in TABLES:
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def _indexes_and_keys(connection: Any) -> tuple[list[str], list[str]]:
    """What drops them and what makes them again; indexes first, as a foreign key is checked by them."""
    tables = {"tables": list(TABLES)}
    indexes = connection.execute(text(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i "
        "WHERE i.indrelid = ANY (CAST(:tables AS text[])::regclass[]) AND NOT EXISTS "
        "(SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x')) ORDER BY 1"),
        tables).all()  # fmt: skip
    keys = connection.execute(text(
        "SELECT c.conrelid::regclass::text, quote_ident(c.conname), pg_get_constraintdef(c.oid) FROM pg_constraint c "
        "WHERE c.contype = 'f' AND c.conrelid = ANY (CAST(:tables AS text[])::regclass[]) ORDER BY 1, 2"), tables).all()  # fmt: skip
    drop = [f"ALTER TABLE {table} DROP CONSTRAINT {name}" for table, name, _ in keys]
    drop += [f"DROP INDEX {name}" for name, _ in indexes]
    make = [definition for _, definition in indexes]
    make += [f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in keys]
    return drop, make


def _write_down(connection: Any, customers: int, seed: int, done: int) -> None:
    """One job that tells what was made, and one audit entry for it all."""
    label = f"Load demo data: {customers:,} customers"
    number = connection.scalar(insert(Job).values(
        task=TASK, label=label, state=JobState.DONE, args={"customers": customers, "seed": seed}, done=done, total=done,
        started_at=func.now(), finished_at=func.clock_timestamp(), result={"customers": customers}).returning(Job.id))  # fmt: skip
    connection.execute(insert(AuditEntry).values(
        via="cli", request_id="", entity=Job.__tablename__, record_id=number, action=AuditAction.CREATE,
        changes={"label": [None, label]}))  # fmt: skip
