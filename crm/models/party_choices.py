"""The closed lists of values of parties: kinds, roles, states, preferences."""

from crm.core.fields import Choice


class Kind(Choice):
    INDIVIDUAL = "individual", "Individual", "info"
    ORGANIZATION = "organization", "Organization", "neutral"


class Gender(Choice):
    MALE = "male"
    FEMALE = "female"
    OTHER = "other"
    NOT_STATED = "not_stated", "Not stated"


class PartyType(Choice):
    INDIVIDUAL = "individual", "Individual", "info"
    BUSINESS = "business", "Business", "info"
    WHOLESALER = "wholesaler", "Wholesaler", "info"
    VIP = "vip", "VIP", "warning"
    GOVERNMENT = "government", "Government"
    NGO = "ngo", "NGO"


class PartyRole(Choice):
    BUSINESS_CUSTOMER = "business_customer", "Business customer"
    END_CUSTOMER = "end_customer", "End customer"
    VENDOR = "vendor", "Vendor"
    PARTNER = "partner", "Partner"
    DEALER = "dealer", "Dealer"


class Lifecycle(Choice):
    PROSPECT = "prospect", "Prospect", "info"
    ACTIVE = "active", "Active", "good"
    INACTIVE = "inactive", "Inactive", "neutral"
    CHURNED = "churned", "Churned", "warning"


class BlockState(Choice):
    NONE = "none", "Not blocked", "good"
    BLOCKED = "blocked", "Blocked", "bad"
    BLACKLISTED = "blacklisted", "Blacklisted", "bad"


class Status(Choice):
    """Lifecycle, block and archive told as one word."""

    PROSPECT = "prospect", "Prospect", "info"
    ACTIVE = "active", "Active", "good"
    INACTIVE = "inactive", "Inactive", "neutral"
    CHURNED = "churned", "Churned", "warning"
    BLOCKED = "blocked", "Blocked", "bad"
    BLACKLISTED = "blacklisted", "Blacklisted", "bad"
    ARCHIVED = "archived", "Archived", "neutral"


class ReasonCode(Choice):
    """Why a status changed, so that it can be counted; the words stand beside it."""

    PRICE = "price", "Price"
    COMPETITOR = "competitor", "Went to a competitor"
    SERVICE = "service", "Unhappy with us"
    NO_NEED = "no_need", "No need any more"
    MOVED = "moved", "Moved away"
    CLOSED = "closed", "Closed down"
    SILENT = "silent", "Doesn't answer"
    UNPAID = "unpaid", "Doesn't pay"
    FRAUD = "fraud", "Fraud"
    DISPUTE = "dispute", "Dispute"
    LEGAL = "legal", "Legal reasons"
    ASKED = "asked", "They asked for it"
    OTHER = "other", "Other"


class Stage(Choice):
    PROSPECT = "prospect"
    ACTIVE = "active"
    LOYALTY = "loyalty"


class SubStage(Choice):
    LEAD_CAPTURE = "lead_capture"
    QUALIFICATION = "qualification"
    NURTURING = "nurturing"
    CONVERSION = "conversion"
    PURCHASE_SUPPORT = "purchase_support"
    ONBOARDING = "onboarding"
    SERVICE_DELIVERY = "service_delivery"
    UPSELLING = "upselling"
    RETENTION = "retention"
    ADVOCACY = "advocacy"
    LIFETIME_VALUE = "lifetime_value"
    WIN_BACK = "win_back", "Win-back"


class ChannelState(Choice):
    UNVERIFIED = "unverified", "Unverified", "neutral"
    VERIFIED = "verified", "Verified", "good"
    BOUNCED = "bounced", "Bounced or invalid", "bad"


class PaymentMethod(Choice):
    CASH = "cash"
    CARD = "card"
    BANK = "bank", "Bank transfer"
    MOBILE_MONEY = "mobile_money"


class DeliveryMethod(Choice):
    PICKUP = "pickup"
    COURIER = "courier"
    OWN_LOGISTICS = "own_logistics"


