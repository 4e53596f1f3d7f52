"""Loyalty and credit of the demo: programs with tiers and rewards, and what the people of the story earned and owe."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import select

from crm.commands.demo_accounts import CLUB
from crm.core.days import today
from crm.core.entity import Entity, db
from crm.core.figures import settle
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount, CreditHold
from crm.models.credit_delegations import CreditDelegation
from crm.models.credit_invoices import Invoice, Payment
from crm.models.credit_orders import CreditRelease
from crm.models.credit_reminders import CreditReminder
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.models.loyalty_accounts import CashbackEntry, LoyaltyAccount, PointEntry
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTerms, LoyaltyTier, Reward
from crm.models.loyalty_requests import PointRequest
from crm.models.loyalty_rewards import Redemption, Referral
from crm.models.parties import Party
from crm.models.sales_orders import Order, OrderCredit, OrderLine

E = TypeVar("E", bound=Entity)
FLEET, FRIENDS = "Fleet cashback", "Bring a friend"
_TIERS = (
    ("Silver", 1, 0, 0, 1, "Points for everything you buy", False),
    ("Gold", 2, 1_000, 800, "1.25", "Free pick-up once a year", False),
    ("Platinum", 3, 5_000, 4_000, "1.5", "Courtesy car, priority in the workshop", True),
    ("VIP", 4, 20_000, 16_000, 2, "A person of your own to call, first look at new models", True),
)
_REWARDS = (
    ("Car wash", "free_product", 150, 15), ("10 % off accessories", "discount", 400, 40), ("Winter check", "free_product", 500, 49),
    ("Express lane in the workshop", "priority_service", 800, 60), ("Evening at the design studio", "exclusive_access", 3_000, 250),
)  # fmt: skip


def load_programs() -> None:
    """Make the programs if they aren't there, and people who can ask and decide. Flushes."""
    _colleagues()
    if db.session.scalar(select(LoyaltyProgram.id).where(LoyaltyProgram.name == CLUB)) is not None:
        return
    main = db.session.scalar(select(LoyaltyProgram.id).where(LoyaltyProgram.main)) is None
    started = today() - dt.timedelta(days=900)
    club = _add(LoyaltyProgram, name=CLUB, kinds=["points", "tiers"], main=main, valid_from=started, currency="EUR",
                eligibility="Everybody who bought a vehicle or a service", notes="Points for cars, parts and services")  # fmt: skip
    fleet = _add(LoyaltyProgram, name=FLEET, kinds=["cashback"], valid_from=started, currency="EUR", by_invitation=True,
                 minimum_purchase=Decimal(50_000), eligibility="Businesses with five vehicles or more")  # fmt: skip
    friends = _add(LoyaltyProgram, name=FRIENDS, kinds=["referral"], valid_from=started, currency="EUR")
    for program, more in (
        (club, {"points_per_unit": Decimal("0.04"), "points_last_months": 24}),
        (club, {"points_per_unit": Decimal("0.05"), "points_last_months": 24, "referrer_bonus": 500, "referred_bonus": 250}),
        (fleet, {"points_per_unit": Decimal(0), "cashback_percent": Decimal("1.5")}),
        (friends, {"points_per_unit": Decimal(0), "referrer_bonus": 500, "referred_bonus": 250}),
    ):  # fmt: skip
        _add(
            LoyaltyTerms,
            program_id=program.id,
            valid_from=started,
            conditions="One account each. Points can't be sold.",
            **more,
        )
    for name, rank, enter, leave, times, benefits, first in _TIERS:
        _add(LoyaltyTier, program_id=club.id, name=name, rank=rank, enter_at=Decimal(enter), leave_below=Decimal(leave),
             multiplier=Decimal(times), benefits=benefits, raises_priority=first)  # fmt: skip
    for name, kind, points, worth in _REWARDS:
        _add(Reward, program_id=club.id, name=name, kind=kind, points=points, worth=Decimal(worth), currency="EUR",
             valid_from=started)  # fmt: skip


def load_accounts(people: Mapping[str, Party]) -> None:
    """Memberships and credit of the people of the story, by their names. The programs must be there. Flushes."""
    now = dt.datetime.now(dt.UTC)
    programs = {one.name: one for one in db.session.scalars(select(LoyaltyProgram))}
    seller, approver = _colleagues()
    _club(people, programs, now, seller)
    _owing(people["Mercantile Parts Ltd"], now, seller, approver)
    _paying(people["Nordlicht Logistik GmbH"], now, seller, approver)
    _add(
        CreditDelegation,
        delegator_id=seller,
        delegate_id=approver,
        starts_on=_day(now, -40),
        ends_on=_day(now, -26),
        reason="On holiday",
    )
    db.session.flush()


