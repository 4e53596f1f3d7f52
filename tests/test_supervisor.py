"""The supervisor: starts all, restarts what dies, ends in order and in time, survives being killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from crm import supervisor
from crm.config import PROJECT_ROOT, load
from crm.processes import last_line, trim_log
from crm.supervisor import PortTaken, check_port, healthy, standard_children
from tests.homes import settings_in, temporary_folder

CLEAN_END = 10.0
T = TypeVar("T")


class Instance:
    """A supervisor in a process of its own, and what it has printed so far."""

    def __init__(self, folder: Path, port: int, scheduler: str = "sleep") -> None:
        self.folder = folder
        self.port = port
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.supervised", str(folder), str(port), scheduler],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_for(self, pattern: str, seconds: float = 20.0) -> str:
        return until(
            lambda: next((line for line in self.lines if re.search(pattern, line)), ""),
            seconds,
            str(self.lines),
        )

    def children(self) -> dict[str, int]:
        """The processes it has written down, by name."""
        known = json.loads((self.folder / "home" / "children.json").read_text())
        return {name: pid for name, (pid, _, _) in known.items()}

    def horses(self) -> list[int]:
        notes = self.folder / "notes"
        return [int(pid) for pid in notes.read_text().split()] if notes.exists() else []

    def end(self, number: signal.Signals = signal.SIGINT) -> float:
        """Send a signal to the supervisor alone; the seconds until it has ended."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - begun

    def close(self) -> None:
        if self.process.poll() is None:
            self.end()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


def until(look: Callable[[], T], seconds: float = 10.0, what: str = "") -> T:
    """The first true value that `look` answers."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)
    return found


def renewed(instance: Instance, name: str, before: int) -> bool:
    return instance.children()[name] != before


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def lived_in() -> Iterator[Path]:
    """A home whose database is made by whoever launches first."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def launch(lived_in: Path) -> Iterator[Callable[..., Instance]]:
    """`launch()` starts an instance in that home, `launch(folder=…)` elsewhere; all of them are ended."""
    started: list[Instance] = []
    port = free_port()

    def make(scheduler: str = "sleep", folder: Path = lived_in) -> Instance:
        started.append(Instance(folder, port, scheduler))
        return started[-1]

    try:
        yield make
    finally:
        for instance in started:
            instance.close()
        (lived_in / "notes").unlink(missing_ok=True)


@pytest.mark.soak
def test_all_is_started_kept_alive_and_ended_in_time(launch: Callable[..., Instance]) -> None:
    instance = launch()
    instance.wait_for("administrator: anna@example.com")
    assert instance.lines[0] == "prepared True"
    assert instance.lines[1].startswith(f"Customer Desk runs on http://127.0.0.1:{instance.port}")
    before = instance.children()
    assert set(before) == {"web", "worker", "scheduler", "postgres", "valkey"}

    os.kill(before["web"], signal.SIGKILL)
    os.kill(before["postgres"], signal.SIGKILL)
    until(lambda: len(instance.horses()) == 2)
    old_worker, old_horse = instance.horses()
    os.kill(old_worker, signal.SIGKILL)
    for name in ("web", "postgres", "worker"):
        until(partial(renewed, instance, name, before[name]), what=name)
    assert instance.wait_for(r"^web ended \(SIGKILL; .*it starts again in 0.5 s$")
    assert instance.wait_for("^PostgreSQL had ended and was started again$")
    assert not alive(old_horse)  # or two would work on the same job
    until(lambda: len(instance.horses()) == 4)
    until(lambda: healthy(settings_in(instance.folder, port=str(instance.port))))
    with urllib.request.urlopen(f"http://127.0.0.1:{instance.port}/healthz", timeout=5) as answer:
        assert int(answer.read()) == instance.children()["web"]

    now = [*instance.children().values(), *instance.horses()]
    # To the whole process group, as a terminal does; the children's sessions keep them out of it.
    begun = time.monotonic()
    os.killpg(instance.process.pid, signal.SIGINT)
    assert instance.process.wait(15) == 0
    assert time.monotonic() - begun < CLEAN_END
    assert [pid for pid in now if alive(pid)] == []
    until(lambda: instance.lines[-1] == "Customer Desk has stopped")
    log = (instance.folder / "home" / "logs" / "postgres.log").read_text()
    assert log.rstrip().endswith("database system is shut down")


