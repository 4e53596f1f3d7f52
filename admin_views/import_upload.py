"""The first step of the import wizard: a file, what its rows are, and the template to fill in."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from typing import Any

from flask import Response, abort, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from flask_login import current_user
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from admin_views import import_pages as pages
from admin_views.base import may
from admin_views.cells import asking, moment, pill
from crm.core.entity import Face, all_faces, db, face_named
from crm.importing import access, start
from crm.importing.files import MIB, FileRefused
from crm.importing.plan import PlanRefused
from crm.importing.profiles import recognised
from crm.importing.reading import Table
from crm.importing.storage import UPLOAD_LIMIT
from crm.importing.targets import importable, template
from crm.models.imports import Duplicates, Import

RECENT = 5
MIME = "text/csv; charset=utf-8"


class UploadRoutes:
    """Upload and template; a part of the view of imports."""

    face: Face
    _crumbs: Any

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        faces = offered()
        if not faces:
            abort(403)
        if request.method == "GET":
            return self._upload_page(faces, request.args.get("entity", "customer"))
        given = request.form
        face = next((face for face in faces if given.get("entity") in (face.name, face.plural)), None)
        file = request.files.get("file")
        if face is None:
            return self._upload_page(faces, "", errors=[error("entity", "What is in it", "choose what the rows are")])
        if file is None or not file.filename:
            return self._upload_page(faces, face.name, errors=[error("file", "File", "choose a file")])
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
            )
        except (FileRefused, PlanRefused) as refusal:
            return self._upload_page(faces, face.name, errors=[error("file", file.filename or "File", str(refusal))])
        except start.AlreadyImported as fault:
            url = url_for(".progress_view", id=fault.before.id) if watchable(fault.before) else None
            return self._upload_page(faces, face.name, already={"text": f"{fault}.", "url": url})
        remember(record, table)
        profile = recognised(face, table, asking())
        if profile is not None:
            with suppress(PlanRefused):  # what it asks for isn't there any more
                start.use_profile(record, face, table, profile, with_policy=False)
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

    @expose("/template/<plural>/")
    def template_view(self, plural: str) -> Any:
        face = next((face for face in offered() if face.plural == plural), None)
        if face is None:
            abort(404)
        made = io.StringIO()
        csv.writer(made).writerow(template(face, asking()))
        answer = make_response(made.getvalue())
        answer.headers["Content-Type"] = MIME
        answer.headers["Content-Disposition"] = f"attachment; filename={face.plural}-template.csv"
        return answer


def offered() -> list[Face]:
    return importable(all_faces(), asking()) if current_user.is_authenticated else []


def watchable(record: Import) -> bool:
    known = any(face.name == record.entity for face in all_faces())  # what the rows were may be gone by now
    return known and access.may_watch(record, face_named(record.entity), asking())


def allow_upload(endpoint: str | None, _values: Any) -> None:
    if endpoint == "imports.create_view" and request.method == "POST" and offered():
        request.max_content_length = UPLOAD_LIMIT + MIB


def error(name: str, label: str, text: str) -> dict[str, str]:
    return {"field_id": name, "label": label, "text": text}


def remember(record: Import, table: Table, chosen: dict[str, str] | None = None) -> None:
    """Keep the reasons beside the plan: once decided, the file itself doesn't tell them again."""
    old = record.plan.get("found", {}) or {}
    reasons = {**old.get("reasons", {}), **table.found.reasons, **(chosen or {})}
    repair = table.found.repair_offered or old.get("repair")
    record.plan = {**record.plan, "found": {**old, "reasons": reasons, "repair": repair}}
