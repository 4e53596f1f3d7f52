"""From a file to an import that runs: draft and plan, the check that writes nothing, the one start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import JSONB

from crm.core.command import Refused
from crm.core.entity import Face, db, face_named
from crm.core.jobs import OPEN, Job, JobState, ask, before_retry
from crm.importing.files import FileRefused, ReadOptions
from crm.importing.matching import offered
from crm.importing.plan import CHOSEN, ROW_BY_ROW, Plan, PlanChanged, PlanRefused, make_plan, open_for
from crm.importing.profiles import Profile, choices, policy, profile_named
from crm.importing.reading import Table
from crm.importing.rows import RowReader
from crm.importing.running import try_out
from crm.importing.storage import UPLOAD_LIMIT, Stored, forget, keep, uploads
from crm.importing.targets import DOT
from crm.models.access import User
from crm.models.imports import Duplicates, Import

LOAD = "jobs.imports.load"
CHECK = "jobs.imports.check"
# Up to this size the rows are checked while the person waits; beyond it by a job.
CHECKED_AT_ONCE = 256 * 1024
# Stands beside the plan when the person knows that the same file was imported already.
AGAIN = "again"


class AlreadyImported(Exception):
    """The same file has been imported before, or is just being; `before` is that import."""

    def __init__(self, before: Import) -> None:
        self.before = before
        who = f" by {before.asked_by.name}" if before.asked_by else ""
        doing = "was imported" if before.job and before.job.state is JobState.DONE else "is being imported"
        super().__init__(f"The same file {doing} already: on {before.created_at:%Y-%m-%d %H:%M} UTC{who}")


def imported_before(face: Face, sha256: str, only: Mapping[str, str] | None = None) -> Import | None:
    """The newest import of exactly this file, and of the same of its rows, that ended well or is on its way, and
    wasn't undone."""
    return db.session.scalars(
        select(Import)
        .join(Job, Job.id == Import.job_id)
        .where(
            Import.sha256 == sha256,
            Import.entity == face.name,
            func.coalesce(Import.plan["only"], cast({}, JSONB)) == cast(dict(only or {}), JSONB),
            Job.state.in_((JobState.DONE, *OPEN)),
            Import.undone_at.is_(None),
        )
        .order_by(Import.id.desc())
        .limit(1)
    ).first()


def draft(
    face: Face,
    stream: IO[bytes],
    file_name: str,
    *,
    by: int | None,
    again: bool = False,
    duplicates: Duplicates = Duplicates.SKIP,
    match: str | Sequence[str] | None = None,
    options: ReadOptions | None = None,
    country: str | None = None,
    system: str | None = None,
    limit: int | None = UPLOAD_LIMIT,
) -> tuple[Import, Table]:
    """Keep the file, look at it, suggest a plan; nothing is loaded. Raises FileRefused, AlreadyImported."""
    stored = keep(stream, limit=limit)
    try:
        before = None if again else imported_before(face, stored.sha256)
        if before is not None:
            raise AlreadyImported(before)
        record, table = _draft(face, stored, file_name, by, duplicates, match, options, country, system)
        if again:
            record.plan = {**record.plan, AGAIN: True}
        return record, table
    except BaseException:
        forget(stored.name)
        raise


def _draft(
    face: Face,
    stored: Stored,
    file_name: str,
    by: int | None,
    duplicates: Duplicates,
    match: str | Sequence[str] | None,
    options: ReadOptions | None,
    country: str | None,
    system: str | None,
) -> tuple[Import, Table]:
    table = open_for(face, uploads() / stored.name, options)
    person = None if by is None else db.session.get(User, by)
    plan = make_plan(
        face, table, duplicates=duplicates, match=match, country=country, system=system, complete=False, actor=person
    )
    record = Import(
        file_name=_shown(file_name),
        entity=face.name,
        size=stored.size,
        asked_by_id=by,
        sha256=stored.sha256,
        stored_name=stored.name,
    )
    _put(record, plan)
    db.session.add(record)
    db.session.flush()
    return record, table


def _shown(file_name: str) -> str:
    """What the person called the file, as one line of text; it is shown, never used as a path."""
    name = Path(file_name.replace("\\", "/")).name.encode("utf-8", "replace").decode()
    return "".join(sign for sign in name if sign.isprintable())[:255] or "file"


def _put(record: Import, plan: Plan) -> None:
    # What was found out about the file, and why, stays beside the plan.
    kept = {name: record.plan[name] for name in ("found", AGAIN) if record.plan and name in record.plan}
    record.plan = {**plan.as_data(), **kept}
    record.duplicates, record.match_by = plan.duplicates, ", ".join(plan.match)[:64] or None
    record.checked = None


def reopen(record: Import, face: Face, options: ReadOptions | None = None) -> Table:
    """The file of a draft as a table, read as its plan says or as `options` do. Raises FileRefused."""
    return open_for(face, uploads() / record.stored_name, options or Plan.from_data(record.plan).options)


