"""What a customer buys, when, and on which channels one meets them: worked out when the page opens.

Of the newest completed orders that the person may see; so a customer with very many costs no more than one with some.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, bindparam, distinct, extract, func, select

from crm.core.entity import db, face_named
from crm.core.permissions import Actor, Asking
from crm.models.communication_choices import Channel, InteractionState
from crm.models.communications import Interaction
from crm.models.products import Product, ProductCategory
from crm.models.sales_orders import Order, OrderLine, OrderState
from crm.queries.scope import visible

NEWEST, SHOWN = 1_000, 5


@dataclass(frozen=True)
class Habits:
    """Each list begins with what there is most of. `most_bought` is by quantity, `often_bought` by the number of orders;
    `seasons` has the orders of each month, January first, or nothing without any."""

    most_bought: list[tuple[str, Decimal]]
    often_bought: list[tuple[str, int]]
    categories: list[str]
    seasons: list[int]
    channels: list[tuple[Channel, int]]


def habits_of(party_id: int, actor: Actor) -> Habits:
    most_bought, often_bought, categories, by_month, channels = (
        [tuple(row) for row in db.session.execute(statement, {"party": party_id})] for statement in _asked(Asking.of(actor)))  # fmt: skip
    months = {int(number): count for number, count in by_month}
    return Habits(most_bought, often_bought, [name for (name,) in categories],
                  [months.get(number, 0) for number in range(1, 13)] if months else [], channels)  # fmt: skip


@lru_cache(maxsize=256)  # to put them together takes longer than to ask them
def _asked(actor: Asking) -> tuple[Any, ...]:
    """The questions, in the order of `Habits`."""
    party = bindparam("party", type_=BigInteger())
    orders = visible(face_named("order"), actor).where(
        Order.customer_id == party, Order.state == OrderState.COMPLETED).order_by(Order.ordered_at.desc())  # fmt: skip
    bought = orders.with_only_columns(Order.id, Order.ordered_at).limit(NEWEST).subquery()
    lines = select(OrderLine).join(bought, bought.c.id == OrderLine.order_id)
    quantity, often = func.sum(OrderLine.quantity), func.count(distinct(OrderLine.order_id))
    named = lines.group_by(OrderLine.name).limit(SHOWN)
    category = (lines.join(Product, Product.id == OrderLine.product_id).join(ProductCategory, ProductCategory.id == Product.category_id)
                .with_only_columns(ProductCategory.name).group_by(ProductCategory.name)
                .order_by(often.desc(), ProductCategory.name).limit(SHOWN))  # fmt: skip
    month = extract("month", bought.c.ordered_at)
    newest = (visible(face_named("interaction"), actor).where(Interaction.party_id == party,
              Interaction.state == InteractionState.DONE).order_by(Interaction.occurred_at.desc(), Interaction.id.desc())
              .with_only_columns(Interaction.channel, Interaction.occurred_at).limit(NEWEST).subquery())  # fmt: skip
    number, last = func.count(), func.max(newest.c.occurred_at)
    return (
        named.with_only_columns(OrderLine.name, quantity).order_by(quantity.desc(), OrderLine.name),
        named.with_only_columns(OrderLine.name, often).order_by(often.desc(), OrderLine.name),
        category,
        select(month, func.count()).group_by(month),
        select(newest.c.channel, number).group_by(newest.c.channel).order_by(number.desc(), last.desc()),
    )
