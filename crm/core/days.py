"""Which day it is: one place to ask, so that everything turns at the same midnight."""

from __future__ import annotations

import datetime as dt


def today() -> dt.date:
    """The day in UTC, as the database has it (its time zone is set to UTC)."""
    return dt.datetime.now(dt.UTC).date()
