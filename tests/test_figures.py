"""Figures are what the records add up to, after whatever happened, on several connections at once."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app import main
from crm.commands.demo_catalogue import load_catalogue
from crm.commands.demo_in_bulk import TABLES, load_in_bulk
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.transaction import run_in_transaction
from crm.logins import dsn
from crm.models.sales_orders import Order, OrderLine, OrderState
from crm.queries.figures import wrong_figures
from migrations import database
from tests.factories import make
from tests.histories import APPROVED, History

WRITERS, TRANSACTIONS = 6, 40
# Written by hand, so that a mistake in the declarations isn't made twice.
PLAIN = """
SELECT p.id, (SELECT count(*) FROM sales_order o WHERE o.customer_id = p.id AND o.state = 'completed') AS orders_count,
  coalesce((SELECT sum(round(l.total * o.exchange_rate, 4)) FROM sales_order o JOIN order_line l ON l.order_id = o.id
             WHERE o.customer_id = p.id AND o.state = 'completed'), 0)
  - coalesce((SELECT sum(round(b.amount * o.exchange_rate, 4)) FROM sales_order o JOIN sales_return r ON r.order_id = o.id
               JOIN return_line b ON b.sales_return_id = r.id
               WHERE o.customer_id = p.id AND o.state = 'completed' AND r.state = 'refunded'), 0) AS total_spent,
  coalesce((SELECT sum(round(d.amount * d.exchange_rate, 4)) FROM deal d WHERE d.customer_id = p.id AND d.stage = 'won'
     AND NOT EXISTS (SELECT FROM sales_order o WHERE o.deal_id = d.id AND o.state <> 'cancelled')), 0) AS won_without_order,
  (SELECT min(o.ordered_at) FROM sales_order o WHERE o.customer_id = p.id AND o.state = 'completed') AS first_purchase_at,
  greatest((SELECT max(o.ordered_at) FROM sales_order o WHERE o.customer_id = p.id),
           (SELECT max(i.occurred_at) FROM interaction i WHERE i.party_id = p.id AND i.state = 'done'),
           (SELECT max(t.opened_at) FROM ticket t WHERE t.party_id = p.id),
           (SELECT max(e.occurred_at) FROM digital_event e WHERE e.party_id = p.id)) AS last_activity_at,
  (SELECT count(*) FROM interaction i WHERE i.party_id = p.id AND i.state = 'done') AS interactions_count,
  (SELECT count(*) FROM ticket t WHERE t.party_id = p.id AND t.kind = 'complaint' AND t.resolved_at IS NULL) AS open_complaints,
  (SELECT count(*) FROM escalation e JOIN ticket t ON t.id = e.ticket_id WHERE t.party_id = p.id) AS escalations,
  coalesce((SELECT sum(e.points) FROM loyalty_account a JOIN point_entry e ON e.account_id = a.id WHERE a.party_id = p.id), 0) AS points,
  (SELECT t.name FROM loyalty_account a JOIN loyalty_tier t ON t.id = a.tier_id WHERE a.party_id = p.id) AS tier,
  coalesce((SELECT d.credit_limit FROM credit_account a JOIN credit_decision d ON d.account_id = a.id WHERE a.party_id = p.id
             ORDER BY d.id DESC LIMIT 1), 0) AS credit_limit,
  (SELECT min(i.due_on) FROM credit_account a JOIN invoice i ON i.account_id = a.id WHERE a.party_id = p.id AND i.amount >
     coalesce((SELECT sum(b.amount) FROM payment_allocation b WHERE b.invoice_id = i.id), 0)) AS oldest_due_on
