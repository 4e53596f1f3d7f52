"""The page of a segment, and segments that are made of what a list is filtered by."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from sqlalchemy import delete, select

from crm.commands import records
from crm.commands.segment_refresh import ask_refresh
from crm.core.command import Refused
from crm.core.entity import face_named
from crm.core.figures import settle
from crm.core.jobs import Job, JobState
from crm.models.segment_choices import Pin, SegmentType
from crm.models.segments import Segment, SegmentMembership, SegmentRefresh, SegmentVersion
from tests.factories import make

CUSTOMER, SEGMENT, MEMBERSHIP, REFRESH = (
    face_named(name) for name in ("customer", "segment", "segment_membership", "segment_refresh")
)
RETAIL = {"field": "industry", "op": "eq", "value": "Retail"}
NOW = dt.datetime.now(dt.UTC)


def found(trend: str) -> list[tuple[str, ...]]:
    """Members, entered and left of each week of a trend."""
    return re.findall(
        r'data-label="Members">(\d+)</td><td class="num" data-label="Entered">(\d+)</td><td class="num" data-label="Left">(\d+)',
        trend,
    )


def test_the_page_tells_who_is_in_how_that_came_and_what_is_wrong(session, as_user):
    segment = make(SEGMENT, name="Shops", type="dynamic", rule={"all": [RETAIL]})
    make(SEGMENT, name="Without shops", type="dynamic", rule={"none": [{"in_segment": "shops"}]})
    segment.rule = {"all": [RETAIL, {"related": "orders"}]}
    inside, left = (make(CUSTOMER, name=name) for name in ("In", "Left"))
    make(
        MEMBERSHIP,
        segment_id=segment.id,
        party_id=inside.id,
        entered_at=NOW - dt.timedelta(days=20),
        expires_on=NOW.date(),
    )
    make(
        MEMBERSHIP,
        segment_id=segment.id,
        party_id=left.id,
        entered_at=NOW - dt.timedelta(days=40),
        left_at=NOW - dt.timedelta(days=1),
    )
    make(REFRESH, segment_id=segment.id, state="done", members=2, entered=2, gone=0, started_at=NOW, finished_at=NOW)
    make(
        REFRESH, segment_id=segment.id, state="failed", error="The rule can't be taken", started_at=NOW, finished_at=NOW
    )
    settle()
    session.commit()
    person = as_user("admin").client
    page = person.get(f"/admin/segments/details/?id={segment.id}").text
    assert "Industry is “Retail” and has orders." in page
    assert f'href="/admin/customers/?flt_segment_eq={segment.id}"' in page
    assert "The last refresh failed" in page
    assert "1 membership ends within 30 days" in page
    assert ">Without shops</a>" in page
    rows = found(person.get(f"/admin/segments/trend/?id={segment.id}").text)
    # Of a segment with a rule the refreshes tell who came and went, and none before the first of them was there.
    assert rows[:2] == [("1", "2", "0"), ("0", "0", "0")]
    session.execute(delete(SegmentRefresh).where(SegmentRefresh.segment_id == segment.id))
    session.commit()
    rows = found(person.get(f"/admin/segments/trend/?id={segment.id}").text)
    assert rows[0] == ("1", "0", "1")
    assert rows[1] == ("2", "0", "0")
    assert rows[6] == ("0", "0", "0")
    rules = person.get(f"/admin/segments/rules/?id={segment.id}").text
    assert re.search(r"New: </span>has orders</span>", rules)
    assert f'href="/admin/segments/rule/?id={segment.id}&amp;version=1"' in rules
    again = person.get(f"/admin/segments/rule/?id={segment.id}&version=1").text
    assert 'rule-words">Industry is “Retail”.' in again
    assert person.get(f"/admin/segments/rule/?id={segment.id}&version=9").status_code == 404
    session.execute(delete(SegmentVersion).where(SegmentVersion.segment_id == segment.id))
    session.commit()
    assert person.get(f"/admin/segments/rules/?id={segment.id}").status_code == 200


def test_a_refresh_is_watched_until_it_has_ended(session, as_user):
    segment = make(SEGMENT, type="dynamic", rule={"all": [RETAIL]})
    person = as_user("admin")
    job = ask_refresh([segment.id], by=person.user_id)
    session.commit()
    watched = person.client.get(f"/admin/segments/details/?id={segment.id}").text
    assert f'hx-get="/admin/segments/progress/?id={segment.id}"' in watched
    session.get_one(Job, job.id).state = JobState.DONE
    make(REFRESH, segment_id=segment.id, state="done", members=7, entered=4, gone=1, started_at=NOW, finished_at=NOW)
    session.commit()
    ended = person.client.get(f"/admin/segments/progress/?id={segment.id}").text
    assert "4 entered, 1 left, 7 are in" in ended
    assert "hx-get" not in ended


def test_whoever_asked_for_a_refresh_stops_it_on_the_page_of_the_segment(session, as_user):
    segment = make(SEGMENT, type="dynamic", rule={"all": [RETAIL]})
    person, other = as_user("marketer"), as_user("marketer")
    job = ask_refresh([segment.id], by=person.user_id)
    session.commit()
    page = f"/admin/segments/details/?id={segment.id}"
    assert "Cancel the refresh" not in other.client.get(page).text
    form = re.search(r'<form class="segment-cancel".*?</form>', person.client.get(page).text, re.S)
    assert form is not None
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[0]))
    assert person.client.post("/admin/jobs/action/", data=sent).location == page
    session.expire_all()
    assert session.get_one(Job, job.id).state is JobState.CANCELLED
    assert "Cancel the refresh" not in person.client.get(page).text


def test_what_a_list_is_filtered_by_becomes_a_segment_or_the_filter_that_cannot_is_named(session, as_user):
    vip = make(SEGMENT, name="Very few")
    for name in ("Ann", "Bo"):
        make(CUSTOMER, name=name, industry="Retail", employees=20)
    session.commit()
    person = as_user("admin").client
    filters = (
        f"flt_industry_eq=Retail&flt_employees_between=5,50&flt_created_at_within_last=3+months&flt_segment_ne={vip.id}"
    )
    shown = person.get(f"/admin/customers/?{filters}").text
    assert "/admin/segments/from-list/?flt_industry_eq=Retail" in shown
    asked = person.get(f"/admin/segments/from-list/?{filters}").text
    assert "That is 2 customers now." in asked
    assert "not (in the segment “Very few”)" in asked
    sent = dict(pair.split("=") for pair in filters.replace("+", " ").split("&"))
    assert person.post("/admin/segments/from-list/", data=sent | {"name": "very few"}).status_code == 422
    made = person.post("/admin/segments/from-list/", data=sent | {"name": "Small shops"})
    assert made.status_code == 303
    kept = session.scalars(select(Segment).where(Segment.name == "Small shops")).one()
    assert (kept.type, kept.rule) == (SegmentType.DYNAMIC, {"all": [
        RETAIL, {"field": "employees", "op": "between", "value": [5, 50]}, {"field": "created_at", "op": "within_last", "value": {"months": 3}},
        {"none": [{"in_segment": "Very few"}]}]})  # fmt: skip
    for query, says in (
        ("search=ann", "the search"),
        ("flt_segment_empty=1", "“Segment”"),
        ("flt_status_eq=archived", "archived"),
    ):
        refused = person.get(f"/admin/segments/from-list/?{query}")
        assert refused.status_code == 303
        assert says in person.get(refused.location).text


def test_lists_of_what_belongs_to_customers_are_filtered_by_segment_and_become_segments(session, as_user):
    vip, ann, bo = make(SEGMENT, name="Very few"), make(CUSTOMER, name="Ann"), make(CUSTOMER, name="Bo")
    make(MEMBERSHIP, segment_id=vip.id, party_id=ann.id)
    make(MEMBERSHIP, segment_id=vip.id, party_id=bo.id, left_at=dt.datetime.now(dt.UTC))
    for number, party in enumerate((ann, bo)):
        order = make(face_named("order"), customer_id=party.id, currency="EUR", state="completed")
        make(face_named("order_line"), order_id=order.id, name=f"Part of {number}", unit_price=1)
    session.commit()
    person = as_user("admin").client
    for plural, said in (("orders", ("Ann", "Bo")), ("purchases", ("Part of 0", "Part of 1"))):
        shown = [
            person.get(f"/admin/{plural}/?flt_segment_{op}={vip.id}").text.split("<tbody")[1] for op in ("eq", "ne")
        ]
        assert [[word in page for word in said] for page in shown] == [[True, False], [False, True]]
    filters = f"flt_state_eq=completed&flt_segment_eq={vip.id}"
    assert (
        f"/admin/segments/from-list/?of=orders&amp;{filters.replace('&', '&amp;')}"
        in person.get(f"/admin/orders/?{filters}").text
    )
    asked = person.get(f"/admin/segments/from-list/?of=orders&{filters}").text
    assert "That is 1 customer now." in asked
    made = person.post("/admin/segments/from-list/", data={"of": "orders", "flt_state_eq": "completed", "flt_segment_eq": str(vip.id),
                                                           "name": "Have bought"})  # fmt: skip
    assert made.status_code == 303
    kept = session.scalars(select(Segment).where(Segment.name == "Have bought")).one()
    assert kept.rule == {
        "all": [
            {"related": "orders", "where": {"field": "state", "op": "eq", "value": "completed"}},
            {"in_segment": "Very few"},
        ]
    }
    for plural in ("users", "nonsense"):
        assert person.get(f"/admin/segments/from-list/?of={plural}&flt_name_eq=x").status_code == 404


def act(person: Any, segment: Segment, verb: str, **values: str) -> Any:
    return person.client.post(
        "/admin/segments/action/", data={"action": verb, "rowid": str(segment.id), "confirm": "1"} | values
    )


def test_segments_are_cloned_and_made_static_and_dynamic(session, as_user):
    person = as_user("admin")
    segment = make(SEGMENT, name="Shops", type="dynamic", rule={"all": [RETAIL]})
    party, kept_out = make(CUSTOMER), make(CUSTOMER)
    make(MEMBERSHIP, segment_id=segment.id, party_id=party.id, pin=Pin.IN)
    make(MEMBERSHIP, segment_id=segment.id, party_id=kept_out.id, pin=Pin.OUT, entered_at=NOW, left_at=NOW)
    session.commit()
    act(person, segment, "make_static")
    session.expire_all()
    assert segment.type is SegmentType.STATIC
    assert {one.pin for one in session.scalars(select(SegmentMembership))} == {None}
    act(person, segment, "clone", name="Copy")
    copied = session.scalars(select(Segment).where(Segment.name == "Copy")).one()
    assert [
        one.party_id
        for one in session.scalars(select(SegmentMembership).where(SegmentMembership.segment_id == copied.id))
    ] == [party.id]
    act(person, segment, "clone", name="COPY")
    assert session.scalar(select(Segment.id).where(Segment.name == "COPY")) is None
    act(person, segment, "make_dynamic", keep="true")
    session.expire_all()
    assert segment.type is SegmentType.DYNAMIC
    pins = {
        one.party_id: one.pin
        for one in session.scalars(select(SegmentMembership).where(SegmentMembership.segment_id == segment.id))
    }
    assert pins == {party.id: Pin.IN, kept_out.id: None}
    assert session.scalar(select(Job.id).where(Job.label == "Refresh of a segment")) is not None


def test_whatever_names_a_segment_is_told_as_its_user_and_keeps_it(session, as_user):
    desk, rep = as_user("admin").client, as_user("sales_rep").client
    segment = make(SEGMENT, name="Gold")
    ladder = make(face_named("ladder"), name="Metals")
    make(face_named("ladder_step"), ladder_id=ladder.id, segment_id=segment.id, position=1)
    rule = make(face_named("automation_rule"), name="Greet them")
    for position in (1, 2):
        make(face_named("automation_step"), rule_id=rule.id, segment_id=segment.id, position=position)
    make(face_named("check_in_rule"), name="Call Gold", segment_id=segment.id)
    make(face_named("loyalty_program"), name="Gold club", segment_id=segment.id)
    make(SEGMENT, name="In gold", type="dynamic", rule={"in_segment": "Gold"})
    session.commit()
    page = desk.get(f"/admin/segments/details/?id={segment.id}").text
    shown = page[page.index('id="segment-used"') :].split("</section>")[0]
    assert re.findall(r"<dt>(.*?)</dt>", shown) == [
        "Segments whose rules ask for it", *sorted(("Automation rules", "Check-in rules", "Ladders", "Loyalty programs"))]  # fmt: skip
    assert re.findall(r'<a class="tag" href="[^"]+">(.*?)</a>', shown) == [
        "In gold",
        "Greet them",
        "Call Gold",
        "Metals",
        "Gold club",
    ]
    told = rep.get(f"/admin/segments/details/?id={segment.id}").text
    assert "Gold club" in told
    assert "Greet them" not in told, "whoever may not see rules isn't told of them"
    refused = desk.post("/admin/segments/delete/", data={"id": segment.id, "confirm": "1"}, follow_redirects=True)
    assert "In gold" in refused.text
    session.delete(session.scalars(select(Segment).where(Segment.name == "In gold")).one())
    session.commit()
    with pytest.raises(
        Refused, match="it is used by automation rule “Greet them”, check-in rule “Call Gold”, ladder “Metals”"
    ):
        records.delete(SEGMENT, segment)


def test_who_was_in_on_a_day_is_a_list_like_any_other(session, as_user):
    person, rep = as_user("admin"), as_user("sales_rep")
    segment, other = make(SEGMENT, name="Gold"), make(SEGMENT, name="Other")
    midnight = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    hour = dt.timedelta(hours=1)

    def was_in(name: str, entered: dt.datetime, left: dt.datetime | None, **more: Any) -> None:
        party = make(CUSTOMER, name=name, owner_id=rep.user_id if name == "Stayed" else person.user_id)
        make(MEMBERSHIP, **{"segment_id": segment.id} | more, party_id=party.id, entered_at=entered, left_at=left)

    was_in("Stayed", midnight - 48 * hour, None)
    was_in("Camelate", midnight - hour, midnight)
    was_in("Leftbefore", midnight - 48 * hour, midnight - hour)
    was_in("Camenextday", midnight, None)
    was_in("Elsewhere", midnight - 48 * hour, None, segment_id=other.id)
    session.commit()

    def listed(desk: Any, day: str, **more: Any) -> set[str]:
        asked = {"flt_segment_eq": segment.id, "flt_in_on_eq": day} | more
        page = desk.get("/admin/segment-memberships/", query_string=asked)
        return {name for name in ("Stayed", "Camelate", "Leftbefore", "Camenextday", "Elsewhere") if name in page.text}

    assert listed(person.client, "2026-03-01") == {"Stayed", "Camelate"}
    assert listed(person.client, "2026-03-02") == {"Stayed", "Camenextday"}
    assert listed(person.client, "2026-02-28") == {"Stayed", "Leftbefore"}
    assert listed(rep.client, "2026-03-01") == {"Stayed"}, "whom one may not see isn't told"
    assert person.client.get("/admin/segment-memberships/?flt_in_on_lt=2026-03-01").status_code == 422
    assert person.client.get("/admin/segment-memberships/?flt_in_on_eq=soon").status_code == 422
    trend = person.client.get(f"/admin/segments/trend/?id={segment.id}").text
    assert 'name="flt_in_on_eq"' in trend
    sent = person.client.get(
        f"/admin/segment-memberships/export/csv/?flt_segment_eq={segment.id}&flt_in_on_eq=2026-03-01"
    )
    assert len(sent.text.splitlines()) == 1 + 2
