"""Points by program: the balance, what an order earns, held, given and voided, each once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from crm.core.entity import db, face_named
from crm.core.figures import settle
from tests.factories import make


@pytest.fixture
def account(session: Any) -> Any:
    program = make(
        face_named("loyalty_program"), main=True, currency="EUR", state="active", valid_from=None, valid_until=None
    )
    make(face_named("loyalty_terms"), program_id=program.id, valid_from=dt.date(2020, 1, 1), points_per_unit=Decimal(2))
    made = make(face_named("loyalty_account"), program_id=program.id, joined_on=dt.date(2020, 1, 1))
    order = make(face_named("order"), customer_id=made.party_id, state="completed", currency="EUR",
                 ordered_at=dt.datetime(2024, 5, 1, tzinfo=dt.UTC))  # fmt: skip
    make(face_named("order_line"), order_id=order.id, quantity=Decimal(1), unit_price=Decimal(50), discount=0, tax=0)
    settle()
    db.session.commit()
    made.bought = order.id
    return made


def test_points_are_earned_held_given_and_voided_by_program(program: Any, account: Any) -> None:
    ask = program()
    here = f"/loyalty-accounts/{account.id}"

    def points() -> int:
        settle()  # what a commit does
        [item] = ask.get(f"/customers/{account.party_id}/loyalty")["items"]
        return int(item["points"])

    assert points() == 0
    assert ask("POST", f"{here}/earn", {"order": account.bought}).get_json()["points"] == 100
    assert ask("POST", f"{here}/earn", {"order": account.bought}).status_code == 409
    once = {"Idempotency-Key": "till 4 bill 1"}
    first, again = (ask("POST", f"{here}/redeem", {"points": 60, "reference": "bill 1"}, **once) for _ in range(2))
    assert (first.status_code, again.status_code, again.get_json() == first.get_json()) == (200, 200, True)
    assert points() == 40
    assert ask("POST", f"{here}/redeem", {"points": 41}).status_code == 409
    assert ask("POST", f"{here}/redeem", {"points": 0}).status_code == 422
    [held] = ask.get("/redemptions?flt_reference_eq=bill%201")["items"]
    assert (held["state"], held["points"]) == ("held", 60)
    assert ask("POST", f"/redemptions/{held['id']}/void", {"reason": "Wrong bill"}).get_json()["state"] == "voided"
    assert points() == 100
    ask("POST", f"{here}/redeem", {"points": 100, "reference": "bill 2"})
    [held] = ask.get("/redemptions?flt_reference_eq=bill%202")["items"]
    assert ask("POST", f"/redemptions/{held['id']}/capture", {}).get_json()["state"] == "captured"
    assert ask("POST", f"/redemptions/{held['id']}/void", {"reason": "x"}).status_code == 409
    assert points() == 0


def test_points_are_for_those_who_may_see_them(program: Any, account: Any) -> None:
    assert program(role="credit_approver")("GET", f"/customers/{account.party_id}/loyalty").status_code == 403
    reader = program("customers:read", "loyalty-accounts:read")
    assert reader("POST", f"/loyalty-accounts/{account.id}/redeem", {"points": 1}).status_code == 403
    assert reader("POST", f"/customers/{account.party_id}/loyalty", {}).status_code == 405
