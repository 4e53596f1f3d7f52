"""What may happen to memberships, redemptions and referrals. Points are entered here and nowhere else; which lots they come
out of the database decides."""

from __future__ import annotations

import datetime as dt
import secrets
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import func, select, text

from crm.commands.communications import refuse_archived
from crm.commands.ledger_entries import enter
from crm.core import figures
from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount, PointEntry
from crm.models.loyalty_choices import Membership, PointKind, ProgramState, RedemptionState, ReferralState
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTerms, LoyaltyTier, Reward
from crm.models.loyalty_rewards import Redemption, Referral
from crm.models.sales_orders import Order, OrderState

_REASON = field_of("long_text", required=True, field_class=FieldClass.PERSONAL)
_TOO_MUCH = {"points": "there aren't as many points"}


def terms_of(program_id: int) -> LoyaltyTerms | None:
    """The terms that hold today."""
    return db.session.scalars(select(LoyaltyTerms).where(
        LoyaltyTerms.program_id == program_id, LoyaltyTerms.valid_from <= func.current_date())
        .order_by(LoyaltyTerms.valid_from.desc(), LoyaltyTerms.version.desc()).limit(1)).first()  # fmt: skip


def _refuse_unless_open(account: LoyaltyAccount) -> None:
    refuse_archived(account.party)
    if account.state is not Membership.ACTIVE:
        raise Refused(f"the membership is {account.state.label.lower()}")
    if account.program.state is not ProgramState.ACTIVE:
        raise Refused(f"the program is {account.program.state.label.lower()}")


def _enter(
    account: LoyaltyAccount, kind: PointKind, points: int, *, source: str, by: User | None, **more: Any
) -> PointEntry:
    entry = PointEntry(
        account_id=account.id, kind=kind, points=points, source=source, by_id=by.id if by else None, **more
    )
    enter(entry, twice="it counts already", says=_TOO_MUCH)
    return entry


def _expiry(account: LoyaltyAccount) -> dt.date | None:
    """The day on which points of today expire."""
    terms = terms_of(account.program_id)
    if terms is None or terms.points_last_months is None:
        return None
    expiry = select(func.date(func.current_date() + func.make_interval(0, terms.points_last_months)))
    found: dt.date = db.session.execute(expiry).scalar_one()
    return found


def _next_source(account: LoyaltyAccount, word: str) -> str:
    """A key for something that may happen again."""
    return f"{word}:{account.id}:{secrets.token_hex(8)}"


@command(LoyaltyAccount, "Points for an order", icon="coins", asks={"order": field_of("reference", refers_to="order", required=True)},
         applies=lambda account: account.state is Membership.ACTIVE)  # fmt: skip
def earn(account: LoyaltyAccount, *, by: User, order: int | None) -> None:
    """Enter what a completed order earns by the terms of today and the member's tier, once."""
    _refuse_unless_open(account)
    bought = db.session.get(Order, order) if order else None
    if bought is None or bought.customer_id != account.party_id:
        raise Refused("that is no order of this customer")
    if bought.state is not OrderState.COMPLETED:
        raise Refused(f"the order is {bought.state.label.lower()}")
    earned = select(PointEntry.id).join(PointEntry.account).where(
        PointEntry.order_id == bought.id, PointEntry.kind == PointKind.EARN, LoyaltyAccount.program_id == account.program_id)  # fmt: skip
    if db.session.scalar(select(earned.exists())):  # perhaps on a membership that went up in this one
        raise Refused("it counts already")
    terms = terms_of(account.program_id)
    if terms is None:
        raise Refused("the program has no terms yet")
    if bought.currency != account.program.currency:
        raise Refused(f"the order isn't in {account.program.currency}, in which the program counts")
    figures.settle()
    paid = db.session.scalar(
        text("SELECT total - refunded FROM order_figures WHERE id = :id"), {"id": bought.id}
    ) or Decimal(0)
    times = account.tier.multiplier if account.tier else Decimal(1)
    points = int((paid * terms.points_per_unit * times).quantize(Decimal(1), ROUND_HALF_UP))
    if points <= 0:
        raise Refused("it earns no points")
    _enter(account, PointKind.EARN, points, source=f"order:{bought.id}:{account.id}", by=by, order_id=bought.id,
           expires_on=_expiry(account))  # fmt: skip


