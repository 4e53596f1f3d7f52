"""Refreshes: who is in is whom the rule means, with what people laid down; only what differs is written, however it ends."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from crm.commands import access
from crm.commands.audit import seal_all
from crm.commands.segment_refresh import ask_due, ask_refresh, due, end_memberships
from crm.core.command import Refused, command_named, perform, perform_set
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobState, Step
from crm.models.parties import Address, Party
from crm.models.sales_orders import Order, OrderLine
from crm.models.segment_choices import Pin, RefreshState
from crm.models.segment_figures import WORD
from crm.models.segments import Segment, SegmentMembership, SegmentRefresh
from jobs import runner, segments
from tests.factories import make
from tests.rule_worlds import Rules, _ids, moment_near, new_world, read_world

CUSTOMER, SEGMENT, MEMBERSHIP = (face_named(name) for name in ("customer", "segment", "segment_membership"))


def dynamic(rule: Any, **more: Any) -> Any:
    return make(SEGMENT, type="dynamic", rule=rule, **more)


def industry(name: str) -> dict[str, Any]:
    return {"field": "industry", "op": "eq", "value": name}


def work(job: Job, *, parts: int | None = None) -> Step | None:
    """Do a job in this transaction, or so many parts of it; its checkpoint is kept as the runner keeps it."""
    last = None
    for number, step in enumerate(segments.refresh(job)):
        job.checkpoint, last = dict(step.checkpoint), step
        if number == parts:
            return last
    job.state = JobState.DONE
    db.session.flush()
    return last


def now_in(segment: Segment) -> set[str]:
    rows = select(Party.name).join(SegmentMembership, SegmentMembership.party_id == Party.id)
    return set(
        db.session.scalars(rows.where(SegmentMembership.segment_id == segment.id, SegmentMembership.left_at.is_(None)))
    )


def told(segment: Segment) -> tuple[Any, ...]:
    """(state, members, entered, left) of the last refresh."""
    last = db.session.scalars(select(SegmentRefresh).where(SegmentRefresh.segment_id == segment.id).order_by(SegmentRefresh.id.desc())
                              .execution_options(populate_existing=True)).first()  # fmt: skip
    assert last is not None
    return last.state, last.members, last.entered, last.gone


def test_a_refresh_writes_who_comes_and_goes_and_leaves_what_people_laid_down(session: Any) -> None:
    segment = dynamic(industry("Retail"))
    named = {name: make(CUSTOMER, name=name, industry="Retail" if "fits" in name else "Mining")
             for name in ("fits", "fits not more", "not", "pinned in", "fits pinned out", "fits archived")}  # fmt: skip
    named["fits archived"].archived_at = dt.datetime.now(dt.UTC)
    vendor = make(face_named("vendor"), industry="Retail")
    for name, more in (("fits archived", {}), ("not", {}), ("pinned in", {"pin": Pin.IN}),
                       ("fits pinned out", {"pin": Pin.OUT, "left_at": dt.datetime.now(dt.UTC)})):  # fmt: skip
        make(MEMBERSHIP, segment_id=segment.id, party_id=named[name].id, **more)
    make(MEMBERSHIP, segment_id=segment.id, party_id=vendor.id)
    step = work(ask_refresh([segment.id], by=None))
    assert step is not None
    assert step.result == {"segments": 1, "entered": 2, "gone": 3}
    assert now_in(segment) == {"fits", "fits not more", "pinned in"}
    assert told(segment) == (RefreshState.DONE, 3, 2, 3)
    before = session.execute(select(SegmentMembership.id, SegmentMembership.xmin)).all()
    work(ask_refresh(None, by=None))
    assert told(segment) == (RefreshState.DONE, 3, 0, 0)
    assert session.execute(select(SegmentMembership.id, SegmentMembership.xmin)).all() == before
    named["fits not more"].industry = None
    # Whoever came or went by another hand is put right as well.
    session.execute(delete(SegmentMembership).where(SegmentMembership.party_id == named["fits"].id))
    make(MEMBERSHIP, segment_id=segment.id, party_id=named["not"].id)
    session.flush()
    work(ask_refresh(None, by=None))
    assert now_in(segment) == {"fits", "pinned in"}
    [left] = session.scalars(select(SegmentMembership).where(SegmentMembership.party_id == named["fits not more"].id))
    assert (left.source.value, left.rule_version, left.left_at is None) == ("rule", 1, False)


def test_segments_count_between_their_days_and_memberships_to_their_last(session: Any) -> None:
    day = today()
    party = make(CUSTOMER, name="Ann", industry="Retail")
    over, coming, last = (dynamic(industry("Retail"), **more) for more in (
        {"valid_until": day - dt.timedelta(days=1)}, {"valid_from": day + dt.timedelta(days=1)}, {"valid_until": day}))  # fmt: skip
    by_hand_over = make(SEGMENT, valid_until=day - dt.timedelta(days=1))
    for ended in (over, by_hand_over):
        make(MEMBERSHIP, segment_id=ended.id, party_id=party.id)
    hand = make(SEGMENT)
    for until, pin in ((day - dt.timedelta(days=1), Pin.IN), (day, None)):
        make(
            MEMBERSHIP,
            segment_id=hand.id,
            party_id=make(CUSTOMER, name=until.isoformat()).id,
            expires_on=until,
            pin=pin,
        )
    work(ask_refresh(None, by=None))
    assert [now_in(one) for one in (over, by_hand_over, coming, last)] == [set(), set(), set(), {"Ann"}]
    assert now_in(hand) == {day.isoformat()}
    assert end_memberships() == 0


def test_a_segment_comes_after_those_it_asks_for_and_a_faulty_one_holds_up_no_other(session: Any) -> None:
    second = dynamic({"all": [{"in_segment": "first"}, {"none": [{"in_segment": "by hand"}]}]}, name="Second")
    faulty = dynamic({"all": [{"field": "gone", "op": "eq", "value": 1}]})
    dynamic(industry("Retail"), name="First")
    hand = make(SEGMENT, name="By hand")
    for name in ("Ann", "Bob"):
        make(CUSTOMER, name=name, industry="Retail")
    make(MEMBERSHIP, segment_id=hand.id, party_id=make(CUSTOMER, name="Cid", industry="Retail").id)
    work(ask_refresh(None, by=None))
    assert now_in(second) == {"Ann", "Bob"}
    assert told(faulty)[0] is RefreshState.FAILED
    assert db.session.scalars(select(SegmentRefresh.error).where(SegmentRefresh.segment_id == faulty.id)).one().startswith(
        "The rule can't be taken: all[0].field: Customers have no field “gone”")  # fmt: skip


def test_what_is_due_is_what_changed_or_is_old(session: Any) -> None:
    segment, _ = dynamic(industry("Retail")), make(SEGMENT, rule=industry("Retail"))
    assert due() == [segment.id]
    work(ask_refresh(None, by=None))
    assert due() == []
    assert due(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=61)) == [segment.id]
    segment.rule = industry("Mining")
    session.flush()
    assert ask_due() == 1
    assert ask_due() == 0  # it is under way


def test_only_dynamic_segments_with_a_rule_are_refreshed_and_each_once_at_a_time(session: Any) -> None:
    made = command_named(SEGMENT, "refresh")
    assert made is not None
    user, _ = access.create_user(email="doer@example.com", role="admin")
    able, static, bare = (
        dynamic(industry("Retail")),
        make(SEGMENT, rule=industry("Retail")),
        make(SEGMENT, type="dynamic"),
    )
    ids = [able.id, static.id, bare.id]
    refused = perform_set(made, ids, by=user, values={})
    assert set(refused) == {static.id, bare.id}
    assert {one.id for one in perform(made, ids, by=user, values={}) if not one.done} == set(ids)  # one is under way
    with pytest.raises(Refused, match="under way"):
        ask_refresh([able.id], by=None)


def test_stopped_anywhere_it_leaves_what_it_came_to_and_goes_on_from_there(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is rolled back as a kill would; the job is then taken up by its checkpoint, by another run."""
    segment = dynamic(industry("Retail"))
    made = [make(CUSTOMER, name=f"c{number}", industry="Retail") for number in range(10)]
    names = {one.name for one in made}
    monkeypatch.setattr(segments, "PART", made[4].id)  # five of them in the first part
    job = ask_refresh(None, by=None)
    db.session.commit()
    whole = segments.next_part
    calls = 0

    def killed(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        state = whole(*given)
        if calls == 2:
            raise SystemExit
        return state

    monkeypatch.setattr(segments, "next_part", killed)
    with pytest.raises(SystemExit):
        runner.run(job.id)
    db.session.rollback()
    assert len(now_in(segment)) == 5
    monkeypatch.setattr(segments, "next_part", whole)
    assert runner.run(job.id) == JobState.DONE
    assert now_in(segment) == names
    assert told(segment) == (RefreshState.DONE, 10, 10, 0)
    assert db.session.scalar(select(func.count()).select_from(SegmentMembership)) == 10


def test_a_refresh_that_is_cancelled_says_so(desk: Any) -> None:
    segment, user = dynamic(industry("Retail")), desk.user()
    job = ask_refresh(None, by=user.id)
    db.session.commit()
    work(job, parts=0)
    db.session.commit()
    made = command_named(face_named("job"), "cancel")
    assert made is not None
    made.run(db.session.get(Job, job.id), by=user)
    db.session.commit()
    assert told(segment)[0] is RefreshState.CANCELLED


# Those who were touched


def _change(rng: random.Random, ids: list[int]) -> None:
    """Something happens to a customer: itself, what it bought, whom that belongs to, where it lives."""
    party = db.session.get_one(Party, rng.choice(ids))
    orders = list(db.session.scalars(select(Order)))
    order = rng.choice(orders)
    lines = list(db.session.scalars(select(OrderLine)))
    what: list[Callable[[], Any]] = [
        lambda: setattr(party, "industry", rng.choice((None, "Retail", "%"))), lambda: setattr(party, "employees", rng.randrange(40)),
        lambda: setattr(party, "tags", rng.choice((None, ["tag1"]))),
        lambda: setattr(party, "archived_at", dt.datetime.now(dt.UTC)) if rng.random() < 0.3 else None,
        lambda: setattr(order, "customer_id", party.id), lambda: setattr(order, "state", rng.choice(("completed", "pending"))),
        lambda: make(face_named("order"), customer_id=party.id, ordered_at=moment_near(rng), currency="EUR"),
        lambda: make(face_named("order_line"), order_id=order.id, unit_price=Decimal(rng.randrange(900)), discount=0),
        lambda: db.session.delete(rng.choice(lines)) if lines else None,
        lambda: make(face_named("ticket"), party_id=party.id), lambda: make(face_named("interaction"), party_id=party.id),
        lambda: db.session.execute(delete(Address).where(Address.party_id == party.id)),
        lambda: make(face_named("address"), party_id=party.id, kind="billing", city="%"),
        lambda: make(face_named("contact"), party_id=party.id, designation="%"),
    ]  # fmt: skip
    rng.choice(what)()
    db.session.flush()
    db.session.expire_all()


def are_right(rules: dict[int, Any]) -> None:
    """Whoever is in is whom the rule means, as a slow evaluator has it."""
    world = replace(read_world(), today=today())
    for number, rule in rules.items():
        there = select(SegmentMembership.party_id).where(
            SegmentMembership.segment_id == number, SegmentMembership.left_at.is_(None)
        )
        assert set(db.session.scalars(there)) == world.fits(rule), rule


@pytest.mark.soak
def test_looking_at_those_who_were_touched_finds_what_looking_at_everybody_does(desk: Any, soak_round: int) -> None:
    rng = random.Random(soak_round)
    world = new_world(rng, 30)
    for number in range(120):  # so that what is touched is little of all
        make(face_named("vendor"), name=f"v{number}")
    maker = Rules(rng, world)
    made = {one.id: one.rule for one in (dynamic(maker.rule()) for _ in range(10))}
    for _ in range(WORD):  # what fills one word: more segments are compared in several
        make(face_named("segment"))
    made |= {one.id: one.rule for one in (dynamic(maker.rule()) for _ in range(10))}
    db.session.commit()
    job = ask_refresh(None, by=None)
    db.session.commit()
    assert runner.run(job.id) == JobState.DONE
    seal_all()
    few = 0
    for _ in range(4):
        ids = _ids()
        for _ in range(rng.choice((1, 3))):
            _change(rng, ids)
        db.session.commit()
        if rng.random() < 0.7:
            seal_all()
        job = ask_refresh(None, by=None, changed=True)
        db.session.commit()
        assert runner.run(job.id) == JobState.DONE
        few += (
            db.session.scalar(select(func.count()).where(SegmentRefresh.job_id == job.id, ~SegmentRefresh.whole)) or 0
        )
        are_right(made)
        db.session.commit()
    assert few > 20
