"""What can't be read is refused by the right status; that nothing else breaks it, `tests/test_hostile_input.py` shows."""

from __future__ import annotations

from tests.hostile import BODIES


def test_a_body_that_cant_be_read_is_refused(program):
    ask = program()
    for case, (raw, expected) in BODIES.items():
        answer = ask("POST", "/customers", raw)
        assert answer.status_code == expected, (case, answer.get_data(as_text=True)[:300])


def test_only_json_is_taken(program):
    ask = program()
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "",
    ):
        assert ask("POST", "/customers", b"name=x", Content_Type=kind).status_code == 415, kind
    assert ask("POST", "/customers", {"name": "x"}, Content_Type="application/json; charset=utf-8").status_code == 201
    assert ask("POST", "/customers", {"name": "x"}, Content_Type="application/merge-patch+json").status_code == 201


def test_addresses_that_are_none_and_other_methods(program):
    ask = program()
    for path in (
        "/",
        "/nonsense",
        "/customers/1/2/3",
        "/customers/",
        "/api-keys",
        "/party",
        "/CUSTOMERS",
        "/%00",
    ):
        assert ask("GET", path).status_code == 404, path
    answer = ask("PUT", "/customers")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert ask("TRACE", "/customers").status_code == 405
    head = ask("HEAD", "/customers")
    assert (head.status_code, head.data) == (200, b"")
