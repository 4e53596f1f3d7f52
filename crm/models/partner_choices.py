"""The closed lists of values of working with vendors, partners and business customers: risk, contracts, compliance."""

from crm.core.fields import Choice


class Source(Choice):
    """Whether a person judged or a calculation did."""

    PERSON = "person", "A person"
    MODEL = "model", "Worked out"


class RiskKind(Choice):
    SUPPLY = "supply", "Supply and delivery"
    QUALITY = "quality"
    FINANCIAL = "financial"
    CREDIT = "credit"
    COMPLIANCE = "compliance"
    CHURN = "churn", "Leaving us"
    SECURITY = "security", "Data security"
    OTHER = "other"


class RiskLevel(Choice):
    LOW = "low", "Low", "good"
    MEDIUM = "medium", "Medium", "info"
    HIGH = "high", "High", "warning"
    CRITICAL = "critical", "Critical", "bad"


class Standing(Choice):
    GOOD = "good", "Good", "good"
    WATCH = "watch", "Watch", "warning"
    AT_RISK = "at_risk", "At risk", "bad"


class ContractKind(Choice):
    SUPPLY = "supply", "Supply"
    DEALER = "dealer", "Dealer"
    SALE = "sale"
    SERVICE = "service", "Service or maintenance"
    FRAMEWORK = "framework"
    LEASE = "lease"
    CONFIDENTIALITY = "confidentiality"
    DATA_PROCESSING = "data_processing", "Data processing"
    OTHER = "other"


class ContractState(Choice):
    DRAFT = "draft", "Draft", "neutral"
    ACTIVE = "active", "Active", "good"
    SUSPENDED = "suspended", "Suspended", "warning"
    TERMINATED = "terminated", "Terminated", "bad"


class Renewal(Choice):
    NONE = "none", "Ends by itself"
    AUTOMATIC = "automatic", "Renews by itself"
    MANUAL = "manual", "Renewed by hand"


class ObligationSide(Choice):
    OURS = "ours", "Ours", "info"
    THEIRS = "theirs", "Theirs", "neutral"


class Recurrence(Choice):
    ONCE = "once"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"


class ObligationState(Choice):
    OPEN = "open", "Open", "info"
    FULFILLED = "fulfilled", "Fulfilled", "good"
    BROKEN = "broken", "Broken", "bad"
    WAIVED = "waived", "Waived", "neutral"


class PaperKind(Choice):
    LICENCE = "licence"
    TAX = "tax"
    INSURANCE = "insurance"
    CERTIFICATE = "certificate"
    PRIVACY = "privacy", "Data protection"
    TRAINING = "training"
    OTHER = "other"


class ComplianceState(Choice):
    SUBMITTED = "submitted", "To be checked", "warning"
    ACCEPTED = "accepted", "Accepted", "good"
    REFUSED = "refused", "Refused", "bad"
    WAIVED = "waived", "Waived", "neutral"


class PolicyKind(Choice):
    GDPR = "gdpr", "GDPR"
    CCPA = "ccpa", "CCPA"
    INDUSTRY = "industry", "Industry standard"
    INTERNAL = "internal", "Internal policy"
    OTHER = "other"


class PolicyState(Choice):
    DRAFT = "draft", "Draft", "neutral"
    IN_FORCE = "in_force", "In force", "good"
    RETIRED = "retired", "Retired", "neutral"
