"""Codes by which customers are named as those who brought somebody: how they are made of a number, and how they are read.

Seven signs tell the number, the eighth is made of them: one wrong sign, or two next to each other that were swapped, is the
code of nobody.
"""

from __future__ import annotations

SIGNS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0 O 1 I L; a prime number of them, so that the last one finds every slip
_LENGTH = 7
# Neighbours look unlike each other, and no two numbers get the same: the factor shares none with the count.
_SCATTERED = f"(id * 107374183 % {len(SIGNS) ** _LENGTH})"
_PARTS = [f"({_SCATTERED} / {len(SIGNS) ** place} % {len(SIGNS)})" for place in range(_LENGTH)]
_LAST = "((" + " + ".join(f"{place + 2} * {part}" for place, part in enumerate(_PARTS)) + f") % {len(SIGNS)})"


def _sign(number: str) -> str:
    return f"substr('{SIGNS}', {number}::int + 1, 1)"


# SQL over a record's `id`; the same for ever, as people write it down.
CODE = " || ".join([*map(_sign, _PARTS[:4]), "'-'", *map(_sign, _PARTS[4:]), _sign(_LAST)])


def as_written(code: str) -> str:
    """SQL: the code as it stands with the customer, however it was typed."""
    return f"regexp_replace(upper(regexp_replace({code}, '[^[:alnum:]]', '', 'g')), '^(.{{4}})(.{{4}})$', '\\1-\\2')"
