"""The closed lists of values of service: what a ticket is, how far it is, surveys, articles."""

from crm.core.fields import Choice


class TicketKind(Choice):
    QUESTION = "question", "Question", "neutral"
    PROBLEM = "problem", "Problem", "info"
    COMPLAINT = "complaint", "Complaint", "warning"
    REQUEST = "request", "Request", "neutral"
    PRAISE = "praise", "Praise", "good"


class TicketTopic(Choice):
    PRODUCT = "product", "Vehicle or product"
    SERVICE = "service", "Service or repair"
    DELIVERY = "delivery"
    WARRANTY = "warranty"
    BILLING = "billing", "Invoice or payment"
    SALES = "sales"
    ACCOUNT = "account", "Account or data"
    OTHER = "other"


class TicketState(Choice):
    NEW = "new", "New", "warning"
    OPEN = "open", "In progress", "info"
    WAITING = "waiting", "Waits for the customer", "neutral"
    RESOLVED = "resolved", "Resolved", "good"
    CLOSED = "closed", "Closed", "neutral"


class EscalationState(Choice):
    OPEN = "open", "Open", "bad"
    SETTLED = "settled", "Settled", "good"


class SurveyKind(Choice):
    NPS = "nps", "Net promoter score (0–10)", "info"
    CSAT = "csat", "Satisfaction (1–5)", "info"
    CES = "ces", "Effort (1–7)", "info"


SCALES = {SurveyKind.NPS: (0, 10), SurveyKind.CSAT: (1, 5), SurveyKind.CES: (1, 7)}


class Touchpoint(Choice):
    """After what a survey is sent."""

    PURCHASE = "purchase"
    DELIVERY = "delivery"
    SERVICE = "service"
    TICKET = "ticket", "Ticket resolved"
    INTERACTION = "interaction"
    SCHEDULE = "schedule", "By the calendar"
    OTHER = "other"


class Audience(Choice):
    COLLEAGUES = "colleagues", "Colleagues", "neutral"
    PARTNERS = "partners", "Partners and colleagues", "info"
    EVERYBODY = "everybody", "Everybody", "good"


class ArticleState(Choice):
    DRAFT = "draft", "Draft", "neutral"
    PUBLISHED = "published", "Published", "good"
    WITHDRAWN = "withdrawn", "Withdrawn", "warning"
