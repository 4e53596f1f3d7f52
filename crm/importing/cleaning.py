"""What imports and jobs leave behind, deleted after a while: drafts nobody started, files, rows on their way, old jobs."""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask import current_app
from sqlalchemy import delete, exists, func, select, update

from crm.core.entity import db, entities
from crm.core.jobs import Job
from crm.core.kept_files import sweep
from crm.core.transaction import run_in_transaction
from crm.importing.storage import FOLDER
from crm.models.imports import Import, ImportRow

KEEP_DRAFTS = dt.timedelta(days=7)


def clean_up() -> int:
    """Delete what is old: drafts after a week, files and rows of ended imports and ended jobs after CRM_KEEP_DAYS.

    Answers how many rows and files went. The imports themselves stay, as the memory of what was brought in.
    """
    kept = dt.timedelta(days=current_app.config["DESK_SETTINGS"].keep_days)
    return run_in_transaction(lambda: _delete_rows(kept)) + run_in_transaction(lambda: sweep(FOLDER, _still_named))


def _delete_rows(kept: dt.timedelta) -> int:
    now = func.now()
    old = Job.finished_at < now - kept
    ended = select(Import.id).join(Job, Job.id == Import.job_id).where(old)
    statements = (
        delete(Import).where(Import.job_id.is_(None), Import.updated_at < now - KEEP_DRAFTS),
        delete(ImportRow).where(ImportRow.import_id.in_(ended)),
        # With the file goes what was read from it and what a person wrote in it.
        update(Import)
        .where(Import.id.in_(ended), Import.stored_name != "")
        .values(stored_name="", refused_name=None, checked=None, plan=Import.plan.op("-")("cells")),
        delete(Job).where(old, *(~exists().where(column == Job.id) for column in _keeping())),
    )
    plain = {"synchronize_session": False}
    return sum(
        len(db.session.execute(one.returning(one.table.c.id), execution_options=plain).all()) for one in statements
    )


def _keeping() -> list[Any]:
    """The columns of records that keep their job, such as an import's."""
    return [key.parent for entity in entities() for key in entity.__table__.foreign_keys
            if key.column.table is Job.__table__ and key.ondelete != "CASCADE"]  # fmt: skip


def _still_named(names: list[str]) -> set[str]:
    columns = (Import.stored_name, Import.refused_name, Import.checked["annotated"].astext)
    return {name for column in columns for name in db.session.scalars(select(column).where(column.in_(names))) if name}
