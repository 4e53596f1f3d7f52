"""Ladders of segments: up at once, down after grace, never who is pinned, moved once however often it is done."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from crm.commands import access, records
from crm.commands.segment_ladders import approve, archive, ask_due, move_some, refresh, refuse, restore
from crm.core.audit import Acting, acting_as
from crm.core.command import Command, Refused, WrongInput, command_named, perform
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.jobs import Job
from crm.core.permissions import Scope, allowed
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.models.ladder_moves import LadderMove
from crm.models.sales_orders import Order, OrderLine, OrderState
from crm.models.segment_choices import MoveState, Pin
from crm.models.segments import Ladder, Segment, SegmentMembership
from jobs import ladders
from tests.factories import make

CUSTOMER, SEGMENT, MEMBERSHIP, LADDER, STEP = (
    face_named(name) for name in ("customer", "segment", "segment_membership", "ladder", "ladder_step")
)


def after(days: int) -> dt.date:
    return today() + dt.timedelta(days)


@pytest.fixture
def by(session: Any) -> Iterator[User]:
    user, _ = access.create_user(email="doer@example.com", role="admin", name="Dora Doer")
    with acting_as(Acting(user.id, "test")):
        session.commit()
        yield user


def new_ladder(**given: Any) -> Ladder:
    """Silver from 1,000 (kept to 800), Gold from 5,000 (4,000), Platinum from 20,000 (15,000)."""
    ladder = make(LADDER, **{"measure": "total_spent", "active": True, "one_step": False, "grace_days": 30} | given)
    for position, (name, enter, leave) in enumerate(
        (("Silver", 1_000, 800), ("Gold", 5_000, 4_000), ("Platinum", 20_000, 15_000)), 1
    ):
        make(STEP, ladder_id=ladder.id, position=position, enter_from=enter, leave_below=leave,
             segment_id=make(SEGMENT, name=f"{name} {ladder.id}").id)  # fmt: skip
    assert isinstance(ladder, Ladder)
    return ladder


def has_spent(party: Any, amount: int) -> None:
    """In all, by one completed order."""
    line = db.session.scalar(select(OrderLine).join(Order).where(Order.customer_id == party.id))
    if line is None:
        line = OrderLine(name="All", unit_price=Decimal(0))
        db.session.add(Order(customer_id=party.id, currency="EUR", state=OrderState.COMPLETED, lines=[line]))
    line.unit_price = Decimal(amount)
    settle()


def moved(ladder: Ladder, day: dt.date | None = None, by: int | None = None) -> dict[str, int]:
    """A refresh on a day, in parts of two customers."""
    counts, last = Counter[str](), 0
    while last is not None:
        more, last = move_some(ladder.id, last, day=day or today(), by=by, limit=2)  # type: ignore[assignment]
        counts += more
    return dict(counts)


def on(party: Any) -> set[str]:
    """The segments that a customer is in, without the number of the ladder."""
    rows = select(Segment.name).join(SegmentMembership).where(
        SegmentMembership.party_id == party.id, SegmentMembership.left_at.is_(None))  # fmt: skip
    return {name.split()[0] for name in db.session.scalars(rows)}


def moves(party: Any) -> list[tuple[Any, ...]]:
    rows = db.session.scalars(select(LadderMove).where(LadderMove.party_id == party.id).order_by(LadderMove.id)
                              .execution_options(populate_existing=True))  # fmt: skip
    names = [(one.from_segment and one.from_segment.name.split()[0], one.to_segment and one.to_segment.name.split()[0], one)
             for one in rows]  # fmt: skip
    return [(came, went, int(one.value), one.state.value) for came, went, one in names]


def told(made: Command, record: Any, by: User, **values: Any) -> str:
    db.session.flush()
    [outcome] = perform(made, [record.id], by=by, values=values)
    db.session.expire_all()
    return outcome.reason


def test_up_at_once_down_after_grace_and_each_move_is_kept_once(by: User) -> None:
    ladder, ann, none, archived = new_ladder(), make(CUSTOMER), make(CUSTOMER), make(CUSTOMER)
    has_spent(ann, 6_000)
    has_spent(archived, 6_000)
    archived.archived_at = dt.datetime.now(dt.UTC)
    assert moved(ladder, by=by.id) == {"up": 1}
    assert (on(ann), on(none), on(archived)) == ({"Gold"}, set(), set())
    assert moved(ladder) == {}
    has_spent(ann, 4_000)  # between the thresholds one stays
    assert (moved(ladder, after(1)), on(ann)) == ({}, {"Gold"})
    has_spent(ann, 900)
    assert (moved(ladder, after(2)), on(ann)) == ({}, {"Gold"})
    kept = db.session.scalars(select(SegmentMembership).where(SegmentMembership.party_id == ann.id)).one()
    assert (kept.below_since, kept.source.value) == (after(2), "ladder")
    assert (moved(ladder, after(31)), on(ann), kept.below_since) == ({}, {"Gold"}, after(2))
    has_spent(ann, 4_500)  # what is made good again is forgotten
    assert (moved(ladder, after(32)), kept.below_since) == ({}, None)
    has_spent(ann, 900)
    assert moved(ladder, after(40)) == {}
    assert (moved(ladder, after(70)), on(ann)) == ({"down": 1}, {"Silver"})
    assert moved(ladder, after(70)) == {}
    assert moves(ann) == [(None, "Gold", 6_000, "done"), ("Gold", "Silver", 900, "done")]
    first, second = db.session.scalars(select(LadderMove).where(LadderMove.party_id == ann.id).order_by(LadderMove.id))
    assert (first.by_id, first.why, second.by_id, second.why) == (
        by.id, "Reached what it takes", None, f"Too little since {after(40)}")  # fmt: skip
    assert moves(none) == moves(archived) == []


def test_one_step_a_day_and_each_step_down_has_its_grace(by: User) -> None:
    ladder, ann = new_ladder(one_step=True, grace_days=0), make(CUSTOMER)
    has_spent(ann, 50_000)
    # Of a day that was moved on already, a retry makes no second step.
    assert [moved(ladder), on(ann), moved(ladder), on(ann)] == [{"up": 1}, {"Silver"}, {}, {"Silver"}]
    assert [(moved(ladder, after(day)), on(ann)) for day in (1, 2, 3)] == [
        ({"up": 1}, {"Gold"}), ({"up": 1}, {"Platinum"}), ({}, {"Platinum"})]  # fmt: skip


def test_nobody_moves_who_is_pinned_or_was_taken_out(by: User) -> None:
    ladder, pinned, out, hand = new_ladder(grace_days=0), make(CUSTOMER), make(CUSTOMER), make(CUSTOMER)
    silver = ladder.steps[0].segment_id
    add, remove = (command_named(CUSTOMER, verb) for verb in ("add_to_segment", "remove_from_segment"))
    assert add is not None
    assert remove is not None
    has_spent(out, 30_000)
    assert moved(ladder) == {"up": 1}
    # What people lay down on a ladder stays, as with a rule.
    assert told(add, pinned, by, segment=silver, until=None) == ""
    assert told(remove, out, by, segment=ladder.steps[2].segment_id) == ""
    has_spent(pinned, 30_000)
    make(MEMBERSHIP, segment_id=silver, party_id=hand.id)
    assert (moved(ladder), on(pinned), on(out), on(hand)) == ({"down": 1}, {"Silver"}, set(), set())
    unpinned = db.session.scalars(select(SegmentMembership).where(SegmentMembership.pin.is_not(None))).all()
    assert {one.pin for one in unpinned} == {Pin.IN, Pin.OUT}
    for one in unpinned:
        one.pin = None
    assert (moved(ladder), on(pinned), on(out)) == ({"up": 2}, {"Platinum"}, {"Platinum"})


def test_thresholds_rise_and_a_ladder_in_use_has_segments_without_rules(by: User) -> None:
    ladder = new_ladder()

    def why_not(step: Any, **given: Any) -> dict[str, str]:
        try:
            with db.session.begin_nested():
                if step is None:
                    records.create(STEP, records.read_values(STEP, given, by, new=True), by)
                else:
                    records.update(STEP, step, records.read_values(STEP, given, by, new=False), by)
        except WrongInput as fault:
            return fault.errors
        return {}

    gold = ladder.steps[1]
    assert why_not(gold, enter_from="1000", leave_below="900") == {
        "enter_from": "begins no higher than the one below it, step 1 (1,000.00)"
    }
    assert why_not(gold, leave_below="700") == {"leave_below": "is left later than the one below it, step 1 (800.00)"}
    assert why_not(gold, leave_below="5001") == {"leave_below": "one would have to leave it as soon as one enters"}
    assert why_not(gold, enter_from="20000")["enter_from"].startswith("is too much: step 3 (20,000.00)")
    assert why_not(gold, enter_from="30000", leave_below="16000")["enter_from"].startswith("is too much: step 3")
    more = {"ladder": str(ladder.id), "position": "4", "enter_from": "90000", "leave_below": "80000"}
    ruled = make(SEGMENT, type="dynamic", rule={"all": [{"field": "industry", "op": "eq", "value": "Retail"}]})
    assert list(why_not(None, **more, segment=str(ruled.id))) == ["segment"]
    assert why_not(None, **more, segment=str(new_ladder().steps[0].segment_id))["segment"].startswith(
        "is on the ladder"
    )
    assert why_not(None, **more | {"enter_from": "9"}, segment=str(make(SEGMENT).id)) == {
        "leave_below": "one would have to leave it as soon as one enters"}  # fmt: skip
    assert why_not(None, **more, segment=str(make(SEGMENT).id)) == {}
    assert why_not(gold, enter_from="6000", leave_below="5000") == {}
    # What came in by another way is seen when it is to be used.
    gold.segment.type = "dynamic"
    assert "is filled by a rule" in told(refresh, ladder, by)
    with pytest.raises(Refused, match="is filled by a rule"):
        moved(ladder)
    ladder.active = False
    db.session.flush()
    with pytest.raises(WrongInput, match="active can't be yet: .* is filled by a rule"):
        records.update(LADDER, ladder, {"active": True}, by)


def test_a_move_down_waits_for_somebody_who_agrees(by: User) -> None:
    ladder, ann, bob, cleo = new_ladder(approve_downgrades=True, grace_days=0), *(make(CUSTOMER) for _ in range(3))
    for party in (ann, bob, cleo):
        has_spent(party, 30_000)
    assert moved(ladder) == {"up": 3}  # up needs nobody
    for party in (ann, bob, cleo):
        has_spent(party, 4_500)
    assert moved(ladder, after(1)) == {"waiting": 3}
    assert (on(ann), moved(ladder, after(1))) == ({"Platinum"}, {})
    waits = {
        one.party_id: one for one in db.session.scalars(select(LadderMove).where(LadderMove.state == MoveState.PENDING))
    }
    assert told(approve, waits[ann.id], by) == ""
    assert (on(ann), waits[ann.id].state, waits[ann.id].decided_by_id) == ({"Gold"}, MoveState.APPROVED, by.id)
    assert told(approve, waits[ann.id], by) == "it is approved already"
    assert told(refuse, waits[bob.id], by, reason="A loyal one") == ""
    has_spent(cleo, 100)  # deeper than was asked: asked anew
    assert moved(ladder, after(2)) == {"waiting": 1}
    assert moves(cleo)[1:] == [("Platinum", "Gold", 4_500, "withdrawn"), ("Platinum", None, 100, "pending")]
    has_spent(cleo, 16_000)  # made good
    assert (moved(ladder, after(3)), moves(cleo)[-1][3], on(cleo)) == ({}, "withdrawn", {"Platinum"})
    assert (moved(ladder, after(29)), on(bob)) == ({}, {"Platinum"})
    assert moved(ladder, after(31)) == {"waiting": 1}  # who was refused is asked again
    again = db.session.scalars(select(LadderMove).where(LadderMove.state == MoveState.PENDING)).one()
    has_spent(bob, 16_000)
    assert told(approve, again, by).startswith("the customer has enough for this step again")
    has_spent(bob, 4_500)
    stood = db.session.scalars(select(SegmentMembership).where(SegmentMembership.party_id == bob.id)).one()
    stood.pin = Pin.IN
    assert told(approve, again, by) == "the customer is pinned on this ladder"
    stood.pin, stood.left_at = None, dt.datetime.now(dt.UTC)
    assert told(approve, again, by).startswith("the customer doesn't stand there any more")
    assert told(refuse, again, by, reason="Gone") == ""


def test_who_proposed_a_move_down_or_builds_ladders_does_not_agree_to_it(by: User) -> None:
    ladder, ann = new_ladder(approve_downgrades=True, grace_days=0), make(CUSTOMER)
    has_spent(ann, 30_000)
    moved(ladder)
    has_spent(ann, 100)
    assert moved(ladder, by=by.id) == {"waiting": 1}
    wait = db.session.scalars(select(LadderMove).where(LadderMove.state == MoveState.PENDING)).one()
    assert told(approve, wait, by) == "you asked for the refresh that proposed it: another person must agree"
    with pytest.raises(IntegrityError, match="ck_ladder_move_state_others"), db.session.begin_nested():
        db.session.execute(
            update(LadderMove).where(LadderMove.id == wait.id).values(state="approved", decided_by_id=by.id)
        )
    people = {
        role: access.create_user(email=f"{role}@example.com", role=role)[0]
        for role in ("manager", "marketer", "sales_rep")
    }
    may = {
        role: [allowed(user, f"ladder_move.{verb}") for verb in ("approve", "refuse", "read")]
        for role, user in people.items()
    }
    assert may == {
        "manager": [Scope.TEAM] * 3,
        "marketer": [None, None, Scope.ALL],
        "sales_rep": [None, None, Scope.TEAM],
    }
    assert (told(approve, wait, people["manager"]), on(ann)) == ("", set())


def test_a_ladder_on_which_somebody_moved_is_archived_and_not_deleted(by: User) -> None:
    unused, ladder, ann = new_ladder(), new_ladder(approve_downgrades=True, grace_days=0), make(CUSTOMER)
    records.delete(LADDER, unused)
    has_spent(ann, 6_000)
    moved(ladder)
    has_spent(ann, 100)
    moved(ladder)
    with pytest.raises(Refused, match="archive it instead"):
        records.delete(LADDER, ladder)
    assert told(archive, ladder, by) == ""
    assert (ladder.active, on(ann), [one[3] for one in moves(ann)]) == (False, {"Gold"}, ["done", "withdrawn"])
    assert told(archive, ladder, by) == "it is archived already"
    assert told(refresh, ladder, by) == "the ladder isn't in use"
    with pytest.raises(Refused, match="restore it first"):
        records.update(LADDER, ladder, {"active": True}, by)
    assert (told(restore, ladder, by), told(restore, ladder, by)) == ("", "it isn't archived")
    records.update(LADDER, ladder, {"active": True}, by)
    assert moved(ladder) == {"waiting": 1}


def test_a_job_moves_and_goes_on_where_it_was_ended_and_is_asked_for_once_a_day(by: User, monkeypatch: Any) -> None:
    monkeypatch.setattr("crm.commands.segment_ladders.CHUNK", 1)
    ladder, idle = new_ladder(), new_ladder(active=False)
    parties = [make(CUSTOMER) for _ in range(3)]
    for party in parties:
        has_spent(party, 1_000)
    assert told(refresh, idle, by) == "the ladder isn't in use"
    assert told(refresh, ladder, by) == ""
    assert told(refresh, ladder, by) == "a refresh of this ladder is under way already"
    assert (ladder.refreshed_on, ask_due()) == (today(), 0)
    ladder.refreshed_on = after(-1)
    assert ask_due() == 0  # it is under way
    job = db.session.scalars(select(Job).where(Job.task == "jobs.ladders.refresh")).one()
    job.checkpoint = dict(next(ladders.refresh(job)).checkpoint)
    steps = list(ladders.refresh(job))
    job.checkpoint = dict(steps[-1].checkpoint)
    assert steps[-1].result == {"up": 3, "down": 0, "waiting": 0}
    assert list(ladders.refresh(job)) == []  # ended between the last part and the end
    assert [moves(party) for party in parties] == [[(None, "Silver", 1_000, "done")]] * 3
    job.state = "done"
    db.session.flush()
    assert (ask_due(), ask_due(), ladder.refreshed_on) == (1, 0, today())


def test_two_at_once_move_nobody_twice(own_database: Any, owner_sql: Any) -> None:
    owner_sql("INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, 40) n")
    owner_sql("INSERT INTO sales_order (customer_id, currency, state) SELECT id, 'EUR', 'completed' FROM party")
    owner_sql("INSERT INTO order_line (order_id, name, unit_price) SELECT id, 'A', 6000 FROM sales_order")
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        number = new_ladder(one_step=True).id
        db.session.commit()
    begin: Callable[[], Any] = lambda: move_some(number, 0, day=today(), by=None)  # noqa: E731

    def go(_: int) -> Counter[str]:
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            return run_in_transaction(begin)[0]

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(go, range(4)), Counter[str]()) == {"up": 40}
    assert owner_sql("SELECT count(*), count(DISTINCT party_id) FROM segment_membership WHERE left_at IS NULL") == [
        (40, 40)
    ]
    assert owner_sql("SELECT count(*) FROM ladder_move") == [(40,)]
