"""The import wizard: upload, match columns, check, run; and the imports there were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flask import Response, abort, flash, make_response, redirect, render_template, request, send_file, url_for
from flask_admin import expose
from flask_login import current_user

from admin_views import import_pages as pages
from admin_views.base import EntityView
from admin_views.cells import asking
from admin_views.import_reading import read_constants, read_only, read_options, read_rules, read_styles
from admin_views.import_undo import UndoRoutes
from admin_views.import_upload import MIME, UploadRoutes, allow_upload, error, offered, remember, watchable
from crm.core.command import Command, Refused, WrongInput, perform
from crm.core.entity import Face, db, face_named
from crm.core.jobs import bell, cancel, pause, resume
from crm.importing import access, start
from crm.importing.decisions import read_cells, read_decisions
from crm.importing.files import FileRefused, ReadOptions
from crm.importing.matching import as_ladder
from crm.importing.plan import Plan, PlanChanged, PlanRefused, suggested_columns
from crm.importing.profiles import keep_profile, profile_named
from crm.importing.reading import Table
from crm.importing.report import refused_file
from crm.importing.storage import uploads
from crm.importing.targets import landings
from crm.importing.undo_looking import open_look
from crm.importing.unfit import read_words
from crm.models.imports import Import


class ImportView(UploadRoutes, UndoRoutes, EntityView):
    """Imports; the wizard decides by the right to import the records themselves (`customer.import`)."""

    rights = EntityView.rights | dict.fromkeys(
        (
            "create_view",
            "map_view",
            "preview_view",
            "progress_view",
            "status_view",
            "cancel_view",
            "pause_view",
            "resume_view",
            "undo_view",
            "undo_status_view",
            "refused_view",
            "annotated_view",
            "template_view",
        )
    )

    def create_blueprint(self, admin: Any) -> Any:
        blueprint = super().create_blueprint(admin)
        # Before the form is read for its token: whoever may import may send more than a form usually holds.
        blueprint.url_value_preprocessor(allow_upload)
        return blueprint

    def list_extras(self) -> dict[str, Any]:
        if not offered():
            return {}
        new = {"label": "Import a file", "url": url_for(".create_view"), "icon": "file-up"}
        return {"secondary": [new]}

    def detail_extras(self, record: Import) -> dict[str, Any]:
        if not watchable(record):
            return {}
        if record.job_id is not None:
            link = pages.link(url_for(".progress_view", id=record.id), "Progress and report")
        else:
            link = pages.link(url_for(".map_view", id=record.id), "Go on with it")
        return {"facts": [{"label": "Report" if record.job_id else "Draft", "html": link}]}

    @expose("/map/", methods=("GET", "POST"))
    def map_view(self) -> Any:
        record, face = self._draft()
        try:
            if request.method == "POST":
                return self._map(record, face)
            table = start.reopen(record, face)
        except FileRefused as refusal:
            flash(f"{record.file_name}: {refusal}.", "bad")
            return redirect(url_for(".create_view"), 303)
        return self._map_page(record, face, table)

    def _map(self, record: Import, face: Face) -> Any:
        given = request.form
        options = Plan.from_data(record.plan).options
        if given.get("do") == "again":
            return self._read_again(record, face, options)
        if given.get("do") in ("profile", "keep"):
            return self._profile(record, face, start.reopen(record, face, options))
        table = start.reopen(record, face, options)
        columns = {
            column.index: given[f"column_{column.index}"]
            for column in table.columns
            if given.get(f"column_{column.index}")
        }
        try:
            start.replan(record, face, table, columns, **_chosen())
        except (PlanRefused, Refused) as refusal:
            offered = {landing.name for landing in landings(face, asking())}
            shown = {number: name for number, name in columns.items() if name in offered}
            plan = Plan(face.name, options, shown, duplicates=record.duplicates, **_chosen())
            return self._map_page(record, face, table, plan=plan, errors=[error("", "", f"{refusal}.")])
        remember(record, table)
        return redirect(url_for(".preview_view", id=record.id), 303)

    def _profile(self, record: Import, face: Face, table: Table) -> Any:
        """Take the choices from a profile, or keep those of the page as one."""
        given = request.form
        try:
            if given["do"] == "profile":
                wanted = profile_named(face, given.get("profile", ""), asking())
                start.use_profile(record, face, table, wanted, with_policy=True)
            else:
                columns = {
                    column.index: name for column in table.columns if (name := given.get(f"column_{column.index}"))
                }
                plan = start.replan(record, face, table, columns, complete=False, **_chosen())
                keep_profile(plan, face, table, name=given.get("profile_name", ""), by=asking(),
                             everybody=given.get("profile_shared") == "1")  # fmt: skip
                flash("The profile is kept. A file with the same header finds it by itself.", "good")
        except (PlanRefused, Refused) as refusal:
            flash(f"{refusal}.", "bad")
        except WrongInput as wrong:
            flash(f"The name of the profile {next(iter(wrong.errors.values()))}.", "bad")
        return redirect(url_for(".map_view", id=record.id), 303)

    def _read_again(self, record: Import, face: Face, options: ReadOptions) -> Any:
        """With what the person overruled; the columns are suggested anew when they are others now."""
        try:
            chosen = read_options(options, request.form)
            table = start.reopen(record, face, chosen)
        except FileRefused as refusal:
            return self._map_page(record, face, start.reopen(record, face), errors=[error("", "", f"{refusal}.")])
        before = start.reopen(record, face, options)
        same = [column.name for column in table.columns] == [column.name for column in before.columns]
        columns = suggested_columns(face, table, asking())
        told = _chosen()
        if not same:
            told |= {"styles": {}, "only": {}}
        else:
            columns = {column.index: request.form.get(f"column_{column.index}", "") for column in table.columns}
            columns = {number: name for number, name in columns.items() if name}
        try:
            start.replan(
                record,
                face,
                table,
                columns,
                complete=False,
                **told,
            )
        except PlanRefused:
            start.replan(record, face, table, None, complete=False)
        remember(record, table, dict.fromkeys(chosen.chosen, "You chose it"))
        return redirect(url_for(".map_view", id=record.id), 303)

    def _map_page(
        self,
        record: Import,
        face: Face,
        table: Table,
        *,
        plan: Plan | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> Response:
        plan = plan or Plan.from_data(record.plan)
        body = render_template(
            "desk/import_map.html",
            page={"title": "Match the columns", "breadcrumbs": self._crumbs(record.file_name)},
            action=url_for(".map_view", id=record.id),
            errors=errors or [],
            back_url=url_for(".create_view"),
            **pages.map_context(record, face, table, plan),
        )
        return make_response(body, 422 if errors else 200)

    @expose("/preview/", methods=("GET", "POST"))
    def preview_view(self) -> Any:
        record, face = self._draft()
        if request.method == "POST":
            return self._settle(record, face) if request.form.get("do") in _SETTLING else self._run(record)
        if record.checked is None:
            checking = self._check(record)
            if checking is not None:
                return checking
        assert record.checked is not None
        return render_template(
            "desk/import_preview.html",
            page={"title": "What would happen", "breadcrumbs": self._crumbs(record.file_name)},
            action=url_for(".preview_view", id=record.id),
            back_url=url_for(".map_view", id=record.id),
            **pages.preview_context(record, face, record.checked),
        )

    def _settle(self, record: Import, face: Face) -> Any:
        """What a person decided on the page of the check; the rows are checked again."""
        plan = Plan.from_data(record.plan)
        try:
            chosen = _SETTLING[request.form["do"]](plan, record.checked or {})
            start.replan(record, face, start.reopen(record, face), plan.columns, styles=plan.styles, **chosen)
        except (FileRefused, PlanRefused) as refusal:
            flash(f"{record.file_name}: {refusal}.", "bad")
            return redirect(url_for(".map_view", id=record.id), 303)
        except Refused:
            flash("It is running already.", "info")
            return redirect(url_for(".progress_view", id=record.id), 303)
        return redirect(url_for(".preview_view", id=record.id), 303)

    def _check(self, record: Import) -> Any:
        """Small files are checked at once; for large ones a job does it, and this answers its progress."""
        try:
            if record.size <= start.CHECKED_AT_ONCE or not bell.state().get("workers"):
                record.checked = start.check_now(record, annotated=True)
                return None
        except (FileRefused, PlanRefused, Refused) as refusal:
            flash(f"{record.file_name}: {refusal}.", "bad")
            return redirect(url_for(".map_view", id=record.id), 303)
        failed = start.failed_check(record) if start.open_check(record) is None else None
        if failed is not None:
            flash(f"{record.file_name}: {failed.error}", "bad")
            return redirect(url_for(".map_view", id=record.id), 303)
        job = start.ask_check(record, by=asking().id)
        return self._progress_page(record, "Checking the rows", pages.check_context(record, job))

    def _run(self, record: Import) -> Any:
        given, face = request.form, face_named(record.entity)
        try:
            record = start.lock(record)
            start.ensure_checked(record, given.get("plan"))
            plan = Plan.from_data(record.plan)
            start.replan(record, face, start.reopen(record, face), plan.columns, styles=plan.styles)
            start.start(record, by=asking().id, again=given.get("again") == "1")
        except (PlanChanged, start.AlreadyImported) as question:
            flash(f"{record.file_name}: {question}.", "warning")
            return redirect(url_for(".preview_view", id=record.id), 303)
        except (FileRefused, PlanRefused) as refusal:
            flash(f"{record.file_name}: {refusal}.", "bad")
            return redirect(url_for(".map_view", id=record.id), 303)
        except Refused:
            flash("It is running already.", "info")  # a double click, or a second window
        return redirect(url_for(".progress_view", id=record.id), 303)

    @expose("/progress/")
    def progress_view(self) -> Any:
        record, face = self._started()
        title = "Import" if record.job and record.job.is_open else "Imported"
        return self._progress_page(record, title, pages.progress_context(record, face))

    def _progress_page(self, record: Import, title: str, context: dict[str, Any]) -> Any:
        page = {"title": title, "breadcrumbs": self._crumbs(record.file_name)}
        return render_template("desk/import_progress.html", page=page, **context)

    @expose("/status/")
    def status_view(self) -> Any:
        """The part of the progress page that renews itself."""
        record, face = self._watched()
        if record.job_id is not None:
            return render_template("desk/_import_status.html", **pages.progress_context(record, face))
        job = start.open_check(record)
        if job is None:
            answer = make_response("")
            answer.headers["HX-Redirect"] = url_for(".preview_view", id=record.id)
            return answer
        return render_template("desk/_import_status.html", **pages.check_context(record, job))

    @expose("/cancel/", methods=("POST",))
    def cancel_view(self) -> Any:
        return self._steer(cancel)

    @expose("/pause/", methods=("POST",))
    def pause_view(self) -> Any:
        return self._steer(pause)

    @expose("/resume/", methods=("POST",))
    def resume_view(self) -> Any:
        return self._steer(resume)

    def _steer(self, made: Command) -> Any:
        """Do a command to the job that is under way: of the undo, of the import, or of the check."""
        record, face = self._found()
        undoing = record.undo_job is not None and record.undo_job.is_open
        job = record.undo_job if undoing else open_look(record) or record.job or start.open_check(record)
        if not access.may_cancel(record, face, asking(), job):
            abort(_refusal(record))
        if job is not None and job.is_open:
            for outcome in perform(made, [job.id], by=current_user, values={}):
                if not outcome.done:
                    flash(f"Not done: {outcome.reason}.", "warning")
        if not access.may_watch(record, face, asking()):
            return redirect(url_for("admin.index"), 303)
        back = ".undo_view" if undoing else ".progress_view" if record.job_id is not None else ".map_view"
        return redirect(url_for(back, id=record.id), 303)

    @expose("/refused/")
    def refused_view(self) -> Any:
        """The rows that were not taken, with the reasons."""
        record, face = self._started()
        if not access.may_take_refused(record, face, asking()):
            abort(_refusal(record))
        if record.job and record.job.is_open:
            abort(404)
        path = refused_file(record, lambda: start.reopen(record, face))
        if path is None:
            abort(404)
        return _rows_file(record, path, "refused")

    def _refuse(self, record: Import) -> int:
        return _refusal(record)

    @expose("/annotated/")
    def annotated_view(self) -> Any:
        """All rows that were checked, with what would become of each."""
        record, _ = self._draft()
        name = (record.checked or {}).get("annotated")
        if not name or not (uploads() / name).exists():
            return redirect(url_for(".preview_view", id=record.id), 303)
        return _rows_file(record, uploads() / name, "checked")

    def _found(self) -> tuple[Import, Face]:
        given = request.args.get("id", "")
        record = db.session.get(Import, int(given)) if given.isascii() and given.isdigit() and len(given) < 19 else None
        if record is None:
            abort(404)
        return record, face_named(record.entity)

    def _draft(self) -> tuple[Import, Face]:
        """A draft is its person's alone: its rows run with that person's rights and in that person's name."""
        record, face = self._found()
        if not access.may_go_on(record, face, asking()):
            abort(_refusal(record))
        if record.job_id is not None:
            abort(redirect(url_for(".progress_view", id=record.id), 303))
        return record, face

    def _watched(self) -> tuple[Import, Face]:
        record, face = self._found()
        if not access.may_watch(record, face, asking()):
            abort(_refusal(record))
        return record, face

    def _started(self) -> tuple[Import, Face]:
        record, face = self._watched()
        if record.job_id is None:
            abort(redirect(url_for(".map_view", id=record.id), 303))
        return record, face


