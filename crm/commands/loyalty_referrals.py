"""Referrals: who came by whose code; both sides get their bonus, once, when the customer who came first buys."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select, text

from crm.commands.communications import refuse_archived
from crm.commands.ledger_entries import enter
from crm.commands.loyalty_entries import enter_points, expiry_of, terms_of
from crm.core.command import Refused, command, lock_in_order, perform
from crm.core.entity import db
from crm.core.fields import field_of
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.models.communication_choices import Channel
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_choices import Membership, PointKind, ProgramKind, ReferralState
from crm.models.loyalty_programs import LoyaltyProgram
from crm.models.loyalty_rewards import Referral
from crm.models.parties import Party

CHUNK = 500

# Who came, bought since, and both are members: nothing stands in the way of the bonus.
_DUE = text("""
SELECT r.id FROM referral r JOIN customer_figures f ON f.id = r.referred_id
 WHERE r.state <> 'rewarded' AND r.program_id IS NOT NULL AND r.id > :after
   AND f.orders_count > 0 AND f.last_purchase_at >= r.referred_on
   AND EXISTS (SELECT FROM loyalty_program p WHERE p.id = r.program_id AND p.state = 'active' AND 'referral' = ANY (p.kinds))
   AND EXISTS (SELECT FROM loyalty_terms t WHERE t.program_id = r.program_id AND t.valid_from <= CURRENT_DATE)
   AND NOT EXISTS (SELECT FROM referral o WHERE o.referred_id = r.referred_id AND o.program_id = r.program_id AND o.state = 'rewarded')
   AND 2 = (SELECT count(*) FROM loyalty_account a WHERE a.program_id = r.program_id AND a.state = 'active'
            AND a.party_id IN (r.referrer_id, r.referred_id))
 ORDER BY r.id LIMIT :limit""")


@command(Party, "Came by a code", icon="users", faces=("customer", "end_customer"),
         asks={"code": field_of("text", required=True, max_length=32, label="Referral code", help="Of who referred them"),
               "channel": field_of("choice", choices=Channel)},
         applies=lambda party: party.archived_at is None, seldom=True)  # fmt: skip
def came_by(party: Party, *, by: User, code: str, channel: Channel | None) -> None:
    """Note who referred this customer, by the code they told: both get their bonus when this one has bought."""
    refuse_archived(party)
    brought = Referral(referral_code=code, referred_id=party.id, channel=channel)
    enter(
        brought,
        twice="that is noted already",
        says={"referral_code": "that is nobody's code, or their own: look at it again"},
    )
    same = select(Referral.id).where(
        Referral.referred_id == party.id, Referral.referrer_id == brought.referrer_id, Referral.id != brought.id
    )
    if db.session.scalar(select(same.exists())):
        raise Refused("it is noted already that they referred this customer")


@command(
    Referral,
    "Reward both",
    icon="gift",
    tone="good",
    applies=lambda referral: referral.state is not ReferralState.REWARDED,
)
def reward(referral: Referral, *, by: User | None) -> None:
    """Enter the bonus for who referred and who came, in the program of the referral, once."""
    refuse_archived(referral.referrer)
    if referral.state is ReferralState.REWARDED:
        raise Refused("both have their bonus already")
    if referral.referred is None or referral.program_id is None:
        raise Refused("say first which customer came, and by which program it is rewarded")
    program = db.session.get_one(LoyaltyProgram, referral.program_id)
    if ProgramKind.REFERRAL not in program.kinds:
        raise Refused("the program gives nothing for referrals")
    terms = terms_of(program.id)
    if terms is None:
        raise Refused("the program has no terms yet")
    other = select(Referral.id).where(Referral.referred_id == referral.referred_id, Referral.program_id == referral.program_id,
                                      Referral.state == ReferralState.REWARDED)  # fmt: skip
    if db.session.scalar(select(other.exists())):
        raise Refused("somebody has the bonus for this customer already")
    # One who came brings one bonus, whoever else claims it at the same moment.
    keys = {"referrer": f"referral:{referral.program_id}:{referral.referred_id}",
            "referred": f"referred:{referral.program_id}:{referral.referred_id}"}  # fmt: skip
    given = {
        "referrer": (referral.referrer_id, terms.referrer_bonus),
        "referred": (referral.referred_id, terms.referred_bonus),
    }
    open_ = (LoyaltyAccount.program_id == program.id, LoyaltyAccount.state == Membership.ACTIVE)
    sides = select(LoyaltyAccount.id).where(
        LoyaltyAccount.party_id.in_([party_id for party_id, _ in given.values()]), *open_
    )
    members = {one.party_id: one for one in lock_in_order(LoyaltyAccount, db.session.scalars(sides), *open_)}
    for side, (party_id, points) in given.items():
        account = members.get(party_id)
        if account is None:
            raise Refused(f"the {side} is no member of the program")
        if points:
            enter_points(
                account,
                PointKind.BONUS,
                points,
                source=keys[side],
                by=by,
                expires_on=expiry_of(account),
                reason="Referral",
            )
    referral.referrer_bonus, referral.referred_bonus = terms.referrer_bonus, terms.referred_bonus
    referral.rewarded_at = dt.datetime.now(dt.UTC)
    db.session.flush()


def reward_first_purchases() -> int:
    """Reward both sides where who came has bought since; answers how many."""
    after, done = 0, 0
    while True:
        last, number = run_in_transaction(lambda after=after: _reward_some(after))  # type: ignore[misc]
        done += number
        if last is None:
            return done
        after = last


def _reward_some(after: int) -> tuple[int | None, int]:
    ids = list(db.session.scalars(_DUE, {"after": after, "limit": CHUNK}))
    number = sum(one.done for one in perform(reward, ids, by=None, values={}))
    return ids[-1] if len(ids) == CHUNK else None, number
