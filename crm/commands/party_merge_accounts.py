"""What a merge does where both parties have an account of the same: points and cashback go over by entries of the ledgers,
which keep every lot's expiry; a credit account is closed with what is owed on it, and its limit is not added."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm.attributes import flag_modified

from crm.core.command import among
from crm.core.entity import db
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import Membership
from crm.models.party_merges import Merge

_PAIRS = text("""
SELECT l.id AS merged, k.id AS kept FROM loyalty_account l
  JOIN loyalty_account k ON k.program_id = l.program_id AND k.party_id = :kept AND k.state <> 'ended'
 WHERE l.party_id = :merged AND l.state <> 'ended' ORDER BY l.id FOR NO KEY UPDATE""")
_LOTS = text("SELECT id, remaining::int AS remaining FROM point_lot WHERE account_id = :account ORDER BY id")
_TAKE = text("""
INSERT INTO point_entry (account_id, kind, points, source, reason, by_id, reverses_id)
VALUES (:account, 'merge', :points, :source, :reason, :by, :lot) RETURNING id""")
_GIVE = text("""
INSERT INTO point_entry (account_id, kind, points, expires_on, source, reason, by_id)
SELECT :account, 'merge', given.points, e.expires_on, CAST(:source AS text) || chr(58) || e.id, CAST(:reason AS text), CAST(:by AS bigint)
  FROM unnest(CAST(:lots AS bigint[]), CAST(:points AS int[])) given (lot, points) JOIN point_entry e ON e.id = given.lot
 ORDER BY e.id""")
# What a merge took from a membership, at once and of what came back to it later.
_TOOK = "t.account_id = :merged AND t.kind = 'merge' AND t.points < 0 AND (t.source = :source OR starts_with(t.source, :source || chr(58)))"
_TAKEN = text(f"SELECT -coalesce(sum(t.points), 0) FROM point_entry t WHERE {_TOOK}")  # noqa: S608
# Where what was taken from a lot is now: what is left of the lot made of it, and what later merges and their undoing made of
# that. What the undoing of an earlier merge took out has gone home.
_NOW = text(f"""
WITH RECURSIVE made AS (
  SELECT e.id, e.account_id FROM point_allocation a
    JOIN point_entry t ON t.id = a.point_entry_id JOIN point_entry e ON e.source = t.source || chr(58) || a.lot_id
   WHERE {_TOOK}
  UNION
  SELECT e.id, e.account_id FROM made m JOIN point_allocation a ON a.lot_id = m.id
    JOIN point_entry t ON t.id = a.point_entry_id AND t.kind = 'merge' AND t.points < 0 AND CAST(split_part(t.source, chr(58), 2) AS bigint) > :made
    JOIN point_entry e ON e.source = t.source || chr(58) || a.lot_id
) SELECT m.id, m.account_id, o.remaining::int AS remaining FROM made m JOIN point_lot o ON o.id = m.id ORDER BY m.id""")  # noqa: S608
# The merge that closed a membership, and the one to which its points went.
_CLOSED_BY = text("""
WITH RECURSIVE merged AS (
  SELECT m.* FROM loyalty_account a JOIN merge m ON m.kept_party_id = a.party_id AND m.state = 'made' WHERE a.id = :account
  UNION ALL SELECT m.* FROM merged b JOIN merge m ON m.kept_party_id = b.merged_party_id AND m.state = 'made'
) SELECT m.id, CAST(j ->> 'kept' AS bigint) AS kept FROM merged m CROSS JOIN LATERAL jsonb_array_elements(m.snapshot -> 'joined') j
 WHERE CAST(j ->> 'merged' AS bigint) = :account""")
_CASH = text("SELECT coalesce(sum(amount), 0) FROM cashback_entry WHERE account_id = :account")
_PAY = text("INSERT INTO cashback_entry (account_id, kind, amount, source, reason, by_id) "
            "VALUES (:account, 'adjust', :amount, :source, :reason, :by)")  # fmt: skip
_HOLDS = text("""
INSERT INTO credit_hold (account_id, scope, source, rule, reason, until, by_id)
SELECT :kept, h.scope, 'rule', 'Merge of customers', h.reason, h.until, CAST(:by AS bigint) FROM credit_hold h
 WHERE h.account_id = :merged AND h.released_at IS NULL AND (h.until IS NULL OR h.until >= CURRENT_DATE) ORDER BY h.id RETURNING id""")


def join(made: Merge, *, by: int | None) -> tuple[list[dict[str, Any]], list[int]]:
    """Close the merged party's accounts of which the kept one has the like; answers what went from which to which, and the
    holds that were placed anew."""
    who = {"kept": made.kept_party_id, "merged": made.merged_party_id}
    joined = []
    for merged, kept in db.session.execute(_PAIRS, who).all():
        joined.append({"merged": merged, "kept": kept, "points": _points(_source(made.id, merged), merged, kept, _into(made), by),
                       "cashback": str(_cashback(f"merge:{made.id}:{merged}", merged, kept, None, _into(made), by))})  # fmt: skip
        db.session.execute(
            text("UPDATE loyalty_account SET state = 'ended', ended_on = CURRENT_DATE WHERE id = :id"), {"id": merged}
        )
    return joined, _credit(who, by)


def _into(made: Merge) -> str:
    return f"Merge {made.id}: {made.merged_party.code} into {made.kept_party.code}"


def _source(made: int, merged: int) -> str:
    return f"merge:{made}:{merged}"


def lead_on(accounts: Iterable[int], *, by: int | None) -> None:
    """What came to memberships that a merge has closed, or closes at this moment, goes on to the one that is left."""
    found = (
        select(LoyaltyAccount.id, LoyaltyAccount.state)
        .where(among(LoyaltyAccount.id, accounts))
        .order_by(LoyaltyAccount.id)
    )
    # Whoever merges holds them: afterwards it is told whether they are closed.
    rows = db.session.execute(found.with_for_update(key_share=True)).all()
    for account in (row.id for row in rows if row.state is Membership.ENDED):
        closed = db.session.execute(_CLOSED_BY, {"account": account}).one_or_none()
        if closed is None:
            continue  # it was ended by hand: its points stay in the books
        newest = db.session.scalar(text("SELECT max(id) FROM point_entry WHERE account_id = :id"), {"id": account})
        if _points(f"{_source(closed.id, account)}:{newest}", account, closed.kept, "The membership was merged", by):
            lead_on([closed.kept], by=by)


def _points(source: str, merged: int, kept: int, reason: str, by: int | None) -> int:
    lots = db.session.execute(_LOTS, {"account": merged}).all()
    total = sum(lot.remaining for lot in lots)
    if total:
        told = {"source": source, "reason": reason, "by": by}
        db.session.execute(_TAKE, told | {"account": merged, "points": -total, "lot": None})
        db.session.execute(_GIVE, told | {"account": kept, "lots": [lot.id for lot in lots], "points": [lot.remaining for lot in lots]})  # fmt: skip
    return total


def _cashback(
    source: str, taken_from: int, given_to: int, most: Decimal | None, reason: str, by: int | None
) -> Decimal:
    """All that is there, or at most so much."""
    there = Decimal(db.session.scalar(_CASH, {"account": taken_from}) or 0)
    amount = there if most is None else min(there, most)
    if amount > 0:
        for account, sign in ((taken_from, -1), (given_to, 1)):
            db.session.execute(_PAY, {"account": account, "amount": sign * amount, "source": f"{source}:{account}", "reason": reason,
                                      "by": by})  # fmt: skip
    return max(amount, Decimal(0))


def _credit(who: dict[str, int], by: int | None) -> list[int]:
    """The kept party's account stays with its limit; the other is closed. Who may get nothing more under one gets nothing
    more under both."""
    pair = db.session.execute(text(
        "SELECT l.id AS merged, k.id AS kept FROM credit_account l JOIN credit_account k ON k.party_id = :kept AND k.state = 'open' "
        "WHERE l.party_id = :merged AND l.state = 'open' FOR NO KEY UPDATE"), who).one_or_none()  # fmt: skip
    if pair is None:
        return []
    db.session.execute(text("UPDATE credit_account SET state = 'closed' WHERE id = :id"), {"id": pair.merged})
    return list(db.session.scalars(_HOLDS, {"kept": pair.kept, "merged": pair.merged, "by": by}))


# The way back


def part(made: Merge, later: list[Merge], *, by: int | None) -> list[str]:
    """Give back what is still there, from wherever later merges took it; answers in words what isn't there any more."""
    lacking = []
    for one in made.snapshot.get("joined", ()):
        gone = _give_back_points(made, one["merged"], by)
        if gone:
            lacking.append(f"{gone:,} points were used since")
        lacking += _give_back_cashback(made, one, later, by)
    for hold in made.snapshot.get("holds", ()):
        db.session.execute(text("UPDATE credit_hold SET released_at = now(), released_by_id = :by, release_reason = 'The merge was undone' "
                                "WHERE id = :id AND released_at IS NULL"), {"id": hold, "by": by})  # fmt: skip
    return lacking


