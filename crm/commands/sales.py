"""What may happen to leads and to the steps of an onboarding."""

from __future__ import annotations

import datetime as dt

from crm.core.command import Refused, command
from crm.core.entity import db
from crm.core.fields import field_of
from crm.models.access import User
from crm.models.sales_journey import OnboardingStep
from crm.models.sales_leads import Lead


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


@command(OnboardingStep, "Mark as done", icon="check", applies=lambda step: step.done_at is None)
def finish(step: OnboardingStep, *, by: User) -> None:
    """Note that it is done, by you and now."""
    if step.done_at is not None:
        raise Refused("it is done already")
    step.done_at, step.done_by_id = dt.datetime.now(dt.UTC), by.id


@command(OnboardingStep, "Reopen", icon="rotate-ccw", applies=lambda step: step.done_at is not None)
def reopen(step: OnboardingStep, *, by: User) -> None:
    """It is not done after all."""
    if step.done_at is None:
        raise Refused("it isn't done")
    step.done_at = step.done_by_id = None
