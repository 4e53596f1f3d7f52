"""Lists that are taken out as files: each is noted, long ones are made in the background and kept for some days."""

from __future__ import annotations

import datetime as dt
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from flask import current_app
from sqlalchemy import func, select

from crm.core.command import Refused
from crm.core.entity import Face, db, face_named
from crm.core.jobs import Job, JobState, ask
from crm.core.permissions import Actor, Scope, accesses, allowed
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.models.imports import Export, ExportFormat
from crm.queries.export_files import as_file
from crm.queries.exports import Batches, Extract, export_names, extract, read_columns
from crm.queries.listing import ListQuery, read_query

TASK = "jobs.exports.write"
LARGE = 200_000  # more rows than this are not streamed to a browser
KEPT_FOR = dt.timedelta(days=7)
STEP = 20_000  # rows between two words about the progress
DONE_WITH = (JobState.FAILED, JobState.CANCELLED)


def note(face: Face, form: str, query: ListQuery, names: Sequence[str], *, by: Actor) -> Export:
    """Write down that somebody takes a list out; the rows are counted when they have gone."""
    export = Export(
        file_name=f"{face.plural}-{dt.datetime.now(dt.UTC):%Y-%m-%d}.{form}", entity=face.name, format=ExportFormat(form),
        query=urlencode(query.parameters()), columns=list(names), asked_by_id=by.id)  # fmt: skip
    db.session.add(export)
    db.session.flush()
    return export


def streamed(export_id: int, taken: Extract) -> Iterator[bytes]:
    """The file for a browser, made while it is sent; at its end, or when the browser hangs up, the rows are noted.

    It runs after the request: nothing of the request's session is left by then.
    """
    gone = withheld = 0

    def counted(batches: Batches) -> Batches:
        nonlocal gone, withheld
        for part in batches:
            yield part
            gone += len(part)
            withheld += taken.withheld(part)

    try:
        yield from as_file(taken, counted(taken.rows(db.session.connection())))
    finally:
        db.session.rollback()  # nothing was written, and the cursor is let go
        run_in_transaction(lambda: _count(export_id, gone, withheld if taken.gated else None))


def _count(export_id: int, number: int, withheld: int | None) -> None:
    export = db.session.get_one(Export, export_id)
    export.rows, export.withheld = number, withheld


def note_kept(face: Face, form: str, query: ListQuery, names: Sequence[str], *, by: Actor) -> Export:
    """Note an export whose file is kept for some days."""
    export = note(face, form, query, names, by=by)
    export.expires_at, export.stored_name = dt.datetime.now(dt.UTC) + KEPT_FOR, secrets.token_hex(16)
    return export


def ask_for_file(face: Face, form: str, query: ListQuery, names: Sequence[str], *, by: Actor, total: int) -> Export:
    """Ask for a file made in the background; `total` is how many rows to expect."""
    export = note_kept(face, form, query, names, by=by)
    label = f"Export: {total:,} {(face.label if total == 1 else face.label_plural).lower()}"
    export.job_id = ask(TASK, label=label, args={"export": export.id}, by=by.id, total=total).id
    db.session.flush()
    return export


def write_file(export: Export) -> Iterator[int]:
    """Make the file of an export that was asked for; answers from time to time how many rows it holds.

    It reads on a connection of its own, as of one moment, and begins anew when it is started again. Raises Refused
    when whoever asked may no longer.
    """
    face, by = face_named(export.entity), db.session.get(User, export.asked_by_id)
    if by is None or not by.active or allowed(by, f"{face.name}.export") is None:
        raise Refused("whoever asked may no longer export these")
    if export.stored_name is None:
        raise Refused("its time is over: ask for a new one")
    number = export.id
    query, path = read_query(face, parse_qsl(export.query, keep_blank_values=True)), path_of(export)
    taken = extract(face, query, read_columns(face, export.columns, by), str(export.format), by=by)
    done = withheld = 0

    def counted(batches: Batches) -> Batches:
        nonlocal done, withheld
        for part in batches:
            done += len(part)
            withheld += taken.withheld(part)
            yield part

    told = 0
    with db.engine.connect() as connection, path.open("wb") as file:
        path.chmod(0o600)
        for chunk in as_file(taken, counted(taken.rows(connection))):
            file.write(chunk)
            if done - told >= STEP:
                told = done
                yield done
    db.session.get_one(Export, number).withheld = withheld if taken.gated else None
    yield done


def path_of(export: Export) -> Path:
    """Where the file of an export lies, or will: below CRM_HOME, in a folder closed to everybody else."""
    folder = Path(current_app.config["DESK_SETTINGS"].home) / "exports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    assert export.stored_name is not None
    return folder / export.stored_name


def parts_of(export: Export) -> Path:
    """The folder in which the parts of a bound file are gathered."""
    return path_of(export).with_suffix(".parts")


def may_take(export: Export, actor: Actor) -> bool:
    """The file is for whoever asked for it, and for who sees all exports and may take out all of these records and
    columns."""
    right = allowed(actor, f"{export.entity}.export")
    if export.asked_by_id == actor.id:
        return right is not None
    if right is not Scope.ALL or allowed(actor, "export.read") is not Scope.ALL:
        return False
    face = face_named(export.entity)
    may, offered = accesses(actor, face), export_names(face, actor)
    return all(name in offered and may[name].shows for name in export.columns)


def delete_expired() -> int:
    """Remove the files whose time is over, and those whose making failed; the note of the export stays."""
    due = select(Export).outerjoin(Job, Job.id == Export.job_id).where(
        Export.stored_name.is_not(None), (Export.expires_at < func.now()) | Job.state.in_(DONE_WITH))  # fmt: skip
    expired = list(db.session.scalars(due))
    for export in expired:
        path_of(export).unlink(missing_ok=True)
        shutil.rmtree(parts_of(export), ignore_errors=True)
        export.stored_name = None
    return len(expired)
