"""Deals on their way to an order: what is wanted, what was quoted, what was shown."""

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
    boolean_field,
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
from crm.core.rules import in_order, rule, with_currency
from crm.models.access import User
from crm.models.parties import Contact, Party
from crm.models.products import EXCHANGE_RATE, Product, rate_of_the_day
from crm.models.sales_lines import WHAT, Line, line_rules
from crm.models.vehicles import SATISFACTION, Vehicle


class DealStage(Choice):
    PROSPECTING = "prospecting", "Prospecting", "neutral"
    QUALIFICATION = "qualification", "Qualification", "info"
    DEMO = "demo", "Demo", "info"
    QUOTE = "quote", "Quote", "info"
    NEGOTIATION = "negotiation", "Negotiation", "warning"
    WON = "won", "Won", "good"
    LOST = "lost", "Lost", "bad"


class QuoteState(Choice):
    """What was decided about it; whether it still holds follows from its last day."""

    DRAFT = "draft", "Draft", "neutral"
    SENT = "sent", "Sent", "info"
    ACCEPTED = "accepted", "Accepted", "good"
    REFUSED = "refused", "Refused", "bad"
    WITHDRAWN = "withdrawn", "Withdrawn", "neutral"


class DemoKind(Choice):
    DEMO = "demo", "Demo"
    TEST_DRIVE = "test_drive", "Test drive"


class DemoState(Choice):
    PLANNED = "planned", "Planned", "info"
    DONE = "done", "Done", "good"
    MISSED = "missed", "Missed", "bad"
    CANCELLED = "cancelled", "Cancelled", "neutral"


class DemoResult(Choice):
    CONVINCED = "convinced", "Convinced", "good"
    UNDECIDED = "undecided", "Undecided", "warning"
    NOT_CONVINCED = "not_convinced", "Not convinced", "bad"


class Deal(Entity):
    """A chance to sell something to a customer, with its stage and amount."""

    about = About(
        area="Sales", icon="target", columns=("name", "customer", "stage", "amount", "currency", "probability", "close_on", "owner"),
        search=("name",), sort=("name", "created_at"), delete=True,
        filters=("stage", "customer", "owner", "amount", "currency", "probability", "expected", "close_on", "opened_on",
                 "closed_on", "source", "name", "created_at", "lost_reason"),
        timeline=Moment("created_at", "owner", "customer"), within=("customer", "owner"), also_within=("owner",),
        related=("lines", "quotes", "demos", "financings"),
        brings=("customer",),
        sections=(
            Section("Deal", ("name", "customer", "contact", "owner", "stage", "amount", "currency", "exchange_rate", "probability",
                             "opened_on", "close_on", "next_step", "source", "description")),
            Section("Outcome", ("closed_on", "lost_reason")),
        ),
        detail=(
            Section("Deal", ("name", "customer", "contact", "owner", "stage", "amount", "currency", "exchange_rate", "probability",
                             "expected", "opened_on", "close_on", "next_step", "source", "description")),
            Section("Outcome", ("closed_on", "lost_reason")),
        ),
        help="What may become an order, stage by stage.",
    )  # fmt: skip

    name: Mapped[str] = text_field(
        required=True, label="Deal", synonyms=("opportunity", "opportunity name", "deal name")
    )
    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact")
    owner_id: Mapped[int | None] = reference_field("user", table="app_user", label="Sales person")
    stage: Mapped[DealStage] = choice_field(DealStage, column={"server_default": "prospecting"},
                                            synonyms=("deal stage", "opportunity stage"))  # fmt: skip
    amount: Mapped[Decimal | None] = money_field(minimum=0, synonyms=("value", "close value"))
    currency: Mapped[str | None] = currency_field()
    exchange_rate: Mapped[Decimal] = decimal_field(**EXCHANGE_RATE)
    probability: Mapped[int | None] = integer_field(minimum=0, maximum=100, label="Probability in per cent")
    expected: Mapped[Decimal | None] = money_field(computed="round(amount * probability / 100, 4)", editable=False,
                                                   label="Expected amount")  # fmt: skip
    opened_on: Mapped[dt.date | None] = date_field(label="Opened", synonyms=("engage date",))
    close_on: Mapped[dt.date | None] = date_field(
        label="Expected to close", column={"index": True}, synonyms=("close date",)
    )
    closed_on: Mapped[dt.date | None] = date_field(label="Closed")
    lost_reason: Mapped[str | None] = text_field(label="Why it was lost")
    next_step: Mapped[str | None] = text_field()
    source: Mapped[str | None] = text_field(max_length=120, help="Where it comes from")
    description: Mapped[str | None] = long_text_field()

    customer: Mapped[Party] = relationship(
        backref=backref("deals", order_by="Deal.id.desc()", passive_deletes="all"), lazy="selectin")  # fmt: skip
    contact: Mapped[Contact | None] = relationship()
    owner: Mapped[User | None] = relationship()
    lines: Mapped[list[DealLine]] = relationship(back_populates="deal", order_by="DealLine.id", passive_deletes="all")
    quotes: Mapped[list[Quote]] = relationship(back_populates="deal", order_by="Quote.id.desc()", passive_deletes="all")
    demos: Mapped[list[Demo]] = relationship(
        back_populates="deal", order_by="Demo.starts_at.desc()", passive_deletes="all"
    )

    triggers = (
        rate_of_the_day("deal", "coalesce(NEW.closed_on, NEW.opened_on, (NEW.created_at AT TIME ZONE 'UTC')::date)"),
    )

    __table_args__ = (
        with_currency("amount"), in_order("opened_on", "closed_on"),
        rule("exchange_rate", "exchange_rate > 0", "must be more than 0"),
        Index("ix_deal_of_owner", "owner_id", "close_on", "id"), Index("ix_deal_open", "stage", "close_on", "id", postgresql_where=text("stage NOT IN ('won', 'lost')")),
    )  # fmt: skip


