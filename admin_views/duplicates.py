"""Possible duplicates: beside their list a page that puts one pair after the other before a person, decided by a key."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import render_template, url_for
from flask_admin import expose

from admin_views.base import EntityView
from admin_views.cells import asking, cell, initials, moment, present, title_of, tone_of
from admin_views.lists import counted, may, page_of, row_menu
from admin_views.party_merges import CompareRoutes
from crm.commands.party_merges import MOST
from crm.core.entity import Face, db, face_named
from crm.models.parties import Party
from crm.models.party_duplicates import UNDECIDED, CandidateState, DuplicateCandidate
from crm.queries.duplicates import group_of
from crm.queries.listing import count, fetch_page, read_query
from crm.queries.scope import find, visible

SIDE_BY_SIDE = (
    "status", "kind", "type", "first_name", "last_name", "company_name", "date_of_birth", "email", "email2", "phone", "phone2",
    "tax_id", "account_number", "address", "postal_code", "city", "country", "industry", "owner",
)  # fmt: skip


class DuplicateView(CompareRoutes, EntityView):
    """Records that may be the same."""

    rights = EntityView.rights | {"decide_view": "read", "compare_view": "read"}

    def list_extras(self) -> dict[str, Any]:
        one_by_one = {
            "label": "Decide one by one",
            "url": self._decide_url(self._query().parameters()),
            "icon": "columns-3",
        }
        return {"secondary": [one_by_one]}

    @expose("/menu/")
    def menu_view(self) -> Any:
        record = self._record("read")
        compare = [link | {"method": "get", "tone": ""} for link in self._compare_links(record)]
        return render_template("desk/_row_menu.html", items=[*compare, *row_menu(self.face, record)])

    def detail_extras(self, record: DuplicateCandidate) -> dict[str, Any]:
        return {"links": self._compare_links(record)}

    def _compare_links(self, candidate: DuplicateCandidate) -> list[dict[str, Any]]:
        """The way to the two side by side, and before it that to the whole group."""
        parties = [candidate.first_party, candidate.second_party]
        if candidate.state not in UNDECIDED or None in map(_seen_as, parties):
            return []
        group = _group(candidate)
        two = {
            "label": "Compare only these two" if group[2:] else "Compare",
            "url": self._compare_url([one.id for one in parties]),
        }
        all_ = {"label": f"Compare all {len(group)}", "url": self._compare_url([one.id for one in group])}
        return [link | {"icon": "columns-3"} for link in ([all_, two] if group[2:] else [two])]

    @expose("/decide/")
    def decide_view(self) -> Any:
        """The likeliest pair that nobody has decided yet, of those that the list's query leaves."""
        pairs = [pair for pair in self._query().parameters() if not pair[0].startswith(("flt_state", "sort", "desc"))]
        undecided = [("flt_state_eq", CandidateState.OPEN.value), ("sort", "score"), ("desc", "1"), ("limit", "1")]
        query = read_query(self.face, [*pairs, *undecided])
        page = fetch_page(self.face, query, asking())
        number, exact = count(self.face, query, asking(), page)
        here = self._decide_url(pairs)
        shown = {"title": "Decide one by one", "breadcrumbs": [*self._crumbs("")[:-1], ("Decide one by one", None)]}
        return render_template(
            "desk/decide.html", page=shown, list_url=url_for(".index_view"), count=counted(number, exact), action_url=url_for(".action_view"),
            hidden=self._hidden([("confirm", "1"), ("next", here)]), **(self._pair(page.rows[0]) if page.rows else {}))  # fmt: skip

    def _decide_url(self, pairs: list[tuple[str, str]]) -> str:
        return url_for(".decide_view") + ("?" + urlencode(pairs) if pairs else "")

    def _pair(self, candidate: DuplicateCandidate) -> dict[str, Any]:
        parties = [candidate.first_party, candidate.second_party]
        faces = [_seen_as(party) for party in parties]
        seen = [(face, party) for face, party in zip(faces, parties, strict=True) if face is not None]
        rows = [_row(name, faces, parties) for name in SIDE_BY_SIDE]
        group = _group(candidate) if len(seen) == len(parties) else []
        return {"candidate": candidate, "heads": [_head(face, party) for face, party in zip(faces, parties, strict=True)],
                "rows": [row for row in rows if row], "reasons": self._reasons(candidate),
                "same_url": self._compare_url([one.id for one in group]) if group else None, "group": group[2:],
                "pair_url": self._compare_url([party.id for party in parties]) if len(group) > 2 else None,
                "decisions": [verb for verb in ("different", "later") if may(self.face, verb)]}  # fmt: skip

    def _compare_url(self, ids: list[int]) -> str:
        return url_for(".compare_view", id=ids)

    def _reasons(self, candidate: DuplicateCandidate) -> Any:
        return cell(self.face, candidate, "reasons") if present(self.face, ["reasons"]) else ""


def _group(candidate: DuplicateCandidate) -> list[Party]:
    """The two, and whoever else undecided pairs join with them, as far as the person sees them."""
    statement = visible(face_named("party"), asking()).where(Party.archived_at.is_(None))
    ids = group_of(candidate, MOST)
    found = {party.id: party for party in db.session.scalars(statement.where(Party.id.in_(ids)))}
    two = (candidate.first_party, candidate.second_party)
    return [*two, *(found[one] for one in ids if one in found and found[one] not in two)]


def _seen_as(party: Party) -> Face | None:
    """The first face under which the person may see this record."""
    faces = (face_named(name) for name in face_named("party").through)
    return next((face for face in faces if find(face, asking(), str(party.id)) is not None), None)


def _head(face: Face | None, party: Party) -> dict[str, Any] | None:
    if face is None:
        return None
    title = title_of(face, party)
    return {"title": title, "code": party.code, "url": page_of(face.name, party), "initials": initials(title),
            "tone": tone_of(party), "made": moment(party.created_at)}  # fmt: skip


def _row(name: str, faces: list[Face | None], parties: list[Party]) -> dict[str, Any] | None:
    """One field of both, as far as the person sees it; None where neither says anything."""
    shown = [face is not None and bool(present(face, [name])) for face in faces]
    values = [
        face.value(party, name) if face and there else None
        for face, party, there in zip(faces, parties, shown, strict=True)
    ]
    if not any(value not in (None, "", []) for value in values):
        return None
    cells = [
        cell(face, party, name, page_of) if face and there else ""
        for face, party, there in zip(faces, parties, shown, strict=True)
    ]
    label = next(face.field(name).label for face in faces if face is not None)
    return {"label": label, "cells": cells, "differs": all(shown) and values[0] != values[1]}
