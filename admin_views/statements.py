"""The statement of an account: a page for a period, and the file that goes to the customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, render_template, request, url_for
from flask_admin import expose

from admin_views.base import EntityView
from admin_views.cells import asking, title_of
from admin_views.lists import may
from crm.commands.exports import note
from crm.core.days import today
from crm.core.entity import face_named
from crm.queries.credit_statement import Statement, last_month
from crm.queries.credit_statement_files import COLUMNS, MOST_IN_PDF, Letter, statement_csv, statement_pdf
from crm.queries.listing import ListQuery
from crm.queries.statement_letters import addressed

SHOWN = 500
FILES = {"pdf": (statement_pdf, "application/pdf"), "csv": (statement_csv, "text/csv")}


class Statements(EntityView):
    """What the page of an account has of it. A screen says whose statement it is, and who sees the entries."""

    rights = EntityView.rights | {"statement_view": "read", "statement_file_view": "export"}

    def _sees_entries(self) -> bool:
        raise NotImplementedError

    def _ledgers(self, account: Any) -> dict[str, str]:
        """By name, those of which one is told at a time; empty where there is one."""
        return {}

    def _of(self, account: Any) -> str:
        ledgers = self._ledgers(account)
        return request.args["of"] if request.args.get("of") in ledgers else next(iter(ledgers), "")

    def _told(self, account: Any, since: dt.date, until: dt.date) -> Statement:
        raise NotImplementedError

    def _letter(self, account: Any, **whom: Any) -> Letter:
        """`whom` it goes to: nobody on the screen."""
        raise NotImplementedError

    def detail_extras(self, record: Any) -> dict[str, Any]:
        if not self._sees_entries():
            return {}
        return {
            "links": [{"label": "Statement", "url": url_for(".statement_view", id=record.id), "icon": "receipt-text"}]
        }

    @expose("/statement/")
    def statement_view(self) -> Any:
        """The entries of a period; the last full month unless another is asked for."""
        account = self._account("read")
        days, errors = _period(request.args)
        return self._page(account, days, errors)

    @expose("/statement/file/")
    def statement_file_view(self) -> Any:
        """The same as a file, in the customer's language; noted among the exports."""
        account = self._account("export")
        days, errors = _period(request.args)
        form = request.args.get("form", "pdf")
        if form not in FILES:
            errors["form"] = "must be pdf or csv"
        if errors:
            return self._page(account, days, errors)
        told = self._told(account, *days)
        if form == "pdf" and len(told.entries) > MOST_IN_PDF:
            errors["until"] = (
                f"makes {len(told.entries):,} entries, and a PDF holds up to {MOST_IN_PDF:,}: choose fewer days, or CSV"
            )
            return self._page(account, days, errors)
        made, kind = FILES[form]
        noted = note(self.face, form, ListQuery(), ["statement"], by=asking())
        noted.rows = len(told.entries)
        noted.file_name = f"statement-{account.code}-{told.since}-{told.until}.{form}"
        noted.query = f"id={account.id}&from={told.since}&until={told.until}"
        return Response(made(told, self._letter(account, **addressed(account.party, asking()))), mimetype=kind,
                        headers={"Content-Disposition": f"attachment; filename={noted.file_name}"})  # fmt: skip

    # Parts

    def _account(self, verb: str) -> Any:
        if not self._sees_entries():
            abort(403)
        return self._record(verb)

    def _page(self, account: Any, days: tuple[dt.date, dt.date], errors: Mapping[str, str]) -> Any:
        told = None if errors else self._told(account, *days)
        letter = self._letter(account)
        given = {"from": request.args.get("from") or str(days[0]), "until": request.args.get("until") or str(days[1])}
        ledgers = self._ledgers(account)
        given |= {"of": self._of(account)} if ledgers else {}
        page = {"title": f"Statement of {account.code}", "subtitle": title_of(face_named("customer"), account.party),
                "breadcrumbs": [*self._crumbs(account.code)[:-1], (account.code, url_for(".details_view", id=account.id)),
                                ("Statement", None)]}  # fmt: skip
        files = [
            (form.upper(), url_for(".statement_file_view", id=account.id, form=form) + "&" + urlencode(given))
            for form in FILES
        ]
        body = render_template(
            "desk/statement.html", page=page, account=account, action=url_for(".statement_view"), given=given, ledgers=ledgers,
            unit=letter.unit, columns=[letter.word(name) for name in COLUMNS], last=letter.word("ages").format("the last day"),
            errors={{"from": "From", "until": "Until", "form": "File"}[name]: why for name, why in errors.items()},
            told=told, rows=_rows(told, letter) if told else [], ages=_ages(told, letter) if told else [],
            more=f"The first {SHOWN} of {len(told.entries):,} entries; the file has all." if told and len(told.entries) > SHOWN else "",
            files=files if may(self.face, "export") else [])  # fmt: skip
        return body, 400 if errors else 200


def _rows(told: Statement, letter: Letter) -> list[list[str]]:
    """As the table has them: day, entry, number, due, debit, credit, balance."""
    opening = [letter.day(told.since), letter.word("opening"), "", "", "", "", letter.money(told.opening)]
    closing = [letter.day(told.until), letter.word("closing"), "", "", "", "", letter.money(told.closing)]
    return [opening, *([letter.day(one.day), letter.entry(one), one.number, letter.day(one.due_on), letter.money(one.debit or None),
                        letter.money(one.credit or None), letter.money(one.balance)] for one in told.entries[:SHOWN]), closing]  # fmt: skip


def _ages(told: Statement, letter: Letter) -> list[tuple[str, str]]:
    return [(label, letter.money(worth)) for label, worth in letter.ages(told)]


def _period(given: Mapping[str, str]) -> tuple[tuple[dt.date, dt.date], dict[str, str]]:
    """The days that were asked for, and by field what is wrong with them."""
    since, until = last_month(today())
    days, errors = {"from": since, "until": until}, {}
    for name in days:
        if said := given.get(name, "").strip():
            try:
                days[name] = dt.datetime.strptime(said, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
            except ValueError:
                errors[name] = "must be a day such as 2026-01-31"
    if not errors and days["until"] < days["from"]:
        errors["until"] = "must not be before the first day"
    elif not errors and days["until"] > today():
        errors["until"] = "must not be after today"
    return (days["from"], days["until"]), errors
