"""Mistakes as people make them when they write something down."""

from __future__ import annotations

import random

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def typo(text: str, chance: random.Random, letters: str = LETTERS) -> str:
    """One letter wrong, missing, too many, or two exchanged."""
    at = chance.randrange(max(1, len(text) - 1))
    kind = chance.randrange(4)
    if kind == 0:
        return text[:at] + chance.choice(letters) + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[:at] + chance.choice(letters) + text[at:]
    return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
