"""Whether the balance of a membership is the sum of its entries and of what is left of its lots, counted anew."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text

from crm.core.entity import db
from crm.models.loyalty_accounts import LoyaltyAccount

# Each from where it was written; nothing from what was added up before.
_COUNTED = text("""
SELECT (SELECT count(*) FROM point_entry e WHERE e.account_id = a.id) AS entries,
  (SELECT coalesce(sum(e.points), 0) FROM point_entry e WHERE e.account_id = a.id) AS of_entries,
  (SELECT coalesce(sum(e.points), 0) FROM point_entry e WHERE e.account_id = a.id AND e.points > 0 AND e.reverses_id IS NULL)
  - (SELECT coalesce(sum(i.points), 0) FROM point_allocation i JOIN point_entry l ON l.id = i.lot_id WHERE l.account_id = a.id) AS of_lots,
  (SELECT count(*) FROM point_lot o WHERE o.account_id = a.id) AS open_lots,
  (SELECT coalesce(sum(o.remaining), 0) FROM point_lot o WHERE o.account_id = a.id) AS of_open_lots,
  (SELECT coalesce(sum(c.amount), 0) FROM cashback_entry c WHERE c.account_id = a.id) AS of_cashback,
  f.points AS balance, f.cashback
FROM loyalty_account a JOIN loyalty_account_figures f ON f.id = a.id WHERE a.id = :account""")


@dataclass(frozen=True)
class Counted:
    """`balance` and `cashback` are shown; the others are the sums that they must be."""

    entries: int
    of_entries: int
    of_lots: int
    open_lots: int
    of_open_lots: Decimal
    of_cashback: Decimal
    balance: int
    cashback: Decimal

    @property
    def agrees(self) -> bool:
        return (
            self.balance == self.of_entries == self.of_lots == self.of_open_lots and self.cashback == self.of_cashback
        )


def counted(account: LoyaltyAccount) -> Counted:
    """All as of one moment."""
    return Counted(**db.session.execute(_COUNTED, {"account": account.id}).one()._mapping)
