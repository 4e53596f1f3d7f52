"""The rule of a segment built on a screen: its tree drawn anew at each step, whom it means while one builds, and what it
would change before it is kept."""

from __future__ import annotations

import json
from typing import Any

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from sqlalchemy import Text, cast, select

from admin_views import segment_tree as trees
from admin_views.cells import asking, cell, present, title_of
from admin_views.lists import may, page_of
from admin_views.segment_tree import Draft
from admin_views.segment_widgets import Builder, shown
from crm.commands import records
from crm.commands.segment_refresh import ask_anew
from crm.commands.segment_rules import why_not
from crm.core.command import Refused, WrongInput
from crm.core.entity import Face, db, face_named
from crm.models.segment_choices import SegmentType
from crm.models.segments import Segment, SegmentVersion
from crm.queries.scope import find
from crm.queries.segment_rules import trying
from crm.queries.segment_rules.dependence import is_segment
from crm.queries.segment_rules.offered import offered_segments
from crm.queries.segment_rules.reading import BadRule, Node, read_rule
from crm.queries.segment_rules.words import in_words

MANY_LEAVE = 0.2  # of the members: more than that is warned of
SOME = 10
FEW = 6  # beside the rule
# What the reader says of what was not chosen yet, as somebody who builds understands it.
_UNFINISHED = (("no field “”", "Choose a field"), ("no records “”", "Choose records"), ("no segment “”", "Choose a segment"),
               ("is required with this operator", "Give a value"), ("must have 1 to 1,000 values, not 0", "Give a value"),
               ("no operator doesn't fit", "Choose how it is compared"))  # fmt: skip


