"""Orders and what was bought with them, and what came back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    choice_field,
    code_field,
    currency_field,
    date_field,
    datetime_field,
    decimal_field,
    integer_field,
    long_text_field,
    money_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, rule
from crm.core.triggers import Trigger
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import DeliveryMethod, PaymentMethod
from crm.models.products import EXCHANGE_RATE, rate_of_the_day
from crm.models.sales_deals import Deal, Quote
from crm.models.sales_lines import WHAT, Line, line_rules
from crm.models.vehicles import SATISFACTION


class OrderState(Choice):
    PENDING = "pending", "Pending", "warning"
    COMPLETED = "completed", "Completed", "good"
    CANCELLED = "cancelled", "Cancelled", "neutral"
    RETURNED = "returned", "Returned", "bad"


class OrderCredit(Choice):
    """Whether a pending order fits into its customer's credit; see `credit_orders`."""

    ACCEPTED = "accepted", "Within the limit", "good"
    HELD = "held", "Held", "bad"
    RELEASED = "released", "Released", "warning"


class ReturnState(Choice):
    REQUESTED = "requested", "Requested", "warning"
    APPROVED = "approved", "Approved", "info"
    RECEIVED = "received", "Received", "info"
    REFUNDED = "refunded", "Refunded", "good"
    REFUSED = "refused", "Refused", "bad"


class LineReturn(Choice):
    """Where a bought thing stands on its way back; of an order line."""

    NONE = "none", "Not returned", "neutral"
    REQUESTED = "requested", "Return requested", "warning"
    APPROVED = "approved", "Return approved", "info"
    RECEIVED = "received", "Received back", "info"
    REFUNDED = "refunded", "Refunded", "good"
    REFUSED = "refused", "Return refused", "neutral"


class ReturnReason(Choice):
    DEFECT = "defect", "Defect"
    WRONG_ITEM = "wrong_item", "Wrong item"
    NOT_AS_DESCRIBED = "not_as_described", "Not as described"
    LATE = "late", "Came too late"
    CHANGED_MIND = "changed_mind", "Changed their mind"
    OTHER = "other", "Other"


