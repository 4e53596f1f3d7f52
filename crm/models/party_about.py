"""Where a party appears: what its lists, filters, forms and pages show, whichever face it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crm.core.about import About, Embed, Inline, Section
from crm.models.party_choices import AddressKind

_ADDRESS = ("address", "city", "state", "postal_code", "country")

_BUSINESS = Section(
    "Business", ("company_name", "industry", "tax_id", "annual_revenue", "annual_revenue_currency", "employees")
)
_PREFERENCES = Section(
    "Preferences",
    (
        "preferred_contact_method",
        "communication_language",
        "communication_frequency",
        "preferred_payment_method",
        "preferred_delivery_method",
        "preferred_currency",
    ),
)
_VEHICLES = Section(
    "Vehicle preferences",
    (
        "preferred_brands",
        "preferred_models",
        "preferred_features",
        "price_from",
        "price_to",
        "preferred_dealer",
        "preferred_advisor",
        "service_channel",
        "special_needs",
    ),
)
_DEMOGRAPHICS = Section("Demographics", ("income_level", "life_stage"))

_TABS = (
    Section("Contacts", ("contacts", "addresses", "channel_preferences")),
    Section("Communication", ("interactions", "tasks", "tickets", "feedback", "check_ins")),
    Section("Deals", ("deals", "quotes", "demos", "leads")),
    Section("Purchases", ("orders",)),
    Section(
        "Vehicles and service", ("vehicles", "ownerships", "service_appointments", "service_records", "warranties")
    ),
    Section("Credit", ("credit_accounts",)),
    Section("Loyalty", ("loyalty_accounts", "referrals")),
    Section("Documents", ("documents", "identifiers", "contracts")),
    Section("Journey", ("stage_changes", "touchpoints", "onboardings", "status_changes")),
    Section("Consents", ("consents",)),
    Section("Segments", ("segment_memberships", "ladder_moves")),
    Section("Proposals", ("enrichment_proposals", "duplicate_candidates")),
)

PARTY = About(
    area="Customers", icon="users-round", screen=False,
    columns=("name", "status", "type", "email", "phone", "city", "country", "owner", "data_quality",
             "created_at"),
    search=("name", "company_name", "email", "email2", "phone", "phone2", "code", "account_number"),
    search_apart=True,
    filters=("status", "type", "kind", "roles", "industry", "owner", "team", "lifecycle", "block_state", "stage", "language",
             "gender", "email", "phone", "annual_revenue", "employees", "preferred_contact_method", "preferred_currency",
             "income_level", "life_stage", "tags", "created_at", "updated_at", "date_of_birth", "name", "account_number",
             "tax_id", "status_code", "status_at", "data_quality"),
    sort=("name", "data_quality", "created_at", "updated_at"),
    search_related=("contacts",), within=("owner",), archived="archived_at",
    related=tuple(name for tab in _TABS for name in tab.fields), tabs=_TABS,
    embeds=(Embed("addresses", _ADDRESS, where=(("is_default", True),)),
            Embed("addresses", _ADDRESS, "billing_", (("kind", AddressKind.BILLING),)),
            Embed("addresses", _ADDRESS, "shipping_", (("kind", AddressKind.SHIPPING),))),
    quick=("type", "email", "phone", "owner"),
    inline=(Inline("contacts", ("name", "email", "phone", "designation"), "The people to talk to; the first one is the primary one."),
            Inline("addresses", ("kind", "address", "city", "postal_code", "country"),
                   "Others than the default address, such as one for bills.")),
    sections=(
        Section("Basics", ("name", "kind", "type", "roles", "first_name", "middle_name", "last_name", "gender",
                           "date_of_birth", "language", "account_number", "owner", "team", "tags", "description"),
                "Who this is. The display name is what lists and letters show."),
        Section("Contact", ("email", "phone", "email2", "phone2", "fax", "website", "email_state", "phone_state",
                            "email2_state", "phone2_state", "facebook", "instagram", "whatsapp", "linkedin", "wechat",
                            "other_social"),
                "Phone numbers with their country code, such as +60 12 345 6789."),
        Section("Address", _ADDRESS, "The default address. More of them stand on the customer's page."),
        _BUSINESS,
        _PREFERENCES,
        _VEHICLES,
        _DEMOGRAPHICS,
        Section("Journey", ("stage", "sub_stage")),
    ),
    detail=(
        Section("Basics", ("code", "account_number", "name", "kind", "type", "roles", "first_name", "middle_name",
                           "last_name", "gender", "date_of_birth", "age_group", "generation", "language", "owner", "team", "tags",
                           "description", "referral_code")),
        Section("Status", ("status", "lifecycle", "block_state", "block_reason", "blocked_at", "blocked_until",
                           "archived_at", "status_at", "status_code", "status_reason", "stage", "sub_stage", "customer_since")),
        Section("Contact", ("email", "email_state", "email_state_at", "phone", "phone_state", "phone_state_at", "email2",
                            "email2_state", "email2_state_at", "phone2", "phone2_state", "phone2_state_at", "fax", "website",
                            "facebook", "instagram", "whatsapp", "linkedin", "wechat", "other_social")),
        Section("Address", _ADDRESS),
        _BUSINESS,
        _PREFERENCES,
        _VEHICLES,
        _DEMOGRAPHICS,
    ),
    help="Everybody you sell to, with their status, contacts and history.",
)  # fmt: skip

_PURCHASES = ("orders_count", "pending_orders", "total_spent", "average_order", "total_value", "first_purchase_at",
              "last_purchase_at", "purchase_frequency", "purchase_volume", "returns_count", "refunded")  # fmt: skip
_DEALS = ("deals_count", "open_deals", "open_deals_value", "won_deals", "won_deals_value")
_CONTACT = ("last_activity_at", "interactions_count", "response_minutes", "open_tickets", "complaints", "open_complaints",
            "escalations", "satisfaction")  # fmt: skip
_CREDIT = ("credit_limit", "credit_used", "credit_available", "outstanding", "overdue", "open_invoices", "oldest_due_on",
           "payment_behaviour", "last_credit_review_on")  # fmt: skip
_LOYALTY = ("tier", "points", "next_points_expiry_on", "points_expiring", "rewards_held")


def with_figures(about: About, **more: Any) -> About:
    """The same for who buys: with the figures of customers in list, filters, order and page."""
    shown = about.columns.index("email")
    return replace(
        about, **more,
        columns=(*about.columns[:shown], "total_spent", *about.columns[shown:-1], "last_activity_at", about.columns[-1]),
        filters=(*about.filters, "segment", *_PURCHASES, *_DEALS, *_CONTACT, *_CREDIT, *_LOYALTY),
        sort=(*about.sort, "orders_count", "total_spent", "average_order", "total_value", "last_purchase_at", "last_activity_at",
              "credit_limit", "outstanding", "points"),
        detail=(*about.detail, Section("Purchases", _PURCHASES), Section("Deals", _DEALS), Section("Contact and service", _CONTACT),
                Section("Credit", _CREDIT), Section("Loyalty", _LOYALTY)),
    )  # fmt: skip
