"""Values that a row of a file has and that aren't to be taken: out of the way, and still there to be added up."""

from __future__ import annotations

ASIDE = "_aside"


def without(keys: str) -> str:
    """SQL: the values of a row `r` without these (an array of names)."""
    taken = f"(SELECT coalesce(jsonb_object_agg(t.key, t.value), '{{}}') FROM jsonb_each(r.data) t WHERE t.key = ANY ({keys}))"  # noqa: S608 - names of declared fields
    return f"(r.data - {keys}) || jsonb_build_object('{ASIDE}', coalesce(r.data->'{ASIDE}', '{{}}') || {taken})"


def without_one(key: str) -> str:
    return without(f"ARRAY['{key}']")


def said(key: str) -> str:
    """SQL: what the file says, as text, whether it is to be taken or not."""
    return f"coalesce(r.data->>'{key}', r.data->'{ASIDE}'->>'{key}')"
