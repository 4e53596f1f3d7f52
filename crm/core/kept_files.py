"""Files below CRM_HOME that belong to rows: what is written in a transaction is gone when that is rolled back.

Deleting goes the other way: the row goes first, and `sweep` removes what no row names any more. So a killed process
leaves at most a file too many, never a row without its file.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from flask import current_app
from sqlalchemy import event
from sqlalchemy.orm import Session

from crm.core.entity import db

UNFINISHED_FOR = 24 * 3600  # seconds: a younger file may belong to a transaction that still goes on


def folder(name: str) -> Path:
    """A folder of this name; made when it isn't there, closed to everybody else."""
    path = Path(current_app.config["DESK_SETTINGS"].home) / name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def keep(where: str, content: bytes) -> str:
    """Write the content to the disk, for good when the transaction is committed; answers the random name.

    Raises OSError when the disk doesn't take it.
    """
    name = secrets.token_hex(16)
    path = folder(where) / name
    db.session().info.setdefault("kept_files", []).append(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return name


@event.listens_for(Session, "after_commit")
def _stays(session: Session) -> None:
    # SQLAlchemy fires both for savepoints as well; what a savepoint took back is swept later.
    if not session.in_nested_transaction():
        session.info.pop("kept_files", None)


@event.listens_for(Session, "after_rollback")
def _goes(session: Session) -> None:
    if not session.in_nested_transaction():
        for path in session.info.pop("kept_files", []):
            path.unlink(missing_ok=True)


def sweep(where: str, still_named: Callable[[list[str]], set[str]]) -> int:
    """Remove the old files of a folder that no row names; `still_named` answers those of the names that some row has."""
    names = [entry.name for entry in os.scandir(folder(where)) if time.time() - entry.stat().st_mtime > UNFINISHED_FOR]
    removed = 0
    for first in range(0, len(names), 1000):
        part = names[first : first + 1000]
        for name in set(part) - still_named(part):
            (folder(where) / name).unlink(missing_ok=True)
            removed += 1
    return removed
