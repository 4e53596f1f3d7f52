"""What may happen to a lead: it goes to somebody else, or becomes a customer with a contact and a deal."""

from __future__ import annotations

import datetime as dt
from typing import Any

from crm.commands import records
from crm.core.command import Refused, WrongInput, command
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.fields import SHORT_TEXT, field_of
from crm.core.permissions import PICK, allowed
from crm.models.access import User
from crm.models.parties import Contact, Lifecycle, Party
from crm.models.party_choices import Kind, Stage, SubStage
from crm.models.sales_deals import Deal, DealStage
from crm.models.sales_leads import Lead, TrackEnd
from crm.queries.leads import same_customers
from crm.queries.scope import find


@command(Lead, "Reassign", asks={"owner": field_of("reference", refers_to="user", label="Sales person", required=True)},
         icon="user")  # fmt: skip
def reassign(lead: Lead, *, by: User, owner: int) -> None:
    """Give it to another sales person."""
    new = db.session.get(User, owner)
    if new is None or not new.active:
        raise Refused("there is no active user with that number")
    if lead.owner_id == owner:
        raise Refused(f"{new.name} works on it already")
    lead.owner_id = owner


def _suggested(lead: Lead, by: User) -> dict[str, Any]:
    """The customer that it is already, where there is one and no other."""
    found = same_customers(lead, by)
    return {"customer": found[0].id} if len(found) == 1 else {}


@command(Lead, "Convert", tone="good", icon="user-check", applies=lambda lead: lead.converted_at is None, suggests=_suggested,
         asks={"customer": field_of("reference", refers_to="customer", help="Empty: a new one is made"),
               "anyway": field_of("boolean", label="Make a new one although there is one with this e-mail or phone number"),
               "deal": field_of("text", label="Name of the deal", help="Empty: the name of the lead",
                                max_length=SHORT_TEXT)})  # fmt: skip
def convert(lead: Lead, *, by: User, customer: int | None, anyway: bool | None, deal: str | None) -> None:
    """Make a customer, a contact and a deal of it in one go; it stays linked to them. What it is interested in becomes a
    line of the deal."""
    if lead.converted_at is not None:
        raise Refused("it is converted already")
    if customer is None and not anyway and (same := same_customers(lead, by)):
        raise Refused(
            f"{same[0].code} has the same e-mail or phone number: choose it, or say that a new one is to be made"
        )
    try:
        party = _customer(lead, by) if customer is None else _existing(customer, by)
        contact = _contact(lead, party, by)
        made = _deal(lead, party, contact, by, deal or lead.name)
    except WrongInput as fault:
        raise Refused("; ".join(f"{name.replace('_', ' ')} {text}" for name, text in fault.errors.items())) from None
    lead.customer_id, lead.contact_id, lead.deal_id = party.id, contact.id, made.id
    lead.converted_at = dt.datetime.now(dt.UTC)
    if lead.track_id is not None and lead.track_end is None:
        lead.track_end, lead.track_ended_on = TrackEnd.CONVERTED, lead.converted_at.date()
    db.session.flush()


def _existing(number: int, by: User) -> Party:
    party: Party | None = find(face_named("customer"), by, str(number), PICK)
    if party is None:
        raise Refused("there is no such customer for you")
    return party


def _customer(lead: Lead, by: User) -> Party:
    """A prospect at the end of that stage. Whoever may not hand customers out keeps it."""
    hands_out = allowed(by, "customer.reassign") is not None
    company = lead.company_name
    values = {
        "name": company or lead.name, "kind": Kind.ORGANIZATION if company else Kind.INDIVIDUAL, "company_name": company,
        "first_name": None if company else lead.first_name, "last_name": None if company else lead.last_name,
        "industry": lead.industry, "language": lead.language, "tags": lead.tags, "description": lead.description,
        "email": lead.email, "phone": lead.phone, "website": lead.website, "address": lead.address, "city": lead.city,
        "state": lead.state_province, "postal_code": lead.postal_code, "country": lead.country,
        "owner": lead.owner_id if hands_out else by.id, "team": lead.team_id if hands_out else None,
        "lifecycle": Lifecycle.PROSPECT, "stage": Stage.PROSPECT, "sub_stage": SubStage.CONVERSION,
    }  # fmt: skip
    party: Party = _create("customer", values, by)
    return party


def _contact(lead: Lead, party: Party, by: User) -> Contact:
    """The person: the contact of that e-mail, where the customer has one."""
    known = next((one for one in party.contacts if lead.email and one.email == lead.email), None)
    contact: Contact = known or _create("contact", {
        "party": party.id, "name": lead.name, "first_name": lead.first_name, "last_name": lead.last_name, "email": lead.email,
        "phone": lead.phone, "designation": lead.designation}, by)  # fmt: skip
    return contact


def _deal(lead: Lead, party: Party, contact: Contact, by: User, name: str) -> Deal:
    """With one of what the lead is interested in, for its price; the lead's own budget is the amount."""
    day, wanted = today(), lead.interest
    currency = lead.currency or (wanted.currency if wanted else None)
    price = wanted.price if wanted and wanted.currency == currency else None
    amount = price if lead.budget is None else lead.budget
    values = {"name": name, "customer": party.id, "contact": contact.id, "owner": lead.owner_id or by.id,
              "stage": DealStage.QUALIFICATION, "amount": amount, "currency": currency, "opened_on": day,
              "close_on": lead.buys_by, "source": lead.source.label, "description": lead.description}  # fmt: skip
    made: Deal = _create("deal", values, by)
    if wanted is not None:
        _create("deal_line", {"deal": made.id, "product": wanted.id, "name": wanted.name, "sku": wanted.sku,
                              "unit_price": price or amount or 0}, by)  # fmt: skip
    return made


def _create(face: str, values: dict[str, Any], by: User) -> Any:
    if allowed(by, f"{face}.create") is None:
        raise Refused(f"your roles don't let you make a {face_named(face).label.lower()}")
    return records.create(face_named(face), {name: value for name, value in values.items() if value is not None}, by)
