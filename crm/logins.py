"""Databases and who may log in: makes an owner and an app login for each, and tells of too many rights."""

import re
import secrets
from urllib.parse import quote

import psycopg
from psycopg import sql

_EXTENSIONS = ("pg_trgm", "unaccent")
_OLDEST_SERVER = 15


def prepare_database(
    superuser_url: str, name: str, *, owner_password: str | None = None, app_password: str | None = None
) -> tuple[str, str]:
    """Make database `name` with the logins `<name>_owner` and `<name>_app`; returns (owner_url, app_url).

    May be called again: it brings logins, rights and extensions to what they should be. Without passwords new
    ones are set each time. The app's login owns nothing, belongs to no role, may connect and make temporary
    tables.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,50}", name):
        raise ValueError(f"{name!r} can't be the name of a database")
    logins = {
        f"{name}_owner": owner_password or secrets.token_urlsafe(24),
        f"{name}_app": app_password or secrets.token_urlsafe(24),
    }
    owner, app = logins
    database = sql.Identifier(name)
    with psycopg.connect(dsn(superuser_url), autocommit=True) as connection:
        for login, password in logins.items():
            _ensure_login(connection, login, password)
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        grant = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
        connection.execute(grant.format(database, sql.Identifier(app)))
    with psycopg.connect(dsn(_changed(superuser_url, name)), autocommit=True) as connection:
        for extension in _EXTENSIONS:
            connection.execute(
                sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public").format(sql.Identifier(extension))
            )
    return _changed(superuser_url, name, owner, logins[owner]), _changed(superuser_url, name, app, logins[app])


def _ensure_login(connection: psycopg.Connection[tuple[object, ...]], login: str, password: str) -> None:
    role = sql.Identifier(login)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    # The server gets the verifier only, so that the password is in no log and no statistics.
    verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS PASSWORD {}"
        ).format(role, sql.Literal(verifier))
    )
    memberships = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole"
    for (granted,) in connection.execute(memberships, [role.as_string(connection)]).fetchall():
        connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.SQL(str(granted)), role))


def login_faults(database_url: str) -> list[str]:
    """Why the app must not log in with this URL (superuser, owner, member of a role); empty when fit."""
    with psycopg.connect(dsn(database_url), connect_timeout=5) as connection:
        row = connection.execute(
            """
            SELECT r.rolname, r.rolsuper, r.rolcreaterole, r.rolbypassrls, d.datdba = r.oid,
                   EXISTS (SELECT FROM pg_class WHERE relowner = r.oid AND relpersistence <> 't'),
                   EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)
              FROM pg_roles r, pg_database d
             WHERE r.rolname = session_user AND d.datname = current_database()
            """
        ).fetchone()
    if row is None:
        return ["its login is unknown to the server"]
    name, superuser, makes_roles, bypasses, owns_database, owns_tables, is_member = row
    faults = {
        "is a superuser": superuser,
        "may make roles": makes_roles,
        "bypasses row security": bypasses,
        "owns the database": owns_database,
        "owns tables": owns_tables,
        "belongs to another role": is_member,
    }
    return [f"the app's login {name} {fault}" for fault, found in faults.items() if found]


def server_fault(database_url: str) -> str | None:
    """Why the server can't be used (too old, not UTF-8); None when it is fit."""
    with psycopg.connect(dsn(database_url), connect_timeout=5) as connection:
        major = connection.info.server_version // 10000
        encoding = connection.info.parameter_status("server_encoding")
    if major < _OLDEST_SERVER:
        return f"PostgreSQL {major} is too old: {_OLDEST_SERVER} or newer is needed"
    return None if encoding == "UTF8" else f"the database is in {encoding}: make it with ENCODING 'UTF8'"


def dsn(url: str) -> str:
    """A SQLAlchemy URL as libpq takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _changed(url: str, database: str, login: str | None = None, password: str = "") -> str:
    """The same server's URL for another database, and for another login when one is given."""
    scheme, _, rest = url.partition("://")
    credentials, _, target = rest.rpartition("@")
    server, _, path = target.partition("/")
    query = path.partition("?")[2]
    if login is not None:
        credentials = f"{login}:{quote(password, safe='')}"
    return f"{scheme}://{credentials}@{server}/{database}" + (f"?{query}" if query else "")
