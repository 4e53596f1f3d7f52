"""Real servers for every test: one PostgreSQL and Valkey per run, a database per worker, a savepoint per test.

What a savepoint can't show (real workers, a browser, several connections) gets a database of its own, copied from the
template: `own_database`.
"""

from __future__ import annotations

import gc
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, make_url, text

from admin_views.access import TOKEN
from app import create_app
from crm.commands import access
from crm.config import Settings, load
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.models.access import User
from crm.servers import Servers, prepare_database, start
from migrations import database
from tests.homes import settings_in, temporary_folder
from tests.wellformed import check

# As where the app is served: looking through all that is loaded, again and again, took a fifth of the time.
gc.set_threshold(50_000, 20, 100)

# Real argon2id, with little work: hundreds of tests sign somebody in.
access._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)

TEMPLATE = "desk_template"
_SERVERS = "DESK_TEST_SERVERS"
_running = ExitStack()


def pytest_collection_finish() -> None:
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the workers starts the servers too, and migrates the template once."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    folder = _running.enter_context(temporary_folder())
    embedded = _running.enter_context(start(settings_in(folder), durable=False))
    assert embedded.servers.superuser_url
    owner_url, app_url = prepare_database(embedded.servers.superuser_url, TEMPLATE)
    database.upgrade(owner_url, app_url)
    made = Servers(
        app_url, owner_url, embedded.servers.superuser_url, embedded.servers.redis_url, secrets.token_hex(32)
    )
    os.environ[_SERVERS] = json.dumps(asdict(made) | {"home": str(folder / "home")})
    app = create_app(_settings(), made)
    with app.app_context(), acting_as(Acting(via="test")):
        access.deliver_roles()
        db.session.commit()
        db.session.remove()
        db.engine.dispose()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`make soak N=20` runs what is marked so as often; `make test` runs it once."""
    rounds = int(os.environ.get("SOAK_N") or 1)
    if rounds > 1 and metafunc.definition.get_closest_marker("soak"):
        metafunc.fixturenames.append("soak_round")
        metafunc.parametrize("soak_round", range(rounds))


@pytest.fixture
def soak_round() -> int:
    """Which round of `make soak N=` this is: the seed of what is tried; 0 in `make test`."""
    return 0


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        _running.close()


def _settings() -> Settings:
    return load({"CRM_HOME": json.loads(os.environ[_SERVERS])["home"]})


def _copy(name: str) -> Servers:
    """A database of this name, copied from the template; the same logins reach it."""
    given = json.loads(os.environ[_SERVERS])
    given.pop("home")
    template = Servers(**given)
    assert template.superuser_url
    owner, app_login = (make_url(url).username for url in (template.owner_database_url, template.database_url))
    with psycopg.connect(_plain(template.superuser_url), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER "{owner}"')
        connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO "{app_login}"')
    return Servers(_named(template.database_url, name), _named(template.owner_database_url, name), template.superuser_url,
                   template.redis_url, template.secret_key)  # fmt: skip


def _drop(name: str, superuser_url: str) -> None:
    with psycopg.connect(_plain(superuser_url), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _named(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def servers(worker_id: str) -> Servers:
    """This worker's own database on the run's servers."""
    return _copy(f"desk_{worker_id}")


@pytest.fixture(scope="session")
def built_app(servers: Servers) -> Iterator[Flask]:
    """The app, built once: registering the screens takes a while."""
    app = create_app(_settings(), servers)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    app.test_client_class = FreshClient
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(built_app: Flask) -> Iterator[Flask]:
    """The app on a connection whose transaction is rolled back after the test."""
    with built_app.app_context():
        engine = db.engine
        connection = engine.connect()
        outer = connection.begin()
        db.engines[None] = connection  # type: ignore[index]
        db.session.remove()
        db.session.configure(join_transaction_mode="create_savepoint")
    try:
        yield built_app
    finally:
        with built_app.app_context():
            db.session.remove()
            db.engines[None] = engine  # type: ignore[index]
            db.session.configure(join_transaction_mode="conditional_savepoint")
        outer.rollback()
        connection.close()


@pytest.fixture
def session(app: Flask) -> Iterator[Any]:
    """The session of the test, inside an app context, acting as nobody."""
    with app.app_context(), acting_as(Acting(via="test")):
        yield db.session


class FreshClient(FlaskClient):
    """Each request in an app context of its own: a held one would share its session and remember who was signed in. What
    comes as HTML must be well-formed."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        with self.application.app_context():
            answer = super().open(*args, **kwargs)
        check(answer, kwargs.get("method", "GET"))
        return answer


