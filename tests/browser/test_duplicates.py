"""Pairs that may be one are decided by keys."""

from __future__ import annotations

from playwright.sync_api import expect

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
