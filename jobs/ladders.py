"""Customers moved on ladders in the background."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

from sqlalchemy import func, select

from crm.commands.segment_ladders import move_some
from crm.core.days import today
from crm.core.entity import db
from crm.core.jobs import Job, Step
from crm.models.parties import Party


def refresh(job: Job) -> Iterator[Step]:
    """What `crm.commands.segment_ladders` asked for; the result counts who moved and who waits for somebody to agree."""
    day = dt.date.fromisoformat(job.checkpoint.get("day", today().isoformat()))
    counts = Counter[str](job.checkpoint.get("counts", {}))
    after: int | None = job.checkpoint.get("after", 0)
    total = db.session.scalar(select(func.max(Party.id))) or 0
    while after is not None:
        more, after = move_some(job.args["ladder"], after, day=day, by=job.asked_by_id)
        counts += more
        told = f"{counts['up']:,} up, {counts['down']:,} down, {counts['waiting']:,} to be approved"
        result = {name: counts[name] for name in ("up", "down", "waiting")}
        yield Step(done=total if after is None else after, total=total, message=told, result=result,
                   checkpoint={"day": day.isoformat(), "counts": dict(counts), "after": after})  # fmt: skip
