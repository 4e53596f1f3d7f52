"""A job's page: its progress while it runs, what happened to it, what came of it, and why it stopped."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

from babel.dates import format_timedelta
from flask import Response, render_template, url_for
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy import select

from admin_views.base import EntityView
from admin_views.cells import moment
from admin_views.lists import command_items, may
from admin_views.tabs import Tab
from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobState, refused_items
from crm.core.spreadsheets import neutral
from crm.importing.start import LOAD
from crm.importing.undoing import UNDO
from crm.models.access import User
from crm.models.party_merges import Merge, MergeState

SHOWN_REFUSALS = 50
BESIDE_PROGRESS = ("cancel", "pause", "resume")  # where they come and go with the state


class JobView(EntityView):
    """Jobs; a page that brings itself up to date while the job is open."""

    rights = EntityView.rights | {"status_view": "read", "refused_view": "read"}

    @expose("/status/")
    def status_view(self) -> Any:
        job = self._record("read")
        return render_template("desk/_job_status.html", **self._status(job, command_items(self.face, job)))

    @expose("/refused/")
    def refused_view(self) -> Any:
        """Every record of a batch that was refused, with the reason, as a file."""
        job = self._record("read")
        lines = io.StringIO()
        writer = csv.writer(lines)
        writer.writerow(("id", "_error"))
        writer.writerows((item.record_id, neutral(item.reason or "")) for item in refused_items(job.id))
        name = f"job-{job.id}-refused.csv"
        return Response(lines.getvalue(), mimetype="text/csv",
                        headers={"Content-Disposition": f"attachment; filename={name}"})  # fmt: skip

    def detail_extras(self, record: Job) -> dict[str, Any]:
        offered = command_items(self.face, record)
        html = Markup(render_template("desk/_job_status.html", **self._status(record, offered)))  # noqa: S704 - our own template
        others = [item for item in offered if item["verb"] not in BESIDE_PROGRESS]
        return {"tabs": [Tab("overview", "Overview", html=html)], "commands": others}

    def _status(self, job: Job, offered: list[dict[str, Any]]) -> dict[str, Any]:
        percent = (
            min(100, int(100 * job.done / job.total)) if job.total else (100 if job.state is JobState.DONE else None)
        )
        items = refused_items(job.id, SHOWN_REFUSALS)
        noun = face_named(job.args["face"]).label if items else ""
        urls = {item["verb"]: item["url"] for item in offered}
        return {
            "job": {
                "open": job.is_open, "state": job.state.label, "tone": job.state.tone, "percent": percent,
                "done": f"{job.done:,}", "total": f"{job.total:,}" if job.total else "", "error": job.error,
                "message": job.message or "", "rate": _rate(job), "remaining": _remaining(job),
                "started": moment(job.started_at) if job.started_at else None,
                "finished": moment(job.finished_at) if job.finished_at else None,
                "by": job.asked_by.name if job.asked_by else "the system", "asked": moment(job.created_at),
                "took": _took(job),
            },
            "log": _log(job), "result": _result(job), "undo_url": _undo_url(job),
            "refused_url": url_for(".refused_view", id=job.id) if items else None,
            **{f"{verb}_url": urls.get(verb) for verb in BESIDE_PROGRESS},
            "status_url": url_for(".status_view", id=job.id), "file_url": _file_url(job),
            "refused": [{"name": f"{noun} {item.record_id}", "reason": item.reason}
                        for item in items],
        }  # fmt: skip


def _log(job: Job) -> list[dict[str, Any]]:
    """What happened to it, newest first; a line says who did it where a person did."""
    names = {user.id: user.name for user in db.session.scalars(
        select(User).where(User.id.in_([line["by"] for line in job.log if line.get("by")])))}  # fmt: skip
    return [{"when": moment(dt.datetime.fromisoformat(line["at"])), "text": line["text"],
             "by": names.get(line.get("by"))} for line in reversed(job.log)]  # fmt: skip


def _result(job: Job) -> dict[str, str] | None:
    """Where one goes to see what came of it."""
    if job.task == LOAD and may(face_named("import"), "read"):
        return {"label": "Report of the import", "url": url_for("imports.details_view", id=job.args["import"])}
    if job.task == UNDO and may(face_named("import"), "read"):
        return {"label": "What was undone", "url": url_for("imports.undo_view", id=job.args["import"])}
    if may(face_named("merge"), "read") and db.session.scalar(select(Merge.id).where(Merge.job_id == job.id).limit(1)):
        return {"label": "The merges", "url": url_for("merges.index_view", flt_job_eq=job.id)}
    return None


def _undo_url(job: Job) -> str | None:
    """Where all merges of a batch are undone at once, while one of them stands."""
    if job.is_open or not may(face_named("merge"), "undo"):
        return None
    made = select(Merge.id).where(Merge.job_id == job.id, Merge.state == MergeState.MADE)
    if db.session.scalar(made.limit(1)) is None:
        return None
    return url_for("merges.action_view", action="undo", all=1, flt_job_eq=job.id, flt_state_eq=MergeState.MADE.value)


def _took(job: Job) -> str:
    """Days, hours and so on from the start to the end."""
    if job.started_at is None or job.finished_at is None:
        return ""
    took = job.finished_at - job.started_at
    return format_timedelta(took, threshold=2, locale="en") if took >= dt.timedelta(seconds=1) else "under a second"


def _file_url(job: Job) -> str | None:
    """Where the file is that the job has made."""
    made = job.args.get("export") if job.state is JobState.DONE else None
    return url_for("exports.file_view", id=made) if made else None


def _rate(job: Job) -> str:
    """While it runs since it was started last; at its end over all, unless it rested in between."""
    pace = job.pace
    if pace is None and job.run == 1 and job.done and job.started_at and job.finished_at:
        pace = job.done / max(0.1, (job.finished_at - job.started_at).total_seconds())
    return f"{pace:,.0f} a second" if pace else ""


def _remaining(job: Job) -> str:
    left = job.seconds_left
    if left is None:
        return ""
    return f"about {left:,.0f} s left" if left < 90 else f"about {left / 60:,.0f} min left"
