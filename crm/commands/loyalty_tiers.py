"""Tiers: on which step of its program each membership stands, by what was earned or spent in the program's months. Up at once
when points come, down at night when it was too little for the time of grace, never while locked by hand."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from crm.core.command import lock_in_order
from crm.core.days import today
from crm.core.entity import db
from crm.core.transaction import run_in_transaction
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import Membership, ProgramKind, ProgramState, TierMeasure
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTier
from crm.queries.ladders import Rung, Standing, faults, stands

CHUNK = 1000
log = logging.getLogger(__name__)

# What a customer earned on memberships that were merged into this one counts as well.
_OURS = """SELECT a.id, b.id AS part FROM loyalty_account a JOIN loyalty_account b ON b.party_id = a.party_id AND b.program_id = a.program_id
           WHERE a.id = ANY(CAST(:accounts AS bigint[]))"""
_EARNED = text(f"""
SELECT o.id, coalesce(sum(e.points), 0) FROM ({_OURS}) o JOIN point_entry e ON e.account_id = o.part
 WHERE e.created_at >= CAST(:since AS date) AND (e.kind IN ('earn', 'bonus') OR (e.kind = 'reverse' AND e.points < 0)) GROUP BY o.id""")  # noqa: S608
_SPENT = text(f"""
SELECT o.id, coalesce(sum(e.amount), 0) FROM ({_OURS}) o JOIN order_earning e ON e.account_id = o.part
  JOIN sales_order s ON s.id = e.order_id WHERE s.ordered_at >= CAST(:since AS date) GROUP BY o.id""")  # noqa: S608


def _since(months: int, day: dt.date) -> dt.date:
    found: dt.date = db.session.execute(
        text("SELECT (CAST(:day AS date) - make_interval(months => :months))::date"), {"day": day, "months": months}
    ).scalar_one()
    return found


def ladder(program: LoyaltyProgram) -> list[LoyaltyTier]:
    """The tiers, the lowest first; none where their thresholds don't rise."""
    tiers = sorted(program.tiers, key=lambda tier: tier.rank)
    wrong = faults([Rung(tier.enter_at, tier.leave_below) for tier in tiers])
    for number, why in wrong.items():
        log.warning("tiers of %s are left as they are: %s %s", program.name, tiers[number - 1].name, why)
    return [] if wrong else tiers


def climb(accounts: Iterable[int], *, day: dt.date | None = None) -> int:
    """Put these memberships onto the tier that they have reached; answers how many moved. Flushes."""
    db.session.flush()
    moved, by_program = 0, dict[int, list[LoyaltyAccount]]()
    for account in lock_in_order(LoyaltyAccount, accounts, LoyaltyAccount.state == Membership.ACTIVE):
        by_program.setdefault(account.program_id, []).append(account)
    for members in by_program.values():
        moved += _climb(members[0].program, members, day or today())
    db.session.flush()
    return moved


def _climb(program: LoyaltyProgram, members: list[LoyaltyAccount], day: dt.date) -> int:
    tiers = ladder(program) if ProgramKind.TIERS in program.kinds else []
    if not tiers:
        return 0
    given: dict[str, Any] = {"accounts": [one.id for one in members], "since": _since(program.tier_months, day)}
    asked = _EARNED if program.tier_measure is TierMeasure.POINTS else _SPENT
    values: dict[int, Decimal] = {row[0]: Decimal(row[1]) for row in db.session.execute(asked, given)}
    rungs = [Rung(tier.enter_at, tier.leave_below) for tier in tiers]
    levels = {tier.id: number for number, tier in enumerate(tiers, start=1)}
    moved = 0
    for member in members:
        before = Standing(levels.get(member.tier_id or 0, 0), member.tier_below_since, member.tier_locked)
        now = stands(rungs, before, values.get(member.id), day, grace_days=program.grace_days)
        if now.level != before.level:
            member.tier_id = tiers[now.level - 1].id if now.level else None
            member.tier_since = day if now.level else None
            moved += 1
        if now.below_since != before.below_since:
            member.tier_below_since = now.below_since
    return moved


def check_tiers() -> int:
    """Once a day, all memberships of programs with tiers; answers how many moved. Begun again after a stop, it moves nobody
    twice."""
    due = select(LoyaltyProgram.id).where(
        LoyaltyProgram.state == ProgramState.ACTIVE, LoyaltyProgram.tiers.any(),
        LoyaltyProgram.tiers_checked_on.is_distinct_from(today())).order_by(LoyaltyProgram.id)  # fmt: skip
    return sum(_check(number) for number in run_in_transaction(lambda: list(db.session.scalars(due))))


def _check(program: int) -> int:
    day, after, moved = today(), 0, 0
    while True:
        number, last = run_in_transaction(lambda after=after: _some(program, after, day))  # type: ignore[misc]
        moved += number
        if last is None:
            break
        after = last

    def checked() -> None:
        db.session.get_one(LoyaltyProgram, program).tiers_checked_on = day

    run_in_transaction(checked)
    return moved


def _some(program: int, after: int, day: dt.date) -> tuple[int, int | None]:
    wanted = (select(LoyaltyAccount.id).where(LoyaltyAccount.program_id == program, LoyaltyAccount.id > after)
              .order_by(LoyaltyAccount.id).limit(CHUNK))  # fmt: skip
    ids = list(db.session.scalars(wanted))
    return climb(ids, day=day), ids[-1] if len(ids) == CHUNK else None
