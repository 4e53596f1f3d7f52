"""What demo customers have done: vehicles and their services, orders, deals, talks, tickets, consents, notes.

Made by SQL for a range of demo customers at once, as many of each as one meets in life; the same seed makes the same.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from crm.commands import demo_accounts
from crm.commands.demo_sql import THEM, choice, pick, roll
from crm.core.entity import db
from crm.queries import demo_data

# In this order they are filled.
TABLES = ("vehicle", "ownership", "service_record", "sales_order", "order_line", "deal", "interaction", "task", "ticket",
          "consent", "survey_answer", "note", *demo_accounts.TABLES)  # fmt: skip

# Nothing in these statements comes from outside: they are put together from the constants of this module.


def _each(most: str) -> str:
    """The customers, each as often as `most` says, with `i`, a number of its own for each turn."""
    return f"""
several AS MATERIALIZED (
  SELECT them.*, k, n * 32 + k AS i
  FROM them CROSS JOIN LATERAL (SELECT generate_series(1, {most}) AS k FROM (SELECT n AS i) AS numbered) AS turn
)"""  # noqa: S608


def _moment(salt: int) -> str:
    """Some time between the customer's first day and now; more of them lately."""
    return f"date_trunc('second', born + since * sqrt({roll(salt, 10_000)} / 10000.0))"


_VEHICLES = f"""
WITH {THEM}, {_each(f"CASE WHEN lifecycle = 'prospect' THEN 0 WHEN org THEN {roll(100, 4)} ELSE {roll(100, 2)} END")},
picked AS MATERIALIZED (
  SELECT several.*, goods.id AS product_id, goods.brand, goods.model, goods.price, goods.currency AS priced_in,
         'DEM' || lpad(i::text, 14, '0') AS vin, {roll(102, 8)} AS age, {_moment(103)}::date AS bought
    FROM several JOIN goods ON goods.kind = 'vehicle' AND goods.nr = {roll(101, "goods.many")}
), made AS (
  INSERT INTO vehicle (vin, brand, model, year, engine, color, product_id, mileage, mileage_on, customer_id,
                       service_interval_days, next_service_on, created_at, updated_at)
  SELECT vin, brand, model, extract(year FROM bought)::int - age, {choice(104, electric=22, hybrid=28, diesel=20, petrol=30)},
         {pick(105, ":colours")}, product_id, 12000 + age * 14000 + {roll(106, 9000)}, CURRENT_DATE - {roll(107, 90)},
         party_id, 365, CURRENT_DATE - 20 + {roll(108, 345)}, born, born
    FROM picked RETURNING id, vin
), owned AS (
  INSERT INTO ownership (vehicle_id, party_id, use, owned_from, purchase_price, currency, satisfaction, created_at, updated_at)
  SELECT made.id, party_id, CASE WHEN org THEN 'business' ELSE 'personal' END, bought, round(price * (100 - 6 * age) / 100, 2),
         priced_in, 3 + {roll(109, 3)}, born, born FROM made JOIN picked USING (vin)
)
INSERT INTO service_record (vehicle_id, customer_id, kind, state, served_on, mileage, work, satisfaction, parts_charged,
                            labour_charged, parts_cost, labour_cost, currency, created_at, updated_at)
SELECT made.id, party_id, {choice(110, maintenance=62, inspection=18, repair=17, recall=3)}, 'done',
       bought + (CURRENT_DATE - bought) * turn / (turns + 1), 12000 + age * 14000 - 2000 * (turns - turn),
       {pick(111, ":works")}, 3 + {roll(112, 3)}, 60 + {roll(113, 400)}, 90 + {roll(114, 300)}, 40 + {roll(113, 400)} * 0.6,
       50 + {roll(114, 300)} * 0.5, 'EUR', born, born
  FROM (SELECT made.id, picked.*, {roll(115, 4)} AS turns FROM made JOIN picked USING (vin)) AS made
  CROSS JOIN LATERAL generate_series(1, turns) AS turn
"""  # noqa: S608

