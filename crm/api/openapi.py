"""The description of the API (OpenAPI 3.1), made from the declarations."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from crm.api import alike, import_calls
from crm.api.below import CHECK, CREDIT, LOYALTY, TIMELINE, below, lists_below, told_below
from crm.api.documents import parts
from crm.api.lookups import NAMES, offered
from crm.api.openapi_shapes import REFERENCE, SCHEMAS_BELOW, TIMELINE_PARAMETERS, TOLD_PARAMETERS, ref
from crm.api.rate import BURST, PER_MINUTE
from crm.core.command import Command, commands_of
from crm.core.entity import Face, all_faces
from crm.core.fields import MASK, Field, FieldClass
from crm.models.parties import Party
from crm.queries.scope import related_face

PREFIX = "/api/v1"
METHODS = ("get", "post", "patch", "delete")
INTRODUCTION = (
    "Send a key as `Authorization: Bearer KEY`; it acts as its user, within its scopes. A record is named "
    "by its number or its code. Text goes in and out as UTF-8 JSON, money as text with its decimals, days "
    "as 2026-01-31, times in UTC. An e-mail or phone comes back in its normal form. A reference is an "
    "object with `id` and `name` (null when you may not see it) and is set by that object or by the "
    "number alone. The number or code of a merged record answers with the one that stands for it, and `merged_from` says so. "
    "The ETag of a record is what PATCH wants as If-Match. A POST with an Idempotency-Key "
    "that is sent again within a day gets the same answer and is not done twice. A key may make "
    f"{PER_MINUTE:,} requests a minute, {BURST:,} of them at once. The scopes write and command answer "
    "with the record they changed. A field that the user may not see is left out; one that is masked for the "
    f"user reads {MASK}, and can't be searched, filtered, sorted by or set. Lists go on at `next`, until it is null."
)

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "long_text": {"type": "string"},
    "json": {"type": "object"},
    "code": {"type": "string"},
    "email": {"type": "string", "format": "email"},
    "phone": {"type": "string", "examples": ["+60123456789"]},
    "url": {"type": "string", "format": "uri"},
    "country": {"type": "string", "examples": ["MY"]},
    "language": {"type": "string", "examples": ["en"]},
    "currency": {"type": "string", "examples": ["EUR"]},
    "time_zone": {"type": "string", "examples": ["Europe/Berlin"]},
    "choice": {"type": "string"},
    "choices": {"type": "array", "items": {"type": "string"}},
    "tags": {"type": "array", "items": {"type": "string"}},
    "money": {"type": "string", "examples": ["1234.50"]},
    "decimal": {"type": "string"},
    "integer": {"type": "integer"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "boolean": {"type": "boolean"},
}


def opened() -> list[Face]:
    return [face for face in all_faces() if face.about.api]


def describe() -> dict[str, Any]:
    """The whole document; made when it is first asked for."""
    return _described(tuple(opened()))


@lru_cache(maxsize=1)
def _described(_faces: tuple[Face, ...]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": _PROBLEM, "Reference": REFERENCE, **SCHEMAS_BELOW}
    schemas |= import_calls.SCHEMAS
    for face in opened():
        schemas |= dict(_schemas(face))
        paths |= dict(_paths(face))
    paths |= import_calls.import_calls(PREFIX)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Customer Desk", "version": "1", "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": face.label_plural, "description": face.about.help} for face in opened()],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "Why it can't be done",
                    "content": {"application/problem+json": {"schema": ref("schemas", "Problem")}},
                }
            },
            "parameters": _PARAMETERS,
        },
    }


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "With 422: what is wrong, by field or parameter",
        },
    },
}


_MASKED = {"const": MASK, "description": "There is a value that the user of the key may not see"}


def _parameter(name: str, where: str, text: str, kind: str = "string", *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "description": text, "schema": {"type": kind}}


_PARAMETERS = {
    "id": _parameter("id", "path", "Number or code", required=True),
    "q": _parameter("q", "query", "Words to search for"),
    "limit": {
        "name": "limit",
        "in": "query",
        "required": False,
        "description": "How many, 1 to 200",
        "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
    },
    "cursor": _parameter("cursor", "query", "The `next` of the page before"),
    "desc": _parameter("desc", "query", "1 for the other way round"),
    "ifMatch": _parameter("If-Match", "header", "The ETag you read: 412 when it has changed since", required=True),
    "ifMatchOptional": _parameter("If-Match", "header", "The ETag you read: 412 when it has changed since"),
    "ifNoneMatch": _parameter("If-None-Match", "header", "The ETag you have: 304 when it is still so"),
    "idempotencyKey": _parameter(
        "Idempotency-Key", "header", "A text of your own per request, so that it may be sent again"
    ),
}


def _name(face: Face) -> str:
    return "".join(word.capitalize() for word in face.name.split("_"))


def _schemas(face: Face) -> Iterator[tuple[str, Any]]:
    name, shown, writable = _name(face), parts(face), {field.name for field in face.form_fields}
    document = {part.name: _property(part, read=True) for part in shown}
    yield (
        name,
        {
            "type": "object",
            "description": face.about.help or (face.entity.__doc__ or "").strip(),
            "required": ["id"],  # what else is there depends on the roles of whoever asks
            "properties": document,
        },
    )
    by = offered(face)
    items: dict[str, Any] = ref("schemas", name)
    if by:
        items = {
            "allOf": [
                items,
                {
                    "type": "object",
                    "properties": {
                        "matched_on": {
                            "type": "string",
                            "description": "Only of a look-up: what was found to be the same",
                        }
                    },
                },
            ]
        }
    yield (
        f"{name}List",
        {
            "type": "object",
            "required": ["items", "next"],
            "properties": {"items": {"type": "array", "items": items}, "next": {"type": ["string", "null"]}},
        },
    )
    settable = {part.name: _property(part) for part in shown if part.name in writable}
    if face.about.create or face.about.edit:
        yield f"{name}Change", {"type": "object", "additionalProperties": False, "properties": settable}
    if face.about.create:
        required = [field.name for field in face.form_fields if field.required]
        yield f"{name}New", ref("schemas", f"{name}Change") | ({"required": required} if required else {})


def _property(field: Field, *, read: bool = False) -> dict[str, Any]:
    """The JSON schema of one value; anything that may be empty may be null."""
    text = {"description": f"{field.label}. {field.help}".strip() if field.help else field.label}
    if field.kind == "reference":
        if read:
            return ref("schemas", "Reference") | text
        return text | {"oneOf": [{"type": ["integer", "null"]}, {"type": "object", "required": ["id"]}]}
    made: dict[str, Any] = {**_TYPES[field.kind]}
    if field.choices is not None:
        values = [member.value for member in field.choices]
        if field.kind == "choices":
            made["items"] = {"type": "string", "enum": values}
        else:
            made["enum"] = values if field.required else [*values, None]
    if not read and field.kind in {"text", "long_text"}:
        made["maxLength"] = field.max_length
    if not read and field.kind == "integer":
        made |= {
            name: bound for name, bound in (("minimum", field.minimum), ("maximum", field.maximum)) if bound is not None
        }
    if field.name != "id" and not field.required:
        made["type"] = [made["type"], "null"]
    if read and field.field_class not in (None, FieldClass.OPEN):
        return {"anyOf": [made, _MASKED]} | text
    return made | text


def _paths(face: Face) -> Iterator[tuple[str, Any]]:
    about, plural, name = face.about, face.plural, _name(face)
    many, one = face.label_plural, face.label.lower()
    listed = _operation(
        face,
        f"list_{face.name}",
        f"List, search{' or look up' if offered(face) else ''} {many.lower()}",
        "read",
        200,
        f"{name}List",
        _list_parameters(face),
        (422,),
    )
    collection = {"get": listed}
    if about.create:
        collection["post"] = _operation(
            face,
            f"create_{face.name}",
            f"New {one}",
            "write",
            201,
            name,
            [ref("parameters", "idempotencyKey")],
            (400, 409, 413, 415, 422),
            f"{name}New",
        )
        if face.entity is Party:
            made = collection["post"]
            made["parameters"] += [_parameter(given, "query", words) for given, words in alike.PARAMETERS.items()]
            told = {"type": "object", "properties": {alike.POSSIBLE: alike.SCHEMA}}
            made["responses"]["201"]["content"]["application/json"]["schema"] = {"allOf": [ref("schemas", name), told]}
            problem = {"schema": {"allOf": [ref("schemas", "Problem"), told]}}
            made["responses"]["409"] = {"description": "Why it can't be done; where it is likely to be there already, whom it is like",
                                        "content": {"application/problem+json": problem}}  # fmt: skip
    yield f"{PREFIX}/{plural}", collection
    ident = ref("parameters", "id")
    record = {
        "get": _operation(
            face,
            f"get_{face.name}",
            f"One {one}",
            "read",
            200,
            name,
            [ident, ref("parameters", "ifNoneMatch")],
            (404,),
        )
    }
    record["get"]["responses"]["304"] = {"description": "Still as you have it"}
    if about.edit:
        record["patch"] = _operation(
            face,
            f"change_{face.name}",
            f"Change fields of one {one}",
            "write",
            200,
            name,
            [ident, ref("parameters", "ifMatch")],
            (400, 404, 412, 413, 415, 422, 428),
            f"{name}Change",
        )
    if about.delete:
        record["delete"] = _operation(
            face,
            f"delete_{face.name}",
            f"Remove one {one}",
            "write",
            204,
            "",
            [ident, ref("parameters", "ifMatchOptional")],
            (404, 409, 412),
        )
    yield f"{PREFIX}/{plural}/{{id}}", record
    yield from _below(face, ident)
    for command in commands_of(face):
        yield (
            f"{PREFIX}/{plural}/{{id}}/{command.verb.replace('_', '-')}",
            {"post": _command(face, command, ident)},
        )


def _below(face: Face, ident: dict[str, str]) -> Iterator[tuple[str, Any]]:
    one, paging = face.label.lower(), [ref("parameters", name) for name in ("limit", "cursor")]
    for path, relation in lists_below(face).items():
        other = related_face(face, relation)
        operation = _operation(face, f"{relation}_of_{face.name}", f"{other.label_plural} of one {one}, the newest first", "read",
                               200, f"{_name(other)}List", [ident, *paging], (404, 422))  # fmt: skip
        yield f"{PREFIX}/{face.plural}/{{id}}/{path}", {"get": operation}
    if CREDIT in below(face):
        operation = _operation(face, f"credit_of_{face.name}", f"The open credit account of one {one}", "read",
                               200, "CreditOf", [ident], (404,))  # fmt: skip
        yield f"{PREFIX}/{face.plural}/{{id}}/{CREDIT}", {"get": operation}
        amount = _parameter("amount", "query", "What the order comes to, in the company's currency", required=True)
        operation = _operation(face, f"credit_check_of_{face.name}", "What would become of an order on credit; nothing is reserved",
                               "read", 200, "CreditCheck", [ident, amount], (404, 422))  # fmt: skip
        yield f"{PREFIX}/{face.plural}/{{id}}/{CHECK}", {"get": operation}
        operation = _operation(face, f"loyalty_of_{face.name}", f"The memberships of one {one}: points, tier, cashback", "read",
                               200, "LoyaltyOf", [ident], (404,))  # fmt: skip
        yield f"{PREFIX}/{face.plural}/{{id}}/{LOYALTY}", {"get": operation}
    if TIMELINE in below(face):
        asked = [ident, *(_parameter(name, "query", text) for name, text in TIMELINE_PARAMETERS.items()), *paging]
        operation = _operation(face, f"timeline_of_{face.name}", f"What happened with one {one}, the newest first", "read",
                               200, "TimelineList", asked, (404, 422))  # fmt: skip
        yield f"{PREFIX}/{face.plural}/{{id}}/{TIMELINE}", {"get": operation}
    for path, words in told_below(face).items():
        more = [_parameter(name, "query", text, kind) for name, text, kind in TOLD_PARAMETERS.get(path, ())]
        operation = _operation(face, f"{path}_of_{face.name}", words, "read", 200, "SegmentAnswer",
                               [ident, *more, *([] if path == "contains" else paging)], (404, 422))  # fmt: skip
        yield f"{PREFIX}/{face.plural}/{{id}}/{path}", {"get": operation}


def _command(face: Face, command: Command, ident: dict[str, str]) -> dict[str, Any]:
    made = _operation(
        face,
        f"{command.verb}_{face.name}",
        f"{command.label}: {command.help}",
        "command",
        200,
        _name(face),
        [ident, ref("parameters", "idempotencyKey")],
        (400, 404, 409, 413, 415, 422),
    )
    asked = list(command.asks.values())
    required = [field.name for field in asked if field.required]
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {field.name: _property(field) for field in asked},
    }
    if required:
        schema["required"] = required
    made["requestBody"] = {"required": bool(required), "content": {"application/json": {"schema": schema}}}
    return made


def _operation(
    face: Face,
    ident: str,
    summary: str,
    scope: str,
    status: int,
    schema: str,
    parameters: list[Any],
    problems: tuple[int, ...],
    body: str = "",
) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done" if status != 200 else "What you asked for"}
    if schema:
        good["content"] = {"application/json": {"schema": ref("schemas", schema)}}
        if not schema.endswith("List"):
            good["headers"] = {"ETag": {"schema": {"type": "string"}}}
        if status == 201:
            good["headers"]["Location"] = {"schema": {"type": "string"}}
    made: dict[str, Any] = {
        "operationId": ident,
        "tags": [face.label_plural],
        "summary": summary,
        "x-scope": f"{face.plural}:{scope}",
        "parameters": parameters,
        "responses": {str(status): good}
        | {str(code): ref("responses", "Problem") for code in sorted((401, 403, *problems, 429))},
    }
    if body:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": ref("schemas", body)}},
        }
    return made


def _list_parameters(face: Face) -> list[Any]:
    about = face.about
    names = ["limit", "cursor"]
    if about.search:
        names.insert(0, "q")
    made: list[Any] = [ref("parameters", name) for name in names]
    made += [
        _parameter(
            name,
            "query",
            f"Look up by {NAMES[name]}, archived ones too; not together with another parameter but limit and cursor",
        )
        for name in offered(face)
    ]
    if offered(face):
        made.append(_parameter("country", "query", "Completes a phone number without its country code, such as MY"))
    if about.sort:
        sort = _parameter("sort", "query", "What the list is ordered by; the newest first without it")
        sort["schema"]["enum"] = ["id", *about.sort]
        made += [sort, ref("parameters", "desc")]
    for name in face.filters:
        field = face.fields[name]
        made += [_parameter(f"flt_{name}_{op}", "query", f"{field.label}: {op}") for op in field.operators]
    return made
