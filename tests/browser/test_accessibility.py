"""Each kind of screen, light and dark, wide and narrow, as axe-core sees it: no violation of any of its rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.models.parties import Party
from tests.browser.conftest import Site, Tab, listen, sign_in
from tests.factories import make

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# In the dark nothing changes but the colours.
VIEWS = (
    (WIDE, "light", None),
    (WIDE, "dark", "color-contrast"),
    (NARROW, "light", None),
    (NARROW, "dark", "color-contrast"),
)
# What one template draws again and again needs no second look.
FEW = """() => document.querySelectorAll("tbody, select, .ticks, .docs-body, .docs-nav ul, .filter-list").forEach(
    list => [...list.children].slice(12).forEach(again => again.selected || again.remove()))"""
RUN = """async (rule) => {
    const found = await axe.run(document, {resultTypes: ["violations"], preload: false, ...(rule && {runOnly: [rule]})});
    return found.violations.map(fault => `${fault.id} (${fault.help}): ` + fault.nodes.slice(0, 4).map(
        node => node.html.slice(0, 160) + " " + (node.any[0] || node.all[0] || node.none[0] || {message: ""}).message).join(" | "));
}"""


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page as it stands, in each view."""
    found = []
    page.evaluate(FEW)
    page.evaluate(AXE)
    for size, scheme, rule in VIEWS:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found += [f"{size['width']} px, {scheme}: {said}" for said in page.evaluate(RUN, rule)]
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")
    return found


def changed_by_another(tab: Tab, site: Site, number: int) -> None:
    page = tab.open(f"/admin/customers/edit/?id={number}")
    with site.app.app_context(), acting_as(Acting(via="test")):
        db.session.get_one(Party, number).name = "Theirs"
        db.session.commit()
        db.session.remove()
    page.get_by_label("Display name").fill("Mine")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("heading", name="Somebody saved before you").wait_for()


def form_with_errors(tab: Tab, _site: Site, _number: int) -> None:
    page = tab.open("/admin/customers/new/")
    page.locator("#email").fill("no address")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("[data-error-summary]").wait_for()


def opened(path: str, *clicks: str) -> Callable[[Tab, Site, int], None]:
    """A page after these were clicked on it."""

    def go(tab: Tab, _site: Site, number: int) -> None:
        page = tab.open(path.format(id=number))
        for selector in clicks:
            page.locator(selector).first.click()
            page.wait_for_load_state("networkidle")

    return go


def menu_on_a_phone(tab: Tab, _site: Site, _number: int) -> None:
    tab.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    page = tab.open("/admin/")
    page.locator("[data-drawer-open]").click()
    page.get_by_role("link", name="Close the menu").wait_for()


def answered(tab: Tab, _site: Site, _number: int) -> None:
    page = tab.open("/admin/rights/why/")
    page.locator("form[method=get]:not(.search) button[type=submit]").click()


SCREENS: dict[str, Callable[[Tab, Site, int], None]] = {
    "home": opened("/admin/"),
    "list": opened("/admin/customers/"),
    "list with a filter": opened("/admin/customers/?flt_status_eq=active&sort=name"),
    "list with its filters open": opened("/admin/customers/", "button[popovertarget=filter-pop]"),
    "list with ticked rows": opened("/admin/customers/", "[data-tick-all]"),
    "list with a row's menu": opened("/admin/customers/", "[data-row] .row-btn"),
    "list with its export open": opened("/admin/customers/", "button[popovertarget=export-pop]"),
    "list with a filter being changed": opened("/admin/customers/?flt_status_eq=active", ".chip-edit"),
    "list with its columns open": opened("/admin/customers/", "button[popovertarget=columns-pop]"),
    "list to be saved": opened("/admin/customers/?sort=name", "button[popovertarget=view-pop]"),
    "empty list": opened("/admin/vendors/"),
    "nothing found": opened("/admin/customers/?search=zzz-nothing"),
    "form": opened("/admin/customers/new/"),
    "form with errors": form_with_errors,
    "edit": opened("/admin/customers/edit/?id={id}"),
    "conflict": changed_by_another,
    "detail": opened("/admin/customers/details/?id={id}"),
    "history": opened("/admin/customers/details/?id={id}", "role=tab[name=History]"),
    "contacts": opened("/admin/customers/details/?id={id}", "role=tab[name=/Contacts/]"),
    "notes": opened("/admin/customers/details/?id={id}", "role=tab[name=/Notes/]"),
    "relations": opened("/admin/customers/details/?id={id}", "role=tab[name=/Relations/]"),
    "confirm": opened("/admin/customers/action/?action=block&rowid={id}"),
    "imports": opened("/admin/imports/"),
    "exports": opened("/admin/exports/"),
    "jobs": opened("/admin/jobs/"),
    "keys": opened("/admin/", "[data-keys-open]"),
    "account": opened("/admin/", ".user-btn"),
    "menu on a phone": menu_on_a_phone,
    "audit": opened("/admin/audit/"),
    "roles": opened("/admin/roles/"),
    "matrix of rights": opened("/admin/rights/"),
    "why": opened("/admin/rights/why/"),
    "why, answered": answered,
    "password": opened("/password/"),
    "API": opened("/api/docs"),
    "not found": opened("/admin/customers/details/?id=0"),
}


@pytest.fixture(scope="package")
def number(site: Site) -> int:
    with site.app.app_context(), acting_as(Acting(via="test")):
        made = make(face_named("customer"), name="Accessible Anna", email="anna@example.com")
        make(face_named("contact"), party_id=made.id, name="Berta Below")
        found = made.id
        db.session.commit()
        db.session.remove()
    return int(found)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_can_be_used_by_everybody(screen: str, tab: Tab, site: Site, number: int) -> None:
    SCREENS[screen](tab, site, number)
    assert violations(tab.page) == []


def test_the_steps_of_an_import_can_be_used_by_everybody(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("name,email,phone\nAnn Axe,ann@axe.example,\nNo Address,no address,\n")
    page, found = tab.open("/admin/imports/new/"), []
    found += violations(page)
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Check the rows").wait_for()
    found += violations(page)
    page.get_by_role("button", name="Check the rows").click()
    page.get_by_text("Nothing has been written yet").wait_for()
    found += violations(page)
    page.locator("button[name=do][value=run]").click()
    page.locator("#job-status:not([hx-get])").wait_for(timeout=20_000)
    found += violations(page)
    page.goto(f"{tab.address}/admin/jobs/")
    page.locator("tr[data-row] a").first.click()
    found += violations(page)
    assert found == []


def test_signing_in_can_be_used_by_everybody(site: Site, browser: Any) -> None:
    context = browser.new_context()
    tab = listen(context, site.address)
    page = tab.open("/login")
    found = violations(page)
    page.get_by_label("E-mail").fill("nobody@example.com")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("The e-mail or the password is wrong").wait_for()
    found += violations(page)
    context.close()
    assert found == []


def test_a_refusal_can_be_read_by_everybody(site: Site, browser: Any) -> None:
    context = browser.new_context()
    tab = listen(context, site.address)
    sign_in(tab, "bert@example.com")
    answer = tab.page.goto(f"{site.address}/admin/rights/")
    found = violations(tab.page)
    context.close()
    assert (answer.status, found) == (403, [])  # type: ignore[union-attr]


def test_what_axe_must_find_it_finds(tab: Tab) -> None:
    tab.open("/admin/").evaluate(
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/static/icons.svg\"><input>')"
    )
    found = violations(tab.page)
    assert any("image-alt" in said for said in found)
    assert any("label" in said for said in found)
