"""Choices kept under a name: found again by a file's header, delivered for the exports of other systems, shared or one's own."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import select

from crm.commands.access import create_user
from crm.core.entity import db, face_named
from crm.importing import profiles
from crm.importing.plan import Plan, PlanRefused
from crm.importing.rows import RowReader
from crm.importing.start import check_now, draft, replan, use_profile
from crm.models.import_profiles import ImportProfile
from crm.models.imports import Duplicates

EXPORTS = {
    "Our template": ("name,email,phone,industry,website,address,status\nAnn,ann@x.org,+49301234567,Steel,x.org,Main 1,active\n",
                     {"email": "ann@x.org", "main_address": "Main 1", "status": "active"}),
    "Salesforce accounts": (
        ("Id,IsDeleted,Name,Type,BillingStreet,BillingCity,BillingState,BillingPostalCode,BillingCountry,ShippingCity,Phone,Website,"
        "AnnualRevenue,NumberOfEmployees,OwnerId\n001A,0,Acme,Customer - Direct,Main 1,Bonn,,53111,Germany,Ulm,+49301234567,x.org,"
        "1000,7,005A\n"),
        {"external_id": "001A", "name": "Acme", "main_city": "Bonn", "main_country": "DE", "shipping_city": "Ulm", "employees": 7}),
    "Salesforce contacts": (
        ("Id,AccountId,LastName,FirstName,Salutation,MailingStreet,MailingCity,MailingCountry,Phone,MobilePhone,Email,Title,Birthdate\n"
        "003A,001A,Smith,Ann,Ms.,Main 1,Bonn,Germany,+49301234567,+49307654321,ann@x.org,Head,1990-05-17\n"),
        {"name": "Ann Smith", "email": "ann@x.org", "phone2": "+49307654321", "date_of_birth": "1990-05-17", "main_city": "Bonn"}),
    "HubSpot companies": (
        ("Record ID,Company name,Company owner,Create Date,Phone Number,City,Country/Region,Industry,Company Domain Name,Website URL\n"
        "77,Acme,Jo,2024-01-01,+49301234567,Bonn,Germany,COMPUTER_SOFTWARE,x.org,https://x.org\n"),
        {"external_id": "77", "name": "Acme", "main_country": "DE", "website": "https://x.org"}),
    "HubSpot contacts": (
        ("Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Lifecycle Stage,Lead Status,Company Name,Postal Code\n"
        "78,Ann,Smith,ann@x.org,+49301234567,Jo,Customer,New,Acme,53111\n"),
        {"external_id": "78", "name": "Ann Smith", "company_name": "Acme", "main_postal_code": "53111"}),
    "EspoCRM accounts": (
        ("id,name,website,emailAddress,phoneNumber,type,industry,billingAddressStreet,billingAddressCity,billingAddressCountry,"
        "shippingAddressCity,assignedUserName\n5f1,Acme,x.org,a@x.org,+49301234567,Customer,Steel,Main 1,Bonn,Germany,Ulm,Jo\n"),
        {"external_id": "5f1", "email": "a@x.org", "main_address": "Main 1", "shipping_city": "Ulm", "industry": "Steel"}),
    "EspoCRM contacts": (
        ("id,salutationName,firstName,lastName,accountName,emailAddress,phoneNumber,addressStreet,addressCity,addressPostalCode\n"
        "5f2,Ms.,Ann,Smith,Acme,ann@x.org,+49301234567,Main 1,Bonn,53111\n"),
        {"name": "Ann Smith", "company_name": "Acme", "main_postal_code": "53111"}),
    "Odoo contacts": (
        ("id,name,is_company,parent_id,street,street2,city,zip,country_id,vat,phone,mobile,email,website,category_id\n"
        "__export__.res_partner_7,Acme,True,,Main 1,,Bonn,53111,Germany,DE123,+49301234567,,a@x.org,x.org,Gold\n"),
        {"external_id": "__export__.res_partner_7", "kind": "organization", "tax_id": "DE123", "main_postal_code": "53111"}),
}  # fmt: skip


def read_in(face, data: str, by=None):
    return draft(face, io.BytesIO(data.encode()), "f.csv", by=by, again=True)


@pytest.mark.parametrize("name", EXPORTS)
def test_the_exports_of_other_systems_are_recognised(face, name):
    data, expected = EXPORTS[name]
    record, table = read_in(face, data)
    found = profiles.recognised(face, table, None)
    assert found is not None
    assert found.name == name
    use_profile(record, face, table, found, with_policy=True)
    plan = Plan.from_data(record.plan)
    (staged,) = RowReader(plan, face, table).read(next(table.rows()))
    assert staged.reason is None
    assert {key: staged.data.get(key) for key in expected} == expected
    assert check_now(record)["counts"]["created"] == 1
    assert plan.match[0] == ("email" if name == "Our template" else "external_id")


def test_every_delivered_profile_has_its_file():
    assert {one.name for one in profiles.DELIVERED} == set(EXPORTS)


def test_a_profile_is_kept_found_by_the_header_and_used_again(face, session):
    ann, _ = create_user(email="ann@x.org", role="manager")
    ben, _ = create_user(email="ben@x.org", role="manager")
    header = "Wer,Mail,Art,Egal,Umsatz\n"
    record, table = read_in(face, header + 'Cyd,cyd@x.org,biz,1,"1.234,5"\n', by=ann.id)
    plan = replan(record, face, table, {0: "name", 1: "email", 2: "type", 4: "annual_revenue"}, match="email,name",
                  words={"type": {"biz": "business"}}, rules={"type": "fill"}, constants={"language": "de"}, country="DE",
                  duplicates=Duplicates.UPDATE, styles={4: "comma"})  # fmt: skip
    for _ in "twice":
        kept = profiles.keep_profile(plan, face, table, name="Shop", everybody=True, by=ann)
    assert session.scalars(select(ImportProfile)).all() == [kept]
    assert not kept.everybody, "only who may change every profile gives one to everybody"
    again, other = read_in(face, " mail ,WER,Umsatz,egal,art\ndan@x.org,Dan,7,1,biz\n", by=ann.id)
    found = profiles.recognised(face, other, ann)
    assert found is not None
    use_profile(again, face, other, found, with_policy=True)
    made = Plan.from_data(again.plan)
    assert made.columns == {0: "email", 1: "name", 2: "annual_revenue", 4: "type"}
    assert made.styles[2] == "comma"
    assert (made.match, made.words, made.rules, made.constants, made.country, made.duplicates) == (
        plan.match, plan.words, plan.rules, plan.constants, "DE", Duplicates.UPDATE)  # fmt: skip
    assert profiles.recognised(face, other, ben) is None
    kept.everybody = True
    session.flush()
    assert profiles.recognised(face, other, ben) is not None
    assert profiles.recognised(face_named("contact"), other, ben) is None
    with pytest.raises(PlanRefused, match="there is no profile “Shopp” for customers; use one of: Shop, Our template"):
        profiles.profile_named(face, "Shopp", ben)
    db.session.flush()
