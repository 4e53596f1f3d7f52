"""Sheets that hold several kinds of records in each row: all come in, linked, and the figures are plain sums over the file."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest

from crm.core.entity import db
from crm.core.figures import differences, settle
from tests.importing.conftest import counts
from tests.importing.test_linked_files import ask, cut, refused, rows_of


@pytest.mark.soak
def test_superstore_makes_customers_orders_lines_and_products(bring, shared, tmp_path, soak_round):
    file = cut(shared / "superstore.csv", tmp_path, lambda number, _: soak_round or number < 1_500)
    rows = rows_of(file)
    record = bring(
        file, "purchases", system="superstore",
        columns={"Row ID": "external_id", "Order ID": "order.number", "Order Date": "order.ordered_at",
                 "Ship Date": "order.shipped_on", "Ship Mode": "order.delivery_method",
                 "Customer ID": "order.customer.account_number", "Customer Name": "order.customer.name",
                 "Country/Region": "order.customer.country", "City": "order.customer.city",
                 "State/Province": "order.customer.state", "Postal Code": "order.customer.postal_code",
                 "Product ID": "product.sku", "Category": "product.category.name", "Product Name": "product.name",
                 "Sales": "total", "Quantity": "quantity", "Discount": "discount_share"},
        constants={"order.state": "completed", "order.currency": "USD", "product.kind": "part", "name": "{Product Name}"},
        words={"order.delivery_method": dict.fromkeys(("Standard Class", "Second Class", "First Class", "Same Day"), "courier")},
    )  # fmt: skip
    assert counts(record) == {"created": len(rows)}, refused(record)[:3]
    settle()
    spent, orders = defaultdict(Decimal), defaultdict(set)
    for row in rows:
        spent[row["Customer ID"]] += Decimal(row["Sales"])
        orders[row["Customer ID"]].add(row["Order ID"])
    told = ask(
        "SELECT p.account_number, f.total_spent, f.orders_count FROM customer_figures f JOIN party p ON p.id = f.id"
    )
    assert {key: (total, number) for key, total, number in told} == {
        key: (spent[key], len(orders[key])) for key in spent
    }
    assert ask("SELECT count(*), count(DISTINCT number) FROM sales_order") == [
        (len({r["Order ID"] for r in rows}),) * 2
    ]
    products = {row["Product ID"]: row["Category"] for row in reversed(rows)}
    assert dict(ask("SELECT p.sku, c.name FROM product p JOIN product_category c ON c.id = p.category_id")) == products
    assert ask("SELECT to_char(min(ordered_at), 'YYYY-MM-DD') FROM sales_order")[0][0] == "2019-01-03", (
        "the day comes first"
    )
    line = next(row for row in rows if row["Sales"] == "16.448")
    assert ask("SELECT quantity, unit_price, discount, total FROM order_line l JOIN external_id e ON e.record = l.id AND "
               "e.entity = 'order_line' AND e.external_id = :row", row=line["Row ID"]) == [
        (Decimal(2), Decimal("10.28"), Decimal("4.112"), Decimal("16.448"))]  # fmt: skip
    assert not list(differences(db.session.connection()))


COUNTRIES = {"EIRE": "Ireland", "RSA": "South Africa", "Korea": "South Korea", "USA": "US", "Unspecified": "",
             "Channel Islands": "", "West Indies": ""}  # fmt: skip
BUYER = {"Customer ID": "account_number", "Country": "country"}
WHO = {"account_number": "Unknown customer", "name": "Customer {Customer ID}"}
ORDER = {"currency": "GBP"}


def below(path: str, given: dict[str, str]) -> dict[str, str]:
    return {key: path + name for key, name in given.items()}


def of(path: str, given: dict) -> dict:
    return {path + name: value for name, value in given.items()}


@pytest.mark.soak
def test_online_retail_makes_orders_of_some_rows_and_returns_of_the_others(bring, shared, tmp_path, soak_round):
    """Lines by invoice number, cancellations as returns of what was bought before, exact duplicates, no customer."""
    some = 525_461 if soak_round else 3_000
    file = cut(shared / "online_retail_ii_2009_2010.csv.gz", tmp_path, lambda number, _: number < some)
    rows = rows_of(file)
    sales = bring(
        file, "purchases", only={"Invoice": "!C*"}, words=of("order.customer.", {"country": COUNTRIES}),
        columns={"Invoice": "order.number", "InvoiceDate": "order.ordered_at", "StockCode": "product.sku",
                 "Description": "product.name", "Quantity": "quantity", "Price": "unit_price"} | below("order.customer.", BUYER),
        constants={"order.state": "completed", "product.kind": "part", "product.name": "{StockCode}",
                   **of("order.", ORDER), **of("order.customer.", WHO)},
    )  # fmt: skip
    came = bring(
        file, "return_line", only={"Invoice": "C*"}, words=of("sales_return.order.customer.", {"country": COUNTRIES}),
        columns={"Invoice": "sales_return.number", "InvoiceDate": "sales_return.order.ordered_at", "Description": "name",
                 "Quantity": "quantity", "Price": "unit_price"} | below("sales_return.order.customer.", BUYER),
        constants={"name": "{StockCode}", "sales_return.state": "refunded", "sales_return.reason": "other",
                   "sales_return.requested_on": "{InvoiceDate}", "sales_return.refunded_on": "{InvoiceDate}",
                   "sales_return.order.number": "{Invoice}", "sales_return.order.state": "returned",
                   **of("sales_return.order.", ORDER), **of("sales_return.order.customer.", WHO)},
    )  # fmt: skip
    settle()
    sold = [row for row in rows if row["Invoice"][0] != "C" and int(row["Quantity"]) > 0 and Decimal(row["Price"]) >= 0]
    back = [row for row in rows if row["Invoice"][0] == "C" and int(row["Quantity"]) < 0]
    assert counts(sales) == {
        name: number
        for name, number in (
            ("created", len(sold)),
            ("skipped", len([row for row in rows if row["Invoice"][0] == "C"])),
            ("refused", len(rows) - len(sold) - len([row for row in rows if row["Invoice"][0] == "C"])),
        )
        if number
    }
    assert {row["_error"] for row in refused(sales)} <= {
        "Quantity: must be more than 0",
        "Unit price: must be 0 or more",
    }
    assert counts(came)["created"] == len(back)
    spent, orders = defaultdict(Decimal), defaultdict(set)
    for row in sold + back:
        spent[row["Customer ID"].removesuffix(".0") or "Unknown customer"] += int(row["Quantity"]) * Decimal(
            row["Price"]
        )
    for row in sold:
        orders[row["Customer ID"].removesuffix(".0") or "Unknown customer"].add(row["Invoice"])
    told = ask(
        "SELECT p.account_number, f.total_spent, f.orders_count FROM customer_figures f JOIN party p ON p.id = f.id"
    )
    assert {key: (total, number) for key, total, number in told} == {
        key: (spent[key], len(orders[key])) for key in spent
    }
    assert ask("SELECT count(DISTINCT number), count(*) FROM sales_return") == [
        (len({row["Invoice"] for row in back}),) * 2
    ]
    assert ask("SELECT sum(amount) FROM return_line") == [
        (-sum(int(r["Quantity"]) * Decimal(r["Price"]) for r in back),)
    ]
    assert ask("SELECT name FROM party WHERE account_number = '13085'") == [("Customer 13085",)]
    assert not list(differences(db.session.connection()))
