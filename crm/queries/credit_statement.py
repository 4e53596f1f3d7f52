"""What happened on a credit account in a period: what was owed before, every entry with the balance after it, what is owed
at the end and since when.

In the company's currency, to the last digit of the ledger. Invoices count from the day they were issued, payments from the
day they were received, and what one settles of the other from the later of the two.
"""

# ruff: noqa: S608 - all SQL is made of constants

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text

from crm.core.entity import db
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import Ageing
from crm.models.loyalty_accounts import LoyaltyAccount

# What settles an invoice is worth what it was worth on the day of each: where the rates differ, the allocation itself moves
# the balance, by as much as it changes what is open of the invoice less what is left of the payment.
_ALLOCATED = """
SELECT b.invoice_id, b.payment_id, b.amount, b.id, greatest(i.issued_on, p.paid_on) AS day, i.number,
  i.amount AS of_invoice, i.exchange_rate AS invoice_rate, p.amount AS of_payment, p.exchange_rate AS payment_rate,
  sum(b.amount) OVER (PARTITION BY b.invoice_id ORDER BY greatest(i.issued_on, p.paid_on), b.id) AS settled,
  sum(b.amount) OVER (PARTITION BY b.payment_id ORDER BY greatest(i.issued_on, p.paid_on), b.id) AS used
FROM payment_allocation b JOIN invoice i ON i.id = b.invoice_id JOIN payment p ON p.id = b.payment_id
WHERE i.account_id = :account"""
# One question, and so of one moment: what is entered while it is asked counts everywhere or nowhere.
_TOLD = text(
    f"""
WITH allocated AS ({_ALLOCATED}),
entries AS (
  SELECT issued_on AS day, 1 AS place, id, 'invoice' AS kind, number, due_on, amount, currency, round(amount * exchange_rate, 4) AS worth
    FROM invoice WHERE account_id = :account
  UNION ALL
  SELECT paid_on, 2, id, kind, code, NULL, amount, currency, -round(amount * exchange_rate, 4) FROM payment WHERE account_id = :account
  UNION ALL
  SELECT day, 3, max(id), 'exchange', number, NULL, NULL, NULL, sum(
      round((of_invoice - settled) * invoice_rate, 4) - round((of_invoice - settled + amount) * invoice_rate, 4)
    - round((of_payment - used) * payment_rate, 4) + round((of_payment - used + amount) * payment_rate, 4))
    FROM allocated GROUP BY day, invoice_id, number),
still_open AS (
  SELECT cast(:until AS date) - i.due_on AS days, round((i.amount - coalesce(sum(b.amount), 0)) * i.exchange_rate, 4) AS worth
    FROM invoice i LEFT JOIN allocated b ON b.invoice_id = i.id AND b.day <= :until
   WHERE i.account_id = :account AND i.issued_on <= :until GROUP BY i.id)
SELECT 'opening' AS part, NULL::date AS day, 0 AS place, 0 AS id, NULL AS kind, NULL AS number, NULL::date AS due_on,
       NULL::numeric AS amount, NULL AS currency, coalesce(sum(worth), 0) AS worth FROM entries WHERE day < :since
UNION ALL
SELECT 'within', day, place, id, kind, number, due_on, amount, currency, worth FROM entries
 WHERE day BETWEEN :since AND :until AND worth <> 0
UNION ALL
SELECT 'ages', NULL, 0, 0, CASE WHEN days <= 0 THEN 'current' WHEN days <= 30 THEN '1_30' WHEN days <= 60 THEN '31_60'
  WHEN days <= 90 THEN '61_90' ELSE 'over_90' END, NULL, NULL, NULL, NULL, sum(worth) FROM still_open GROUP BY 5
ORDER BY day, place, id"""
)


@dataclass(frozen=True)
class Entry:
    """`kind` is that of a payment, or `invoice`, or `exchange` for the difference of two days' rates; `amount` is in the
    entry's own `currency`; `debit`, `credit` and `balance` are in the company's."""

    day: dt.date
    kind: str
    number: str
    due_on: dt.date | None
    amount: Decimal | None
    currency: str | None
    debit: Decimal
    credit: Decimal
    balance: Decimal


@dataclass(frozen=True)
class Statement:
    """`since` and `until` belong to the period. `ages` and `unallocated`, which is less than nothing, add up to `closing`."""

    account: CreditAccount | LoyaltyAccount
    since: dt.date
    until: dt.date
    opening: Decimal
    entries: tuple[Entry, ...]
    closing: Decimal
    ages: dict[Ageing, Decimal]
    unallocated: Decimal


def credit_statement(account: CreditAccount, since: dt.date, until: dt.date) -> Statement:
    """The statement of an account that the caller may see."""
    rows = db.session.execute(_TOLD, {"account": account.id, "since": since, "until": until}).all()
    opening = balance = Decimal(next(row.worth for row in rows if row.part == "opening"))
    entries = []
    for row in rows:
        if row.part == "within":
            balance += row.worth
            debit, credit = max(row.worth, Decimal(0)), max(-row.worth, Decimal(0))
            entries.append(
                Entry(row.day, row.kind, row.number, row.due_on, row.amount, row.currency, debit, credit, balance)
            )
    found = {row.kind: Decimal(row.worth) for row in rows if row.part == "ages"}
    ages = {one: found.get(one.value, Decimal(0)) for one in Ageing}
    # What the buckets don't hold was paid and settles nothing yet.
    return Statement(account, since, until, opening, tuple(entries), balance, ages, balance - sum(ages.values()))


def last_month(day: dt.date) -> tuple[dt.date, dt.date]:
    """The first and the last day of the last full month before that of the day."""
    until = day.replace(day=1) - dt.timedelta(days=1)
    return until.replace(day=1), until
