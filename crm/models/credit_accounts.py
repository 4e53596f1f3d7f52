"""Credit accounts of customers, the holds on them, and who may decide up to which amount."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Index, ScalarSelect, case, func, or_, select, text
from sqlalchemy.orm import InstrumentedAttribute, Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    FieldClass,
    choice_field,
    code_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, rule
from crm.core.triggers import Trigger
from crm.models.access import Role, User
from crm.models.credit_choices import AccountState, HoldScope, HoldSource, PaymentTerms
from crm.models.credit_policy import ABOVE, OVERDUE
from crm.models.parties import Party


class CreditAccount(Entity):
    """A customer's account of invoices and payments. Its limit is what the last decision says; amounts are in the company's
    currency."""

    about = About(
        area="Credit", icon="landmark", title="code",
        columns=("code", "party", "standing", "credit_limit", "used", "available", "overdue", "oldest_due_on", "terms",
                 "next_review_on"),
        search=("code",), sort=("created_at", "credit_limit", "outstanding"),
        filters=("party", "state", "standing", "terms", "credit_limit", "outstanding", "used", "available", "overdue", "oldest_due_on",
                 "reminder", "late", "reminded_on", "last_review_on", "next_review_on", "approved_on", "approved_by", "created_at"),
        within=("party", "owner"), related=("invoices", "payments", "requests", "holds", "reminders"),
        unfolds=("standing", "standing_reason", "credit_limit", "used", "available", "outstanding", "overdue", "oldest_due_on", "terms",
                 "last_review_on"),
        sections=(
            Section("Account", ("party", "terms", "special_conditions")),
            Section("Review", ("last_review_on", "next_review_on", "review_months")),
        ),
        detail=(
            Section("Account", ("code", "party", "state", "standing", "standing_reason", "terms", "special_conditions")),
            Section("Limit", ("credit_limit", "approved_on", "approved_by", "used", "available")),
            Section("Owed", ("outstanding", "open_invoices", "overdue", "oldest_due_on", "unallocated", "last_paid_on")),
            Section("Reminders", ("late", "reminder", "reminded_on")),
            Section("Review", ("last_review_on", "next_review_on", "review_months")),
        ),
        help="Limit, terms and what is owed. The limit is changed by a request that somebody else approves.",
    )  # fmt: skip

    code: Mapped[str] = code_field("CA")
    party_id: Mapped[int] = reference_field("customer", table="party", required=True, label="Customer")
    state: Mapped[AccountState] = choice_field(
        AccountState, editable=False, label="Account is", column={"server_default": "open"}
    )
    terms: Mapped[PaymentTerms] = choice_field(PaymentTerms, label="Credit terms", column={"server_default": "net_30"})
    special_conditions: Mapped[str | None] = long_text_field(field_class=FieldClass.FINANCIAL)
    last_review_on: Mapped[dt.date | None] = date_field(label="Last review")
    next_review_on: Mapped[dt.date | None] = date_field(label="Next review", column={"index": True})
    review_months: Mapped[int | None] = integer_field(minimum=1, maximum=60, label="Review every (months)")
    party: Mapped[Party] = relationship(lazy="selectin",
        backref=backref("credit_accounts", order_by="CreditAccount.id", passive_deletes="all"))  # fmt: skip

    __table_args__ = (
        in_order("last_review_on", "next_review_on"),
        Index("uq_credit_account_party", "party_id", unique=True, postgresql_where=text("state = 'open'")),
    )


class CreditHold(Entity):
    """Stops new orders or deliveries of an account until it is released, or its day has come."""

    only_changes = ("released_at", "released_by_id", "release_reason")
    about = About(
        area="Credit", icon="octagon-alert", title="reason",
        columns=("account", "scope", "source", "reason", "created_at", "until", "released_at", "by"),
        filters=("account", "scope", "source", "until", "released_at", "by", "created_at"), sort=("created_at",),
        within=("account", "party", "owner"), create=False, edit=False,
        detail=(Section("Hold", ("account", "scope", "source", "rule", "reason", "by", "created_at", "until")),
                Section("Release", ("released_at", "released_by", "release_reason"))),
        help="Accounts that get nothing more on credit for the time being.",
    )  # fmt: skip

    account_id: Mapped[int] = reference_field("credit_account", table="credit_account", editable=False)
    scope: Mapped[HoldScope] = choice_field(HoldScope, editable=False, column={"server_default": "all"})
    source: Mapped[HoldSource] = choice_field(
        HoldSource, editable=False, label="Placed", column={"server_default": "hand"}
    )
    rule: Mapped[str | None] = text_field(editable=False, label="Rule that fired")
    reason: Mapped[str] = long_text_field(editable=False, field_class=FieldClass.FINANCIAL)
    until: Mapped[dt.date | None] = date_field(editable=False, help="Empty: until released")
    by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    released_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Released")
    released_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    release_reason: Mapped[str | None] = long_text_field(
        editable=False, field_class=FieldClass.FINANCIAL, label="Why released"
    )
    account: Mapped[CreditAccount] = relationship(lazy="selectin",
        backref=backref("holds", order_by="CreditHold.id.desc()", passive_deletes="all"))  # fmt: skip
    by: Mapped[User | None] = relationship(foreign_keys=by_id)
    released_by: Mapped[User | None] = relationship(foreign_keys=released_by_id)

    __table_args__ = (
        Index("ix_credit_hold_active", "account_id", postgresql_where=text("released_at IS NULL")),
        # A rule holds an account once, whoever asks it at the same time.
        Index("uq_credit_hold_by_rule", "account_id", "rule", unique=True, postgresql_where=text(
            f"released_at IS NULL AND rule IN ('{OVERDUE}', '{ABOVE}')")),
    )  # fmt: skip

    # A payment, an invoice or another limit has the rules asked again at once; the calendar does so by the scheduler.
    triggers = (
        Trigger("credit_hold_rules", "AFTER UPDATE", on="credit_account_figures", each="ROW",
                only="(NEW.oldest_due_on, NEW.outstanding, NEW.credit_limit) IS DISTINCT FROM "
                     "(OLD.oldest_due_on, OLD.outstanding, OLD.credit_limit)",
                body="\nBEGIN\n  PERFORM credit_hold_by_rule(NEW.id);\n  RETURN NULL;\nEND"),
    )  # fmt: skip


ON_HOLD = "The account is on hold"


def why_held(account: ColumnElement[int] | InstrumentedAttribute[int], *scopes: HoldScope) -> ScalarSelect[Any]:
    """Why an account is held today in one of these scopes, or in any; null where it isn't. A rule tells which one it is."""
    holds = (CreditHold.account_id == account, CreditHold.released_at.is_(None),
             or_(CreditHold.until.is_(None), CreditHold.until >= func.current_date()))  # fmt: skip
    return (
        select(case((CreditHold.rule.in_([OVERDUE, ABOVE]), CreditHold.reason), else_=ON_HOLD))
        .where(*holds, *([CreditHold.scope.in_(scopes)] if scopes else []))
        .order_by(CreditHold.source, CreditHold.id).limit(1).scalar_subquery()
    )  # fmt: skip


