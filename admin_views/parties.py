"""What the pages of customers, vendors and partners show beyond what every entity shows."""

from __future__ import annotations

from typing import Any

from babel.dates import format_date
from flask import url_for
from markupsafe import Markup

from admin_views.base import EntityView
from admin_views.cells import render
from admin_views.lists import may
from crm.models.parties import BlockState, Party

FACTS = ("email", "phone", "website", "owner", "customer_since")


class PartyView(EntityView):
    """A party under one of its faces."""

    def list_extras(self) -> dict[str, Any]:
        if not self.face.about.importable or not may(self.face, "import"):
            return {}
        return {"secondary": [{"label": "Import", "url": url_for("imports.create_view"), "icon": "upload"}]}

    def detail_extras(self, record: Party) -> dict[str, Any]:
        return {"alerts": _alerts(record), "facts": self._facts(record)}

    def _facts(self, record: Party) -> list[dict[str, Any]]:
        facts = []
        for name in FACTS:
            value = self.face.value(record, name)
            if value is not None:
                facts.append({"label": self.face.field(name).label,
                              "html": render(self.face.field(name), value, record=record)})  # fmt: skip
        place = ", ".join(self.face.field(name).word(self.face.value(record, name))
                          for name in ("city", "country") if self.face.value(record, name))  # fmt: skip
        if place:
            facts.append({"label": "Place", "html": Markup("{}").format(place)})
        contact = next((contact for contact in record.contacts if contact.is_primary), None)
        if contact is not None:
            facts.append({"label": "Key contact", "html": Markup("{}").format(contact.name)})
        return facts


def _alerts(record: Party) -> list[dict[str, str]]:
    """What a person must see before doing anything."""
    alerts = []
    if record.block_state is not BlockState.NONE:
        until = f" until {format_date(record.blocked_until, 'd MMMM y', locale='en')}" if record.blocked_until else ""
        since = f"since {format_date(record.blocked_at, 'd MMMM y', locale='en')}" if record.blocked_at else ""
        alerts.append(
            {"tone": "bad", "title": f"{record.block_state.label} {since}{until}", "text": record.block_reason or ""}
        )
    if record.archived_at is not None:
        alerts.append(
            {"tone": "warning", "title": "Archived", "text": "It can be read, not changed. Restore it to work with it."}
        )
    for name, label in (("email", "e-mail"), ("phone", "phone number")):
        if getattr(record, f"{name}_state") == "bounced":
            alerts.append({"tone": "warning", "title": f"The {label} doesn't work",
                           "text": f"Messages to {getattr(record, name)} came back."})  # fmt: skip
    return alerts
