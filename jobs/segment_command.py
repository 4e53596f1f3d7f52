"""`flask segments create`, `refresh` and `install`: rules from files, members worked out, ends with a line of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from crm.commands.segment_ready_made import READY_MADE, install
from crm.commands.segment_refresh import ask_refresh, can_be
from crm.commands.segment_rules import why_not
from crm.core.command import Refused, among
from crm.core.entity import db
from crm.core.jobs import JobState, bell
from crm.core.json_values import read_object
from crm.core.transaction import run_in_transaction
from crm.models.segment_choices import RefreshState, SegmentType
from crm.models.segments import Segment, SegmentRefresh
from jobs.runner import see_to_end

LARGEST = 1_000_000  # letters of a file with a rule


def segment_commands(group: type[click.Group], desk: Callable[[], AbstractContextManager[Any]]) -> click.Group:
    """The commands, each done inside `desk()`."""

    @click.group("segments", cls=group)
    def segments() -> None:
        """Groups of customers by rule."""

    @segments.command("create")
    @click.argument("name")
    @click.option(
        "--rule",
        "file",
        type=click.Path(path_type=Path),
        default=None,
        help="A file with the rule as JSON; - is standard input",
    )
    @click.option(
        "--type",
        "kind",
        type=click.Choice([str(one.value) for one in SegmentType]),
        default="dynamic",
        show_default=True,
    )
    @click.option("--description", default=None)
    @click.option("--json", "as_json", is_flag=True, help="Only the JSON line")
    def create(name: str, file: Path | None, kind: str, description: str | None, as_json: bool) -> None:
        """Make a segment whose members a rule decides; they come with its first refresh."""
        rule = _read(file) if file is not None else None
        if rule is None and kind == "dynamic":
            raise click.UsageError("a dynamic segment needs --rule FILE")
        with desk():
            made = run_in_transaction(lambda: _create(name.strip(), rule, SegmentType(kind), description))
            _end(
                {"id": made, "name": name.strip(), "type": kind},
                None if as_json else f"Segment {made} was made: flask segments refresh {made} --wait fills it.",
            )

    @segments.command("refresh")
    @click.argument("numbers", type=int, nargs=-1, metavar="[ID]…")
    @click.option(
        "--changed", is_flag=True, help="Only customers touched since the last time, where the rule allows it"
    )
    @click.option("--wait", is_flag=True, help="Wait for the end; works here where no worker does")
    @click.option("--json", "as_json", is_flag=True, help="Only the JSON line")
    def refresh(numbers: tuple[int, ...], changed: bool, wait: bool, as_json: bool) -> int:
        """Work out anew who is in these segments, or in all dynamic ones."""
        with desk():
            try:
                job_id = run_in_transaction(lambda: _ask(numbers, changed))
            except Refused as refusal:
                raise click.ClickException(f"Not done: {refusal}.") from None
            if not wait:
                told = "It is done in the background." if _workers() else "It waits until a worker runs (flask up)."
                _end({"job": job_id}, None if as_json else told)
                return 0
            job = see_to_end(job_id, workers=_workers)
            rows = list(
                db.session.scalars(
                    select(SegmentRefresh).where(SegmentRefresh.job_id == job_id).order_by(SegmentRefresh.segment_id)
                )
            )
            outcomes = [{"id": row.segment_id, "name": row.segment.name, "state": row.state.value, "members": row.members, "entered": row.entered,
                         "left": row.gone, "error": row.error} for row in rows]  # fmt: skip
            lines = [f"{row.segment.name}: {row.error}" if row.error else
                     f"{row.segment.name}: {row.members:,} members, {row.entered:,} entered, {row.gone:,} left"
                     for row in rows if row.error or row.state is RefreshState.DONE]  # fmt: skip
            _end(
                {"job": job_id, "state": str(job.state.value), "segments": outcomes},
                None if as_json else "\n".join(lines),
            )
            failed = any(row.state is not RefreshState.DONE for row in rows)
            return 0 if job.state is JobState.DONE and not failed else 1

    @segments.command("install")
    @click.argument("names", nargs=-1, metavar="[NAME]…")
    @click.option("--json", "as_json", is_flag=True, help="Only the JSON line")
    def install_(names: tuple[str, ...], as_json: bool) -> None:
        """Make the ready-made segments of these names, or all; what is there already stays as it is."""
        known = {one.name.lower() for one in READY_MADE}
        if wrong := [name for name in names if name.lower() not in known]:
            raise click.UsageError(
                f"there is no ready-made segment “{wrong[0]}”; there is {', '.join(one.name for one in READY_MADE)}"
            )
        with desk():
            made = run_in_transaction(lambda: [(one.id, one.name, one.description) for one in install(names)])
            lines = [f"{name}: {says}" for _, name, says in made] or ["All of them are there already."]
            _end(
                {"segments": [{"id": number, "name": name} for number, name, _ in made]},
                None if as_json else "\n".join(lines),
            )

    return segments


def _read(file: Path) -> Any:
    """The JSON of a file. Raises click.ClickException in a line."""
    try:
        raw = (
            sys.stdin.read(LARGEST + 1)
            if str(file) == "-"
            else file.read_text("utf-8")
            if file.stat().st_size <= LARGEST
            else " " * (LARGEST + 1)
        )
        if len(raw) > LARGEST:
            raise ValueError(f"is too long: at most {LARGEST:,} letters")
        return read_object(raw)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else fault
        raise click.ClickException(f"{file}: {reason}") from None


def _create(name: str, rule: Any, kind: SegmentType, description: str | None) -> int:
    if not name or len(name) > 120:
        raise click.ClickException("the name must have 1 to 120 letters")
    if db.session.scalar(select(Segment.id).where(db.func.lower(Segment.name) == name.lower())) is not None:
        raise click.ClickException(f"there is a segment “{name}” already")
    if rule is not None and (reason := why_not(rule, None, name=name)):
        raise click.ClickException(f"the rule {reason}")
    segment = Segment(name=name, type=kind, rule=rule, description=description)
    db.session.add(segment)
    db.session.flush()
    return segment.id


def _ask(numbers: tuple[int, ...], changed: bool) -> int:
    if numbers:
        able = {one.id for one in db.session.scalars(select(Segment).where(among(Segment.id, numbers))) if can_be(one)}
        if wrong := sorted(set(numbers) - able):
            raise Refused(f"there is no dynamic segment with a rule of number {', '.join(map(str, wrong))}")
    return ask_refresh(numbers or None, by=None, changed=changed).id


def _workers() -> int:
    return int(bell.state().get("workers", 0))


def _end(outcome: dict[str, Any], told: str | None) -> None:
    """What a person reads, then a line for programs."""
    if told:
        click.echo(told, err=True)
    click.echo(json.dumps(outcome, ensure_ascii=False))
