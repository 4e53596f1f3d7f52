"""The statement of a membership: its points, or its cashback where the program gives that."""

from __future__ import annotations

import datetime as dt
from typing import Any

from admin_views.cells import asking, fields_of
from admin_views.statements import Statements
from crm.core.entity import face_named
from crm.core.permissions import Scope, allowed
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.queries.loyalty_statement import CASHBACK, POINTS, MemberLetter, MemberStatement, loyalty_statement


class LoyaltyStatements(Statements):
    """What the page of memberships has of it."""

    def _sees_entries(self) -> bool:
        """Whoever reads the entries of every membership that they read, with points and amounts."""
        of = allowed(asking(), f"{self.face.name}.read")
        return all(fields_of(self.face)[name].shows for name in (POINTS, CASHBACK)) and all(
            allowed(asking(), f"{name}.read") in (of, Scope.ALL) and fields_of(face_named(name))[amount].shows
            for name, amount in (("point_entry", "points"), ("cashback_entry", "amount")))  # fmt: skip

    def _ledgers(self, account: LoyaltyAccount) -> dict[str, str]:
        """What the program gives stands first."""
        named = {POINTS: "Points", CASHBACK: "Cashback"}
        return dict(sorted(named.items(), key=lambda one: one[0] not in account.program.kinds))

    def _told(self, account: LoyaltyAccount, since: dt.date, until: dt.date) -> MemberStatement:
        return loyalty_statement(account, since, until, of=self._of(account))

    def _letter(self, account: LoyaltyAccount, **whom: Any) -> MemberLetter:
        return MemberLetter(currency=account.program.currency if self._of(account) == CASHBACK else "", **whom)
