"""The closed lists of loyalty: kinds of program, states of memberships, what an entry may be."""

from __future__ import annotations

from crm.core.fields import Choice


class ProgramKind(Choice):
    POINTS = "points", "Points", "info"
    TIERS = "tiers", "Tiers", "info"
    CASHBACK = "cashback", "Cashback", "info"
    REFERRAL = "referral", "Referral", "info"
    EVENT = "event", "Special event", "info"


class ProgramState(Choice):
    DRAFT = "draft", "Draft", "neutral"
    ACTIVE = "active", "Active", "good"
    ENDED = "ended", "Ended", "neutral"


class EarnsWhen(Choice):
    """When an order begins to count."""

    COMPLETED = "completed", "The order is completed"
    PAID = "paid", "Its invoices are paid"


class TierMeasure(Choice):
    POINTS = "points", "Points earned"
    SPENT = "spent", "Amount spent"


class TierPeriod(Choice):
    """Which months count for a tier."""

    ROLLING = "rolling", "The last months"
    CALENDAR = "calendar", "Calendar periods"


class Membership(Choice):
    """Where a membership stands."""

    INVITED = "invited", "Invited", "info"
    ACTIVE = "active", "Active", "good"
    PAUSED = "paused", "Paused", "warning"
    ENDED = "ended", "Ended", "neutral"


class PointKind(Choice):
    EARN = "earn", "Earned", "good"
    BONUS = "bonus", "Bonus", "good"
    ADJUST = "adjust", "Adjusted", "warning"
    REDEEM = "redeem", "Redeemed", "info"
    EXPIRE = "expire", "Expired", "neutral"
    REVERSE = "reverse", "Reversed", "warning"
    TRANSFER = "transfer", "Transferred", "info"
    MERGE = "merge", "Merged", "neutral"


class CashbackKind(Choice):
    EARN = "earn", "Earned", "good"
    ADJUST = "adjust", "Adjusted", "warning"
    PAYOUT = "payout", "Paid out", "info"
    SET_OFF = "set_off", "Set off against an invoice", "info"
    REVERSE = "reverse", "Reversed", "warning"


class RewardKind(Choice):
    DISCOUNT = "discount", "Discount", "info"
    FREE_PRODUCT = "free_product", "Free product", "info"
    PRIORITY_SERVICE = "priority_service", "Priority service", "warning"
    EXCLUSIVE_ACCESS = "exclusive_access", "Exclusive access", "warning"


class RedemptionState(Choice):
    """The points are taken when it is held; voided, they are back in the lots they came from."""

    HELD = "held", "Held", "warning"
    CAPTURED = "captured", "Given", "good"
    VOIDED = "voided", "Voided", "neutral"


class ReferralState(Choice):
    INVITED = "invited", "Invited", "info"
    LEAD = "lead", "Lead", "info"
    CUSTOMER = "customer", "Customer", "good"
    REWARDED = "rewarded", "Rewarded", "good"


class Asked(Choice):
    """Where an adjustment stands that a second person must agree to."""

    PENDING = "pending", "Pending", "warning"
    APPROVED = "approved", "Approved", "good"
    REFUSED = "refused", "Refused", "neutral"
