"""Ladders of segments: a figure says on which step each customer stands. Up at once, down after a time of grace, never who is
pinned; every move is kept. Only what differs is written, so doing it again moves nobody twice."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from crm.commands.communications import refuse_archived
from crm.commands.records import before_delete, when_saved
from crm.core.command import Refused, among, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.core.jobs import Job, ask_once
from crm.core.permissions import Actor
from crm.models.access import User
from crm.models.ladder_moves import LadderMove
from crm.models.parties import Party
from crm.models.party_figures import CustomerFigures
from crm.models.segment_choices import MemberSource, MoveDirection, MoveState, SegmentType
from crm.models.segments import Ladder, LadderStep, Segment, SegmentMembership
from crm.queries.ladders import Rung, Standing, faults, stands
from crm.queries.segment_rules.compiling import everybody

TASK = "jobs.ladders.refresh"
LOCK = 7_240_712 << 32  # with the number of the ladder
CHUNK = 5_000
ASK_AGAIN = dt.timedelta(days=30)  # after somebody refused to move a customer down
_NOT_STANDING = "the customer doesn't stand there any more: refresh the ladder"


def _rung(step: LadderStep) -> Rung:
    return Rung(step.enter_from, step.leave_below)


def steps_of(ladder: int) -> list[LadderStep]:
    """The lowest first."""
    return list(
        db.session.scalars(select(LadderStep).where(LadderStep.ladder_id == ladder).order_by(LadderStep.position))
    )


def obstacle(ladder: Ladder, steps: Sequence[LadderStep]) -> str:
    """Why nobody can be moved on a ladder; empty when all is well."""
    for level, why in faults([_rung(step) for step in steps]).items():
        return f"step {steps[level - 1].position} {why}"
    for step in steps:
        if why := _unfit(step.segment, ladder.id):
            return f"“{step.segment.name}” {why}"
    return ""


def _unfit(segment: Segment, ladder: int) -> str:
    """Why customers can't come and go by a ladder; completes “the segment …”."""
    if segment.type != SegmentType.STATIC:
        return "is filled by a rule: make it static, or choose another segment"
    if not (segment.valid_from or today()) <= today() <= (segment.valid_until or today()):
        return "isn't valid today"
    other = (select(Ladder.name).join(LadderStep, LadderStep.ladder_id == Ladder.id)
             .where(LadderStep.segment_id == segment.id, Ladder.id != ladder, Ladder.active).limit(1))  # fmt: skip
    name = db.session.scalar(other)
    return f"is on the ladder “{name}”, which is in use" if name else ""


@when_saved(Ladder)
def check_ladder(ladder: Ladder | None, values: Mapping[str, Any], by: Actor) -> dict[str, str]:
    """A ladder is put to use when its steps are right."""
    if ladder is None or not values.get("active"):
        return {}
    why = obstacle(ladder, steps_of(ladder.id))
    return {"active": f"can't be yet: {why}"} if why else {}


@when_saved(LadderStep)
def check_step(step: LadderStep | None, values: Mapping[str, Any], by: Actor) -> dict[str, str]:
    """Thresholds rise from step to step."""

    def told(name: str, attribute: str) -> Any:
        return values[name] if name in values else getattr(step, attribute, None)

    ladder, position = told("ladder", "ladder_id"), told("position", "position")
    own = Rung(told("enter_from", "enter_from"), told("leave_below", "leave_below"))
    errors: dict[str, str] = {}
    active = db.session.scalar(select(Ladder.active).where(Ladder.id == ladder))
    segment = db.session.get(Segment, told("segment", "segment_id"))
    if active and segment is not None and (why := _unfit(segment, ladder)):
        errors["segment"] = why
    others = [one for one in steps_of(ladder) if step is None or one.id != step.id]
    lower = max((one for one in others if one.position < position), key=lambda one: one.position, default=None)
    upper = min((one for one in others if one.position > position), key=lambda one: one.position, default=None)
    # Beside its neighbours alone: what is wrong elsewhere isn't this step's fault.
    if 1 in faults([own]):
        errors["leave_below"] = faults([own])[1]
    elif lower is not None and 2 in (found := faults([_rung(lower), own])):
        at = "enter_from" if own.enter_from <= lower.enter_from else "leave_below"
        errors[at] = f"{found[2]}, step {lower.position} ({getattr(lower, at):,})"
    elif upper is not None and 2 in (found := faults([own, _rung(upper)])):
        at = "enter_from" if own.enter_from >= upper.enter_from else "leave_below"
        errors[at] = f"is too much: step {upper.position} ({getattr(upper, at):,}) {found[2]}"
    return errors


