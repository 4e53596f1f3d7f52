"""What happens by itself: jobs that nobody works on are rung again, blocks end, old traces are deleted.

Any number of schedulers may run; one holds a lock in PostgreSQL and works, the others wait to take over.
"""

from __future__ import annotations

import datetime as dt
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, or_, select, text
from sqlalchemy.exc import DBAPIError

from crm.commands.audit import seal_all
from crm.commands.check_ins import ask_daily
from crm.commands.credit import alert_overdue_reviews, expire_requests, hold_by_rule
from crm.commands.credit_orders import accept_what_fits
from crm.commands.duplicate_search import search_changed, search_when_due
from crm.commands.exports import delete_expired
from crm.commands.loyalty_earning import earn_for_changed
from crm.commands.loyalty_referrals import reward_first_purchases
from crm.commands.loyalty_tiers import check_tiers
from crm.commands.loyalty_upkeep import expire_all, void_overdue
from crm.commands.parties import unblock
from crm.commands.party_documents import delete_unnamed_files
from crm.commands.segment_ladders import ask_due as ask_due_ladders
from crm.commands.segment_refresh import ask_due, end_memberships, forget_unchanged
from crm.core.audit import Acting, acting_as
from crm.core.command import perform_set
from crm.core.entity import db
from crm.core.jobs import bell, unattended
from crm.core.transaction import run_in_transaction
from crm.importing.cleaning import clean_up
from crm.models.access import IdempotencyKey, LoginAttempt, SentForm, UserSession
from crm.models.parties import BlockState, Party, Status

LOCK = 7_240_702
TICK = 1.0
CHUNK = 500
KEEP_ATTEMPTS = dt.timedelta(days=30)
KEEP_KEYS = dt.timedelta(days=1)
KEEP_SESSIONS = dt.timedelta(days=1)  # after they have ended

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duty:
    """Something to do every so many seconds; `do` answers how much there was to do."""

    name: str
    every: float
    do: Callable[[], int]


def ring_unattended() -> int:
    """Ring for every job whose ring was lost, or whose worker has gone silent."""
    ids = run_in_transaction(unattended)
    if ids and not bell.state().get("reachable", True):
        log.warning("%s jobs wait, and the queue can't be reached", len(ids))
        return 0
    for job_id in ids:
        bell.ring(job_id)
    return len(ids)


def end_blocks() -> int:
    """Unblock whose day has come."""
    ended = 0
    while True:
        done = run_in_transaction(_end_some_blocks)
        ended += done
        if done < CHUNK:
            return ended


def _end_some_blocks() -> int:
    due = (
        select(Party.id)
        .where(
            Party.status == Status.BLOCKED,
            Party.block_state == BlockState.BLOCKED,
            Party.blocked_until <= func.current_date(),
        )
        .order_by(Party.id)
        .limit(CHUNK)
    )
    ids = list(db.session.scalars(due))
    refused = perform_set(unblock, ids, by=None, values={"reason": "The block was set until this day"})
    return len(ids) - len(refused)


def delete_old_traces() -> int:
    """Tries to sign in, ended sessions and remembered answers are kept for a while only."""
    now = func.now()
    statements = (
        delete(LoginAttempt).where(LoginAttempt.created_at < now - KEEP_ATTEMPTS),
        delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEEP_KEYS),
        delete(SentForm).where(SentForm.created_at < now - KEEP_KEYS),
        delete(UserSession).where(
            or_(UserSession.expires_at < now - KEEP_SESSIONS, UserSession.ended_at < now - KEEP_SESSIONS)
        ),
    )

    def do() -> int:
        results = [db.session.execute(statement.returning(text("1"))) for statement in statements]
        return sum(len(result.all()) for result in results)

    return run_in_transaction(do)


DUTIES = (
    Duty("ring again for jobs that nobody works on", 5, ring_unattended),
    Duty("seal the audit", 5, seal_all),
    Duty("look for duplicates of what has changed", 5, lambda: run_in_transaction(search_changed)),
    Duty("look for duplicates among all at night", 600, lambda: run_in_transaction(search_when_due)),
    Duty("hold credit accounts by rule, and release them", 300, hold_by_rule),
    Duty("accept orders that fit into their customer's credit by now", 30, accept_what_fits),
    Duty("enter what orders earn", 10, earn_for_changed),
    Duty("reward referrals whose customer has bought", 300, reward_first_purchases),
    Duty("give back points that were held for too long", 60, void_overdue),
    Duty("write off points whose day is over", 600, expire_all),
    Duty("put members onto their tiers at night", 600, check_tiers),
    Duty("tell of credit reviews that are overdue", 3600, alert_overdue_reviews),
    Duty("end credit requests that nobody decided for too long", 3600, expire_requests),
    Duty("end blocks whose day has come", 600, end_blocks),
    Duty("apply the rules of check-ins", 3600, lambda: run_in_transaction(ask_daily)),
    Duty("end memberships of segments whose last day has passed", 600, lambda: run_in_transaction(end_memberships)),
    Duty("refresh segments that are due", 60, lambda: run_in_transaction(ask_due)),
    Duty("move customers on their ladders at night", 600, lambda: run_in_transaction(ask_due_ladders)),
    Duty("delete old traces", 3600, delete_old_traces),
    Duty("delete what imports and jobs left behind", 3600, clean_up),
    Duty("forget refreshes that changed nothing", 3600, lambda: run_in_transaction(forget_unchanged)),
    Duty("delete files that no document names", 3600, delete_unnamed_files),
    Duty("delete expired exports", 3600, lambda: run_in_transaction(delete_expired)),
)


def run(*, ended: threading.Event | None = None, duties: tuple[Duty, ...] = DUTIES) -> int:
    """Keep the house until SIGTERM or Ctrl-C, or until `ended` is set; answers the exit code.

    Call it inside an app context.
    """
    if ended is None:
        ended = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: ended.set())
    while not ended.is_set():
        try:
            # Autocommit: a lock held for days must not hold a transaction open for days.
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                _keep(connection, ended, duties)
        except DBAPIError as fault:
            db.session.rollback()
            log.warning("the database can't be reached (%s)", type(fault).__name__)
            ended.wait(TICK)
    return 0


def _keep(connection: Connection, ended: threading.Event, duties: tuple[Duty, ...]) -> None:
    """Wait for the lock, then work while it is ours.

    Raises DBAPIError when the connection is gone, and the lock with it.
    """
    while not connection.scalar(select(func.pg_try_advisory_lock(LOCK))):
        if ended.wait(TICK):
            return
    try:
        due = {duty.name: 0.0 for duty in duties}
        while not ended.is_set():
            connection.execute(text("SELECT 1"))  # the lock lasts as long as this connection does
            for duty in duties:
                if time.monotonic() >= due[duty.name] and not ended.is_set():
                    _do(duty)
                    due[duty.name] = time.monotonic() + duty.every
            ended.wait(TICK)
    finally:
        if not connection.invalidated:
            connection.execute(select(func.pg_advisory_unlock(LOCK)))


def _do(duty: Duty) -> None:
    db.session.remove()  # the next transaction begins in the scheduler's name
    try:
        with acting_as(Acting(via="scheduler")):
            number = duty.do()
        if number:
            log.info("%s: %s", duty.name, number)
    except Exception:
        log.exception("could not %s", duty.name)
    finally:
        db.session.remove()
