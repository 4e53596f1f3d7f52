"""Sealing the audit: what was written gets its number and its hash."""

from __future__ import annotations

from sqlalchemy import func, select

from crm.core.entity import db
from crm.core.transaction import run_in_transaction

PART = 20_000


def seal_next() -> int:
    """Seal the next entries, at most PART; answers how many: none while another one seals, or transactions are open."""
    return int(db.session.execute(select(func.audit_seal(PART))).scalar_one())


def seal_all() -> int:
    """Seal whatever can be sealed now, each part a transaction of its own; answers how many entries."""
    number = 0
    while part := run_in_transaction(seal_next):
        number += part
    return number
