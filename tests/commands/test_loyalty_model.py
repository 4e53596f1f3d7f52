"""The ledger of points beside a plain model of it: fifty random steps, and after each every lot is what the model says.

`make soak N=1000` makes as many runs; the round is the seed. Where several do the same at the same time, all is committed in a
database of its own.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text

from crm.commands.loyalty import adjust, capture, expire, redeem, void
from crm.commands.loyalty_earning import _some_owing, reckon
from crm.commands.loyalty_moves import transfer
from crm.commands.loyalty_referrals import reward
from crm.commands.party_merges import merge_parties
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused, perform
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount, PointEntry
from crm.models.loyalty_earnings import LoyaltyNote
from crm.models.loyalty_rewards import Redemption
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import lot, person, told
from tests.factories import make

STEPS, TOGETHER = 50, 4
TODAY = dt.datetime.now(dt.UTC).date()
FAR = dt.date(9999, 1, 1)
Taken = list[tuple["Lot", int]]


@dataclass(eq=False)
class Lot:
    """`expires` is FAR where it never does."""

    expires: dt.date
    left: int
    lapsed: int = 0


@dataclass(eq=False)
class Member:
    """`into` is whom it was merged into."""

    account: int
    lots: list[Lot] = field(default_factory=list)
    into: Member | None = None

    def there(self, *, spendable: bool = False) -> int:
        return sum(one.left for one in self.lots if not spendable or one.expires >= TODAY)

    def take(self, points: int, *, spendable: bool = False, own: list[Lot] | None = None) -> Taken:
        taken = []
        # Stable: of the same day the older one goes first.
        for one in own or sorted(self.lots, key=lambda one: one.expires):
            part = min(points, one.left) if not spendable or one.expires >= TODAY else 0
            if part:
                one.left -= part
                points -= part
                taken.append((one, part))
        assert points == 0
        return taken


@dataclass
class Bought:
    member: Member
    amount: Decimal
    expires: dt.date
    entered: int = 0
    lots: list[Lot] = field(default_factory=list)

    @property
    def due(self) -> int:
        return int((self.amount / 2).quantize(Decimal(1), ROUND_HALF_UP))

    @property
    def owed(self) -> int:
        """What expired of its points is gone already: no others are taken instead."""
        return max(0, self.entered - self.due - sum(one.lapsed for one in self.lots))


class Plain:
    """What the ledger has to be, told with lists and numbers."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.orders: list[Bought] = []
        self.held: list[tuple[int, Taken]] = []
        self.brought: list[tuple[Member, Member]] = []

    def follow(self) -> None:
        """Every order has what it earns, as far as there are points to take: first what is left of its own."""
        for one in self.orders:
            if one.due > one.entered:
                made = Lot(one.expires, one.due - one.entered)
                one.lots.append(made)
                one.member.lots.append(made)
                one.entered = one.due
        for one in self.orders:
            own = [lot for lot in one.lots if lot in one.member.lots]
            if part := min(one.owed, sum(lot.left for lot in own)):
                one.member.take(part, own=own)
                one.entered -= part
        for one in self.orders:
            part = min(one.owed, one.member.there())
            one.member.take(part)
            one.entered -= part

    def merge(self, kept: Member, merged: Member) -> None:
        merged.into = kept
        self.lead_on(merged)
        for one in self.orders:
            one.member = kept if one.member is merged else one.member
        for number, pair in enumerate(self.brought):  # nobody has brought himself
            moved = tuple(kept if one is merged else one for one in pair)
            self.brought[number] = pair if moved == (kept, kept) else (moved[0], moved[1])

    def lead_on(self, merged: Member) -> None:
        """What is left of each lot, also of what came back to it, is a lot of whom it was merged into."""
        while merged.into:
            for old in [one for one in merged.lots if one.left]:
                new = Lot(old.expires, old.left)
                old.left = 0
                merged.into.lots.append(new)
                for order in self.orders:
                    order.lots += [new] if old in order.lots else []
            merged = merged.into


