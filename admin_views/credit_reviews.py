"""The calendar of credit reviews: what is due on which day, what is overdue, by who approved the limit."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from flask import abort, render_template, request, url_for
from flask_admin import expose

from admin_views.base import EntityView
from admin_views.cells import asking, day, fields_of, title_of
from admin_views.lists import may
from crm.core.days import today
from crm.core.entity import face_named
from crm.models.credit_accounts import CreditAccount
from crm.queries.credit_reviews import Reviews, approvers, by_day, overdue
from crm.queries.listing import matching, read_query

Pairs = list[tuple[str, str]]
WEEK, A_DAY = dt.timedelta(days=7), dt.timedelta(days=1)
# How many accounts of a day are named in a month and in a week, and how many of those that are overdue.
IN_MONTH, IN_WEEK, LATE = 3, 30, 5
# What the calendar says itself, or what isn't a question of it.
_OWN = ("flt_next_review_on", "flt_state", "sort", "desc")
APPROVER = "flt_approved_by_eq"


class CreditReviews(EntityView):
    """What the list of credit accounts has of it. It shows what the list's filters leave."""

    rights = EntityView.rights | {"reviews_view": "read"}

    @expose("/reviews/")
    def reviews_view(self) -> Any:
        """A month, or a week, of reviews."""
        if not fields_of(self.face)["next_review_on"].shows:
            abort(403)
        pairs = [pair for pair in self._query("on", "span").parameters() if not pair[0].startswith(_OWN)]
        of_all = [pair for pair in pairs if pair[0] != APPROVER]
        found = matching(self.face, read_query(self.face, pairs), asking())
        weekly, now = request.args.get("span") == "week", today()
        first, last = _bounds(_asked(request.args.get("on"), now), weekly)
        begins, ends = first - A_DAY * first.weekday(), last + A_DAY * (6 - last.weekday())
        due = by_day(found, begins, ends, most=IN_WEEK if weekly else IN_MONTH)
        here = self._reviews_url(pairs, first, weekly)
        late = overdue(found, now, most=LATE)
        days = [begins + A_DAY * number for number in range((ends - begins).days + 1)]
        shows_approver = fields_of(self.face)["approved_by"].shows
        return render_template(
            "desk/reviews.html",
            page={"title": "Credit reviews", "breadcrumbs": self._crumbs("Reviews"), "own_keys": (
                ("Next month or week", "j"), ("The one before", "k"), ("Today", "t"), ("Month", "m"), ("Week", "w"))},
            called=f"{day(first)} – {day(last)}" if weekly else f"{first:%B %Y}", weekly=weekly,
            late={"number": late.number, "url": self._listed(pairs, ("lt", now)), "more": late.number - len(late.accounts),
                  "rows": [self._row(one, now, here, shows_approver) for one in late.accounts]},
            weekdays=[f"{one:%a}" for one in days[:7]], days=[self._day(one, due.get(one), pairs, now, first, last) for one in days],
            number=sum(found.number for one, found in due.items() if first <= one <= last),
            before_url=self._reviews_url(pairs, first - (WEEK if weekly else A_DAY), weekly), after_url=self._reviews_url(pairs, last + A_DAY, weekly),
            today_url=self._reviews_url(pairs, now, weekly), month_url=self._reviews_url(pairs, first, weekly=False),
            week_url=self._reviews_url(pairs, now if first <= now <= last else first, weekly=True),
            list_url=self._listed(pairs, ("le", max(last, now))), approver=dict(pairs).get(APPROVER),
            everybody_url=self._reviews_url(of_all, first, weekly),
            approvers=[{"name": name, "number": number, "url": self._reviews_url([*of_all, (APPROVER, name)], first, weekly)}
                       for name, number in approvers(matching(self.face, read_query(self.face, of_all), asking()), max(last, now))]
            if shows_approver else [])  # fmt: skip

    def _reviews_url(self, pairs: Pairs, on: dt.date | None = None, weekly: bool = False) -> str:
        shown = [*pairs, *([("on", on.isoformat())] if on else []), *([("span", "week")] if weekly else [])]
        return url_for(".reviews_view") + ("?" + urlencode(shown) if shown else "")

    def _listed(self, pairs: Pairs, when: tuple[str, dt.date]) -> str:
        """Exactly those in the list."""
        op, on = when
        shown = [*pairs, ("flt_state_eq", "open"), (f"flt_next_review_on_{op}", on.isoformat())]
        return f"{url_for('.index_view')}?{urlencode(shown)}"

    def _named(self, account: CreditAccount) -> dict[str, Any]:
        name = title_of(face_named("customer"), account.party)
        return {"name": name, "code": account.code, "url": url_for(".details_view", id=account.id)}

    def _row(self, account: CreditAccount, now: dt.date, here: str, shows_approver: bool) -> dict[str, Any]:
        assert account.next_review_on is not None
        days = (now - account.next_review_on).days
        approver = account.approved_by if shows_approver else None  # type: ignore[attr-defined]  # a figure
        asks = (
            url_for(".action_view", action="review", rowid=account.id, next=here) if may(self.face, "review") else None
        )
        return self._named(account) | {"day": day(account.next_review_on), "late": f"{days} day{'' if days == 1 else 's'} late",
                                       "approver": approver, "review_url": asks}  # fmt: skip

    def _day(
        self, one: dt.date, due: Reviews | None, pairs: Pairs, now: dt.date, first: dt.date, last: dt.date
    ) -> dict[str, Any]:
        due = due or Reviews()
        return {"date": one, "called": f"{one:%A} {day(one)}", "today": one == now, "beyond": not first <= one <= last, "late": one < now,
                "accounts": [self._named(account) for account in due.accounts], "more": due.number - len(due.accounts),
                "url": self._listed(pairs, ("eq", one))}  # fmt: skip


def _asked(given: str | None, now: dt.date) -> dt.date:
    """The day of the address; today if it is none that a calendar has room around."""
    try:
        on = dt.date.fromisoformat(given or "")
    except ValueError:
        return now
    return on if 1900 <= on.year <= 9000 else now


def _bounds(on: dt.date, weekly: bool) -> tuple[dt.date, dt.date]:
    if weekly:
        monday = on - A_DAY * on.weekday()
        return monday, monday + A_DAY * 6
    following = (on.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return on.replace(day=1), following - A_DAY
