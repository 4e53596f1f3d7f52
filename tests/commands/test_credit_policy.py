"""The credit policy: figures, the check of orders, the desk and the API all go by it; also over a group of companies."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from crm.commands.credit import approve
from crm.commands.credit_orders import accept_what_fits
from crm.core import rules
from crm.core.entity import db, face_named
from crm.core.figures import differences, settle
from crm.logins import dsn
from crm.models.sales_orders import OrderState
from crm.queries.credit_check import credit_check, policy
from crm.queries.figures import wrong_figures
from tests.commands.test_credit_orders import ordered
from tests.commands.test_ledgers import asked, person, told
from tests.factories import make


def says(**values: Any) -> None:
    for name, value in values.items():
        setattr(policy(), name, value)
    settle()
    db.session.expire_all()


@pytest.fixture
def limited(session: Any) -> Callable[[int], Any]:
    """Makes an account with this limit."""
    by, seller = person("credit_approver", "Cleo"), person("admin", "Ann")

    def account(limit: int) -> Any:
        made = make(face_named("credit_account"))
        assert told(approve, asked(made, seller, limit), by, reason=None) == ""
        return made

    return account


def test_what_counts_as_used_is_what_the_policy_says_everywhere(
    limited: Callable[[int], Any], app: Any, api_key: Any
) -> None:
    account = limited(100)
    make(face_named("invoice"), account_id=account.id, amount=Decimal(30), currency="EUR", exchange_rate=1)
    ordered(account, 20)
    completed = ordered(account, 7)
    completed.state = OrderState.COMPLETED
    make(face_named("payment"), account_id=account.id, amount=Decimal(5), currency="USD", exchange_rate=1, kind="payment",
         invoice_id=None)  # fmt: skip
    settle()
    key, ask = api_key(), app.test_client()
    for parts, used in (({}, 45), ({"counts_completed": True}, 52), ({"counts_payments": False}, 57), ({"counts_invoices": False}, 27),
                        ({"counts_pending": False}, 7), ({"counts_completed": False}, 0)):  # fmt: skip
        says(**parts)
        assert (account.used, account.available) == (used, 100 - used), parts
        assert (account.party.credit_used, account.party.credit_available) == (used, 100 - used), parts
        checked = [credit_check(account.party, Decimal(100 - used + more)) for more in (0, 1)]
        assert [(one.decision, one.available) for one in checked] == [("allow", 100 - used), ("hold", 100 - used)], (
            parts
        )
        assert asked(account, person("admin", f"Max{used}"), 9).exposure_then == used, parts
        assert ordered(account, 100 - used + 1).credit == "held", parts
        db.session.commit()
        told_of = ask.get(f"/api/v1/customers/{account.party_id}/credit", headers=key).json["account"]
        assert told_of["available"] == f"{100 - used:.2f}", parts
    says(counts_pending=True, counts_invoices=True)
    assert list(differences(db.session.connection())) == []


def test_a_request_grows_stale_and_an_account_is_blocked_by_the_days_of_the_policy(
    limited: Callable[[int], Any],
) -> None:
    account, by = limited(100), person("credit_approver", "Dan")
    ordered(account, 60)
    request = asked(account, person("admin", "Eve"), 100)
    says(warned_percent=50)
    assert (account.standing, account.standing_reason) == ("warning", "More than 50% of the limit is used")
    ordered(account, 30)
    assert told(approve, request, by, reason=None).startswith("it is stale: the account's figures have changed")
    says(stale_percent=30)
    assert told(approve, request, by, reason=None) == ""


def test_an_order_above_the_limit_is_refused_where_the_policy_says_so(
    limited: Callable[[int], Any], app: Any, as_user: Any, api_key: Any
) -> None:
    account = limited(100)
    says(over_limit="refuse")
    order = ordered(account, 60)
    number, customer = order.id, account.party_id
    assert credit_check(account.party, Decimal(41)).decision == "refuse"
    db.session.commit()
    line = {"order": number, "name": "More", "quantity": "1", "unit_price": "41"}
    ask, key = app.test_client(), api_key()
    answer = ask.post("/api/v1/purchases", headers=key, json=line)
    assert (answer.status_code, "more than the credit that is available" in answer.text) == (422, True), answer.text
    assert ask.post("/api/v1/purchases", headers=key, json=line | {"unit_price": "40"}).status_code == 201
    answer = as_user("admin").client.post(
        "/admin/purchases/new/", data={name: str(value) for name, value in line.items()}
    )
    assert (answer.status_code, "more than the credit that is available" in answer.text) == (422, True)
    db.session.expire_all()
    assert (account.used, db.session.scalar(text("SELECT count(*) FROM order_line"))) == (100, 2)
    # Whatever else makes an order larger: nothing of it is kept.
    with pytest.raises(IntegrityError) as fault, db.session.begin_nested():
        ordered(account, 1)
    assert rules.told(fault.value) == "Customer can’t take it: the order is more than the credit that is available."
    db.session.execute(text("SELECT set_config('crm.via', 'import 1', true)"))
    held = ordered(account, 1)
    assert (held.credit, held.customer_id) == ("held", customer), "a file tells what was agreed on elsewhere"


@pytest.fixture
def group(limited: Callable[[int], Any]) -> tuple[Any, Any, Any]:
    """A company with a limit of 100 and two below it, the second below the first, with 80 each."""
    top, middle, low = limited(100), limited(80), limited(80)
    for above, below in ((top, middle), (middle, low)):
        make(
            face_named("relation"),
            from_party_id=above.party_id,
            to_party_id=below.party_id,
            kind="parent",
            valid_from=None,
            valid_until=None,
        )
    return top, middle, low


def test_limits_of_parents_hold_for_all_below(group: tuple[Any, Any, Any]) -> None:
    top, _, low = group
    ordered(low, 50)
    says(over_group=True)
    assert [(one.used, one.available) for one in group] == [(50, 50), (50, 30), (50, 30)]
    assert [one.party.credit_available for one in group] == [50, 30, 30]
    assert ordered(top, 45).credit == "accepted"
    assert [one.available for one in group] == [5, 5, 5]
    held = ordered(low, 10)
    assert held.credit == "held"
    assert credit_check(low.party, Decimal(6)).decision == "hold"
    says(over_group=False)
    assert [one.available for one in group] == [55, 80, 30]
    assert accept_what_fits() == 1
    settle()
    says(over_group=True)
    assert [one.available for one in group] == [-5, -5, -5]
    assert {one.standing for one in group} == {"blocked"}
    db.session.execute(text("UPDATE relation SET valid_until = CURRENT_DATE - 1"))
    db.session.expire_all()
    assert [one.available for one in group] == [55, 80, 20], "what is past counts no more"
    assert list(differences(db.session.connection())) == []


def test_a_company_that_nobody_gave_a_limit_stops_nobody_below(limited: Callable[[int], Any]) -> None:
    top, below = make(face_named("credit_account")), limited(80)
    make(
        face_named("relation"),
        from_party_id=top.party_id,
        to_party_id=below.party_id,
        kind="parent",
        valid_from=None,
        valid_until=None,
    )
    says(over_group=True)
    assert (top.available, below.available) == (0, 80)
    ordered(below, 30)
    assert (top.used, top.available, below.available) == (30, -30, 50)


@pytest.mark.soak
def test_of_orders_in_a_group_that_arrive_together_exactly_those_that_fit_are_accepted(
    own_database: Any, owner_sql: Any
) -> None:
    number = 1000 if os.environ.get("SOAK_N") else 80
    fits = number * 2 // 5
    owner_sql("INSERT INTO app_user (name, email, email_given) SELECT 'U', 'u' || n, 'u' FROM generate_series(1, 2) n")
    owner_sql("INSERT INTO party (name, roles) SELECT 'P', ARRAY['end_customer'] FROM generate_series(1, 4)")
    # The one above comes last: accounts are held in the order of their numbers, whoever asks.
    owner_sql(
        "INSERT INTO relation (kind, from_party_id, to_party_id) VALUES ('parent', 4, 1), ('parent', 4, 2), ('parent', 1, 3)"
    )
    owner_sql("INSERT INTO credit_account (party_id) SELECT id FROM party ORDER BY id")
    owner_sql(
        f"INSERT INTO credit_request (account_id, amount, requested_by_id) SELECT id, {fits * 10}, 1 FROM credit_account"
    )
    owner_sql("INSERT INTO credit_decision (request_id, account_id, requested_by_id, decided_by_id, step, final, verdict, credit_limit) "
              "SELECT id, account_id, 1, 2, 1, true, 'approved', amount FROM credit_request")  # fmt: skip
    owner_sql("UPDATE credit_policy SET over_group = true")

    def buy(some: range) -> None:
        with psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as login:
            for one in some:
                while True:
                    try:
                        with login.transaction():
                            login.execute("INSERT INTO sales_order (number, customer_id, currency, exchange_rate, state) "
                                          "VALUES (%s, %s, 'EUR', 1, 'pending')", [f"N{one}", 1 + one % 4])  # fmt: skip
                            login.execute("INSERT INTO order_line (order_id, name, quantity, unit_price) "
                                          "SELECT id, 'x', 1, 10 FROM sales_order WHERE number = %s", [f"N{one}"])  # fmt: skip
                        break
                    except psycopg.errors.DeadlockDetected:
                        continue  # the edge does the same

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(buy, (range(start, number, 16) for start in range(16))))
    assert owner_sql("SELECT credit, count(*) FROM sales_order GROUP BY 1 ORDER BY 1") == [
        ("accepted", fits),
        ("held", number - fits),
    ]
    assert owner_sql("SELECT credit_used(4), credit_room(4), credit_room(3)") == [(fits * 10, 0, 0)]
    with own_database.app.app_context():
        assert list(wrong_figures()) == []
