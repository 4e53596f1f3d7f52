"""What demo data needs besides customers: a catalogue, rates, surveys, templates, campaigns, policies, targets …

Each is made once; what is there under its name stays as it is.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import select

from crm.commands.demo_ledgers import load_programs
from crm.core.entity import Entity, db
from crm.models.communications import MessageTemplate
from crm.models.compliance import ComplianceRequirement, Policy
from crm.models.insights import CostInput, Target
from crm.models.marketing import Campaign, Offer
from crm.models.privacy import ProcessingActivity
from crm.models.products import CurrencyRate, Product, ProductCategory
from crm.models.sales_journey import OnboardingTemplate, OnboardingTemplateStep
from crm.models.sales_leads import NurtureStep, NurtureTrack
from crm.models.support import KnowledgeArticle
from crm.models.surveys import Survey
from crm.models.vehicles import ReadingRule

TODAY = dt.date.today
E = TypeVar("E", bound=Entity)

_CATEGORIES = ("Passenger cars", "Vans", "Spare parts", "Accessories", "Services")
# SKU, name, kind, category, brand, model, price, cost in EUR
_PRODUCTS = (
    ("DEMO-LUMA-E", "Luma E-City", "vehicle", 0, "Luma", "E-City", 28_900, 24_100),
    ("DEMO-LUMA-T", "Luma Tourer Hybrid", "vehicle", 0, "Luma", "Tourer", 39_500, 33_400),
    ("DEMO-NORD-S", "Nordwind S", "vehicle", 0, "Nordwind", "S", 54_900, 45_700),
    ("DEMO-NORD-X", "Nordwind X Electric", "vehicle", 0, "Nordwind", "X", 78_400, 64_900),
    ("DEMO-TRAG-1", "Trago 1 Van", "vehicle", 1, "Trago", "1", 33_200, 28_600),
    ("DEMO-TRAG-3", "Trago 3 Box van", "vehicle", 1, "Trago", "3", 47_800, 41_000),
    ("DEMO-BRAKE", "Brake pads, front axle", "part", 2, "Trago", "", 89, 41),
    ("DEMO-FILTER", "Filter set", "part", 2, "", "", 48, 19),
    ("DEMO-BATT", "Starter battery 70 Ah", "part", 2, "", "", 139, 82),
    ("DEMO-RACK", "Roof rack", "accessory", 3, "Luma", "", 219, 120),
    ("DEMO-MATS", "All-weather mats", "accessory", 3, "", "", 79, 28),
    ("DEMO-TYRES", "Winter tyres, set of four", "accessory", 3, "", "", 640, 455),
    ("DEMO-INSP", "Yearly inspection", "service", 4, "", "", 249, 130),
    ("DEMO-CARE", "Care contract, one year", "premium_service", 4, "", "", 890, 520),
    ("DEMO-PICK", "Pick-up and delivery", "premium_service", 4, "", "", 69, 38),
)  # fmt: skip
_RATES = {"USD": "0.92", "GBP": "1.16", "PLN": "0.235", "BRL": "0.16", "UAH": "0.021", "JPY": "0.0061", "CNY": "0.127",
          "EGP": "0.019", "BDT": "0.0076", "MYR": "0.205"}  # fmt: skip


def load_catalogue() -> None:
    """Make what isn't there yet. Flushes."""
    groups = [_once(ProductCategory, name=name) for name in _CATEGORIES]
    for sku, name, kind, group, brand, model, price, cost in _PRODUCTS:
        _once(Product, sku=sku, more={"name": name, "kind": kind, "category_id": groups[group].id, "brand": brand or None,
              "model": model or None, "price": Decimal(price), "unit_cost": Decimal(cost), "currency": "EUR",
              "tax_rate": Decimal(19)})  # fmt: skip
    for currency, rate in _RATES.items():
        _once(CurrencyRate, currency=currency, valid_from=dt.date(2020, 1, 1),
              more={"rate": Decimal(rate), "source": "Demo data"})  # fmt: skip
    _service()
    _marketing()
    _rules()
    load_programs()


