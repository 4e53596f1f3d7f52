"""Records side by side: whose value is kept, what would move, what speaks for a second look; and the way back."""

from __future__ import annotations

import re
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup

from admin_views.base import EntityView
from admin_views.cells import MASKED, asking, cell, fields_of, moment, title_of
from admin_views.details import _by_way_of
from admin_views.lists import endpoint, may, page_of, refuse
from crm.commands import records
from crm.commands.party_merge_verbs import chosen_by, may_choose, preview
from crm.commands.party_merges import MOST, merge_parties
from crm.commands.party_unmerges import MOST_ASSIGNED, unmerge
from crm.core.command import Refused, WrongInput
from crm.core.entity import Face, all_faces, face_named
from crm.core.fields import Field
from crm.core.permissions import PICK, Access
from crm.models.parties import Party
from crm.models.party_merges import Merge, MergeState
from crm.queries.party_merges import came_since, stands_for
from crm.queries.party_survivorship import UNION, Age, ages, chosen_fields, is_union, oldest_first, proposals
from crm.queries.scope import find

REASON_LENGTH = 2000


class CompareRoutes:
    """The page where 2 to 10 records become one; a part of the view of possible duplicates."""

    face: Face
    _crumbs: Any

    @expose("/compare/", methods=("GET", "POST"))
    def compare_view(self) -> Any:
        parties = _asked_for()
        errors: list[dict[str, str]] = []
        if request.method == "POST" and len(parties) > 1:
            try:
                return self._propose(parties) if request.form.get("do") == "propose" else self._merge(parties)
            except Refused as refusal:
                errors = [{"label": "Not merged", "text": f"{refusal}."}]
        return self._page(parties, errors), 422 if errors else 200

    def _merge(self, parties: list[Party]) -> Any:
        everybody = face_named("party")
        if not may(everybody, "merge"):
            refuse(everybody, "merge")
        if any(find(everybody, asking(), str(party.id), "merge") is None for party in parties):
            abort(404)
        picks = {name: request.form[f"pick_{name}"] for name in chosen_fields() if request.form.get(f"pick_{name}")}
        values = {name: "all" if given == str(UNION) else given for name, given in picks.items()}
        kept, *others = parties
        made = merge_parties(kept.id, [one.id for one in others], by=current_user, chosen=chosen_by(asking(), values, parties),
                             reason=request.form.get("reason", "").strip()[:REASON_LENGTH] or None)  # fmt: skip
        if made[0].state is MergeState.PROPOSED:
            flash("It is proposed: another person who may merge looks at it and confirms it.", "info")
            return redirect(url_for("merges.details_view", id=made[0].id), 303)
        number = len(others)
        flash(
            f"{number:,} {'record was' if number == 1 else 'records were'} merged into this one. The list of merges can undo it.",
            "good",
        )
        return redirect(_page_of(kept) or url_for("duplicates.index_view"), 303)

    def _propose(self, parties: list[Party]) -> Any:
        """Whoever may not merge says that they are the same."""
        if not may(self.face, "create"):
            refuse(self.face, "create")
        new = 0
        for other in parties[1:]:
            try:
                records.create(
                    self.face,
                    {"first_party": min(parties[0].id, other.id), "second_party": max(parties[0].id, other.id)},
                    asking(),
                )
                new += 1
            except WrongInput:  # somebody or the search has said so before
                continue
        flash(
            "It is proposed: somebody who may merge them decides."
            if new
            else "It is among the possible duplicates already.",
            "info",
        )
        return redirect(url_for("duplicates.index_view"), 303)

    def _page(self, parties: list[Party], errors: list[dict[str, str]]) -> str:
        everybody = face_named("party")
        context: dict[str, Any] = {
            "page": {"title": "Compare and merge", "breadcrumbs": self._crumbs("Compare")}, "errors": errors, "most": MOST,
            "records": [_head(party, parties) for party in parties], "action": url_for("duplicates.compare_view", id=[one.id for one in parties]),
            "lookup_url": url_for("parties.lookup_view"), "can_merge": all(find(everybody, asking(), str(one.id), "merge") for one in parties),
            "can_propose": may(self.face, "create"), "cancel_url": url_for("duplicates.index_view"), "reason": request.form.get("reason", ""),
        }  # fmt: skip
        if len(parties) > 1:
            known = ages(parties)
            rows = [
                _row(name, field, parties, proposals(parties, known), known) for name, field in chosen_fields().items()
            ]
            shown = [row for row in rows if row]
            told = preview(parties[0], parties[1:], {})
            context |= {
                "differing": [row for row in shown if row["differs"]], "alike": [row for row in shown if not row["differs"]],
                "moving": [_counts(one) for one in told["merged"]],
                "doubts": [f"{one['code']}: {reason}" for one in told["merged"] for reason in one["needs_second"]],
            }  # fmt: skip
        return render_template("desk/compare.html", **context)


def _asked_for() -> list[Party]:
    """The records that the address names, or those that stand for them, the one that is kept first; 404 where one isn't there."""
    face = face_named("party")
    given = [one for one in request.args.getlist("id") if one]
    if not given or len(given) > MOST:
        abort(404)
    found: dict[int, Party] = {}
    for one in given:
        party = find(face, asking(), str(stands_for(face, one) or one))
        if party is None:
            abort(404)
        found[party.id] = party
    parties = oldest_first(list(found.values()))
    keep = request.values.get("keep", "")
    return sorted(parties, key=lambda party: str(party.id) != keep)


def _face_of(party: Party) -> Face:
    """The first face under which the person sees this record."""
    faces = [face_named(name) for name in face_named("party").through]
    return next((face for face in faces if find(face, asking(), str(party.id)) is not None), face_named("party"))


