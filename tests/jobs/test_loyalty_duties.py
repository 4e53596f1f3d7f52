"""The duties that enter and write off points, killed in the middle of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crm.core.entity import db
from crm.queries.figures import wrong_figures
from tests.jobs.conftest import Desk, until
from tests.jobs.processes import kill_tree

MEMBERS, ORDERS = 1_500, 1_500


def count(sql: str) -> int:
    db.session.rollback()
    return int(db.session.execute(db.text(sql)).scalar_one() or 0)


@pytest.mark.soak
@pytest.mark.slow
def test_kill_9_of_the_duties_enters_and_writes_off_each_point_once(
    desk: Desk, start: Callable[..., Any], soak_round: int
) -> None:
    for sql in (
        "INSERT INTO loyalty_program (name, kinds, currency, main) VALUES ('L', ARRAY['points'], 'EUR', true)",
        "INSERT INTO loyalty_terms (program_id, valid_from) SELECT id, '2020-01-01' FROM loyalty_program",
        f"INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, {MEMBERS}) n",
        "INSERT INTO loyalty_account (party_id, program_id, joined_on) SELECT y.id, p.id, '2020-01-01' FROM party y, loyalty_program p",
        ("INSERT INTO point_entry (account_id, kind, points, source, expires_on) SELECT id, 'earn', 7, 'old ' || id, CURRENT_DATE - 1 "
        "FROM loyalty_account"),
        f"INSERT INTO sales_order (customer_id, state, currency, exchange_rate) SELECT id, 'completed', 'EUR', 1 FROM party LIMIT {ORDERS}",
        "INSERT INTO order_line (order_id, name, unit_price) SELECT id, 'Wheel', 10 FROM sales_order",
    ):  # fmt: skip
        db.session.execute(db.text(sql))
    db.session.commit()
    written_off = "SELECT count(*) FROM point_entry WHERE kind = 'expire'"
    entered = "SELECT count(*) FROM point_entry WHERE kind = 'earn' AND order_id IS NOT NULL"
    for watched, at_least in ((entered, (1, 400, 900)[soak_round % 3]), (written_off, (1, 1_000, 600)[soak_round % 3])):
        killed = start("duties")
        until(lambda watched=watched, at_least=at_least: count(watched) >= at_least, 60)
        kill_tree(killed)
    start("duties")
    until(lambda: count("SELECT count(*) FROM loyalty_note") == 0 and count(entered) == ORDERS, 60)
    until(lambda: count(written_off) == MEMBERS, 60)
    assert count("SELECT sum(points) FROM point_entry") == 10 * ORDERS
    assert count("SELECT sum(points) FROM loyalty_account_sums") == 10 * ORDERS
    assert count("SELECT sum(expired) FROM loyalty_account_sums") == 7 * MEMBERS
    assert count("SELECT sum(remaining) FROM point_lot") == 10 * ORDERS
    assert list(wrong_figures()) == []
