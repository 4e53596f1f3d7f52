"""Orders that are held for credit: let through by somebody, or accepted when they fit again."""

from __future__ import annotations

import datetime as dt
from functools import partial

from sqlalchemy import select, text

from crm.commands import records
from crm.commands.communications import refuse_archived
from crm.core import figures
from crm.core.command import Refused, command
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import AccountState, OverLimit
from crm.models.credit_orders import LOCKED, CreditRelease
from crm.models.sales_figures import OrderFigures
from crm.models.sales_orders import Order, OrderCredit, OrderLine, OrderState
from crm.queries.credit_check import left_on, policy


@command(Order, "Release", icon="lock-open", tone="warning", confirm="The order goes on above the customer's credit.",
         asks={"reason": field_of("long_text", required=True, field_class=FieldClass.FINANCIAL)},
         applies=lambda order: order.credit is OrderCredit.HELD and order.state is OrderState.PENDING)  # fmt: skip
def release(order: Order, *, by: User, reason: str) -> None:
    """Let an order through that is held for credit. Somebody else reviews that later."""
    refuse_archived(order.customer)
    if order.credit is not OrderCredit.HELD:
        raise Refused("it isn't held for credit")
    if order.state is not OrderState.PENDING:
        raise Refused(f"it is {order.state.label.lower()}")
    if order.owner_id == by.id:
        raise Refused("you sold it yourself: somebody else must release it")
    figures.settle()
    amount = db.session.scalar(select(OrderFigures.to_bill).where(OrderFigures.id == order.id))
    db.session.add(CreditRelease(order_id=order.id, amount=amount, held_because=order.credit_reason, reason=reason,
                                 released_by_id=by.id))  # fmt: skip
    order.credit, order.credit_reason = OrderCredit.RELEASED, None
    db.session.flush()


@command(CreditRelease, "Reviewed", icon="clipboard-check", applies=lambda made: made.reviewed_at is None)
def review(made: CreditRelease, *, by: User) -> None:
    """Note that you looked at it."""
    refuse_archived(made.order.customer)
    if made.reviewed_at is not None:
        raise Refused("it is reviewed already")
    if made.released_by_id == by.id:
        raise Refused("you released it yourself: somebody else must review it")
    made.reviewed_at, made.reviewed_by_id = dt.datetime.now(dt.UTC), by.id


@records.after_saved(Order, OrderLine)
def _refuse_now() -> None:
    """Where orders above the limit are refused, whoever enters one is told beside the form, not as all of it is kept."""
    if policy().over_limit is OverLimit.REFUSE:
        figures.settle()


def accept_what_fits() -> int:
    """Accept orders that were held and fit by now: something was paid, a limit raised, a hold is over. Answers how many."""
    waiting = """SELECT a.id FROM credit_account a JOIN LATERAL (
            SELECT min(q.to_bill) AS least FROM sales_order o JOIN order_figures q ON q.id = o.id
             WHERE o.customer_id = a.party_id AND o.credit = 'held' AND o.state = 'pending') w ON true
        WHERE a.state = 'open' AND w.least IS NOT NULL AND w.least <= credit_room(a.id) ORDER BY a.id"""
    accounts = run_in_transaction(lambda: list(db.session.scalars(text(waiting))))
    return sum(run_in_transaction(partial(_accept, number)) for number in accounts)


def _accept(number: int) -> int:
    """The oldest first; a large one that doesn't fit doesn't keep a small one out."""
    db.session.execute(text(LOCKED.format(account=":account")), {"account": number})
    account = db.session.get_one(CreditAccount, number, populate_existing=True)
    if account.state is not AccountState.OPEN:
        return 0
    blocked, room = left_on(account)
    if blocked is not None:
        return 0
    done = 0
    # Who is changing an order just now has it checked again with that.
    held = (select(Order, OrderFigures.to_bill).join(OrderFigures, OrderFigures.id == Order.id)
            .where(Order.customer_id == account.party_id, Order.credit == OrderCredit.HELD, Order.state == OrderState.PENDING)
            .order_by(Order.id))  # fmt: skip
    for order, amount in db.session.execute(held.with_for_update(skip_locked=True, of=Order)).all():
        if amount <= room:
            order.credit, order.credit_reason = OrderCredit.ACCEPTED, None
            room -= amount
            done += 1
    return done
