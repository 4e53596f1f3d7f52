"""Names, places and firms of several countries and scripts, from which demo data is put together.

All of it is invented. In `demo_places.json` a name carries its Latin spelling behind a bar, for e-mail
addresses, and a city its state and postal code; `%s` stands for a house number in a street and for a family's
name in a firm; `dial` is followed by as many digits as `digits` says, in ranges kept for fiction where a
country has them, and in blocks that nobody is given elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

INDUSTRIES = (
    "Automotive",
    "Construction",
    "Education",
    "Energy",
    "Finance",
    "Food & Beverage",
    "Healthcare",
    "Hospitality",
    "Logistics",
    "Manufacturing",
    "Public Sector",
    "Retail",
    "Technology",
)
TAGS = ("newsletter", "fleet", "key account", "trade fair", "referral", "service contract", "early adopter")
TITLES = (
    "Managing Director",
    "Head of Purchasing",
    "Fleet Manager",
    "Chief Financial Officer",
    "Operations Manager",
    "Office Manager",
)
DEPARTMENTS = ("Management", "Purchasing", "Fleet", "Finance", "Operations", "Office")
BLOCK_REASONS = (
    "Invoices unpaid for more than 90 days",
    "Chargeback under investigation",
    "Deliveries refused repeatedly",
    "Asked by the legal department",
)


def places() -> list[dict[str, Any]]:
    """The countries, each as often as its weight says."""
    known = json.loads(Path(__file__).with_name("demo_places.json").read_text(encoding="utf-8"))
    return [place for place in known for _ in range(place["weight"])]