def _give_back_points(made: Merge, merged: int, by: int | None) -> int:
    """Answers how many aren't there any more."""
    asked = {"source": _source(made.id, merged), "merged": merged, "made": made.id}
    gone: int = db.session.scalar(_TAKEN, asked) or 0
    for lot in db.session.execute(_NOW, asked).all():
        told = {"source": f"unmerge:{made.id}:{lot.id}", "reason": f"{_into(made)} was undone", "by": by}
        db.session.execute(_TAKE, told | {"account": lot.account_id, "points": -lot.remaining, "lot": lot.id})
        db.session.execute(_GIVE, told | {"account": merged, "lots": [lot.id], "points": [lot.remaining]})
        gone -= lot.remaining
    return gone


def _give_back_cashback(made: Merge, one: dict[str, Any], later: list[Merge], by: int | None) -> list[str]:
    due, holder, passed_on = Decimal(one["cashback"]), one["kept"], []
    for other in later:  # in the order they were made: each may have taken the whole of it on
        for step in other.snapshot.get("joined", ()):
            if step["merged"] == holder:
                holder = step["kept"]
                passed_on.append((other, step))
    given = _cashback(f"unmerge:{made.id}:{one['merged']}", holder, one["merged"], due, f"{_into(made)} was undone", by)
    for other, step in passed_on:  # what went back isn't theirs to give back
        step["cashback"] = str(Decimal(step["cashback"]) - given)
        flag_modified(other, "snapshot")
    return [f"cashback of {due - given:,.2f} was used since"] if given < due else []
