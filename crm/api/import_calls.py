"""The calls about imports, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

_PROBLEM = {"$ref": "#/components/responses/Problem"}
_ID = {"$ref": "#/components/parameters/id"}
_KEY = {"$ref": "#/components/parameters/idempotencyKey"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_COUNT = {"type": ["integer", "null"]}

SCHEMAS: dict[str, Any] = {
    "ImportPlan": {
        "type": "object",
        "required": ["entity"],
        "description": "What becomes of the file. Whatever isn't said is found out, as the wizard suggests it",
        "properties": {
            "entity": {"type": "string", "description": "What the rows are", "examples": ["customers"]},
            "columns": _TEXTS | {"description": "Header → field; columns that aren't named stay out"},
            "duplicates": {"type": "string", "enum": ["skip", "update", "create"], "default": "skip"},
            "match": {"type": "array", "items": {"type": "string"},
                      "description": "By what known records are found: the first that finds one decides"},
            "rules": _TEXTS | {"description": "Field → when the file changes a known record"},
            "known_only": {"type": "boolean", "description": "No record is made"},
            "styles": _TEXTS | {"description": "Header → how it is written: dmy, mdy, ymd, point, comma; or by what it names others"},
            "constants": _TEXTS | {"description": "Field → the same value in every row"},
            "words": {"type": "object", "additionalProperties": _TEXTS, "description": "Field → what the words of the file mean"},
            "system": {"type": "string", "description": "Where the file comes from, such as erp"},
            "country": {"type": "string", "description": "Completes phone numbers, such as MY"},
            "options": {"type": "object", "description": "encoding, delimiter, quote, header, sheet, repair"},
            "again": {"type": "boolean", "description": "Import it although the same file was imported before"},
            "dry_run": {"type": "boolean", "description": "Only say what would happen"},
        },
    },
    "Import": {
        "type": "object",
        "required": ["id", "entity", "state", "counts"],
        "properties": {
            "id": {"type": "integer"},
            "entity": {"type": "string"},
            "file_name": {"type": "string"},
            "size": {"type": "integer"},
            "state": {"type": "string", "description": "checking, checked, waiting, running, done, failed, cancelled …"},
            "created_at": {"type": "string", "format": "date-time"},
            "counts": {"type": "object", "properties": dict.fromkeys(
                ("rows", "created", "updated", "unchanged", "skipped", "ambiguous", "refused"), _COUNT)},
            "progress": {"type": ["object", "null"]},
            "error": {"type": ["string", "null"]},
            "remarks": {"type": "array", "items": {"type": "string"}},
            "added_up": {"type": "array", "description": "Of each column how many values there are (`values`), and the sums of numbers "
                         "(`sums`): in the file, in the rows that were taken, in the records of those rows at the end", "items": {
                "type": "object", "properties": {"field": {"type": "string"}, "values": {"type": "array", "items": _COUNT},
                                                 "sums": {"type": ["array", "null"], "items": {"type": "string"}}}}},
            "findings": {"type": ["object", "null"], "description": "Of a dry run: counts, the first rows, remarks"},
            "plan": {"type": "object"},
            "refused": {"type": ["string", "null"], "description": "Where the rows lie that were not taken"},
        },
    },
}  # fmt: skip


def import_calls(prefix: str) -> dict[str, Any]:
    """Path → calls."""
    sent = {"type": "object", "required": ["file", "plan"], "properties": {
        "file": {"type": "string", "format": "binary"}, "plan": {"$ref": "#/components/schemas/ImportPlan"}}}  # fmt: skip
    bring = _call("import_file", "Import a file, or say what would happen", 201, [_KEY], (400, 409, 413, 415, 422))
    bring["requestBody"] = {"required": True, "content": {"multipart/form-data": {
        "schema": sent, "encoding": {"plan": {"contentType": "application/json"}}}}}  # fmt: skip
    found = {"description": "What a dry run of a small file found; a large one is checked in the background (202)"}
    bring["responses"] |= {"200": found, "202": bring["responses"]["201"]}
    refused = _call("refused_rows_of_import", "The rows that were not taken, as CSV", 200, [_ID], (404, 409))
    refused["responses"]["200"]["content"] = {"text/csv": {"schema": {"type": "string"}}}
    return {
        f"{prefix}/imports": {"post": bring},
        f"{prefix}/imports/{{id}}": {"get": _call("get_import", "How an import stands", 200, [_ID], (404,))},
        f"{prefix}/imports/{{id}}/refused": {"get": refused},
        f"{prefix}/imports/{{id}}/cancel": {
            "post": _call("cancel_import", "Stop an import after its chunk", 200, [_ID, _KEY], (404, 409))
        },
    }


def _call(ident: str, summary: str, status: int, parameters: list[Any], problems: tuple[int, ...]) -> dict[str, Any]:
    good = {
        "description": "The import",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Import"}}},
    }
    refusals = {str(code): _PROBLEM for code in sorted((401, 403, *problems, 429))}
    return {"operationId": ident, "tags": ["Imports"], "summary": summary, "x-scope": "<what the rows are>:import",
            "parameters": parameters, "responses": {str(status): good} | refusals}  # fmt: skip
