"""What may happen to the steps of an onboarding."""

from __future__ import annotations

import datetime as dt

from crm.core.command import Refused, command
from crm.models.access import User
from crm.models.sales_journey import OnboardingStep


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
