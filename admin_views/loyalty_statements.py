"""The statement of a membership: its points, or its cashback where the program gives that."""

from __future__ import annotations

import datetime as dt
from typing import Any

from admin_views.cells import asking
from admin_views.statements import Statements
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.queries.loyalty_statement import CASHBACK, POINTS, MemberLetter, MemberStatement, loyalty_statement
from crm.queries.statement_letters import reads_entries


class LoyaltyStatements(Statements):
    """What the page of memberships has of it."""

    def _sees_entries(self) -> bool:
        return reads_entries(
            asking(), self.face.name, (POINTS, CASHBACK), {"point_entry": "points", "cashback_entry": "amount"}
        )

    def _ledgers(self, account: LoyaltyAccount) -> dict[str, str]:
        """What the program gives stands first."""
        named = {POINTS: "Points", CASHBACK: "Cashback"}
        return dict(sorted(named.items(), key=lambda one: one[0] not in account.program.kinds))

    def _told(self, account: LoyaltyAccount, since: dt.date, until: dt.date) -> MemberStatement:
        return loyalty_statement(account, since, until, of=self._of(account))

    def _letter(self, account: LoyaltyAccount, **whom: Any) -> MemberLetter:
        return MemberLetter(currency=account.program.currency if self._of(account) == CASHBACK else "", **whom)