class Order(Entity):
    """What a customer ordered at one time. Its total is the sum of its lines."""

    __tablename__ = "sales_order"
    about = About(
        area="Sales", icon="shopping-cart", title="code",
        columns=("code", "customer", "number", "invoice_number", "ordered_at", "state", "total", "currency", "credit", "payment_method", "owner"),
        search=("number", "invoice_number", "code"), sort=("ordered_at", "total", "created_at"),
        filters=("customer", "state", "credit", "ordered_at", "total", "refunded", "returns_count", "number", "invoice_number", "payment_method", "delivery_method", "currency",
                 "owner", "dealer", "deal", "quote", "due_on", "satisfaction", "created_at"),
        timeline=Moment("ordered_at", "owner", "customer"), within=("customer", "owner"), also_within=("owner",),
        related=("lines", "deliveries", "returns", "financings", "orientations"), brings=("customer",),
        sections=(Section("Order", ("customer", "number", "invoice_number", "ordered_at", "state", "owner", "dealer", "deal",
                                    "quote")),
                  Section("Payment and delivery", ("currency", "exchange_rate", "payment_method", "delivery_method", "due_on",
                                                   "shipped_on")),
                  Section("More", ("satisfaction", "remarks"))),
        detail=(Section("Order", ("code", "customer", "number", "invoice_number", "ordered_at", "state", "owner", "dealer",
                                  "deal", "quote")),
                Section("Sums", ("lines_count", "total", "currency", "returns_count", "refunded")),
                Section("Credit", ("credit", "credit_reason")),
                Section("Payment and delivery", ("exchange_rate", "payment_method", "delivery_method", "due_on",
                                                 "shipped_on")),
                Section("More", ("satisfaction", "remarks"))),
        help="What customers ordered. Purchases shows the same line by line.",
    )  # fmt: skip

    code: Mapped[str] = code_field("O")
    number: Mapped[str | None] = text_field(max_length=64, label="Order number", column={"unique": True},
        help="Unique if given", synonyms=("order id", "order no", "sales order number"))  # fmt: skip
    invoice_number: Mapped[str | None] = text_field(max_length=64, column={"index": True},
                                                    synonyms=("invoice id", "invoice", "invoice no"))  # fmt: skip
    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    owner_id: Mapped[int | None] = reference_field("user", table="app_user", label="Sales person")
    dealer_id: Mapped[int | None] = reference_field("partner", table="party", label="Dealer")
    deal_id: Mapped[int | None] = reference_field("deal", table="deal")
    quote_id: Mapped[int | None] = reference_field("quote", table="quote")
    ordered_at: Mapped[dt.datetime] = datetime_field(label="Ordered", column={"server_default": func.now()},
        synonyms=("order date", "purchase date", "invoice date", "order date key"))  # fmt: skip
    state: Mapped[OrderState] = choice_field(OrderState, label="Order status", column={"server_default": "pending"},
                                             synonyms=("status",))  # fmt: skip
    credit: Mapped[OrderCredit | None] = choice_field(OrderCredit, editable=False, label="Credit check",
                                                      help="Of customers with a credit account")  # fmt: skip
    credit_reason: Mapped[str | None] = text_field(
        editable=False, label="Held because", field_class=FieldClass.FINANCIAL
    )
    currency: Mapped[str] = currency_field(required=True)
    exchange_rate: Mapped[Decimal] = decimal_field(**EXCHANGE_RATE)
    payment_method: Mapped[PaymentMethod | None] = choice_field(PaymentMethod)
    delivery_method: Mapped[DeliveryMethod | None] = choice_field(DeliveryMethod, synonyms=("ship mode",))
    due_on: Mapped[dt.date | None] = date_field(label="Promised for", synonyms=("due date", "due date key"))
    shipped_on: Mapped[dt.date | None] = date_field(label="Shipped", synonyms=("ship date", "ship date key"))
    satisfaction: Mapped[int | None] = integer_field(**SATISFACTION)
    remarks: Mapped[str | None] = long_text_field(synonyms=("notes",))

    # Not joined: a row that is locked must not lock its customer.
    customer: Mapped[Party] = relationship(
        foreign_keys=customer_id, lazy="selectin",
        backref=backref("orders", order_by="Order.ordered_at.desc()", passive_deletes="all"))  # fmt: skip
    owner: Mapped[User | None] = relationship()
    dealer: Mapped[Party | None] = relationship(foreign_keys=dealer_id)
    deal: Mapped[Deal | None] = relationship()
    quote: Mapped[Quote | None] = relationship()
    lines: Mapped[list[OrderLine]] = relationship(
        back_populates="order", order_by="OrderLine.id", passive_deletes="all"
    )
    returns: Mapped[list[Return]] = relationship(
        back_populates="order", order_by="Return.id.desc()", passive_deletes="all"
    )

    triggers = (rate_of_the_day("sales_order", "(NEW.ordered_at AT TIME ZONE 'UTC')::date"),)

    __table_args__ = (
        rule("exchange_rate", "exchange_rate > 0", "must be more than 0"),
        rule("state", "credit <> 'held' OR state <> 'completed'", "can't be completed while it is held for credit: release it first",
             name="held"),
        Index("ix_sales_order_held", "customer_id", "id", postgresql_where=text("credit = 'held' AND state = 'pending'")),
        Index("ix_sales_order_pending", "ordered_at", "id", postgresql_where=text("state = 'pending'")),
    )  # fmt: skip


_STATE_OF = """coalesce((SELECT r.state FROM return_line b JOIN sales_return r ON r.id = b.sales_return_id
                  WHERE b.order_line_id = l.id ORDER BY r.id DESC LIMIT 1), 'none')"""


