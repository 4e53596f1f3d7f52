"""Rules between the values of one record: checked by the database, told to a person in a sentence."""

from __future__ import annotations

from sqlalchemy import CheckConstraint


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
