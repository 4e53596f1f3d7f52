"""What open points are worth: by program, and by the month in which they expire."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import func, or_, select

from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.loyalty_figures import PointEntryFigures
from crm.models.loyalty_programs import LoyaltyProgram, LoyaltyTerms
from crm.queries.scope import visible


@dataclass(frozen=True)
class Liability:
    """Points of a program that expire in a month (its first day; None: never), and what they are worth by the terms of today,
    rounded half up to cents."""

    program: LoyaltyProgram
    month: dt.date | None
    members: int
    points: int
    point_value: Decimal

    @property
    def worth(self) -> Decimal:
        return (self.points * self.point_value).quantize(Decimal("0.01"), ROUND_HALF_UP)


def liability(actor: Actor) -> list[Liability]:
    """Of the memberships that the actor sees, by program and month, what never expires last; without what has expired."""
    seen = visible(face_named("loyalty_account"), actor).with_only_columns(LoyaltyAccount.id).order_by(None)
    value = (
        select(LoyaltyTerms.point_value).where(LoyaltyTerms.program_id == LoyaltyProgram.id,
                                               LoyaltyTerms.valid_from <= func.current_date())
        .order_by(LoyaltyTerms.valid_from.desc(), LoyaltyTerms.version.desc()).limit(1).correlate(LoyaltyProgram).scalar_subquery()
    )  # fmt: skip
    month = func.date_trunc("month", PointEntryFigures.expires_on)
    sums = (
        select(LoyaltyAccount.program_id, month.label("month"), func.count(LoyaltyAccount.id.distinct()).label("members"),
               func.sum(PointEntryFigures.remaining).label("points"))
        .join(LoyaltyAccount, LoyaltyAccount.id == PointEntryFigures.account_id)
        .where(PointEntryFigures.remaining > 0, LoyaltyAccount.id.in_(seen),
               or_(PointEntryFigures.expires_on.is_(None), PointEntryFigures.expires_on >= func.current_date()))
        .group_by(LoyaltyAccount.program_id, month).subquery()
    )  # fmt: skip
    rows = db.session.execute(
        select(LoyaltyProgram, sums.c.month, sums.c.members, sums.c.points, value)
        .join(sums, sums.c.program_id == LoyaltyProgram.id)
        .order_by(LoyaltyProgram.main.desc(), LoyaltyProgram.name, sums.c.month.asc().nulls_last())
    )
    return [Liability(program, when.date() if when else None, members, int(points), worth or Decimal(0))
            for program, when, members, points, worth in rows]  # fmt: skip


@dataclass(frozen=True)
class Expiring:
    """Lots of a program whose last day lies in a time, by members and points."""

    program: LoyaltyProgram
    members: int
    lots: int
    points: int


def expiring(actor: Actor, *, since: dt.date | None, until: dt.date) -> list[Expiring]:
    """What the members that the actor sees lose if they don't spend it, by program: points that expire in these days, both
    included; without a first one all whose day is over by the last."""
    seen = visible(face_named("loyalty_account"), actor).with_only_columns(LoyaltyAccount.id).order_by(None)
    lots = PointEntryFigures
    rows = db.session.execute(
        select(LoyaltyProgram, func.count(LoyaltyAccount.id.distinct()), func.count(), func.sum(lots.remaining))
        .join(LoyaltyAccount, LoyaltyAccount.program_id == LoyaltyProgram.id).join(lots, lots.account_id == LoyaltyAccount.id)
        .where(lots.remaining > 0, lots.expires_on <= until, lots.expires_on >= (since or dt.date.min), LoyaltyAccount.id.in_(seen))
        .group_by(LoyaltyProgram.id).order_by(LoyaltyProgram.main.desc(), LoyaltyProgram.name)
    )  # fmt: skip
    return [Expiring(program, members, number, int(points)) for program, members, number, points in rows]
