"""How child processes are started so that they don't outlive us or catch our Ctrl-C, and ended."""

import contextlib
import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOG_LIMIT = 20 * 1024 * 1024
# Seconds by which a start may seem to move when the clock is set.
_SAME_START = 2.0


@dataclass(frozen=True)
class Account:
    """A user of the system under which a child runs."""

    name: str
    uid: int
    gid: int


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own that gets `death_signal` when the calling thread's process dies.

    The death signal is Linux only; elsewhere `Records` finds what was left over. Call it from the main
    thread: the kernel sends the signal when the thread that started the child ends.
    """
    given = [str(part) for part in argv]
    if sys.platform == "linux":
        given, account = _tied_to_us(given, death_signal, account), None
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(_open_log(log)) if log else subprocess.DEVNULL
        return subprocess.Popen(
            given,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


class Forked:
    """A copy of this process, as far as one waits for it like for a program that was started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


Process = subprocess.Popen[bytes] | Forked


def fork(main: Callable[[], object], *, name: str, log: Path) -> Forked:
    """Run `main` in a copy of this process, which spares loading the program again; its session, death signal and output
    are those of `spawn`. Linux only, from a process of one thread that holds no connection.
    """
    parent, libc = os.getpid(), ctypes.CDLL(None)  # loaded before, so that nothing is left to go wrong in the copy
    with _open_log(log) as output:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
        if pid := os.fork():
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return Forked(pid)
        code = 1
        try:
            os.setsid()
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != parent:  # it died before we asked to be told
                os._exit(1)
            libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
            os.umask(0o077)
            for number in _OURS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            # The lock of the home, too: it would outlive who holds it.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except Exception:
            logging.getLogger(__name__).exception("%s ended by an error", name)
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _open_log(log: Path) -> IO[bytes]:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


# A fresh interpreter does this and then becomes the program. Done in the forked child itself (`preexec_fn`), it could
# wait for ever for a lock that another of our threads held at the fork.
_TIE = f"""
import ctypes, os, sys
parent, death_signal, uid, gid, *argv = sys.argv[1:]
if uid:
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))  # clears the death signal, so it comes first
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, int(death_signal), 0, 0, 0)
if os.getppid() != int(parent):  # the parent died before we asked to be told
    os._exit(1)
os.execv(argv[0], argv)
"""


def _tied_to_us(argv: list[str], death_signal: signal.Signals, account: Account | None) -> list[str]:
    who = [str(account.uid), str(account.gid)] if account else ["", ""]
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), str(int(death_signal)), *who, *argv]


def wait(process: Process, seconds: float) -> bool:
    """True when `process` has ended within `seconds`."""
    try:
        process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return False
    return True


def send(process: Process, number: signal.Signals) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


def session_members(leader: int) -> list[psutil.Process]:
    """Everything in the session that `leader` opened, also what went into a process group of its own."""
    members = []
    for pid in psutil.pids():
        # It may end between the list and the question, and others' sessions may be none of our business.
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == leader:
                members.append(psutil.Process(pid))
    return members


def _family(leader: int, created: float) -> list[psutil.Process]:
    """The session of a child that was written down, its leader first; empty when it is another's by now.

    A number stays taken while a session bears it, so what is left of a session without its leader is still
    ours, unless it began before (the machine was started anew, and numbers begin again).
    """
    found = []
    for member in session_members(leader):
        with contextlib.suppress(psutil.Error):
            age = member.create_time() - created
            if member.pid == leader and abs(age) > _SAME_START:
                return []
            if age > -_SAME_START and member.status() != psutil.STATUS_ZOMBIE:
                found.append(member)
    return sorted(found, key=lambda member: member.pid != leader)


def kill_session(leader: int) -> None:
    for member in session_members(leader):
        with contextlib.suppress(psutil.Error):
            member.kill()


def end(members: Iterable[psutil.Process], number: signal.Signals, seconds: float) -> None:
    """Ask `members` to end by a signal; what is still there after `seconds` is killed."""
    members = list(members)
    for member in members:
        with contextlib.suppress(psutil.Error):
            member.send_signal(number)
    _, alive = psutil.wait_procs(members, timeout=seconds)
    for member in alive:
        with contextlib.suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(alive, timeout=2)


class Records:
    """A file that names the children we started, so that the next start can end what a kill -9 left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._children: dict[str, tuple[int, float, int]] = {}

    def note(self, name: str, process: Process, stop_signal: signal.Signals) -> None:
        try:
            created = psutil.Process(process.pid).create_time()
        except psutil.Error:  # it has ended already; then nothing can be left over
            return
        self._children[name] = (process.pid, created, int(stop_signal))
        self._write()

    def clear(self) -> None:
        self._children = {}
        self._path.unlink(missing_ok=True)

    def end_leftovers(self, seconds: float = 5.0) -> list[str]:
        """End what is still alive of the children an earlier process wrote down; returns their names."""
        try:
            known = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):  # a first start, or a write that was cut off
            known = {}
        families = {name: _family(pid, created) for name, (pid, created, _) in known.items()}
        for name, (pid, _, stop_signal) in known.items():
            for member in families[name]:
                # Who leads is asked to end; what it has left alone already won't be told by anybody.
                with contextlib.suppress(psutil.Error):
                    member.send_signal(stop_signal if member.pid == pid else signal.SIGKILL)
                if member.pid == pid:
                    break
        deadline = time.monotonic() + seconds
        for family in families.values():
            _, alive = psutil.wait_procs(family, timeout=max(0.0, deadline - time.monotonic()))
            end(alive, signal.SIGKILL, 2.0)
        self.clear()
        return sorted(name for name, family in families.items() if family)

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._children))
        fresh.replace(self._path)


def trim_log(path: Path) -> None:
    """Keep a log that grew past the limit as `….1` and begin again; writers append, so they follow."""
    try:
        if path.stat().st_size <= _LOG_LIMIT:
            return
    except FileNotFoundError:
        return
    old = path.with_suffix(path.suffix + ".1")
    old.write_bytes(path.read_bytes())
    old.chmod(0o600)
    os.truncate(path, 0)


def last_line(path: Path) -> str:
    """The last line of a log that says something, for a one-line message."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
