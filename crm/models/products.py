"""What is sold: products and services, their categories, and what other currencies are worth on a day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import FetchedValue, UniqueConstraint, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    boolean_field,
    choice_field,
    currency_field,
    date_field,
    decimal_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import rule, with_currency
from crm.core.triggers import Trigger


class ProductKind(Choice):
    VEHICLE = "vehicle", "Vehicle", "info"
    PART = "part", "Part", "neutral"
    ACCESSORY = "accessory", "Accessory", "neutral"
    SERVICE = "service", "Service", "info"
    PREMIUM_SERVICE = "premium_service", "Premium service", "warning"


class ProductCategory(Entity):
    """A group of products; groups may lie in groups."""

    about = About(
        area="Products", icon="layers", label="Category", label_plural="Categories", columns=("name", "parent", "description"),
        search=("name",), filters=("parent", "name"), sort=("name",), delete=True,
        related=("children", "products"), sections=(Section("Category", ("name", "parent", "description")),),
        help="What kinds of things you sell. Customers' preferred category comes from here.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    parent_id: Mapped[int | None] = reference_field("product_category", table="product_category", label="Part of")
    description: Mapped[str | None] = long_text_field()
    parent: Mapped[ProductCategory | None] = relationship(remote_side="ProductCategory.id", back_populates="children")
    children: Mapped[list[ProductCategory]] = relationship(
        back_populates="parent", order_by=name, passive_deletes="all"
    )
    products: Mapped[list[Product]] = relationship(back_populates="category", order_by="Product.name",
                                                   passive_deletes="all")  # fmt: skip

    __table_args__ = (rule("parent", "parent_id <> id", "is the category itself"),)

    # Two changes that are right alone can make a circle together: one at a time.
    triggers = (
        Trigger("product_category_no_circle", "AFTER INSERT OR UPDATE OF parent_id", each="ROW", body="""
BEGIN
  PERFORM pg_advisory_xact_lock(7240704);
  IF EXISTS (
    WITH RECURSIVE above AS (
      SELECT NEW.parent_id AS id
      UNION SELECT c.parent_id FROM above a JOIN product_category c ON c.id = a.id
    ) SELECT FROM above WHERE id = NEW.id) THEN
    RAISE EXCEPTION 'lies in this category itself'
      USING ERRCODE = 'check_violation', COLUMN = 'parent', TABLE = 'product_category';
  END IF;
  RETURN NULL;
END"""),
    )  # fmt: skip


class Product(Entity):
    """Something you sell: a vehicle, part, accessory or service."""

    about = About(
        area="Products", icon="package", columns=("name", "sku", "kind", "category", "price", "currency", "active"),
        search=("name", "sku", "brand", "model"), sort=("name", "created_at"), delete=True, brings=("category",),
        filters=("kind", "category", "active", "brand", "model", "price", "currency", "tax_rate", "sku", "name", "created_at"),
        sections=(Section("Product", ("name", "sku", "kind", "category", "brand", "model", "description", "active")),
                  Section("Price", ("price", "currency", "unit_cost", "tax_rate"),
                          "Lines of quotes and orders begin with these; what was sold keeps its own.")),
        help="Everything that can stand on a quote or order.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, synonyms=("product", "product name", "item"))
    sku: Mapped[str] = text_field(required=True, max_length=64, label="SKU", column={"unique": True},
        help="Your code of it; no other product has it",
        synonyms=("product code", "item code", "product id", "product key", "stock code", "stockcode", "code"))  # fmt: skip
    kind: Mapped[ProductKind] = choice_field(ProductKind, required=True)
    category_id: Mapped[int | None] = reference_field("product_category", table="product_category")
    brand: Mapped[str | None] = text_field(max_length=120, synonyms=("make", "manufacturer"))
    model: Mapped[str | None] = text_field(max_length=120, synonyms=("series", "product model name"))
    description: Mapped[str | None] = long_text_field(synonyms=("product description",))
    price: Mapped[Decimal | None] = money_field(minimum=0, field_class=None, help="For one, without tax",
                                                synonyms=("sales price", "unit price", "list price"))  # fmt: skip
    currency: Mapped[str | None] = currency_field()
    unit_cost: Mapped[Decimal | None] = money_field(minimum=0, help="What one costs you", synonyms=("cost",))
    tax_rate: Mapped[Decimal | None] = decimal_field(minimum=0, maximum=100, label="Tax in per cent")
    active: Mapped[bool] = boolean_field(help="Can be sold", column={"server_default": text("true")})
    category: Mapped[ProductCategory | None] = relationship(back_populates="products")

    __table_args__ = (with_currency("price", "unit_cost"),)


class CurrencyRate(Entity):
    """What one unit of another currency is worth in the company's, from a day on."""

    about = About(
        area="Products", icon="coins", title="currency", columns=("currency", "valid_from", "rate", "source"),
        filters=("currency", "valid_from"), sort=("valid_from",), delete=True,
        sections=(Section("Rate", ("currency", "valid_from", "rate", "source"),
                          "It holds until the next one of the same currency."),),
        help="Exchange rates by day: totals are told in the company's currency, the original is kept.",
    )  # fmt: skip

    currency: Mapped[str] = currency_field(required=True)
    valid_from: Mapped[dt.date] = date_field(required=True, label="From")
    rate: Mapped[Decimal] = decimal_field(required=True, decimals=8, label="Rate",
                                          help="What one unit is worth in the company's currency")  # fmt: skip
    source: Mapped[str | None] = text_field(max_length=120, help="Where the rate comes from")

    __table_args__ = (UniqueConstraint("currency", "valid_from"), rule("rate", "rate > 0", "must be more than 0"))


# What one unit of an amount's currency is worth in the company's; of an `Order` or `Deal`.
EXCHANGE_RATE: dict[str, Any] = {
    "decimals": 8, "help": "What one unit is worth in your company's currency; empty: what the rates of that day say",
    "column": {"server_default": FetchedValue()},
}  # fmt: skip


def rate_of_the_day(table: str, day: str) -> Trigger:
    """Where no rate is given, or the currency changes without one, the rate of that day; 1 where none is known."""
    return Trigger(f"{table}_exchange_rate", "BEFORE INSERT OR UPDATE", each="ROW", body=f"""
BEGIN
  IF NEW.exchange_rate IS NULL
     OR (TG_OP = 'UPDATE' AND NEW.currency IS DISTINCT FROM OLD.currency AND NEW.exchange_rate = OLD.exchange_rate) THEN
    NEW.exchange_rate := coalesce((SELECT r.rate FROM currency_rate r WHERE r.currency = NEW.currency
      AND r.valid_from <= {day} ORDER BY r.valid_from DESC LIMIT 1), 1);
  END IF;
  RETURN NEW;
END""")  # fmt: skip  # noqa: S608 - made of constants
