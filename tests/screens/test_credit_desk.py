"""The approver's desk: whose turn it is, what a batch would do before it does it, and why not of the others."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from sqlalchemy import select

from crm.commands.credit import approve, expire_requests, refuse
from crm.core.command import Command, perform, perform_set
from crm.core.entity import face_named
from crm.core.figures import settle
from crm.models.access import User
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.queries.credit_decisions import ANOTHER, CHANGED, OLD, OWN
from tests.factories import make

HERE, ACTION = "/admin/credit-requests/decide/", "/admin/credit-requests/action/"


def asked(
    by: int, amount: int, *, days_ago: int = 1, name: str = "Ann", status: str = "pending", changed: bool = False
) -> CreditRequest:
    """A request as somebody made it some days ago; `changed`: the customer has bought much since."""
    account = make(face_named("credit_account"), party_id=make(face_named("customer"), name=name).id)
    settle()
    request: CreditRequest = make(face_named("credit_request"), account_id=account.id, amount=amount, requested_by_id=by, terms="net_60",
                                  status=status, created_at=dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago))  # fmt: skip
    if changed:
        make(face_named("invoice"), account_id=account.id, amount=amount, currency="EUR", exchange_rate=1)
        settle()
    return request


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def several(seller: int, own: int) -> list[CreditRequest]:
    """One of each kind: two that fit, one above the authority, an own one, an old and a changed one, one that is settled."""
    return [asked(seller, 4_000, name="First", days_ago=3), asked(seller, 6_000, name="Second", days_ago=2),
            asked(seller, 90_000, name="Large"), asked(own, 100, name="Own", days_ago=9), asked(seller, 200, name="Older", days_ago=40),
            asked(seller, 300, name="Changed", changed=True), asked(seller, 500, name="Settled", status="withdrawn")]  # fmt: skip


def test_what_is_the_person_s_to_decide_comes_first_with_the_figures_of_then_and_now(session, as_user):
    person, seller = as_user("manager"), as_user("sales_rep").user_id
    several(seller, person.user_id)
    session.commit()
    page = person.client.get(HERE).text
    assert re.findall(r'<span class="stack"><a href="[^"]+">(\w+)<', page) == [
        "Older",
        "First",
        "Second",
        "Changed",
        "Own",
        "Large",
    ]
    assert "4 yours to decide, of 6 pending" in words(page)
    assert "It is stale: asked too long ago" in words(page)
    second = session.scalars(select(CreditRequest).where(CreditRequest.amount == 300)).one()
    panel = words(person.client.get(HERE, query_string={"at": second.id}).text)
    assert re.search(r"Used 0\.00 (EUR )?300\.00", panel), "when asked, and now"
    assert "the account's figures have changed since" in panel.replace("&#39;", "'")
    assert person.client.get(HERE, query_string={"flt_amount_ge": 90_000}).text.count("data-href") == 1
    assert person.client.get(HERE, query_string={"flt_nothing_eq": 1}).status_code == 422
    reader = as_user("auditor").client.get(HERE).text
    assert "0 yours to decide" in words(reader)
    assert "data-ask data-key" not in reader


def test_the_preview_says_what_a_batch_will_do_and_it_does_that(session, as_user):
    person, seller = as_user("manager"), as_user("sales_rep").user_id
    them = several(seller, person.user_id)
    session.commit()
    sent: dict[str, Any] = {"action": "approve", "rowid": [one.id for one in them]}
    shown = words(person.client.get(ACTION, query_string=sent).text).replace("&#39;", "'")
    assert re.search(r"Approved 2 10,000\.00", shown)
    for why in (OWN, OLD, CHANGED, "it is above your authority of 10,000", "it is withdrawn already"):
        assert re.search(rf"Left as it is {re.escape(why[0].upper() + why[1:])} 1 ", shown), why
    everything = words(
        person.client.get(ACTION, query_string={"action": "approve", "all": 1, "flt_status_eq": "pending"}).text
    )
    assert re.search(r"Approved 2 10,000\.00", everything)
    answer = words(person.client.post(ACTION, data=sent | {"confirm": "1", "reason": "Good"}).text).replace(
        "&#39;", "'"
    )
    assert re.search(r"Done 2 .*Refused 5 ", answer)
    assert OLD in answer
    again = person.client.post(
        ACTION, data={"action": "approve", "rowid": them[4].id, "confirm": "1", "even_stale": "y", "next": HERE}
    )
    assert again.location == HERE
    session.expire_all()
    assert [one.status.value for one in them] == [
        "approved",
        "approved",
        "pending",
        "pending",
        "approved",
        "pending",
        "withdrawn",
    ]
    assert them[0].account.terms == "net_60"
    settle()
    session.expire_all()
    assert [one.account.credit_limit for one in them] == [4_000, 6_000, 0, 0, 200, 0, 0]


@pytest.mark.parametrize(
    ("made", "values"),
    [
        (approve, {"reason": None, "even_stale": False}),
        (approve, {"reason": "Good", "even_stale": True}),
        (refuse, {"reason": "No"}),
    ],
)
@pytest.mark.parametrize("role", ["manager", "credit_approver", "sales_rep"])
def test_the_set_form_decides_as_the_single_form_does(
    session, as_user, made: Command, values: dict[str, Any], role: str
):
    seller, decider = as_user("sales_rep").user_id, as_user(role).user_id
    by = session.get_one(User, decider)

    def outcome(as_set: bool) -> list[tuple[Any, ...]]:
        with session.begin_nested() as undone:
            ids = [one.id for one in (*several(seller, decider), asked(seller, 400_000))]
            if as_set:
                refused = perform_set(made, ids, by=by, values=values)
            else:
                refused = {one.id: one.reason for one in perform(made, ids, by=by, values=values) if not one.done}
            settle()
            session.expire_all()
            said = {one.request_id: (one.step, one.final, one.credit_limit, one.reason)
                    for one in session.scalars(select(CreditDecision).where(CreditDecision.request_id.in_(ids)))}  # fmt: skip
            told = [(refused.get(number), said.get(number), session.get_one(CreditRequest, number)) for number in ids]
            found = [
                (why, decision, one.status, one.account.terms, one.account.credit_limit) for why, decision, one in told
            ]
            undone.rollback()
        session.expire_all()
        return found

    assert outcome(as_set=True) == outcome(as_set=False)


def test_of_two_requests_of_an_account_a_batch_approves_the_first_and_refuses_both(session, as_user):
    seller, by = as_user("sales_rep").user_id, session.get_one(User, as_user("credit_approver").user_id)
    first = asked(seller, 1_000)
    second = make(face_named("credit_request"), account_id=first.account_id, amount=2_000, requested_by_id=seller)
    session.flush()
    values = {"reason": "Good", "even_stale": False}
    assert perform_set(approve, [first.id, second.id], by=by, values=values) == {second.id: ANOTHER}
    settle()
    session.expire_all()
    assert [first.status, second.status, first.account.credit_limit] == ["approved", "pending", 1_000]
    assert perform_set(approve, [second.id], by=by, values=values) == {second.id: CHANGED}
    assert perform_set(refuse, [second.id], by=by, values={"reason": "No"}) == {}


def test_what_nobody_decided_for_too_long_is_over(session, as_user):
    seller = as_user("sales_rep").user_id
    over, waits = asked(seller, 1, days_ago=91), asked(seller, 1, days_ago=89)
    session.commit()
    assert expire_requests() == 1
    session.expire_all()
    assert [over.status, waits.status] == ["expired", "pending"]
    person = as_user("credit_approver")
    answer = person.client.post(
        ACTION, data={"action": "approve", "rowid": over.id, "confirm": "1"}, follow_redirects=True
    )
    assert "it is expired already" in words(answer.text)
