"""Pieces of SQL that choose for a demo record, always the same for the same record and seed.

The statement has a column `i`, the number of the record, and a parameter `seed`; `salt` tells one choice from another.
"""

from __future__ import annotations

# The demo customers whose ids lie from `first` to `last`, what currencies are worth, and the catalogue.
THEM = """
them AS MATERIALIZED (
  SELECT id AS party_id, kind = 'organization' AS org, lifecycle, created_at AS born, now() - created_at AS since, owner_id,
         coalesce(preferred_currency, 'EUR') AS currency, language, substr(account_number, 6)::bigint AS n
    FROM party
   WHERE id BETWEEN :first AND :last AND account_number BETWEEN 'DEMO-' AND 'DEMO-~'
     AND roles && ARRAY['business_customer', 'end_customer']::varchar[] AND archived_at IS NULL
), rate AS MATERIALIZED (
  SELECT DISTINCT ON (currency) currency, rate FROM currency_rate ORDER BY currency, valid_from
), goods AS MATERIALIZED (
  SELECT *, row_number() OVER (PARTITION BY kind = 'vehicle' ORDER BY sku) - 1 AS nr,
         count(*) OVER (PARTITION BY kind = 'vehicle') AS many FROM product WHERE sku LIKE 'DEMO-%'
)"""


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
