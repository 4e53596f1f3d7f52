"""Members by rule: whom the rules of segments mean is compared with who is in, and only what differs is written.

Many segments are worked out in one pass over customers, a range of numbers at a time, each range one transaction: whoever
stops it anywhere leaves a history that is right for the customers it came to. Segments that ask for others come after them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased

from crm.commands.segment_settling import Those, Wanted, settle
from crm.core import figures
from crm.core.command import Refused, among, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.jobs import OPEN, Job, JobItem, ask_once
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segment_choices import RefreshState, SegmentType
from crm.models.segment_figures import SegmentFigures
from crm.models.segments import Segment, SegmentMembership, SegmentRefresh
from crm.queries.segment_rules.dependence import asked_for, in_levels
from crm.queries.segment_rules.reading import BadRule, Node, read_rule
from crm.queries.segment_rules.touched import Seen, touched, trails

TASK = "jobs.segments.refresh"
KEEP_UNCHANGED = dt.timedelta(days=7)
OFTEN = dt.timedelta(hours=1)
FEW = 0.2  # of all customers: more than that are looked at as a whole
NO_RULE = "it has no rule: only dynamic segments with a rule are worked out"


def ask_refresh(ids: Iterable[int] | None, *, by: int | None, changed: bool = False) -> Job:
    """Ask for segments to be worked out, all that can be when none is named; with `changed` of customers alone who were
    touched since the last time, where the rule allows that. Raises Refused while the same is under way."""
    numbers = sorted(set(ids)) if ids is not None else None
    label = (
        "Refresh of all segments"
        if numbers is None
        else f"Refresh of {len(numbers)} segments"
        if len(numbers) > 1
        else "Refresh of a segment"
    )
    told = "all" if numbers is None else ",".join(map(str, numbers))
    args = {"segments": numbers, "changed": changed}
    return ask_once(
        TASK, label=label, args=args, by=by, key=f"{TASK} {told}"[:2000], busy="a refresh is under way already"
    )


def ask_anew(segment: Segment, *, by: int) -> None:
    """After a change of its rule: work out at once who is in. What is under way already is followed by the schedule's."""
    if can_be(segment):
        with contextlib.suppress(Refused):
            ask_refresh([segment.id], by=by)


def under_way(segment: Segment) -> Job | None:
    """The refresh that works on this segment or waits to do so."""
    asked = Job.args["segments"]
    meant = or_(func.jsonb_typeof(asked) == "null", asked.contains([segment.id]))
    wanted = select(Job).where(Job.task == TASK, Job.state.in_(OPEN), meant).order_by(Job.id.desc()).limit(1)
    return db.session.scalars(wanted).one_or_none()


def can_be(segment: Segment) -> bool:
    """Whether a segment has members by rule."""
    return segment.type == SegmentType.DYNAMIC and segment.rule is not None


@command(Segment, "Refresh", icon="refresh-cw", applies=can_be)
def refresh(segment: Segment, *, by: User) -> None:
    """Work out anew who is in, in the background."""
    if not can_be(segment):
        raise Refused(NO_RULE)
    ask_refresh([segment.id], by=by.id)


@refresh.many
def refresh_many(ids: Sequence[int], *, by: User) -> dict[int, str]:
    able = {
        segment.id for segment in db.session.scalars(select(Segment).where(among(Segment.id, ids))) if can_be(segment)
    }
    if able:
        ask_refresh(able, by=by.id)
    return {number: NO_RULE for number in ids if number not in able}


def due(now: dt.datetime | None = None) -> list[int]:
    """Segments whose rule is another since the last time, or that weren't looked at today, or for an hour."""
    now = now or dt.datetime.now(dt.UTC)
    last = (select(SegmentRefresh.segment_id, SegmentRefresh.rule_version, SegmentRefresh.started_at)
            .ext(distinct_on(SegmentRefresh.segment_id)).order_by(SegmentRefresh.segment_id, SegmentRefresh.id.desc()).subquery())  # fmt: skip
    midnight = dt.datetime.combine(today(), dt.time(), dt.UTC)
    statement = (select(Segment.id).outerjoin(last, last.c.segment_id == Segment.id)
                 .where(Segment.type == SegmentType.DYNAMIC, Segment.rule.is_not(None),
                        or_(last.c.segment_id.is_(None), last.c.rule_version != Segment.rule_version,
                            last.c.started_at < max(midnight, now - OFTEN))).order_by(Segment.id))  # fmt: skip
    return list(db.session.scalars(statement))


