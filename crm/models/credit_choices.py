"""The closed lists of credit: terms, states of requests, kinds of payment, how old a debt is."""

from __future__ import annotations

from crm.core.fields import Choice


class PaymentTerms(Choice):
    """Days from the invoice to its payment; the number stands at the end."""

    NET_0 = "net_0", "At once", "neutral"
    NET_15 = "net_15", "Net 15", "neutral"
    NET_30 = "net_30", "Net 30", "neutral"
    NET_60 = "net_60", "Net 60", "neutral"


class AccountState(Choice):
    OPEN = "open", "Open", "good"
    CLOSED = "closed", "Closed", "neutral"


class Standing(Choice):
    """How a credit account stands today."""

    GOOD = "good", "Good", "good"
    WARNING = "warning", "Warning", "warning"
    BLOCKED = "blocked", "Blocked", "bad"


class OverLimit(Choice):
    """What becomes of an order that doesn't fit into the credit."""

    HOLD = "hold", "Held", "warning"
    REFUSE = "refuse", "Refused", "bad"


class RequestStatus(Choice):
    PENDING = "pending", "Pending", "warning"
    APPROVED = "approved", "Approved", "good"
    REFUSED = "refused", "Refused", "bad"
    WITHDRAWN = "withdrawn", "Withdrawn", "neutral"
    EXPIRED = "expired", "Expired", "neutral"


class Verdict(Choice):
    APPROVED = "approved", "Approved", "good"
    REFUSED = "refused", "Refused", "bad"


class HoldScope(Choice):
    ALL = "all", "Orders and deliveries", "bad"
    ORDERS = "orders", "New orders", "warning"
    DELIVERIES = "deliveries", "Deliveries", "warning"


class HoldSource(Choice):
    HAND = "hand", "By hand", "neutral"
    RULE = "rule", "By rule", "info"


class PaymentKind(Choice):
    PAYMENT = "payment", "Payment", "good"
    CREDIT_NOTE = "credit_note", "Credit note", "info"
    WRITE_OFF = "write_off", "Write-off", "warning"
    TAKEN_BACK = "taken_back", "Taken back", "bad"


class Reminder(Choice):
    """How urgently a customer is reminded of what is overdue."""

    FIRST = "first", "First reminder", "info"
    SECOND = "second", "Second reminder", "warning"
    LAST = "last", "Last reminder", "bad"


class InvoiceState(Choice):
    OPEN = "open", "Open", "warning"
    PART_PAID = "part_paid", "Part paid", "info"
    PAID = "paid", "Paid", "good"


class Ageing(Choice):
    """How many days an open invoice is overdue."""

    CURRENT = "current", "Not due", "good"
    UP_TO_30 = "1_30", "1–30 days", "warning"
    UP_TO_60 = "31_60", "31–60 days", "warning"
    UP_TO_90 = "61_90", "61–90 days", "bad"
    OVER_90 = "over_90", "Over 90 days", "bad"


class PaymentBehaviour(Choice):
    ON_TIME = "on_time", "On time", "good"
    DELAYED = "delayed", "Delayed", "warning"
    CREDIT = "credit", "On credit", "info"
