"""The closed lists of values of what is said and done with parties: channels, outcomes, priorities, events."""

from crm.core.fields import Choice


class Channel(Choice):
    """Every way a party and we meet. `ContactMethod` are those a party may prefer, `SendChannel` those we can send on."""

    CALL = "call", "Call", "info"
    EMAIL = "email", "E-mail", "info"
    SMS = "sms", "SMS", "info"
    WHATSAPP = "whatsapp", "WhatsApp", "info"
    CHAT = "chat", "Chat", "info"
    MEETING = "meeting", "Meeting", "info"
    NOTIFICATION = "notification", "Notification", "info"
    SOCIAL = "social", "Social media", "info"
    WEBSITE = "website", "Website or portal", "info"
    IN_PERSON = "in_person", "In person", "info"


class SendChannel(Choice):
    """The channels on which a message can be sent."""

    EMAIL = "email", "E-mail"
    SMS = "sms", "SMS"
    WHATSAPP = "whatsapp", "WhatsApp"
    NOTIFICATION = "notification"


class Direction(Choice):
    INBOUND = "inbound", "From them", "info"
    OUTBOUND = "outbound", "To them", "neutral"


class InteractionState(Choice):
    PENDING = "pending", "Pending", "warning"
    DONE = "done", "Done", "good"
    FAILED = "failed", "Failed", "bad"


class InteractionStatus(Choice):
    """Direction and state told as one word."""

    SENT = "sent", "Sent", "good"
    RECEIVED = "received", "Received", "info"
    PENDING = "pending", "Pending", "warning"
    FAILED = "failed", "Failed", "bad"


class Outcome(Choice):
    POSITIVE = "positive", "Positive", "good"
    NEUTRAL = "neutral", "Neutral", "neutral"
    NEGATIVE = "negative", "Negative", "bad"


class LoggedBy(Choice):
    """Who wrote it down: how much is automatic is one of the figures."""

    PERSON = "person", "A person", "neutral"
    API = "api", "Another system"
    MAILBOX = "mailbox"
    PORTAL = "portal"
    CAMPAIGN = "campaign"
    SURVEY = "survey"
    AUTOMATION = "automation"


class Priority(Choice):
    LOW = "low", "Low", "neutral"
    NORMAL = "normal", "Normal", "info"
    HIGH = "high", "High", "warning"
    URGENT = "urgent", "Urgent", "bad"


class TaskKind(Choice):
    TASK = "task"
    FOLLOW_UP = "follow_up", "Follow-up"
    CALL = "call", "Call back"
    EMAIL = "email", "Write an e-mail"
    MEETING = "meeting"
    CHECK_IN = "check_in", "Check-in"


class TaskState(Choice):
    OPEN = "open", "Open", "info"
    DONE = "done", "Done", "good"
    CANCELLED = "cancelled", "Cancelled", "neutral"


class EventSource(Choice):
    SITE = "site", "Website"
    APP = "app", "App"
    PORTAL = "portal", "Portal"
    EMAIL = "email", "E-mail"


class EventKind(Choice):
    VISIT = "visit"
    VIEW = "view", "Page viewed"
    SEARCH = "search"
    CLICK = "click"
    FORM = "form", "Form sent"
    DOWNLOAD = "download"
    SIGN_IN = "sign_in", "Signed in"
    CONFIGURATION = "configuration", "Vehicle configured"
    BASKET = "basket", "Put in the basket"
    OPEN = "open", "Message opened"
    OTHER = "other"
