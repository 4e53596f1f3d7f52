"""What demo customers earned and owe: memberships with points, credit with invoices and payments. Made by SQL for a range of
demo customers at once; allocations are written with what they allocate, as triggers may be put aside."""

from __future__ import annotations

from sqlalchemy import text

from crm.commands.demo_sql import THEM, choice, roll
from crm.core.entity import db
from crm.core.figures import settle

CLUB = "Drivers' Club"
# In this order they are filled.
TABLES = ("loyalty_account", "point_entry", "point_allocation", "credit_account", "credit_request", "credit_decision", "invoice",
          "payment", "payment_allocation")  # fmt: skip

# Nothing in these statements comes from outside: they are put together from the constants of this module.
# Who redeems takes half of the lot that expires first. Tiers are those of the last year's points; some are about to lose theirs.
YEAR_AGO = "now() - interval '12 months'"
MEMBERS = f"""
WITH {THEM}, club AS (
  SELECT id FROM loyalty_program WHERE name = :club
), picked AS MATERIALIZED (
  SELECT p.*, CASE WHEN {roll(306, 20, "n")} = 0 OR born + since * 0.3 >= {YEAR_AGO} THEN first_lot ELSE 0 END
              + CASE WHEN born + since * 0.8 >= {YEAR_AGO} THEN second_lot ELSE 0 END AS reached
    FROM (SELECT them.*, club.id AS program_id, 40 + {roll(300, 2500, "n")} AS first_lot,
                 {roll(301, 900, "n")} * CASE WHEN {roll(307, 100, "n")} = 0 THEN 30 WHEN {roll(308, 20, "n")} = 0 THEN 8 ELSE 1 END AS second_lot,
                 {roll(302, 3, "n")} = 0 AS redeems, born::date AS joined
            FROM them CROSS JOIN club WHERE lifecycle IN ('active', 'inactive') AND NOT org AND {roll(303, 5, "n")} < 3) p
), made AS (
  INSERT INTO loyalty_account (party_id, program_id, tier_id, joined_on, tier_since, created_at, updated_at)
  SELECT party_id, p.program_id, t.id, joined, joined, born, born
    FROM picked p CROSS JOIN LATERAL (
      SELECT t.id FROM loyalty_tier t WHERE t.program_id = p.program_id AND t.enter_at <= reached ORDER BY t.enter_at DESC LIMIT 1) t
  RETURNING id, party_id
), held AS MATERIALIZED (
  SELECT made.id AS account_id, picked.* FROM made JOIN picked USING (party_id)
), lots AS (
  INSERT INTO point_entry (account_id, kind, points, source, expires_on, reason, by_id, created_at, updated_at)
  SELECT account_id, 'earn', points, 'demo-' || n || '-' || nr, CURRENT_DATE + days, 'For purchases', owner_id,
         born + since * share, born + since * share
    FROM held CROSS JOIN LATERAL (VALUES (1, first_lot, 20 + {roll(304, 300, "n")}, 0.3), (2, second_lot, 400 + {roll(305, 300, "n")}, 0.8))
      AS lot (nr, points, days, share) WHERE points > 0
  RETURNING id, account_id, points, source
), taken AS (
  INSERT INTO point_entry (account_id, kind, points, source, reason, by_id, created_at, updated_at)
  SELECT account_id, 'redeem', -(first_lot / 2), 'demo-' || n || '-redeem', 'Car wash', owner_id, born + since * 0.9,
         born + since * 0.9 FROM held WHERE redeems
  RETURNING id, account_id, points
)
INSERT INTO point_allocation (point_entry_id, lot_id, points)
SELECT taken.id, lots.id, -taken.points FROM taken JOIN lots ON lots.account_id = taken.account_id AND lots.source LIKE '%-1'
"""  # noqa: S608

