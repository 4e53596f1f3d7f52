"""Statements of account: they end with what the ledger says, and everybody can read them."""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
from decimal import Decimal
from typing import Any

import pytest
from pypdf import PdfReader

from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.permissions import Asking
from crm.models.access import User
from crm.models.imports import Export
from crm.queries.ageing import ageing
from crm.queries.credit_statement import credit_statement
from crm.queries.credit_statement_texts import TEXTS
from tests.factories import make

HERE = "/admin/credit-accounts/statement/"


def entered(account: Any, kind: str, amount: Any, ago: int, **more: Any) -> Any:
    """An invoice or a payment of so many days ago."""
    day = today() - dt.timedelta(days=ago)
    given = {"account_id": account.id, "amount": Decimal(amount), "currency": "EUR", "exchange_rate": Decimal(1)} | more
    if kind == "invoice":
        return make(face_named("invoice"), issued_on=day, due_on=day + dt.timedelta(days=30), **given)
    return make(face_named("payment"), kind=kind, paid_on=day, invoice_id=None, **given)


def filled(account: Any, rng: random.Random) -> None:
    """Entries in any order of days, in three currencies at rates that change, some over-paid, some taken back."""
    taken_back = set()
    for _ in range(40):
        rate = {"currency": (money := rng.choice(["EUR", "USD", "GBP"])),
                "exchange_rate": Decimal(1) if money == "EUR" else Decimal(rng.randint(700_000, 1_300_000)) / 1_000_000}  # fmt: skip
        amount = Decimal(rng.randint(1, 90_000)) / 100
        kind = rng.choice(["invoice", "invoice", "payment", "credit_note", "write_off"])
        made = entered(account, kind, amount, rng.randint(0, 200), **rate)
        if kind == "payment" and rng.random() < 0.3 and made.id not in taken_back:
            taken_back.add(made.id)
            make(face_named("payment"), account_id=account.id, kind="taken_back", reverses_id=made.id, amount=-made.amount,
                 currency=made.currency, exchange_rate=made.exchange_rate, paid_on=today(), invoice_id=None)  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_opening_and_entries_make_the_balance_of_the_ledger(
    session: Any, as_user: Any, seed: int, soak_round: int
) -> None:
    rng, account = random.Random(seed + 3 * soak_round), make(face_named("credit_account"))
    filled(account, rng)
    filled(make(face_named("credit_account")), rng)  # somebody else's
    settle()
    db.session.expire_all()
    days = sorted(today() - dt.timedelta(days=rng.randint(0, 220)) for _ in range(4))
    borders = [today() - dt.timedelta(days=400), *days]
    balance = Decimal(0)
    for first, last in zip(borders, [*(day - dt.timedelta(days=1) for day in days), today()], strict=True):
        told = credit_statement(account, first, last)
        assert told.opening == balance
        for one in told.entries:
            assert first <= one.day <= last
            balance += one.debit - one.credit
            assert one.balance == balance
        assert told.closing == balance == sum(told.ages.values()) + told.unallocated
    assert account.outstanding == balance
    [line] = ageing(Asking.of(session.get_one(User, as_user("finance").user_id)), only=account.id)
    assert (tuple(told.ages.values()), told.unallocated) == (line.buckets, line.credit), "the last one ends today"


def told_by(person: Any, account: Any, **asked: Any) -> Any:
    return person.client.get(HERE + "file/", query_string={"id": account.id, **asked})


def text_of(answer: Any) -> str:
    assert answer.mimetype == "application/pdf", answer.text
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.data)).pages)