def _words(plan: Plan, checked: Mapping[str, Any]) -> dict[str, Any]:
    return {"words": read_words(request.form, plan.columns.values())}


def _rows(plan: Plan, checked: Mapping[str, Any]) -> dict[str, Any]:
    shown, decided = set(request.form.getlist("shown")), read_decisions(request.form, request.form.getlist("leave_out"))
    mended = read_cells(
        request.form, {line: cells for line, cells in checked.get("cells", {}).items() if line in shown}
    )
    return {"rows": {line: kept for line, kept in plan.rows.items() if str(line) not in shown} | decided,
            "cells": {line: kept for line, kept in plan.cells.items() if str(line) not in shown} | mended}  # fmt: skip


# What the page of the check lets a person decide, by the button.
_SETTLING: dict[str, Callable[[Plan, Mapping[str, Any]], dict[str, Any]]] = {"words": _words, "rows": _rows}


def _rows_file(record: Import, path: Path, what: str) -> Response:
    name = f"{record.file_name.rsplit('.', 1)[0]} {what}.csv"
    return send_file(path, mimetype=MIME, as_attachment=True, download_name=name, max_age=0)


def _refusal(record: Import) -> int:
    """What isn't one's own isn't there; one's own is there, but no longer allowed."""
    return 403 if access.is_mine(record, asking()) else 404


def _chosen() -> dict[str, Any]:
    """What was chosen besides the columns."""
    given = request.form
    return {"styles": read_styles(given), "constants": read_constants(given),
            "rules": read_rules(given), "only": read_only(given), "known_only": given.get("known_only") == "1", "match": as_ladder(given.getlist("match")),
            **{name: given.get(name, "").strip() or None for name in ("country", "system")}}  # fmt: skip
