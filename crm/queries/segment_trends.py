"""How a segment has changed: its members week by week, and in what one version of its rule differs from another."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select

from crm.core.days import today
from crm.core.entity import db
from crm.models.segment_choices import RefreshState
from crm.models.segments import Segment, SegmentMembership, SegmentRefresh
from crm.queries.segment_rules.reading import BadRule, Condition, InSegment, Node, RelatedCondition, read_rule
from crm.queries.segment_rules.words import in_words

WEEKS = 12


@dataclass(frozen=True)
class Week:
    """Seven days: how many were in at the end of `last`, how many came and went in them."""

    last: dt.date
    members: int
    entered: int
    left: int


def weekly(segment: Segment, number: int = WEEKS) -> list[Week]:
    """The last weeks, this one as far as it has come last; from the refreshes where there are any, which tell how many came
    and went by rule."""
    ends = [today() - dt.timedelta(weeks=back) for back in reversed(range(number))]
    kept = _refreshes(segment, ends[0] - dt.timedelta(days=6))
    return _by_refreshes(ends, kept, segment.member_count) if kept else _by_memberships(segment, ends)


def _refreshes(segment: Segment, since: dt.date) -> list[Row[Any]]:
    """When each ended since a day, and how many were in, came and went; the last one before as well. The oldest first."""
    done = (select(SegmentRefresh.finished_at, SegmentRefresh.members, SegmentRefresh.entered, SegmentRefresh.gone)
            .where(SegmentRefresh.segment_id == segment.id, SegmentRefresh.state == RefreshState.DONE)
            .order_by(SegmentRefresh.id.desc()))  # fmt: skip
    begins = dt.datetime.combine(since, dt.time(), dt.UTC)
    later = db.session.execute(done.where(SegmentRefresh.finished_at >= begins)).all()
    return [*db.session.execute(done.where(SegmentRefresh.finished_at < begins).limit(1)), *reversed(later)]


def _by_refreshes(ends: list[dt.date], kept: list[Row[Any]], now: int) -> list[Week]:
    weeks = []
    first = kept[0]
    members, place = (first.members or 0) - (first.entered or 0) + (first.gone or 0), 0  # before the first one
    for last in ends:
        begins, until = (dt.datetime.combine(day, dt.time(), dt.UTC)
                         for day in (last - dt.timedelta(days=6), last + dt.timedelta(days=1)))  # fmt: skip
        entered = left = 0
        while place < len(kept) and kept[place].finished_at < until:
            row = kept[place]
            if row.finished_at >= begins:
                entered, left = entered + (row.entered or 0), left + (row.gone or 0)
            members, place = row.members or 0, place + 1
        weeks.append(Week(last, now if last == ends[-1] else members, entered, left))
    return weeks


def _by_memberships(segment: Segment, ends: list[dt.date]) -> list[Week]:
    """Of a segment that people fill."""
    entered, left = SegmentMembership.entered_at, SegmentMembership.left_at
    columns: list[Any] = []
    for last in ends:
        begins, until = (dt.datetime.combine(day, dt.time(), dt.UTC)
                         for day in (last - dt.timedelta(days=6), last + dt.timedelta(days=1)))  # fmt: skip
        columns += [func.count().filter(entered < until, (left.is_(None)) | (left >= until)),
                    func.count().filter(entered >= begins, entered < until), func.count().filter(left >= begins, left < until)]  # fmt: skip
    row = db.session.execute(select(*columns).where(SegmentMembership.segment_id == segment.id)).one()
    return [Week(last, *row[place * 3 : place * 3 + 3]) for place, last in enumerate(ends)]


@dataclass(frozen=True)
class Told:
    """A rule in words, or why it has none; which conditions came with it and which went."""

    words: str
    came: list[str]
    went: list[str]


def told(rule: Any, before: Any = None) -> Told:
    """A version of a rule, and in what it differs from the one before."""
    try:
        node = read_rule(rule)
    except BadRule as fault:
        return Told(f"It can't be read any more: {fault}", [], [])
    now, then = Counter(_conditions(node)), Counter(_read(before))
    return Told(in_words(node), sorted((now - then).elements()), sorted((then - now).elements()))


def _read(rule: Any) -> list[str]:
    try:
        return _conditions(read_rule(rule)) if rule is not None else []
    except BadRule:
        return []


def _conditions(node: Node) -> list[str]:
    """The conditions of a rule in words, whatever groups they lie in; what is asked of related records as a whole."""
    if isinstance(node, Condition | RelatedCondition | InSegment):
        return [in_words(node)]
    return [words for one in node.nodes for words in _conditions(one)]
