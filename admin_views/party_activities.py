"""The timeline on a party's page, and the bar above it that logs a call, mail, meeting, note or task at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from werkzeug.datastructures import MultiDict

from admin_views import details
from admin_views.base import EntityView
from admin_views.cells import asking, cell, day, fields_of, html, moment, present, title_of
from admin_views.lists import endpoint, may, page_of
from admin_views.tabs import Tab
from crm.commands import records
from crm.core.command import Refused, WrongInput
from crm.core.entity import Face, face_named
from crm.core.permissions import PICK
from crm.models.parties import Party
from crm.queries.listing import BadQuery
from crm.queries.scope import find
from crm.queries.timeline import CHANGE, NAMES, Happened, place_text, read_asked, takes_part, timeline

LOGGED = {"call": ("interaction", "Call", "phone"), "email": ("interaction", "E-mail", "mail"),
          "meeting": ("interaction", "Meeting", "users-round"), "note": ("note", "Note", "notebook-pen"),
          "task": ("task", "Task", "square-check")}  # fmt: skip
# What the bar calls the fields of what it makes.
_ASKED = {
    "interaction": {"subject": "subject", "text": "content", "direction": "direction", "date": "follow_up_on"},
    "note": {"text": "text"},
    "task": {"subject": "subject", "text": "description", "date": "due_at"},
}
MOST_CELLS, EXCERPT = 4, 280


class PartyActivities(EntityView):
    """The tab of activities."""

    rights = EntityView.rights | dict.fromkeys(("activities_view", "timeline_view", "log"), "read")

    def activities_tab(
        self, record: Party, typed: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
    ) -> Tab:
        """`typed` and `errors` are of the bar that logs, where it could not."""
        return Tab("activities", "Activities", url_for(".activities_view", id=record.id),
                   lambda: self._activities(record, typed or {}, errors or {}))  # fmt: skip

    @expose("/activities/")
    def activities_view(self) -> Any:
        return self._activities(self._record("read"), {}, {})

    @expose("/timeline/")
    def timeline_view(self) -> Any:
        return render_template(
            "desk/_timeline.html", **self._timeline(self._record("read"), request.args, takes_part(asking()))
        )

    @expose("/log/", methods=("POST",))
    def log(self) -> Any:
        """Make what the bar was filled in for, and show the page with it."""
        record, kind = self._record("read"), request.form.get("kind", "")
        if not any(may(face_named(face), "create") for face, _, _ in LOGGED.values()):
            abort(403)
        if kind not in LOGGED:
            raise BadQuery("kind", f"is one of {', '.join(LOGGED)}")
        face = face_named(LOGGED[kind][0])
        if not may(face, "create"):
            abort(403)
        try:
            records.create(
                face,
                records.read_values(face, _given(record, kind, request.form), asking(), new=True),
                asking(),
            )
        except WrongInput as fault:
            names = {name: asked for asked, name in _ASKED[face.name].items()}
            errors = {names.get(name, "text"): text for name, text in fault.errors.items()}
        except Refused as refusal:
            errors = {"text": f"was not kept: {refusal}"}
        else:
            flash(f"{LOGGED[kind][1]} logged.", "good")
            return redirect(url_for(".details_view", id=record.id, tab="activities"), 303)
        extras = self.detail_extras(record)
        tabs = [
            self.activities_tab(record, request.form, errors) if tab.id == "activities" else tab
            for tab in extras["tabs"]
        ]
        shown = details.context(self.face, record, extras | {"tabs": tabs}, "activities")
        return make_response(render_template("desk/detail.html", **shown), 422)

    def _activities(self, record: Party, typed: Mapping[str, str], errors: Mapping[str, str]) -> str:
        kinds = [] if record.archived_at else [
            {"name": name, "label": label, "icon": icon} for name, (face, label, icon) in LOGGED.items()
            if may(face_named(face), "create")]  # fmt: skip
        sources = takes_part(asking())
        told = [(face.name, face.label) for face in sources]
        people = face_named("user")
        given = request.args if request.method == "GET" else MultiDict[str, str]()
        return render_template(
            "desk/_activities.html", kinds=kinds, typed=typed, errors=errors, log_url=url_for(".log", id=record.id),
            hidden=self._hidden([]), record=record, page_url=url_for(".details_view"),
            timeline_url=url_for(".timeline_view", id=record.id),
            types=sorted([*told, (CHANGE, f"Change of the {self.face.label.lower()}")], key=lambda pair: pair[1]), given=given,
            me=asking().id, people_url=url_for(endpoint(people, "lookup_view")) if may(people, PICK) else None,
            person=self._person(given), **self._timeline(record, given, sources))  # fmt: skip

    def _person(self, given: Mapping[str, str]) -> str:
        found = find(face_named("user"), asking(), given.get("who", ""), PICK)
        return title_of(face_named("user"), found) if found is not None else ""

    def _timeline(self, record: Party, given: MultiDict[str, str], sources: list[Face]) -> dict[str, Any]:
        """The entries of a part of the timeline, and where the next part is."""
        found, place = timeline(self.face, record, asking(), sources, read_asked(given.items(multi=True), sources))
        pairs = [(name, value) for name, value in given.items(multi=True) if name in NAMES and value]
        more = url_for(".timeline_view", id=record.id, before=place_text(place), **_several(pairs)) if place else None
        entries = [entry for one in found if (entry := self._entry(one)) is not None]
        return {"entries": entries, "more_url": more, "following": "before" in given, "narrowed": bool(pairs)}

    def _entry(self, one: Happened) -> dict[str, Any] | None:
        if one.kind == CHANGE:
            [shown] = details.entries_of(one.face, [one.what])
            # What changed is not for this person to see.
            return None if one.what.action == "update" and not shown["changes"] else shown
        return record_entry(one)


def _several(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    return MultiDict(pairs).to_dict(flat=False)


def _given(record: Party, kind: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The values of the new record: what was left empty keeps its default."""
    face = LOGGED[kind][0]
    given: dict[str, Any] = {name: form[asked] for asked, name in _ASKED[face].items() if form.get(asked)}
    if face == "interaction":
        given |= {"channel": kind} | ({"follow_up_required": "true"} if form.get("date") else {})
    return given | {"party": str(record.id)}


def record_entry(one: Happened) -> dict[str, Any]:
    """A record as a line of the timeline: what it is called, its states and amounts as in its list, its first text."""
    face, record, about = one.face, one.what, one.face.about
    assert about.timeline is not None
    by = about.timeline.by
    who = getattr(record, by) if by and fields_of(face)[by].shows else None
    is_day = face.fields[about.timeline.at].kind == "date"
    words = [name for name in present(face, about.columns) if face.field(name).kind in ("choice", "money")
             and face.value(record, name) is not None and name != about.title]  # fmt: skip
    text = next((name for section in about.detail or about.sections for name in section.fields
                 if name in face.fields and face.field(name).kind == "long_text" and fields_of(face)[name].shows), None)  # fmt: skip
    body: Any = face.value(record, text) if text else None
    if body and face.field(text or "").markdown:
        body = cell(face, record, text or "")
    elif body and len(body) > EXCERPT:
        body = body[:EXCERPT].rstrip() + "…"
    return {
        "label": face.label, "icon": about.icon, "title": title_of(face, record), "url": page_of(face.name, record),
        "cells": [cell(face, record, name) for name in words[:MOST_CELLS]], "body": body,
        "who": title_of(face_named("user"), who) if who is not None else "",
        "when_html": html('<time class="time" datetime="%s">%s</time>', one.at.date().isoformat(), day(one.at.date()))
        if is_day else moment(one.at),
    }  # fmt: skip
