"""Regions of addresses follow the table of regions: again, when that has changed."""

from __future__ import annotations

from sqlalchemy import text

from crm.core.command import command
from crm.core.entity import db
from crm.core.jobs import ask_once
from crm.models.access import User
from crm.models.party_regions import REGION_OF, Region

TASK = "jobs.parties.fill_regions"

# The trigger looks the region up; what a person gave, and what is right already, isn't touched.
_FILL = f"""
UPDATE address a SET region = NULL WHERE a.id BETWEEN :first AND :last AND (a.region IS NULL OR a.region_filled)
   AND a.region IS DISTINCT FROM {REGION_OF.format(country="a.country", state="btrim(a.state)")}"""  # noqa: S608 - made of constants


def fill_regions(first: int, last: int) -> None:
    """Give the addresses with these numbers the region that the table says."""
    db.session.execute(text(_FILL), {"first": first, "last": last})


@command(Region, "Fill addresses", icon="refresh-cw",
         confirm="Every address whose region nobody has given gets the one of this table, in the background.")  # fmt: skip
def refill(region: Region, *, by: User) -> None:
    """Bring the regions of all addresses up to date with this table."""
    ask_once(TASK, label="Fill the regions of addresses", args={}, by=by.id, busy="they are being filled already")
