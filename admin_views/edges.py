"""What surrounds every screen: who acts, the headers of each answer, the addresses of no screen, the pages of errors."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from crm import api
from crm.core import jobs
from crm.core.audit import Acting, act
from crm.core.entity import db
from crm.core.rules import told
from crm.queries.listing import BadQuery
from crm.queries.rights import whom_to_ask

# Nothing inline, nothing from elsewhere.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
                               "frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin", "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}  # fmt: skip
CONTROL_CHARACTERS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
ERRORS = {
    400: ("That didn't work", "The page was open for too long, or came from elsewhere. Load it again and retry."),
    403: ("Not for you", "Your roles don't allow this. An administrator can tell why, and change it."),
    404: ("Not found", "There is nothing here, or nothing that you may see."),
    405: ("Not this way", "This address can't be used like that."),
    409: ("Somebody was faster", "The record changed while you worked on it. Open it again to see what is there now."),
    413: ("Too large", "What was sent is larger than allowed here."),
    422: ("That can't be read", "Something in the address or the form isn't right."),
    500: ("Something broke", "It is our fault, it was written down, and nothing was half done. Try again."),
    503: ("Just a moment", "The database can’t be reached just now. What was sent may be done or not, never half: look, and try again."),
}  # fmt: skip


def add_edges(app: Flask) -> None:
    """Who acts, what every answer carries, the addresses that belong to no screen, and how a refusal is told."""
    _add_errors(app)

    @app.before_request
    def know_who_acts() -> None:
        changes = request.method in ("POST", "PATCH", "PUT", "DELETE") and request.blueprint != api.blueprint.name
        if changes and current_user.is_authenticated:
            act(db.session(), Acting(current_user.id, "screen"))

    @app.after_request
    def leave_out_control_characters(answer: Response) -> Response:
        """What was typed comes back on pages, and HTML has no place for these, however they are written."""
        if answer.mimetype == "text/html" and not answer.is_streamed:
            answer.set_data(answer.get_data().translate(None, CONTROL_CHARACTERS))
        return answer

    @app.after_request
    def add_headers(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        if request.endpoint != "static":
            answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    @app.get("/")
    def root() -> Any:
        return redirect(url_for("admin.index"))

    @app.get("/healthz")
    def alive() -> Any:
        return jsonify(status="alive")

    @app.get("/readyz")
    def ready() -> Any:
        db.session.execute(text("SELECT 1"))
        state = jobs.bell.state()
        return jsonify(status="ready", queue=state), 200 if state.get("reachable") else 503

    @app.get("/api/docs")
    def api_pages() -> Any:
        return render_template("desk/api_docs.html", page={"title": "API", "description": ""},
                               openapi_url="/api/v1/openapi.json", paths=api.described_paths())  # fmt: skip


def _add_errors(app: Flask) -> None:
    def page(code: int, said: str | None = None) -> tuple[Any, int]:
        title, words = ERRORS.get(code, ERRORS[500] if code >= 500 else ERRORS[422])
        links = [("Home", url_for("admin.index"))]
        if code == 403 and "needed" in g and current_user.is_authenticated:
            face, verb = g.needed
            said = whom_to_ask(face, verb)
            links.append(("Why?", url_for("admin.why", face=face.name, verb=verb)))
        return render_template("desk/error.html", code=code, title=title, text=said or words, links=links), code

    @app.errorhandler(HTTPException)
    def refused(fault: HTTPException) -> Any:
        if request.path.startswith("/api/v1/"):
            return api.problem_response(fault)
        if fault.code is None or fault.code < 400:
            return fault  # a redirect of the router
        return page(fault.code)

    @app.errorhandler(CSRFError)
    def forged(fault: CSRFError) -> Any:
        return page(400)

    @app.errorhandler(BadQuery)
    def bad_query(fault: BadQuery) -> Any:
        return page(422, f"{fault.parameter}: {fault}.")

    @app.errorhandler(StaleDataError)
    def stale(fault: StaleDataError) -> Any:
        db.session.rollback()  # the page asks who is signed in; a failed flush answers nothing
        return page(409)

    @app.errorhandler(500)
    def broken(fault: Any) -> Any:
        """Also what the database refuses when all of it is to be kept; where a rule of ours does, it says why."""
        cause = getattr(fault, "original_exception", None)
        if isinstance(cause, IntegrityError) and (said := told(cause)):
            db.session.rollback()
            return (
                api.problem_response(api.Problem(409, said)) if request.path.startswith("/api/v1/") else page(409, said)
            )
        if isinstance(cause, OperationalError | InterfaceError):
            return away()
        return api.problem_response(fault) if request.path.startswith("/api/v1/") else page(500)

    def away() -> Any:
        """It is started again, or has too much to do."""
        db.session.rollback()
        if request.path.startswith("/api/v1/"):
            return api.problem_response(api.Problem(503, ERRORS[503][1], headers={"Retry-After": "2"}))
        try:
            return page(503)
        except DBAPIError:  # the page asks who is signed in
            return Response(ERRORS[503][1], 503, mimetype="text/plain")
