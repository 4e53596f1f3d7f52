"""What orders earn: worked out for those that changed, entered once, taken back when they are returned or cancelled.

An order and a program have one line (`OrderEarning`) with what the order earns now and what of it was entered. Terms,
tier and whether it earns at all are settled when the order first counts; amounts follow the order. The difference is
entered in the same transaction that changes the line, so whatever is done twice enters nothing. Points that were spent
already can't be taken back: what is owed stays on the line, and is taken from the next points that come.
"""

from __future__ import annotations

from collections.abc import Iterable

from babel.numbers import get_currency_precision
from sqlalchemy import delete, select, text

from crm.commands.loyalty_tiers import climb
from crm.core import figures
from crm.core.entity import db
from crm.core.kinds import currencies
from crm.core.transaction import run_in_transaction
from crm.models.loyalty_earnings import LoyaltyNote, OrderEarning

CHUNK = 500
LOCK = 7_240_741  # one at a time works out what orders earn
_ODD = " ".join(
    f"WHEN '{code}' THEN {places}" for code in currencies() if (places := get_currency_precision(code)) != 2
)
# Why an order earns nothing that may earn something when it changes.
_NOTHING, _NONE_COUNTS, _TOO_LITTLE = (
    "the terms give nothing for purchases",
    "nothing of it counts",
    "it is too small to count",
)

