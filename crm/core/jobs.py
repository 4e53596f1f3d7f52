"""Work that outlives a request: rows of `job` are memory and outbox at once, the queue is only a bell.

`ask` inserts a row inside the caller's transaction; after the commit it is rung. A job function is a generator that
yields a `Step` after each chunk: the runner writes checkpoint and progress and commits them together with the chunk's
effect, so that a job can be killed anywhere and started again with nothing lost and nothing doubled. Every claim moves
`run`; a chunk of an older claim finds that it was overtaken and rolls back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    case,
    event,
    func,
    literal,
    or_,
    select,
    text,
    update,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from crm.core.command import Refused, command
from crm.core.entity import About, Entity, Section, db
from crm.core.fields import (
    Choice,
    boolean_field,
    choice_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip

STALE_AFTER = dt.timedelta(seconds=20)


class JobState(Choice):
    WAITING = "waiting", "Waiting", "neutral"
    RUNNING = "running", "Running", "info"
    PAUSED = "paused", "Paused", "warning"
    DONE = "done", "Done", "good"
    FAILED = "failed", "Failed", "bad"
    CANCELLED = "cancelled", "Cancelled", "warning"


# What has not come to its end.
OPEN = (JobState.WAITING, JobState.RUNNING, JobState.PAUSED)


class Job(Entity):
    """A piece of work done in the background, with its progress and its outcome."""

    about = About(
        area="System", icon="list-checks", title="label", columns=("label", "state", "done", "total", "asked_by", "created_at"),
        filters=("state", "task", "asked_by", "created_at"), sort=("created_at",), within=("asked_by",),
        detail=(Section("Job", ("label", "task", "state", "message", "error", "done", "total", "asked_by",
                                "started_at", "finished_at", "heartbeat_at", "run")),),
        create=False, edit=False, audited=False, help="Imports, exports and batch work, with their progress.",
    )  # fmt: skip

    task: Mapped[str] = text_field(editable=False, help="The function that does it")
    label: Mapped[str] = text_field(editable=False)
    state: Mapped[JobState] = choice_field(JobState, editable=False, column={"server_default": "waiting"})
    asked_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    args: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    done: Mapped[int] = integer_field(editable=False, column={"server_default": "0"})
    total: Mapped[int | None] = integer_field(editable=False)
    message: Mapped[str | None] = text_field(editable=False)
    checkpoint: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[str | None] = long_text_field(editable=False)
    # What happened to it, as {at, text} and by whom where a person did: the first line and the newest ones.
    log: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    run: Mapped[int] = integer_field(editable=False, label="Starts", column={"server_default": "0"})
    cancel_asked: Mapped[bool] = boolean_field(editable=False, column={"server_default": text("false")})
    pause_asked: Mapped[bool] = boolean_field(editable=False, column={"server_default": text("false")})
    heartbeat_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    started_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    finished_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    # Since when, and from how much on, it has been counting at its present pace: anew with each start.
    pace_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    pace_done: Mapped[int] = mapped_column(Integer, server_default="0")
    unique_key: Mapped[str | None] = mapped_column(Text)
    # By name: this floor knows no users.
    asked_by = relationship("User", viewonly=True)

    __table_args__ = (
        Index("uq_job_open_unique_key", "unique_key", unique=True,
              postgresql_where=text("state IN ('waiting', 'running', 'paused')")),
        Index("ix_job_open", "state", "heartbeat_at", postgresql_where=text("state IN ('waiting', 'running')")),
    )  # fmt: skip

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def pace(self) -> float | None:
        """How much it does a second, since it was started last; None while that can't be said."""
        if self.state is not JobState.RUNNING or self.pace_at is None or self.done <= self.pace_done:
            return None
        return (self.done - self.pace_done) / max((dt.datetime.now(dt.UTC) - self.pace_at).total_seconds(), 0.1)

    @property
    def seconds_left(self) -> float | None:
        """At the present pace; None while that can't be said."""
        pace = self.pace
        return None if pace is None or not self.total else max(0, self.total - self.done) / pace


