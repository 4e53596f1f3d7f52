"""What a customer buys, when, and on which channels one meets them: worked out when the page opens.

Of the newest completed orders that the person may see; so a customer with very many costs no more than one with some.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Numeric,
    Select,
    Text,
    bindparam,
    cast,
    distinct,
    extract,
    func,
    literal,
    select,
    union_all,
)

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
    found: dict[str, list[Any]] = {name: [] for name in ("bought", "often", "category", "month", "channel")}
    for row in db.session.execute(_asked(Asking.of(actor)), {"party": party_id}):
        found[row.what].append(row)
    months = {int(row.name): int(row.number) for row in found["month"]}
    return Habits(
        most_bought=[(row.name, row.number) for row in found["bought"]],
        often_bought=[(row.name, int(row.number)) for row in found["often"]],
        categories=[row.name for row in found["category"]],
        seasons=[months.get(number, 0) for number in range(1, 13)] if months else [],
        channels=[(Channel(row.name), int(row.number)) for row in found["channel"]],
    )


@lru_cache(maxsize=256)  # to put it together takes longer than to ask it
def _asked(actor: Asking) -> Any:
    """One question for all of them: what it is about, a name, how many; of each what there is most of first."""
    party = bindparam("party", type_=BigInteger())
    orders = visible(face_named("order"), actor).where(
        Order.customer_id == party, Order.state == OrderState.COMPLETED).order_by(Order.ordered_at.desc())  # fmt: skip
    bought = orders.with_only_columns(Order.id, Order.ordered_at).limit(NEWEST).cte("bought")
    lines = select(OrderLine).join(bought, bought.c.id == OrderLine.order_id)
    quantity, often = func.sum(OrderLine.quantity), func.count(distinct(OrderLine.order_id))
    products = lines.join(Product, Product.id == OrderLine.product_id)
    categories = products.join(ProductCategory, ProductCategory.id == Product.category_id)
    newest = (visible(face_named("interaction"), actor).where(Interaction.party_id == party,
              Interaction.state == InteractionState.DONE).order_by(Interaction.occurred_at.desc(), Interaction.id.desc())
              .with_only_columns(Interaction.channel, Interaction.occurred_at).limit(NEWEST).subquery())  # fmt: skip
    month = extract("month", bought.c.ordered_at)
    parts = (
        _counted(lines, "bought", OrderLine.name, quantity, OrderLine.name).limit(SHOWN),
        _counted(lines, "often", OrderLine.name, often, OrderLine.name).limit(SHOWN),
        _counted(categories, "category", ProductCategory.name, often, ProductCategory.name).limit(SHOWN),
        _counted(select(bought), "month", month, func.count(), month),
        _counted(select(newest), "channel", newest.c.channel, func.count(), func.max(newest.c.occurred_at).desc()),
    )
    told = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(told.c.what, told.c.name, told.c.number).order_by(told.c.what, told.c.place)


def _counted(rows: Select[Any], what: str, name: Any, number: Any, then: Any) -> Select[Any]:
    """How many of each name, most first, then by `then`."""
    order = (number.desc(), then)
    place = func.row_number().over(order_by=order).label("place")
    return (rows.with_only_columns(literal(what).label("what"), cast(name, Text).label("name"),
                                   cast(number, Numeric).label("number"), place)
            .group_by(name).order_by(*order))  # fmt: skip
