"""Who agreed to a use of their data on a channel: the one gate that what goes out, and files for it, ask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, inspect, or_, select

from crm.core.entity import Face
from crm.core.fields import Field
from crm.models.communication_choices import SendChannel
from crm.models.parties import Contact, Party
from crm.models.privacy import Consent
from crm.models.privacy_choices import ConsentPurpose, ConsentState

# On which channels a value can be used; another one, such as an address, takes a yes for every channel.
_CHANNELS = {"email": (SendChannel.EMAIL,), "phone": (SendChannel.SMS, SendChannel.WHATSAPP)}


def may_be_used(face: Face, field: Field, purpose: ConsentPurpose) -> ColumnElement[bool]:
    """SQL over the face's rows: whoever the value belongs to agreed to its use for this. Of records that belong to nobody
    who can agree, never."""
    if face.entity is Party:
        whose: Any = and_(Consent.party_id == Party.id, Consent.contact_id.is_(None))
    elif face.entity is Contact:
        whose = Consent.contact_id == Contact.id
    else:
        holder = _holder(face)
        if holder is None:
            return false()
        whose = and_(Consent.party_id == holder, Consent.contact_id.is_(None))
    return agreed(whose, purpose, _CHANNELS.get(field.kind, ()))


def agreed(
    whose: ColumnElement[bool], purpose: ConsentPurpose, channels: Collection[SendChannel]
) -> ColumnElement[bool]:
    """SQL: of these consents the latest word for this purpose is a yes that still holds, on one of the channels or on every
    channel."""

    def says_yes(heard: ColumnElement[bool]) -> ColumnElement[bool]:
        holds = or_(Consent.valid_until.is_(None), Consent.valid_until >= func.current_date())
        latest = select(and_(Consent.state == ConsentState.GIVEN, holds)).where(
            whose, Consent.purpose == purpose, heard
        )
        newest = latest.order_by(Consent.decided_at.desc(), Consent.id.desc()).limit(1)
        return func.coalesce(newest.correlate_except(Consent).scalar_subquery(), false())

    everywhere = Consent.channel.is_(None)
    return (
        or_(*(says_yes(or_(everywhere, Consent.channel == channel)) for channel in channels))
        if channels
        else says_yes(everywhere)
    )


def _holder(face: Face) -> Any:
    """The column that names the party a record belongs to."""
    for path in face.about.paths:
        link = inspect(face.entity).relationships.get(path[0])
        if link is not None and link.mapper.class_ is Party and len(link.local_columns) == 1:
            return next(iter(link.local_columns))
    return None
