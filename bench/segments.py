"""Fifty dynamic segments worked out: at first, unchanged, after 1 % changed; beside SQL written by hand for each segment, and
for one pass that keeps a signature of memberships for each customer. And the live count of a rule."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.filled import Filled
from bench.floors import Stock
from bench.measuring import Figure, Memory, timed, watched_memory
from crm.commands.audit import seal_all
from crm.commands.segment_refresh import ask_refresh
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.core.jobs import JobState
from crm.models.segments import Segment
from crm.queries.segment_rules.reading import read_rule
from crm.queries.segment_rules.trying import count
from jobs import runner

MANY, OF_ORDERS = 50, 5
ORDERS = ("WITH made AS (INSERT INTO sales_order (customer_id, currency, state, ordered_at) SELECT id, 'EUR', "
          "CASE WHEN n % 4 = 0 THEN 'pending' ELSE 'completed' END, now() - (id % 400) * interval '1 day' - n * interval '9 days' "
          "FROM party, generate_series(1, 2) n WHERE code_letter = 'C' AND id % 2 = 0 RETURNING id) "
          "INSERT INTO order_line (order_id, name, quantity, unit_price) SELECT id, 'Part', 1, id % 500 FROM made")  # fmt: skip
EVERYBODY = "party p LEFT JOIN customer_figures f ON f.id = p.id WHERE p.roles && ARRAY['business_customer','end_customer']::varchar[] AND p.archived_at IS NULL"


def _condition(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def _segments() -> list[tuple[dict[str, Any], str]]:
    """(rule, the same by hand over `p` and `f`), of 1 to 4 conditions; the last ones ask for orders."""
    parts = []
    for number in range(MANY):
        letter, quality = "abcdefghijklmnopqrstuvwxy"[number % 25], 85 + number // 5
        parts.append([
            (_condition("data_quality", "le", quality), f"p.data_quality <= {quality}"),
            (_condition("name", "contains", letter), f"lower(p.name) LIKE '%{letter}%'"),
            (_condition("kind", "eq", "individual" if number % 2 else "organization"), f"p.kind = '{'individual' if number % 2 else 'organization'}'"),
            (_condition("total_spent", "ge", number * 20), f"f.total_spent >= {number * 20}"),
        ])  # fmt: skip
    made = []
    for number, conditions in enumerate(parts):
        kept = [conditions[(number + place) % 4] for place in range(number % 4 + 1)]
        if number >= MANY - OF_ORDERS:
            days = 30 * (number - MANY + OF_ORDERS + 1)
            rule = {
                "related": "orders",
                "where": _condition("state", "eq", "completed"),
                "within_last": {"days": days},
                "count": {"ge": 1},
            }
            kept = [(rule, (f"p.id IN (SELECT o.customer_id FROM sales_order o WHERE o.state = 'completed' AND o.ordered_at >= current_date - {days} "
                           "AND o.ordered_at < current_date + 1 GROUP BY o.customer_id HAVING count(*) >= 1)"))]  # fmt: skip
        made.append(({"all": [rule for rule, _ in kept]}, " AND ".join(sql for _, sql in kept)))
    return made


def figures(desk: Filled, _stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    if not wanted("segments"):
        return
    desk.plain.execute(ORDERS)
    with desk.app.app_context(), acting_as(Acting(via="bench")):
        seal_all()
    desk.plain.execute("VACUUM (ANALYZE) party, sales_order, order_line, order_figures, customer_figures, audit_entry")
    written = _segments()
    with desk.app.app_context(), acting_as(Acting(via="bench")):
        for number, (rule, _) in enumerate(written):
            db.session.add(Segment(name=f"Bench {number}", type="dynamic", rule=rule))
        db.session.commit()
        hand = _Hand(desk, [sql for _, sql in written])
        for label, change in (("first", None), ("unchanged", None), ("after 1 % changed", _change)):
            if change is not None:
                change(desk)
                seal_all()
            each, one = hand.each(), hand.signature()
            ours, memory = _ours(changed=change is not None)
            members = desk.plain.execute("SELECT count(*) FROM segment_membership WHERE left_at IS NULL").fetchone()
            desk.plain.execute(
                "VACUUM (ANALYZE) segment_membership, bench_each, bench_one, bench_signature, segment_bits"
            )
            yield Figure(f"segments: {MANY}, {label}", ours, "seconds", {"SQL for each": each, "one pass, signature": one},
                         {"members": members[0] if members else 0, "MiB": memory.peak})  # fmt: skip
            assert hand.members() == (members[0] if members else 0)
        for label, place in (("typical", 6), ("of orders", MANY - 1)):
            rule = read_rule(written[place][0])
            told = timed(lambda rule=rule: count(rule, None))
            yield Figure(
                f"segments: live count, {label}", told.p50, "ms", {}, {"exact": float(count(rule, None).exact)}
            )
            db.session.rollback()


def _ours(*, changed: bool) -> tuple[float, Memory]:
    job = ask_refresh(None, by=None, changed=changed)
    db.session.commit()
    with watched_memory() as memory:
        began = time.perf_counter()
        assert runner.run(job.id) == JobState.DONE
        took = time.perf_counter() - began
    return took, memory


def _change(desk: Filled) -> None:
    desk.plain.execute("UPDATE party SET name = name || 'a' WHERE code_letter = 'C' AND id % 100 = 7")
    desk.plain.execute("VACUUM (ANALYZE) party")


class _Hand:
    """What somebody would write by hand, into tables with the same columns, keys and indexes."""

    def __init__(self, desk: Filled, conditions: list[str]) -> None:
        self.plain, self.conditions = desk.plain, conditions
        for table in ("bench_each", "bench_one"):
            self.plain.execute(f"CREATE TABLE {table} (LIKE segment_membership INCLUDING ALL, FOREIGN KEY (party_id) REFERENCES party, "
                               "FOREIGN KEY (segment_id) REFERENCES segment)")  # fmt: skip
        self.plain.execute("CREATE TABLE bench_signature (party_id bigint PRIMARY KEY, signature bigint NOT NULL)")
        self.numbers = [
            row[0] for row in self.plain.execute("SELECT id FROM segment WHERE name LIKE 'Bench %' ORDER BY id")
        ]

    def each(self) -> float:
        began = time.perf_counter()
        for number, condition in zip(self.numbers, self.conditions, strict=True):
            with self.plain.transaction():
                self.plain.execute(
                    f"CREATE TEMP TABLE fits ON COMMIT DROP AS SELECT p.id FROM {EVERYBODY} AND ({condition})"
                )
                self.plain.execute("UPDATE bench_each m SET left_at = now() WHERE segment_id = %s AND left_at IS NULL AND NOT EXISTS "
                                   "(SELECT FROM fits WHERE fits.id = m.party_id)", (number,))  # fmt: skip
                self.plain.execute("INSERT INTO bench_each (segment_id, party_id, source, rule_version) SELECT %s, id, 'rule', 1 FROM fits "
                                   "EXCEPT SELECT %s, party_id, 'rule', 1 FROM bench_each WHERE segment_id = %s AND left_at IS NULL",
                                   (number, number, number))  # fmt: skip
        return time.perf_counter() - began

    def signature(self) -> float:
        began = time.perf_counter()
        bits = " | ".join(
            f"CASE WHEN {sql} THEN {1 << place} ELSE 0 END::bigint" for place, sql in enumerate(self.conditions)
        )
        slots = ", ".join(f"({1 << place}, {number})" for place, number in enumerate(self.numbers))
        with self.plain.transaction():
            self.plain.execute("SET LOCAL work_mem = '64MB'")
            self.plain.execute("SET LOCAL jit = off")
            self.plain.execute(f"CREATE TEMP TABLE differs ON COMMIT DROP AS SELECT n.id, n.signature, coalesce(s.signature, 0) AS before FROM "
                               f"(SELECT p.id, {bits} AS signature FROM {EVERYBODY}) n LEFT JOIN bench_signature s ON s.party_id = n.id "
                               "WHERE n.signature <> coalesce(s.signature, 0)")  # fmt: skip
            self.plain.execute(f"UPDATE bench_one m SET left_at = now() FROM differs d JOIN (VALUES {slots}) v (bit, number) ON d.before & v.bit <> 0 "
                               "AND d.signature & v.bit = 0 WHERE m.party_id = d.id AND m.segment_id = v.number AND m.left_at IS NULL")  # fmt: skip
            self.plain.execute(f"INSERT INTO bench_one (segment_id, party_id, source, rule_version) SELECT v.number, d.id, 'rule', 1 FROM differs d "
                               f"JOIN (VALUES {slots}) v (bit, number) ON d.signature & v.bit <> 0 AND d.before & v.bit = 0")  # fmt: skip
            self.plain.execute("INSERT INTO bench_signature SELECT id, signature FROM differs ON CONFLICT (party_id) DO UPDATE "
                               "SET signature = excluded.signature")  # fmt: skip
        return time.perf_counter() - began

    def members(self) -> int:
        found = self.plain.execute("SELECT count(*) FROM bench_one WHERE left_at IS NULL").fetchone()
        return int(found[0]) if found else 0
