"""What the data of a party lacks, in words; the score itself is a column of the party."""

from __future__ import annotations

from sqlalchemy import select, text

from crm.core.entity import db
from crm.models.parties import Party
from crm.models.party_quality import LACKS, Lack


def lacks_of(party: Party) -> list[Lack]:
    """What costs this party points, dearest first."""
    conditions = [text(f"({lack.when})") for lack in LACKS]
    found = db.session.execute(select(*conditions).select_from(Party).where(Party.id == party.id)).one()
    lacking = [lack for lack, is_so in zip(LACKS, found, strict=True) if is_so]
    return sorted(lacking, key=lambda lack: -lack.points)
