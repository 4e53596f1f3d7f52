"""Segments: groups of customers, who was in them when and why, and ladders that lead from one to the next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Date,
    Index,
    UniqueConstraint,
    and_,
    func,
    or_,
    select,
    text,
)  # fmt: skip
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship

from crm.core.entity import About, Entity, Section, face_named
from crm.core.fields import (
    Field,
    boolean_field,
    choice_field,
    date_field,
    datetime_field,
    decimal_field,
    integer_field,
    json_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.jobs import Job
from crm.core.rules import in_order
from crm.core.rules import rule as must
from crm.core.triggers import Trigger
from crm.models import party_faces as _faces  # noqa: F401 - declares the faces that lists are filtered under
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segment_choices import LadderMeasure, MemberSource, Pin, RefreshState, SegmentType

_SEGMENT = ("name", "type", "description", "priority", "owner", "valid_from", "valid_until", "rule")


class Segment(Entity):
    """A group of customers: chosen by hand, by a rule, or found in how they behave."""

    about = About(
        area="Marketing", icon="chart-pie", importable=False,
        columns=("name", "type", "member_count", "priority", "owner", "valid_until", "updated_at"),
        search=("name", "description"),
        filters=("type", "member_count", "priority", "owner", "valid_from", "valid_until", "rule", "created_at", "updated_at"),
        sort=("name", "member_count", "priority", "created_at"), delete=True,
        related=("memberships", "refreshes"),
        sections=(Section("Segment", _SEGMENT, "The one with the lowest number of display stands first on a customer's page."),),
        detail=(Section("Segment", (*_SEGMENT[:-1], "rule_version", "created_by", "created_at", "updated_by", "updated_at")),),
        help="Groups of customers. Static ones you fill by hand, dynamic ones by a rule.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120)
    description: Mapped[str | None] = long_text_field()
    type: Mapped[SegmentType] = choice_field(SegmentType, column={"server_default": "static"})
    priority: Mapped[int] = integer_field(minimum=0, maximum=1000, label="Order of display",
                                          column={"server_default": "100"})  # fmt: skip
    valid_from: Mapped[dt.date | None] = date_field()
    valid_until: Mapped[dt.date | None] = date_field(help="The last day")
    rule: Mapped[dict[str, Any] | None] = json_field(help="Of dynamic segments, as JSON; every change of it is kept")
    rule_version: Mapped[int] = integer_field(
        editable=False, label="Version of the rule", column={"server_default": "0"}
    )
    owner_id: Mapped[int | None] = reference_field("user", table="app_user")
    created_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    updated_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="Last changed by",
                                                        audited=False)  # fmt: skip
    if TYPE_CHECKING:  # of its figures
        member_count: int
    owner: Mapped[User | None] = relationship(foreign_keys=owner_id)
    created_by: Mapped[User | None] = relationship(foreign_keys=created_by_id)
    updated_by: Mapped[User | None] = relationship(foreign_keys=updated_by_id)

    triggers = (
        Trigger("segment_who", "BEFORE INSERT OR UPDATE", each="ROW", body="""
BEGIN
  NEW.updated_by_id := nullif(current_setting('crm.actor', true), '')::bigint;
  IF TG_OP = 'INSERT' THEN
    NEW.created_by_id := NEW.updated_by_id;
    NEW.rule_version := CASE WHEN NEW.rule IS NULL THEN 0 ELSE 1 END;
  ELSE
    NEW.rule_version := OLD.rule_version + CASE WHEN NEW.rule IS DISTINCT FROM OLD.rule THEN 1 ELSE 0 END;
  END IF;
  RETURN NEW;
END"""),
        Trigger("segment_version_kept", "AFTER INSERT OR UPDATE", each="ROW", body="""
BEGIN
  INSERT INTO segment_version (segment_id, version, rule, made_by_id)
  VALUES (NEW.id, NEW.rule_version, NEW.rule, NEW.updated_by_id) ON CONFLICT DO NOTHING;
  RETURN NULL;
