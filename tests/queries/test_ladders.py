"""Up at once, down after grace, never while locked."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import pytest

from crm.queries.ladders import Rung, Standing, faults, stands, walk

DAY = dt.date(2026, 3, 1)
RUNGS = [
    Rung(Decimal(enter), Decimal(leave)) for enter, leave in ((1_000, 800), (5_000, 4_000), (20_000, 15_000))
]  # Silver, Gold, Platinum


def after(days: int) -> dt.date:
    return DAY + dt.timedelta(days)


@pytest.mark.parametrize(("before", "value", "settings", "expected"), [
    (Standing(), 999, {}, Standing(0)),
    (Standing(), 1_000, {}, Standing(1)),
    (Standing(), 50_000, {}, Standing(3)),
    (Standing(), 50_000, {"one_step": True}, Standing(1)),
    (Standing(2), 4_500, {}, Standing(2)),  # between the thresholds one stays where one is
    (Standing(1), 4_500, {}, Standing(1)),
    (Standing(3), 900, {}, Standing(1)),
    (Standing(3), None, {}, Standing(0)),
    (Standing(3), 0, {"one_step": True}, Standing(2, below_since=DAY)),
    (Standing(2), 100, {"grace_days": 30}, Standing(2, below_since=DAY)),
    (Standing(2, below_since=after(-29)), 100, {"grace_days": 30}, Standing(2, below_since=after(-29))),
    (Standing(2, below_since=after(-30)), 100, {"grace_days": 30}, Standing(0)),
    (Standing(2, below_since=after(-29)), 4_000, {"grace_days": 30}, Standing(2)),  # what was made good again is forgotten
    (Standing(2, below_since=after(-40)), 100, {"grace_days": 30, "one_step": True}, Standing(1, below_since=DAY)),
    (Standing(2, locked=True), 0, {}, Standing(2, locked=True)),
    (Standing(1, locked=True), 50_000, {}, Standing(1, locked=True)),
    (Standing(5), 20_000, {}, Standing(3)),  # a rung that was taken away
])  # fmt: skip
def test_where_one_stands(before, value, settings, expected):
    found = stands(RUNGS, before, None if value is None else Decimal(value), DAY, **settings)
    assert found == expected


def test_thresholds_that_do_not_rise_are_told():
    assert faults(RUNGS) == {}
    assert set(faults([RUNGS[1], RUNGS[0], Rung(Decimal(9_000), Decimal(100)), Rung(Decimal(1), Decimal(2))])) == {
        2,
        3,
        4,
    }


def test_the_same_figure_day_after_day_comes_to_rest_where_it_belongs():
    """Whatever the way, after long enough one stands on a rung that the figure keeps, and no higher one is reached."""
    dice = random.Random(7)
    for _ in range(300):
        standing = Standing(dice.randrange(4))
        value, grace, one_step = Decimal(dice.randrange(30_000)), dice.randrange(20), dice.random() < 0.5
        for number in range(100):
            standing = stands(RUNGS, standing, value, after(number), grace_days=grace, one_step=one_step)
        reached = sum(value >= rung.enter_from for rung in RUNGS)
        kept = sum(value >= rung.leave_below for rung in RUNGS)
        assert reached <= standing.level <= kept
        assert standing.below_since is None


def test_a_walk_through_the_past_moves_as_each_day_would():
    dice = random.Random(11)
    for _ in range(200):
        settings = {"grace_days": dice.choice((0, 1, 7, 30)), "one_step": dice.random() < 0.5}
        days = sorted(dice.sample(range(90), dice.randrange(8)))
        values = [(after(day), Decimal(dice.choice((0, 500, 900, 3_000, 6_000, 30_000)))) for day in days]
        standing, value, expected = Standing(dice.randrange(4)), Decimal(0), []
        level, known = standing.level, dict(values)
        for day in map(after, range(100)):
            value = known.get(day, value)
            if values and day >= values[0][0]:
                was, standing = standing.level, stands(RUNGS, standing, value, day, **settings)
                expected += [(day, was, standing.level)] if was != standing.level else []
        assert list(walk(RUNGS, level, values, after(99), **settings)) == expected