def test_who_does_not_listen_is_killed_in_time(launch: Callable[..., Instance]) -> None:
    instance = launch("stubborn")
    instance.wait_for("administrator")
    pids = until(lambda: instance.children() if len(instance.children()) == 5 else {})
    log = instance.folder / "home" / "logs" / "scheduler.log"
    until(lambda: log.exists() and log.read_text().endswith("deaf\n"))
    assert supervisor._CHILDREN_SECONDS < supervisor._ALL_SECONDS < CLEAN_END
    assert instance.end(signal.SIGTERM) < CLEAN_END
    assert instance.process.returncode == 0
    assert "scheduler did not end in time and is killed" in instance.lines
    assert [name for name, pid in pids.items() if alive(pid)] == []


@pytest.mark.soak
def test_killed_and_started_again(launch: Callable[..., Instance]) -> None:
    first = launch("stubborn")  # what doesn't listen must not keep the home taken either
    first.wait_for("administrator")
    until(lambda: len(first.horses()) == 2)
    before = [*first.children().values(), *first.horses()]
    first.process.kill()
    first.process.wait(10)
    second = launch()
    second.wait_for("administrator")
    assert [pid for pid in before if alive(pid)] == []
    third = launch()
    assert third.process.wait(10) == 1
    until(lambda: third.lines)
    where = f"http://127.0.0.1:{second.port} (pid {second.process.pid})"
    assert third.lines == [f"Error: Customer Desk is already running on {where}"]


def test_a_taken_port_is_told_before_anything_starts(launch: Callable[..., Instance]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with temporary_folder() as folder:
            instance = Instance(folder, port)
            assert instance.process.wait(10) == 1
            instance.close()
            assert instance.lines == [f"Error: port {port} is taken by another program: set CRM_PORT"]
            assert not (folder / "home" / "postgres").exists()


def test_a_web_that_never_starts_ends_all_with_its_reason(launch: Callable[..., Instance]) -> None:
    instance = launch("crash")
    until(lambda: instance.process.poll() is not None, 30)
    instance.close()
    assert instance.process.returncode == 1
    assert re.search(
        r"^Error: web ended \(exit 1; .*web\.log: the settings of the web are wrong\)$", instance.lines[-1]
    )


@pytest.mark.soak
def test_ctrl_c_while_the_database_is_made_leaves_nothing_running(launch: Callable[..., Instance]) -> None:
    with temporary_folder() as fresh:
        instance = launch(folder=fresh)
        until(lambda: (fresh / "home" / "postgres" / "data.new").exists())
        assert instance.end() < CLEAN_END
        assert instance.process.returncode == 0
        assert [p.pid for p in psutil.process_iter(["cmdline"]) if str(fresh) in str(p.info["cmdline"])] == []
        again = launch(folder=fresh)
        again.wait_for("administrator")
        again.close()


def test_an_address_that_is_not_ours_is_told() -> None:
    with temporary_folder() as folder:
        with pytest.raises(PortTaken, match="CRM_HOST=192.0.2.1"):
            check_port(settings_in(folder, host="192.0.2.1", secret_key="k" * 32))
        assert not healthy(settings_in(folder, port=str(free_port())))


def test_the_standard_children_are_commands_of_the_app() -> None:
    children = standard_children(load({"CRM_WORKERS": "3"}, as_root=False))
    assert [child.name for child in children] == ["web", "worker", "scheduler"]
    assert children[1].argv[-3:] == ("worker", "-n", "3")


def test_a_log_is_trimmed_when_it_grew_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm.processes._LOG_LIMIT", 10)
    log = tmp_path / "web.log"
    with log.open("ab") as writer:
        writer.write(b"first\nsecond\n\n")
        writer.flush()
        assert last_line(log) == "second"
        trim_log(log)
        writer.write(b"third\n")
    assert log.read_text() == "third\n"
    assert (tmp_path / "web.log.1").read_text() == "first\nsecond\n\n"
