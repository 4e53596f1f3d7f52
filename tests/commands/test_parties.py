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

from crm.commands import access, parties, records
from crm.core.audit import Acting, acting_as
from crm.core.command import Command, Refused, WrongInput, command_named, commands_of, perform, perform_set
from crm.core.entity import db, face_named
from crm.core.transaction import run_in_transaction
from crm.logins import dsn
from crm.models.access import User
from crm.models.parties import Address, Contact, Party
from crm.models.party_choices import BlockState, IdentifierKind, Lifecycle, Purpose, ReasonCode, Status
from crm.models.party_status import StatusChange
from crm.queries.history import history
from crm.queries.quality import lacks_of
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
CODES = {"mark_churned": {"code": "price"}}


@pytest.mark.parametrize("verb", MOVES)
@pytest.mark.parametrize("before", list(Lifecycle))
def test_each_move_leads_from_any_other_status_and_refuses_its_own(
    party: Party, by: User, verb: str, before: Lifecycle
) -> None:
    party.lifecycle = before
    db.session.flush()
    if before is MOVES[verb]:
        assert refused(verb, party, by, reason="why", **CODES.get(verb, {})) == f"it is {before.label.lower()} already"
        return
    do(verb, party, by, reason="They said so", **CODES.get(verb, {}))
    assert party.lifecycle is MOVES[verb]
    assert party.status == MOVES[verb].value
    assert party.status_reason == "They said so"
    change = {one.column: (one.before, one.after) for one in history(party)[0].changes}
    assert change["lifecycle"] == (before.value, MOVES[verb].value)
    assert change["status_reason"] == (None, "They said so")


def test_losing_a_customer_needs_a_reason_and_the_other_moves_do_not(party: Party, by: User) -> None:
    with pytest.raises(WrongInput) as fault:
        command("mark_churned").read({"reason": "   "})
    assert fault.value.errors == {"code": "is required"}
    assert refused("mark_churned", party, by, code="other", reason=" ") == "say in words why: “Other” tells nothing"
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
    assert refused(second, party, by, reason="Other") == f"it is {first}ed already"


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
    values: dict[str, Any] = {"owner": str(by.id)} if verb == "reassign" else WITH_REASON | CODES.get(verb, {})
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
    outcomes = perform(parties.block, ids, by=by, values={"reason": "Fraud", "code": None, "until": None})
    assert [(one.id, one.done) for one in outcomes] == [
        (rows[2].id, True), (rows[1].id, False), (10**12, False), (rows[0].id, True), (rows[3].id, True)]  # fmt: skip
    assert outcomes[1].reason == "it is blocked already"
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


SETS = [
    (parties.block, {"reason": "Fraud", "code": None, "until": None}),
    (parties.block, {"reason": "Fraud", "code": ReasonCode.FRAUD, "until": TOMORROW}),
    (parties.block, {"reason": "Fraud", "code": None, "until": YESTERDAY}),
    (parties.unblock, {"reason": None}), (parties.unblock, {"reason": "Paid"}),
    (parties.blacklist, {"reason": "Fraud", "code": ReasonCode.FRAUD}), (parties.unblacklist, {"reason": "Cleared"}),
    (parties.activate, {"reason": "Back"}), (parties.deactivate, {"reason": None}),
    (parties.mark_prospect, {"reason": None}), (parties.mark_churned, {"code": ReasonCode.PRICE, "reason": "Too dear"}),
    (parties.archive, {"reason": "Gone"}), (parties.restore, {"reason": None}),
]  # fmt: skip


def test_every_status_command_has_a_set_form() -> None:
    own = {made.verb for made in commands_of(CUSTOMER) if made.run.__module__ == parties.__name__}
    assert {made.verb for made, _ in SETS} == own - {"reassign"}
    assert all(made.set_form is not None for made, _ in SETS)


