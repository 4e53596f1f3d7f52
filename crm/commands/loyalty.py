"""What may happen to memberships, redemptions and referrals. Points are entered here and nowhere else; which lots they come
out of the database decides."""

from __future__ import annotations

import datetime as dt

from crm.commands.communications import refuse_archived
from crm.commands.ledger_entries import enter
from crm.commands.loyalty_earning import line_of, reckon
from crm.commands.loyalty_entries import adjusted, enter_points, next_source, refuse_unless_open, terms_of
from crm.commands.loyalty_tiers import climb
from crm.commands.loyalty_upkeep import expire_some
from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import Membership, PointKind, RedemptionState
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTier, Reward
from crm.models.loyalty_requests import PointRequest
from crm.models.loyalty_rewards import Redemption
from crm.models.sales_orders import Order

_REASON = field_of("long_text", required=True, field_class=FieldClass.PERSONAL)


@command(LoyaltyAccount, "Points for an order", icon="coins", asks={"order": field_of("reference", refers_to="order", required=True)},
         applies=lambda account: account.state is Membership.ACTIVE)  # fmt: skip
def earn(account: LoyaltyAccount, *, by: User, order: int | None) -> None:
    """Enter what an order earns now, without waiting for it to be entered by itself; once."""
    refuse_unless_open(account)
    bought = db.session.get(Order, order) if order else None
    if bought is None or bought.customer_id != account.party_id:
        raise Refused("that is no order of this customer")
    before = line_of(bought.id, account.program_id)
    if before is not None and before.points == before.entered and before.points:
        raise Refused("it counts already")
    reckon([bought.id], by=by.id, program=account.program_id, again=before is None or bool(before.why))
    line = line_of(bought.id, account.program_id)
    if line is None:
        raise Refused(f"the order is {bought.state.label.lower()}, and does not count yet")
    if line.why or not (line.points or line.cashback):
        raise Refused(f"it earns nothing: {line.why or 'the amount is too small'}")
    climb([account.id])


@command(LoyaltyAccount, "Adjust points", icon="scale", tone="warning",
         asks={"points": field_of("integer", required=True, minimum=-1_000_000, maximum=1_000_000,
                                  help="To add, or with a minus to take away"), "reason": _REASON})  # fmt: skip
def adjust(account: LoyaltyAccount, *, by: User, points: int, reason: str) -> None:
    """Put the balance right by hand, with a reason. Above the program's bound a second person has to agree."""
    refuse_archived(account.party)
    if not points:
        raise Refused("give a number of points other than 0")
    if abs(points) > account.program.alone_up_to:
        db.session.add(PointRequest(account_id=account.id, points=points, reason=reason, requested_by_id=by.id))
        db.session.flush()
        return
    adjusted(account, points, by=by, reason=reason)


@command(LoyaltyAccount, "Redeem", icon="gift",
         asks={"reward": field_of("reference", refers_to="reward", help="Or give the points"),
               "points": field_of("integer", minimum=1, maximum=1_000_000, help="Without a reward: as many as are spent"),
               "reference": field_of("text", max_length=120, help="Your own number for it; unique if given")},
         applies=lambda account: account.state is Membership.ACTIVE)  # fmt: skip
def redeem(account: LoyaltyAccount, *, by: User, reward: int | None = None, points: int | None = None, reference: str | None = None) -> None:  # fmt: skip
    """Take points and hold them, until what they are spent on is given or it is voided; held too long they go back."""
    refuse_unless_open(account)
    if (reward is None) == (points is None):
        raise Refused("say either for which reward or how many points")
    wanted = _to_be_had(account, reward) if reward is not None else None
    taken = wanted.points if wanted is not None else points or 0
    entry = enter_points(account, PointKind.REDEEM, -taken, source=next_source(account, "redeem"), by=by,
                         reason=wanted.name if wanted is not None else "Points spent")  # fmt: skip
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=account.program.hold_hours)
    enter(Redemption(account_id=account.id, reward_id=wanted.id if wanted else None, entry_id=entry.id, points=taken, by_id=by.id,
                     held_until=until, reference=reference), twice="there is a redemption with this reference already")  # fmt: skip


def _to_be_had(account: LoyaltyAccount, number: int) -> Reward:
    wanted = db.session.get(Reward, number)
    if wanted is None or wanted.program_id != account.program_id:
        raise Refused("that is no reward of this program")
    day = today()
    if not wanted.active or wanted.valid_from > day or (wanted.valid_until and wanted.valid_until < day):
        raise Refused("the reward can't be had now")
    return wanted


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
    if redemption.held_until is not None and redemption.held_until < dt.datetime.now(dt.UTC):
        raise Refused("it was held for too long: the points go back")
    _settle(redemption, RedemptionState.CAPTURED)


@command(Redemption, "Void", icon="undo-2", tone="warning", asks={"reason": _REASON},
         applies=lambda redemption: redemption.state is RedemptionState.HELD)  # fmt: skip
def void(redemption: Redemption, *, by: User, reason: str) -> None:
    """The points go back into the lots they came from."""
    _settle(redemption, RedemptionState.VOIDED)
    redemption.reason = reason
    enter_points(redemption.account, PointKind.REVERSE, redemption.points, source=f"void:{redemption.id}", by=by, reason=reason,
           reverses_id=redemption.entry_id)  # fmt: skip


def _settle(redemption: Redemption, to: RedemptionState) -> None:
    refuse_archived(redemption.account.party)
    if redemption.state is not RedemptionState.HELD:
        raise Refused(f"it is {redemption.state.label.lower()} already")
    redemption.state, redemption.settled_at = to, dt.datetime.now(dt.UTC)


# Programs


@command(LoyaltyProgram, "Expire points", icon="hourglass", tone="warning",
         confirm="Points whose day is over are written off, in every membership of the program.")  # fmt: skip
def expire(program: LoyaltyProgram, *, by: User) -> None:
    """Write off what is left of lots whose day is over. It also happens by itself, every night."""
    while expire_some(program.id, by=by.id)[0]:
        pass
