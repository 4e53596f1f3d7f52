"""The calendar of credit reviews: what is due on which day and what is overdue, by who approved the limit."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from typing import Any

from crm.core.days import today
from crm.core.entity import face_named
from crm.core.figures import settle
from tests.commands.test_ledgers import person
from tests.factories import make
from tests.screens.test_waiting import waits

HERE = "/admin/credit-accounts/reviews/"
DAY = dt.timedelta(days=1)


def to_review(on: dt.date | None, name: str, **more: Any) -> Any:
    party = make(face_named("customer"), name=name, owner_id=None).id
    return make(
        face_named("credit_account"), party_id=party, last_review_on=None, next_review_on=on, **{"state": "open"} | more
    )


def approved(account: Any, by: Any) -> None:
    request = make(face_named("credit_request"), account_id=account.id, amount=10, status="approved")
    make(face_named("credit_decision"), request_id=request.id, account_id=account.id, requested_by_id=request.requested_by_id,
         decided_by_id=by.id, step=1, final=True, verdict="approved", credit_limit=10)  # fmt: skip


def on_days(page: str) -> dict[str, list[str]]:
    """Day → who is named there, of the days that name anybody."""
    days = re.findall(
        r'<li class="review-day.*?<time datetime="([^"]+)">.*?</time>(.*?)(?=<li class="review-day|</ol>)', page, re.S
    )
    return {day: found for day, rest in days if (found := re.findall(r"<span>([^<]+)</span></a>", rest))}


def links(page: str) -> list[str]:
    return [unescape(url) for url in re.findall(r'href="([^"]+)"', page)]


def test_a_month_tells_each_day_and_what_is_overdue_and_leads_to_exactly_those(session: Any, as_user: Any) -> None:
    on = dt.date(today().year + 2, 5, 12)
    for number in range(5):
        to_review(on, f"Same {number}")
    to_review(on.replace(day=31), "Last")
    to_review(on.replace(day=31) + DAY, "After")
    to_review(on, "Closed", state="closed")
    to_review(None, "Never")
    late = [to_review(today() - DAY * days, f"Late {days}") for days in (1, 40, 3, 4, 5, 6)]
    session.commit()
    approver = as_user("credit_approver")
    page = approver.client.get(HERE, query_string={"on": on.isoformat()}).text
    assert on_days(page) == {
        str(on): ["Same 0", "Same 1", "Same 2"],
        str(on.replace(day=31)): ["Last"],
        **({str(on.replace(day=31) + DAY): ["After"]} if on.replace(day=31).weekday() < 6 else {}),
    }
    assert f"6 overdue, 6 in May {on.year}" in page
    assert re.findall(r'review-who"><a href="[^"]+">([^<]+)<', page) == [
        "Late 40",
        "Late 6",
        "Late 5",
        "Late 4",
        "Late 3",
    ]
    assert "40 days late" in page
    for op, number in ((f"eq={on}", 5), (f"lt={today()}", 6)):
        [url] = [url for url in links(page) if url.endswith(f"flt_next_review_on_{op}")]
        assert approver.client.get(url).text.count("<tr data-row") == number, url
    before, following = (on.replace(day=1) - DAY, on.replace(day=31) + DAY)
    assert {f"{HERE}?on={before}", f"{HERE}?on={following}", f"{HERE}?on={on.replace(day=1)}&span=week"} <= set(
        links(page)
    )
    week = approver.client.get(HERE, query_string={"on": on.isoformat(), "span": "week"}).text
    assert on_days(week) == {str(on): [f"Same {number}" for number in range(5)]}
    assert week.count('<li class="review-day') == 7
    [url] = [url for url in links(page) if f"action=review&rowid={late[1].id}&" in url]
    done = approver.client.post(
        url.split("?")[0], data={"action": "review", "rowid": late[1].id, "confirm": "1", "next": f"{HERE}?on={on}"}
    )
    assert done.location == f"{HERE}?on={on}"
    assert "5 overdue" in approver.client.get(done.location).text


def test_it_is_reached_from_home_list_and_desk_and_asks_for_whose_limits(session: Any, as_user: Any) -> None:
    ann, bo = person("credit_approver", "Ann"), person("credit_approver", "Bo")
    for name, by in (("Anns", ann), ("Also Anns", ann), ("Bos", bo)):
        approved(to_review(today(), name), by)
    settle()
    session.commit()
    approver = as_user("credit_approver")
    number, _, address = waits(approver)["Credit reviews due soon"]
    assert (number, address.split("?")[0]) == ("3", HERE)
    page = approver.client.get(address).text
    assert on_days(page)[str(today())] == ["Anns", "Also Anns", "Bos"]
    [anns] = [url for url in links(page) if "flt_approved_by_eq=Ann" in url and "on=" in url]
    assert on_days(approver.client.get(anns).text)[str(today())] == ["Anns", "Also Anns"]
    for where in ("/admin/credit-accounts/?flt_approved_by_eq=Bo", "/admin/credit-requests/decide/"):
        [url] = {url for url in links(approver.client.get(where).text) if url.startswith(HERE)}
        named = on_days(approver.client.get(url).text)[str(today())]
        assert named == (["Bos"] if "Bo" in where else ["Anns", "Also Anns", "Bos"])
    for wrong in ("2026-99-99", "x", "0001-01-01", "9999-12-31"):
        assert str(today()) in on_days(approver.client.get(HERE, query_string={"on": wrong}).text)
    assert approver.client.get(HERE, query_string={"flt_nothing_eq": "1"}).status_code == 422
    assert on_days(as_user("sales_rep").client.get(HERE).text) == {}, "customers of others"