def ask_due() -> int:
    """For the schedule: ask for what is due, unless it is under way. Answers how many segments."""
    numbers = due()
    if not numbers:
        return 0
    try:
        ask_refresh(numbers, by=None, changed=True)
    except Refused:
        return 0
    return len(numbers)


def forget_unchanged() -> int:
    """Refreshes by which nobody came or went are kept for a week, and the last of each segment. Answers how many went."""
    later = aliased(SegmentRefresh)
    newer = select(later.id).where(later.segment_id == SegmentRefresh.segment_id, later.id > SegmentRefresh.id)
    old = delete(SegmentRefresh).where(SegmentRefresh.state == RefreshState.DONE, SegmentRefresh.entered == 0, SegmentRefresh.gone == 0,
                                       SegmentRefresh.started_at < func.now() - KEEP_UNCHANGED, newer.exists())  # fmt: skip
    return len(db.session.execute(old.returning(SegmentRefresh.id).execution_options(synchronize_session=False)).all())


def end_memberships() -> int:
    """Whoever's last day has passed leaves, pinned or not, and everybody a segment that has ended. Answers how many."""
    ended = select(Segment.id).where(Segment.valid_until < today())
    # One after the other: each has its index.
    return _end(SegmentMembership.expires_on < today()) + _end(SegmentMembership.segment_id.in_(ended))


def _end(over: ColumnElement[bool]) -> int:
    some = select(SegmentMembership.id).where(SegmentMembership.left_at.is_(None), over).limit(5_000)
    statement = (
        update(SegmentMembership).where(SegmentMembership.id.in_(some)).values(left_at=func.clock_timestamp(), pin=None)
    )
    ended = 0
    while True:
        rows = db.session.execute(
            statement.returning(SegmentMembership.id).execution_options(synchronize_session=False)
        ).all()
        ended += len(rows)
        if len(rows) < 5_000:
            return ended


# The pass


def begin(job: Job) -> dict[str, Any]:
    """What is to be done, as the job's checkpoint keeps it: parts in order, each of some segments, over ranges of all
    customers or over those that were touched. Segments whose rule can't be read are told so at once."""
    end_memberships()
    seen, day = Seen.now(), today()
    given = job.args.get("segments")
    known = select(Segment).where(Segment.type == SegmentType.DYNAMIC, Segment.rule.is_not(None)).order_by(Segment.id)
    segments = list(db.session.scalars(known if given is None else known.where(among(Segment.id, given))))
    nodes, refreshes = {}, {}
    for segment in segments:
        row = SegmentRefresh(segment_id=segment.id, rule_version=segment.rule_version, asked_by_id=job.asked_by_id, job_id=job.id,
                             seen_on=day, seen_seq=seen.seq, seen_xid=seen.xid)  # fmt: skip
        try:
            nodes[segment.id] = read_rule(segment.rule)
        except BadRule as fault:
            row.state, row.error, row.finished_at = (
                RefreshState.FAILED,
                f"The rule can't be taken: {fault}",
                func.clock_timestamp(),
            )
        db.session.add(row)
        refreshes[segment.id] = row
    db.session.flush()
    few = (
        _few(job, nodes, {segment.id: segment.rule_version for segment in segments}, day)
        if job.args.get("changed")
        else []
    )
    for number in few:
        refreshes[number].whole = False
    names = {segment.id: segment.name for segment in segments if segment.id in nodes and segment.id not in few}
    parts = [{"touched": True, "segments": few}] if few else []
    parts += [{"touched": False, "segments": level} for level in in_levels(asked_for(), names)]
    return {"parts": parts, "part": 0, "after": 0, "day": day.isoformat(), "entered": {}, "gone": {},
            "refreshes": {str(number): row.id for number, row in refreshes.items() if number in nodes}}  # fmt: skip


