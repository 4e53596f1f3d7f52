"""Requests for a credit limit and what was decided on them: rows that are entered and stay."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    code_field,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
)  # fmt: skip
from crm.core.rules import rule
from crm.core.triggers import Trigger
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import PaymentTerms, RequestStatus, Verdict


class CreditRequest(Entity):
    """Somebody asks for a new limit of an account; others decide, never the one who asked."""

    only_changes = ("status",)
    about = About(
        area="Credit", icon="clipboard-check", title="code",
        columns=("code", "account", "customer", "amount", "limit_then", "exposure_then", "status", "requested_by", "created_at"),
        search=("code",), sort=("amount", "created_at"),
        filters=("account", "status", "amount", "limit_then", "exposure_then", "requested_by", "created_at"),
        within=("account", "party", "owner"), edit=False, importable=False, related=("decisions",),
        sections=(Section("Request", ("account", "amount", "terms", "reason"), "Somebody else will decide."),),
        detail=(Section("Request", ("code", "account", "customer", "amount", "terms", "reason", "status", "requested_by", "created_at")),
                Section("When it was asked", ("limit_then", "exposure_then", "oldest_overdue_then"))),
        help="Asked for and decided by different people. Every request and decision stays.",
    )  # fmt: skip

    code: Mapped[str] = code_field("CR")
    account_id: Mapped[int] = reference_field(
        "credit_account", table="credit_account", required=True, label="Credit account"
    )
    amount: Mapped[Decimal] = money_field(
        required=True, minimum=0, label="Limit asked for", help="In the company's currency"
    )
    terms: Mapped[PaymentTerms | None] = choice_field(PaymentTerms, help="Empty: as they are")
    reason: Mapped[str | None] = long_text_field(field_class=FieldClass.FINANCIAL)
    requested_by_id: Mapped[int] = reference_field("user", table="app_user", editable=False)
    status: Mapped[RequestStatus] = choice_field(RequestStatus, editable=False, column={"server_default": "pending"})
    limit_then: Mapped[Decimal] = money_field(editable=False, label="Limit", column={"server_default": text("0")})
    exposure_then: Mapped[Decimal] = money_field(editable=False, label="Used", column={"server_default": text("0")})
    oldest_overdue_then: Mapped[int] = integer_field(editable=False, label="Oldest overdue (days)",
                                                     column={"server_default": text("0")})  # fmt: skip
    derived = {"customer": Field(kind="text", field_class=FieldClass.PERSONAL)}
    account: Mapped[CreditAccount] = relationship(lazy="selectin",
        backref=backref("requests", order_by="CreditRequest.id.desc()", passive_deletes="all"))  # fmt: skip
    requested_by: Mapped[User] = relationship(lazy="selectin")
    decisions: Mapped[list[CreditDecision]] = relationship(
        back_populates="request", primaryjoin="CreditRequest.id == foreign(CreditDecision.request_id)",
        order_by="CreditDecision.step", passive_deletes="all")  # fmt: skip

    __table_args__ = (
        UniqueConstraint("id", "account_id", "requested_by_id"),
        Index("ix_credit_request_pending", "created_at", "id", postgresql_where=text("status = 'pending'")),
    )

    # Who asks is who acts; how the account stands then is kept, so that approvers see what has changed since.
    triggers = (
        Trigger("credit_request_then", "BEFORE INSERT", each="ROW", body="""
BEGIN
  NEW.requested_by_id := coalesce(NEW.requested_by_id, nullif(current_setting('crm.actor', true), '')::bigint);
  SELECT f.credit_limit, credit_used(f.id), greatest(CURRENT_DATE - f.oldest_due_on, 0)
    INTO NEW.limit_then, NEW.exposure_then, NEW.oldest_overdue_then
    FROM credit_account_figures f WHERE f.id = NEW.account_id;
  NEW.limit_then := coalesce(NEW.limit_then, 0);
  NEW.exposure_then := coalesce(NEW.exposure_then, 0);
  NEW.oldest_overdue_then := coalesce(NEW.oldest_overdue_then, 0);
  RETURN NEW;