@command(LoyaltyAccount, "Adjust points", icon="scale", tone="warning",
         asks={"points": field_of("integer", required=True, minimum=-1_000_000, maximum=1_000_000,
                                  help="To add, or with a minus to take away"), "reason": _REASON})  # fmt: skip
def adjust(account: LoyaltyAccount, *, by: User, points: int, reason: str) -> None:
    """Put the balance right by hand, with a reason."""
    refuse_archived(account.party)
    if not points:
        raise Refused("give a number of points other than 0")
    _enter(account, PointKind.ADJUST, points, source=_next_source(account, "adjust"), by=by, reason=reason,
           expires_on=_expiry(account) if points > 0 else None)  # fmt: skip


@command(LoyaltyAccount, "Redeem", icon="gift", asks={"reward": field_of("reference", refers_to="reward", required=True)},
         applies=lambda account: account.state is Membership.ACTIVE)  # fmt: skip
def redeem(account: LoyaltyAccount, *, by: User, reward: int | None) -> None:
    """Take the points of a reward and hold it, until it is given or voided."""
    _refuse_unless_open(account)
    wanted = db.session.get(Reward, reward) if reward else None
    if wanted is None or wanted.program_id != account.program_id:
        raise Refused("that is no reward of this program")
    day = today()
    if not wanted.active or wanted.valid_from > day or (wanted.valid_until and wanted.valid_until < day):
        raise Refused("the reward can't be had now")
    entry = _enter(
        account, PointKind.REDEEM, -wanted.points, source=_next_source(account, "redeem"), by=by, reason=wanted.name
    )
    db.session.add(
        Redemption(account_id=account.id, reward_id=wanted.id, entry_id=entry.id, points=wanted.points, by_id=by.id)
    )
    db.session.flush()


@command(LoyaltyAccount, "Accept terms", icon="scroll-text", confirm="The customer accepts the terms that hold today.")
def accept_terms(account: LoyaltyAccount, *, by: User) -> None:
    """Note that the customer accepts the terms that hold today."""
    refuse_archived(account.party)
    terms = terms_of(account.program_id)
    if terms is None:
        raise Refused("the program has no terms yet")
    account.terms_id, account.terms_accepted_at = terms.id, dt.datetime.now(dt.UTC)
    if account.state is Membership.INVITED:
        account.state, account.invitation_accepted_at = Membership.ACTIVE, account.terms_accepted_at


@command(
    LoyaltyAccount,
    "Invite",
    icon="mail",
    confirm="The membership begins when the terms are accepted.",
    applies=lambda account: account.invited_at is None,
)
def invite(account: LoyaltyAccount, *, by: User) -> None:
    """Note that the customer was invited; the membership begins when the terms are accepted."""
    refuse_archived(account.party)
    if account.invited_at is not None or account.state is not Membership.ACTIVE:
        raise Refused("the customer was invited already" if account.invited_at else "the membership isn't active")
    account.state, account.invited_at = Membership.INVITED, dt.datetime.now(dt.UTC)


@command(LoyaltyAccount, "Set tier", icon="trophy",
         asks={"tier": field_of("reference", refers_to="loyalty_tier", help="Empty: none"),
               "locked": field_of("boolean", label="Keep it", help="It isn't changed by what the customer buys")})  # fmt: skip
def set_tier(account: LoyaltyAccount, *, by: User, tier: int | None, locked: bool | None) -> None:
    """Put a member into a tier by hand."""
    refuse_archived(account.party)
    wanted = db.session.get(LoyaltyTier, tier) if tier else None
    if tier and (wanted is None or wanted.program_id != account.program_id):
        raise Refused("that is no tier of this program")
    if account.tier_id != (wanted.id if wanted else None):
        account.tier_id, account.tier_since = (wanted.id, today()) if wanted else (None, None)
    account.tier_locked = bool(locked)


@command(LoyaltyAccount, "Pause", icon="pause", applies=lambda account: account.state is Membership.ACTIVE)
def pause(account: LoyaltyAccount, *, by: User) -> None:
    """Nothing is earned or redeemed for the time being."""
    _move(account, Membership.PAUSED, Membership.ACTIVE)


@command(LoyaltyAccount, "Resume", icon="play", applies=lambda account: account.state is Membership.PAUSED)
def resume(account: LoyaltyAccount, *, by: User) -> None:
    """The membership goes on."""
    _move(account, Membership.ACTIVE, Membership.PAUSED)