def _service() -> None:
    _once(Survey, name="How likely are you to recommend us?", more={
        "kind": "nps", "question": "From 0 to 10: how likely are you to recommend us to a friend or colleague?",
        "language": "en", "touchpoint": "schedule", "every_months": 6, "rest_days": 30, "channel": "email"})  # fmt: skip
    _once(Survey, name="How was your visit to the workshop?", more={
        "kind": "csat", "question": "How satisfied are you with your last visit?", "language": "en", "touchpoint": "service",
        "delay_days": 2, "channel": "email"})  # fmt: skip
    for name, topic, words in (
        ("When is my next service due?", "service", "The car says it itself, and we write four weeks before. Book by phone or in the app."),
        ("What does the warranty cover?", "warranty", "Two years on everything, eight on the battery of electric models. Wear is not covered."),
        ("How do I return spare parts?", "delivery", "Within 30 days, unused, in the original box. Ask for the return label in the portal."),
    ):  # fmt: skip
        _once(KnowledgeArticle, name=name, language="en", more={
            "text": words, "summary": words.split(".")[0], "audience": "everybody", "state": "published", "topic": topic,
            "published_at": dt.datetime.now(dt.UTC)})  # fmt: skip
    _once(ReadingRule, advice="Have the brakes looked at: pads are thin", more={
        "reading": "brake pad thickness", "comparison": "below", "threshold": Decimal(3)})  # fmt: skip
    template = _once(OnboardingTemplate, name="New vehicle customer", more={"description": "The first ninety days"})
    for days, name, team in ((0, "Welcome call", "sales"), (3, "Explain the app and the portal", "service"),
                             (14, "Ask how the first drives were", "sales"), (90, "Offer the care contract", "marketing")):  # fmt: skip
        _once(OnboardingTemplateStep, template_id=template.id, name=name, more={"due_days": days, "team": team})
    track = _once(NurtureTrack, name="Interested in electric vans")
    for days, subject, kind in ((0, "What an electric van costs in a year", "message"), (7, "Charging at the depot", "message"),
                                (14, "Call and offer a test drive", "task")):  # fmt: skip
        _once(NurtureStep, track_id=track.id, subject=subject, after_days=days, more={"kind": kind})


def _marketing() -> None:
    mail = _once(MessageTemplate, name="Winter check", channel="email", language="en", more={
        "purpose": "marketing", "subject": "Ready for winter?",
        "body": "Hello {name}, our winter check takes half an hour. Book before the first snow."})  # fmt: skip
    _once(MessageTemplate, name="Service reminder", channel="sms", language="en", more={
        "purpose": "service", "body": "Your service is due. Answer YES and we call you for an appointment."})  # fmt: skip
    winter = _once(Campaign, name="Winter check", more={
        "state": "running", "strategy": "retention", "goal": "Fill the workshop in November", "channel": "email",
        "template_id": mail.id, "starts_at": dt.datetime.now(dt.UTC) - dt.timedelta(days=6), "budget": Decimal(4000),
        "cost": Decimal(1250), "currency": "EUR"})  # fmt: skip
    _once(Offer, name="Winter tyres with free storage", more={
        "content": "Four winter tyres, mounted, and your summer tyres stored until spring.", "campaign_id": winter.id,
        "products": ["DEMO-TYRES"], "price": Decimal(640), "currency": "EUR", "benefit": "Storage for one season",
        "valid_from": TODAY(), "valid_until": TODAY() + dt.timedelta(days=45)})  # fmt: skip
    for name, kind, amount in (
        ("Trade fair Hanover", "lead_source", 18_500),
        ("A service call by phone", "interaction", 6),
    ):
        _once(CostInput, name=name, more={"kind": kind, "per": "each" if kind == "interaction" else "total",
              "amount": Decimal(amount), "currency": "EUR", "period_from": TODAY().replace(month=1, day=1)})  # fmt: skip
    for name, metric, unit, goal, base, words in (
        ("Recommendation", "nps", "score", 50, 38, "Share of 9 and 10 less share of 0 to 6, of all answers in 90 days"),
        ("First contact resolution", "first_contact", "percent", 80, 68, "Tickets resolved without a second contact"),
        ("Complete records", "data_quality", "percent", 95, 81, "Customers with a data quality of 60 or more"),
    ):
        _once(Target, name=name, more={"metric": metric, "definition": words, "unit": unit, "goal": Decimal(goal),
              "baseline": Decimal(base), "baseline_on": TODAY().replace(month=1, day=1),
              "due_on": TODAY().replace(month=12, day=31)})  # fmt: skip


def _rules() -> None:
    policy = _once(Policy, name="How we handle customers' data", version="2", more={
        "kind": "gdpr", "text": "We keep what we need, say why, and delete what we no longer need.", "state": "in_force",
        "effective_from": TODAY() - dt.timedelta(days=200), "review_on": TODAY() + dt.timedelta(days=165)})  # fmt: skip
    _once(ComplianceRequirement, name="Trade licence", more={"kind": "licence", "applies_to": ["dealer", "vendor"],
          "policy_id": policy.id, "mandatory": True, "valid_months": 12, "warn_days": 30})  # fmt: skip
    _once(ComplianceRequirement, name="Liability insurance", more={"kind": "insurance", "applies_to": ["partner", "vendor"],
          "mandatory": True, "valid_months": 12, "warn_days": 45})  # fmt: skip
    _once(ProcessingActivity, name="Customer care", more={
        "purpose": "To answer, sell and service as our customers ask us to", "legal_basis": "contract",
        "data_subjects": ["customers", "contacts"], "data_kinds": ["contact details", "vehicles", "orders", "conversations"],
        "retention": "Ten years after the last order", "retention_months": 120})  # fmt: skip


def _once(entity: type[E], *, more: dict[str, Any] | None = None, **key: Any) -> E:
    found = db.session.scalar(select(entity).filter_by(**key).limit(1))
    if found is None:
        found = entity(**key, **(more or {}))
        db.session.add(found)
        db.session.flush()
    return found
