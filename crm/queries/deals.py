"""The open deals as a board: a column for each stage, what closes first on top."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.orm import selectinload

from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.sales_deals import Deal, DealStage
from crm.queries.listing import Filter, ListQuery, counts_up_to, matching

SHOWN = 50
COUNTED = 999
OPEN = tuple(stage for stage in DealStage if stage not in (DealStage.WON, DealStage.LOST))


@dataclass(frozen=True)
class Column:
    """A stage with the first of its deals; `number` is one more than `COUNTED` where there are more."""

    stage: DealStage
    deals: list[Deal]
    number: int


def board(query: ListQuery, actor: Actor) -> list[Column]:
    """What the list would show by this query, in columns. Raises BadQuery as it does."""
    face = face_named("deal")
    found = {stage: matching(face, replace(query, filters=(*query.filters, Filter(face.fields["stage"], "eq", stage.value))), actor)
             for stage in OPEN}  # fmt: skip
    numbers = dict(zip(found, db.session.execute(counts_up_to(found.values(), COUNTED)).one(), strict=True))
    order = (Deal.close_on.asc().nulls_last(), Deal.id)
    return [Column(stage, list(db.session.scalars(statement.order_by(*order).limit(SHOWN).options(selectinload(Deal.owner)))),
                   numbers[stage]) for stage, statement in found.items()]  # fmt: skip
