"""Entries of points that a person or program asks for: who may, until when they last, what makes each of them single."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

from sqlalchemy import func, select

from crm.commands.communications import refuse_archived
from crm.commands.ledger_entries import enter
from crm.commands.party_merge_accounts import lead_on
from crm.core.command import Refused
from crm.core.days import today
from crm.core.entity import db
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount, PointEntry
from crm.models.loyalty_choices import Membership, PointKind, ProgramState
from crm.models.loyalty_programs import LoyaltyTerms

_TOO_MUCH = {"points": "there aren't as many points"}


def terms_of(program_id: int) -> LoyaltyTerms | None:
    """The terms that hold today."""
    return db.session.scalars(select(LoyaltyTerms).where(
        LoyaltyTerms.program_id == program_id, LoyaltyTerms.valid_from <= func.current_date())
        .order_by(LoyaltyTerms.valid_from.desc(), LoyaltyTerms.version.desc()).limit(1)).first()  # fmt: skip


def refuse_unless_open(account: LoyaltyAccount) -> None:
    refuse_archived(account.party)
    if account.state is not Membership.ACTIVE:
        raise Refused(f"the membership is {account.state.label.lower()}")
    if account.program.state is not ProgramState.ACTIVE:
        raise Refused(f"the program is {account.program.state.label.lower()}")
    if account.program.terms_first and account.terms_id is None:
        raise Refused("the terms aren't accepted")
    if account.program.fee and (account.fee_paid_on is None or (account.fee_due_on or today()) < today()):
        raise Refused("the membership fee isn't paid")


def enter_points(
    account: LoyaltyAccount, kind: PointKind, points: int, *, source: str, by: User | None, **more: Any
) -> PointEntry:
    """Enter points; what comes to a membership that was merged goes on to the one that is left. Raises Refused."""
    entry = PointEntry(
        account_id=account.id, kind=kind, points=points, source=source, by_id=by.id if by else None, **more
    )
    enter(entry, twice="it counts already", says=_TOO_MUCH)
    if points > 0:
        lead_on([account.id], by=entry.by_id)
    return entry


def expiry_of(account: LoyaltyAccount) -> dt.date | None:
    """The day on which points of today expire."""
    terms = terms_of(account.program_id)
    if terms is None or terms.points_last_months is None:
        return None
    expiry = select(func.date(func.current_date() + func.make_interval(0, terms.points_last_months)))
    found: dt.date = db.session.execute(expiry).scalar_one()
    return found


def next_source(account: LoyaltyAccount, word: str) -> str:
    """A key for something that may happen again."""
    return f"{word}:{account.id}:{secrets.token_hex(8)}"


def adjusted(account: LoyaltyAccount, points: int, *, by: User, reason: str) -> PointEntry:
    """The entry that puts a balance right."""
    return enter_points(account, PointKind.ADJUST, points, source=next_source(account, "adjust"), by=by, reason=reason,
                        expires_on=expiry_of(account) if points > 0 else None)  # fmt: skip
