"""Adjustments of points above what one person may do alone: asked for by one, decided by another."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Field,
    FieldClass,
    choice_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
)
from crm.core.rules import rule
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount, PointEntry
from crm.models.loyalty_choices import Asked


class PointRequest(Entity):
    """That somebody wants to adjust points by more than one person may alone."""

    only_changes = ("state", "decided_by_id", "decided_at", "entry_id", "answer")
    about = About(
        area="Loyalty", icon="scale", label="Point adjustment", label_plural="Point adjustments", plural="point-requests", title="words",
        columns=("words", "account", "customer", "points", "state", "requested_by", "created_at", "decided_by"),
        filters=("account", "points", "state", "requested_by", "decided_by", "created_at"), sort=("created_at", "points"),
        within=("account", "party", "owner"), create=False, edit=False, importable=False,
        detail=(Section("Adjustment", ("account", "customer", "points", "reason", "requested_by", "created_at")),
                Section("Decision", ("state", "decided_by", "decided_at", "answer", "entry"))),
        help="Adjustments of points that a second person must agree to.",
    )  # fmt: skip

    account_id: Mapped[int] = reference_field(
        "loyalty_account", table="loyalty_account", editable=False, label="Membership"
    )
    points: Mapped[int] = integer_field(editable=False)
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)
    requested_by_id: Mapped[int] = reference_field("user", table="app_user", editable=False)
    state: Mapped[Asked] = choice_field(Asked, editable=False, label="Status", column={"server_default": "pending"})
    decided_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    decided_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Decided")
    answer: Mapped[str | None] = long_text_field(
        editable=False, field_class=FieldClass.PERSONAL, label="Refused because"
    )
    entry_id: Mapped[int | None] = reference_field("point_entry", table="point_entry", editable=False)
    derived = {
        "words": Field(kind="text", label="Adjustment"),
        "customer": Field(kind="text", field_class=FieldClass.PERSONAL),
    }
    account: Mapped[LoyaltyAccount] = relationship(lazy="selectin",
        backref=backref("point_requests", order_by="PointRequest.id.desc()", passive_deletes="all"))  # fmt: skip
    requested_by: Mapped[User] = relationship(foreign_keys=requested_by_id)
    decided_by: Mapped[User | None] = relationship(foreign_keys=decided_by_id)
    entry: Mapped[PointEntry | None] = relationship()

    __table_args__ = (
        rule("points", "points <> 0", "must not be 0"),
        rule("decided_by", "decided_by_id <> requested_by_id", "asked for it: somebody else must decide"),
        rule("state", "(state = 'pending') = (decided_by_id IS NULL) AND (state = 'approved') = (entry_id IS NOT NULL)",
             "doesn't fit the decision", name="decided"),
        Index("ix_point_request_pending", "created_at", "id", postgresql_where=text("state = 'pending'")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.points:+,} for {self.account.code}"

    @property
    def customer(self) -> str:
        return self.account.party.name
