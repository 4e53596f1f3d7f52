"""The way back from an import: what it would do and leave, the one question, the progress, and what was left."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose

from admin_views import import_pages as pages
from admin_views.cells import asking, fields_of, moment, title_of
from admin_views.details import worded
from admin_views.lists import may, page_of
from crm.core.command import Refused
from crm.core.entity import Face, all_faces
from crm.core.fields import MASK
from crm.core.jobs import Job, JobState, bell
from crm.importing import access
from crm.importing import undo_looking as looking
from crm.importing.undoing import Insisted, Left, ask_undo, is_archived, why_not
from crm.models.imports import Import, Kept
from crm.queries.history import column_name
from crm.queries.scope import find

MOST_CHOSEN = 1_000


class UndoRoutes:
    """The question, and what came of it; a part of the view of imports."""

    _found: Any
    _crumbs: Any
    _refuse: Any

    @expose("/undo/", methods=("GET", "POST"))
    def undo_view(self) -> Any:
        record, face = self._undoable()
        if request.method == "POST":
            return self._undo(record)
        if why_not(record):
            return self._undo_page(record, face)
        try:
            found = self._look(record)
        except Refused as refusal:
            flash(f"Not undone: {refusal}.", "bad")
            return redirect(url_for(".progress_view", id=record.id), 303)
        if found is None:
            page = {"title": "What undoing would do", "breadcrumbs": self._crumbs(record.file_name)}
            job = looking.ask_look(record, by=asking().id)
            return render_template("desk/import_progress.html", page=page, step=0, **look_context(record, face, job))
        return render_template(
            "desk/import_undo.html",
            page={"title": "Undo this import", "breadcrumbs": self._crumbs(record.file_name)},
            file=pages.file_of(record, record.rows),
            counts=[*_cards(found.restored, "info", lambda table: "get back what they had before"),
                    *_cards(found.put_away, "warning", lambda table: "go into the archive" if is_archived(table) else "are deleted"),
                    *({"label": reason.label, "value": f"{number:,}", "hint": "stay as they are", "tone": ""}
                      for reason, number in found.reasons.items())],
            left=shown_left(found.left), more=found.reasons.total() - len(found.left),
            first=None if found.complete else f"{looking.LOOKED_AT:,}", at=moment(found.at),
            can_choose=not found.complete or bool(found.reasons[Kept.CHANGED] + found.reasons[Kept.USED]),
            action=url_for(".undo_view", id=record.id), back_url=url_for(".progress_view", id=record.id),
        )  # fmt: skip

    def _look(self, record: Import) -> looking.Findings | None:
        """What an undo would do; None while a job has to find it out. Raises Refused."""
        if (record.rows_created or 0) + (record.rows_updated or 0) <= looking.AT_ONCE or not bell.state().get(
            "workers"
        ):
            return looking.look_at_undo(record, asking())
        found = looking.looked(record, asking().id)
        failed = None if found is not None else looking.failed_look(record)
        if failed is not None and looking.open_look(record) is None:
            raise Refused((failed.error or "it could not be found out what would become of it").rstrip("."))
        return found

    def _undo(self, record: Import) -> Any:
        chosen = tuple(request.form.getlist("chosen")[:MOST_CHOSEN])
        try:
            ask_undo(record, by=asking().id, insisted=Insisted(request.form.get("all") == "1", chosen))
        except Refused as refusal:  # a double click, or a second window
            flash(f"Not undone: {refusal}.", "info")
        return redirect(url_for(".undo_view", id=record.id), 303)

    def _undo_page(self, record: Import, face: Face) -> Any:
        if record.undo_job is None:
            flash(f"Not undone: {why_not(record)}.", "info")
            return redirect(url_for(".progress_view", id=record.id), 303)
        page = {"title": "Undo of an import", "breadcrumbs": self._crumbs(record.file_name)}
        return render_template("desk/import_progress.html", page=page, step=0, **undo_context(record, face))

    @expose("/undo-status/")
    def undo_status_view(self) -> Any:
        """The part of the page of an undo, or of the look before it, that renews itself."""
        record, face = self._undoable()
        if request.args.get("look"):
            job = looking.open_look(record)
            if job is not None:
                return render_template("desk/_import_status.html", **look_context(record, face, job))
            answer = make_response("")
            answer.headers["HX-Redirect"] = url_for(".undo_view", id=record.id)
            return answer
        if record.undo_job is None:
            abort(404)
        return render_template("desk/_import_status.html", **undo_context(record, face))

    def _undoable(self) -> tuple[Import, Face]:
        record, face = self._found()
        if not access.may_undo(record, face, asking()):
            abort(self._refuse(record))
        return record, face


def look_context(record: Import, face: Face, job: Job) -> dict[str, Any]:
    """The page while a job finds out what an undo would do."""
    shown = pages.job_shown(job) | {
        "unit": "records", "percent": round(100 * job.done / job.total) if job.total else None, "counts": [],
        "note": "Nothing is written yet.", "cancel_url": pages.buttons(record, face, job)["cancel_url"],
    }  # fmt: skip
    return {"file": pages.file_of(record, record.rows), "job": shown,
            "status_url": url_for("imports.undo_status_view", id=record.id, look=1)}  # fmt: skip


def undo_context(record: Import, face: Face) -> dict[str, Any]:
    """The page of an undo that runs or has ended, with what it left."""
    job = record.undo_job
    assert job is not None
    result = job.result or {}
    cards = {"restored": ("Restored", "info", "have what they had before"), "archived": ("Archived", "warning", "match no later import"),
             "deleted": ("Deleted", "warning", "nothing else referred to them"), "kept": ("Left", "", "stay as they are")}  # fmt: skip
    counts = [{"label": label, "value": f"{result[name]:,}", "hint": hint, "tone": tone}
              for name, (label, tone, hint) in cards.items() if result.get(name)]  # fmt: skip
    left = [] if job.is_open else looking.kept_by(record)
    again = job.state in (JobState.FAILED, JobState.CANCELLED) and not why_not(record)
    shown = pages.job_shown(job) | {
        "unit": "records",
        "percent": 100 if job.state is JobState.DONE else min(100, round(100 * job.done / job.total)) if job.total else None,
        "counts": counts, **pages.buttons(record, face, job),
        "undo_url": url_for("imports.undo_view", id=record.id) if again else None, "undo_label": "Undo the rest",
        "report_url": url_for("imports.progress_view", id=record.id),
    }  # fmt: skip
    if not job.is_open and job.total and job.total > sum(result.get(name, 0) for name in cards):
        shown["note"] = shown["note"] or "Addresses and others that go with a record were looked at, too."
    return {"file": pages.file_of(record, record.rows), "job": shown, "left": shown_left(left),
            "more": max(0, result.get("kept", 0) - len(left)), "status_url": url_for("imports.undo_status_view", id=record.id)}  # fmt: skip


def _cards(numbers: Any, tone: str, hint: Any) -> list[dict[str, Any]]:
    cards = []
    for table, number in numbers.items():
        face = _face_of(table)
        if number:
            label = face.label_plural if face is not None else table
            cards.append({"label": label, "value": f"{number:,}", "hint": hint(table), "tone": tone})
    return cards


def _face_of(table: str) -> Face | None:
    """The first face of the table's entity that the person may read, else the first."""
    faces = [face for face in all_faces() if face.entity.__tablename__ == table]
    return next((face for face in faces if may(face, "read")), next(iter(faces), None))


