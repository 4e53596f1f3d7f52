"""Invoices, what settles them, and what of which settles what. All hang on the credit account and stay as entered."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import FetchedValue, Index, func
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Field,
    FieldClass,
    choice_field,
    code_field,
    currency_field,
    date_field,
    decimal_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.ledgers import Ledger
from crm.core.rules import fits_currency, in_order, rule
from crm.core.triggers import Trigger
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import PaymentKind
from crm.models.party_choices import PaymentMethod
from crm.models.products import EXCHANGE_RATE, rate_of_the_day
from crm.models.sales_orders import Order

MONEY = Ledger(
    accounts="credit_account", entries="payment", lots="invoice", allocations="payment_allocation", amount="amount",
    entry="payment_id", lot="invoice_id", prefers="invoice_id", left="open_invoice", may="l.currency = NEW.currency",
    order="l.due_on, l.id", same="currency",
)  # fmt: skip


class Invoice(Entity):
    """What a customer owes for something, and until when. A wrong one is put right by a credit note."""

    only_changes = ("due_on", "remarks")
    about = About(
        area="Credit", icon="receipt-text", title="number",
        columns=("number", "account", "customer", "issued_on", "due_on", "amount", "open_amount", "currency", "settlement", "ageing"),
        search=("number", "code"), sort=("due_on", "issued_on", "created_at"),
        filters=("account", "order", "number", "issued_on", "due_on", "amount", "currency", "open_amount", "settlement", "ageing",
                 "settled_on", "created_at"),
        within=("account", "party", "owner"), edit=False, related=("allocations",),
        sections=(Section("Invoice", ("account", "number", "order", "issued_on", "due_on", "amount", "currency", "exchange_rate",
                                      "remarks")),),
        detail=(Section("Invoice", ("code", "number", "account", "customer", "order", "issued_on", "due_on", "remarks")),
                Section("Amounts", ("amount", "currency", "exchange_rate", "open_amount", "settlement", "settled_on", "ageing"))),
        help="What customers owe, with due dates. Payments settle the oldest first.",
    )  # fmt: skip

    code: Mapped[str] = code_field("I")
    account_id: Mapped[int] = reference_field(
        "credit_account", table="credit_account", required=True, label="Credit account"
    )
    number: Mapped[str] = text_field(max_length=64, required=True, label="Invoice number", column={"unique": True},
                                     synonyms=("invoice no", "invoice id"))  # fmt: skip
    order_id: Mapped[int | None] = reference_field("order", table="sales_order")
    issued_on: Mapped[dt.date] = date_field(
        label="Issued", column={"server_default": func.current_date()}, synonyms=("invoice date",)
    )
    due_on: Mapped[dt.date] = date_field(label="Due", help="Empty: as the account's terms say", column={"server_default": FetchedValue()},
                                         synonyms=("due date",))  # fmt: skip
    amount: Mapped[Decimal] = money_field(required=True, label="Amount due", synonyms=("total", "invoice amount"))
    currency: Mapped[str] = currency_field(required=True)
    exchange_rate: Mapped[Decimal] = decimal_field(**EXCHANGE_RATE)
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.FINANCIAL)
    derived = {"customer": Field(kind="text", field_class=FieldClass.PERSONAL)}
    account: Mapped[CreditAccount] = relationship(lazy="selectin",
        backref=backref("invoices", order_by="Invoice.due_on.desc()", passive_deletes="all"))  # fmt: skip
    order: Mapped[Order | None] = relationship()
    allocations: Mapped[list[PaymentAllocation]] = relationship(
        back_populates="invoice", order_by="PaymentAllocation.id", passive_deletes="all"
    )

    __table_args__ = (
        in_order("issued_on", "due_on"),
        rule("amount", "amount > 0", "must be more than 0"),
        fits_currency("amount"),
        rule("exchange_rate", "exchange_rate > 0", "must be more than 0"),
        Index("ix_invoice_lots", "account_id", "due_on", "id"),
    )

    triggers = (
        rate_of_the_day("invoice", "NEW.issued_on"),
        Trigger("invoice_due_on", "BEFORE INSERT", each="ROW", body="""
BEGIN
  NEW.due_on := coalesce(NEW.due_on, NEW.issued_on + (SELECT split_part(a.terms, '_', 2)::int FROM credit_account a
                                                       WHERE a.id = NEW.account_id));
  RETURN NEW;
