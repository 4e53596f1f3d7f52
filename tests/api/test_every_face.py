"""What holds for every face that the API opens."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import select

from crm.api.documents import parts
from crm.core.command import commands_of
from crm.core.entity import Face, all_faces, db, face_named
from crm.core.fields import Field
from crm.core.permissions import allowed
from crm.models.access import User
from tests.factories import make

FACES = [face for face in all_faces() if face.about.api]
each_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
each_writable = pytest.mark.parametrize(
    "face", [face for face in FACES if face.about.create and face.form_fields], ids=lambda face: face.name
)

_VALUES = {
    "text": "Word",
    "long_text": "Words",
    "email": "Ana@Example.com",
    "phone": "+60 12 345 6789",
    "url": "https://example.com",
    "country": "MY",
    "language": "en",
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "tags": ["a", "b"],
    "money": "12.50",
    "decimal": "1.5",
    "integer": 1,
    "date": "2020-01-31",
    "datetime": "2020-01-31T10:00:00Z",
    "boolean": True,
    "json": {"all": [{"field": "name", "op": "eq", "value": "Ä"}]},
}


_counter = itertools.count(1)


def sample(field: Field, program: Any) -> Any:
    """A value of the field as a program sends it."""
    if field.kind == "reference":
        return made(face_named(field.refers_to), program)
    if field.choices is not None:
        first = next(iter(field.choices)).value
        return [first] if field.kind == "choices" else first
    if field.kind == "text":
        return f"{_VALUES['text']} {next(_counter)}"
    return _within(field, 1) if field.kind == "integer" else _VALUES[field.kind]


def fitting(face: Face, body: dict[str, Any], program: Any) -> dict[str, Any]:
    """The document, with what must fit together: a line comes back with a return of its own order, a code is somebody's."""
    if "referral_code" in body:
        customer = body.get("referrer") or made(face_named("customer"), program)
        return body | {"referral_code": program.get(f"/customers/{customer}")["referral_code"]}
    if face.name == "payment" and "invoice" in body:
        invoice = program.get(f"/invoices/{body['invoice']}")
        return body | {"account": invoice["account"]["id"], "currency": invoice["currency"], "kind": "payment"}
    if face.name != "return_line":
        return body
    order = program.get(f"/purchases/{body['order_line']}")["order"]["id"]
    made_return = program("POST", "/returns", {"order": order, "reason": "defect"}).get_json()
    return body | {"sales_return": made_return["id"], "quantity": 1}


def _within(field: Field, number: int) -> int:
    """The whole number, or the nearest that the field takes."""
    return min(max(number, field.minimum or 0), field.maximum or number + (field.minimum or 0))


def made(face: Face, program: Any) -> int:
    """The number of a record of the face; the API makes one of each in a test of its own."""
    with program.app.app_context():
        number: int = make(face).id
        db.session.commit()
    return number


