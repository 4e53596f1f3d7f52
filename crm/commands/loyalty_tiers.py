"""Tiers: on which step of its program each membership stands, by what was earned or spent in the program's months. Up at once
when points come, down at night when it was too little for the time of grace, never while locked by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import select

from crm.core.command import lock_in_order
from crm.core.days import today
from crm.core.entity import db
from crm.core.transaction import run_in_transaction
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import Membership, ProgramState
from crm.models.loyalty_programs import LoyaltyProgram
from crm.queries.loyalty_tiers import ladder, places

CHUNK = 1000


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
    tiers = ladder(program)
    moved = 0
    for one in places(program, tiers, members, day) if tiers else ():
        if one.after.level != one.before.level:
            one.member.tier_id = tiers[one.after.level - 1].id if one.after.level else None
            one.member.tier_since = day if one.after.level else None
            moved += 1
        if one.after.below_since != one.before.below_since:
            one.member.tier_below_since = one.after.below_since
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
