"""Real files that belong together: each links to those before it, and the figures are what plain sums over the file say."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from decimal import Decimal

import pytest
from sqlalchemy import text

from crm.core.entity import db
from crm.core.figures import settle
from crm.importing.storage import uploads
from crm.models.imports import Duplicates
from tests.importing.conftest import counts


def rows_of(path) -> list[dict[str, str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def cut(path, folder, keep):
    """The rows of a file that `keep` wants, as a file."""
    rows = [row for number, row in enumerate(rows_of(path)) if keep(number, row)]
    made = folder / path.name.removesuffix(".gz")
    with made.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return made


def refused(record) -> list[dict[str, str]]:
    return rows_of(uploads() / record.refused_name) if record.refused_name else []


def ask(sql: str, **values) -> list[tuple]:
    return [tuple(row) for row in db.session.execute(text(sql), values)]


SALES = {
    "ProductKey": "product", "OrderDateKey": "order.ordered_at", "DueDateKey": "order.due_on", "ShipDateKey": "order.shipped_on",
    "CustomerKey": "order.customer", "SalesOrderNumber": "order.number", "SalesAmount": "unit_price",
}  # fmt: skip


@pytest.mark.soak
def test_adventureworks_customers_products_and_orders_with_lines(bring, shared, tmp_path, soak_round):
    """Three files, linked by the numbers of their system; total spent per customer is the sum over the file."""
    some = 58_168 if soak_round else 3_000
    sold = cut(shared / "adventureworks_FactInternetSales.csv.gz", tmp_path, lambda number, _: number < some)
    lines = rows_of(sold)
    buyers = {row["CustomerKey"] for row in lines}
    people = bring(
        cut(shared / "adventureworks_DimCustomer.csv.gz", tmp_path, lambda _, row: row["CustomerKey"] in buyers), system="aw",
        columns={"CustomerKey": "external_id", "Full Name": "name", "FirstName": "first_name", "LastName": "last_name"},
    )  # fmt: skip
    assert counts(people) == {"created": len(buyers)}
    products = bring(
        shared / "adventureworks_DimProduct.csv.gz", "products", constants={"kind": "part"},
        columns={"ProductKey": "sku", "Product Name": "name", "Product Category": "category.name", "ProductItemCode": "model"},
    )  # fmt: skip
    assert counts(products) == {"created": 606}
    assert ask("SELECT count(*), count(category_id) FROM product") == [
        (606, sum(row["Product Category"] != "NULL" for row in rows_of(shared / "adventureworks_DimProduct.csv.gz")))
    ]
    fixed = {"order.currency": "USD", "order.state": "completed"}
    sales = bring(sold, "purchases", system="aw", columns=SALES, constants=fixed)
    assert counts(sales) == {"created": len(lines)}, refused(sales)[:3]
    settle()

    spent: dict[str, Decimal] = defaultdict(Decimal)
    orders: dict[str, set[str]] = defaultdict(set)
    for row in lines:
        spent[row["CustomerKey"]] += Decimal(row["SalesAmount"])
        orders[row["CustomerKey"]].add(row["SalesOrderNumber"])
    told = ask(
        "SELECT e.external_id, f.total_spent, f.orders_count FROM customer_figures f "
        "JOIN external_id e ON e.record = f.id AND e.entity = 'party' AND e.system = 'aw'"
    )
    assert {key: (total, number) for key, total, number in told} == {
        key: (spent[key], len(orders[key])) for key in buyers
    }
    numbers = {row["SalesOrderNumber"] for row in lines}
    assert f"{len(numbers):,} orders came with the rows" in sales.remarks
    assert ask("SELECT count(*), count(DISTINCT number) FROM sales_order") == [(len(numbers), len(numbers))]
    names = dict(ask("SELECT sku, name FROM product"))
    assert ask("SELECT count(*) FROM order_line l JOIN product p ON p.id = l.product_id WHERE l.name = p.name") == [
        (len(lines),)
    ]
    assert {row["ProductKey"] for row in lines} <= names.keys()
    # What is there already is left as it is: no order gets its lines twice.
    again = cut(sold, tmp_path, lambda number, _: number < 50)
    assert counts(bring(again, "purchases", system="aw", columns=SALES, constants=fixed)) == {"skipped": 50}


def test_companies_of_maven_with_their_groups_and_products(bring, shared):
    accounts = shared / "maven_crm_accounts.csv"
    names = {
        "Account": "name",
        "Sector": "industry",
        " Revenue ": "annual_revenue",
        "Employees": "employees",
        "Office_Location": "country",
    }
    bring(accounts, columns={key.strip(): name for key, name in names.items()})
    parents = bring(
        accounts,
        "relations",
        constants={"kind": "parent"},
        columns={"Subsidiary_Of": "from_party", "Account": "to_party"},
    )
    rows = rows_of(accounts)
    known = {row["Account"] for row in rows if row["Office_Location"] != "Philipines"}
    groups = {(row["Subsidiary_Of"], row["Account"]) for row in rows if row["Subsidiary_Of"]}
    linked = {(parent, child) for parent, child in groups if parent in known and child in known}
    assert counts(parents) == {"created": len(linked), "refused": len(rows) - len(linked)}
    assert set(ask(
        "SELECT a.name, b.name FROM relation r JOIN party a ON a.id = r.from_party_id JOIN party b ON b.id = r.to_party_id "
        "WHERE r.kind = 'parent'"
    )) == linked  # fmt: skip
    products = bring(
        shared / "maven_crm_products.csv",
        "products",
        constants={"kind": "service", "currency": "USD"},
        columns={"Product": "name", "Series": "model", "Sales_Price": "price"},
    )
    assert counts(products) == {"created": 7}


STAGES = {"stage": {"lead": "prospecting", "presentation": "demo"}}


def test_companies_people_and_deals_of_salesforce_hang_together_by_letters(bring, shared):
    bring(
        shared / "salesforce_import_accounts.csv",
        system="salesforce",
        columns={"id": "external_id", "company_name": "company_name", "telephone": "phone", "email": "email"},
    )
    people = bring(
        shared / "salesforce_import_contacts.csv",
        "contacts",
        system="salesforce",
        columns={
            "company": "party",
            "first_name": "first_name",
            "last_name": "last_name",
            "email": "email",
            "telephone": "phone",
        },
    )
    assert counts(people) == {"created": 100}
    deals = bring(
        shared / "salesforce_import_opportunities.csv",
        "deals",
        system="salesforce",
        constants={"currency": "USD"},
        words=STAGES,
        columns={
            "id": "external_id",
            "company": "customer",
            "opportunity_name": "name",
            "opportunity_stage": "stage",
            "close_date": "close_on",
            "amount": "amount",
        },
    )
    assert counts(deals) == {"created": 1000}, refused(deals)[:3]
    rows = rows_of(shared / "salesforce_import_opportunities.csv")
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        amounts[row["company"]] += Decimal(row["amount"])
    of_letter = "JOIN external_id e ON e.entity = 'party' AND e.system = 'salesforce' AND e.record ="
    assert dict(ask(f"SELECT e.external_id, sum(d.amount) FROM deal d {of_letter} d.customer_id GROUP BY 1")) == amounts
    contacts = rows_of(shared / "salesforce_import_contacts.csv")
    letters = {row["company"] for row in contacts}
    assert dict(ask(f"SELECT e.external_id, count(*) FROM contact c {of_letter} c.party_id GROUP BY 1")) == {
        letter: sum(row["company"] == letter for row in contacts) for letter in letters
    }
    assert ask("SELECT count(*) FROM contact WHERE is_primary") == [(len(letters),)], "the first one of each is primary"
    changed = "id,company,opportunity_name,amount\n1,E,Another name,1.50\n2,Z,Nobody's,1\n"
    update = bring(changed, "deals", system="salesforce", duplicates=Duplicates.UPDATE,
                   columns={"id": "external_id", "company": "customer", "opportunity_name": "name", "amount": "amount"})  # fmt: skip
    assert counts(update) == {"updated": 1, "refused": 1}
    assert "there is no customer with the number there" in refused(update)[0]["_error"]
    assert ask(
        "SELECT d.name, d.amount FROM deal d JOIN external_id e ON e.entity = 'deal' AND e.record = d.id AND e.external_id = '1'"
    ) == [("Another name", Decimal("1.5"))]


@pytest.mark.soak
def test_vehicles_with_service_intervals_and_what_is_hard_to_believe(bring, shared, tmp_path, soak_round):
    file = cut(shared / "vehicle_maintenance_5000.csv", tmp_path, lambda number, _: soak_round or number < 1_000)
    record = bring(
        file,
        "vehicles",
        columns={
            "make": "brand",
            "model_year": "year",
            "engine_type": "engine",
            "mileage": "mileage",
            "service_interval": "service_interval_days",
        },
    )
    rows = rows_of(file)
    assert counts(record) == {"created": len(rows)}, refused(record)[:3]
    odd = sum(row["make"] == "Tesla" and row["engine_type"] != "electric" for row in rows)
    assert f"{odd:,} vehicles have another engine than their brand builds: please check" in record.remarks
    assert "were rounded to whole numbers" in record.remarks
    days: dict[int, int] = defaultdict(int)
    for row in rows:
        days[int(row["service_interval"])] += 1
    assert dict(ask("SELECT service_interval_days, count(*) FROM vehicle GROUP BY 1")) == days
