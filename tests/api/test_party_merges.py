"""By the API records are merged, tried before, and found by the numbers of those that are part of them."""

from __future__ import annotations

from crm.core.entity import face_named
from tests.factories import make


def test_a_program_tries_and_merges_and_finds_the_survivor_by_any_number(program, session):
    customer = face_named("customer")
    kept, merged = make(customer, email="a@x.org"), make(customer, email="b@x.org", industry="Retail")
    make(face_named("note"), party_id=merged.id)
    ask = program()
    wanted = {"others": [merged.code], "values": {"email": merged.code}}
    told = ask("POST", f"/customers/{kept.id}/merge", {**wanted, "dry_run": True}).get_json()
    assert told["merged"][0]["moves"] == {"note": 1}
    assert told["values"] == {"email": merged.code, "industry": merged.code}
    assert ask("GET", f"/customers/{merged.id}").get_json()["merged_into"] is None
    done = ask("POST", f"/customers/{kept.id}/merge", wanted)
    assert (done.status_code, done.get_json()["email"]) == (200, "b@x.org")
    for number in (merged.id, merged.code):
        found = ask("GET", f"/customers/{number}").get_json()
        assert (found["id"], found["merged_from"]) == (kept.id, str(number))
    listed = ask("GET", "/customers?email=b@x.org").get_json()["items"]
    assert [(one["id"], one["merged_into"]) for one in listed] == [(kept.id, None), (merged.id, kept.code)]
    assert ask("GET", f"/customers/{merged.id}/timeline").status_code == 200
    again = ask("POST", f"/customers/{kept.id}/merge", {"others": [merged.code]})
    assert again.status_code == 409


def test_wrong_input_says_which(program, session):
    customer = face_named("customer")
    one, other = make(customer, tax_id="DE1"), make(customer, tax_id="DE2")
    ask = program()
    assert list(ask("POST", f"/customers/{one.id}/merge", {}).get_json()["errors"]) == ["others"]
    for more, said in (({"others": ["C-999999"]}, "no record C-999999"), ({"values": {"nonsense": 1}}, "no field"),
                       ({"values": {"name": "C-999999"}}, "none of the records"), ({"others": [one.code]}, "different records")):  # fmt: skip
        for body in ({"others": [other.code], **more}, {"others": [other.code], **more, "dry_run": True}):
            answer = ask("POST", f"/customers/{one.id}/merge", body)
            assert answer.status_code == 409
            assert said in answer.get_json()["detail"]
    answer = ask("POST", f"/customers/{one.id}/merge", {"others": [other.code]})
    assert answer.status_code == 409
    assert "second person" in answer.get_json()["detail"]
