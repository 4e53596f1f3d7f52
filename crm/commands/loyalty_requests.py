"""Adjustments of points above what one person may do: another person agrees, or says why not."""

from __future__ import annotations

import datetime as dt

from crm.commands.communications import refuse_archived
from crm.commands.loyalty_entries import adjusted
from crm.core.command import Refused, command
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.loyalty_choices import Asked
from crm.models.loyalty_requests import PointRequest


def _open(request: PointRequest) -> bool:
    return request.state is Asked.PENDING


@command(PointRequest, "Approve", icon="check", tone="good", confirm="The points are entered.", applies=_open)
def approve(request: PointRequest, *, by: User) -> None:
    """Agree to an adjustment that somebody else asked for; it is entered at once."""
    _refuse_unless_others(request, by)
    entry = adjusted(request.account, request.points, by=by, reason=request.reason or "Agreed to")
    _decide(request, Asked.APPROVED, by, entry_id=entry.id)


@command(PointRequest, "Refuse", icon="x", tone="warning", applies=_open,
         asks={"reason": field_of("long_text", required=True, field_class=FieldClass.PERSONAL)})  # fmt: skip
def refuse(request: PointRequest, *, by: User, reason: str) -> None:
    """Say no to an adjustment, with the reason."""
    _refuse_unless_others(request, by)
    _decide(request, Asked.REFUSED, by, answer=reason)


def _refuse_unless_others(request: PointRequest, by: User) -> None:
    refuse_archived(request.account.party)
    if request.state is not Asked.PENDING:
        raise Refused(f"it is {request.state.label.lower()} already")
    if request.requested_by_id == by.id:
        raise Refused("you asked for it yourself: somebody else must decide")


def _decide(request: PointRequest, state: Asked, by: User, **more: object) -> None:
    request.state, request.decided_by_id, request.decided_at = state, by.id, dt.datetime.now(dt.UTC)
    for name, value in more.items():
        setattr(request, name, value)
    db.session.flush()
