"""The generator: from a face's declaration a list, form, detail page, commands with their questions, export and picker.

Flask-Admin gives addresses, menus and the form machinery; every way to a row goes through the query functions that
know the row scope, and every route names the right it needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from flask import abort, flash, jsonify, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from flask_admin.helpers import get_form_data
from flask_admin.model import BaseModelView
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response

from admin_views import details, lists, table
from admin_views.access import safe_next
from admin_views.cell_edit import CellRoutes
from admin_views.cells import asking, columns_of, fields_of, title_of
from admin_views.editing import EditRoutes
from admin_views.exports import ExportRoutes
from admin_views.forms import DeskForm, described, form_class, hidden, summary
from admin_views.lists import may
from admin_views.saved_views import ViewRoutes
from admin_views.tabs import draw_related
from crm.commands import records
from crm.commands.batch import ask_for_all, count_meant
from crm.core.command import Command, Outcome, Refused, WrongInput, command_named, perform
from crm.core.entity import Face
from crm.core.permissions import PICK
from crm.queries.listing import BadQuery, ListQuery, count, drawn, fetch_page, read_query
from crm.queries.scope import find, row_scope

MOST_TICKED = 500
LOOKUP_ROWS = 20


class EntityView(EditRoutes, ExportRoutes, CellRoutes, ViewRoutes, BaseModelView):
    """Screens of one face. Subclass it only where a domain needs more."""

    # Which right a route needs; a route that isn't named here is refused. `None`: the route decides by the command.
    rights: dict[str, str | None] = {
        "index_view": "read", "create_view": "create", "edit_view": "edit", "details_view": "read",
        "delete_view": "delete", "action_view": None, "export": "export", "export_form": "export", "lookup_view": PICK,
        "history_view": "read", "related_view": "read", "menu_view": "read", "filters_view": "read", "cell_view": "edit",
        "columns_view": "read", "views_view": "read",
    }  # fmt: skip

    def __init__(self, face: Face) -> None:
        self.face = face
        endpoint = face.plural.replace("-", "_")
        super().__init__(face.entity, name=face.label_plural, category=face.about.area, endpoint=endpoint,
                         url=f"/admin/{face.plural}")  # fmt: skip

    # What Flask-Admin asks of a model view; lists and filters are drawn by our own templates.

    def scaffold_list_columns(self) -> list[str]:
        return list(self.face.about.columns)

    def scaffold_sortable_columns(self) -> dict[str, str]:
        return {name: name for name in self.face.about.sort}

    def scaffold_form(self) -> type[DeskForm]:
        return DeskForm  # the real one is made when it is first opened: those of all faces are a part of starting

    @cached_property
    def _form_class(self) -> type[DeskForm]:
        return form_class(tuple(self.face.form_fields))

    def scaffold_list_form(self, widget: Any = None, validators: Any = None) -> None:
        return None

    def init_search(self) -> bool:
        return bool(self.face.about.search)

    def get_pk_value(self, model: Any) -> Any:
        return model.id

    def get_one(self, id: Any) -> Any:
        return find(self.face, asking(), str(id))

    def is_accessible(self) -> bool:
        return may(self.face, "read")

    def _handle_view(self, name: str, **_: Any) -> Response | None:
        if not current_user.is_authenticated:
            return redirect(url_for("access.login", next=request.full_path.rstrip("?")))
        right = self.rights.get(name, "")
        if right == "":
            abort(403)
        if right is not None and not may(self.face, right):
            lists.refuse(self.face, right)
        return None

    # Reading

    @expose("/")
    def index_view(self) -> Any:
        query = self._list_query()
        names = columns_of(self.face, query.columns)
        page = fetch_page(self.face, query, asking(), load=drawn(self.face, query, names))
        number, exact = count(self.face, query, asking(), page)
        context = lists.context(self.face, query, page, number, exact, self.list_extras())
        body = table.rows(self.face, page.rows, names, ticks=bool(context["commands"]))
        return render_template("desk/list.html", rows=body, **context)

    def list_extras(self) -> dict[str, Any]:
        """What a domain adds to its list: a `description`, `secondary` actions, the `empty` state."""
        return {}

    @expose("/filters/")
    def filters_view(self) -> Any:
        return render_template("desk/_filter_fields.html", filters=lists.filter_fields(self.face, self._list_query()))

    @expose("/menu/")
    def menu_view(self) -> Any:
        return render_template("desk/_row_menu.html", items=lists.row_menu(self.face, self._record("read")))

    @expose("/details/")
    def details_view(self) -> Any:
        record = self._record("read")
        shown = details.context(self.face, record, self.detail_extras(record), request.args.get("tab", ""))
        return render_template("desk/detail.html", **shown)

    def detail_extras(self, record: Any) -> dict[str, Any]:
        """What a domain adds to its page: `alerts`, `figures`, `facts`, `tabs`, `links`."""
        return {}

    @expose("/history/")
    def history_view(self) -> Any:
        record = self._record("read")
        return render_template("desk/history.html", **details.history_page(self.face, record))

    @expose("/related/")
    def related_view(self) -> Any:
        record = self._record("read")
        relations = request.args.getlist("relation")
        if not relations or set(relations).difference(self.face.about.related):
            abort(404)
        return draw_related(self.face, record, relations)

    @expose("/lookup/")
    def lookup_view(self) -> Any:
        term = request.args.get("q", "").strip()
        pairs = [("search", term)] if term else []
        rows = fetch_page(
            self.face, read_query(self.face, [*pairs, ("limit", str(LOOKUP_ROWS))]), asking(), verb=PICK
        ).rows
        rows = self.picked(rows, term)
        return jsonify(items=[{"id": row.id, "text": title_of(self.face, row), "hint": lists.hint(self.face, row)}
                              for row in rows])  # fmt: skip

    def picked(self, rows: Any, term: str) -> Any:
        """What a picker offers for what was typed, instead of these records."""
        return rows

    # Writing

    @expose("/delete/", methods=("POST",))
    def delete_view(self) -> Any:
        record = self._record("delete", request.values.get("id"))
        title = self._title(record)
        if request.form.get("confirm") != "1":
            return self._confirm_page(
                f"Delete {title}?", ["It is removed for good; its history stays in the audit."], [title], 0,
                url_for(".delete_view"), [("id", str(record.id)), ("confirm", "1")], "Delete", tone="bad")  # fmt: skip
        try:
            records.delete(self.face, record)
        except Refused as refusal:
            flash(f"{title} was not deleted: {refusal}.", "bad")
            return redirect(url_for(".details_view", id=record.id), 303)
        flash(f"{title} was deleted.", "good")
        return redirect(url_for(".index_view"), 303)

    @expose("/action/", methods=("GET", "POST"))
    def action_view(self) -> Any:
        """Ask for a command's values, then do it: to the ticked rows, or to all that match as a job."""
        given = request.values
        made = command_named(self.face, given.get("action", ""))
        if made is None:
            abort(404)
        if not may(self.face, made.verb):
            lists.refuse(self.face, made.verb)
        # A link to a command may carry the values it asks for.
        form = form_class(tuple(made.asks.values()))(request.form if request.method == "POST" else request.args)
        ids = self._ticked()
        errors: Mapping[str, str] = {}
        if request.method == "POST" and given.get("confirm") == "1":
            try:
                values = made.read({name: typed for name, typed in form.given().items() if name in made.asks})
                return self._perform_all(made, form) if ids is None else self._perform(made, form, ids, values)
            except WrongInput as fault:
                errors = fault.errors
        return self._ask(made, form, ids, errors)

    def _perform_all(self, made: Command, form: DeskForm) -> Response:
        try:
            job = ask_for_all(self.face, made.verb, self._list_pairs(), form.given(), by=asking())
        except Refused as refusal:
            flash(f"Not done: {refusal}.", "bad")
            return redirect(self._list_url(), 303)
        flash(f"{made.label}: {job.total or 0:,} records are being worked on.", "info")
        return redirect(url_for("jobs.details_view", id=job.id), 303)

    def _perform(self, made: Command, form: DeskForm, ids: list[int], values: Mapping[str, Any]) -> Any:
        outcomes = perform(
            made,
            ids,
            by=current_user,
            values=values,
            where=row_scope(self.face, asking(), made.verb),
            name=self._title,
        )
        refused = [outcome for outcome in outcomes if not outcome.done]
        if len(outcomes) == 1:
            typed = any(values[name] for name, asked in made.asks.items() if asked.kind in ("text", "long_text"))
            if refused and typed and self._reachable(made, ids[0]) is not None:  # what was typed isn't lost
                return self._ask(made, form, ids, {"": f"Not done: {refused[0].reason}."})
            return self._one_done(made, outcomes[0])
        done = len(outcomes) - len(refused)
        if not refused:
            flash(f"{made.label}: {done:,} {self._words(done)} done.", "good")
            return redirect(self._list_url(), 303)
        shown = [{"name": outcome.title, "url": url_for(".details_view", id=outcome.id), "reason": outcome.reason}
                 for outcome in refused]  # fmt: skip
        return render_template("desk/result.html", page={"title": made.label, "breadcrumbs": self._crumbs(made.label)},
                               done=done, refused=shown, back_url=self._list_url())  # fmt: skip

    def _one_done(self, made: Command, outcome: Outcome) -> Response:
        if outcome.done:
            flash(f"{made.label}: done for {outcome.title}.", "good")
        else:
            flash(f"Not done for {outcome.title}: {outcome.reason}.", "bad")
        back = request.form.get("next")
        return redirect(safe_next(back) if back else url_for(".details_view", id=outcome.id), 303)

    def _ask(self, made: Command, form: DeskForm, ids: list[int] | None, errors: Mapping[str, str]) -> Any:
        form.blame(errors)
        if (
            made.suggests
            and request.method == "GET"
            and ids is not None
            and len(ids) == 1
            and (only := self._reachable(made, ids[0]))
        ):
            details.suggest(form, made.suggests(only, current_user))
        pairs = [("action", made.verb), ("confirm", "1")]
        if request.values.get("next"):
            pairs.append(("next", request.values["next"]))
        what = [line for line in (made.help, made.confirm) if line]
        query = read_query(self.face, self._list_pairs(), strict=False) if ids is None else None
        if query:
            number = count_meant(self.face, made.verb, query, by=asking())
            if not number:
                flash("Nothing matches: there is nothing to do.", "info")
                return redirect(self._list_url(), 303)
            pairs.append(("all", "1"))
            rows = fetch_page(self.face, replace(query, limit=10), asking(), verb=made.verb).rows
        else:
            assert ids is not None
            rows = [row for row in (self._reachable(made, one) for one in ids[:10]) if row is not None]
            number = len(ids)
            pairs += [("rowid", str(one)) for one in ids]
            if not rows:
                abort(404)
        one = rows[0] if ids is not None and number == 1 else None
        whom = self._title(one) if one else f"{number:,} {self._words(number)}"
        back = url_for(".details_view", id=one.id) if one else self._list_url()
        pairs += self._list_pairs()
        return self._confirm_page(
            f"{made.label}{':' if ' ' in made.label else ''} {whom}?", what, [self._title(row) for row in rows], max(0, number - len(rows)),
            url_for(".action_view"), pairs, made.label, tone=made.tone, icon=made.icon, cancel_url=back,
            fields=[described(field) for field in form._fields.values()], errors=summary(form, errors),
            preview=self.preview(made, ids, query), status=422 if errors else 200)  # fmt: skip

    def preview(self, made: Command, ids: list[int] | None, query: ListQuery | None) -> list[dict[str, Any]]:
        """What would become of the ticked, or of those that match: lines of `label`, `number`, `sum_html`, `tone`."""
        return []

    def _reachable(self, made: Command, record_id: int) -> Any:
        return find(self.face, asking(), str(record_id), made.verb)

    # Parts

    def _title(self, record: Any) -> str:
        return title_of(self.face, record)

    def create_form(self, obj: Any = None) -> DeskForm:
        return self._form_class(get_form_data(), obj=obj).only_writable(fields_of(self.face))

    edit_form = create_form

    def _words(self, number: int) -> str:
        return (self.face.label if number == 1 else self.face.label_plural).lower()

    def _query(self, *besides: str) -> Any:
        """What the address asks of the list; `besides` are parameters that aren't the list's."""
        return read_query(self.face, [pair for pair in request.args.items(multi=True) if pair[0] not in besides
                                      and (pair[1] != "" or re.search(r"_(not_)?empty$", pair[0]))])  # fmt: skip

    def _list_pairs(self) -> list[tuple[str, str]]:
        """The list's own query among what a batch action was posted with."""
        return [(name, value) for given in (request.args, request.form) for name, value in given.items(multi=True)
                if name in ("search", "sort", "desc", "columns") or name.startswith("flt_")]  # fmt: skip

    def _list_url(self) -> str:
        """The list as it was when the person left it for a question."""
        pairs = self._list_pairs()
        return url_for(".index_view") + ("?" + urlencode(pairs) if pairs else "")

    def _ticked(self) -> list[int] | None:
        """The ticked rows; None for all that match."""
        if request.values.get("all") == "1":
            return None
        ids = [int(raw) for raw in request.values.getlist("rowid") if re.fullmatch(r"[1-9][0-9]{0,17}", raw)]
        if not ids or len(ids) > MOST_TICKED or len(ids) != len(request.values.getlist("rowid")):
            raise BadQuery("rowid", f"tick 1 to {MOST_TICKED} rows, or choose all that match")
        return ids

    def _record(self, verb: str, given: str | None = None) -> Any:
        record = find(self.face, asking(), given or request.args.get("id", ""), verb)
        if record is None:
            abort(404)
        return record

    def _crumbs(self, last: str | None = None) -> list[tuple[str, str | None]]:
        crumbs: list[tuple[str, str | None]] = [(self.face.about.area, None)]
        if last is None:
            return [*crumbs, (self.face.label_plural, None)]
        return [*crumbs, (self.face.label_plural, url_for(".index_view")), (last, None)]

    def _hidden(self, pairs: list[tuple[str, str]]) -> Any:
        return hidden([("csrf_token", generate_csrf()), *pairs])

    def _confirm_page(self, question: str, what: list[str], targets: list[str], more: int, action: str,
                      pairs: list[tuple[str, str]], submit: str, *, tone: str = "neutral", icon: str = "",
                      cancel_url: str | None = None, fields: list[Any] | None = None, errors: list[Any] | None = None,
                      preview: list[dict[str, Any]] | None = None, status: int = 200) -> Response:  # fmt: skip
        body = render_template(
            "desk/confirm.html", page={"title": question, "breadcrumbs": self._crumbs(submit)}, question=question,
            what=what, targets=targets, more=more, fields=fields or [], action=action, hidden=self._hidden(pairs),
            tone=tone, icon=icon, submit_label=submit, cancel_url=cancel_url or url_for(".index_view"),
            errors=errors or [], preview=preview or [])  # fmt: skip
        return make_response(body, status)

    # Flask-Admin's own ways in that we don't offer: they know no row scope.

    @expose("/ajax/lookup/")
    def ajax_lookup(self) -> Any:
        abort(404)

    @expose("/ajax/update/", methods=["POST"])
    def ajax_update(self) -> Any:
        abort(404)
