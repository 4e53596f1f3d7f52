"""The page of a segment: who is in, its rule in words and as it was, what came of its refreshes, who uses it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from babel.dates import format_date
from flask import abort, flash, redirect, render_template, request, url_for
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy import func, select

from admin_views.base import EntityView
from admin_views.cells import asking, html, moment, title_of
from admin_views.forms import described, form_class, summary
from admin_views.lists import endpoint, may, page_of, refuse
from admin_views.segment_builder import BuilderRoutes
from admin_views.segment_members import MemberRoutes
from admin_views.tabs import Tab
from crm.commands import records
from crm.commands.segment_refresh import ask_anew, can_be, under_way
from crm.core.command import WrongInput
from crm.core.days import today
from crm.core.entity import all_faces, db, face_named
from crm.core.jobs import Job
from crm.models.segment_choices import RefreshState, SegmentType
from crm.models.segments import Segment, SegmentMembership, SegmentRefresh, SegmentVersion
from crm.queries.listing import read_query
from crm.queries.scope import find
from crm.queries.segment_rules.dependence import used_by
from crm.queries.segment_rules.from_filters import NoRule, records_of, rule_of_query
from crm.queries.segment_rules.reading import read_rule
from crm.queries.segment_rules.trying import count
from crm.queries.segment_rules.words import in_words
from crm.queries.segment_trends import told, weekly
from crm.queries.segment_uses import uses

SOON = 30  # days
SHOWN = 12  # refreshes in the small line, and versions


class SegmentView(BuilderRoutes, MemberRoutes, EntityView):
    """Segments."""

    rights = EntityView.rights | {
        "rule_view": "edit", "build_view": "edit", "tell_view": "edit", "some_view": "edit", "explain_view": "edit",
        "review_view": "edit", "keep_view": "edit", "progress_view": "read", "trend_view": "read", "rules_view": "read",
        "from_list_view": "create", "from_file_view": "read",
    }  # fmt: skip

    def detail_extras(self, record: Segment) -> dict[str, Any]:
        refreshes = self._refreshes(record)
        body = render_template("desk/_segment.html", **self._progress(record), rule=told(record.rule) if record.rule else None,
                               build_url=url_for(".rule_view", id=record.id) if may(self.face, "edit") else None,
                               used=self._used(record),
                               dynamic=record.type is SegmentType.DYNAMIC)  # fmt: skip
        tabs = [Tab("overview", "Overview", html=Markup(body))]  # noqa: S704 - our own template
        if may(face_named("segment_membership"), "read"):
            tabs.append(Tab("trend", "Trend", url_for(".trend_view", id=record.id), lambda: self._trend(record)))
        if record.rule_version and may(face_named("segment_version"), "read"):
            tabs.append(Tab("versions", "Versions", url_for(".rules_view", id=record.id), lambda: self._rules(record)))
        links = [{"label": "Members from a file", "url": url_for(".from_file_view", id=record.id), "icon": "file-up"}]
        return {
            "tabs": tabs,
            "links": links if self._can_be_filled(record) else [],
            "figures": self._figures(record, refreshes),
            "alerts": self._alerts(record, refreshes),
        }

    def _used(self, record: Segment) -> list[dict[str, Any]]:
        """Kind by kind who refers to it, as far as the person may see them."""
        found = [(self.face, "Segments whose rules ask for it", used_by(record))]
        found += [(face, face.label_plural, records) for face, records in uses(record, asking())]
        return [{"label": label, "items": [{"title": title_of(face, one), "url": page_of(face.name, one)} for one in records]}
                for face, label, records in found if records]  # fmt: skip

    def _refreshes(self, record: Segment) -> list[SegmentRefresh]:
        """The last ones, newest first."""
        if not may(face_named("segment_refresh"), "read"):
            return []
        own = select(SegmentRefresh).where(
            SegmentRefresh.segment_id == record.id, SegmentRefresh.state != RefreshState.RUNNING
        )
        return list(db.session.scalars(own.order_by(SegmentRefresh.id.desc()).limit(SHOWN)))

    def _figures(self, record: Segment, refreshes: list[SegmentRefresh]) -> list[dict[str, Any]]:
        customers = face_named("customer")
        members = (
            url_for(endpoint(customers, "index_view"), flt_segment_eq=record.id) if may(customers, "read") else None
        )
        done = [one for one in refreshes if one.state is RefreshState.DONE]
        figures = [{"label": "Members", "value": f"{record.member_count:,}", "url": members, "hint": "Open as a list" if members else "",
                    "spark": [one.members for one in reversed(done)]}]  # fmt: skip
        if done:
            last = done[0]
            listed = url_for("segment_refreshes.index_view", flt_segment_eq=record.id)
            when = html("refreshed %s", moment(last.finished_at)) if last.finished_at else ""
            figures += [{"label": "Entered", "value": f"{last.entered or 0:,}", "hint": when, "url": listed},
                        {"label": "Left", "value": f"{last.gone or 0:,}", "hint": when, "url": listed}]  # fmt: skip
        return figures

    def _alerts(self, record: Segment, refreshes: list[SegmentRefresh]) -> list[dict[str, str]]:
        alerts, day = [], today()
        if refreshes and refreshes[0].state is RefreshState.FAILED:
            alerts.append({"tone": "bad", "title": "The last refresh failed", "text": refreshes[0].error or ""})
        if record.type is SegmentType.DYNAMIC and record.rule is None and may(self.face, "edit"):
            alerts.append(
                {"tone": "info", "title": "It has no rule yet: build it", "url": url_for(".rule_view", id=record.id)}
            )
        until = record.valid_until
        if until is not None and until <= day + dt.timedelta(days=SOON):
            said = format_date(until, "d MMMM y", locale="en")
            ended = until < day
            alerts.append({"tone": "warning", "title": f"It ended on {said}" if ended else f"It ends on {said}",
                           "text": "Nobody is in it any more." if ended else "Then everybody leaves."})  # fmt: skip
        alerts += self._ending(record, day)
        return alerts

    def _ending(self, record: Segment, day: dt.date) -> list[dict[str, str]]:
        """How many memberships end soon."""
        if not may(face_named("segment_membership"), "read"):
            return []
        soon = (SegmentMembership.segment_id == record.id, SegmentMembership.left_at.is_(None),
                SegmentMembership.expires_on <= day + dt.timedelta(days=SOON))  # fmt: skip
        number = db.session.scalar(select(func.count()).select_from(SegmentMembership).where(*soon)) or 0
        if not number:
            return []
        listed = url_for("segment_memberships.index_view", flt_segment_eq=record.id, flt_left_at_empty="1",
                         flt_expires_on_le=day + dt.timedelta(days=SOON))  # fmt: skip
        words = "membership ends" if number == 1 else "memberships end"
        return [{"tone": "warning", "title": f"{number:,} {words} within {SOON} days", "url": listed}]

    @expose("/from-list/", methods=("GET", "POST"))
    def from_list_view(self) -> Any:
        """A segment whose rule says what a list is filtered by: of customers, or of what belongs to them."""
        of = request.values.get("of", "customers")
        customers = face_named("customer")
        listed = next((one for one in all_faces() if one.plural == of and (one is customers or records_of(one))), None)
        if listed is None:
            abort(404)
        for face in (customers, listed):
            if not may(face, "read"):
                refuse(face, "read")
        query = read_query(listed, self._list_pairs())
        back = url_for(endpoint(listed, "index_view")) + f"?{query.address}"
        try:
            rule = rule_of_query(listed, query, asking())
        except NoRule as reason:
            flash(f"No segment was made: {reason}.", "bad")
            return redirect(back, 303)
        form = form_class((self.face.field("name"),))(request.form if request.method == "POST" else None)
        errors: Mapping[str, str] = {}
        if request.method == "POST":
            given = {"name": request.form.get("name", ""), "type": SegmentType.DYNAMIC.value, "rule": json.dumps(rule)}
            try:
                made = records.create(
                    self.face, records.read_values(self.face, given, asking(), new=True, on_screen=True), asking()
                )
                ask_anew(made, by=asking().id)
                flash(f"Segment {self._title(made)} was made.", "good")
                return redirect(url_for(".details_view", id=made.id), 303)
            except WrongInput as fault:
                errors = fault.errors
        form.blame(errors)
        node = read_rule(rule, asking())
        words, number = in_words(node), count(node, asking()).words
        what = [
            f"{words[:1].upper()}{words[1:]}.",
            f"That is {number} {'customer' if number == '1' else 'customers'} now.",
        ]
        return self._confirm_page(
            "Save this filter as a segment?", what, [], 0, url_for(".from_list_view"), [("of", of), *query.parameters()], "Make the segment", icon="chart-pie",
            cancel_url=back, fields=[described(field) for field in form._fields.values()], errors=summary(form, errors),
            status=422 if errors else 200)  # fmt: skip

    # What is under way

    @expose("/progress/")
    def progress_view(self) -> Any:
        """A fragment that asks for itself while a refresh is under way."""
        return render_template("desk/_segment_progress.html", asked=True, **self._progress(self._record("read")))

    def _progress(self, record: Segment) -> dict[str, Any]:
        job = under_way(record) if can_be(record) else None
        last = next(iter(self._refreshes(record)), None)
        return {"progress_url": url_for(".progress_view", id=record.id), "here": url_for(".details_view", id=record.id),
                "job": _job(job) if job else None, "last": last,
                "cancel": self._cancel(job, record) if job else None}  # fmt: skip

    def _cancel(self, job: Job, record: Segment) -> dict[str, Any] | None:
        """What stops the refresh, for whoever may."""
        jobs = face_named("job")
        if job.cancel_asked or find(jobs, asking(), str(job.id), "cancel") is None:
            return None
        here = url_for(".details_view", id=record.id)
        return {"url": url_for(endpoint(jobs, "action_view")), "hidden": self._hidden(
            [("action", "cancel"), ("rowid", str(job.id)), ("confirm", "1"), ("next", here)])}  # fmt: skip

    # Tabs

    @expose("/trend/")
    def trend_view(self) -> Any:
        return self._trend(self._record("read"))

    def _trend(self, record: Segment) -> str:
        weeks = weekly(record)
        days = [f"{week.last.day} {week.last:%b}" for week in weeks]
        return render_template("desk/_segment_trend.html", segment=record.id, today=today().isoformat(), weeks=list(zip(days, weeks, strict=True)),
                               points=[(label, week.members) for label, week in zip(days, weeks, strict=True)])  # fmt: skip

    @expose("/rules/")
    def rules_view(self) -> Any:
        return self._rules(self._record("read"))

    def _rules(self, record: Segment) -> str:
        """The versions of the rule, each with what changed in it."""
        if not may(face_named("segment_version"), "read"):
            return ""
        own = (
            select(SegmentVersion).where(SegmentVersion.segment_id == record.id).order_by(SegmentVersion.version.desc())
        )
        kept = list(db.session.scalars(own.limit(SHOWN + 1)))
        users = face_named("user")
        shown = [{"words": one.words, "when": moment(one.created_at), "by": title_of(users, one.made_by) if one.made_by else "The system",
                  "told": told(one.rule, before.rule if before else None), "first": before is None, "now": one.version == record.rule_version,
                  "url": url_for(".rule_view", id=record.id, version=one.version) if may(self.face, "edit") else None}
                 for one, before in zip(kept, [*kept[1:], None], strict=False)]  # fmt: skip
        return render_template("desk/_segment_rules.html", versions=shown[:SHOWN],
                               more_url=url_for("segment_versions.index_view", flt_segment_eq=record.id) if shown[SHOWN:] else None)  # fmt: skip


def _job(job: Job) -> dict[str, Any]:
    return {"percent": min(100, int(100 * job.done / job.total)) if job.total else None, "state": job.state.label,
            "tone": job.state.tone, "message": job.message or ""}  # fmt: skip
