"""PostgreSQL and Valkey of an instance, embedded or given by URL: start them, attach to them, stop them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import Signals
from time import monotonic, sleep
from types import TracebackType
from typing import Self

import psycopg

from crm import valkey
from crm.config import Settings, StartError
from crm.home import AlreadyRunning, Claim, Home, Use, ensure_secrets, prepare, read_secrets
from crm.logins import login_faults, prepare_database, server_fault
from crm.postgres import Postgres, PostgresError, socket_url
from crm.processes import Records
from crm.valkey import Valkey

__all__ = [
    "AlreadyRunning",
    "Embedded",
    "Servers",
    "ServersDown",
    "UnsafeLogin",
    "attach",
    "prepare_database",
    "running",
    "start",
]

DATABASE = "crm"
_NOT_RUNNING = "Customer Desk's servers are not running: start them with 'make run'"


class ServersDown(StartError):
    """A server does not answer."""


class UnsafeLogin(StartError):
    """The app would log in with more rights than it may have."""


@dataclass(frozen=True)
class Servers:
    """How to reach the servers: URLs for SQLAlchemy and redis-py, and the key that signs sessions."""

    database_url: str
    owner_database_url: str
    superuser_url: str | None
    redis_url: str
    secret_key: str

    def __repr__(self) -> str:
        """Without passwords: this ends up in logs and tracebacks."""
        return f"Servers(embedded={self.superuser_url is not None})"


class Embedded:
    """The servers that this process runs (none, when all are given by URL)."""

    def __init__(self, home: Home, claim: Claim, records: Records) -> None:
        self.home = home
        self.records = records
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None
        self.servers: Servers
        self.notices: list[str] = []
        self._claim = claim

    def note(self) -> None:
        """Write the processes down for the next start, in case we are killed."""
        if self.valkey and self.valkey.process:
            self.records.note("valkey", self.valkey.process, Signals.SIGTERM)
        if self.postgres and self.postgres.process:
            self.records.note("postgres", self.postgres.process, Signals.SIGINT)

    def revive(self) -> list[str]:
        """Start again what has died; returns a line for each. Raises StartError when that fails."""
        lines = []
        for name, server in (("PostgreSQL", self.postgres), ("Valkey", self.valkey)):
            if server is None or (server.process is not None and server.process.poll() is None):
                continue
            server.process = None
            notice = server.start()
            self.note()
            lines.append(f"{name} had ended and was started again")
            lines.extend([notice] if notice else [])
        return lines

    def stop(self, seconds: float = 8.0) -> None:
        """Stop Valkey, then PostgreSQL, cleanly; after `seconds` they are killed. Gives the home free."""
        deadline = monotonic() + seconds
        try:
            if self.valkey:
                self.valkey.stop(min(2.0, seconds))
        finally:
            try:
                if self.postgres:
                    self.postgres.stop(max(1.0, deadline - monotonic()))
            finally:
                self.records.clear()
                self._claim.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def claim(settings: Settings, *, address: str | None = None) -> tuple[Home, Claim, Records]:
    """Take the home for this process and end what a killed predecessor left over; raises AlreadyRunning."""
    home = prepare(settings)
    held = Claim(home, address)
    records = Records(home.children)
    records.end_leftovers()
    return home, held, records


def start(settings: Settings, *, durable: bool = True, held: tuple[Home, Claim, Records] | None = None) -> Embedded:
    """Start what is embedded, connect-test what isn't; the caller stops it (or uses it with `with`).

    durable=False gives up safety on a power cut for speed: for tests only.
    """
    embedded = Embedded(*(held or claim(settings)))
    try:
        _start(embedded, settings, durable=durable)
    except BaseException:
        embedded.stop()
        raise
    return embedded


def _start(embedded: Embedded, settings: Settings, *, durable: bool) -> None:
    home = embedded.home
    secrets = ensure_secrets(home)
    if settings.redis_url is None:
        embedded.valkey = Valkey(home, durable=durable)
        embedded.valkey.launch()  # it comes up while PostgreSQL does
    if settings.database_url is None:
        embedded.postgres = Postgres(home, password=secrets["postgres_password"], durable=durable)
        embedded.postgres.start()
        passwords = {"owner_password": secrets["owner_password"], "app_password": secrets["app_password"]}
        prepare_database(embedded.postgres.superuser_url, DATABASE, **passwords)
    if embedded.valkey is not None:
        notice = embedded.valkey.start()
        embedded.notices.extend([notice] if notice else [])
    embedded.note()
    embedded.servers = attach(settings)


def attach(settings: Settings) -> Servers:
    """The servers of these settings, connect-tested; raises ServersDown or UnsafeLogin."""
    servers = _described(settings)
    _check_database("CRM_DATABASE_URL" if settings.database_url else None, servers.database_url)
    if not valkey.answers(servers.redis_url):
        raise ServersDown("the server of CRM_REDIS_URL does not answer" if settings.redis_url else _NOT_RUNNING)
    return servers


def _described(settings: Settings) -> Servers:
    home = Home(settings.home)
    try:
        secrets = read_secrets(home)
    except FileNotFoundError:
        secrets = {}
    if not secrets and (settings.database_url is None or settings.redis_url is None):
        raise ServersDown(_NOT_RUNNING)

    def login(name: str, secret: str, database: str = DATABASE) -> str:
        return socket_url(home, name, secrets[secret], database)

    if settings.database_url is not None and settings.owner_database_url is not None:
        database_url, owner_url, superuser_url = settings.database_url, settings.owner_database_url, None
    else:
        database_url = login(f"{DATABASE}_app", "app_password")
        owner_url = login(f"{DATABASE}_owner", "owner_password")
        superuser_url = login("postgres", "postgres_password", "postgres")
    return Servers(
        database_url=database_url,
        owner_database_url=owner_url,
        superuser_url=superuser_url,
        redis_url=settings.redis_url or valkey.url(home),
        secret_key=settings.secret_key or secrets["secret_key"],
    )


def _check_database(variable: str | None, url: str) -> None:
    try:
        faults = login_faults(url)
        fault = server_fault(url) if variable else None
    except psycopg.OperationalError as error:
        if variable is None:
            raise ServersDown(_NOT_RUNNING) from error
        reason = str(error).strip().splitlines()[-1].strip()
        raise ServersDown(f"the server of {variable} does not answer: {reason}") from error
    if faults:
        raise UnsafeLogin(
            f"{faults[0]}: use a login without any rights of its own" + (f" in {variable}" if variable else "")
        )
    if fault:
        raise PostgresError(f"{variable}: {fault}")


@contextmanager
def running(settings: Settings, *, durable: bool = True) -> Iterator[Servers]:
    """The servers for one command: attaches, or starts them and stops them when nobody uses them any more."""
    try:
        attached = attach(settings)
    except ServersDown:
        attached = None
    if attached is None:
        try:
            embedded = start(settings, durable=durable)
        except AlreadyRunning:
            attached = _attach_soon(settings)
    if attached is not None:
        use = Use(Home(settings.home)) if settings.home.is_dir() else None
        try:
            yield attached
        finally:
            if use:
                use.release()
        return
    with embedded:
        use = Use(embedded.home)
        try:
            yield embedded.servers
        finally:
            use.alone()
            use.release()


def _attach_soon(settings: Settings, seconds: float = 30.0) -> Servers:
    """Attach to servers that another process is just starting."""
    deadline = monotonic() + seconds
    while True:
        try:
            return attach(settings)
        except ServersDown:
            if monotonic() > deadline:
                raise
        sleep(0.1)
