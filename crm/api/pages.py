"""The description of the API for people: each call with its parameters and an example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from crm.api.openapi import METHODS, describe

_FORMATS = {
    "email": "ana@example.com",
    "uri": "https://example.com",
    "date": "2026-01-31",
    "date-time": "2026-01-31T14:30:00Z",
}


def described_paths() -> list[dict[str, Any]]:
    """The same for people: what the page of the API shows, a call after the other."""
    document = describe()
    parameters, schemas = document["components"]["parameters"], document["components"]["schemas"]
    calls = []
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            operation = item[method]
            named = [
                parameters[given["$ref"].rsplit("/", 1)[1]] if "$ref" in given else given
                for given in operation["parameters"]
            ]
            calls.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "id": operation["operationId"],
                    "group": operation["tags"][0],
                    "summary": operation["summary"],
                    "scope": operation["x-scope"],
                    "text": "",
                    "parameters": [
                        {
                            "name": given["name"],
                            "where": given["in"],
                            "required": given["required"],
                            "text": given["description"],
                        }
                        for given in _shortened(named)
                    ],
                    "example": _example(method, path, operation, schemas),
                }
            )
    return calls


def _shortened(parameters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A line per filtered field instead of one per operator."""
    fields: dict[str, list[str]] = {}
    for given in parameters:
        if not given["name"].startswith("flt_"):
            yield given
            continue
        label, _, op = given["description"].rpartition(": ")
        fields.setdefault(f"{given['name'].removesuffix(op)}…|{label}", []).append(op)
    for key, operators in fields.items():
        name, _, label = key.partition("|")
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"{label}: {', '.join(operators)}",
        }


def _example(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    lines = [f"curl {'' if method == 'get' else f'-X {method.upper()} '}-H 'Authorization: Bearer KEY'"]
    if method == "patch":
        lines.append("-H 'If-Match: \"ETAG\"'")
    if "multipart/form-data" in operation.get("requestBody", {}).get("content", {}):
        lines.append("""-F 'file=@customers.csv' -F 'plan={"entity": "customers", "dry_run": true}'""")
    elif "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        required = schema.get("required", [])
        if "$ref" in schema:
            named = schemas[schema["$ref"].rsplit("/", 1)[1]]
            required = named.get("required", [])
            schema = schemas[named["$ref"].rsplit("/", 1)[1]] if "$ref" in named else named
        names = required or list(schema["properties"])[:1]
        body = json.dumps({name: _sample(name, schema["properties"][name]) for name in names}, ensure_ascii=False)
        lines.append(f"-H 'Content-Type: application/json' -d '{body}'")
    return " \\\n  ".join([*lines, f"https://desk.example.com{path.replace('{id}', '12')}"])


def _sample(name: str, schema: dict[str, Any]) -> Any:
    if "oneOf" in schema:
        return 1
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("examples"):
        return schema["examples"][0]
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    plain = {"integer": 1, "boolean": True, "array": ["new"]}.get(kind)
    return _FORMATS.get(schema.get("format", "")) or plain or f"{name.replace('_', ' ').capitalize()} …"
