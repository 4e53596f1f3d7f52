"""The statement of a credit account."""

from __future__ import annotations

import datetime as dt
from typing import Any

from admin_views.cells import asking, fields_of
from admin_views.statements import Statements
from crm.core.entity import face_named
from crm.core.permissions import Scope, allowed
from crm.models.credit_accounts import CreditAccount
from crm.queries.credit_statement import Statement, credit_statement
from crm.queries.credit_statement_files import Letter
from crm.queries.organisation import company_currency


class CreditStatements(Statements):
    """What the page of credit accounts has of it."""

    def _sees_entries(self) -> bool:
        """Whoever reads the entries of every account that they read, with the amounts."""
        of = allowed(asking(), f"{self.face.name}.read")
        faces = [face_named(name) for name in ("invoice", "payment")]
        return fields_of(self.face)["outstanding"].shows and all(
            allowed(asking(), f"{face.name}.read") in (of, Scope.ALL) and fields_of(face)["amount"].shows for face in faces)  # fmt: skip

    def _told(self, account: CreditAccount, since: dt.date, until: dt.date) -> Statement:
        return credit_statement(account, since, until)

    def _letter(self, account: CreditAccount, **whom: Any) -> Letter:
        return Letter(currency=company_currency(), **whom)
