"""`flask import` and `flask import-undo`: the wizard's engine without questions; tells its progress, ends with a line of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from crm.core.command import Refused
from crm.core.entity import Face, all_faces, db
from crm.core.jobs import Job, JobState, bell
from crm.core.transaction import run_in_transaction
from crm.importing.files import FileRefused, ReadOptions
from crm.importing.loading import OUTCOMES
from crm.importing.plan import Plan, PlanRefused
from crm.importing.reconciling import PLACES, totals_of
from crm.importing.start import AlreadyImported, import_file
from crm.importing.undo_looking import kept_by, look_at_undo
from crm.importing.undoing import Insisted, Left, ask_undo, is_archived, why_not
from crm.models.imports import Duplicates, Import
from jobs.runner import see_to_end

ALREADY_IMPORTED = 3
UNDONE = ("restored", "archived", "deleted", "kept")
_OPTIONS = (
    click.option("--entity", "--into", default="customers", show_default=True, help="What the rows are, such as orders"),
    click.option("--match", default=None, help="What known records are found by, such as email, or one after the other: email,phone,name+postal_code"),
    click.option("--map", "mapping", multiple=True, metavar="COLUMN=FIELD",
                 help="What a column becomes; with nothing behind the sign it stays out"),
    click.option("--by", "named_by", multiple=True, metavar="COLUMN=KEY",
                 help="By what a column names other records, such as CustomerKey=account_number"),
    click.option("--set", "constants", multiple=True, metavar="FIELD=VALUE", help="A value for where the file says nothing; {COLUMN} in it is what the row has there"),
    click.option("--value", "words", multiple=True, metavar="FIELD:WORD=VALUE", help="What a word of the file means"),
    click.option("--rule", "rules", multiple=True, metavar="FIELD=RULE",
                 help="When the file changes a known record: overwrite, fill (only if blank) or never (only new ones get it)"),
    click.option("--known-only", is_flag=True, help="With --duplicates update: make no new record"),
    click.option("--only", "only", multiple=True, metavar="COLUMN=PATTERN",
                 help="Take only the rows that have this there: C* begins with C, !C* doesn't, ! isn't blank"),
    click.option("--sheet", default=None, help="Which sheet of a workbook"),
    click.option("--header", type=click.IntRange(0), default=None, help="The row that names the columns; 0: none does"),
    click.option("--system", default=None, help="Where the file comes from: its numbers are kept under this name"),
    click.option("--duplicates", type=click.Choice([str(each.value) for each in Duplicates]), default=None,
                 help="When a record is there already; skip unless the profile says otherwise"),
    click.option("--profile", default=None, help="The name of a profile that says what the columns become"),
    click.option("--country", default=None, help="Two-letter code: the country of phone numbers that name none"),
    click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing"),
    click.option("--wait", is_flag=True, help="Wait for the end; works here where no worker does"),
    click.option("--again", is_flag=True, help="Also when this file was imported before"),
    click.option("--json", "as_json", is_flag=True, help="Only the JSON line"),
)  # fmt: skip


def import_commands(line: type[click.Command], desk: Callable[[], AbstractContextManager[Any]]) -> list[click.Command]:
    """The commands, each done inside `desk()`; their exit codes are what is answered."""

    @click.argument("file", type=click.Path(path_type=Path))
    def import_(file: Path, entity: str, as_json: bool, **chosen: Any) -> int:
        """Import a file of records; ends with one line of JSON with the counts."""
        return done(lambda: cli_import(file, entity, quiet=as_json, **_in_pairs(chosen)))

    for option in reversed(_OPTIONS):
        import_ = option(import_)

    @click.argument("number", type=int)
    @click.option("--all", "everything", is_flag=True, help="Put back also what was changed since")
    @click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing")
    @click.option("--wait", is_flag=True, help="Wait for the end; works here where no worker does")
    @click.option("--json", "as_json", is_flag=True, help="Only the JSON line")
    def undo(number: int, everything: bool, dry_run: bool, wait: bool, as_json: bool) -> int:
        """Undo the import of this number; ends with one line of JSON with the counts."""
        return done(lambda: cli_undo(number, everything=everything, dry_run=dry_run, wait=wait, quiet=as_json))

    def done(command: Callable[[], int]) -> int:
        with desk():
            try:
                return command()
            except ImportNotPossible as fault:
                raise click.ClickException(str(fault)) from None

    return [click.command("import", cls=line)(import_), click.command("import-undo", cls=line)(undo)]


def _in_pairs(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options as `cli_import` takes them: `a=b` as a pair. Raises click.UsageError."""
    given: dict[str, Any] = {
        name: _pairs(value) if isinstance(value, tuple) else value for name, value in chosen.items()
    }
    return given | {"duplicates": chosen["duplicates"] and Duplicates(chosen["duplicates"])}


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    if wrong := next((text for text in given if "=" not in text), None):
        raise click.UsageError(f"“{wrong}” needs a = between its two halves")
    return {name: value for name, _, value in (text.partition("=") for text in given)}