_ORDERS = f"""
WITH {THEM}, {_each(f"CASE WHEN lifecycle = 'prospect' THEN 0 ELSE {roll(120, 13)} END")},
picked AS MATERIALIZED (
  SELECT several.*, 'DEMO-' || i AS number, {_moment(121)} AS ordered, coalesce(rate.rate, 1) AS rate,
         {choice(122, completed=84, pending=8, cancelled=5, returned=3)} AS state
    FROM several LEFT JOIN rate USING (currency)
), made AS (
  INSERT INTO sales_order (number, customer_id, owner_id, ordered_at, state, currency, exchange_rate, payment_method,
                           delivery_method, due_on, shipped_on, satisfaction, created_at, updated_at)
  SELECT number, party_id, owner_id, ordered, state, currency, rate, {choice(123, bank=50, card=40, cash=10)},
         {choice(124, pickup=35, courier=45, own_logistics=20)}, ordered::date + 14,
         CASE WHEN state IN ('completed', 'returned') THEN ordered::date + {roll(125, 12)} END,
         CASE WHEN {roll(126, 3)} = 0 THEN 2 + {roll(127, 4)} END, ordered, ordered
    FROM picked RETURNING id, number
), named AS (
  SELECT made.id, picked.* FROM made JOIN picked USING (number)
)
INSERT INTO order_line (order_id, product_id, name, sku, quantity, unit_price, unit_cost, created_at, updated_at)
SELECT line.id, goods.id, goods.name, goods.sku, CASE WHEN goods.price < 200 THEN 1 + {roll(129, 4)} ELSE 1 END,
       round(goods.price / line.rate, places), round(goods.unit_cost / line.rate, places), ordered, ordered
  FROM (SELECT id, rate, ordered, CASE currency WHEN 'JPY' THEN 0 ELSE 2 END AS places, turn.i, {roll(128, 20, "turn.i")} = 0 AS dear
          FROM named CROSS JOIN LATERAL (SELECT named.i * 4 + more AS i FROM generate_series(0, {roll(130, 3)}) AS more) AS turn
       ) AS line
  JOIN goods ON (goods.kind = 'vehicle') = dear AND goods.nr = {roll(131, "goods.many")}
"""  # noqa: S608

_DEALS = f"""
WITH {THEM}, {_each(f"CASE WHEN lifecycle = 'prospect' OR {roll(140, 5)} = 0 THEN 1 ELSE 0 END")},
picked AS (
  SELECT several.*, coalesce(rate.rate, 1) AS rate, {_moment(141)}::date AS opened, 5000 + {roll(142, 800)} * 100 AS amount,
         {choice(143, prospecting=16, qualification=18, demo=14, quote=14, negotiation=12, won=16, lost=10)} AS stage
    FROM several LEFT JOIN rate USING (currency)
)
INSERT INTO deal (name, customer_id, owner_id, stage, amount, currency, exchange_rate, probability, opened_on, close_on,
                  closed_on, lost_reason, next_step, source, created_at, updated_at)
SELECT {pick(144, ":deals")}, party_id, owner_id, stage, round(amount / rate, CASE currency WHEN 'JPY' THEN 0 ELSE 2 END), currency, rate,
       CASE stage WHEN 'won' THEN 100 WHEN 'lost' THEN 0 WHEN 'prospecting' THEN 10 WHEN 'qualification' THEN 25
       WHEN 'demo' THEN 40 WHEN 'quote' THEN 60 ELSE 75 END, opened, CURRENT_DATE - 10 + {roll(145, 100)},
       CASE WHEN stage IN ('won', 'lost') THEN least(opened + 30, CURRENT_DATE) END,
       CASE stage WHEN 'lost' THEN {pick(146, ":losses")} END,
       CASE WHEN stage NOT IN ('won', 'lost') THEN {pick(147, ":steps")} END, {pick(148, ":sources")}, opened, opened
  FROM picked
"""  # noqa: S608

_INTERACTIONS = f"""
WITH {THEM}, {_each(f"1 + {roll(150, 9)}")}
INSERT INTO interaction (party_id, channel, direction, state, subject, occurred_at, duration_minutes, outcome, satisfaction,
                         follow_up_required, follow_up_on, handled_by_id, asked_at, created_at, updated_at)
SELECT party_id, channel, direction, 'done', {pick(152, ":subjects")}, happened,
       CASE WHEN channel IN ('call', 'meeting', 'in_person') THEN 3 + {roll(153, 40)} END,
       {choice(154, positive=55, neutral=35, negative=10)}, CASE WHEN {roll(155, 4)} = 0 THEN 2 + {roll(156, 4)} END,
       follow_up, CASE WHEN follow_up THEN CURRENT_DATE - 5 + {roll(157, 20)} END, owner_id,
       CASE WHEN direction = 'outbound' AND {roll(158, 2)} = 0 THEN happened - interval '1 minute' * (5 + {roll(159, 2000)}) END,
       happened, happened
  FROM (SELECT *, {choice(151, call=34, email=34, meeting=8, in_person=8, chat=8, whatsapp=8)} AS channel,
               {choice(160, outbound=58, inbound=42)} AS direction, {_moment(161)} AS happened, {roll(162, 40)} = 0 AS follow_up
          FROM several) AS one
"""  # noqa: S608

_TASKS = f"""
WITH {THEM}, {_each(f"CASE WHEN {roll(170, 8)} = 0 THEN 1 ELSE 0 END")}
INSERT INTO task (subject, kind, state, priority, party_id, assignee_id, due_at, done_at, created_at, updated_at)
SELECT {pick(171, ":tasks")}, {choice(172, follow_up=40, call=30, email=20, meeting=10)}, CASE WHEN open THEN 'open' ELSE 'done' END,
       {choice(173, normal=70, high=20, urgent=4, low=6)}, party_id, owner_id,
       date_trunc('hour', now()) + interval '1 hour' * (CASE WHEN open THEN {roll(174, 400)} - 72 ELSE -200 - {roll(174, 900)} END),
       CASE WHEN NOT open THEN date_trunc('hour', now()) - interval '1 hour' * (190 + {roll(174, 900)}) END, born, born
  FROM (SELECT *, {roll(175, 3)} > 0 AS open FROM several) AS one
"""  # noqa: S608

