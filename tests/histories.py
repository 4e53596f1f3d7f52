"""What people do to records at random, each on a connection of their own, as the app's login."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import psycopg

from crm.logins import dsn

CUSTOMERS = 20
NOT_NOW = (psycopg.errors.IntegrityError, psycopg.errors.DeadlockDetected)
SPOKEN = ("INSERT INTO interaction (party_id, channel, subject, occurred_at, asked_at, satisfaction) VALUES (%(one)s, 'call', "
          "'S', %(when)s, CAST(%(when)s AS timestamptz) - interval '7 minutes', 1 + %(number)s %% 5)")  # fmt: skip


ANSWERED = ("INSERT INTO survey_answer (survey_id, party_id, score, asked_at, answered_at) "
            "SELECT id, %(one)s, 3, %(when)s, %(when)s FROM survey ORDER BY random() LIMIT 1")  # fmt: skip

APPROVED = ("WITH asked AS (INSERT INTO credit_request (account_id, amount, requested_by_id) SELECT id, %(amount)s, 1 FROM credit_account "
            "ORDER BY random() LIMIT 1 RETURNING *) INSERT INTO credit_decision (request_id, account_id, requested_by_id, decided_by_id, "
            "step, final, verdict, credit_limit) SELECT id, account_id, 1, 2, 1, true, 'approved', amount FROM asked")  # fmt: skip


class History:
    """What one of several people does at random; what the database refuses is simply not done."""

    def __init__(self, url: str, seed: int) -> None:
        self.connection = psycopg.connect(dsn(url))
        self.random = random.Random(seed)
        self.done = 0

    def run(self, transactions: int) -> None:
        with self.connection:
            for _ in range(transactions):
                try:
                    for _ in range(self.random.randint(1, 4)):
                        self.step()
                    if self.random.random() < 0.1:
                        self.connection.rollback()
                    elif self.random.random() < 0.5:  # others meet what is settled and not yet committed
                        self.sql("SET CONSTRAINTS figures_settle IMMEDIATE")
                        self.sql("SELECT pg_sleep(0.005)")
                    self.connection.commit()
                    self.done += 1
                except NOT_NOW:
                    self.connection.rollback()

    def step(self) -> None:
        work = self.random.choice([self.order] * 4 + [self.orders_in_bulk, self.lines, self.order_changed, self.returned,
                                   self.deals, self.spoken, self.tickets, self.owed, self.owed, self.points, self.points, self.roles,
                                   self.gone, self.undone])  # fmt: skip
        work()

    def sql(self, statement: str, **values: Any) -> Any:
        given = dict(values)
        given |= {"one": self.who(), "other": self.who(), "number": self.random.randint(1, 9),
                  "amount": Decimal(self.random.randint(1, 100_000)) / 100, "rate": Decimal(self.random.randint(1, 300)) / 100,
                  "when": dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=self.random.randint(0, 9_999))}  # fmt: skip
        return self.connection.execute(statement, given)

    def who(self) -> int:
        return self.random.randint(1, CUSTOMERS)

    def some(self, table: str) -> str:
        """SQL of one row's number, picked at random of what is seen."""
        return f"(SELECT id FROM {table} ORDER BY random() LIMIT 1)"

    def order(self) -> None:
        state = self.random.choice(("completed", "completed", "pending"))
        deal = self.some("deal") if self.random.random() < 0.3 else "NULL"
        number = self.sql("INSERT INTO sales_order (customer_id, currency, exchange_rate, ordered_at, state, deal_id, satisfaction) "
                          f"VALUES (%(one)s, 'EUR', %(rate)s, %(when)s, '{state}', {deal}, 1 + %(number)s %% 5) RETURNING id"
                          ).fetchone()[0]  # fmt: skip
        for _ in range(self.random.randint(0, 3)):
            self.sql("INSERT INTO order_line (order_id, name, quantity, unit_price) VALUES (%(id)s, 'A', %(number)s, %(amount)s)",
                     id=number)  # fmt: skip

    def orders_in_bulk(self) -> None:
        self.sql("WITH made AS (INSERT INTO sales_order (customer_id, currency, state) SELECT 1 + n %% 20, 'EUR', 'completed' "
                 "FROM generate_series(1, 30) n RETURNING id) "
                 "INSERT INTO order_line (order_id, name, quantity, unit_price) SELECT id, 'B', 1, %(amount)s FROM made")  # fmt: skip

    def lines(self) -> None:
        one = self.some("order_line")
        self.sql(self.random.choice((f"UPDATE order_line SET quantity = %(number)s, unit_price = %(amount)s WHERE id = {one}",
                                     f"UPDATE order_line SET order_id = {self.some('sales_order')} WHERE id = {one}",
                                     f"DELETE FROM order_line WHERE id = {one}")))  # fmt: skip

    def order_changed(self) -> None:
        what = self.random.choice(("customer_id = %(other)s", "exchange_rate = %(rate)s", "state = 'completed'", "state = 'cancelled'",
                                   "state = 'returned'", "ordered_at = %(when)s", "satisfaction = NULL", "deal_id = NULL",
                                   "currency = 'USD'", "remarks = 'x'"))  # fmt: skip
        which = self.random.choice((f"id = {self.some('sales_order')}", "customer_id = %(one)s"))
        self.sql(f"UPDATE sales_order SET {what} WHERE {which}")

    def returned(self) -> None:
        if self.random.random() < 0.5:
            line = self.sql("SELECT id, order_id FROM order_line ORDER BY random() LIMIT 1").fetchone()
            if line:
                number = self.sql("INSERT INTO sales_return (order_id, reason) VALUES (%(order)s, 'defect') RETURNING id",
                                  order=line[1]).fetchone()[0]  # fmt: skip
                self.sql("INSERT INTO return_line (sales_return_id, order_line_id, amount) VALUES (%(b)s, %(line)s, %(amount)s)",
                         b=number, line=line[0])  # fmt: skip
        else:
            state = self.random.choice(("refunded", "refused", "received"))
            one = self.some("sales_return")
            self.sql(self.random.choice((f"UPDATE sales_return SET state = '{state}' WHERE id = {one}",
                                         f"DELETE FROM return_line WHERE id = {self.some('return_line')}",
                                         f"DELETE FROM sales_return WHERE id = {one}")))  # fmt: skip

    def deals(self) -> None:
        one, stage = self.some("deal"), self.random.choice(("won", "won", "lost", "demo"))
        self.sql(self.random.choice((
            f"INSERT INTO deal (name, customer_id, stage, amount, currency) VALUES ('D', %(one)s, '{stage}', %(amount)s, 'USD')",
            f"UPDATE deal SET stage = '{stage}', customer_id = %(other)s WHERE id = {one}",
            f"UPDATE deal SET amount = %(amount)s, exchange_rate = %(rate)s WHERE id = {one}",
            f"DELETE FROM deal WHERE id = {one}")))  # fmt: skip

    def spoken(self) -> None:
        one = self.some("interaction")
        self.sql(self.random.choice((
            SPOKEN,
            "INSERT INTO digital_event (party_id, source, kind, occurred_at) VALUES (%(one)s, 'website', 'visit', %(when)s)",
            f"UPDATE interaction SET party_id = %(other)s, state = 'done' WHERE id = {one}",
            f"UPDATE interaction SET state = 'pending' WHERE id = {one}", f"DELETE FROM interaction WHERE id = {one}",
            "INSERT INTO survey (name, kind, question, touchpoint) VALUES ('S' || %(number)s, 'csat', 'Q', 'other') ON CONFLICT DO NOTHING",
            ANSWERED,
            f"UPDATE survey_answer SET party_id = %(other)s, score = 1 WHERE id = {self.some('survey_answer')}",
            f"UPDATE survey SET kind = 'nps' WHERE id = {self.some('survey')}",
            f"DELETE FROM digital_event WHERE id = {self.some('digital_event')}")))  # fmt: skip

    def tickets(self) -> None:
        one = self.some("ticket")
        self.sql(self.random.choice((
            "INSERT INTO ticket (party_id, kind, subject, opened_at) VALUES (%(one)s, 'complaint', 'T', %(when)s)",
            f"UPDATE ticket SET state = 'resolved', resolved_at = now(), resolution = 'r', satisfaction = 3 WHERE id = {one}",
            f"UPDATE ticket SET party_id = %(other)s WHERE id = {one}",
            f"INSERT INTO escalation (ticket_id, level, reason) SELECT id, 1, 'r' FROM ticket WHERE id = {one}",
            f"DELETE FROM escalation WHERE id = {self.some('escalation')}")))  # fmt: skip

    def owed(self) -> None:
        one = self.some("credit_account")
        self.sql(self.random.choice((
            "INSERT INTO credit_account (party_id) VALUES (%(one)s) ON CONFLICT DO NOTHING",
            f"UPDATE credit_account SET last_review_on = date(%(when)s), party_id = %(other)s WHERE id = {one}",
            *(3 * [("INSERT INTO invoice (account_id, number, amount, currency, exchange_rate, issued_on, order_id) SELECT id, "
                   "gen_random_uuid(), %(amount)s, CASE id % 2 WHEN 0 THEN 'EUR' ELSE 'USD' END, %(rate)s, date(%(when)s), "
                   f"{self.some('sales_order')} FROM credit_account ORDER BY random() LIMIT 1")]),
            *(3 * [("INSERT INTO payment (account_id, amount, currency, exchange_rate, paid_on) SELECT account_id, %(amount)s * 2, currency, "
                   "exchange_rate, issued_on + %(number)s * 8 FROM invoice ORDER BY random() LIMIT 1")]),
            ("INSERT INTO payment (account_id, kind, reverses_id, amount, currency, exchange_rate) SELECT account_id, 'taken_back', id, "
            "-amount, currency, exchange_rate FROM payment WHERE reverses_id IS NULL ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING"),
            f"UPDATE invoice SET due_on = issued_on + %(number)s WHERE id = {self.some('invoice')}",
            APPROVED)).replace(" % 2", " %% 2"))  # fmt: skip

    def points(self) -> None:
        self.sql(self.random.choice((
            "INSERT INTO loyalty_account (party_id, program_id) SELECT %(one)s, id FROM loyalty_program ON CONFLICT DO NOTHING",
            (f"UPDATE loyalty_account SET party_id = %(other)s, tier_id = {self.some('loyalty_tier')} "
            f"WHERE id = {self.some('loyalty_account')}"),
            *(3 * [("INSERT INTO point_entry (account_id, kind, points, source, expires_on) SELECT id, 'earn', %(number)s, "
                   "gen_random_uuid(), CURRENT_DATE + %(number)s FROM loyalty_account ORDER BY random() LIMIT 2")]),
            ("INSERT INTO point_entry (account_id, kind, points, source) SELECT id, 'redeem', -%(number)s, gen_random_uuid() "
            "FROM loyalty_account_figures WHERE points > 0 ORDER BY random() LIMIT 1"),
            ("INSERT INTO point_entry (account_id, kind, points, source, reverses_id) SELECT account_id, 'reverse', -points, "
            "gen_random_uuid(), id FROM point_entry WHERE kind = 'redeem' ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING"))))  # fmt: skip

    def roles(self) -> None:
        role = self.random.choice(("vendor", "business_customer", "business_customer"))
        self.sql(f"UPDATE party SET roles = ARRAY['{role}'] WHERE id = %(one)s")

    def gone(self) -> None:
        self.sql(f"DELETE FROM sales_order WHERE id = {self.some('sales_order')}")

    def undone(self) -> None:
        """A savepoint that is rolled back takes its notes along."""
        with self.connection.transaction(force_rollback=True):
            self.order()
