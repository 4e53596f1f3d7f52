"""The addresses of the API, the same for every face: list, look-up, one, create, change, delete, command.

A view flushes at most; the edge commits when the answer is below 400 and rolls back otherwise.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from crm.api import reading
from crm.api.alike import POSSIBLE, likely_ones
from crm.api.below import below, read_below
from crm.api.documents import documents, etag, fresh, loads, read_asked, read_fields, same_version
from crm.api.entering import SAFE, actor, face_at, require, user, with_key
from crm.api.lookups import PARAMETERS, BadLookup, look_up, offered
from crm.api.openapi import describe
from crm.api.problems import Problem, answer, not_allowed, problem_response, wrong
from crm.api.repeating import once
from crm.commands import records
from crm.commands.party_duplicates import remember_different
from crm.core.command import Refused, WrongInput, command_named, perform
from crm.core.entity import Face
from crm.core.rules import told
from crm.models.parties import Party
from crm.queries.listing import BadQuery, fetch_page, read_query
from crm.queries.party_merges import stands_for
from crm.queries.scope import find, row_scope

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
# Every method comes in, so that a wrong one gets a problem document as well.
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
LISTED = frozenset({"q", "limit", "cursor", "sort", "desc"})


@blueprint.errorhandler(Problem)
def _on_problem(problem: Problem) -> Response:
    return problem_response(problem)


@blueprint.errorhandler(HTTPException)
def _on_http(fault: HTTPException) -> Response:
    return problem_response(fault)


@blueprint.errorhandler(WrongInput)
def _on_wrong_input(fault: WrongInput) -> Response:
    return problem_response(wrong(fault.errors))


@blueprint.errorhandler(StaleDataError)
def _on_stale(_fault: StaleDataError) -> Response:
    return problem_response(Problem(412, "Somebody else changed it in the meantime: read it again."))


@blueprint.errorhandler(IntegrityError)
def _on_conflict(fault: IntegrityError) -> Response:
    if (said := told(fault)) is not None:
        return problem_response(Problem(409, said))
    return problem_response(Problem(409, "Somebody else saved something at the same moment: send it again."))


@blueprint.errorhandler(DataError)
@blueprint.errorhandler(UnicodeEncodeError)
def _on_unstorable(_fault: Exception) -> Response:
    return problem_response(Problem(422, "A value is outside what can be stored."))


@blueprint.route("/openapi.json", methods=["GET"])
def openapi() -> Response:
    """The description is open: it says nothing about anybody."""
    return answer(describe())


@blueprint.route("/<plural>", methods=METHODS)
@with_key
def collection(plural: str) -> Response:
    face = face_at(plural)
    match request.method:
        case "GET" | "HEAD":
            return _list(face)
        case "POST" if face.about.create:
            return _create(face)
    raise not_allowed("GET, HEAD, POST" if face.about.create else "GET, HEAD")


@blueprint.route("/<plural>/<given>", methods=METHODS)
@with_key
def record(plural: str, given: str) -> Response:
    face = face_at(plural)
    match request.method:
        case "GET" | "HEAD":
            return _one(face, given)
        case "PATCH" if face.about.edit:
            return _change(face, given)
        case "DELETE" if face.about.delete:
            return _delete(face, given)
    raise not_allowed(
        ", ".join(["GET, HEAD", *(["PATCH"] if face.about.edit else []), *(["DELETE"] if face.about.delete else [])])
    )


@blueprint.route("/<plural>/<given>/<name>", methods=METHODS)
@with_key
def below_record(plural: str, given: str, name: str) -> Response:
    """What belongs to a record, to be read; else a command, to be done to it."""
    face = face_at(plural)
    if name in below(face):
        if request.method not in SAFE:
            raise not_allowed("GET, HEAD")
        require(face, "read")
        return answer(read_below(face, _reached(face, given), name))
    made = command_named(face, name.replace("-", "_"))
    if made is None:
        raise Problem(404, f"{face.label_plural} have no command “{name[:60]}”, and nothing of that name below them.")
    if request.method != "POST":
        raise not_allowed("POST")
    require(face, "command", made.verb)

    def work() -> Response:
        values = made.read(read_asked(made.asks, reading.body()))
        record = _reached(face, given, made.verb)
        if made.trial is not None and values.get("dry_run"):
            try:
                return answer(made.trial(record, by=user(), **values))
            except Refused as refusal:
                raise Problem(409, f"Not done: {refusal}.") from None
        outcome = perform(made, [record.id], by=user(), values=values, where=row_scope(face, actor(), made.verb))[0]
        if not outcome.done:
            raise Problem(409, f"Not done: {outcome.reason}.")
        return _document(face, record.id)

    return once(work)


@blueprint.route("/", defaults={"rest": ""}, methods=METHODS)
@blueprint.route("/<path:rest>", methods=METHODS)
@with_key
def nothing(rest: str) -> Response:
    raise Problem(404, "There is nothing at this address. See /api/docs.")


def _list(face: Face) -> Response:
    require(face, "read")
    by = offered(face)
    if any(name in request.args for name in by):
        return _look_up(face)
    unknown = [name for name in request.args if name not in LISTED and not name.startswith("flt_")]
    if unknown:
        known = ", ".join([*sorted(LISTED), "flt_<field>_<operator>", *by])
        raise wrong({unknown[0]: f"is not known here; there is {known}"}, "A parameter is unknown.")
    reading.one_of_each(LISTED)
    try:
        query = read_query(face, list(request.args.items(multi=True)))
        page = fetch_page(face, query, actor(), load=loads(face))
    except BadQuery as fault:
        name = {"after": "cursor", "search": "q"}.get(fault.parameter, fault.parameter)
        raise wrong({name: str(fault)}, "A parameter can't be taken.") from None
    return answer({"items": documents(face, page.rows, actor()), "next": page.older})


def _look_up(face: Face) -> Response:
    unknown = [name for name in request.args if name not in PARAMETERS]
    if unknown:
        raise wrong({unknown[0]: "can't be combined with a look-up"}, "A parameter is unknown.")
    try:
        found, cursor = look_up(face, reading.one_of_each(PARAMETERS), actor(), load=loads(face))
    except BadLookup as fault:
        raise wrong(fault.errors, "A parameter can't be taken.") from None
    shown = documents(face, [record for record, _ in found], actor())
    items = [document | {"matched_on": matched} for document, (_, matched) in zip(shown, found, strict=True)]
    return answer({"items": items, "next": cursor})


def _reached(face: Face, given: str, verb: str = "read") -> Any:
    """The record, or the one it was merged into, if the verb reaches it. 404 outside the row scope; 403 where it may only be seen."""
    found = find(face, actor(), given, verb)
    if face.entity is Party and (found is None or found.archived_at is not None):
        survivor = stands_for(face, given)
        found = found if survivor is None else find(face, actor(), str(survivor), verb)
    if found is not None:
        return found
    if verb != "read" and find(face, actor(), given) is not None:
        raise Problem(403, f"The user of this key may not {verb.replace('_', ' ')} this one.")
    raise Problem(404, f"There is no {face.label.lower()} {given[:40]} that the user of this key may see.")


def _document(face: Face, record_id: int, status: int = 200, more: dict[str, Any] | None = None) -> Response:
    """The record as it is now, after a change."""
    record = fresh(face, record_id)
    document = documents(face, [record], actor())[0]
    headers = {"ETag": etag(face, record, document)}
    if status == 201:
        headers["Location"] = f"{blueprint.url_prefix}/{face.plural}/{record_id}"
    return answer(document | (more or {}), status, headers)


def _one(face: Face, given: str) -> Response:
    require(face, "read")
    record = _reached(face, given)
    document = documents(face, [record], actor())[0]
    if given.upper() not in (str(record.id), getattr(record, "code", "")):
        document["merged_from"] = given.upper()
    tag = etag(face, record, document)
    if request.if_none_match.contains_weak(tag.strip('"')):
        return Response(status=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"})
    return answer(document, 200, {"ETag": tag})


def _values(face: Face, *, new: bool) -> dict[str, Any]:
    """The fields of the body, read like those of a form. Raises WrongInput with every fault at once."""
    given, errors = read_fields(face, reading.body())
    try:
        values = records.read_values(face, given, actor(), new=new)
    except WrongInput as fault:
        raise WrongInput(fault.errors | errors) from None
    if errors:
        raise WrongInput(errors)
    return values


def _create(face: Face) -> Response:
    require(face, "write", "create")

    def work() -> Response:
        try:
            values = _values(face, new=True)
            likely, others = likely_ones(face, values)
            record = records.create(face, values, actor())
            if others:
                remember_different(record, others, by=user())
        except Refused as refusal:
            raise Problem(409, f"Not done: {refusal}.") from None
        return _document(face, record.id, 201, {POSSIBLE: likely} if likely else {})

    return once(work)


def _change(face: Face, given: str) -> Response:
    require(face, "write", "edit")
    record = _reached(face, given, "edit")
    _check_version(face, record, required=True)
    try:
        records.update(face, record, _values(face, new=False), actor())
    except Refused as refusal:
        raise Problem(409, f"Not done: {refusal}.") from None
    return _document(face, record.id)


def _delete(face: Face, given: str) -> Response:
    require(face, "write", "delete")
    record = _reached(face, given, "delete")
    _check_version(face, record, required=False)
    try:
        records.delete(face, record)
    except Refused as refusal:
        raise Problem(409, f"Not done: {refusal}.") from None
    return Response(status=204)


def _check_version(face: Face, record: Any, *, required: bool) -> None:
    given = request.headers.get("If-Match")
    if given is None:
        if required:
            raise Problem(428, "Send If-Match with the ETag you read, so that nothing is overwritten unseen.")
        return
    if not same_version(given, face, record):
        raise Problem(412, "Somebody else changed it in the meantime: read it again.")
