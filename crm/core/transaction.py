"""One commit, at the edge: the whole of a request, a job chunk or a command line runs here, and is tried again when
the database says that two transactions stood in each other's way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from crm.core.entity import db

T = TypeVar("T")
ATTEMPTS = 3
_TRY_AGAIN = {"40P01", "40001"}  # deadlock detected, serialization failure


def stood_in_the_way(fault: BaseException) -> bool:
    """Whether the same work may succeed when it is simply done again."""
    return isinstance(fault, DBAPIError) and getattr(fault.orig, "sqlstate", None) in _TRY_AGAIN


_keep_anyway: ContextVar[bool] = ContextVar("keep_anyway", default=False)


def keep_anyway() -> None:
    """Commit this work whatever it answers: a failed sign-in is recorded though the answer is an error."""
    _keep_anyway.set(True)


def run_in_transaction(work: Callable[[], T], *, keep: Callable[[T], bool] = lambda _: True) -> T:
    """Do the work and commit once; roll back when `keep` says the answer must not change anything.

    The work is repeated as a whole, so it may only touch the database. What it raises is raised after a rollback.
    """
    for attempt in range(1, ATTEMPTS + 1):
        _keep_anyway.set(False)
        try:
            answer = work()
            if keep(answer) or _keep_anyway.get():
                db.session.commit()
            else:
                db.session.rollback()
            return answer
        except BaseException as fault:
            db.session.rollback()
            if attempt == ATTEMPTS or not stood_in_the_way(fault):
                raise
            time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - only spreads the retries
    raise AssertionError("unreachable: the last attempt answers or raises")