@before_delete(Ladder)
def check_unmoved(ladder: Ladder) -> None:
    if db.session.scalar(select(LadderMove.id).where(LadderMove.ladder_id == ladder.id).limit(1)) is not None:
        raise Refused("customers moved on it, and their moves are kept: archive it instead")


@command(Ladder, "Archive", icon="archive", tone="warning", confirm="Nobody moves on it any more; its moves are kept.",
         applies=lambda ladder: ladder.archived_at is None)  # fmt: skip
def archive(ladder: Ladder, *, by: User) -> None:
    """Put it away, out of use. Who is in its segments stays there; moves that waited are no longer due."""
    if ladder.archived_at is not None:
        raise Refused("it is archived already")
    db.session.execute(select(func.pg_advisory_xact_lock(LOCK + ladder.id)))
    ladder.active, ladder.archived_at = False, dt.datetime.now(dt.UTC)
    _withdraw(LadderMove.ladder_id == ladder.id)


@command(Ladder, "Restore", icon="archive-restore", applies=lambda ladder: ladder.archived_at is not None)
def restore(ladder: Ladder, *, by: User) -> None:
    """Take it out of the archive; it isn't in use until somebody says so."""
    if ladder.archived_at is None:
        raise Refused("it isn't archived")
    ladder.archived_at = None


def _withdraw(*which: ColumnElement[bool]) -> None:
    """Moves that waited for somebody and needn't any more."""
    waits = update(LadderMove).where(*which, LadderMove.state == MoveState.PENDING).values(state=MoveState.WITHDRAWN)
    db.session.execute(waits.execution_options(synchronize_session=False))


# Asking


def ask_refresh(ladder: Ladder, *, by: int | None) -> Job:
    """Ask for a ladder's customers to be moved in the background. Raises Refused while the same is under way."""
    return ask_once(TASK, label=f"Refresh of the ladder {ladder.name}", args={"ladder": ladder.id}, by=by,
                    key=f"{TASK} {ladder.id}", busy="a refresh of this ladder is under way already")  # fmt: skip


def usable(ladder: Ladder) -> list[LadderStep]:
    """The steps of a ladder by which customers can be moved. Raises Refused with the reason why they can't."""
    steps = steps_of(ladder.id)
    if not ladder.active:
        raise Refused("the ladder isn't in use")
    if not steps:
        raise Refused("the ladder has no steps")
    if why := obstacle(ladder, steps):
        raise Refused(why)
    return steps


@command(Ladder, "Refresh", icon="refresh-cw", applies=lambda ladder: ladder.active)
def refresh(ladder: Ladder, *, by: User) -> None:
    """Move customers up and down now, in the background; it is done each night too."""
    usable(ladder)
    ask_refresh(ladder, by=by.id)
    ladder.refreshed_on = today()


def ask_due() -> int:
    """For the schedule: ask for each ladder in use once a day. Answers how many."""
    due = select(Ladder).where(Ladder.active, Ladder.refreshed_on.is_distinct_from(today())).order_by(Ladder.id)
    asked = 0
    for ladder in db.session.scalars(due.with_for_update(skip_locked=True)).all():
        try:
            ask_refresh(ladder, by=None)
        except Refused:
            continue
        ladder.refreshed_on = today()
        asked += 1
    return asked


# Moving


@dataclass
class _Seen:
    """What is known of a customer on a ladder: the open memberships of its segments, whether somebody pinned one."""

    open: list[SegmentMembership] = field(default_factory=list)
    pinned: bool = False


def move_some(ladder_id: int, after: int, *, day: dt.date, by: int | None, limit: int | None = None) -> tuple[Counter[str], int | None]:  # fmt: skip
    """Move the next customers after a number; answers how many went up and down and how many wait, and the number of the
    last, None when all are done. Raises Refused when the ladder can't be used. Flushes.

    The ladder is locked, so that two who refresh it don't move somebody twice.
    """
    limit = limit or CHUNK
    db.session.flush()
    db.session.execute(select(func.pg_advisory_xact_lock(LOCK + ladder_id)))
    ladder = db.session.get(Ladder, ladder_id, populate_existing=True)
    if ladder is None:
        raise Refused("the ladder isn't there any more")
    steps = usable(ladder)
    segments = [step.segment_id for step in steps]
    figure = getattr(CustomerFigures, ladder.measure.value)
    inside = select(SegmentMembership.id).where(
        SegmentMembership.party_id == Party.id, among(SegmentMembership.segment_id, segments), SegmentMembership.left_at.is_(None))  # fmt: skip
    wanted = (select(Party.id, func.coalesce(figure, 0)).outerjoin(CustomerFigures, CustomerFigures.id == Party.id)
              .where(*everybody(), Party.id > after, or_(figure >= steps[0].enter_from, inside.exists()))
              .order_by(Party.id).limit(limit))  # fmt: skip
    values: dict[int, Decimal] = {row[0]: Decimal(row[1]) for row in db.session.execute(wanted)}
    last = max(values) if len(values) == limit else None
    plan = _Plan(ladder, steps, day, by)
    plan.decide(values)
    return plan.write(after, last), last