def _club(people: Mapping[str, Party], programs: Mapping[str, LoyaltyProgram], now: dt.datetime, seller: int) -> None:
    club = programs[CLUB]
    terms = db.session.scalars(
        select(LoyaltyTerms).where(LoyaltyTerms.program_id == club.id).order_by(LoyaltyTerms.id.desc())
    ).first()
    tiers = {
        one.name: one.id for one in db.session.scalars(select(LoyaltyTier).where(LoyaltyTier.program_id == club.id))
    }
    rewards = {one.name: one for one in db.session.scalars(select(Reward).where(Reward.program_id == club.id))}
    accounts = {}
    for name, tier, days, lots in (
        ("Anna Hoffmann", "Gold", 850, ((1_580, 850, 20), (340, 300, 430), (32, 35, 695))),
        ("Elena Marchetti", "VIP", 2000, ((11_850, 760, 18), (11_800, 400, 330))), ("Paul Hoffmann", "Silver", 560, ((1_156, 560, 170),)),
        ("Inês Carvalho", "Silver", 36, ((1_160, 36, 694),)), ("Yuki Tanaka", "Gold", 400, ((2_196, 400, 330),)),
    ):  # fmt: skip
        party = people[name]
        made = accounts[name] = _add(
            LoyaltyAccount, party_id=party.id, program_id=club.id, tier_id=tiers[tier], joined_on=_day(now, -days),
            tier_since=_day(now, -min(days, 300)), terms_id=terms.id if terms else None,
            terms_accepted_at=now - dt.timedelta(days=days) if terms else None)  # fmt: skip
        for points, ago, left in lots:
            _add(PointEntry, account_id=made.id, kind="earn", points=points, expires_on=_day(now, left), source=f"demo:{made.id}:{ago}",
                 reason="For purchases", created_at=now - dt.timedelta(days=ago), by_id=seller)  # fmt: skip
    for name, wanted, state in (
        ("Anna Hoffmann", "Winter check", "captured"),
        ("Elena Marchetti", "Evening at the design studio", "held"),
    ):
        account, reward = accounts[name], rewards[wanted]
        entry = _add(PointEntry, account_id=account.id, kind="redeem", points=-reward.points, source=f"demo:redeem:{account.id}",
                     reason=reward.name, by_id=seller)  # fmt: skip
        _add(Redemption, account_id=account.id, reward_id=reward.id, entry_id=entry.id, points=reward.points, state=state, by_id=seller,
             settled_at=now if state == "captured" else None)  # fmt: skip
    _add(PointRequest, account_id=accounts["Elena Marchetti"].id, points=2_500, requested_by_id=seller,
         reason="Her order of spring was entered twice as cancelled")  # fmt: skip
    anna, friend = people["Anna Hoffmann"], people["Inês Carvalho"]
    for name, points in (("Anna Hoffmann", 500), ("Inês Carvalho", 250)):
        _add(PointEntry, account_id=accounts[name].id, kind="bonus", points=points, expires_on=_day(now, 690),
             source=f"demo:referral:{accounts[name].id}", reason="Brought a friend" if points == 500 else "Came as a friend")  # fmt: skip
    _add(Referral, referrer_id=anna.id, referred_id=friend.id, program_id=programs[FRIENDS].id, channel="whatsapp",
         referred_on=_day(now, -52), referrer_bonus=500, referred_bonus=250, rewarded_at=now - dt.timedelta(days=30))  # fmt: skip
    _add(Referral, referrer_id=anna.id, name="A colleague of Anna's", program_id=programs[FRIENDS].id, channel="email",
         referred_on=_day(now, -4))  # fmt: skip
    fleet = _add(LoyaltyAccount, party_id=people["Nordlicht Logistik GmbH"].id, program_id=programs[FLEET].id, joined_on=_day(now, -600),
                 invited_at=now - dt.timedelta(days=610), invitation_accepted_at=now - dt.timedelta(days=600))  # fmt: skip
    for kind, amount in (("earn", 1_447), ("set_off", -1_000)):
        _add(CashbackEntry, account_id=fleet.id, kind=kind, amount=Decimal(amount), source=f"demo:cashback:{fleet.id}:{kind}",
             reason="Vans of last year" if kind == "earn" else "Against the invoice of spring")  # fmt: skip


