"""What may happen to campaigns and to the offers made to customers. Sending is not done here."""

from __future__ import annotations

import datetime as dt

from crm.commands.communications import refuse_archived
from crm.core.command import Refused, command
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.marketing import Campaign, CustomerOffer
from crm.models.marketing_choices import CampaignState, OfferState

DRAFT, SCHEDULED, RUNNING, PAUSED, ENDED = CampaignState
_DECIDED = (OfferState.ACCEPTED, OfferState.REFUSED, OfferState.BOUGHT)


def _move(campaign: Campaign, to: CampaignState, *states: CampaignState) -> None:
    if campaign.state not in states:
        raise Refused(f"it is {campaign.state.label.lower()}")
    campaign.state = to


@command(Campaign, "Schedule", icon="calendar-clock", applies=lambda campaign: campaign.state is DRAFT)
def schedule(campaign: Campaign, *, by: User) -> None:
    """It is ready and starts at its time."""
    if campaign.starts_at is None or campaign.template_id is None:
        raise Refused("it needs a message and a time to start")
    _move(campaign, SCHEDULED, DRAFT)


@command(Campaign, "Pause", icon="pause", applies=lambda campaign: campaign.state in (SCHEDULED, RUNNING))
def pause(campaign: Campaign, *, by: User) -> None:
    """Nothing is sent for the time being."""
    _move(campaign, PAUSED, SCHEDULED, RUNNING)


@command(Campaign, "Resume", icon="play", applies=lambda campaign: campaign.state is PAUSED)
def resume(campaign: Campaign, *, by: User) -> None:
    """It goes on at its time."""
    _move(campaign, SCHEDULED, PAUSED)


@command(Campaign, "End", tone="warning", icon="square", confirm="Nothing more is sent.",
         applies=lambda campaign: campaign.state is not ENDED)  # fmt: skip
def end(campaign: Campaign, *, by: User) -> None:
    """It is over."""
    _move(campaign, ENDED, DRAFT, SCHEDULED, RUNNING, PAUSED)


def _decide(offer: CustomerOffer, state: OfferState, reason: str | None) -> None:
    refuse_archived(offer.party)
    if offer.state in _DECIDED:
        raise Refused(f"it is {offer.state.label.lower()} already")
    now = dt.datetime.now(dt.UTC)
    if offer.sent_at is not None and offer.sent_at > now:
        raise Refused("it is only sent later: correct that time first")
    offer.state, offer.decided_at, offer.refusal_reason = state, now, reason


@command(CustomerOffer, "Accepted", tone="good", icon="thumbs-up", applies=lambda offer: offer.state not in _DECIDED)
def accept(offer: CustomerOffer, *, by: User) -> None:
    """The customer takes it."""
    _decide(offer, OfferState.ACCEPTED, None)


@command(CustomerOffer, "Refused", icon="thumbs-down", applies=lambda offer: offer.state not in _DECIDED,
         asks={"reason": field_of("text", field_class=FieldClass.PERSONAL)})  # fmt: skip
def refuse(offer: CustomerOffer, *, by: User, reason: str | None) -> None:
    """The customer doesn't want it."""
    _decide(offer, OfferState.REFUSED, reason)
