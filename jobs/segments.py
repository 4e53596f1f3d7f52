"""Members of segments worked out in the background."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select

from crm.commands.segment_refresh import begin, end, next_part
from crm.core.entity import db
from crm.core.jobs import Job, Step
from crm.models.parties import Party

PART = 100_000  # customers


def refresh(job: Job) -> Iterator[Step]:
    """What `crm.commands.segment_refresh` asked for; the result counts who entered and left."""
    state = job.checkpoint if "parts" in job.checkpoint else begin(job)
    parts = max(len(state["parts"]), 1)
    each = db.session.scalar(select(func.max(Party.id))) or 0
    following: dict[str, Any] | None = state
    while following is not None:
        state = following
        told = f"{sum(state['entered'].values()):,} entered, {sum(state['gone'].values()):,} left"
        done = each * state["part"] + min(each, state["after"])
        yield Step(done=done, total=each * parts, checkpoint=state, message=told)
        following = next_part(job, state, PART)
    yield Step(done=each * parts, total=each * parts, checkpoint=state, result=end(job, state))
