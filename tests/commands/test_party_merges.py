"""Two records become one, nothing is lost, and it is as if it never was when it is undone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, UniqueConstraint, select, text

from crm.commands.party_merges import carry_out, merge_parties
from crm.commands.party_unmerges import unmerge
from crm.core import figures
from crm.core.command import Refused
from crm.core.entity import Base, db, entities, face_named
from crm.core.ledgers import kept_entities
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.parties import Party
from crm.models.party_duplicates import DuplicateCandidate
from crm.models.party_merges import ANY_RECORD, COLLISIONS, NOT_MOVED, Merge, MergeState, references, uniques
from crm.queries.party_merges import came_since, survivor_of
from tests.factories import make

# Histories that are written by the database or tell of work done; and what is derived.
NO_BUSINESS = {"audit_entry", "audit_value", "audit_head", "job", "job_item", "merge", "status_change", "stage_change", "alembic_version",
               "segment_version", "user_session", "session", "duplicate_note", "loyalty_note", "duplicate_keys", "duplicate_weights"}  # fmt: skip


def digest() -> dict[str, Any]:
    """Every business table, row by row; of ledgers the balance of each account, and what is left of lots by their expiry."""
    db.session.flush()
    ledgers = {entity.__tablename__ for entity in kept_entities()}
    derived = figures.tables()
    found: dict[str, Any] = {}
    for table in Base.metadata.sorted_tables:
        if table.name in NO_BUSINESS | ledgers | derived:
            continue
        rows = db.session.scalars(text(f"SELECT (to_jsonb(t) - 'updated_at')::text FROM \"{table.name}\" t ORDER BY 1"))
        found[table.name] = Counter(rows)
    for name, sql in {
        "points": "SELECT account_id, expires_on::text, sum(remaining) FROM (SELECT e.account_id, e.expires_on, e.points - coalesce("
                  "(SELECT sum(a.points) FROM point_allocation a WHERE a.lot_id = e.id), 0) AS remaining FROM point_entry e "
                  "WHERE e.points > 0 AND e.reverses_id IS NULL) l WHERE remaining > 0 GROUP BY 1, 2",
        "balances": "SELECT account_id, sum(points) FROM point_entry GROUP BY 1",
        "cashback": "SELECT account_id, sum(amount)::text FROM cashback_entry GROUP BY 1 HAVING sum(amount) <> 0",
        "invoices": "SELECT id, account_id, amount::text FROM invoice",
        "payments": "SELECT id, account_id, amount::text FROM payment",
        "holds": "SELECT account_id, count(*) FROM credit_hold WHERE released_at IS NULL GROUP BY 1",
        "decisions": "SELECT id, account_id, credit_limit::text FROM credit_decision",
    }.items():  # fmt: skip
        found[name] = Counter(tuple(row) for row in db.session.execute(text(sql)))
    return found


def differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (before[name] - after[name], after[name] - before[name]) for name in before if before[name] != after[name]
    }


def true_figures() -> None:
    figures.settle()
    assert list(figures.differences(db.session.connection())) == []


def customer(**given: Any) -> Party:
    return make(face_named("customer"), **given)


def user() -> User:
    return make(face_named("user"))


def filled(party: Party) -> None:
    """A row in every table, by each column that names a party."""
    for reference in references():
        if reference.table.name == "party":
            continue
        entity = next(one for one in entities() if one.__table__ is reference.table)
        make(entity.faces[0], **{reference.column: party.id})


def test_every_column_and_every_constraint_that_names_a_party_has_its_rule():
    """A new one needs a thought: what happens to it in a merge?"""
    moved = {one.key for one in references()}
    for table in Base.metadata.tables.values():
        named = {key.parent.name for key in table.foreign_keys if key.column.table is Party.__table__}
        assert table.name in NOT_MOVED or {f"{table.name}.{name}" for name in named} <= moved
        for name in named if table.name not in NOT_MOVED else ():
            assert {one.name for one in uniques(table, name)} <= COLLISIONS.keys()
        for one in table.constraints:
            if (
                isinstance(one, CheckConstraint)
                and sum(name in str(one.sqltext) for name in named) > 1
                and table.name not in NOT_MOVED
            ):
                first = next(
                    reference
                    for reference in references()
                    if reference.table is table and reference.column in str(one.sqltext)
                )
                assert first.others, one.name
        kind, number = "entity" in table.columns, {"record", "record_id"} & set(table.columns.keys())
        if kind and number:
            assert table.name in ANY_RECORD, f"{table.name} names records of any kind"
            for one in table.constraints:
                if isinstance(one, UniqueConstraint) and ANY_RECORD[table.name][2] and number & set(one.columns.keys()):
                    assert str(one.name) in COLLISIONS


def test_whatever_names_the_merged_record_moves_and_comes_back(session):
    kept, merged, by = customer(), customer(), user()
    filled(merged)
    filled(kept)
    make(face_named("external_id"), entity="party", record=merged.id, system="erp", external_id="4711")
    figures.settle()
    before = digest()
    (made,) = merge_parties(kept.id, [merged.id], by=by, reason="the same")
    assert made.state is MergeState.MADE
    assert survivor_of(merged.id) == kept.id
    left = {one.key: session.scalar(text(f"SELECT count(*) FROM \"{one.table.name}\" WHERE {one.column} = :id"), {"id": merged.id})
            for one in references()}  # fmt: skip
    assert {key for key, number in left.items() if number} == {*made.snapshot["stayed"], "status_change.party_id"}
    true_figures()
    assert merged.archived_at is not None
    assert merged.status_reason == f"Merged into {kept.code}"
    unmerge(made, by=by)
    assert differing(before, digest()) == {}
    assert made.kept_back is None
    assert merged.archived_at is None
    true_figures()


@pytest.mark.parametrize("order", ["the last one first", "the first one first"])
def test_a_merge_is_undone_exactly_also_when_others_lie_on_top(session, order):
    by = user()
    people = [
        customer(tags=[f"t{number}"], account_number=None if number == 2 else f"N{number}") for number in range(4)
    ]
    first, second, third, last = people
    for one in people:
        filled(one)
        members(one)
    figures.settle()
    before, worth = digest(), sums()
    steps = [merge_parties(second.id, [first.id], by=by)[0], merge_parties(second.id, [last.id], by=by)[0],
             merge_parties(third.id, [second.id], by=by)[0]]  # fmt: skip
    assert [survivor_of(one.id) for one in people] == [third.id] * 4
    assert sums() == worth
    true_figures()
    for made in steps if order == "the first one first" else reversed(steps):
        unmerge(made, by=by)
        true_figures()
        assert sums() == worth
    assert differing(before, digest()) == {}


def members(party: Party) -> LoyaltyAccount:
    """A member of one program with lots that expire, cashback, and a credit account on hold."""
    program = db.session.scalar(text("SELECT id FROM loyalty_program WHERE name = 'Shared'")) or make(
        face_named("loyalty_program"), name="Shared").id  # fmt: skip
    account = make(face_named("loyalty_account"), party_id=party.id, program_id=program)
    for points, day in ((100, "2030-01-01"), (50, None), (30, "2030-01-01")):
        make(face_named("point_entry"), account_id=account.id, points=points, expires_on=day)
    make(face_named("point_entry"), account_id=account.id, points=-20, kind="redeem")
    make(face_named("cashback_entry"), account_id=account.id)
    return account


def sums() -> list[Any]:
    return [tuple(row) for row in db.session.execute(text(
        "SELECT (SELECT sum(points) FROM point_entry), (SELECT sum(amount) FROM cashback_entry), "
        "(SELECT sum(amount) FROM invoice), (SELECT sum(remaining) FROM point_entry_figures)"))]  # fmt: skip


def test_points_and_cashback_go_over_with_their_expiry_and_limits_are_not_added(session):
    kept, merged, by = customer(), customer(), user()
    ours, theirs = members(kept), members(merged)
    accounts = [make(face_named("credit_account"), party_id=party.id) for party in (kept, merged)]
    for account, limit in zip(accounts, (1000, 500), strict=True):
        asked = make(face_named("credit_request"), account_id=account.id, status="approved")
        make(face_named("credit_decision"), request_id=asked.id, credit_limit=limit)
    make(face_named("invoice"), account_id=accounts[1].id, amount=70, currency="USD")
    make(face_named("credit_hold"), account_id=accounts[1].id, released_at=None, until=None)
    figures.settle()
    worth = sums()
    merge_parties(kept.id, [merged.id], by=by)
    assert sums() == worth
    left = dict(session.execute(text("SELECT expires_on::text, sum(remaining) FROM point_entry_figures WHERE account_id = :id "
                                     "AND remaining > 0 GROUP BY 1"), {"id": ours.id}).all())  # fmt: skip
    assert left == {"2030-01-01": 220, None: 100}  # of each 20 were spent, the first to expire first
    session.expire_all()
    assert (theirs.state.value, theirs.points, ours.points) == ("ended", 0, 320)
    row = session.execute(
        text("SELECT credit_limit, outstanding FROM customer_figures WHERE id = :id"), {"id": kept.id}
    ).one()
    assert row.credit_limit == 1000
    assert row.outstanding > 0
    assert [account.party_id for account in accounts] == [kept.id] * 2
    assert [account.standing.value for account in accounts] == ["blocked"] * 2, "a hold on one stops both"


def test_what_was_spent_since_is_told_and_the_rest_goes_back(session):
    kept, merged, by = customer(), customer(), user()
    ours, theirs = members(kept), members(merged)
    (made,) = merge_parties(kept.id, [merged.id], by=by)
    make(face_named("point_entry"), account_id=ours.id, points=-300, kind="redeem")
    unmerge(made, by=by)
    figures.settle()
    session.expire_all()
    assert ours.points + theirs.points == 20
    assert made.kept_back["accounts"][0].endswith("points were used since")


def test_who_said_no_is_not_asked_again_and_who_is_blocked_stays_blocked(session):
    kept, merged, by = customer(), customer(block_state="blacklisted", block_reason="Fraud"), user()
    said = {"purpose": "marketing", "contact_id": None}
    make(
        face_named("consent"),
        party_id=merged.id,
        state="withdrawn",
        channel="email",
        decided_at="2026-01-01T00:00Z",
        **said,
    )
    make(face_named("consent"), party_id=kept.id, state="given", channel=None, decided_at="2026-02-01T00:00Z", **said)
    make(face_named("consent"), party_id=kept.id, state="given", channel="sms", decided_at="2026-02-01T00:00Z", **said)
    merge_parties(kept.id, [merged.id], by=by)
    rows = session.execute(
        text("SELECT channel, state FROM consent WHERE party_id = :id AND decided_at > '2026-03-01' ORDER BY id"),
        {"id": kept.id},
    )
    assert [tuple(row) for row in rows] == [("email", "withdrawn")]
    assert (kept.block_state.value, kept.block_reason) == ("blacklisted", "Fraud")


def test_doubtful_merges_wait_for_a_second_person(session):
    kept, merged, first, second = customer(tax_id="DE 1"), customer(tax_id="DE 2"), user(), user()
    (made,) = merge_parties(kept.id, [merged.id], by=first, chosen={"name": merged.id})
    assert made.state is MergeState.PROPOSED
    assert made.needs_second == "their tax IDs differ"
    assert survivor_of(merged.id) == merged.id
    assert merged.archived_at is None
    with pytest.raises(Refused, match="yourself"):
        carry_out(made, by=first)
    carry_out(made, by=second)
    assert made.state is MergeState.MADE
    assert kept.name == merged.name


def test_nobody_is_merged_twice_or_into_what_is_away(session):
    one, other, third, by = customer(), customer(), customer(), user()
    merge_parties(one.id, [other.id], by=by)
    for kept, merged in (
        (other.id, [one.id]),
        (third.id, [other.id]),
        (one.id, [other.id]),
        (third.id, [third.id]),
        (third.id, [0]),
    ):
        with pytest.raises(Refused):
            merge_parties(kept, merged, by=by)
    merge_parties(third.id, [one.id], by=by)
    assert survivor_of(other.id) == third.id


def test_what_is_entered_for_a_merged_record_lands_at_the_one_that_is_kept(session):
    kept, merged, elsewhere, by = customer(), customer(), customer(), user()
    ticket = make(face_named("ticket"), party_id=elsewhere.id)
    merge_parties(kept.id, [merged.id], by=by)
    order = make(face_named("order"), customer_id=merged.id)
    session.execute(text("UPDATE ticket SET party_id = :to WHERE id = :id"), {"to": merged.id, "id": ticket.id})
    session.expire_all()
    assert (order.customer_id, ticket.party_id) == (kept.id, kept.id)
    true_figures()


def test_what_came_since_stays_unless_it_is_assigned_and_what_was_changed_since_is_told(session):
    kept, merged, by = customer(phone=None), customer(phone="+49301234567"), user()
    (made,) = merge_parties(kept.id, [merged.id], by=by)
    session.expire_all()
    assert kept.phone == "+49301234567"
    kept.phone = "+49307654321"
    mine, theirs = make(face_named("ticket"), party_id=kept.id), make(face_named("ticket"), party_id=kept.id)
    assert came_since(made, limit=10) == {"ticket.party_id": [theirs.id, mine.id]}
    with pytest.raises(Refused):
        unmerge(made, by=by, assign={"ticket.party_id": [theirs.id, 0]})
    unmerge(made, by=by, assign={"ticket.party_id": [theirs.id]})
    assert (mine.party_id, theirs.party_id, kept.phone) == (kept.id, merged.id, "+49307654321")
    assert f"party {kept.id} phone" in made.kept_back["changed_since"]


def test_possible_duplicates_are_decided_or_led_on(session):
    first, second, third, by = customer(), customer(), customer(), user()
    between = make(face_named("duplicate_candidate"), first_party_id=first.id, second_party_id=second.id)
    with_third = make(face_named("duplicate_candidate"), first_party_id=second.id, second_party_id=third.id)
    (made,) = merge_parties(third.id, [second.id], by=by)
    session.expire_all()
    assert (with_third.state.value, made.candidate_id) == ("merged", with_third.id)
    assert (between.state.value, between.first_party_id, between.second_party_id) == ("open", first.id, third.id)
    unmerge(made, by=by)
    assert (between.second_party_id, with_third.state.value) == (second.id, "open")


def test_relations_never_go_round_in_a_circle(session):
    top, middle, below, by = customer(), customer(), customer(), user()
    for above, under in ((top, middle), (middle, below)):
        make(
            face_named("relation"),
            from_party_id=above.id,
            to_party_id=under.id,
            kind="parent",
            valid_until=None,
            valid_from=None,
        )
    (made,) = merge_parties(top.id, [below.id], by=by)
    assert made.state is MergeState.MADE
    assert list(made.snapshot["stayed"]) == ["relation.to_party_id"]
    assert len(db.session.scalars(select(Merge)).all()) == 1
    assert db.session.scalar(select(DuplicateCandidate.id)) is None


def test_numbers_of_which_there_is_one_are_swapped(session):
    kept, merged, by = customer(account_number="A"), customer(account_number="B"), user()
    (made,) = merge_parties(kept.id, [merged.id], by=by, chosen={"account_number": merged.id})
    session.expire_all()
    assert (kept.account_number, merged.account_number) == ("B", "A")
    unmerge(made, by=by)
    assert (kept.account_number, merged.account_number) == ("A", "B")
