"""Takes the guide's pictures of a running desk: each screen light and dark, wide and on a phone.

    CRM_ADMIN_PASSWORD=… python docs/take_pictures.py http://127.0.0.1:8000 admin@customer-desk.local [NAME…]

Take a desk of its own, with demo data (`flask demo --customers 3000`, `flask segments install`): a view is saved there, a customer changed, a file
imported.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
SIZES = (("", 1440, 900), ("-phone", 390, 844))
THEMES = ("light", "dark")
COLOURS = 128  # few, so that a picture stays small
NARROWED = "/admin/customers/?flt_language_eq=de&flt_status_eq=active&sort=name"
FLEET = "Nordlicht Logistik GmbH"  # of the story that comes with the demo data
NOW = int(time.time()) % 9_999  # another one each time: what is the same changes nothing
PEOPLE = """Firma;Mail;Telefon;Ort;Land
Bäckerei Huber;huber@example.org;+49 89 1234567;München;Deutschland
Jansen & Zoon;info@jansen.example;+31 20 1234567;Amsterdam;Niederlande
Ohne Adresse;keine Adresse;;Wien;Österreich
"""


def a_list(page: Page) -> None:
    """Narrowed, with two views above it."""
    for query, name in (
        ("?flt_status_eq=blocked", "Blocked"),
        (NARROWED.partition("/customers/")[2], "Active, German"),
    ):
        page.goto(f"/admin/customers/{query}")
        page.get_by_role("button", name="Save view").click()
        page.get_by_label("Name of the view").fill(name)
        page.get_by_role("dialog", name="Save this view").get_by_role("button", name="Save", exact=True).click()
        page.locator("[data-toast-close]").click()


def a_form(page: Page) -> None:
    page.goto(NARROWED)
    page.locator("[data-row] .cell-name a").first.click()
    page.locator("a[data-key=e]").click()


def a_record(page: Page) -> None:
    """Of somebody who is blocked."""
    page.goto("/admin/customers/?flt_language_eq=de&flt_status_eq=blocked&sort=name")
    page.locator("[data-row] .cell-name a").first.click()


def a_conflict(page: Page) -> None:
    """Two tabs change one customer."""
    page.goto(NARROWED)
    page.locator("[data-row] .cell-name a").nth(4).click()
    page.locator("a[data-key=e]").click()
    page.wait_for_load_state()
    other = page.context.new_page()
    other.goto(page.url)
    for tab, number in ((other, NOW), (page, NOW + 1)):
        tab.get_by_label("Account number").fill(f"K-{number:04}")
        tab.locator("#phone").fill(f"+49 30 555{number:04}")
        tab.get_by_role("button", name="Save", exact=True).click()
        tab.wait_for_load_state()
    other.close()
    page.get_by_role("heading", name="Somebody saved before you").wait_for()


def a_wizard(page: Page) -> None:
    """Its second step, of four."""
    page.goto("/admin/imports/new/")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Kunden.csv"
        file.write_bytes(
            f"{PEOPLE}Kunde {NOW};;;Bern;Schweiz\n".encode("cp1252")
        )  # a file is known when it comes again
        page.locator("#file").set_input_files(file)
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Check the rows").wait_for()


def a_preview(page: Page) -> None:
    """Of what the wizard has read."""
    page.get_by_role("button", name="Check the rows").click()
    page.locator("button[name=do][value=run]").wait_for()


def a_report(page: Page) -> None:
    page.locator("button[name=do][value=run]").click()
    page.locator("#job-status:not([hx-get])").wait_for()


def the_jobs(page: Page) -> None:
    """With the import done that the wizard began."""
    page.goto("/admin/jobs/")


def the_rights(page: Page) -> None:
    page.goto("/admin/rights/?area=Customers")


def _named(page: Page, plural: str, name: str, tab: str = "") -> None:
    """The page of the first record that is called so; with an address of its own for a tab."""
    page.goto(f"/admin/{plural}/?search={quote(name)}")
    page.locator("[data-row] .cell-name a").first.click()
    page.wait_for_url("**/details/**")
    if tab:
        page.goto(f"{page.url}&tab={tab}")


def a_customer(page: Page) -> None:
    _named(page, "customers", FLEET)


def a_timeline(page: Page) -> None:
    _named(page, "customers", FLEET, "activities")
    page.locator("#timeline .entry").first.scroll_into_view_if_needed()


def the_vehicles(page: Page) -> None:
    _named(page, "customers", FLEET, "vehicles-and-service")


def a_board(page: Page) -> None:
    page.goto("/admin/deals/board/")


def a_rule(page: Page) -> None:
    _named(page, "segments", "At risk")
    page.get_by_role("link", name="Change the rule").click()


def a_conversion(page: Page) -> None:
    _named(page, "leads", "Sofia")
    page.get_by_role("link", name="Convert").first.click()


def an_order(page: Page) -> None:
    """The newest of the fleet's, with its lines."""
    _named(page, "customers", FLEET, "purchases")
    page.locator(".related .cell-name a").first.click()
    page.wait_for_url("**/orders/details/**")
    page.goto(f"{page.url}&tab=lines")


