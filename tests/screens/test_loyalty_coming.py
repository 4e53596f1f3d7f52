"""What happens to points and tiers by itself is told before, and happens so."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from crm.commands.loyalty_tiers import climb
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.queries.loyalty_tiers import tiers_to_come
from tests.commands.test_ledgers import lot, person
from tests.factories import make

HERE = "/admin/loyalty-accounts/coming/"


def club() -> Any:
    made = make(face_named("loyalty_program"), main=True, currency="EUR", state="active", grace_days=10, tier_measure="points",
                tier_months=12, name="Club")  # fmt: skip
    for name, rank, enter, leave in (("Silver", 1, 100, 80), ("Gold", 2, 500, 400)):
        make(
            face_named("loyalty_tier"),
            program_id=made.id,
            name=name,
            rank=rank,
            enter_at=Decimal(enter),
            leave_below=Decimal(leave),
        )
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