class ApprovalBand(Entity):
    """Up to which limit the people of a role decide, alone or as one of two."""

    about = About(
        area="Credit", icon="scale", title="called", columns=("role", "alone_up_to", "up_to", "notes"), filters=("role", "alone_up_to", "up_to", "notes"),
        sort=("alone_up_to",), delete=True,
        sections=(Section("Band", ("role", "alone_up_to", "up_to", "notes"),
                          "In the company's currency. Above the first amount a second approver is needed, above the second "
                          "one this role doesn't decide."),),
        help="Who approves credit limits up to which amount. Without a band a role approves none.",
    )  # fmt: skip

    role_id: Mapped[int] = reference_field(
        "role", table="role", on_delete="CASCADE", required=True, column={"unique": True}
    )
    alone_up_to: Mapped[Decimal] = money_field(required=True, minimum=0, label="Alone up to")
    up_to: Mapped[Decimal | None] = money_field(minimum=0, label="As one of two up to", help="Empty: any amount")
    notes: Mapped[str | None] = long_text_field()
    role: Mapped[Role] = relationship(lazy="selectin")

    __table_args__ = (rule("up_to", "alone_up_to <= up_to", "is less than what one decides alone", name="order"),)

    @property
    def called(self) -> str:
        return f"Band of {self.role.label}"