@dataclass
class Person:
    """A signed-in browser and the number of its user."""

    client: FlaskClient
    user_id: int
    email: str


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def as_user(app: Flask) -> Callable[..., Person]:
    """`as_user("manager")` answers a browser signed in as a new user with that role."""
    return lambda role="admin", **more: sign_in(app, role, **more)


_PERSON = text("""
    WITH made AS (INSERT INTO app_user (name, email, password_hash) VALUES (:name, :email, :password) RETURNING id),
    held AS (INSERT INTO user_role (user_id, role_id)
             SELECT made.id, role.id FROM made, role WHERE role.name = :role RETURNING role_id),
    begun AS (INSERT INTO user_session (user_id, token_hash, expires_at)
              SELECT id, :token, now() + interval '1 hour' FROM made RETURNING user_id)
    SELECT begun.user_id FROM begun, held
""")


@cache
def _hashed(password: str) -> str:
    return access._hasher.hash(password)


def sign_in(app: Flask, role: str = "admin", *, email: str | None = None) -> Person:
    """What making a user and signing in leave behind, in one statement: thousands of tests begin so, and the way there
    has tests of its own."""
    address, token = email or f"{role}-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(32)
    with app.app_context(), acting_as(Acting(via="test")):
        number = db.session.execute(_PERSON, {
            "name": role.replace("_", " ").title(), "email": address, "role": role, "token": access.hash_token(token),
            "password": _hashed("correct horse battery staple")}).scalar_one()  # fmt: skip
        db.session.commit()
    browser = app.test_client()
    with browser.session_transaction() as cookie:
        cookie[TOKEN] = token
    return Person(browser, number, address)


@pytest.fixture
def api_key(app: Flask) -> Callable[..., dict[str, str]]:
    """`api_key("customers:read", role="manager")` answers the headers of a program with a key."""

    def make(*scopes: str, role: str = "admin", user_id: int | None = None) -> dict[str, str]:
        with app.app_context(), acting_as(Acting(via="test")):
            if user_id is None:
                user, _ = access.create_user(email=f"key-{secrets.token_hex(4)}@example.com", role=role)
            else:
                user = db.session.get_one(User, user_id)
            _, secret = access.create_key(name="test", user=user, scopes=scopes or access.scope_names())
            db.session.commit()
        return {"Authorization": f"Bearer {secret}"}

    return make


@dataclass
class Own:
    """A database of its own, with an app on it."""

    app: Flask
    servers: Servers


@pytest.fixture
def own_database(built_app: Flask, worker_id: str) -> Iterator[Own]:
    """For tests with real workers, threads or a browser: everything is really committed. The app is that of the worker,
    led to another database: making one takes longer than most tests."""
    name = f"desk_{worker_id}_{secrets.token_hex(4)}"
    servers = _copy(name)
    with built_app.app_context():
        usual = db.engines[None]
        own = db.engines[None] = create_engine(servers.database_url, **built_app.config["SQLALCHEMY_ENGINE_OPTIONS"])
    try:
        yield Own(built_app, servers)
    finally:
        with built_app.app_context():
            db.session.remove()
            db.engines[None] = usual
        own.dispose()
        assert servers.superuser_url
        _drop(name, servers.superuser_url)


@pytest.fixture
def owner_sql(own_database: Own) -> Iterator[Callable[..., list[Any]]]:
    """Plain SQL as the owner of `own_database`."""
    engine = create_engine(own_database.servers.owner_database_url)

    def run(sql: str, **values: Any) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(text(sql), values)
            return list(result) if result.returns_rows else []

    yield run
    engine.dispose()
