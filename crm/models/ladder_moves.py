"""Moves on ladders: who went from which segment to which, by what figure, and who agreed where that was asked for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Field,
    FieldClass,
    choice_field,
    date_field,
    datetime_field,
    decimal_field,
    long_text_field,
    reference_field,
)
from crm.core.rules import rule
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segment_choices import MoveDirection, MoveState
from crm.models.segments import Ladder, Segment


class LadderMove(Entity):
    """That a customer moved, or is to move, from one segment of a ladder to another, onto it or off it."""

    # A move follows its customer when that is merged into another.
    only_changes = ("party_id", "state", "decided_by_id", "decided_at", "answer")
    about = About(
        area="Marketing", icon="chevrons-up-down", title="words", create=False, edit=False, importable=False,
        columns=("words", "party", "ladder", "from_segment", "to_segment", "value", "why", "state", "by", "created_at"),
        filters=("party", "ladder", "direction", "from_segment", "to_segment", "value", "state", "by", "decided_by", "created_at"),
        sort=("created_at",), within=("party", "owner"),
        detail=(Section("Move", ("party", "ladder", "direction", "from_segment", "to_segment", "value", "why", "below_since",
                                 "by", "created_at")),
                Section("Decision", ("state", "decided_by", "decided_at", "answer"))),
        help="Who moved up or down on a ladder, when and why; and who is to move down when somebody agrees.",
    )  # fmt: skip

    ladder_id: Mapped[int] = reference_field("ladder", table="ladder", editable=False)
    party_id: Mapped[int] = reference_field("party", table="party", editable=False, label="Customer")
    direction: Mapped[MoveDirection] = choice_field(MoveDirection, editable=False)
    from_segment_id: Mapped[int | None] = reference_field("segment", table="segment", editable=False, label="From")
    to_segment_id: Mapped[int | None] = reference_field("segment", table="segment", editable=False, label="To")
    # As exact as the figures that ladders go by: nobody is “too low” by a figure that looks like the threshold.
    value: Mapped[Decimal] = decimal_field(
        decimals=4, editable=False, field_class=FieldClass.FINANCIAL, label="Figure",
        help="What the ladder goes by, at that time")  # fmt: skip
    below_since: Mapped[dt.date | None] = date_field(editable=False, label="Too little since")
    by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="Refreshed by",
                                                help="Empty: by itself")  # fmt: skip
    state: Mapped[MoveState] = choice_field(
        MoveState, editable=False, label="Status", column={"server_default": "done"}
    )
    decided_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    decided_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Decided")
    answer: Mapped[str | None] = long_text_field(
        editable=False, field_class=FieldClass.PERSONAL, label="Refused because"
    )
    derived = {"words": Field(kind="text", label="Move"), "why": Field(kind="text", label="Why")}
    ladder: Mapped[Ladder] = relationship(
        lazy="selectin", backref=backref("moves", order_by="LadderMove.id.desc()", passive_deletes="all")
    )
    party: Mapped[Party] = relationship(backref=backref("ladder_moves", order_by="LadderMove.id.desc()"))
    from_segment: Mapped[Segment | None] = relationship(foreign_keys=from_segment_id)
    to_segment: Mapped[Segment | None] = relationship(foreign_keys=to_segment_id)
    by: Mapped[User | None] = relationship(foreign_keys=by_id)
    decided_by: Mapped[User | None] = relationship(foreign_keys=decided_by_id)

    __table_args__ = (
        rule("state", "(state IN ('approved', 'refused')) = (decided_by_id IS NOT NULL)", "doesn't fit the decision",
             name="decided"),
        rule("state", "state <> 'approved' OR decided_by_id <> by_id", "is agreed to by somebody else than who proposed it",
             name="others"),
        # One at most waits, of a customer on a ladder.
        Index("uq_ladder_move_pending", "ladder_id", "party_id", unique=True, postgresql_where=text("state = 'pending'")),
        Index("ix_ladder_move_of_party", "ladder_id", "party_id", "created_at"),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.direction.label} on {self.ladder.name}"

    @property
    def why(self) -> str:
        if self.direction is MoveDirection.UP:
            return "Reached what it takes"
        return f"Too little since {self.below_since}" if self.below_since else "Too little"