class OrderLine(Line):
    """Something a customer bought: one line of an order."""

    about = About(
        area="Sales", icon="shopping-bag", label="Purchase", plural="purchases",
        columns=("name", "customer", "order", "sku", "quantity", "unit_price", "discount", "tax", "total", "currency",
                 "ordered_at", "order_state", "return_state"),
        search=("name", "sku"), sort=("created_at", "total"), delete=True, brings=("order", "product"),
        filters=("order", "product", "sku", "quantity", "unit_price", "discount", "total", "return_state", "created_at"),
        within=("order", "customer", "owner"), also_within=("order", "owner"),
        sections=(Section("Purchase", ("order", *WHAT, "unit_cost", "return_state", "remarks")),),
        detail=(Section("Purchase", ("order", *WHAT, "total", "currency", "unit_cost", "return_state", "remarks")),
                Section("Order", ("customer", "order_number", "invoice_number", "ordered_at", "order_state", "payment_method",
                                  "delivery_method", "satisfaction"))),
        help="Everything that was bought, line by line.",
    )  # fmt: skip
    holder = ("order", Order)

    order_id: Mapped[int] = reference_field("order", table="sales_order", on_delete="CASCADE", required=True)
    unit_cost: Mapped[Decimal | None] = money_field(minimum=0, help="What one cost you")
    return_state: Mapped[LineReturn] = choice_field(LineReturn, label="Return or refund", column={"server_default": "none"},
        help="Follows the return, where there is one", synonyms=("return status", "refund status"))  # fmt: skip
    remarks: Mapped[str | None] = long_text_field(synonyms=("notes",))
    derived = {
        "customer": Field(kind="text", field_class=FieldClass.PERSONAL), "order_number": Field(kind="text"),
        "invoice_number": Field(kind="text"), "ordered_at": Field(kind="datetime", label="Ordered"),
        "order_state": Field(kind="choice", choices=OrderState, label="Order status"), "currency": Field(kind="currency"),
        "payment_method": Field(kind="choice", choices=PaymentMethod),
        "delivery_method": Field(kind="choice", choices=DeliveryMethod), "satisfaction": Field(kind="integer"),
    }  # fmt: skip
    order: Mapped[Order] = relationship(back_populates="lines", lazy="selectin")

    __table_args__ = line_rules()

    @property
    def customer(self) -> str:
        return self.order.customer.name

    @property
    def order_number(self) -> str | None:
        return self.order.number or self.order.code

    @property
    def invoice_number(self) -> str | None:
        return self.order.invoice_number

    @property
    def ordered_at(self) -> dt.datetime:
        return self.order.ordered_at

    @property
    def order_state(self) -> OrderState:
        return self.order.state

    @property
    def currency(self) -> str:
        return self.order.currency

    @property
    def payment_method(self) -> PaymentMethod | None:
        return self.order.payment_method

    @property
    def delivery_method(self) -> DeliveryMethod | None:
        return self.order.delivery_method

    @property
    def satisfaction(self) -> int | None:
        return self.order.satisfaction


class Return(Entity):
    """Things of one order that come back, and what is paid back. The refund is the sum of its lines."""

    __tablename__ = "sales_return"
    about = About(
        area="Sales", icon="undo-2", title="code",
        columns=("code", "order", "state", "reason", "requested_on", "received_on", "refunded_on", "refund_method"),
        search=("number", "code"), sort=("requested_on", "created_at"),
        filters=("order", "state", "reason", "requested_on", "received_on", "refunded_on", "refund_method", "number"),
        within=("order", "customer", "owner"), also_within=("order", "owner"), related=("lines",),
        brings=("order",),
        sections=(Section("Return", ("order", "number", "state", "reason", "requested_on", "approved_on", "received_on",
                                     "refunded_on", "refund_method", "remarks")),),
        detail=(Section("Return", ("code", "order", "number", "state", "reason", "requested_on", "approved_on", "received_on",
                                   "refunded_on", "refund_method", "remarks")),),
        help="What customers sent back or want to, and the refunds.",
    )  # fmt: skip

    code: Mapped[str] = code_field("R")
    number: Mapped[str | None] = text_field(max_length=64, label="Return number", column={"unique": True})
    order_id: Mapped[int] = reference_field("order", table="sales_order", required=True)
    state: Mapped[ReturnState] = choice_field(ReturnState, label="Status", column={"server_default": "requested"})
    reason: Mapped[ReturnReason] = choice_field(ReturnReason, required=True)
    requested_on: Mapped[dt.date] = date_field(label="Requested", column={"server_default": func.current_date()})
    approved_on: Mapped[dt.date | None] = date_field(label="Approved")
    received_on: Mapped[dt.date | None] = date_field(label="Received")
    refunded_on: Mapped[dt.date | None] = date_field(label="Refunded", column={"index": True})
    refund_method: Mapped[PaymentMethod | None] = choice_field(PaymentMethod)
    remarks: Mapped[str | None] = long_text_field()
    order: Mapped[Order] = relationship(back_populates="returns", lazy="selectin")
    lines: Mapped[list[ReturnLine]] = relationship(back_populates="sales_return", order_by="ReturnLine.id",
                                                   passive_deletes="all")  # fmt: skip

    triggers = (
        Trigger("return_state_of_lines", "AFTER UPDATE OF state", each="ROW", body=f"""
BEGIN
  UPDATE order_line l SET return_state = {_STATE_OF}
   WHERE l.id IN (SELECT b.order_line_id FROM return_line b WHERE b.sales_return_id = NEW.id)
     AND l.return_state <> {_STATE_OF};
  RETURN NULL;
END"""),  # noqa: S608 - made of constants
    )  # fmt: skip

    __table_args__ = (
        in_order("requested_on", "received_on"),
        in_order("requested_on", "refunded_on"),
        in_order("requested_on", "approved_on"),
        Index("ix_sales_return_open", "requested_on", "id",
              postgresql_where=text("state IN ('requested', 'approved', 'received')")),
    )  # fmt: skip


