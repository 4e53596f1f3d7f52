"""What a rule would do before it is kept: in words, how many, some of them, why one is in, who would come and go."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select

from crm.commands import access
from crm.commands.segment_ready_made import READY_MADE, install
from crm.core.command import command_named
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.parties import Party
from crm.models.segment_choices import Pin
from crm.models.segments import SegmentMembership
from crm.queries.segment_rules import trying
from crm.queries.segment_rules.reading import read_rule
from crm.queries.segment_rules.words import in_words
from tests.factories import make

CUSTOMER = face_named("customer")
RETAIL = {"field": "industry", "op": "eq", "value": "Retail"}
ORDERS = {
    "related": "orders",
    "where": {"field": "state", "op": "eq", "value": "completed"},
    "within_last": {"days": 90},
    "count": {"ge": 3},
}


@pytest.mark.parametrize(("rule", "words"), [
    (RETAIL, "Industry is “Retail”"), ({"all": []}, "everybody"), ({"any": []}, "nobody"), ({"none": [RETAIL]}, "not (Industry is “Retail”)"),
    (ORDERS, "number of orders in the last 90 days with Order status is Completed at least 3"),
    ({"all": [RETAIL, {"any": [{"related": "tickets"}, {"in_segment": "VIP"}]}]},
     "Industry is “Retail” and (has tickets or in the segment “VIP”)"),
    ({"field": "employees", "op": "between", "value": [1, 2500]}, "Number of employees between 1 and 2,500"),
    ({"field": "kind", "op": "in", "value": ["individual", "organization"]}, "Kind is one of Individual, Organization"),
    ({"field": "total_spent", "op": "top_percent", "value": 10}, "Total spent is among the highest 10 per cent"),
    ({"field": "created_at", "op": "before_last", "value": {"years": 1}}, "Created not in the last year"),
    ({"related": "purchases", "where": {"field": "product.category.name", "op": "eq", "value": "Tyres"}, "sum": {"of": "total", "gt": 1000}},
     "the sum of total of purchases with Product: Category: Name is “Tyres” more than 1,000.00"),
])  # fmt: skip
def test_a_rule_is_told_in_words(session: Any, rule: Any, words: str) -> None:
    assert in_words(read_rule(rule)) == words


def test_a_count_is_exact_in_time_and_labelled_when_it_is_not(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        make(CUSTOMER, industry="Retail" if number % 3 else "Mining")
    rule = read_rule(RETAIL)
    assert trying.count(rule, None, within=60_000) == trying.Count(20, exact=True)
    assert len(trying.samples(rule, None, 7, within=60_000)) == 7
    # The database says that it took too long.
    monkeypatch.setattr(trying, "_in_time", lambda within, work: None)
    half = db.session.scalar(select(func.percentile_disc(0.5).within_group(Party.id)))
    monkeypatch.setattr(trying, "_some_blocks", lambda: (lambda column: column <= half, 0.5))
    about = trying.count(rule, None)
    assert (about.exact, 15 < about.number < 25) == (False, True)
    assert about.words.startswith("about ")
    assert len(trying.samples(rule, None, 7)) == 7


def test_what_takes_too_long_is_ended_by_the_database(session: Any) -> None:
    assert trying._in_time(20, lambda: db.session.execute(db.text("SELECT pg_sleep(30)"))) is None
    assert trying._in_time(20_000, lambda: db.session.scalar(db.text("SELECT 7"))) == 7
    assert db.session.scalar(db.text("SHOW statement_timeout")) == "0"


def test_it_is_told_of_those_whom_one_may_see(session: Any) -> None:
    rep, _ = access.create_user(email="rep@example.com", role="sales_rep")
    mine, other = (make(CUSTOMER, name=name, industry="Retail") for name in ("mine", "other"))
    mine.owner_id = rep.id
    session.flush()
    rule = read_rule(RETAIL)
    assert trying.count(rule, rep, within=60_000).number == 1
    assert [one.name for one in trying.samples(rule, rep, within=60_000)] == ["mine"]
    assert trying.count(rule, None, within=60_000).number == 2
    assert other.name == "other"


def test_why_a_customer_is_in_or_out_is_told_with_the_values_there(session: Any) -> None:
    party = make(CUSTOMER, industry="Mining", employees=12)
    for _ in range(2):
        make(face_named("order"), customer_id=party.id, state="completed", ordered_at=dt.datetime.now(dt.UTC))
    settle()
    holds, told = trying.explain(
        read_rule({"any": [RETAIL, {"all": [ORDERS, {"field": "orders_count", "op": "ge", "value": 2}]}]}), party
    )
    assert not holds
    assert [(one.path, one.holds, one.value) for one in told] == [
        ("any[0]", False, "Mining"),
        ("any[1].all[0]", False, "2"),
        ("any[1].all[1]", True, "2"),
    ]
    assert told[1].words.startswith("number of orders in the last 90 days")


def test_who_would_come_and_go_is_told_and_happens(session: Any) -> None:
    user, _ = access.create_user(email="doer@example.com", role="admin")
    segment = make(face_named("segment"), type="dynamic", rule={"none": [RETAIL]})
    session.expire(segment)
    named = {
        name: make(CUSTOMER, name=name, industry="Retail" if "fits" in name else "Mining")
        for name in ("fits", "fits in", "in", "pinned in", "fits pinned out", "not")
    }
    for name, more in (
        ("fits in", {}),
        ("in", {}),
        ("pinned in", {"pin": Pin.IN}),
        ("fits pinned out", {"pin": Pin.OUT, "left_at": dt.datetime.now(dt.UTC)}),
    ):
        make(face_named("segment_membership"), segment_id=segment.id, party_id=named[name].id, **more)
    moves = trying.would_change(segment, read_rule(RETAIL), None)
    assert moves is not None
    assert (moves.entering, moves.leaving, moves.staying) == (1, 1, 2)
    assert ([one.name for one in moves.some_entering], [one.name for one in moves.some_leaving]) == (["fits"], ["in"])
    # What was laid down by hand is the rule's again once it is unpinned.
    segment.rule = RETAIL
    made = command_named(face_named("segment_membership"), "unpin")
    assert made is not None
    for name in ("pinned in", "fits pinned out"):
        [one] = session.query(SegmentMembership).filter_by(party_id=named[name].id)
        made.run(one, by=user)
    inside = (
        session.query(Party.name)
        .join(SegmentMembership, SegmentMembership.party_id == Party.id)
        .filter(SegmentMembership.left_at.is_(None))
    )
    assert sorted(name for (name,) in inside) == ["fits in", "fits pinned out", "in"]


def test_the_ready_made_segments_are_rules_that_can_be_taken(session: Any) -> None:
    assert [one.name for one in install(["regular"])] == ["VIP", "Regular"]
    assert len(install()) == len(READY_MADE) - 2
    assert install() == []
    for one in READY_MADE:
        assert in_words(read_rule(one.rule)), one.name
        assert trying.count(read_rule(one.rule), None, within=60_000).exact
