"""The figures of a customer at the top of the page, each leading to its records, and what follows from the newest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from babel.dates import get_month_names
from flask import url_for
from markupsafe import Markup

from admin_views.cells import asking, fields_of, html, pill, render
from admin_views.lists import endpoint, may
from crm.core.entity import Face, face_named
from crm.models.parties import Party
from crm.queries.habits import Habits, habits_of

# A figure, what is said beside it, and the list of its records: face, filters.
CARDS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("total_spent", "orders_count", "order", {"flt_customer_eq": "", "flt_state_eq": "completed"}),
    ("open_deals_value", "open_deals", "deal", {"flt_customer_eq": "", "flt_stage_not_in": "won,lost"}),
    ("total_value", "won_deals", "deal", {"flt_customer_eq": "", "flt_stage_eq": "won"}),
    ("interactions_count", "response_minutes", "interaction", {"flt_party_eq": "", "flt_status_in": "sent,received"}),
    ("open_tickets", "open_complaints", "ticket", {"flt_party_eq": "", "flt_state_in": "new,open,waiting"}),
    ("credit_available", "overdue", "credit_account", {"flt_party_eq": ""}),
    ("points", "tier", "loyalty_account", {"flt_party_eq": ""}),
    ("last_activity_at", "last_purchase_at", "", {}),
)
# Shown of who has any: most customers have neither credit nor a membership.
_ONLY_WITH = {"credit_available": "credit_limit", "points": "tier"}


def figures_of(face: Face, record: Party) -> dict[str, Any]:
    """`figures` and `sections` of the page of somebody who buys; what the person may not see isn't there."""
    if not face.figures:
        return {}
    habits = list(_habits(habits_of(record.id, asking())))
    return {"figures": list(_cards(face, record)), "sections": [{"title": "Habits", "rows": habits}] if habits else []}


def _cards(face: Face, record: Party) -> Iterator[dict[str, Any]]:
    seen = fields_of(face)
    for name, beside, listed, filters in CARDS:
        only_with = _ONLY_WITH.get(name, name)
        if not seen[name].shows or (
            only_with != name and not (face.value(record, name) or face.value(record, only_with))
        ):
            continue
        field, hint = face.field(name), ""
        if seen[beside].shows and face.value(record, beside) is not None:
            hint = html("%s: %s", face.field(beside).label, render(face.field(beside), face.value(record, beside)))
        card = {"label": field.label, "value": render(field, face.value(record, name)), "hint": hint}
        if listed and may(face_named(listed), "read"):
            query: dict[str, Any] = {key: value or str(record.id) for key, value in filters.items()}
            card["url"] = url_for(endpoint(face_named(listed), "index_view"), **query)
        yield card


def _habits(habits: Habits) -> Iterator[dict[str, Any]]:
    months = get_month_names("abbreviated", locale="en")
    found = {
        "Most bought": [f"{name} × {quantity.normalize():f}" for name, quantity in habits.most_bought],
        "Often bought": [f"{name} · {number:,} orders" for name, number in habits.often_bought if number > 1],
        "Preferred categories": habits.categories,
        "Buys in": [f"{months[month]} {number:,}" for month, number in enumerate(habits.seasons, 1) if number],
        "Channels": [f"{channel.label} {number:,}" for channel, number in habits.channels],
    }
    for label, words in found.items():
        if words:
            tags = Markup("").join(pill(word, plain=True) for word in words)
            yield {"label": label, "html": html('<span class="tags">%s</span>', tags)}
