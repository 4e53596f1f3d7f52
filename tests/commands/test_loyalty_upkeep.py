"""What happens to points by themselves: expiry, holds that end, tiers; and adjustments that need two people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from crm.commands.loyalty import adjust, capture, redeem, set_tier, void
from crm.commands.loyalty_requests import approve, refuse
from crm.commands.loyalty_tiers import climb
from crm.commands.loyalty_upkeep import due_to_expire, expire_all, void_overdue
from crm.core.command import perform
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import lot, person, silver_and_gold, told
from tests.factories import make

TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def program(session: Any) -> Any:
    made = make(
        face_named("loyalty_program"), main=True, currency="EUR", state="active", grace_days=10, tier_measure="points"
    )
    make(face_named("loyalty_terms"), program_id=made.id, valid_from=dt.date(2020, 1, 1))
    return made


@pytest.fixture
def member(program: Any) -> Callable[..., Any]:
    return lambda **given: make(face_named("loyalty_account"), program_id=program.id, **given)


def _points_of_many(owner_sql: Any, members: int = 30) -> None:
    owner_sql(
        "INSERT INTO loyalty_program (name, kinds, currency, main) VALUES ('L', ARRAY['points', 'tiers'], 'EUR', true)"
    )
    owner_sql("INSERT INTO loyalty_terms (program_id, valid_from) VALUES (1, '2020-01-01')")
    owner_sql(
        f"INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, {members}) n"
    )
    owner_sql("INSERT INTO loyalty_account (party_id, program_id) SELECT id, 1 FROM party")
    owner_sql("INSERT INTO point_entry (account_id, kind, points, source, expires_on) SELECT id, 'earn', 10, d || ':' || id, CURRENT_DATE + d "
              "FROM loyalty_account, unnest(ARRAY[-2, -1, 0, 5]) d")  # fmt: skip


def test_points_are_written_off_after_their_day_once_and_told_before(own_database: Any, owner_sql: Any) -> None:
    _points_of_many(owner_sql)
    with own_database.app.app_context():
        [due] = due_to_expire()
        assert (due["members"], due["lots"], due["points"]) == (30, 60, 600)
        [soon] = due_to_expire(days_ahead=5)
        assert (soon["members"], soon["lots"], soon["points"]) == (30, 60, 600)
        db.session.rollback()

        def expire(_: int) -> int:
            with own_database.app.app_context():
                return expire_all()

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(expire, range(4))) == 600
        assert due_to_expire() == []
        assert owner_sql("SELECT DISTINCT points, expired FROM loyalty_account_sums") == [(20, 20)]
        assert owner_sql("SELECT DISTINCT remaining FROM point_entry_figures WHERE expires_on < CURRENT_DATE") == [(0,)]
        assert list(wrong_figures()) == []


def test_the_last_points_are_redeemed_once_and_come_back_when_not_given_in_time(
    own_database: Any, owner_sql: Any
) -> None:
    _points_of_many(owner_sql, members=1)
    with own_database.app.app_context():
        by = person("admin", "Ann").id
        db.session.commit()

        def take(number: int) -> int:
            with own_database.app.app_context():
                return run_in_transaction(lambda: sum(
                    one.done for one in perform(redeem, [1], by=db.session.get_one(User, by),
                                                values={"points": 6, "reference": f"till {number}"})))  # fmt: skip

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(take, range(16))) == 3  # of the 20 that haven't expired
        assert owner_sql("SELECT points, rewards_held FROM loyalty_account_sums") == [(22, 3)]
        assert void_overdue() == 0
        owner_sql(
            "UPDATE redemption SET held_until = now() - interval '1 hour' WHERE id = (SELECT min(id) FROM redemption)"
        )
        number = owner_sql("SELECT min(id) FROM redemption")[0][0]
        [late] = perform(capture, [number], by=db.session.get_one(User, by), values={})
        assert late.reason == "it was held for too long: the points go back"
        db.session.rollback()
        assert (void_overdue(), void_overdue()) == (1, 0)
        assert owner_sql("SELECT points, in_lots, rewards_held FROM loyalty_account_sums") == [(28, 28, 2)]
        assert list(wrong_figures()) == []


def test_a_reference_stands_for_one_redemption(member: Any) -> None:
    by, account = person("admin", "Ann"), member()
    lot(account, 100, None)
    assert told(redeem, account, by, points=10, reference="bill 7") == ""
    assert (
        told(redeem, account, by, points=10, reference="bill 7") == "there is a redemption with this reference already"
    )
    assert account.points == 90
    assert told(void, account.redemptions[0], by, reason="Not wanted") == ""
    assert account.points == 100


def test_tiers_go_up_at_once_and_down_after_grace(program: Any, member: Any) -> None:
    silver, gold = silver_and_gold(program)
    account, locked = member(), member()
    for one in (account, locked):
        lot(one, 520, None)
        assert climb([one.id]) == 1
        assert (one.tier, one.tier_since) == (gold, TODAY)
    by = person("admin", "Ann")
    assert told(set_tier, locked, by, tier=gold.id, locked=True) == ""
    # Two years later nothing was earned in the program's months.
    later = TODAY + dt.timedelta(days=800)
    both = [account.id, locked.id]
    assert climb(both, day=later) == 0
    assert (account.tier, account.tier_below_since, locked.tier_below_since) == (gold, later, None)
    assert climb(both, day=later + dt.timedelta(days=9)) == 0
    assert climb(both, day=later + dt.timedelta(days=10)) == 1
    assert (account.tier_id, account.tier_since, locked.tier) == (None, None, gold)
    assert silver.rank == 1


def test_a_large_adjustment_needs_two_people(program: Any, member: Any) -> None:
    ann, ben, account = person("admin", "Ann"), person("manager", "Ben"), member()
    account.party.owner_id = ben.id
    program.alone_up_to = 100
    assert told(adjust, account, ann, points=100, reason="Small") == ""
    assert told(adjust, account, ann, points=101, reason="Large") == ""
    assert account.points == 100
    [asked] = account.point_requests
    assert told(approve, asked, ann) == "you asked for it yourself: somebody else must decide"
    assert told(approve, asked, ben) == ""
    assert told(refuse, asked, ben, reason="No") == "it is approved already"
    assert (account.points, asked.entry.points) == (201, 101)
    assert told(adjust, account, ann, points=-150, reason="Back") == ""
    minus = account.point_requests[0]
    assert told(refuse, minus, ben, reason="Not so much") == ""
    assert (account.points, minus.state, minus.answer) == (201, "refused", "Not so much")
    settle()
    with pytest.raises(Exception, match="decided_by"), db.session.begin_nested():
        db.session.execute(text("INSERT INTO point_request (account_id, points, requested_by_id, decided_by_id, state) "
                                "VALUES (:account, 1, :ann, :ann, 'refused')"), {"account": account.id, "ann": ann.id})  # fmt: skip