@pytest.mark.parametrize(("made", "values"), SETS)
def test_the_set_form_does_what_the_single_form_does(by: User, made: Command, values: dict[str, Any]) -> None:
    def looks(rows: list[Party]) -> list[tuple[Any, ...]]:
        db.session.expire_all()
        return [(row.status, row.lifecycle, row.block_state, row.block_reason, row.blocked_until, row.status_reason,
                 row.status_code, row.blocked_at is None, row.archived_at is None, len(history(row)), told(row))
                for row in rows]  # fmt: skip

    singly, together = _states(by), _states(by)
    outcomes = perform(made, [row.id for row in singly], by=by, values=values)
    refusals = perform_set(made, [row.id for row in together], by=by, values=values)
    db.session.flush()
    assert [refusals.get(row.id, "") for row in together] == [one.reason for one in outcomes]
    assert looks(together) == looks(singly)


# Its own history


def told(party: Party) -> list[tuple[Any, ...]]:
    """From, to, code, words, by whom, by what way; oldest first."""
    rows = db.session.scalars(select(StatusChange).where(StatusChange.party_id == party.id).order_by(StatusChange.id))
    return [(row.from_status, row.to_status, row.code, row.reason, row.who_id, row.via) for row in rows]


def test_every_change_of_status_is_told_with_who_and_why(party: Party, by: User) -> None:
    do("mark_churned", party, by, code="price", reason="Too dear")
    do("block", party, by, reason="Unpaid", code="unpaid")
    do("mark_prospect", party, by, reason="Again")  # below the block
    do("unblock", party, by)
    do("archive", party, by)
    party.description = "Nothing of this"
    db.session.flush()
    here = (by.id, "test")
    assert told(party) == [
        ("active", "churned", "price", "Too dear", *here), ("churned", "blocked", "unpaid", "Unpaid", *here),
        ("churned", "prospect", None, "Again", *here), ("blocked", "prospect", None, None, *here),
        ("prospect", "archived", None, None, *here)]  # fmt: skip


def test_a_change_by_any_other_way_is_told_too_and_takes_no_reason_of_the_last(party: Party, by: User) -> None:
    do("mark_churned", party, by, code="price", reason="Too dear")
    before = party.status_at
    db.session.execute(text("UPDATE party SET lifecycle = 'active', name = 'Bea' WHERE id = :id"), {"id": party.id})
    db.session.expire_all()
    assert (party.status_reason, party.status_code, party.status_at > before) == (None, None, True)
    assert told(party)[-1][:4] == ("churned", "active", None, None)
    db.session.execute(text("UPDATE party SET lifecycle = lifecycle, name = 'Cleo' WHERE id = :id"), {"id": party.id})
    assert len(told(party)) == 2


def test_many_blocked_at_once_each_have_their_row(by: User) -> None:
    rows = [make(CUSTOMER, name=f"Row {number}") for number in range(30)]
    values = {"reason": "Fraud", "code": None, "until": None}
    assert perform_set(parties.block, [row.id for row in rows], by=by, values=values) == {}
    assert all(told(row) == [("active", "blocked", None, "Fraud", by.id, "test")] for row in rows)


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


# How good the data is


GOOD = {
    "email": "a@example.com", "phone": "+60123456789", "email_state": "verified", "type": "individual", "language": "en",
    "first_name": "Ann", "last_name": "Bee", "date_of_birth": dt.date(1990, 1, 1), "kind": "individual",
}  # fmt: skip


