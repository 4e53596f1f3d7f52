"""An import from its first row to its report: resumable step by step, or tried out and rolled back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection
from sqlalchemy.orm import undefer

from crm.core.audit import Acting, acting_as, hand_over
from crm.core.entity import Face, db, face_named
from crm.core.jobs import Step
from crm.importing.loading import Loader, totals
from crm.importing.plan import Plan
from crm.importing.reading import Table, open_table
from crm.importing.reconciling import add_up
from crm.importing.report import cells_to_mend, count_remarks, like_known, sample_rows, write_annotated, write_refused
from crm.importing.rights import Rights
from crm.importing.rows import RowReader
from crm.importing.staging import CHUNK, clear, stage, staged_rows
from crm.importing.storage import uploads
from crm.importing.unfit import as_found
from crm.models.access import User
from crm.models.imports import Import
from crm.queries.suppressions import all_kept_out

PREVIEWED = 100_000


@dataclass(frozen=True)
class _Work:
    """An import with all its steps need; holds no database object, so that a commit leaves it whole."""

    import_id: int
    user_id: int | None
    path: Path
    face: Face
    plan: Plan
    table: Table

    @classmethod
    def of(cls, record: Import) -> _Work:
        plan = Plan.from_data(record.plan)
        face = face_named(plan.face)
        path = uploads() / record.stored_name
        rights_now(face, plan, record.asked_by_id)  # before the file is touched
        return cls(record.id, record.asked_by_id, path, face, plan, open_table(path, plan.options))

    def rights(self) -> Rights:
        return rights_now(self.face, self.plan, self.user_id)

    def sign(self, connection: Connection) -> None:
        """Name the person and the import in the history of whatever this transaction changes."""
        with acting_as(Acting(self.user_id, via=f"import {self.import_id}", request_id=f"import-{self.import_id}")):
            hand_over(connection)


def rights_now(face: Face, plan: Plan, user_id: int | None) -> Rights:
    """The rights as they are at this moment, not as they were when the import was asked for. Raises Refused."""
    if user_id is None:
        return Rights()
    person = select(User).where(User.id == user_id).options(undefer(User.rights))
    fresh = person.execution_options(populate_existing=True)
    return Rights.of(face, db.session.scalars(fresh).one_or_none(), plan.names)


def run_import(import_id: int, checkpoint: dict[str, Any]) -> Iterator[Step]:
    """Load an import in steps; a step's effect and checkpoint belong into one commit. Raises FileRefused; Refused when
    the person who asked may no longer import.

    Killed at any point and started again with the last checkpoint it goes on where that was.
    """
    if checkpoint.get("ended"):
        return  # killed between its last step and its end
    work = _Work.of(db.session.get_one(Import, import_id))
    reader = RowReader(work.plan, work.face, work.table, kept_out=all_kept_out())
    reader.remarks.update(checkpoint.get("remarks", {}))
    counts: Counter[str] = Counter(checkpoint.get("counts", {}))
    staged, total = checkpoint.get("staged", 0), checkpoint.get("total")
    if total is None:
        rows = work.table.rows()
        for line, number in stage(db.session.connection, import_id, reader, rows, after=staged):
            counts["staged"] += number
            kept = {"staged": line, "counts": dict(counts), "remarks": dict(reader.remarks)}
            yield Step(0, checkpoint=kept, message=f"{counts['staged']:,} rows read")
            work.rights()
        staged = counts.pop("staged", 0)
        work.rights().refuse_too_many(work.face, staged)
        total = staged + reader.left_out
        counts["skipped"] = reader.left_out
        Loader(db.session.connection, import_id, work.face, work.plan, work.rights).compare_keys()
        yield Step(0, total, {"total": total, "counts": dict(counts), "remarks": dict(reader.remarks)}, "Rows read")
    loader = Loader(db.session.connection, import_id, work.face, work.plan, work.rights)
    work.sign(db.session.connection())
    for line, outcomes in loader.chunks(checkpoint.get("line", 0)):
        counts += outcomes
        kept = {"total": total, "line": line, "counts": dict(counts), "remarks": dict(reader.remarks)}
        _note(import_id, counts)
        yield Step(sum(counts.values()), total, kept)
        work.sign(db.session.connection())
    yield _finish(work, counts, reader.remarks)


def _note(import_id: int, counts: Counter[str]) -> None:
    """The counts so far, for everybody to see."""
    numbers = {f"rows_{name}": number for name, number in totals(counts).items() if name != "rows"}
    db.session.execute(update(Import).where(Import.id == import_id).values(numbers))


def _finish(work: _Work, counts: Counter[str], remarks: Counter[str]) -> Step:
    connection = db.session.connection()
    result = totals(counts)
    _note(work.import_id, counts)
    record = db.session.get_one(Import, work.import_id, populate_existing=True)
    record.refused_name = write_refused(connection, work.import_id, work.table, work.path.parent)
    record.remarks = "\n".join(count_remarks(connection, work.import_id, work.face, remarks)) or None
    record.rows = result["rows"]
    record.added_up = add_up(connection, work.import_id, work.face, work.plan)
    clear(connection, work.import_id)
    db.session.flush()
    return Step(
        result["rows"],
        result["rows"],
        {"counts": dict(counts), "ended": True},
        "",
        {**result, "import": work.import_id},
    )


def try_out(
    record: Import, connection: Connection, *, annotated: bool = False
) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The same through a connection whose transaction the caller rolls back: nothing of it stays.

    Yields (rows done, None) on the way and (rows, findings) last; findings are JSON: counts, rows, remarks,
    `cells` that can be mended, `complete` (False when only the first rows were tried), and if asked for the name of the `annotated` file.
    """
    work = _Work.of(record)
    reader = RowReader(work.plan, work.face, work.table, kept_out=all_kept_out())
    clear(connection, work.import_id)
    last = 0
    for line, _ in stage(lambda: connection, work.import_id, reader, work.table.rows(), limit=PREVIEWED):
        last = line
        yield 0, None
    watch = (work.plan.options.header or 0) + CHUNK  # so far it is kept what would change
    loader = Loader(lambda: connection, work.import_id, work.face, work.plan, work.rights, watch=watch, alone=False)
    loader.compare_keys()
    staged = staged_rows(connection, work.import_id)
    work.rights().refuse_too_many(work.face, staged)
    complete = staged < PREVIEWED or next((False for row in work.table.rows() if row.number > last), True)
    counts = Counter(skipped=reader.left_out)
    for _, outcomes in loader.chunks():
        counts += outcomes
        yield sum(counts.values()), None
    sample = sample_rows(connection, work.import_id, work.face)
    yield (
        staged,
        {
            "counts": totals(counts),
            "rows": sample,
            "cells": cells_to_mend(work.table, work.plan, sample),
            "remarks": like_known(connection, work.import_id, work.face, work.rights().person)
            + count_remarks(connection, work.import_id, work.face, reader.remarks),
            "unfit": as_found([*reader.unfit(), *loader.not_found()], work.plan.words),
            "complete": complete,
            "annotated": write_annotated(connection, work.import_id, work.table, work.path.parent)
            if annotated
            else None,
        },
    )
