"""Customer Desk: wires all layers into one Flask app, and the command line; knows every layer, decides nothing."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
if __name__ == "__main__":
    from crm.bootstrap import ensure_venv

    ensure_venv(ROOT)  # goes on in .venv, which it makes first where there is none
    from importlib import import_module

    sys.exit(import_module("app").main())

# ruff: noqa: E402 - nothing below may be imported before .venv is there
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask, Response, jsonify, redirect, render_template, request, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_login import current_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy import text
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from admin_views.screens import add_screens
from crm import api, webserver
from crm.commands import access
from crm.commands.demo import ask_for_demo
from crm.config import Settings, StartError, load
from crm.core import jobs as job_table
from crm.core.audit import Acting, act, acting_as
from crm.core.command import Refused, WrongInput
from crm.core.entity import check_declarations, db
from crm.core.transaction import run_in_transaction
from crm.doctor import examine
from crm.importing.plan import MATCHABLE
from crm.models.access import User
from crm.models.imports import Duplicates
from crm.queries.listing import BadQuery
from crm.servers import Servers, attach, running
from crm.supervisor import run as supervise
from jobs import queue, schedule
from jobs import worker as workers
from jobs.import_command import ImportNotPossible, cli_import
from jobs.runner import see_to_end
from migrations import database

csrf = CSRFProtect()
log = logging.getLogger("desk")

# Nothing inline, nothing from elsewhere.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
                               "frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin", "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}  # fmt: skip
ERRORS = {
    400: ("That didn't work", "The page was open for too long, or came from elsewhere. Load it again and retry."),
    403: ("Not for you", "Your roles don't allow this. An administrator can tell why, and change it."),
    404: ("Not found", "There is nothing here, or nothing that you may see."),
    405: ("Not this way", "This address can't be used like that."),
    409: ("Somebody was faster", "The record changed while you worked on it. Open it again to see what is there now."),
    413: ("Too large", "What was sent is larger than allowed here."),
    422: ("That can't be read", "Something in the address or the form isn't right."),
    500: ("Something broke", "It is our fault, it was written down, and nothing was half done. Try again."),
}  # fmt: skip


class Desk(Flask):
    """The app; each request is one transaction, committed here and nowhere else."""

    def full_dispatch_request(self) -> Response:
        """Commit when the answer is no error, else roll back; again when two transactions stood in each other's way."""
        whole = super().full_dispatch_request
        with acting_as(Acting(via="screen")):
            return run_in_transaction(whole, keep=lambda answer: answer.status_code < 400)


class _Sessions(SecureCookieSessionInterface):
    """The cookie is marked secure whenever the page came by HTTPS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def create_app(settings: Settings | None = None, servers: Servers | None = None) -> Flask:
    """The whole app, on running servers. With nothing given, as the `flask` command asks for it, the commands alone:
    most of them start or find the servers themselves."""
    if settings is None or servers is None:
        bare = Flask(__name__)
        for name, command in main.commands.items():
            bare.cli.add_command(command, name)
        return bare
    check_declarations()
    app = Desk(__name__, static_folder="admin_views/static", static_url_path="/static",
               template_folder="admin_views/templates")  # fmt: skip
    app.config.update(
        SECRET_KEY=servers.secret_key,
        SQLALCHEMY_DATABASE_URI=servers.database_url,
        # Errors and logs must not carry the values of a statement. Days are counted in UTC in the database.
        SQLALCHEMY_ENGINE_OPTIONS={"hide_parameters": True, "pool_pre_ping": True, "pool_size": 8, "max_overflow": 8,
                                   "connect_args": {"options": "-c timezone=UTC"}},
        SESSION_COOKIE_NAME=f"desk_{settings.port}", SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=access.SESSION_LIFETIME, MAX_CONTENT_LENGTH=2 * 1024 * 1024, MAX_FORM_PARTS=2_000,
        SEND_FILE_MAX_AGE_DEFAULT=600, WTF_CSRF_TIME_LIMIT=None, DESK_SETTINGS=settings, DESK_SERVERS=servers,
    )  # fmt: skip
    app.session_interface = _Sessions()
    db.init_app(app)
    csrf.init_app(app)
    app.register_blueprint(api.blueprint)
    csrf.exempt(api.blueprint)
    app.extensions["desk_admin"] = add_screens(app)
    _add_edges(app)
    _add_errors(app)
    job_table.hang(queue.connect(servers.redis_url))
    return app


def _add_edges(app: Flask) -> None:
    """Who acts, what every answer carries, and the addresses that belong to no screen."""

    @app.before_request
    def know_who_acts() -> None:
        changes = request.method in ("POST", "PATCH", "PUT", "DELETE") and request.blueprint != api.blueprint.name
        if changes and current_user.is_authenticated:
            act(db.session(), Acting(current_user.id, "screen"))

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
        state = job_table.bell.state()
        return jsonify(status="ready", queue=state), 200 if state.get("reachable") else 503

    @app.get("/api/docs")
    def api_pages() -> Any:
        return render_template("desk/api_docs.html", page={"title": "API", "description": ""},
                               openapi_url="/api/v1/openapi.json", paths=api.described_paths())  # fmt: skip


def _add_errors(app: Flask) -> None:
    def page(code: int, said: str | None = None) -> tuple[Any, int]:
        title, words = ERRORS.get(code, ERRORS[500] if code >= 500 else ERRORS[422])
        links = [("Home", url_for("admin.index"))]
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
        return api.problem_response(fault) if request.path.startswith("/api/v1/") else page(500)


# The command line


class Line(click.Command):
    """Errors of starting and of input are one line, not a traceback; what a command answers is its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
        except (StartError, WrongInput) as fault:
            raise click.ClickException(str(fault)) from None
        if isinstance(code, int) and code:
            ctx.exit(code)


