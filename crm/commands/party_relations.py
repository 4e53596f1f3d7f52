"""What may happen to a relation between two parties: it ends."""

from __future__ import annotations

import datetime as dt

from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.fields import field_of
from crm.models.access import User
from crm.models.party_relations import Relation


@command(Relation, "End", asks={"until": field_of("date", label="Last day", help="Empty: today")}, tone="warning",
         icon="circle-x", confirm="It stays in the list of past relations.",
         applies=lambda relation: relation.valid_until is None)  # fmt: skip
def end(relation: Relation, *, by: User, until: dt.date | None) -> None:
    """Say that it holds no longer."""
    last = until or today()
    if relation.valid_until is not None and relation.valid_until <= last:
        raise Refused("it ends before that day already")
    if relation.valid_from is not None and last < relation.valid_from:
        raise Refused("that day lies before the day it began")
    for party in (relation.from_party, relation.to_party):
        if party.archived_at is not None:
            raise Refused("one of the two is archived: restore it first")
    relation.valid_until = last
