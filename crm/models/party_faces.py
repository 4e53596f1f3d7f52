"""Under which names parties appear: customers, vendors, partners, end customers, and everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crm.core.entity import Face, add_face, literal_condition
from crm.models.parties import Party
from crm.models.party_about import PARTY, with_figures
from crm.models.party_choices import shows


def _shows(name: str) -> Any:
    return literal_condition(shows(name))


Customer = add_face(
    Face(Party, "customer", "customers", with_figures(PARTY, label="Customer", screen=True), _shows("customer"),
         {"roles": ["business_customer"]})
)  # fmt: skip
Vendor = add_face(
    Face(Party, "vendor", "vendors",
         replace(PARTY, area="Partners", icon="truck", label="Vendor", help="Those you buy from.",
                 screen=True),
         _shows("vendor"), {"roles": ["vendor"], "code_letter": "V"})
)  # fmt: skip
Partner = add_face(
    Face(Party, "partner", "partners",
         replace(PARTY, area="Partners", icon="handshake", label="Partner",
                 help="Partners and dealers you work with.", screen=True),
         _shows("partner"), {"roles": ["partner"], "code_letter": "P"})
)  # fmt: skip
EndCustomer = add_face(
    Face(Party, "end_customer", "end-customers",
         with_figures(PARTY, label="End customer", icon="user", help="Those who drive the vehicles.",
                 screen=True),
         _shows("end_customer"), {"roles": ["end_customer"], "code_letter": "E"})
)  # fmt: skip
# Contacts and addresses belong to parties of any kind: a picker finds those that the person sees under any face.
Everybody = add_face(
    Face(
        Party, "party", "parties",
        replace(PARTY, area="Partners", icon="users-round", label="Party", label_plural="Everybody",
                create=False, edit=False, api=False, help="Everybody you know, whatever they are to you.", screen=True),
        through=("customer", "vendor", "partner", "end_customer"),
    )
)  # fmt: skip
