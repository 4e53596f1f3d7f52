"""The closed lists of values of insight: what is predicted, recommended, aimed at, spent and alerted."""

from crm.core.fields import Choice


class PredictionKind(Choice):
    LIFETIME_VALUE = "lifetime_value"
    STILL_ACTIVE = "still_active", "Chance of still being active"
    CHURN_RISK = "churn_risk", "Risk of leaving"
    NEXT_PURCHASE = "next_purchase", "Next purchase"
    NEED = "need", "Need or opportunity"


class SuggestionKind(Choice):
    PRODUCT = "product"
    SERVICE = "service"
    CHANNEL = "channel"
    TIME = "time"
    ACTION = "action"


class SuggestionState(Choice):
    NEW = "new", "New", "info"
    SHOWN = "shown", "Shown", "neutral"
    OFFERED = "offered", "Offered", "info"
    ACCEPTED = "accepted", "Accepted", "good"
    REFUSED = "refused", "Refused", "warning"
    BOUGHT = "bought", "Bought", "good"


class Metric(Choice):
    NPS = "nps", "Net promoter score"
    CSAT = "csat", "Satisfaction score (CSAT)"
    CES = "ces", "Effort score (CES)"
    FIRST_CONTACT = "first_contact", "First-contact resolution"
    DATA_QUALITY = "data_quality"
    ADOPTION = "adoption", "User adoption"
    PROCESS_EFFICIENCY = "process_efficiency"
    RETENTION = "retention", "Customer retention"
    CHURN = "churn", "Customer churn"
    ENGAGEMENT = "engagement", "Engagement score"
    LIFETIME_VALUE = "lifetime_value", "Customer lifetime value"
    REVENUE_PER_CUSTOMER = "revenue_per_customer"
    CROSS_SELL = "cross_sell", "Cross-sell success"
    REFERRALS = "referrals", "New business by referral"
    PREMIUM_REVENUE = "premium_revenue", "Premium service revenue"
    SERVICE_COST = "service_cost", "Cost of service"
    SERVICE_PROFIT = "service_profit", "Service profitability"
    MARKETING_RETURN = "marketing_return", "Marketing ROI"
    ACQUISITION_COST = "acquisition_cost", "Acquisition cost"
    RETENTION_COST = "retention_cost", "Retention cost against acquisition cost"
    RESPONSE_TIME = "response_time"
    RESOLUTION_TIME = "resolution_time"
    SELF_SERVICE = "self_service", "Self-service adoption"
    MANUAL_WORK = "manual_work", "Manual tasks avoided"
    AUTOMATION = "automation", "Automation rate"
    INNOVATION = "innovation", "Innovation index"
    OTHER = "other"


class Unit(Choice):
    PERCENT = "percent", "%"
    SCORE = "score"
    MONEY = "money", "Company currency"
    NUMBER = "number"
    MINUTES = "minutes"


class Direction(Choice):
    AT_LEAST = "at_least", "At least"
    AT_MOST = "at_most", "At most"


class CostKind(Choice):
    CAMPAIGN = "campaign", "Campaign"
    LEAD_SOURCE = "lead_source", "Lead source"
    INTERACTION = "interaction", "An interaction"
    TICKET = "ticket", "A ticket"
    UNIT = "unit", "A unit of a product"
    SERVICE = "service", "A service"
    REWARD = "reward", "A reward"
    RETENTION = "retention", "Keeping customers"
    OTHER = "other"


class CostPer(Choice):
    TOTAL = "total", "In the whole period"
    EACH = "each", "For each one"


class AlertKind(Choice):
    LIFECYCLE = "lifecycle", "Lifecycle event"
    RISK = "risk"
    FOLLOW_UP = "follow_up", "Follow-up due"
    EXPIRY = "expiry", "Something expires"
    OPPORTUNITY = "opportunity"
    COMPLAINT = "complaint"
    CREDIT = "credit"
    SYSTEM = "system", "Import, job or system"


class Severity(Choice):
    INFO = "info", "For information", "info"
    WARNING = "warning", "Warning", "warning"
    URGENT = "urgent", "Urgent", "bad"


class AlertState(Choice):
    OPEN = "open", "Open", "warning"
    DONE = "done", "Dealt with", "good"
    DISMISSED = "dismissed", "Dismissed", "neutral"
