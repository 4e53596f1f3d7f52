"""Exports in the background."""

from __future__ import annotations

from collections.abc import Iterator

from crm.commands.exports import write_file
from crm.core.entity import db
from crm.core.jobs import Job, Step
from crm.models.imports import Export


def write(job: Job) -> Iterator[Step]:
    """Make the file of an export; `result` counts its rows."""
    export = db.session.get_one(Export, job.args["export"])
    number = 0
    for number in write_file(export):
        yield Step(done=number)
    db.session.get_one(Export, job.args["export"]).rows = number
    yield Step(done=number, total=number, result={"rows": number})
