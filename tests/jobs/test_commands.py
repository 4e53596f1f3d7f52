"""Commands on all that match: fixed when confirmed, in parts, with a reason for each refused record."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from crm.commands import parties
from crm.commands.batch import NO_RIGHT, ask_for_all
from crm.core.command import Command, Refused, WrongInput, perform, perform_set
from crm.core.entity import db
from crm.core.jobs import ItemState, JobItem, JobState
from crm.models.access import UserRole
from crm.models.parties import BlockState, Party, Status
from crm.models.party_faces import Customer
from crm.queries.listing import BadQuery
from jobs import commands, runner
from tests.jobs.conftest import Desk, until
from tests.jobs.processes import kill_tree

MANY = 1_200


def make_customers(number: int, **more: Any) -> None:
    rows = [{"name": f"Customer {n}", "roles": ["business_customer"], **more} for n in range(number)]
    db.session.execute(Party.__table__.insert(), rows)
    db.session.commit()


def reasons(job_id: int) -> dict[str | None, int]:
    counted = select(JobItem.reason, func.count()).where(JobItem.job_id == job_id).group_by(JobItem.reason)
    return dict(db.session.execute(counted).all())


@pytest.mark.parametrize("verb", ["block", "deactivate"])  # with and without a set form
def test_a_command_on_many_says_for_each_what_became_of_it(
    desk: Desk, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "CHUNK", 50)
    monkeypatch.setattr(commands, "SET_CHUNK", 500)
    many = 120 if verb == "deactivate" else MANY
    make_customers(many)
    first = db.session.scalars(select(Party.id).order_by(Party.id)).first()
    assert first is not None
    db.session.execute(
        update(Party)
        .where(Party.id < first + 30)
        .values(block_state="blocked", block_reason="unpaid", lifecycle="inactive")
    )
    user = desk.user()
    job = ask_for_all(Customer, verb, [], {"reason": "fraud"}, by=user)
    assert job.total == many
    number = job.id
    db.session.commit()
    # What is new afterwards isn't meant; what changed meanwhile is looked at anew.
    make_customers(3)
    db.session.execute(update(Party).where(Party.id == first + 100).values(archived_at=func.now()))
    db.session.commit()
    assert runner.run(number) == "done"
    job = desk.job(number)
    assert job.result == {"done": many - 31, "refused": 31}
    assert (job.done, job.total, job.message) == (many, many, f"{many - 31:,} done, 31 refused")
    already = "it is blocked already" if verb == "block" else "it is inactive already"
    assert reasons(number) == {None: many - 31, already: 30, parties.ARCHIVED: 1}
    changed = select(func.count()).where(Party.status_reason == "fraud")
    assert db.session.scalar(changed) == many - 31
    audited = text("SELECT count(*) FROM audit_entry WHERE action = 'update' AND via = :via AND actor_id = :actor")
    assert db.session.scalar(audited, {"via": f"job {number}", "actor": user.id}) == many - 31


def test_the_list_s_query_decides_what_is_meant(desk: Desk) -> None:
    make_customers(5)
    make_customers(3, industry="Logistics")
    make_customers(2, roles=["vendor"], industry="Logistics")
    job = ask_for_all(
        Customer,
        "block",
        [("flt_industry_eq", "logistics"), ("sort", "name"), ("csrf_token", "x")],
        {"reason": "x", "until": "2100-01-31"},
        by=desk.user(),
    )
    number, label = job.id, job.label
    db.session.commit()
    assert (desk.job(number).total, label) == (3, "Block: 3 customers")
    runner.run(number)
    blocked = select(func.count()).where(Party.status == Status.BLOCKED, Party.blocked_until == dt.date(2100, 1, 31))
    assert db.session.scalar(blocked) == 3


def test_a_killed_batch_goes_on_and_does_nothing_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SET_CHUNK", 40)
    make_customers(100)
    job = ask_for_all(Customer, "block", [], {"reason": "x"}, by=desk.user())
    number = job.id
    db.session.commit()
    runner.leaving.ask()
    assert runner.run(number) is None
    runner.leaving.since = None
    assert desk.job(number).done == 40
    assert runner.run(number) == "done"
    assert desk.job(number).result == {"done": 100, "refused": 0}
    assert (
        db.session.scalar(text("SELECT count(*) FROM audit_entry WHERE action = 'update' AND entity = 'party'")) == 100
    )


@pytest.mark.soak
@pytest.mark.slow
def test_a_batch_whose_worker_is_killed_is_finished_by_the_next(
    desk: Desk, real_bell: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "SET_CHUNK", 20)
    many = 600
    make_customers(many)
    number = ask_for_all(Customer, "block", [], {"reason": "x"}, by=desk.user()).id
    db.session.commit()
    first = start("work")
    until(lambda: desk.job(number).done >= 40)
    kill_tree(first)
    before = desk.job(number)
    assert before.state is JobState.RUNNING
    assert before.done < many
    start("schedule")
    start("work")
    until(lambda: desk.job(number).state is JobState.DONE)
    assert desk.job(number).result == {"done": many, "refused": 0}
    entries = text(
        "SELECT count(*), count(DISTINCT record_id) FROM audit_entry WHERE action = 'update' AND entity = 'party'"
    )
    assert db.session.execute(entries).one() == (many, many)


def test_a_right_that_is_lost_meanwhile_refuses_the_rest(desk: Desk) -> None:
    make_customers(3)
    user = desk.user("manager")
    job = ask_for_all(Customer, "block", [], {"reason": "x"}, by=user)
    number = job.id
    db.session.execute(UserRole.__table__.delete())
    db.session.commit()
    assert runner.run(number) == "done"
    assert desk.job(number).result == {"done": 0, "refused": 3}
    assert reasons(number) == {NO_RIGHT: 3}
    assert db.session.scalar(select(func.count()).where(Party.status == Status.BLOCKED)) == 0


def test_a_locked_user_s_batch_is_refused(desk: Desk) -> None:
    make_customers(2)
    user = desk.user("manager")
    job = ask_for_all(Customer, "block", [], {"reason": "x"}, by=user)
    user.active = False
    number = job.id
    db.session.commit()
    runner.run(number)
    assert reasons(number) == {NO_RIGHT: 2}


def test_own_customers_only_where_the_right_reaches_no_further(desk: Desk) -> None:
    user = desk.user("sales_rep")
    make_customers(4)
    make_customers(3, owner_id=user.id)
    job = ask_for_all(Customer, "deactivate", [], {}, by=user)
    number = job.id
    db.session.execute(
        update(Party).where(Party.id == select(func.max(Party.id)).scalar_subquery()).values(owner_id=None)
    )
    db.session.commit()
    assert desk.job(number).total == 3
    runner.run(number)
    assert reasons(number) == {None: 2, "there is no such record for you": 1}


def test_what_can_t_be_asked_for_leaves_no_trace(desk: Desk) -> None:
    make_customers(1)
    admin, auditor = desk.user(), desk.user("auditor")
    with pytest.raises(Refused, match="may not"):
        ask_for_all(Customer, "block", [], {"reason": "x"}, by=auditor)
    with pytest.raises(Refused, match="may not"):
        ask_for_all(Customer, "gild", [], {}, by=admin)
    with pytest.raises(Refused, match="nothing matches"):
        ask_for_all(Customer, "block", [("search", "zzzz")], {"reason": "x"}, by=admin)
    with pytest.raises(WrongInput, match="reason is required"):
        ask_for_all(Customer, "block", [], {}, by=admin)
    with pytest.raises(BadQuery):
        ask_for_all(Customer, "block", [("flt_nothing_eq", "1")], {"reason": "x"}, by=admin)
    db.session.commit()
    assert db.session.scalar(text("SELECT count(*) FROM job")) == 0
    assert db.session.scalar(select(func.count()).select_from(JobItem)) == 0


def test_nothing_left_to_do_is_the_end(desk: Desk) -> None:
    make_customers(1)
    job = ask_for_all(Customer, "block", [], {"reason": "x"}, by=desk.user())
    number = job.id
    db.session.execute(update(JobItem).values(state=ItemState.DONE))
    db.session.commit()
    assert runner.run(number) == "done"
    assert desk.job(number).state is JobState.DONE


TOMORROW = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
STANDINGS: list[dict[str, Any]] = [
    {},
    {"lifecycle": "prospect"},
    {"block_state": "blocked", "block_reason": "unpaid"},
    {
        "block_state": "blocked",
        "block_reason": "a",
        "blocked_until": TOMORROW,
        "blocked_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    },
    {"block_state": "blacklisted", "block_reason": "fraud"},
    {"archived_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
    {"archived_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "block_state": "blocked", "block_reason": "b"},
]


@pytest.mark.parametrize(
    ("made", "values"),
    [
        (parties.block, {"reason": "fraud", "code": None, "until": None}),
        (parties.block, {"reason": "fraud", "code": None, "until": TOMORROW}),
        (parties.block, {"reason": "fraud", "code": None, "until": dt.date(2020, 1, 1)}),
        (parties.unblock, {"reason": None}),
        (parties.unblock, {"reason": "paid"}),
    ],
)
def test_the_set_form_does_what_the_single_form_does(session: Any, made: Command, values: dict[str, Any]) -> None:
    assert made.set_form is not None

    def outcome(as_set: bool) -> tuple[list[str | None], list[tuple[Any, ...]]]:
        with session.begin_nested() as undone:
            rows = [Party(name=str(number), **standing) for number, standing in enumerate(STANDINGS)]
            session.add_all(rows)
            session.flush()
            ids = [row.id for row in rows]
            if as_set:
                refused = perform_set(made, ids, by=None, values=values)
                said = [refused.get(number) for number in ids]
            else:
                said = [one.reason or None for one in perform(made, ids, by=None, values=values)]
            session.flush()
            after = session.execute(
                select(
                    Party.lifecycle,
                    Party.block_state,
                    Party.block_reason,
                    Party.blocked_until,
                    Party.archived_at,
                    Party.status,
                    Party.status_reason,
                    Party.blocked_at.is_(None),
                )
                .where(Party.id.in_(ids))
                .order_by(Party.id)
            ).all()
            undone.rollback()
        return said, [tuple(row) for row in after]

    single, many = outcome(as_set=False), outcome(as_set=True)
    assert many == single
    assert any(single[0])


def test_the_set_form_refuses_what_is_out_of_reach(session: Any) -> None:
    inside, outside = Party(name="in"), Party(name="out")
    session.add_all([inside, outside])
    session.flush()
    refused = perform_set(
        parties.block,
        [outside.id, inside.id, 10**12],
        by=None,
        values={"reason": "x", "code": None, "until": None},
        where=[Party.name == "in"],
    )
    assert refused == dict.fromkeys([outside.id, 10**12], "there is no such record for you")
    assert (inside.block_state, outside.block_state) == (BlockState.BLOCKED, BlockState.NONE)


def test_a_part_that_takes_long_is_followed_by_smaller_ones(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    make_customers(60)

    def parts(seconds: float) -> list[int]:
        monkeypatch.setattr(commands, "SECONDS", seconds)
        user = desk.user()
        job = ask_for_all(Customer, "reassign", [], {"owner": str(user.id)}, by=user)
        return [step.done for step in commands.perform_many(job)]

    monkeypatch.setattr(commands, "FIRST", 10)
    assert parts(3_600) == [10, 50, 60]
    assert parts(0) == [10, *range(11, 61)]
