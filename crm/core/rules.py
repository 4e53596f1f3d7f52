"""Rules between the values of one record: checked by the database, told to a person in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from babel.numbers import get_currency_precision
from sqlalchemy import CheckConstraint
from sqlalchemy.exc import IntegrityError

from crm.core.kinds import currencies


def told(fault: IntegrityError) -> str | None:
    """What a trigger of ours said when it refused something; None for any other fault."""
    diagnosis = getattr(fault.orig, "diag", None)
    ours = getattr(fault.orig, "sqlstate", "") == "23514" and getattr(diagnosis, "column_name", None)
    if not ours or getattr(diagnosis, "constraint_name", None):
        return None
    return f"{ours.replace('_', ' ').capitalize()} {getattr(diagnosis, 'message_primary', '')}."


@dataclass(frozen=True)
class Doubt:
    """What may be true of a record but seldom is: an import takes it and says how often. SQL over the columns; `says`
    goes on after the number and what the records are called."""

    condition: str
    says: str


def rule(field: str, condition: str, says: str, *, name: str = "rule") -> CheckConstraint:
    """For `__table_args__`: what must not be false of a row. `says` completes "<field> …" for who breaks it; `name`
    tells several rules of one field apart."""
    return CheckConstraint(condition, name=f"{field}_{name}", info={"says": (field, says)})


def in_order(first: str, last: str) -> CheckConstraint:
    """Two days or times, one after the other; either may be missing."""
    before = first.removesuffix("_at").removesuffix("_on").replace("_", " ")
    return rule(last, f"{first} <= {last}", f"lies before “{before}”", name="order")


def with_currency(*amounts: str, currency: str = "currency") -> CheckConstraint:
    """An amount says in which currency it is."""
    return rule(
        currency, f"num_nonnulls({', '.join(amounts)}) = 0 OR {currency} IS NOT NULL", "is required with an amount"
    )


def in_bounds(column: str, minimum: int | None, maximum: int | None) -> CheckConstraint:
    """A value lies within its declared bounds; people are told by the field itself."""
    bounds = ((">=", minimum), ("<=", maximum))
    condition = " AND ".join(f"{column} {sign} {bound}" for sign, bound in bounds if bound is not None)
    return CheckConstraint(condition, name=f"{column}_bounds")


def fits_currency(amount: str, currency: str = "currency") -> CheckConstraint:
    """An amount has no more decimals than its currency has."""
    others: dict[int, list[str]] = {}
    for code in currencies():
        if (places := get_currency_precision(code)) != 2:
            others.setdefault(places, []).append(f"'{code}'")
    cases = " ".join(
        f"WHEN {currency} IN ({', '.join(codes)}) THEN {places}" for places, codes in sorted(others.items())
    )
    return rule(amount, f"scale(trim_scale({amount})) <= CASE {cases} ELSE 2 END", "has more decimals than its currency",
                name="decimals")  # fmt: skip
