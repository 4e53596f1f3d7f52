"""Runs one job: claims it, lets its function work chunk by chunk, and commits effect and checkpoint together.

A job function is a generator `def load(job) -> Iterator[Step]`. It gets the job as it was when this run
began: a plain record outside the session, whose `id`, `args`, `checkpoint` and `asked_by_id` may be read at
any time. It never commits; after each `yield` its chunk is committed, so records it loaded before must be
loaded anew.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import os
import pkgutil
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, cast

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

import jobs
from crm.core import jobs as table
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused, WrongInput
from crm.core.entity import db
from crm.core.jobs import Job, JobState, Overtaken, Step
from crm.core.transaction import run_in_transaction, stood_in_the_way

BEAT_EVERY = 5.0
TRIES = 5  # of one chunk that others stand in the way of
FRUITLESS_STARTS = 10  # after so many starts without a finished chunk the job is taken to kill its workers
LEAVE_WITHIN = 2.5  # seconds a chunk may still take once the worker is asked to end
_STARTED_AT = "_run"  # in the checkpoint: the start that finished the last chunk
_TASK = re.compile(r"jobs\.[a-z_]+\.[a-z_]+")

Function = Callable[[Job], Generator[Step, None, None]]
log = logging.getLogger(__name__)


class UnknownTask(LookupError):
    """No function of the package `jobs` has this name."""


class Leaving:
    """Whether this process was asked to end, and since when."""

    def __init__(self) -> None:
        self.since: float | None = None

    def ask(self, *_: Any) -> None:
        """Also as a handler of a signal."""
        if self.since is None:
            self.since = time.monotonic()

    @property
    def asked(self) -> bool:
        return self.since is not None

    @property
    def overdue(self) -> bool:
        return self.since is not None and time.monotonic() - self.since > LEAVE_WITHIN


leaving = Leaving()


def resolve(task: str) -> Function:
    """The function that a job names. Raises UnknownTask."""
    if not _TASK.fullmatch(task):
        raise UnknownTask(task)
    module, _, name = task.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        function = None
    if not inspect.isgeneratorfunction(function):
        raise UnknownTask(task)
    return cast(Function, function)


def preload() -> None:
    """Import every module of jobs at once: a broken one shows at start, and a job begins without delay."""
    for module in pkgutil.iter_modules(jobs.__path__):
        importlib.import_module(f"jobs.{module.name}")


def run(job_id: int) -> str | None:
    """Do a job as far as it goes.

    Answers the state it ended in; None when it was not to be had, or goes on in another worker.
    """
    taken = run_in_transaction(lambda: _take(job_id))
    if taken is None:
        return None
    job, number = taken
    who = Acting(user_id=job.asked_by_id, via=f"job {job.id}")
    with acting_as(who), _Heartbeat(db.engine, job.id, number):
        try:
            ended = _work(job, number)
        except Overtaken:
            db.session.rollback()
            log.info("job %s, start %s: taken over by another worker", job.id, number)
            return None
        except DBAPIError as fault:
            db.session.rollback()
            if not _database_away(fault):
                raise
            log.warning("job %s: the database went away; it is taken up again by itself", job.id)
            return None
        except (KeyboardInterrupt, SystemExit):
            db.session.rollback()
            _leave(job, number)
            raise
    return None if ended is None else str(ended)


def see_to_end(
    job_id: int,
    *,
    workers: Callable[[], int],
    tell: Callable[[Job], None] = lambda job: None,
    patience: float = 5.0,
) -> Job:
    """Wait until a job has ended, for `--wait`; it is done in this process when no worker takes it up.

    The caller has committed the job. `workers` answers how many are there; `tell` hears of the progress.
    """
    waited_since = time.monotonic()
    while True:
        job = look(job_id)
        tell(job)
        if not job.is_open:
            return job
        late = job.state is JobState.WAITING and time.monotonic() - waited_since > patience
        # A job that runs elsewhere is only had when its worker has gone silent.
        if late or job.state is JobState.RUNNING or workers() == 0:
            run(job_id)
        if job.state is JobState.RUNNING:
            waited_since = time.monotonic()
        time.sleep(0.2)


def run_here(job_id: int) -> Job:
    """Do a job in this process, whatever workers there are; waits when one of them has it."""
    return see_to_end(job_id, workers=lambda: 0)


def look(job_id: int) -> Job:
    """The job as it is now, outside the session."""

    def read() -> Job:
        return _apart(job_id)

    return run_in_transaction(read)


def _apart(job_id: int) -> Job:
    job = db.session.scalars(select(Job).where(Job.id == job_id).execution_options(populate_existing=True)).one()
    db.session.expunge(job)
    return job


def _take(job_id: int) -> tuple[Job, int] | None:
    number = table.claim(job_id)
    return None if number is None else (_apart(job_id), number)


def _work(job: Job, number: int) -> JobState | None:
    """Chunk after chunk, until the end. Raises Overtaken; DBAPIError when the database is gone."""
    if job.cancel_asked:
        return _end(job, number, JobState.CANCELLED)
    if job.pause_asked:
        return _pause(job, number)
    if number - int(job.checkpoint.get(_STARTED_AT, 0)) > FRUITLESS_STARTS:
        return _give_up(job, number)
    tries = 0
    while True:
        steps = None
        try:
            steps = resolve(job.task)(job)
            for step in steps:
                asked = _save(job, number, step)
                tries = 0
                if asked is not None:
                    steps.close()
                    return _pause(job, number) if asked is JobState.PAUSED else _end(job, number, asked)
                if leaving.asked:
                    steps.close()
                    _leave(job, number)
                    return None
            # What came after the last step counts only together with the end.
            table.finish(job.id, number, JobState.DONE)
            db.session.commit()
            return JobState.DONE
        except Overtaken:
            raise
        except (Refused, WrongInput) as refusal:
            return _end(job, number, JobState.FAILED, f"Not done: {refusal}")
        except UnknownTask:
            return _end(job, number, JobState.FAILED, f"This version has no work called {job.task}")
        except DBAPIError as fault:
            db.session.rollback()
            if _database_away(fault):
                raise
            tries += 1
            if not stood_in_the_way(fault) or tries > TRIES:
                log.exception("job %s failed", job.id)
                return _end(job, number, JobState.FAILED, _sentence(job, fault))
            run_in_transaction(partial(table.note_chunk_again, job.id, number))
            time.sleep(random.uniform(0.05, 0.2) * tries)  # noqa: S311 - only spreads the retries
            job = look(job.id)
        except Exception as fault:
            log.exception("job %s failed", job.id)
            return _end(job, number, JobState.FAILED, _sentence(job, fault))
        finally:
            db.session.rollback()
            if steps is not None:
                _close(job, steps)


def _save(job: Job, number: int, step: Step) -> JobState | None:
    if not isinstance(step, Step):
        raise TypeError(f"{job.task} yielded {type(step).__name__}, not Step")
    marked = replace(step, checkpoint={**step.checkpoint, _STARTED_AT: number})
    asked = table.save_step(job.id, number, marked)
    db.session.commit()
    return asked


def _close(job: Job, steps: Any) -> None:
    """Let the function tidy up; what it writes to the database then is not kept."""
    try:
        steps.close()
    except Exception:
        log.exception("job %s: tidying up failed", job.id)
    db.session.rollback()


def _end(job: Job, number: int, state: JobState, error: str | None = None) -> JobState:
    db.session.rollback()
    run_in_transaction(lambda: table.finish(job.id, number, state, error))
    return state


def _pause(job: Job, number: int) -> JobState:
    db.session.rollback()
    run_in_transaction(lambda: table.put_down(job.id, number))
    return JobState.PAUSED


def _leave(job: Job, number: int) -> None:
    def leave() -> None:
        table.give_back(db.session, job.id, number)
        table.ring_after_commit(job.id)

    run_in_transaction(leave)
    log.info("job %s: left to the next worker", job.id)


def _give_up(job: Job, number: int) -> JobState:
    """End what ends its workers; a retry gets as many starts again."""

    error = f"It was started {FRUITLESS_STARTS} times and ended each time before a part of it was done"

    def give_up() -> None:
        mark = Step(done=job.done, checkpoint={**job.checkpoint, _STARTED_AT: number})
        table.save_step(job.id, number, mark)
        table.finish(job.id, number, JobState.FAILED, error)

    run_in_transaction(give_up)
    return JobState.FAILED


def _sentence(job: Job, fault: BaseException) -> str:
    """For the person who asked; without the fault's own text, which may hold values of records."""
    return f"Stopped by an unexpected error ({type(fault).__name__}); the log tells more under “job {job.id}”"