END"""),
    )  # fmt: skip

    @property
    def customer(self) -> str:
        return self.account.party.name


class Payment(Entity):
    """What settles invoices: money, a credit note or a write-off. It goes to the oldest unless it names one; what is over
    stays as credit."""

    only_changes = ("remarks",)
    about = About(
        area="Credit", icon="banknote", label_plural="Payments and credit notes", title="code",
        columns=("code", "account", "customer", "kind", "paid_on", "amount", "left_amount", "currency", "method", "reference"),
        search=("code", "reference"), sort=("paid_on", "created_at"),
        filters=("account", "kind", "paid_on", "amount", "left_amount", "currency", "method", "reference", "invoice", "by", "created_at"),
        within=("account", "party", "owner"), edit=False, related=("allocations",),
        sections=(Section("Payment", ("account", "kind", "paid_on", "amount", "currency", "exchange_rate", "method", "reference",
                                      "invoice", "remarks")),),
        detail=(Section("Payment", ("code", "account", "customer", "kind", "paid_on", "amount", "left_amount", "currency",
                                    "exchange_rate", "method", "reference", "invoice", "reverses", "remarks", "by", "created_at")),),
        help="What came in, and what was credited or written off.",
    )  # fmt: skip

    code: Mapped[str] = code_field("PY")
    account_id: Mapped[int] = reference_field(
        "credit_account", table="credit_account", required=True, label="Credit account"
    )
    kind: Mapped[PaymentKind] = choice_field(PaymentKind, column={"server_default": "payment"})
    paid_on: Mapped[dt.date] = date_field(label="Received", column={"server_default": func.current_date()},
                                          synonyms=("payment date", "date"))  # fmt: skip
    amount: Mapped[Decimal] = money_field(required=True, synonyms=("paid",))
    currency: Mapped[str] = currency_field(required=True)
    exchange_rate: Mapped[Decimal] = decimal_field(**EXCHANGE_RATE)
    method: Mapped[PaymentMethod | None] = choice_field(PaymentMethod)
    reference: Mapped[str | None] = text_field(max_length=120, column={"unique": True}, field_class=FieldClass.FINANCIAL,
        help="The bank's; unique if given, so that nothing is entered twice")  # fmt: skip
    invoice_id: Mapped[int | None] = reference_field("invoice", table="invoice", label="For invoice",
                                                     help="Empty: the oldest first")  # fmt: skip
    reverses_id: Mapped[int | None] = reference_field("payment", table="payment", editable=False, label="Takes back",
                                                      column={"unique": True})  # fmt: skip
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.FINANCIAL)
    by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="Entered by")
    derived = {"customer": Field(kind="text", field_class=FieldClass.PERSONAL)}
    account: Mapped[CreditAccount] = relationship(lazy="selectin",
        backref=backref("payments", order_by="Payment.paid_on.desc()", passive_deletes="all"))  # fmt: skip
    invoice: Mapped[Invoice | None] = relationship()
    reverses: Mapped[Payment | None] = relationship(remote_side="Payment.id")
    by: Mapped[User | None] = relationship()
    allocations: Mapped[list[PaymentAllocation]] = relationship(
        back_populates="payment", order_by="PaymentAllocation.id", passive_deletes="all"
    )

    __table_args__ = (
        rule("amount", "CASE WHEN kind = 'taken_back' THEN amount < 0 ELSE amount > 0 END", "must be more than 0"),
        rule(
            "kind",
            "(kind = 'taken_back') = (reverses_id IS NOT NULL)",
            "is entered by taking a payment back",
            name="reverses",
        ),
        fits_currency("amount"),
        rule("exchange_rate", "exchange_rate > 0", "must be more than 0"),
    )

    triggers = (
        rate_of_the_day("payment", "NEW.paid_on"),
        Trigger("payment_by", "BEFORE INSERT", each="ROW", body="""
BEGIN
  NEW.by_id := coalesce(NEW.by_id, nullif(current_setting('crm.actor', true), '')::bigint);
  IF NEW.invoice_id IS NOT NULL AND NOT EXISTS (SELECT FROM invoice i WHERE i.id = NEW.invoice_id
     AND i.account_id = NEW.account_id AND i.currency = NEW.currency) THEN
    RAISE EXCEPTION 'is of another account or currency'
      USING ERRCODE = 'check_violation', COLUMN = 'invoice', TABLE = 'payment';
  END IF;
  RETURN NEW;
END"""),
        *MONEY.triggers(),
    )  # fmt: skip

    @property
    def customer(self) -> str:
        return self.account.party.name


class PaymentAllocation(Entity):
    """How much of a payment settles which invoice; what was taken back stands as less than nothing."""

    only_changes = ()
    about = About(
        area="Credit", icon="split", title="words", columns=("invoice", "payment", "amount", "created_at"),
        filters=("invoice", "payment", "amount", "created_at"), sort=("created_at",),
        within=("invoice", "account", "party", "owner"), create=False, edit=False, audited=False,
        detail=(Section("Allocation", ("invoice", "payment", "amount", "created_at")),),
        help="Which payment settled which invoice.",
    )  # fmt: skip

    payment_id: Mapped[int] = reference_field("payment", table="payment", editable=False)
    invoice_id: Mapped[int] = reference_field("invoice", table="invoice", editable=False)
    amount: Mapped[Decimal] = money_field(editable=False)
    derived = {"words": Field(kind="text", label="Allocation")}
    payment: Mapped[Payment] = relationship(back_populates="allocations")
    invoice: Mapped[Invoice] = relationship(back_populates="allocations", lazy="selectin")

    __table_args__ = (rule("amount", "amount <> 0", "must not be 0"),)

    @property
    def words(self) -> str:
        return f"{self.amount:,.2f} for {self.invoice.number}"
