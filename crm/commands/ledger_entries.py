"""Entering what stays: a row that the database refuses is a refusal in its words."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.exc import IntegrityError

from crm.core.command import Refused
from crm.core.entity import Entity, db

_CHECK, _UNIQUE = "23514", "23505"


def enter(record: Entity, *, twice: str, says: Mapping[str, str] | None = None) -> None:
    """Add a row to a ledger. Raises Refused with `twice` where it is there already, else with what the database says.

    `says` words a refusal anew: the field the database names → sentence.
    """
    try:
        with db.session.begin_nested():
            db.session.add(record)
            db.session.flush()
    except IntegrityError as fault:
        state, told = getattr(fault.orig, "sqlstate", ""), getattr(fault.orig, "diag", None)
        if state == _UNIQUE:
            raise Refused(twice) from None
        if state != _CHECK:
            raise
        name = getattr(told, "column_name", None) or ""
        for constraint in type(record).__table__.constraints:
            if constraint.name == getattr(told, "constraint_name", None) and "says" in constraint.info:
                raise Refused(" ".join(constraint.info["says"])) from None
        raise Refused((says or {}).get(name) or f"{name} {getattr(told, 'message_primary', '')}".strip()) from None
