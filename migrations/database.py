"""Upgrade, downgrade and compare a database with the code; logs in as its owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from crm.config import StartError
from crm.core.entity import Base, entities
from migrations.env_rules import wanted
from migrations.install import differences, install

FOLDER = Path(__file__).parent
ONE_AT_A_TIME = 7_240_701  # advisory lock: two processes that start together must not both migrate


def config(connection: Any | None = None) -> Config:
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


@contextmanager
def _owner(owner_url: str) -> Iterator[Any]:
    engine = create_engine(owner_url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": ONE_AT_A_TIME})
            connection.commit()
            yield connection
            connection.commit()
    finally:
        engine.dispose()


def upgrade(owner_url: str, app_url: str, revision: str = "head") -> None:
    """Run what is missing, then install functions, triggers and grants."""
    with _owner(owner_url) as connection:
        command.upgrade(config(connection), revision)
        if revision == "head":
            _refuse_missing(connection)
            install(connection, _role(app_url))


class NoRevision(StartError):
    """The code declares what no revision makes."""


def _refuse_missing(connection: Any) -> None:
    there = set(inspect(connection).get_table_names())
    missing = sorted(entity.__tablename__ for entity in entities() if entity.__tablename__ not in there)
    if missing:
        raise NoRevision(f"no revision makes the table {missing[0]}: write one with flask db revise")


def downgrade(owner_url: str, revision: str) -> None:
    with _owner(owner_url) as connection:
        command.downgrade(config(connection), revision)


def check(owner_url: str, app_url: str) -> list[str]:
    """Every difference between the code and the database, in words."""
    with _owner(owner_url) as connection:
        context = MigrationContext.configure(connection, opts={"include_object": wanted, "compare_type": True})
        found = [str(change) for change in compare_metadata(context, Base.metadata)]
        return found + differences(connection, _role(app_url))


def state(owner_or_app_url: str) -> tuple[str | None, str | None]:
    """(revision of the database, newest revision of the code)."""
    engine = create_engine(owner_or_app_url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return current, ScriptDirectory.from_config(config()).get_current_head()


def revise(owner_url: str, message: str, number: str) -> None:
    """Write the next numbered revision from the difference between code and database."""
    with _owner(owner_url) as connection:
        command.revision(config(connection), message=message, autogenerate=True, rev_id=number)


def _role(app_url: str) -> str:
    role = make_url(app_url).username
    assert role, "the app's database URL names its login"
    return role
