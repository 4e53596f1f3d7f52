"""`make bench [ONLY=part of a name] [ROWS=50000]`: median milliseconds of each path beside its floor; bench/out.json."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask

from admin_views.access import TOKEN
from app import create_app, prepare
from crm.commands import access
from crm.commands.demo import load_demo
from crm.config import load
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.core.transaction import run_in_transaction
from crm.importing.start import import_file
from crm.logins import dsn
from crm.models.access import User
from crm.models.parties import Party
from crm.servers import start
from jobs.runner import run_here

ROUNDS = 15
ADMIN = "bench@example.com"


def median(work: Callable[[], Any]) -> float:
    """Median milliseconds of some rounds, after one that warms up."""
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


@contextmanager
def desk(rows: int) -> Iterator[tuple[Flask, psycopg.Connection[Any], dict[str, str]]]:
    """An instance of its own with so many customers, a plain connection beside it, and a key's header."""
    folder = Path(tempfile.mkdtemp(prefix="customer-desk-bench-", dir="/tmp"))
    folder.chmod(0o711)
    environ = {"CRM_HOME": str(folder / "home"), "CRM_ADMIN_EMAIL": ADMIN, "CRM_ADMIN_PASSWORD": "bench bench bench"}
    settings = load(environ)
    with start(settings) as embedded:
        prepare(settings, embedded.servers)
        app = create_app(settings, embedded.servers)
        app.config["WTF_CSRF_ENABLED"] = False
        with app.app_context(), acting_as(Acting(via="bench")):
            load_demo(customers=rows, seed=1)
            user = db.session.query(User).filter_by(email=ADMIN).one()
            _, secret = access.create_key(name="bench", user=user, scopes=["customers:read"])
            db.session.commit()
        with psycopg.connect(dsn(embedded.servers.owner_database_url), autocommit=True) as plain:
            plain.execute("ANALYZE")
            yield app, plain, {"Authorization": f"Bearer {secret}"}
        with app.app_context():
            db.engine.dispose()


def measure(
    app: Flask, plain: psycopg.Connection[Any], key: dict[str, str], rows: int
) -> Iterator[tuple[str, float, float]]:
    """(name, milliseconds of ours, milliseconds of the floor) of each path."""
    browser = app.test_client()
    with app.app_context():
        found = access.sign_in(ADMIN, "bench bench bench", ip="127.0.0.1", user_agent="bench")
        assert found is not None
        token = found[1]
        one = db.session.query(Party).order_by(Party.id).offset(rows // 2).limit(1).one()
        email, name, deep = one.email, one.name[:5], one.id
        db.session.commit()
    with browser.session_transaction() as cookie:
        cookie[TOKEN] = token

    def page(path: str) -> Callable[[], Any]:
        def ask() -> None:
            answer = browser.get(path)
            assert answer.status_code == 200, answer.status

        return ask

    def sql(statement: str, *values: Any) -> Callable[[], Any]:
        return lambda: plain.execute(statement, values).fetchall()

    some = "SELECT * FROM party WHERE roles && ARRAY['business_customer','end_customer']::varchar[]"
    yield "list, first page", median(page("/admin/customers/")), median(sql(f"{some} ORDER BY id DESC LIMIT 51"))
    yield "list by name", median(page("/admin/customers/?sort=name")), median(
        sql(f"{some} ORDER BY sort_name, id LIMIT 51"))  # fmt: skip
    yield "list, one e-mail", median(page(f"/admin/customers/?flt_email_eq={email}")), median(
        sql(f"{some} AND email = %s", email))  # fmt: skip
    yield "search five letters", median(page(f"/admin/customers/?search={name}")), median(
        sql(f"{some} AND search_text LIKE crm_sort_key(%s) ORDER BY id DESC LIMIT 51", f"%{name}%"))  # fmt: skip
    yield "page of one", median(page(f"/admin/customers/details/?id={deep}")), median(
        sql("SELECT * FROM party WHERE id = %s", deep))  # fmt: skip

    def look_up() -> None:
        answer = browser.get(f"/api/v1/customers?email={email}", headers=key)
        assert answer.get_json()["items"], answer.status

    yield "API look-up by e-mail", median(look_up), median(sql("SELECT * FROM party WHERE email = %s", email))


def compare_import(app: Flask, plain: psycopg.Connection[Any], count: int) -> tuple[str, float, float]:
    """The import of so many customers, beside COPY to a temporary table and one INSERT … SELECT."""
    lines = [f"Import {n},import-{n}@example.com,Technology" for n in range(count)]
    text = "name,email,industry\n" + "\n".join(lines)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(text)
        file.flush()
        began = time.perf_counter()
        with app.app_context(), acting_as(Acting(via="bench")):
            run_here(run_in_transaction(lambda: _asked(Path(file.name))))
        ours = (time.perf_counter() - began) * 1000
    began = time.perf_counter()
    with plain.transaction():
        plain.execute("CREATE TEMPORARY TABLE floor_row (name text, email text, industry text) ON COMMIT DROP")
        with plain.cursor().copy("COPY floor_row FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(text)
        plain.execute("INSERT INTO party (name, email, industry, roles) SELECT name, 'f' || email, industry, "
                      "ARRAY['business_customer'] FROM floor_row")  # fmt: skip
    return f"import of {count:,} rows", ours, (time.perf_counter() - began) * 1000


def _asked(path: Path) -> int:
    _, job, _ = import_file(path, face_named("customer"))
    assert job is not None
    return job.id


def main() -> None:
    rows, only = int(os.environ.get("BENCH_ROWS") or 20_000), os.environ.get("BENCH_ONLY", "")
    figures = []
    with desk(rows) as (app, plain, key):
        for name, ours, floor in (*measure(app, plain, key, rows), compare_import(app, plain, 20_000)):
            if only in name:
                figures.append({"path": name, "ms": round(ours, 2), "floor_ms": round(floor, 2)})
                print(f"{name:26} {ours:9.1f} ms   floor {floor:8.1f} ms   x {ours / floor:6.1f}", flush=True)
    Path("bench/out.json").write_text(json.dumps({"rows": rows, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