@each_face
def test_list_and_one_show_every_part_and_304_when_unchanged(face, program):
    ask = program()
    made(face, ask)
    page = ask.get(f"/{face.plural}")
    assert page["items"]
    assert set(page) == {"items", "next"}
    for item in page["items"][:2]:
        assert list(item) == [part.name for part in parts(face)]
        assert {"id", "created_at", "updated_at"} <= set(item)
        assert not any(name.endswith(("_given", "_hash", "_key")) for name in item)
        first = ask("GET", f"/{face.plural}/{item['id']}")
        assert first.get_json() == item
        again = ask("GET", f"/{face.plural}/{item['id']}", If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
        if item.get("code"):
            assert ask.get(f"/{face.plural}/{item['code'].lower()}")["id"] == item["id"]


@each_writable
def test_every_field_that_may_be_set_is_taken_and_shown(face, program):
    ask = program()
    body = fitting(
        face,
        {field.name: sample(field, ask) for field in face.form_fields if field.required or field.kind != "choices"},
        ask,
    )
    for number, name in enumerate(name for name in body if face.field(name).kind == "integer"):
        body[name] = _within(face.field(name), number + 1)  # from lies before to
    answer = ask("POST", f"/{face.plural}", body)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    document = answer.get_json()
    assert answer.headers["Location"] == f"/api/v1/{face.plural}/{document['id']}"
    for field in face.form_fields:
        if field.name in body:
            shown = document[field.name]
            shown = shown["id"] if field.kind == "reference" else shown
            with ask.app.app_context():
                assert shown == field.json(field.parse(body[field.name])), field.name
    if not face.about.edit:
        return
    # What it answers can be sent back as it is, and nothing moves.
    tag = answer.headers["ETag"]
    back = {name: document[name] for name in body}
    same = ask("PATCH", f"/{face.plural}/{document['id']}", back, If_Match=tag)
    assert (same.status_code, same.headers.get("ETag")) == (200, tag), same.get_data(as_text=True)


@each_face
def test_a_change_wants_the_version_and_the_right(face, program):
    ask = program()
    if not face.about.create:
        assert ask("POST", f"/{face.plural}", {}).status_code == 405
        return
    if not face.about.edit:
        assert ask("PATCH", f"/{face.plural}/1", {}).status_code == 405
        return
    place = f"/{face.plural}/{made(face, ask)}"
    tag = ask("GET", place).headers["ETag"]
    able = [field for field in face.form_fields if field.kind in ("integer", "long_text", "text")]
    field = max(able, key=lambda field: field.kind != "integer")  # a number alone may be half a span
    change = {field.name: _within(field, 7) if field.kind == "integer" else "changed"}
    assert ask("PATCH", place, change).status_code == 428
    assert ask("PATCH", place, change, If_Match='"1-0"').status_code == 412
    done = ask("PATCH", place, change, If_Match=tag)
    assert (done.status_code, done.get_json()[field.name]) == (200, change[field.name])
    assert ask("PATCH", place, change, If_Match=tag).status_code == 412
    refused = ask("PATCH", place, {"id": 3, "nonsense": 1}, If_Match=done.headers["ETag"])
    assert (refused.status_code, set(refused.get_json()["errors"])) == (422, {"id", "nonsense"})
    auditor = program(role="auditor")
    assert auditor("PATCH", place, change, If_Match=done.headers["ETag"]).status_code == 403
    assert auditor("POST", f"/{face.plural}", {}).status_code == 403
    reader = program(f"{face.plural}:read")
    assert reader("PATCH", place, change, If_Match=done.headers["ETag"]).status_code == 403
    assert "scope" in reader("POST", f"/{face.plural}", {}).get_json()["detail"]


@each_face
def test_delete_only_where_the_declaration_opens_it(face, program):
    ask = program()
    if not face.about.create:
        assert ask("DELETE", f"/{face.plural}/1").status_code == 405
        return
    place = f"/{face.plural}/{made(face, ask)}"
    if not face.about.delete:
        answer = ask("DELETE", place)
        assert (answer.status_code, "DELETE" in answer.headers["Allow"]) == (405, False)
        return
    assert ask("DELETE", place, If_Match='"1-0"').status_code == 412
    assert ask("DELETE", place).status_code == 204
    assert ask("GET", place).status_code == 404


@each_face
def test_each_command_exists_and_asks_for_its_values(face, program):
    commands, ask = commands_of(face), program()
    assert ask("POST", f"/{face.plural}/1/no-such-thing", {}).status_code == 404
    for command in commands:
        path = f"/{face.plural}/999999999/{command.verb.replace('_', '-')}"
        values = {name: sample(field, ask) for name, field in command.asks.items() if field.required}
        with ask.app.app_context():
            denied = allowed(db.session.get_one(User, ask.user_id), f"{face.name}.{command.verb}") is None
        assert ask("POST", path, values).status_code == (403 if denied else 404)
        if denied:  # as deciding on credit is, also to administrators
            continue
        wrong = ask("POST", path, values | {"nonsense": 1})
        assert "nonsense" in wrong.get_json()["errors"]
        if values:
            assert set(ask("POST", path, {}).get_json()["errors"]) == set(values)


@each_face
def test_no_unknown_parameter_is_ignored(face, program):
    ask = program(f"{face.plural}:read")
    for name in ("nonsense", "page", "url", "after", "flt_nonsense_eq", "flt_id_", "colour"):
        answer = ask("GET", f"/{face.plural}?{name}=1")
        assert (answer.status_code, list(answer.get_json()["errors"])) == (422, [name])
    for query in (
        "sort=nonsense",
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=x",
        "cursor=%00",
        "limit=1&limit=2",
    ):
        assert ask("GET", f"/{face.plural}?{query}").status_code == 422, query


def test_a_walk_by_cursor_meets_each_record_once(session, program):
    face = face_named("customer")
    session.execute(db.text(
        "INSERT INTO party (name, industry, roles) SELECT 'Walked ' || i % 7, 'Walk', '{business_customer}' "
        "FROM generate_series(1, 70) i"))  # fmt: skip
    session.commit()
    ids = set(session.scalars(select(face.entity.id).where(face.column("industry") == "Walk")))
    ask = program("customers:read")
    for query in ("", "&sort=name", "&sort=name&desc=1", "&sort=created_at", "&q=walked"):
        found, cursor = [], ""
        while True:
            page = ask.get(f"/customers?limit=23&flt_industry_eq=walk{query}{cursor}")
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert (len(found), set(found)) == (70, ids), query