# Nothing in these statements comes from outside: they are put together from constants.
_RECKON = text(f"""
WITH RECURSIVE outside (program_id, terms_id, category_id) AS (
  SELECT t.program_id, t.id, t.without_category_id FROM loyalty_terms t WHERE t.without_category_id IS NOT NULL
  UNION SELECT o.program_id, o.terms_id, c.id FROM outside o JOIN product_category c ON c.parent_id = o.category_id
), pair AS MATERIALIZED (
  SELECT o.id AS order_id, o.state, o.currency, (o.ordered_at AT TIME ZONE 'UTC')::date AS day, o.customer_id,
         p.id AS program_id, p.currency AS counts_in, p.state AS program_state, p.valid_from, p.valid_until,
         p.kinds, p.terms_first AND a.terms_id IS NULL AS without_terms,
         p.fee > 0 AND (a.fee_paid_on IS NULL OR a.fee_due_on < (o.ordered_at AT TIME ZONE 'UTC')::date) AS fee_unpaid,
         coalesce(a.id, x.account_id) AS account_id, a.joined_on, a.state AS membership, a.tier_id,
         x.id IS NOT NULL AND NOT :again AS known, x.terms_id AS known_terms, x.times AS known_times, x.why AS known_why,
         x.id IS NOT NULL AND x.why IS NULL AND NOT :again AS settled
    FROM sales_order o CROSS JOIN loyalty_program p
    LEFT JOIN loyalty_account a ON a.party_id = o.customer_id AND a.program_id = p.id AND a.state <> 'ended'
    LEFT JOIN order_earning x ON x.order_id = o.id AND x.program_id = p.id
   WHERE o.id = ANY(CAST(:orders AS bigint[])) AND coalesce(a.id, x.id) IS NOT NULL
     AND (CAST(:program AS bigint) IS NULL OR p.id = :program)
), decided AS MATERIALIZED (
  SELECT pair.*, t.id AS terms_id, t.least_purchase, t.most_points,
         CASE WHEN settled OR kinds && ARRAY['points', 'tiers', 'event']::varchar[] THEN t.points_per_unit ELSE 0 END AS points_per_unit,
         CASE WHEN settled OR 'cashback' = ANY (kinds) THEN t.cashback_percent ELSE 0 END AS cashback_percent,
         CASE WHEN known THEN known_times ELSE coalesce(tier.multiplier, 1) END AS times,
         CASE WHEN t.earns_when = 'paid' THEN pair.state IN ('pending', 'completed')
                AND EXISTS (SELECT FROM invoice i WHERE i.order_id = pair.order_id)
                AND NOT EXISTS (SELECT FROM invoice i JOIN invoice_figures f ON f.id = i.id
                                 WHERE i.order_id = pair.order_id AND f.open_amount > 0)
              ELSE pair.state = 'completed' END AS counts,
         CASE WHEN known THEN nullif(nullif(nullif(known_why, '{_NOTHING}'), '{_NONE_COUNTS}'), '{_TOO_LITTLE}')
              WHEN t.id IS NULL THEN 'the program had no terms on that day'
              WHEN pair.currency <> counts_in THEN 'the order isn''t in ' || counts_in || ', in which the program counts'
              WHEN program_state <> 'active' OR day NOT BETWEEN coalesce(pair.valid_from, day) AND coalesce(valid_until, day)
                THEN 'the program wasn''t open on that day'
              WHEN day < joined_on THEN 'the membership began later'
              WHEN membership <> 'active' THEN 'the membership is ' || membership
              WHEN without_terms THEN 'the terms aren''t accepted'
              WHEN fee_unpaid THEN 'the membership fee isn''t paid'
              WHEN y.block_state <> 'none' THEN 'the customer is ' || y.block_state
         END AS why
    FROM pair JOIN party y ON y.id = pair.customer_id
    LEFT JOIN loyalty_tier tier ON tier.id = pair.tier_id
    LEFT JOIN LATERAL (
      SELECT * FROM loyalty_terms t WHERE t.program_id = pair.program_id
         AND CASE WHEN known AND known_terms IS NOT NULL THEN t.id = known_terms ELSE t.valid_from <= day END
       ORDER BY t.valid_from DESC, t.version DESC LIMIT 1) t ON true
), sums AS (
  SELECT d.order_id, d.program_id, CASE WHEN d.counts THEN greatest(0, coalesce((
      SELECT sum(l.total) FROM order_line l LEFT JOIN product q ON q.id = l.product_id
       WHERE l.order_id = d.order_id AND NOT EXISTS (SELECT FROM outside o WHERE o.terms_id = d.terms_id AND o.category_id = q.category_id)
    ), 0) - coalesce((
      SELECT sum(b.amount) FROM sales_return r JOIN return_line b ON b.sales_return_id = r.id
        LEFT JOIN order_line l ON l.id = b.order_line_id LEFT JOIN product q ON q.id = l.product_id
       WHERE r.order_id = d.order_id AND r.state = 'refunded'
         AND NOT EXISTS (SELECT FROM outside o WHERE o.terms_id = d.terms_id AND o.category_id = q.category_id)
    ), 0)) ELSE 0 END AS amount
    FROM decided d
)
INSERT INTO order_earning AS e (order_id, program_id, account_id, terms_id, why, times, amount, points, cashback, entered, cashback_entered)
SELECT d.order_id, d.program_id, d.account_id, d.terms_id,
       coalesce(d.why, CASE WHEN d.points_per_unit = 0 AND d.cashback_percent = 0 THEN '{_NOTHING}'
                            WHEN s.amount = 0 AND d.counts THEN '{_NONE_COUNTS}'
                            WHEN s.amount < d.least_purchase AND d.counts THEN '{_TOO_LITTLE}' END), d.times, s.amount,
       CASE WHEN d.why IS NULL AND s.amount >= coalesce(d.least_purchase, 0)
            THEN least(round(s.amount * d.points_per_unit * d.times), d.most_points) ELSE 0 END,
       CASE WHEN d.why IS NULL AND s.amount >= coalesce(d.least_purchase, 0) THEN round(s.amount * d.cashback_percent / 100, CASE d.counts_in {_ODD} ELSE 2 END) ELSE 0 END,
       coalesce((SELECT sum(n.points) FROM point_entry n JOIN loyalty_account a ON a.id = n.account_id
                  WHERE n.order_id = d.order_id AND a.program_id = d.program_id AND n.kind IN ('earn', 'reverse')), 0),
       coalesce((SELECT sum(n.amount) FROM cashback_entry n JOIN loyalty_account a ON a.id = n.account_id
                  WHERE n.order_id = d.order_id AND a.program_id = d.program_id AND n.kind IN ('earn', 'reverse')), 0)
  FROM decided d JOIN sums s USING (order_id, program_id) WHERE d.counts OR d.known
 ORDER BY d.order_id, d.program_id
    ON CONFLICT (order_id, program_id) DO UPDATE
   SET account_id = excluded.account_id, terms_id = excluded.terms_id, why = excluded.why, times = excluded.times,
       amount = excluded.amount, points = excluded.points, cashback = excluded.cashback, updated_at = now()
 WHERE (e.account_id, e.terms_id, e.why, e.times, e.amount, e.points, e.cashback)
       IS DISTINCT FROM (excluded.account_id, excluded.terms_id, excluded.why, excluded.times, excluded.amount, excluded.points, excluded.cashback)
""")  # noqa: S608

