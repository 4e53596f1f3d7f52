"""What may happen to suggestions and alerts: somebody decides on them."""

from __future__ import annotations

import datetime as dt

from crm.commands.communications import refuse_archived
from crm.core.command import Refused, command
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.insight_choices import AlertState, SuggestionState
from crm.models.insights import Alert, Recommendation

_OPEN = (SuggestionState.NEW, SuggestionState.SHOWN, SuggestionState.OFFERED)


def _decide(one: Recommendation, state: SuggestionState, reason: str | None) -> None:
    refuse_archived(one.party)
    if one.state not in _OPEN:
        raise Refused(f"it is {one.state.label.lower()} already")
    one.state, one.decided_at, one.refusal_reason = state, dt.datetime.now(dt.UTC), reason


@command(Recommendation, "Accepted", tone="good", icon="thumbs-up", applies=lambda one: one.state in _OPEN)
def accept(recommendation: Recommendation, *, by: User) -> None:
    """The customer likes it."""
    _decide(recommendation, SuggestionState.ACCEPTED, None)


@command(Recommendation, "Refused", icon="thumbs-down", applies=lambda one: one.state in _OPEN,
         asks={"reason": field_of("text", field_class=FieldClass.PERSONAL)})  # fmt: skip
def refuse(recommendation: Recommendation, *, by: User, reason: str | None) -> None:
    """The customer doesn't want it."""
    _decide(recommendation, SuggestionState.REFUSED, reason)


def _settle(alert: Alert, state: AlertState, by: User) -> None:
    refuse_archived(alert.party)
    if alert.state is not AlertState.OPEN:
        raise Refused(f"it is {alert.state.label.lower()} already")
    alert.state, alert.settled_at, alert.settled_by_id = state, dt.datetime.now(dt.UTC), by.id


@command(Alert, "Dealt with", tone="good", icon="check", applies=lambda alert: alert.state is AlertState.OPEN)
def settle(alert: Alert, *, by: User) -> None:
    """Somebody has done what was needed."""
    _settle(alert, AlertState.DONE, by)


@command(Alert, "Dismiss", icon="bell-off", applies=lambda alert: alert.state is AlertState.OPEN)
def dismiss(alert: Alert, *, by: User) -> None:
    """Nothing needs to be done."""
    _settle(alert, AlertState.DISMISSED, by)