@pytest.mark.parametrize(("changed", "score"), [
    ({}, 100), ({"email": None}, 90), ({"phone": None}, 90), ({"email": None, "phone": None}, 70),
    ({"email_state": "bounced"}, 70), ({"email_state": "unverified"}, 90), ({"phone_state": "bounced"}, 80),
    ({"first_name": None}, 85), ({"date_of_birth": None}, 90), ({"owner_id": None}, 90), ({"language": None}, 95),
    ({"kind": "organization"}, 70), ({"kind": "organization", "tax_id": "1", "industry": "Steel"}, 95),
    ({"kind": "organization", "email": None, "phone": None, "email_state": "unverified", "owner_id": None, "type": None,
      "language": None}, 10),
])  # fmt: skip
def test_the_data_quality_is_what_is_left_of_a_hundred_points(by: User, changed: dict[str, Any], score: int) -> None:
    row = make(CUSTOMER, **(GOOD | {"owner_id": by.id} | changed))
    db.session.refresh(row)
    lacks = lacks_of(row)
    assert (row.data_quality, 100 - sum(lack.points for lack in lacks)) == (score, score)
    assert len({lack.words for lack in lacks}) == len(lacks)


def test_the_score_moves_with_every_way_of_writing_and_orders_the_list(by: User, as_user: Any) -> None:
    good, poor = make(CUSTOMER, **GOOD, owner_id=by.id, name="Good"), make(CUSTOMER, name="Poor")
    db.session.commit()
    admin = as_user("admin").client
    listed = admin.get("/admin/customers/?flt_data_quality_lt=60&sort=data_quality").text
    assert "Poor" in listed
    assert "Good" not in listed
    shown = admin.get(f"/admin/customers/details/?id={poor.id}").text
    assert "There is neither an e-mail nor a phone number" in shown
    assert f"{poor.data_quality} of 100" in shown
    assert "Data quality <" not in admin.get(f"/admin/customers/details/?id={good.id}").text
    db.session.execute(text("UPDATE party SET email = 'p@example.com' WHERE id = :id"), {"id": poor.id})
    before = poor.data_quality
    db.session.expire_all()
    assert poor.data_quality == before + 20


# Numbers and preferences


def test_a_number_is_there_once_for_a_party_and_a_changed_one_is_not_verified(party: Party, by: User) -> None:
    face = face_named("identifier")
    values = {"party": party.id, "kind": IdentifierKind.PASSPORT, "number": "AB 12-3"}
    first = records.create(face, values, by)
    for number, country in (("ab123", None), ("AB 12-3", None)):
        with pytest.raises(WrongInput, match="number is taken"):
            records.create(face, values | {"number": number, "country": country}, by)
    records.create(face, values | {"country": "MY"}, by)
    records.create(face, values | {"party": make(CUSTOMER).id}, by)  # whoever has it too may be the same person
    with pytest.raises(WrongInput, match="valid_until"):
        records.update(face, first, {"issued_on": TOMORROW, "valid_until": TODAY}, by)
    parties.verify.run(first, by=by)
    db.session.flush()
    records.update(face, first, {"number": "AB 12-3"}, by)
    assert first.verified_at is not None
    records.update(face, first, {"number": "AB 12-4"}, by)
    assert (first.verified_at, first.verified_by_id) == (None, None)


@pytest.mark.parametrize(("given", "field"), [
    ({"hours_from": 9}, "hours_to"), ({"hours_to": 17}, "hours_from"), ({"hours_from": 17, "hours_to": 9}, "hours_to"),
    ({"quiet_from": 22}, "quiet_to"), ({"quiet_from": 5, "quiet_to": 5}, "quiet_to"),
])  # fmt: skip
def test_a_preference_that_says_nothing_is_refused(party: Party, by: User, given: dict[str, Any], field: str) -> None:
    face, whole = face_named("channel_preference"), {"party": party.id, "purpose": Purpose.SERVICE}
    with pytest.raises(WrongInput) as fault:
        records.create(face, whole | given, by)
    assert list(fault.value.errors) == [field]
    over_midnight = {"channels": ["sms", "email"], "quiet_from": 22, "quiet_to": 7, "time_zone": "Asia/Kuala_Lumpur"}
    kept = records.create(face, whole | over_midnight, by)
    assert kept.channels == ["sms", "email"]  # in this order
    with pytest.raises(WrongInput, match="purpose is taken"):
        records.create(face, whole, by)
