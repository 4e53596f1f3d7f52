"""What happens to points and tiers by itself is told before, and happens so."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from sqlalchemy import text

from crm.commands.loyalty_tiers import climb
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.loyalty_programs import LoyaltyTier
from crm.queries.loyalty_tiers import tiers_to_come
from tests.commands.test_ledgers import lot, person, silver_and_gold
from tests.factories import make

HERE = "/admin/loyalty-accounts/coming/"


def club() -> Any:
    made = make(face_named("loyalty_program"), main=True, currency="EUR", state="active", grace_days=10, tier_measure="points",
                tier_months=12, name="Club")  # fmt: skip
    silver_and_gold(made)
    return made


def member(program: Any, points: int, ago: int, tier: str | None, **given: Any) -> Any:
    number = db.session.scalar(text("SELECT id FROM loyalty_tier WHERE name = :name"), {"name": tier})
    made = make(face_named("loyalty_account"), program_id=program.id, tier_id=number, **given)
    when = dt.datetime.combine(today() - dt.timedelta(days=ago), dt.time(12), dt.UTC)
    make(face_named("point_entry"), account_id=made.id, points=points, created_at=when, expires_on=None)
    return made


def test_who_drops_is_told_before_and_drops_then(session: Any) -> None:
    program = club()
    kept, short, dropping, rising, locked = (
        member(program, 450, 20, "Gold"), member(program, 450, 345, "Gold"),
        member(program, 120, 20, "Gold", tier_below_since=today() - dt.timedelta(days=4)), member(program, 600, 20, "Silver"),
        member(program, 1, 20, "Gold", tier_locked=True))  # fmt: skip
    settle()
    session.expire_all()
    [(_, found, everybody)] = tiers_to_come(person("admin", "Ann"), days_ahead=30)
    soon = today() + dt.timedelta(days=6)
    assert everybody
    assert [(one.account, one.what, one.tier, one.to, one.day) for one in found] == [
        (dropping, "drops", "Gold", "Silver", soon), (short, "short", "Gold", "None", today() + dt.timedelta(days=40)),
        (rising, "rises", "Silver", "Gold", today())]  # fmt: skip
    [(_, now, _)] = tiers_to_come(person("sales_rep", "Bo"), days_ahead=0)
    assert now == [], "none of them is a customer of the seller's"
    ids = [one.id for one in (kept, short, dropping, rising, locked)]
    assert climb(ids) == 1
    assert climb(ids, day=soon - dt.timedelta(days=1)) == 0
    assert climb(ids, day=soon) == 1
    session.expire_all()
    assert [one.tier.name for one in (kept, short, dropping, rising, locked)] == [
        "Gold",
        "Gold",
        "Silver",
        "Gold",
        "Gold",
    ]


def test_with_calendar_periods_a_tier_is_kept_to_the_end_of_the_next_one(session: Any) -> None:
    program = club()
    program.tier_period = "calendar"
    year = today().year
    begins, ends = dt.date(year, 1, 1), dt.date(year + 1, 1, 1)
    ago = (today() - begins).days + 5  # in the days before this period
    last, both, this = (
        member(program, 450, ago, "Gold"),
        member(program, 300, ago, "Gold"),
        member(program, 450, 0, "Gold"),
    )
    make(face_named("point_entry"), account_id=both.id, points=300, expires_on=None)
    settle()
    ids = [one.id for one in (last, both, this)]

    def after(day: dt.date) -> list[str | None]:
        with session.begin_nested() as tried:
            climb(ids, day=day)
            found = [session.get(LoyaltyTier, one.tier_id).name if one.tier_id else None for one in (last, both, this)]
            tried.rollback()
        return found

    short = ["Gold", "Gold", "Gold"]
    assert after(today()) == short, "300 and 300 in two years are no 400, but the time of grace runs first"
    assert both.tier_below_since is None
    climb(ids)
    assert (last.tier_below_since, both.tier_below_since, this.tier_below_since) == (None, today(), None)
    assert after(ends - dt.timedelta(days=1)) == ["Gold", "Silver", "Gold"] or (ends - today()).days <= 10
    assert after(ends + dt.timedelta(days=9))[0] == "Gold"
    assert after(ends + dt.timedelta(days=10)) == [None, "Silver", "Gold"]
    assert after(dt.date(year + 2, 1, 11)) == [None, None, None]
    [(_, found, _)] = tiers_to_come(person("admin", "Ann"), days_ahead=(ends - today()).days + 20)
    assert [(one.account, one.what, one.to, one.day) for one in found if one.account is last] == [
        (last, "drops", "None", ends + dt.timedelta(days=10))]  # fmt: skip


def test_what_an_order_gave_counts_on_its_day_and_so_does_its_return(session: Any) -> None:
    program = club()
    account = member(program, 120, 20, None)
    old = make(face_named("order"), customer_id=account.party_id, currency="EUR",
               ordered_at=dt.datetime.combine(today() - dt.timedelta(days=800), dt.time(12), dt.UTC))  # fmt: skip
    for kind, points in (("earn", 900), ("reverse", -100)):
        make(
            face_named("point_entry"), account_id=account.id, order_id=old.id, kind=kind, points=points, expires_on=None
        )
    settle()
    assert climb([account.id]) == 1
    assert account.tier.name == "Silver", "neither the points of long ago nor what was taken back of them"


def test_the_page_leads_to_those_it_tells_of(session: Any, as_user: Any) -> None:
    program = club()
    gone, soon, later = (member(program, 10, 1, None) for _ in range(3))
    for account, days in ((gone, -1), (soon, 20), (later, 60)):
        lot(account, 70, days)
    session.commit()
    desk = as_user("admin").client
    assert HERE in desk.get("/admin/loyalty-accounts/").text
    for days, members in ((30, [gone, soon]), (7, [gone]), (90, [gone, soon, later])):
        page = desk.get(HERE, query_string={"days": days}).text
        linked = re.findall(r'href="([^"]*flt_next_expiry_on[^"]*)"', page)
        shown = [desk.get(link.replace("&amp;", "&")).text for link in linked]
        assert [any(one.code in text for text in shown) for one in (gone, soon, later)] == [
            one in members for one in (gone, soon, later)
        ]
        assert page.count(">70<") == (1 if days == 7 else 1 + (days == 30))
    assert "All members keep their tier" in page
    assert desk.get(HERE, query_string={"days": "x"}).status_code == 200
    assert "No points expire" in as_user("sales_rep").client.get(HERE).text
    assert as_user("credit_approver").client.get(HERE).status_code == 403
