"""Whom to be in touch with: by rule, by customer, and due again after whatever is logged."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import select

from crm.commands import check_ins
from crm.core.command import Refused
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.check_ins import CheckIn
from crm.models.party_choices import Lifecycle, PartyType
from tests.factories import make

CUSTOMER, VENDOR, RULE, CHECK_IN, SEGMENT, MEMBERSHIP, INTERACTION, USER = (
    face_named(name) for name in ("customer", "vendor", "check_in_rule", "check_in", "segment", "segment_membership",
                                  "interaction", "user"))  # fmt: skip
NOW = dt.datetime.now(dt.UTC)
TODAY = NOW.date()


def day(ago: int) -> dt.date:
    return TODAY - dt.timedelta(days=ago)


def kept() -> dict[str, tuple[int, dt.date, str | None]]:
    found = db.session.scalars(select(CheckIn).execution_options(populate_existing=True))
    return {one.party.name: (one.every_days, one.due_on, one.rule.name if one.rule else None) for one in found}


def test_rules_give_the_shortest_interval_that_fits_and_leave_ones_own_alone(session: Any) -> None:
    vip = make(SEGMENT)
    since = NOW - dt.timedelta(days=100)
    both, shop, lost, own = (make(CUSTOMER, name=name, type=PartyType.BUSINESS, created_at=since) for name in ("both", "shop", "lost", "own"))  # fmt: skip
    make(CUSTOMER, name="neither", type=PartyType.NGO)
    make(VENDOR, name="vendor", type=PartyType.BUSINESS)
    lost.lifecycle = Lifecycle.CHURNED
    make(MEMBERSHIP, segment_id=vip.id, party_id=both.id)
    make(CHECK_IN, party_id=own.id, own_days=7, last_on=day(10))
    make(INTERACTION, party_id=shop.id, state="done", occurred_at=NOW - dt.timedelta(days=20))
    business = make(RULE, name="business", type=PartyType.BUSINESS, every_days=90, active=True)
    make(RULE, name="vip", segment_id=vip.id, every_days=30, active=True)
    make(RULE, name="off", every_days=1, active=False)
    settle()
    check_ins.apply_rules(1, own.id + 100)
    assert kept() == {
        "both": (30, day(100 - 30), "vip"),
        "shop": (90, day(20 - 90), "business"),
        "own": (7, day(3), "business"),
    }

    before = set(db.session.execute(select(CheckIn.id, CheckIn.xmin)).all())
    check_ins.apply_rules(1, own.id + 100)
    assert before == set(db.session.execute(select(CheckIn.id, CheckIn.xmin)).all())
    business.active = False
    db.session.flush()
    check_ins.apply_rules(1, own.id + 100)
    assert kept() == {"both": (30, day(70), "vip"), "own": (7, day(3), None)}


def test_whatever_is_logged_makes_the_next_one_due_later(session: Any) -> None:
    party, user = make(CUSTOMER, name="Ann"), make(USER)
    one = make(CHECK_IN, party_id=party.id, own_days=30, last_on=day(50))
    planned = make(INTERACTION, party_id=party.id, state="pending", occurred_at=NOW - dt.timedelta(days=9))
    assert kept()["Ann"][1] == day(20)
    planned.state = "done"
    db.session.flush()
    assert kept()["Ann"][1] == day(9 - 30)
    make(INTERACTION, party_id=party.id, state="done", occurred_at=NOW - dt.timedelta(days=40))
    make(INTERACTION, party_id=party.id, state="done", occurred_at=NOW + dt.timedelta(days=3))
    assert kept()["Ann"][1] == day(9 - 30)
    check_ins.done.run(one, by=user, on=None)
    db.session.flush()
    assert kept()["Ann"][1] == day(-30)
    for wrong in (TODAY, TODAY + dt.timedelta(days=1)):
        with pytest.raises(Refused):
            check_ins.done.run(one, by=user, on=wrong)


def test_the_rules_are_asked_for_once_a_day(session: Any) -> None:
    assert check_ins.ask_daily() == 0
    make(RULE)
    assert [check_ins.ask_daily(), check_ins.ask_daily()] == [1, 0]
