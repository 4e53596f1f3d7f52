"""Columns are mapped by what they are called and by what their values look like."""

from __future__ import annotations

import pytest

from crm.importing.mapping import Target, known_words, suggest
from crm.importing.reading import open_table
from tests.importing.conftest import CUSTOMER_TARGETS

EXPECTED: dict[str, dict[str, str | None]] = {
    "adventureworks_DimCustomer.csv.gz": {
        "CustomerKey": "account_number",
        "FirstName": "first_name",
        "LastName": "last_name",
        "Full Name": "name",
        "Gender": "gender",
        "DateFirstPurchase": "customer_since",
        "Customer City": "city",
    },
    "maven_crm_accounts.csv": {
        "Account": "name",
        "Sector": "industry",
        "Year_Established": None,
        "Revenue": "annual_revenue",
        "Employees": "employees",
        "Office_Location": "country",
        "Subsidiary_Of": None,
    },
    "salesforce_import_accounts.csv": {
        "id": "account_number",
        "telephone": "phone",
        "email": "email",
        "billing_street": "billing_address",
        "billing_street_number": None,
        "billing_city": "billing_city",
        "Country": "country",
        "zip": "postal_code",
        "company_name": "company_name",
    },
    # `company` holds the letters A to L: keys of the accounts file, the name of nobody.
    "salesforce_import_contacts.csv": {
        "id": "account_number",
        "first_name": "first_name",
        "last_name": "last_name",
        "email": "email",
        "telephone": "phone",
        "company": None,
    },
    "superstore.csv": {
        "Customer ID": "account_number",
        "Customer Name": "name",
        "Country/Region": "country",
        "City": "city",
        "State/Province": "state",
        "Postal Code": "postal_code",
        "Row ID": None,
        "Product Name": None,
        "Sales": None,
    },
    "telco_customer_churn.csv": {"customerID": "account_number", "gender": "gender", "MonthlyCharges": None},
}


def suggested(path) -> dict[str, str | None]:
    table = open_table(path, words=known_words(CUSTOMER_TARGETS))
    return {table.columns[s.column].name: s.target for s in suggest(table.columns, CUSTOMER_TARGETS)}


@pytest.mark.parametrize("file", EXPECTED)
def test_customer_files_map_sensibly(shared, file):
    found = suggested(shared / file)
    assert {name: found[name] for name in EXPECTED[file]} == EXPECTED[file]


def test_our_own_template_maps_completely(tmp_path):
    path = tmp_path / "template.csv"
    path.write_text(
        "name,email,phone,industry,website,address,status\nAnn,a@x.org,+60123456789,Steel,x.org,Jalan 1,active\n"
    )
    found = suggested(path)
    assert all(name == target for name, target in found.items())


def test_values_decide_where_the_header_says_nothing(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("a;b;c;name\n" + "".join(f"x{n}@y.org;https://y{n}.org;Germany;Ann\n" for n in range(9)))
    assert suggested(path) == {"a": "email", "b": "website", "c": "country", "name": "name"}


def test_a_header_is_not_believed_against_its_values(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("name,email\n" + "Ann,sent\nBob,not sent\nCyd,sent\n")
    assert suggested(path)["email"] is None


def test_no_target_is_given_twice(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text(
        "E-mail,Email Address,Telephone,Mobile,Name,Customer Name\na@x.org,b@x.org,+60123456789,+60123456780,A,B\n"
    )
    targets = [target for target in suggested(path).values() if target]
    assert len(targets) == len(set(targets))
    assert {"email", "phone", "phone2", "name"} <= set(targets)


def test_synonyms_come_from_the_declaration_too(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("Wunschname\nAnn\n")
    table = open_table(path)
    assert suggest(table.columns, [Target("nick", "Nickname", synonyms=("Wunschname",))])[0].target == "nick"
