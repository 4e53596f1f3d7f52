"""What tiers go by: the figure of each member in the program's months, and who would go up or down on a day to come."""

from __future__ import annotations

import datetime as dt
import logging
from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import lazyload

from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import Membership, ProgramKind, ProgramState, TierMeasure, TierPeriod
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTier
from crm.queries.ladders import Rung, Standing, faults, stands
from crm.queries.scope import visible

MOST, CHUNK = 10_000, 1000
log = logging.getLogger(__name__)

# What a customer earned on memberships that were merged into this one counts as well.
_OURS = """SELECT a.id, b.id AS part FROM loyalty_account a JOIN loyalty_account b ON b.party_id = a.party_id AND b.program_id = a.program_id
           WHERE a.id = ANY(CAST(:accounts AS bigint[]))"""
# The better of the time from :split on and the one before it. What an order gave, and what its return took, counts on its day.
_BETTER = "greatest(coalesce(sum({what}) FILTER (WHERE {at} >= :split), 0), coalesce(sum({what}) FILTER (WHERE {at} < :split), 0))"
_WHEN = "coalesce(s.ordered_at, e.created_at)"
_EARNED = text(f"""
SELECT o.id, {_BETTER.format(what="e.points", at=_WHEN)} FROM ({_OURS}) o JOIN point_entry e ON e.account_id = o.part
  LEFT JOIN sales_order s ON s.id = e.order_id
 WHERE {_WHEN} >= :since AND (e.kind IN ('earn', 'bonus') OR (e.kind = 'reverse' AND e.points < 0)) GROUP BY o.id""")  # noqa: S608
_SPENT = text(f"""
SELECT o.id, {_BETTER.format(what="e.amount", at="s.ordered_at")} FROM ({_OURS}) o JOIN order_earning e ON e.account_id = o.part
  JOIN sales_order s ON s.id = e.order_id WHERE s.ordered_at >= :since GROUP BY o.id""")  # noqa: S608


def ladder(program: LoyaltyProgram) -> list[LoyaltyTier]:
    """The tiers, the lowest first; none where the program has none or their thresholds don't rise."""
    if ProgramKind.TIERS not in program.kinds:
        return []
    tiers = sorted(program.tiers, key=lambda tier: tier.rank)
    wrong = faults([Rung(tier.enter_at, tier.leave_below) for tier in tiers])
    for number, why in wrong.items():
        log.warning("tiers of %s are left as they are: %s %s", program.name, tiers[number - 1].name, why)
    return [] if wrong else tiers


def _counted(program: LoyaltyProgram, day: dt.date) -> tuple[dt.date, dt.date]:
    """From when on counts what was earned, and where this time falls into two: calendar periods do, of which the one before
    holds as well until this one ends."""

    def first(month: int) -> dt.date:
        return dt.date(month // 12, month % 12 + 1, 1)

    month = day.year * 12 + day.month - 1
    if program.tier_period is TierPeriod.CALENDAR:
        begins = month - month % program.tier_months
        return first(begins - program.tier_months), first(begins)
    since = first(month - program.tier_months)
    since = since.replace(day=min(day.day, monthrange(since.year, since.month)[1]))
    return since, since


@dataclass(frozen=True)
class Place:
    """Where a member stands, and on the day that was asked for: levels of the ladder, 0 for none. `value` is the figure of
    that day if nothing more is bought, `keeps` the level that it is enough for, `short_from` since when it is too little
    where it is."""

    member: LoyaltyAccount
    before: Standing
    after: Standing
    value: Decimal
    keeps: int
    short_from: dt.date


def places(program: LoyaltyProgram, tiers: Sequence[LoyaltyTier], members: Iterable[LoyaltyAccount], day: dt.date) -> list[Place]:  # fmt: skip
    """Where these members of the program stand, and would on that day."""
    members = list(members)
    since, split = _counted(program, day)
    given: dict[str, Any] = {"accounts": [one.id for one in members], "since": since, "split": split}
    asked = _EARNED if program.tier_measure is TierMeasure.POINTS else _SPENT
    values = {row[0]: Decimal(row[1]) for row in db.session.execute(asked, given)}
    rungs = [Rung(tier.enter_at, tier.leave_below) for tier in tiers]
    levels = {tier.id: number for number, tier in enumerate(tiers, start=1)}
    begins = split if program.tier_period is TierPeriod.CALENDAR and split > today() else day
    found = []
    for member in members:
        before = Standing(levels.get(member.tier_id or 0, 0), member.tier_below_since, member.tier_locked)
        value = values.get(member.id, Decimal(0))
        short_from = before.below_since or begins
        told = before if before.locked else replace(before, below_since=short_from)
        after = stands(rungs, told, value, day, grace_days=program.grace_days)
        found.append(Place(member, before, after, value, sum(value >= rung.leave_below for rung in rungs), short_from))
    return found


@dataclass(frozen=True)
class Coming:
    """A member who goes up or down by the day that was asked for, or has too little then; `day` is that of the move."""

    account: LoyaltyAccount
    what: str
    tier: str
    to: str
    value: Decimal
    day: dt.date


WORDS = {"drops": "Drops", "short": "Has too little", "rises": "Rises"}


def tiers_to_come(actor: Actor, *, days_ahead: int) -> list[tuple[LoyaltyProgram, list[Coming], bool]]:
    """By program with tiers who of the members that the actor sees drops, gets too little or rises, if nothing more is bought,
    and whether all were looked at: up to `MOST` are, those who are short already first, then those who have a tier."""
    programs = select(LoyaltyProgram).where(LoyaltyProgram.state == ProgramState.ACTIVE).order_by(LoyaltyProgram.main.desc(), LoyaltyProgram.name)  # fmt: skip
    return [(program, *_to_come(program, tiers, actor, today() + dt.timedelta(days=days_ahead)))
            for program in db.session.scalars(programs).unique() if (tiers := ladder(program))]  # fmt: skip


def _to_come(
    program: LoyaltyProgram, tiers: list[LoyaltyTier], actor: Actor, day: dt.date
) -> tuple[list[Coming], bool]:
    wanted = (
        visible(face_named("loyalty_account"), actor).with_only_columns(LoyaltyAccount.id).order_by(None)
        .where(LoyaltyAccount.program_id == program.id, LoyaltyAccount.state == Membership.ACTIVE, ~LoyaltyAccount.tier_locked)
        .order_by(LoyaltyAccount.tier_below_since.asc().nulls_last(), LoyaltyAccount.tier_id.is_(None), LoyaltyAccount.id).limit(MOST + 1)
    )  # fmt: skip
    ids = list(db.session.scalars(wanted))
    names, grace, found = ["None", *(tier.name for tier in tiers)], dt.timedelta(days=program.grace_days), []
    for start in range(0, min(len(ids), MOST), CHUNK):
        some = select(LoyaltyAccount).where(LoyaltyAccount.id.in_(ids[start : start + CHUNK]))
        members = db.session.scalars(some.options(lazyload("*")))
        for one in places(program, tiers, members, day):
            if one.after.level > one.before.level:
                what, to, when = "rises", one.after.level, today()
            elif one.keeps < one.before.level:
                what = "drops" if one.after.level < one.before.level else "short"
                to, when = one.keeps, max(one.short_from + grace, today())
            else:
                continue
            found.append(Coming(one.member, what, names[one.before.level], names[to], one.value, when))
    order = list(WORDS)
    return sorted(found, key=lambda one: (order.index(one.what), one.day, one.account.id)), len(ids) <= MOST
