"""Authority on credit is handed over for some days, and taken back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import select

from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.core.permissions import allowed
from crm.models.access import User, UserRole
from crm.models.credit_accounts import ApprovalBand
from crm.models.credit_delegations import CreditDelegation
from crm.queries.credit_decisions import APPROVE


@command(ApprovalBand, "Hand over", icon="handshake",
         asks={"to": field_of("reference", refers_to="user", label="To", required=True, help="Somebody who decides on credit as well"),
               "since": field_of("date", label="From", help="Empty: today"),
               "until": field_of("date", label="Until", required=True, help="The last day"),
               "up_to": field_of("money", label="Up to", help="Empty: as far as you may yourself", field_class=FieldClass.FINANCIAL),
               "reason": field_of("long_text", field_class=FieldClass.FINANCIAL)})  # fmt: skip
def delegate(
    band: ApprovalBand, *, by: User, to: int, since: dt.date | None, until: dt.date, up_to: Decimal | None,
    reason: str | None,
) -> None:  # fmt: skip
    """Let another approver decide in your place for some days, within your own authority. He can't hand it on."""
    holds = select(UserRole.id).where(UserRole.user_id == by.id, UserRole.role_id == band.role_id)
    if not allowed(by, APPROVE) or db.session.scalar(holds) is None:
        raise Refused("this isn't your band: nobody hands over what he doesn't have")
    other, since = db.session.get(User, to), since or today()
    if to == by.id:
        raise Refused("that is you")
    if other is None or not other.active or not allowed(other, APPROVE):
        raise Refused("that person doesn't decide on credit: choose another approver")
    if since < today() or until < since:
        raise Refused("the days must not lie before today, and the last not before the first")
    if up_to is not None and (up_to <= 0 or (band.up_to is not None and up_to > band.up_to)):
        raise Refused("give an amount above 0 that you may decide yourself")
    db.session.add(
        CreditDelegation(delegator_id=by.id, delegate_id=to, starts_on=since, ends_on=until, up_to=up_to, reason=reason)
    )
    db.session.flush()


@command(CreditDelegation, "Revoke", icon="undo-2", tone="warning", confirm="From now on nothing is decided by it.",
         applies=lambda made: made.revoked_at is None and made.ends_on >= today())  # fmt: skip
def revoke(made: CreditDelegation, *, by: User) -> None:
    """End it before its last day. What was decided stays."""
    if made.revoked_at is not None:
        raise Refused("it is revoked already")
    if made.ends_on < today():
        raise Refused("it is over already")
    made.revoked_at, made.revoked_by_id = dt.datetime.now(dt.UTC), by.id
