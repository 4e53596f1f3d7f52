"""Memberships: beside their list what their open points are worth; beside each, whether its balance adds up."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask_admin import expose
from sqlalchemy import select

from admin_views.cells import asking, fields_of, title_of
from admin_views.lists import may
from admin_views.loyalty_statements import LoyaltyStatements
from crm.commands.exports import note
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.spreadsheets import neutral
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_programs import LoyaltyProgram
from crm.models.parties import Party
from crm.queries.loyalty_check import counted
from crm.queries.loyalty_liability import Liability, expiring, liability
from crm.queries.loyalty_tiers import MOST, WORDS, tiers_to_come

MONTHS = 12  # of the chart; what expires later stands in one bar
AHEAD, USUAL = (7, 30, 90), 30  # days that one may look ahead
SHOWN = 200


class LoyaltyAccountView(LoyaltyStatements):
    """Memberships."""

    rights = LoyaltyStatements.rights | {
        "liability_view": "read",
        "liability_file_view": "export",
        "coming_view": "read",
        "check_view": "read",
    }

    def detail_extras(self, record: LoyaltyAccount) -> dict[str, Any]:
        found = super().detail_extras(record)
        if not found:
            return {}
        check = {"label": "Check balance", "url": url_for(".check_view", id=record.id), "icon": "scale"}
        return {"links": [*found["links"], check]}

    @expose("/check/")
    def check_view(self) -> Any:
        """Count the entries and the lots anew, and say whether the balance is their sum."""
        account = self._account("read")
        told = counted(account)
        said = (f"The {told.entries:,} entries add up to {told.of_entries:,} points, the open lots ({told.open_lots:,}) hold {told.of_open_lots:,.0f}, "
                f"cashback adds up to {told.of_cashback:,.2f}.")  # fmt: skip
        if told.agrees:
            flash(f"The balance is right. {said}", "good")
        else:
            flash(f"The balance is not right: {told.balance:,} points and {told.cashback:,.2f} of cashback are shown. {said} "
                  "Tell your operator: flask figures check says more.", "bad")  # fmt: skip
        return redirect(url_for(".details_view", id=account.id), 303)

    def list_extras(self) -> dict[str, Any]:
        if not fields_of(self.face)["points"].shows:
            return {}
        return {"secondary": [{"label": "Coming up", "url": url_for(".coming_view"), "icon": "calendar-clock"},
                              {"label": "Liability", "url": url_for(".liability_view"), "icon": "chart-column"}]}  # fmt: skip

    @expose("/coming/")
    def coming_view(self) -> Any:
        """Who drops or rises, and what expires, before it happens."""
        fields = fields_of(self.face)
        if not (fields["points"].shows and fields["tier"].shows):
            abort(403)
        days = next((number for number in AHEAD if str(number) == request.args.get("days")), USUAL)
        day, seen = today() + dt.timedelta(days=days), asking()
        programs = face_named("loyalty_program")
        lost = ((expiring(seen, since=None, until=today() - dt.timedelta(days=1)), "Tonight", {"next_expiry_on_lt": today()}),
                (expiring(seen, since=today(), until=day), f"By {day:%d %B}", {"next_expiry_on_ge": today(), "next_expiry_on_le": day}))  # fmt: skip
        moves, customers = tiers_to_come(seen, days_ahead=days), face_named("customer")
        shown = (
            [one.account.party_id for _, found, _ in moves for one in found[:SHOWN]] if fields["party"].shows else []
        )
        names = {
            party.id: title_of(customers, party)
            for party in db.session.scalars(select(Party).where(Party.id.in_(shown)))
        }
        return render_template(
            "desk/loyalty_coming.html", page={"title": "Coming up", "breadcrumbs": self._crumbs("Coming up")}, ahead=AHEAD, days=days,
            day=day, lost=[{"program": title_of(programs, one.program), "when": when, "members": one.members, "lots": one.lots,
                            "points": one.points, "url": self._list_of(one.program, asked)}
                           for of, when, asked in lost for one in of],
            tiers=[{"program": title_of(programs, program), "all": everybody, "looked_at": MOST, "grace": program.grace_days,
                    "measure": program.tier_measure.label, "more": max(len(found) - SHOWN, 0),
                    "counts": [(WORDS[what], number) for what in WORDS if (number := sum(one.what == what for one in found))],
                    "rows": [{"name": names.get(one.account.party_id), "code": one.account.code, "url": url_for(".details_view", id=one.account.id), "what": WORDS[one.what],
                              "tone": {"drops": "bad", "short": "warning", "rises": "good"}[one.what], "tier": one.tier, "to": one.to,
                              "value": one.value, "day": one.day} for one in found[:SHOWN]]}
                   for program, found, everybody in moves])  # fmt: skip

    def _list_of(self, program: LoyaltyProgram, asked: dict[str, dt.date]) -> str:
        """The list of the members of a program to whom this applies."""
        days: dict[str, Any] = {f"flt_{name}": day for name, day in asked.items()}
        return url_for(".index_view", flt_program_eq=program.id, **days)

    @expose("/liability/")
    def liability_view(self) -> Any:
        """What open points are worth, by program and by the month in which they expire."""
        if not fields_of(self.face)["points"].shows:
            abort(403)
        lines = liability(asking())
        programs: dict[int, list[Liability]] = {}
        for line in lines:
            programs.setdefault(line.program.id, []).append(line)
        return render_template(
            "desk/liability.html", page={"title": "Liability", "breadcrumbs": self._crumbs("Liability")}, points=_chart(lines),
            programs=[{"title": title_of(face_named("loyalty_program"), of[0].program), "currency": of[0].program.currency,
                       "point_value": f"{of[0].point_value.normalize():f}", "points": sum(one.points for one in of),
                       "worth": sum(one.worth for one in of), "rows": [
                           {"month": _month(one.month), "members": one.members, "points": one.points, "worth": one.worth} for one in of]}
                      for of in programs.values()],
            file_url=url_for(".liability_file_view") if may(self.face, "export") else None)  # fmt: skip

    @expose("/liability/csv/")
    def liability_file_view(self) -> Any:
        """The same as a file."""
        if not fields_of(self.face)["points"].shows:
            abort(403)
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["program", "expires_in", "members", "points", "point_value", "worth", "currency"])
        lines = liability(asking())
        noted = note(self.face, "csv", self._query(), ["points"], by=asking())
        noted.rows = len(lines)
        for one in lines:
            name = neutral(title_of(face_named("loyalty_program"), one.program))
            writer.writerow([name, f"{one.month:%Y-%m}" if one.month else "never", one.members, one.points, one.point_value, one.worth,
                             one.program.currency])  # fmt: skip
        headers = {
            "Content-Disposition": f"attachment; filename={noted.file_name.replace(self.face.plural, 'liability')}"
        }
        return Response("\ufeff" + buffer.getvalue(), mimetype="text/csv", headers=headers)


def _month(month: dt.date | None) -> str:
    return f"{month:%B %Y}" if month else "Never"


def _chart(lines: list[Liability]) -> list[tuple[str, int]]:
    """The points of all programs by month from this one on."""
    first = today().replace(day=1)
    months = [(first.year + (first.month - 1 + n) // 12, (first.month - 1 + n) % 12 + 1) for n in range(MONTHS)]
    bars = {f"{dt.date(year, month, 1):%b}": 0 for year, month in months} | {"Later": 0, "Never": 0}
    names = {(year, month): f"{dt.date(year, month, 1):%b}" for year, month in months}
    for one in lines:
        bars["Never" if one.month is None else names.get((one.month.year, one.month.month), "Later")] += one.points
    return list(bars.items())
