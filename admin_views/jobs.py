"""A job's page: its progress while it runs, what became of each record of a batch, and why it stopped."""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask import render_template, url_for
from flask_admin import expose
from markupsafe import Markup

from admin_views.base import EntityView
from admin_views.cells import moment
from admin_views.lists import command_items
from crm.core.entity import face_named
from crm.core.jobs import Job, JobState, refused_items

SHOWN_REFUSALS = 50


class JobView(EntityView):
    """Jobs; a page that brings itself up to date while the job is open."""

    rights = EntityView.rights | {"status_view": "read"}

    @expose("/status/")
    def status_view(self) -> Any:
        return render_template("desk/_job_status.html", **self._status(self._record("read")))

    def detail_extras(self, record: Job) -> dict[str, Any]:
        html = Markup(render_template("desk/_job_status.html", **self._status(record)))  # noqa: S704 - our own template
        return {"tabs": [{"id": "overview", "label": "Overview", "count": None, "url": None, "html": html}]}

    def _status(self, job: Job) -> dict[str, Any]:
        percent = (
            min(100, int(100 * job.done / job.total)) if job.total else (100 if job.state is JobState.DONE else None)
        )
        items = refused_items(job.id, SHOWN_REFUSALS)
        noun = face_named(job.args["face"]).label if items else ""
        cancel = next((item for item in command_items(self.face, job) if item["verb"] == "cancel"), None)
        return {
            "job": {
                "open": job.is_open, "state": job.state.label, "tone": job.state.tone, "percent": percent,
                "done": f"{job.done:,}", "total": f"{job.total:,}" if job.total else "", "error": job.error,
                "message": job.message or "", "rate": _rate(job), "remaining": _remaining(job),
                "started": moment(job.started_at) if job.started_at else None,
                "finished": moment(job.finished_at) if job.finished_at else None,
            },
            "cancel_url": cancel["url"] if cancel else None,
            "status_url": url_for(".status_view", id=job.id), "file_url": _file_url(job),
            "refused": [{"name": f"{noun} {item.record_id}", "reason": item.reason}
                        for item in items],
        }  # fmt: skip


def _file_url(job: Job) -> str | None:
    """Where the file is that the job has made."""
    made = job.args.get("export") if job.state is JobState.DONE else None
    return url_for("exports.file_view", id=made) if made else None


def _seconds(job: Job) -> float | None:
    if job.started_at is None or not job.is_open:
        return None
    return max(0.1, (dt.datetime.now(dt.UTC) - job.started_at).total_seconds())


def _rate(job: Job) -> str:
    seconds = _seconds(job)
    return f"{job.done / seconds:,.0f} a second" if seconds and job.done else ""


def _remaining(job: Job) -> str:
    seconds = _seconds(job)
    if not seconds or not job.done or not job.total:
        return ""
    left = seconds / job.done * (job.total - job.done)
    return f"about {left:,.0f} s left" if left < 90 else f"about {left / 60:,.0f} min left"