class ItemState(Choice):
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done", "good"
    REFUSED = "refused", "Refused", "warning"


class JobItem(Entity):
    """One record a batch job works on: what *all that match* meant when it was confirmed, and what became of it."""

    about = About(area="System", title="id", columns=("created_at",), screen=False, audited=False, create=False,
                  edit=False)  # fmt: skip

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    record_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[ItemState] = choice_field(ItemState, editable=False, column={"server_default": "waiting"})
    reason: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (UniqueConstraint("job_id", "record_id"),
                      Index("ix_job_item_waiting", "job_id", "record_id",
                            postgresql_where=text("state = 'waiting'")))  # fmt: skip


LOG_LINES = 40


def _noted(happened: Any) -> Any:
    """SQL of the log with a line more."""
    line = func.jsonb_build_object("at", func.clock_timestamp(), "text", happened)
    kept = case((func.jsonb_array_length(Job.log) >= LOG_LINES, Job.log.op("-")(literal(1, Integer))), else_=Job.log)
    return kept.op("||")(func.jsonb_build_array(line))


def _note(job: Job, happened: str, by: Any) -> None:
    """The same for what a person does to a job that is locked."""
    line = {"at": dt.datetime.now(dt.UTC).isoformat(), "text": happened, "by": by.id if by is not None else None}
    job.log = [*job.log[:1], *job.log[1:][2 - LOG_LINES :], line]


@dataclass(frozen=True)
class Step:
    """What a job function says after each chunk; `result` with the last one."""

    done: int
    total: int | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    result: dict[str, Any] | None = None


@dataclass
class Bell:
    """The queue, given by name from the outside: ring a job, stop a running one, say how the queue is."""

    ring: Callable[[int], None] = lambda job_id: None
    stop: Callable[[int], None] = lambda job_id: None
    state: Callable[[], dict[str, Any]] = dict


bell = Bell()


def hang(given: Bell) -> None:
    """Take the queue's three functions from the outside."""
    bell.ring, bell.stop, bell.state = given.ring, given.stop, given.state


def ask(task: str, *, label: str, args: dict[str, Any], by: int | None, unique_key: str | None = None,
        total: int | None = None) -> Job:  # fmt: skip
    """Ask for work by the name of its function (`jobs.imports.load`); it is rung after the commit."""
    job = Job(task=task, label=label, args=args, asked_by_id=by, unique_key=unique_key, total=total)
    db.session.add(job)
    db.session.flush()
    ring_after_commit(job.id)
    return job


def ask_once(task: str, *, busy: str, key: str | None = None, **asked: Any) -> Job:
    """Likewise, unless the same (the task, or `key`) is under way: raises Refused with `busy`."""
    try:
        with db.session.begin_nested():
            return ask(task, unique_key=key or task, **asked)
    except IntegrityError:
        raise Refused(busy) from None


def refused_items(job_id: int, limit: int | None = None) -> list[JobItem]:
    """The records of a batch that were refused, with the reasons; the first so many."""
    statement = select(JobItem).where(JobItem.job_id == job_id, JobItem.state == ItemState.REFUSED)
    return list(db.session.scalars(statement.order_by(JobItem.record_id).limit(limit)))


def ring_after_commit(job_id: int) -> None:
    db.session().info.setdefault("to_ring", []).append(job_id)


@event.listens_for(Session, "after_commit")
def _ring(session: Session) -> None:
    # SQLAlchemy fires this for each released savepoint as well.
    if not session.in_nested_transaction():
        for job_id in dict.fromkeys(session.info.pop("to_ring", [])):
            bell.ring(job_id)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    # Fired for each savepoint too: a row that was refused must not silence what was asked before it. What was asked
    # inside the savepoint rings for nothing, which does no harm.
    if not session.in_nested_transaction():
        session.info.pop("to_ring", None)