def a_ticket(page: Page) -> None:
    """An open complaint."""
    page.goto("/admin/tickets/?flt_kind_eq=complaint&flt_state_eq=open")
    page.locator("[data-row] .cell-name a").first.click()


def a_quote(page: Page) -> None:
    page.goto("/admin/quotes/")
    page.locator("[data-row] .cell-name a").first.click()
    page.wait_for_url("**/details/**")
    page.goto(f"{page.url}&tab=lines")


def the_menu(page: Page) -> None:
    """With what lies under “More” of the first area; on a phone the menu itself."""
    page.goto("/admin/products/")
    page.locator(".nav summary", has_text="More").first.click()


def home(page: Page) -> None:
    page.goto("/admin/")


def many_at_once(page: Page) -> None:
    page.goto("/admin/customers/?flt_status_eq=active&sort=name")
    for place in (2, 3):
        page.locator("[data-tick]").nth(place).check()


def a_question(page: Page) -> None:
    _named(page, "customers", FLEET)
    page.get_by_role("link", name="Block").first.click()


def a_file(page: Page) -> None:
    page.goto("/admin/imports/new/")


def a_history(page: Page) -> None:
    """Of somebody whom two changed at once."""
    page.goto(NARROWED)
    page.locator("[data-row] .cell-name a").nth(4).click()
    page.wait_for_url("**/details/**")
    page.goto(f"{page.url}&tab=history")


def the_credit_desk(page: Page) -> None:
    """Sign in as a credit approver for this one."""
    page.goto("/admin/credit-requests/decide/")


SCREENS: dict[str, Callable[[Page], None]] = {
    "list": a_list, "form": a_form, "detail": a_record, "conflict": a_conflict, "history": a_history, "import-file": a_file,
    "wizard": a_wizard, "import-preview": a_preview, "import-report": a_report, "jobs": the_jobs, "rights": the_rights,
    "customer": a_customer, "timeline": a_timeline, "vehicles": the_vehicles, "board": a_board, "rule": a_rule, "conversion": a_conversion,
    "order": an_order, "ticket": a_ticket, "quote": a_quote, "home": home, "bulk": many_at_once, "question": a_question,
    "menu": the_menu, "credit-desk": the_credit_desk,
}  # fmt: skip
BELOW_THE_HEAD = ("timeline", "vehicles", "history")  # on a phone
WIDE_ONLY = ("bulk", "question", "import-file", "import-preview", "import-report", "history")


def signed_in(browser: Browser, address: str, email: str) -> BrowserContext:
    context = browser.new_context(base_url=address, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(os.environ["CRM_ADMIN_PASSWORD"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/")
    return context


def take(page: Page, name: str) -> None:
    for theme in THEMES:
        for suffix, width, height in SIZES[:1] if name in WIDE_ONLY else SIZES:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.evaluate("document.activeElement.blur()")
            if name == "menu" and suffix:
                page.locator("[data-drawer-open]").click()
            if name in BELOW_THE_HEAD and suffix:
                page.locator(".tabs").evaluate("tabs => tabs.scrollIntoView()")
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            shot.save(PICTURES / f"{name}-{theme}{suffix}.png", optimize=True)
            if name == "menu" and suffix:
                page.keyboard.press("Escape")


def main(address: str, email: str, *names: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
        page = signed_in(browser, address, email).pages[0]
        for name, go in SCREENS.items():
            if names and name not in names:
                continue
            page.set_viewport_size({"width": 1440, "height": 900})
            go(page)
            page.wait_for_load_state("networkidle")
            take(page, name)
            print(name)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
