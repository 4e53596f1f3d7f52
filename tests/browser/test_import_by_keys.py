"""The wizard without a mouse: from the file to its undo, each step found by the Tab key and seen where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tab

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

_FOCUSED = """(() => {
    const one = document.activeElement, place = one.getBoundingClientRect();
    const labels = [...(one.labels || [])].map(label => label.innerText).join(" ");
    return {words: one === document.body ? "" : labels || one.getAttribute("aria-label") || one.innerText || "", outline: getComputedStyle(one).outlineStyle,
            seen: place.width > 0 && place.top >= 0 && place.bottom <= innerHeight + 1};
})()"""
MOST = 200


def reach(page: Page, words: str) -> None:
    """Press Tab until what has these words is the one; it must stand out, and on the screen."""
    for _ in range(MOST):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if words in focused["words"]:
            assert focused["seen"], f"{words} is not on the screen"
            assert focused["outline"] != "none", f"{words} doesn't stand out"
            return
    raise AssertionError(f"{words} isn't reached by {MOST} tabs")


def go(page: Page, words: str, key: str = "Enter") -> None:
    reach(page, words)
    page.keyboard.press(key)


@pytest.mark.parametrize("width", [1440, 390])
def test_a_file_comes_in_and_goes_again_by_keys_alone(width: int, tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / f"keys-{width}.csv"
    file.write_text(
        f"name,email,phone\nKay Keys {width},kay{width}@keys.example,+60123456789\nLou Locks {width},no address,\n"
    )
    page = tab.open("/admin/imports/new/")
    page.set_viewport_size({"width": width, "height": 800})
    with page.expect_file_chooser() as asked:
        go(page, "Choose a file", "Space")
    asked.value.set_files(file)
    go(page, "Continue")
    page.wait_for_url("**/map/**")
    go(page, "Check the rows")
    page.wait_for_url("**/preview/**")
    expect(page.get_by_text("Nothing has been written yet")).to_be_visible()
    go(page, "Import 1 customer")
    page.wait_for_url("**/progress/**")
    status = page.locator("#job-status:not([hx-get])")
    expect(status).to_be_visible(timeout=20_000)
    expect(status).to_contain_text("2 of 2 rows")
    expect(status.get_by_role("region", name="The file against the records").last).to_contain_text("Some left out")
    go(page, "Undo this import")
    page.wait_for_url("**/undo/**")
    expect(page.get_by_role("heading", name="Undo this import")).to_be_visible()
    go(page, "Undo this import")
    expect(status).to_be_visible(timeout=20_000)
    expect(page.get_by_role("heading", name="Undo of an import")).to_be_visible()
    expect(status).to_contain_text("Archived")
