"""Who is in a segment: customers are added and taken out by hand, memberships end, are pinned, get a last day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from crm.commands.parties import ARCHIVED
from crm.commands.segment_refresh import decide
from crm.core.command import Refused, among, command
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.fields import field_of
from crm.core.permissions import PICK
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segment_choices import MemberSource, Pin, SegmentType
from crm.models.segments import Ladder, LadderStep, Segment, SegmentMembership
from crm.queries.scope import find

FACES = ("customer", "end_customer")
SEGMENT = field_of("reference", refers_to="segment", label="Segment", required=True)
UNTIL = field_of("date", label="Until", help="The last day; empty: without an end")
IN_ALREADY, NOT_IN = "it is in this segment already", "it isn't in this segment"


def _segment(number: int, by: User | None) -> Segment:
    """The segment, if it may be filled now. Raises Refused."""
    face = face_named("segment")
    segment = db.session.get(Segment, number) if by is None else find(face, by, str(number), PICK)
    if segment is None:
        raise Refused("there is no segment with that number that you may see")
    if segment.valid_until is not None and segment.valid_until < today():
        raise Refused(f"the segment “{segment.name}” has ended")
    return segment


def by_hand_alone(segment: Segment) -> bool:
    """Whether nothing but people brings customers into a segment and out of it: no rule, no ladder in use."""
    on_ladder = select(LadderStep.id).join(Ladder).where(LadderStep.segment_id == segment.id, Ladder.active).limit(1)
    return segment.type is SegmentType.STATIC and db.session.scalar(on_ladder) is None


def _only(party: Party, refused: dict[int, str]) -> None:
    if party.id in refused:
        raise Refused(refused[party.id])


@command(Party, "Add to segment", asks={"segment": SEGMENT, "until": UNTIL}, icon="circle-plus", faces=FACES,
         applies=lambda party: party.archived_at is None)  # fmt: skip
def add_to_segment(party: Party, *, by: User | None, segment: int, until: dt.date | None) -> None:
    """Put them into a segment by hand; into one that a rule or a ladder fills they are pinned, so that it leaves them in."""
    db.session.flush()
    _only(party, add_many([party.id], by=by, segment=segment, until=until))


@add_to_segment.many
def add_many(ids: Sequence[int], *, by: User | None, segment: int, until: dt.date | None) -> dict[int, str]:
    return put_in(ids, by=by, segment=segment, until=until, source=MemberSource.HAND)


def put_in(
    ids: Sequence[int], *, by: User | None, segment: int, until: dt.date | None, source: MemberSource
) -> dict[int, str]:
    """Put locked customers into a segment, told to come from this source. Answers the refused ones with their reasons."""
    wanted = _segment(segment, by)
    if until is not None and until < today():
        raise Refused("the last day lies in the past")
    pin = None if by_hand_alone(wanted) else Pin.IN
    archived = set(db.session.scalars(select(Party.id).where(among(Party.id, ids), Party.archived_at.is_not(None))))
    free = [record_id for record_id in ids if record_id not in archived]
    # Whoever was kept out is let in again.
    db.session.execute(update(SegmentMembership).where(
        SegmentMembership.segment_id == wanted.id, among(SegmentMembership.party_id, free), SegmentMembership.pin == Pin.OUT)
        .values(pin=None).execution_options(synchronize_session=False))  # fmt: skip
    rows = select(literal(wanted.id), Party.id, literal(source.value), literal(pin.value if pin else None),
                  literal(until), literal(by.id if by else None)).where(among(Party.id, free))  # fmt: skip
    made = upsert(SegmentMembership).from_select(
        ["segment_id", "party_id", "source", "pin", "expires_on", "added_by_id"], rows)  # fmt: skip
    statement = made.on_conflict_do_nothing(index_elements=["segment_id", "party_id"],
                                            index_where=SegmentMembership.left_at.is_(None))  # fmt: skip
    done = set(db.session.scalars(statement.returning(SegmentMembership.party_id)))
    db.session.expire_all()
    return {record_id: ARCHIVED if record_id in archived else IN_ALREADY for record_id in ids if record_id not in done}


@command(Party, "Take out of segment", asks={"segment": SEGMENT}, icon="circle-minus", faces=FACES,
         applies=lambda party: party.archived_at is None)  # fmt: skip
def remove_from_segment(party: Party, *, by: User | None, segment: int) -> None:
    """Take them out of a segment by hand; out of one that a rule or a ladder fills they are kept, whatever that says."""
    db.session.flush()
    _only(party, remove_many([party.id], by=by, segment=segment))


@remove_from_segment.many
def remove_many(ids: Sequence[int], *, by: User | None, segment: int) -> dict[int, str]:
    wanted = _segment(segment, by)
    pin = None if by_hand_alone(wanted) else Pin.OUT
    archived = set(db.session.scalars(select(Party.id).where(among(Party.id, ids), Party.archived_at.is_not(None))))
    open_now = [SegmentMembership.segment_id == wanted.id, SegmentMembership.left_at.is_(None),
                among(SegmentMembership.party_id, [record_id for record_id in ids if record_id not in archived])]  # fmt: skip
    statement = update(SegmentMembership).where(*open_now).values(left_at=func.clock_timestamp(), pin=pin)
    done = set(db.session.scalars(statement.returning(SegmentMembership.party_id)
                                  .execution_options(synchronize_session=False)))  # fmt: skip
    db.session.expire_all()
    return {record_id: ARCHIVED if record_id in archived else NOT_IN for record_id in ids if record_id not in done}


def _open(one: SegmentMembership) -> bool:
    return one.left_at is None


def _refuse_left(one: SegmentMembership) -> None:
    if one.party.archived_at is not None:
        raise Refused("the customer is archived: restore it first")
    if one.left_at is not None:
        raise Refused("it has left already")


@command(SegmentMembership, "Take out", icon="circle-minus", tone="warning", applies=_open)
def leave(membership: SegmentMembership, *, by: User) -> None:
    """End the membership; a rule doesn't bring them back."""
    _refuse_left(membership)
    membership.left_at = dt.datetime.now(dt.UTC)
    membership.pin = None if by_hand_alone(membership.segment) else Pin.OUT


@command(SegmentMembership, "Pin in", icon="lock", applies=lambda one: _open(one) and one.pin is None)
def pin_in(membership: SegmentMembership, *, by: User) -> None:
    """They stay in, whatever the rule says."""
    _refuse_left(membership)
    if membership.pin is Pin.IN:
        raise Refused("it is pinned already")
    membership.pin = Pin.IN


@command(SegmentMembership, "Unpin", icon="lock-open", applies=lambda one: one.pin is not None)
def unpin(membership: SegmentMembership, *, by: User) -> None:
    """The rule decides again."""
    if membership.pin is None:
        raise Refused("it isn't pinned")
    membership.pin = None
    db.session.flush()
    decide(membership.segment, [membership.party_id])


@command(SegmentMembership, "Set the last day", asks={"until": UNTIL}, icon="calendar", applies=_open)
def expire(membership: SegmentMembership, *, by: User, until: dt.date | None) -> None:
    """They leave after this day."""
    _refuse_left(membership)
    if until is not None and until < today():
        raise Refused("the last day lies in the past")
    membership.expires_on = until
