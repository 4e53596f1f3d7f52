"""What the pages of the import wizard show: how the file is read, columns, checked rows, progress."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import url_for
from markupsafe import Markup

from admin_views.cells import asking, moment
from admin_views.forms import hidden
from admin_views.lists import endpoint
from crm.core.entity import Face
from crm.core.fields import countries
from crm.core.jobs import Job, JobState
from crm.importing.access import may_cancel, may_take_refused
from crm.importing.files import DELIMITERS, MIB, Found, ReadOptions
from crm.importing.mapping import suggest
from crm.importing.plan import Plan, column_styles, missing
from crm.importing.reading import Table
from crm.importing.start import asked_already
from crm.importing.targets import Landing, landings
from crm.models.imports import Duplicates, Import, ImportState, Outcome

ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte order mark",
    "cp1252": "Windows-1252 (Western Europe)",
    "latin-1": "ISO 8859-1 (Latin-1)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1254": "Windows-1254 (Turkish)",
    "iso8859-15": "ISO 8859-15 (with the euro)",
    "mac-roman": "Mac Roman",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 little-endian",
    "utf-16-be": "UTF-16 big-endian",
    "utf-32": "UTF-32",
    "shift_jis": "Shift-JIS (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
    "euc_kr": "EUC-KR (Korean)",
}
DATE_STYLES = {
    "dmy": "Day first (31/12/2024)",
    "mdy": "Month first (12/31/2024)",
    "ymd": "Year first (2024-12-31)",
    "serial": "Excel's numbers of days",
}
NUMBER_STYLES = {"point": "1,234.56", "comma": "1.234,56"}
POLICIES = (
    (Duplicates.SKIP, "Skip", "Only new records come in; known ones stay as they are."),
    (Duplicates.UPDATE, "Update", "Filled cells replace what the known record has."),
    (Duplicates.CREATE, "Create", "Every row becomes a record of its own, known or not."),
)
MATCHES = {"": "the best key of the file", "email": "E-mail", "account_number": "Account number"}
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
_SHORT_NUMBER = re.compile(r"[0-9]{1,4}")


def file_text(record: Import, rows: int | None = None) -> str:
    size = record.size / MIB
    shown = f"{size:,.1f} MB" if size >= 0.1 else f"{record.size / 1024:,.1f} kB"
    return f"{rows:,} rows, {shown}" if rows is not None else shown


def file_of(record: Import, rows: int | None = None) -> dict[str, str]:
    return {"name": record.file_name, "text": file_text(record, rows)}


def _choice(name: str, label: str, value: Any, reason: str, choices: Mapping[str, str]) -> dict[str, Any]:
    listed = dict(choices)
    listed.setdefault(str(value), str(value))
    return {
        "name": name,
        "label": label,
        "value": str(value),
        "value_label": listed[str(value)],
        "reason": reason[:1].upper() + reason[1:],
        "choices": list(listed.items()),
    }


def detected(table: Table, plan: Plan, reasons: Mapping[str, str], repair: str | None) -> list[dict[str, Any]]:
    """How the file is read, each with its reason and the other possibilities."""
    options, found = table.options, table.found
    shown = []
    if found.kind == "text":
        delimiters = {
            sign: f"{word.capitalize()} ({'tab' if sign == chr(9) else sign})" for sign, word in DELIMITERS.items()
        }
        shown.append(_choice("encoding", "Encoding", options.encoding, reasons.get("encoding", ""), ENCODINGS))
        shown.append(
            _choice("delimiter", "Between values", options.delimiter, reasons.get("delimiter", ""), delimiters)
        )
        quotes = {'"': 'Double (")', "'": "Single (')", "": "None"}
        shown.append(_choice("quote", "Quotes", options.quote, reasons.get("quote", ""), quotes))
    else:
        shown.append(_choice("sheet", "Sheet", options.sheet, reasons.get("sheet", ""), _sheets(found)))
    headers = {"0": "None: the first row is data"} | {str(n): f"Row {n}" for n in range(1, 11)}
    shown.append(_choice("header", "Names of the columns", options.header, reasons.get("header", ""), headers))
    if repair or options.repair:
        reason = f"Accents look misread: {repair}" if repair else "Misread accents are mended"
        shown.append(
            _choice(
                "repair",
                "Accents",
                "1" if options.repair else "",
                reason,
                {"": "As they are", "1": "Mend them"},
            )
        )
    return shown


def _sheets(found: Found) -> dict[str, str]:
    return {sheet.name: f"{sheet.name} ({sheet.rows:,} rows)" for sheet in found.sheets}


def styles(table: Table, plan: Plan, known: Mapping[str, Landing]) -> list[dict[str, Any]]:
    """How dates and numbers are read, where that can be read in two ways; the country of phone numbers."""
    shown = []
    for number, style in column_styles(table, plan.columns, known).items():
        header, chosen = table.columns[number].name, plan.styles.get(number, style.value)
        if style.kind == "date":
            shown.append(_choice(f"style_{number}", f"Dates in “{header}”", chosen, style.reason, DATE_STYLES))
        elif style.reason != "whole numbers" or chosen != style.value:
            shown.append(_choice(f"style_{number}", f"Numbers in “{header}”", chosen, style.reason, NUMBER_STYLES))
    if any(known[name].field.kind == "phone" for name in plan.columns.values()):
        shown.append(
            _choice(
                "country",
                "Country of the phone numbers",
                plan.country or "",
                "For numbers without a country code, where the row names no country",
                {"": "None: keep such numbers as written"} | countries(),
            )
        )
    return shown


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
                "header": column.name,
                "samples": list(column.samples),
                "fill": round(100 * column.fill_rate),
                "target": target,
                "note": note[:1].upper() + note[1:],
                "tone": "info" if target else "muted",
            }
        )
    groups: dict[str, list[tuple[str, str]]] = {}
    for landing in known.values():
        groups.setdefault(landing.group, []).append((landing.name, landing.field.label))
    lacking = missing(face, list(plan.columns.values()))
    required = [
        {"label": landing.field.label, "mapped": landing.field.label not in lacking}
        for landing in known.values()
        if landing.field.required and landing.embed is None
    ]
    warnings = [{"tone": "info", "title": note, "text": ""} for note in table.found.notes]
    return {
        "file": file_of(record),
        "detected": detected(table, plan, reasons, repair) + styles(table, plan, known),
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
    rows = []
    for row in findings["rows"]:
        outcome = Outcome(row["outcome"])
        problem = outcome in (Outcome.REFUSED, Outcome.AMBIGUOUS)
        rows.append(
            {
                "number": row["number"],
                "outcome": outcome.label,
                "tone": outcome.tone,
                "title": row["title"] or f"Row {row['number']}",
                "text": row["text"] if not row["reason"] or problem else row["reason"],
                "changes": row["changes"],
                "problems": [row["reason"]] if problem and row["reason"] else [],
            }
        )
    if record.match_by is None and record.duplicates is not Duplicates.CREATE:
        warnings.insert(
            0,
            {
                "tone": "warning",
                "title": "Nothing tells which records are known already",
                "text": "Neither an e-mail nor an account number is mapped: every row becomes a new record.",
            },
        )
    confirmed = [("plan", Plan.from_data(record.plan).digest)]
    question = asked_already(record)
    if question is not None:
        confirmed.append(("again", "1"))
        warnings.insert(0, {"tone": "warning", "title": f"{question}", "text": "Import it all the same?"})
    something = counts["created"] + counts["updated"] > 0
    more = (
        ""
        if len(rows) >= counts["rows"]
        else f"the first ones of {counts['rows']:,}, and the first that cannot be taken"
    )
    return {
        "file": file_of(record, counts["rows"]),
        "counts": count_cards(counts),
        "warnings": warnings,
        "rows": rows,
        "rows_text": more,
        "hidden": hidden(confirmed),
        "can_run": something,
        "blocked_text": "" if something else "No row would change anything: there is nothing to import.",
        "submit_label": "Import it all the same"
        if question is not None
        else f"Import {counts['created'] + counts['updated']:,} {face.label_plural.lower()}"
        if something and findings["complete"]
        else "Import",
    }


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
    stoppable = running and may_cancel(record, face, asking(), job)
    takeable = refused and not running and may_take_refused(record, face, asking())
    shown: dict[str, Any] = {
        "running": running,
        "state_label": state.label,
        "tone": state.tone,
        "percent": 100
        if state is ImportState.DONE
        else min(100, round(100 * job.done / job.total))
        if job.total
        else None,
        "done_text": f"{job.done:,}" if job.total else job.message or "Starting",
        "total_text": f"{job.total:,}" if job.total else "",
        "counts": count_cards(counts, ended=not running) if any(counts.values()) else [],
        "cancel_url": url_for("imports.cancel_view", id=record.id) if stoppable else None,
        "refused_url": url_for("imports.refused_view", id=record.id) if takeable else None,
        "refused_text": f"{refused:,} {'row was' if refused == 1 else 'rows were'} not taken",
        "error": job.error if state is ImportState.FAILED else None,
        "list_url": url_for(endpoint(face, "index_view")) if taken else None,
        "list_label": f"Show the {face.label_plural.lower()}",
        "undo_url": None,
        "note": record.remarks,
        "started_html": moment(job.started_at) if job.started_at else None,
        "finished_html": moment(job.finished_at) if job.finished_at else None,
    }
    if running and job.state is JobState.RUNNING and job.started_at and job.total and job.done:
        seconds = max((dt.datetime.now(dt.UTC) - job.started_at).total_seconds(), 0.1)
        rate = job.done / seconds
        shown["rate_text"] = f"{rate:,.0f} rows a second"
        shown["remaining_text"] = f"about {_span((job.total - job.done) / rate)} left"
    if running and job.cancel_asked:
        shown["cancel_url"], shown["note"] = (
            None,
            "It stops after the part that is being loaded; what is done stays done.",
        )
    return {
        "file": file_of(record, record.rows),
        "job": shown,
        "status_url": url_for("imports.status_view", id=record.id),
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


def short_number(text: str) -> int | None:
    """A number of a row or column; None for what is none."""
    return int(text) if _SHORT_NUMBER.fullmatch(text) else None


def read_options(table_options: ReadOptions, given: Mapping[str, str]) -> ReadOptions:
    """What a person chose on the page; what was left alone is found out anew, for it may hang on the rest."""
    chosen: dict[str, Any] = {}
    for name in ("encoding", "delimiter", "quote", "sheet"):
        if name in given and given[name] != (getattr(table_options, name) or ""):
            chosen[name] = given[name]
    header = short_number(given.get("header", ""))
    if header is not None and header != table_options.header:
        chosen["header"] = header
    chosen["repair"] = given.get("repair") == "1"
    return ReadOptions(**chosen)
