"""That an approver lets another one decide in his place for some days; the database keeps four eyes over all of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Field,
    FieldClass,
    date_field,
    datetime_field,
    long_text_field,
    money_field,
    reference_field,
)
from crm.core.rules import in_order, rule
from crm.core.triggers import Trigger
from crm.models.access import User


class CreditDelegation(Entity):
    """An approver's authority in the hands of another one. It is what the approver has by his own roles, never more than
    that, and never what others handed to him."""

    only_changes = ("revoked_at", "revoked_by_id")
    about = About(
        area="Credit", icon="handshake", title="words",
        columns=("delegator", "delegate", "starts_on", "ends_on", "up_to", "revoked_at", "created_at"),
        filters=("delegator", "delegate", "starts_on", "ends_on", "up_to", "revoked_at", "revoked_by", "created_at"), sort=("created_at",),
        within=("delegator",), create=False, edit=False, importable=False,
        detail=(Section("Delegation", ("delegator", "delegate", "starts_on", "ends_on", "up_to", "reason", "created_at")),
                Section("Revoked", ("revoked_at", "revoked_by"))),
        help="Who decides on credit for whom, and until when. Hand yours over at the approver’s desk.",
    )  # fmt: skip

    delegator_id: Mapped[int] = reference_field("user", table="app_user", editable=False, label="Of")
    delegate_id: Mapped[int] = reference_field("user", table="app_user", editable=False, label="Decided by")
    starts_on: Mapped[dt.date] = date_field(editable=False, label="From")
    ends_on: Mapped[dt.date] = date_field(editable=False, label="Until", help="The last day")
    up_to: Mapped[Decimal | None] = money_field(
        editable=False, minimum=0, label="Up to", help="Empty: as far as the approver himself may"
    )
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.FINANCIAL)
    revoked_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Revoked")
    revoked_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    derived = {"words": Field(kind="text", label="Delegation", field_class=FieldClass.PERSONAL)}
    delegator: Mapped[User] = relationship(foreign_keys=delegator_id, lazy="selectin")
    delegate: Mapped[User] = relationship(foreign_keys=delegate_id, lazy="selectin")
    revoked_by: Mapped[User | None] = relationship(foreign_keys=revoked_by_id)

    __table_args__ = (
        in_order("starts_on", "ends_on"),
        rule("delegate", "delegate_id <> delegator_id", "is the approver himself"),
        rule("revoked_by", "(revoked_by_id IS NULL) = (revoked_at IS NULL)", "goes with when it was revoked"),
        Index("ix_credit_delegation_open", "delegate_id", "ends_on", postgresql_where=text("revoked_at IS NULL")),
    )

    # Who decides for somebody has it from him, today; and nobody stands behind both decisions of a request, himself or by
    # another one. Both are held meanwhile: what is revoked just now no longer counts.
    triggers = (
        Trigger("credit_decision_eyes", "AFTER INSERT", on="credit_decision", each="ROW",
                only="NEW.step > 1 OR NEW.on_behalf_of_id IS NOT NULL", body="""
BEGIN
  PERFORM FROM credit_request q WHERE q.id = NEW.request_id FOR NO KEY UPDATE;
  IF EXISTS (SELECT FROM credit_decision d WHERE d.request_id = NEW.request_id AND d.id <> NEW.id
             AND ARRAY[d.decided_by_id, d.on_behalf_of_id] && ARRAY_REMOVE(ARRAY[NEW.decided_by_id, NEW.on_behalf_of_id], NULL)) THEN
    RAISE EXCEPTION 'has approved it already: another approver must decide'
      USING ERRCODE = 'check_violation', COLUMN = 'decided_by', TABLE = 'credit_decision';
  END IF;
  IF NEW.on_behalf_of_id IS NOT NULL THEN
    PERFORM FROM credit_delegation g WHERE g.delegator_id = NEW.on_behalf_of_id AND g.delegate_id = NEW.decided_by_id
      AND g.revoked_at IS NULL AND CURRENT_DATE BETWEEN g.starts_on AND g.ends_on
      AND (g.up_to IS NULL OR NEW.credit_limit IS NULL OR NEW.credit_limit <= g.up_to) FOR SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'has not handed that over'
        USING ERRCODE = 'check_violation', COLUMN = 'on_behalf_of', TABLE = 'credit_decision';
    END IF;
  END IF;
  RETURN NULL;
END"""),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.delegate.name} for {self.delegator.name}"
