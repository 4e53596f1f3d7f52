"""A value that is a JSON object: read with its limits, written so that it reads back."""

from __future__ import annotations

import json
from typing import Any

MOST = 64_000  # letters of its text
DEEPEST = 40


def read_object(raw: Any) -> dict[str, Any]:
    """The object of a text or of what a program gave. Raises ValueError with a sentence."""
    if isinstance(raw, str) and len(raw) > MOST:
        raise ValueError(f"is too long: {len(raw):,} letters, at most {MOST:,} are kept")
    try:
        value = json.loads(raw, parse_constant=_refuse) if isinstance(raw, str) else raw
        if not isinstance(value, dict):
            raise ValueError('must be an object: it begins with { and looks like {"all": []}')
        written = as_text(value)
    except json.JSONDecodeError as fault:
        raise ValueError(f"is not JSON: {fault.msg.lower()} in line {fault.lineno}, column {fault.colno}") from None
    except (RecursionError, TypeError):
        raise ValueError("is nested too deep, or holds what isn't JSON") from None
    if _depth(value) > DEEPEST:
        raise ValueError(f"is nested too deep: at most {DEEPEST} levels")
    if len(written) > MOST:
        raise ValueError(f"is too long: {len(written):,} letters, at most {MOST:,} are kept")
    if "\\u0000" in json.dumps(value) or any("\ud800" <= letter <= "\udfff" for letter in written):
        raise ValueError("contains a letter that can't be kept")
    return value


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)


def _refuse(word: str) -> Any:
    raise ValueError(f"holds {word}, which is no number")


def _depth(value: Any) -> int:
    """How many levels it has; a level at a time, so that none is too deep to count."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner for one in level if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]  # fmt: skip
    return depth
