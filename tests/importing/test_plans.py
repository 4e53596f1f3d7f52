"""No statement of a chunk walks row by row through what it joins, whatever PostgreSQL believes of the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url, text

from crm.core.entity import all_faces, db, face_named
from crm.importing import loading
from crm.importing.linking import Link
from crm.importing.matching import Ladder, matchable
from crm.importing.rights import Rights
from crm.importing.targets import own_landings
from crm.logins import dsn
from crm.models.imports import Duplicates
from tests.conftest import _named
from tests.importing.conftest import counts

SCOPE = "r.import_id = :import AND r.step = '' AND r.line > :after AND r.line <= :upto"


NOTHING = "SELECT pg_clear_relation_stats('public', tablename) FROM pg_tables WHERE schemaname = 'public'"
# As autovacuum leaves it between two imports. A target that is believed to be empty is counted.
NO_ROWS = "SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', 'import_row', 'relpages', 1, 'reltuples', CAST(0 AS real))"
BELIEFS = {"nothing": (NOTHING,), "no rows on their way": (NOTHING, NO_ROWS)}


@pytest.fixture(params=BELIEFS)
def believed(request, servers, session, monkeypatch):
    """What is believed of all tables, and nothing is found out on the way; of small ones too the indexes are of use."""
    monkeypatch.setattr(loading, "refresh_outgrown", lambda *_: None)
    own = make_url(servers.database_url).database

    def believe(belief: str = request.param) -> None:
        with psycopg.connect(dsn(_named(servers.superuser_url, own)), autocommit=True) as superuser:
            superuser.execute("DELETE FROM pg_statistic WHERE starelid >= 16384")
            for statement in BELIEFS[belief]:
                superuser.execute(statement)

    yield believe
    with psycopg.connect(dsn(_named(servers.superuser_url, own)), autocommit=True) as superuser:
        superuser.execute("ANALYZE")


@contextmanager
def plans() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The plan of each statement over staged rows, with the settings and values with which it is carried out."""
    found: list[tuple[str, dict[str, Any]]] = []

    def ask(connection, cursor, statement, values, *_: Any) -> None:
        if "import_row" in statement and "EXPLAIN" not in statement and "\n" in statement:
            cursor.execute("SELECT set_config('enable_seqscan', 'off', true)")
            cursor.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement}", values)
            found.append((statement, cursor.fetchone()[0][0]["Plan"]))
            cursor.execute("SELECT set_config('enable_seqscan', 'on', true)")

    event.listen(db.engine, "before_cursor_execute", ask)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", ask)


def leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    below = node.get("Plans", [])
    for one in below:
        yield from leaves(one)
    if not below:
        yield node


def looked_up(node: dict[str, Any]) -> bool:
    """Whether it is found by a key that comes from elsewhere: by an index, or in the row itself."""
    own = node.get("Alias", "")
    others = set(re.findall(r"\b([a-z_]\w*)\.", node.get("Index Cond", ""))) - {own}
    return (
        node["Node Type"] in ("Function Scan", "Values Scan", "Result")
        or bool(others)
        or "$" in node.get("Index Cond", "")
    )


def walked_through(node: dict[str, Any]) -> Iterator[str]:
    """What is read again for each row of something else."""
    again = [one for one in node.get("Plans", []) if one["Parent Relationship"] == "SubPlan"
             or (node["Node Type"] == "Nested Loop" and one["Parent Relationship"] == "Inner")]  # fmt: skip
    for one in again:
        yield from (f"{leaf['Node Type']} {leaf.get('Alias')}" for leaf in leaves(one) if not looked_up(leaf))
    for one in node.get("Plans", []):
        yield from walked_through(one)


def whole(node: dict[str, Any]) -> Iterator[str]:
    """Targets that are read from one end to the other."""
    yield from (f"all of {leaf['Alias']}" for leaf in leaves(node)
                if leaf.get("Relation Name", "import_row") != "import_row" and not leaf.get("Index Cond"))  # fmt: skip


def wrong(found: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, list[str]]]:
    assert found
    told = [(" ".join(statement.split())[:300], [*walked_through(plan), *whole(plan)]) for statement, plan in found]
    return [(statement, said) for statement, said in told if said]


def test_customers_found_by_a_ladder(bring, believed):
    lines = [f"Name {n},n{n}@x.org,+49 30 {100000 + n},A-{n},City {n},{10000 + n}" for n in range(600)]
    head, ladder = "name,email,phone,account number,city,postal_code", ("email", "phone", "name+postal_code")
    bring("\n".join([head, *lines[:400]]))
    file = "\n".join([head, *lines]).replace("City 1", "Town 1")
    for policy, expected in ((Duplicates.SKIP, {"created": 200, "skipped": 400}),
                             (Duplicates.UPDATE, {"updated": 111, "unchanged": 489}), (Duplicates.CREATE, {"created": 600})):  # fmt: skip
        believed()
        with plans() as found:
            assert counts(bring(file, duplicates=policy, match=ladder)) == expected
        assert wrong(found) == []


def test_lines_that_bring_orders_customers_and_products(bring, believed):
    lines = [
        f"I-{n // 4},2024-03-0{1 + n % 9},S-{n % 50},Thing {n % 50},{1 + n % 3},2.50,C-{n // 40}" for n in range(600)
    ]
    head = "invoice,date,sku,thing,quantity,price,customer"
    columns = {"invoice": "order.number", "date": "order.ordered_at", "sku": "product.sku", "thing": "product.name",
               "quantity": "quantity", "price": "unit_price", "customer": "order.customer.account_number"}  # fmt: skip
    constants = {
        "order.state": "completed",
        "product.kind": "part",
        "order.currency": "EUR",
        "order.customer.name": "{customer}",
    }
    for more, expected in (
        ([], {"created": 600}),
        (["I-900,2024-03-01,S-1,Thing 1,1,2.50,C-1"], {"created": 1, "skipped": 600}),
    ):
        believed()
        with plans() as found:
            file = "\n".join([head, *lines, *more])
            assert counts(bring(file, "purchases", columns=columns, constants=constants)) == expected
        assert wrong(found) == []


def test_every_way_to_name_a_record_has_its_index(believed):
    believed()
    values = {"import": 1, "after": 0, "upto": 5000, "system": "x", "skip": False, "header": "x"}
    nobody, wanting = Rights(), {}
    for face in (face for face in all_faces() if face.about.imports):
        statements = {f"{face.name} by {name}": Ladder(face, [name], rows=SCOPE, title="''", brought=False).match(SCOPE)
                      for name in matchable(face)}  # fmt: skip
        for landing in (one for one in own_landings(face) if one.is_link):
            link = Link(landing, face_named(landing.field.refers_to))
            statements[f"{landing.name} of {face.name}"] = link.find(SCOPE, nobody, system="x")
        db.session.execute(text("SET LOCAL enable_nestloop = off"))
        db.session.execute(text("SET LOCAL enable_seqscan = off"))
        for what, statement in statements.items():
            plan = db.session.execute(text(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement}"), values).scalar_one()[0][
                "Plan"
            ]
            if again := [*walked_through(plan)]:
                wanting[what] = again
    assert wanting == {}
