"""One value changed in the list itself: the cell becomes a small form, and its answer is the cell again."""

from __future__ import annotations

from typing import Any

from flask import make_response, render_template, request, url_for
from flask_admin import expose
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.wrappers import Response

from admin_views import details
from admin_views.cells import asking, fields_of, render, title_of
from admin_views.forms import DeskForm, form_class, hidden
from admin_views.lists import page_of
from crm.commands import records
from crm.core.command import Refused, WrongInput
from crm.core.entity import Face, db
from crm.core.permissions import Access
from crm.queries.listing import BadQuery


class CellRoutes:
    """The quick change of one field; a part of a face's view. Right, scope and version are those of the form."""

    face: Face
    _record: Any

    @expose("/cell/", methods=("GET", "POST"))
    def cell_view(self) -> Any:
        record, name = self._record("edit"), request.args.get("field", "")
        if name not in self.face.about.quick or fields_of(self.face)[name] is not Access.WRITE:
            raise BadQuery("field", "is none that can be changed in the list")
        form = form_class((self.face.field(name),))(request.form if request.method == "POST" else None)
        details.fill(form, self.face, record)
        if request.method == "GET":
            return self._cell_form(form, record)
        try:
            if self._save_cell(form, record, name):
                return self._cell_form(form, record, clash=self._clash(form, record, name), status=409)
        except WrongInput as fault:
            db.session.expire(record)
            return self._cell_form(form, record, errors=list(fault.errors.values()), status=422)
        except Refused as refusal:
            return self._cell_form(form, record, errors=[str(refusal)], status=422)
        return make_response(
            render(self.face.field(name), self.face.value(record, name), record=record, url_of=page_of)
        )

    def _save_cell(self, form: DeskForm, record: Any, name: str) -> bool:
        """Whether somebody else was faster and the person has to choose; else it is saved."""
        given, chosen = form.given(), request.form.get(f"pick_{name}")
        if name not in given or chosen == "theirs":
            return False
        first = details.read_original(request.form.get("_original", "")) or {}
        if request.form.get("_version") != self.face.version(record):
            if details.clashes(self.face, record, given, first):
                return True  # also where the person has chosen: somebody else saved since
        elif first.get(name) == details.as_text(given[name]):
            return False
        values = records.read_values(self.face, given, asking(), new=False, on_screen=True)
        try:
            records.update(self.face, record, values, asking())
        except StaleDataError:
            db.session.expire(record)
            return True
        return False

    def _clash(self, form: DeskForm, record: Any, name: str) -> dict[str, Any]:
        """What the other one wrote, for the two buttons."""
        first = details.read_original(request.form.get("_original", "")) or {}
        [clash] = details.conflict(self.face, record, [name], form.given(), first)["fields"]
        return clash

    def _cell_form(self, form: DeskForm, record: Any, *, errors: list[str] | None = None,
                   clash: dict[str, Any] | None = None, status: int = 200) -> Response:  # fmt: skip
        [field] = form._fields.values()
        field.errors = errors or []
        first = request.form.get("_original", "") if status == 422 else details.original(form)
        version = request.form.get("_version", "") if status == 422 else self.face.version(record)
        body = render_template(
            "desk/_cell.html", label=f"{field.declared.label} of {title_of(self.face, record)}", control=field(), errors=errors or [],
            clash=clash, name=field.declared.name, ident=field.id,
            action=url_for(".cell_view", id=record.id, field=field.declared.name),
            hidden=hidden([("_version", version), ("_original", first)]))  # fmt: skip
        return make_response(body, status)
