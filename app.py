"""Customer Desk: wires all layers into one Flask app, and the command line; knows every layer, decides nothing."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
if __name__ == "__main__":
    from crm.bootstrap import ensure_venv

    ensure_venv(ROOT)  # goes on in .venv, which it makes first where there is none
    import gc
    from importlib import import_module

    gc.disable()  # all that is loaded stays: looking through it again and again took a fifth of the time
    run = import_module("app").main
    gc.enable()
    gc.freeze()
    sys.exit(run())

# ruff: noqa: E402 - nothing below may be imported before .venv is there
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect

from admin_views.edges import add_edges
from admin_views.screens import add_screens
from crm import api, webserver
from crm.commands import access
from crm.commands.audit import seal_all
from crm.commands.automation import new_secret
from crm.commands.demo import load_story_of_demo
from crm.commands.demo_catalogue import load_catalogue
from crm.commands.demo_in_bulk import load_in_bulk, work
from crm.config import Settings, StartError, load
from crm.core import jobs as job_table
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused, WrongInput
from crm.core.entity import check_declarations, db
from crm.core.transaction import run_in_transaction
from crm.doctor import examine
from crm.models.access import User
from crm.models.automation import Webhook
from crm.queries.audit import read_known, sealed, verify
from crm.queries.coverage import refresh
from crm.queries.figures import wrong_figures
from crm.servers import Servers, attach, running
from crm.supervisor import run as supervise
from crm.supervisor import standard_children
from jobs import queue, schedule
from jobs import worker as workers
from jobs.duplicates import cli_find
from jobs.import_command import import_commands
from jobs.loyalty_command import loyalty_commands
from jobs.segment_command import segment_commands
from migrations import database

csrf = CSRFProtect()
log = logging.getLogger("desk")


class Desk(Flask):
    """The app; each request is one transaction, committed here and nowhere else."""

    url_rule_class = webserver.Address

    def full_dispatch_request(self) -> Response:
        """Commit when the answer is no error, else roll back; again when two transactions stood in each other's way."""
        whole = super().full_dispatch_request
        with acting_as(Acting(via="screen")):
            return run_in_transaction(whole, keep=lambda answer: answer.status_code < 400)


class _Sessions(SecureCookieSessionInterface):
    """The cookie is marked secure whenever the page came by HTTPS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def create_app(settings: Settings | None = None, servers: Servers | None = None, *, screens: bool = True) -> Flask:
    """The whole app, on running servers; without `screens` what commands and jobs need of it, which is there sooner.
    With nothing given, as the `flask` command asks for it, the commands alone: most of them start or find the servers
    themselves."""
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
        # Errors and logs must not carry the values of a statement. Days are counted in UTC in the database. The
        # planner's costs are those of a solid-state disk: by a turning one's it read whole tables instead of indexes.
        SQLALCHEMY_ENGINE_OPTIONS={"hide_parameters": True, "pool_pre_ping": True, "pool_size": 8, "max_overflow": 8,
                                   "connect_args": {"options": "-c timezone=UTC -c random_page_cost=1.1"}},
        SESSION_COOKIE_NAME=f"desk_{settings.port}", SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=access.SESSION_LIFETIME, MAX_CONTENT_LENGTH=2 * 1024 * 1024, MAX_FORM_PARTS=2_000,
        SEND_FILE_MAX_AGE_DEFAULT=600, WTF_CSRF_TIME_LIMIT=None, DESK_SETTINGS=settings,
    )  # fmt: skip
    app.session_interface = _Sessions()
    db.init_app(app)
    if screens:
        csrf.init_app(app)
        app.register_blueprint(api.blueprint)
        csrf.exempt(api.blueprint)
        app.extensions["desk_admin"] = add_screens(app)
        add_edges(app)
    job_table.hang(queue.connect(servers.redis_url))
    return app


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
def desk() -> Iterator[Servers]:
    """The app for one command: its servers are started where they don't run, its database is brought up to date."""
    settings = load(os.environ)
    with running(settings) as servers, _migrated_app(settings, servers).app_context(), acting_as(Acting(via="cli")):
        run_in_transaction(lambda: _first_administrator(settings))
        try:
            yield servers
        finally:
            db.session.remove()
            db.engine.dispose()


def prepare(settings: Settings, servers: Servers) -> list[str]:
    """Migrate, deliver the roles, make the first administrator; answers what to tell the person."""
    with _migrated_app(settings, servers).app_context(), acting_as(Acting(via="cli")):
        try:
            return run_in_transaction(lambda: _first_administrator(settings))
        finally:
            db.session.remove()
            db.engine.dispose()  # the processes that part from this one must not share a connection


def _migrated_app(settings: Settings, servers: Servers) -> Flask:
    current, newest = database.state(servers.owner_database_url)
    if current != newest:
        database.upgrade(servers.owner_database_url, servers.database_url)
    return create_app(settings, servers, screens=False)


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
    return supervise(settings, prepare=lambda servers: told.extend(prepare(settings, servers)), ready_message=lambda: told,
                     children=standard_children(settings, main=main))  # fmt: skip


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
    with create_app(settings, servers, screens=False).app_context():
        return workers.work(number or settings.workers, servers.redis_url)


