"""What a ticket counts for whoever raised it, with its escalations."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, Boolean, DateTime, Index, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from crm.core.figures import OfRecord, Only


class TicketFigures(OfRecord):
    """A ticket as it counts: a complaint, open, how often escalated."""

    record = "ticket"
    touched_by = {
        "ticket": "SELECT r.id FROM {rows} r",
        "escalation": "SELECT r.ticket_id FROM {rows} r",
    }

    party_id: Mapped[int] = mapped_column(BigInteger)
    opened_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    complaint: Mapped[bool] = mapped_column(Boolean)
    open: Mapped[bool] = mapped_column(Boolean)
    satisfaction: Mapped[int | None] = mapped_column(SmallInteger)
    escalations_count: Mapped[int] = mapped_column(Integer)

    __table_args__ = (Index("ix_ticket_figures_of_party", "party_id", "opened_at"),)

    @classmethod
    def query(cls, only: Only) -> str:
        return f"""
SELECT t.id, t.party_id, t.opened_at, t.kind = 'complaint' AS complaint, t.resolved_at IS NULL AS open, t.satisfaction,
  coalesce(e.number, 0) AS escalations_count
FROM ticket t
LEFT JOIN (SELECT x.ticket_id, count(*) AS number FROM escalation x WHERE {only("x.ticket_id")} GROUP BY x.ticket_id) e
       ON e.ticket_id = t.id
WHERE {only("t.id")}"""  # noqa: S608 - made of constants