class ImportNotPossible(Exception):
    """The file, or what was asked for, cannot be imported; the message is one line for a person."""


def cli_import(
    file: Path,
    entity: str,
    *,
    match: str | None,
    duplicates: Duplicates | None,
    country: str | None,
    dry_run: bool,
    wait: bool,
    again: bool,
    quiet: bool,
    system: str | None = None,
    mapping: Mapping[str, str] | None = None,
    named_by: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    words: Mapping[str, str] | None = None,
    rules: Mapping[str, str] | None = None,
    known_only: bool = False,
    only: Mapping[str, str] | None = None,
    sheet: str | None = None,
    header: int | None = None,
    profile: str | None = None,
) -> int:
    """Import a file and print what became of it. Answers the exit code; raises ImportNotPossible.

    `words` has `field:word of the file` → what it means.
    """
    face = _face(entity)
    say = _silent if quiet else _to_stderr
    chosen: dict[str, Any] = {"duplicates": duplicates, "match": match, "country": country, "again": again, "system": system,
                              "mapping": mapping, "named_by": named_by, "constants": constants, "words": _by_field(words or {}),
                              "rules": rules, "known_only": known_only, "only": only, "profile": profile}  # fmt: skip
    if sheet is not None or header is not None:
        chosen["options"] = ReadOptions(sheet=sheet, header=header)
    try:
        if dry_run:
            return _try(file, face, say, chosen)
        job_id, import_id = run_in_transaction(lambda: _ask(file, face, say, chosen))
    except (FileRefused, PlanRefused) as refusal:
        raise ImportNotPossible(f"{file.name}: {refusal}") from refusal
    except AlreadyImported as fault:
        say(f"{file.name}: {fault}. Use --again to import it all the same.")
        _print({**dict.fromkeys(("rows", *OUTCOMES), 0), "import": fault.before.id, "already_imported": True})
        return ALREADY_IMPORTED
    if not wait:
        say("It is loaded in the background." if _workers() else "It waits until a worker runs (flask up).")
        _print({**dict.fromkeys(("rows", *OUTCOMES)), "import": import_id, "job": job_id})
        return 0
    job = see_to_end(job_id, workers=_workers, tell=_teller() if not quiet else _untold)
    return _end(job, import_id, say)


def cli_undo(import_id: int, *, everything: bool, dry_run: bool, wait: bool, quiet: bool) -> int:
    """Undo an import and print what became of it. Answers the exit code; raises ImportNotPossible.

    `everything` puts back what others have changed since as well.
    """
    say = _silent if quiet else _to_stderr
    record = db.session.get(Import, import_id)
    if record is None:
        raise ImportNotPossible(f"there is no import {import_id}")
    try:
        if dry_run:
            return _look(record, say)
        job_id = run_in_transaction(
            lambda: ask_undo(db.session.get_one(Import, import_id), by=None, insisted=Insisted(all=everything)).id
        )
    except Refused as refusal:
        raise ImportNotPossible(f"import {import_id}: {refusal}") from refusal
    if not wait:
        say("It is undone in the background." if _workers() else "It waits until a worker runs (flask up).")
        _print({**dict.fromkeys(UNDONE), "import": import_id, "job": job_id})
        return 0
    job = see_to_end(job_id, workers=_workers, tell=_teller() if not quiet else _untold)
    if job.state is not JobState.DONE:
        say(job.error or f"The undo was {job.state.label.lower()}.")
    for one in kept_by(db.session.get_one(Import, import_id, populate_existing=True)):
        say(_left(one))
    _print(
        {
            **{name: (job.result or {}).get(name, 0) for name in UNDONE},
            "import": import_id,
            "state": str(job.state.value),
        }
    )
    return 0 if job.state is JobState.DONE else 1


