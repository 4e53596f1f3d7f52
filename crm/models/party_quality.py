"""How good the data of a party is: what a record lacks, in SQL over its own row, and what each costs of 100 points.

The score is a generated column: it can be sorted and filtered by and is never out of date, whoever writes. So it knows
the party's own fields only; what moves with the calendar or stands in other records isn't counted.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lack:
    """Something missing or wrong: what it costs, of which field, how a person is told, and when it is so (never NULL)."""

    points: int
    field: str
    words: str
    when: str


_ORGANIZATION, _INDIVIDUAL = "kind = 'organization'", "kind = 'individual'"
_NO_EMAIL = "email IS NULL AND email2 IS NULL"
_NO_PHONE = "phone IS NULL AND phone2 IS NULL"

LACKS = (
    Lack(30, "email", "There is neither an e-mail nor a phone number", f"{_NO_EMAIL} AND {_NO_PHONE}"),
    Lack(10, "email", "There is no e-mail", f"{_NO_EMAIL} AND NOT ({_NO_PHONE})"),
    Lack(10, "phone", "There is no phone number", f"{_NO_PHONE} AND NOT ({_NO_EMAIL})"),
    Lack(20, "email", "The e-mail bounced or is invalid", "email IS NOT NULL AND email_state = 'bounced'"),
    Lack(20, "phone", "The phone number doesn't work", "phone IS NOT NULL AND phone_state = 'bounced'"),
    Lack(10, "email", "Neither e-mail nor phone number is verified", "email_state <> 'verified' AND phone_state <> 'verified'"),
    Lack(10, "phone", "The phone number can't be called: its country code is missing", "phone IS NULL AND phone_given IS NOT NULL"),
    Lack(15, "tax_id", "The tax ID is missing", f"{_ORGANIZATION} AND tax_id IS NULL"),
    Lack(10, "industry", "The industry is missing", f"{_ORGANIZATION} AND industry IS NULL"),
    Lack(5, "website", "The website is missing", f"{_ORGANIZATION} AND website IS NULL"),
    Lack(15, "first_name", "First or last name is missing", f"{_INDIVIDUAL} AND (first_name IS NULL OR last_name IS NULL)"),
    Lack(10, "date_of_birth", "The date of birth is missing", f"{_INDIVIDUAL} AND date_of_birth IS NULL"),
    Lack(10, "owner", "Nobody is its account manager", "owner_id IS NULL"),
    Lack(5, "type", "The type is missing", "type IS NULL"),
    Lack(5, "language", "The language is missing", "language IS NULL AND communication_language IS NULL"),
)  # fmt: skip

SCORE = f"greatest(0, 100 - {' - '.join(f'({lack.when})::int * {lack.points}' for lack in LACKS)})"
POOR = 60  # below this a record is on the list of those to mend
