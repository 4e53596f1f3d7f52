"""Pieces of SQL that choose for a demo record, always the same for the same record and seed.

The statement has a column `i`, the number of the record, and a parameter `seed`; `salt` tells one choice from another.
"""

from __future__ import annotations


def roll(salt: int, sides: int | str, number: str = "i") -> str:
    """SQL of a whole number from 0 below `sides`."""
    return f"((hashint8extended({number}, :seed + {salt}) & 9223372036854775807) % {sides})::int"


def pick(salt: int, array: str) -> str:
    return f"({array})[1 + {roll(salt, f'greatest(1, cardinality({array}))')}]"  # NULL from an empty one


def choice(salt: int, **shares: int) -> str:
    """A word by shares of a hundred; the last one takes the rest."""
    *words, rest = shares
    upper, whens = 0, []
    for word in words:
        upper += shares[word]
        whens.append(f"WHEN {roll(salt, 100)} < {upper} THEN '{word}'")
    return f"CASE {' '.join(whens)} ELSE '{rest}' END"
