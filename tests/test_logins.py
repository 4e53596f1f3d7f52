"""Databases and their logins: the app's can do nothing that is the owner's, and no database sees another."""

from collections.abc import Iterator

import psycopg
import pytest

from crm.logins import dsn, login_faults, prepare_database
from crm.servers import Servers, start
from tests.homes import ask, do, settings_in, temporary_folder


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with temporary_folder() as made, start(settings_in(made), durable=False) as embedded:
        yield embedded.servers


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE crm_owner",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE ROLE mallory",
        "ALTER ROLE crm_app SUPERUSER",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE thing DISABLE TRIGGER ALL",
        "TRUNCATE thing",
        "DROP TABLE thing",
        "SET session_replication_role = replica",
        "COPY thing TO PROGRAM 'true'",
        "DROP EXTENSION pg_trgm",
    ],
)
def test_the_app_login_is_refused_what_belongs_to_the_owner(servers: Servers, statement: str) -> None:
    do(servers.owner_database_url, "CREATE TABLE IF NOT EXISTS thing (id int)")
    do(servers.owner_database_url, "GRANT SELECT, INSERT ON thing TO crm_app")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        do(servers.database_url, statement)


def test_the_app_login_has_no_faults_and_others_have(servers: Servers) -> None:
    do(servers.owner_database_url, "CREATE TABLE IF NOT EXISTS thing (id int)")
    assert login_faults(servers.database_url) == []
    assert login_faults(servers.owner_database_url) == [
        "the app's login crm_owner owns the database",
        "the app's login crm_owner owns tables",
    ]
    assert "the app's login postgres is a superuser" in login_faults(servers.superuser_url or "")


def test_databases_of_tests_are_closed_to_each_other(servers: Servers) -> None:
    superuser_url = servers.superuser_url or ""
    first = prepare_database(superuser_url, "test_one")
    second = prepare_database(superuser_url, "test_two", owner_password="o' w@/?", app_password="a:%2F")
    assert ask(first[0], "SELECT current_database() || current_user") == "test_onetest_one_owner"
    assert ask(second[1], "SELECT current_database() || current_user") == "test_twotest_two_app"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(dsn(first[1]).replace("/test_one?", "/test_two?"))


def test_preparing_again_repairs_logins(servers: Servers) -> None:
    superuser_url = servers.superuser_url or ""
    prepare_database(superuser_url, "test_again", app_password="old")
    do(superuser_url, "ALTER ROLE test_again_app SUPERUSER")
    do(superuser_url, "GRANT test_again_owner TO test_again_app")
    owner_url, app_url = prepare_database(superuser_url, "test_again", app_password="new")
    assert login_faults(app_url) == []
    assert ask(owner_url, "SELECT 1") == 1


def test_a_name_that_could_be_sql_is_no_database(servers: Servers) -> None:
    with pytest.raises(ValueError, match="can't be the name"):
        prepare_database(servers.superuser_url or "", 'x"; DROP DATABASE crm')
