"""What importing knows of lines: they say what their product says, and the amounts that a file gives otherwise."""

# ruff: noqa: S608 - statements are put together from declarations

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any

from crm.core.entity import Face
from crm.core.fields import Field
from crm.importing.rule_base import Rules
from crm.models.sales_lines import Line

_MONEY = Decimal("0.0001")


class LineRules(Rules):
    """Lines of orders, quotes and deals say what their product says, where the file says nothing of its own."""

    filled = ("name", "sku", "unit_price", "unit_cost", "discount")

    def targets(self, face: Face) -> list[Field]:
        total = replace(face.fields["total"], label="Line total", editable=True, minimum=0, decimals=4,
                        help="What the line comes to: its price or discount follows from it",
                        synonyms=("sales", "line total", "line amount", "extended price"))  # fmt: skip
        share = Field(kind="decimal", name="discount_share", attribute="discount_share", label="Discount as a share of the price",
                      minimum=0, maximum=1, decimals=6, of="discount", help="0.2 is a fifth of the price")  # fmt: skip
        return [total, share]

    def prepare(self, face: Face, data: dict[str, Any]) -> None:
        """Which product is meant isn't known yet; see `fill`."""

    def fills(self, mapped: frozenset[str]) -> frozenset[str]:
        """The line's own price follows from its total; what it is called, and else its price, from its product."""
        product = {"name", "unit_price"} if "product" in mapped else set()
        return frozenset(product | ({"unit_price"} if "total" in mapped else set()))

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        """Price and discount that come to exactly the total that the file says, with a price of four decimals: what doesn't
        divide lies in the discount."""
        share = _number(data.pop("discount_share", None))
        total, quantity, price = (_number(data.get(name)) for name in ("total", "quantity", "unit_price"))
        quantity = Decimal(1) if quantity is None else quantity
        if total is None:
            if share is not None and price is not None:
                data["discount"] = str((quantity * price * share).quantize(_MONEY, ROUND_HALF_UP))
            return
        data.pop("total")
        if quantity <= 0:
            raise ValueError("Quantity: must be more than 0")
        bare = total - (_number(data.get("tax")) or 0)
        if price is None:
            given = _number(data.get("discount")) or Decimal(0)
            whole = bare / (1 - share) if share is not None and share < 1 else bare + given
            price = (whole / quantity).quantize(_MONEY, ROUND_UP)
            data["unit_price"] = str(price)
        discount = (quantity * price - bare).quantize(_MONEY, ROUND_HALF_UP)
        if discount < 0:
            raise ValueError("Line total: is more than quantity times price")
        data["discount"] = str(discount)

    def fill(self, face: Face) -> str | None:
        assert issubclass(face.entity, Line)
        link, holder = face.entity.holder
        known = {"name": "p.name", "sku": "p.sku"}
        priced = {name: f"CASE WHEN h.currency = p.currency THEN p.{other} END"
                  for name, other in (("unit_price", "price"), ("unit_cost", "unit_cost"))}  # fmt: skip
        pairs = ", ".join(f"'{name}', {value}" for name, value in (known | priced).items())
        return (
            f"SELECT jsonb_strip_nulls(jsonb_build_object({pairs})) FROM "
            "(SELECT * FROM product WHERE id = CAST(r.data->>'product_id' AS bigint) OFFSET 0) p CROSS JOIN "
            f"(SELECT * FROM {holder.__tablename__} WHERE id = CAST(r.data->>'{link}_id' AS bigint) OFFSET 0) h"
        )


class ReturnLineRules(Rules):
    """What came back is written with a minus by many; the refund is what was paid for so many."""

    filled = ("amount",)

    def targets(self, face: Face) -> list[Field]:
        return [Field(kind="money", name="unit_price", attribute="unit_price", label="Price of one", minimum=0, of="amount",
                      help="The refund is so much for each, where the file doesn't say it", synonyms=("price",))]  # fmt: skip

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        price, quantity = _number(data.pop("unit_price", None)), _number(data.get("quantity"))
        if quantity is not None:
            data["quantity"] = str(abs(quantity))
        if price is not None and not data.get("amount"):
            data["amount"] = str((abs(quantity or Decimal(1)) * price).quantize(_MONEY, ROUND_HALF_UP))


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)
