"""The tabs of a party's page that show more than a table: whom it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup
from werkzeug.wrappers import Response

from admin_views.base import EntityView
from admin_views.cells import render
from admin_views.forms import hidden
from admin_views.lists import command_items, endpoint, may, page_of
from crm.commands import records
from crm.core.command import Refused, WrongInput
from crm.core.entity import face_named
from crm.models.parties import Party
from crm.models.party_choices import RELATION_BACK, RelationKind
from crm.models.party_relations import Relation
from crm.queries.relations import Node, relations_of

UNSEEN = "Somebody you may not see"


class PartyTabs(EntityView):
    """Relations on a party's page, with a line to add one."""

    rights = EntityView.rights | {"relations_view": "read", "relate": "read"}

    def own_tabs(self, record: Party) -> list[dict[str, Any]]:
        """The tabs that the person may open."""
        tabs = []
        if may(face_named("relation"), "read"):
            tabs.append(
                {
                    "id": "relations",
                    "label": "Relations",
                    "count": None,
                    "url": url_for(".relations_view", id=record.id),
                }
            )
        return tabs

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
            records.create(face, records.read_values(face, given, current_user, new=True), current_user)
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
        return redirect(url_for(".details_view", id=record.id) + f"#{tab}", 303)

    def _hidden_token(self) -> Markup:
        return hidden([("csrf_token", generate_csrf())])

    def _relations(self, record: Party, errors: Mapping[str, str] | None = None) -> str:
        found = relations_of(record, current_user)
        face = face_named("relation")

        def named(party_id: int) -> dict[str, Any]:
            other = found.names.get(party_id)
            return {"name": other.title if other else UNSEEN, "url": page_of("party", other) if other else None,
                    "status": render(other_face.field("status"), other.status) if other else "",
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
            kinds=_both_ways(), action=url_for(".relate", id=record.id), hidden=self._hidden_token(),
            lookup_url=url_for(endpoint(other_face, "lookup_view")))  # fmt: skip

    def _can_add(self, face: Any, record: Party) -> bool:
        return may(face, "create") and record.archived_at is None

    def _relation(self, face: Any, relation: Relation | None) -> dict[str, Any] | None:
        if relation is None:
            return None
        dates = [(word, face.field(name)) for word, name in (("since", "valid_from"), ("until", "valid_until"))
                 if getattr(relation, name) is not None]  # fmt: skip
        said = Markup(" ").join(Markup("{} {}").format(word, render(declared, getattr(relation, declared.attribute)))
                                for word, declared in dates)  # fmt: skip
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
