"""Shapes of answers that no single face has: a reference, the timeline, how credit stands, what is told of segments."""

from __future__ import annotations

from typing import Any


def ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


REFERENCE: dict[str, Any] = {
    "type": ["object", "null"],
    "required": ["id", "name"],
    "properties": {"id": {"type": "integer"}, "name": {"type": ["string", "null"]}},
}
TIMELINE_PARAMETERS = {
    "type": "What it is, such as order or interaction; change is one of the record itself. May come several times",
    "who": "Number of the user who had it in hand", "since": "From this day on, in UTC", "until": "Up to this day, in UTC",
    "q": "Words to search for",
}  # fmt: skip
TOLD_PARAMETERS = {
    "contains": (("email", "E-mail of a customer or of one of its contacts", "string"),),
    "changes": (("since", "What the last answer gave as since; 0 is the start", "integer"),),
}
_ENTRY = {
    "type": "object",
    "required": ["type", "id", "at", "by"],
    "properties": {
        "type": {"type": "string", "description": "The kind of record, such as order; or change"},
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "by": REFERENCE,
        "document": {"type": "object", "description": "The record as its own address shows it; a change has none"},
        "action": {"type": "string", "enum": ["create", "update", "delete"], "description": "Only of a change"},
        "changes": {"type": "array", "description": "Only of a change: what was changed, from what to what", "items": {
            "type": "object", "required": ["field", "before", "after"], "properties": {
                "field": {"type": "string"}, "before": {"type": ["string", "null"]}, "after": {"type": ["string", "null"]}}}},
    },
}  # fmt: skip
_CREDIT_CHECK = {
    "type": "object",
    "required": ["decision", "reason"],
    "properties": {
        "decision": {"type": "string", "enum": ["allow", "hold", "refuse"]},
        "reason": {"type": "string"},
        "amount": {"type": "string", "description": "What was asked; where the user sees amounts"},
        "available": {"type": "string", "description": "What the limit leaves; less than nothing where more is used"},
    },
}
SCHEMAS_BELOW = {
    "CreditCheck": _CREDIT_CHECK,
    "CreditOf": {"type": "object", "required": ["account"], "properties": {
        "account": {"anyOf": [ref("schemas", "CreditAccount"), {"type": "null"}]}}},
    "LoyaltyOf": {"type": "object", "required": ["items"], "properties": {
        "items": {"type": "array", "items": ref("schemas", "LoyaltyAccount")}}},
    "SegmentAnswer": {"type": "object", "required": ["items"], "properties": {
        "items": {"type": "array", "items": {"type": "object"}}, "next": {"type": ["string", "null"]},
        "contains": {"type": "boolean"}, "since": {"type": "integer"}}},
    "TimelineEntry": _ENTRY,
    "TimelineList": {"type": "object", "required": ["items", "next"], "properties": {
        "items": {"type": "array", "items": ref("schemas", "TimelineEntry")}, "next": {"type": ["string", "null"]}}},
}  # fmt: skip
