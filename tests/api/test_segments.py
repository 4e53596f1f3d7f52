"""Segments by the API: made with a rule, refreshed, who is in, who came and went; each under the rights of who asks."""

from __future__ import annotations

from typing import Any

from crm.core.entity import db, face_named
from crm.core.jobs import Job
from jobs.segments import refresh
from tests.factories import make

RULE = {"all": [{"field": "industry", "op": "eq", "value": "Retail"}]}


def _refreshed(ask: Any, number: int) -> None:
    answer = ask("POST", f"/segments/{number}/refresh", {}, Idempotency_Key=f"{number}-{db.session.query(Job).count()}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    job = db.session.query(Job).order_by(Job.id.desc()).first()
    for step in refresh(job):
        job.checkpoint = step.checkpoint
    job.state = "done"
    db.session.commit()


def test_a_program_makes_a_segment_refreshes_it_and_reads_who_is_in(session: Any, program: Any) -> None:
    ask, customer = program(), face_named("customer")
    ann, bob = (
        make(customer, name="Ann", industry="Retail", email="Ann@x.test"),
        make(customer, name="Bob", industry="Retail"),
    )
    other = make(customer, name="Cid", industry="Mining", email="ann@x.test")
    make(face_named("contact"), party_id=bob.id, email="desk@bob.test")
    session.commit()
    made = ask("POST", "/segments", {"name": "Shops", "type": "dynamic", "rule": RULE}, Idempotency_Key="1").get_json()
    at = f"/segments/{made['id']}"
    assert made["member_count"] == 0
    start = ask.get(f"{at}/changes?since=0")
    assert start["items"] == []
    _refreshed(ask, made["id"])
    assert ask.get(at)["member_count"] == 2
    assert [one["member_count"] for one in ask.get("/segments")["items"]] == [2]
    first = ask.get(f"{at}/members?limit=1")
    rest = ask.get(f"{at}/members?limit=1&cursor={first['next']}")
    assert sorted(one["name"] for one in first["items"] + rest["items"]) == ["Ann", "Bob"]
    assert rest["next"] is None
    told = ask.get(f"{at}/contains?email=ann@x.test")
    assert told["contains"]
    assert {one["id"]: one["member"] for one in told["items"]} == {ann.id: True, other.id: False}
    assert ask.get(f"{at}/contains?email=desk@bob.test")["contains"]
    assert ask.get(f"{at}/contains?email=nobody@x.test") == {"contains": False, "items": []}
    [mine] = ask.get(f"/customers/{ann.id}/segments")["items"]
    assert (mine["name"], mine["source"], mine["pin"]) == ("Shops", "rule", None)
    assert ask.get(f"/customers/{other.code}/segments")["items"] == []
    changed = ask.get(f"{at}/changes?since={start['since']}")
    assert sorted((one["customer"]["id"], one["member"]) for one in changed["items"]) == [
        (ann.id, True),
        (bob.id, True),
    ]
    ask("POST", f"/customers/{ann.id}/remove-from-segment", {"segment": made["id"]}, Idempotency_Key="2")
    gone = [one for one in ask.get(f"{at}/changes?since={changed['since']}")["items"] if not one["member"]]
    assert [one["customer"]["code"] for one in gone] == [ann.code]


def test_what_can_not_be_asked_of_segments_is_told(session: Any, program: Any) -> None:
    ask = program()
    segment = make(face_named("segment"), name="By hand")
    session.commit()
    at = f"/segments/{segment.id}"
    for path, status in ((f"{at}/contains", 422), (f"{at}/contains?email=x&code=y", 422), (f"{at}/members?limit=0", 422),
                         (f"{at}/changes?since=-1", 422), (f"{at}/changes?since={'9' * 30}", 422), ("/segments/999999/members", 404)):  # fmt: skip
        assert ask("GET", path).status_code == status, path
    assert ask("POST", f"{at}/members", {}).status_code == 405
    refused = ask("POST", f"{at}/refresh", {}, Idempotency_Key="1")
    assert (refused.status_code, "only dynamic segments" in refused.get_json()["detail"]) == (409, True)
    assert program("customers:read")("GET", f"{at}/members").status_code == 403
    # Whoever sees customers of the own team alone sees those of a segment alone.
    party = make(face_named("customer"), name="Of another")
    make(face_named("segment_membership"), segment_id=segment.id, party_id=party.id)
    session.commit()
    rep = program(role="sales_rep")
    assert rep.get(f"{at}/members")["items"] == []
    assert rep.get(f"{at}/changes?since=0")["items"] == []
