"""Interactions, tickets, surveys, contracts, consents: what must hold of them, by screen, program or plain SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from crm.commands import access, partners, privacy, records, support
from crm.core.audit import Acting, acting_as
from crm.core.command import Command, Refused, WrongInput
from crm.core.entity import Face, all_faces, db, face_named
from crm.models.access import User
from crm.models.compliance import PolicyConfirmation
from crm.models.privacy import Consent
from crm.models.privacy_choices import ConsentSource, ConsentState
from crm.models.support_choices import SurveyKind, TicketState
from tests.factories import form_values, make, ordered

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def by(session: Any) -> Iterator[User]:
    user, _ = access.create_user(email="doer@example.com", role="admin", name="Dora Doer")
    session.commit()
    with acting_as(Acting(user.id, "test")):
        yield user


def do(command: Command, record: Any, by: User, **values: Any) -> None:
    command.run(record, by=by, **values)
    db.session.flush()


def entered(name: str, by: User, **values: Any) -> Any:
    return records.create(face_named(name), values, by)


def test_an_interaction_is_told_by_the_words_of_the_documents(by: User) -> None:
    customer = make(face_named("customer"))
    common: dict[str, Any] = {"party": customer.id, "channel": "email", "subject": "Hello"}
    words = {("inbound", "done"): "received", ("outbound", "done"): "sent", ("outbound", "pending"): "pending",
             ("inbound", "failed"): "failed"}  # fmt: skip
    for (direction, state), word in words.items():
        assert entered("interaction", by, **common, direction=direction, state=state).status == word
    answer = entered(
        "interaction", by, **common, asked_at=NOON, occurred_at=NOON + dt.timedelta(minutes=90, seconds=59)
    )
    db.session.refresh(answer)
    assert (answer.response_minutes, answer.handled_by_id) == (90, by.id)
    with pytest.raises(WrongInput, match="occurred_at lies before “asked”"):
        entered("interaction", by, **common, asked_at=NOON, occurred_at=NOON - dt.timedelta(seconds=1))


def test_a_ticket_goes_up_is_resolved_and_opened_again(by: User) -> None:
    ticket = make(face_named("ticket"), opened_at=NOON)
    do(support.escalate, ticket, by, reason="Nobody answers", to=by.id)
    do(support.escalate, ticket, by, reason="Still nobody", to=None)
    db.session.refresh(ticket)
    assert sorted(one.level for one in ticket.escalations) == [1, 2]
    do(support.resolve, ticket, by, resolution="Called back", first_contact=None)
    assert {one.outcome for one in ticket.escalations} == {"Called back"}
    do(support.close, ticket, by)
    with pytest.raises(Refused, match="it is closed"):
        support.escalate.run(ticket, by=by, reason="Again", to=None)
    do(support.reopen, ticket, by)
    db.session.refresh(ticket)
    assert (ticket.state, ticket.resolution_minutes, ticket.reopened) == (TicketState.OPEN, None, 1)
    assert ticket.response_minutes is not None  # the first answer was given all the same
    with pytest.raises(IntegrityError, match="resolved_at_state"), db.session.begin_nested():
        db.session.execute(text("UPDATE ticket SET state = 'resolved' WHERE id = :id"), {"id": ticket.id})


def test_a_score_lies_on_the_scale_of_its_survey_and_has_a_time(by: User) -> None:
    survey, customer = make(face_named("survey"), kind=SurveyKind.CES), make(face_named("customer"))
    answer = entered("survey_answer", by, survey=survey.id, party=customer.id, score=7)
    assert answer.answered_at is not None
    with pytest.raises(WrongInput, match="between 1 and 7"):
        records.update(face_named("survey_answer"), answer, {"score": 8}, by)
    assert answer.score == 7


def test_a_contract_says_until_when_to_give_notice(by: User) -> None:
    contract = make(
        face_named("contract"), starts_on=dt.date(2026, 1, 1), ends_on=dt.date(2026, 12, 31), notice_days=90
    )
    db.session.refresh(contract)
    assert contract.notice_by == dt.date(2026, 10, 2)
    with pytest.raises(Refused, match="it is draft"):
        partners.renew.run(contract, by=by, until=dt.date(2027, 12, 31))
    do(partners.activate, contract, by)
    do(partners.renew, contract, by, until=dt.date(2027, 12, 31))
    db.session.refresh(contract)
    assert contract.notice_by == dt.date(2027, 10, 2)
    do(partners.terminate, contract, by, reason="Closed", on=None)
    with pytest.raises(Refused, match="it is terminated"):
        partners.activate.run(contract, by=by)


def test_the_scores_of_a_party_are_averaged_over_what_is_rated(by: User) -> None:
    score = make(face_named("performance_score"), delivery=90, quality=85, cost=None, response=80)
    db.session.refresh(score)
    assert score.overall == 85


def test_a_policy_is_confirmed_once_by_each(by: User) -> None:
    policy = make(face_named("policy"))
    with pytest.raises(Refused, match="isn't in force"):
        partners.confirm.run(policy, by=by)
    do(partners.put_in_force, policy, by)
    do(partners.confirm, policy, by)
    with pytest.raises(Refused, match="already"):
        partners.confirm.run(policy, by=by)
    assert list(db.session.scalars(select(PolicyConfirmation.who_id))) == [by.id]


def test_consent_is_only_added_to_and_the_last_word_counts(by: User) -> None:
    given = make(face_named("consent"), state=ConsentState.GIVEN, decided_at=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    do(privacy.withdraw, given, by, source=ConsentSource.PHONE, evidence="Called on Monday")
    with pytest.raises(Refused, match="already"):
        privacy.withdraw.run(given, by=by, source=ConsentSource.PHONE, evidence="Again")
    lines = list(db.session.scalars(select(Consent).order_by(Consent.decided_at, Consent.id)))
    assert [line.state.value for line in lines] == ["given", "withdrawn"]
    assert (lines[1].purpose, lines[1].channel, lines[1].recorded_by_id) == (given.purpose, given.channel, by.id)
    assert not face_named("consent").about.edit
    assert not face_named("consent").about.delete


def test_a_privacy_request_is_done_for_whom_it_is_and_in_time(by: User) -> None:
    first, ccpa = (make(face_named("privacy_request"), kind="erasure", law=law, received_on=NOON.date(), requester=None)
                   for law in ("gdpr", "ccpa"))  # fmt: skip
    for request, days in ((first, 30), (ccpa, 45)):
        db.session.refresh(request)
        assert request.due_on == NOON.date() + dt.timedelta(days=days)
    with pytest.raises(Refused, match="identity"):
        privacy.complete.run(first, by=by, outcome="Gone")
    do(privacy.check_identity, first, by, how="Passport")
    with pytest.raises(WrongInput, match="legal_hold_reason is missing"):
        records.update(face_named("privacy_request"), first, {"legal_hold": True}, by)
    records.update(face_named("privacy_request"), first, {"legal_hold": True, "legal_hold_reason": "Lawsuit"}, by)
    with pytest.raises(Refused, match="legal hold"):
        privacy.complete.run(first, by=by, outcome="Gone")


def test_an_external_id_means_one_record_in_its_system(by: User) -> None:
    customer = make(face_named("customer"))
    values = {"system": "erp", "external_id": "4711", "entity": "customer", "record": customer.id}
    face_named("external_id").entity.complete(values)
    made = entered("external_id", by, **values)
    assert made.entity == "party"
    for wrong, told in (({"record": 0}, "is no party"), ({"entity": "job"}, "no kind of record"), ({}, "taken"),
                        ({"external_id": "4712"}, "taken")):  # fmt: skip
        with pytest.raises(WrongInput, match=told):
            entered("external_id", by, **(values | wrong))


RULED = [(face, *pair) for face in all_faces() if face is face.entity.faces[0] and face.about.create
         for pair in ordered(face.entity) if set(pair) <= {field.name for field in face.form_fields}]  # fmt: skip


@pytest.mark.parametrize(("face", "first", "last"), RULED, ids=lambda one: getattr(one, "name", one))
def test_what_is_out_of_order_is_told_at_its_field(face: Face, first: str, last: str, by: User) -> None:
    values = form_values(face)
    values[last] = values[first] - (dt.timedelta(days=1) if isinstance(values[first], dt.date) else 1)
    kept = {first, last}.union(*(pair for pair in ordered(face.entity) if pair != (first, last)))
    others = kept - {first, last}
    with pytest.raises(WrongInput) as caught:
        records.create(face, {name: value for name, value in values.items() if name not in others}, by)
    assert len(caught.value.errors) == 1
    assert {first, last} >= set(caught.value.errors)