def shown_left(left: list[Left]) -> list[dict[str, Any]]:
    """What stays, as this person may see it."""
    return [_shown(one) for one in left]


def _shown(one: Left) -> dict[str, Any]:
    face = _face_of(one.table)
    record = find(face, asking(), str(one.record_id)) if face is not None and one.reason is not Kept.DELETED else None
    noun = face.label if face is not None else one.table
    shown = {
        "key": one.key, "title": f"{noun} {title_of(face, record)}" if face is not None and record is not None else f"{noun} {one.record_id}",
        "url": page_of(face.name, record) if face is not None and record is not None else None,
        "reason": one.reason.label, "tone": one.reason.tone, "text": "",
        "choosable": one.reason is Kept.CHANGED or (one.reason is Kept.USED and is_archived(one.table)),
    }  # fmt: skip
    if one.field and face is not None:
        declared = next((field for field in face.entity.fields().values()
                         if not field.derived and column_name(face.entity, field) == one.field), None)  # fmt: skip
        seen = record is not None and declared is not None and fields_of(face)[declared.name].shows
        was, wrote, now = (
            (worded(declared, value) or "nothing") if seen else MASK for value in (one.before, one.wrote, one.now)
        )
        label = declared.label if declared is not None else one.field
        shown["text"] = f"{label}: was {was}, the import wrote {wrote}, now {now}"
    return shown