# Whoever does something to a membership holds it before asking what orders earn: so does who asks by itself.
_MEMBERS = text("""
SELECT a.id FROM loyalty_account a JOIN sales_order o ON o.customer_id = a.party_id
 WHERE o.id = ANY(CAST(:orders AS bigint[])) AND a.state <> 'ended' ORDER BY a.id FOR NO KEY UPDATE OF a""")
_ACCOUNTS = text("""
SELECT a.id FROM loyalty_account a WHERE a.id IN (
  SELECT e.account_id FROM order_earning e WHERE e.order_id = ANY(CAST(:orders AS bigint[]))
     AND (e.points <> e.entered OR e.cashback <> e.cashback_entered))
 ORDER BY a.id FOR NO KEY UPDATE""")
_OWING = text("""
SELECT a.id FROM loyalty_account a WHERE a.id IN (
  SELECT e.account_id FROM order_earning e JOIN loyalty_account_sums s ON s.id = e.account_id
   WHERE (e.entered > e.points + e.lapsed AND s.points > 0) OR (e.cashback_entered > e.cashback AND s.cashback > 0))
 ORDER BY a.id LIMIT :limit FOR NO KEY UPDATE""")
_GIVE_POINTS = text("""
WITH due AS MATERIALIZED (
  SELECT e.* FROM order_earning e JOIN loyalty_account a ON a.id = e.account_id AND a.state <> 'ended'
   WHERE e.points > e.entered AND e.account_id = ANY(CAST(:accounts AS bigint[])) ORDER BY e.id
), made AS (
  INSERT INTO point_entry (account_id, kind, points, source, order_id, expires_on, by_id, reason)
  SELECT d.account_id, 'earn', d.points - d.entered, concat_ws(chr(58), 'order', d.order_id, d.program_id, d.entries + 1), d.order_id,
         ((o.ordered_at AT TIME ZONE 'UTC')::date + make_interval(months => t.points_last_months))::date, :by, 'For a purchase'
    FROM due d JOIN sales_order o ON o.id = d.order_id JOIN loyalty_terms t ON t.id = d.terms_id
)
UPDATE order_earning e SET entered = e.points, entries = e.entries + 1 FROM due WHERE due.id = e.id""")
# The lots of what orders earned that is to be taken back, also where merges have taken them on: each is of one order.
_OWN_LOTS = """
WITH RECURSIVE lot AS (
  SELECT e.id AS line, n.id FROM order_earning e JOIN loyalty_account a ON a.program_id = e.program_id
    JOIN point_entry n ON n.order_id = e.order_id AND n.account_id = a.id AND n.kind = 'earn'
   WHERE e.entered > e.points + e.lapsed AND e.account_id = ANY(CAST(:accounts AS bigint[]))
  UNION
  SELECT lot.line, n.id FROM lot JOIN point_allocation i ON i.lot_id = lot.id
    JOIN point_entry t ON t.id = i.point_entry_id AND t.kind = 'merge' AND t.points < 0
    JOIN point_entry n ON n.source = t.source || chr(58) || i.lot_id
)"""
# What expired of an order's points is gone already: no others are taken instead.
_LAPSE = text(f"""{_OWN_LOTS}, gone AS (
  SELECT lot.line, sum(i.points) AS points FROM lot JOIN point_allocation i ON i.lot_id = lot.id
    JOIN point_entry t ON t.id = i.point_entry_id AND t.kind = 'expire' GROUP BY lot.line
)
UPDATE order_earning e SET lapsed = gone.points FROM gone WHERE gone.line = e.id AND e.lapsed <> gone.points""")  # noqa: S608
# First what is left of the order's own points. Of others only when there are none: they are of other orders, which may be
# returned as well, and then would have to show what expired of them.
_TAKE_OWN = text(f"""{_OWN_LOTS}, due AS (
  SELECT e.*, o.id AS lot, e.entered - e.points - e.lapsed AS need, o.remaining::int AS there,
         (sum(o.remaining) OVER (PARTITION BY e.id ORDER BY o.id) - o.remaining)::int AS before, row_number() OVER (PARTITION BY e.id ORDER BY o.id) AS nth
    FROM lot JOIN order_earning e ON e.id = lot.line JOIN point_lot o ON o.id = lot.id AND o.account_id = e.account_id
   WHERE e.entered > e.points + e.lapsed
), taken AS MATERIALIZED (
  SELECT due.*, least(need - before, there) AS takes FROM due WHERE need > before ORDER BY lot
), made AS (
  INSERT INTO point_entry (account_id, kind, points, source, order_id, reverses_id, by_id, reason)
  SELECT d.account_id, 'reverse', -d.takes, concat_ws(chr(58), 'order', d.order_id, d.program_id, d.entries + d.nth), d.order_id, d.lot, :by,
         'Returned, cancelled or changed' FROM taken d
)
UPDATE order_earning e SET entered = e.entered - t.takes, entries = e.entries + t.times
  FROM (SELECT id, sum(takes) AS takes, count(*) AS times FROM taken GROUP BY id) t WHERE t.id = e.id""")  # noqa: S608
