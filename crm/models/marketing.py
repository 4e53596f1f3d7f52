"""Campaigns and offers, and how far each customer is with them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    currency_field,
    date_field,
    datetime_field,
    decimal_field,
    integer_field,
    language_field,
    long_text_field,
    money_field,
    reference_field,
    tags_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, with_currency
from crm.models.access import User
from crm.models.communication_choices import SendChannel
from crm.models.communications import MessageTemplate
from crm.models.marketing_choices import CampaignState, OfferState, RecipientState, Strategy, Variant
from crm.models.parties import Party
from crm.models.sales_orders import Order


class Campaign(Entity):
    """A message to many customers, with a plan, a budget and one or two versions of its content."""

    about = About(
        area="Marketing", icon="megaphone", columns=("name", "state", "strategy", "channel", "starts_at", "ends_at", "budget"),
        search=("name", "goal"),
        filters=("state", "strategy", "channel", "starts_at", "ends_at", "responsible", "tags", "created_at"),
        sort=("name", "created_at"), related=("recipients",),
        sections=(Section("Campaign", ("name", "strategy", "goal", "channel", "responsible", "tags")),
                  Section("Content", ("template", "second_template", "second_percent")),
                  Section("Plan", ("starts_at", "ends_at", "by_preference", "budget", "cost", "currency"))),
        detail=(Section("Campaign", ("name", "state", "strategy", "goal", "channel", "responsible", "tags")),
                Section("Content", ("template", "second_template", "second_percent")),
                Section("Plan", ("starts_at", "ends_at", "by_preference", "budget", "cost", "currency"))),
        help="What you send to many customers at once, what it costs and what it brings.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120)
    state: Mapped[CampaignState] = choice_field(CampaignState, editable=False, column={"server_default": "draft"})
    strategy: Mapped[Strategy | None] = choice_field(Strategy)
    goal: Mapped[str | None] = long_text_field()
    channel: Mapped[SendChannel] = choice_field(SendChannel, required=True)
    responsible_id: Mapped[int | None] = reference_field("user", table="app_user")
    tags: Mapped[list[str] | None] = tags_field()
    template_id: Mapped[int | None] = reference_field("message_template", table="message_template", label="Message")
    second_template_id: Mapped[int | None] = reference_field("message_template", table="message_template",
                                                             label="Message B", help="To compare two versions")  # fmt: skip
    second_percent: Mapped[int | None] = integer_field(minimum=0, maximum=100, label="Share of B (%)")
    starts_at: Mapped[dt.datetime | None] = datetime_field(label="Starts")
    ends_at: Mapped[dt.datetime | None] = datetime_field(label="Ends")
    by_preference: Mapped[bool] = boolean_field(
        label="Each at their preferred time", column={"server_default": text("true")}
    )
    budget: Mapped[Decimal | None] = money_field(minimum=0)
    cost: Mapped[Decimal | None] = money_field(minimum=0, label="Cost so far")
    currency: Mapped[str | None] = currency_field()
    responsible: Mapped[User | None] = relationship()
    template: Mapped[MessageTemplate | None] = relationship(foreign_keys=template_id)
    second_template: Mapped[MessageTemplate | None] = relationship(foreign_keys=second_template_id)
    recipients: Mapped[list[CampaignRecipient]] = relationship(back_populates="campaign",
                                                               order_by="CampaignRecipient.id.desc()")  # fmt: skip

    __table_args__ = (
        in_order("starts_at", "ends_at"), with_currency("budget", "cost"),
        UniqueConstraint("name"), Index("ix_campaign_due", "starts_at", "id", postgresql_where=text("state = 'scheduled'")),
    )  # fmt: skip


class CampaignRecipient(Entity):
    """One customer whom a campaign reaches, and what came of it."""

    about = About(
        area="Marketing", icon="users", title="words", label="Campaign recipient",
        columns=("campaign", "party", "variant", "state", "sent_at", "opened_at", "answered_at", "bought_at"),
        filters=("campaign", "party", "variant", "state", "sent_at", "opened_at", "answered_at", "bought_at", "created_at"),
        sort=("created_at",), within=("party", "owner"),
        sections=(Section("Recipient", ("campaign", "party", "variant", "sent_at", "opened_at", "answered_at", "bought_at",
                                        "failed_at", "opted_out_at", "order", "value", "currency", "remarks")),),
        detail=(Section("Recipient", ("campaign", "party", "variant", "state", "sent_at", "opened_at", "answered_at", "bought_at",
                                      "failed_at", "opted_out_at", "order", "value", "currency", "remarks")),),
        help="Whom campaigns reached, and who opened, answered and bought.",
    )  # fmt: skip

    campaign_id: Mapped[int] = reference_field("campaign", table="campaign", required=True)
    party_id: Mapped[int] = reference_field("party", table="party", label="Who", required=True)
    variant: Mapped[Variant] = choice_field(Variant, column={"server_default": "a"})
    sent_at: Mapped[dt.datetime | None] = datetime_field(label="Sent")
    opened_at: Mapped[dt.datetime | None] = datetime_field(label="Opened")
    answered_at: Mapped[dt.datetime | None] = datetime_field(label="Answered")
    bought_at: Mapped[dt.datetime | None] = datetime_field(label="Bought")
    failed_at: Mapped[dt.datetime | None] = datetime_field(label="Not delivered")
    opted_out_at: Mapped[dt.datetime | None] = datetime_field(label="Opted out")
    state: Mapped[RecipientState] = choice_field(RecipientState, editable=False, computed=(
        "CASE WHEN bought_at IS NOT NULL THEN 'bought' WHEN opted_out_at IS NOT NULL THEN 'opted_out' "
        "WHEN failed_at IS NOT NULL THEN 'failed' WHEN answered_at IS NOT NULL THEN 'answered' "
        "WHEN opened_at IS NOT NULL THEN 'opened' WHEN sent_at IS NOT NULL THEN 'sent' ELSE 'planned' END"))  # fmt: skip
    order_id: Mapped[int | None] = reference_field(
        "order", table="sales_order", on_delete="SET NULL", label="Bought with"
    )
    value: Mapped[Decimal | None] = money_field(minimum=0, label="Bought for")
    currency: Mapped[str | None] = currency_field()
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"words": Field(kind="text", label="Recipient")}
    campaign: Mapped[Campaign] = relationship(back_populates="recipients")
    party: Mapped[Party] = relationship()
    order: Mapped[Order | None] = relationship()

    __table_args__ = (
        in_order("sent_at", "opened_at"), in_order("sent_at", "answered_at"), in_order("sent_at", "bought_at"), with_currency("value"),
        UniqueConstraint("campaign_id", "party_id"), Index("ix_campaign_recipient_state", "campaign_id", "state", "id"),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return self.state.label


class Offer(Entity):
    """Something offered to customers: content, price or benefit, and how long it holds."""

    about = About(
        area="Marketing", icon="gift", columns=("name", "campaign", "price", "discount_percent", "valid_from", "valid_until", "active"),
        search=("name", "content"), filters=("campaign", "valid_from", "valid_until", "active", "language", "created_at"),
        sort=("name", "created_at"), related=("customers",),
        sections=(Section("Offer", ("name", "content", "language", "campaign", "products", "active")),
                  Section("What they get", ("price", "currency", "discount_percent", "benefit", "conditions", "valid_from",
                                            "valid_until"))),
        detail=(Section("Offer", ("name", "content", "language", "campaign", "products", "active")),
                Section("What they get", ("price", "currency", "discount_percent", "benefit", "conditions", "valid_from",
                                          "valid_until"))),
        help="What you offer to customers, and until when.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True)
    content: Mapped[str] = long_text_field(required=True, markdown=True)
    language: Mapped[str | None] = language_field()
    campaign_id: Mapped[int | None] = reference_field("campaign", table="campaign")
    products: Mapped[list[str] | None] = tags_field(help="What it is about, by name or SKU")
    active: Mapped[bool] = boolean_field(label="In use", column={"server_default": text("true")})
    price: Mapped[Decimal | None] = money_field(minimum=0, field_class=None)
    currency: Mapped[str | None] = currency_field()
    discount_percent: Mapped[Decimal | None] = decimal_field(minimum=0, maximum=100, label="Discount (%)")
    benefit: Mapped[str | None] = text_field(help="Such as a free inspection")
    conditions: Mapped[str | None] = long_text_field()
    valid_from: Mapped[dt.date | None] = date_field(label="From")
    valid_until: Mapped[dt.date | None] = date_field(label="Until")
    campaign: Mapped[Campaign | None] = relationship()
    customers: Mapped[list[CustomerOffer]] = relationship(back_populates="offer", order_by="CustomerOffer.id.desc()")

    __table_args__ = (
        in_order("valid_from", "valid_until"),
        with_currency("price"),
        Index("ix_offer_holds", "valid_until", "id", postgresql_where=text("active")),
    )


class CustomerOffer(Entity):
    """An offer made to one customer, and what the customer did with it."""

    about = About(
        area="Marketing", icon="tag", title="words", label="Customer offer", label_plural="Customer offers",
        columns=("offer", "party", "state", "sent_at", "seen_at", "decided_at", "bought_at"), search=("remarks",),
        filters=("offer", "party", "state", "channel", "sent_at", "seen_at", "decided_at", "bought_at", "created_at"),
        sort=("created_at",), within=("party", "owner"),
        sections=(Section("Offer", ("offer", "party", "state", "channel", "sent_at", "seen_at", "decided_at", "bought_at",
                                    "order", "refusal_reason", "remarks")),),
        detail=(Section("Offer", ("offer", "party", "state", "channel", "sent_at", "seen_at", "decided_at", "bought_at",
                                  "order", "refusal_reason", "remarks")),),
        help="Which customer was offered what, and what they did with it.",
    )  # fmt: skip

    offer_id: Mapped[int] = reference_field("offer", table="offer", required=True)
    party_id: Mapped[int] = reference_field("party", table="party", label="To", required=True)
    state: Mapped[OfferState] = choice_field(OfferState, column={"server_default": "planned"})
    channel: Mapped[SendChannel | None] = choice_field(SendChannel)
    sent_at: Mapped[dt.datetime | None] = datetime_field(label="Sent")
    seen_at: Mapped[dt.datetime | None] = datetime_field(label="Seen")
    decided_at: Mapped[dt.datetime | None] = datetime_field(label="Accepted or refused")
    bought_at: Mapped[dt.datetime | None] = datetime_field(label="Bought")
    order_id: Mapped[int | None] = reference_field(
        "order", table="sales_order", on_delete="SET NULL", label="Bought with"
    )
    refusal_reason: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL, label="Why refused")
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"words": Field(kind="text", label="Offer is")}
    offer: Mapped[Offer] = relationship(back_populates="customers")
    party: Mapped[Party] = relationship()
    order: Mapped[Order | None] = relationship()

    __table_args__ = (
        in_order("sent_at", "seen_at"),
        in_order("sent_at", "decided_at"),
        in_order("sent_at", "bought_at"),
        UniqueConstraint("offer_id", "party_id"),
        Index("ix_customer_offer_state", "offer_id", "state", "id"),
    )

    @property
    def words(self) -> str:
        return self.state.label
