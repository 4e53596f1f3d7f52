"""Two customers with ten thousand records each become one, and two again, beside one UPDATE of the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bench.filled import Filled
from bench.floors import Stock
from bench.measuring import Figure
from crm.commands.party_merges import merge_parties
from crm.commands.party_unmerges import unmerge
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.core.transaction import run_in_transaction
from crm.models.party_merges import Merge, MergeState

# Table → how many rows of it each of the two has, and what a row needs besides its party.
RELATED = {
    "interaction": (3000, "channel, direction, state, subject, occurred_at", "'call', 'inbound', 'done', 'Call ' || n, now() - n * interval '1 hour'"),
    "sales_order": (2500, "currency, state", "'EUR', 'completed'"),
    "note": (1500, "text", "'Note ' || n"),
    "ticket": (1000, "kind, subject", "'complaint', 'Ticket ' || n"),
    "contact": (1000, "name", "'Contact ' || n"),
    "address": (500, "city", "'City ' || n"),
    "task": (500, "subject", "'Task ' || n"),
}  # fmt: skip


def figures(desk: Filled, stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    if wanted("merge"):
        yield _merge(desk)


def _column(table: str) -> str:
    return "customer_id" if table == "sales_order" else "party_id"


def _related(desk: Filled, party: int) -> int:
    total = 0
    for table, (count, names, values) in RELATED.items():
        desk.plain.execute(f"INSERT INTO {table} ({_column(table)}, {names}) SELECT {party}, {values} "
                           f"FROM generate_series(1, {count}) n")  # fmt: skip
        total += count
    desk.plain.execute("INSERT INTO order_line (order_id, name, quantity, unit_price) SELECT id, 'B', 2, 50 FROM sales_order "
                       "WHERE customer_id = %s", (party,))  # fmt: skip
    return total


def _merge(desk: Filled) -> Figure:
    kept, merged = (desk.plain.execute("INSERT INTO party (name, roles) VALUES (%s, ARRAY['business_customer']) RETURNING id", (name,)).fetchone()[0]  # type: ignore[index]
                    for name in ("Kept", "Merged"))  # fmt: skip
    rows = min(_related(desk, one) for one in (kept, merged))
    desk.plain.execute("ANALYZE")
    began = time.perf_counter()
    with desk.plain.transaction(force_rollback=True):
        for table in RELATED:
            desk.plain.execute(f"UPDATE {table} SET {_column(table)} = %s WHERE {_column(table)} = %s", (kept, merged))
        desk.plain.execute("SET CONSTRAINTS ALL IMMEDIATE")
    floor = time.perf_counter() - began
    with desk.app.app_context(), acting_as(Acting(via="bench")):
        began = time.perf_counter()
        number = run_in_transaction(lambda: merge_parties(kept, [merged], by=None)[0].id)
        ours = time.perf_counter() - began
        made = db.session.get_one(Merge, number)
        assert made.state is MergeState.MADE
        assert sum((made.moved or {}).values()) >= rows, made.moved
        began = time.perf_counter()
        run_in_transaction(lambda: unmerge(db.session.get_one(Merge, number), by=None))
        back = time.perf_counter() - began
    return Figure(f"merge of {rows:,} rows into as many", rows / ours, "rows/s", {"the updates alone, audited": rows / floor},
                  {"seconds": ours, "undone s": back, "floor s": floor})  # fmt: skip
