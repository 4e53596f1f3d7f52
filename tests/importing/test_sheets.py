"""Sheets that hold several kinds of records in each row: all come in, linked, and the figures are plain sums over the file."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from crm.core.entity import db, face_named
from crm.core.figures import differences, settle
from crm.importing.plan import Plan, open_for, row_filter, suggested_columns
from crm.importing.start import imported_before
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
    names = defaultdict(set)
    for row in rows:
        names[row["Product ID"]].add(row["Product Name"])
    two = len([each for each in names.values() if len(each) > 1])
    assert f"{two:,} products have more than one name in the rows: what the first row says was taken" in record.remarks
    settle()
    spent, orders, buyer, buyers = defaultdict(Decimal), defaultdict(set), {}, defaultdict(set)
    for row in rows:
        buyers[row["Order ID"]].add(row["Customer ID"])
        customer = buyer.setdefault(row["Order ID"], row["Customer ID"])  # an order is one customer's: the first row's
        spent[customer] += Decimal(row["Sales"])
        orders[customer].add(row["Order ID"])
    several = len([each for each in buyers.values() if len(each) > 1])
    assert several == (2 if soak_round else 0)
    assert (f"{several} orders have more than one customer in the rows" in record.remarks) is (several > 0)
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


def why_not(row: dict[str, str]) -> str:
    """What a sale is refused for: what was put right in the stock, bad debts, and a thousandth of a pound for a sample."""
    price = Decimal(row["Price"])
    if round(price, 2) != price:
        return "has more than 2 decimals; it isn't rounded silently"
    return "must be 0 or more" if price < 0 else "Quantity: must be more than 0" if int(row["Quantity"]) <= 0 else ""


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
        file, "return_line", only={"Invoice": "C*", "Quantity": "-*"}, words=of("sales_return.order.customer.", {"country": COUNTRIES}),
        columns={"Invoice": "sales_return.number", "InvoiceDate": "sales_return.order.ordered_at", "Description": "name",
                 "Quantity": "quantity", "Price": "unit_price"} | below("sales_return.order.customer.", BUYER),
        constants={"name": "{StockCode}", "sales_return.state": "refunded", "sales_return.reason": "other",
                   "sales_return.requested_on": "{InvoiceDate}", "sales_return.refunded_on": "{InvoiceDate}",
                   "sales_return.order.number": "{Invoice}", "sales_return.order.state": "returned",
                   **of("sales_return.order.", ORDER), **of("sales_return.order.customer.", WHO)},
    )  # fmt: skip
    settle()
    reasons = Counter("" if row["Invoice"][0] == "C" else why_not(row) for row in rows)
    sold = [row for row in rows if row["Invoice"][0] != "C" and not why_not(row)]
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
    told = Counter(row["_error"].partition("”")[2].strip() or row["_error"] for row in refused(sales))
    assert told == Counter({reason: number for reason, number in reasons.items() if reason})
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


def test_deals_of_a_later_sheet_with_their_products_and_customers(bring, shared):
    bring(shared / "maven_crm_accounts.csv", columns={"Account": "name"})
    bring(shared / "maven_crm_products.csv", "products", constants={"kind": "service", "currency": "USD"},
          columns={"Product": "name", "Sales_Price": "price"})  # fmt: skip
    file = shared / "maven_crm_sales.xlsx"
    table = open_for(face_named("deal_line"), file)
    assert table.options.sheet == "sales_pipeline"
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row.cells, strict=True)) for row in table.rows()]
    record = bring(
        file, "deal_line", name="sales.xlsx", system="maven",
        columns={"Opportunity_id": "deal.external_id", "Product": "product", "Account": "deal.customer", "Deal_stage": "deal.stage",
                 "Engage_date": "deal.opened_on", "Close_date": "deal.closed_on", "Close_value": "deal.amount"},
        constants={"deal.name": "{Product} for {Account}", "deal.currency": "USD"},
        words={"deal.stage": {"Engaging": "qualification"}, "product": {"GTXPro": "GTX Pro"}},
    )  # fmt: skip
    taken = [row for row in rows if row["Account"]]
    assert counts(record) == {"created": len(taken), "refused": 1_425}
    assert all("Customer: is empty" in row["_error"] for row in refused(record))
    settle()
    won = defaultdict(Decimal)
    for row in taken:
        won[row["Account"]] += Decimal(row["Close_value"] or 0) if row["Deal_stage"] == "Won" else 0
    assert dict(ask("SELECT p.name, coalesce(sum(d.amount) FILTER (WHERE d.stage = 'won'), 0) FROM deal d JOIN party p "
                    "ON p.id = d.customer_id GROUP BY 1")) == won  # fmt: skip
    assert ask("SELECT count(*), count(DISTINCT deal_id), count(product_id) FROM deal_line") == [(len(taken),) * 3]
    assert ask("SELECT p.name, d.opened_on::text, d.closed_on::text, d.name FROM deal d JOIN party p ON p.id = d.customer_id "
               "JOIN external_id e ON e.entity = 'deal' AND e.record = d.id AND e.external_id = '1C1I7A6R'") == [
        ("Cancity", "2016-10-20", "2017-03-01", "GTX Plus Basic for Cancity")]  # fmt: skip


NO_YEAR = {"vehicle.year": {"9999": "", "9999.0": ""}}
COMPLAINT = {"kind": "complaint", "subject": "Complaint", "party.name": "NHTSA", "party.kind": "organization"}


def test_complaints_become_tickets_on_vehicles_with_or_without_a_header(bring, shared):
    file = shared / "nhtsa_complaints_311.csv"
    record = bring(
        file, "tickets", system="nhtsa",
        columns={"CMPLID": "external_id", "COMPDESC": "subject", "CDESCR": "description", "DATEA": "opened_at",
                 "MAKETXT": "vehicle.brand", "MODELTXT": "vehicle.model", "YEARTXT": "vehicle.year", "FULL_VIN": "vehicle.vin"},
        constants=COMPLAINT, words=NO_YEAR,
    )  # fmt: skip
    rows = rows_of(file)
    assert counts(record) == {"created": len(rows)}, refused(record)[:3]
    whole = {row["FULL_VIN"] for row in rows if len(row["FULL_VIN"]) == 17 and "*" not in row["FULL_VIN"]}
    without = [row for row in rows if row["FULL_VIN"] not in whole]
    assert ask("SELECT count(*), count(vin) FROM vehicle") == [(len(whole) + len(without), len(whole))]
    assert ask("SELECT count(*), count(DISTINCT party_id), count(vehicle_id) FROM ticket") == [
        (len(rows), 1, len(rows))
    ]
    often = max(whole, key=lambda vin: sum(row["FULL_VIN"] == vin for row in rows))
    assert ask("SELECT count(*) FROM ticket t JOIN vehicle v ON v.id = t.vehicle_id WHERE v.vin = :vin", vin=often) == [
        (sum(row["FULL_VIN"] == often for row in rows),)]  # fmt: skip
    assert ask("SELECT t.opened_at::date::text, t.description = :told, v.year, v.brand FROM ticket t "
               "JOIN vehicle v ON v.id = t.vehicle_id JOIN external_id e ON e.entity = 'ticket' AND e.record = t.id "
               "WHERE e.external_id = '1965917'", told=rows[0]["CDESCR"]) == [("2024-02-13", True, 2019, "FORD")]  # fmt: skip

    bare = bring(
        shared / "nhtsa_complaints_headerless.txt", "tickets", name="complaints.txt", system="nhtsa old",
        columns={"1": "external_id", "12": "subject", "20": "description", "16": "opened_at", "4": "vehicle.brand",
                 "Column 5": "vehicle.model", "Column 6": "vehicle.year", "Column 15": "vehicle.vin"},
        constants=COMPLAINT, words=NO_YEAR,
    )  # fmt: skip
    assert counts(bare) == {"created": 101}, refused(bare)[:3]
    assert ask("SELECT vin, model FROM vehicle WHERE remarks = 'VIN as far as it was given: 1LNLM82W8RY'") == [
        (None, "TOWN CAR")
    ]
    assert ask("SELECT count(*) FROM party WHERE name = 'NHTSA'") == [(1,)], "it was found again"


@pytest.mark.soak
def test_contracts_with_their_customers_and_what_they_pay(bring, shared, tmp_path, soak_round):
    file = cut(shared / "telco_customer_churn.csv", tmp_path, lambda number, _: soak_round or number < 1_500)
    record = bring(
        file, "contract_obligation",
        columns={"customerID": "contract.party.account_number", "gender": "contract.party.gender",
                 "tenure": "contract.months_so_far", "Contract": "contract.renewal_months", "MonthlyCharges": "amount",
                 "PaymentMethod": "contract.party.preferred_payment_method", "TotalCharges": "contract.value",
                 "Churn": "contract.party.status"},
        constants={"contract.party.name": "Customer {customerID}", "contract.number": "{customerID}", "contract.kind": "service",
                   "contract.subject": "{Contract}, {InternetService}", "contract.currency": "USD", "currency": "USD",
                   "subject": "Monthly charge", "side": "theirs", "recurrence": "monthly"},
        words={"contract.renewal_months": {"Month-to-month": "1", "One year": "12", "Two year": "24"},
               "contract.party.status": {"Yes": "churned", "No": "active"},
               "contract.party.preferred_payment_method": {"Electronic check": "bank", "Mailed check": "bank",
                   "Bank transfer (automatic)": "bank", "Credit card (automatic)": "card"}},
    )  # fmt: skip
    rows = rows_of(file)
    assert counts(record) == {"created": len(rows)}, refused(record)[:3]
    assert ask("SELECT count(*), sum(amount) FROM contract_obligation") == [
        (len(rows), sum(Decimal(row["MonthlyCharges"]) for row in rows))
    ]
    paid = [Decimal(row["TotalCharges"]) for row in rows if row["TotalCharges"].strip()]
    assert ask("SELECT count(value), sum(value), count(starts_on) FROM contract") == [(len(paid), sum(paid), len(rows))]
    assert ask("SELECT lifecycle, count(*) FROM party GROUP BY 1 ORDER BY 1") == [
        ("active", sum(row["Churn"] == "No" for row in rows)), ("churned", sum(row["Churn"] == "Yes" for row in rows))]  # fmt: skip
    assert ask("SELECT p.name, c.subject, c.renewal_months, p.preferred_payment_method FROM contract c JOIN party p "
               "ON p.id = c.party_id WHERE c.number = '5575-GNVDE'") == [
        ("Customer 5575-GNVDE", "One year, DSL", 12, "bank")]  # fmt: skip


def test_people_bring_their_company_once_and_one_that_is_known_is_found(bring):
    bring("name,kind\nOld Ltd,organization\n")
    file = "company,web,first,last,e-mail\nNew Ltd,new.example,Ann,Lee,ann@x.org\nnew ltd,,Bob,Ray,bob@x.org\nOLD LTD,,Cyd,May,c@x.org\n"
    record = bring(file, "contacts", constants={"party.kind": "organization"}, columns={
        "company": "party.name", "web": "party.website", "first": "first_name", "last": "last_name", "e-mail": "email"})  # fmt: skip
    assert counts(record) == {"created": 3}, refused(record)
    assert ask("SELECT p.name, p.website, count(*), min(c.name) FROM party p JOIN contact c ON c.party_id = p.id "
               "GROUP BY 1, 2 ORDER BY 1") == [("New Ltd", "https://new.example", 2, "Ann Lee"), ("Old Ltd", None, 1, "Cyd May")]  # fmt: skip


SUGGESTED = {
    ("order_line", "superstore.csv"): {
        "Order ID": "order.number", "Order Date": "order.ordered_at", "Customer ID": "order.customer.account_number",
        "Customer Name": "order.customer.name", "City": "order.customer.city", "Product ID": "product.sku",
        "Category": "product.category.name", "Product Name": "product.name", "Sales": "total", "Quantity": "quantity"},
    ("order_line", "adventureworks_FactInternetSales.csv.gz"): {
        "ProductKey": "product", "CustomerKey": "order.customer", "SalesOrderNumber": "order.number"},
    ("contact", "salesforce_import_contacts.csv"): {"first_name": "first_name", "email": "email", "company": "party"},
    ("contract", "telco_customer_churn.csv"): {"customerID": "party.account_number", "tenure": "months_so_far"},
    ("ticket", "nhtsa_complaints_311.csv"): {"VIN": "vehicle.vin", "CITY": None, "DEALER_NAME": None},
}  # fmt: skip


@pytest.mark.parametrize(("into", "file"), SUGGESTED)
def test_what_is_named_and_what_comes_with_the_row_are_told_apart(shared, into, file):
    table = open_for(face_named(into), shared / file)
    found = {
        table.columns[number].name: name for number, name in suggested_columns(face_named(into), table, None).items()
    }
    wanted = SUGGESTED[into, file]
    assert {header: found.get(header) for header in wanted} == wanted


def test_some_rows_of_a_file_come_in_and_the_others_later(bring):
    file = "kind,name\na,Ann\nb,Bob\nA1,Cyd\n,Dan\n"
    first = bring(file, only={"kind": "a*"})
    assert counts(first) == {"created": 2, "skipped": 2}
    assert "2 rows were left out: only those come in where “kind” is “a*”" in first.remarks
    assert Plan.from_data(first.plan).only == {0: "a*"}
    assert imported_before(face_named("customer"), first.sha256) is None, "the whole file didn't come in"
    assert imported_before(face_named("customer"), first.sha256, {"0": "a*"}) == first
    rest = bring(file, only={"kind": "!a*"})
    assert counts(rest) == {"created": 2, "skipped": 2}
    assert [row_filter({0: pattern})([cell]) for pattern in ("", "!", "*x") for cell in ("", "ax")] == [
        True, False, False, True, False, True]  # fmt: skip
