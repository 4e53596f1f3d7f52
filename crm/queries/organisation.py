"""What the organisation says of itself."""

from __future__ import annotations

from sqlalchemy import select

from crm.core.entity import db
from crm.models.organisation import Organisation


def company_currency() -> str:
    """The ISO code of the currency that totals are told in."""
    return db.session.scalars(select(Organisation.currency)).one()


def company_name() -> str:
    """Who you are, as it stands on letters."""
    return db.session.scalars(select(Organisation.name)).one()
