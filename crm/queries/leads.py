"""Which customers a lead may be already."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, union

from crm.core.entity import db, face_named
from crm.core.permissions import Actor, accesses
from crm.models.parties import Contact, Party
from crm.models.sales_leads import Lead
from crm.queries.scope import visible

MOST = 5


def same_customers(lead: Lead, actor: Actor) -> list[Party]:
    """Customers that the actor sees and who have the e-mail or phone number of the lead, themselves or by a contact."""
    face = face_named("customer")
    may, of_contacts = accesses(actor, face), accesses(actor, face_named("contact"))
    parts: list[Any] = []
    for name, names in (("email", ("email", "email2")), ("phone", ("phone", "phone2"))):
        value = getattr(lead, name)
        if value is None:
            continue
        parts += [select(Party.id).where(getattr(Party, one) == value) for one in names if may[one].shows]
        if of_contacts[name].shows:
            parts.append(select(Contact.party_id).where(getattr(Contact, name) == value))
    if not parts:
        return []
    same = union(*parts).subquery()
    statement = visible(face, actor).where(Party.id.in_(select(same.c[0])), Party.archived_at.is_(None))
    return list(db.session.scalars(statement.order_by(Party.id).limit(MOST)))
