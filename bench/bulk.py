"""What takes many rows at once: import, export, a command for all that match."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import inspect

from bench.filled import ADMIN, MARK, Filled
from bench.floors import COLUMNS, Stock, typed
from bench.measuring import Figure, watched_memory
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.core.jobs import Job
from crm.core.transaction import run_in_transaction
from crm.importing.start import import_file
from crm.models.access import User
from crm.models.imports import Duplicates
from crm.queries.exports import ALL, read_columns
from jobs.runner import run_here

IMPORTED = 100_000
REASON = "A benchmark"


def figures(desk: Filled, stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    if wanted("export"):
        yield from _exports(desk, stock)
    if wanted("block all that match"):
        yield _block(desk)
    if wanted("import"):
        yield _import(desk, min(IMPORTED, desk.rows))


def _drained(ask: Callable[[], Any]) -> dict[str, float]:
    """A file as it comes: milliseconds to the first byte and to the last, rows, and how much memory was taken."""
    with watched_memory() as memory:
        began, first, rows = time.perf_counter(), 0.0, -1
        answer = ask()
        assert answer.status_code == 200, answer.status
        for part in answer.response:
            first = first or time.perf_counter() - began
            rows += part.count(b"\n") if isinstance(part, bytes) else part.count("\n")
        seconds = time.perf_counter() - began
        answer.close()
    return {"rows": rows, "seconds": seconds, "first": first * 1000, "memory": memory.peak}


def _exports(desk: Filled, stock: Stock) -> Iterator[Figure]:
    names = ",".join(COLUMNS)
    query = f"flt_industry_eq={MARK}"

    def ours(form: str, columns: str) -> dict[str, float]:
        return _drained(
            lambda: desk.browser.get(f"/admin/customers/export/{form}/?{query}&columns={columns}", buffered=False)
        )

    def floor(columns: str, sources: str = "party") -> float:
        began = time.perf_counter()
        with desk.plain.cursor() as cursor, cursor.copy(
            f"COPY (SELECT {columns} FROM {sources} WHERE industry = '{MARK}' ORDER BY party.id DESC) TO STDOUT (FORMAT csv)") as copy:  # fmt: skip
            for _ in copy:
                pass
        return desk.marked / (time.perf_counter() - began)

    stock_path = f"/party/export/csv/?{stock.filter('industry', MARK)}"
    theirs = _drained(lambda: stock.browser.get(stock_path, buffered=False))
    few, every = floor(names), floor(*_every_column(desk))
    for label, form, columns, copied in (
        ("csv, 8 columns", "csv", names, few),
        ("csv, all columns", "csv", "all", every),
        ("xlsx", "xlsx", names, few),
        ("json", "json", names, few),
    ):
        found = ours(form, columns)
        rows = found["rows"] if form == "csv" else desk.marked
        yield Figure(f"export {desk.marked:,}: {label}", rows / found["seconds"], "rows/s",
                     {"copy": copied, "stock": theirs["rows"] / theirs["seconds"]},
                     {"first byte ms": found["first"], "seconds": found["seconds"], "memory MiB": found["memory"], "rows": rows,
                      "stock first byte ms": theirs["first"], "stock memory MiB": theirs["memory"]})  # fmt: skip


def _every_column(desk: Filled) -> tuple[str, str]:
    """The columns of an export of all, as they stand in the tables, and SQL of the tables."""
    face = face_named("customer")
    with desk.app.app_context():
        names = read_columns(face, [ALL], db.session.query(User).filter_by(email=ADMIN).one())
    columns, sources = [], "party LEFT JOIN customer_figures ON customer_figures.id = party.id"
    for number, embed in enumerate(face.about.embeds):
        (link,) = inspect(face.entity).relationships[embed.relation].remote_side
        where = "".join(f" AND {name} = '{getattr(value, 'value', value)}'" for name, value in embed.where)
        sources += (f" LEFT JOIN LATERAL (SELECT * FROM {link.table.name} WHERE {link.name} = party.id{where} ORDER BY id LIMIT 1) "
                    f"e{number} ON true")  # fmt: skip
        columns += [f"e{number}.{name}" for name in embed.fields if embed.prefix + name in names]
    figures = face.figures[0].__table__
    for table, field in ((table, face.field(name)) for name in names if name not in face.embedded_names
                         for table in (face.entity.__table__, figures)):  # fmt: skip
        columns += (
            [f"{table.name}.{field.attribute}"]
            if field.attribute in table.c and (table is not figures or field.figure)
            else []
        )
    return ", ".join(columns), sources


def _block(desk: Filled) -> Figure:
    """Asked as a person asks, by the confirmation page; done as a worker does it. Beside it one UPDATE with the audit's
    triggers, rolled back."""
    query = {"action": "block", "all": "1", "flt_industry_eq": MARK}
    floor = _rolled_back(desk, "UPDATE party SET block_state = 'blocked', block_reason = %s, blocked_at = now() WHERE industry = %s",
                         (REASON, MARK))  # fmt: skip
    began = time.perf_counter()
    question = typed(desk.browser.get("/admin/customers/action/", query_string=query).get_data(as_text=True))
    answer = desk.browser.post("/admin/customers/action/", data=question | {"reason": [REASON]})
    assert answer.status_code == 303, (answer.status, answer.get_data(as_text=True)[:2000])
    asked = time.perf_counter() - began
    with desk.app.app_context(), acting_as(Acting(via="bench")):
        number = run_in_transaction(lambda: db.session.query(Job.id).order_by(Job.id.desc()).limit(1).scalar())
        job = run_here(number)
        assert job.error is None, job.error
    seconds = time.perf_counter() - began
    blocked = desk.plain.execute(
        "SELECT count(*) FROM party WHERE industry = %s AND block_reason = %s", (MARK, REASON)
    ).fetchone()
    assert blocked == (desk.marked,), blocked
    return Figure(
        f"block all {desk.marked:,} that match", seconds, "s", {"one update": floor}, {"asked in ms": asked * 1000}
    )


def _rolled_back(desk: Filled, statement: str, values: tuple[Any, ...]) -> float:
    began = time.perf_counter()
    with desk.plain.transaction(force_rollback=True):
        desk.plain.execute(statement, values)
    seconds = time.perf_counter() - began
    desk.plain.execute("VACUUM party")
    return seconds


def _import(desk: Filled, count: int) -> Figure:
    """As `flask import --duplicates update --wait` does it, three of ten rows known by their e-mail, with checks, audit and
    figures. Beside it COPY, UPDATE and INSERT on the same table with its indexes and without triggers, rolled back."""
    known = [str(email) for (email,) in desk.plain.execute(
        "SELECT min(email) FROM party WHERE email IS NOT NULL AND archived_at IS NULL AND code_letter = 'C' "
        "GROUP BY email HAVING count(*) = 1 ORDER BY hashtext(email) LIMIT %s", (count * 3 // 10,))]  # fmt: skip
    lines = [f"Import {n},{known[n // 10 * 3 + n % 10] if n % 10 < 3 and n // 10 * 3 + n % 10 < len(known) else f'import-{n}@example.com'},"
             f"Technology" for n in range(count)]  # fmt: skip
    text = "name,email,industry\n" + "\n".join(lines)
    before = _copied(desk, text)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(text)
        file.flush()
        began = time.perf_counter()
        with watched_memory() as memory, desk.app.app_context(), acting_as(Acting(via="bench")):
            job = run_here(run_in_transaction(lambda: _asked(Path(file.name))))
            assert job.error is None, job.error
        ours = time.perf_counter() - began
    again = text.replace("import-", "again-").replace(
        "Import ", "Again "
    )  # as many new ones, and new values for the known
    floor = (before + _copied(desk, again)) / 2  # one before and one after: the machine may have other work meanwhile
    return Figure(
        f"import {count:,} rows, {len(known):,} known",
        count / ours,
        "rows/s",
        {"copy, update and insert": count / floor},
        {"seconds": ours, "memory MiB": memory.peak},
    )


def _copied(desk: Filled, text: str) -> float:
    with desk.plain.transaction(force_rollback=True):
        desk.plain.execute("ALTER TABLE party DISABLE TRIGGER USER")
        began = time.perf_counter()
        desk.plain.execute("CREATE TEMPORARY TABLE floor_row (name text, email text, industry text) ON COMMIT DROP")
        with desk.plain.cursor().copy("COPY floor_row FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(text)
        desk.plain.execute("ANALYZE floor_row")
        desk.plain.execute(
            "UPDATE party SET name = f.name, industry = f.industry FROM floor_row f WHERE party.email = f.email"
        )
        desk.plain.execute("INSERT INTO party (name, email, industry, roles) SELECT name, email, industry, "
                           "ARRAY['business_customer'] FROM floor_row f "
                           "WHERE NOT EXISTS (SELECT FROM party p WHERE p.email = f.email)")  # fmt: skip
        seconds = time.perf_counter() - began
    desk.plain.execute("VACUUM party")
    return seconds


def _asked(path: Path) -> int:
    _, job, _ = import_file(path, face_named("customer"), duplicates=Duplicates.UPDATE)
    assert job is not None
    return job.id
