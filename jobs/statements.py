"""Statements of account in the background."""

from __future__ import annotations

from collections.abc import Iterator

from crm.commands.credit_statements import bind, write_next
from crm.core.entity import db
from crm.core.jobs import Job, Step

AT_ONCE = 20


def write(job: Job) -> Iterator[Step]:
    """What `crm.commands.credit_statements` asked for; `result` counts what was written and what was left out."""
    done, refused = job.checkpoint.get("done", 0), job.checkpoint.get("refused", 0)
    while (part := write_next(job, AT_ONCE)) != (0, 0):
        done, refused = done + part[0], refused + part[1]
        told = f"{done:,} written, {refused:,} left out"
        yield Step(done=done + refused, checkpoint={"done": done, "refused": refused}, message=told)
        db.session.expire_all()
    bind(job, done)
    counts = {"done": done, "refused": refused}
    yield Step(done=done + refused, checkpoint=counts, result=counts, message=f"{done:,} written, {refused:,} left out")
