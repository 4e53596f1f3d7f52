"""The import wizard: upload, match columns, check, run; and the imports there were."""

from __future__ import annotations

import csv
import io
from typing import Any

from flask import (
    Response,
    abort,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask_admin import expose
from flask_login import current_user
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from admin_views import import_pages as pages
from admin_views.base import EntityView, may
from admin_views.cells import asking, moment, pill
from crm.core.command import Refused
from crm.core.entity import Face, all_faces, db, face_named
from crm.core.jobs import bell, cancel
from crm.importing import access, start
from crm.importing.files import MIB, FileRefused, ReadOptions
from crm.importing.plan import MATCHABLE, Plan, PlanChanged, PlanRefused, suggested_columns
from crm.importing.reading import Table
from crm.importing.report import refused_file
from crm.importing.storage import UPLOAD_LIMIT
from crm.importing.targets import importable, landings, template
from crm.models.imports import Duplicates, Import

RECENT = 5
MIME = "text/csv; charset=utf-8"


class ImportView(EntityView):
    """Imports; the wizard decides by the right to import the records themselves (`customer.import`)."""

    rights = EntityView.rights | dict.fromkeys(
        (
            "create_view",
            "map_view",
            "preview_view",
            "progress_view",
            "status_view",
            "cancel_view",
            "refused_view",
            "template_view",
        )
    )

    def create_blueprint(self, admin: Any) -> Any:
        blueprint = super().create_blueprint(admin)
        # Before the form is read for its token: whoever may import may send more than a form usually holds.
        blueprint.url_value_preprocessor(_allow_upload)
        return blueprint

    def list_extras(self) -> dict[str, Any]:
        if not _faces():
            return {}
        new = {"label": "Import a file", "url": url_for(".create_view"), "icon": "file-up"}
        return {"secondary": [new]}

    def detail_extras(self, record: Import) -> dict[str, Any]:
        if not _watchable(record):
            return {}
        if record.job_id is not None:
            link = pages.link(url_for(".progress_view", id=record.id), "Progress and report")
        else:
            link = pages.link(url_for(".map_view", id=record.id), "Go on with it")
        return {"facts": [{"label": "Report" if record.job_id else "Draft", "html": link}]}

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        faces = _faces()
        if not faces:
            abort(403)
        if request.method == "GET":
            return self._upload_page(faces, request.args.get("entity", ""))
        given = request.form
        face = next((face for face in faces if given.get("entity") in (face.name, face.plural)), None)
        file = request.files.get("file")
        if face is None:
            return self._upload_page(faces, "", errors=[_error("entity", "What is in it", "choose what the rows are")])
        if file is None or not file.filename:
            return self._upload_page(faces, face.name, errors=[_error("file", "File", "choose a file")])
        return self._receive(faces, face, file)

    def _receive(self, faces: list[Face], face: Face, file: FileStorage) -> Any:
        given = request.form
        file.stream.seek(0)  # the whole request is done again when two transactions stood in each other's way
        policy = given.get("duplicates", "skip")
        try:
            record, table = start.draft(
                face,
                file.stream,
                file.filename or "file",
                by=asking().id,
                again=given.get("again") == "1",
                duplicates=Duplicates(policy) if policy in tuple(Duplicates) else Duplicates.SKIP,
                match=given.get("match") if given.get("match") in MATCHABLE else None,
            )
        except FileRefused as refusal:
            return self._upload_page(faces, face.name, errors=[_error("file", file.filename or "File", str(refusal))])
        except start.AlreadyImported as fault:
            url = url_for(".progress_view", id=fault.before.id) if _watchable(fault.before) else None
            return self._upload_page(faces, face.name, already={"text": f"{fault}.", "url": url})
        _remember(record, table)
        return redirect(url_for(".map_view", id=record.id), 303)

    def _upload_page(
        self,
        faces: list[Face],
        chosen: str,
        *,
        errors: list[dict[str, str]] | None = None,
        already: dict[str, Any] | None = None,
    ) -> Response:
        given = request.form
        policy = given.get("duplicates", "skip")
        body = render_template(
            "desk/import_upload.html",
            page={
                "title": "Import a file",
                "breadcrumbs": self._crumbs("New"),
                "cancel_url": url_for(".index_view") if may(self.face, "read") else None,
            },
            action=url_for(".create_view"),
            errors=errors or [],
            already=already,
            max_size_text=f"{UPLOAD_LIMIT // MIB:,} MB",
            entities=[
                {
                    "value": face.name,
                    "label": face.label_plural,
                    "checked": chosen in (face.name, face.plural),
                    "template_url": url_for(".template_view", plural=face.plural),
                }
                for face in faces
            ],
            policies=[
                {"value": value.value, "label": label, "text": text, "checked": policy == value.value}
                for value, label, text in pages.POLICIES
            ],
            matches=[
                {"value": value, "label": label, "checked": given.get("match", "") == value}
                for value, label in pages.MATCHES.items()
            ],
            recent=self._recent(),
        )
        return make_response(body, 409 if already else 422 if errors else 200)

    def _recent(self) -> list[dict[str, Any]]:
        rows = db.session.scalars(
            select(Import)
            .where(Import.asked_by_id == asking().id, Import.job_id.is_not(None))
            .order_by(Import.id.desc())
            .limit(RECENT)
        )
        return [
            {
                "name": row.file_name,
                "url": url_for(".progress_view", id=row.id),
                "text": pages.file_text(row, row.rows),
                "pill": pill(row.state.label, row.state.tone),
                "when_html": moment(row.created_at),
            }
            for row in rows
        ]

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
        table = start.reopen(record, face, options)
        columns = {
            column.index: given[f"column_{column.index}"]
            for column in table.columns
            if given.get(f"column_{column.index}")
        }
        try:
            start.replan(record, face, table, columns, styles=_styles(), country=given.get("country") or None)
        except (PlanRefused, Refused) as refusal:
            offered = {landing.name for landing in landings(face, asking())}
            shown = {number: name for number, name in columns.items() if name in offered}
            plan = Plan(face.name, options, shown, _styles(), record.duplicates, record.match_by)
            return self._map_page(record, face, table, plan=plan, errors=[_error("", "", f"{refusal}.")])
        _remember(record, table)
        return redirect(url_for(".preview_view", id=record.id), 303)

    def _read_again(self, record: Import, face: Face, options: ReadOptions) -> Any:
        """With what the person overruled; the columns are suggested anew when they are others now."""
        try:
            chosen = pages.read_options(options, request.form)
            table = start.reopen(record, face, chosen)
        except FileRefused as refusal:
            return self._map_page(record, face, start.reopen(record, face), errors=[_error("", "", f"{refusal}.")])
        before = start.reopen(record, face, options)
        same = [column.name for column in table.columns] == [column.name for column in before.columns]
        columns = suggested_columns(face, table, asking())
        styles = None
        if same:
            styles = _styles()
            columns = {column.index: request.form.get(f"column_{column.index}", "") for column in table.columns}
            columns = {number: name for number, name in columns.items() if name}
        try:
            start.replan(
                record,
                face,
                table,
                columns,
                complete=False,
                styles=styles,
                country=request.form.get("country") or None,
            )
        except PlanRefused:
            start.replan(record, face, table, None, complete=False)
        _remember(record, table, dict.fromkeys(chosen.chosen, "You chose it"))
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
            return self._run(record)
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

    def _check(self, record: Import) -> Any:
        """Small files are checked at once; for large ones a job does it, and this answers its progress."""
        try:
            if record.size <= start.CHECKED_AT_ONCE or not bell.state().get("workers"):
                record.checked = start.check_now(record)
                return None
        except (FileRefused, PlanRefused, Refused) as refusal:
            flash(f"{record.file_name}: {refusal}.", "bad")
            return redirect(url_for(".map_view", id=record.id), 303)
        job = start.open_check(record)
        failed = start.failed_check(record) if job is None else None
        if failed is not None:
            flash(f"{record.file_name}: {failed.error}", "bad")
            return redirect(url_for(".map_view", id=record.id), 303)
        job = job or start.ask_check(record, by=asking().id)
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
        record, face = self._found()
        job = record.job or start.open_check(record)
        if not access.may_cancel(record, face, asking(), job):
            abort(_refusal(record))
        if job is not None and job.is_open:
            try:
                cancel.run(job, by=current_user)
            except Refused as refusal:
                flash(f"Not cancelled: {refusal}.", "warning")
        if not access.may_watch(record, face, asking()):
            return redirect(url_for("admin.index"), 303)
        back = ".progress_view" if record.job_id is not None else ".map_view"
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
        stem = record.file_name.rsplit(".", 1)[0]
        return send_file(path, mimetype=MIME, as_attachment=True, download_name=f"{stem} refused.csv", max_age=0)

    @expose("/template/<plural>/")
    def template_view(self, plural: str) -> Any:
        face = next((face for face in _faces() if face.plural == plural), None)
        if face is None:
            abort(404)
        made = io.StringIO()
        csv.writer(made).writerow(template(face, asking()))
        answer = make_response(made.getvalue())
        answer.headers["Content-Type"] = MIME
        answer.headers["Content-Disposition"] = f"attachment; filename={face.plural}-template.csv"
        return answer

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


def _faces() -> list[Face]:
    return importable(all_faces(), current_user) if current_user.is_authenticated else []


def _watchable(record: Import) -> bool:
    known = any(face.name == record.entity for face in all_faces())  # what the rows were may be gone by now
    return known and access.may_watch(record, face_named(record.entity), asking())


def _refusal(record: Import) -> int:
    """What isn't one's own isn't there; one's own is there, but no longer allowed."""
    return 403 if access.is_mine(record, asking()) else 404


def _allow_upload(endpoint: str | None, _values: Any) -> None:
    if endpoint == "imports.create_view" and request.method == "POST" and _faces():
        request.max_content_length = UPLOAD_LIMIT + MIB


def _error(name: str, label: str, text: str) -> dict[str, str]:
    return {"field_id": name, "label": label, "text": text}


def _styles() -> dict[int, str]:
    known = {*pages.DATE_STYLES, *pages.NUMBER_STYLES}
    found = {
        pages.short_number(name.removeprefix("style_")): value
        for name, value in request.form.items()
        if name.startswith("style_") and value in known
    }
    return {number: value for number, value in found.items() if number is not None}


def _remember(record: Import, table: Table, chosen: dict[str, str] | None = None) -> None:
    """Keep the reasons beside the plan: once decided, the file itself doesn't tell them again."""
    old = record.plan.get("found", {}) or {}
    reasons = {**old.get("reasons", {}), **table.found.reasons, **(chosen or {})}
    repair = table.found.repair_offered or old.get("repair")
    record.plan = {**record.plan, "found": {"reasons": reasons, "repair": repair}}
