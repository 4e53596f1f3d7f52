"""The workers: processes that wait for the bell and run one job at a time, each in a process of its own.

Asked to end, a worker gives the chunk that runs a moment to come to its end, and leaves the rest to the next.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

import psutil
from flask import current_app
from redis import Redis
from rq import Queue, Worker
from rq.job import Job as Ring
from rq.serializers import JSONSerializer
from rq.worker.base import StopRequested

from crm.core.entity import db
from jobs.queue import open_queue
from jobs.runner import leaving, preload

END_WITHIN = 4.0  # seconds from the request to the last worker's end; then they are killed
AGAIN_AFTER = 1.0  # seconds before a worker that died is replaced

log = logging.getLogger(__name__)


class DeskWorker(Worker):
    """RQ's worker, with our ways of starting and ending a job's process."""

    log_result_lifespan = False
    max_connection_wait_time = 5.0

    def __init__(self, queue: Queue, connection: Redis) -> None:
        super().__init__(
            [queue],
            connection=connection,
            serializer=JSONSerializer,
            log_job_description=False,
            worker_ttl=25,
            job_monitoring_interval=5,
        )
        self._parent = os.getppid()

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        if not self.horse_pid and not self.is_horse and os.getppid() != self._parent:
            raise StopRequested  # whoever started us is gone, and would start us anew
        super().heartbeat(*args, **kwargs)

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()
        if self.horse_pid:
            self.kill_horse(signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()
        signal.signal(signal.SIGTERM, leaving.ask)

    def main_work_horse(self, job: Ring, queue: Queue) -> None:
        # The connections belong to the parent: using, or even closing, them here would break them there.
        for engine in db.engines.values():
            engine.dispose(close=False)
        super().main_work_horse(job, queue)


def work(number: int, redis_url: str) -> int:
    """Run so many workers until SIGTERM or Ctrl-C, and replace what dies; answers the exit code.

    Call it in the main thread, inside an app context.
    """
    preload()
    for engine in db.engines.values():
        engine.dispose()
    ended = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ended.set())
    pids: set[int] = set()
    due = 0.0
    while not ended.is_set():
        if len(pids) < number and time.monotonic() >= due:
            pids.add(_fork(redis_url))
            continue
        gone = _gone(pids)
        if gone:
            log.warning("%s of %s workers ended and will be replaced", len(gone), number)
            pids -= gone
            due = time.monotonic() + AGAIN_AFTER
        ended.wait(0.2)
    _end(pids)
    return 0


def _fork(redis_url: str) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        connection = Redis.from_url(redis_url)
        worker = DeskWorker(open_queue(connection), connection)
        worker.work(logging_level="WARNING", with_scheduler=False)
        code = 0
    except SystemExit:
        code = 0
    except Exception as fault:
        log.error("a worker could not start (%s)", type(fault).__name__, exc_info=current_app.debug)
    finally:
        os._exit(code)


def _gone(pids: set[int]) -> set[int]:
    return {pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0]}


def _end(pids: set[int]) -> None:
    """Ask every worker to end; what lingers is killed together with the job's process it started."""
    families = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + END_WITHIN
    while pids and time.monotonic() < deadline:
        pids = pids - _gone(pids)
        time.sleep(0.05)
    for worker in families:
        if worker.pid not in pids:
            continue
        with contextlib.suppress(psutil.Error):
            lingering = [*worker.children(recursive=True), worker]
            log.warning("a worker did not end in time and is killed")
            for process in lingering:
                process.kill()
    for pid in pids:
        os.waitpid(pid, 0)
