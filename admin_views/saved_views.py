"""A list as somebody likes it: which columns it shows, and the views that are kept of it."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_admin import expose

from admin_views import lists
from admin_views.cells import asking, columns_of, fields_of
from crm.commands.saved_views import EVERYBODY, save_view, sharing
from crm.core.command import WrongInput
from crm.core.entity import Face, face_named
from crm.queries.listing import ListQuery
from crm.queries.saved_views import views_of


class ViewRoutes:
    """Columns and saved views of a face's list; a part of its view."""

    face: Face
    _query: Any

    @expose("/columns/")
    def columns_view(self) -> Any:
        """Which columns: a fragment that the list opens."""
        query = self._list_query()
        shown = columns_of(self.face, query.columns)
        names = [name for name in lists.offered_columns(self.face)[1:] if fields_of(self.face)[name].shows]
        pairs = [pair for pair in query.parameters() if pair[0] != "columns"]
        return render_template(
            "desk/_columns.html", hidden=pairs, base_url=url_for(".index_view"), chosen=bool(query.columns),
            columns=[(name, self.face.field(name).label, name in shown) for name in sorted(names, key=lambda name: name not in shown)])  # fmt: skip

    @expose("/views/", methods=("GET", "POST"))
    def views_view(self) -> Any:
        """Keep the list as it is under a name: the form is a fragment that the list opens."""
        if not lists.may(face_named("saved_view"), "edit"):
            lists.refuse(face_named("saved_view"), "edit")
        query = self._list_query()
        here = f"{url_for('.index_view')}?{query.address}"
        if request.method == "POST":
            given = {name: request.form.get(name, "").strip() for name in ("name", "shared_with")}
            try:
                view = save_view(self.face, query, **given, by=asking())
                flash(f"The view “{view.name}” was saved.", "good")
            except WrongInput as fault:
                flash(
                    "Not saved: "
                    + "; ".join(f"{name.replace('_', ' ')} {why}" for name, why in fault.errors.items())
                    + ".",
                    "bad",
                )
            return redirect(here, 303)
        mine = [view for view in views_of(self.face, asking()) if view.owner_id == asking().id]
        now = next((view for view in mine if view.query == query.address), None)
        shared = "" if now is None else EVERYBODY if now.everybody else str(now.team_id or "")
        return render_template("desk/_save_view.html", action=f"{url_for('.views_view')}?{query.address}", now=now, mine=mine,
                               shared=shared, sharing=sharing(asking()), views_url=url_for("saved_views.index_view"))  # fmt: skip

    def _list_query(self) -> ListQuery:
        """The list's query with the columns that were chosen."""
        return lists.chosen(self.face, self._query(), ",".join(request.args.getlist("columns")))
