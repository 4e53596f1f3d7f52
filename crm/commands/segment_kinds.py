"""A segment made of another one, and one that is filled by hand made one that a rule fills, or the other way round."""

from __future__ import annotations

from sqlalchemy import func, insert, literal, select, update

from crm.commands.segment_refresh import ask_refresh
from crm.core.command import Refused, command
from crm.core.entity import db
from crm.core.fields import field_of
from crm.models.access import User
from crm.models.segment_choices import MemberSource, Pin, SegmentType
from crm.models.segments import Segment, SegmentMembership

NAME = field_of("text", label="Name of the copy", required=True, max_length=120)
KEEP = field_of(
    "boolean", label="Keep those who are in", help="They are pinned in; otherwise the rule decides of them too"
)


@command(
    Segment, "Clone", asks={"name": NAME}, icon="copy", suggests=lambda one, by: {"name": f"{one.name} (copy)"[:120]}
)
def clone(segment: Segment, *, by: User, name: str) -> None:
    """A new segment with the same rule, or with the same customers where it is filled by hand."""
    if db.session.scalar(select(Segment.id).where(func.lower(Segment.name) == func.lower(name))) is not None:
        raise Refused(f"there is a segment “{name}” already")
    made = Segment(name=name, description=segment.description, type=segment.type, priority=segment.priority, valid_from=segment.valid_from,
                   valid_until=segment.valid_until, rule=segment.rule, owner_id=segment.owner_id)  # fmt: skip
    db.session.add(made)
    db.session.flush()
    if segment.type is SegmentType.STATIC:
        inside = select(literal(made.id), SegmentMembership.party_id, literal(MemberSource.HAND.value), SegmentMembership.expires_on,
                        literal(by.id)).where(SegmentMembership.segment_id == segment.id, SegmentMembership.left_at.is_(None))  # fmt: skip
        db.session.execute(
            insert(SegmentMembership).from_select(
                ["segment_id", "party_id", "source", "expires_on", "added_by_id"], inside
            )
        )


def _is_static(segment: Segment) -> bool:
    return segment.type is SegmentType.STATIC


@command(Segment, "Make static", icon="lock", confirm="Nobody comes or goes by the rule any more; it is kept.",
         applies=lambda one: not _is_static(one))  # fmt: skip
def make_static(segment: Segment, *, by: User) -> None:
    """Those who are in stay in; from now on it is filled by hand."""
    if _is_static(segment):
        raise Refused("it is static already")
    segment.type = SegmentType.STATIC
    _unpin(segment)


@command(
    Segment,
    "Make dynamic",
    asks={"keep": KEEP},
    icon="zap",
    applies=lambda one: _is_static(one) and one.rule is not None,
)
def make_dynamic(segment: Segment, *, by: User, keep: bool | None) -> None:
    """From now on its rule decides who is in; it is refreshed at once."""
    if segment.type is SegmentType.DYNAMIC:
        raise Refused("it is dynamic already")
    if segment.rule is None:
        raise Refused("it has no rule: build one first")
    segment.type = SegmentType.DYNAMIC
    _unpin(segment)
    if keep:
        db.session.execute(update(SegmentMembership).where(SegmentMembership.segment_id == segment.id, SegmentMembership.left_at.is_(None))
                           .values(pin=Pin.IN).execution_options(synchronize_session=False))  # fmt: skip
    db.session.flush()
    ask_refresh([segment.id], by=by.id)


def _unpin(segment: Segment) -> None:
    """What was laid down against a rule, or for one, has no meaning for the other kind."""
    db.session.execute(update(SegmentMembership).where(SegmentMembership.segment_id == segment.id, SegmentMembership.pin.is_not(None))
                       .values(pin=None).execution_options(synchronize_session=False))  # fmt: skip
