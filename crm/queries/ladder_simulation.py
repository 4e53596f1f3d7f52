"""What a ladder would have done in the past year: nothing is written, and the thresholds need not be those that are saved."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import func, select, text

from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.parties import Party
from crm.models.party_figures import CustomerFigures
from crm.models.segment_choices import LadderMeasure
from crm.queries.ladders import Rung, walk
from crm.queries.scope import row_scope
from crm.queries.segment_rules.compiling import everybody

SAMPLE = 5_000
DAYS = 365

# What came to be on which day, of these customers: in money, in number. Days are those of the database, as everywhere.
# They add up to the figures of CustomerFigures as they stand now.
_COUNTS = "(r.completed OR r.lines_count = 0)"
_ORDERS = f"""
  SELECT r.customer_id AS party, r.ordered_at::date AS day, CASE WHEN {_COUNTS} THEN r.worth ELSE 0 END AS money,
         r.completed::int AS number
    FROM order_figures r WHERE r.customer_id = ANY (:ids)
  UNION ALL
  SELECT r.customer_id, coalesce(b.refunded_on, b.received_on, b.requested_on), -round(i.amount * o.exchange_rate, 4), 0
    FROM order_figures r JOIN sales_order o ON o.id = r.id JOIN sales_return b ON b.order_id = r.id AND b.state = 'refunded'
    JOIN return_line i ON i.sales_return_id = b.id WHERE r.customer_id = ANY (:ids) AND {_COUNTS}"""  # noqa: S608 - made of constants
_DEALS = """
  UNION ALL
  SELECT r.customer_id, coalesce(d.closed_on, d.created_at::date), r.worth, 0
    FROM deal_figures r JOIN deal d ON d.id = r.id WHERE r.customer_id = ANY (:ids) AND r.won AND r.orders_count = 0"""
_POINTS = """
  SELECT f.party_id AS party, e.created_at::date AS day, e.points AS money, 0 AS number
    FROM loyalty_account_figures f JOIN point_entry e ON e.account_id = f.id WHERE f.party_id = ANY (:ids) AND f.main"""
_EVENTS = {
    LadderMeasure.TOTAL_SPENT: _ORDERS,
    LadderMeasure.ORDERS_COUNT: _ORDERS,
    LadderMeasure.AVERAGE_ORDER: _ORDERS,
    LadderMeasure.TOTAL_VALUE: _ORDERS + _DEALS,
    LadderMeasure.POINTS: _POINTS,
}


@dataclass
class Simulated:
    """Moves of a year by month, oldest first; how many would stand on each level, 0 being none, then and now; who went up
    as well as down. `looked_at` of `candidates` customers were: the others are as those were, if there are any."""

    candidates: int
    looked_at: int
    months: dict[dt.date, Counter[str]]
    before: Counter[int] = field(default_factory=Counter)
    after: Counter[int] = field(default_factory=Counter)
    moved: int = 0
    restless: int = 0

    @property
    def up(self) -> int:
        return sum(month["up"] for month in self.months.values())

    @property
    def down(self) -> int:
        return sum(month["down"] for month in self.months.values())


def simulated(measure: LadderMeasure, rungs: Sequence[Rung], actor: Actor, *, grace_days: int, one_step: bool,
              sample: int = SAMPLE) -> Simulated:  # fmt: skip
    """What these rungs, which are without faults, would have done to the customers that the actor may see.

    A year ago everybody stands on the highest rung that the figure of then reaches. Pins and approvals aren't known of the
    past, so nobody is held. At most `sample` customers are looked at, picked evenly of those the ladder can concern.
    """
    last = today()
    first = last - dt.timedelta(days=DAYS)
    which = _candidates(measure, rungs, actor)
    candidates = db.session.scalar(select(func.count()).select_from(which.subquery())) or 0
    picked = list(db.session.scalars(which.order_by(func.hashint8(Party.id)).limit(sample)))
    made = Simulated(candidates, len(picked), {month: Counter() for month in _months(first, last)})
    concerned = 0
    for values in _histories(measure, picked):
        concerned += 1
        then = max((place for place, (day, _) in enumerate(values) if day <= first), default=None)
        stood = level = 0 if then is None else sum(values[then][1] >= rung.enter_from for rung in rungs)
        made.before[stood] += 1
        # The figure of then counts on the first day: one may stand on a rung that it reaches, and no more than that.
        way = [(first, values[then][1]), *values[then + 1 :]] if then is not None else list(values)
        directions = set()
        for day, was, now in walk(rungs, stood, way, last, grace_days=grace_days, one_step=one_step):
            level, direction = now, "up" if now > was else "down"
            made.months[day.replace(day=1)][direction] += 1
            directions.add(direction)
        made.after[level] += 1
        made.moved += bool(directions)
        made.restless += len(directions) == 2
    made.before[0] += len(picked) - concerned
    made.after[0] += len(picked) - concerned
    return made


def _candidates(measure: LadderMeasure, rungs: Sequence[Rung], actor: Actor) -> Any:
    """Customers who may have reached the lowest rung: what was spent can only have become less by what was paid back."""
    figures, least = CustomerFigures, rungs[0].enter_from
    which = select(Party.id).join(figures, figures.id == Party.id).where(
        *everybody(), *row_scope(face_named("customer"), actor))  # fmt: skip
    match measure:
        case LadderMeasure.POINTS:
            return which.where(
                text("EXISTS (SELECT FROM loyalty_account_figures l WHERE l.party_id = party.id AND l.main)")
            )
        case LadderMeasure.AVERAGE_ORDER:
            return which.where(figures.orders_count > 0)
        case LadderMeasure.ORDERS_COUNT:
            return which.where(figures.orders_count >= least)
    return which.where(getattr(figures, measure.value) + figures.refunded >= least)


def _histories(measure: LadderMeasure, ids: Sequence[int]) -> Iterator[list[tuple[dt.date, Decimal]]]:
    """Of each of these customers the days on which the figure changed, with what it was then."""
    days = text(
        f"SELECT party, day, sum(money) AS money, sum(number) AS number FROM ({_EVENTS[measure]}) e "  # noqa: S608 - constants
        "GROUP BY party, day ORDER BY party, day"
    )
    rows = db.session.execute(days, {"ids": list(ids)})
    for _, own in groupby(rows, attrgetter("party")):
        money, number = Decimal(0), 0
        values = []
        for row in own:
            money += row.money
            number += row.number
            values.append((row.day, _figure(measure, money, number)))
        yield values


def _figure(measure: LadderMeasure, money: Decimal, number: int) -> Decimal:
    match measure:
        case LadderMeasure.ORDERS_COUNT:
            return Decimal(number)
        case LadderMeasure.AVERAGE_ORDER:
            return (money / number).quantize(Decimal("0.0001"), ROUND_HALF_UP) if number else Decimal(0)
    return money


def _months(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = (month + dt.timedelta(days=31)).replace(day=1)
