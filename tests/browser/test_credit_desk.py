"""Credit requests are decided at the desk by keys alone, also on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from crm.commands import access
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.access import User
from tests.browser.conftest import PASSWORD, Site, Tab, listen, sign_in
from tests.factories import make

HERE = "/admin/credit-requests/decide/"
NAMES = ("First Ltd", "Second Ltd", "Third Ltd", "Fourth Ltd")


@pytest.fixture(scope="module")
def approver(site: Site, browser: Browser) -> Iterator[Tab]:
    """Somebody who decides on credit, and four requests of Bert's."""
    with site.app.app_context(), acting_as(Acting(via="test")):
        access.create_user(email="cleo@example.com", role="credit_approver", name="Cleo Credit", password=PASSWORD)
        bert = db.session.scalars(select(User.id).where(User.email == "bert@example.com")).one()
        for number, name in enumerate(NAMES, 1):
            account = make(face_named("credit_account"), party_id=make(face_named("customer"), name=name).id)
            settle()
            make(face_named("credit_request"), account_id=account.id, amount=1_000 * number, requested_by_id=bert)
        db.session.commit()
        db.session.remove()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    tab = listen(context, site.address)
    sign_in(tab, "cleo@example.com")
    yield tab
    context.close()
    assert tab.complaints == []


def test_requests_are_decided_by_keys_and_the_next_one_comes(approver: Tab) -> None:
    page = approver.open(HERE)
    one, dialog = page.get_by_role("region", name="The request"), page.get_by_role("dialog")
    for key, name in (("", NAMES[0]), ("j", NAMES[1]), ("s", NAMES[2]), ("k", NAMES[1]), ("k", NAMES[0])):
        if key:
            page.keyboard.press(key)
        expect(one.get_by_role("heading", level=2)).to_have_text(name)
    page.keyboard.press("a")
    expect(dialog).to_contain_text("Approved")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#toasts")).to_contain_text("Approve: done")
    expect(one.get_by_role("heading", level=2)).to_have_text(NAMES[1])
    page.keyboard.press("r")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    dialog.get_by_role("heading").click()  # beside the field; the keys still mean the question
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("is required").first).to_be_visible()
    page.get_by_label("Reason").fill("No references")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#toasts")).to_contain_text("Refuse: done")
    expect(one.get_by_role("heading", level=2)).to_have_text(NAMES[2])
    page.keyboard.press("r")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("No references")
    page.keyboard.press("Control+Enter")
    expect(one.get_by_role("heading", level=2)).to_have_text(NAMES[3])


def test_on_a_phone_the_verbs_stay_at_hand(approver: Tab) -> None:
    page = approver.page
    page.set_viewport_size({"width": 390, "height": 600})
    page.goto(approver.address + HERE)
    bar = page.get_by_role("region", name="The request").locator(".decide-bar")
    expect(bar).to_be_in_viewport()
    for button in bar.locator(".btn").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 600, "above the lower edge, without scrolling"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_calendar_of_reviews_is_walked_by_keys_and_fits_a_phone(approver: Tab) -> None:
    page = approver.page
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(approver.address + "/admin/credit-accounts/reviews/?on=2031-12-31")
        shown = page.get_by_role("region").get_by_role("heading", level=2).last
        for key, called in (("j", "January 2032"), ("k", "December 2031"), ("w", "1 Dec 2031 – 7 Dec 2031"), ("j", "8 Dec 2031 – 14 Dec 2031"),
                            ("m", "December 2031")):  # fmt: skip
            page.keyboard.press(key)
            expect(shown).to_have_text(called)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
