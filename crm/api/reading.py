"""The body of a request: JSON, an object, bounded; whatever is sent, the answer is a sentence."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import request

from crm.api.problems import Problem, wrong

MAX_BYTES = 1_000_000
MAX_DEPTH = 8


def body() -> dict[str, Any]:
    """The object that was sent; nothing sent counts as an empty one. Raises Problem."""
    request.max_content_length = MAX_BYTES
    raw = request.get_data(cache=True)
    if raw and request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise Problem(415, "Send JSON, with Content-Type: application/json.")
    return object_of(raw)


def object_of(raw: bytes) -> dict[str, Any]:
    """The same of a part of a request."""
    if not raw:
        return {}
    try:
        given = json.loads(raw.decode("utf-8"), parse_float=_decimal, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Problem(400, "The body is not UTF-8.") from None
    except RecursionError:
        raise Problem(400, "The body is nested too deeply.") from None
    except ValueError as fault:
        raise Problem(400, f"The body is not JSON: {fault}.") from None
    if not isinstance(given, dict):
        raise Problem(422, "The body must be a JSON object, with the fields by name.")
    errors = {}
    for name, value in given.items():
        sentence = _fault(name, 0) or _fault(value, 1)
        if sentence:
            errors[name] = sentence
    if errors:
        raise wrong(errors)
    return given


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text[:40]} is no number") from None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


def _fault(value: Any, depth: int) -> str:
    """What the database couldn't keep: NUL and half surrogates, anywhere inside."""
    if depth > MAX_DEPTH:
        return "is nested too deeply"
    if isinstance(value, str):
        if "\x00" in value:
            return "contains a NUL character; remove it"
        if any("\ud800" <= char <= "\udfff" for char in value):
            return "contains a broken character (half of a surrogate pair); send it again"
    elif isinstance(value, dict):
        return next((fault for pair in value.items() for part in pair if (fault := _fault(part, depth + 1))), "")
    elif isinstance(value, list):
        return next((fault for part in value if (fault := _fault(part, depth + 1))), "")
    return ""


def one_of_each(names: frozenset[str]) -> dict[str, str]:
    """The query parameters of these names; Problem 422 when one comes twice or holds a NUL."""
    errors = {}
    for name in names:
        values = request.args.getlist(name)
        if len(values) > 1:
            errors[name] = "is given more than once"
        elif values and "\x00" in values[0]:
            errors[name] = "contains a NUL character; remove it"
    if errors:
        raise wrong(errors)
    return {name: value for name, value in request.args.items() if name in names}
