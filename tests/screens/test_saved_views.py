"""A list as somebody likes it: columns, filters changed in their chip, views that are kept and shared."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.models.access import SavedView, Team, TeamMember
from tests.conftest import Person, sign_in
from tests.factories import make

LIST = "/admin/customers/"


@pytest.fixture
def customer(app: Flask) -> int:
    with app.app_context(), acting_as(Acting(via="test")):
        made = make(face_named("customer"), name="Viewed Vera", email="vera@example.com")
        db.session.commit()
        return int(made.id)


def page(who: Person, path: str) -> str:
    answer = who.client.get(path)
    assert answer.status_code == 200, path
    return unescape(answer.get_data(as_text=True))


def columns(html: str) -> list[str]:
    return re.findall(r'<td class="[^"]*" data-label="([^"]*)"', html)


def tabs(html: str) -> list[str]:
    return re.findall(r'<a class="tab" [^>]*>([^<]*)', html)


def save(who: Person, query: str, name: str, shared_with: str = "") -> Any:
    return who.client.post(
        f"{LIST}views/?{query}", data={"name": name, "shared_with": shared_with}, follow_redirects=True
    )


def saved(app: Flask) -> list[SavedView]:
    with app.app_context():
        return list(db.session.scalars(select(SavedView).order_by(SavedView.id)))


def test_a_list_shows_the_columns_that_are_chosen(as_user: Callable[..., Person], customer: int) -> None:
    ada = as_user()
    html = page(ada, f"{LIST}?columns=city,email&sort=name")
    assert columns(html) == ["City", "E-mail"]
    assert "Viewed Vera" in html  # the naming column stays, whatever is chosen
    assert "columns=city%2Cemail&sort=name&desc=1" in html  # and what leads on keeps them
    form = page(ada, f"{LIST}columns/?columns=city&flt_status_eq=active")
    assert re.findall(r'name="columns" value="(\w+)" checked', form) == ["city"]
    assert 'name="flt_status_eq" value="active"' in form
    assert columns(page(ada, f"{LIST}?columns=city&columns=phone")) == ["City", "Phone"]  # as that form sends them
    assert ada.client.get(f"{LIST}?columns=city,nonsense").status_code == 422
    csv = ada.client.get(f"{LIST}export/csv/?columns=name,city").get_data(as_text=True)
    assert csv.lstrip("\ufeff").splitlines()[0] == "name,city"
    assert 'name="columns" value="city" checked' in page(ada, f"{LIST}export/?columns=city")


def test_columns_that_one_may_not_see_are_not_offered(as_user: Callable[..., Person], customer: int) -> None:
    operations = as_user("operations")
    assert 'value="annual_revenue"' in page(as_user(), f"{LIST}columns/")
    assert 'value="annual_revenue"' not in page(operations, f"{LIST}columns/")
    assert columns(page(operations, f"{LIST}?columns=city,annual_revenue")) == ["City"]


def test_a_filter_is_changed_in_its_chip(as_user: Callable[..., Person], customer: int) -> None:
    ada = as_user()
    narrowed = "flt_status_eq=active&flt_name_contains=era&sort=name"
    html = page(ada, f"{LIST}?{narrowed}")
    assert "/filters/?sort=name&flt_status_eq=active&flt_name_contains=era&edited=1" in html
    form = page(ada, f"{LIST}filters/?{narrowed}&edited=1")
    assert form.count("<form") == 1
    assert 'name="flt_name_contains" value="era"' in form
    assert '<option value="flt_name_contains" selected>' in form
    assert 'type="hidden" name="flt_status_eq" value="active"' in form
    assert 'type="hidden" name="flt_name_contains"' not in form
    assert ada.client.get(f"{LIST}filters/?{narrowed}&edited=7").status_code == 200  # all fields, as without


def test_a_view_is_kept_replaced_and_opened_again(app: Flask, as_user: Callable[..., Person]) -> None:
    ada = as_user()
    assert tabs(page(ada, LIST)) == []
    html = save(ada, "flt_status_eq=active&sort=name&columns=city", "Active ones").get_data(as_text=True)
    assert "The view “Active ones” was saved." in html
    assert tabs(html) == ["All", "Active ones"]
    [tab] = re.findall(r'<a class="tab" href="([^"]*)" aria-current="page">Active ones', unescape(html))
    assert tab == f"{LIST}?sort=name&flt_status_eq=active&columns=city"
    assert 'value="Active ones"' in page(ada, tab.replace("?", "views/?"))
    save(ada, "flt_status_eq=prospect", "Active ones")
    assert [(view.name, view.query) for view in saved(app)] == [("Active ones", "flt_status_eq=prospect")]
    [number] = [view.id for view in saved(app)]
    assert f'href="{LIST}?flt_status_eq=prospect"' in page(ada, f"/admin/saved-views/details/?id={number}")
    ada.client.post("/admin/saved-views/delete/", data={"id": number, "confirm": "1"})
    assert tabs(page(ada, LIST)) == []


@pytest.mark.parametrize(("name", "shared_with"), [("", ""), ("x" * 61, ""), ("Shared", "77"), ("Shared", "nobody")])
def test_what_cannot_be_kept_is_told(app: Flask, as_user: Callable[..., Person], name: str, shared_with: str) -> None:
    html = save(as_user(), "sort=name", name, shared_with).get_data(as_text=True)
    assert "Not saved: " in html
    assert saved(app) == []


def test_views_are_shared_with_a_team_or_with_everybody(app: Flask) -> None:
    ada, lead, member, stranger = (sign_in(app, role) for role in ("admin", "manager", "sales_rep", "sales_rep"))
    with app.app_context(), acting_as(Acting(via="test")):
        team = Team(name="North", lead_id=lead.user_id)
        db.session.add(team)
        db.session.flush()
        db.session.add(TeamMember(team_id=team.id, user_id=member.user_id))
        number = team.id
        db.session.commit()
    save(ada, "sort=name", "For all", "everybody")
    save(lead, "sort=name&desc=1", "For the north", str(number))
    save(lead, "flt_status_eq=active", "For me")
    assert tabs(page(lead, LIST)) == ["All", "For me", "For the north", "For all"]
    assert tabs(page(member, LIST)) == ["All", "For all", "For the north"]
    assert tabs(page(stranger, LIST)) == ["All", "For all"]
    # Nobody but those who may change every view shares with everybody; a team only who is in it.
    assert "Not saved" in save(lead, "sort=name", "Mine for all", "everybody").get_data(as_text=True)
    assert "Not saved" in save(stranger, "sort=name", "To the north", str(number)).get_data(as_text=True)
    # What others share is theirs to change.
    theirs = next(view.id for view in saved(app) if view.name == "For the north")
    assert member.client.get(f"/admin/saved-views/details/?id={theirs}").status_code == 404
    assert member.client.post("/admin/saved-views/delete/", data={"id": theirs, "confirm": "1"}).status_code == 404
    assert sign_in(app, "auditor").client.post(f"{LIST}views/?sort=name", data={"name": "No"}).status_code == 403


def test_a_shared_view_over_what_one_may_not_see_is_not_offered(app: Flask, customer: int) -> None:
    ada, operations = sign_in(app, "admin"), sign_in(app, "operations")
    for name, query in (("Rich", "flt_annual_revenue_ge=5"), ("Plain", "flt_status_eq=active"), ("Gone", "sort=name")):
        save(ada, query, name, "everybody")
    with app.app_context(), acting_as(Acting(via="test")):
        view = db.session.scalars(select(SavedView).where(SavedView.name == "Gone")).one()
        view.query = "flt_that_was_there_once_eq=1"
        db.session.commit()
    assert tabs(page(operations, LIST)) == ["All", "Plain"]
    assert tabs(page(ada, LIST)) == ["All", "Plain", "Rich"]
