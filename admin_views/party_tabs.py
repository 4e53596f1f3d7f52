"""The tabs of a party's page that show more than a table: what colleagues noted, whom it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import Select
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response

from admin_views.base import EntityView
from admin_views.cells import asking, cell, initials, moment, present, title_of, tone_of
from admin_views.lists import command_items, endpoint, may, page_of
from admin_views.tabs import RELATED_ROWS, Tab
from crm.commands import records
from crm.commands.party_notes import pin, unpin
from crm.core.command import Refused, WrongInput, perform
from crm.core.entity import db, face_named
from crm.core.permissions import access_of
from crm.models.parties import Party
from crm.models.party_choices import RELATION_BACK, RelationKind
from crm.models.party_notes import Note
from crm.models.party_relations import Relation
from crm.queries.relations import Node, relations_of
from crm.queries.scope import find, visible

UNSEEN = "Somebody you may not see"
UNREAD = Markup('<p class="muted">Its text is not for you to read.</p>')


class PartyTabs(EntityView):
    """Notes and relations on a party's page, each with a line to add one."""

    rights = EntityView.rights | dict.fromkeys(("notes_view", "note", "pin_note", "relations_view", "relate"), "read")

    def own_tabs(self, record: Party) -> list[Tab]:
        """The tabs that the person may open."""
        tabs = []
        if may(face_named("note"), "read"):
            tabs.append(Tab("notes", "Notes", url_for(".notes_view", id=record.id), lambda: self._notes(record),
                            ("notes",)))  # fmt: skip
        if may(face_named("relation"), "read"):
            tabs.append(
                Tab("relations", "Relations", url_for(".relations_view", id=record.id), lambda: self._relations(record))
            )
        return tabs

    # Notes

    @expose("/notes/")
    def notes_view(self) -> Any:
        record = self._record("read")
        if not may(face_named("note"), "read"):
            abort(403)
        return self._notes(record)

    @expose("/note/", methods=("POST",))
    def note(self) -> Any:
        record = self._record("read")
        face = face_named("note")
        if not may(face, "create"):
            abort(403)
        given = {"party": str(record.id), "text": request.form.get("text", "")}
        errors: Mapping[str, str] = {}
        try:
            made = records.create(face, records.read_values(face, given, asking(), new=True), asking())
            if "pin" in request.form and may(face, "pin"):
                pin.run(made, by=current_user)
                db.session.flush()
        except WrongInput as fault:
            errors = fault.errors
        except Refused as refusal:
            errors = {"text": f"was not kept: {refusal}"}
        return self._added(record, "notes", errors, lambda: self._notes(record, errors))

    @expose("/pin/", methods=("POST",))
    def pin_note(self) -> Any:
        record = self._record("read")
        face = face_named("note")
        made = unpin if request.form.get("action") == "unpin" else pin
        if not may(face, made.verb):
            abort(403)
        note = find(face, asking(), request.form.get("note", ""), made.verb)
        if note is None or note.party_id != record.id:
            abort(404)
        [outcome] = perform(made, [note.id], by=current_user, values={})
        errors = {} if outcome.done else {"text": f"was left as it is: {outcome.reason}"}
        return self._added(record, "notes", errors, lambda: self._notes(record, errors))

    def _notes_of(self, record: Party) -> Select[Any]:
        return visible(face_named("note"), asking()).where(Note.party_id == record.id)

    def _notes(self, record: Party, errors: Mapping[str, str] | None = None) -> str:
        face = face_named("note")
        first = self._notes_of(record).order_by(Note.pinned_at.desc().nulls_last(), Note.id.desc())
        rows = list(db.session.scalars(first.options(selectinload(Note.author)).limit(RELATED_ROWS + 1)))
        return render_template(
            "desk/_notes.html", errors=errors or {}, given=request.form.get("text", "") if errors else "",
            notes=[self._note(face, row) for row in rows[:RELATED_ROWS]], can_add=self._can_add(face, record),
            action=url_for(".note", id=record.id), pin_url=url_for(".pin_note", id=record.id), hidden=self._hidden([]),
            more_url=(url_for(endpoint(face, "index_view"), flt_party_eq=record.id)
                      if len(rows) > RELATED_ROWS else None))  # fmt: skip

    def _note(self, face: Any, row: Note) -> dict[str, Any]:
        who = title_of(face_named("user"), row.author) if row.author else "The system"
        can_pin = may(face, "unpin" if row.pinned_at else "pin") and row.party.archived_at is None
        can_edit = may(face, "edit") and row.party.archived_at is None
        reads = access_of(asking(), face, "text").shows
        return {"id": row.id, "who": who, "initials": initials(who), "tone": tone_of(row.author) if row.author else 0,
                "when": moment(row.created_at), "edited": moment(row.edited_at) if row.edited_at else "",
                "html": cell(face, row, "text") if reads else UNREAD, "pinned": row.pinned_at is not None, "can_pin": can_pin,
                "edit_url": url_for(endpoint(face, "edit_view"), id=row.id) if can_edit else None}  # fmt: skip

    # Relations

    @expose("/relations/")
    def relations_view(self) -> Any:
        record = self._record("read")
        if not may(face_named("relation"), "read"):
            abort(403)
        return self._relations(record)

    @expose("/relate/", methods=("POST",))
    def relate(self) -> Any:
        """`kind` may end in `:back`: then the other is what the word says to this one."""
        record = self._record("read")
        face = face_named("relation")
        if not may(face, "create"):
            abort(403)
        kind, _, back = request.form.get("kind", "").partition(":")
        ends = ("to_party", "from_party") if back else ("from_party", "to_party")
        given = {"kind": kind, ends[0]: str(record.id), ends[1]: request.form.get("other", ""),
                 "valid_from": request.form.get("valid_from", "")}  # fmt: skip
        errors: Mapping[str, str] = {}
        try:
            records.create(face, records.read_values(face, given, asking(), new=True), asking())
        except WrongInput as fault:
            # What is said of this one's side of it is said of the other's: this one isn't typed here.
            errors = {"other" if name.endswith("_party") else name: text for name, text in fault.errors.items()}
        except Refused as refusal:
            errors = {"other": str(refusal)}
        return self._added(record, "relations", errors, lambda: self._relations(record, errors))

    def _added(self, record: Party, tab: str, errors: Mapping[str, str], draw: Any) -> Response:
        """The tab anew for htmx; without JavaScript the page, with what was wrong said on top of it."""
        if request.headers.get("HX-Request"):
            return make_response(draw(), 422 if errors else 200)
        for text in errors.values():
            flash(f"Not added: it {text}.", "bad")
        return redirect(url_for(".details_view", id=record.id, tab=tab), 303)

    def _relations(self, record: Party, errors: Mapping[str, str] | None = None) -> str:
        found = relations_of(record, asking())
        face = face_named("relation")

        def named(party_id: int) -> dict[str, Any]:
            other = found.seen.get(party_id)
            return {"name": title_of(other_face, other) if other else UNSEEN, "url": page_of("party", other) if other else None,
                    "status": cell(other_face, other, "status") if other and present(other_face, ["status"]) else "",
                    "here": party_id == record.id}  # fmt: skip

        def branch(node: Node) -> dict[str, Any]:
            return named(node.party_id) | {"again": node.again, "below": [branch(one) for one in node.below],
                                           "relation": self._relation(face, node.relation)}  # fmt: skip

        def line(one: Relation) -> dict[str, Any]:
            forth = one.from_party_id == record.id
            return named(one.to_party_id if forth else one.from_party_id) | {
                "words": one.kind.label if forth else one.back, "relation": self._relation(face, one)}  # fmt: skip

        other_face = face_named("party")
        given = request.form if errors else {}
        return render_template(
            "desk/_relations.html", record=record, errors=errors or {}, given=given, can_add=self._can_add(face, record),
            trees=[{"title": kind.label, "id": kind.value, "nodes": [branch(node) for node in nodes]}
                   for kind, nodes in found.trees.items()],
            others=[line(one) for one in found.others], past=[line(one) for one in found.past],
            kinds=_both_ways(), action=url_for(".relate", id=record.id), hidden=self._hidden([]),
            lookup_url=url_for(endpoint(other_face, "lookup_view")))  # fmt: skip

    def _can_add(self, face: Any, record: Party) -> bool:
        return may(face, "create") and record.archived_at is None

    def _relation(self, face: Any, relation: Relation | None) -> dict[str, Any] | None:
        if relation is None:
            return None
        words = {"valid_from": "since", "valid_until": "until"}
        dates = [name for name in present(face, words) if getattr(relation, name) is not None]
        said = Markup(" ").join(Markup("{} {}").format(words[name], cell(face, relation, name)) for name in dates)
        return {"url": url_for(endpoint(face, "details_view"), id=relation.id), "dates": said, "id": relation.id,
                "commands": command_items(face, relation)}  # fmt: skip


def _both_ways() -> list[tuple[str, str]]:
    """Every word that fits between the one and the other."""
    choices = []
    for kind in RelationKind:
        choices.append((kind.value, kind.label))
        if RELATION_BACK[kind] != kind.label:
            choices.append((f"{kind.value}:back", RELATION_BACK[kind]))
    return choices