class DealLine(Line):
    """A product or service that a deal is about."""

    about = About(
        area="Sales", icon="list", columns=("name", "deal", "sku", "quantity", "unit_price", "discount", "tax", "total"),
        search=("name", "sku"), filters=("deal", "product", "sku", "quantity", "unit_price", "total"),
        sort=("created_at", "total"), within=("deal", "customer", "owner"), also_within=("deal", "owner"), delete=True,
        brings=("deal", "product"),
        sections=(Section("Line", ("deal", *WHAT)),), detail=(Section("Line", ("deal", *WHAT, "total")),),
    )  # fmt: skip
    holder = ("deal", Deal)

    deal_id: Mapped[int] = reference_field("deal", table="deal", on_delete="CASCADE", required=True)
    deal: Mapped[Deal] = relationship(back_populates="lines")
    __table_args__ = line_rules()


class Quote(Entity):
    """A price that was offered to a customer, and until when it holds."""

    about = About(
        area="Sales", icon="receipt-text", title="code",
        columns=("code", "customer", "number", "deal", "state", "issued_on", "valid_until", "currency"),
        search=("number", "code"), sort=("issued_on", "created_at"), delete=True,
        filters=("customer", "deal", "state", "issued_on", "valid_until", "currency", "number", "created_at"),
        timeline=Moment("issued_on", party="customer"), within=("customer", "owner"), also_within=("deal", "owner"),
        related=("lines",),
        sections=(Section("Quote", ("customer", "contact", "deal", "number", "issued_on", "valid_until", "currency", "state",
                                    "terms", "remarks")),),
        detail=(Section("Quote", ("code", "customer", "contact", "deal", "number", "issued_on", "valid_until", "currency",
                                  "state", "terms", "remarks")),),
        help="What you offered, with lines, and what was answered.",
    )  # fmt: skip

    code: Mapped[str] = code_field("Q")
    number: Mapped[str | None] = text_field(max_length=64, label="Quote number", column={"unique": True})
    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact")
    deal_id: Mapped[int | None] = reference_field("deal", table="deal")
    issued_on: Mapped[dt.date] = date_field(label="Issued", column={"server_default": func.current_date()})
    valid_until: Mapped[dt.date | None] = date_field(help="The last day")
    currency: Mapped[str] = currency_field(required=True)
    state: Mapped[QuoteState] = choice_field(QuoteState, column={"server_default": "draft"})
    terms: Mapped[str | None] = long_text_field(help="Payment, delivery and other conditions")
    remarks: Mapped[str | None] = long_text_field()
    customer: Mapped[Party] = relationship(
        backref=backref("quotes", order_by="Quote.id.desc()", passive_deletes="all"), lazy="selectin")  # fmt: skip
    contact: Mapped[Contact | None] = relationship()
    deal: Mapped[Deal | None] = relationship(back_populates="quotes")
    lines: Mapped[list[QuoteLine]] = relationship(
        back_populates="quote", order_by="QuoteLine.id", passive_deletes="all"
    )

    __table_args__ = (
        in_order("issued_on", "valid_until"),
        Index("ix_quote_open", "valid_until", "id", postgresql_where=text("state = 'sent'")),
    )  # fmt: skip


