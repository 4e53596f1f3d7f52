"""The ledger of points beside a plain model of it: fifty random steps, and after each every lot is what the model says.

`make soak N=1000` makes as many runs; the round is the seed.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from crm.commands.loyalty import adjust, capture, expire, redeem, void
from crm.commands.loyalty_earning import _some_owing, reckon
from crm.commands.loyalty_moves import transfer
from crm.commands.loyalty_referrals import reward
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.loyalty_accounts import PointEntry
from crm.models.loyalty_earnings import LoyaltyNote
from tests.commands.test_ledgers import lot, person, told
from tests.factories import make

STEPS = 50
TODAY = dt.datetime.now(dt.UTC).date()
FAR = dt.date(9999, 1, 1)


@dataclass
class Lot:
    """`expires` is FAR where it never does."""

    expires: dt.date
    left: int
    lapsed: int = 0


@dataclass
class Bought:
    account: int
    amount: Decimal
    expires: dt.date
    entered: int = 0
    lots: list[Lot] = field(default_factory=list)

    @property
    def due(self) -> int:
        return int((self.amount / 2).quantize(Decimal(1), ROUND_HALF_UP))


class Plain:
    """What the ledger has to be, told with lists and numbers."""

    def __init__(self, accounts: int) -> None:
        self.lots: list[list[Lot]] = [[] for _ in range(accounts)]
        self.orders: list[Bought] = []
        self.held: list[tuple[int, list[tuple[Lot, int]]]] = []

    def there(self, account: int, *, spendable: bool = False) -> int:
        return sum(one.left for one in self.lots[account] if not spendable or one.expires >= TODAY)

    def take(
        self, account: int, points: int, *, spendable: bool = False, first: Lot | None = None
    ) -> list[tuple[Lot, int]]:
        taken = []
        # Stable: of the same day the older one goes first.
        for one in sorted(self.lots[account], key=lambda one: (one is not first, one.expires)):
            part = min(points, one.left) if not spendable or one.expires >= TODAY else 0
            if part:
                one.left -= part
                points -= part
                taken.append((one, part))
        assert points == 0
        return taken

    def follow(self) -> None:
        """Every order has what it earns, as far as there are points to take."""
        for one in self.orders:
            if one.due > one.entered:
                made = Lot(one.expires, one.due - one.entered)
                one.lots.append(made)
                self.lots[one.account].append(made)
                one.entered = one.due
        for one in self.orders:
            # What expired of its points is gone already: no others are taken instead.
            part = min(one.entered - one.due - sum(lot.lapsed for lot in one.lots), self.there(one.account))
            if part > 0:
                self.take(one.account, part, first=one.lots[0])
                one.entered -= part


class Run:
    """The same steps on both."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.by = person("admin", "Ann")
        self.program = make(face_named("loyalty_program"), main=True, currency="EUR", state="active", valid_from=None, valid_until=None,
                            alone_up_to=1_000_000)  # fmt: skip
        make(face_named("loyalty_terms"), program_id=self.program.id, valid_from=dt.date(2020, 1, 1), points_per_unit=Decimal("0.5"),
             points_last_months=12, cashback_percent=0, referrer_bonus=30, referred_bonus=20)  # fmt: skip
        self.accounts = [
            make(face_named("loyalty_account"), program_id=self.program.id, joined_on=dt.date(2020, 1, 1))
            for _ in range(3)
        ]
        self.plain = Plain(3)
        self.orders: list[Any] = []

    def step(self) -> str:
        name = self.random.choice(("lot", "buy", "buy", "refund", "change", "redeem", "redeem", "void", "capture", "expire", "adjust",
                                   "transfer", "refer"))  # fmt: skip
        getattr(self, name)(self.random.randrange(3), self.random.randint(1, 90))
        settle()
        noted = list(db.session.scalars(select(LoyaltyNote.order_id)))
        db.session.execute(text("DELETE FROM loyalty_note"))
        reckon(noted)
        _some_owing()
        settle()
        db.session.expire_all()
        self.plain.follow()
        return name

    def lot(self, who: int, points: int) -> None:
        days = self.random.choice((None, -1, 0, 5, 400))
        lot(self.accounts[who], points, days)
        self.plain.lots[who].append(Lot(FAR if days is None else TODAY + dt.timedelta(days=days), points))

    def buy(self, who: int, points: int) -> None:
        day = TODAY - dt.timedelta(days=self.random.choice((0, 0, 500)))
        order = make(face_named("order"), customer_id=self.accounts[who].party_id, state="completed", currency="EUR",
                     ordered_at=dt.datetime.combine(day, dt.time(12), dt.UTC))  # fmt: skip
        price = Decimal(points) + Decimal("0.49")
        make(face_named("order_line"), order_id=order.id, quantity=Decimal(1), unit_price=price, discount=0, tax=0)
        self.orders.append(order)
        self.plain.orders.append(Bought(who, price, dt.date(day.year + 1, day.month, min(day.day, 28))))

    def refund(self, _who: int, points: int) -> None:
        for number in self._some(self.orders):
            bought, order = self.plain.orders[number], self.orders[number]
            amount = min(bought.amount, Decimal(points))
            if amount and order.state == "completed":
                back = make(face_named("return"), order_id=order.id, state="refunded")
                make(face_named("return_line"), sales_return_id=back.id, order_line_id=order.lines[0].id, quantity=Decimal("0.001"),
                     amount=amount)  # fmt: skip
                bought.amount -= amount

    def change(self, _who: int, _points: int) -> None:
        """Cancelled, or completed after all."""
        for number in self._some(self.orders):
            bought, order = self.plain.orders[number], self.orders[number]
            gone = sum((line.amount for back in order.returns for line in back.lines), Decimal(0))
            cancelled = order.state == "completed"
            order.state = "cancelled" if cancelled else "completed"
            bought.amount = Decimal(0) if cancelled else order.lines[0].total - gone

    def redeem(self, who: int, points: int) -> None:
        enough = self.plain.there(who, spendable=True) >= points
        assert (told(redeem, self.accounts[who], self.by, points=points) == "") is enough
        if enough:
            self.plain.held.append((self.accounts[who].redemptions[0].id, self.plain.take(who, points, spendable=True)))

    def capture(self, _who: int, _points: int) -> None:
        """What was given stays taken."""
        for number in self._some(self.plain.held):
            found = self._redemption(self.plain.held.pop(number)[0])
            assert told(capture, found, self.by) == ""
            assert told(void, found, self.by, reason="x") == "it is given already"

    def _redemption(self, number: int) -> Any:
        return next(one for account in self.accounts for one in account.redemptions if one.id == number)

    def void(self, _who: int, _points: int) -> None:
        for number in self._some(self.plain.held):
            redemption, taken = self.plain.held.pop(number)
            found = self._redemption(redemption)
            assert told(void, found, self.by, reason="x") == ""
            assert told(void, found, self.by, reason="x") == "it is voided already"
            for one, part in taken:
                one.left += part

    def expire(self, _who: int, _points: int) -> None:
        assert told(expire, self.program, self.by) == ""
        for one in (one for lots in self.plain.lots for one in lots if one.expires < TODAY):
            one.lapsed, one.left = one.lapsed + one.left, 0

    def adjust(self, who: int, points: int) -> None:
        if self.random.random() < 0.5:
            points = -points
        enough = self.plain.there(who) + points >= 0
        assert (told(adjust, self.accounts[who], self.by, points=points, reason="x") == "") is enough
        if points > 0:
            self.plain.lots[who].append(Lot(dt.date(TODAY.year + 1, TODAY.month, min(TODAY.day, 28)), points))
        elif enough:
            self.plain.take(who, -points)

    def transfer(self, who: int, points: int) -> None:
        to = (who + 1) % 3
        enough = self.plain.there(who, spendable=True) >= points
        given = {"to": self.accounts[to].id, "points": points, "reason": "x"}
        assert (told(transfer, self.accounts[who], self.by, **given) == "") is enough
        if enough:
            lots = self.plain.lots[who]
            taken = sorted(self.plain.take(who, points, spendable=True), key=lambda pair: next(n for n, one in enumerate(lots) if one is pair[0]))  # fmt: skip
            self.plain.lots[to] += [Lot(one.expires, part) for one, part in taken]

    def refer(self, who: int, _points: int) -> None:
        came = (who + 1) % 3
        brought = make(face_named("referral"), referrer_id=self.accounts[who].party_id, referred_id=self.accounts[came].party_id,
                       program_id=self.program.id)  # fmt: skip
        first = not getattr(self, f"came_{came}", False)
        assert (told(reward, brought, self.by) == "") is first
        setattr(self, f"came_{came}", True)
        for one, points in ((who, 30), (came, 20)) if first else ():
            self.plain.lots[one].append(Lot(dt.date(TODAY.year + 1, TODAY.month, min(TODAY.day, 28)), points))

    def _some(self, of: list[Any]) -> list[int]:
        return [self.random.randrange(len(of))] if of else []

    def agrees(self) -> None:
        for account, lots in zip(self.accounts, self.plain.lots, strict=True):
            found = db.session.scalars(select(PointEntry).where(
                PointEntry.account_id == account.id, PointEntry.points > 0, PointEntry.reverses_id.is_(None)).order_by(PointEntry.id))  # fmt: skip
            assert [one.remaining for one in found] == [one.left for one in lots]
            still_open = text("SELECT remaining FROM point_lot WHERE account_id = :id ORDER BY id")
            assert list(db.session.scalars(still_open, {"id": account.id})) == [one.left for one in lots if one.left]
            total = db.session.scalar(
                text("SELECT sum(points) FROM point_entry WHERE account_id = :id"), {"id": account.id}
            )
            assert account.points == (total or 0) == sum(one.left for one in lots) >= 0


@pytest.mark.soak
def test_random_steps_leave_what_a_plain_model_says(session: Any, soak_round: int) -> None:
    run, done = Run(soak_round), []
    for _ in range(STEPS):
        done.append(run.step())
        run.agrees()
    assert len(done) == STEPS
