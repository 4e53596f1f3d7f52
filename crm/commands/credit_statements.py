"""Statements of account of all members of a segment: a PDF for each in one file, made in the background."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import zipfile
from pathlib import Path

from sqlalchemy import select

from crm.commands.batch import NO_RIGHT, fix, note_outcomes, waiting
from crm.commands.exports import note_kept, parts_of, path_of
from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.fields import field_of
from crm.core.jobs import Job, ask
from crm.core.permissions import Actor, allowed
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount
from crm.models.imports import Export
from crm.models.segments import Segment, SegmentMembership
from crm.queries.credit_statement import credit_statement, last_month
from crm.queries.credit_statement_files import MOST_IN_PDF, Letter, statement_pdf
from crm.queries.listing import ListQuery
from crm.queries.organisation import company_currency
from crm.queries.scope import row_scope, visible
from crm.queries.statement_letters import addressed, reads_statements

TASK = "jobs.statements.write"
QUIET = "nothing happened in these days, and nothing is owed"


@command(Segment, "Statements of account", icon="receipt-text",
         asks={"since": field_of("date", label="From", help="Empty: the last full month"),
               "until": field_of("date", label="Until", help="The last day")})  # fmt: skip
def statements(segment: Segment, *, by: User, since: dt.date | None, until: dt.date | None) -> None:
    """A PDF for each member with a credit account, in the customer's language; the file is kept under Exports for some days."""
    usual = last_month(today())
    since, until = (
        since or (usual[0] if until is None else until.replace(day=1)),
        until or (usual[1] if since is None else today()),
    )
    if until < since or until > today():
        raise Refused("the last day must lie between the first one and today")
    if not _may(by):
        raise Refused("you may not take statements out")
    face = face_named("credit_account")
    members = select(SegmentMembership.party_id).where(
        SegmentMembership.segment_id == segment.id, SegmentMembership.left_at.is_(None)
    )
    export = note_kept(face, "zip", ListQuery(), ["statement"], by=by)
    export.file_name = f"statements-{segment.id}-{since}-{until}.zip"
    export.query = f"segment={segment.id}&from={since}&until={until}"
    args = {"export": export.id, "since": str(since), "until": str(until)}
    job = ask(TASK, label=f"Statements of {segment.name}", args=args, by=by.id)
    export.job_id = job.id
    meant = visible(face, by, "export").where(*row_scope(face, by), CreditAccount.party_id.in_(members))
    fix(job, face, meant, nothing="none of its members has a credit account that you see")


def _may(by: Actor) -> bool:
    return allowed(by, "credit_account.export") is not None and reads_statements(by)


def write_next(job: Job, limit: int) -> tuple[int, int]:
    """Write the next statements of a batch, and note of each what became of it; right and rows are asked anew.

    Answers (written, left out); (0, 0) when none is left. Raises Refused when the time of the file is over.
    """
    export = db.session.get_one(Export, job.args["export"])
    ids = waiting(job.id, limit)
    if not ids:
        return 0, 0
    if export.stored_name is None:
        raise Refused("its time is over: ask for a new one")
    by, face = db.session.get(User, job.asked_by_id, populate_existing=True), face_named("credit_account")
    seen: dict[int, CreditAccount] = {}
    if by is not None and by.active and _may(by):
        found = visible(face, by, "export").where(*row_scope(face, by), CreditAccount.id.in_(ids))
        seen = {account.id: account for account in db.session.scalars(found)}
    folder = parts_of(export)
    folder.mkdir(mode=0o700, exist_ok=True)
    days = dt.date.fromisoformat(job.args["since"]), dt.date.fromisoformat(job.args["until"])
    left_out: dict[int, str] = {}
    for number in ids:
        account = seen.get(number)
        why = NO_RIGHT if by is None or account is None else _write(account, days, by, folder)
        if why:
            left_out[number] = why
    note_outcomes(job.id, ids, left_out)
    return len(ids) - len(left_out), len(left_out)


def _write(account: CreditAccount, days: tuple[dt.date, dt.date], by: User, folder: Path) -> str:
    """Why it isn't written, if so. Whoever is started again writes the same once more."""
    told = credit_statement(account, *days)
    if not told.entries and not told.closing:
        return QUIET
    if len(told.entries) > MOST_IN_PDF:
        return f"it has {len(told.entries):,} entries, and a PDF holds up to {MOST_IN_PDF:,}: take it as CSV"
    letter = Letter(currency=company_currency(), **addressed(account.party, by))
    (folder / f"statement-{account.code}.pdf").write_bytes(statement_pdf(told, letter))
    return ""


def bind(job: Job, number: int) -> None:
    """Put what was written into the file of the export, of so many statements."""
    export = db.session.get_one(Export, job.args["export"])
    if export.stored_name is None:
        raise Refused("its time is over: ask for a new one")
    path, folder = path_of(export), parts_of(export)
    if folder.exists():  # else it is bound already
        half = path.with_suffix(".half")
        with zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED) as bound:
            for part in sorted(folder.iterdir()):
                bound.write(part, part.name)
        half.chmod(0o600)
        os.replace(half, path)
        shutil.rmtree(folder)
    export.rows = number
