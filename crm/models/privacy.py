"""Privacy: consents as they were given and withdrawn, what people ask about their data, what we do with data."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, Computed, Date, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.audit import acting
from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import (
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    code_field,
    date_field,
    datetime_field,
    declare,
    integer_field,
    long_text_field,
    reference_field,
    tags_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, rule
from crm.models.access import User
from crm.models.communication_choices import Channel, SendChannel
from crm.models.parties import Contact, Party
from crm.models.privacy_choices import (
    ConsentPurpose,
    ConsentSource,
    ConsentState,
    Law,
    LegalBasis,
    RequestKind,
    RequestState,
)


class Consent(Entity):
    """A party said yes or no to a use of its data. Nothing is changed or removed: the latest word counts."""

    about = About(
        area="Privacy", icon="thumbs-up", title="words", edit=False,
        columns=("party", "purpose", "channel", "state", "legal_basis", "decided_at", "source"),
        filters=("party", "contact", "purpose", "channel", "state", "legal_basis", "source", "decided_at", "valid_until",
                 "text_version", "created_at"),
        sort=("decided_at", "created_at"), timeline=Moment("decided_at", "recorded_by"), within=("party", "owner"),
        sections=(Section("Consent", ("party", "contact", "purpose", "channel", "state", "legal_basis", "decided_at",
                                      "valid_until")),
                  Section("How we know", ("source", "evidence", "text_version", "wording"))),
        detail=(Section("Consent", ("party", "contact", "purpose", "channel", "state", "legal_basis", "decided_at",
                                    "valid_until")),
                Section("How we know", ("source", "evidence", "text_version", "wording", "recorded_by"))),
        help="Who agreed to what, when and how; and who withdrew it.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Whose", required=True)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact", help="At an organisation: who said it")
    purpose: Mapped[ConsentPurpose] = choice_field(ConsentPurpose, required=True)
    channel: Mapped[SendChannel | None] = choice_field(SendChannel, help="Empty: on every channel")
    state: Mapped[ConsentState] = choice_field(ConsentState, required=True)
    legal_basis: Mapped[LegalBasis] = choice_field(LegalBasis, column={"server_default": "consent"})
    decided_at: Mapped[dt.datetime] = datetime_field(
        label="When", help="Empty: now", column={"server_default": func.now()}
    )
    valid_until: Mapped[dt.date | None] = date_field()
    source: Mapped[ConsentSource] = choice_field(ConsentSource, required=True)
    evidence: Mapped[str] = long_text_field(required=True, field_class=FieldClass.PERSONAL,
                                            help="What proves it: the form, the call, the paper")  # fmt: skip
    text_version: Mapped[str | None] = text_field(max_length=32, label="Version of the text")
    wording: Mapped[str | None] = long_text_field(label="Text they agreed to")
    recorded_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False,
                                                         column={"default": lambda: acting().user_id})  # fmt: skip
    derived = {"words": Field(kind="text", label="Consent")}
    party: Mapped[Party] = relationship(
        backref=backref("consents", order_by="Consent.decided_at.desc(), Consent.id.desc()")
    )
    contact: Mapped[Contact | None] = relationship()
    recorded_by: Mapped[User | None] = relationship()

    __table_args__ = (
        Index("ix_consent_latest", "party_id", "purpose", "channel", text("decided_at DESC"), text("id DESC")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.purpose.label}: {self.state.label.lower()}"


class PrivacyRequest(Entity):
    """Somebody asks about, or against, the use of their data; the law says until when it is answered."""

    about = About(
        area="Privacy", icon="fingerprint", title="words",
        columns=("code", "party", "kind", "state", "law", "received_on", "due_on", "assignee"), search=("requester", "code"),
        filters=("party", "kind", "state", "law", "received_on", "due_on", "assignee", "legal_hold", "channel", "created_at"),
        sort=("received_on", "created_at"), timeline=Moment("received_on", "assignee"), within=("party", "owner"),
        also_within=("assignee",),
        sections=(Section("Request", ("party", "requester", "kind", "law", "channel", "received_on", "extended_to",
                                      "details")),
                  Section("Work", ("assignee", "legal_hold", "legal_hold_reason"))),
        detail=(Section("Request", ("code", "party", "requester", "kind", "law", "state", "channel", "received_on", "due_on",
                                    "extended_to", "details")),
                Section("Work", ("assignee", "identity_checked_at", "identity_checked_by", "identity_how", "legal_hold",
                                 "legal_hold_reason", "finished_at", "finished_by", "outcome"))),
        help="What people ask about their data, and until when you must answer.",
    )  # fmt: skip

    code: Mapped[str] = code_field("R")
    party_id: Mapped[int] = reference_field("party", table="party", label="About", required=True)
    requester: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL, label="Asked by",
                                               help="When somebody else asks for them")  # fmt: skip
    kind: Mapped[RequestKind] = choice_field(RequestKind, required=True)
    law: Mapped[Law] = choice_field(Law, column={"server_default": "gdpr"})
    state: Mapped[RequestState] = choice_field(RequestState, editable=False, column={"server_default": "received"})
    channel: Mapped[Channel | None] = choice_field(Channel, label="Came by")
    received_on: Mapped[dt.date] = date_field(label="Received", help="Empty: today",
                                              column={"server_default": text("CURRENT_DATE")})  # fmt: skip
    extended_to: Mapped[dt.date | None] = date_field(label="Extended to", help="Tell the person, and why")
    due_on: Mapped[dt.date] = declare("date", Date, Computed(
        "coalesce(extended_to, received_on + CASE WHEN law = 'ccpa' THEN 45 ELSE 30 END)", persisted=True),
        label="Due", editable=False)  # fmt: skip
    details: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    assignee_id: Mapped[int | None] = reference_field("user", table="app_user", label="Who works on it")
    identity_checked_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Identity checked")
    identity_checked_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False,
                                                                 label="Identity checked by")  # fmt: skip
    identity_how: Mapped[str | None] = text_field(
        field_class=FieldClass.KYC, editable=False, label="Identity checked how"
    )
    legal_hold: Mapped[bool] = boolean_field(column={"server_default": text("false")},
                                             help="The data must be kept, whatever was asked")  # fmt: skip
    legal_hold_reason: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL)
    finished_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Finished")
    finished_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    outcome: Mapped[str | None] = long_text_field(
        field_class=FieldClass.PERSONAL, editable=False, label="Outcome and proof"
    )
    derived = {"words": Field(kind="text", label="Request")}
    party: Mapped[Party] = relationship()
    assignee: Mapped[User | None] = relationship(foreign_keys=assignee_id)
    identity_checked_by: Mapped[User | None] = relationship(foreign_keys=identity_checked_by_id)
    finished_by: Mapped[User | None] = relationship(foreign_keys=finished_by_id)

    __table_args__ = (
        in_order("received_on", "extended_to"), rule("legal_hold_reason", "NOT legal_hold OR legal_hold_reason IS NOT NULL", "is missing: say why the data must be kept"),
        CheckConstraint("(state IN ('done', 'refused')) = (finished_at IS NOT NULL)", name="finished_at_state"),
        CheckConstraint("finished_at IS NULL OR outcome IS NOT NULL", name="outcome_there"),
        CheckConstraint("state <> 'done' OR identity_checked_at IS NOT NULL", name="identity_checked_at_there"),
        Index("ix_privacy_request_open", "due_on", "id", postgresql_where=text("finished_at IS NULL")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.kind.label} {self.code}"


class ProcessingActivity(Entity):
    """One line of the register of processing: what is done with whose data, why, and how long it is kept."""

    about = About(
        area="Privacy", icon="clipboard-list", label="Processing activity",
        columns=("name", "legal_basis", "data_subjects", "retention", "responsible", "review_on", "active"),
        search=("name", "purpose"), filters=("legal_basis", "responsible", "review_on", "active", "created_at"),
        sort=("name", "created_at"),
        sections=(Section("Activity", ("name", "purpose", "legal_basis", "data_subjects", "data_kinds", "system", "responsible")),
                  Section("Where it goes and how long", ("recipients", "third_countries", "retention", "retention_months",
                                                         "security", "review_on", "active"))),
        detail=(Section("Activity", ("name", "purpose", "legal_basis", "data_subjects", "data_kinds", "system", "responsible")),
                Section("Where it goes and how long", ("recipients", "third_countries", "retention", "retention_months",
                                                       "security", "review_on", "active"))),
        help="The register of what you do with personal data.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True)
    purpose: Mapped[str] = long_text_field(required=True)
    legal_basis: Mapped[LegalBasis] = choice_field(LegalBasis, required=True)
    data_subjects: Mapped[list[str] | None] = tags_field(label="Whose data", help="Such as customers, contacts")
    data_kinds: Mapped[list[str] | None] = tags_field(label="Which data", help="Such as name, e-mail, purchases")
    recipients: Mapped[str | None] = long_text_field()
    third_countries: Mapped[str | None] = text_field(help="Where else the data goes, and on what basis")
    retention: Mapped[str] = text_field(required=True, label="Kept how long", help="In words, with the reason")
    retention_months: Mapped[int | None] = integer_field(minimum=0, maximum=1200, label="Kept (months)")
    security: Mapped[str | None] = long_text_field(label="Protection")
    system: Mapped[str | None] = text_field(max_length=120)
    responsible_id: Mapped[int | None] = reference_field("user", table="app_user")
    review_on: Mapped[dt.date | None] = date_field(label="Review on")
    active: Mapped[bool] = boolean_field(column={"server_default": text("true")}, label="In use")
    responsible: Mapped[User | None] = relationship()

    __table_args__ = (UniqueConstraint("name"),)
