"""What point entries, redemptions and cashback add up to: of each lot, of each membership."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Date, Index, Integer, Numeric, String, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.core.fields import date_field, field_of, integer_field, money_field
from crm.core.figures import Edge, OfRecord, Only, Source, Summed
from crm.core.ledgers import OpenLots
from crm.models import loyalty_rewards as _rewards  # noqa: F401 - declares what is summed up here
from crm.models.loyalty_accounts import POINTS


class PointLot(OpenLots):
    """What is left of open lots of points."""

    __tablename__ = "point_lot"
    ledger = POINTS


class PointEntryFigures(OfRecord):
    """What is left of a lot of points; 0 of an entry that is none."""

    shown_by = ("point_entry",)
    record = "point_entry"
    touched_by = {"point_entry": "SELECT r.id FROM {rows} r", "point_allocation": "SELECT r.lot_id FROM {rows} r"}

    account_id: Mapped[int] = mapped_column(BigInteger)
    expires_on: Mapped[dt.date | None] = mapped_column(Date)
    remaining: Mapped[int] = integer_field(label="Left", help="Of these points")

    __table_args__ = (
        CheckConstraint("remaining >= 0", name="remaining"),
        Index("ix_point_entry_figures_of_account", "account_id", "expires_on", postgresql_where=text("remaining > 0")),
        Index("ix_point_entry_figures_expiry", "expires_on", postgresql_where=text("remaining > 0")),
    )

    @classmethod
    def query(cls, only: Only) -> str:
        return f"""
SELECT e.id, e.account_id, e.expires_on,
  CASE WHEN e.points > 0 AND e.reverses_id IS NULL THEN e.points - coalesce(b.taken, 0) ELSE 0 END AS remaining
FROM point_entry e
LEFT JOIN (SELECT i.lot_id, sum(i.points) AS taken FROM point_allocation i WHERE {only("i.lot_id")} GROUP BY i.lot_id) b
  ON b.lot_id = e.id
WHERE {only("e.id")}"""  # noqa: S608 - made of constants


def _sum(kind: type = Integer) -> Mapped[int]:
    return mapped_column(kind, server_default=text("0"))


class LoyaltyAccountSums(Summed):
    """The sums of a membership's ledgers. The balance is both the sum of its entries and of what is left of its lots."""

    holders = ("loyalty_account", "true")
    sources = (
        Source("point_entry", "account_id", {
            "points": "r.points", "earned": "CASE WHEN r.kind IN ('earn', 'bonus') OR (r.kind = 'reverse' AND r.points < 0) THEN r.points ELSE 0 END",
            "redeemed": "CASE WHEN r.kind = 'redeem' OR (r.kind = 'reverse' AND r.points > 0) THEN -r.points ELSE 0 END",
            "expired": "CASE WHEN r.kind = 'expire' THEN -r.points ELSE 0 END",
        }),
        Source("point_entry_figures", "account_id", {"in_lots": "r.remaining"},
               (Edge("next_expiry_on", "min", "r.expires_on", "r.remaining > 0"),)),
        Source("redemption", "account_id", {"rewards_held": "(r.state <> 'voided')::int"}),
        Source("cashback_entry", "account_id", {"cashback": "r.amount"}),
    )  # fmt: skip

    points: Mapped[int] = _sum()
    in_lots: Mapped[int] = _sum()
    earned: Mapped[int] = _sum()
    redeemed: Mapped[int] = _sum()
    expired: Mapped[int] = _sum()
    rewards_held: Mapped[int] = _sum()
    cashback: Mapped[Decimal] = mapped_column(Numeric(19, 4), server_default=text("0"))
    next_expiry_on: Mapped[dt.date | None] = mapped_column(Date)

    __table_args__ = (
        CheckConstraint("points = in_lots AND points >= 0", name="points"),
        CheckConstraint("cashback >= 0", name="cashback"),
    )


class LoyaltyAccountFigures(OfRecord):
    """A membership's balances, and whose they are."""

    shown_by = ("loyalty_account",)
    level = 2
    sort = ("points",)
    record = "loyalty_account"
    touched_by = {
        "loyalty_account": "SELECT r.id FROM {rows} r",
        "loyalty_account_sums": "SELECT r.id FROM {rows} r",
        "loyalty_tier": "SELECT a.id FROM loyalty_account a WHERE a.tier_id = ANY (ARRAY(SELECT r.id FROM {rows} r))",
        "loyalty_program": "SELECT a.id FROM loyalty_account a WHERE a.program_id = ANY (ARRAY(SELECT r.id FROM {rows} r WHERE r.main))",
    }  # fmt: skip

    party_id: Mapped[int] = mapped_column(BigInteger, index=True)
    main: Mapped[bool] = mapped_column(Boolean)
    tier_name: Mapped[str | None] = mapped_column(String(60))
    points: Mapped[int] = integer_field(help="Available: the sum of all entries")
    earned: Mapped[int] = integer_field(label="Points earned")
    redeemed: Mapped[int] = integer_field(label="Points redeemed")
    expired: Mapped[int] = integer_field(label="Points expired")
    next_expiry_on: Mapped[dt.date | None] = date_field(label="Next points expire")
    rewards_held: Mapped[int] = integer_field(label="Rewards")
    cashback: Mapped[Decimal] = money_field(help="In the program's currency")

    @classmethod
    def query(cls, only: Only) -> str:
        return f"""
SELECT a.id, a.party_id, p.main AND a.state <> 'ended' AS main, t.name AS tier_name, s.points, s.earned, s.redeemed, s.expired,
  s.next_expiry_on, s.rewards_held, s.cashback
FROM loyalty_account a
JOIN loyalty_account_sums s ON s.id = a.id
JOIN loyalty_program p ON p.id = a.program_id
LEFT JOIN loyalty_tier t ON t.id = a.tier_id
WHERE {only("a.id")}"""  # noqa: S608 - made of constants


LoyaltyAccountFigures.moves(
    "expiring", field_of("integer", label="Points that expire then"),
    select(func.coalesce(func.sum(PointEntryFigures.remaining), 0))
    .where(PointEntryFigures.account_id == LoyaltyAccountFigures.id, PointEntryFigures.remaining > 0,
           PointEntryFigures.expires_on == LoyaltyAccountFigures.next_expiry_on)
    .correlate(LoyaltyAccountFigures).scalar_subquery())  # fmt: skip