def test_a_customer_reads_it_in_their_language_with_their_name(session: Any, as_user: Any) -> None:
    account = make(face_named("credit_account"))
    party = account.party
    party.name, party.language, party.communication_language = "ООО Ромашка Ελλάς 王 😀", "fr", "de"
    make(face_named("address"), party_id=party.id, kind="main", address="Elsewhere 1")
    make(
        face_named("address"),
        party_id=party.id,
        kind="billing",
        address="Hauptstraße 5",
        street=None,
        city="Köln",
        country="DE",
    )
    for number in range(60):
        entered(account, "invoice", "1234.50", 10, number=f"R-{number}")
    entered(account, "payment", "34.50", 5)
    session.commit()
    person = as_user("finance")
    period = {"from": str(today() - dt.timedelta(days=20)), "until": str(today())}
    said = text_of(told_by(person, account, form="pdf", **period))
    for part in ("Kontoauszug", "ООО Ромашка Ελλάς", "Hauptstraße 5", "Köln", account.code, "Rechnung", "R-59", "Zahlung",
                 "74.035,50", "Seite 1 von 3", "Seite 3 von 3", "Nicht fällig"):  # fmt: skip
        assert part in said
    assert "Elsewhere" not in said
    for language, words in TEXTS.items():
        party.communication_language = language
        session.commit()
        assert words["closing"] in text_of(told_by(person, account, **period)), language
    party.communication_language = "ms"
    session.commit()
    assert "Closing balance" in text_of(told_by(person, account, **period))
    rows = list(csv.reader(io.StringIO(told_by(person, account, form="csv", **period).text.lstrip("\ufeff"))))
    assert (len({len(row) for row in rows}), rows[62][6], rows[63][1]) == (1, "74035.5000", "Closing balance")
    noted = db.session.query(Export).order_by(Export.id).all()
    assert [(str(one.format), one.rows) for one in noted[-2:]] == [("pdf", 61), ("csv", 61)]
    assert noted[-1].file_name == f"statement-{account.code}-{period['from']}-{period['until']}.csv"


def test_the_page_shows_the_last_month_and_says_what_is_wrong_with_a_day(session: Any, as_user: Any) -> None:
    account = make(face_named("credit_account"))
    entered(account, "invoice", "77.25", 100)
    session.commit()
    person = as_user("finance")
    assert HERE in person.client.get(f"/admin/credit-accounts/details/?id={account.id}").text
    page = person.client.get(f"{HERE}?id={account.id}").text
    first = today().replace(day=1) - dt.timedelta(days=1)
    assert f'value="{first.replace(day=1)}"' in page
    assert f'value="{first}"' in page
    assert page.count("77.25") >= 2, "before and after"
    later = str(today() + dt.timedelta(days=1))
    for asked, why in (
        ({"from": "soon"}, "From must be a day such as 2026-01-31"),
        ({"until": "2026-02-30"}, "Until must be a day such as 2026-01-31"),
        ({"from": "2026-02-02", "until": "2026-02-01"}, "Until must not be before the first day"),
        ({"until": later}, "Until must not be after today"),
        ({"from": "0001-01-01", "until": "0001-01-01", "form": "doc"}, "File must be pdf or csv"),
    ):
        answer = told_by(person, account, **asked)
        assert (answer.status_code, why in answer.text) == (400, True), asked
    assert told_by(person, account, **{"from": "0001-01-01", "until": "0001-01-02"}).status_code == 200
    assert db.session.query(Export).count() == 1


def test_only_who_sees_the_amounts_and_exports_gets_it(session: Any, as_user: Any) -> None:
    account = make(face_named("credit_account"))
    session.commit()
    rep = as_user("sales_rep")
    assert told_by(rep, account).status_code in (403, 404), "somebody else's customer"
    for role in ("auditor", "operations"):
        person = as_user(role)
        assert told_by(person, account).status_code == 403, role
        assert person.client.get(f"{HERE}?id={account.id}").status_code == 403, role
        assert HERE not in person.client.get(f"/admin/credit-accounts/details/?id={account.id}").text
    account.party.owner_id = rep.user_id
    session.commit()
    page = rep.client.get(f"{HERE}?id={account.id}")
    assert (page.status_code, HERE + "file" in page.text) == (200, False)
    assert told_by(rep, account).status_code == 403
