"""The first page: it greets an empty system with its first steps, and a full one with what is going on."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from flask import abort, flash, redirect, render_template, request, url_for
from flask_admin import AdminIndexView, expose
from flask_login import current_user

from admin_views.cells import asking, initials, moment, title_of, tone_of, zone
from admin_views.lists import counted, endpoint, may
from admin_views.rights import RightsRoutes
from crm.commands.demo import ask_for_demo
from crm.core.command import Refused
from crm.core.entity import Face, face_named
from crm.core.jobs import Job
from crm.core.permissions import Scope, allowed
from crm.queries.home import customer_counts, new_per_week, open_jobs, recent_customers
from crm.queries.waiting import MOST, Waiting, waiting_for

DEMO_CUSTOMERS = 2_000


class HomeView(RightsRoutes, AdminIndexView):
    """Home; anybody who is signed in may open it, and sees there what he may see elsewhere."""

    @expose("/")
    def index(self) -> Any:
        if not current_user.is_authenticated:
            return redirect(url_for("access.login", next=request.path))
        customers = face_named("customer")
        shown: dict[str, Any] = {"greeting": self._greeting(), "page": {"title": "Home"}, "empty": False, "figures": [],
                                 "chart": [], "recent": [], "jobs": [], "alerts": []}  # fmt: skip
        if may(customers, "read"):
            counts = customer_counts(asking())
            shown |= self._first_steps() if counts["all"][0] == 0 else self._overview(customers, counts)
        if not shown["empty"]:
            shown["waiting"] = [_waits(one) for one in waiting_for(asking(), dt.datetime.now(zone()).date())]
        if may(face_named("job"), "read"):
            shown["jobs"] = [_job(job) for job in open_jobs(asking())]
        return render_template("desk/home.html", **shown)

    @expose("/demo/", methods=("POST",))
    def demo(self) -> Any:
        if not current_user.is_authenticated or not _may_fill():
            abort(403)
        try:
            job = ask_for_demo(customers=DEMO_CUSTOMERS, seed=1, by=asking().id)
        except Refused as refusal:
            flash(f"Not done: {refusal}.", "bad")
            return redirect(url_for("admin.index"), 303)
        flash("Demo data is being made.", "info")
        return redirect(url_for("jobs.details_view", id=job.id), 303)

    def _greeting(self) -> str:
        hour = dt.datetime.now(zone()).hour
        part = "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
        return f"Good {part}, {current_user.name.split()[0]}"

    def _first_steps(self) -> dict[str, Any]:
        if not _may_fill():
            return {}
        return {"empty": True, "demo_url": url_for("admin.demo"), "import_url": url_for("imports.create_view")}

    def _overview(self, customers: Face, counts: dict[str, tuple[int, bool]]) -> dict[str, Any]:
        base = url_for(endpoint(customers, "index_view"))
        words = {"all": ("Customers", ""), "active": ("Active", "flt_status_eq=active"),
                 "new": ("New in 7 days", "flt_created_at_within_last=7 days"),
                 "blocked": ("Blocked", "flt_status_in=blocked,blacklisted")}  # fmt: skip
        figures = [{"label": label, "value": counted(*counts[name], more=">", about="≈"), "hint": "", "spark": None,
                    "url": f"{base}?{query}" if query else base} for name, (label, query) in words.items() if name in counts]  # fmt: skip
        weeks = new_per_week(asking(), dt.datetime.now(zone()).date())
        recent = [{"title": title_of(customers, party), "url": url_for(endpoint(customers, "details_view"), id=party.id),
                   "subtitle": party.code, "initials": initials(title_of(customers, party)), "tone": tone_of(party),
                   "org": party.kind == "organization", "when": moment(party.created_at)}
                  for party in recent_customers(asking())]  # fmt: skip
        return {"figures": figures, "chart": [(f"{monday:%-d %b}", number) for monday, number in weeks],
                "chart_title": "New customers per week", "recent": recent, "recent_url": base}  # fmt: skip


def _may_fill() -> bool:
    """Who may bring in customers of anybody sees whether there are none at all."""
    return allowed(asking(), "customer.import") is Scope.ALL


def _waits(one: Waiting) -> dict[str, Any]:
    """A line that leads to exactly the list that it counts, or to a page that shows them."""
    url = f"{url_for(endpoint(one.face, one.wait.shown_by))}?{urlencode(one.pairs)}"
    late = f"{_up_to(one.late)}{'+' if one.number > MOST >= one.late else ''} late" if one.late else ""
    return {"label": one.wait.label, "url": url, "number": _up_to(one.number), "late": late, "icon": one.face.about.icon,
            "tone": "bad" if one.late else one.wait.tone}  # fmt: skip


def _up_to(number: int) -> str:
    return f"{MOST}+" if number > MOST else str(number)


def _job(job: Job) -> dict[str, Any]:
    percent = min(100, round(100 * job.done / job.total)) if job.total else None
    text = f"{job.done:,} of {job.total:,}" if job.total else job.state.label
    return {"label": job.label, "url": url_for("jobs.details_view", id=job.id), "percent": percent, "text": text}