END"""),
    )  # fmt: skip

    @property
    def customer(self) -> str:
        return self.account.party.name


class CreditDecision(Entity):
    """What one approver said to a request. The final approval is the limit."""

    only_changes = ()
    about = About(
        area="Credit", icon="badge-check", title="words",
        columns=("request", "words", "verdict", "credit_limit", "step", "final", "decided_by", "on_behalf_of", "created_at"),
        filters=("request", "account", "verdict", "credit_limit", "step", "final", "decided_by", "on_behalf_of", "created_at"),
        sort=("created_at",), within=("account", "party", "owner"), create=False, edit=False, audited=False,
        detail=(Section("Decision", ("request", "account", "verdict", "credit_limit", "terms", "reason", "step", "final", "decided_by",
                                     "on_behalf_of", "created_at")),),
        help="Every approval and refusal, with who and why.",
    )  # fmt: skip

    request_id: Mapped[int] = mapped_column(
        BigInteger, nullable=False, info={"field": Field(kind="reference", refers_to="credit_request", editable=False)}
    )
    account_id: Mapped[int] = reference_field(
        "credit_account", table="credit_account", editable=False, label="Credit account"
    )
    requested_by_id: Mapped[int] = reference_field("user", table="app_user", editable=False)
    step: Mapped[int] = integer_field(editable=False, minimum=1, maximum=2)
    verdict: Mapped[Verdict] = choice_field(Verdict, editable=False, label="Decision")
    final: Mapped[bool] = boolean_field(editable=False, help="No other approver is needed")
    credit_limit: Mapped[Decimal | None] = money_field(editable=False, minimum=0, label="Limit")
    terms: Mapped[PaymentTerms | None] = choice_field(PaymentTerms, editable=False)
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.FINANCIAL)
    decided_by_id: Mapped[int] = reference_field("user", table="app_user", editable=False)
    on_behalf_of_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    derived = {"words": Field(kind="text", label="Said")}
    request: Mapped[CreditRequest] = relationship(
        back_populates="decisions", primaryjoin="CreditRequest.id == foreign(CreditDecision.request_id)"
    )
    account: Mapped[CreditAccount] = relationship(foreign_keys=account_id)
    requested_by: Mapped[User] = relationship(foreign_keys=requested_by_id)
    decided_by: Mapped[User] = relationship(foreign_keys=decided_by_id, lazy="selectin")
    on_behalf_of: Mapped[User | None] = relationship(foreign_keys=on_behalf_of_id, lazy="selectin")

    __table_args__ = (
        ForeignKeyConstraint(["request_id", "account_id", "requested_by_id"],
                             ["credit_request.id", "credit_request.account_id", "credit_request.requested_by_id"]),
        UniqueConstraint("request_id", "step"),
        UniqueConstraint("request_id", "decided_by_id"),
        # By whose authority: one person's counts once, whoever uses it.
        Index("uq_credit_decision_authority", "request_id", text("coalesce(on_behalf_of_id, decided_by_id)"), unique=True),
        rule("on_behalf_of", "on_behalf_of_id <> decided_by_id", "is who decides", name="other"),
        rule("decided_by", "decided_by_id <> requested_by_id", "asked for it: another approver must decide"),
        rule("on_behalf_of", "on_behalf_of_id <> requested_by_id", "asked for it: another approver must decide"),
        rule("credit_limit", "(verdict = 'approved') = (credit_limit IS NOT NULL)", "belongs to an approval, and only there"),
        rule("final", "final OR (verdict = 'approved' AND step = 1)", "is left to a second approver only after an approval"),
        Index("ix_credit_decision_limits", "account_id", "id", postgresql_where=text("final AND verdict = 'approved'")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        behalf = f" for {self.on_behalf_of.name}" if self.on_behalf_of else ""
        return f"{self.verdict.label} by {self.decided_by.name}{behalf}"
