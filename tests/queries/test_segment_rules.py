"""Rules: what the database makes of them is what they mean; what is none is refused with the place of the fault."""

from __future__ import annotations

import html
import json
import random
import sys
from typing import Any

import pytest
from sqlalchemy import func, select

from crm.commands import records
from crm.core.command import Refused, WrongInput
from crm.core.entity import db, face_named
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segments import Segment
from crm.queries.segment_rules.compiling import Compiler
from crm.queries.segment_rules.dependence import used_by
from crm.queries.segment_rules.reading import BadRule, read_rule
from tests.factories import make
from tests.rule_worlds import TODAY, Rules, new_world

RULES = 100


def found(rules: list[Any], **more: Any) -> list[set[int]]:
    """Whom each of these rules holds of, all in one pass."""
    compiler = Compiler(today=TODAY, **more)
    columns = [func.coalesce(compiler.add(read_rule(one)), False) for one in rules]
    rows = db.session.execute(compiler.customers(Party.id, *columns)).all()
    return [{row[0] for row in rows if row[number]} for number in range(1, len(rules) + 1)]


@pytest.mark.soak
def test_the_database_finds_whom_a_rule_means(session: Any, soak_round: int) -> None:
    """Rules at random against a slow evaluator in plain Python, several in one pass, and of some customers alone."""
    rng = random.Random(soak_round)
    world = new_world(rng)
    maker, ids = Rules(rng, world), sorted(one.id for one in world.customers)
    some, matched = set(rng.sample(ids, 9)), 0
    for _ in range(RULES // 5):
        rules = [maker.rule() for _ in range(5)]
        wanted = [world.fits(one) for one in rules]
        matched += sum(0 < len(one) < len(ids) for one in wanted)
        for rule, right, whole in zip(rules, wanted, found(rules), strict=True):
            assert whole == right, json.dumps(rule, default=str)
        for rule, right, part in zip(rules, wanted, found(rules, only=lambda column: column.in_(some)), strict=True):
            assert part == right & some, json.dumps(rule, default=str)
    assert matched > RULES / 10  # most rules at random mean everybody or nobody


# What can't be taken

EQ = {"field": "industry", "op": "eq", "value": "Retail"}


@pytest.mark.parametrize(("rule", "says"), [
    ([], "rule: must be an object"), ({}, "must have one of all, any"), ({"all": EQ}, "all: must be a list, not an object"),
    ({"all": [EQ], "any": [EQ]}, "not all and any"),
    ({"all": [EQ, {"any": [EQ | {"value": ["a"]}]}]}, "all[1].any[0].value: must be one value, not a list"),
    ({"all": [EQ | {"op": "like"}]}, "all[0].op: “like” doesn't fit Industry; use one of: contains"),
    ({"field": "industri", "op": "eq", "value": "x"}, "field: Customers have no field “industri”"),
    (EQ | {"valu": 1}, "valu: is not known here"), (EQ | {"value": None}, "value: is required"), (EQ | {"value": 7}, "must be text"),
    ({"field": "employees", "op": "in", "value": [1, "x"]}, "value[1]: is not a number"),
    ({"field": "employees", "op": "between", "value": [1]}, "two values, from and to"),
    ({"field": "created_at", "op": "within_last", "value": 90}, 'such as {"days": 90}'),
    ({"field": "created_at", "op": "within_last", "value": {"days": True}}, "a whole number of days"),
    ({"field": "created_at", "op": "within_last", "value": {"years": 101}}, "longer than 100 years"),
    ({"field": "total_spent", "op": "top_percent", "value": 101}, "at most 100"),
    ({"field": "name", "op": "empty", "value": "x"}, "value: isn't needed"),
    ({"field": "name", "op": "contains", "value": "a" * 201}, "1 to 200 letters"),
    ({"related": "ordres"}, "related: Customers have no records “ordres”"),
    ({"related": "orders", "where": {"any": [{"field": "state", "op": "eq", "value": "lost"}]}}, "where.any[0].value: “lost” is none of"),
    ({"related": "orders", "count": {"ge": 1}, "sum": {"of": "total", "gt": 1}}, "not count and sum"),
    ({"related": "orders", "sum": {"of": "state", "gt": 1}}, "sum.of: Order status can't be used for sum"),
    ({"related": "orders", "sum": {"of": "total"}}, "sum: must have one comparison"),
    ({"related": "orders", "sum": {"of": "total", "gt": "much"}}, "sum.gt: is not a number"),
    ({"related": "orders", "within_last": {"days": -1}}, "within_last: must have a whole number"),
    ({"related": "orders", "where": {"in_segment": "VIP"}}, "Orders are in no segment"),
    ({"in_segment": 3}, "in_segment: must be the name of a segment"),
    ({"field": "owner.password_hash", "op": "eq", "value": "x"}, "no field “owner.password_hash”"),
    ({"field": "a" * 10**6, "op": "eq", "value": "x"}, "no field"), ({"field": {"$where": "1"}, "op": "eq"}, "must be the name of a field"),
    ({"field": "employees", "op": "eq", "value": 10**400}, "value: "),
    ({"field": "employees", "op": "gt", "value": float("inf")}, "is not a number"),
    ({"field": "industry", "op": "eq", "value": "\x00"}, "NUL"), ({"field": "industry", "op": "eq", "value": "\ud800"}, "broken character"),
])  # fmt: skip
def test_what_is_no_rule_is_refused_with_the_place_of_the_fault(session: Any, rule: Any, says: str) -> None:
    with pytest.raises(BadRule) as fault:
        read_rule(rule)
    assert says in str(fault.value)


def nested(depth: int, mode: str = "all") -> Any:
    rule: Any = EQ
    for _ in range(depth):
        rule = {mode: [rule]} if mode != "where" else {"related": "orders", "where": rule}
    return rule


@pytest.mark.parametrize("rule", [
    nested(10_000), nested(10_000, "where"), {"all": [EQ] * 1_000_000}, {"all": [{"any": [EQ] * 150}] * 150},
    EQ | {"op": "in", "value": ["x"] * 1_000_000}, EQ | {"op": "in", "value": [[[]]] * 900}, {"all": [{}] * 199},
    EQ | {"op": "contains", "value": "(a+)+$" * 100_000}, {f"k{number}": 1 for number in range(100_000)},
], ids=["groups", "records", "conditions", "tree", "list", "lists", "empty", "pattern", "keys"])  # fmt: skip
def test_a_hostile_rule_costs_no_more_than_its_reading(session: Any, rule: Any) -> None:
    """Counted, not timed: however large the rule, few of its parts are looked at."""
    looked = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal looked
        looked += event == "call"

    sys.setprofile(count)
    try:
        with pytest.raises(BadRule) as fault:
            read_rule(rule)
    finally:
        sys.setprofile(None)
    assert looked < 110_000
    assert len(str(fault.value)) < 10_000


def test_patterns_stand_for_themselves(session: Any) -> None:
    names = ("50% off", "50 off", "a_b", "axb", "(a+)+$", "back\\slash")
    made = {name: make(face_named("customer"), industry=name).id for name in names}
    for term, meant in (("50%", "50% off"), ("A_B", "a_b"), ("(a+)+$", "(a+)+$"), ("K\\S", "back\\slash")):
        assert found([{"field": "industry", "op": "contains", "value": term}]) == [{made[meant]}]


def test_a_rule_asks_only_for_what_its_writer_may_read(session: Any, as_user: Any) -> None:
    marketer, approver = (session.get(User, as_user(role).user_id) for role in ("marketer", "credit_approver"))
    read_rule({"all": [EQ, {"related": "consents"}]}, marketer)
    for actor, rule, says in (
        (marketer, {"field": "tax_id", "op": "not_empty"}, "your roles don't show “tax_id”"),
        (
            marketer,
            {"related": "contacts", "where": {"field": "party.tax_id", "op": "not_empty"}},
            "your roles don't show",
        ),
        (approver, {"related": "loyalty_accounts"}, "your roles don't show memberships"),
    ):
        with pytest.raises(BadRule, match=says):
            read_rule(rule, actor)


def test_a_segment_takes_no_faulty_rule_by_form_or_program(
    session: Any, as_user: Any, api_key: Any, client: Any
) -> None:
    wrong, says = {"all": [EQ, EQ | {"op": "near"}]}, "all[1].op: “near”"
    form = as_user("admin").client.post(
        "/admin/segments/new/", data={"name": "A", "type": "dynamic", "rule": json.dumps(wrong)}
    )
    assert (form.status_code, says in html.unescape(form.text)) == (422, True)
    key = api_key()
    sent = client.post(
        "/api/v1/segments", json={"name": "A", "type": "dynamic", "rule": wrong}, headers=key | {"Idempotency-Key": "1"}
    )
    assert (sent.status_code, says in str(sent.json)) == (422, True)
    deep = client.post("/api/v1/segments", data=json.dumps({"name": "A", "rule": nested(300)}),
                       headers=key | {"Idempotency-Key": "2", "Content-Type": "application/json"})  # fmt: skip
    assert (deep.status_code, "nested too deep" in str(deep.json)) == (422, True)
    assert session.scalar(select(Segment.id)) is None


def test_segments_in_segments_make_no_circle_and_stay_while_they_are_asked_for(session: Any, as_user: Any) -> None:
    admin = session.get(User, as_user("admin").user_id)
    segment = face_named("segment")
    first = records.create(segment, {"name": "First", "type": "dynamic", "rule": EQ}, admin)
    second = records.create(segment, {"name": "Second", "rule": {"none": [{"in_segment": "FIRST"}]}}, admin)
    for record, values, says in ((first, {"rule": {"in_segment": "second"}}, "first → second → first"), (second, {"rule": {"in_segment": "Second"}}, "leads back"),
                                 (second, {"rule": {"in_segment": "Third"}}, "there is no segment “Third”"), (first, {"name": "Erst"}, "“Second” ask for it")):  # fmt: skip
        with pytest.raises(WrongInput, match=says):
            records.update(segment, record, values, admin)
    with pytest.raises(Refused, match="the rules of “Second” ask for it"):
        records.delete(segment, first)
    assert used_by(first) == [second]
    records.delete(segment, second)
    records.delete(segment, first)