class BuilderRoutes:
    """The builder; a part of the view of segments."""

    face: Face
    _record: Any
    _crumbs: Any
    _hidden: Any
    _title: Any
    _confirm_page: Any

    @expose("/rule/", methods=("GET", "POST"))
    def rule_view(self) -> Any:
        segment: Segment = self._record("edit")
        if request.method == "POST":
            tree = trees.read_form(request.form)
            focus = trees.change(tree, request.form.get("do", ""))
            return self._page(segment, tree, focus)
        return self._page(segment, trees.draft_of(self._rule_to_begin_with(segment)), None)

    def _rule_to_begin_with(self, segment: Segment) -> Any:
        """That of the version that is asked for, else the present one."""
        asked = request.args.get("version", "")
        if not asked:
            return segment.rule
        own = select(SegmentVersion).where(
            SegmentVersion.segment_id == segment.id, cast(SegmentVersion.version, Text) == asked
        )
        kept = db.session.scalars(own).one_or_none() if may(face_named("segment_version"), "read") else None
        if kept is None:
            abort(404)
        return kept.rule

    def _page(self, segment: Segment, tree: Draft, focus: int | None, *, status: int = 200) -> Any:
        title = self._title(segment)
        here = url_for(".details_view", id=segment.id)
        page = {"title": f"Rule of {title}", "breadcrumbs": [*self._crumbs("")[:-1], (title, here), ("Rule", None)]}
        drawn = shown(tree, self._builder(segment, focus))
        body = render_template(
            "desk/segment_rule.html", page=page, tree=drawn, told=self._told(segment, tree), here=url_for(".rule_view", id=segment.id),
            build_url=url_for(".build_view", id=segment.id), tell_url=url_for(".tell_view", id=segment.id), some_url=url_for(".some_view", id=segment.id),
            explain_url=url_for(".explain_view", id=segment.id), review_url=url_for(".review_view", id=segment.id), cancel_url=here,
            hidden=self._hidden([("_version", request.form.get("_version") or self.face.version(segment))]),
            lookup_url=url_for("customers.lookup_view") if may(face_named("customer"), "read") else None,
            static=segment.type is not SegmentType.DYNAMIC)  # fmt: skip
        return make_response(body, status)

    def _builder(self, segment: Segment, focus: int | None) -> Builder:
        return Builder(url_for(".build_view", id=segment.id), offered_segments(asking(), segment.id), focus)

    @expose("/rule/build/", methods=("POST",))
    def build_view(self) -> Any:
        """The tree after a step: a fragment."""
        segment: Segment = self._record("edit")
        tree = trees.read_form(request.form)
        focus = trees.change(tree, request.form.get("do", ""))
        body = render_template("desk/_rule_tree.html", tree=shown(tree, self._builder(segment, focus)), some_url=url_for(".some_view", id=segment.id),
                               build_url=url_for(".build_view", id=segment.id))  # fmt: skip
        answer = make_response(body)
        answer.headers["HX-Trigger-After-Swap"] = "desk:rule"
        return answer

    @expose("/rule/tell/", methods=("POST",))
    def tell_view(self) -> Any:
        """Whom it means: a fragment, with what is told at each node."""
        segment: Segment = self._record("edit")
        return render_template(
            "desk/_rule_told.html",
            told=self._told(segment, trees.read_form(request.form)),
            alone=True,
            some_url=url_for(".some_view", id=segment.id),
        )

    def _told(self, segment: Segment, tree: Draft) -> dict[str, Any]:
        rule, paths = trees.rule_of(tree)
        read, faults = self._read(segment, rule)
        parts = self._parts(tree) if may(face_named("customer"), "read") else {}
        nodes: dict[int, dict[str, Any]] = {node.id: {"count": "", "faults": []} for node in tree.walk()}
        for number, counted in zip(parts, trying.counts(list(parts.values()), asking()), strict=True):
            nodes[number]["count"] = counted.words
        general: list[str] = []
        for path, sentence in faults:
            said = next((words for begins, words in _UNFINISHED if begins in sentence), sentence)
            number = trees.place_of(path, paths)
            (general if number == tree.id else nodes[number]["faults"]).append(said)
        told: dict[str, Any] = {
            "nodes": nodes,
            "faults": general,
            "unfinished": len(faults),
            "words": in_words(read) if read else "",
        }
        if read is not None and may(face_named("customer"), "read"):
            told |= {"count": trying.count(read, asking()).words, "some": _some(trying.samples(read, asking(), FEW))}
        return told

    def _read(self, segment: Segment, rule: dict[str, Any]) -> tuple[Node | None, list[tuple[str, str]]]:
        """The rule, or what is wrong with it where."""
        try:
            read = read_rule(rule, asking(), is_segment=lambda name: is_segment(name, asking()))
        except BadRule as fault:
            return None, fault.faults
        reason = why_not(rule, asking(), name=segment.name)  # a circle
        return (None, [("", reason)]) if reason else (read, [])

    def _parts(self, tree: Draft) -> dict[int, Node]:
        """The nodes that say something of customers themselves and are complete, without the whole."""
        found: dict[int, Node] = {}
        within = {inner.id for node in tree.walk() if node.kind == "related" for inner in node.inside[0].walk()}
        for node in tree.walk():
            if node.id in within or node is tree or (node.kind == "group" and not node.inside):
                continue
            try:
                found[node.id] = read_rule(
                    trees.rule_of(node)[0], asking(), is_segment=lambda name: is_segment(name, asking())
                )
            except BadRule:
                continue
        return found

    @expose("/rule/some/", methods=("POST",))
    def some_view(self) -> Any:
        """Some of those whom one node means: a fragment."""
        segment: Segment = self._record("edit")
        tree = trees.read_form(request.form)
        node = tree.named(int(request.args.get("node", "0"))) if request.args.get("node", "").isdecimal() else None
        if node is None or not may(face_named("customer"), "read"):
            abort(404)
        read, _ = self._read(segment, trees.rule_of(node)[0])
        some = _some(trying.samples(read, asking(), SOME)) if read else []
        return render_template("desk/_rule_some.html", some=some, words=in_words(read) if read else "")

    @expose("/rule/explain/", methods=("POST",))
    def explain_view(self) -> Any:
        """Why one customer is in or out: a fragment."""
        segment: Segment = self._record("edit")
        customers = face_named("customer")
        party = find(customers, asking(), request.form.get("explain", ""))
        if party is None:
            return render_template("desk/_rule_explained.html", asked=False)
        read, _ = self._read(segment, trees.rule_of(trees.read_form(request.form))[0])
        holds, told = trying.explain(read, party) if read else (False, [])
        return render_template("desk/_rule_explained.html", asked=True, read=read is not None, holds=holds, told=told,
                               title=title_of(customers, party), url=page_of("customer", party),
                               archived=party.archived_at is not None)  # fmt: skip

    @expose("/rule/review/", methods=("POST",))
    def review_view(self) -> Any:
        """What it would change, before it is kept."""
        segment: Segment = self._record("edit")
        tree = trees.read_form(request.form)
        rule, _ = trees.rule_of(tree)
        read, faults = self._read(segment, rule)
        if read is None or faults:
            return self._page(segment, tree, None, status=422)
        words = in_words(read)
        what = [f"{words[:1].upper()}{words[1:]}."]
        tone = "info"
        if segment.type is not SegmentType.DYNAMIC:
            what.append("It isn't dynamic: nobody comes or goes by the rule until it is.")
        elif may(face_named("customer"), "read"):
            told, tone = _moves(trying.would_change(segment, read, asking()))
            what += told
        pairs = [("rule", json.dumps(rule)), ("_version", request.form.get("_version", ""))]
        return self._confirm_page(
            f"Keep this rule for {self._title(segment)}?", what, [], 0, url_for(".keep_view", id=segment.id), pairs, "Save the rule",
            tone=tone, icon="filter", cancel_url=url_for(".rule_view", id=segment.id))  # fmt: skip

    @expose("/rule/keep/", methods=("POST",))
    def keep_view(self) -> Any:
        segment: Segment = self._record("edit")
        here = url_for(".details_view", id=segment.id)
        if request.form.get("_version") != self.face.version(segment):
            flash("Somebody changed the segment meanwhile: look at it, then change the rule again.", "bad")
            return redirect(here, 303)
        try:
            values = records.read_values(self.face, {"rule": request.form.get("rule", "")}, asking(), new=False)
            records.update(self.face, segment, values, asking())
        except (WrongInput, Refused) as fault:
            flash(f"The rule was not saved: {fault}.", "bad")
            return redirect(here, 303)
        ask_anew(segment, by=asking().id)
        flash(f"The rule of {self._title(segment)} was saved.", "good")
        return redirect(here, 303)


def _some(parties: list[Any]) -> list[dict[str, Any]]:
    customers = face_named("customer")
    return [{"title": title_of(customers, party), "url": page_of("customer", party), "hint": party.code,
             "cell": cell(customers, party, "status") if present(customers, ["status"]) else ""} for party in parties]  # fmt: skip


def _moves(moves: trying.Moves | None) -> tuple[list[str], str]:
    """Who would come and go, in words, and how loudly that is said."""
    if moves is None:
        return ["Who would enter and leave takes too long to tell; the refresh will say."], "info"
    customers = face_named("customer")

    def named(number: int, verb: str, some: list[Any]) -> str:
        names = ", ".join(title_of(customers, party) for party in some[:5])
        more = f" and {number - 5:,} more" if number > 5 else ""
        return f"{number:,} would {verb}" + (f": {names}{more}." if names else ".")

    told = [named(moves.entering, "enter", moves.some_entering), named(moves.leaving, "leave", moves.some_leaving),
            f"{moves.staying:,} would stay."]  # fmt: skip
    members = moves.leaving + moves.staying
    if members and moves.leaving / members > MANY_LEAVE:
        return [*told, f"That is {moves.leaving / members:.0%} of the members: look at the rule once more."], "warning"
    return told, "info"
