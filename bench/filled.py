"""An instance of its own, filled with so many customers, and the ways to ask it: a browser, a program, plain SQL."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from admin_views.access import TOKEN
from app import create_app, prepare
from crm.commands import access
from crm.commands.demo_in_bulk import load_in_bulk
from crm.config import load
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.logins import dsn
from crm.models.access import User
from crm.servers import Servers, start
from crm.webserver import spare_collector

ADMIN, PASSWORD = "bench@example.com", "bench bench bench"
MARK = "Benchmarked"  # the industry of the customers that export and batch work on


@dataclass
class Filled:
    """The app on its database, what to look for there, and who looks."""

    app: Flask
    servers: Servers
    plain: psycopg.Connection[Any]
    browser: FlaskClient
    key: dict[str, str]
    rows: int
    marked: int
    one: dict[str, Any]

    def page(self, path: str, status: int = 200) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == status, (path, answer.status)
        return answer.get_data(as_text=True)


@contextmanager
def filled(rows: int, marked: int) -> Iterator[Filled]:
    folder = Path(tempfile.mkdtemp(prefix="customer-desk-bench-", dir="/tmp"))
    folder.chmod(0o711)
    settings = load({"CRM_HOME": str(folder / "home"), "CRM_ADMIN_EMAIL": ADMIN, "CRM_ADMIN_PASSWORD": PASSWORD})
    with start(settings) as embedded:
        prepare(settings, embedded.servers)
        app = create_app(settings, embedded.servers)
        began = time.perf_counter()
        with app.app_context(), acting_as(Acting(via="bench")):
            load_in_bulk(embedded.servers.owner_database_url, customers=rows, seed=1, dealings=False)
            db.session.rollback()
            user = db.session.query(User).filter_by(email=ADMIN).one()
            _, secret = access.create_key(name="bench", user=user, scopes=["customers:read"])
            found = access.sign_in(ADMIN, PASSWORD, ip="127.0.0.1", user_agent="bench")
            assert found is not None
            token = found[1]
            db.session.commit()
        print(f"{rows:,} customers loaded in {time.perf_counter() - began:.0f} s", flush=True)
        spare_collector()
        browser = app.test_client()
        with browser.session_transaction() as cookie:
            cookie[TOKEN] = token
        with psycopg.connect(dsn(embedded.servers.owner_database_url), autocommit=True) as plain:
            _mark(plain, marked)
            yield Filled(app, embedded.servers, plain, browser, {"Authorization": f"Bearer {secret}"}, rows, marked,
                         _one(plain, rows))  # fmt: skip
        with app.app_context():
            db.engine.dispose()
    shutil.rmtree(folder, ignore_errors=True)


def _mark(plain: psycopg.Connection[Any], marked: int) -> None:
    """So many business and end customers, spread over all, none of them blocked or archived."""
    with plain.transaction():
        plain.execute("ALTER TABLE party DISABLE TRIGGER USER")
        plain.execute(
            "UPDATE party SET industry = %s, block_state = 'none', block_reason = NULL, blocked_at = NULL, "
            "blocked_until = NULL, archived_at = NULL WHERE id IN (SELECT id FROM party WHERE code_letter = 'C' "
            "AND block_state = 'none' AND archived_at IS NULL ORDER BY hashint8(id) LIMIT %s)", (MARK, marked))  # fmt: skip
        plain.execute("ALTER TABLE party ENABLE TRIGGER USER")
    plain.execute("VACUUM (ANALYZE) party")


def _one(plain: psycopg.Connection[Any], rows: int) -> dict[str, Any]:
    """A customer half the rows in."""
    cursor = plain.execute("SELECT id, email, name FROM party WHERE code_letter = 'C' AND archived_at IS NULL "
                           "AND id <= (SELECT max(id) FROM party) - %s ORDER BY id DESC LIMIT 1", (rows // 2,))  # fmt: skip
    number, email, name = cursor.fetchone()  # type: ignore[misc]
    return {"id": number, "email": email, "name": name}


@dataclass
class Heard:
    """The statements that a request sends, to be sent again without the app."""

    filled: Filled
    statements: list[tuple[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Heard:
        with self.filled.app.app_context():
            self._engine = db.engine
        event.listen(self._engine, "before_cursor_execute", self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._hear)

    def _hear(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "EXPLAIN")):
            self.statements.append((statement, parameters))

    def again(self) -> None:
        with self.filled.plain.transaction():
            for statement, parameters in self.statements:
                self.filled.plain.execute(statement, parameters).fetchall()
