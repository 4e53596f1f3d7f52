"""What the database holds products, orders and their kin to, and what follows from one of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from crm.commands import access, records
from crm.commands.leads import reassign
from crm.commands.sales import finish, reopen
from crm.core.audit import Acting, acting_as
from crm.core.command import WrongInput, perform
from crm.core.entity import db, face_named
from crm.models.access import User
from crm.models.sales_journey import OnboardingStep, StageChange
from crm.models.sales_orders import LineReturn, ReturnState
from tests.factories import make


@pytest.fixture
def by(session: Any) -> Iterator[User]:
    user, _ = access.create_user(email="doer@example.com", role="admin", name="Dora Doer")
    session.commit()
    with acting_as(Acting(user.id, "test")):
        yield user


def made(name: str, by: User, /, **given: Any) -> Any:
    """As a screen or the API makes it, from text."""
    face = face_named(name)
    return records.create(face, records.read_values(face, given, by, new=True), by)


def refused(name: str, by: User, /, **given: Any) -> dict[str, str]:
    with pytest.raises(WrongInput) as fault:
        made(name, by, **given)
    return fault.value.errors


def test_a_line_takes_from_the_product_what_nobody_said(by: User) -> None:
    product = make(face_named("product"), name="Bicycle", sku="BK-1", price=Decimal("99.90"), unit_cost=Decimal(60),
                   currency="EUR")  # fmt: skip
    order = make(face_named("order"), currency="EUR")
    line = made("order_line", by, order=order.id, product=product.id, quantity="3", tax="10")
    assert (line.name, line.sku, line.unit_price, line.unit_cost) == ("Bicycle", "BK-1", Decimal("99.90"), 60)
    assert (line.discount, line.total) == (0, Decimal("309.70"))
    other = make(face_named("order"), currency="USD")
    assert refused("order_line", by, order=other.id, product=product.id) == {"unit_price": "is required"}
    said = made("order_line", by, order=other.id, product=product.id, unit_price="120", name="Bike")
    assert (said.name, said.sku, said.unit_cost) == ("Bike", "BK-1", None)


def test_what_amounts_can_not_be(by: User) -> None:
    order = make(face_named("order"))
    line = {"order": order.id, "name": "x", "unit_price": "10"}
    assert refused("order_line", by, **line, quantity="0") == {"quantity": "must be more than 0"}
    assert refused("order_line", by, **line, discount="10.01") == {"discount": "is more than the price"}
    assert refused("order_line", by, **line, tax="-1") == {"tax": "must be 0 or more"}
    customer = make(face_named("customer"))
    assert refused("deal", by, name="x", customer=customer.id, amount="5") == {"currency": "is required with an amount"}
    with pytest.raises(IntegrityError, match="tax_bounds"), db.session.begin_nested():
        db.session.execute(
            text("INSERT INTO order_line (order_id, name, unit_price, tax) VALUES (:o, 'x', 1, -1)"), {"o": order.id}
        )


def test_the_expected_amount_of_a_deal_follows_from_its_probability(by: User) -> None:
    deal = make(face_named("deal"), amount=Decimal("1000.50"), currency="EUR", probability=25)
    assert deal.expected == Decimal("250.125")


def test_a_line_tells_how_its_return_stands_whoever_writes(by: User) -> None:
    line = make(face_named("order_line"), quantity=Decimal(3))
    first = made("return", by, order=line.order_id, reason="defect")
    back = made("return_line", by, sales_return=first.id, order_line=line.id, quantity="2", amount="20")
    assert _told(line) is LineReturn.REQUESTED
    first.state = ReturnState.REFUNDED
    assert _told(line) is LineReturn.REFUNDED
    db.session.execute(text("UPDATE sales_return SET state = 'refused' WHERE id = :id"), {"id": first.id})
    assert _told(line) is LineReturn.REFUSED
    db.session.delete(back)
    assert _told(line) is LineReturn.NONE


def _told(line: Any) -> LineReturn:
    db.session.flush()
    db.session.refresh(line)
    state: LineReturn = line.return_state
    return state


def test_no_more_comes_back_than_was_bought_and_only_of_that_order(by: User) -> None:
    line = make(face_named("order_line"), quantity=Decimal(3))
    one, two = (made("return", by, order=line.order_id, reason="defect") for _ in range(2))
    made("return_line", by, sales_return=one.id, order_line=line.id, quantity="2")
    too_many = {"quantity": "is more than was bought and has not come back yet"}
    assert refused("return_line", by, sales_return=two.id, order_line=line.id, quantity="2") == too_many
    one.state = ReturnState.REFUSED
    db.session.flush()
    made("return_line", by, sales_return=two.id, order_line=line.id, quantity="2")
    elsewhere = made("return", by, order=make(face_named("order")).id, reason="other")
    wrong = refused("return_line", by, sales_return=elsewhere.id, order_line=line.id, quantity="1")
    assert wrong == {"order_line": "is of another order than the return"}


def test_a_category_never_lies_in_itself(by: User) -> None:
    face = face_named("product_category")
    top = make(face)
    middle = make(face, parent_id=top.id)
    low = make(face, parent_id=middle.id)
    for category, parent in ((top, low), (top, top)):
        with pytest.raises(WrongInput, match="parent .* itself"):
            records.update(face, category, {"parent": parent.id}, by)


def test_two_vehicles_never_share_a_vin_however_it_is_written(by: User) -> None:
    made("vehicle", by, brand="Audi", vin="WAU ZZZ 8K 9BA 123456")
    assert "taken" in refused("vehicle", by, brand="Audi", vin="wauzzz8k9ba123456")["vin"]


def test_claims_and_days_stay_in_order(by: User) -> None:
    today = dt.datetime.now(dt.UTC).date()
    warranty, ended = (make(face_named("warranty"), ends_on=today - dt.timedelta(days)) for days in (0, 1))
    assert (warranty.standing, ended.standing) == ("Valid", "Ended")
    claim = {"warranty": warranty.id, "fault": "Gearbox", "currency": "EUR", "amount_claimed": "100"}
    assert refused("warranty_claim", by, **claim, amount_approved="101") == {
        "amount_approved": "is more than was claimed"
    }
    early = refused("warranty_claim", by, **claim, claimed_on="2026-05-02", decided_on="2026-05-01")
    assert early == {"decided_on": "lies before “claimed”"}


def test_each_change_of_stage_is_kept_with_who_and_what_was_before(by: User) -> None:
    customer = make(face_named("customer"))
    for stage, sub in (("prospect", "nurturing"), ("active", "onboarding")):
        records.update(face_named("customer"), customer, {"stage": stage, "sub_stage": sub}, by)
    records.update(face_named("customer"), customer, {"description": "New words"}, by)
    kept = db.session.scalars(
        select(StageChange).where(StageChange.party_id == customer.id).order_by(StageChange.id)
    ).all()
    assert [(one.stage_before, one.stage, one.sub_stage, one.changed_by_id) for one in kept] == [
        (None, "prospect", "nurturing", by.id),
        ("prospect", "active", "onboarding", by.id),
    ]


def test_an_onboarding_begins_with_the_steps_of_its_template(by: User) -> None:
    template = make(face_named("onboarding_template"))
    for name, days in (("Call", 3), ("Papers", 0)):
        make(face_named("onboarding_template_step"), template_id=template.id, name=name, due_days=days)
    begun = made(
        "onboarding", by, customer=make(face_named("customer")).id, template=template.id, started_on="2026-03-30"
    )
    assert [(step.name, step.due_on) for step in begun.steps] == [("Papers", dt.date(2026, 3, 30)),
                                                                  ("Call", dt.date(2026, 4, 2))]  # fmt: skip
    step = begun.steps[0]
    assert [one.reason for one in perform(finish, [step.id], by=by, values={})] == [""]
    assert step.done_by_id == by.id
    assert step.done_at is not None
    assert [one.reason for one in perform(finish, [step.id], by=by, values={})] == ["it is done already"]
    assert [one.reason for one in perform(reopen, [step.id], by=by, values={})] == [""]
    assert db.session.get_one(OnboardingStep, step.id).done_by_id is None


def test_a_lead_goes_to_somebody_who_works_here(by: User) -> None:
    lead, other = make(face_named("lead")), make(face_named("user"))
    outcomes = [
        perform(reassign, [lead.id], by=by, values={"owner": number})[0].reason
        for number in (other.id, other.id, 10**9)
    ]
    assert [bool(reason) for reason in outcomes] == [False, True, True]
    assert lead.owner_id == other.id


def test_the_map_of_the_journey_is_there_from_the_start(by: User) -> None:
    steps = db.session.execute(text("SELECT phase, name FROM journey_step ORDER BY position")).all()
    assert (len(steps), steps[0], steps[-1]) == (18, ("discovery", "Brand awareness"), ("advocacy", "Repeat purchase"))