_TAKE_OTHERS = text("""
WITH due AS (
  SELECT e.*, e.entered - e.points - e.lapsed AS need, s.points AS there,
         sum(e.entered - e.points - e.lapsed) OVER (PARTITION BY e.account_id ORDER BY e.id) - (e.entered - e.points - e.lapsed) AS before
    FROM order_earning e JOIN loyalty_account_sums s ON s.id = e.account_id
   WHERE e.entered > e.points + e.lapsed AND e.account_id = ANY(CAST(:accounts AS bigint[]))
), taken AS MATERIALIZED (
  SELECT due.*, least(need, there - before) AS takes FROM due WHERE there > before ORDER BY id
), made AS (
  INSERT INTO point_entry (account_id, kind, points, source, order_id, reverses_id, by_id, reason)
  SELECT d.account_id, 'reverse', -d.takes, concat_ws(chr(58), 'order', d.order_id, d.program_id, d.entries + 1), d.order_id,
         (SELECT min(n.id) FROM point_entry n WHERE n.order_id = d.order_id AND n.account_id = d.account_id AND n.kind = 'earn'), :by,
         'Returned, cancelled or changed'
    FROM taken d
)
UPDATE order_earning e SET entered = e.entered - t.takes, entries = e.entries + 1 FROM taken t WHERE t.id = e.id""")
_GIVE_CASH = text("""
WITH due AS MATERIALIZED (
  SELECT e.* FROM order_earning e JOIN loyalty_account a ON a.id = e.account_id AND a.state <> 'ended'
   WHERE e.cashback > e.cashback_entered AND e.account_id = ANY(CAST(:accounts AS bigint[])) ORDER BY e.id
), made AS (
  INSERT INTO cashback_entry (account_id, kind, amount, source, order_id, by_id, reason)
  SELECT d.account_id, 'earn', d.cashback - d.cashback_entered, concat_ws(chr(58), 'order', d.order_id, d.program_id, d.entries + 1),
         d.order_id, :by, 'For a purchase' FROM due d
)
UPDATE order_earning e SET cashback_entered = e.cashback, entries = e.entries + 1 FROM due WHERE due.id = e.id""")
_TAKE_CASH = text("""
WITH due AS (
  SELECT e.*, e.cashback_entered - e.cashback AS need, s.cashback AS there,
         sum(e.cashback_entered - e.cashback) OVER (PARTITION BY e.account_id ORDER BY e.id) - (e.cashback_entered - e.cashback) AS before
    FROM order_earning e JOIN loyalty_account_sums s ON s.id = e.account_id
   WHERE e.cashback_entered > e.cashback AND e.account_id = ANY(CAST(:accounts AS bigint[]))
), taken AS MATERIALIZED (
  SELECT due.*, least(need, there - before) AS takes FROM due WHERE there > before ORDER BY id
), made AS (
  INSERT INTO cashback_entry (account_id, kind, amount, source, order_id, by_id, reason)
  SELECT d.account_id, 'reverse', -d.takes, concat_ws(chr(58), 'order', d.order_id, d.program_id, d.entries + 1), d.order_id, :by,
         'Returned, cancelled or changed' FROM taken d
)
UPDATE order_earning e SET cashback_entered = e.cashback_entered - t.takes, entries = e.entries + 1 FROM taken t WHERE t.id = e.id""")


