"""What an order adds up to, and what a deal is worth in the company's currency."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import BigInteger, Boolean, DateTime, Index, Integer, Numeric, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.core.fields import integer_field, money_field
from crm.core.figures import OfRecord, Only
from crm.models import sales_orders as _orders  # noqa: F401 - declares the face that shows these


class OrderFigures(OfRecord):
    """What the lines and returns of an order add up to, in its currency; `worth` and `refund_worth` are the company's.

    Rounded half up to four decimals, once for each line.
    """

    shown_by = ("order",)
    sort = ("total",)
    record = "sales_order"
    touched_by = {
        "sales_order": "SELECT r.id FROM {rows} r",
        "order_line": "SELECT r.order_id FROM {rows} r",
        "sales_return": "SELECT r.order_id FROM {rows} r",
        "invoice": "SELECT r.order_id FROM {rows} r",
        "return_line": "SELECT b.order_id FROM sales_return b WHERE b.id = ANY (ARRAY(SELECT r.sales_return_id FROM {rows} r))",
    }  # fmt: skip

    customer_id: Mapped[int] = mapped_column(BigInteger)
    ordered_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    completed: Mapped[bool] = mapped_column(Boolean)
    pending: Mapped[bool] = mapped_column(Boolean)
    satisfaction: Mapped[int | None] = mapped_column(SmallInteger)
    lines_count: Mapped[int] = integer_field(label="Lines")
    total: Mapped[Decimal] = money_field(help="The sum of its lines")
    worth: Mapped[Decimal] = mapped_column(Numeric(19, 4))
    to_bill: Mapped[Decimal] = mapped_column(Numeric(19, 4))  # of pending ones, without what was invoiced
    unbilled: Mapped[Decimal] = mapped_column(Numeric(19, 4))  # the same of those that aren't held for credit
    uninvoiced: Mapped[Decimal] = mapped_column(Numeric(19, 4))  # of completed ones, without what was paid back
    returns_count: Mapped[int] = integer_field(label="Returns", help="Without refused ones")
    refunded: Mapped[Decimal] = money_field(help="Paid back for what was returned")
    refund_worth: Mapped[Decimal] = mapped_column(Numeric(19, 4))

    __table_args__ = (Index("ix_order_figures_of_customer", "customer_id", "completed", "ordered_at"),
                      Index("ix_order_figures_to_bill", "customer_id", "id", postgresql_where=text("to_bill > 0")))  # fmt: skip

    @classmethod
    def query(cls, only: Only) -> str:
        to_bill = (
            "CASE WHEN o.state = 'pending' THEN greatest(coalesce(l.worth, 0) - coalesce(v.worth, 0), 0) ELSE 0 END"
        )
        return f"""
SELECT o.id, o.customer_id, o.ordered_at, o.state = 'completed' AS completed, o.state = 'pending' AS pending, o.satisfaction,
  coalesce(l.number, 0) AS lines_count, coalesce(l.total, 0) AS total, coalesce(l.worth, 0) AS worth,
  {to_bill} AS to_bill, CASE WHEN o.credit = 'held' THEN 0 ELSE {to_bill} END AS unbilled,
  CASE WHEN o.state = 'completed' THEN greatest(coalesce(l.worth, 0) - coalesce(b.worth, 0) - coalesce(v.worth, 0), 0) ELSE 0 END
    AS uninvoiced,
  coalesce(b.number, 0) AS returns_count, coalesce(b.refunded, 0) AS refunded, coalesce(b.worth, 0) AS refund_worth
FROM sales_order o
LEFT JOIN (SELECT i.order_id, count(*) AS number, sum(i.total) AS total, sum(round(i.total * x.exchange_rate, 4)) AS worth
             FROM order_line i JOIN sales_order x ON x.id = i.order_id WHERE {only("i.order_id")} AND {only("x.id")}
            GROUP BY i.order_id) l ON l.order_id = o.id
LEFT JOIN (SELECT r.order_id, count(DISTINCT r.id) FILTER (WHERE r.state <> 'refused') AS number,
                  sum(i.amount) FILTER (WHERE r.state = 'refunded') AS refunded,
                  sum(round(i.amount * x.exchange_rate, 4)) FILTER (WHERE r.state = 'refunded') AS worth
             FROM sales_return r JOIN sales_order x ON x.id = r.order_id
             LEFT JOIN return_line i ON i.sales_return_id = r.id
                   AND {only("i.sales_return_id").replace("(ids)", "(ARRAY(SELECT w.id FROM sales_return w WHERE w.order_id = ANY (ids)))")}
            WHERE {only("r.order_id")} AND {only("x.id")} GROUP BY r.order_id) b ON b.order_id = o.id
LEFT JOIN (SELECT i.order_id, sum(round(i.amount * i.exchange_rate, 4)) AS worth FROM invoice i
            WHERE i.order_id IS NOT NULL AND {only("i.order_id")} GROUP BY i.order_id) v ON v.order_id = o.id
WHERE {only("o.id")}"""  # noqa: S608 - made of constants


class DealFigures(OfRecord):
    """What a deal is worth in the company's currency, and whether an order stands for it already."""

    record = "deal"
    touched_by = {
        "deal": "SELECT r.id FROM {rows} r",
        "sales_order": "SELECT r.deal_id FROM {rows} r",
    }

    customer_id: Mapped[int] = mapped_column(BigInteger, index=True)
    won: Mapped[bool] = mapped_column(Boolean)
    lost: Mapped[bool] = mapped_column(Boolean)
    worth: Mapped[Decimal] = mapped_column(Numeric(19, 4))
    orders_count: Mapped[int] = mapped_column(Integer)

    @classmethod
    def query(cls, only: Only) -> str:
        return f"""
SELECT d.id, d.customer_id, d.stage = 'won' AS won, d.stage = 'lost' AS lost,
  round(coalesce(d.amount, 0) * d.exchange_rate, 4) AS worth, coalesce(o.number, 0) AS orders_count
FROM deal d
LEFT JOIN (SELECT x.deal_id, count(*) AS number FROM sales_order x
            WHERE x.deal_id IS NOT NULL AND x.state <> 'cancelled' AND {only("x.deal_id")} GROUP BY x.deal_id) o ON o.deal_id = d.id
WHERE {only("d.id")}"""  # noqa: S608 - made of constants
