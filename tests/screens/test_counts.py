"""What a list says of how many there are, and what its text filters find, whatever index answers."""

from __future__ import annotations

from typing import Any

import pytest

from admin_views import lists
from crm.core.entity import face_named
from crm.core.permissions import Asking
from crm.core.statistics import refresh_statistics
from crm.models.access import User
from crm.models.parties import Party
from crm.queries import listing
from crm.queries.listing import count, fetch_page, read_query


@pytest.fixture
def admin(session: Any, as_user: Any) -> User:
    found = session.get(User, as_user("admin").user_id)
    assert found is not None
    return found


def found(admin: User, **parameters: str) -> list[str]:
    face = face_named("customer")
    return sorted(row.name for row in fetch_page(face, read_query(face, parameters.items()), admin).rows)


def add(session: Any, *names: str, **more: Any) -> None:
    session.add_all(Party(name=name, roles=["business_customer"], **more) for name in names)
    session.flush()


@pytest.mark.parametrize(
    ("parameter", "value", "names"),
    [
        ("flt_name_contains", "ÜLL", ["Müller 100%", "müller_x"]),
        ("flt_name_contains", "ull", []),  # a filter minds accents; the search doesn't
        ("flt_name_contains", "0%", ["Müller 100%"]),
        ("flt_name_contains", "r_", ["müller_x"]),
        ("flt_name_starts", "mü", ["Müller 100%", "müller_x"]),
        ("flt_name_starts", "ller", []),
        ("flt_industry_contains", "ST", ["Müller 100%", "müller_x", "o\\x"]),
        ("flt_name_contains", "\\", ["o\\x"]),
        ("search", "ull", ["Müller 100%", "müller_x"]),
    ],
)
def test_text_is_found_as_it_stands_without_case(
    session: Any, admin: User, parameter: str, value: str, names: list[str]
) -> None:
    add(session, "Müller 100%", "müller_x", "o\\x", industry="Steel")
    assert found(admin, **{parameter: value}) == names


def test_account_and_tax_numbers_are_found_by_their_start(session: Any, admin: User) -> None:
    add(session, "a", account_number="AB-1", tax_id="DE 12")
    add(session, "b", account_number="aB-2", tax_id="DE 13")
    assert found(admin, flt_account_number_starts="ab-") == ["a", "b"]
    assert found(admin, flt_account_number_eq="AB-2") == ["b"]
    assert found(admin, flt_tax_id_starts="de 1") == ["a", "b"]


def test_a_page_that_holds_everything_says_how_many_without_counting(
    session: Any, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(session, "a", "b", "c")
    face = face_named("customer")
    monkeypatch.setattr(listing, "_estimated", lambda *_: pytest.fail("it was counted all the same"))
    query = read_query(face, [])
    assert count(face, query, admin, fetch_page(face, query, admin)) == (3, True)


@pytest.mark.parametrize(("estimated", "said"), [(1, (3, True)), (100, (100, False)), (6, (6, False))])
def test_where_the_planner_is_sure_of_far_more_nothing_is_counted(
    session: Any, admin: User, monkeypatch: pytest.MonkeyPatch, estimated: int, said: tuple[int, bool]
) -> None:
    add(session, "a", "b", "c")
    monkeypatch.setattr(listing, "_estimated", lambda *_: estimated)
    monkeypatch.setattr(listing, "FAR_MORE", 5)
    face = face_named("customer")
    query = read_query(face, [("limit", "2")])
    page = fetch_page(face, query, admin)
    assert count(face, query, admin, page) == said


def test_more_than_are_counted_is_said_as_such(session: Any, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    add(session, "a", "b", "c")
    monkeypatch.setattr(listing, "COUNTED_EXACTLY", 2)
    monkeypatch.setattr(listing, "_estimated", lambda *_: 1)
    face = face_named("customer")
    some = read_query(face, [("flt_status_eq", "active")])
    found = count(face, some, admin)
    assert (found, lists.counted(*found)) == ((3, False), "more than 2")
    assert count(face, some, admin, most=3) == count(face, read_query(face, []), admin) == (3, True)
    assert (lists.counted(1234, True), lists.counted(1234567, False)) == ("1,234", "about 1,200,000")


def test_a_filter_of_several_values_is_changed_by_clicking_it(as_user):
    admin = as_user("admin")
    asked = {"flt_status_in": "active,blocked", "flt_owner_in": "1,2"}
    page = admin.client.get("/admin/customers/", query_string=asked).text
    # That of records isn't: it would be a list of numbers.
    assert page.count("edited=") == 1
    assert "edited=0" in page
    form = admin.client.get("/admin/customers/filters/", query_string=asked | {"edited": "0"}).text
    assert '<option value="flt_status_in" selected>is one of</option>' in form
    assert 'name="flt_status_in" value="active,blocked"' in form
    assert 'name="flt_owner_in" value="1,2"' in form


def test_the_planner_knows_how_common_a_value_is_though_its_index_leaves_rows_out(session: Any, admin: User) -> None:
    add(session, *(f"s{number}" for number in range(300)), industry="Steel")
    add(session, *(f"g{number}" for number in range(300)), industry="Glass")
    refresh_statistics(session.connection(), ["party"])
    query = read_query(face_named("customer"), [("flt_industry_eq", "steel")])
    assert 200 < listing._estimated(face_named("customer"), query, Asking.of(admin), 0) < 400
