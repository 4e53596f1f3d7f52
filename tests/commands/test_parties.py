"""What may happen to a party: what each command does, what it refuses, and what its history says."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, make_url, select, text

from crm.commands import access, parties
from crm.core.audit import Acting, acting_as
from crm.core.command import Command, Refused, WrongInput, command_named, perform, perform_set
from crm.core.entity import db, face_named
from crm.core.transaction import run_in_transaction
from crm.logins import dsn
from crm.models.access import User
from crm.models.parties import Address, BlockState, Contact, Lifecycle, Party, Status
from crm.queries.history import history
from tests.conftest import Own
from tests.factories import make

CUSTOMER = face_named("customer")
TODAY = dt.datetime.now(dt.UTC).date()
YESTERDAY, TOMORROW = TODAY - dt.timedelta(days=1), TODAY + dt.timedelta(days=1)


@pytest.fixture
def by(session: Any) -> Iterator[User]:
    """Who does it; the audit knows him too."""
    user, _ = access.create_user(email="doer@example.com", role="admin", name="Dora Doer")
    with acting_as(Acting(user.id, "test")):
        session.commit()  # the next transaction begins as his
        yield user


@pytest.fixture
def party(by: User) -> Party:
    return make(CUSTOMER, name="Ann", lifecycle=Lifecycle.ACTIVE)


def command(verb: str) -> Command:
    made = command_named(CUSTOMER, verb)
    assert made is not None, verb
    return made


def do(verb: str, party: Party, by: User, **values: Any) -> None:
    """As a screen does it: read, then run; the record as the database has it then."""
    made = command(verb)
    made.run(party, by=by, **made.read(values))
    db.session.flush()
    db.session.expire_all()


def refused(verb: str, party: Party, by: User, **values: Any) -> str:
    before = party.updated_at
    with pytest.raises(Refused) as refusal:
        do(verb, party, by, **values)
    assert not db.session.dirty
    assert party.updated_at == before
    return str(refusal.value)


# Lifecycle

MOVES = {"activate": Lifecycle.ACTIVE, "deactivate": Lifecycle.INACTIVE, "mark_prospect": Lifecycle.PROSPECT,
         "mark_churned": Lifecycle.CHURNED}  # fmt: skip


@pytest.mark.parametrize("verb", MOVES)
@pytest.mark.parametrize("before", list(Lifecycle))
def test_each_move_leads_from_any_other_status_and_refuses_its_own(
    party: Party, by: User, verb: str, before: Lifecycle
) -> None:
    party.lifecycle = before
    db.session.flush()
    if before is MOVES[verb]:
        assert refused(verb, party, by, reason="why") == f"it is {before.label.lower()} already"
        return
    do(verb, party, by, reason="They said so")
    assert party.lifecycle is MOVES[verb]
    assert party.status == MOVES[verb].value
    assert party.status_reason == "They said so"
    change = {one.column: (one.before, one.after) for one in history(party)[0].changes}
    assert change["lifecycle"] == (before.value, MOVES[verb].value)
    assert change["status_reason"] == (None, "They said so")


def test_losing_a_customer_needs_a_reason_and_the_other_moves_do_not(party: Party, by: User) -> None:
    with pytest.raises(WrongInput) as fault:
        command("mark_churned").read({"reason": "   "})
    assert fault.value.errors == {"reason": "is required"}
    do("deactivate", party, by)
    assert party.status_reason is None


# Block and blacklist


def test_a_block_keeps_reason_time_and_end_and_the_history_says_who(party: Party, by: User) -> None:
    do("block", party, by, reason="Unpaid bills", until=TOMORROW.isoformat())
    assert (party.block_state, party.status) == (BlockState.BLOCKED, Status.BLOCKED)
    assert (party.block_reason, party.blocked_until) == ("Unpaid bills", TOMORROW)
    assert abs(dt.datetime.now(dt.UTC) - party.blocked_at) < dt.timedelta(minutes=1)
    latest = history(party)[0]
    assert latest.actor is not None
    assert (latest.actor.name, latest.entry.via) == ("Dora Doer", "test")
    change = {one.column: (one.before, one.after) for one in latest.changes}
    assert change["block_state"] == ("none", "blocked")
    assert change["block_reason"] == (None, "Unpaid bills")
    assert "lifecycle" not in change


@pytest.mark.parametrize("before", list(Lifecycle))
@pytest.mark.parametrize(("stop", "free"), [("block", "unblock"), ("blacklist", "unblacklist")])
def test_the_status_from_before_a_block_counts_again_after_it(
    party: Party, by: User, before: Lifecycle, stop: str, free: str
) -> None:
    party.lifecycle = before
    db.session.flush()
    do(stop, party, by, reason="Fraud")
    assert party.status in (Status.BLOCKED, Status.BLACKLISTED)
    do(free, party, by, reason="Cleared")
    assert (party.status, party.lifecycle) == (before.value, before)
    assert (party.block_reason, party.blocked_at, party.blocked_until) == (None, None, None)
    assert party.status_reason == "Cleared"
    told = [change.before for event in history(party) for change in event.changes if change.column == "block_reason"]
    assert told == ["Fraud", None]  # the reason of the block is kept there


@pytest.mark.parametrize("first", ["block", "blacklist"])
@pytest.mark.parametrize("second", ["block", "blacklist"])
def test_who_is_blocked_is_not_blocked_again(party: Party, by: User, first: str, second: str) -> None:
    do(first, party, by, reason="Fraud")
    assert refused(second, party, by, reason="Other").endswith("already: Fraud")


@pytest.mark.parametrize(("state", "verb", "said"), [
    (None, "unblock", "it isn't blocked"), (None, "unblacklist", "it isn't blacklisted"),
    ("blacklist", "unblock", "it isn't blocked"), ("block", "unblacklist", "it isn't blacklisted"),
])  # fmt: skip
def test_only_what_was_done_can_be_undone(party: Party, by: User, state: str | None, verb: str, said: str) -> None:
    if state:
        do(state, party, by, reason="Fraud")
    assert refused(verb, party, by, reason="x") == said


@pytest.mark.parametrize("day", [YESTERDAY, TODAY])
def test_a_block_that_would_be_over_already_is_refused(party: Party, by: User, day: dt.date) -> None:
    assert "past" in refused("block", party, by, reason="x", until=day.isoformat())


@pytest.mark.parametrize(("given", "errors"), [
    ({}, {"reason": "is required"}), ({"reason": ""}, {"reason": "is required"}),
    ({"reason": "x", "until": "soon"}, {"until": "is not a day; write it like 2026-01-31"}),
    ({"reason": "x", "unitl": "2030-01-01"}, {"unitl": "is not asked for here"}),
    ({"reason": "x" * 2001}, {"reason": "is too long: 2,001 characters, at most 2,000 are kept"}),
])  # fmt: skip
def test_what_a_block_is_asked_is_read_strictly(given: dict[str, str], errors: dict[str, str]) -> None:
    with pytest.raises(WrongInput) as fault:
        command("block").read(given)
    assert fault.value.errors == errors


# Archive

WITH_REASON = {"reason": "x"}


@pytest.mark.parametrize("verb", [*MOVES, "block", "unblock", "blacklist", "unblacklist", "reassign"])
def test_what_is_archived_is_left_alone(party: Party, by: User, verb: str) -> None:
    do("archive", party, by, reason="Closed down")
    values: dict[str, Any] = {"owner": str(by.id)} if verb == "reassign" else WITH_REASON
    assert refused(verb, party, by, **values) == "it is archived: restore it first"
    applies = command(verb).applies
    assert applies is not None
    assert not applies(party)  # nor is it offered


def test_archive_and_restore_keep_everything(party: Party, by: User) -> None:
    do("block", party, by, reason="Fraud")
    do("archive", party, by, reason="Closed down")
    assert (party.status, party.status_reason) == (Status.ARCHIVED, "Closed down")
    assert refused("archive", party, by) == "it is archived already"
    do("restore", party, by)
    assert (party.status, party.block_reason, party.archived_at) == (Status.BLOCKED, "Fraud", None)
    assert refused("restore", party, by) == "it isn't archived"


# Reassign


def test_a_party_gets_another_account_manager(party: Party, by: User) -> None:
    new, _ = access.create_user(email="new@example.com", role="sales_rep", name="Nora New")
    do("reassign", party, by, owner=str(new.id), note="Speaks Malay")
    assert (party.owner_id, party.status_reason) == (new.id, "Speaks Malay")
    assert refused("reassign", party, by, owner=str(new.id)) == "Nora New is its account manager already"
    do("reassign", party, by, owner=str(by.id))
    assert party.status_reason == "Speaks Malay"  # no note: what is there stays


def test_a_party_is_given_to_nobody_who_is_gone_or_locked(party: Party, by: User) -> None:
    locked, _ = access.create_user(email="gone@example.com", role="sales_rep")
    access.lock.run(locked, by=by)
    for number in (locked.id, 10**9):
        assert refused("reassign", party, by, owner=str(number)) == "there is no active user with that number"


# Many at once


def test_each_row_has_its_own_outcome_and_the_rest_goes_on(by: User) -> None:
    rows = [make(CUSTOMER, name=f"Row {number}") for number in range(4)]
    do("block", rows[1], by, reason="Before")
    ids = [rows[2].id, rows[1].id, 10**12, rows[0].id, rows[2].id, rows[3].id]
    outcomes = perform(parties.block, ids, by=by, values={"reason": "Fraud", "until": None})
    assert [(one.id, one.done) for one in outcomes] == [
        (rows[2].id, True), (rows[1].id, False), (10**12, False), (rows[0].id, True), (rows[3].id, True)]  # fmt: skip
    assert outcomes[1].reason == "it is blocked already: Before"
    assert outcomes[2].reason == "there is no such record for you"
    db.session.expire_all()
    assert [row.block_reason for row in rows] == ["Fraud", "Before", "Fraud", "Fraud"]


def test_what_a_refused_row_had_begun_is_undone_alone(by: User) -> None:
    first, second = make(CUSTOMER, name="First"), make(CUSTOMER, name="Second")

    def half(party: Party, *, by: User) -> None:
        party.industry = "Begun"
        db.session.flush()
        if party.name == "First":
            raise Refused("on second thoughts no")

    made = Command(Party, "half", "Half", half)
    outcomes = perform(made, [first.id, second.id], by=by, values={})
    assert [one.done for one in outcomes] == [False, True]
    db.session.expire_all()
    assert (first.industry, second.industry) == (None, "Begun")


def test_a_row_outside_the_scope_counts_as_not_there(by: User) -> None:
    mine, other = make(CUSTOMER, owner_id=by.id), make(CUSTOMER)
    outcomes = perform(parties.archive, [mine.id, other.id], by=by, values={"reason": None},
                       where=[Party.owner_id == by.id])  # fmt: skip
    assert [one.done for one in outcomes] == [True, False]
    assert outcomes[1].title == f"Party {other.id}"  # its name isn't told
    db.session.expire_all()
    assert other.archived_at is None


def _states(by: User) -> list[Party]:
    rows = [make(CUSTOMER, name=f"State {number}") for number in range(4)]
    do("block", rows[1], by, reason="Before")
    do("blacklist", rows[2], by, reason="Worse")
    do("archive", rows[3], by)
    return rows


@pytest.mark.parametrize(("made", "values"), [
    (parties.block, {"reason": "Fraud", "until": None}), (parties.block, {"reason": "Fraud", "until": TOMORROW}),
    (parties.block, {"reason": "Fraud", "until": YESTERDAY}), (parties.unblock, {"reason": None}),
    (parties.unblock, {"reason": "Paid"}),
])  # fmt: skip
def test_the_set_form_does_what_the_single_form_does(by: User, made: Command, values: dict[str, Any]) -> None:
    def looks(rows: list[Party]) -> list[tuple[Any, ...]]:
        db.session.expire_all()
        return [(row.status, row.block_state, row.block_reason, row.blocked_until, row.status_reason,
                 row.blocked_at is None, len(history(row))) for row in rows]  # fmt: skip

    singly, together = _states(by), _states(by)
    outcomes = perform(made, [row.id for row in singly], by=by, values=values)
    refusals = perform_set(made, [row.id for row in together], by=by, values=values)
    db.session.flush()
    assert [refusals.get(row.id, "") for row in together] == [one.reason for one in outcomes]
    assert looks(together) == looks(singly)


# One comes first

FIRSTS = [
    ("contact", parties.set_primary, Contact, "is_primary"),
    ("address", parties.set_default, Address, "is_default"),
]
firsts = pytest.mark.parametrize(("face", "made", "entity", "flag"), FIRSTS, ids=["contact", "address"])


@firsts
def test_exactly_one_comes_first(
    party: Party, by: User, face: str, made: Command, entity: type[Any], flag: str
) -> None:
    rows = [make(face_named(face), party_id=party.id) for _ in range(3)]
    for row in rows:
        row.created()
    db.session.expire_all()
    assert [getattr(row, flag) for row in rows] == [True, False, False]
    assert perform(made, [rows[2].id], by=by, values={})[0].done
    db.session.expire_all()
    assert [getattr(row, flag) for row in rows] == [False, False, True]
    assert not perform(made, [rows[2].id], by=by, values={})[0].done
    other = make(face_named(face))
    other.created()
    db.session.expire_all()
    assert getattr(other, flag)  # another party has one of its own
    assert getattr(rows[2], flag)


def test_a_change_of_many_costs_no_square_after_changes_of_one(session: Any) -> None:
    """The triggers keep plans: one made for a single row must not serve thousands."""
    session.execute(text("INSERT INTO party (name, industry, roles) SELECT 'P' || i, 'Many', '{business_customer}' "
                         "FROM generate_series(1, 5000) i"))  # fmt: skip
    one = session.scalar(select(func.max(Party.id)))
    for number in range(8):  # PostgreSQL keeps a plan from the sixth on
        session.execute(text("UPDATE party SET description = :number WHERE id = :one"), {"number": number, "one": one})
    session.execute(text("SET LOCAL statement_timeout = '12s'"))
    session.execute(text("UPDATE party SET block_state = 'blocked', block_reason = 'x' WHERE industry = 'Many'"))


@pytest.fixture
def three(own_database: Own) -> Callable[[str], tuple[int, list[int]]]:
    """A party with three of a kind, really committed; the first one comes first."""

    def run(face: str) -> tuple[int, list[int]]:
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            party = make(CUSTOMER)
            rows = [make(face_named(face), party_id=party.id) for _ in range(3)]
            rows[0].created()
            made = party.id, [row.id for row in rows]
            db.session.commit()
            return made

    return run


def _first_ones(own: Own, entity: type[Any], flag: str, party_id: int) -> int:
    with own.app.app_context():
        return db.session.scalar(select(func.count()).where(entity.party_id == party_id, getattr(entity, flag))) or 0


@firsts
def test_two_who_choose_at_once_leave_exactly_one(
    own_database: Own, three: Any, face: str, made: Command, entity: type[Any], flag: str
) -> None:
    party_id, ids = three(face)

    def choose(one: int) -> bool:
        return perform(made, [one], by=None, values={})[0].done

    answers = one_in_the_way_of_the_other(own_database, lambda: choose(ids[1]), lambda: choose(ids[2]))
    assert answers == [True, True]
    assert _first_ones(own_database, entity, flag, party_id) == 1


@firsts
def test_two_first_ones_made_at_once_leave_exactly_one(
    own_database: Own, face: str, made: Command, entity: type[Any], flag: str
) -> None:
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        party_id = make(CUSTOMER).id
        db.session.commit()

    def add() -> str:
        row = make(face_named(face), party_id=party_id)
        row.created()
        return "made"

    assert one_in_the_way_of_the_other(own_database, add, add) == ["made", "made"]
    assert _first_ones(own_database, entity, flag, party_id) == 1


def one_in_the_way_of_the_other(own: Own, first: Callable[[], Any], second: Callable[[], Any]) -> list[Any]:
    """The second begins while the first is done but not committed, and waits for it in the database."""
    done, answers = threading.Event(), [None, None]

    def run(number: int, work: Callable[[], Any]) -> None:
        with own.app.app_context(), acting_as(Acting(via="test")):
            try:
                answers[number] = run_in_transaction(work)
            except Exception as fault:  # noqa: BLE001 - the fault is the answer
                answers[number] = fault  # type: ignore[call-overload]

    def first_and_wait() -> Any:
        answer = first()
        db.session.flush()
        done.set()
        until_somebody_waits(own)
        return answer

    threads = [threading.Thread(target=run, args=(0, first_and_wait)), threading.Thread(target=run, args=(1, second))]
    threads[0].start()
    assert done.wait(timeout=20)
    threads[1].start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    return answers


def until_somebody_waits(own: Own) -> None:
    """Until a transaction of this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    name = make_url(own.servers.database_url).database
    assert own.servers.superuser_url  # the owner doesn't see what others wait for
    with psycopg.connect(dsn(own.servers.superuser_url), autocommit=True) as connection:
        for _ in range(400):
            if connection.execute(waiting.encode(), [name]).fetchone() != (0,):
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")
