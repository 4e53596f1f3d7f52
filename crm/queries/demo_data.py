"""Names, places and firms of several countries and scripts, from which demo data is put together.

All of it is invented. In `demo_places.json` a name carries its Latin spelling behind a bar, for e-mail
addresses, and a city its state and postal code; `%s` stands for a house number in a street and for a family's
name in a firm; `dial` is followed by as many digits as `digits` says, in ranges kept for fiction where a
country has them, and in blocks that nobody is given elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

INDUSTRIES = (
    "Automotive",
    "Construction",
    "Education",
    "Energy",
    "Finance",
    "Food & Beverage",
    "Healthcare",
    "Hospitality",
    "Logistics",
    "Manufacturing",
    "Public Sector",
    "Retail",
    "Technology",
)
TAGS = ("newsletter", "fleet", "key account", "trade fair", "referral", "service contract", "early adopter")
TITLES = (
    "Managing Director",
    "Head of Purchasing",
    "Fleet Manager",
    "Chief Financial Officer",
    "Operations Manager",
    "Office Manager",
)
DEPARTMENTS = ("Management", "Purchasing", "Fleet", "Finance", "Operations", "Office")
BLOCK_REASONS = (
    "Invoices unpaid for more than 90 days",
    "Chargeback under investigation",
    "Deliveries refused repeatedly",
    "Asked by the legal department",
)


DEALINGS: dict[str, tuple[str, ...]] = {
    "colours": ("Black", "White", "Silver", "Blue", "Red", "Green", "Grey"),
    "works": ("Oil and filters changed, brakes checked", "Yearly inspection, all in order", "Front brake pads replaced",
              "Tyres changed, wheels balanced", "Battery tested, software brought up to date", "Recall: seat belt tensioner replaced",
              "Air conditioning cleaned and filled"),
    "deals": ("Renewal of the fleet", "Two electric vans", "First car of the family", "Service contract for three years",
              "Upgrade to the new model", "Framework for spare parts", "Winter tyres for all vehicles", "Company car"),
    "losses": ("Too expensive", "Bought from a competitor", "Project was stopped", "Delivery would have taken too long"),
    "steps": ("Send the quote", "Arrange a test drive", "Call about the financing", "Meet the decision maker",
              "Wait for the answer of purchasing"),
    "sources": ("Website", "Trade fair", "Referral", "Campaign", "Existing customer"),
    "subjects": ("Question about an invoice", "Appointment for the service", "Asked for a quote", "Test drive agreed",
                 "Delivery date", "Follow-up after the service", "New contact person", "Interested in electric vehicles",
                 "Thanks for the quick help", "Wants to compare leasing offers"),
    "tasks": ("Call back about the offer", "Send the documents", "Ask how the first weeks were", "Check the open delivery",
              "Prepare the yearly meeting", "Renew the service contract"),
    "troubles": ("Delivery came late", "Invoice shows the wrong amount", "Noise after the last service", "Part is missing in the parcel",
                 "App doesn't show the appointment", "How do I book a pick-up?", "Nobody called back",
                 "Great service at the last visit"),
    "solutions": ("Explained and apologised; the customer is content", "Credit note sent", "Part sent by courier the same day",
                  "Repaired free of charge", "Put right in the system"),
    "praise": ("Everything went smoothly.", "Friendly and quick, thank you!", "I'd buy here again."),
    "blame": ("Had to call three times.", "The waiting time was too long.", "All right, but not cheap."),
    "notes": ("Prefers to be called after 4 pm.", "Decides together with the **finance** department.",
              "Has two other cars from a competitor; their leasing ends next year.",
              "Likes short mails with the price first.", "Visited our stand at the trade fair, very interested in *electric* vans."),
}  # fmt: skip


def places() -> list[dict[str, Any]]:
    """The countries, each as often as its weight says."""
    known = json.loads(Path(__file__).with_name("demo_places.json").read_text(encoding="utf-8"))
    return [place for place in known for _ in range(place["weight"])]