@main.command()
def scheduler() -> int:
    """Ring forgotten jobs and do what is due."""
    settings = load(os.environ)
    with create_app(settings, attach(settings), screens=False).app_context():
        return schedule.run()


@main.group("db")
def database_() -> None:
    """Upgrade, downgrade and check the database."""


@database_.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the database to the newest revision, and the delivered roles to what they give now."""
    settings = load(os.environ)
    with running(settings) as servers:
        database.upgrade(servers.owner_database_url, servers.database_url, revision)
        if revision == "head":
            with create_app(settings, servers, screens=False).app_context(), acting_as(Acting(via="cli")):
                run_in_transaction(access.deliver_roles)
                db.session.remove()
                db.engine.dispose()
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


@main.group()
def webhooks() -> None:
    """Programs that are told what happens here."""


@webhooks.command("secret")
@click.argument("name")
def webhook_secret(name: str) -> None:
    """Give a webhook a new secret to sign with; it is told this once, as the last line."""
    with desk():
        webhook = db.session.query(Webhook).filter_by(name=name).one_or_none()
        if webhook is None:
            raise click.ClickException(f"there is no webhook “{name}”: make it in the screens")
        click.echo(run_in_transaction(lambda: new_secret(webhook)))


@main.group()
def audit() -> None:
    """The record of who did what."""


@audit.command("verify")
@click.option("--known", default=None, metavar="SEQ:HASH", help="What an earlier run answered, kept elsewhere")
@click.option("--json", "as_json", is_flag=True)
def verify_audit(known: str | None, as_json: bool) -> int:
    """Walk the sealed audit; name the first entry that was changed, removed, reordered or put in."""
    with desk():
        seal_all()
        noted = read_known(known) if known else None
        with click.progressbar(length=sealed().seq, label="Verifying", file=sys.stderr) as bar:
            verdict = verify(known=noted, tell=lambda checked: bar.update(checked - bar.pos))
        _tell(as_json, verdict.as_data(), [verdict.in_words()])
    return 1 if verdict.fault else 0


@main.group()
def figures() -> None:
    """What records add up to: orders, spend, last activity …"""


@figures.command("check")
@click.option("--json", "as_json", is_flag=True)
def check_figures(as_json: bool) -> int:
    """Work every figure out from scratch and name each that stands otherwise."""
    with desk():
        found = [difference.as_data() for difference in wrong_figures()]
    lines = [f"{one['record']}: {one['figure']} is {one['is'] or 'empty'}, must be {one['must_be'] or 'empty'}" for one in found]  # fmt: skip
    _tell(as_json, {"differences": found}, lines or ["All figures are true."])
    return 1 if found else 0


@main.group()
def duplicates() -> None:
    """Records that may stand for the same person or organisation."""


@duplicates.command("find")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write the pairs as CSV: a,b,score,why"
)
@click.option("--json", "as_json", is_flag=True)
@click.option("--changed", is_flag=True, help="Only what has changed since the last search, by what that has learned")
def find_duplicates(out: Path | None, as_json: bool, changed: bool) -> int:
    """Look for duplicates among all parties and put them into the queue; tells what it did."""
    with desk():
        return cli_find(out, as_json=as_json, changed=changed)


main.add_command(segment_commands(Lines, desk))
main.add_command(loyalty_commands(Lines, desk))


@main.command()
@click.option("--customers", type=click.IntRange(1, 2_000_000), default=500)
@click.option("--seed", type=int, default=1)
@click.option("--parties-only", is_flag=True, help="Without orders, vehicles, talks …")
@click.option("--json", "as_json", is_flag=True)
def demo(customers: int, seed: int, parties_only: bool, as_json: bool) -> None:
    """Fill the system with made-up customers and what they did, once; interrupted, it leaves no customer behind."""
    with desk() as servers:
        try:
            run_in_transaction(load_catalogue)
            with click.progressbar(length=work(customers), label="Making customers", file=sys.stderr) as bar:
                made = load_in_bulk(servers.owner_database_url, customers=customers, seed=seed, dealings=not parties_only,
                                    tell=lambda done: bar.update(done - bar.pos))  # fmt: skip
            if not parties_only:
                made += run_in_transaction(load_story_of_demo)
        except Refused as refusal:
            raise click.ClickException(f"Not done: {refusal}.") from None
        _tell(as_json, {"parties": made}, [f"{made:,} parties were made."])


for command in import_commands(Line, desk):
    main.add_command(command)


@main.command()
def coverage() -> None:
    """Write docs/coverage.md anew: where everything that was asked for is kept and seen."""
    check_declarations()
    changed = refresh(ROOT)
    click.echo("docs/coverage.md was written anew." if changed else "docs/coverage.md is as the declarations say.")


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
