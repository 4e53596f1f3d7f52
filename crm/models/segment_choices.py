"""The closed lists of values of segments: kinds, where a membership came from, how a refresh went, what ladders measure."""

from crm.core.fields import Choice


class SegmentType(Choice):
    STATIC = "static", "Static", "neutral"
    DYNAMIC = "dynamic", "Dynamic", "info"
    AI = "ai", "AI-driven", "info"


class MemberSource(Choice):
    RULE = "rule", "Rule"
    HAND = "hand", "By hand"
    IMPORT = "import", "Import"
    API = "api", "API"
    LADDER = "ladder", "Ladder"
    AI = "ai", "AI"


class Pin(Choice):
    """What a person has laid down, whatever the rule says."""

    IN = "in", "Pinned in", "good"
    OUT = "out", "Pinned out", "warning"


class RefreshState(Choice):
    RUNNING = "running", "Running", "info"
    DONE = "done", "Done", "good"
    FAILED = "failed", "Failed", "bad"
    CANCELLED = "cancelled", "Cancelled", "warning"


class LadderMeasure(Choice):
    TOTAL_SPENT = "total_spent", "Total spent"
    ORDERS_COUNT = "orders_count", "Orders"
    AVERAGE_ORDER = "average_order", "Average order"
    TOTAL_VALUE = "total_value", "Total value"
    POINTS = "points", "Points"


class MoveDirection(Choice):
    UP = "up", "Up", "good"
    DOWN = "down", "Down", "warning"


class MoveState(Choice):
    """What became of a move on a ladder; only moves down may have to wait for somebody who agrees."""

    DONE = "done", "Done", "good"
    PENDING = "pending", "To be approved", "warning"
    APPROVED = "approved", "Approved", "good"
    REFUSED = "refused", "Refused", "neutral"
    WITHDRAWN = "withdrawn", "No longer due", "neutral"
