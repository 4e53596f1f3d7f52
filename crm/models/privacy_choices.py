"""The closed lists of values of privacy: what consent is for, on what basis, what a person may ask."""

from crm.core.fields import Choice


class ConsentPurpose(Choice):
    SERVICE = "service", "Service messages"
    MARKETING = "marketing", "Marketing and offers"
    BILLING = "billing"
    SURVEYS = "surveys"
    PROFILING = "profiling", "Profiling and recommendations"
    TRACKING = "tracking", "Site and app usage"
    CONNECTED = "connected", "Readings of the vehicle"
    SHARING = "sharing", "Sharing with partners"
    SALE = "sale", "Sale of data"


class LegalBasis(Choice):
    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class ConsentState(Choice):
    GIVEN = "given", "Given", "good"
    WITHDRAWN = "withdrawn", "Withdrawn", "bad"


class ConsentSource(Choice):
    FORM = "form", "Form on the site"
    PORTAL = "portal"
    PAPER = "paper"
    PHONE = "phone"
    EMAIL = "email", "E-mail"
    OPT_OUT_LINK = "opt_out_link", "Link in a message"
    IN_PERSON = "in_person", "In person"
    IMPORT = "import", "Imported"


class RequestKind(Choice):
    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    DO_NOT_SELL = "do_not_sell", "Do not sell"


class Law(Choice):
    GDPR = "gdpr", "GDPR (30 days)"
    CCPA = "ccpa", "CCPA (45 days)"


class RequestState(Choice):
    RECEIVED = "received", "Received", "warning"
    IN_WORK = "in_work", "In work", "info"
    DONE = "done", "Done", "good"
    REFUSED = "refused", "Refused", "bad"