def replan(
    record: Import,
    face: Face,
    table: Table,
    columns: Mapping[int, str] | None,
    *,
    complete: bool = True,
    **more: Any,
) -> Plan:
    """Change the plan of a draft. Raises PlanRefused; Refused when the import has been started."""
    if record.job_id is not None:
        raise Refused("it has been started already")
    old = Plan.from_data(record.plan)
    kept: dict[str, Any] = {name: getattr(old, name) for name in CHOSEN}
    if columns is not None:
        possible = offered(face, [*columns.values(), *kept["constants"]], record.asked_by)
        kept["match"] = [name for name in old.match if name in possible]
    if table.options != old.options:
        kept |= {name: {} for name in ROW_BY_ROW}  # they may be others now
    kept |= more
    plan = make_plan(face, table, columns=columns, complete=complete, actor=record.asked_by, **kept)
    if complete:
        RowReader(plan, face, table)  # says what of the values for all rows can't be read
    _put(record, plan)
    db.session.flush()
    return plan


def check_now(record: Import, *, annotated: bool = False) -> dict[str, Any]:
    """What would happen, with nothing written: the whole import in a savepoint that is rolled back. `annotated`: keep the
    rows with what would become of each as a file."""
    findings: dict[str, Any] | None = None
    savepoint = db.session.begin_nested()
    try:
        for _, told in try_out(record, db.session.connection(), annotated=annotated):
            findings = told
    finally:
        savepoint.rollback()
    assert findings is not None, "the last step of a trial brings its findings"
    return findings


def ask_check(record: Import, *, by: int | None) -> Job:
    """Check the rows in the background, unless that is under way; the findings will stand in `record.checked`."""
    locked(record.id)
    return open_check(record) or ask(
        CHECK,
        label=f"Check {record.file_name}"[:255],
        args={"import": record.id},
        by=by,
        unique_key=check_key(record),
    )


def open_check(record: Import) -> Job | None:
    """The job that checks the rows of a draft, while it is on its way."""
    return db.session.scalars(select(Job).where(*_checks(record), Job.state.in_(OPEN))).first()


def failed_check(record: Import) -> Job | None:
    """The last check of the plan as it is, if it failed: asked for again it would fail again."""
    failed = (Job.state == JobState.FAILED, Job.finished_at > record.updated_at)
    return db.session.scalars(select(Job).where(*_checks(record), *failed)).first()


def _checks(record: Import) -> tuple[Any, ...]:
    return Job.task == CHECK, Job.unique_key == check_key(record)


def check_key(record: Import) -> str:
    """Under which there is one check of an import at a time."""
    return f"check import {record.id}"


def locked(import_id: int) -> Import:
    """The import as it stands now, with its jobs; nobody else starts or undoes it before this transaction ends."""
    this = select(Import).where(Import.id == import_id)
    db.session.execute(this.with_only_columns(Import.id).with_for_update())
    # A second statement: the one that waited sees the jobs as they were before it waited.
    return db.session.scalars(this.execution_options(populate_existing=True)).one()


def lock(record: Import) -> Import:
    """The same of a draft. Raises Refused when it has been started already."""
    draft = locked(record.id)
    if draft.job_id is not None:
        raise Refused("it has been started already")
    return draft


def ensure_checked(record: Import, digest: str | None) -> None:
    """Raises PlanChanged unless the stored plan is the one that was checked: by the digest the person confirms,
    or without one by the findings, which every change of the plan takes away."""
    if record.checked is None if digest is None else digest != Plan.from_data(record.plan).digest:
        raise PlanChanged


def asked_already(record: Import) -> AlreadyImported | None:
    """The question whether the same file is to be imported again, unless it was answered."""
    before = None if record.plan.get(AGAIN) else imported_before(
        face_named(record.entity), record.sha256, record.plan.get("only"))  # fmt: skip
    return None if before is None else AlreadyImported(before)


def start(record: Import, *, by: int | None, again: bool = False) -> Job:
    """Start the import: a double click starts one, and so do two drafts of the same file unless `again` was said.

    Raises Refused when it has been started already, AlreadyImported.
    """
    record = lock(record)
    _one_start_of(record)
    question = None if again else asked_already(record)
    if question is not None:
        raise question
    job = ask(
        LOAD,
        label=f"Import {record.file_name}"[:255],
        args={"import": record.id},
        by=by,
        unique_key=f"import {record.id}",
    )
    record.job_id = job.id
    db.session.flush()
    return job


@before_retry(LOAD)
def may_be_loaded_again(job: Job) -> None:
    """An import that failed or was stopped goes on only while its file is there and was not imported otherwise since.

    Raises Refused.
    """
    record = locked(job.args["import"])
    if not record.stored_name or not (uploads() / record.stored_name).exists():
        raise Refused("the file was deleted since: send it again")
    if record.undone_at is not None or record.undo_job is not None:
        raise Refused("it was undone: send the file again")
    _one_start_of(record)
    question = asked_already(record)
    if question is not None:
        raise Refused(f"{str(question)[0].lower()}{str(question)[1:]}. To import it all the same, send it again")