@command(LoyaltyAccount, "End", icon="square", tone="warning", confirm="The membership ends; its points stay in the books.",
         applies=lambda account: account.state is not Membership.ENDED)  # fmt: skip
def end(account: LoyaltyAccount, *, by: User) -> None:
    """The membership is over."""
    _move(account, Membership.ENDED, Membership.INVITED, Membership.ACTIVE, Membership.PAUSED)
    account.ended_on = today()


def _move(account: LoyaltyAccount, to: Membership, *states: Membership) -> None:
    refuse_archived(account.party)
    if account.state not in states:
        raise Refused(f"it is {account.state.label.lower()}")
    account.state = to


# Redemptions


@command(
    Redemption, "Given", icon="check", tone="good", applies=lambda redemption: redemption.state is RedemptionState.HELD
)
def capture(redemption: Redemption, *, by: User) -> None:
    """The member has it."""
    _settle(redemption, RedemptionState.CAPTURED)


@command(Redemption, "Void", icon="undo-2", tone="warning", asks={"reason": _REASON},
         applies=lambda redemption: redemption.state is RedemptionState.HELD)  # fmt: skip
def void(redemption: Redemption, *, by: User, reason: str) -> None:
    """The points go back into the lots they came from."""
    _settle(redemption, RedemptionState.VOIDED)
    redemption.reason = reason
    _enter(redemption.account, PointKind.REVERSE, redemption.points, source=f"void:{redemption.id}", by=by, reason=reason,
           reverses_id=redemption.entry_id)  # fmt: skip


def _settle(redemption: Redemption, to: RedemptionState) -> None:
    refuse_archived(redemption.account.party)
    if redemption.state is not RedemptionState.HELD:
        raise Refused(f"it is {redemption.state.label.lower()} already")
    redemption.state, redemption.settled_at = to, dt.datetime.now(dt.UTC)


# Programs and referrals


@command(LoyaltyProgram, "Expire points", icon="hourglass", tone="warning",
         confirm="Points whose day is over are written off, in every membership of the program.")  # fmt: skip
def expire(program: LoyaltyProgram, *, by: User) -> None:
    """Write off what is left of lots whose day is over; at most once a day for each membership."""
    figures.settle()
    db.session.execute(text("""
      INSERT INTO point_entry (account_id, kind, points, source, reason, by_id)
      SELECT f.account_id, 'expire', -sum(f.remaining), 'expire:' || f.account_id || ':' || CURRENT_DATE, 'Expired', :by
        FROM point_entry_figures f JOIN loyalty_account a ON a.id = f.account_id
       WHERE a.program_id = :program AND f.remaining > 0 AND f.expires_on < CURRENT_DATE
       GROUP BY f.account_id ORDER BY f.account_id ON CONFLICT (source) DO NOTHING"""), {"program": program.id, "by": by.id})  # fmt: skip


@command(
    Referral,
    "Reward both",
    icon="gift",
    tone="good",
    applies=lambda referral: referral.state is not ReferralState.REWARDED,
)
def reward(referral: Referral, *, by: User) -> None:
    """Enter the bonus for who referred and who came, in the program of the referral, once."""
    refuse_archived(referral.referrer)
    if referral.state is ReferralState.REWARDED:
        raise Refused("both have their bonus already")
    if referral.referred is None or referral.program_id is None:
        raise Refused("say first which customer came, and by which program it is rewarded")
    terms = terms_of(referral.program_id)
    if terms is None:
        raise Refused("the program has no terms yet")
    given = {
        "referrer": (referral.referrer_id, terms.referrer_bonus),
        "referred": (referral.referred_id, terms.referred_bonus),
    }
    for side, (party_id, points) in given.items():
        account = db.session.scalars(select(LoyaltyAccount).where(
            LoyaltyAccount.party_id == party_id, LoyaltyAccount.program_id == referral.program_id,
            LoyaltyAccount.state == Membership.ACTIVE)).first()  # fmt: skip
        if account is None:
            raise Refused(f"the {side} is no member of the program")
        if points:
            _enter(account, PointKind.BONUS, points, source=f"referral:{referral.id}:{side}", by=by, expires_on=_expiry(account),
                   reason="Referral")  # fmt: skip
    referral.referrer_bonus, referral.referred_bonus = terms.referrer_bonus, terms.referred_bonus
    referral.state, referral.rewarded_at = ReferralState.REWARDED, dt.datetime.now(dt.UTC)