def _held(segments: Sequence[int], parties: Iterable[int]) -> list[SegmentMembership]:
    """The memberships of these customers that are open, or ended and pinned; locked."""
    member = SegmentMembership
    found = (select(member).where(among(member.segment_id, segments), among(member.party_id, parties),
                                  or_(member.left_at.is_(None), member.pin.is_not(None)))
             .order_by(member.id).with_for_update().execution_options(populate_existing=True))  # fmt: skip
    return list(db.session.scalars(found))


class _Plan:
    """What is to be written of one part of a ladder's customers."""

    def __init__(self, ladder: Ladder, steps: Sequence[LadderStep], day: dt.date, by: int | None) -> None:
        self.ladder, self.steps, self.day, self.by = ladder, steps, day, by
        self.segments = [step.segment_id for step in steps]
        self.rungs = [_rung(step) for step in steps]
        self.ended: list[int] = []
        self.entered: list[dict[str, Any]] = []
        self.since: dict[dt.date | None, list[int]] = defaultdict(list)
        self.moves: list[dict[str, Any]] = []
        self.waiting: dict[int, int | None] = {}  # customer → where it is to go when somebody agrees

    def decide(self, values: Mapping[int, Decimal]) -> None:
        seen, today_s, refused = self._look(values)
        for party, value in values.items():
            one = seen[party]
            if one.pinned:
                continue
            levels = {self.segments.index(member.segment_id) + 1: member for member in one.open}
            level = max(levels, default=0)
            stood = levels.get(level)
            before = Standing(level, stood.below_since if stood else None)
            now = stands(
                self.rungs, before, value, self.day, grace_days=self.ladder.grace_days, one_step=self.ladder.one_step
            )
            if now.level != level and self.ladder.one_step and party in today_s:
                now = before  # one step a day, however often it is refreshed
            if now.level < level and self.ladder.approve_downgrades:
                since = before.below_since or self.day
                if party not in refused:
                    self.waiting[party] = self._segment(now.level)
                    self._note(party, level, now.level, value, since, MoveState.PENDING)
                now = Standing(level, since)
            if now.level != level:
                self._note(party, level, now.level, value, before.below_since, MoveState.DONE)
                if now.level:
                    self.entered.append({"segment_id": self._segment(now.level), "party_id": party,
                                         "source": MemberSource.LADDER, "below_since": now.below_since})  # fmt: skip
            elif stood is not None and now.below_since != before.below_since:
                self.since[now.below_since].append(stood.id)
            # A customer stands on one step: also what was added by hand on a lower one ends.
            self.ended += [member.id for at, member in levels.items() if at != now.level]

    def _segment(self, level: int) -> int | None:
        return self.segments[level - 1] if level else None

    def _note(self, party: int, level: int, to: int, value: Decimal, since: dt.date | None, state: MoveState) -> None:
        up = to > level
        self.moves.append({"ladder_id": self.ladder.id, "party_id": party, "from_segment_id": self._segment(level),
                           "direction": MoveDirection.UP if up else MoveDirection.DOWN, "to_segment_id": self._segment(to),
                           "value": value, "below_since": None if up else since or self.day, "by_id": self.by,
                           "state": state})  # fmt: skip

    def _look(self, values: Mapping[int, Decimal]) -> tuple[dict[int, _Seen], set[int], set[int]]:
        """What each has on the ladder, locked; who moved today; who was refused to move down not long ago."""
        seen: dict[int, _Seen] = defaultdict(_Seen)
        for one in _held(self.segments, values):
            seen[one.party_id].pinned |= one.pin is not None
            if one.left_at is None:
                seen[one.party_id].open.append(one)
        of_these = (LadderMove.ladder_id == self.ladder.id, among(LadderMove.party_id, values))
        moved = select(LadderMove.party_id).where(
            *of_these, func.coalesce(LadderMove.decided_at, LadderMove.created_at) >= self.day,
            LadderMove.state.in_((MoveState.DONE, MoveState.APPROVED)))  # fmt: skip
        refused = select(LadderMove.party_id).where(
            *of_these, LadderMove.state == MoveState.REFUSED, LadderMove.decided_at >= self.day - ASK_AGAIN)  # fmt: skip
        return seen, set(db.session.scalars(moved)), set(db.session.scalars(refused))

    def write(self, after: int, last: int | None) -> Counter[str]:
        member, without = SegmentMembership, {"synchronize_session": False}
        if self.ended:
            db.session.execute(update(member).where(among(member.id, self.ended)).values(left_at=func.clock_timestamp())
                               .execution_options(**without))  # fmt: skip
        for day, ids in self.since.items():
            db.session.execute(
                update(member).where(among(member.id, ids)).values(below_since=day).execution_options(**without)
            )
        if self.entered:
            db.session.execute(upsert(member).on_conflict_do_nothing(
                index_elements=["segment_id", "party_id"], index_where=member.left_at.is_(None)), self.entered)  # fmt: skip
        waits = self._settle_waiting(after, last)
        fresh = [one for one in self.moves if one["state"] is not MoveState.PENDING or one["party_id"] not in waits]
        if fresh:
            db.session.execute(insert(LadderMove), fresh)
        db.session.expire_all()
        return Counter("waiting" if one["state"] is MoveState.PENDING else one["direction"].value for one in fresh)

    def _settle_waiting(self, after: int, last: int | None) -> set[int]:
        """Withdraw what is no longer due, among these customers and those that are passed over; who still waits rightly."""
        pending = select(LadderMove.id, LadderMove.party_id, LadderMove.to_segment_id).where(
            LadderMove.ladder_id == self.ladder.id, LadderMove.state == MoveState.PENDING, LadderMove.party_id > after)  # fmt: skip
        rows = db.session.execute(pending if last is None else pending.where(LadderMove.party_id <= last)).all()
        rightly = {row.party_id for row in rows if self.waiting.get(row.party_id, -1) == row.to_segment_id}
        over = [row.id for row in rows if row.party_id not in rightly]
        if over:
            _withdraw(among(LadderMove.id, over))
        return rightly


