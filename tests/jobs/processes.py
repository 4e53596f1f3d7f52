"""Real workers and schedulers in processes of their own: forked, as loading the app anew takes seconds."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import psutil
from flask import Flask

from crm.core import jobs as table
from crm.core.entity import db
from crm.servers import Servers
from jobs import queue, runner, schedule, worker


class Forked:
    """A process made from this one, in a session of its own, that does some work and ends with its answer."""

    def __init__(self, work: Callable[[], int], log: Path) -> None:
        self._code: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(work, log)

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 10.0) -> int:
        """The exit code (negative: the signal that ended it); fails when it doesn't end in time."""
        deadline = time.monotonic() + seconds
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise AssertionError(f"process {self.pid} did not end within {seconds} s")
            else:
                time.sleep(0.02)
        return self._code


def _become(work: Callable[[], int], log: Path) -> None:
    code = 1
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = work()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        raise
    finally:
        os._exit(code)  # nothing of the tests may go on here


def serve(app: Flask, servers: Servers, what: str, number: int = 1) -> int:
    """`work` or `schedule` as the command line does, with shorter times, so that no test waits for long; `duties` are all
    that there are."""
    table.STALE_AFTER = dt.timedelta(seconds=3)
    runner.BEAT_EVERY = 0.5
    schedule.TICK = 0.2
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)
        table.hang(queue.connect(servers.redis_url))
        if what == "work":
            return worker.work(number, servers.redis_url)
        if what == "duties":
            return schedule.run()
        return schedule.run(duties=(schedule.Duty("ring", 0.5, schedule.ring_unattended),))


def tree(process: Forked) -> list[psutil.Process]:
    """The process and all below it: a job's own process is in a process group of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    return []


def kill_tree(process: Forked) -> None:
    for member in tree(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGKILL)
    process.wait()
