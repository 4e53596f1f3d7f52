"""What lies below a customer: the lists of what belongs to it and its timeline, under the rights of whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from crm.api.below import lists_below
from crm.core.command import commands_of
from crm.core.entity import all_faces, db, face_named
from crm.models.external_ids import ExternalId
from crm.models.parties import Party


@pytest.fixture
def ana(program) -> dict[str, Any]:
    """A customer with three orders, a vehicle, a talk, a consent and a note."""
    ask = program()
    made: dict[str, Any] = post(ask, "customers", name="Ana")
    for day in (3, 1, 2):
        post(
            ask,
            "orders",
            customer=made["id"],
            ordered_at=f"2026-01-0{day}T10:00:00Z",
            currency="EUR",
            remarks=f"Day {day}",
        )
    post(ask, "vehicles", customer=made["id"], brand="Volvo", vin="YV1-LZ56 ANA")
    post(ask, "interactions", party=made["id"], channel="call", subject="Talked", occurred_at="2026-01-02T12:00:00Z")
    post(ask, "consents", party=made["id"], purpose="marketing", channel="email", state="given", legal_basis="consent",
         source="form", evidence="Box ticked")  # fmt: skip
    post(ask, "notes", party=made["id"], text="A note")
    return made


def post(ask: Any, plural: str, **body: Any) -> Any:
    answer = ask("POST", f"/{plural}", body)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer.get_json()


def pages(ask: Any, address: str) -> list[dict[str, Any]]:
    """Every item, page by page."""
    items, cursor = [], ""
    while True:
        page = ask.get(f"{address}{cursor}")
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = f"{'&' if '?' in address else '?'}cursor={page['next']}"


def test_what_belongs_to_a_customer_is_read_below_it_newest_first(ana, program):
    ask, place = program("customers:read"), f"/customers/{ana['code']}"
    assert [order["remarks"] for order in pages(ask, f"{place}/orders?limit=2")] == ["Day 3", "Day 2", "Day 1"]
    assert [one["brand"] for one in pages(ask, f"{place}/vehicles")] == ["Volvo"]
    [consent] = pages(ask, f"{place}/consents")
    assert (consent["purpose"], consent["party"]["id"]) == ("marketing", ana["id"])
    orders = program().get(f"/orders?flt_customer_eq={ana['id']}")["items"]
    assert sorted(orders, key=lambda one: one["id"]) == sorted(pages(ask, f"{place}/orders"), key=lambda one: one["id"])


def test_no_list_below_a_record_hides_a_command():
    for face in all_faces():
        assert not {made.verb for made in commands_of(face)} & {*lists_below(face).values(), "timeline"}


def test_the_timeline_holds_all_that_happened_with_documents_and_changes(ana, program):
    ask, place = program("customers:read"), f"/customers/{ana['id']}/timeline"
    changed = program()
    tag = changed("GET", f"/customers/{ana['id']}").headers["ETag"]
    assert changed("PATCH", f"/customers/{ana['id']}", {"description": "New"}, If_Match=tag).status_code == 200
    entries = pages(ask, f"{place}?limit=3")
    assert [one["at"] for one in entries] == sorted((one["at"] for one in entries), reverse=True)
    kinds = [one["type"] for one in entries]
    assert {"order", "interaction", "note", "consent", "change"} <= set(kinds)
    assert len({(one["type"], one["id"]) for one in entries}) == len(entries)
    talk = next(one for one in entries if one["type"] == "interaction")
    assert talk["document"] == changed.get(f"/interactions/{talk['id']}")
    change = next(one for one in entries if one["type"] == "change" and one["action"] == "update")
    assert change["changes"] == [{"field": "description", "before": None, "after": "New"}]
    assert change["by"] == {"id": changed.user_id, "name": "admin of a test"}
    orders = pages(ask, f"{place}?type=order&type=note&since=2026-01-02&until=2026-01-03")
    assert [one["document"]["remarks"] for one in orders] == ["Day 3", "Day 2"]
    assert [one["type"] for one in pages(ask, f"{place}?q=talked")] == ["interaction"]


def test_below_a_customer_nobody_reads_more_than_the_rights_give(ana, program):
    place = f"/customers/{ana['id']}"
    assert program("orders:read")("GET", f"{place}/orders").status_code == 403  # the scope of the record itself
    stranger = program("customers:read", role="sales_rep")
    assert stranger("GET", f"{place}/orders").status_code == 404  # somebody else's customer
    assert stranger("GET", f"{place}/timeline").status_code == 404
    marketer = program("customers:read", role="marketer")
    refused = (
        marketer("GET", f"{place}/privacy-requests")
        if "privacy-requests" in lists_below(face_named("customer"))
        else None
    )
    assert refused is None or refused.status_code == 403
    vehicle = pages(marketer, f"{place}/vehicles")[0]
    assert vehicle["vin"] == "•••"  # a personal value is masked for who sees none
    auditor = program("customers:read", role="auditor")
    change = next(one for one in pages(auditor, f"{place}/timeline") if one["type"] == "change")
    assert "Ana" not in str(change["changes"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("orders?limit=0", 422), ("orders?limit=201", 422), ("orders?cursor=x", 422), ("orders?flt_state_eq=pending", 422),
        ("orders?limit=1&limit=2", 422), ("timeline?type=nothing", 422), ("timeline?who=x", 422), ("timeline?since=yesterday", 422),
        ("timeline?cursor=bm9uZQ", 422), ("timeline?q=%00", 422), ("timeline?limit=x", 422), ("timeline?page=2", 422),
        ("nothing", 404), ("order", 404), ("role-grants", 404),
    ],
)  # fmt: skip
def test_what_can_not_be_answered_is_refused(ana, program, path, status):
    assert program("customers:read")("GET", f"/customers/{ana['id']}/{path}").status_code == status


def test_a_list_below_is_only_read(ana, program):
    refused = program()("POST", f"/customers/{ana['id']}/orders", {})
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")


def test_a_customer_is_found_by_a_vin_and_by_the_number_of_another_system(ana, program):
    ask = program("customers:read")
    with ask.app.app_context():
        db.session.add(ExternalId(system="erp", entity=Party.__tablename__, external_id="47:11", record=ana["id"]))
        db.session.commit()
    for query, matched in (("vin=yv1lz56ana", "vin"), ("external_id=erp:47:11", "external_id")):
        [found] = ask.get(f"/customers?{query}")["items"]
        assert (found["id"], found["matched_on"]) == (ana["id"], matched)
    assert ask.get("/customers?external_id=erp:other")["items"] == []
    # Who sees no VIN finds nobody by one.
    assert program("customers:read", role="marketer")("GET", "/customers?vin=yv1lz56ana").status_code == 422
