"""Which segments a customer is in now."""

from __future__ import annotations

from sqlalchemy import func, or_, select

from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.parties import Party
from crm.models.segments import Segment, SegmentMembership
from crm.queries.scope import row_scope

MOST = 6


def segments_of(party: Party, actor: Actor) -> list[Segment]:
    """Those that count today and the actor may read, in their order of display; a few at most."""
    today = func.current_date()
    statement = (
        select(Segment).join(SegmentMembership, SegmentMembership.segment_id == Segment.id)
        .where(SegmentMembership.party_id == party.id, SegmentMembership.left_at.is_(None),
               or_(Segment.valid_from.is_(None), Segment.valid_from <= today),
               or_(Segment.valid_until.is_(None), Segment.valid_until >= today),
               *row_scope(face_named("segment"), actor), *row_scope(face_named("segment_membership"), actor))
        .order_by(Segment.priority, Segment.name, Segment.id).limit(MOST)
    )  # fmt: skip
    return list(db.session.scalars(statement))
