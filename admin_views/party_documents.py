"""The pages of documents and their files: a file comes with the form or later, and goes out as a download only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import flask
from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from markupsafe import Markup
from werkzeug.wrappers import Response

from admin_views.base import EntityView
from admin_views.cells import asking, moment, title_of
from admin_views.forms import row
from admin_views.lists import may
from admin_views.tabs import Tab
from crm.commands.file_contents import KEPT, LARGEST, MIB
from crm.commands.party_documents import attach, content_of
from crm.core.command import Refused, WrongInput
from crm.core.entity import Face, face_named
from crm.core.permissions import Access, access_of
from crm.models.party_documents import Attachment, Document
from crm.queries.scope import find

# A file is never shown as a page of ours: it is saved, and were it opened it could do nothing.
SHUT_IN = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}


def _files() -> Face:
    return face_named("attachment")


def may_attach() -> bool:
    """Whether the person may change what files are there at all."""
    return access_of(asking(), _files(), "file_name") is Access.WRITE


class DocumentView(EntityView):
    """A document with all its versions."""

    rights = EntityView.rights | {"upload_form": "edit"}

    def create_blueprint(self, admin: Any) -> Any:
        blueprint = super().create_blueprint(admin)
        # Before the form is read for its token: a file is larger than a form.
        blueprint.url_value_preprocessor(_allow_file)
        return blueprint

    def list_extras(self) -> dict[str, Any]:
        soon = url_for(".index_view", flt_expires_on_within_next="30 days")
        return {"secondary": [{"label": "Expiring", "url": soon, "icon": "calendar-clock"}]}

    def detail_extras(self, record: Document) -> dict[str, Any]:
        if not may(_files(), "read"):
            return {}
        can_add = may(self.face, "edit") and may_attach() and record.party.archived_at is None
        body = render_template("desk/_files.html", files=[self._file(one) for one in record.files],
                               upload_url=url_for(".upload_form", id=record.id) if can_add else None)  # fmt: skip
        return {"tabs": [Tab("overview", "Overview", html=Markup(body))]}  # noqa: S704 - our own

    def _file(self, one: Attachment) -> dict[str, Any]:
        seen = may_read(one)
        return {"name": one.file_name if seen else "Not for you to read", "version": one.version, "type": one.media_type,
                "size": said_size(one.size), "when": moment(one.created_at),
                "who": title_of(face_named("user"), one.uploaded_by) if one.uploaded_by else "The system",
                "url": url_for("attachments.file_view", id=one.id) if seen else None,
                "thumbnail_url": (url_for("attachments.thumbnail_view", id=one.id)
                                  if seen and one.media_type.startswith("image/") else None)}  # fmt: skip

    def made(self, record: Document) -> None:
        """The file that came with the form: both are kept, or neither."""
        if _given_name():
            if not may_attach():
                abort(403)
            attach(record, *_given_file())

    def _form_page(self, form: Any, errors: Mapping[str, str], page: dict[str, Any], action: str, cancel: str,
                   **more: Any) -> Response:  # fmt: skip
        """With the file as a section of its own where a new document is made."""
        if action != url_for(".create_view") or not may_attach():
            return super()._form_page(form, errors, page, action, cancel, **more)
        return super()._form_page(
            form, errors, page, action, cancel, extra=[_file_section(errors)], multipart=True, **more
        )

    @expose("/upload/", methods=("GET", "POST"))
    def upload_form(self) -> Any:
        record = self._record("edit")
        if not may_attach():
            abort(403)
        here, errors = url_for(".details_view", id=record.id), {}
        if request.method == "POST":
            try:
                made = attach(record, *_given_file())
                flash(f"{made.file_name} was kept as version {made.version}.", "good")
                return redirect(here, 303)
            except WrongInput as fault:
                errors = fault.errors
            except Refused as refusal:
                flash(f"Not kept: {refusal}.", "bad")
                return redirect(here, 303)
        page = {"title": f"File of {self._title(record)}", "breadcrumbs": self._crumbs(self._title(record))}
        faults = [{"field_id": "file", "label": "The file", "text": text} for text in errors.values()]
        body = render_template(
            "desk/form.html", page=page, sections=[_file_section(errors, required=True)], errors=faults,
            action=url_for(".upload_form", id=record.id), method="post", multipart=True, hidden=self._hidden([]),
            cancel_url=here, submit_label="Keep it")  # fmt: skip
        return make_response(body, 422 if errors else 200)


class AttachmentView(EntityView):
    """A file: who may read its name may save it."""

    rights = EntityView.rights | {"file_view": "read", "thumbnail_view": "read"}

    def detail_extras(self, record: Attachment) -> dict[str, Any]:
        if not may_read(record):
            return {}
        return {"primary": {"label": "Download", "url": url_for(".file_view", id=record.id), "icon": "download"}}

    def _readable(self) -> Attachment:
        record: Attachment = self._record("read")
        if not may_read(record):
            abort(403)
        return record

    @expose("/file/")
    def file_view(self) -> Any:
        record = self._readable()
        try:
            content = content_of(record)
        except (OSError, ValueError):
            abort(404)
        plain = re.sub(r'[^\w .()+-]|["\\]', "_", record.file_name, flags=re.ASCII)
        said = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(record.file_name, safe='')}"
        return flask.Response(content, mimetype=record.media_type, headers={**SHUT_IN, "Content-Disposition": said})

    @expose("/thumbnail/")
    def thumbnail_view(self) -> Any:
        record = self._readable()
        if record.thumbnail is None:
            abort(404)
        keep = {"Cache-Control": "private, max-age=86400"}
        return flask.Response(record.thumbnail, mimetype="image/webp", headers=SHUT_IN | keep)


def may_read(attachment: Attachment) -> bool:
    """The file is as private as its name, and is reached through its document."""
    document = find(face_named("document"), asking(), str(attachment.document_id))
    return document is not None and access_of(asking(), _files(), "file_name").shows


def said_size(size: int) -> str:
    return f"{size / MIB:.1f} MB" if size >= MIB else f"{max(1, size // 1024):,} KB"


def _given_name() -> str:
    given = request.files.get("file")
    return (given.filename or "") if given else ""


def _given_file() -> tuple[bytes, str]:
    """Raises WrongInput when there is none."""
    given = request.files.get("file")
    if given is None or not given.filename:
        raise WrongInput({"file": "is required: choose one"})
    given.stream.seek(0)  # the whole request is done again when two transactions stood in each other's way
    return given.stream.read(LARGEST + 1), given.filename


def _file_section(errors: Mapping[str, str], *, required: bool = False) -> dict[str, Any]:
    faults = [errors["file"]] if "file" in errors else []
    control = Markup('<input class="input" type="file" id="file" name="file" aria-describedby="file-help{}"{}>').format(
        " file-error" if faults else "", Markup(' aria-invalid="true"') if faults else "")  # fmt: skip
    drawn = row(control, name="file", label="File", kind="file", ident="file", wide=True, required=required, errors=faults,
                help=f"At most {LARGEST // MIB} MB: {KEPT}")  # fmt: skip
    return {"title": "File", "help": "", "fields": [{"errors": faults, "html": drawn}]}


def _allow_file(endpoint: str | None, _values: Any) -> None:
    if (endpoint or "").endswith((".upload_form", ".create_view")):
        request.max_content_length = LARGEST + MIB
