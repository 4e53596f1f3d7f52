"""Runs everything of one instance: servers, web, worker, scheduler; restarts what dies, ends all in order."""

import errno
import http.client
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from types import FrameType

from crm import processes
from crm.config import PROJECT_ROOT, Settings, StartError
from crm.home import Home
from crm.servers import Embedded, Servers, claim, start

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 5.0
_CALM = 30.0  # a child that lived this long starts again at once
_CHILDREN_SECONDS, _ALL_SECONDS = 5.0, 9.0  # of the ten that a clean end may take
_KILLED_SECONDS = 1.0  # for the kernel to end what was killed
_TRIES_AT_START = 3
_TICK = 0.1
_TRIM_SECONDS = 60.0


class PortTaken(StartError):
    """Nobody can listen on the address of the settings."""


class _Ended(BaseException):
    """Ctrl-C or SIGTERM; no Exception, so that nobody on the way takes it for an error of his own."""


@dataclass(frozen=True)
class Child:
    """A process to keep alive: its name is the name of its log too. Where it can be done, `main` is called in a copy of
    this process instead, which has loaded the program already."""

    name: str
    argv: tuple[str, ...]
    main: Callable[[], object] | None = None


@dataclass
class _Kept:
    child: Child
    process: processes.Process | None = None
    started: float = 0.0
    due: float = 0.0
    delay: float = _FIRST_DELAY
    deaths: int = field(default=0)


def standard_children(
    settings: Settings, *, root: Path = PROJECT_ROOT, main: Callable[[list[str]], object] | None = None
) -> tuple[Child, ...]:
    """Web, worker and scheduler as the commands of `app.py`, in the order in which they are stopped; `main` runs one."""
    app = (sys.executable, str(root / "app.py"))
    commands = (["web"], ["worker", "-n", str(settings.workers)], ["scheduler"])
    return tuple(Child(line[0], (*app, *line), main and partial(main, line)) for line in commands)


def run(
    settings: Settings,
    *,
    prepare: Callable[[Servers], None],
    ready_message: Callable[[], list[str]],
    children: Sequence[Child] | None = None,
    durable: bool = True,
    tell: Callable[[str], None] = lambda line: print(line, flush=True),
) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code. Call it from the main thread.

    `prepare` is called when the servers answer and before anything else starts (migrations, the first
    administrator); `ready_message` when the web server answers, its lines are printed after the address.
    Raises StartError with one line when the instance can't start.
    """
    children = standard_children(settings) if children is None else children
    with _end_on_signals():
        try:
            if settings.home_notice:
                tell(settings.home_notice)
            held = claim(settings, address=settings.address)
            try:
                check_port(settings)
            except PortTaken:
                held[1].release()
                raise
            with start(settings, durable=durable, held=held) as embedded:
                for notice in embedded.notices:
                    tell(notice)
                supervisor = _Supervisor(settings, embedded, children, tell)
                try:
                    prepare(embedded.servers)
                    supervisor.keep(ready_message)
                except _Ended:
                    tell("Stopping …")
                finally:
                    supervisor.stop()
        except _Ended:
            pass
    tell("Customer Desk has stopped")
    return 0


class _Supervisor:
    def __init__(
        self, settings: Settings, embedded: Embedded, children: Sequence[Child], tell: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._embedded = embedded
        self._home: Home = embedded.home
        self._kept = [_Kept(child) for child in children]
        self._tell = tell
        self._ready = not any(child.name == "web" for child in children)
        self._trimmed = monotonic()

    def keep(self, ready_message: Callable[[], list[str]]) -> None:
        """Start the children and keep them and the servers alive, until a signal ends us."""
        if self._ready:
            self._greet(ready_message)
        while True:
            for line in self._embedded.revive():
                self._tell(line)
            for kept in self._kept:
                self._look_after(kept)
            if not self._ready and healthy(self._settings):
                self._ready = True
                self._greet(ready_message)
            self._trim_logs()
            sleep(_TICK)

    def stop(self) -> None:
        """End the children: all are asked in order; what lingers is killed with all it started."""
        begun = monotonic()
        for kept in self._kept:
            if kept.process:
                processes.send(kept.process, signal.SIGTERM)
        for kept in self._kept:
            if kept.process and not processes.wait(kept.process, begun + _CHILDREN_SECONDS - monotonic()):
                self._tell(f"{kept.child.name} did not end in time and is killed")
        for kept in self._kept:
            if kept.process:
                # Also when it ended by itself: what it started may be in a process group of its own.
                processes.kill_session(kept.process.pid)
                processes.wait(kept.process, _KILLED_SECONDS)
        self._embedded.stop(begun + _ALL_SECONDS - monotonic())

    def _greet(self, ready_message: Callable[[], list[str]]) -> None:
        self._tell(f"Customer Desk runs on {self._settings.address} (Ctrl-C ends it)")
        for line in ready_message():
            self._tell(line)

    def _look_after(self, kept: _Kept) -> None:
        now = monotonic()
        if kept.process is None:
            if now >= kept.due:
                self._start(kept)
            return
        code = kept.process.poll()
        if code is None:
            return
        processes.kill_session(kept.process.pid)  # its own children must not work on beside the next ones
        kept.process = None
        kept.deaths += 1
        if now - kept.started > _CALM:
            kept.delay = _FIRST_DELAY
        kept.due = now + kept.delay
        log = self._log(kept)
        why = f"exit {code}" if code >= 0 else signal.Signals(-code).name
        said = processes.last_line(log)
        told = f"{kept.child.name} ended ({why}; {log}" + (f": {said})" if code > 0 and said else ")")
        if not self._ready and kept.deaths >= _TRIES_AT_START:
            raise StartError(told)
        self._tell(f"{told}; it starts again in {kept.delay:g} s")
        kept.delay = min(_LONGEST_DELAY, kept.delay * 2)

    def _start(self, kept: _Kept) -> None:
        child = kept.child
        if child.main and sys.platform == "linux":
            kept.process = processes.fork(child.main, name=f"desk {child.name}", log=self._log(kept))
        else:
            kept.process = processes.spawn(child.argv, log=self._log(kept), cwd=PROJECT_ROOT)
        kept.started = monotonic()
        self._embedded.records.note(kept.child.name, kept.process, signal.SIGTERM)

    def _log(self, kept: _Kept) -> Path:
        return self._home.logs / f"{kept.child.name}.log"

    def _trim_logs(self) -> None:
        if monotonic() - self._trimmed > _TRIM_SECONDS:
            self._trimmed = monotonic()
            for log in self._home.logs.glob("*.log"):
                processes.trim_log(log)


def check_port(settings: Settings) -> None:
    """Raise PortTaken when nobody can listen on the address of the settings."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise PortTaken(f"CRM_HOST={settings.host} can't be resolved: give an address of this machine") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"port {settings.port} is taken by another program: set CRM_PORT") from error
            if error.errno == errno.EACCES:
                raise PortTaken(f"port {settings.port} is for root only: set CRM_PORT above 1023") from error
            raise PortTaken(f"can't listen on CRM_HOST={settings.host} ({error.strerror}): set CRM_HOST") from error


def healthy(settings: Settings) -> bool:
    """True when the web server of these settings answers that it is alive."""
    connection = http.client.HTTPConnection(settings.local_host, settings.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _end_on_signals() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP raises _Ended where we are; later ones find us ending already."""
    ending = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal ending
        if not ending:
            ending = True
            raise _Ended

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
