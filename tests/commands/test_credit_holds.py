"""Holds by rule: placed when the rule says so, released by a payment at once, and not again where a person let it go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text

from crm.commands.credit import alert_overdue_reviews, hold_by_rule, release, review
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.logins import dsn
from crm.models.credit_accounts import CreditHold
from crm.models.insights import Alert
from crm.queries.credit_check import credit_check
from crm.queries.figures import wrong_figures
from tests.commands.test_credit_orders import ordered
from tests.commands.test_credit_policy import limited, says  # noqa: F401 - a fixture
from tests.commands.test_ledgers import person, told
from tests.factories import make

LATE = "An invoice is more than 30 days overdue"


def invoice(account: Any, amount: int, days_overdue: int) -> Any:
    due = today() - dt.timedelta(days=days_overdue)
    made = make(face_named("invoice"), account_id=account.id, amount=Decimal(amount), currency="EUR", exchange_rate=1,
                issued_on=due - dt.timedelta(days=30), due_on=due)  # fmt: skip
    settle()
    db.session.expire_all()
    return made


def pay(account: Any, amount: int) -> None:
    make(
        face_named("payment"),
        account_id=account.id,
        amount=Decimal(amount),
        currency="EUR",
        exchange_rate=1,
        kind="payment",
        invoice_id=None,
    )
    settle()
    db.session.expire_all()


def held(account: Any) -> list[tuple[Any, ...]]:
    return [
        (one.rule, str(one.scope), one.reason, one.by_id, one.released_at is None, one.release_reason)
        for one in account.holds[::-1]
    ]


def test_an_account_that_pays_late_is_held_and_released_as_it_pays(limited: Callable[[int], Any]) -> None:  # noqa: F811
    account = limited(1_000)
    invoice(account, 50, 30)
    assert (held(account), account.standing, account.standing_reason) == ([], "warning", "An invoice is overdue")
    invoice(account, 60, 31)
    assert held(account) == [("Overdue", "all", LATE, None, True, None)]
    assert (account.standing, account.standing_reason) == ("blocked", LATE)
    assert (ordered(account, 1).credit_reason, credit_check(account.party, Decimal(1)).why) == (LATE, LATE)
    pay(account, 59)
    assert account.standing == "blocked"
    assert hold_by_rule() == 0
    pay(account, 1)
    assert held(account) == [("Overdue", "all", LATE, None, False, "The rule holds it no more")]
    assert (account.standing, credit_check(account.party, Decimal(1)).decision) == ("warning", "allow")


def test_the_calendar_and_another_policy_hold_and_release(limited: Callable[[int], Any]) -> None:  # noqa: F811
    account = limited(1_000)
    invoice(account, 50, 20)
    says(overdue_days=19, held_scope="deliveries")
    assert hold_by_rule() == 1
    db.session.expire_all()
    assert account.holds[0].scope == "deliveries"
    assert (account.standing, ordered(account, 1).credit) == ("blocked", "accepted"), "orders aren't what it stops"
    says(overdue_days=None)
    assert (hold_by_rule(), hold_by_rule()) == (1, 0)
    says(held_percent=5)
    assert hold_by_rule() == 1
    db.session.expire_all()
    assert account.standing_reason == "More than 5% of the limit is used"


def test_what_a_person_released_is_not_held_again_for_some_days(limited: Callable[[int], Any]) -> None:  # noqa: F811
    account, by = limited(1_000), person("credit_approver", "Pia")
    invoice(account, 50, 40)
    assert told(release, account.holds[0], by, reason="It is on its way") == ""
    assert (account.standing, hold_by_rule()) == ("warning", 0)
    invoice(account, 50, 50)
    assert account.standing == "warning"
    says(released_days=0)
    assert hold_by_rule() == 1
    db.session.expire_all()
    assert account.standing == "blocked"


def test_payments_and_the_scheduler_at_once_hold_an_account_once(own_database: Any, owner_sql: Any) -> None:
    owner_sql("INSERT INTO party (name, roles) SELECT 'P', ARRAY['end_customer'] FROM generate_series(1, 5)")
    owner_sql("INSERT INTO credit_account (party_id) SELECT id FROM party ORDER BY id")
    owner_sql("INSERT INTO invoice (account_id, number, amount, currency, exchange_rate, issued_on, due_on) SELECT id, 'I' || id, 100, 'EUR', 1, "
              "CURRENT_DATE - 90, CURRENT_DATE - 60 FROM credit_account")  # fmt: skip
    assert owner_sql("SELECT count(*) FROM credit_hold WHERE released_at IS NULL") == [(5,)]

    def work(number: int) -> None:
        with psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as login:
            for turn in range(20):
                if number % 4 == 0:
                    login.execute("SELECT credit_hold_by_rule()")
                else:
                    login.execute("INSERT INTO payment (account_id, amount, currency, exchange_rate, kind) VALUES (%s, 1, 'EUR', 1, 'payment')",
                                  [1 + (number + turn) % 4])  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    owner_sql("INSERT INTO payment (account_id, amount, currency, exchange_rate, kind) SELECT id, 100, 'EUR', 1, 'payment' FROM credit_account "
              "WHERE id < 5")  # fmt: skip
    assert owner_sql("SELECT account_id FROM credit_hold WHERE released_at IS NULL") == [(5,)]
    assert owner_sql("SELECT count(*) FROM credit_hold") == [(5,)]
    with own_database.app.app_context():
        assert list(wrong_figures()) == []


def test_an_overdue_review_is_alerted_once_and_settled_by_the_review(session: Any) -> None:
    by, owner = person("credit_approver", "Tom"), person("sales_rep", "Sue")
    account = make(face_named("credit_account"), next_review_on=today() - dt.timedelta(days=1), review_months=6)
    make(face_named("credit_account"), next_review_on=today())
    account.party.owner_id = owner.id
    session.flush()
    assert [alert_overdue_reviews(), alert_overdue_reviews()] == [1, 0]
    [alert] = session.scalars(select(Alert))
    assert (alert.subject, alert.assignee_id) == (f"The credit review of {account.code} is overdue", owner.id)
    assert told(review, account, by, next_review_on=None) == ""
    assert (alert.state, alert.settled_by_id, alert_overdue_reviews()) == ("done", by.id, 0)


def test_a_hold_stays_as_it_was_placed(session: Any) -> None:
    make(face_named("credit_hold"))
    for wrong in (
        "UPDATE credit_hold SET reason = 'x'",
        "UPDATE credit_hold SET rule = NULL",
        "DELETE FROM credit_hold",
    ):
        with pytest.raises(Exception, match="permission denied"), session.begin_nested():
            session.execute(text(wrong))
    assert session.scalar(select(CreditHold.released_at)) is None
