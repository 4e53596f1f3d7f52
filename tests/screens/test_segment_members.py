"""Members of a static segment from a file or a list, and the report of what came of it."""

from __future__ import annotations

import datetime as dt
import io
import re
from typing import Any

import pytest
from sqlalchemy import select

from crm.core.entity import face_named
from crm.importing import member_lists
from crm.models.segments import SegmentMembership
from tests.factories import make

CUSTOMER, SEGMENT, MEMBERSHIP = (face_named(name) for name in ("customer", "segment", "segment_membership"))


def told(page: str) -> dict[str, tuple[int, list[str]]]:
    lines = re.findall(
        r'<span class="pill[^>]*>([^<]+)</span></dt><dd><span class="num">([\d,]+)</span>(.*?)</dd>', page
    )
    return {word: (int(number), re.findall(r'class="tag">([^<]*)<', rest)) for word, number, rest in lines}


@pytest.fixture
def world(session: Any) -> dict[str, Any]:
    made = {name: make(CUSTOMER, name=name, email=email) for name, email in
            (("ann", "ann@x.org"), ("bob", None), ("twin", "two@x.org"), ("twin2", "two@x.org"), ("gone", "gone@x.org"))}  # fmt: skip
    made["bob"].account_number = "K/7 b"
    made["gone"].archived_at = dt.datetime.now(dt.UTC)
    made["segment"] = make(SEGMENT, name="Guests")
    make(MEMBERSHIP, segment_id=made["segment"].id, party_id=made["bob"].id)
    session.commit()
    return made


def members(session: Any, segment: Any) -> dict[int, str]:
    rows = select(SegmentMembership.party_id, SegmentMembership.source).where(
        SegmentMembership.segment_id == segment.id
    )
    return {row[0]: row[1].value for row in session.execute(rows)}


def test_a_list_is_looked_up_told_and_put_in(session, world, as_user):
    person, segment = as_user("admin").client, world["segment"]
    address = f"/admin/segments/from-file/?id={segment.id}"
    assert f'href="{address}"' in person.get(f"/admin/segments/details/?id={segment.id}").text
    names = f"Email\nANN@x.org, {world['ann'].code.lower()}\nK/7 b\n two@x.org \nnobody@x.org;C-99999999\n{world['gone'].code}\n\x00"
    looked = person.post(address, data={"names": names, "do": "look"})
    expected = {"in it already": (1, []), "named more than once": (1, []), "not found": (2, ["nobody@x.org", "C-99999999"]),
                "had by several customers": (1, ["two@x.org"]), "archived": (1, [world["gone"].code])}  # fmt: skip
    assert told(looked.text) == {"to be put in": (1, [])} | expected
    assert members(session, segment) == {world["bob"].id: "hand"}
    done = person.post(address, data={"names": names, "do": "put"})
    assert told(done.text) == {"put in now": (1, [])} | expected
    assert "1 of 1 customers were put into Guests" in done.text
    assert members(session, segment) == {world["bob"].id: "hand", world["ann"].id: "import"}
    again = told(person.post(address, data={"names": names, "do": "put"}).text)
    assert (again["put in now"], again["in it already"]) == ((0, []), (2, []))


def test_a_file_is_read_by_the_column_that_tells_most(session, world, as_user):
    person, segment = as_user("admin").client, world["segment"]
    file = f"Name;Customer;Town\nAnn;{world['ann'].code};Rome\nTwin;{world['twin'].code};Bonn\n".encode("utf-16")
    page = person.post(f"/admin/segments/from-file/?id={segment.id}", content_type="multipart/form-data",
                       data={"file": (io.BytesIO(file), "list.csv"), "do": "put"})  # fmt: skip
    assert told(page.text) == {"put in now": (2, [])}
    assert set(members(session, segment)) == {world[name].id for name in ("ann", "bob", "twin")}


def test_what_cannot_be_taken_is_told_and_what_is_out_of_reach_is_not_found(session, world, as_user, monkeypatch):
    person, segment = as_user("admin").client, world["segment"]
    address = f"/admin/segments/from-file/?id={segment.id}"
    monkeypatch.setattr(member_lists, "MOST", 3)
    for given in ({"names": " \n"}, {"names": "a\nb\nc\nd"}, {"file": (io.BytesIO(b"a\n" * 9), "x.csv")},
                  {"file": (io.BytesIO(b"PK\x03\x04nothing"), "x.xlsx")}):  # fmt: skip
        answer = person.post(address, data=given | {"do": "put"}, content_type="multipart/form-data")
        assert (answer.status_code, "The list can’t be taken" in answer.text) == (422, True)
    ruled = make(SEGMENT, type="dynamic", rule={"all": [{"field": "industry", "op": "eq", "value": "Retail"}]})
    session.commit()
    refused = person.post(f"/admin/segments/from-file/?id={ruled.id}", data={"names": world["ann"].code, "do": "put"})
    assert "The segment is filled by its rule" in refused.text
    # To a marketer e-mails are masked: nobody is found by them.
    said = told(
        as_user("marketer").client.post(address, data={"names": f"ann@x.org\n{world['ann'].code}", "do": "look"}).text
    )
    assert said == {"to be put in": (1, []), "not found": (1, ["ann@x.org"])}
    assert as_user("auditor").client.get(address).status_code == 403
    assert set(members(session, segment)) == {world["bob"].id}
