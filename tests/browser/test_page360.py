"""The page of a customer in a real browser: tabs with addresses, logging and primary contacts without leaving it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from tests.browser.conftest import Site, Tab
from tests.browser.test_main_job import people
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_a_call_is_logged_found_and_paged_without_leaving_the_page(tab: Tab, site: Site) -> None:
    [number] = people(site, "Logged Lena")
    with site.app.app_context(), acting_as(Acting(via="test")):
        for count in range(35):
            make(face_named("interaction"), party_id=number, subject=f"Talk {count}", content=None)
        db.session.commit()
        db.session.remove()
    page = tab.open(f"/admin/customers/details/?id={number}")
    page.evaluate("window.stayed = true")
    page.get_by_role("tab", name="Activities").click()
    expect(page).to_have_url(re.compile(r"&tab=activities$"))
    bar, entries = page.locator(".log"), page.locator("#timeline .entry")
    expect(entries).to_have_count(30)
    page.get_by_role("link", name="Show older").click()
    expect(entries).to_have_count(36)  # and that she was made
    bar.get_by_role("button", name="Log it").click()
    expect(bar.get_by_role("alert")).to_contain_text("The subject is required")
    bar.get_by_label("Subject").fill("She wants a van")
    bar.get_by_label("Follow up on").fill("2020-01-31")
    bar.get_by_role("button", name="Log it").click()
    expect(entries.first).to_contain_text("She wants a van")
    expect(page.locator("#toasts")).to_contain_text("Call logged")
    expect(page.get_by_role("link", name="1 follow-up is overdue")).to_be_visible()
    expect(page.get_by_role("tab", name=re.compile("Communication"))).to_have_text("Communication36")
    bar.get_by_role("radio", name="Note").check()
    expect(bar.get_by_label("Subject")).to_be_hidden()
    page.get_by_label("Search in the timeline").fill("a van")
    expect(entries).to_have_count(1)
    assert page.evaluate("window.stayed")


def test_tabs_go_by_keys_and_a_contact_becomes_primary_by_one_click(tab: Tab, site: Site) -> None:
    [number] = people(site, "Tabbed Tom")
    with site.app.app_context(), acting_as(Acting(via="test")):
        for name, primary in (("First Friend", True), ("Second Friend", False)):
            make(face_named("contact"), party_id=number, name=name, is_primary=primary)
        db.session.commit()
        db.session.remove()
    page = tab.open(f"/admin/customers/details/?id={number}&tab=relations")
    expect(page.get_by_role("tab", name="Relations")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Relations").press("ArrowRight")
    expect(page).to_have_url(re.compile(r"&tab=contacts$"))
    page.get_by_role("button", name=re.compile("Set as primary ?: Second Friend")).click()
    expect(page.locator("#page-head").get_by_role("link", name="Second Friend")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Set as primary ?: First Friend"))).to_be_visible()
    # The row of tabs was drawn anew, and still answers.
    page.get_by_role("tab", name="History").click()
    expect(page.locator("#panel-history .entry").first).to_be_visible()
    page.reload()
    expect(page.locator("#panel-history .entry").first).to_be_visible()


def test_a_deal_is_dragged_to_its_stage_and_moved_by_keys(tab: Tab, site: Site) -> None:
    [number] = people(site, "Dealing Dana")
    with site.app.app_context(), acting_as(Acting(via="test")):
        make(face_named("deal"), customer_id=number, name="Ten vans", stage="demo")
        db.session.commit()
        db.session.remove()
    page = tab.open("/admin/deals/board/?search=Ten+vans")
    card = page.locator("[data-card]", has_text="Ten vans")
    card.drag_to(page.locator("[data-stage=quote]"))
    expect(page.locator("[data-stage=quote] [data-card]")).to_have_count(1)
    expect(page.locator("#toasts")).to_contain_text("done for Ten vans")
    card.get_by_role("button", name="Move Ten vans").press("Enter")
    page.get_by_role("menuitem", name="Negotiation").press("Enter")
    expect(page.locator("[data-stage=negotiation] [data-card]")).to_have_count(1)
    card.drag_to(page.locator("[data-stage=lost]"))
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why it was lost").fill("Too dear")
    dialog.get_by_role("button", name="Move to a stage").click()
    expect(page.locator("#toasts")).to_contain_text("done for Ten vans")
    expect(card).to_have_count(0)