def _few(job: Job, nodes: dict[int, Node], versions: dict[int, int], day: dt.date) -> list[int]:
    """The segments for which it is enough to look at those who were touched; who that is becomes the job's items."""
    last = (select(SegmentRefresh).where(SegmentRefresh.state == RefreshState.DONE, among(SegmentRefresh.segment_id, nodes))
            .ext(distinct_on(SegmentRefresh.segment_id)).order_by(SegmentRefresh.segment_id, SegmentRefresh.id.desc()))  # fmt: skip
    few, since = [], None
    for row in db.session.scalars(last):
        before = Seen(row.seen_seq or 0, row.seen_xid or 0)
        today_and_so = row.seen_on == day and row.rule_version == versions[row.segment_id] and row.seen_xid is not None
        if today_and_so and trails([nodes[row.segment_id]]) is not None and before.is_known:
            few.append(row.segment_id)
            since = before.earlier(since) if since else before
    by = trails(nodes[number] for number in few)
    if since is None or by is None:
        return []
    who = touched(since, by).subquery()
    rows = select(literal(job.id), who.c[0]).where(who.c[0].is_not(None))
    found = db.session.execute(insert(JobItem).from_select(["job_id", "record_id"], rows)).rowcount  # type: ignore[attr-defined]
    everybody = db.session.scalar(select(func.max(Party.id))) or 0
    return [] if found > everybody * FEW + 100 else few


def next_part(job: Job, state: dict[str, Any], size: int) -> dict[str, Any] | None:
    """Do the next so many customers. Answers the state after that; None when all is done."""
    if state["part"] >= len(state["parts"]):
        return None
    part, after = state["parts"][state["part"]], state["after"]
    if part["touched"]:
        items = (
            select(JobItem.record_id)
            .where(JobItem.job_id == job.id, JobItem.record_id > after)
            .order_by(JobItem.record_id)
            .limit(size // 10)
        )
        numbers = list(db.session.scalars(items))
        upto, more = (numbers[-1], len(numbers) == size // 10) if numbers else (after, False)
        only = Those.of(numbers)
    else:
        # Also those that are no customers, or not any more, may be in.
        everybody = db.session.scalar(select(func.max(Party.id))) or 0
        upto = after + size
        more = upto < everybody
        only = Those(after + 1, upto)
    came, went = settle(
        _wanted(part["segments"], dt.date.fromisoformat(state["day"])), only, dt.date.fromisoformat(state["day"])
    )
    state = state | {"entered": _added(state["entered"], came), "gone": _added(state["gone"], went), "after": upto}
    return state if more else state | {"part": state["part"] + 1, "after": 0}


def _added(sums: dict[str, int], more: dict[int, int]) -> dict[str, int]:
    return sums | {str(number): sums.get(str(number), 0) + many for number, many in more.items()}


def _wanted(numbers: list[int], day: dt.date) -> list[Wanted]:
    """The segments as they are now; one that was deleted, or whose rule was taken away, is passed over."""
    found = []
    for segment in db.session.scalars(
        select(Segment).where(among(Segment.id, numbers), Segment.rule.is_not(None)).order_by(Segment.id)
    ):
        valid = (segment.valid_from or day) <= day <= (segment.valid_until or day)
        found.append(Wanted(segment.id, segment.rule_version, read_rule(segment.rule) if valid else None))
    return found


def end(job: Job, state: dict[str, Any]) -> dict[str, int]:
    """Write down what came of it."""
    numbers = [int(number) for number in state["refreshes"]]
    figures.settle()
    counted = select(SegmentFigures.id, SegmentFigures.member_count).where(among(SegmentFigures.id, numbers))
    members = {row[0]: row[1] for row in db.session.execute(counted)}
    for number, refresh_id in state["refreshes"].items():
        db.session.execute(update(SegmentRefresh).where(SegmentRefresh.id == refresh_id).values(
            state=RefreshState.DONE, members=members.get(int(number), 0), entered=state["entered"].get(number, 0),
            gone=state["gone"].get(number, 0), error=None, finished_at=func.clock_timestamp())
            .execution_options(synchronize_session=False))  # fmt: skip
    db.session.execute(delete(JobItem).where(JobItem.job_id == job.id))
    return {"segments": len(numbers), "entered": sum(state["entered"].values()), "gone": sum(state["gone"].values())}


def decide(segment: Segment, parties: Sequence[int]) -> None:
    """Let the rule of a segment decide of some customers now; nothing happens where it has none."""
    if can_be(segment):
        with contextlib.suppress(BadRule):
            settle(_wanted([segment.id], today()), Those.of(parties), today())