def reckon(
    orders: Iterable[int], *, by: int | None = None, program: int | None = None, again: bool = False
) -> list[int]:
    """Work out what these orders earn and enter the difference; answers the memberships it was entered for. Flushes.

    `again` decides anew whether an order earns, by the terms of its day and the tier of today.
    """
    figures.settle()
    db.session.execute(select(text(f"pg_advisory_xact_lock({LOCK})")))
    given = {"orders": sorted(set(orders))}
    db.session.execute(_RECKON, given | {"program": program, "again": again})
    accounts = list(db.session.scalars(_ACCOUNTS, given))
    _enter(accounts, by)
    return accounts


def _enter(accounts: list[int], by: int | None) -> None:
    """The difference between what is earned and what was entered, of memberships that are locked."""
    if not accounts:
        return
    given = {"accounts": accounts, "by": by}
    db.session.execute(_GIVE_POINTS, given)
    db.session.execute(_GIVE_CASH, given)
    figures.settle()  # what may be taken is what there is by now
    db.session.execute(_LAPSE, given)
    db.session.execute(_TAKE_OWN, given)
    figures.settle()
    db.session.execute(_TAKE_OTHERS, given)
    db.session.execute(_TAKE_CASH, given)
    figures.settle()
    db.session.expire_all()


def earn_for_changed() -> int:
    """Enter what orders earn that were completed, paid, changed or returned; answers how many were looked at."""
    done = 0
    while looked_at := run_in_transaction(_some_changed):
        done += looked_at
    while run_in_transaction(_some_owing):
        pass
    return done


def _some_changed() -> int:
    """The notes go in the transaction that enters what follows from them; one that comes meanwhile is looked at next time."""
    oldest = select(LoyaltyNote.id).order_by(LoyaltyNote.id).limit(CHUNK).with_for_update(skip_locked=True)
    noted = set(
        db.session.scalars(delete(LoyaltyNote).where(LoyaltyNote.id.in_(oldest)).returning(LoyaltyNote.order_id))
    )
    if noted:
        db.session.execute(_MEMBERS, {"orders": sorted(noted)})
        climb(reckon(noted))
    return len(noted)


def _some_owing() -> int:
    """Take what is owed from points that came since."""
    accounts = list(db.session.scalars(_OWING, {"limit": CHUNK}))
    db.session.execute(select(text(f"pg_advisory_xact_lock({LOCK})")))
    _enter(accounts, None)
    return len(accounts)


def line_of(order: int, program: int) -> OrderEarning | None:
    """What an order earns in a program, if it was looked at."""
    return db.session.scalars(select(OrderEarning).where(
        OrderEarning.order_id == order, OrderEarning.program_id == program)).first()  # fmt: skip
