"""Looking for duplicates among all parties: the job, and the command line that asks for it and writes down the pairs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from sqlalchemy import select

from crm.commands.duplicate_search import TASK, ask_to_find, find_all
from crm.core.entity import db
from crm.core.jobs import OPEN, Job, JobState, Step
from crm.core.transaction import run_in_transaction
from crm.queries.duplicates import undecided
from jobs.runner import see_to_end


def find(job: Job) -> Iterator[Step]:
    """What `crm.commands.duplicate_search.ask_to_find` asked for."""
    yield from find_all(anew=job.args.get("anew", True))


def cli_find(out: Path | None, *, as_json: bool, changed: bool = False) -> int:
    """Find, write what is to be decided to `out`, and tell; answers the exit code. Here, where no worker takes it up."""
    number = run_in_transaction(lambda: _asked(anew=not changed))
    with click.progressbar(length=100, label="Looking", file=sys.stderr) as bar:
        job = see_to_end(number, workers=lambda: 0, tell=lambda job: bar.update(job.done - bar.pos))
    if job.state is not JobState.DONE:
        click.echo(job.error or f"The job was {job.state.label.lower()}.", err=True)
        return 1
    result = dict(job.result or {})
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("a", "b", "score", "why"))
            writer.writerows(undecided())
        result["out"] = str(out)
    click.echo(json.dumps(result) if as_json else _in_words(result))
    return 0


def _asked(*, anew: bool) -> int:
    job = ask_to_find(None, anew=anew)
    if job is None:
        job = db.session.scalars(select(Job).where(Job.unique_key == TASK, Job.state.in_(OPEN))).one()
    return job.id


def _in_words(told: dict[str, object]) -> str:
    seconds = ", ".join(f"{name} {time} s" for name, time in dict(told["seconds"]).items())  # type: ignore[call-overload]
    lines = [f"{told['parties']:,} parties; {told['compared']:,} pairs share keys; {told['likely']:,} are likely the same.",
             f"In the queue: {told['new']:,} new, {told['gone']:,} gone that aren't likely any more.",
             f"{seconds}; {told['memory_mb']:,} MB at most."]  # fmt: skip
    return "\n".join([*lines, f"Written to {told['out']}."] if "out" in told else lines)
