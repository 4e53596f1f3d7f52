"""Points that go to another member, cashback that is paid out or set off, the bonus for who brings a customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from crm.commands.loyalty_moves import pay_out, set_off, transfer
from crm.commands.loyalty_referrals import _reward_some, reward
from crm.core.entity import db, face_named
from crm.core.figures import settle
from tests.commands.test_ledgers import lot, person, told
from tests.factories import make

TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def member(session: Any) -> Callable[..., Any]:
    program = make(
        face_named("loyalty_program"),
        main=True,
        currency="EUR",
        state="active",
        kinds=["points", "cashback", "referral"],
    )
    make(
        face_named("loyalty_terms"),
        program_id=program.id,
        valid_from=dt.date(2020, 1, 1),
        referrer_bonus=30,
        referred_bonus=20,
    )
    return lambda **given: make(face_named("loyalty_account"), **({"program_id": program.id} | given))


def test_points_go_to_another_member_with_their_expiry(member: Any) -> None:
    by, one, other = person("admin", "Ann"), member(), member()
    gone, soon, never = (lot(one, points, days) for points, days in ((40, -1), (30, 5), (100, None)))
    assert told(transfer, one, by, to=one.id, points=5, reason="x") == "that is the membership itself"
    assert told(transfer, one, by, to=other.id, points=131, reason="x") == "there aren't as many points"
    stranger = make(face_named("loyalty_account"))
    unknown = "that is no membership of this program that you may see"
    assert told(transfer, one, by, to=stranger.id, points=5, reason="x") == unknown
    assert told(transfer, one, person("sales_rep", "Bo"), to=other.id, points=5, reason="x") == unknown
    assert told(transfer, one, by, to=other.id, points=50, reason="Married") == ""
    assert [part.remaining for part in (gone, soon, never)] == [40, 0, 80]
    assert sorted((part.points, part.expires_on) for part in other.point_entries) == [(20, None), (30, soon.expires_on)]
    assert (one.points, other.points) == (120, 50)


def test_cashback_is_paid_out_or_pays_an_invoice_never_more_than_there_is(member: Any) -> None:
    by, account = person("admin", "Ann"), member()
    make(face_named("cashback_entry"), account_id=account.id, amount=Decimal("50.00"))
    credit = make(face_named("credit_account"), party_id=account.party_id)
    invoice = make(
        face_named("invoice"), account_id=credit.id, amount=Decimal(30), currency="EUR", issued_on=TODAY, due_on=TODAY
    )
    assert told(set_off, account, by, invoice=invoice.id, amount=Decimal(31)) == "30.00 of the invoice is open"
    assert (
        told(set_off, account, by, invoice=make(face_named("invoice")).id, amount=Decimal(1))
        == "that is no invoice of this customer that you may see"
    )
    assert "that you may see" in told(
        set_off, account, person("sales_rep", "Bo"), invoice=invoice.id, amount=Decimal(1)
    )
    assert told(set_off, account, by, invoice=invoice.id, amount=Decimal(30)) == ""
    assert (invoice.open_amount, invoice.settlement, account.cashback) == (0, "paid", 20)
    assert told(pay_out, account, by, amount=Decimal("20.01"), reason="x") == "there is 20.00 EUR of cashback"
    assert told(pay_out, account, by, amount=Decimal(20), reason="Bank transfer") == ""
    assert account.cashback == 0


def test_both_sides_get_their_bonus_when_who_came_first_buys_and_only_one_brings_a_customer(member: Any) -> None:
    by, referrer, second, friend = person("admin", "Ann"), member(), member(), member()

    def brought(by_whom: Any) -> Any:
        return make(face_named("referral"), referrer_id=by_whom.party_id, referred_id=friend.party_id,
                    program_id=referrer.program_id, referred_on=TODAY)  # fmt: skip

    first, other = brought(referrer), brought(second)
    settle()
    assert _reward_some(0) == (None, 0)
    make(
        face_named("order"),
        customer_id=friend.party_id,
        state="completed",
        currency="EUR",
        ordered_at=dt.datetime.now(dt.UTC),
    )
    settle()
    assert _reward_some(0) == (None, 1)
    assert _reward_some(0) == (None, 0)
    settle()
    db.session.expire_all()
    assert (referrer.points, second.points, friend.points, first.state, other.state) == (
        30,
        0,
        20,
        "rewarded",
        "customer",
    )
    assert told(reward, other, by) == "somebody has the bonus for this customer already"
