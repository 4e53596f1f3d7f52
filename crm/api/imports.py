"""Files that programs send to be imported: the engine of the wizard and the command line, with a plan in JSON."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any, get_args, get_origin, get_type_hints

from flask import Response, request, send_file, url_for
from werkzeug.datastructures import FileStorage

from crm.api import reading
from crm.api.entering import actor, require, user, with_key
from crm.api.problems import Problem, answer, not_allowed, wrong
from crm.api.repeating import once
from crm.api.routes import METHODS, blueprint
from crm.core.command import Refused
from crm.core.entity import Face, all_faces, db, face_named
from crm.core.jobs import cancel
from crm.importing import access, start
from crm.importing.files import MIB, FileRefused, ReadOptions
from crm.importing.plan import ROW_BY_ROW, Plan, PlanRefused
from crm.importing.reconciling import totals_of
from crm.importing.report import refused_file
from crm.importing.storage import UPLOAD_LIMIT, forget
from crm.models.imports import Duplicates, Import, Outcome

# What is said besides the plan itself; a plan says the rest by the names of its parts. Single rows are decided on the page
# of the check alone.
_BESIDES = ("entity", "columns", "options", "again", "dry_run")
_PARTS = {
    name: kind for name, kind in get_type_hints(Plan).items() if name not in ("face", "columns", "options", *ROW_BY_ROW)
}


@blueprint.route("/imports", methods=METHODS)
@with_key
def imports() -> Response:
    """Take a file and bring it in; with `dry_run` say what would happen."""
    if request.method != "POST":
        raise not_allowed("POST")
    if request.mimetype != "multipart/form-data":
        raise Problem(415, "Send multipart/form-data: the file as `file`, the plan as JSON in `plan`.")
    if not any(face.about.imports and _may(face) for face in all_faces()):
        raise Problem(403, "This key may not import anything: it needs a scope such as customers:import.")
    request.max_content_length = UPLOAD_LIMIT + MIB
    file, given = request.files.get("file"), reading.object_of(request.form.get("plan", "").encode())
    face = _face(given)
    require(face, "import", "import")
    if file is None or not file.filename:
        raise wrong({"file": "is missing: send it as a part named file"})
    sent: FileStorage = file
    meaning = f"{given!r} {_digest(sent.stream)}".encode()
    return once(lambda: _receive(face, sent, given), meaning=meaning)


def _may(face: Face) -> bool:
    try:
        require(face, "import", "import")
    except Problem:
        return False
    return True


def _face(given: dict[str, Any]) -> Face:
    name = given.get("entity")
    face = next((one for one in all_faces() if name in (one.plural, one.name) and one.about.imports), None)
    if face is None:
        raise wrong({"entity": "says what the rows are, such as customers"})
    return face


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    stream.seek(0)  # the whole request is done again when two transactions stood in each other's way
    while block := stream.read(MIB):
        digest.update(block)
    stream.seek(0)
    return digest.hexdigest()


def _receive(face: Face, file: FileStorage, given: dict[str, Any]) -> Response:
    more, dry_run = _read(given), given.get("dry_run") is True
    try:
        options = ReadOptions.from_data(given.get("options") or {})
        again = given.get("again") is True or dry_run
        record, table = start.draft(
            face, file.stream, file.filename or "file", by=user().id, again=again, options=options
        )
    except FileRefused as refusal:
        raise wrong({"file": f"{refusal}"}, "The file can't be read.") from None
    except start.AlreadyImported as question:
        raise _asked(question) from None
    try:
        columns = given.get("columns")
        named = None if columns is None else {name: target for name, target in columns.items() if target}
        by_header = {name: start.by_number(table, value) for name, value in more.items() if _is_by_column(name)}
        start.replan(
            record, face, table, None if named is None else start.by_number(table, named), **{**more, **by_header}
        )
        if dry_run:
            return _tried(record)
        start.start(record, by=user().id)
    except (FileRefused, PlanRefused, Refused, start.AlreadyImported) as refusal:
        forget(record.stored_name)
        if isinstance(refusal, start.AlreadyImported):
            raise _asked(refusal) from None
        raise wrong(
            {"file" if isinstance(refusal, FileRefused) else "plan": f"{refusal}"}, "It can't be imported so."
        ) from None
    return _document(record, face, 201)


def _asked(question: start.AlreadyImported) -> Problem:
    return Problem(409, f'{question}. To import it all the same, send it with "again": true.')


def _tried(record: Import) -> Response:
    """What would happen: at once for a small file, of which nothing is kept; a large one is checked in the background."""
    if record.size > start.CHECKED_AT_ONCE:
        start.ask_check(record, by=user().id)
        return _document(record, face_named(record.entity), 202)
    found = start.check_now(record)
    forget(record.stored_name)
    db.session.delete(record)
    return answer({"state": "checked", "findings": found})


def _read(given: dict[str, Any]) -> dict[str, Any]:
    """The parts of the plan, as they are kept. Problem 422 for what is none, or of another kind."""
    errors = {name: "is no part of a plan" for name in given if name not in _BESIDES and name not in _PARTS}
    kinds = _PARTS | {"columns": Mapping[str, str | None], "options": dict, "again": bool, "dry_run": bool}
    for name, kind in kinds.items():
        if given.get(name) is not None and name not in errors and not _fits(kind, given[name]):
            errors[name] = f"must be {_words(kind)}"
    if errors:
        raise wrong(errors)
    found = {name: given[name] for name in _PARTS if given.get(name) is not None}
    if "duplicates" in found:
        found["duplicates"] = Duplicates(found["duplicates"])
    return found


def _is_by_column(name: str) -> bool:
    kind = _PARTS[name]
    return get_origin(kind) is not None and get_args(kind)[:1] == (int,)


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value of JSON can be one of this kind; a column is called by its header."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Duplicates:
        return value in tuple(Duplicates)
    if origin is None:
        return type(value) is kind
    if origin is types.UnionType:
        return any(_fits(one, value) for one in inner)
    if origin is tuple:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, dict) and all(_fits(inner[1], one) for one in value.values())


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Duplicates:
        return " or ".join(Duplicates)
    if origin is None:
        return {bool: "true or false", dict: "an object"}.get(kind, "text")
    if origin is types.UnionType:
        return _words(inner[0])
    if origin is tuple:
        return "a list of texts"
    return f"an object {'by the headers of columns' if inner[0] is int else 'by names'}, each {_words(inner[1])}"


# An import that there is


@blueprint.route("/imports/<given>", methods=METHODS)
@with_key
def one_import(given: str) -> Response:
    """How it stands."""
    if request.method not in ("GET", "HEAD"):
        raise not_allowed("GET, HEAD")
    record, face = _found(given)
    if not access.may_watch(record, face, actor()):
        raise _missing(given)
    return _document(record, face)


@blueprint.route("/imports/<given>/refused", methods=METHODS)
@with_key
def refused_rows(given: str) -> Response:
    """The rows that were not taken, as CSV."""
    if request.method not in ("GET", "HEAD"):
        raise not_allowed("GET, HEAD")
    record, face = _found(given)
    if not access.may_take_refused(record, face, actor()):
        raise _missing(given)
    if record.job is None or record.job.is_open:
        raise Problem(409, "It hasn't ended: ask again when its state is done.")
    path = refused_file(record, lambda: start.reopen(record, face))
    if path is None or not path.exists():
        raise Problem(404, "No row was refused, or its file was deleted since.")
    return send_file(
        path, mimetype="text/csv", as_attachment=True, download_name=f"import-{record.id}-refused.csv", max_age=0
    )


@blueprint.route("/imports/<given>/cancel", methods=METHODS)
@with_key
def cancel_import(given: str) -> Response:
    """Stop after the chunk that is running; what is done stays done."""
    if request.method != "POST":
        raise not_allowed("POST")
    record, face = _found(given)
    job = record.job or start.open_check(record)
    if not access.may_cancel(record, face, actor(), job):
        raise _missing(given)

    def work() -> Response:
        try:
            if job is None:
                raise Refused("it hasn't been started")
            cancel.run(job, by=user())
        except Refused as refusal:
            raise Problem(409, f"Not cancelled: {refusal}.") from None
        return _document(record, face)

    return once(work)


def _found(given: str) -> tuple[Import, Face]:
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
    record = db.session.get(Import, number)
    face = None if record is None else next((one for one in all_faces() if one.name == record.entity), None)
    if record is None or face is None:
        raise _missing(given)
    require(face, "import", "import")
    return record, face


def _missing(given: str) -> Problem:
    return Problem(404, f"There is no import {given[:40]} that the user of this key may see.")


def _document(record: Import, face: Face, status: int = 200) -> Response:
    db.session.flush()
    db.session.refresh(record)
    job = record.job or start.open_check(record)
    state = str(record.state) if record.job else "checking" if job else "checked" if record.checked else "draft"
    path = url_for("api.one_import", given=record.id)
    document = {
        "id": record.id, "entity": face.plural, "file_name": record.file_name, "size": record.size, "state": state,
        "created_at": record.created_at.isoformat().replace("+00:00", "Z"),
        "counts": {"rows": record.rows} | {str(one): getattr(record, f"rows_{one}") for one in Outcome},
        "progress": {"done": job.done, "total": job.total, "message": job.message} if job and job.is_open else None,
        "error": job.error if job else None,
        "remarks": (record.remarks or "").splitlines(),
        "added_up": [asdict(total) for total in totals_of(record, face, actor())],
        "findings": record.checked,
        "plan": {name: value for name, value in record.plan.items() if name in get_type_hints(Plan)},
        "refused": f"{path}/refused" if job and not job.is_open and (record.rows_refused or record.rows_ambiguous) else None,
    }  # fmt: skip
    return answer(document, status, {"Location": path} if status in (201, 202) else {})