class ReturnLine(Entity):
    """What of an order line comes back, and what is paid back for it, in the order's currency."""

    about = About(
        area="Sales", icon="list", title="what", columns=("what", "sales_return", "order_line", "quantity", "amount", "remarks"),
        filters=("sales_return", "order_line", "quantity", "amount"), sort=("created_at",),
        within=("sales_return", "order", "customer", "owner"), also_within=("sales_return", "order", "owner"), delete=True,
        brings=("sales_return",),
        sections=(Section("Line", ("sales_return", "order_line", "name", "quantity", "amount", "remarks")),),
    )  # fmt: skip

    sales_return_id: Mapped[int] = reference_field("return", table="sales_return", on_delete="CASCADE", required=True,
                                                   label="Return")  # fmt: skip
    order_line_id: Mapped[int | None] = reference_field("order_line", table="order_line", label="Purchase")
    name: Mapped[str | None] = text_field(label="What came back", help="Where the purchase isn't known",
                                          synonyms=("product name", "product", "item", "description"))  # fmt: skip
    quantity: Mapped[Decimal] = decimal_field(decimals=3, column={"server_default": text("1")})
    amount: Mapped[Decimal] = money_field(minimum=0, label="Refund", column={"server_default": text("0")})
    remarks: Mapped[str | None] = long_text_field()
    derived = {"what": Field(kind="text", label="Returned")}
    sales_return: Mapped[Return] = relationship(back_populates="lines", lazy="selectin")
    order_line: Mapped[OrderLine | None] = relationship(lazy="selectin")

    # A trigger and not a command: imports and programs write here too, and the line must tell the same.
    triggers = (
        Trigger("return_line_of_its_order", "BEFORE INSERT OR UPDATE", each="ROW", body="""
DECLARE
  bought order_line%ROWTYPE;
BEGIN
  IF NEW.order_line_id IS NULL THEN
    RETURN NEW;
  END IF;
  SELECT * INTO bought FROM order_line WHERE id = NEW.order_line_id FOR NO KEY UPDATE;
  IF bought.order_id <> (SELECT order_id FROM sales_return WHERE id = NEW.sales_return_id) THEN
    RAISE EXCEPTION 'is of another order than the return'
      USING ERRCODE = 'check_violation', COLUMN = 'order_line', TABLE = 'return_line';
  END IF;
  IF bought.quantity < NEW.quantity + coalesce(
      (SELECT sum(b.quantity) FROM return_line b JOIN sales_return r ON r.id = b.sales_return_id
        WHERE b.order_line_id = NEW.order_line_id AND b.id <> NEW.id AND r.state <> 'refused'), 0) THEN
    RAISE EXCEPTION 'is more than was bought and has not come back yet'
      USING ERRCODE = 'check_violation', COLUMN = 'quantity', TABLE = 'return_line';
  END IF;
  RETURN NEW;
END"""),
        Trigger("return_line_state", "AFTER INSERT OR UPDATE OR DELETE", each="ROW", body=f"""
BEGIN
  UPDATE order_line l SET return_state = {_STATE_OF}
   WHERE l.id IN (NEW.order_line_id, OLD.order_line_id) AND l.return_state <> {_STATE_OF};
  RETURN NULL;
END"""),  # noqa: S608 - made of constants
    )  # fmt: skip

    __table_args__ = (rule("quantity", "quantity > 0", "must be more than 0"),
                      rule("order_line", "num_nonnulls(order_line_id, name) > 0", "is needed, or the name of what came back"),
                      Index("uq_return_line_order_line", "order_line_id", "sales_return_id", unique=True))  # fmt: skip

    @property
    def what(self) -> str:
        return self.order_line.name if self.order_line else self.name or ""
