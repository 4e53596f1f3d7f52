"""On which rung of a ladder somebody stands, from a figure: up at once, down after a time of grace, never while locked.

Pure: it knows numbers and days, not whose they are. Ladders of segments and tiers of loyalty programs both stand on it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal


@dataclass(frozen=True)
class Rung:
    """From `enter_from` on one steps onto it; below `leave_below`, which is no more than that, one has to step down."""

    enter_from: Decimal
    leave_below: Decimal


@dataclass(frozen=True)
class Standing:
    """`level` is the rung, 1 the lowest, 0 on none. `below_since` is the day from which the figure has been too low for it,
    None while it isn't. Whoever is locked stays."""

    level: int = 0
    below_since: dt.date | None = None
    locked: bool = False


def faults(rungs: Sequence[Rung]) -> dict[int, str]:
    """Level → what is wrong with it: thresholds must rise from rung to rung."""
    found = {}
    for number, rung in enumerate(rungs, start=1):
        if rung.leave_below > rung.enter_from:
            found[number] = "one would have to leave it as soon as one enters"
        elif number > 1 and rung.enter_from <= rungs[number - 2].enter_from:
            found[number] = "begins no higher than the one below it"
        elif number > 1 and rung.leave_below < rungs[number - 2].leave_below:
            found[number] = "is left later than the one below it"
    return found


def stands(rungs: Sequence[Rung], before: Standing, value: Decimal | None, day: dt.date, *, grace_days: int = 0,
           one_step: bool = False) -> Standing:  # fmt: skip
    """Where somebody stands on a day who stood as `before` says and whose figure is `value` (None: 0).

    The rungs are without `faults`, the lowest first. Whoever reaches a higher one goes up at once. Whoever has too little
    goes down when that has been so for `grace_days`, to the highest rung that the figure keeps. With `one_step` one goes
    up or down by one rung at a time; each further step down has its own time of grace.
    """
    if before.locked:
        return before
    value = value or Decimal(0)
    level = min(before.level, len(rungs))
    reached = sum(value >= rung.enter_from for rung in rungs)
    if reached > level:
        return replace(before, level=level + 1 if one_step else reached, below_since=None)
    kept = min(level, sum(value >= rung.leave_below for rung in rungs))
    if kept == level:
        return replace(before, level=level, below_since=None)
    since = before.below_since or day
    if (day - since).days < grace_days:
        return replace(before, level=level, below_since=since)
    lower = level - 1 if one_step else kept
    return replace(before, level=lower, below_since=day if lower > kept else None)


def walk(rungs: Sequence[Rung], level: int, values: Sequence[tuple[dt.date, Decimal]], until: dt.date, *, grace_days: int = 0,
         one_step: bool = False) -> Iterator[tuple[dt.date, int, int]]:  # fmt: skip
    """The moves, as (day, from, to), of somebody who stood on a level and whose figure then became these values, in order of
    days, if each day until the last were looked at. Only days on which something can happen are."""
    standing, value, place = Standing(level), Decimal(0), 0
    day: dt.date | None = values[0][0] if values else None
    while day is not None and day <= until:
        while place < len(values) and values[place][0] <= day:
            value = values[place][1]
            place += 1
        before, standing = (
            standing,
            stands(rungs, standing, value, day, grace_days=grace_days, one_step=one_step),
        )
        due = None
        if standing.level != before.level:
            yield day, before.level, standing.level
            due = day + dt.timedelta(days=1)
        elif standing.below_since is not None:
            due = max(standing.below_since + dt.timedelta(days=grace_days), day + dt.timedelta(days=1))
        coming = values[place][0] if place < len(values) else None
        day = min((one for one in (due, coming) if one is not None), default=None)