def _one_start_of(record: Import) -> None:
    """Two starts of the same file wait for each other."""
    key = func.hashtextextended(record.sha256 + record.entity, 0)
    db.session.execute(select(func.pg_advisory_xact_lock(key)))


def import_file(
    path: Path,
    face: Face,
    *,
    duplicates: Duplicates | None = None,
    match: str | Sequence[str] | None = None,
    profile: str | None = None,
    again: bool = False,
    dry_run: bool = False,
    country: str | None = None,
    system: str | None = None,
    mapping: Mapping[str, str] | None = None,
    named_by: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    words: Mapping[str, Mapping[str, str]] | None = None,
    rules: Mapping[str, str] | None = None,
    known_only: bool = False,
    only: Mapping[str, str] | None = None,
    options: ReadOptions | None = None,
    by: int | None = None,
) -> tuple[Import, Job | None, dict[str, Any] | None]:
    """A file from the command line: the same engine without questions.

    `mapping` says of columns, by their names or places, what they become ('' for nothing) where that isn't what is
    suggested, `named_by` by what a column names other records, `only` which rows are meant. What is said goes before what
    the `profile` of this name says.
    Answers the import with its job; with `dry_run` the import (the caller rolls back) and the findings.
    Raises FileRefused, PlanRefused, AlreadyImported.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FileRefused(f"{path} cannot be opened: {error.strerror or error}") from error
    with stream:
        person = None if by is None else db.session.get(User, by)
        kept = None if profile is None else profile_named(face, profile, person)
        record, table = draft(
            face,
            stream,
            path.name,
            by=by,
            again=again or dry_run or bool(only),  # which rows are meant isn't in its plan yet
            options=options,
            duplicates=duplicates or (kept and policy(kept)) or Duplicates.SKIP,
            match=match,
            country=country,
            system=system,
            limit=None,
        )
    try:
        told = by_number(table, mapping or {})
        chosen = (
            {"columns": Plan.from_data(record.plan).columns} if kept is None else choices(kept, face, table, person)
        )
        taken = [*told.values(), *(constants or {})]
        columns = {number: name for number, name in chosen.pop("columns").items()
                   if name not in told.values() and not any(_one_of_both(name, other) for other in taken)} | told  # fmt: skip
        columns = {number: name for number, name in columns.items() if name}
        said: dict[str, Mapping[Any, Any] | None] = {
            "styles": by_number(table, named_by or {}), "constants": constants, "words": words, "rules": rules}  # fmt: skip
        chosen |= {name: {**chosen.get(name, {}), **(given or {})} for name, given in said.items()}
        asked = {"match": match, "country": country, "system": system}
        chosen |= {name: given for name, given in asked.items() if given}
        record.plan = {**record.plan, AGAIN: again}
        replan(
            record,
            face,
            table,
            columns,
            **{"match": None, "known_only": known_only, "only": by_number(table, only or {})} | chosen,
        )
        if dry_run:
            return record, None, check_now(record)
        return record, start(record, by=by), None
    except (FileRefused, PlanRefused, AlreadyImported):
        forget(record.stored_name)
        raise
    finally:
        if dry_run:
            forget(record.stored_name)


def _one_of_both(name: str, other: str) -> bool:
    """Whether a plan has only one of these: a reference and what is brought under it."""
    return name.startswith(other + DOT) or other.startswith(name + DOT)


def use_profile(record: Import, face: Face, table: Table, profile: Profile, *, with_policy: bool) -> None:
    """Put the choices of a profile into the plan of a draft. Raises PlanRefused, Refused."""
    chosen = choices(profile, face, table, record.asked_by)
    if with_policy and (wanted := policy(profile)) is not None:
        chosen["duplicates"] = wanted
    replan(record, face, table, complete=False, **{"match": None} | chosen)
    record.plan = {**record.plan, "found": {**record.plan.get("found", {}), "profile": profile.name}}


def by_number(table: Table, named: Mapping[str, str]) -> dict[int, str]:
    """The numbers of columns, counted from 0, instead of their names or of their places, counted from 1. Raises
    PlanRefused for a name that isn't there, or is there twice."""
    found = {}
    for header, value in named.items():
        numbers = [column.index for column in table.columns if column.name.casefold() == header.strip().casefold()]
        if not numbers and header.strip().isdecimal() and 1 <= int(header) <= len(table.columns):
            numbers = [int(header) - 1]
        if len(numbers) != 1:
            raise PlanRefused(f"the file has {len(numbers) or 'no'} columns “{header[:60]}”")
        found[numbers[0]] = value.strip()
    return found