class Run:
    """The same steps on both. `together` is the app of a database of its own, in which several do the same at once."""

    def __init__(self, seed: int, together: Any = None) -> None:
        self.random, self.together = random.Random(seed), together
        self.by = person("admin", "Ann")
        self.program = make(face_named("loyalty_program"), main=True, currency="EUR", state="active", valid_from=None, valid_until=None,
                            alone_up_to=1_000_000)  # fmt: skip
        make(face_named("loyalty_terms"), program_id=self.program.id, valid_from=dt.date(2020, 1, 1), points_per_unit=Decimal("0.5"),
             points_last_months=12, cashback_percent=0, referrer_bonus=30, referred_bonus=20)  # fmt: skip
        self.plain = Plain()
        self.orders: list[Any] = []
        self.slots = [self.joined() for _ in range(3)]
        db.session.commit()

    def joined(self) -> Member:
        account = make(face_named("loyalty_account"), program_id=self.program.id, joined_on=dt.date(2020, 1, 1))
        self.plain.members.append(Member(account.id))
        return self.plain.members[-1]

    def account(self, member: Member) -> Any:
        return db.session.get_one(LoyaltyAccount, member.account)

    def step(self) -> str:
        name = self.random.choice(("lot", "buy", "buy", "refund", "change", "redeem", "redeem", "void", "capture", "expire", "adjust",
                                   "transfer", "refer", "merge"))  # fmt: skip
        getattr(self, name)(self.slots[self.random.randrange(3)], self.random.randint(1, 90))
        settle()
        noted = list(db.session.scalars(select(LoyaltyNote.order_id)))
        db.session.execute(text("DELETE FROM loyalty_note"))
        reckon(noted)
        _some_owing()
        settle()
        db.session.commit()
        db.session.expire_all()
        self.plain.follow()
        return name

    def do(self, made: Any, record: Any, **values: Any) -> list[str]:
        """What became of the command, once or for each of several at once."""
        if not self.together:
            return [told(made, record, self.by, **values)]
        number, by = record.id, self.by.id
        return self.at_once(lambda: perform(made, [number], by=db.session.get_one(User, by), values=values)[0].reason)

    def at_once(self, work: Callable[[], str]) -> list[str]:
        db.session.commit()

        def one(_: int) -> str:
            with self.together.app_context(), acting_as(Acting(via="test")):
                return run_in_transaction(work)

        with ThreadPoolExecutor(TOGETHER) as pool:
            found = list(pool.map(one, range(self.random.randint(1, TOGETHER))))
        db.session.expire_all()
        return found

    def lot(self, who: Member, points: int) -> None:
        days = self.random.choice((None, -1, 0, 5, 400))
        lot(self.account(who), points, days)
        who.lots.append(Lot(FAR if days is None else TODAY + dt.timedelta(days=days), points))

    def buy(self, who: Member, points: int) -> None:
        day = TODAY - dt.timedelta(days=self.random.choice((0, 0, 500)))
        order = make(face_named("order"), customer_id=self.account(who).party_id, state="completed", currency="EUR",
                     ordered_at=dt.datetime.combine(day, dt.time(12), dt.UTC))  # fmt: skip
        price = Decimal(points) + Decimal("0.49")
        make(face_named("order_line"), order_id=order.id, quantity=Decimal(1), unit_price=price, discount=0, tax=0)
        self.orders.append(order)
        self.plain.orders.append(Bought(who, price, dt.date(day.year + 1, day.month, min(day.day, 28))))

    def refund(self, _who: Member, points: int) -> None:
        for number in self._some(self.orders):
            bought, order = self.plain.orders[number], self.orders[number]
            amount = min(bought.amount, Decimal(points))
            if amount and order.state == "completed":
                back = make(face_named("return"), order_id=order.id, state="refunded")
                make(face_named("return_line"), sales_return_id=back.id, order_line_id=order.lines[0].id, quantity=Decimal("0.001"),
                     amount=amount)  # fmt: skip
                bought.amount -= amount

    def change(self, _who: Member, _points: int) -> None:
        """Cancelled, or completed after all."""
        for number in self._some(self.orders):
            bought, order = self.plain.orders[number], self.orders[number]
            gone = sum((line.amount for back in order.returns for line in back.lines), Decimal(0))
            cancelled = order.state == "completed"
            order.state = "cancelled" if cancelled else "completed"
            bought.amount = Decimal(0) if cancelled else order.lines[0].total - gone

    def redeem(self, who: Member, points: int) -> None:
        newest = db.session.scalar(select(func.max(Redemption.id))) or 0
        said = self.do(redeem, self.account(who), points=points)
        done = min(len(said), who.there(spendable=True) // points)
        assert sorted(said) == sorted([""] * done + ["there aren't as many points"] * (len(said) - done))
        made = list(db.session.scalars(select(Redemption.id).where(Redemption.id > newest).order_by(Redemption.id)))
        assert len(made) == done
        self.plain.held += [(number, who.take(points, spendable=True)) for number in made]

    def capture(self, _who: Member, _points: int) -> None:
        """What was given stays taken."""
        for number in self._some(self.plain.held):
            found = db.session.get_one(Redemption, self.plain.held.pop(number)[0])
            self._once(self.do(capture, found), "it is given already")
            assert self.do(void, found, reason="x")[0] == "it is given already"

    def void(self, _who: Member, _points: int) -> None:
        for number in self._some(self.plain.held):
            redemption, taken = self.plain.held.pop(number)
            found = db.session.get_one(Redemption, redemption)
            self._once(self.do(void, found, reason="x"), "it is voided already")
            assert self.do(void, found, reason="x")[0] == "it is voided already"
            for one, part in taken:
                one.left += part
            for member in self.plain.members:
                if any(one in member.lots for one, _ in taken):
                    self.plain.lead_on(member)

    def expire(self, _who: Member, _points: int) -> None:
        assert set(self.do(expire, self.program)) == {""}
        for one in (one for member in self.plain.members for one in member.lots if one.expires < TODAY):
            one.lapsed, one.left = one.lapsed + one.left, 0

    def adjust(self, who: Member, points: int) -> None:
        points *= self.random.choice((1, -1))
        said = self.do(adjust, self.account(who), points=points, reason="x")
        done = len(said) if points > 0 else min(len(said), who.there() // -points)
        assert sorted(said) == sorted([""] * done + ["there aren't as many points"] * (len(said) - done))
        for _ in range(done):
            if points > 0:
                who.lots.append(Lot(_in_a_year(), points))
            else:
                who.take(-points)

    def transfer(self, who: Member, points: int) -> None:
        to = self.slots[(self.slots.index(who) + 1) % 3]
        said = self.do(transfer, self.account(who), to=to.account, points=points, reason="x")
        done = min(len(said), who.there(spendable=True) // points)
        assert sorted(said) == sorted([""] * done + ["there aren't as many points"] * (len(said) - done))
        for _ in range(done):
            taken = sorted(who.take(points, spendable=True), key=lambda pair: who.lots.index(pair[0]))
            to.lots += [Lot(one.expires, part) for one, part in taken]

    def refer(self, who: Member, _points: int) -> None:
        came = self.slots[(self.slots.index(who) + 1) % 3]
        brought = make(face_named("referral"), referrer_id=self.account(who).party_id, referred_id=self.account(came).party_id,
                       program_id=self.program.id)  # fmt: skip
        said = self.do(reward, brought)
        first = not any(one is came for _, one in self.plain.brought)
        assert said.count("") == first
        if first:
            self.plain.brought.append((who, came))
            for one, points in ((who, 30), (came, 20)):
                one.lots.append(Lot(_in_a_year(), points))

    def merge(self, who: Member, _points: int) -> None:
        """Somebody else joins, so that there are as many as before."""
        place = (self.slots.index(who) + 1) % 3
        kept, gone = (self.account(one).party_id for one in (who, self.slots[place]))

        def merge() -> str:
            try:
                merge_parties(kept, [gone], by=None)
            except Refused as refused:
                return str(refused)
            return ""

        if self.together:
            self._once(self.at_once(merge), "already")
        else:
            assert merge() == ""
        self.plain.merge(who, self.slots[place])
        self.slots[place] = self.joined()

    def _once(self, said: list[str], then: str) -> None:
        assert sorted(said)[0] == ""
        assert all(one.endswith(then) for one in sorted(said)[1:])

    def _some(self, of: list[Any]) -> list[int]:
        return [self.random.randrange(len(of))] if of else []

    def agrees(self) -> None:
        for member in self.plain.members:
            found = db.session.scalars(select(PointEntry).where(
                PointEntry.account_id == member.account, PointEntry.points > 0, PointEntry.reverses_id.is_(None)).order_by(PointEntry.id))  # fmt: skip
            assert [one.remaining for one in found] == [one.left for one in member.lots]
            still_open = text("SELECT remaining FROM point_lot WHERE account_id = :id ORDER BY id")
            assert list(db.session.scalars(still_open, {"id": member.account})) == [
                one.left for one in member.lots if one.left
            ]
            total = db.session.scalar(
                text("SELECT sum(points) FROM point_entry WHERE account_id = :id"), {"id": member.account}
            )
            assert self.account(member).points == (total or 0) == sum(one.left for one in member.lots) >= 0


def _in_a_year() -> dt.date:
    return dt.date(TODAY.year + 1, TODAY.month, min(TODAY.day, 28))


@pytest.mark.soak
def test_random_steps_leave_what_a_plain_model_says(session: Any, soak_round: int) -> None:
    run = Run(soak_round)
    for _ in range(STEPS):
        run.step()
        run.agrees()


@pytest.mark.soak
def test_so_they_do_when_several_do_the_same_at_once(own_database: Any, soak_round: int) -> None:
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        run = Run(soak_round, own_database.app)
        for _ in range(STEPS):
            run.step()
            run.agrees()
        assert list(wrong_figures()) == []
        db.session.remove()
