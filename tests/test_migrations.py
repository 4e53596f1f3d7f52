"""The database is what the code says: built revision by revision, taken down again, and compared."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import errors

from crm.core import audit, figures
from crm.core.tables import Base
from crm.logins import dsn
from crm.servers import Servers, prepare_database
from migrations import database
from tests.conftest import _copy, _drop

REVISIONS = [one.revision for one in ScriptDirectory.from_config(database.config()).walk_revisions()][::-1]
AUDIT = ("audit_entry", "audit_value")
CHANGES = {
    "audit_entry": (
        "INSERT INTO audit_entry (entity, record_id, action) VALUES ('party', 1, 'create')",
        "UPDATE audit_entry SET actor_id = NULL",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
    ),
    "audit_value": (
        "INSERT INTO audit_value (entry_id, field, salt) VALUES (1, 'name', 'x')",
        "UPDATE audit_value SET before = NULL",
        "DELETE FROM audit_value",
        "TRUNCATE audit_value",
    ),
}


@dataclass
class Empty:
    """A database with its logins and nothing in it."""

    owner_url: str
    app_url: str

    def ask(self, sql: str, *values: Any, login: str = "owner") -> list[tuple[Any, ...]]:
        with psycopg.connect(dsn(self.owner_url if login == "owner" else self.app_url)) as connection:
            cursor = connection.execute(sql.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def empty(servers: Servers, worker_id: str) -> Iterator[Empty]:
    assert servers.superuser_url
    name = f"desk_{worker_id}_bare_{secrets.token_hex(3)}"
    made = Empty(*prepare_database(servers.superuser_url, name))
    try:
        yield made
    finally:
        _drop(name, servers.superuser_url)
        with psycopg.connect(dsn(servers.superuser_url), autocommit=True) as connection:
            for login in ("app", "owner"):
                connection.execute(f'DROP ROLE "{name}_{login}"'.encode())


@pytest.fixture(scope="module")
def own(servers: Servers, worker_id: str) -> Iterator[Empty]:
    """A copy of the migrated template; what a test changes it puts right again with an upgrade."""
    name = f"desk_{worker_id}_compared"
    copied = _copy(name)
    yield Empty(copied.owner_database_url, copied.database_url)
    assert servers.superuser_url
    _drop(name, servers.superuser_url)


def tables(empty: Empty) -> set[str]:
    rows = empty.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in rows}


def test_the_revisions_are_one_line_of_numbers() -> None:
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS


def test_built_up_revision_by_revision_taken_down_to_nothing_and_built_again(empty: Empty) -> None:
    assert database.state(empty.owner_url) == (None, REVISIONS[-1])
    for revision in REVISIONS:
        database.upgrade(empty.owner_url, empty.app_url, revision)
        assert database.state(empty.owner_url)[0] == revision
    database.upgrade(empty.owner_url, empty.app_url)
    assert database.check(empty.owner_url, empty.app_url) == []
    declared = {str(mapper.local_table) for mapper in Base.registry.mappers}
    assert tables(empty) == declared | figures.tables() | {"alembic_version"}
    for revision in [*REVISIONS[-2::-1], "base"]:
        database.downgrade(empty.owner_url, revision)
    assert tables(empty) == {"alembic_version"}
    database.upgrade(empty.owner_url, empty.app_url)
    assert database.check(empty.owner_url, empty.app_url) == []


def test_a_second_upgrade_changes_nothing(own: Empty) -> None:
    database.upgrade(own.owner_url, own.app_url)
    assert database.check(own.owner_url, own.app_url) == []


def test_what_was_changed_behind_the_code_s_back_is_found_and_put_right(own: Empty) -> None:
    [(app_role,)] = own.ask("SELECT current_user", login="app")
    # What is done, what `check` says of it, and what has to be undone by hand: the rest an upgrade puts right.
    spoilt = [
        *((f"DROP TRIGGER {name} ON party", f"trigger {name} on party is missing", "")
          for table, name in audit.installed_names() if table == "party"),
        ("CREATE TRIGGER sly BEFORE UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION touch_contact()",
         "trigger sly on contact is not declared", "DROP TRIGGER sly ON contact"),
        ("ALTER TABLE contact DISABLE TRIGGER audit_contact_update", "trigger audit_contact_update on contact is switched off",
         "ALTER TABLE contact ENABLE TRIGGER audit_contact_update"),
        (("CREATE OR REPLACE FUNCTION audit_party_update() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
         "SET search_path = pg_catalog, public, pg_temp AS $$ BEGIN RETURN NULL; END $$"),
         "function audit_party_update() is not as declared", ""),
        *((f'GRANT {right} ON {table} TO "{app_role}"', f"{app_role} may {right} {table}", "")
          for table in AUDIT for right in ("INSERT", "UPDATE", "DELETE") if (table, right) != ("audit_entry", "UPDATE")),
        (f'GRANT UPDATE (changes) ON audit_entry TO "{app_role}"', f"{app_role} may UPDATE audit_entry",
         f'REVOKE UPDATE (changes) ON audit_entry FROM "{app_role}"'),
        ("ALTER TABLE party ADD COLUMN sly text", "", "ALTER TABLE party DROP COLUMN sly"),
    ]  # fmt: skip
    for done, _, _ in spoilt:
        own.ask(done)
    found, said = set(database.check(own.owner_url, own.app_url)), {said for _, said, _ in spoilt if said}
    assert found >= said
    [column] = found - said
    assert "remove_column" in column
    assert "sly" in column
    for _, _, undone in spoilt:
        own.ask(undone or "SELECT 1")
    database.upgrade(own.owner_url, own.app_url)
    assert database.check(own.owner_url, own.app_url) == []


@pytest.mark.parametrize("table", AUDIT)
def test_the_app_may_read_the_audit_and_never_write_it(own: Empty, table: str) -> None:
    own.ask(f"SELECT * FROM {table}", login="app")
    for statement in CHANGES[table]:
        with pytest.raises(errors.InsufficientPrivilege):
            own.ask(statement, login="app")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE party DISABLE TRIGGER ALL",
        "ALTER TABLE party DISABLE TRIGGER audit_party_update",
        "DROP TRIGGER audit_party_update ON party",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION touch_party() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "DROP FUNCTION audit_party_update() CASCADE",
        "SELECT audit_party_update()",
        "CREATE TABLE public.sly (id int)",
        "CREATE FUNCTION public.sly() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "TRUNCATE party",
        "UPDATE alembic_version SET version_num = '0000'",
    ],
)
def test_the_app_cannot_get_round_the_triggers(own: Empty, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        own.ask(statement, login="app")


def test_the_app_cannot_become_the_owner_or_the_superuser(own: Empty, servers: Servers) -> None:
    [(owner,)] = own.ask("SELECT current_user")
    assert servers.superuser_url
    with psycopg.connect(dsn(servers.superuser_url)) as connection:
        superuser = connection.info.user
    for role in (owner, superuser):
        for statement in (f'SET ROLE "{role}"', f'SET SESSION AUTHORIZATION "{role}"'):
            with pytest.raises(errors.InsufficientPrivilege):
                own.ask(statement, login="app")


def test_what_the_app_writes_is_audited_whatever_way_it_writes(own: Empty) -> None:
    [(number,)] = own.ask("INSERT INTO party (name) VALUES ('Ann') RETURNING id", login="app")
    own.ask("UPDATE party SET name = 'Bea', industry = 'Steel' WHERE id = %s", number, login="app")
    own.ask("DELETE FROM party WHERE id = %s", number, login="app")
    written = own.ask("SELECT id, action, changes FROM audit_entry WHERE entity = 'party' AND record_id = %s "
                      "ORDER BY id", number, login="app")  # fmt: skip
    assert [action for _, action, _ in written] == ["create", "update", "delete"]
    changed = written[1][2]
    assert changed["industry"] == [None, "Steel"]
    assert set(changed["name"]) == {"hash"}
    kept = own.ask(
        "SELECT before, after FROM audit_value WHERE entry_id = %s AND field = 'name'",
        written[1][0],
        login="app",
    )
    assert kept == [("Ann", "Bea")]
