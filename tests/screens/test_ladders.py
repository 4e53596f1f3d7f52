"""The page of a ladder: what it would have done in the past year, whatever is saved."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.access import User
from crm.models.ladder_moves import LadderMove
from crm.models.loyalty_accounts import PointEntry
from crm.models.party_figures import CustomerFigures
from crm.models.sales_orders import Order, OrderLine, OrderState
from crm.models.segment_choices import LadderMeasure
from crm.queries.ladder_simulation import simulated
from crm.queries.ladders import Rung
from tests.factories import make

CUSTOMER, SEGMENT, LADDER, STEP, RETURN, LINE, DEAL = (
    face_named(name) for name in ("customer", "segment", "ladder", "ladder_step", "return", "return_line", "deal")
)


def ago(days: int) -> dt.date:
    return today() - dt.timedelta(days)


def order(party: Any, days: int, amount: int) -> Order:
    made = Order(customer_id=party.id, currency="EUR", state=OrderState.COMPLETED,
                 ordered_at=dt.datetime.combine(ago(days), dt.time(12), dt.UTC),
                 lines=[OrderLine(name="A", unit_price=Decimal(amount))])  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def returned(of: Order, days: int, amount: int) -> None:
    back = make(RETURN, order_id=of.id, state="refunded", requested_on=ago(days), approved_on=ago(days), received_on=ago(days),
                refunded_on=ago(days))  # fmt: skip
    make(LINE, sales_return_id=back.id, order_line_id=of.lines[0].id, quantity=1, amount=amount)


@pytest.fixture
def ladder(session: Any) -> Any:
    ladder = make(LADDER, name="Spending", measure="total_spent", grace_days=30, one_step=False)
    for position, name, enter, leave in ((1, "Silver", 1_000, 800), (2, "Gold", 5_000, 4_000)):
        make(
            STEP,
            ladder_id=ladder.id,
            position=position,
            enter_from=enter,
            leave_below=leave,
            segment_id=make(SEGMENT, name=name).id,
        )
    ann, bob, cleo, _ = (make(CUSTOMER) for _ in range(4))
    order(ann, 700, 2_000)
    order(ann, 200, 4_000)  # silver a year ago, gold since
    order(bob, 300, 1_200)
    returned(order(bob, 290, 4_000), 100, 4_000)  # silver, gold, and silver again after the grace
    order(cleo, 500, 900)
    settle()
    session.commit()
    return ladder


def test_the_page_tells_what_other_thresholds_would_have_done(ladder, as_user):
    person = as_user("admin").client
    address = f"/admin/ladders/details/?id={ladder.id}"

    def seen(page: str) -> list[tuple[str, ...]]:
        return re.findall(r'<td class="cell-name">(?:<strong>)?([^<]+)(?:</strong>)?</td><td class="num" data-label="[^"]+">(?:<strong>)?([^<]+)(?:</strong>)?</td>'
                          r'<td class="num" data-label="[^"]+">(?:<strong>)?([^<]+)(?:</strong>)?</td>', page)  # fmt: skip

    page = person.get(f"{address}&tab=simulation").text
    rows = seen(page)
    assert rows[:2] == [("Gold", "0", "1"), ("Silver", "1", "1")]
    assert rows[-1] == ("Together", "3", "1")
    assert len(rows) in (2 + 13 + 1, 2 + 14 + 1)
    assert "2 would have moved, 1 of them up as well as down" in page
    tried = {"tab": "simulation", "tried": "1", "enter_from_1": "900", "leave_below_1": "900", "enter_from_2": "9000",
             "leave_below_2": "9000", "grace_days": "0"}  # fmt: skip
    rows = seen(person.get("/admin/ladders/details/", query_string={"id": ladder.id} | tried).text)
    assert (rows[:2], rows[-1]) == ([("Gold", "0", "0"), ("Silver", "2", "3")], ("Together", "1", "0"))
    said = person.get(
        "/admin/ladders/details/",
        query_string={"id": ladder.id} | tried | {"enter_from_2": "50", "grace_days": "soon", "leave_below_1": ""},
    ).text
    assert "Step 1: leave below is required" in said
    assert "Grace (days)" in said
    assert "Who would stand where" not in said
    said = person.get("/admin/ladders/details/", query_string={"id": ladder.id} | tried | {"enter_from_2": "900"}).text
    assert "Step 2 one would have to leave it as soon as one enters" in said
    db.session.expire_all()
    assert [int(step.enter_from) for step in ladder.steps] == [1_000, 5_000]
    assert db.session.scalars(select(LadderMove)).all() == []
    assert "tab=simulation" not in as_user("sales_rep").client.get(address).text


@pytest.mark.parametrize("measure", LadderMeasure)
def test_what_is_told_of_today_is_what_the_figures_say(ladder, as_user, measure):
    """The past is put together from orders, returns, deals and points; in the end it must come to the figure itself."""
    some = db.session.scalars(select(Order.customer_id).order_by(Order.id)).first()
    make(DEAL, customer_id=some, stage="won", amount=700, currency="EUR", closed_on=ago(50))
    program = make(face_named("loyalty_program"), main=True)
    account = make(face_named("loyalty_account"), program_id=program.id, party_id=some)
    db.session.add_all([PointEntry(account_id=account.id, kind="earn", points=90, source="a"),
                        PointEntry(account_id=account.id, kind="redeem", points=-20, source="b")])  # fmt: skip
    settle()
    user = db.session.get_one(User, as_user("admin").user_id)
    least = Decimal(1)
    for figure in db.session.scalars(
        select(getattr(CustomerFigures, measure.value)).where(getattr(CustomerFigures, measure.value) >= least)
    ).all():
        # Whoever has exactly so much stands on it, and nobody does who has less.
        made = simulated(measure, [Rung(Decimal(figure), Decimal(figure))], user, grace_days=0, one_step=False)
        has = getattr(CustomerFigures, measure.value) >= figure
        assert made.after[1] == len(db.session.scalars(select(CustomerFigures.id).where(has)).all())
        assert made.after[1] > 0
