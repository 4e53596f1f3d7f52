"""The description of the API holds together, and says what the API does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crm.api import described_paths
from crm.api.documents import parts
from crm.core.command import commands_of
from crm.core.entity import all_faces


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def test_the_description_holds_together(client):
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    document = answer.get_json()
    assert document["openapi"] == "3.1.0"
    for node in walk(document):
        reference = node.get("$ref")
        if isinstance(reference, str):
            target: Any = document
            for step in reference.removeprefix("#/").split("/"):
                target = target[step]
    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(names) == len(set(names))
    known = list(document["components"]["parameters"].values())
    for path, _method, operation in operations:
        assert operation["responses"], path
        assert {"401", "403", "429"} <= set(operation["responses"])
        assert "{id}" not in path or {"$ref": "#/components/parameters/id"} in operation["parameters"]
        for parameter in (*operation["parameters"], *known):
            assert "$ref" in parameter or {"name", "in", "schema", "description"} <= set(parameter)


def test_every_face_field_and_command_is_described(client):
    document = client.get("/api/v1/openapi.json").get_json()
    for face in all_faces():
        path = f"/api/v1/{face.plural}"
        assert (path in document["paths"]) == (face.about.api or face.name == "import")
        if not face.about.api:
            continue
        assert ("post" in document["paths"][path]) == face.about.create
        one = document["paths"][f"{path}/{{id}}"]
        assert ("patch" in one, "delete" in one) == (face.about.edit, face.about.delete)
        name = "".join(word.capitalize() for word in face.name.split("_"))
        assert list(document["components"]["schemas"][name]["properties"]) == [part.name for part in parts(face)]
        for command in commands_of(face):
            assert f"{path}/{{id}}/{command.verb.replace('_', '-')}" in document["paths"]


def test_people_read_the_same(client, app):
    with app.app_context():
        calls = described_paths()
    assert {"method", "path", "summary", "scope", "parameters", "example", "id", "group", "text"} == set(calls[0])
    block = next(call for call in calls if call["path"] == "/api/v1/customers/{id}/block")
    assert (block["method"], block["scope"]) == ("POST", "customers:command")
    assert '"reason"' in block["example"]
    page = client.get("/api/docs")
    assert (page.status_code, "/api/v1/customers/{id}/block" in page.get_data(as_text=True)) == (200, True)


def test_an_answer_is_as_described(program):
    ask = program()
    made = ask("POST", "/customers", {"name": "Ana", "employees": 3, "tags": ["a"], "owner": ask.user_id}).get_json()
    schema = ask.get("/openapi.json")["components"]["schemas"]["Customer"]
    kinds = {
        str: "string",
        int: "integer",
        list: "array",
        bool: "boolean",
        type(None): "null",
        dict: "object",
    }
    assert set(schema["properties"]) == set(made)
    assert schema["required"] == ["id"]  # another user may see less
    for name, value in made.items():
        described = schema["properties"][name]
        described = described.get("anyOf", [described])[0]
        if "$ref" in described:
            assert value is None or set(value) == {"id", "name"}
            continue
        assert kinds[type(value)] in described["type"], name
        assert "enum" not in described or value in described["enum"], name
