"""Contracts with parties: term, value, renewal, and what each side owes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import CheckConstraint, Computed, Date, Index, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    FieldClass,
    choice_field,
    code_field,
    currency_field,
    date_field,
    declare,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, with_currency
from crm.models.access import User
from crm.models.parties import Contact, Party
from crm.models.partner_choices import (
    ContractKind,
    ContractState,
    ObligationSide,
    ObligationState,
    Recurrence,
    Renewal,
)


class Contract(Entity):
    """What was agreed with a party: kind, term, value and how it renews."""

    about = About(
        area="Partners", icon="scroll-text", title="subject",
        columns=("subject", "party", "kind", "state", "starts_on", "ends_on", "value", "responsible"),
        search=("subject", "code", "number"),
        filters=("party", "other_party", "kind", "state", "starts_on", "ends_on", "notice_by", "renewal", "value", "responsible",
                 "signed_on", "number", "created_at"),
        sort=("created_at",), within=("party", "owner"), also_within=("responsible",), related=("obligations",),
        brings=("party",),
        sections=(Section("Contract", ("subject", "number", "party", "other_party", "contact", "kind", "value", "currency",
                                       "responsible", "terms")),
                  Section("Term", ("signed_on", "starts_on", "ends_on", "renewal", "renewal_months", "notice_days",
                                   "remind_days"))),
        detail=(Section("Contract", ("code", "number", "subject", "party", "other_party", "contact", "kind", "state", "value",
                                     "currency", "responsible", "terms")),
                Section("Term", ("signed_on", "starts_on", "ends_on", "renewal", "renewal_months", "notice_days", "notice_by",
                                 "remind_days", "terminated_on", "termination_reason"))),
        help="Contracts with customers, vendors and partners, and when they end.",
    )  # fmt: skip

    code: Mapped[str] = code_field("K")
    number: Mapped[str | None] = text_field(max_length=64, label="Contract number", column={"unique": True},
                                            help="As it stands on the paper; unique if given")  # fmt: skip
    subject: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL)
    party_id: Mapped[int] = reference_field("party", table="party", label="With", required=True)
    other_party_id: Mapped[int | None] = reference_field(
        "party", table="party", label="And with", help="A third party to it"
    )
    contact_id: Mapped[int | None] = reference_field("contact", table="contact", label="Their contact")
    kind: Mapped[ContractKind] = choice_field(ContractKind, required=True)
    state: Mapped[ContractState] = choice_field(ContractState, editable=False, column={"server_default": "draft"})
    value: Mapped[Decimal | None] = money_field(minimum=0, help="Over the whole term")
    currency: Mapped[str | None] = currency_field()
    responsible_id: Mapped[int | None] = reference_field("user", table="app_user")
    terms: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, label="Terms")
    signed_on: Mapped[dt.date | None] = date_field(label="Signed")
    starts_on: Mapped[dt.date | None] = date_field(label="Starts")
    ends_on: Mapped[dt.date | None] = date_field(label="Ends", help="Empty: without an end")
    renewal: Mapped[Renewal] = choice_field(Renewal, column={"server_default": "none"})
    renewal_months: Mapped[int | None] = integer_field(minimum=1, maximum=600, label="Renews for (months)")
    notice_days: Mapped[int | None] = integer_field(minimum=0, maximum=3650, label="Notice (days)")
    notice_by: Mapped[dt.date | None] = declare("date", Date, Computed("ends_on - coalesce(notice_days, 0)", persisted=True),
                                                label="Give notice by", editable=False)  # fmt: skip
    remind_days: Mapped[int] = integer_field(minimum=0, maximum=3650, label="Remind before (days)",
                                             column={"server_default": text("60")})  # fmt: skip
    terminated_on: Mapped[dt.date | None] = date_field(editable=False, label="Terminated")
    termination_reason: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, editable=False)

    party: Mapped[Party] = relationship(
        foreign_keys=party_id, backref=backref("contracts", order_by="Contract.id.desc()")
    )
    other_party: Mapped[Party | None] = relationship(foreign_keys=other_party_id)
    contact: Mapped[Contact | None] = relationship()
    responsible: Mapped[User | None] = relationship()
    obligations: Mapped[list[ContractObligation]] = relationship(
        back_populates="contract", order_by="ContractObligation.due_on, ContractObligation.id"
    )

    __table_args__ = (
        in_order("starts_on", "ends_on"), with_currency("value"),
        CheckConstraint("party_id <> other_party_id", name="other_party_id_itself"),
        CheckConstraint("(state = 'terminated') = (terminated_on IS NOT NULL)", name="terminated_on_state"),
        CheckConstraint("terminated_on IS NULL OR termination_reason IS NOT NULL", name="termination_reason_there"),
        Index("ix_contract_notice", "notice_by", "id", postgresql_where=text("state = 'active'")),
        Index("ix_contract_ends", "ends_on", "id", postgresql_where=text("state = 'active'")),
    )  # fmt: skip


class ContractObligation(Entity):
    """Something that a contract asks of us or of them, until a day."""

    about = About(
        area="Partners", icon="list-checks", title="subject", label="Obligation", label_plural="Obligations",
        columns=("subject", "contract", "side", "state", "due_on", "amount", "responsible"), search=("subject",),
        filters=("contract", "side", "state", "due_on", "recurrence", "responsible", "created_at"),
        sort=("created_at",), within=("contract", "party", "owner"), also_within=("responsible",),
        brings=("contract",),
        sections=(Section("Obligation", ("contract", "subject", "side", "due_on", "recurrence", "amount", "currency",
                                         "responsible", "details")),),
        detail=(Section("Obligation", ("contract", "subject", "side", "state", "due_on", "recurrence", "amount", "currency",
                                       "responsible", "details", "settled_on", "outcome")),),
        help="What contracts ask of us and of them.",
    )  # fmt: skip

    contract_id: Mapped[int] = reference_field("contract", table="contract", required=True)
    subject: Mapped[str] = text_field(required=True, label="What is owed")
    side: Mapped[ObligationSide] = choice_field(ObligationSide, required=True, label="Whose")
    state: Mapped[ObligationState] = choice_field(ObligationState, editable=False, column={"server_default": "open"})
    due_on: Mapped[dt.date | None] = date_field(label="Due")
    recurrence: Mapped[Recurrence] = choice_field(Recurrence, column={"server_default": "once"})
    amount: Mapped[Decimal | None] = money_field(minimum=0)
    currency: Mapped[str | None] = currency_field()
    responsible_id: Mapped[int | None] = reference_field("user", table="app_user")
    details: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    settled_on: Mapped[dt.date | None] = date_field(editable=False, label="Settled")
    outcome: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, editable=False)
    contract: Mapped[Contract] = relationship(back_populates="obligations")
    responsible: Mapped[User | None] = relationship()

    __table_args__ = (
        with_currency("amount"),
        CheckConstraint("(state = 'open') = (settled_on IS NULL)", name="settled_on_state"),
        Index("ix_contract_obligation_open", "due_on", "id", postgresql_where=text("state = 'open'")),
    )  # fmt: skip
