"""Job functions for tests, known to the runner as `jobs.trial`: they make parties, chunk by chunk."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from sqlalchemy import text

from crm.core.command import Refused
from crm.core.entity import db
from crm.core.jobs import Job, Step
from crm.models.parties import Party

PER_CHUNK = 10


def nothing(chunk: int) -> None:
    """What a chunk does besides its effect, unless a test has something else in mind."""


before_step: Callable[[int], None] = nothing
tidied: list[int] = []


def chunks(job: Job) -> Iterator[Step]:
    """`args`: `chunks`, `seconds` each takes, `fail_at`, `refuse_at`, `deadlock_at` a chunk's number."""
    wanted, first = job.args["chunks"], job.checkpoint.get("next", 0)
    try:
        for chunk in range(first, wanted):
            for number in range(PER_CHUNK):
                db.session.add(Party(name=f"{chunk}-{number}"))
            db.session.flush()
            time.sleep(job.args.get("seconds", 0))
            before_step(chunk)
            if job.args.get("fail_at") == chunk:
                raise KeyError("alice@example.com")
            if job.args.get("refuse_at") == chunk:
                raise Refused("the moon is full")
            if job.args.get("deadlock_at") == chunk:
                db.session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '40P01'; END $$"))
            yield Step(done=chunk + 1, total=wanted, checkpoint={"next": chunk + 1}, result={"chunks": chunk + 1})
    finally:
        tidied.append(job.id)


def late(job: Job) -> Iterator[Step]:
    """Works on after its last step."""
    yield Step(done=1)
    db.session.add(Party(name="after the last step"))


def no_steps(job: Job) -> Iterator[Step]:
    """Yields what is no step."""
    yield 3  # type: ignore[misc]


def plain(job: Job) -> None:
    """No generator, so no job."""


sys.modules["jobs.trial"] = sys.modules[__name__]
