"""Cells that a spreadsheet would run: the guard that every file of ours puts before them and import takes off."""

from __future__ import annotations

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
NUMBER = r"[+-]?[0-9]+([.,][0-9]+)*"  # read alike by Python and by PostgreSQL


def neutral(text: str) -> str:
    """A cell that a spreadsheet would take for a formula gets an apostrophe before it; `plain` takes it off again.

    Numbers and phone numbers begin with a sign and are no formulas. What begins with an apostrophe gets another.
    """
    if text.startswith(FORMULA) and not re.fullmatch(NUMBER, text):
        return "'" + text
    return text


def plain(text: str) -> str:
    """The cell without the apostrophe that stands before a sign of a formula: `plain(neutral(text)) == text`."""
    if text.startswith("'") and text[1:].startswith(FORMULA):
        return text[1:]
    return text
