"""The builder of rules: what a form holds is drawn anew at each step, told of as one builds, reviewed, kept as a version."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import html5lib
import pytest
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from admin_views.segment_tree import draft_of, read_form, rule_of
from crm.commands.segment_ready_made import READY_MADE
from crm.commands.segment_refresh import under_way
from crm.core.entity import face_named
from crm.models.segments import Segment, SegmentVersion
from crm.queries.segment_rules.reading import read_rule
from tests.factories import make
from tests.rule_worlds import Rules, new_world

CUSTOMER, SEGMENT = face_named("customer"), face_named("segment")


def form_of(page: str) -> list[tuple[str, str]]:
    """What a browser would send of the rule's form, without its buttons and the token."""
    sent: list[tuple[str, str]] = []
    for one in html5lib.parse(page, namespaceHTMLElements=False).iter():
        name = one.get("name")
        if not name or not re.match(r"(node|_version)$|.*-\d+$", name):
            continue
        if one.tag == "input":
            sent.append((name, one.get("value", "")))
        elif one.tag == "textarea":
            sent.append((name, "".join(one.itertext()).removeprefix("\n")))
        elif one.tag == "select":
            options = list(one.iter("option"))
            chosen = [option for option in options if option.get("selected") is not None]
            if not chosen and one.get("multiple") is None:
                chosen = options[:1]
            sent += [(name, option.get("value", "")) for option in chosen]
    return sent


class Desk:
    """A person who builds."""

    def __init__(self, person: Any, segment: Segment) -> None:
        self.client, self.base = person.client, f"/admin/segments/rule/{{}}?id={segment.id}"
        self.page = self.client.get(self.base.format("")).text

    def do(self, word: str = "", **given: str) -> str:
        fields = [(name, given.pop(name.replace("-", "_"), value)) for name, value in form_of(self.page)]
        fields += [(name.replace("_", "-", 1), value) for name, value in given.items()]
        answer = self.client.post(self.base.format("build/"), data=MultiDict([*fields, ("do", word)]))
        assert answer.status_code == 200, answer.text
        assert answer.headers["HX-Trigger-After-Swap"] == "desk:rule"
        self.version = dict(fields).get("_version", getattr(self, "version", ""))
        self.page = answer.text
        return self.page

    def ask(self, where: str, **more: str) -> Any:
        return self.client.post(
            self.base.format(where), data=MultiDict([*form_of(self.page), ("_version", self.version), *more.items()])
        )


@pytest.fixture
def people(session: Any) -> dict[str, Any]:
    named = {name: make(CUSTOMER, name=name, industry=industry, employees=employees)
             for name, industry, employees in (("Ann", "Retail", 5), ("Bo", "Retail", 50), ("Cy", "Mining", 50))}  # fmt: skip
    for _ in range(3):
        make(face_named("order"), customer_id=named["Bo"].id, state="completed")
    return named


def test_a_rule_is_built_step_by_step_told_and_kept(session, as_user, people):
    segment = make(SEGMENT, name="Built", type="dynamic", rule=None)
    session.commit()
    desk = Desk(as_user("admin"), segment)
    assert "everybody is meant" in desk.page
    assert "autofocus" in desk.do("add-field:1")
    desk.do(field_2="industry")
    assert 'name="op-2"' in desk.page
    desk.do(op_2="in")
    desk.do("add-group:1", value_2="Retail\nMining")
    desk.do("add-field:3")
    desk.do(field_4="employees")
    desk.do("add-related:3", value_4="10")
    desk.do(related_5="orders")
    told = desk.ask("tell/").text
    assert re.search(r'rule-number">2 <', told)
    assert "Industry is one of “Retail”, “Mining” and (Number of employees at least 10 or has orders)" in told
    assert re.search(r'id="told-2" data-told><button[^>]*>3<', told)
    assert ">Bo</a>" in told
    desk.do(agg_5="count")
    desk.do("add-field:6", op_5="ge", value_5="4")
    desk.do(field_7="state")
    desk.do(value_7="completed", within_5="90", within_unit_5="days")
    some = desk.client.post(desk.base.format("some/") + "&node=5", data=MultiDict(form_of(desk.page)))
    assert "Nobody." in some.text
    why = desk.ask("explain/", explain=str(people["Bo"].id)).text
    assert ">In<" in why
    assert re.search(
        "Doesn’t hold: </span>number of orders in the last 90 days with Order status is Completed at least 4", why
    )
    asked = desk.ask("review/")
    assert "2 would enter: " in asked.text
    (hidden,) = re.findall(r'name="rule" value="([^"]*)"', asked.text)
    rule = json.loads(hidden.replace("&#34;", '"'))
    assert rule == {"all": [
        {"field": "industry", "op": "in", "value": ["Retail", "Mining"]},
        {"any": [{"field": "employees", "op": "ge", "value": 10},
                 {"related": "orders", "where": {"field": "state", "op": "eq", "value": "completed"}, "within_last": {"days": 90},
                  "count": {"ge": 4}}]}]}  # fmt: skip
    kept = desk.client.post(desk.base.format("keep/"), data={"rule": json.dumps(rule), "_version": desk.version})
    assert kept.status_code == 303
    session.expire_all()
    assert segment.rule == rule
    assert [
        one.version for one in session.scalars(select(SegmentVersion).where(SegmentVersion.segment_id == segment.id))
    ] == [1]
    assert under_way(segment) is not None, "it is refreshed at once"
    stale = desk.client.post(desk.base.format("keep/"), data={"rule": "{}", "_version": desk.version})
    assert stale.status_code == 303
    session.expire_all()
    assert segment.rule == rule