# Agreeing


def _waits(move: LadderMove) -> bool:
    return move.state is MoveState.PENDING


def _refuse_decided(move: LadderMove) -> None:
    refuse_archived(move.party)
    if not _waits(move):
        raise Refused(f"it is {move.state.label.lower()} already")


@command(LadderMove, "Approve", icon="check", tone="good", confirm="The customer moves down at once.", applies=_waits)
def approve(move: LadderMove, *, by: User) -> None:
    """Agree that a customer moves down; whoever asked for the refresh that proposed it can't."""
    db.session.execute(select(func.pg_advisory_xact_lock(LOCK + move.ladder_id)))
    _refuse_decided(move)
    if move.by_id == by.id:
        raise Refused("you asked for the refresh that proposed it: another person must agree")
    steps = {step.segment_id: step for step in steps_of(move.ladder_id)}
    member, segments = SegmentMembership, list(steps)
    held = _held(segments, [move.party_id])
    if any(one.pin is not None for one in held):
        raise Refused("the customer is pinned on this ladder")
    stands_on = max((one.segment_id for one in held), key=segments.index, default=None)
    if stands_on != move.from_segment_id or (move.to_segment_id is not None and move.to_segment_id not in segments):
        raise Refused(_NOT_STANDING)
    figure = getattr(CustomerFigures, move.ladder.measure.value)
    value = db.session.scalar(select(figure).where(CustomerFigures.id == move.party_id)) or 0
    if stands_on is not None and value >= steps[stands_on].leave_below:
        raise Refused("the customer has enough for this step again: refresh the ladder")
    for one in held:
        one.left_at = dt.datetime.now(dt.UTC)
    db.session.flush()
    if move.to_segment_id is not None:
        db.session.add(
            member(segment_id=move.to_segment_id, party_id=move.party_id, source=MemberSource.LADDER, added_by_id=by.id)
        )
    _decide(move, MoveState.APPROVED, by)


@command(LadderMove, "Refuse", icon="x", tone="warning", applies=_waits,
         asks={"reason": field_of("long_text", required=True, field_class=FieldClass.PERSONAL)})  # fmt: skip
def refuse(move: LadderMove, *, by: User, reason: str) -> None:
    """The customer stays; it is asked again after 30 days, if the figure is still too low."""
    _refuse_decided(move)
    move.answer = reason
    _decide(move, MoveState.REFUSED, by)


def _decide(move: LadderMove, state: MoveState, by: User) -> None:
    move.state, move.decided_by_id, move.decided_at = state, by.id, dt.datetime.now(dt.UTC)
    db.session.flush()