class Lines(click.Group):
    command_class = Line
    group_class = type


@click.group(cls=Lines)
def main() -> None:
    """Customer Desk."""


@contextmanager
def desk() -> Iterator[Flask]:
    """The app for one command: its servers are started where they don't run, its database is brought up to date."""
    settings = load(os.environ)
    with running(settings) as servers:
        prepare(settings, servers)
        app = create_app(settings, servers)
        with app.app_context(), acting_as(Acting(via="cli")):
            yield app


def prepare(settings: Settings, servers: Servers) -> list[str]:
    """Migrate, deliver the roles, make the first administrator; answers what to tell the person."""
    current, newest = database.state(servers.owner_database_url)
    if current != newest:
        database.upgrade(servers.owner_database_url, servers.database_url)
    app = create_app(settings, servers)
    with app.app_context(), acting_as(Acting(via="cli")):
        return run_in_transaction(lambda: _first_administrator(settings))


def _first_administrator(settings: Settings) -> list[str]:
    access.deliver_roles()
    if access.any_user():
        return []
    email = settings.admin_email or "admin@customer-desk.local"
    user, password = access.create_user(email=email, role="admin", name="Administrator",
                                        password=settings.admin_password)  # fmt: skip
    said = "the one in CRM_ADMIN_PASSWORD" if settings.admin_password else f"{password}   (shown this once)"
    return [f"Administrator: {user.email}", f"Password:      {said}"]


@main.command()
def up() -> int:
    """Start everything: servers, web, workers, scheduler."""
    settings = load(os.environ)
    told: list[str] = []
    return supervise(
        settings, prepare=lambda servers: told.extend(prepare(settings, servers)), ready_message=lambda: told
    )


@main.command()
def web() -> None:
    """Serve the screens and the API (gunicorn)."""
    settings = load(os.environ)
    servers = attach(settings)
    webserver.serve(lambda: create_app(settings, servers), settings)


@main.command()
@click.option("-n", "number", type=click.IntRange(1, 64), default=None, help="How many workers")
def worker(number: int | None) -> int:
    """Work on background jobs."""
    settings = load(os.environ)
    servers = attach(settings)
    with create_app(settings, servers).app_context():
        return workers.work(number or settings.workers, servers.redis_url)


@main.command()
def scheduler() -> int:
    """Ring forgotten jobs and do what is due."""
    settings = load(os.environ)
    with create_app(settings, attach(settings)).app_context():
        return schedule.run()


@main.group("db")
def database_() -> None:
    """Upgrade, downgrade and check the database."""


@database_.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the database to the newest revision."""
    with running(load(os.environ)) as servers:
        database.upgrade(servers.owner_database_url, servers.database_url, revision)
    click.echo("The database is up to date.")


@database_.command()
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Take the database back to a revision."""
    with running(load(os.environ)) as servers:
        database.downgrade(servers.owner_database_url, revision)
    click.echo(f"The database is at {revision}.")


@database_.command()
@click.argument("message")
def revise(message: str) -> None:
    """Write the next numbered revision from what the declarations ask for and the database lacks."""
    with running(load(os.environ)) as servers:
        _, newest = database.state(servers.owner_database_url)
        # Up to the newest by its number, not as `head`: that would install triggers on tables not yet there.
        database.upgrade(servers.owner_database_url, servers.database_url, newest or "base")
        number = f"{int(newest or 0) + 1:04}"
        database.revise(servers.owner_database_url, message, number)
    click.echo(f"Revision {number} was written to migrations/versions: read it before you upgrade.")


