"""Authority on credit in other hands: never more than the approver's own, never handed on, and four eyes over all of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete, select, text

from crm.commands.credit import approve, refuse
from crm.commands.credit_delegations import delegate, revoke
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.access import Role, User, UserRole
from crm.models.credit_accounts import ApprovalBand
from crm.models.credit_delegations import CreditDelegation
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.queries.credit_decisions import IN_YOUR_NAME, NOT_FOR, OWN, TWICE, preview
from tests.commands.test_ledgers import asked, person, told
from tests.factories import make


@pytest.fixture
def account(session: Any) -> Any:
    return make(face_named("credit_account"))


def band(role: str) -> ApprovalBand:
    return db.session.scalars(select(ApprovalBand).join(Role).where(Role.name == role)).one()


def hand(of: User, to: User, *, role: str = "credit_approver", days: int = 5, **more: Any) -> str:
    values = {
        "to": to.id,
        "since": None,
        "until": today() + dt.timedelta(days=days),
        "up_to": None,
        "reason": "On holiday",
    }
    return told(delegate, band(role), of, **(values | more))


def said(request: Any) -> list[tuple[int, int | None, bool]]:
    db.session.expire_all()
    return [(one.decided_by_id, one.on_behalf_of_id, one.final) for one in request.decisions]


def test_a_delegate_decides_within_the_other_s_authority_and_the_decision_says_whose_it_was(account: Any) -> None:
    seller, manager, cleo = (person(role, name) for role, name in (
        ("admin", "Sue"), ("manager", "Max"), ("credit_approver", "Cleo")))  # fmt: skip
    account.party.owner_id = manager.id
    assert hand(cleo, manager, up_to=Decimal(60_000)) == ""
    small, middle, large = (asked(account, seller, amount) for amount in (9_000, 50_000, 70_000))
    own = asked(account, cleo, 40_000)
    settle()
    among = CreditRequest.id.in_([small.id, own.id])
    foreseen = preview(select(CreditRequest).where(among), manager, "refuse")
    assert [(one.why, one.behalf, one.number) for one in foreseen] == [(None, None, 2)], (
        "to refuse he needs nobody's authority"
    )
    assert told(approve, large, manager, reason=None, even_stale=True) == "it is above your authority of 60,000"
    assert told(approve, own, manager, reason=None, even_stale=True) == NOT_FOR
    assert told(approve, small, manager, reason=None, even_stale=True) == ""
    assert told(approve, middle, manager, reason=None, even_stale=True) == ""
    assert said(small) == [(manager.id, None, True)], "what is within his own band he decides by that"
    assert said(middle) == [(manager.id, cleo.id, True)]
    assert (account.credit_limit, middle.decisions[0].words) == (50_000, "Approved by Max for Cleo")
    made = db.session.query(CreditDelegation).one()
    assert told(revoke, made, cleo) == ""
    assert told(revoke, made, cleo) == "it is revoked already"
    assert told(approve, asked(account, seller, 55_000), manager, reason=None, even_stale=True).startswith(
        "it is above"
    )


def test_nobody_stands_behind_both_decisions_of_a_request(account: Any) -> None:
    seller, cleo, dan, eve, max_ = (person(role, name) for role, name in (
        ("admin", "Sue"), ("credit_approver", "Cleo"), ("credit_approver", "Dan"), ("credit_approver", "Eve"), ("manager", "Max")))  # fmt: skip
    account.party.owner_id = max_.id
    assert hand(cleo, max_) == "" == hand(dan, max_)
    request = asked(account, seller, 500_000)
    assert told(approve, request, max_, reason=None) == ""
    assert said(request) == [(max_.id, cleo.id, False)]
    assert told(approve, request, max_, reason=None) == TWICE
    assert told(approve, request, cleo, reason=None) == IN_YOUR_NAME
    assert told(approve, request, dan, reason=None) == ""
    assert said(request) == [(max_.id, cleo.id, False), (dan.id, None, True)]
    other = asked(account, cleo, 600_000)
    assert told(approve, other, cleo, reason=None) == OWN
    assert told(approve, other, max_, reason=None, even_stale=True) == ""
    assert said(other) == [(max_.id, dan.id, False)], "not for who asked"
    assert told(refuse, other, dan, reason="No") == IN_YOUR_NAME
    assert told(approve, other, eve, reason=None, even_stale=True) == ""


def test_nobody_hands_over_what_he_does_not_have_and_nobody_hands_it_on(account: Any) -> None:
    seller, manager, second, cleo, admin = (person(role, name) for role, name in (
        ("admin", "Sue"), ("manager", "Max"), ("manager", "Mia"), ("credit_approver", "Cleo"), ("admin", "Ada")))  # fmt: skip
    account.party.owner_id = second.id
    not_yours = "this isn't your band: nobody hands over what he doesn't have"
    assert [hand(one, cleo) for one in (seller, manager, admin)] == [not_yours] * 3
    assert hand(cleo, seller) == hand(cleo, admin) == "that person doesn't decide on credit: choose another approver"
    assert hand(cleo, cleo) == "that is you"
    assert hand(cleo, manager, days=-1).startswith("the days")
    assert hand(manager, second, role="manager", up_to=Decimal(10_001)).startswith("give an amount")
    assert hand(cleo, manager) == "" == hand(manager, second, role="manager")
    request = asked(account, seller, 50_000)
    assert told(approve, request, second, reason=None) == "it is above your authority of 10,000", "no chain"
    db.session.execute(
        text("UPDATE party SET owner_id = :other WHERE id = :id"), {"other": cleo.id, "id": account.party_id}
    )
    assert told(approve, asked(account, seller, 9_000), cleo, reason=None) == ""
    # Who loses it can't have lent it.
    db.session.execute(delete(UserRole).where(UserRole.user_id == cleo.id))
    assert told(approve, request, manager, reason=None, even_stale=True) == "it is above your authority of 10,000"


def test_the_database_keeps_it_whatever_the_command_thinks(account: Any) -> None:
    seller, cleo, dan, eve = (person(role, name) for role, name in (
        ("admin", "Sue"), ("credit_approver", "Cleo"), ("credit_approver", "Dan"), ("credit_approver", "Eve")))  # fmt: skip
    request = asked(account, seller, 500_000)
    assert hand(cleo, dan, up_to=Decimal(500)) == "" == hand(eve, dan, days=0)

    def decide(by: User, behalf: User | None, step: int = 1, limit: int = 400) -> None:
        with db.session.begin_nested():
            db.session.add(CreditDecision(request_id=request.id, account_id=account.id, requested_by_id=seller.id, decided_by_id=by.id,
                                          on_behalf_of_id=behalf.id if behalf else None, step=step, final=step == 2,
                                          verdict="approved", credit_limit=limit))  # fmt: skip
            db.session.flush()

    def refused(why: str, *given: Any, **more: Any) -> None:
        with pytest.raises(Exception, match=why) as fault:
            decide(*given, **more)
        assert isinstance(fault.value.orig, psycopg.errors.IntegrityError)  # type: ignore[attr-defined]

    refused("has not handed that over", dan, cleo, limit=501)
    refused("has not handed that over", cleo, dan)
    refused("on_behalf_of_other", dan, dan)
    refused("on_behalf_of_rule", dan, seller)
    decide(dan, cleo)
    refused("uq_credit_decision_authority", cleo, None, step=2)
    refused("has approved it already", cleo, eve, step=2)
    refused("uq_credit_decision", dan, eve, step=2)
    decide(eve, None, step=2)


def test_the_desk_says_who_decides_for_whom(session: Any, as_user: Any) -> None:
    person_, other = as_user("manager"), as_user("credit_approver")
    seller = as_user("sales_rep").user_id
    party = make(face_named("customer"), owner_id=person_.user_id)
    account = make(face_named("credit_account"), party_id=party.id)
    request = make(face_named("credit_request"), account_id=account.id, amount=50_000, requested_by_id=seller)
    session.commit()
    desk = "/admin/credit-requests/decide/"
    page = other.client.get(desk).text
    assert f"action=delegate&amp;rowid={band('credit_approver').id}" in page
    sent = {"action": "delegate", "rowid": band("credit_approver").id, "confirm": "1", "to": person_.user_id,
            "until": str(today()), "up_to": "60000", "next": desk}  # fmt: skip
    assert other.client.post("/admin/approval-bands/action/", data=sent).location == desk
    assert "decides for you as well, up to" in other.client.get(desk).text
    page = person_.client.get(desk).text
    assert "as well, up to" in page
    assert "You decide this one by that authority" in page
    asked_for = person_.client.get(
        "/admin/credit-requests/action/", query_string={"action": "approve", "rowid": request.id}
    ).text
    assert 'preview-why">For ' in asked_for
    made = session.scalars(select(CreditDelegation)).one()
    revoking = {"action": "revoke", "rowid": made.id, "confirm": "1"}
    assert as_user("credit_approver").client.post("/admin/credit-delegations/action/", data=revoking).status_code in (
        302,
        303,
        404,
    )
    session.expire_all()
    assert made.revoked_at is None, "of others only who handed it over"
    other.client.post("/admin/credit-delegations/action/", data=revoking)
    session.expire_all()
    assert made.revoked_by_id == other.user_id
    assert "as well" not in person_.client.get(desk).text
