"""Points of members whose records become one: what comes back later, what expires there, and what is undone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from crm.commands.loyalty import adjust, expire, redeem, void
from crm.commands.loyalty_moves import transfer
from crm.commands.loyalty_requests import approve
from crm.commands.loyalty_upkeep import _void_some
from crm.commands.party_merges import merge_parties
from crm.commands.party_unmerges import unmerge
from crm.core.command import perform
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import lot, members_with_100_points, person, told
from tests.commands.test_loyalty_earning import bought, line_of, work
from tests.commands.test_parties import until_somebody_waits
from tests.factories import make


@pytest.fixture
def member(session: Any) -> Callable[..., Any]:
    program = make(face_named("loyalty_program"), main=True, currency="EUR", state="active", valid_from=None, valid_until=None,
                   alone_up_to=10)  # fmt: skip
    make(face_named("loyalty_terms"), program_id=program.id, valid_from=dt.date(2020, 1, 1), points_per_unit=Decimal("0.5"),
         points_last_months=12, cashback_percent=0)  # fmt: skip
    return lambda: make(face_named("loyalty_account"), program_id=program.id, joined_on=dt.date(2021, 1, 1))


def merged(kept: Any, into_it: Any) -> Any:
    [made] = merge_parties(kept.party_id, [into_it.party_id], by=None)
    settle()
    db.session.expire_all()
    return made


def balances(*accounts: Any) -> list[int]:
    settle()
    db.session.expire_all()
    return [one.points for one in accounts]


def test_what_comes_back_to_a_merged_membership_goes_to_the_one_that_is_left(member: Any) -> None:
    by, second, first, middle, last = person("admin", "Ann"), person("admin", "Ben"), member(), member(), member()
    soon = lot(first, 40, 5)
    lot(first, 60, None)
    assert told(redeem, first, by, points=50) == ""
    assert told(redeem, first, by, points=7) == ""
    assert told(adjust, first, by, points=11, reason="Sorry") == ""
    by_hand, late = first.redemptions[1], first.redemptions[0]
    undone = [merged(middle, first), merged(last, middle)]
    assert balances(first, middle, last) == [0, 0, 43]
    assert told(void, by_hand, by, reason="Not there") == ""
    assert balances(first, middle, last) == [0, 0, 93]
    left = dict(db.session.execute(text("SELECT expires_on, sum(remaining) FROM point_entry_figures WHERE account_id = :id "
                                        "AND remaining > 0 GROUP BY 1"), {"id": last.id}).all())  # fmt: skip
    assert left == {soon.expires_on: 40, None: 53}
    late.held_until = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    db.session.flush()
    assert _void_some() == 1
    assert balances(first, middle, last) == [0, 0, 100]
    assert told(approve, first.point_requests[0], second) == ""
    assert balances(first, middle, last) == [0, 0, 111]
    for made in undone:
        unmerge(made, by=None)
    assert balances(first, middle, last) == [111, 0, 0]
    assert undone[0].kept_back is None


def test_a_membership_that_was_ended_by_hand_keeps_what_comes_back(member: Any) -> None:
    by, ended = person("admin", "Ann"), member()
    lot(ended, 40, None)
    assert told(redeem, ended, by, points=30) == ""
    ended.state = "ended"
    again = make(face_named("loyalty_account"), program_id=ended.program_id, party_id=ended.party_id)
    assert told(void, ended.redemptions[0], by, reason="Not there") == ""
    assert balances(ended, again) == [40, 0]


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("merged_first", [False, True])
def test_what_expired_after_a_merge_is_not_taken_from_others(member: Any, undo: bool, merged_first: bool) -> None:
    by, kept, gone = person("admin", "Ann"), member(), member()
    ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=400)
    old, other = bought(gone, "100", ordered_at=ago), bought(kept, "60", ordered_at=ago)
    work()
    bought(kept, "200")
    work()
    made = merged(kept, gone)
    work()
    assert balances(kept, gone) == [180, 0]
    if undo:
        unmerge(made, by=None)
        work()
        assert balances(kept, gone) == [130, 50]
    # What is taken back is the order's own, wherever it went: what is left of the others expires for theirs.
    before, after = (old, other) if merged_first else (other, old)
    before.state = "cancelled"
    work()
    assert told(expire, kept.program, by) == ""
    after.state = "cancelled"
    work()
    assert balances(kept, gone) == [100, 0]
    assert [line_of(one.id, kept.program_id).owed for one in (old, other)] == [0, 0]
    entered = text("SELECT sum(points) FROM point_entry WHERE kind = 'reverse'")
    assert db.session.scalar(entered) == (-50 if merged_first else -30), "of the later one nothing was left"


def test_of_an_order_that_counted_again_its_own_points_go_first(member: Any) -> None:
    kept, gone = member(), member()
    order = bought(gone, "100")
    work()
    make(face_named("order_line"), order_id=order.id, quantity=Decimal(1), unit_price=Decimal(40), discount=0, tax=0)
    work()
    lot(kept, 500, 1)
    merged(kept, gone)
    order.state = "cancelled"
    work()
    assert balances(kept) == [500]
    assert db.session.scalar(text("SELECT remaining FROM point_lot WHERE account_id = :id"), {"id": kept.id}) == 500


def test_what_is_given_back_while_the_member_is_merged_is_not_lost(own_database: Any, owner_sql: Any) -> None:
    """The merge holds both memberships; whoever voids or transfers meanwhile waits, and finds where the points belong."""
    members_with_100_points(owner_sql, 3)
    with own_database.app.app_context():
        by = person("admin", "Ann").id
        db.session.commit()
        perform(redeem, [2], by=db.session.get_one(User, by), values={"points": 30})
        db.session.commit()

        def do(made: Any, number: int, **values: Any) -> list[str]:
            with own_database.app.app_context():
                return run_in_transaction(
                    lambda: [
                        one.reason for one in perform(made, [number], by=db.session.get_one(User, by), values=values)
                    ]
                )

        with ThreadPoolExecutor(2) as pool:
            merge_parties(1, [2], by=None)
            waiting = [pool.submit(do, void, 1, reason="Not there")]
            until_somebody_waits(own_database)
            waiting.append(pool.submit(do, transfer, 3, to=2, points=10, reason="Gift"))
            until_somebody_waits(own_database)
            db.session.commit()
            assert waiting[0].result(60) == [""]
            assert waiting[1].result(60) == ["the membership is ended"]
        db.session.remove()
        assert owner_sql("SELECT id, points FROM loyalty_account_sums WHERE id <> 3 ORDER BY id")[1] == (2, 0)
        assert owner_sql("SELECT sum(points) FROM loyalty_account_sums") == [(300,)]
        assert list(wrong_figures()) == []
