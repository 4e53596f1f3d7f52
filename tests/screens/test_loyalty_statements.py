"""Statements of members, and the check of a balance on the screen."""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.queries.loyalty_check import counted
from crm.queries.loyalty_statement import loyalty_statement
from crm.queries.loyalty_statement_texts import TEXTS
from tests.factories import make
from tests.screens.test_statements import text_of

HERE = "/admin/loyalty-accounts"


def entered(account: Any, points: int, ago: int, kind: str = "adjust", expires: int | None = None) -> Any:
    when = dt.datetime.combine(today() - dt.timedelta(days=ago), dt.time(12), dt.UTC)
    return make(face_named("point_entry"), account_id=account.id, kind=kind, points=points, created_at=when, reverses_id=None,
                expires_on=None if expires is None else today() + dt.timedelta(days=expires))  # fmt: skip


@pytest.mark.soak
def test_opening_and_entries_make_what_is_left_of_the_lots(session: Any, soak_round: int) -> None:
    rng, account, there = random.Random(soak_round), make(face_named("loyalty_account")), 0
    for ago in range(120, 0, -2):
        if there > 100 and rng.random() < 0.6:
            points = -rng.randint(1, 100)
        else:
            points = rng.randint(1, 200)
        entered(account, points, ago, expires=rng.choice([None, -5, 20, 400]) if points > 0 else None)
        there += points
    settle()
    days = sorted(today() - dt.timedelta(days=rng.randint(0, 130)) for _ in range(4))
    borders = [today() - dt.timedelta(days=400), *days]
    balance = Decimal(0)
    for first, last in zip(borders, [*(day - dt.timedelta(days=1) for day in days), today()], strict=True):
        told = loyalty_statement(account, first, last)
        assert told.opening == balance
        for one in told.entries:
            assert first <= one.day <= last
            balance += one.debit - one.credit
            assert one.balance == balance
        assert told.closing == balance == sum(worth for _, worth in told.expires)
    assert counted(account).agrees
    assert balance == there == account.points


def test_it_adds_up_while_others_enter(own_database: Any, owner_sql: Any) -> None:
    owner_sql("INSERT INTO party (name, roles) VALUES ('P', ARRAY['end_customer'])")
    owner_sql("INSERT INTO loyalty_program (name, kinds, currency) VALUES ('L', ARRAY['points'], 'EUR')")
    owner_sql("INSERT INTO loyalty_account (party_id, program_id) VALUES (1, 1)")

    def enter(number: int) -> None:
        owner_sql("INSERT INTO point_entry (account_id, kind, points, source, expires_on) "
                  f"VALUES (1, 'earn', 10, 'in {number}', CURRENT_DATE + {number})")  # fmt: skip
        owner_sql(
            f"INSERT INTO point_entry (account_id, kind, points, source) VALUES (1, 'redeem', -7, 'out {number}')"
        )

    with own_database.app.app_context(), ThreadPoolExecutor(1) as pool:
        account, done = (
            db.session.get_one(LoyaltyAccount, 1),
            pool.submit(lambda: [enter(number) for number in range(100)]),
        )
        told = []
        while not (told and done.done()):
            told.append(loyalty_statement(account, today(), today()))
            db.session.commit()
        assert all(one.closing == sum(worth for _, worth in one.expires) for one in told)
        assert loyalty_statement(account, today(), today()).closing == 300
        db.session.remove()


def test_a_member_reads_it_in_their_language(session: Any, as_user: Any) -> None:
    program = make(face_named("loyalty_program"), currency="EUR", kinds=["points", "cashback"])
    account = make(face_named("loyalty_account"), program_id=program.id)
    account.party.communication_language = "de"
    entered(account, 1500, 40, expires=10)
    entered(account, -300, 3, "redeem")
    make(face_named("cashback_entry"), account_id=account.id, amount=Decimal("12.50"), kind="earn", reverses_id=None)
    session.commit()
    person = as_user("admin")
    asked = {"id": account.id, "from": str(today() - dt.timedelta(days=30)), "until": str(today())}
    said = text_of(person.client.get(f"{HERE}/statement/file/", query_string=asked))
    for part in ("Punkteauszug", account.code, "Eingelöst", "1.500", "1.200", "In 30 Tagen", "Punkten"):
        assert part in said
    for language, words in TEXTS.items():
        account.party.communication_language = language
        session.commit()
        assert words["cashback title"] in text_of(
            person.client.get(f"{HERE}/statement/file/", query_string=asked | {"of": "cashback"})
        )
    answer = person.client.get(f"{HERE}/statement/file/", query_string=asked | {"form": "csv"})
    rows = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert ([row[6] for row in rows[1:4]], {len(row) for row in rows}) == (["1500", "1200", "1200"], {8})
    page = person.client.get(f"{HERE}/statement/", query_string=asked | {"of": "cashback"}).text
    assert "Counted in EUR" in page
    assert "12.50" in page
    assert '<option value="cashback" selected>' in page


def test_the_balance_is_counted_anew_on_the_screen(session: Any, as_user: Any) -> None:
    account = make(face_named("loyalty_account"))
    entered(account, 50, 3)
    entered(account, -20, 2, "redeem")
    settle()
    session.commit()
    person = as_user("admin")
    assert f"{HERE}/check/?id={account.id}" in person.client.get(f"{HERE}/details/?id={account.id}").text

    def asked() -> str:
        return str(person.client.get(f"{HERE}/check/?id={account.id}", follow_redirects=True).text)

    assert "The balance is right. The 2 entries add up to 30 points, the open lots (1) hold 30" in asked()
    assert person.client.get(f"{HERE}/check/?id=0").status_code == 404
    assert as_user("credit_approver").client.get(f"{HERE}/check/?id={account.id}").status_code == 403
    entered(account, 5, 1)
    assert not counted(account).agrees, "what is shown follows at the end of the transaction"
    settle()
    assert counted(account).agrees
