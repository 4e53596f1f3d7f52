"""Pairs that may be one are decided by keys."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from crm.commands.duplicate_search import search_changed
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from tests.browser.conftest import Site, Tab
from tests.factories import make


def test_pairs_are_decided_by_a_key_each_and_the_next_one_comes(tab: Tab, site: Site) -> None:
    customer, candidate = face_named("customer"), face_named("duplicate_candidate")
    with site.app.app_context(), acting_as(Acting(via="test")):
        ids = [make(customer, name=name).id for name in ("Twin One", "Twin Two", "Twin Three")]
        for first, second, score in ((ids[0], ids[1], 96), (ids[0], ids[2], 94), (ids[1], ids[2], 92)):
            make(candidate, first_party_id=first, second_party_id=second, score=score, reasons="same phone")
        db.session.commit()
        db.session.remove()
    page = tab.open("/admin/duplicates/decide/")
    pair = page.get_by_role("region", name="Are these the same?")
    expect(pair).to_contain_text("96 %")
    page.keyboard.press("l")
    expect(pair).to_contain_text("94 %")
    page.keyboard.press("d")
    expect(page.locator("#toasts")).to_contain_text("Not the same: done")
    expect(pair).to_contain_text("92 %")
    page.keyboard.press("s")
    page.wait_for_url(f"**/admin/duplicates/compare/?id={ids[1]}&id={ids[2]}")


def test_enter_saves_a_form_and_never_says_that_it_is_not_the_same(tab: Tab, site: Site) -> None:
    def typed() -> None:
        page.goto(page.url.split("/admin/")[0] + "/admin/customers/new/")
        page.get_by_label("Display name").fill("Enter Twice")
        page.locator("[name=email]").fill("enter.twice@example.com")
        page.keyboard.press("Enter")

    page = tab.open("/admin/customers/new/")
    typed()
    page.wait_for_url("**/admin/customers/details/**")
    with site.app.app_context(), acting_as(Acting(via="test")):
        search_changed()
        db.session.commit()
        db.session.remove()
    typed()
    asked = page.get_by_role("heading", name="This may be there already")
    expect(asked).to_be_visible()
    page.locator("[name=email]").press("Enter")
    page.wait_for_load_state()
    expect(asked).to_be_visible()
    page.get_by_role("button", name="Not the same: save").press("Enter")
    page.wait_for_url(re.compile("/admin/customers/details/"))
