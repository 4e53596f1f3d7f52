"""The bell: RQ carries the number of a job to a worker and nothing else; what the job is, PostgreSQL knows.

Ringing never fails for the one who rings: without Valkey the row waits, and the reconciler rings again.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from functools import partial
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, Worker
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.serializers import JSONSerializer

from crm.core.jobs import Bell

QUEUE = "desk"
RUN = "jobs.runner.run"
ANSWER_WITHIN = 2.0  # seconds: a person waits while we ring
ALIVE_WITHIN = dt.timedelta(seconds=30)  # a killed worker stays in the list for longer

log = logging.getLogger(__name__)


def connect(redis_url: str) -> Bell:
    """Ring, stop and state, for `crm.core.jobs.bell`."""
    patience = {"socket_timeout": ANSWER_WITHIN, "socket_connect_timeout": ANSWER_WITHIN}
    queue = open_queue(Redis.from_url(redis_url, retry=Retry(NoBackoff(), 1), **patience))
    return Bell(ring=partial(ring, queue), stop=partial(stop, queue), state=partial(state, queue))


def open_queue(connection: Redis) -> Queue:
    return Queue(QUEUE, connection=connection, serializer=JSONSerializer, default_timeout=-1)


def ring(queue: Queue, job_id: int) -> None:
    """Put the job's number into the queue, unless it stands there already.

    Each ring has a name of its own: under one name a ring would be lost when it comes while RQ still tidies
    up after the same job's last run.
    """
    try:
        if _waiting(queue, job_id):
            return
        queue.enqueue_call(
            RUN,
            args=(job_id,),
            job_id=f"{_prefix(job_id)}{secrets.token_hex(4)}",
            timeout=-1,
            result_ttl=0,
            failure_ttl=60,
            description=f"job {job_id}",
        )
    except RedisError as fault:
        log.warning("job %s could not be rung (%s): it waits for the next round", job_id, _name(fault))


def stop(queue: Queue, job_id: int) -> None:
    """End the process that works on a job, for a chunk that doesn't come to its end.

    Cancelling needs no stop: the flag in PostgreSQL is looked at after each chunk. What is stopped here is
    rolled back by PostgreSQL, and taken up (or cancelled, when that was asked) as after a crash.
    """
    try:
        for name in queue.started_job_registry.get_job_ids():
            if name.startswith(_prefix(job_id)):
                send_stop_job_command(queue.connection, name, serializer=JSONSerializer)
    except (InvalidJobOperation, NoSuchJobError):
        log.info("job %s was not running any more", job_id)
    except RedisError as fault:
        log.warning("job %s could not be stopped (%s)", job_id, _name(fault))


def state(queue: Queue) -> dict[str, Any]:
    """`reachable`, `queued` rings and `workers` that gave a sign of life lately."""
    try:
        since = dt.datetime.now(dt.UTC) - ALIVE_WITHIN
        workers = Worker.all(queue=queue, serializer=JSONSerializer)
        alive = sum(1 for worker in workers if worker.last_heartbeat and worker.last_heartbeat > since)
        return {"reachable": True, "queued": queue.count, "workers": alive}
    except RedisError:
        return {"reachable": False, "queued": 0, "workers": 0}


def _name(fault: Exception) -> str:
    return type(fault).__name__


def _prefix(job_id: int) -> str:
    return f"desk-{job_id}-"


def _waiting(queue: Queue, job_id: int) -> bool:
    return any(name.startswith(_prefix(job_id)) for name in queue.get_job_ids())
