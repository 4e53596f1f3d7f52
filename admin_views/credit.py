"""Credit accounts: beside their list how old is what they owe."""

from __future__ import annotations

import csv
import io
from typing import Any

from flask import Response, abort, render_template, url_for
from flask_admin import expose

from admin_views.cells import asking, fields_of, render, title_of
from admin_views.credit_reviews import CreditReviews
from admin_views.credit_statements import CreditStatements
from admin_views.lists import may
from crm.commands.exports import note
from crm.core.entity import face_named
from crm.core.fields import field_of
from crm.core.spreadsheets import neutral
from crm.queries.ageing import BUCKETS, Line, ageing, ageing_total
from crm.queries.organisation import company_currency

MOST = 200
DUNNING = "code,party,overdue,oldest_due_on,late,reminder,reminded_on"
_CREDIT, _OUTSTANDING = "Not allocated", "Outstanding"


class CreditAccountView(CreditReviews, CreditStatements):
    """Credit accounts."""

    rights = CreditStatements.rights | CreditReviews.rights | {"ageing_view": "read", "ageing_file_view": "export"}

    def list_extras(self) -> dict[str, Any]:
        late: dict[str, Any] = {"flt_late_not_empty": 1, "columns": DUNNING}
        found = [{"label": "Dunning", "url": url_for(".index_view", **late), "icon": "bell"},
                 {"label": "Reviews", "url": self._reviews_url(self._query().parameters()), "icon": "calendar"}]  # fmt: skip
        if self._sees_amounts():
            found.insert(0, {"label": "Ageing", "url": url_for(".ageing_view"), "icon": "chart-column"})
        return {"secondary": found}

    @expose("/ageing/")
    def ageing_view(self) -> Any:
        """What is owed by how long it is overdue; each amount leads to its invoices."""
        if not self._sees_amounts():
            abort(403)
        number, total = ageing_total(asking())
        lines = ageing(asking(), limit=MOST)
        return render_template(
            "desk/ageing.html", page={"title": "Ageing", "breadcrumbs": self._crumbs("Ageing")}, currency=company_currency(),
            columns=[_OUTSTANDING, *(one.label for one in BUCKETS), _CREDIT], total=self._cells(total, None),
            points=[(one.label, float(amount)) for one, amount in zip(BUCKETS, total.buckets, strict=True)],
            rows=[{"title": self._name(line), "url": url_for(".details_view", id=line.account.id), "cells": self._cells(line, line.account.id)}
                  for line in lines if line.account],
            more=f"The {MOST} accounts that owe most, of {number:,}" if number > MOST else "",
            file_url=url_for(".ageing_file_view") if may(self.face, "export") else None)  # fmt: skip

    @expose("/ageing/csv/")
    def ageing_file_view(self) -> Any:
        """All accounts, not only those that owe most."""
        if not self._sees_amounts():
            abort(403)
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(
            ["account", "customer", *(one.value for one in BUCKETS), "not_allocated", "outstanding", "currency"]
        )
        currency, lines = company_currency(), ageing(asking())
        noted = note(self.face, "csv", self._query(), ["ageing"], by=asking())
        noted.rows = len(lines)
        for line in lines:
            assert line.account is not None
            writer.writerow([line.account.code, neutral(title_of(face_named("customer"), line.account.party)), *line.buckets, line.credit,
                             line.outstanding, currency])  # fmt: skip
        headers = {"Content-Disposition": f"attachment; filename={noted.file_name.replace(self.face.plural, 'ageing')}"}
        return Response("\ufeff" + buffer.getvalue(), mimetype="text/csv", headers=headers)

    def _sees_amounts(self) -> bool:
        return all(fields_of(self.face)[name].shows for name in ("outstanding", "overdue"))

    def _name(self, line: Line) -> str:
        assert line.account is not None
        return f"{line.account.code} {title_of(face_named('customer'), line.account.party)}"

    def _cells(self, line: Line, account: int | None) -> list[dict[str, Any]]:
        invoices = face_named("invoice")
        listed = may(invoices, "read") and fields_of(invoices)["ageing"].shows
        of: dict[str, Any] = {"flt_account_eq": account} if account else {}
        amount = field_of("money")
        links = [url_for("invoices.index_view", flt_ageing_eq=one.value, **of) if listed else None for one in BUCKETS]
        return [{"html": render(amount, value) if value else "", "url": link if value else None}
                for value, link in zip((line.outstanding, *line.buckets, line.credit), (None, *links, None), strict=True)]  # fmt: skip
