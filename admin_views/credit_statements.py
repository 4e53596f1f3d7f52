"""The statement of a credit account."""

from __future__ import annotations

import datetime as dt
from typing import Any

from admin_views.cells import asking
from admin_views.statements import Statements
from crm.models.credit_accounts import CreditAccount
from crm.queries.credit_statement import Statement, credit_statement
from crm.queries.credit_statement_files import Letter
from crm.queries.organisation import company_currency
from crm.queries.statement_letters import reads_statements


class CreditStatements(Statements):
    """What the page of credit accounts has of it."""

    def _sees_entries(self) -> bool:
        return reads_statements(asking())

    def _told(self, account: CreditAccount, since: dt.date, until: dt.date) -> Statement:
        return credit_statement(account, since, until)

    def _letter(self, account: CreditAccount, **whom: Any) -> Letter:
        return Letter(currency=company_currency(), **whom)