class ContactMethod(Choice):
    EMAIL = "email", "E-mail"
    PHONE = "phone"
    SMS = "sms", "SMS"
    NOTIFICATION = "notification"


class Frequency(Choice):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    WHEN_NEEDED = "when_needed"


class ServiceChannel(Choice):
    WORKSHOP = "workshop"
    MOBILE = "mobile", "Mobile service"
    COLLECTION = "collection", "Collection and return"


class IncomeLevel(Choice):
    BUDGET = "budget"
    MID_MARKET = "mid_market", "Mid-market"
    LUXURY = "luxury"


class LifeStage(Choice):
    STUDENT = "student"
    FAMILY = "family"
    PROFESSIONAL = "professional"
    RETIREE = "retiree"


class AddressKind(Choice):
    MAIN = "main", "Main"
    BILLING = "billing", "Billing"
    SHIPPING = "shipping", "Shipping"


class AreaType(Choice):
    URBAN = "urban"
    SUBURBAN = "suburban"
    RURAL = "rural"


class IdentifierKind(Choice):
    TAX_ID = "tax_id", "Tax ID"
    VAT = "vat", "VAT number"
    BIN = "bin", "Business identification number"
    BUSINESS_LICENCE = "business_licence", "Business licence"
    TRADE_LICENCE = "trade_licence", "Trade licence"
    PASSPORT = "passport", "Passport"
    IDENTITY_CARD = "identity_card", "Identity card"
    DRIVING_LICENCE = "driving_licence", "Driving licence"


class DocumentKind(Choice):
    KYC = "kyc", "KYC", "warning"
    IDENTITY_CARD = "identity_card", "Identity card", "warning"
    TRADE_LICENCE = "trade_licence", "Trade licence", "info"
    CONTRACT = "contract", "Contract", "info"
    RECORDING = "recording", "Recording"
    EMAIL_COPY = "email_copy", "E-mail copy"
    SCREENSHOT = "screenshot", "Screenshot"
    OTHER = "other", "Other"


class RelationKind(Choice):
    """How one party stands to another; the label reads from the first to the second, RELATION_BACK the other way."""

    PARENT = "parent", "Parent company of"
    DEALER = "dealer", "Has as its dealer"
    REFERRAL = "referral", "Referred"
    HOUSEHOLD = "household", "Heads the household of"
    SUPPLIER = "supplier", "Supplies"
    EMPLOYER = "employer", "Employs"
    OTHER = "other", "Related to"


RELATION_BACK = {
    RelationKind.PARENT: "Subsidiary of", RelationKind.DEALER: "Dealer of", RelationKind.REFERRAL: "Referred by",
    RelationKind.HOUSEHOLD: "In the household of", RelationKind.SUPPLIER: "Supplied by",
    RelationKind.EMPLOYER: "Employed by", RelationKind.OTHER: "Related to",
}  # fmt: skip
# One party stands above the other: at no time may they go round in a circle.
HIERARCHIES = (RelationKind.PARENT, RelationKind.DEALER, RelationKind.REFERRAL, RelationKind.HOUSEHOLD)


class Purpose(Choice):
    SERVICE = "service"
    MARKETING = "marketing"
    BILLING = "billing"


class Weekday(Choice):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


AGE_GROUPS = ((18, "Under 18"), (25, "18–24"), (35, "25–34"), (45, "35–44"), (55, "45–54"), (65, "55–64"), (999, "65+"))
GENERATIONS = ((2013, "Generation Alpha"), (1997, "Generation Z"), (1981, "Millennial"), (1965, "Generation X"),
               (1946, "Baby boomer"), (0, "Silent generation"))  # fmt: skip

# The roles that make a party appear under each face.
FACE_ROLES = {
    "customer": ("business_customer", "end_customer"),
    "vendor": ("vendor",),
    "partner": ("partner", "dealer"),
    "end_customer": ("end_customer",),
}


def shows(face: str) -> str:
    """SQL of who has one of a face's roles; literal, because the planner proves nothing from bound values."""
    roles = ",".join(f"'{role}'" for role in FACE_ROLES[face])
    return f"party.roles && ARRAY[{roles}]::varchar[]"
