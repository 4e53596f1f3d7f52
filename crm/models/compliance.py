"""Which papers are asked of whom and who has them; our own policies and who has read them."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.audit import acting
from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    FieldClass,
    boolean_field,
    choice_field,
    choices_field,
    country_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
    url_field,
)  # fmt: skip
from crm.core.rules import in_order
from crm.models.access import User
from crm.models.parties import Party
from crm.models.partner_choices import ComplianceState, PaperKind, PolicyKind, PolicyState
from crm.models.party_choices import PartyRole
from crm.models.party_identifiers import Identifier


class Policy(Entity):
    """A rule or policy we follow, in one version of its text."""

    about = About(
        area="Privacy", icon="book-open", columns=("name", "version", "kind", "state", "responsible", "review_on"),
        search=("name", "text"), filters=("kind", "state", "responsible", "review_on", "effective_from", "created_at"),
        sort=("name", "created_at"), related=("confirmations",),
        sections=(Section("Policy", ("name", "version", "kind", "text", "source", "applies_to", "responsible",
                                     "effective_from", "review_on")),),
        detail=(Section("Policy", ("name", "version", "kind", "state", "text", "source", "applies_to", "responsible",
                                   "effective_from", "review_on", "retired_on")),),
        help="Laws, standards and our own policies, who they apply to and who has read them.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True)
    version: Mapped[str] = text_field(max_length=32, required=True)
    kind: Mapped[PolicyKind] = choice_field(PolicyKind, required=True)
    text: Mapped[str] = long_text_field(required=True, markdown=True)
    source: Mapped[str | None] = url_field(label="Where it stands")
    applies_to: Mapped[str | None] = long_text_field(label="Applies to")
    responsible_id: Mapped[int | None] = reference_field("user", table="app_user", label="Owner")
    state: Mapped[PolicyState] = choice_field(PolicyState, editable=False, column={"server_default": "draft"})
    effective_from: Mapped[dt.date | None] = date_field(label="In force from")
    review_on: Mapped[dt.date | None] = date_field(label="Review on")
    retired_on: Mapped[dt.date | None] = date_field(editable=False, label="Retired")
    responsible: Mapped[User | None] = relationship()
    confirmations: Mapped[list[PolicyConfirmation]] = relationship(back_populates="policy",
                                                                   order_by="PolicyConfirmation.id.desc()")  # fmt: skip

    __table_args__ = (
        in_order("effective_from", "review_on"),
        UniqueConstraint("name", "version"),
        CheckConstraint("(state = 'retired') = (retired_on IS NOT NULL)", name="retired_on_state"),
    )  # fmt: skip


class PolicyConfirmation(Entity):
    """A colleague has read a policy and says so; for good."""

    about = About(
        area="Privacy", icon="badge-check", title="words", label="Policy confirmation", create=False, edit=False,
        columns=("policy", "who", "confirmed_at"), filters=("policy", "who", "confirmed_at"), sort=("confirmed_at",),
        detail=(Section("Confirmation", ("policy", "who", "confirmed_at")),),
        help="Who has read which policy.",
    )  # fmt: skip

    policy_id: Mapped[int] = reference_field("policy", table="policy", editable=False)
    who_id: Mapped[int] = reference_field("user", table="app_user", editable=False)
    confirmed_at: Mapped[dt.datetime] = datetime_field(
        editable=False, label="When", column={"server_default": text("now()")}
    )
    policy: Mapped[Policy] = relationship(back_populates="confirmations")
    who: Mapped[User] = relationship()

    __table_args__ = (UniqueConstraint("policy_id", "who_id"),)

    @property
    def words(self) -> str:
        return "Read and confirmed"


class ComplianceRequirement(Entity):
    """A paper that parties of some kind must have: a licence, a tax certificate, an insurance."""

    about = About(
        area="Partners", icon="clipboard-list", label="Compliance requirement",
        columns=("name", "kind", "applies_to", "country", "mandatory", "valid_months", "active"), search=("name", "description"),
        filters=("kind", "applies_to", "country", "mandatory", "active", "policy", "created_at"), sort=("name", "created_at"),
        sections=(Section("Requirement", ("name", "kind", "applies_to", "country", "description", "policy")),
                  Section("How it is watched", ("mandatory", "valid_months", "warn_days", "active"))),
        detail=(Section("Requirement", ("name", "kind", "applies_to", "country", "description", "policy")),
                Section("How it is watched", ("mandatory", "valid_months", "warn_days", "active"))),
        help="Which papers you ask of vendors, partners and customers.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True)
    kind: Mapped[PaperKind] = choice_field(PaperKind, required=True)
    applies_to: Mapped[list[str]] = choices_field(PartyRole, wide=True, column={"server_default": text("'{}'")},
                                                  help="Whoever is one of these must have it")  # fmt: skip
    country: Mapped[str | None] = country_field(help="Empty: everywhere")
    description: Mapped[str | None] = long_text_field()
    policy_id: Mapped[int | None] = reference_field("policy", table="policy", label="Asked for by")
    mandatory: Mapped[bool] = boolean_field(column={"server_default": text("true")})
    valid_months: Mapped[int | None] = integer_field(minimum=1, maximum=600, label="Valid for (months)")
    warn_days: Mapped[int] = integer_field(minimum=0, maximum=3650, label="Warn before (days)",
                                           column={"server_default": text("30")})  # fmt: skip
    active: Mapped[bool] = boolean_field(label="In use", column={"server_default": text("true")})
    policy: Mapped[Policy | None] = relationship()

    __table_args__ = (UniqueConstraint("name"),)


class ComplianceRecord(Entity):
    """The paper that a party showed for a requirement, and until when it holds."""

    about = About(
        area="Partners", icon="file-text", title="words", label="Compliance record",
        columns=("requirement", "party", "state", "number", "issued_on", "valid_until", "checked_by"), search=("number", "issuer"),
        filters=("party", "requirement", "state", "valid_until", "issued_on", "checked_by", "checked_at", "created_at"),
        sort=("created_at",), within=("party", "owner"),
        sections=(Section("Paper", ("party", "requirement", "identifier", "number", "issuer", "issued_on", "valid_until",
                                    "remarks")),),
        detail=(Section("Paper", ("party", "requirement", "identifier", "number", "issuer", "issued_on", "valid_until", "state",
                                  "checked_by", "checked_at", "reason", "remarks")),),
        help="Who has shown which paper, and who must show a new one.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Whose", required=True)
    requirement_id: Mapped[int] = reference_field(
        "compliance_requirement", table="compliance_requirement", required=True
    )
    identifier_id: Mapped[int | None] = reference_field("identifier", table="identifier", on_delete="SET NULL",
                                                        help="Where the number is kept among their identifiers")  # fmt: skip
    number: Mapped[str | None] = text_field(max_length=64, field_class=FieldClass.KYC)
    issuer: Mapped[str | None] = text_field(label="Issued by")
    issued_on: Mapped[dt.date | None] = date_field(label="Issued")
    valid_until: Mapped[dt.date | None] = date_field()
    state: Mapped[ComplianceState] = choice_field(
        ComplianceState, editable=False, column={"server_default": "submitted"}
    )
    checked_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    checked_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Checked")
    reason: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, editable=False)
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    entered_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False,
                                                        column={"default": lambda: acting().user_id})  # fmt: skip
    party: Mapped[Party] = relationship()
    requirement: Mapped[ComplianceRequirement] = relationship()
    identifier: Mapped[Identifier | None] = relationship()
    checked_by: Mapped[User | None] = relationship(foreign_keys=checked_by_id)
    entered_by: Mapped[User | None] = relationship(foreign_keys=entered_by_id)

    __table_args__ = (
        in_order("issued_on", "valid_until"),
        CheckConstraint("(state = 'submitted') = (checked_at IS NULL)", name="checked_at_state"),
        Index("ix_compliance_record_holds", "party_id", "requirement_id", "valid_until",
              postgresql_where=text("state IN ('accepted', 'waived')")),
        Index("ix_compliance_record_expiring", "valid_until", "id", postgresql_where=text("state = 'accepted'")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return self.state.label
