"""New and edit: one form for a record and what is written with it, made once however often it is sent, and never over
somebody else's change unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.wrappers import Response

from admin_views import details, inline
from admin_views.cells import asking, title_of
from admin_views.forms import DeskForm, described, summary
from crm.commands import records
from crm.commands.sent_forms import leads_to, led_to, new_token
from crm.core.command import Refused, WrongInput
from crm.core.entity import Face, db


class Doubtful(Exception):
    """A new record may be there already; `shown` tells which ones, and `ids` is what the person may answer with."""

    def __init__(self, shown: list[dict[str, Any]], ids: str) -> None:
        super().__init__(ids)
        self.shown, self.ids = shown, ids


class EditRoutes:
    """The forms of a face; a part of its view."""

    face: Face
    create_form: Any
    edit_form: Any
    _record: Any
    _crumbs: Any
    _hidden: Any

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        form, groups = self.create_form(), self._rows(None)
        errors: Mapping[str, str] = {}
        doubt: Doubtful | None = None
        if request.method == "GET":
            self._prefill(form)
        elif inline.MORE not in request.form:
            token = request.form.get("_token", "")
            before = led_to(token, asking().id)
            if before is not None:
                flash("The form was sent twice; it was made once.", "info")
                return redirect(before, 303)
            try:
                record = self._create(form, groups)
                flash(f"{self.face.label} {title_of(self.face, record)} was made.", "good")
                here = url_for(".create_view") if "_another" in request.form else url_for(".details_view", id=record.id)
                leads_to(token, asking().id, here)
                return redirect(here, 303)
            except WrongInput as fault:
                errors = fault.errors  # the answer is an error: nothing of what was made stays
            except Doubtful as fault:
                doubt = fault
            except Refused as refusal:
                flash(f"Not made: {refusal}.", "bad")
                return redirect(url_for(".index_view"), 303)
        page = {"title": f"New {self.face.label.lower()}", "breadcrumbs": self._crumbs("New")}
        also = [{"name": "_another", "value": "1", "label": "Save and add another"}]
        token = request.form.get("_token") or new_token()
        return self._form_page(form, errors, page, url_for(".create_view"), url_for(".index_view"), also=also,
                               version=[("_token", token)], groups=groups, doubt=doubt)  # fmt: skip

    def _create(self, form: DeskForm, groups: list[inline.Rows]) -> Any:
        """All of it or nothing."""
        with db.session.begin_nested():
            values = records.read_values(self.face, form.given(), asking(), new=True, on_screen=True)
            self.doubt(values)
            record = records.create(self.face, values, asking())
            inline.save_all(groups, record)
            self.made(record)
        return record

    def doubt(self, values: Mapping[str, Any]) -> None:
        """Where a domain asks back before a record is made: raises Doubtful."""

    def made(self, record: Any) -> None:
        """What a domain does with a new record of its form, such as keeping the file that came with it."""

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> Any:
        record = self._record("edit")
        if self.face.is_archived(record):
            flash(f"{title_of(self.face, record)} is archived: restore it before you change it.", "warning")
            return redirect(url_for(".details_view", id=record.id), 303)
        form, groups = self.edit_form(), self._rows(record)
        errors: Mapping[str, str] = {}
        if request.method == "POST" and inline.MORE not in request.form:
            try:
                answer = self._save(form, record, groups)
                if answer is not None:
                    return answer
                flash(f"{title_of(self.face, record)} was saved.", "good")
                return redirect(url_for(".details_view", id=record.id), 303)
            except WrongInput as fault:
                errors = fault.errors
                db.session.expire(record)
            except Refused as refusal:
                flash(f"Not saved: {refusal}.", "bad")
                return redirect(url_for(".details_view", id=record.id), 303)
        details.fill(form, self.face, record)
        here, title = url_for(".details_view", id=record.id), title_of(self.face, record)
        page = {"title": title, "subtitle": getattr(record, "code", ""),
                "breadcrumbs": [*self._crumbs("")[:-1], (title, here), ("Edit", None)]}  # fmt: skip
        version = request.form.get("_version") or self.face.version(record)
        first = request.form.get("_original") or details.original(form)
        return self._form_page(form, errors, page, url_for(".edit_view", id=record.id), here, groups=groups,
                               version=[("_version", version), ("_original", first)])  # fmt: skip

    def _save(self, form: DeskForm, record: Any, groups: list[inline.Rows]) -> Response | None:
        """Change what the person changed. Answers the conflict page when somebody else was faster.

        A choice made on that page counts for what it showed; whoever saved since then leads to another one.
        """
        original = details.read_original(request.form.get("_original", "")) or {}
        given = {name: typed for name, typed in form.given().items()
                 if original.get(name) != details.as_text(typed) and request.form.get(f"pick_{name}") != "theirs"}  # fmt: skip
        stale = request.form.get("_version") != self.face.version(record)
        clash = details.clashes(self.face, record, given, original) if stale else []
        rows, versions = inline.conflict_fields(groups, record)
        if clash or rows:
            return self._conflict(record, clash, given, original, groups, rows, versions)
        values = records.read_values(self.face, given, asking(), new=False, on_screen=True)
        errors: dict[str, str] = {}
        try:
            records.update(self.face, record, values, asking())
        except StaleDataError:
            db.session.expire(record)
            return self._conflict(record, list(given), given, original, groups, rows, versions)
        except WrongInput as fault:
            errors |= fault.errors
        try:
            inline.save_all(groups, record)
        except WrongInput as fault:
            errors |= fault.errors
        if errors:
            raise WrongInput(errors)
        return None

    def _conflict(self, record: Any, names: list[str], given: Mapping[str, Any], original: Mapping[str, str],
                  groups: list[inline.Rows], rows: list[dict[str, Any]], versions: Mapping[str, str]) -> Response:  # fmt: skip
        kept = [("_version", self.face.version(record)), ("_original", request.form.get("_original", ""))]
        for name, typed in given.items():
            kept += [(name, item) for item in (typed if isinstance(typed, list) else [typed])]
        context = details.conflict(self.face, record, names, given, original)
        context["fields"] += rows
        page = {"title": "Somebody saved before you", "breadcrumbs": self._crumbs(title_of(self.face, record))}
        return make_response(render_template(
            "desk/conflict.html", page=page, action=url_for(".edit_view", id=record.id),
            hidden=self._hidden([*kept, *inline.sent_again(groups, versions)]),
            cancel_url=url_for(".details_view", id=record.id), **context), 409)  # fmt: skip

    def _rows(self, record: Any) -> list[inline.Rows]:
        return inline.rows_of(self.face, record, request.form if request.method == "POST" else None)

    def _prefill(self, form: DeskForm) -> None:
        """The defaults, and what a link to the form carries, such as the customer of a new contact."""
        for name, field in form._fields.items():
            field.shown = self.face.defaults.get(name)
            raw = request.args.get(name)
            if raw is not None and field.declared.kind == "reference":
                details.prefill_reference(field, raw)

    def _form_page(self, form: DeskForm, errors: Mapping[str, str], page: dict[str, Any], action: str, cancel: str, *,
                   version: list[tuple[str, str]] | None = None, also: list[dict[str, str]] | None = None,
                   extra: list[dict[str, Any]] | None = None, multipart: bool = False,
                   groups: list[inline.Rows] | None = None, doubt: Doubtful | None = None) -> Response:  # fmt: skip
        form.blame(errors)
        sections = [{"title": section.title, "help": section.help,
                     "fields": [described(form._fields[name]) for name in section.fields if name in form._fields]}
                    for section in self.face.about.sections if any(name in form._fields for name in section.fields)]  # fmt: skip
        inlines = [group.shown(errors) for group in groups or [] if group.offered]
        labels = {name: label for group in inlines for row in group["rows"] for name, label in row["labels"].items()}
        body = render_template(
            "desk/form.html", page=page, sections=[*sections, *(extra or [])], inlines=inlines, also=also or [],
            errors=summary(form, errors, labels), action=action, method="post", multipart=multipart,
            hidden=self._hidden(version or []), cancel_url=cancel, submit_label="Save", doubt=doubt)  # fmt: skip
        return make_response(body, 422 if errors else 409 if doubt else 200)