def _page_of(party: Party) -> str | None:
    return page_of(_face_of(party).name, party)


def _head(party: Party, parties: list[Party]) -> dict[str, Any]:
    return {"id": party.id, "title": title_of(_face_of(party), party), "code": party.code, "url": _page_of(party),
            "kept": party is parties[0], "since_html": moment(party.created_at), "status": party.status,
            "keep_url": url_for("duplicates.compare_view", id=[one.id for one in parties], keep=party.id)}  # fmt: skip


def _row(
    name: str, field: Field, parties: list[Party], picks: dict[str, int], known: dict[tuple[int, str], Age]
) -> dict[str, Any] | None:
    """One field of all; None where the person sees it of none, or none has it."""
    faces = [_face_of(party) for party in parties]
    values = [getattr(party, field.attribute) for party in parties]
    if any(fields_of(face)[name] is Access.HIDDEN for face in faces) or not any(
        value not in (None, "", []) for value in values
    ):
        return None
    picked = request.form.get(f"pick_{name}") or str(picks[name])
    cells = []
    for party, face, value in zip(parties, faces, values, strict=True):
        shows = fields_of(face)[name].shows
        age = known.get((party.id, field.attribute)) if shows else None
        said = cell(face, party, name) if shows else MASKED if value else Markup("")
        cells.append({"id": party.id, "code": party.code, "html": said, "empty": value in (None, "", []), "picked": picked == str(party.id),
                      "age_html": moment(age.at) if age else None, "via": _by_way_of(age.via) if age else ""})  # fmt: skip
    differs = any(value != values[0] for value in values[1:]) and not (is_union(name) and not any(values))
    return {"name": name, "label": field.label, "differs": differs, "cells": cells,
            "union": {"picked": picked == str(UNION)} if is_union(name) else None,
            "choosable": all(may_choose(asking(), party, name) for party in parties)}  # fmt: skip


def _counts(told: dict[str, Any]) -> dict[str, Any]:
    """What of one record moves, by kind as the person calls it."""
    names = {face.entity.__tablename__: face.label_plural for face in reversed(all_faces())}
    return {"code": told["code"], "accounts": told["accounts"] if may(face_named("credit_account"), "read") else [],
            "moves": [(names.get(table, table), number) for table, number in sorted(told["moves"].items())],
            "stays": [(names.get(table, table), number) for table, number in sorted(told["stays"].items())]}  # fmt: skip


class MergeView(EntityView):
    """Merges; to undo one is to say what becomes of what came since."""

    rights = EntityView.rights | {"undo_view": "undo"}

    @expose("/action/", methods=("GET", "POST"))
    def action_view(self) -> Any:
        ids = request.values.getlist("rowid")
        if (
            request.method == "GET"
            and request.values.get("action") == "undo"
            and len(ids) == 1
            and may(self.face, "undo")
        ):
            return redirect(url_for(".undo_view", id=self._record("undo", ids[0]).id), 303)
        return super().action_view()

    @expose("/undo/", methods=("GET", "POST"))
    def undo_view(self) -> Any:
        made: Merge = self._record("undo")
        here = url_for(".details_view", id=made.id)
        if made.state is not MergeState.MADE:
            flash(f"Not undone: it is {made.state.label.lower()}.", "info")
            return redirect(here, 303)
        if find(face_named("party"), asking(), str(made.kept_party_id), "merge") is None and may(
            face_named("party"), "merge"
        ):
            abort(404)
        if request.method == "POST":
            try:
                unmerge(made, by=current_user, assign=_assigned())
            except Refused as refusal:
                flash(f"Not undone: {refusal}.", "bad")
                return redirect(url_for(".undo_view", id=made.id), 303)
            flash(f"{made.merged_party.code} is a record of its own again.", "good")
            return redirect(here, 303)
        return render_template(
            "desk/unmerge.html", page={"title": "Undo this merge", "breadcrumbs": self._crumbs(made.merged_party.code)},
            merged=made.merged_party.code, kept=made.kept_party.code, since=[one for one in map(_came, came_since(made, limit=50).items()) if one],
            moved=_counts({"code": "", "accounts": [], "stays": {}, "moves": _by_table(made.moved or {})})["moves"],
            action=url_for(".undo_view", id=made.id), back_url=here)  # fmt: skip


def _by_table(moved: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, number in moved.items():
        found[key.partition(".")[0]] = found.get(key.partition(".")[0], 0) + number
    return found


def _assigned() -> dict[str, list[int]]:
    chosen: dict[str, list[int]] = {}
    for given in request.form.getlist("assign")[: MOST_ASSIGNED + 1]:
        if re.fullmatch(r"[a-z_]+\.[a-z_]+:[1-9][0-9]{0,17}", given):
            key, _, number = given.partition(":")
            chosen.setdefault(key, []).append(int(number))
    return chosen


def _came(found: tuple[str, list[int]]) -> dict[str, Any] | None:
    """What came since in one column, as far as the person sees it."""
    key, ids = found
    face = next((face for face in all_faces() if face.entity.__tablename__ == key.partition(".")[0]), None)
    if face is None:
        return None
    rows = [row for number in ids if (row := find(face, asking(), str(number), PICK)) is not None]
    shown = [{"value": f"{key}:{row.id}", "title": title_of(face, row), "url": url_for(endpoint(face, "details_view"), id=row.id),
              "when_html": moment(row.created_at)} for row in rows]  # fmt: skip
    return {"label": face.label_plural, "rows": shown} if shown else None
