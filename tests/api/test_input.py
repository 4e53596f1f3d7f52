"""Whatever is sent, the answer is a problem document and never a 500."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from crm.core.entity import face_named

DEEP = b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BODIES = {
    "array": (b"[]", 422),
    "text": (b'"x"', 422),
    "null": (b"null", 422),
    "number": (b"1", 422),
    "no json": (b"{", 400),
    "two": (b"{} {}", 400),
    "not utf-8": (b'{"name": "\xff"}', 400),
    "nan": (b'{"name": NaN}', 400),
    "infinity": (b'{"employees": -Infinity}', 400),
    "deep": (DEEP, 400),
    "less deep": (b'{"name": ' + b"[" * 20 + b"]" * 20 + b"}", 422),
    "huge int": (b'{"employees": ' + b"9" * 5000 + b"}", 400),
    "big int": (b'{"employees": ' + b"9" * 4000 + b"}", 422),
    "huge exponent": (b'{"annual_revenue": 1e999999999}', 422),
    "absurd exponent": (b'{"annual_revenue": 1e' + b"9" * 100 + b"}", 400),
    "tiny": (b'{"annual_revenue": 1e-999}', 422),
    "nul": (b'{"name": "a\\u0000b"}', 422),
    "nul in name": (b'{"na\\u0000me": 1}', 422),
    "half a pair": (b'{"name": "\\ud800"}', 422),
    "half a pair in a list": (b'{"name": "x", "tags": ["\\udfff"]}', 422),
    "half a pair in a name": (b'{"\\ud800": 1}', 422),
    "too large": (b'{"name": "' + b"x" * 1_100_000 + b'"}', 413),
    "empty": (b"", 422),
}
VALUES: tuple[Any, ...] = (
    [],
    {},
    [[]],
    [None],
    {"id": None},
    {"id": []},
    {"id": {"id": 1}},
    True,
    -1,
    0,
    1.5,
    2**63,
    -(2**63),
    10**30,
    "",
    " ",
    "\t",
    "\x00",
    "\u202e",
    "é" * 300,
    "x" * 12_000,
    "' OR 1=1 --",
    "=cmd|' /C calc'!A0",
    ["x"] * 1000,
    [1],
    "9999-12-31",
    "0000-00-00",
    "2026-02-30",
    "NaN",
    "1e999999999",
    "1e-999999999",
    "1e5",
    "C-000001",
    None,
)


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cant_be_read_is_refused(program, case):
    raw, expected = BODIES[case]
    answer = program()("POST", "/customers", raw)
    assert answer.status_code == expected, answer.get_data(as_text=True)[:300]


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


@pytest.mark.parametrize("name", ["customer", "contact", "address", "identifier", "channel_preference"])
def test_any_value_for_any_field_gets_an_answer(program, name):
    face, ask = face_named(name), program()
    for value in VALUES:
        body = {field.name: value for field in face.form_fields}
        answer = ask("POST", f"/{face.plural}", body)
        assert answer.status_code in (201, 422), (value, answer.get_data(as_text=True)[:300])
        # What was not refused alone must also be kept, or refused by its field.
        good = {part: value for part in body if part not in answer.get_json().get("errors", {})}
        answer = ask("POST", f"/{face.plural}", {"name": "x"} | good)
        assert answer.status_code in (201, 422), (value, answer.get_data(as_text=True)[:300])


def test_any_value_for_what_a_command_asks_gets_an_answer(program):
    ask = program()
    number = ask("POST", "/customers", {"name": "x"}).get_json()["id"]
    for verb, asked in (("block", "reason"), ("block", "until"), ("reassign", "owner"), ("reassign", "note")):
        for value in VALUES:
            answer = ask("POST", f"/customers/{number}/{verb}", {asked: value})
            assert answer.status_code in (200, 409, 422), (verb, value)
    assert ask("POST", f"/customers/{number}/archive").status_code == 200  # no body where nothing is required


@pytest.mark.parametrize(
    "given",
    [
        "0",
        "-1",
        "1.5",
        "9" * 19,
        "9" * 400,
        "C-",
        "C-1",
        "c-000001",
        "%00",
        "%ff",
        "..",
        "'",
        "x y",
        "%F0%9F%98%80",
        "１２",
    ],
)
def test_what_names_no_record_is_not_there(program, given):
    ask = program()
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert ask(method, f"/customers/{given}", body, If_Match="*").status_code in (404, 405)
    assert ask("POST", f"/customers/{given}/block", {"reason": "x"}).status_code == 404


def test_queries_of_any_kind_get_an_answer(program):
    ask, face = program(), face_named("customer")
    values = (
        "",
        "x",
        "%00",
        "%ff",
        "1",
        "-1",
        "9" * 50,
        "a,b",
        "1,2",
        "2026-01-01",
        "%25_%5C",
        "1e999999999",
        "NaN",
    )
    kinds = {face.fields[name].kind: name for name in face.about.filters}
    turn = 0
    for kind, name in kinds.items():
        for op in (*face.fields[name].operators, "nonsense", ""):
            for value in (values * 2)[turn : turn + 4]:
                answer = ask("GET", f"/customers?flt_{name}_{op}={value}")
                assert answer.status_code in (200, 422), (kind, op, value)
            turn = (turn + 5) % len(values)
    for query in (
        "q=%25",
        "q=_",
        "q=%5C",
        "q=%00",
        "q=" + "x" * 5000,
        "q=%F0%9F%98%80",
        "q='",
        "sort=",
        "desc=x&sort=name",
    ):
        assert ask("GET", f"/customers?{query}").status_code in (200, 422), query


@pytest.mark.parametrize("value", [None, True, 1.5, 5, "x", "\ud800", "\x00", [], {}, "x" * 10_000])
def test_a_forged_cursor_is_refused(program, value):
    cursor = base64.urlsafe_b64encode(json.dumps([1, value, 5, False]).encode()).decode()
    for sort in ("", "&sort=name", "&sort=created_at"):
        answer = program()("GET", f"/customers?cursor={cursor}{sort}")
        assert answer.status_code in (200, 422)


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