def test_what_is_not_finished_or_wrong_is_told_at_its_place(session, as_user, people):
    segment = make(
        SEGMENT, type="dynamic", rule={"all": [{"field": "industry", "op": "eq", "value": "Retail"}, {"any": []}]}
    )
    session.commit()
    desk = Desk(as_user("admin"), segment)
    desk.do("add-field:3")
    desk.do(field_4="employees")
    desk.do(value_4="many")
    told = desk.ask("tell/").text
    assert re.search(r'id="told-4"[^>]*><p class="field-error">.*?is not a number', told, re.S)
    assert re.search(r'id="told-2"[^>]*><button[^>]*>2<', told), "what is finished is counted"
    assert 'rule-number faint">—' in told
    answer = desk.ask("review/")
    assert answer.status_code == 422
    assert "is not a number" in answer.text
    assert 'value="many"' in answer.text, "what was typed is still there"
    desk.do("add-field:1")
    assert "Choose a field" in desk.ask("tell/").text
    assert desk.client.post(desk.base.format("build/"), data={"node": "2:1:field"}).status_code == 422
    assert desk.client.post(desk.base.format("build/"), data={"node": ["1:0:group", "3:9:field"]}).status_code == 422


def test_nodes_are_moved_past_each_other_into_groups_and_out(session, as_user):
    a, b, c = ({"field": "industry", "op": "eq", "value": value} for value in "abc")
    segment = make(SEGMENT, type="dynamic", rule={"all": [a, {"any": [b]}, c]})
    session.commit()
    desk = Desk(as_user("admin"), segment)

    def rule() -> Any:
        return rule_of(read_form(MultiDict(form_of(desk.page))))[0]

    desk.do("down:2")
    assert rule() == {"all": [{"any": [a, b]}, c]}
    desk.do("down:2")
    assert rule() == {"all": [{"any": [b, a]}, c]}
    desk.do("down:2")
    assert rule() == {"all": [{"any": [b]}, a, c]}
    desk.do("up:2")
    desk.do("up:4")
    assert rule() == {"all": [b, {"any": [a]}, c]}
    desk.do("remove:3")
    assert rule() == {"all": [b, c]}
    desk.do("up:1")
    desk.do("remove:99")
    assert rule() == {"all": [b, c]}


def test_every_rule_that_can_be_kept_can_be_drawn_and_sent_back_the_same(session, as_user, soak_round):
    """What the form says of any rule is read as the same rule, by way of its page."""
    dice = random.Random(soak_round)
    maker = Rules(dice, new_world(dice, 8))
    make(SEGMENT, name="VIP")  # which a ready-made one asks for
    segment = make(SEGMENT, type="dynamic", rule={"all": []})
    desk = as_user("admin").client
    for rule in [*(one.rule for one in READY_MADE), *(maker.rule() for _ in range(12))]:
        segment.rule = rule
        session.commit()
        page = desk.get(f"/admin/segments/rule/?id={segment.id}").text
        back = rule_of(read_form(MultiDict(form_of(page))))[0]
        assert _meaning(back) == _meaning(rule), rule
        assert _meaning(rule_of(draft_of(rule))[0]) == _meaning(back)


def _meaning(rule: Any) -> str:
    """A tree as it is read, without its places; `where` with a group of one is that one."""
    whole = rule if {"all", "any", "none"} & set(rule) else {"all": [rule]}
    return re.sub(r"path='[^']*'|key='(?:[^'\\]|\\.)*'|key=\"[^\"]*\"", "", repr(read_rule(_simple(whole))))


def _simple(raw: Any) -> Any:
    if isinstance(raw, list):
        # What is chosen from a list is chosen once, in the order of the list.
        return (
            [_simple(one) for one in raw] if any(isinstance(one, dict) for one in raw) else sorted(set(map(str, raw)))
        )
    if not isinstance(raw, dict):
        return raw
    made = {key: _simple(value) for key, value in raw.items()}
    while (
        isinstance(made.get("where"), dict)
        and isinstance(made["where"].get("all"), list)
        and len(made["where"]["all"]) < 2
    ):
        inside = made.pop("where")["all"]
        made |= {"where": inside[0]} if inside else {}
    return made


def test_only_what_one_may_read_is_offered_and_told(session, as_user, people):
    segment = make(SEGMENT, type="dynamic", rule={"all": [{"field": "tax_id", "op": "not_empty"}]})
    session.commit()
    marketer = Desk(as_user("marketer"), segment)
    marketer.do()
    assert "your roles don" in marketer.ask("tell/").text
    assert not re.search(r'<option value="tax_id">', marketer.page)
    assert as_user("service_advisor").client.get(f"/admin/segments/rule/?id={segment.id}").status_code == 403
