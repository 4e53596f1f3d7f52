"""What happened on a membership in a period: the points or the cashback before, every entry with the balance after it, and
when what is left at the end expires.

An entry counts on the day on which it was entered. The statement has the form of a credit account's, and the same files.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from babel.numbers import format_decimal
from sqlalchemy import text

from crm.core.entity import db
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.queries.credit_statement import Entry, Statement
from crm.queries.credit_statement_files import Letter
from crm.queries.credit_statement_texts import LOCALES
from crm.queries.loyalty_statement_texts import TEXTS

POINTS, CASHBACK = "points", "cashback"
_OF = {
    POINTS: "SELECT e.id, e.created_at, e.kind, e.order_id, e.expires_on, e.points::numeric AS worth FROM point_entry e",
    CASHBACK: "SELECT e.id, e.created_at, e.kind, e.order_id, NULL::date AS expires_on, e.amount AS worth FROM cashback_entry e",
}
# All as of one moment, so that it adds up while others enter: the balance before, each entry, and of points what was left of
# each lot at the end of the last day, by when it expires.
_TOLD = """
SELECT 'before' AS part, NULL::date AS day, NULL AS kind, NULL AS number, NULL::date AS expires_on, coalesce(sum(e.worth), 0) AS worth,
       NULL::timestamptz AS at, NULL::bigint AS id
  FROM ({of} WHERE e.account_id = :account AND e.created_at < CAST(:since AS date)) e
UNION ALL
SELECT 'entry', e.created_at::date, e.kind, coalesce(o.code, ''), e.expires_on, e.worth, e.created_at, e.id
  FROM ({of} WHERE e.account_id = :account AND e.created_at >= CAST(:since AS date) AND e.created_at < CAST(:until AS date) + 1) e
  LEFT JOIN sales_order o ON o.id = e.order_id
{expires} ORDER BY at NULLS FIRST, id"""
_EXPIRES = """UNION ALL
SELECT CASE WHEN expires_on IS NULL THEN 'never' WHEN expires_on < CAST(:until AS date) THEN 'gone'
            WHEN expires_on <= CAST(:until AS date) + 30 THEN 'soon' ELSE 'later' END, NULL, NULL, NULL, NULL, sum(remaining), NULL, NULL
  FROM (SELECT l.expires_on, l.points - coalesce((
            SELECT sum(a.points) FROM point_allocation a JOIN point_entry t ON t.id = a.point_entry_id
             WHERE a.lot_id = l.id AND t.created_at < CAST(:until AS date) + 1), 0) AS remaining
          FROM point_entry l WHERE l.account_id = :account AND l.points > 0 AND l.reverses_id IS NULL
           AND l.created_at < CAST(:until AS date) + 1) o
 GROUP BY 1"""
EXPIRES = ("gone", "soon", "later", "never")


@dataclass(frozen=True)
class MemberStatement(Statement):
    """`expires` are points by when they expire as of the last day; they add up to `closing`. Of cashback there is nothing."""

    expires: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True)
class MemberLetter(Letter):
    """`currency` is the program's; empty where points are told."""

    def word(self, name: str) -> str:
        words = TEXTS[self.language]
        return words.get(f"{'cashback' if self.currency else 'points'} {name}") or words.get(name) or super().word(name)

    @property
    def unit(self) -> str:
        return self.currency or self.word("unit")

    def money(self, value: Decimal | None, currency: str | None = None) -> str:
        if self.currency or value is None:
            return super().money(value, currency)
        return format_decimal(value, "#,##0", LOCALES[self.language])

    def ages(self, told: Statement) -> list[tuple[str, Decimal]]:
        expires = told.expires if isinstance(told, MemberStatement) else ()
        return [*((self.word(name), worth) for name, worth in expires), (self.word("closing"), told.closing)]


def loyalty_statement(account: LoyaltyAccount, since: dt.date, until: dt.date, *, of: str = POINTS) -> MemberStatement:
    """The statement of points, or of cashback, of a membership that the caller may see."""
    sql = text(_TOLD.format(of=_OF[of], expires=_EXPIRES if of == POINTS else ""))
    opening = balance = Decimal(0)
    entries, found = [], dict.fromkeys(EXPIRES if of == POINTS else (), Decimal(0))
    for part, day, kind, number, expires_on, worth, _, _ in db.session.execute(
        sql, {"account": account.id, "since": since, "until": until}
    ):
        if part == "before":
            opening = balance = Decimal(worth)
        elif part == "entry":
            balance += worth
            entries.append(
                Entry(
                    day, kind, number, expires_on, worth, None, max(worth, Decimal(0)), max(-worth, Decimal(0)), balance
                )
            )
        else:
            found[part] = Decimal(worth)
    expires = tuple(found.items())
    return MemberStatement(account, since, until, opening, tuple(entries), balance, {}, Decimal(0), expires)
