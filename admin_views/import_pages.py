"""What the pages of the import wizard show: how the file is read, columns, checked rows, progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from flask import request, url_for
from markupsafe import Markup

from admin_views import import_reading as reading
from admin_views.cells import asking, moment
from admin_views.forms import hidden
from admin_views.lists import endpoint
from crm.core.entity import Face
from crm.core.jobs import Job, JobState, cancel, pause, resume
from crm.importing.access import may_cancel, may_take_refused, may_undo
from crm.importing.decisions import LEAVE_OUT
from crm.importing.files import MIB
from crm.importing.mapping import suggest
from crm.importing.plan import OVERWRITE, RULES, Plan, missing
from crm.importing.profiles import may_share, profiles_of
from crm.importing.reading import Table
from crm.importing.reconciling import PLACES, Total, totals_of
from crm.importing.report import SAMPLE
from crm.importing.start import asked_already
from crm.importing.targets import DOT, landings
from crm.importing.undoing import why_not
from crm.models.imports import Duplicates, Import, Outcome

POLICIES = (
    (Duplicates.SKIP, "Skip", "Only new records come in; known ones stay as they are."),
    (Duplicates.UPDATE, "Update", "Filled cells replace what the known record has."),
    (Duplicates.CREATE, "Create", "Every row becomes a record of its own, known or not."),
)
OUTCOME_WORDS = {
    "created": ("New", "good", "become new records"),
    "updated": ("Updated", "info", "change a known record"),
    "unchanged": ("Unchanged", "", "known, nothing differs"),
    "skipped": ("Skipped", "", "known, left as they are"),
    "ambiguous": ("Ambiguous", "warning", "fit several records"),
    "refused": ("Refused", "bad", "cannot be taken"),
}
IN_THE_PAST = {
    "created": "became new records",
    "updated": "changed a known record",
    "unchanged": "known, nothing differed",
    "skipped": "known, left as they were",
    "ambiguous": "fitted several records",
    "refused": "could not be taken",
}


def file_text(record: Import, rows: int | None = None) -> str:
    size = record.size / MIB
    shown = f"{size:,.1f} MB" if size >= 0.1 else f"{record.size / 1024:,.1f} kB"
    return f"{rows:,} rows, {shown}" if rows is not None else shown


def file_of(record: Import, rows: int | None = None) -> dict[str, str]:
    return {"name": record.file_name, "text": file_text(record, rows)}


def map_context(record: Import, face: Face, table: Table, plan: Plan) -> dict[str, Any]:
    """The page where columns are matched."""
    known = {landing.name: landing for landing in landings(face, asking())}
    # A right may have gone since the columns were chosen.
    plan = replace(plan, columns={number: name for number, name in plan.columns.items() if name in known})
    reasons = record.plan.get("found", {}).get("reasons", {})
    repair = table.found.repair_offered or record.plan.get("found", {}).get("repair")
    suggested = {
        found.column: found for found in suggest(table.columns, [landing.target() for landing in known.values()])
    }
    columns = []
    for column in table.columns:
        target, found = plan.columns.get(column.index, ""), suggested[column.index]
        note = found.reason if target == (found.target or "") else ""
        columns.append(
            {
                "name": f"column_{column.index}",
                "number": column.index,
                "header": column.name,
                "samples": list(column.samples),
                "fill": round(100 * column.fill_rate),
                "target": target,
                "rule": plan.rules.get(target, OVERWRITE),
                "note": note[:1].upper() + note[1:],
                "tone": "info" if target else "muted",
            }
        )
    groups: dict[str, list[tuple[str, str]]] = {}
    for landing in known.values():
        groups.setdefault(landing.group, []).append((landing.name, landing.field.label))
    lacking = missing(face, plan.names)
    required = [
        {"label": landing.field.label, "mapped": landing.name not in lacking}
        for landing in known.values()
        if landing.field.required and landing.embed is None and not landing.is_brought
    ]
    required += [{"label": label, "mapped": False} for name, label in lacking.items() if DOT in name]
    warnings = [{"tone": "info", "title": note, "text": ""} for note in table.found.notes]
    return {
        "file": file_of(record),
        "detected": reading.detected(table, plan, reasons, repair) + reading.styles(table, plan, known),
        "profiles": [profile.name for profile in profiles_of(face, asking())],
        "profile": record.plan.get("found", {}).get("profile", ""),
        "may_share": may_share(asking()),
        "rules": list(RULES.items()) if plan.duplicates is Duplicates.UPDATE else [],
        "known_only": plan.known_only,
        "ladder": reading.ladder(face, plan),
        "found_by": reading.found_by(plan, known, table),
        "system": plan.system or "",
        "same": reading.for_all_rows(face, plan, known),
        "wanted": reading.wanted_rows(plan),
        "columns": columns,
        "targets": list(groups.items()),
        "required": required,
        "warnings": warnings,
    }


def preview_context(record: Import, face: Face, findings: Mapping[str, Any]) -> dict[str, Any]:
    """The page that says what would happen."""
    counts = findings["counts"]
    warnings = [{"tone": "info", "title": remark, "text": ""} for remark in findings["remarks"]]
    if not findings["complete"]:
        warnings.append(
            {
                "tone": "info",
                "title": f"Only the first {counts['rows']:,} rows were tried",
                "text": "The counts are of those; the others are loaded too.",
            }
        )
    rows, plan = [], Plan.from_data(record.plan)
    show = request.args.get("show", "")
    first = {row["number"] for row in findings["rows"][:SAMPLE]}
    for row in findings["rows"]:
        outcome = Outcome(row["outcome"])
        if outcome.value != show and (show or not (row["number"] in first or outcome in _NOT_TAKEN)):
            continue
        problem = outcome in _NOT_TAKEN
        rows.append(
            {
                "number": row["number"],
                "outcome": outcome.label,
                "tone": outcome.tone,
                "title": row["title"] or f"Row {row['number']}",
                "text": row["text"] if not row["reason"] or problem else row["reason"],
                "changes": row["changes"],
                "problems": [row["reason"]] if problem and row["reason"] else [],
                "meant": plan.rows.get(row["number"], "") if _may_be_named(outcome, row, plan) else None,
                "left_out": False,
            }
        )
    told = {row["number"] for row in rows}
    mended = [line for line in plan.cells if line not in told and plan.rows.get(line) != LEAVE_OUT and not show]
    rows += [{"number": line, "outcome": "Mended", "tone": "info", "title": f"Row {line}", "text": "As you wrote it",
              "changes": [], "problems": [], "meant": None, "left_out": False} for line in mended]  # fmt: skip
    out = [line for line, decided in plan.rows.items() if decided == LEAVE_OUT] if show in ("", "skipped") else []
    rows += [{"number": line, "outcome": "Left out", "tone": "neutral", "title": f"Row {line}", "text": "As you decided",
              "changes": [], "problems": [], "meant": None, "left_out": True} for line in out]  # fmt: skip
    rows.sort(key=lambda row: row["number"])
    for row in rows:
        row["cells"] = _to_mend(row["number"], plan, findings)
    if record.match_by is None and record.duplicates is not Duplicates.CREATE:
        warnings.insert(
            0,
            {
                "tone": "warning",
                "title": "Nothing tells which records are known already",
                "text": f"No column is mapped by which {face.label_plural.lower()} are found: every row becomes a new record.",
            },
        )
    confirmed = [("plan", plan.digest)]
    question = asked_already(record)
    if question is not None:
        confirmed.append(("again", "1"))
        warnings.insert(0, {"tone": "warning", "title": f"{question}", "text": "Import it all the same?"})
    something = counts["created"] + counts["updated"] > 0
    more = (
        ""
        if len(rows) >= (counts[show] if show in counts else counts["rows"])
        else f"the first ones of {counts[show]:,}"
        if show in counts
        else f"the first ones of {counts['rows']:,}, and the first that cannot be taken"
    )
    return {
        "file": file_of(record, counts["rows"]),
        "counts": count_cards(counts),
        "warnings": warnings,
        "unfit": reading.unfit(face, plan, findings.get("unfit", {})),
        "rows": rows,
        "rows_text": more,
        "outcomes": _outcome_links(record, counts, show),
        "annotated_url": url_for("imports.annotated_view", id=record.id) if findings.get("annotated") else None,
        "hidden": hidden(confirmed),
        "can_run": something,
        "blocked_text": "" if something else "No row would change anything: there is nothing to import.",
        "submit_label": "Import it all the same"
        if question is not None
        else f"Import {counts['created'] + counts['updated']:,} {face.label_plural.lower()}"
        if something and findings["complete"]
        else "Import",
    }


def _to_mend(line: int, plan: Plan, findings: Mapping[str, Any]) -> list[dict[str, str]]:
    """The cells of a row that may be written anew, with what the file says where that is something else now."""
    shown = []
    for number, (header, cell) in findings.get("cells", {}).get(str(line), {}).items():
        value = plan.cells.get(line, {}).get(int(number), cell)
        shown.append({"name": f"cell_{line}_{number}", "label": header, "value": value,
                      "text": f"The file says “{cell}”" if value != cell else ""})  # fmt: skip
    return shown


_NOT_TAKEN = (Outcome.REFUSED, Outcome.AMBIGUOUS)


def _may_be_named(outcome: Outcome, row: Mapping[str, Any], plan: Plan) -> bool:
    """Whether the person may say which record the row means: where several could be meant, and where it was said."""
    return plan.duplicates is not Duplicates.CREATE and (
        outcome is Outcome.AMBIGUOUS or bool(plan.rows.get(row["number"]))
    )


def _outcome_links(record: Import, counts: Mapping[str, int], show: str) -> list[dict[str, Any]]:
    """All rows, or those of one outcome alone."""
    named = [
        ("", "All", counts["rows"]),
        *((name, OUTCOME_WORDS[name][0], counts[name]) for name in OUTCOME_WORDS if counts[name]),
    ]
    return [{"label": label, "count": f"{number:,}", "active": name == show,
             "url": url_for("imports.preview_view", id=record.id, show=name or None)}
            for name, label, number in named] if len(named) > 2 else []  # fmt: skip


def count_cards(counts: Mapping[str, int | None], *, ended: bool = False) -> list[dict[str, Any]]:
    """One card per outcome; those without rows stay away, except the first."""
    cards = []
    for name, (label, tone, hint) in OUTCOME_WORDS.items():
        number = counts.get(name) or 0
        if number or name == "created":
            told = IN_THE_PAST[name] if ended else hint
            cards.append({"label": label, "value": f"{number:,}", "hint": told, "tone": tone if number else ""})
    return cards


def progress_context(record: Import, face: Face) -> dict[str, Any]:
    """The page of an import that runs or has ended, and the part of it that renews itself."""
    job = record.job
    assert job is not None
    state = record.state
    running = job.is_open
    counts = {name: getattr(record, f"rows_{name}") for name in OUTCOME_WORDS}
    taken = (record.rows_created or 0) + (record.rows_updated or 0)
    refused = (record.rows_refused or 0) + (record.rows_ambiguous or 0)
    takeable = refused and not running and may_take_refused(record, face, asking())
    shown = job_shown(job) | {
        "state_label": state.label,
        "tone": state.tone,
        "percent": 100
        if job.state is JobState.DONE
        else min(100, round(100 * job.done / job.total))
        if job.total
        else None,
        "counts": count_cards(counts, ended=not running) if any(counts.values()) else [],
        **buttons(record, face, job),
        "refused_url": url_for("imports.refused_view", id=record.id) if takeable else None,
        "refused_text": f"{refused:,} {'row was' if refused == 1 else 'rows were'} not taken",
        "list_url": url_for(endpoint(face, "index_view")) if taken else None,
        "list_label": f"Show the {face.label_plural.lower()}",
    }
    shown["note"] = record.remarks or shown["note"]
    if not running and may_undo(record, face, asking()) and (record.undo_job is not None or not why_not(record)):
        shown["undo_url"] = url_for("imports.undo_view", id=record.id)
        shown["undo_label"] = "The undo of it" if why_not(record) else "Undo this import"
    return {
        "file": file_of(record, record.rows),
        "job": shown,
        "added_up": added_up(record, face),
        "status_url": url_for("imports.status_view", id=record.id),
    }


def added_up(record: Import, face: Face) -> dict[str, Any] | None:
    """The file against the records, field by field; None before the end of an import."""
    totals = totals_of(record, face, asking())
    rows = [{"label": face.field(total.field).label, **_told(total),
             "cells": [{"number": f"{values:,}", "sum": f"{Decimal(sums):,f}" if sums is not None else None}
                       for values, sums in zip(total.values, total.sums or (None,) * 3, strict=True)]}
            for total in totals]  # fmt: skip
    differ = len([total for total in totals if total.differs])
    text = f"{differ} of {len(totals)} columns differ" if differ else f"all {len(totals)} columns agree"
    left = " but for the rows that were not taken" if any(total.is_left_out for total in totals) else ""
    return {"rows": rows, "text": text + left, "places": PLACES} if rows else None


def _told(total: Total) -> dict[str, str]:
    if total.differs:
        return {"word": "Differ", "tone": "warning"}
    return {"word": "Some left out", "tone": "neutral"} if total.is_left_out else {"word": "Agree", "tone": "good"}


def job_shown(job: Job) -> dict[str, Any]:
    """What a page says of any job: how far it is, how fast it goes since it was started last, how long it will take."""
    note = None
    if job.is_open and job.cancel_asked:
        note = "It stops after the part that is being done; what is done stays done."
    elif job.is_open and job.pause_asked:
        note = "It pauses after the part that is being done."
    elif job.state is JobState.PAUSED:
        note = "It is paused; what is done stays done, and it goes on from there."
    pace, left = job.pace, job.seconds_left
    return {
        "running": job.is_open,
        "state_label": job.state.label,
        "tone": job.state.tone,
        "done_text": f"{job.done:,}" if job.total else job.message or "Starting",
        "total_text": f"{job.total:,}" if job.total else "",
        "rate_text": f"{pace:,.0f} a second" if pace else "",
        "remaining_text": f"about {_span(left)} left" if left else "",
        "error": job.error if job.state is JobState.FAILED else None,
        "note": note,
        "started_html": moment(job.started_at) if job.started_at else None,
        "finished_html": moment(job.finished_at) if job.finished_at else None,
    }


def buttons(record: Import, face: Face, job: Job) -> dict[str, str | None]:
    """Where one cancels, pauses and resumes a job, if the person may."""
    may = job.is_open and not job.cancel_asked and may_cancel(record, face, asking(), job)
    return {
        f"{made.verb}_url": url_for(f"imports.{made.verb}_view", id=record.id)
        if may and (made.applies is None or made.applies(job))
        else None
        for made in (cancel, pause, resume)
    }


def check_context(record: Import, job: Job) -> dict[str, Any]:
    """The progress page while a job finds out what would happen."""
    shown = {
        "running": True,
        "state_label": "Checking",
        "tone": "info",
        "percent": None,
        "done_text": f"{job.done:,} rows" if job.done else "Reading the file",
        "total_text": "",
        "counts": [],
        "cancel_url": url_for("imports.cancel_view", id=record.id),
        "refused_url": None,
        "error": None,
        "list_url": None,
        "note": "Nothing is written yet.",
    }
    return {
        "file": file_of(record),
        "job": shown,
        "step": 3,
        "status_url": url_for("imports.status_view", id=record.id),
    }


def link(address: str, words: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(address, words)


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