def _owing(firm: Party, now: dt.datetime, seller: int, approver: int) -> None:
    """In trouble: three invoices overdue, one part paid, a hold, and a request that nobody should approve."""
    account = _limit(firm, now, 15_000, 700, seller, approver, last_review_on=_day(now, -40), next_review_on=_day(now, 5),
                     special_conditions="Deliver against payment only")  # fmt: skip
    for number, days, amount in ((1, 130, 4_820), (2, 95, 5_310), (3, 70, 3_960), (4, 25, 1_140)):
        _invoice(account, number, now, days, amount)
    _add(Payment, account_id=account.id, paid_on=_day(now, -60), amount=Decimal(1_500), currency="EUR", method="bank",
         reference=f"DEMO-{account.id}-1")  # fmt: skip
    _add(
        CreditHold,
        account_id=account.id,
        scope="all",
        reason="Three invoices overdue by more than 60 days",
        by_id=approver,
    )
    _add(CreditReminder, account_id=account.id, level="first", overdue=Decimal(4_820), oldest_due_on=_day(now, -100), by_id=seller,
         remarks="By phone: promises to pay", created_at=now - dt.timedelta(days=95))  # fmt: skip
    settle()  # a request tells how the account stands, and what is ordered now is held
    ordered = [_order(firm, now, seller, days, what, price) for days, what, price in (
        (6, "Brake pads for the workshop", 640), (2, "Tyres for the season", 9_800))]  # fmt: skip
    settle()
    db.session.refresh(ordered[0])
    _add(CreditRelease, order_id=ordered[0].id, amount=Decimal(640), held_because=ordered[0].credit_reason,
         reason="Paid in advance, in cash", released_by_id=approver)  # fmt: skip
    ordered[0].credit, ordered[0].credit_reason = OrderCredit.RELEASED, None
    _add(CreditRequest, account_id=account.id, amount=Decimal(25_000), requested_by_id=seller,
         reason="Wants to order for the season; promises to pay the oldest invoice")  # fmt: skip


def _paying(firm: Party, now: dt.datetime, seller: int, approver: int) -> None:
    """Pays in time, and asks for more room for six new vans."""
    account = _limit(firm, now, 120_000, 900, seller, approver, last_review_on=_day(now, -180), next_review_on=_day(now, 180),
                     terms="net_60")  # fmt: skip
    for number, days, amount, paid in ((1, 400, 95_600, 370), (2, 200, 47_800, 150), (3, 20, 1_780, None)):
        _invoice(account, number, now, days, amount)
        if paid:
            _add(Payment, account_id=account.id, paid_on=_day(now, -paid), amount=Decimal(amount), currency="EUR", method="bank",
                 reference=f"DEMO-{account.id}-{number}")  # fmt: skip
    settle()
    _add(
        CreditRequest,
        account_id=account.id,
        amount=Decimal(300_000),
        requested_by_id=approver,
        reason="Six electric vans for Kiel",
    )


def _limit(
    firm: Party, now: dt.datetime, limit: int, days: int, seller: int, approver: int, **more: Any
) -> CreditAccount:
    account = _add(CreditAccount, party_id=firm.id, **more)
    then = now - dt.timedelta(days=days)
    asked = _add(CreditRequest, account_id=account.id, amount=Decimal(limit), requested_by_id=seller, status="approved",
                 reason="Buys regularly", created_at=then - dt.timedelta(days=2))  # fmt: skip
    _add(CreditDecision, request_id=asked.id, account_id=account.id, requested_by_id=seller, decided_by_id=approver, step=1, final=True,
         verdict="approved", credit_limit=Decimal(limit), created_at=then, reason="Good references")  # fmt: skip
    return account


def _order(firm: Party, now: dt.datetime, seller: int, days: int, what: str, price: int) -> Order:
    order = _add(Order, customer_id=firm.id, ordered_at=now - dt.timedelta(days=days), currency="EUR", owner_id=seller)
    _add(OrderLine, order_id=order.id, name=what, quantity=Decimal(1), unit_price=Decimal(price))
    return order


def _invoice(account: CreditAccount, number: int, now: dt.datetime, days: int, amount: int) -> None:
    _add(Invoice, account_id=account.id, number=f"DEMO-{account.id:04}-{number}", issued_on=_day(now, -days), amount=Decimal(amount),
         currency="EUR")  # fmt: skip


def _colleagues() -> tuple[int, int]:
    """Two people who asked and decided: of those there are, or stand-ins who can't sign in."""
    users = list(db.session.scalars(select(User.id).order_by(User.active.desc(), User.id.desc()).limit(2)))
    for name in ("Demo Sales", "Demo Approver")[len(users) :]:
        users.append(_add(User, name=name, email=f"{name.lower().replace(' ', '.')}@example.com", active=False).id)
    return users[0], users[1]


def _day(now: dt.datetime, days: int) -> dt.date:
    return now.date() + dt.timedelta(days=days)


def _add(entity: type[E], **values: Any) -> E:
    record = entity(**values)
    db.session.add(record)
    db.session.flush()
    return record