class Overtaken(Exception):
    """Another worker has claimed this job since, or somebody ended it: this chunk must not count."""


def claim(job_id: int) -> int | None:
    """Take a job that waits, or whose worker is gone. Answers the number of this run; None when it isn't to be had."""
    gone = Job.heartbeat_at < func.clock_timestamp() - STALE_AFTER
    happened = case((Job.state == JobState.RUNNING, "Taken up again, where it stood: its worker had gone silent"),
                    (Job.run == 0, "Started"), else_="Went on, where it stood")  # fmt: skip
    statement = (
        update(Job)
        .where(Job.id == job_id, or_(Job.state == JobState.WAITING, (Job.state == JobState.RUNNING) & gone))
        .values(state=JobState.RUNNING, run=Job.run + 1, heartbeat_at=func.clock_timestamp(),
                started_at=func.coalesce(Job.started_at, func.clock_timestamp()), error=None,
                pace_at=func.clock_timestamp(), pace_done=Job.done,
                log=_noted(happened))
        .returning(Job.run)
    )  # fmt: skip
    return db.session.execute(statement.execution_options(synchronize_session=False)).scalar()


def save_step(job_id: int, run: int, step: Step) -> JobState | None:
    """Write progress and checkpoint in the chunk's own transaction. Answers what somebody asked for: to cancel, or to
    pause.

    Raises Overtaken when this run is no longer the one that counts.
    """
    # What is read before the first of it is done says nothing about the pace.
    pace = {} if step.done else {"pace_at": func.clock_timestamp(), "pace_done": 0}
    statement = (
        _mine(job_id, run)
        .values(done=step.done, total=func.coalesce(step.total, Job.total), checkpoint=step.checkpoint,
                message=step.message or None, heartbeat_at=func.clock_timestamp(),
                result=step.result if step.result is not None else Job.result, **pace)
        .returning(Job.cancel_asked, Job.pause_asked)
    )  # fmt: skip
    asked = db.session.execute(statement).one_or_none()
    if asked is None:
        raise Overtaken(f"job {job_id}, run {run}")
    return JobState.CANCELLED if asked.cancel_asked else JobState.PAUSED if asked.pause_asked else None


def finish(job_id: int, run: int, state: JobState, error: str | None = None) -> None:
    happened = {JobState.DONE: "Done", JobState.CANCELLED: "Ended, as was asked"}.get(state, error or state.label)
    ended = {"state": state, "error": error, "finished_at": func.clock_timestamp(), "log": _noted(happened)}
    statement = _mine(job_id, run).values(ended)
    if db.session.execute(statement.returning(Job.id)).scalar_one_or_none() is None:
        raise Overtaken(f"job {job_id}, run {run}")


def give_back(on: Any, job_id: int, run: int) -> None:
    """Let the next worker go on from the checkpoint, because this one has to end; the caller rings.

    `on` is the session, or a connection beside it.
    """
    _lay_down(on, job_id, run, JobState.WAITING, "Its worker had to end and left it to the next")


def put_down(job_id: int, run: int) -> None:
    """Leave it paused, until somebody resumes it."""
    _lay_down(db.session, job_id, run, JobState.PAUSED, "Paused, where it stood")


def _lay_down(on: Any, job_id: int, run: int, state: JobState, happened: str) -> None:
    left = {"state": state, "heartbeat_at": None, "log": _noted(happened)}
    left |= {"pause_asked": False} if state is JobState.PAUSED else {}
    statement = _mine(job_id, run).values(left).returning(Job.id)
    if on.execute(statement).scalar_one_or_none() is None:
        raise Overtaken(f"job {job_id}, run {run}")


def note_chunk_again(job_id: int, run: int) -> None:
    """That a part was rolled back because others stood in its way, and is done again."""
    happened = _noted("A part stood in the way of others and is done again")
    db.session.execute(_mine(job_id, run).values(log=happened))