class QuoteLine(Line):
    """A product or service on a quote."""

    about = About(
        area="Sales", icon="list", columns=("name", "quote", "sku", "quantity", "unit_price", "discount", "tax", "total"),
        search=("name", "sku"), filters=("quote", "product", "sku", "quantity", "unit_price", "total"),
        sort=("created_at", "total"), within=("quote", "customer", "owner"), also_within=("quote", "deal", "owner"), delete=True,
        sections=(Section("Line", ("quote", *WHAT)),), detail=(Section("Line", ("quote", *WHAT, "total")),),
    )  # fmt: skip
    holder = ("quote", Quote)

    quote_id: Mapped[int] = reference_field("quote", table="quote", on_delete="CASCADE", required=True)
    quote: Mapped[Quote] = relationship(back_populates="lines")
    __table_args__ = line_rules()


class Demo(Entity):
    """A vehicle or product that was shown to a customer, or driven."""

    about = About(
        area="Sales", icon="car", label="Demo or test drive", label_plural="Demos and test drives", title="summary",
        columns=("summary", "customer", "vehicle", "starts_at", "state", "result", "host"),
        filters=("customer", "vehicle", "product", "deal", "kind", "state", "result", "starts_at", "dealer", "host",
                 "satisfaction"),
        sort=("starts_at", "created_at"), timeline=Moment("starts_at", "host", "customer"),
        within=("customer", "owner"), also_within=("deal", "owner"), delete=True,
        sections=(Section("Appointment", ("customer", "kind", "vehicle", "product", "deal", "starts_at", "ends_at", "dealer",
                                          "host", "licence_checked", "state")),
                  Section("Result", ("result", "satisfaction", "feedback"))),
        help="Demos and test drives, and what came of them.",
    )  # fmt: skip

    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    kind: Mapped[DemoKind] = choice_field(DemoKind, column={"server_default": "test_drive"})
    vehicle_id: Mapped[int | None] = reference_field("vehicle", table="vehicle")
    product_id: Mapped[int | None] = reference_field("product", table="product")
    deal_id: Mapped[int | None] = reference_field("deal", table="deal")
    starts_at: Mapped[dt.datetime] = datetime_field(required=True, label="When")
    ends_at: Mapped[dt.datetime | None] = datetime_field(label="Until")
    dealer_id: Mapped[int | None] = reference_field("partner", table="party", label="Dealer")
    host_id: Mapped[int | None] = reference_field("user", table="app_user", label="Accompanied by")
    licence_checked: Mapped[bool] = boolean_field(
        label="Driving licence seen", column={"server_default": text("false")}
    )
    state: Mapped[DemoState] = choice_field(DemoState, column={"server_default": "planned"})
    result: Mapped[DemoResult | None] = choice_field(DemoResult)
    satisfaction: Mapped[int | None] = integer_field(**SATISFACTION)
    feedback: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, help="What they said")
    derived = {"summary": Field(kind="text", label="Demo")}

    customer: Mapped[Party] = relationship(
        foreign_keys=customer_id, backref=backref("demos", order_by="Demo.starts_at.desc()", passive_deletes="all"))  # fmt: skip
    vehicle: Mapped[Vehicle | None] = relationship()
    product: Mapped[Product | None] = relationship()
    deal: Mapped[Deal | None] = relationship(back_populates="demos")
    dealer: Mapped[Party | None] = relationship(foreign_keys=dealer_id)
    host: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("starts_at", "ends_at"),
        Index("ix_demo_planned", "starts_at", "id", postgresql_where=text("state = 'planned'")),
    )  # fmt: skip

    @property
    def summary(self) -> str:
        return f"{self.kind.label} on {self.starts_at:%Y-%m-%d}"