def _look(record: Import, say: Callable[[str], None]) -> int:
    if reason := why_not(record):
        raise Refused(reason)
    found = look_at_undo(record, None)
    for one in found.left:
        say(_left(one))
    if not found.complete:
        say("Only the first records were looked at.")
    archived = sum(number for table, number in found.put_away.items() if is_archived(table))
    counts = (found.restored.total(), archived, found.put_away.total() - archived, found.reasons.total())
    _print({**dict(zip(UNDONE, counts, strict=True)), "import": record.id, "dry_run": True})
    return 0


def _left(one: Left) -> str:
    """What stays, in one line; values of records stay out of what may become a log."""
    return f"left: {one.table} {one.record_id}{f' {one.field}' if one.field else ''}: {one.reason.label.lower()}"


def _by_field(words: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for named, meant in words.items():
        name, _, word = named.partition(":")
        found.setdefault(name, {})[word] = meant
    return found


def _ask(file: Path, face: Face, say: Callable[[str], None], chosen: dict[str, Any]) -> tuple[int, int]:
    record, job, _ = import_file(file, face, **chosen)
    assert job is not None, "what is no trial is started"
    _tell_plan(record, say)
    return job.id, record.id


def _try(file: Path, face: Face, say: Callable[[str], None], chosen: dict[str, Any]) -> int:
    def trial() -> dict[str, Any]:
        record, _, findings = import_file(file, face, dry_run=True, **chosen)
        _tell_plan(record, say)
        assert findings is not None, "a trial ends with its findings"
        return findings

    findings = run_in_transaction(trial, keep=lambda _: False)
    for remark in findings["remarks"]:
        say(remark)
    for row in findings["rows"]:
        if row["reason"] and row["outcome"] in ("refused", "ambiguous"):
            say(f"row {row['number']}: {row['reason']}")
    if not findings["complete"]:
        say(f"Only the first {findings['counts']['rows']:,} rows were tried.")
    _print({**findings["counts"], "dry_run": True})
    return 0


def _tell_plan(record: Import, say: Callable[[str], None]) -> None:
    plan = Plan.from_data(record.plan)
    say(
        f"{record.file_name}: {', '.join(plan.columns.values())}; known records are found by {', then '.join(plan.match) or 'nothing'}"
    )


def _end(job: Job, import_id: int, say: Callable[[str], None]) -> int:
    record = db.session.get_one(Import, import_id, populate_existing=True)
    counts = {name: getattr(record, f"rows_{name}") or 0 for name in OUTCOMES}
    if record.remarks:
        say(record.remarks)
    totals = totals_of(record, _face(record.entity), None)
    if totals:
        told = [total for total in totals if total.differs or total.is_left_out]
        say(f"The file against the records: {len(totals) - len(told)} of {len(totals)} columns agree.")
        for total in told:
            figures = (
                f"{place.lower()} {figure}" for place, figure in zip(PLACES, total.sums or total.values, strict=True)
            )
            say(f"  {total.field}: {', '.join(figures)}")
    if record.refused_name:
        say(f"Rows that were not taken: /admin/imports/refused/?id={import_id}")
    if job.state is not JobState.DONE:
        say(job.error or f"The import was {job.state.label.lower()}.")
    _print({"rows": sum(counts.values()), **counts, "import": import_id, "state": str(job.state.value)})
    return 0 if job.state is JobState.DONE else 1


def _face(entity: str) -> Face:
    offered = {face.plural: face for face in all_faces() if face.about.imports}
    face = next((face for face in offered.values() if entity in (face.plural, face.name)), None)
    if face is None:
        raise ImportNotPossible(f"“{entity}” can't be imported; use one of: {', '.join(offered)}")
    return face


def _workers() -> int:
    return int(bell.state().get("workers", 0))


def _teller() -> Callable[[Job], None]:
    """A line that renews itself, on a terminal only."""
    if not sys.stderr.isatty():
        return _untold

    def tell(job: Job) -> None:
        share = f"{job.done:,} of {job.total:,}" if job.total else job.message or "waiting"
        bar = "#" * round(30 * job.done / job.total) if job.total else ""
        print(f"\r[{bar:30}] {share}   ", end="" if job.is_open else "\n", file=sys.stderr, flush=True)

    return tell


def _untold(_job: Job) -> None:
    """Nobody watches."""


def _silent(_line: str) -> None:
    """Only the JSON was asked for."""


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _print(counts: dict[str, Any]) -> None:
    print(json.dumps(counts), flush=True)
