"""Work on many parties in the background: regions of addresses, intervals of check-ins, values from outside sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import func, select

from crm.commands import party_regions
from crm.commands.check_ins import apply_rules
from crm.commands.party_enrichment import enrich_now
from crm.core.entity import db
from crm.core.jobs import Job, Step
from crm.models.parties import Address, Party

PART = 5_000


def fill_regions(job: Job) -> Iterator[Step]:
    """What `crm.commands.party_regions` asked for."""
    yield from _parts(job, Address, party_regions.fill_regions)


def apply_check_ins(job: Job) -> Iterator[Step]:
    """What `crm.commands.check_ins` asked for."""
    yield from _parts(job, Party, apply_rules)


def enrich(job: Job) -> Iterator[Step]:
    """What `crm.commands.party_enrichment` asked for; the result counts what is new."""
    party = db.session.get(Party, job.args["party"])
    new = enrich_now(party) if party is not None else 0
    yield Step(done=1, total=1, result={"proposed": new})


def _parts(job: Job, entity: Any, do: Callable[[int, int], None]) -> Iterator[Step]:
    """Do it to a few thousand numbers at a time; each part is a transaction of its own."""
    done = job.checkpoint.get("done", 0)
    total = db.session.scalar(select(func.max(entity.id))) or 0
    while done < total:
        do(done + 1, min(total, done + PART))
        done = min(total, done + PART)
        yield Step(done=done, total=total, checkpoint={"done": done})
