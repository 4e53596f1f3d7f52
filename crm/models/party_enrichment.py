"""What outside sources propose to know of a party; it waits here until somebody takes or refuses it."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    FieldClass,
    choice_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.models.access import User
from crm.models.parties import Party


class ProposalState(Choice):
    OPEN = "open", "To decide", "warning"
    ACCEPTED = "accepted", "Taken", "good"
    REFUSED = "refused", "Refused", "neutral"


class EnrichmentProposal(Entity):
    """A value that an outside source proposes for one field of a party, with where it comes from."""

    about = About(
        area="Customers", icon="sparkles", title="field", label="Proposed value", plural="proposed-values",
        columns=("field", "party", "value", "source", "confidence", "state", "created_at"), create=False, edit=False,
        filters=("state", "source", "field", "party", "confidence", "decided_by", "decided_at", "created_at"),
        sort=("created_at",), within=("party", "owner"),
        detail=(Section("Proposal", ("party", "field", "value", "present", "source", "confidence", "state")),
                Section("Decision", ("decided_by", "decided_at", "refusal_reason"))),
        help="What outside sources propose to know of your customers. Nothing is written until somebody takes it.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", editable=False, label="Customer")
    field: Mapped[str] = text_field(max_length=64, editable=False, label="Field")
    # It may be any field's value but one of special needs, so it is as private as the most private of those.
    value: Mapped[str] = long_text_field(
        editable=False, field_class=FieldClass.KYC, label="Proposed", column={"nullable": False}
    )
    present: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.KYC, label="Then there")
    source: Mapped[str] = text_field(max_length=120, editable=False, help="Where it comes from")
    confidence: Mapped[int | None] = integer_field(minimum=0, maximum=100, editable=False, label="Sure (%)")
    state: Mapped[ProposalState] = choice_field(ProposalState, editable=False, column={"server_default": "open"})
    decided_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    decided_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Decided")
    refusal_reason: Mapped[str | None] = text_field(editable=False, field_class=FieldClass.PERSONAL)
    party: Mapped[Party] = relationship(
        backref=backref("enrichment_proposals", order_by="EnrichmentProposal.id.desc()")
    )
    decided_by: Mapped[User | None] = relationship()

    __table_args__ = (
        CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided_at_state"),
        # The same is proposed once; what was refused isn't proposed again.
        Index("uq_enrichment_proposal_value", "party_id", "field", "source", text("md5(value)"), unique=True),
        Index("ix_enrichment_proposal_open", "id", postgresql_where=text("state = 'open'")),
    )  # fmt: skip
