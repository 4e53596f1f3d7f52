"""The menu: kept for all whose roles give the same, marked for the page that is shown."""

from __future__ import annotations

import re

from crm.core.entity import all_faces


def of(person, address: str) -> tuple[list[str], list[str], list[str]]:
    """(addresses in the menu, those marked, what stands open)."""
    page = person.client.get(address).text
    nav = page[page.index('<nav class="nav"') : page.index("</nav>", page.index('<nav class="nav"'))]
    return (re.findall(r'class="nav-item" href="([^"]+)"', nav),
            re.findall(r'href="([^"]+)" aria-current="page"', nav),
            re.findall(r'data-area="([^"]+)" open', nav))  # fmt: skip


def test_the_menu_holds_all_that_is_there_and_marks_the_one_that_is_shown(session, as_user):
    admin = as_user("admin")
    links, marked, opened = of(admin, "/admin/addresses/?search=nobody")
    assert {f"/admin/{face.plural}/" for face in all_faces() if face.about.screen} | {
        "/admin/",
        "/admin/rights/",
    } == set(links)
    assert len(links) == len(set(links))
    assert marked == ["/admin/addresses/"]
    assert opened == ["Customers", "More of Customers"]
    # What is kept has no mark of the page before.
    assert of(admin, "/admin/jobs/")[1:] == (["/admin/jobs/"], ["Customers", "System"])
    assert of(admin, "/admin/rights/why/")[1] == ["/admin/rights/"]
    assert of(admin, "/admin/")[1:] == (["/admin/"], ["Customers"])


def test_who_may_less_has_a_menu_of_his_own_also_right_after_one_who_may_more(session, as_user):
    assert "/admin/users/" in of(as_user("admin"), "/admin/")[0]
    rep = as_user("sales_rep")
    assert "/admin/users/" not in of(rep, "/admin/")[0]
    assert of(rep, "/admin/customers/new/")[1] == ["/admin/customers/"]
