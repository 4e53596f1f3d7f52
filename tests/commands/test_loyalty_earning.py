"""Orders of members earn by themselves, once, by the terms of their day, and lose it again in proportion."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from crm.commands.loyalty import accept_terms, adjust, earn, expire, redeem
from crm.commands.loyalty_earning import _some_owing, earn_for_changed, line_of, reckon
from crm.core.command import perform
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.loyalty_accounts import CashbackEntry, PointEntry
from crm.models.loyalty_earnings import LoyaltyNote
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import person, told
from tests.factories import make

NOW = dt.datetime.now(dt.UTC)
TODAY = NOW.date()


@pytest.fixture
def program(session: Any) -> Any:
    made = make(
        face_named("loyalty_program"), main=True, currency="EUR", state="active", valid_from=None, valid_until=None
    )
    make(face_named("loyalty_terms"), program_id=made.id, valid_from=dt.date(2020, 1, 1), points_per_unit=Decimal("0.5"),
         points_last_months=12, cashback_percent=Decimal("1.5"))  # fmt: skip
    return made


@pytest.fixture
def member(program: Any) -> Callable[..., Any]:
    return lambda **given: make(
        face_named("loyalty_account"), **({"program_id": program.id, "joined_on": dt.date(2021, 1, 1)} | given)
    )


def bought(account: Any, *prices: str, **given: Any) -> Any:
    values = {"customer_id": account.party_id, "state": "completed", "currency": "EUR", "ordered_at": NOW} | given
    order = make(face_named("order"), **values)
    for price in prices:
        make(
            face_named("order_line"),
            order_id=order.id,
            quantity=Decimal(1),
            unit_price=Decimal(price),
            discount=0,
            tax=0,
        )
    return order


def returned(order: Any, amount: str, state: str = "refunded") -> Any:
    made = make(face_named("return"), order_id=order.id, state=state)
    make(face_named("return_line"), sales_return_id=made.id, order_line_id=order.lines[0].id, quantity=Decimal("0.001"),
         amount=Decimal(amount))  # fmt: skip
    return made


def work() -> None:
    """What the scheduler does, in the transaction of the test."""
    settle()
    noted = list(db.session.scalars(select(LoyaltyNote.order_id)))
    db.session.execute(text("DELETE FROM loyalty_note"))
    reckon(noted)
    db.session.expire_all()


def test_an_order_earns_by_the_terms_of_its_day_however_it_came_about(program: Any, member: Any) -> None:
    make(face_named("loyalty_terms"), program_id=program.id, valid_from=TODAY, points_per_unit=Decimal(1), points_last_months=None,
         cashback_percent=Decimal(0))  # fmt: skip
    account = member()
    pending = bought(account, "10", state="pending")
    before = bought(account, "33", ordered_at=NOW - dt.timedelta(days=40))
    db.session.execute(text("INSERT INTO sales_order (customer_id, state, currency) VALUES (:party, 'completed', 'EUR')"),
                       {"party": account.party_id})  # fmt: skip
    db.session.execute(
        text("INSERT INTO order_line (order_id, name, unit_price) SELECT max(id), 'Wheel', 7.49 FROM sales_order")
    )
    work()
    work()
    assert (account.points, account.cashback) == (17 + 7, Decimal("0.50"))  # 16.5 and 7.49, each rounded once
    lots = {one.order_id: one for one in account.point_entries}
    assert lots[before.id].expires_on == (before.ordered_at.date() + dt.timedelta(days=366)).replace(
        day=before.ordered_at.day, month=before.ordered_at.month
    )
    assert line_of(pending.id, program.id) is None
    pending.state = "completed"
    work()
    assert (account.points, line_of(pending.id, program.id).entered) == (34, 10)


def test_what_earns_nothing_says_why(program: Any, member: Any) -> None:
    wheels = make(face_named("product_category"))
    tyres = make(face_named("product_category"), parent_id=wheels.id)
    make(face_named("loyalty_terms"), program_id=program.id, valid_from=dt.date(2022, 1, 1), points_per_unit=1, cashback_percent=0,
         without_category_id=wheels.id)  # fmt: skip
    account, paused, blocked = member(joined_on=TODAY - dt.timedelta(days=5)), member(state="paused"), member()
    blocked.party.block_state, blocked.party.block_reason = "blocked", "Doesn't pay"
    early = bought(account, "100", ordered_at=NOW - dt.timedelta(days=6))
    dollars = bought(account, "100", currency="USD")
    of_tyres = bought(account)
    make(face_named("order_line"), order_id=of_tyres.id, product_id=make(face_named("product"), category_id=tyres.id).id,
         quantity=Decimal(1), unit_price=Decimal(50), discount=0, tax=0)  # fmt: skip
    idle, kept_out = bought(paused, "9"), bought(blocked, "9")
    work()

    def why(order: Any) -> str | None:
        return line_of(order.id, program.id).why

    assert [why(order) for order in (early, dollars, of_tyres, idle, kept_out)] == [
        "the membership began later", "the order isn't in EUR, in which the program counts", "nothing of it counts",
        "the membership is paused", "the customer is blocked"]  # fmt: skip
    assert (account.points, paused.points, blocked.points) == (0, 0, 0)
    # More is bought with it: that counts.
    make(face_named("order_line"), order_id=of_tyres.id, quantity=Decimal(1), unit_price=Decimal(20), discount=0, tax=0)
    paused.state = "active"
    idle.remarks = "Looked at again"
    work()
    assert (why(of_tyres), account.points, paused.points) == (None, 20, 0)
    assert told(earn, paused, person("admin", "Ann"), order=idle.id) == ""
    assert paused.points == 9


def test_a_return_takes_back_its_part_once_and_never_more_than_there_is(program: Any, member: Any) -> None:
    by, account = person("admin", "Ann"), member()
    order = bought(account, "100.00", "0.00")
    work()
    assert (account.points, account.cashback) == (50, Decimal("1.50"))
    asked = returned(order, "33.00", "requested")
    work()
    assert account.points == 50
    asked.state = "refunded"
    work()
    work()
    assert (account.points, account.cashback) == (34, Decimal("1.01"))  # of 67 bought: 33.5 and 1.005
    assert told(redeem, account, by, points=30) == ""
    order.state = "cancelled"
    work()
    line = line_of(order.id, program.id)
    assert (account.points, line.points, line.owed) == (0, 0, 30)
    second = bought(account, "100")
    work()
    line = line_of(order.id, program.id)
    assert (account.points, line.owed, line_of(second.id, program.id).entered) == (20, 0, 50)
    order.state = "completed"
    work()
    assert account.points == 54
    entries = db.session.scalars(
        select(PointEntry).where(PointEntry.order_id == order.id).order_by(PointEntry.id)
    ).all()
    assert [one.points for one in entries] == [50, -16, -4, -30, 34]
    cash = db.session.scalars(select(CashbackEntry.amount).where(CashbackEntry.order_id == order.id)).all()
    assert sum(cash) == Decimal("1.01")


def test_a_program_may_wait_until_the_invoice_is_paid(member: Any, program: Any) -> None:
    make(face_named("loyalty_terms"), program_id=program.id, valid_from=dt.date(2022, 1, 1), points_per_unit=1, cashback_percent=0,
         earns_when="paid")  # fmt: skip
    account = member()
    order = bought(account, "80")
    work()
    assert account.points == 0
    credit = make(face_named("credit_account"), party_id=account.party_id)
    for number in (30, 50):
        make(face_named("invoice"), account_id=credit.id, order_id=order.id, amount=Decimal(number), currency="EUR", issued_on=TODAY,
             due_on=TODAY)  # fmt: skip
    make(face_named("payment"), account_id=credit.id, amount=Decimal(30), currency="EUR")
    work()
    assert account.points == 0
    make(face_named("payment"), account_id=credit.id, amount=Decimal(50), currency="EUR")
    work()
    assert account.points == 80


def test_the_scheduler_enters_once_what_many_wrote_at_the_same_time(own_database: Any, owner_sql: Any) -> None:
    owner_sql(
        "INSERT INTO loyalty_program (name, kinds, currency, main) VALUES ('L', ARRAY['points', 'tiers'], 'EUR', true)"
    )
    owner_sql("INSERT INTO loyalty_terms (program_id, valid_from) VALUES (1, '2020-01-01')")
    owner_sql("INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, 40) n")
    owner_sql("INSERT INTO loyalty_account (party_id, program_id, joined_on) SELECT id, 1, '2020-01-01' FROM party")
    owner_sql("INSERT INTO sales_order (customer_id, state, currency, exchange_rate) SELECT 1 + n % 40, 'completed', 'EUR', 1 "
              "FROM generate_series(1, 1200) n")  # fmt: skip
    owner_sql("INSERT INTO order_line (order_id, name, unit_price) SELECT id, 'Wheel', 10 FROM sales_order")
    with own_database.app.app_context():
        assert earn_for_changed() == 2400
        assert earn_for_changed() == 0
        owner_sql("UPDATE sales_order SET state = 'cancelled' WHERE id % 3 = 0")
        earn_for_changed()
        assert owner_sql("SELECT sum(points), sum(in_lots) FROM loyalty_account_sums") == [(8000, 8000)]
        assert owner_sql("SELECT count(*) FROM order_earning WHERE points <> entered") == [(0,)]
        assert list(wrong_figures()) == []


def test_a_command_may_not_wait(member: Any) -> None:
    by, account = person("admin", "Ann"), member()
    order = bought(account, "10", state="pending")
    assert told(earn, account, by, order=order.id) == "the order is pending, and does not count yet"
    order.state = "completed"
    assert [one.reason for one in perform(earn, [account.id], by=by, values={"order": order.id})] == [""]
    work()
    settle()
    db.session.expire_all()
    assert account.points == 5


@pytest.mark.parametrize(
    "steps", ["return expire spend", "expire return spend", "spend expire return", "expire spend return"]
)
def test_no_other_points_are_taken_for_those_that_expired_in_whatever_order(
    program: Any, member: Any, steps: str
) -> None:
    by, account = person("admin", "Ann"), member()
    old = bought(account, "100", ordered_at=NOW - dt.timedelta(days=400))
    bought(account, "200")
    work()
    assert account.points == 50 + 100
    for step in steps.split():
        if step == "return":
            old.state = "cancelled"
        elif step == "expire":
            assert told(expire, program, by) == ""
        else:
            assert told(redeem, account, by, points=40) == ""
        work()
        work()
    line = line_of(old.id, program.id)
    assert (account.points, line.owed) == (60, 0)
    assert _some_owing() == 0


def test_what_was_spent_of_an_order_is_owed_and_what_expired_is_not(program: Any, member: Any) -> None:
    by, account = person("admin", "Ann"), member()
    old = bought(account, "100", ordered_at=NOW - dt.timedelta(days=400))
    work()
    assert told(adjust, account, by, points=-30, reason="Taken") == ""
    assert told(expire, program, by) == ""
    half = returned(old, "50.00")
    work()
    assert (account.points, line_of(old.id, program.id).owed) == (0, 5), "25 of 50 go, and 20 have expired"
    half.lines[0].amount = Decimal(100)
    work()
    assert line_of(old.id, program.id).owed == 30
    bought(account, "80")
    work()
    line = line_of(old.id, program.id)
    assert (account.points, line.owed, line.lapsed) == (10, 0, 20)


def test_small_orders_earn_nothing_and_large_ones_up_to_a_bound(program: Any, member: Any) -> None:
    make(face_named("loyalty_terms"), program_id=program.id, valid_from=dt.date(2022, 1, 1), points_per_unit=1, cashback_percent=1,
         least_purchase=Decimal(20), most_points=100)  # fmt: skip
    account = member()
    small, large = bought(account, "19.99"), bought(account, "5000")
    work()
    assert (account.points, account.cashback) == (100, Decimal(50))
    assert line_of(small.id, program.id).why == "it is too small to count"
    make(
        face_named("order_line"), order_id=small.id, quantity=Decimal(1), unit_price=Decimal("0.01"), discount=0, tax=0
    )
    returned(large, "4950.00")
    work()
    assert (line_of(small.id, program.id).why, account.points) == (None, 20 + 50)


def test_a_program_gives_only_what_is_of_its_kinds(program: Any, member: Any) -> None:
    account = member()
    program.kinds = ["cashback"]
    first = bought(account, "100")
    work()
    assert (account.points, account.cashback) == (0, Decimal("1.50"))
    program.kinds = ["event"]
    bought(account, "100")
    work()
    assert (account.points, account.cashback) == (50, Decimal("1.50")), "what was given stays"
    first.remarks = "Looked at again"
    work()
    assert (account.points, account.cashback) == (50, Decimal("1.50"))
    program.kinds = ["referral"]
    third = bought(account, "100")
    work()
    assert line_of(third.id, program.id).why == "the terms give nothing for purchases"


def test_nothing_is_earned_or_redeemed_before_the_fee_is_paid_and_the_terms_are_accepted(
    program: Any, member: Any
) -> None:
    by = person("admin", "Ann")
    program.fee, program.fee_months, program.terms_first = Decimal(20), 12, True
    db.session.flush()
    account = member(joined_on=TODAY)
    db.session.refresh(account)
    assert account.fee_charged_on == TODAY
    orders = [bought(account, "100")]
    work()
    assert told(accept_terms, account, by) == ""
    orders.append(bought(account, "100"))
    work()
    assert told(adjust, account, by, points=10, reason="Welcome") == ""
    assert told(redeem, account, by, points=5) == "the membership fee isn't paid"
    account.fee_paid_on = TODAY
    db.session.flush()
    db.session.refresh(account)
    assert (account.fee_due_on - TODAY).days in (365, 366)
    orders.append(bought(account, "100"))
    work()
    assert [line_of(one.id, program.id).why for one in orders] == [
        "the terms aren't accepted",
        "the membership fee isn't paid",
        None,
    ]
    assert told(redeem, account, by, points=5) == ""
    account.fee_paid_on = account.fee_due_on = TODAY - dt.timedelta(days=1)
    assert told(redeem, account, by, points=5) == "the membership fee isn't paid"


def test_who_may_join_is_asked_of_those_who_join_from_today_on(program: Any, member: Any) -> None:
    party = make(face_named("customer"))
    segment = make(face_named("segment"), name="Fleet owners", type="static")

    def refused(**given: Any) -> str:
        for name, value in given.items():
            setattr(program, name, value)
        db.session.flush()
        with pytest.raises(IntegrityError) as fault, db.session.begin_nested():
            member(party_id=party.id, joined_on=TODAY)
        return str(fault.value.orig.diag.message_primary)

    assert refused(state="draft") == "isn't active: nobody can join"
    assert refused(state="active", valid_until=TODAY - dt.timedelta(days=1)) == "isn't open on that day"
    assert refused(valid_until=None, segment_id=segment.id) == "is for members of the segment Fleet owners alone"
    make(face_named("segment_membership"), segment_id=segment.id, party_id=party.id, left_at=None)
    assert refused(minimum_purchase=Decimal(100)) == "is for customers who bought for 100.00 EUR or more"
    make(face_named("order_line"), quantity=Decimal(1), unit_price=Decimal(100), discount=0, tax=0,
         order_id=make(face_named("order"), customer_id=party.id, state="completed", currency="EUR").id)  # fmt: skip
    settle()
    program.by_invitation = True
    db.session.flush()
    assert member().state == "active", "a member of earlier days is taken over"
    joined = member(party_id=party.id, joined_on=TODAY)
    db.session.refresh(joined)
    assert (joined.state, joined.invited_at is not None) == ("invited", True)
    by = person("admin", "Ann")
    assert told(adjust, joined, by, points=10, reason="Welcome") == ""
    assert told(redeem, joined, by, points=5) == "the membership is invited"
    assert told(accept_terms, joined, by) == ""
    assert told(redeem, joined, by, points=5) == ""