def _database_away(fault: DBAPIError) -> bool:
    """The connection is gone, rather than something being wrong with what was asked."""
    if fault.connection_invalidated:
        return True
    sqlstate = getattr(fault.orig, "sqlstate", None)
    return isinstance(fault, OperationalError) and (sqlstate is None or sqlstate.startswith(("08", "57P")))


class _Heartbeat:
    """Says every few seconds, on a connection of its own, that this run is alive."""

    def __init__(self, engine: Engine, job_id: int, number: int) -> None:
        self._engine, self._job_id, self._number = engine, job_id, number
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"heartbeat of job {job_id}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=2)

    def _keep(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(0.25):
            if leaving.overdue:
                self._leave_at_once()
            if time.monotonic() - last >= BEAT_EVERY:
                last = time.monotonic()
                self._beat()

    def _beat(self) -> None:
        try:
            with self._beside() as connection:
                table.beat(connection, self._job_id, self._number)
        except DBAPIError as fault:
            log.debug("job %s: heartbeat left out (%s)", self._job_id, type(fault).__name__)

    def _leave_at_once(self) -> None:
        """The chunk takes longer than it may: PostgreSQL rolls it back, and the next worker does it again."""
        try:
            with self._beside() as connection:
                table.give_back(connection, self._job_id, self._number)
        except DBAPIError:
            return  # the chunk is just being committed, or the database is away: look again in a moment
        except Overtaken:
            log.info("job %s had been taken over", self._job_id)
        table.bell.ring(self._job_id)
        log.info("job %s: left to the next worker in the middle of a part, which is done again", self._job_id)
        os._exit(0)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[Connection]:
        """A transaction beside the chunk's; the chunk holds the job's row only at its very end."""
        with self._engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '500ms'"))
            yield connection
