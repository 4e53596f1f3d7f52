"""What the lines of deals, quotes and orders have in common: what, how many, for how much."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import text
from sqlalchemy.orm import Mapped, declared_attr, relationship

from crm.core.entity import Entity, db
from crm.core.fields import decimal_field, money_field, reference_field, text_field
from crm.core.rules import rule
from crm.models.products import Product

WHAT = ("product", "name", "sku", "quantity", "unit_price", "discount", "tax")


class Line(Entity):
    """One thing on a deal, quote or order. Its amounts are in the currency of what it stands on; sums over lines are
    never stored there, they are worked out with the figures."""

    __abstract__ = True
    holder: ClassVar[tuple[str, type[Entity]]]  # the name of the reference to what it stands on, and its entity

    product_id: Mapped[int | None] = reference_field("product", table="product", help="Fills in what you leave empty")
    name: Mapped[str] = text_field(required=True, label="Product or service", synonyms=("product name", "item"))
    sku: Mapped[str | None] = text_field(max_length=64, label="SKU", synonyms=("product code", "item code"))
    quantity: Mapped[Decimal] = decimal_field(decimals=3, column={"server_default": text("1")}, synonyms=("qty",))
    unit_price: Mapped[Decimal] = money_field(required=True, minimum=0, synonyms=("price", "sales amount"))
    discount: Mapped[Decimal] = money_field(minimum=0, help="An amount, for the whole line",
                                            column={"server_default": text("0")})  # fmt: skip
    tax: Mapped[Decimal] = money_field(minimum=0, help="An amount, for the whole line", column={"server_default": text("0")},
                                       synonyms=("taxes",))  # fmt: skip
    total: Mapped[Decimal] = money_field(computed="quantity * unit_price - discount + tax", editable=False,
                                         column={"nullable": False})  # fmt: skip

    @declared_attr
    def product(cls) -> Mapped[Product | None]:
        return relationship(lazy="selectin")

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """What the product says of itself, where nothing else is given; its price only in the same currency."""
        product = _given(Product, values.get("product"))
        if product is None:
            return
        said: dict[str, Any] = {"name": product.name, "sku": product.sku}
        name, entity = cls.holder
        holder = _given(entity, values.get(name))
        if holder is not None and holder.currency == product.currency:
            said |= {"unit_price": product.price, "unit_cost": product.unit_cost}
        values |= {name: value for name, value in said.items() if values.get(name) in (None, "")}


def line_rules() -> tuple[Any, ...]:
    """What holds for the amounts of every line."""
    return (rule("quantity", "quantity > 0", "must be more than 0"),
            rule("discount", "discount <= round(quantity * unit_price, 4)", "is more than the price"))  # fmt: skip


def _given(entity: type[Any], raw: Any) -> Any:
    """The record of what a person or program gave as its number; None where that is none."""
    given = raw.get("id") if isinstance(raw, Mapping) else raw
    number = str(given)
    return db.session.get(entity, int(number)) if re.fullmatch(r"[1-9][0-9]{0,17}", number) else None