def beat(connection: Connection, job_id: int, run: int) -> None:
    """Say that this run is alive, on a connection beside the session's."""
    connection.execute(_mine(job_id, run).values(heartbeat_at=func.clock_timestamp()))


def _mine(job_id: int, run: int) -> Any:
    return (update(Job).where(Job.id == job_id, Job.run == run, Job.state == JobState.RUNNING)
            .execution_options(synchronize_session=False))  # fmt: skip


def unattended() -> list[int]:
    """Jobs that nobody works on: those whose heartbeat stopped, and those whose ring was lost."""
    now = func.clock_timestamp()
    statement = select(Job.id).where(or_(
        (Job.state == JobState.RUNNING) & (Job.heartbeat_at < now - STALE_AFTER),
        (Job.state == JobState.WAITING) & (Job.updated_at < now - STALE_AFTER),
    )).order_by(Job.id).limit(500)  # fmt: skip
    return list(db.session.scalars(statement))


@command(Job, "Cancel", confirm="It stops after the chunk that is running; what is done stays done.", tone="bad",
         icon="x", applies=lambda job: job.is_open)  # fmt: skip
def cancel(job: Job, *, by: Any) -> None:
    """Stop the job after the chunk that is running."""
    if not job.is_open:
        raise Refused(f"the job is {job.state.label.lower()} already")
    job.cancel_asked = True
    _note(job, "Cancel was asked for", by)
    if job.state is not JobState.RUNNING:
        job.state, job.finished_at = JobState.CANCELLED, dt.datetime.now(dt.UTC)


@command(Job, "Pause", icon="pause",
         applies=lambda job: job.state in (JobState.WAITING, JobState.RUNNING) and not job.pause_asked)  # fmt: skip
def pause(job: Job, *, by: Any) -> None:
    """Rest after the chunk that is running, until somebody resumes it."""
    if job.state not in (JobState.WAITING, JobState.RUNNING):
        raise Refused(f"the job is {job.state.label.lower()}")
    _note(job, "Pause was asked for", by)
    if job.state is JobState.WAITING:
        job.state = JobState.PAUSED
    else:
        job.pause_asked = True


@command(
    Job, "Resume", icon="play", applies=lambda job: job.state is JobState.PAUSED or (job.is_open and job.pause_asked)
)
def resume(job: Job, *, by: Any) -> None:
    """Go on where it was paused."""
    if job.state is JobState.PAUSED:
        job.state = JobState.WAITING
        ring_after_commit(job.id)
    elif not (job.is_open and job.pause_asked):
        raise Refused(f"the job is {job.state.label.lower()}, not paused")
    job.pause_asked = False
    _note(job, "Resumed", by)


_before_retry: dict[str, Callable[[Job], None]] = {}


def before_retry(task: str) -> Callable[[Callable[[Job], None]], Callable[[Job], None]]:
    """Declare what must still be so when a job of this task is started again; the function raises Refused."""

    def declare(check: Callable[[Job], None]) -> Callable[[Job], None]:
        _before_retry[task] = check
        return check

    return declare


@command(Job, "Retry", confirm="It goes on where it stopped.", icon="rotate-ccw",
         applies=lambda job: job.state in (JobState.FAILED, JobState.CANCELLED))  # fmt: skip
def retry(job: Job, *, by: Any) -> None:
    """Start a failed or cancelled job again, where it stopped."""
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        raise Refused(f"the job is {job.state.label.lower()}: only a failed or cancelled one can be retried")
    same = select(Job.id).where(Job.unique_key == job.unique_key, Job.state.in_(OPEN))
    if job.unique_key is not None and db.session.scalars(same.limit(1)).first() is not None:
        raise Refused("the same work was asked for again and is under way")
    if job.task in _before_retry:
        _before_retry[job.task](job)
    _note(job, "Asked for again", by)
    job.state, job.cancel_asked, job.pause_asked = JobState.WAITING, False, False
    job.error, job.finished_at = None, None
    ring_after_commit(job.id)
