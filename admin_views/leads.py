"""A lead's page: it says which customers the lead may be already."""

from __future__ import annotations

from typing import Any

from flask import url_for

from admin_views.base import EntityView
from admin_views.cells import asking, title_of
from admin_views.lists import may
from crm.core.entity import face_named
from crm.models.sales_leads import Lead
from crm.queries.leads import same_customers


class LeadView(EntityView):
    """A lead."""

    def detail_extras(self, record: Lead) -> dict[str, Any]:
        face = face_named("customer")
        if record.converted_at is not None or not may(face, "read"):
            return {}
        return {"alerts": [{
            "tone": "warning", "title": f"{party.code} {title_of(face, party)} has the same e-mail or phone number", "text": "",
            "url": url_for("customers.details_view", id=party.id)} for party in same_customers(record, asking())]}  # fmt: skip
