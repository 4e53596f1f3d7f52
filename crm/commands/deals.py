"""What may happen to a deal: it goes from stage to stage, until it is won or lost."""

from __future__ import annotations

from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.fields import SHORT_TEXT, field_of
from crm.models.access import User
from crm.models.sales_deals import Deal, DealStage


@command(Deal, "Move to a stage", icon="arrow-right",
         asks={"stage": field_of("choice", choices=DealStage, required=True),
               "lost_reason": field_of("text", label="Why it was lost", help="Only if it is lost", max_length=SHORT_TEXT)})  # fmt: skip
def move(deal: Deal, *, by: User, stage: DealStage, lost_reason: str | None) -> None:
    """Put it into another stage. Won and lost close it today; any other opens it again."""
    day = today()
    closed = stage in (DealStage.WON, DealStage.LOST)
    if deal.customer.archived_at is not None:
        raise Refused("the customer is archived: restore it first")
    if deal.stage is stage:
        raise Refused(f"it is in the stage “{stage.label}” already")
    if stage is DealStage.LOST and not lost_reason:
        raise Refused("say why it was lost")
    if closed and deal.opened_on is not None and deal.opened_on > day:
        raise Refused("it opens on a later day")
    deal.stage, deal.closed_on = stage, day if closed else None
    deal.lost_reason = lost_reason if stage is DealStage.LOST else None
    if closed:
        deal.probability = 100 if stage is DealStage.WON else 0