END""", only="NEW.rule_version > 0"),
    )  # fmt: skip

    __table_args__ = (
        Index("uq_segment_name", text("lower(name)"), unique=True),
        in_order("valid_from", "valid_until"),
    )


class SegmentVersion(Entity):
    """A rule as a segment had it; written by the database whenever it changes."""

    about = About(
        area="Marketing", icon="history", title="words", create=False, edit=False, audited=False,
        columns=("words", "segment", "made_by", "created_at"), filters=("segment", "version", "made_by", "created_at"),
        sort=("created_at",), detail=(Section("Version", ("segment", "version", "rule", "made_by", "created_at")),),
        help="The rules that segments had.",
    )  # fmt: skip

    segment_id: Mapped[int] = reference_field("segment", table="segment", on_delete="CASCADE", editable=False)
    version: Mapped[int] = integer_field(editable=False)
    rule: Mapped[dict[str, Any] | None] = json_field(editable=False)
    made_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    derived = {"words": Field(kind="text", label="Version")}
    segment: Mapped[Segment] = relationship(
        backref=backref("versions", order_by="SegmentVersion.version.desc()", passive_deletes="all")
    )
    made_by: Mapped[User | None] = relationship()

    __table_args__ = (UniqueConstraint("segment_id", "version"),)

    @property
    def words(self) -> str:
        return f"Version {self.version}"


class SegmentMembership(Entity):
    """That a customer is or was in a segment: from when to when, why, and whether somebody laid it down. Its own history."""

    about = About(
        area="Marketing", icon="user-check", title="words", create=False, edit=False, audited=False,
        columns=("words", "segment", "party", "source", "pin", "entered_at", "left_at", "expires_on"),
        filters=("segment", "party", "source", "pin", "entered_at", "left_at", "expires_on", "added_by"),
        sort=("entered_at",), within=("party", "owner"),
        detail=(Section("Membership", ("segment", "party", "entered_at", "left_at", "source", "pin", "rule_version",
                                       "expires_on", "below_since", "added_by")),),
        help="Who is in which segment, since when and why; and who was.",
    )  # fmt: skip

    segment_id: Mapped[int] = reference_field("segment", table="segment", editable=False)
    party_id: Mapped[int] = reference_field("party", table="party", editable=False, label="Customer")
    entered_at: Mapped[dt.datetime] = datetime_field(
        editable=False, label="Entered", column={"server_default": func.now()}
    )
    left_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Left")
    source: Mapped[MemberSource] = choice_field(MemberSource, editable=False, column={"server_default": "hand"})
    rule_version: Mapped[int | None] = integer_field(editable=False, label="Version of the rule")
    pin: Mapped[Pin | None] = choice_field(Pin, editable=False, label="Pinned")
    expires_on: Mapped[dt.date | None] = date_field(editable=False, label="Until", help="The last day; then they leave")
    below_since: Mapped[dt.date | None] = date_field(
        editable=False,
        label="Too little for it since",
        help="On a ladder: they move down when the time of grace is over",
    )
    added_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="Added by")
    derived = {"words": Field(kind="text", label="Membership")}
    segment: Mapped[Segment] = relationship(
        backref=backref("memberships", order_by="SegmentMembership.id.desc()", passive_deletes="all")
    )
    party: Mapped[Party] = relationship(backref=backref("segment_memberships", order_by="SegmentMembership.id.desc()"))
    added_by: Mapped[User | None] = relationship()

    __table_args__ = (
        must("left_at", "entered_at <= left_at", "lies before “entered”", name="order"),
        must("pin", "pin <> 'in' OR left_at IS NULL", "“in” is of who is in", name="in"),
        must("pin", "pin <> 'out' OR left_at IS NOT NULL", "“out” is of who isn't in", name="out_left"),
        # In a segment once at a time; kept out of it once at most.
        Index("uq_segment_membership_open", "segment_id", "party_id", unique=True, postgresql_where=text("left_at IS NULL")),
        Index("uq_segment_membership_out", "segment_id", "party_id", unique=True, postgresql_where=text("pin = 'out'")),
        Index("ix_segment_membership_of_party", "party_id", "segment_id", postgresql_where=text("left_at IS NULL")),
        Index("ix_segment_membership_expires", "expires_on", "id",
              postgresql_where=text("left_at IS NULL AND expires_on IS NOT NULL")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return "Left" if self.left_at else "Member"


class _OfDays(Field):
    """A day that is asked for as it is: none is before another."""

    @property
    def operators(self) -> tuple[str, ...]:
        return ("eq",)


class _InOn:
    """The days on which a membership was one, each to its end."""

    def in_(self, days: Iterable[dt.date]) -> ColumnElement[bool]:
        ends = [dt.datetime.combine(day, dt.time.max, dt.UTC) for day in days]
        left = SegmentMembership.left_at
        return or_(*(and_(SegmentMembership.entered_at <= end, or_(left.is_(None), left > end)) for end in ends))


# Who was in on a day: at its end, or now where it hasn't ended.
face_named("segment_membership").linked["in_on"] = _OfDays(
    kind="date", name="in_on", label="Was in", editable=False, derived=True, linked=lambda: (select(SegmentMembership.id), _InOn()))  # fmt: skip
# Lists of customers are filtered by the segment they are in now.
for _name in ("customer", "end_customer"):
    face_named(_name).linked["segment"] = Field(
        kind="reference", name="segment", label="Segment", refers_to="segment", editable=False, derived=True,
        linked=lambda: (select(SegmentMembership.party_id).where(SegmentMembership.left_at.is_(None)), SegmentMembership.segment_id))  # fmt: skip


_LADDER = ("name", "description", "measure", "grace_days", "one_step", "approve_downgrades", "active")


class Ladder(Entity):
    """Segments in order, such as Silver, Gold, Platinum: a customer stands on one step, by what a figure says."""

    about = About(
        area="Marketing", icon="trending-up", columns=("name", "measure", "grace_days", "active", "updated_at"),
        search=("name",), filters=("measure", "active", "archived_at", "created_at"), sort=("name", "created_at"), delete=True,
        related=("steps", "moves"), archived="archived_at",
        sections=(Section("Ladder", _LADDER),), detail=(Section("Ladder", (*_LADDER, "refreshed_on", "archived_at")),),
        help="How customers move up and down between segments.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    description: Mapped[str | None] = long_text_field()
    measure: Mapped[LadderMeasure] = choice_field(LadderMeasure, required=True, label="By")
    grace_days: Mapped[int] = integer_field(minimum=0, maximum=730, label="Grace (days)",
                                            help="Before somebody moves down", column={"server_default": "0"})  # fmt: skip
    one_step: Mapped[bool] = boolean_field(label="One step at a time", column={"server_default": text("true")})
    approve_downgrades: Mapped[bool] = boolean_field(
        label="Moves down are approved", help="Somebody agrees before a customer moves down",
        column={"server_default": text("false")})  # fmt: skip
    active: Mapped[bool] = boolean_field(label="In use", help="Customers move by themselves, each night",
                                         column={"server_default": text("false")})  # fmt: skip
    refreshed_on: Mapped[dt.date | None] = date_field(editable=False, label="Last refresh begun")
    archived_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Archived")

    __table_args__ = (
        must("active", "NOT active OR archived_at IS NULL", "isn't of one that is archived", name="kept"),
    )


class LadderStep(Entity):
    """A segment on a ladder: from which figure on one enters it, and below which one leaves."""

    about = About(
        area="Marketing", icon="list-checks", title="words", columns=("words", "ladder", "segment", "enter_from", "leave_below"),
        filters=("ladder", "segment", "position"), sort=("created_at",), delete=True,
        sections=(Section("Step", ("ladder", "position", "segment", "leave_below", "enter_from", "remarks")),),
        detail=(Section("Step", ("ladder", "position", "segment", "leave_below", "enter_from", "remarks")),),
    )  # fmt: skip

    ladder_id: Mapped[int] = reference_field("ladder", table="ladder", on_delete="CASCADE", required=True)
    position: Mapped[int] = integer_field(required=True, minimum=1, maximum=50, label="Step", help="1 is the lowest")
    segment_id: Mapped[int] = reference_field("segment", table="segment", required=True)
    leave_below: Mapped[Decimal] = decimal_field(required=True, minimum=0)
    enter_from: Mapped[Decimal] = decimal_field(required=True, minimum=0)
    remarks: Mapped[str | None] = long_text_field()
    derived = {"words": Field(kind="text", label="Step")}
    ladder: Mapped[Ladder] = relationship(
        backref=backref("steps", order_by="LadderStep.position", passive_deletes="all")
    )
    segment: Mapped[Segment] = relationship()

    __table_args__ = (
        UniqueConstraint("ladder_id", "position", name="uq_ladder_step_position"),
        UniqueConstraint("ladder_id", "segment_id", name="uq_ladder_step_segment_id"),
        must("leave_below", "leave_below <= enter_from", "is more than “enter from”"),
    )

    @property
    def words(self) -> str:
        return f"Step {self.position}"


class SegmentRefresh(Entity):
    """A time at which a segment's members were worked out anew: how many came and went, how long it took. Its own history."""

    about = About(
        area="Marketing", icon="refresh-cw", title="words", create=False, edit=False, audited=False, plural="segment-refreshes",
        columns=("words", "segment", "state", "members", "entered", "gone", "whole", "started_at", "finished_at"),
        filters=("segment", "state", "started_at", "members", "entered", "gone", "whole"), sort=("started_at",),
        detail=(Section("Refresh", ("segment", "state", "rule_version", "members", "entered", "gone", "whole", "started_at",
                                    "finished_at", "error", "asked_by", "job")),),
        help="Each time members were worked out: who came, who went, how long it took.",
    )  # fmt: skip

    segment_id: Mapped[int] = reference_field("segment", table="segment", on_delete="CASCADE", editable=False)
    state: Mapped[RefreshState] = choice_field(RefreshState, editable=False, column={"server_default": "running"})
    rule_version: Mapped[int | None] = integer_field(editable=False, label="Version of the rule")
    members: Mapped[int | None] = integer_field(editable=False, minimum=0)
    entered: Mapped[int | None] = integer_field(editable=False, minimum=0)
    gone: Mapped[int | None] = integer_field(editable=False, minimum=0, label="Left")
    started_at: Mapped[dt.datetime] = datetime_field(
        editable=False, label="Begun", column={"server_default": func.now()}
    )
    finished_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Ended")
    error: Mapped[str | None] = long_text_field(editable=False)
    whole: Mapped[bool] = boolean_field(editable=False, label="Everybody looked at", column={"server_default": text("true")},
                                        help="Otherwise those alone whose records changed since the last time")  # fmt: skip
    job_id: Mapped[int | None] = reference_field("job", table="job", editable=False)
    # As of when customers were looked at: the day, the last entry of the audit that was sealed, and the oldest transaction
    # that was under way. What is touched later may come and go.
    seen_on: Mapped[dt.date | None] = mapped_column(Date)
    seen_seq: Mapped[int | None] = mapped_column(BigInteger)
    seen_xid: Mapped[int | None] = mapped_column(BigInteger)
    asked_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    derived = {"words": Field(kind="text", label="Refresh")}
    segment: Mapped[Segment] = relationship(
        backref=backref("refreshes", order_by="SegmentRefresh.id.desc()", passive_deletes="all")
    )
    asked_by: Mapped[User | None] = relationship()
    job: Mapped[Job | None] = relationship()

    triggers = (
        # However a job comes to its end, what it was about to do ends with it.
        Trigger("segment_refresh_ended", "AFTER UPDATE OF state", each="ROW", on="job",
                only="NEW.state IN ('failed', 'cancelled') AND NEW.state <> OLD.state AND NEW.task = 'jobs.segments.refresh'", body="""
BEGIN
  UPDATE segment_refresh SET state = NEW.state, error = NEW.error, finished_at = clock_timestamp()
   WHERE job_id = NEW.id AND state = 'running';
  RETURN NULL;
END"""),
    )  # fmt: skip

    __table_args__ = (
        in_order("started_at", "finished_at"),
        CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="finished_at_state"),
    )

    @property
    def words(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} UTC"
