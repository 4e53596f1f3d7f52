"""Segments filled by hand: one by one as by the hundred, what a rule may not undo, and where customers show it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from crm.commands import access, segments
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused, command_named, perform, perform_set
from crm.core.entity import db, face_named
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segment_choices import MemberSource, Pin, SegmentType
from crm.models.segments import Segment, SegmentMembership, SegmentVersion
from crm.queries.listing import fetch_page, read_query
from tests.factories import make

CUSTOMER, SEGMENT, MEMBERSHIP = (face_named(name) for name in ("customer", "segment", "segment_membership"))
TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def by(session: Any) -> Iterator[User]:
    user, _ = access.create_user(email="doer@example.com", role="admin", name="Dora Doer")
    with acting_as(Acting(user.id, "test")):
        session.commit()
        yield user


def rows(segment: Segment) -> list[tuple[Any, ...]]:
    found = db.session.scalars(select(SegmentMembership).where(SegmentMembership.segment_id == segment.id)
                               .order_by(SegmentMembership.id).execution_options(populate_existing=True))  # fmt: skip
    return [(one.party.name, one.source, one.pin, one.left_at is None, one.added_by_id) for one in found]


@pytest.mark.parametrize("kind", SegmentType)
def test_many_are_added_and_taken_out_as_one_is(by: User, kind: SegmentType) -> None:
    """Each verb twice, to customers who are free, in it, archived and kept out: the same rows and the same reasons."""
    became = []
    for way in (_one_by_one, _at_once):
        segment = make(SEGMENT, type=kind)
        free, inside, archived, out = (make(CUSTOMER, name=name) for name in ("free", "inside", "archived", "out"))
        archived.archived_at = dt.datetime.now(dt.UTC)
        make(MEMBERSHIP, segment_id=segment.id, party_id=inside.id)
        make(MEMBERSHIP, segment_id=segment.id, party_id=out.id, pin=Pin.OUT, left_at=dt.datetime.now(dt.UTC))
        ids = {one.id: one.name for one in (free, inside, archived, out)}
        said = [
            {ids[number]: reason for number, reason in way(verb, list(ids), by, segment=segment.id).items()}
            for verb in ("add_to_segment", "add_to_segment", "remove_from_segment", "remove_from_segment")
        ]
        became.append((said, rows(segment)))
    assert became[0] == became[1]
    said, left = became[0]
    assert said[0] == {"inside": segments.IN_ALREADY, "archived": segments.ARCHIVED}
    assert said[3].keys() == set(ids.values())
    pin = None if kind is SegmentType.STATIC else Pin.OUT
    assert sorted(row[:4] for row in left if row[2] == pin and row[0] == "free") == [
        ("free", MemberSource.HAND, pin, False)
    ]


def _one_by_one(verb: str, ids: list[int], by: User, **values: Any) -> dict[int, str]:
    made = command_named(CUSTOMER, verb)
    assert made is not None
    outcomes = perform(made, ids, by=by, values=made.read(values))
    return {outcome.id: outcome.reason for outcome in outcomes if not outcome.done}


def _at_once(verb: str, ids: list[int], by: User, **values: Any) -> dict[int, str]:
    made = command_named(CUSTOMER, verb)
    assert made is not None
    return perform_set(made, ids, by=by, values=made.read(values))


def test_what_a_rule_fills_keeps_what_a_person_laid_down(by: User) -> None:
    segment, party = make(SEGMENT, type=SegmentType.DYNAMIC), make(CUSTOMER, name="Ann")
    _one_by_one("add_to_segment", [party.id], by, segment=segment.id)
    assert rows(segment) == [("Ann", MemberSource.HAND, Pin.IN, True, by.id)]
    [one] = db.session.scalars(select(SegmentMembership))
    segments.unpin.run(one, by=by)
    segments.pin_in.run(one, by=by)
    segments.leave.run(one, by=by)
    assert (one.pin, one.left_at is None) == (Pin.OUT, False)
    with pytest.raises(Refused, match="left already"):
        segments.leave.run(one, by=by)


def test_an_ended_segment_takes_nobody_and_one_out_of_reach_is_not_there(by: User) -> None:
    ended, party = make(SEGMENT, name="Old", valid_until=TODAY - dt.timedelta(days=1)), make(CUSTOMER)
    assert _one_by_one("add_to_segment", [party.id], by, segment=ended.id) == {party.id: "the segment “Old” has ended"}
    blind, _ = access.create_user(email="blind@example.com", role="credit_approver", name="Bo Blind")
    [reason] = _one_by_one("add_to_segment", [party.id], blind, segment=make(SEGMENT).id).values()
    assert "that you may see" in reason


def test_every_change_of_a_rule_is_a_version(by: User) -> None:
    rule = {"all": [{"field": "industry", "op": "eq", "value": "Retail"}]}
    segment = make(SEGMENT, type=SegmentType.DYNAMIC, rule=rule)
    segment.priority = 3
    db.session.flush()
    segment.rule = {"any": []}
    db.session.flush()
    db.session.expire_all()
    kept = db.session.execute(select(SegmentVersion.version, SegmentVersion.rule, SegmentVersion.made_by_id)
                              .where(SegmentVersion.segment_id == segment.id).order_by(SegmentVersion.version)).all()  # fmt: skip
    assert [tuple(row) for row in kept] == [(1, rule, by.id), (2, {"any": []}, by.id)]
    assert (segment.rule_version, segment.created_by_id, segment.updated_by_id) == (2, by.id, by.id)


def test_a_list_is_filtered_by_the_segment_customers_are_in_now(by: User) -> None:
    vip, other = make(SEGMENT), make(SEGMENT)
    inside, left, _ = (make(CUSTOMER, name=name) for name in ("inside", "left", "never"))
    make(MEMBERSHIP, segment_id=vip.id, party_id=inside.id)
    make(MEMBERSHIP, segment_id=vip.id, party_id=left.id, left_at=dt.datetime.now(dt.UTC))
    make(MEMBERSHIP, segment_id=other.id, party_id=left.id)

    def found(op: str, value: str) -> set[str]:
        return {row.name for row in fetch_page(CUSTOMER, read_query(CUSTOMER, [(f"flt_segment_{op}", value)]), by).rows}

    assert found("eq", str(vip.id)) == {"inside"}
    assert found("ne", str(vip.id)) == found("not_in", str(vip.id)) == {"left", "never"}
    assert found("in", f"{vip.id},{other.id}") == found("not_empty", "1") == {"inside", "left"}
    assert found("empty", "1") == {"never"}


def test_the_page_of_a_customer_shows_its_segments_in_their_order(session: Any, as_user: Any) -> None:
    party = make(CUSTOMER, name="Ann")
    for name, priority, more in (
        ("Second", 20, {}),
        ("First", 10, {}),
        ("Over", 1, {"valid_until": TODAY - dt.timedelta(days=1)}),
    ):
        make(MEMBERSHIP, segment_id=make(SEGMENT, name=name, priority=priority, **more).id, party_id=party.id)
    session.commit()
    page = as_user("admin").client.get(f"/admin/customers/details/?id={party.id}").text
    head = page[page.index('id="page-head"') : page.index("</header>", page.index('id="page-head"'))]
    assert head.index(">First</a>") < head.index(">Second</a>")
    assert ">Over</a>" not in head
    assert ">First</a>" not in as_user("credit_approver").client.get(f"/admin/customers/details/?id={party.id}").text


def test_a_rule_is_given_as_json_and_what_is_none_is_told(session: Any, as_user: Any) -> None:
    admin, rule = as_user("admin"), {"all": [{"field": "name", "op": "eq", "value": "Ärger"}]}

    def sent(text: str) -> Any:
        return admin.client.post("/admin/segments/new/", data={"name": "By rule", "type": "dynamic", "rule": text})

    for wrong, says in (("{", "is not JSON"), ("[]", "must be an object"), ('{"a": ' * 60 + "1" + "}" * 60, "nested too deep"),
                        ('{"a": NaN}', "no number"), ('{"a": "\\u0000"}', "kept"), ("[" * 20_000, "nested too deep")):  # fmt: skip
        answer = sent(wrong)
        assert answer.status_code == 422, wrong[:20]
        assert says in answer.text, wrong[:20]
    assert sent(json.dumps(rule)).status_code == 303
    [made] = session.scalars(select(Segment))
    assert made.rule == rule
    assert session.scalar(select(Party.id)) is None
