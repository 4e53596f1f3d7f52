"""Commands on many records, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

from crm.commands.batch import perform_next
from crm.core.command import Refused, command_named
from crm.core.entity import db, face_named
from crm.core.jobs import Job, Step
from crm.models.access import User

FIRST, CHUNK, SET_CHUNK = 50, 500, 5_000  # the first part and the largest, one record at a time; by a set form
SECONDS = 2.0  # what a part may take: others wait as long for the records in it


def perform_many(job: Job) -> Iterator[Step]:
    """A command on the records that were fixed when it was confirmed; `result` counts them."""
    face = face_named(job.args["face"])
    made = command_named(face, job.args["verb"])
    if made is None:
        raise Refused(f"{face.label_plural} have no command {job.args['verb']} in this version")
    values = made.read(job.args["values"])
    done, refused = job.checkpoint.get("done", 0), job.checkpoint.get("refused", 0)
    limit = SET_CHUNK if made.set_form else min(FIRST, CHUNK)
    while True:
        began = monotonic()
        by = db.session.get(User, job.asked_by_id, populate_existing=True)
        if by is not None and not by.active:
            by = None
        part = perform_next(job.id, face, made, values, by=by, limit=limit)
        if part == (0, 0):
            return
        done, refused = done + part[0], refused + part[1]
        counts = {"done": done, "refused": refused}
        told = f"{done:,} done, {refused:,} refused"
        yield Step(done=done + refused, checkpoint=counts, result=counts, message=told)
        if not made.set_form:
            fitting = limit * SECONDS / max(monotonic() - began, 0.01)
            limit = max(1, min(int(fitting), limit * 4, CHUNK))
