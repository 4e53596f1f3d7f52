"""Taking a list out as a file: what may be chosen, and the file itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, flash, redirect, render_template, request, stream_with_context, url_for
from flask_admin import expose

from admin_views.cells import asking
from crm.commands.exports import KEPT_FOR, LARGE, ask_for_file, note, streamed
from crm.core.entity import Face
from crm.models.imports import ExportFormat
from crm.queries.export_files import MIME
from crm.queries.exports import ALL, SHOWN, count_up_to, export_names, extract, read_columns
from crm.queries.listing import BadQuery, ListQuery


class ExportRoutes:
    """The export of a face's list; a part of its view."""

    face: Face
    _query: Any
    _list_query: Any
    _confirm_page: Any

    @expose("/export/")
    def export_form(self) -> Any:
        """Which file, and which columns: a fragment that the list opens."""
        return render_template("desk/_export.html", **export_choices(self.face, self._list_query()))

    @expose("/export/<export_type>/", methods=("GET", "POST"))
    def export(self, export_type: str) -> Any:
        """The file at once; a long one is asked for by a form and made in the background."""
        if export_type not in MIME:
            raise BadQuery("export_type", f"lists are exported as {', '.join(MIME)}")
        query, names = self._query(), read_columns(self.face, request.values.getlist("columns"), asking())
        number = count_up_to(self.face, query, asking(), LARGE)
        if request.method == "POST":
            asked = ask_for_file(self.face, export_type, query, names, by=asking(), total=number)
            flash("The file is being made; you find it here and under Exports.", "info")
            return redirect(url_for("jobs.details_view", id=asked.job_id), 303)
        if number > LARGE:
            return self._ask_for_large(export_type, query, names)
        export = note(self.face, export_type, query, names, by=asking())
        chunks = streamed(export.id, extract(self.face, query, names, export_type, by=asking()))
        answer = Response(stream_with_context(chunks), content_type=MIME[export_type])
        answer.headers["Content-Disposition"] = f'attachment; filename="{export.file_name}"'
        return answer

    def _ask_for_large(self, form: str, query: ListQuery, names: list[str]) -> Any:
        what = [f"More than {LARGE:,} records are made into a file in the background.",
                f"It is kept for {KEPT_FOR.days} days, for you alone."]  # fmt: skip
        return self._confirm_page(
            f"Export {self.face.label_plural.lower()} as {ExportFormat(form).label}?", what, [], 0,
            url_for(".export", export_type=form) + "?" + urlencode([("columns", ",".join(names)), *query.parameters()]),
            [], "Make the file", icon="download")  # fmt: skip


def export_choices(face: Face, query: ListQuery) -> dict[str, Any]:
    """What the form offers: formats, and columns with those of the list first."""
    offered = export_names(face, asking())
    first = [name for name in face.about.columns if name in offered]
    names = [*first, *(name for name in offered if name not in first)]
    shown = ",".join(name for name in query.columns if name in offered) or SHOWN
    forms = [(str(one), one.label, url_for(".export", export_type=str(one))) for one in ExportFormat if one in MIME]
    sets = [(shown, "Those of the list"), (ALL, "All fields"), ("", "Only those ticked here")]
    return {"hidden": replace(query, columns=()).parameters(), "forms": forms, "sets": sets,
            "columns": [(name, face.field(name).label) for name in names]}  # fmt: skip
