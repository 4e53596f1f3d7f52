"""What each order earns in a program, and what of that was entered. A note says which orders have to be looked at again."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import BigInteger, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import Field, FieldClass, decimal_field, integer_field, money_field, reference_field, text_field
from crm.core.tables import Model
from crm.core.triggers import Trigger
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTerms
from crm.models.sales_orders import Order


class LoyaltyNote(Model):
    """That an order of a member changed. Many notes may name one order: writing one down never waits for anybody."""

    __tablename__ = "loyalty_note"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(BigInteger)


class OrderEarning(Entity):
    """What an order earns by the terms and the tier of its day. More than was entered is entered; what was entered too much
    is taken back, as far as there are points."""

    about = About(
        area="Loyalty", icon="percent", label="Earning of an order", label_plural="Earnings of orders",
        plural="order-earnings", title="words",
        columns=("words", "account", "customer", "program", "order", "amount", "points", "entered", "why", "updated_at"),
        filters=("account", "program", "order", "points", "entered", "amount", "why", "created_at"), sort=("created_at",),
        within=("account", "party", "owner"), create=False, edit=False, importable=False, audited=False,
        detail=(Section("Order", ("account", "customer", "program", "order", "amount", "why")),
                Section("Points", ("terms", "times", "points", "entered", "lapsed", "owed")),
                Section("Cashback", ("cashback", "cashback_entered"))),
        help="What each order of a member earns, and why it earns nothing.",
    )  # fmt: skip

    order_id: Mapped[int] = reference_field("order", table="sales_order", editable=False)
    program_id: Mapped[int] = reference_field("loyalty_program", table="loyalty_program", editable=False)
    account_id: Mapped[int] = reference_field(
        "loyalty_account", table="loyalty_account", editable=False, label="Membership"
    )
    terms_id: Mapped[int | None] = reference_field("loyalty_terms", table="loyalty_terms", editable=False)
    why: Mapped[str | None] = text_field(editable=False, label="Earns nothing because")
    times: Mapped[Decimal] = decimal_field(editable=False, label="Points times", help="Of the tier at that time",
                                           column={"server_default": text("1")})  # fmt: skip
    amount: Mapped[Decimal] = money_field(editable=False, label="Amount that counts",
                                          help="Without refunds and what nothing is earned for, in the program's currency")  # fmt: skip
    points: Mapped[int] = integer_field(editable=False)
    entered: Mapped[int] = integer_field(editable=False, label="Points entered", column={"server_default": text("0")})
    lapsed: Mapped[int] = integer_field(editable=False, label="Expired since", column={"server_default": text("0")},
                                        help="Of points that don't count any more: nothing else is taken for them")  # fmt: skip
    cashback: Mapped[Decimal] = money_field(editable=False)
    cashback_entered: Mapped[Decimal] = money_field(editable=False, column={"server_default": text("0")})
    # How many entries there are already, which makes the key of the next one.
    entries: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    derived = {
        "words": Field(kind="text", label="Earning"),
        "owed": Field(kind="integer", label="Points to be taken back", help="From the next points that come"),
        "customer": Field(kind="text", field_class=FieldClass.PERSONAL),
    }
    order: Mapped[Order] = relationship(lazy="selectin",
        backref=backref("earnings", order_by="OrderEarning.id.desc()", passive_deletes="all"))  # fmt: skip
    program: Mapped[LoyaltyProgram] = relationship(lazy="selectin")
    account: Mapped[LoyaltyAccount] = relationship(lazy="selectin",
        backref=backref("earnings", order_by="OrderEarning.id.desc()", passive_deletes="all"))  # fmt: skip
    terms: Mapped[LoyaltyTerms | None] = relationship()

    __table_args__ = (
        UniqueConstraint("order_id", "program_id"),
        Index("ix_order_earning_owed", "account_id",
              postgresql_where=text("entered > points + lapsed OR cashback_entered > cashback")),
    )  # fmt: skip

    # Figures of orders change at the end of every transaction that touches them, whoever wrote.
    triggers = (
        Trigger("loyalty_note_order", "AFTER INSERT OR UPDATE", on="order_figures", each="ROW", body="""
BEGIN
  INSERT INTO loyalty_note (order_id) SELECT NEW.id WHERE EXISTS (
    SELECT FROM loyalty_account a WHERE a.party_id = NEW.customer_id AND a.state <> 'ended')
    OR EXISTS (SELECT FROM order_earning e WHERE e.order_id = NEW.id);
  RETURN NULL;
END"""),
        Trigger("loyalty_note_invoice", "AFTER INSERT OR UPDATE OF open_amount", on="invoice_figures", each="ROW", body="""
BEGIN
  INSERT INTO loyalty_note (order_id) SELECT i.order_id FROM invoice i WHERE i.id = NEW.id AND i.order_id IS NOT NULL
    AND EXISTS (SELECT FROM loyalty_terms t WHERE t.earns_when = 'paid');
  RETURN NULL;
END"""),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.points:,} for {self.order.code}"

    @property
    def customer(self) -> str:
        return self.account.party.name

    @property
    def owed(self) -> int:
        return max(self.entered - self.points - self.lapsed, 0)
