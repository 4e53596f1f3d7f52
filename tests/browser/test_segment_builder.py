"""The builder of rules in a real browser, by the keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.models.segments import Segment
from tests.browser.conftest import Site, Tab
from tests.browser.test_accessibility import violations
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_a_rule_is_built_by_keys_and_kept(tab: Tab, site: Site) -> None:
    customer = face_named("customer")
    with site.app.app_context(), acting_as(Acting(via="test")):
        for name, industry in (("Steel Works", "Steel"), ("Steel Bridge", "Steel"), ("Paper Mill", "Paper")):
            make(customer, name=name, industry=industry)
        segment = make(face_named("segment"), name="By keys", type="dynamic", rule={"all": []})
        number, before = segment.id, segment.rule_version
        db.session.commit()
        db.session.remove()
    page = tab.open(f"/admin/segments/rule/?id={number}")
    side = page.get_by_role("region", name="Whom it means")
    page.get_by_role("button", name="Condition").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Field")).to_be_focused()
    expect(side).to_contain_text("One place is not finished")
    page.keyboard.type("Industry")
    compared = page.get_by_label("How Industry is compared")
    expect(compared).to_have_value("eq")
    page.keyboard.press("Tab")
    expect(compared).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("steel")
    expect(side).to_contain_text("2 customers")
    expect(side).to_contain_text("Steel Bridge")
    page.get_by_role("button", name="Group", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Which of them").nth(1)).to_be_focused()
    page.locator("#down-2").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".rule-group .rule-group .rule-row")).to_have_count(1)
    expect(page.locator("#down-2")).to_be_focused()
    page.locator("#told-2 button").press("Enter")
    expect(page.locator("#some-2")).to_contain_text("Steel Works")
    page.keyboard.press("Escape")
    assert violations(page) == []
    page.get_by_role("button", name="Review and save").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 would enter")
    dialog.get_by_role("button", name="Save the rule").press("Enter")
    page.wait_for_url(f"**/admin/segments/details/?id={number}")
    expect(page.get_by_role("region", name="Rule")).to_contain_text("Industry is “steel”.")
    assert violations(page) == []
    with site.app.app_context():
        kept = db.session.get_one(Segment, number)
        assert kept.rule == {"all": [{"any": [{"field": "industry", "op": "eq", "value": "steel"}]}]}
        assert kept.rule_version == before + 1
        db.session.remove()
