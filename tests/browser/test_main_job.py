"""The main job as a person does it: sign in, import, find, block with a reason; and what else needs a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from tests.browser.conftest import Site, Tab
from tests.factories import make

# One browser and one server for all of them: they stay on one worker.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ROWS = """name,email,phone,status
Ann Smith,ann@shop.example,+60123456789,active
Bob Jones,bob@shop.example,,active
No Address,not an address,,active
Ärger GmbH,info@aerger.example,+493012345678,prospect
"""


def people(site: Site, *names: str) -> list[int]:
    with site.app.app_context(), acting_as(Acting(via="test")):
        made = [make(face_named("customer"), name=name).id for name in names]
        db.session.commit()
        db.session.remove()
    return made


def answer(page: Page, button: str, reason: str | None = None) -> None:
    """Fill in and send the question that stands in the dialog."""
    dialog = page.get_by_role("dialog").filter(has=page.locator("[data-confirm]"))
    expect(dialog).to_be_visible()
    if reason is not None:
        dialog.get_by_role("textbox", name="Reason").fill(reason)
    dialog.get_by_role("button", name=button, exact=True).click()


def test_sign_in_import_find_and_block(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text(ROWS)
    page = tab.open("/admin/imports/new/")
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Check the rows").click()
    expect(page.get_by_text("Nothing has been written yet")).to_be_visible()
    page.locator("button[name=do][value=run]").click()
    status = page.locator("#job-status:not([hx-get])")
    expect(status).to_be_visible(timeout=20_000)
    expect(status).to_contain_text("4 of 4 rows")
    expect(status).to_contain_text(re.compile(r"New\s*3"))
    expect(status).to_contain_text(re.compile(r"Refused\s*1"))

    page = tab.open("/admin/customers/")
    page.locator("[data-search]").fill("ann@shop")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    page.get_by_role("button", name="More for Ann Smith").click()
    page.get_by_role("menuitem", name="Block", exact=True).click()
    answer(page, "Block", "Unpaid bills")
    page.wait_for_url("**/details/**")
    expect(page.locator(".head-sub .pill")).to_contain_text(["Blocked"])
    expect(page.locator(".alerts")).to_contain_text("Unpaid bills")
    page.get_by_role("tab", name="History").click()
    entry = page.locator(".timeline .entry").first
    expect(entry).to_contain_text("Ada Admin")
    expect(entry).to_contain_text("Unpaid bills")


def test_a_question_can_be_cancelled_and_wants_its_reason(tab: Tab, site: Site) -> None:
    [number] = people(site, "Cara Cancelled")
    page = tab.open(f"/admin/customers/details/?id={number}")
    page.get_by_role("link", name="Block", exact=True).click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_role("link", name="Cancel", exact=True).click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.get_by_role("link", name="Block", exact=True).click()
    answer(page, "Block")
    expect(page.get_by_text("is required").first).to_be_visible()
    page.goto(tab.address + f"/admin/customers/details/?id={number}")
    expect(page.locator(".head-sub .pill", has_text="Blocked")).to_have_count(0)


def test_deleting_asks_first(tab: Tab, site: Site) -> None:
    with site.app.app_context(), acting_as(Acting(via="test")):
        made = make(face_named("contact"), name="Dora Doomed")
        number = made.id
        db.session.commit()
        db.session.remove()
    page = tab.open(f"/admin/contacts/details/?id={number}")
    page.get_by_role("button", name="More for Dora Doomed").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.locator("dialog[open]")).to_contain_text("Delete Dora Doomed?")
    answer(page, "Delete")
    page.wait_for_url("**/admin/contacts/")
    expect(page.get_by_text("Dora Doomed was deleted.")).to_be_visible()
    assert page.goto(tab.address + f"/admin/contacts/details/?id={number}").status == 404  # type: ignore[union-attr]


def test_ticked_rows_show_the_bar_and_are_blocked_together(tab: Tab, site: Site) -> None:
    people(site, "Ticked One", "Ticked Two", "Ticked Three")
    page = tab.open("/admin/customers/?search=Ticked")
    bar = page.locator("[data-bulk]")
    expect(bar).not_to_be_visible()
    page.get_by_label("Tick Ticked One").check()
    page.get_by_label("Tick Ticked Two").check()
    expect(bar).to_be_visible()
    expect(page.locator("[data-bulk-count]")).to_have_text("2 selected")
    bar.get_by_role("button", name="Block", exact=True).click()
    with page.expect_navigation(url=re.compile(r"/admin/customers/\?search=Ticked$")):
        answer(page, "Block", "Fraud")
    page.goto(tab.address + "/admin/customers/?search=Ticked&flt_status_eq=blocked")
    expect(page.locator("tr[data-row]")).to_have_count(2)
    expect(page.locator("tr[data-row]", has_text="Ticked Three")).to_have_count(0)


def test_the_filter_popover_adds_a_chip_that_can_be_taken_off(tab: Tab, site: Site) -> None:
    people(site, "Filtered Fine")
    page = tab.open("/admin/customers/")
    page.get_by_role("button", name="Filter", exact=True).click()
    pop = page.locator("#filter-pop")
    pop.get_by_label("Find a field").fill("display")
    pop.locator("summary:visible", has_text="Display name").click()
    pop.locator("fieldset:visible input").fill("Filtered")
    pop.get_by_role("button", name="Apply").locator("visible=true").click()
    chip = page.locator(".filters .chip", has_text="Filtered")
    expect(chip).to_be_visible()
    expect(page.locator("tr[data-row]")).to_have_count(1)
    chip.get_by_role("link").click()
    expect(page.locator(".filters .chip", has_text="Filtered")).to_have_count(0)


def test_a_list_is_made_one_s_own_and_kept_as_a_view(tab: Tab, site: Site) -> None:
    people(site, "Viewed Vera", "Viewed Viktor")
    page = tab.open("/admin/customers/?flt_name_contains=Viewed")
    page.get_by_role("button", name="Display name contains Viewed").click()
    fields = page.get_by_role("dialog", name="Change the filter Display name").locator("fieldset:visible")
    expect(fields).to_have_count(1)
    box = fields.locator("input")
    expect(box).to_have_value("Viewed")
    box.fill("Vera")
    box.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    page.get_by_role("button", name="Columns").click()
    chooser = page.get_by_role("dialog", name="Columns")
    chooser.get_by_label("E-mail", exact=True).uncheck()
    chooser.get_by_label("Account number").check()
    chooser.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Account number")).to_be_visible()
    expect(page.get_by_role("columnheader", name="E-mail", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Save view").click()
    page.get_by_label("Name of the view").fill("Vera alone")
    page.get_by_role("dialog", name="Save this view").get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".tab[aria-current]")).to_have_text("Vera alone")
    assert page.locator(".tabs").bounding_box()["height"] > 30  # type: ignore[index]
    tab.open("/admin/customers/").get_by_role("link", name="Vera alone").click()
    expect(page.locator("tr[data-row]")).to_have_count(1)
    expect(page.get_by_role("columnheader", name="Account number")).to_be_visible()


def test_areas_of_the_menu_stay_as_they_were_left(tab: Tab) -> None:
    page = tab.open("/admin/customers/")
    jobs, vendors = (page.locator(".nav").get_by_role("link", name=name) for name in ("Jobs", "Vendors"))
    expect(jobs).not_to_be_visible()
    page.locator(".nav summary", has_text="System").click()
    expect(jobs).to_be_visible()
    page.reload()
    expect(jobs).to_be_visible()
    expect(vendors).not_to_be_visible()
    page.locator(".nav summary", has_text="System").click()
    page.reload()
    expect(jobs).not_to_be_visible()
    tab.open("/admin/jobs/")
    expect(jobs).to_be_visible()
    # What isn't of every day folds once more, by keys as well.
    keys, more = page.locator(".nav").get_by_role("link", name="API keys"), page.get_by_label("More of System")
    expect(keys).not_to_be_visible()
    more.press("Enter")
    expect(keys).to_be_visible()
    page.reload()
    expect(keys).to_be_visible()


def test_a_picker_finds_a_person_and_the_form_keeps_him(tab: Tab, site: Site) -> None:
    [number] = people(site, "Given Away")
    page = tab.open(f"/admin/customers/edit/?id={number}")
    box = page.locator("select[name=owner] + .ts-wrapper")
    box.click()
    box.locator("input").first.press_sequentially("bert")
    box.locator(".option", has_text="Bert Sales").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/details/**")
    expect(page.locator(".facts")).to_contain_text("Bert Sales")


def test_two_tabs_that_save_meet_on_a_page_that_shows_both(tab: Tab, site: Site) -> None:
    [number] = people(site, "Edited Twice")
    first, second = tab.page, tab.page.context.new_page()
    for page in (first, second):
        page.goto(f"{tab.address}/admin/customers/edit/?id={number}")
    for page, name in ((first, "First Name"), (second, "Second Name")):
        page.get_by_label("Display name").fill(name)
        page.get_by_role("button", name="Save", exact=True).click()
    expect(second.get_by_role("heading", name="Somebody saved before you")).to_be_visible()
    expect(second.locator("table")).to_contain_text("Ada Admin")
    for words in ("Edited Twice", "First Name", "Second Name"):
        expect(second.locator("table")).to_contain_text(words)
    second.get_by_role("button", name="Save what is chosen").click()
    expect(second.get_by_role("heading", name="Second Name")).to_be_visible()


def test_a_value_is_changed_in_the_list(tab: Tab, site: Site) -> None:
    people(site, "Quick Quentin")
    page = tab.open("/admin/customers/?search=Quentin")
    cell = page.locator("td[data-edit=email]")
    cell.hover()
    cell.get_by_role("button", name="Change E-mail").click()
    box = cell.get_by_role("textbox")
    expect(box).to_be_focused()
    box.fill("nowhere")
    box.press("Escape")
    expect(cell.locator("form")).to_have_count(0)
    expect(cell).not_to_contain_text("nowhere")
    page.keyboard.press("i")
    page.locator("td[data-edit=type] select").select_option("vip")
    page.keyboard.press("Enter")
    expect(page.locator("td[data-edit=type] form")).to_have_count(0)
    expect(page.locator("td[data-edit=type]")).to_contain_text("VIP")
    cell.hover()
    cell.get_by_role("button", name="Change E-mail").click()
    box.fill("nonsense")
    box.press("Enter")
    expect(cell).to_contain_text("is not an e-mail address")
    box.fill("quentin@example.com")
    box.press("Enter")
    expect(cell.get_by_role("link", name="quentin@example.com")).to_be_visible()


def test_a_company_s_form_has_no_day_of_birth_unless_there_is_one(tab: Tab, site: Site) -> None:
    page = tab.open("/admin/customers/new/")
    born, staff, kind = page.locator("#date_of_birth"), page.locator("#employees"), page.locator("#kind")
    kind.select_option("individual")
    expect(born).to_be_visible()
    expect(staff).to_be_hidden()
    kind.select_option("organization")
    expect(born).to_be_hidden()
    expect(page.locator("#first_name")).to_be_hidden()
    expect(page.get_by_role("heading", name="Demographics")).to_be_hidden()
    expect(page.get_by_role("link", name="Demographics")).to_be_hidden()
    staff.fill("12")
    kind.select_option("individual")
    expect(born).to_be_visible()
    expect(staff).to_be_visible()


def test_contacts_are_written_in_the_customer_s_form(tab: Tab, site: Site) -> None:
    [number] = people(site, "Inline Inga")
    page = tab.open(f"/admin/customers/edit/?id={number}")
    contacts = page.locator("#inline-contacts")
    for name in ("First Friend", "Second Friend"):
        contacts.get_by_role("button", name="Add a contact").click()
        contacts.get_by_role("group").last.get_by_label("Name").fill(name)
    expect(page.locator("[data-dirty-say]")).to_be_visible()
    contacts.get_by_role("button", name="Add a contact").click()
    contacts.get_by_role("button", name="Leave out").last.click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/details/**")
    page.get_by_role("tab", name="Contacts").click()
    expect(page.locator("#panel-contacts tbody tr")).to_have_count(2)


def test_the_list_is_found_again_as_it_was_left(tab: Tab, site: Site) -> None:
    people(site, "Found Fiona")
    page = tab.open("/admin/customers/?search=Fiona&sort=name")
    page.get_by_role("link", name="Found Fiona").click()
    page.locator(".crumbs").get_by_role("link", name="Customers").click()
    page.wait_for_url("**/admin/customers/?search=Fiona&sort=name")


PAGES = ("/admin/", "/admin/customers/", "/admin/customers/new/", "/admin/customers/details/?id={id}",
         "/admin/customers/edit/?id={id}", "/admin/imports/new/", "/admin/jobs/", "/admin/roles/", "/admin/audit/", "/password/",
         "/api/docs")  # fmt: skip


def test_no_page_is_wider_than_a_phone_and_none_complains(tab: Tab, site: Site) -> None:
    [number] = people(site, "A Very Long Name Of Somebody Who Likes To Be Called By All Of It " * 3)
    for path in PAGES:
        page = tab.open(path.format(id=number))
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{path} is {wide} px too wide at {width}"


def test_what_the_policy_blocks_and_what_breaks_would_be_noticed(tab: Tab) -> None:
    tab.open("/admin/")
    tab.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.x = 1'}))")
    tab.page.evaluate("setTimeout(() => { throw new Error('broken on purpose') })")
    tab.page.wait_for_function("window.x === undefined")
    tab.open("/admin/")
    assert any("Content Security Policy" in said for said in tab.complaints)
    assert any("broken on purpose" in said for said in tab.complaints)
    tab.complaints.clear()
