"""What happens to points by itself: those whose day is over are written off, those held too long go back. Set-based, in
parts; each part is done as a whole or not at all, and doing it again enters nothing."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from sqlalchemy import func, select, text

from crm.commands.party_merge_accounts import lead_on
from crm.core import figures
from crm.core.command import among
from crm.core.days import today
from crm.core.entity import db
from crm.core.transaction import run_in_transaction
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import RedemptionState
from crm.models.loyalty_rewards import Redemption

CHUNK = 1000

# {when} is the condition of the lots: `f` is what is left of each.
_DUE = """
SELECT p.id AS program, p.name, count(DISTINCT a.id) AS members, count(*) AS lots, sum(f.remaining) AS points,
       min(f.expires_on) AS first, max(f.expires_on) AS last
  FROM point_entry_figures f JOIN loyalty_account a ON a.id = f.account_id JOIN loyalty_program p ON p.id = a.program_id
 WHERE f.remaining > 0 AND f.expires_on < CAST(:until AS date) AND f.expires_on >= CAST(:from AS date)
 GROUP BY p.id ORDER BY p.id"""
_MEMBERS = text("""
SELECT DISTINCT f.account_id FROM point_entry_figures f JOIN loyalty_account a ON a.id = f.account_id
 WHERE f.remaining > 0 AND f.expires_on < CAST(:day AS date) AND (CAST(:program AS bigint) IS NULL OR a.program_id = :program)
 ORDER BY f.account_id LIMIT :limit""")
# The number of what has expired of an account already makes the key: the same lots never go out twice.
_EXPIRE = text("""
INSERT INTO point_entry (account_id, kind, points, source, reason, by_id)
SELECT f.account_id, 'expire', -sum(f.remaining), concat_ws(chr(58), 'expire', f.account_id, max(f.id), s.expired), 'Expired', :by
  FROM point_entry_figures f JOIN loyalty_account_sums s ON s.id = f.account_id
 WHERE f.account_id = ANY(CAST(:accounts AS bigint[])) AND f.remaining > 0 AND f.expires_on < CAST(:day AS date)
 GROUP BY f.account_id, s.expired ORDER BY f.account_id RETURNING -points""")
_VOID = text("""
WITH gone AS (
  UPDATE redemption r SET state = 'voided', settled_at = now(), reason = 'Not given in time'
   WHERE r.id = ANY(CAST(:ids AS bigint[])) AND r.state = 'held' RETURNING r.id, r.account_id, r.points, r.entry_id
)
INSERT INTO point_entry (account_id, kind, points, source, reason, reverses_id)
SELECT g.account_id, 'reverse', g.points, concat_ws(chr(58), 'void', g.id), 'Not given in time', g.entry_id FROM gone g ORDER BY g.id""")


def due_to_expire(*, days_ahead: int = 0) -> list[dict[str, Any]]:
    """By program: members, lots and points that are written off now, or that expire in the next days."""
    begin = today() if days_ahead else dt.date(1, 1, 1)
    given = {"from": begin, "until": today() + dt.timedelta(days=days_ahead + 1 if days_ahead else 0)}
    return [dict(row._mapping) for row in db.session.execute(text(_DUE), given)]


def expire_all() -> int:
    """Write off, in all programs, points whose day is over; answers how many points."""
    total = 0
    while True:
        members, points = run_in_transaction(partial(expire_some, None, by=None))
        total += points
        if not members:
            return total


def expire_some(program: int | None, *, by: int | None, limit: int = CHUNK) -> tuple[int, int]:
    """(memberships, points) of one part, the first in order. Flushes."""
    figures.settle()
    given = {"day": today(), "program": program, "limit": limit}
    ids = list(db.session.scalars(_MEMBERS, given))
    if not ids:
        return 0, 0
    # Whoever takes points holds the account: what is left of its lots is known when nobody else does.
    db.session.scalars(select(LoyaltyAccount.id).where(among(LoyaltyAccount.id, ids)).order_by(LoyaltyAccount.id)
                       .with_for_update(key_share=True)).all()  # fmt: skip
    points = list(db.session.scalars(_EXPIRE, {"accounts": ids, "day": today(), "by": by}))
    return len(ids), sum(points)


def void_overdue() -> int:
    """Give back the points of redemptions that weren't given in time; answers how many."""
    total = 0
    while done := run_in_transaction(_void_some):
        total += done
    return total


def _void_some() -> int:
    held = Redemption.state == RedemptionState.HELD
    overdue = (select(Redemption.id, Redemption.account_id).where(held, Redemption.held_until < func.now())
               .order_by(Redemption.held_until, Redemption.id).limit(CHUNK))  # fmt: skip
    found = db.session.execute(overdue).all()
    if not found:
        return 0
    # In the order in which a person's command holds them: the redemption, then the account.
    ids = list(db.session.scalars(select(Redemption.id).where(among(Redemption.id, [row.id for row in found]), held)
                                  .order_by(Redemption.id).with_for_update(skip_locked=True)))  # fmt: skip
    accounts = {row.account_id for row in found if row.id in set(ids)}
    db.session.scalars(select(LoyaltyAccount.id).where(among(LoyaltyAccount.id, accounts)).order_by(LoyaltyAccount.id)
                       .with_for_update(key_share=True)).all()  # fmt: skip
    db.session.execute(_VOID, {"ids": ids})
    lead_on(accounts, by=None)
    return len(ids)
