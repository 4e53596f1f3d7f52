"""How the exports of other systems call what we keep of customers; each is recognised by headers that only it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Delivered:
    """Target by header; a header without one stays out. `needs` tells this system's files from others."""

    name: str
    needs: tuple[str, ...]
    columns: Mapping[str, str]
    system: str | None = None
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def _address(headers: str, prefix: str = "") -> dict[str, str]:
    """Street, city, state, postal code and country, as the headers call them in this order."""
    names = ("address", "city", "state", "postal_code", "country")
    return {header.strip(): prefix + name for header, name in zip(headers.split(","), names, strict=True)}


DELIVERED = (
    Delivered(
        "Our template", ("name", "email", "phone", "industry", "website", "address", "status"),
        {name: name for name in ("name", "email", "phone", "industry", "website", "address", "status")}),
    # As the weekly data export and the data loader write them.
    Delivered(
        "Salesforce accounts", ("Id", "Name", "BillingStreet", "NumberOfEmployees"),
        {"Id": "external_id", "Name": "name", "AccountNumber": "account_number", "Phone": "phone", "Fax": "fax",
         "Website": "website", "Industry": "industry", "AnnualRevenue": "annual_revenue", "NumberOfEmployees": "employees",
         "Description": "description", "Type": "", "OwnerId": "", "ParentId": "", "Rating": "", "CreatedDate": "created_at",
         **_address("BillingStreet, BillingCity, BillingState, BillingPostalCode, BillingCountry"),
         **_address("ShippingStreet, ShippingCity, ShippingState, ShippingPostalCode, ShippingCountry", "shipping_")},
        "salesforce"),
    Delivered(
        "Salesforce contacts", ("Id", "AccountId", "LastName", "MailingStreet"),
        {"Id": "external_id", "AccountId": "", "FirstName": "first_name", "LastName": "last_name", "Name": "name", "Salutation": "",
         "Email": "email", "Phone": "phone", "MobilePhone": "phone2", "HomePhone": "", "Fax": "fax", "Birthdate": "date_of_birth",
         "Description": "description", "Title": "", "Department": "", "OwnerId": "", "CreatedDate": "created_at",
         **_address("MailingStreet, MailingCity, MailingState, MailingPostalCode, MailingCountry")},
        "salesforce"),
    Delivered(
        "HubSpot companies", ("Record ID", "Company name", "Company Domain Name"),
        {"Record ID": "external_id", "Company name": "name", "Company Domain Name": "", "Company owner": "", "Phone Number": "phone",
         "Website URL": "website", "Industry": "", "Annual Revenue": "annual_revenue", "Number of Employees": "employees",
         "Description": "description", "Lifecycle Stage": "", "Create Date": "created_at", "Type": "",
         **_address("Street Address, City, State/Region, Postal Code, Country/Region")},
        "hubspot"),
    Delivered(
        "HubSpot contacts", ("Record ID", "First Name", "Last Name", "Email"),
        {"Record ID": "external_id", "First Name": "first_name", "Last Name": "last_name", "Email": "email", "Phone Number": "phone",
         "Mobile Phone Number": "phone2", "Contact owner": "", "Company Name": "company_name", "Associated Company": "company_name",
         "Website URL": "website", "Date of birth": "date_of_birth", "Job Title": "", "Lifecycle Stage": "", "Lead Status": "",
         "Create Date": "created_at", **_address("Street Address, City, State/Region, Postal Code, Country/Region")},
        "hubspot"),
    Delivered(
        "EspoCRM accounts", ("name", "emailAddress", "phoneNumber", "billingAddressStreet"),
        {"id": "external_id", "name": "name", "emailAddress": "email", "phoneNumber": "phone", "website": "website",
         "industry": "industry", "description": "description", "type": "", "sicCode": "", "assignedUserName": "", "createdAt": "created_at",
         **_address("billingAddressStreet, billingAddressCity, billingAddressState, billingAddressPostalCode, billingAddressCountry"),
         **_address("shippingAddressStreet, shippingAddressCity, shippingAddressState, shippingAddressPostalCode, "
                    "shippingAddressCountry", "shipping_")},
        "espocrm"),
    Delivered(
        "EspoCRM contacts", ("firstName", "lastName", "emailAddress", "addressStreet"),
        {"id": "external_id", "firstName": "first_name", "lastName": "last_name", "emailAddress": "email", "phoneNumber": "phone",
         "accountName": "company_name", "title": "", "salutationName": "", "description": "description", "assignedUserName": "",
         "createdAt": "created_at", **_address("addressStreet, addressCity, addressState, addressPostalCode, addressCountry")},
        "espocrm"),
    Delivered(
        "Odoo contacts", ("name", "is_company", "street", "zip", "country_id"),
        {"id": "external_id", "name": "name", "is_company": "kind", "email": "email", "phone": "phone", "mobile": "phone2",
         "website": "website", "vat": "tax_id", "ref": "account_number", "comment": "description", "street2": "", "user_id": "",
         "company_type": "", "category_id": "tags", "parent_id": "company_name",
         **_address("street, city, state_id, zip, country_id")},
        "odoo", {"kind": {word: kind for kind, words in (("organization", "True,1,TRUE,Yes"), ("individual", "False,0,FALSE,No"))
                          for word in words.split(",")}}),
)  # fmt: skip
