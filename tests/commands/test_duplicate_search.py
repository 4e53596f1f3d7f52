"""Duplicates in the database: found among all and among what has changed, decided once, and never named to who may not
see them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from crm.commands import access, duplicate_search
from crm.commands.duplicate_search import find_all, search_changed
from crm.core.command import command_named
from crm.core.entity import db, face_named
from crm.core.jobs import Step
from crm.core.permissions import Asking
from crm.duplicates.finding import Model
from crm.models.duplicate_search import DuplicateKeys, DuplicateNote, DuplicateWeights
from crm.models.parties import Address, Party
from crm.models.party_duplicates import CandidateState, DuplicateCandidate
from crm.queries.duplicates import likely_duplicates, undecided
from tests.factories import make

CUSTOMER, CANDIDATE = face_named("customer"), face_named("duplicate_candidate")


@pytest.fixture(autouse=True)
def nobody_else(session: Any) -> None:
    """Only what the test makes is looked at."""
    db.session.execute(update(Party).values(archived_at=func.now()))
    list(find_all())


def ann(**changes: Any) -> Party:
    known = {"name": "Ann Lee", "first_name": "Ann", "last_name": "Lee", "email": "ann.lee@example.com", "phone": "+4930123456",
             "date_of_birth": "1980-04-01", "tax_id": None, "email2": None, "phone2": None, "kind": "individual"}  # fmt: skip
    party: Party = make(CUSTOMER, **known | changes)
    db.session.query(Address).filter_by(party_id=party.id).delete()
    db.session.add(
        Address(party_id=party.id, is_default=True, address="Main St. 12", postal_code="10115", city="Berlin")
    )
    db.session.flush()
    return party


def queue() -> dict[tuple[int, int], DuplicateCandidate]:
    db.session.flush()
    db.session.expire_all()
    return {(one.first_party_id, one.second_party_id): one for one in db.session.scalars(select(DuplicateCandidate))}


def find() -> dict[str, Any]:
    db.session.flush()
    *_, last = list(find_all())
    assert isinstance(last, Step)
    assert last.result is not None
    return last.result


def test_all_are_searched_and_what_was_found_waits_in_the_queue_with_its_reasons(session):
    one, two, mother = (
        ann(),
        ann(first_name="Anne", name="Anne Lee"),
        ann(name="Gertrud Lee", first_name="Gertrud", email="gertrud@example.com", date_of_birth="1950-01-12"),
    )
    told = find()
    assert (told["parties"], told["likely"], told["new"]) == (3, 1, 1)
    found = queue()
    assert list(found) == [(one.id, two.id)], mother.id
    kept = found[one.id, two.id]
    assert kept.state is CandidateState.OPEN
    assert kept.score > 90
    assert kept.reasons.startswith("same last name; same date of birth; same e-mail; same phone")
    assert list(undecided()) == [(one.code, two.code, kept.score, kept.reasons)]
    assert find()["new"] == 0
    assert db.session.scalar(select(func.count()).select_from(DuplicateNote)) == 0


def test_what_a_person_has_decided_or_said_stays_and_what_is_not_likely_any_more_goes(session):
    by, _ = access.create_user(email="decider@example.com", role="admin")
    one, two, three = ann(), ann(), ann()
    find()
    command_named(CANDIDATE, "different").run(queue()[one.id, two.id], by=by)
    stranger = make(CUSTOMER, name="Bo Xu")
    make(CANDIDATE, first_party_id=one.id, second_party_id=stranger.id, score=100)
    three.email = three.phone = three.date_of_birth = None
    three.first_name, three.last_name, three.name = "Zoe", "Quist", "Zoe Quist"
    find()
    found = queue()
    assert found[one.id, two.id].state is CandidateState.DIFFERENT
    assert found[one.id, stranger.id].score == 100
    assert (one.id, three.id) not in found, "it is somebody else now"


def test_looking_at_what_has_changed_finds_what_a_search_of_all_would(session, monkeypatch):
    ann()
    find()
    for changes in ({"first_name": "Anne"}, {"email": None, "phone": None}, {"first_name": "Lee", "last_name": "Ann"},
                    {"date_of_birth": "1980-01-04", "phone": "+4989999999"}, {"name": "Bo Xu", "first_name": "Bo", "last_name": "Xu"},
                    {"kind": "organization", "name": "Lee Ltd", "first_name": None, "last_name": None}):  # fmt: skip
        ann(**changes)
    assert search_changed() > 0
    assert search_changed() == 0
    changed = {pair: (one.score, one.reasons) for pair, one in queue().items()}
    assert len(changed) > 5
    db.session.query(DuplicateCandidate).delete()
    # With the same weights: what was learned before is put back in place of what these few would teach.
    weights = db.session.scalars(select(DuplicateWeights)).one().weights
    monkeypatch.setattr(duplicate_search, "learned", lambda *_: Model.of_data(weights))
    find()
    assert {pair: (one.score, one.reasons) for pair, one in queue().items()} == changed


def test_a_job_that_looks_at_what_has_changed_finds_what_a_search_of_all_would_also_when_it_was_interrupted(session):
    ann()
    find()
    known = db.session.scalars(select(DuplicateWeights.learned_at)).one()
    (
        ann(first_name="Anne"),
        ann(email=None, phone=None),
        ann(name="Bo Xu", first_name="Bo", last_name="Xu", email="bo@example.com"),
    )
    db.session.flush()
    interrupted = find_all(anew=False)
    next(interrupted), next(interrupted)
    told = [*find_all(anew=False)][-1].result
    assert "learning" not in told["seconds"]
    assert db.session.scalar(select(func.count()).select_from(DuplicateNote)) == 0
    found = {pair: (one.score, one.reasons) for pair, one in queue().items()}
    assert told["new"] == len(found) > 2
    db.session.query(DuplicateCandidate).delete()
    db.session.execute(text("INSERT INTO duplicate_note (party_id) SELECT id FROM party"))
    search_changed()
    assert {pair: (one.score, one.reasons) for pair, one in queue().items()} == found
    assert db.session.scalars(select(DuplicateWeights.learned_at)).one() == known, "it learns nothing"


def test_only_what_is_compared_is_noted_and_who_is_archived_has_no_keys(session):
    party = ann()
    search_changed()
    party.description, party.industry = "Nice", "Toys"
    db.session.flush()
    assert search_changed() == 0
    assert db.session.get(DuplicateKeys, party.id) is not None
    party.addresses[0].city = "Potsdam"
    db.session.flush()
    assert search_changed() == 2, "the row's old and new party"
    party.addresses[0].country = "AT"
    db.session.flush()
    assert search_changed() == 2, "what is common is told by country"
    party.archived_at = func.now()
    db.session.flush()
    assert search_changed() == 1
    db.session.expire_all()
    assert db.session.get(DuplicateKeys, party.id) is None


def test_a_new_record_is_told_whom_it_may_be_but_never_of_whom_the_person_may_not_see(session):
    boss, _ = access.create_user(email="boss@example.com", role="admin")
    rep, _ = access.create_user(email="rep@example.com", role="sales_rep")
    one = ann(owner_id=boss.id)
    search_changed()
    given = {"name": "Anne Lee", "email": "ann.lee@example.com", "address": "12 Main Street", "postal_code": "10115"}
    (likely,) = likely_duplicates(CUSTOMER, given, Asking.of(boss))
    assert (likely.party.id, likely.reasons) == (
        one.id,
        "same last name; same e-mail; same street; same house number; first name alike; same postcode",
    )
    assert likely.score > 90
    assert likely_duplicates(CUSTOMER, given, Asking.of(rep)) == []
    one.owner_id = rep.id
    db.session.flush()
    assert [found.party.id for found in likely_duplicates(CUSTOMER, given, Asking.of(rep))] == [one.id]
    assert likely_duplicates(CUSTOMER, {"name": "Bo Xu", "email": "bo@example.com"}, Asking.of(boss)) == []
    assert likely_duplicates(CUSTOMER, {}, Asking.of(boss)) == []


def test_who_shares_the_rarest_keys_is_compared_first_and_keys_of_far_too_many_are_not_asked_for(session, monkeypatch):
    boss, _ = access.create_user(email="boss@example.com", role="admin")
    one = ann(phone=None)
    others = [ann(email=f"{number}@example.com", phone=None, date_of_birth=None) for number in range(4)]
    search_changed()
    given = {"name": "Ann Lee", "email": "ann.lee@example.com", "address": "Main St. 12", "postal_code": "10115"}
    assert len(likely_duplicates(CUSTOMER, given, Asking.of(boss))) == 5, others
    monkeypatch.setattr("crm.queries.duplicates.COMPARED", 1)
    assert [found.party.id for found in likely_duplicates(CUSTOMER, given, Asking.of(boss))] == [one.id]
    every = frozenset(key for keys in db.session.scalars(select(DuplicateKeys.keys)) for key in keys)
    monkeypatch.setattr("crm.queries.duplicates.model", lambda: Model(crowded=every))
    assert likely_duplicates(CUSTOMER, given, Asking.of(boss)) == []
