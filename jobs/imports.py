"""Imports in the background: load a file, only check what loading it would do, undo what it did, or only look what
that would do."""

from __future__ import annotations

from collections.abc import Iterator

from crm.core.command import Refused
from crm.core.entity import db
from crm.core.jobs import Job, Step
from crm.importing.files import FileRefused
from crm.importing.running import run_import, try_out
from crm.importing.undo_looking import run_look
from crm.importing.undoing import run_undo
from crm.models.imports import Import


def load(job: Job) -> Iterator[Step]:
    """Bring the rows of an import in, chunk by chunk; `result` counts what became of them."""
    try:
        yield from run_import(job.args["import"], job.checkpoint)
    except FileRefused as refusal:
        raise Refused(str(refusal)) from refusal


def undo(job: Job) -> Iterator[Step]:
    """Bring back what was before an import; `result` counts the records, and what was left."""
    yield from run_undo(job)


def look_at_undo(job: Job) -> Iterator[Step]:
    """Find out what an undo would do; `result` counts the records."""
    yield from run_look(job)


def check(job: Job) -> Iterator[Step]:
    """Find out what an import would do, on a connection of its own that is rolled back."""
    record = db.session.get_one(Import, job.args["import"])
    findings = None
    try:
        with db.engine.connect() as connection, connection.begin() as trial:
            for done, told in try_out(record, connection, annotated=True):
                findings = told
                yield Step(done, message="Nothing is written yet")
            trial.rollback()
    except FileRefused as refusal:
        raise Refused(str(refusal)) from refusal
    assert findings is not None, "the last step of a trial brings its findings"
    record = db.session.get_one(Import, job.args["import"])
    if record.job_id is None:
        record.checked = findings
    yield Step(findings["counts"]["rows"], findings["counts"]["rows"], result=findings["counts"])
