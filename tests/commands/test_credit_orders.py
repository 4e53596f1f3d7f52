"""Orders on credit: what doesn't fit is held, also when orders arrive together, until it fits or somebody releases it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from crm.commands import records
from crm.commands.credit import approve, hold
from crm.commands.credit import release as release_hold
from crm.commands.credit_orders import accept_what_fits, release, review
from crm.core.command import WrongInput
from crm.core.entity import db, face_named
from crm.core.figures import differences, settle
from crm.logins import dsn
from crm.models.credit_orders import CreditRelease
from crm.models.sales_orders import OrderState
from crm.queries.credit_check import credit_check
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import asked, person, told
from tests.factories import make


@pytest.fixture
def account(session: Any) -> Any:
    """One with a limit of 100."""
    made = make(face_named("credit_account"))
    by = person("credit_approver", "Cleo")
    assert told(approve, asked(made, person("admin", "Ann"), 100), by, reason=None) == ""
    return made


def ordered(account: Any, amount: int, **more: Any) -> Any:
    order = make(
        face_named("order"),
        customer_id=account.party_id,
        state="pending",
        currency="EUR",
        exchange_rate=Decimal(1),
        **more,
    )
    line(order, amount)
    return order


def line(order: Any, amount: int) -> None:
    make(
        face_named("order_line"), order_id=order.id, quantity=Decimal(1), unit_price=Decimal(amount), discount=0, tax=0
    )
    settle()
    db.session.expire_all()


def test_an_order_that_does_not_fit_is_held_and_takes_nothing_of_the_limit(account: Any) -> None:
    first, large, small = (ordered(account, amount) for amount in (60, 50, 40))
    assert [order.credit for order in (first, large, small)] == ["accepted", "held", "accepted"]
    assert large.credit_reason == "More than the credit that is available"
    assert (account.used, account.available, account.standing) == (100, 0, "warning")
    line(small, 1)
    assert (small.credit, account.available) == ("held", 40), "it grew beyond what is there"
    face = face_named("order")
    with pytest.raises(WrongInput) as wrong:
        records.update(face, large, {"state": OrderState.COMPLETED}, person("admin", "Eve"))
    assert "release it first" in wrong.value.errors["state"]
    other = make(face_named("order"), state="pending")
    line(other, 1_000_000)
    assert other.credit is None, "without a credit account nothing is on credit"
    assert list(differences(db.session.connection())) == []


def test_what_fits_again_is_accepted_by_itself_the_oldest_first(account: Any) -> None:
    cleo = person("credit_approver", "Dan")
    first, large, small, least = (ordered(account, amount) for amount in (80, 50, 30, 30))
    assert [order.credit for order in (first, large, small, least)] == ["accepted", "held", "held", "held"]
    assert accept_what_fits() == 0
    first.state = OrderState.CANCELLED
    settle()
    assert told(hold, account, cleo, scope="orders", reason="Cheque bounced", until=None) == ""
    assert ordered(account, 1).credit_reason == "The account is on hold"
    assert accept_what_fits() == 0
    assert told(release_hold, account.holds[0], cleo, reason="Paid") == ""
    assert accept_what_fits() == 3
    settle()
    db.session.expire_all()
    assert [order.credit for order in (large, small, least)] == ["accepted", "accepted", "held"]
    assert (account.available, list(differences(db.session.connection()))) == (19, [])


def test_a_release_is_by_somebody_else_and_is_reviewed_by_a_third(account: Any) -> None:
    seller, approver, second = (person(role, name) for role, name in (
        ("credit_approver", "Sue"), ("credit_approver", "Pia"), ("credit_approver", "Tom")))  # fmt: skip
    order = ordered(account, 500, owner_id=seller.id)
    assert told(release, order, seller, reason="Good friend").startswith("you sold it yourself")
    assert told(release, order, approver, reason="The bank has confirmed") == ""
    assert (order.credit, account.available) == ("released", -400)
    assert told(release, order, approver, reason="Again") == "it isn't held for credit"
    made = db.session.query(CreditRelease).one()
    assert (made.amount, made.held_because) == (500, "More than the credit that is available")
    assert told(review, made, approver) == "you released it yourself: somebody else must review it"
    assert told(review, made, second) == ""
    assert told(review, made, second) == "it is reviewed already"
    line(order, 1)
    assert order.credit == "held", "what was added nobody has released"


def test_the_check_says_beforehand_what_would_happen(account: Any, app: Any, api_key: Any) -> None:
    ordered(account, 60)
    assert [credit_check(account.party, Decimal(amount)).decision for amount in (40, 41)] == ["allow", "hold"]
    assert credit_check(make(face_named("customer")), Decimal(1)).decision == "refuse"
    number = account.party_id
    db.session.commit()
    ask, key = app.test_client(), api_key()

    def get(path: str) -> Any:
        return ask.get(f"/api/v1/customers/{number}/{path}", headers=key)

    assert get("credit-check?amount=40").json == {
        "decision": "allow", "reason": "It fits into the credit that is available", "amount": "40.00", "available": "40.00"}  # fmt: skip
    assert get("credit-check?amount=40.01").json["decision"] == "hold"
    for wrong in ("credit-check", "credit-check?amount=", "credit-check?amount=-1", "credit-check?amount=x", "credit-check?sum=1",
                  "credit-check?amount=1&amount=2"):  # fmt: skip
        assert get(wrong).status_code == 422, wrong
    told_of = get("credit").json["account"]
    assert (told_of["code"], told_of["available"]) == (account.code, "40.00")
    without = make(face_named("customer"))
    db.session.commit()
    assert ask.get(f"/api/v1/customers/{without.id}/credit", headers=key).json == {"account": None}
    assert ask.get("/api/v1/customers/999999/credit", headers=key).status_code == 404
    assert ask.post(f"/api/v1/customers/{number}/credit", headers=key, json={}).status_code == 405


@pytest.mark.soak
def test_of_orders_that_arrive_together_exactly_those_that_fit_are_accepted(own_database: Any, owner_sql: Any) -> None:
    number = 1000 if os.environ.get("SOAK_N") else 80
    fits = number * 2 // 5
    owner_sql("INSERT INTO app_user (name, email, email_given) SELECT 'U', 'u' || n, 'u' FROM generate_series(1, 2) n")
    owner_sql("INSERT INTO party (name, roles) VALUES ('P', ARRAY['end_customer'])")
    owner_sql("INSERT INTO credit_account (party_id) VALUES (1)")
    owner_sql(f"INSERT INTO credit_request (account_id, amount, requested_by_id) VALUES (1, {fits * 10}, 1)")
    owner_sql("INSERT INTO credit_decision (request_id, account_id, requested_by_id, decided_by_id, step, final, verdict, "
              f"credit_limit) VALUES (1, 1, 1, 2, 1, true, 'approved', {fits * 10})")  # fmt: skip

    def buy(some: range) -> None:
        with psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as login:
            for one in some:
                while True:
                    try:
                        with login.transaction():
                            login.execute("INSERT INTO sales_order (number, customer_id, currency, exchange_rate, state) "
                                          "VALUES (%s, 1, 'EUR', 1, 'pending')", [f"N{one}"])  # fmt: skip
                            login.execute("INSERT INTO order_line (order_id, name, quantity, unit_price) "
                                          "SELECT id, 'x', 1, 10 FROM sales_order WHERE number = %s", [f"N{one}"])  # fmt: skip
                        break
                    except psycopg.errors.DeadlockDetected:
                        continue  # the edge does the same

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(buy, (range(start, number, 16) for start in range(16))))
    counted = owner_sql("SELECT credit, count(*) FROM sales_order GROUP BY 1 ORDER BY 1")
    assert counted == [("accepted", fits), ("held", number - fits)]
    with own_database.app.app_context():
        assert list(wrong_figures()) == []
        assert db.session.scalar(text("SELECT unbilled FROM customer_figures WHERE id = 1")) == fits * 10
