"""The closed lists of values of marketing: strategies, how far campaigns and offers are."""

from crm.core.fields import Choice


class Strategy(Choice):
    """What a campaign is to do for the value segment it goes to."""

    VIP = "vip", "VIP program (high value)", "info"
    GROWTH = "growth", "Growth initiative (growth potential)", "info"
    RETENTION = "retention", "Retention program (at risk)", "info"
    REACTIVATION = "reactivation", "Reactivation (win-back)", "info"
    OTHER = "other"


class CampaignState(Choice):
    DRAFT = "draft", "Draft", "neutral"
    SCHEDULED = "scheduled", "Scheduled", "info"
    RUNNING = "running", "Running", "good"
    PAUSED = "paused", "Paused", "warning"
    ENDED = "ended", "Ended", "neutral"


class Variant(Choice):
    A = "a", "A"
    B = "b", "B"


class RecipientState(Choice):
    PLANNED = "planned", "Planned", "neutral"
    SENT = "sent", "Sent", "info"
    OPENED = "opened", "Opened", "info"
    ANSWERED = "answered", "Answered", "good"
    BOUGHT = "bought", "Bought", "good"
    FAILED = "failed", "Not delivered", "bad"
    OPTED_OUT = "opted_out", "Opted out", "warning"


class OfferState(Choice):
    PLANNED = "planned", "Planned", "neutral"
    SENT = "sent", "Sent", "info"
    SEEN = "seen", "Seen", "info"
    ACCEPTED = "accepted", "Accepted", "good"
    REFUSED = "refused", "Refused", "warning"
    BOUGHT = "bought", "Bought", "good"
