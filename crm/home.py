"""The folder that holds the data of one instance: its parts and their modes, its lock, its secrets."""

import fcntl
import hashlib
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crm.config import Settings, StartError, closed_folder

# The kernel's limit for the path of a unix socket, without the closing NUL.
_SOCKET_PATH = 107 if sys.platform == "linux" else 103
POSTGRES_PORT = 5432
_SECRETS = ("secret_key", "postgres_password", "owner_password", "app_password")


class HomeError(StartError):
    """The folder can't be used; the message says what to do."""


class AlreadyRunning(StartError):
    """Another process has the folder."""


@dataclass(frozen=True)
class Home:
    """Paths of one instance; nothing is made or read before `prepare`."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Where the sockets lie: a short path of our own below /tmp when the home's is too long."""
        usual = self.path / "run"
        longest = usual / "postgres" / f".s.PGSQL.{POSTGRES_PORT}"
        if len(os.fsencode(longest)) <= _SOCKET_PATH:
            return usual
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path(f"/tmp/customer-desk-{os.geteuid()}-{name}")  # noqa: S108 - mode and owner are verified

    @property
    def postgres_sockets(self) -> Path:
        return self.run / "postgres"

    @property
    def valkey_socket(self) -> Path:
        return self.run / "valkey" / "valkey.sock"

    @property
    def children(self) -> Path:
        return self.path / "children.json"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets.json"


def prepare(settings: Settings) -> Home:
    """Make the folder and its parts; raises HomeError when those who must can't write to it."""
    home = Home(settings.home)
    as_root = os.geteuid() == 0
    # PostgreSQL's own user has to pass through; what lies inside is closed piece by piece.
    passable = 0o711 if as_root else 0o700
    try:
        _make(home.path, passable)
        if home.run.parent == home.path:
            _make(home.run, passable)
        else:
            _make_private_in_tmp(home.run, passable)
        _make(home.valkey_socket.parent, 0o700)
        _make(home.logs, 0o700)
        probe = home.path / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise HomeError(
            f"{home.path} can't be written to ({error.strerror}): set CRM_HOME to a folder of yours"
        ) from error
    if as_root and settings.database_url is None and (closed := closed_folder(home.path)):
        raise HomeError(f"{closed} is closed to PostgreSQL's own user: set another CRM_HOME, or chmod o+x {closed}")
    return home


def _make(folder: Path, mode: int) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)  # only what we made ourselves: no folder's mode is widened


def _make_private_in_tmp(folder: Path, mode: int) -> None:
    """Make our folder in a place where anybody may make one, and refuse it when somebody else did."""
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(mode)
    except FileExistsError:
        found = folder.lstat()
        if found.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink() or found.st_mode & 0o022:
            raise HomeError(f"{folder} belongs to somebody else: set CRM_HOME to a shorter path") from None


def ensure_secrets(home: Home) -> dict[str, str]:
    """The instance's passwords and key; made once, readable by us alone."""
    known = read_secrets(home) if home.secrets.exists() else {}
    missing = [name for name in _SECRETS if name not in known]
    if missing:
        known |= {name: secrets.token_urlsafe(32) for name in missing}
        fresh = home.secrets.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(known, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(home.secrets)
    return known


def read_secrets(home: Home) -> dict[str, str]:
    """What `ensure_secrets` keeps; FileNotFoundError before the first start."""
    try:
        found = json.loads(home.secrets.read_text())
    except PermissionError as error:
        raise HomeError(f"{home.path} belongs to another user: start as that user, or set CRM_HOME") from error
    except ValueError as error:
        raise HomeError(f"{home.secrets} is damaged: bring it back from a backup of the folder") from error
    return {str(name): str(value) for name, value in found.items()}


class Claim:
    """The lock on a home: its holder may start and stop the servers. It ends with the holder's process."""

    def __init__(self, home: Home, address: str | None) -> None:
        """Take the lock; raises AlreadyRunning with the address or process that has it."""
        self._file: IO[str] = (home.path / "lock").open("a+")
        os.fchmod(self._file.fileno(), 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            text = self._file.read()
            self._file.close()
            raise AlreadyRunning(_who(home, text)) from None
        self._file.truncate(0)
        self._file.write(json.dumps({"pid": os.getpid(), "address": address}))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def _who(home: Home, text: str) -> str:
    try:
        holder = json.loads(text)
    except ValueError:  # it has just taken the lock and not yet written its name
        return f"Customer Desk is already starting in {home.path}"
    if holder["address"]:
        return f"Customer Desk is already running on {holder['address']} (pid {holder['pid']})"
    return f"another command (pid {holder['pid']}) runs the servers of {home.path}: wait until it has ended"


class Use:
    """Says that somebody uses the servers of a home, so that whoever started them stops them later."""

    def __init__(self, home: Home) -> None:
        self._file: IO[str] = (home.path / "users").open("a+")
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def alone(self) -> None:
        """Wait until nobody else uses them."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        self._file.close()