_TICKETS = f"""
WITH {THEM}, {_each(f"CASE WHEN lifecycle <> 'prospect' AND {roll(180, 6)} = 0 THEN 1 ELSE 0 END")}
INSERT INTO ticket (party_id, kind, topic, priority, state, subject, channel, assignee_id, opened_at, first_response_at,
                    resolved_at, closed_at, resolution, satisfaction, created_at, updated_at)
SELECT party_id, kind, {choice(181, service=40, delivery=20, billing=20, product=20)}, {choice(182, normal=65, high=25, urgent=10)},
       state, {pick(183, ":troubles")}, {choice(184, call=40, email=40, chat=20)}, owner_id, opened,
       CASE WHEN state <> 'new' THEN opened + (now() - opened) * 0.05 END,
       CASE WHEN state IN ('resolved', 'closed') THEN opened + (now() - opened) * 0.4 END,
       CASE WHEN state = 'closed' THEN opened + (now() - opened) * 0.6 END,
       CASE WHEN state IN ('resolved', 'closed') THEN {pick(185, ":solutions")} END,
       CASE WHEN state IN ('resolved', 'closed') THEN 2 + {roll(186, 4)} END, opened, opened
  FROM (SELECT *, {choice(187, complaint=35, problem=35, question=20, praise=10)} AS kind, {_moment(188)} AS opened,
               {choice(189, closed=62, resolved=12, open=14, waiting=7, new=5)} AS state FROM several) AS one
"""  # noqa: S608

_CONSENTS = f"""
WITH {THEM}, {_each(f"CASE WHEN {roll(190, 3)} > 0 THEN 1 + {roll(191, 2)} ELSE 0 END")}
INSERT INTO consent (party_id, purpose, channel, state, legal_basis, decided_at, source, evidence, text_version, created_at, updated_at)
SELECT party_id, CASE k WHEN 1 THEN 'marketing' ELSE 'surveys' END, {choice(192, email=80, sms=20)}, {choice(193, given=86, withdrawn=14)},
       'consent', {_moment(194)}, {choice(195, form=60, portal=25, paper=15)}, 'Box ticked on the sign-up form', '2025-05', born, born
  FROM several
"""  # noqa: S608

_ANSWERS = f"""
WITH {THEM}, {_each(f"CASE WHEN lifecycle <> 'prospect' AND {roll(200, 3)} = 0 THEN 1 ELSE 0 END")}
INSERT INTO survey_answer (survey_id, party_id, score, comment, asked_at, answered_at, channel, created_at, updated_at)
SELECT survey.id, party_id, score, CASE WHEN {roll(203, 3)} = 0 THEN (CASE WHEN score > 8 THEN :praise ELSE :blame END)[1 + {roll(204, 3)}] END,
       asked, CASE WHEN score IS NOT NULL THEN asked + interval '1 hour' * (1 + {roll(205, 60)}) END, 'email', asked, asked
  FROM (SELECT *, {_moment(201)} - interval '3 days' AS asked,
               CASE WHEN {roll(206, 5)} > 0 THEN {choice(202, **{"9": 26, "10": 28, "8": 16, "7": 12, "6": 7, "4": 6, "2": 5})}::int END
               AS score FROM several) AS one
  CROSS JOIN (SELECT id FROM survey WHERE name = 'How likely are you to recommend us?') AS survey
"""  # noqa: S608

_NOTES = f"""
WITH {THEM}, {_each(f"CASE WHEN {roll(210, 7)} = 0 THEN 1 ELSE 0 END")}
INSERT INTO note (party_id, text, author_id, pinned_at, created_at, updated_at)
SELECT party_id, {pick(211, ":notes")}, owner_id, CASE WHEN {roll(212, 4)} = 0 THEN {_moment(213)} END, {_moment(213)}, {_moment(213)}
  FROM several
"""  # noqa: S608

_STATEMENTS = (_VEHICLES, _ORDERS, _DEALS, _INTERACTIONS, _TASKS, _TICKETS, _CONSENTS, _ANSWERS, _NOTES, demo_accounts.MEMBERS,
               demo_accounts.CREDIT)  # fmt: skip


def load_dealings(first: int, last: int, *, seed: int, on: Any = db.session) -> None:
    """What the demo customers with ids from one to another have done; `on` is the session, or a connection. The
    catalogue must be there (`crm.commands.demo_catalogue`)."""
    known: dict[str, Any] = {"first": first, "last": last, "seed": seed % 1_000_000 * 1000, "club": demo_accounts.CLUB}
    for statement in _STATEMENTS:
        made = text(statement)
        used = [name for name in demo_data.DEALINGS if f":{name}" in statement]
        made = made.bindparams(*(bindparam(name, list(demo_data.DEALINGS[name]), ARRAY(Text)) for name in used))
        on.execute(made, known)