# Where there are two people, one to ask and one to decide. The oldest invoices of an account are paid, each by a payment of its own; some of them late.
CREDIT = f"""
WITH {THEM}, people AS (
  SELECT array_agg(id ORDER BY id) AS ids, count(*)::int AS many FROM app_user HAVING count(*) > 1
), picked AS MATERIALIZED (
  SELECT them.*, 5000 * (1 + {roll(320, 12, "n")}) AS credit_limit, {choice(321, net_30=60, net_15=20, net_60=20)} AS terms,
         {roll(322, 5, "n")} AS invoices, {roll(323, 4, "n")} AS unpaid, ids[1 + {roll(324, "many", "n")}] AS asker,
         ids[1 + ({roll(324, "many", "n")} + 1) % many] AS decider
    FROM (SELECT them.*, n AS i FROM them) AS them CROSS JOIN people
   WHERE org AND lifecycle IN ('active', 'inactive') AND {roll(326, 5, "n")} < 2
), made AS (
  INSERT INTO credit_account (party_id, terms, last_review_on, next_review_on, review_months, created_at, updated_at)
  SELECT party_id, terms, CURRENT_DATE - {roll(327, 300, "n")}, CURRENT_DATE + {roll(328, 200, "n")}, 12, born, born FROM picked
  RETURNING id, party_id
), held AS MATERIALIZED (
  SELECT made.id AS account_id, picked.* FROM made JOIN picked USING (party_id)
), asked AS (
  INSERT INTO credit_request (account_id, amount, requested_by_id, status, reason, created_at, updated_at)
  SELECT account_id, credit_limit, asker, 'approved', 'Buys regularly', born, born FROM held
  RETURNING id, account_id, requested_by_id, amount
), decided AS (
  INSERT INTO credit_decision (request_id, account_id, requested_by_id, decided_by_id, step, final, verdict, credit_limit, reason,
                               created_at, updated_at)
  SELECT asked.id, account_id, asked.requested_by_id, decider, 1, true, 'approved', asked.amount, 'Good references', born, born
    FROM asked JOIN held USING (account_id)
), billed AS (
  INSERT INTO invoice (account_id, number, issued_on, due_on, amount, currency, exchange_rate, created_at, updated_at)
  SELECT account_id, 'DEMO-' || lpad(n::text, 7, '0') || '-' || k, day, day + split_part(terms, '_', 2)::int,
         100 + {roll(331, 400_000, "n * 8 + k")} / 100.0, 'EUR', 1, day, day
    FROM held CROSS JOIN LATERAL generate_series(1, invoices) AS k
    CROSS JOIN LATERAL (SELECT CURRENT_DATE - 60 * (invoices - k) - 10 - {roll(332, 40, "n * 8 + k")}) AS issued (day)
  RETURNING id, account_id, number, amount, issued_on, due_on
), settled AS MATERIALIZED (
  SELECT billed.*, least(CURRENT_DATE, due_on - 12 + {roll(333, 18, "n * 8 + k")}) AS paid_on
    FROM billed JOIN held USING (account_id) CROSS JOIN LATERAL (SELECT right(number, 1)::int) AS which (k)
   WHERE k <= invoices - unpaid
), paid AS (
  INSERT INTO payment (account_id, kind, paid_on, amount, currency, exchange_rate, method, reference, invoice_id, created_at, updated_at)
  SELECT account_id, 'payment', paid_on, amount, 'EUR', 1, 'bank', number, id, paid_on, paid_on FROM settled
  RETURNING id, invoice_id, amount
)
INSERT INTO payment_allocation (payment_id, invoice_id, amount) SELECT id, invoice_id, amount FROM paid
"""  # noqa: S608

# Of those whose limit is known by now, so that the request keeps how the account stood.
_WAITING = f"""
WITH people AS (
  SELECT array_agg(id ORDER BY id) AS ids, count(*)::int AS many FROM app_user HAVING count(*) > 1
)
INSERT INTO credit_request (account_id, amount, requested_by_id, reason, created_at, updated_at)
SELECT a.id, f.credit_limit * 2, ids[1 + {roll(325, "many", "a.id")}], 'Wants to buy more', now() - interval '1 day' * {roll(329, 20, "a.id")},
       now()
  FROM credit_account a JOIN credit_account_figures f USING (id) JOIN party p ON p.id = a.party_id CROSS JOIN people
 WHERE p.account_number BETWEEN 'DEMO-0' AND 'DEMO-9~' AND f.credit_limit > 0 AND {roll(330, 8, "a.id")} = 0
   AND NOT EXISTS (SELECT FROM credit_request q WHERE q.account_id = a.id AND q.status = 'pending')
 ORDER BY a.id LIMIT 5000
"""  # noqa: S608


def load_requests() -> None:
    """Some customers ask for more. Flushes."""
    settle()
    db.session.execute(text(_WAITING), {"seed": 0})