@database_.command()
@click.option("--json", "as_json", is_flag=True)
def check(as_json: bool) -> int:
    """Compare the database with the code: tables, triggers, grants."""
    with running(load(os.environ)) as servers:
        database.upgrade(servers.owner_database_url, servers.database_url)
        found = database.check(servers.owner_database_url, servers.database_url)
    _tell(as_json, {"differences": found}, found or ["The database and the code agree."])
    return 1 if found else 0


@main.group()
def users() -> None:
    """People who sign in."""


@users.command("create")
@click.argument("email")
@click.option("--role", required=True)
@click.option("--name", default=None)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
@click.option("--json", "as_json", is_flag=True)
def create_user(email: str, role: str, name: str | None, password_stdin: bool, as_json: bool) -> None:
    """Make a user with a role; prints the one-time password, unless one was given."""
    given = sys.stdin.readline().rstrip("\n") if password_stdin else None
    with desk():
        user, password = run_in_transaction(
            lambda: access.create_user(email=email, role=role, name=name, password=given))  # fmt: skip
        shown: dict[str, Any] = {"id": user.id, "email": user.email} | ({} if given else {"password": password})
        _tell(as_json, shown, [f"{user.email} can sign in."] + ([] if given else [f"One-time password: {password}"]))


@main.group()
def keys() -> None:
    """Keys for programs."""


@keys.command("create")
@click.argument("name")
@click.option("--user", "email", required=True)
@click.option("--scope", "scopes", multiple=True, required=True)
@click.option("--expires", "days", type=int, default=None, help="Days until it ends")
def create_key(name: str, email: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make an API key that acts as a user, within scopes such as customers:read; its text is the last line."""
    with desk():
        user = db.session.query(User).filter_by(email=email.strip().lower()).one_or_none()
        if user is None:
            raise click.ClickException(f"there is no user {email}: make one with flask users create")
        _, secret = run_in_transaction(lambda: access.create_key(name=name, user=user, scopes=scopes, days=days))
        click.echo(secret)


@main.command()
@click.option("--customers", type=click.IntRange(1, 2_000_000), default=500)
@click.option("--seed", type=int, default=1)
@click.option("--json", "as_json", is_flag=True)
def demo(customers: int, seed: int, as_json: bool) -> None:
    """Fill the system with made-up customers."""
    with desk():
        try:
            asked = run_in_transaction(lambda: ask_for_demo(customers=customers, seed=seed, by=None).id)
        except Refused as refusal:
            raise click.ClickException(f"Not done: {refusal}.") from None
        with click.progressbar(length=customers, label="Making customers", file=sys.stderr) as bar:
            job = see_to_end(asked, workers=lambda: job_table.bell.state()["workers"],
                             tell=lambda now: bar.update(max(0, now.done - bar.pos)))  # fmt: skip
        if job.error:
            raise click.ClickException(job.error)
        _tell(as_json, {"parties": job.done}, [f"{job.done:,} parties were made."])


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--entity", default="customers", show_default=True, help="What the rows are")
@click.option("--match", type=click.Choice(MATCHABLE), default=None, help="What known records are found by")
@click.option(
    "--duplicates", type=click.Choice([str(each.value) for each in Duplicates]), default="skip", show_default=True
)
@click.option("--country", default=None, help="Two-letter code: the country of phone numbers that name none")
@click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing")
@click.option("--wait", is_flag=True, help="Wait for the end; works here where no worker does")
@click.option("--again", is_flag=True, help="Also when this file was imported before")
@click.option("--json", "as_json", is_flag=True, help="Only the JSON line")
def import_(file: Path, entity: str, match: str | None, duplicates: str, country: str | None, dry_run: bool, wait: bool,
            again: bool, as_json: bool) -> None:  # fmt: skip
    """Import a file of records; ends with one line of JSON with the counts."""
    with desk():
        try:
            code = cli_import(file, entity, match=match, duplicates=Duplicates(duplicates), country=country,
                              dry_run=dry_run, wait=wait, again=again, quiet=as_json)  # fmt: skip
        except ImportNotPossible as fault:
            raise click.ClickException(str(fault)) from None
    click.get_current_context().exit(code)


@main.command()
@click.option("--json", "as_json", is_flag=True)
def doctor(as_json: bool) -> int:
    """Look at everything that must be right, and say what to do where it isn't."""
    checks = list(examine(load(os.environ), _migrated))
    lines = [f"{'ok ' if one.ok else 'NO '} {one.name}: {one.detail}" for one in checks]
    _tell(as_json, [{"name": one.name, "ok": one.ok, "detail": one.detail} for one in checks], lines)
    return 0 if all(one.ok for one in checks) else 1


def _migrated(servers: Servers) -> tuple[bool, str]:
    current, newest = database.state(servers.owner_database_url)
    return current == newest, f"at {current}, the code wants {newest}"


def _tell(as_json: bool, data: Any, lines: list[str]) -> None:
    click.echo(json.dumps(data) if as_json else "\n".join(lines))
