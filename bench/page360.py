"""The page of one customer over ten things that happened to each: beside a bare page that asks the same of the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, render_template_string

from bench.filled import Filled, Heard
from bench.floors import Stock
from bench.measuring import Figure, timed
from crm.queries.timeline import place_text

HEAVY = 100_000  # what happened to the one customer that has most
# Ten for each customer: (table, columns, how many, their values by n, the number of a row of a customer).
_EACH: tuple[tuple[str, str, int, str], ...] = (
    ("interaction", "party_id, channel, subject, content, occurred_at", 4,
     "(ARRAY['call', 'email', 'chat', 'meeting'])[1 + n % 4], 'Talk ' || n, 'What was said in talk ' || p.id, {when}"),
    ("sales_order", "customer_id, currency, exchange_rate, ordered_at", 3, "'EUR', 1, {when}"),
    ("note", "party_id, text, created_at", 1, "'A note about ' || p.id, {when}"),
    ("task", "party_id, subject, created_at", 1, "'Call back ' || n, {when}"),
    ("deal", "customer_id, name, exchange_rate, created_at", 1, "'Deal ' || p.id, 1, {when}"),
)  # fmt: skip
_WHEN = "now() - make_interval(secs => (hashint8(p.id * 31 + n)::bigint & 134217727))"
_PAGE = """<!doctype html><html><head><title>Customer</title></head><body>{% for rows in answers %}<table>
{% for row in rows %}<tr>{% for value in row %}<td>{{ value if value is not none else "" }}</td>{% endfor %}</tr>{% endfor %}
</table>{% endfor %}</body></html>"""


def figures(desk: Filled, stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    names = {"page, overview": "details/?id={id}", "page, activities": "details/?id={id}&tab=activities",
             "timeline, first part": "timeline/?id={id}", "timeline, half way down": "timeline/?id={id}&before={half}",
             "timeline, one kind": "timeline/?id={id}&type=note", "timeline, a word": "timeline/?id={id}&q=note+about"}  # fmt: skip
    labels = {f"customer {name}{of}": (path, heavy) for of, heavy in (("", False), (f" of {HEAVY:,}", True))
              for name, path in names.items()}  # fmt: skip
    if not any(wanted(label) for label in labels):
        return
    most = _happen(desk)
    half = _half(desk, most)
    for label, (path, heavy) in labels.items():
        if wanted(label):
            address = "/admin/customers/" + path.format(id=most if heavy else desk.one["id"], half=half)
            yield _figure(label, desk, address)


def _figure(label: str, desk: Filled, address: str) -> Figure:
    desk.page(address)  # the first time more is asked: what is then kept
    with Heard(desk) as heard:
        desk.page(address)
    simple = _bare(desk, heard)
    ours, bare, sql = (
        timed(work) for work in (lambda: desk.page(address), lambda: simple.get("/").get_data(), heard.again)
    )
    return Figure(label, ours.p50, floors={"bare page": bare.p50, "sql": sql.p50},
                  more={"p95": ours.p95, "cpu": ours.cpu, "queries": len(heard.statements)})  # fmt: skip


def _bare(desk: Filled, heard: Heard) -> Any:
    """A client of an app whose one route asks the same of the database and shows the answers as tables."""
    app = Flask("bare page")

    @app.get("/")
    def show() -> str:
        with desk.plain.transaction():
            answers = [desk.plain.execute(statement, values).fetchall() for statement, values in heard.statements]
        return render_template_string(_PAGE, answers=answers)

    return app.test_client()


def _happen(desk: Filled) -> int:
    """Ten things for every customer, and many for one; answers the number of that one."""
    began, plain = time.perf_counter(), desk.plain
    rows = plain.execute("SELECT max(id) FROM party WHERE code_letter = 'C' AND archived_at IS NULL").fetchone()
    assert rows is not None
    most = int(rows[0])
    for table, columns, each, values in _EACH:
        with plain.transaction():
            plain.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for whose, number in (("p.code_letter = 'C'", each), (f"p.id = {most}", HEAVY * each // 10)):
                plain.execute(f"INSERT INTO {table} ({columns}) SELECT p.id, {values.format(when=_WHEN)} "
                              f"FROM party p CROSS JOIN generate_series(1, {number}) n WHERE {whose}")  # fmt: skip
            plain.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        plain.execute(f"VACUUM (ANALYZE) {table}")
    print(f"Ten things for each customer in {time.perf_counter() - began:.0f} s", flush=True)
    return most


def _half(desk: Filled, most: int) -> str:
    """The place in the middle of what happened to that one."""
    row = desk.plain.execute("SELECT occurred_at, id FROM interaction WHERE party_id = %s ORDER BY occurred_at, id OFFSET %s LIMIT 1",
                             (most, HEAVY * 2 // 10)).fetchone()  # fmt: skip
    assert row is not None
    return place_text((row[0], "interaction", row[1]))