FROM party p WHERE p.roles && ARRAY['business_customer', 'end_customer']::varchar[]"""


def at_once(work: Callable[[int], None], many: int) -> None:
    with ThreadPoolExecutor(many) as pool:
        list(pool.map(work, range(many)))


@pytest.fixture
def people(own_database: Any, owner_sql: Callable[..., list[Any]]) -> Callable[[int], None]:
    """`people(seed)` lets several write at once, each on a connection as the app."""
    owner_sql(
        "INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['business_customer'] FROM generate_series(1, 20) n"
    )

    def write(seed: int) -> None:
        owner_sql(
            "INSERT INTO app_user (name, email, email_given) SELECT 'U', 'u' || n, 'u' FROM generate_series(1, 2) n"
        )
        owner_sql(
            "INSERT INTO loyalty_program (name, kinds, currency, main) VALUES ('L', ARRAY['points'], 'EUR', true)"
        )
        owner_sql(
            "INSERT INTO loyalty_tier (program_id, name, rank, enter_at, leave_below) VALUES (1, 'Gold', 1, 0, 0), (1, 'VIP', 2, 9, 9)"
        )
        writers = [History(own_database.servers.database_url, seed * 100 + number) for number in range(WRITERS)]
        at_once(lambda number: writers[number].run(TRANSACTIONS), WRITERS)
        assert sum(writer.done for writer in writers) > WRITERS * TRANSACTIONS / 3
        for statement in RARE:
            owner_sql(statement)

    return write


# What chance may leave out, for the first customer: a limit, points, an invoice whose payment was taken back.
RARE = (
    "UPDATE party SET roles = ARRAY['business_customer'] WHERE id = 1",
    "INSERT INTO credit_account (party_id) VALUES (1) ON CONFLICT DO NOTHING",
    APPROVED.replace("ORDER BY random() LIMIT 1", "WHERE party_id = 1").replace("%(amount)s", "7"),
    "INSERT INTO invoice (account_id, number, amount, currency) SELECT id, 'rare', 5, 'EUR' FROM credit_account WHERE party_id = 1",
    "INSERT INTO payment (account_id, amount, currency, invoice_id) SELECT account_id, 5, 'EUR', id FROM invoice WHERE number = 'rare'",
    (
        "INSERT INTO payment (account_id, kind, reverses_id, amount, currency) SELECT p.account_id, 'taken_back', p.id, -5, 'EUR' "
        "FROM payment p JOIN invoice i ON i.id = p.invoice_id WHERE i.number = 'rare'"
    ),
    "INSERT INTO loyalty_account (party_id, program_id) VALUES (1, 1) ON CONFLICT DO NOTHING",
    "INSERT INTO point_entry (account_id, kind, points, source) SELECT id, 'earn', 7, 'rare' FROM loyalty_account WHERE party_id = 1",
)


def wrong(own: Any) -> list[Any]:
    with own.app.app_context():
        return list(wrong_figures())


@pytest.mark.soak
def test_after_any_history_of_several_at_once_every_figure_is_true(people, own_database, owner_sql, soak_round):
    people(soak_round)
    assert wrong(own_database) == []
    due = {row.id: row for row in owner_sql(PLAIN)}
    stands = {row.id: row for row in owner_sql("SELECT * FROM customer_figures")}
    assert due.keys() == stands.keys()
    for number, row in due.items():
        assert {name: getattr(stands[number], name) for name in row._fields} == row._asdict()
    for name in ("total_spent", "points", "credit_limit", "oldest_due_on"):
        assert any(getattr(row, name) for row in due.values()), name
    # Of each lot and each invoice something is left or nothing, and the balance is what is left.
    assert owner_sql("SELECT a.id FROM loyalty_account_sums a WHERE a.points <> (SELECT coalesce(sum(e.points), 0) FROM point_entry e "
                     "WHERE e.account_id = a.id) OR a.points < 0") == []  # fmt: skip
    assert owner_sql("SELECT count(*) > 0 FROM payment_allocation WHERE amount < 0")[0][0]
    kept = ("order_figures_note", "deal_figures_note", "ticket_figures_note", "customer_figures_note", "figures_due",
            "invoice_figures_note", "credit_account_sums_note", "credit_account_figures_note", "loyalty_account_figures_note")  # fmt: skip
    assert [owner_sql(f"SELECT count(*) FROM {table}")[0][0] for table in kept] == [0] * len(kept)


def rows_of(customers: int, orders: int) -> str:
    """SQL that writes so many orders of a line each, spread over the customers."""
    return (f"WITH made AS (INSERT INTO sales_order (customer_id, currency, state) SELECT 1 + n % {customers}, 'EUR', 'completed' "
            f"FROM generate_series(1, {orders}) n RETURNING id) "
            "INSERT INTO order_line (order_id, name, quantity, unit_price) SELECT id, 'B', 2, 50 FROM made")  # fmt: skip


def test_sixteen_at_once_on_fifty_customers_never_tell_a_person_of_a_deadlock(own_database, owner_sql):
    owner_sql(
        "INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['business_customer'] FROM generate_series(1, 50) n"
    )

    def write(seed: int) -> None:
        pick = random.Random(seed)

        def work() -> None:
            for customer in pick.sample(range(1, 51), 4):
                db.session.add(Order(customer_id=customer, currency="EUR", state=OrderState.COMPLETED,
                                     lines=[OrderLine(name="A", unit_price=Decimal(5))]))  # fmt: skip
                db.session.flush()

        with own_database.app.app_context(), acting_as(Acting(via="test")):
            for _ in range(10):
                run_in_transaction(work)

    at_once(write, 16)
    assert owner_sql("SELECT sum(orders_count), sum(total_spent) FROM customer_figures") == [(640, Decimal(3200))]
    assert wrong(own_database) == []


def _order(connection: Any, day: int, customer: int = 1, state: str = "completed") -> int:
    number: int = connection.execute("INSERT INTO sales_order (customer_id, currency, state, ordered_at) VALUES (%s, 'EUR', %s, %s) "
                                     "RETURNING id", (customer, state, dt.date(2024, 1, day))).fetchone()[0]  # fmt: skip
    _line(connection, number)
    return number


def _line(connection: Any, order: int) -> None:
    connection.execute("INSERT INTO order_line (order_id, name, unit_price) VALUES (%s, 'A', 10)", (order,))


MEANWHILE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a later purchase, then an earlier one": (lambda c: _order(c, 9), lambda c: _order(c, 5)),
    "a line, then its order is completed": (
        lambda c: _line(c, 1), lambda c: c.execute("UPDATE sales_order SET state = 'completed' WHERE id = 1")),
    "an order is completed, then a line comes": (
        lambda c: c.execute("UPDATE sales_order SET state = 'completed' WHERE id = 1"), lambda c: _line(c, 1)),
    "a line, then its order moves to another": (
        lambda c: _line(c, 2), lambda c: c.execute("UPDATE sales_order SET customer_id = 2 WHERE id = 2")),
    "a vendor becomes a customer, then buys": (
        lambda c: c.execute("UPDATE party SET roles = ARRAY['end_customer'] WHERE id = 3"), lambda c: _order(c, 7, 3)),
    "a vendor buys, then becomes a customer": (
        lambda c: _order(c, 7, 3), lambda c: c.execute("UPDATE party SET roles = ARRAY['end_customer'] WHERE id = 3")),
    "a deal is won, then its order comes": (
        lambda c: c.execute("UPDATE deal SET stage = 'won'"),
        lambda c: c.execute("INSERT INTO sales_order (customer_id, currency, deal_id) VALUES (1, 'EUR', 1)")),
    "a ticket moves, then is escalated": (
        lambda c: c.execute("UPDATE ticket SET party_id = 2"),
        lambda c: c.execute("INSERT INTO escalation (ticket_id, level, reason) VALUES (1, 1, 'r')")),
    "a ticket is escalated, then moves": (
        lambda c: c.execute("INSERT INTO escalation (ticket_id, level, reason) VALUES (1, 1, 'r')"),
        lambda c: c.execute("UPDATE ticket SET party_id = 2")),
}  # fmt: skip


WAITING = ("SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted "
           "AND a.datname = current_database()")  # fmt: skip


def test_what_one_has_settled_and_not_committed_another_counts_too(own_database, owner_sql):
    owner_sql("INSERT INTO party (name, roles) VALUES ('A', ARRAY['business_customer']), ('B', ARRAY['end_customer']), "
              "('C', ARRAY['vendor'])")  # fmt: skip
    login = dsn(own_database.servers.database_url)
    with psycopg.connect(login) as start:
        _order(start, 1, state="pending"), _order(start, 2)
        start.execute("INSERT INTO deal (name, customer_id, amount, currency) VALUES ('D', 1, 100, 'EUR')")
        start.execute("INSERT INTO ticket (party_id, kind, subject) VALUES (1, 'complaint', 'T')")
    for said, (first, then) in MEANWHILE.items():
        with psycopg.connect(login) as one, psycopg.connect(login) as other, ThreadPoolExecutor(1) as pool:
            first(one)
            one.execute("SET CONSTRAINTS figures_settle IMMEDIATE")

            def follow(connection: Any = other, then: Callable[[Any], Any] = then) -> None:
                then(connection)
                connection.commit()

            waiting = pool.submit(follow)
            until = time.monotonic() + 5
            while not waiting.done() and not owner_sql(WAITING) and time.monotonic() < until:
                pass
            one.commit()
            waiting.result(10)
        assert (said, wrong(own_database)) == (said, [])
    owner_sql("UPDATE ticket SET party_id = 1")
    assert wrong(own_database) == []


def test_the_app_writes_no_figure_itself(own_database, owner_sql):
    owner_sql("INSERT INTO party (name, roles) VALUES ('P', ARRAY['business_customer'])")
    for statement in ("UPDATE customer_figures SET total_spent = 1", "DELETE FROM order_figures", "TRUNCATE customer_figures",
                      "INSERT INTO customer_figures_note (id, total_spent) VALUES (1, 1)", "INSERT INTO figures_due VALUES (1)",
                      "SELECT figures_settle()"):  # fmt: skip
        with (
            psycopg.connect(dsn(own_database.servers.database_url)) as login,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            login.execute(statement)


def test_the_check_names_each_figure_that_stands_otherwise_and_an_upgrade_mends_what_is_declared_anew(
    own_database, owner_sql
):
    owner_sql(
        "INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['business_customer'] FROM generate_series(1, 3) n"
    )
    owner_sql(rows_of(3, 9))
    servers = own_database.servers
    environment = {"CRM_DATABASE_URL": servers.database_url, "CRM_OWNER_DATABASE_URL": servers.owner_database_url,
                   "CRM_REDIS_URL": servers.redis_url, "CRM_SECRET_KEY": servers.secret_key}  # fmt: skip

    def check() -> tuple[int, list[dict[str, Any]]]:
        done = CliRunner().invoke(main, ["figures", "check", "--json"], env=environment)
        return done.exit_code, json.loads(done.stdout.splitlines()[-1])["differences"]

    assert check() == (0, [])
    owner_sql("UPDATE customer_figures SET total_spent = 1 WHERE id = 2")
    owner_sql("DELETE FROM customer_figures WHERE id = 3")
    code, told = check()
    assert code == 1
    assert {"record": "customer 2", "id": 2, "figure": "total_spent", "is": "1.0000", "must_be": "300.0000"} in told
    assert {"record": "customer 3", "id": 3, "figure": "its row", "is": None, "must_be": "3"} in told
    assert {one["id"] for one in told} == {2, 3}
    owner_sql("COMMENT ON FUNCTION figures_settle() IS 'by another declaration'")
    database.upgrade(servers.owner_database_url, servers.database_url)
    assert check() == (0, [])


def test_demo_data_has_true_figures(own_database, owner_sql):
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        load_catalogue()
        db.session.commit()
    load_in_bulk(own_database.servers.owner_database_url, customers=60, seed=1)
    assert wrong(own_database) == []
    for table in TABLES:
        assert owner_sql(f"SELECT count(*) > 0 FROM {table}") == [(True,)], table


@pytest.fixture
def bought(session: Any) -> Callable[..., Any]:
    def buy(customer: Any, amount: str, **given: Any) -> Any:
        given = {"state": OrderState.COMPLETED, "currency": "EUR"} | given
        order = make(face_named("order"), customer_id=customer.id, **given)
        make(
            face_named("order_line"),
            order_id=order.id,
            quantity=Decimal(1),
            unit_price=Decimal(amount),
            discount=0,
            tax=0,
        )
        return order

    return buy


def test_figures_are_shown_filtered_sorted_and_exported_like_other_fields(session, as_user, api_key, bought):
    customers = [make(face_named("customer"), name=f"Buyer {number}", industry="figures") for number in range(53)]
    for number, customer in enumerate(customers[:51], 1):
        bought(customer, f"{number}.25", ordered_at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number))
    settle()
    db.session.commit()
    admin = as_user("admin").client
    seen: dict[str, list[str]] = {}
    for name in ("total_spent", "last_purchase_at", "orders_count"):
        address, found = f"/admin/customers/?flt_industry_eq=figures&sort={name}&desc=1", []
        page = admin.get(address).text
        found += re.findall(r">(Buyer \d+)<", page)
        after = re.search(r"after=([\w-]+)", page)
        assert after is not None
        found += re.findall(r">(Buyer \d+)<", admin.get(f"{address}&after={after[1]}").text)
        assert len(set(found)) == 53
        seen[name] = list(dict.fromkeys(found))
    ranked = [f"Buyer {number}" for number in range(50, -1, -1)]
    assert seen["total_spent"][:51] == seen["last_purchase_at"][:51] == ranked
    few = admin.get(
        "/admin/customers/?flt_industry_eq=figures&flt_total_spent_ge=50.25&flt_last_purchase_at_ge=2024-01-01"
    ).text
    assert set(re.findall(r">(Buyer \d+)<", few)) == {"Buyer 49", "Buyer 50"}
    file = admin.get(
        "/admin/customers/export/csv/?flt_industry_eq=figures&columns=name,total_spent,purchase_volume&sort=total_spent"
    )
    assert file.text.splitlines()[-1] == "Buyer 50,51.2500,low"
    page = admin.get(f"/admin/customers/details/?id={customers[50].id}").text
    assert "Average order" in page
    assert "51.25" in page
    program = as_program(admin, api_key())
    told = program(f"/customers/{customers[50].id}").json
    assert (told["orders_count"], told["total_spent"], told["satisfaction"]) == (1, "51.25", None)
    assert "total_spent" not in program(f"/vendors/{make(face_named('vendor')).id}").json


def as_program(browser: Any, key: dict[str, str]) -> Callable[[str], Any]:
    return lambda path: browser.application.test_client().get(f"/api/v1{path}", headers=key)


def test_a_program_is_told_the_sums_of_what_it_just_wrote(session, app, api_key):
    customer, ask, key = make(face_named("customer")), app.test_client(), api_key()
    db.session.commit()
    order = ask.post(
        "/api/v1/orders", headers=key, json={"customer": customer.id, "currency": "EUR", "state": "completed"}
    ).json
    assert (order["lines_count"], order["total"]) == (0, "0.00")
    ask.post(
        "/api/v1/purchases", headers=key, json={"order": order["id"], "name": "A", "quantity": 3, "unit_price": "7.50"}
    )
    settle()
    assert ask.get(f"/api/v1/orders/{order['id']}", headers=key).json["total"] == "22.50"
    before = ask.get(f"/api/v1/customers/{customer.id}", headers=key)
    assert before.json["total_spent"] == "22.50"
    ask.post("/api/v1/purchases", headers=key, json={"order": order["id"], "name": "B", "unit_price": "1"})
    settle()
    after = ask.get(f"/api/v1/customers/{customer.id}", headers=key | {"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json["total_spent"]) == (200, "23.50")
    kept = ask.patch(
        f"/api/v1/customers/{customer.id}", headers=key | {"If-Match": before.headers["ETag"]}, json={"name": "New"}
    )
    assert kept.status_code == 200  # another order is no change of the customer


def figures(customer: Any) -> Any:
    settle()
    return db.session.execute(text("SELECT * FROM customer_figures WHERE id = :id"), {"id": customer.id}).one_or_none()


def test_amounts_count_in_the_companys_currency_at_the_rate_of_their_day(session, bought):
    customer, rate = make(face_named("customer")), face_named("currency_rate")
    for day, worth in ((1, "0.5"), (10, "0.8")):
        make(rate, currency="USD", valid_from=dt.date(2024, 1, day), rate=Decimal(worth))
    on = [dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in (5, 15)]
    first, second = (bought(customer, "100", currency="USD", ordered_at=day) for day in on)
    assert figures(customer).total_spent == Decimal("130")
    db.session.refresh(second)
    second.exchange_rate = Decimal("0.9")
    first.currency = "EUR"  # of which nothing is known: the company's own
    db.session.flush()
    assert figures(customer).total_spent == Decimal("190")
    make(
        face_named("deal"),
        customer_id=customer.id,
        stage="won",
        amount=Decimal(10),
        currency="USD",
        closed_on=dt.date(2024, 1, 2),
    )
    found = figures(customer)
    assert (found.won_deals_value, found.total_value) == (Decimal(5), Decimal(195))


def test_what_is_paid_back_is_not_spent_and_a_won_deal_counts_until_its_order(session, bought):
    customer = make(face_named("customer"))
    order = bought(customer, "100", satisfaction=4)
    line = order.lines[0]
    back = make(face_named("return"), order_id=order.id, state="received")
    make(
        face_named("return_line"),
        sales_return_id=back.id,
        order_line_id=line.id,
        quantity=Decimal(1),
        amount=Decimal(30),
    )
    found = figures(customer)
    assert (found.total_spent, found.returns_count, found.refunded, found.satisfaction) == (100, 1, 0, 4)
    back.state = "refunded"
    found = figures(customer)
    assert (found.total_spent, found.refunded, found.average_order) == (70, 30, 70)
    deal = make(face_named("deal"), customer_id=customer.id, stage="won", amount=Decimal(500), currency="EUR")
    assert figures(customer).total_value == 570
    made = bought(customer, "480", deal_id=deal.id)
    assert figures(customer).total_value == 550
    made.state = OrderState.CANCELLED
    assert figures(customer).total_value == 570


def test_who_comes_to_be_a_customer_has_a_past_and_who_ceases_has_no_figures(session, bought):
    party = make(face_named("vendor"))
    assert figures(party) is None
    bought(party, "10")
    make(face_named("interaction"), party_id=party.id, state="done")
    assert figures(party) is None
    party.roles = ["vendor", "end_customer"]
    found = figures(party)
    assert (found.orders_count, found.total_spent, found.interactions_count) == (1, 10, 1)
    party.roles = ["vendor"]
    assert figures(party) is None


def test_bands_follow_from_the_figures(session, bought):
    customer = make(face_named("customer"))
    assert (figures(customer).purchase_frequency, figures(customer).purchase_volume) == (None, None)
    for day in (1, 9, 17):
        bought(customer, "2000", ordered_at=dt.datetime(2024, 1, day, tzinfo=dt.UTC))
    assert (figures(customer).purchase_frequency, figures(customer).purchase_volume) == ("weekly", "medium")


def test_answers_to_surveys_of_satisfaction_count_and_those_keep_their_kind(session):
    customer = make(face_named("customer"))
    for kind, score in (("csat", 5), ("csat", 2), ("csat", None), ("nps", 9)):
        survey = make(face_named("survey"), kind=kind)
        make(face_named("survey_answer"), survey_id=survey.id, party_id=customer.id, score=score)
    assert figures(customer).satisfaction == Decimal("3.50")
    survey.kind = "csat"
    with pytest.raises(IntegrityError, match="once it was answered"):
        db.session.flush()
