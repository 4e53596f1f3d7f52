"""Who is in a segment now, and who came and went since somebody last asked."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, Text, cast, func, select

from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.parties import Party
from crm.models.segments import Segment, SegmentMembership
from crm.queries.scope import row_scope
from crm.queries.segment_rules.touched import LONGEST_AGO, written_since


def are_in(segment: Segment) -> ColumnElement[bool]:
    """The condition that a party is in it now."""
    members = select(SegmentMembership.party_id).where(
        SegmentMembership.segment_id == segment.id, SegmentMembership.left_at.is_(None)
    )
    return Party.id.in_(members)


@dataclass(frozen=True)
class Changes:
    """Memberships written since, by number; `place` is where the next page begins, `since` what the next call asks with
    when there is no further page."""

    rows: list[SegmentMembership]
    place: int | None
    since: int


def changes(segment: Segment, actor: Actor, *, since: int, after: int, limit: int) -> Changes:
    """Memberships of a segment that came to be or ended since `since`, which an earlier answer gave; 0 is the start.

    By the transaction that wrote a row, not by its time: one that takes long is told later, and never missed. What was
    under way when an answer was given may be told twice.
    """
    xid = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
    now = db.session.execute(select(xid)).scalar_one()
    seen = select(Party.id).where(*row_scope(face_named("customer"), actor))
    statement = (select(SegmentMembership).where(SegmentMembership.segment_id == segment.id, SegmentMembership.id > after,
                                                 *row_scope(face_named("segment_membership"), actor), SegmentMembership.party_id.in_(seen))
                 .order_by(SegmentMembership.id).limit(limit + 1))  # fmt: skip
    if since > 0 and 0 <= now - since < LONGEST_AGO:
        statement = statement.where(written_since(SegmentMembership.__tablename__, since))
    rows = list(db.session.scalars(statement))
    more = len(rows) > limit
    return Changes(rows[:limit], rows[limit - 1].id if more else None, now)
