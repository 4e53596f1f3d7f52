"""What a person must know of a party before doing anything: what is open, overdue or about to expire, each as a list."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam

from crm.core.entity import Entity, Face, db, face_named
from crm.core.permissions import Actor, Asking, accesses, allowed
from crm.queries.listing import BadQuery, counts_up_to, matching, read_query

SOON = 30  # days
MOST = 99


@dataclass(frozen=True)
class Notice:
    """Records of a face that somebody should look at: `one` and `many` of them in words, and the query of their list,
    in which `{today}` and `{soon}` stand for days."""

    face: str
    one: str
    many: str
    tone: str
    asked: tuple[tuple[str, str], ...]


NOTICES = (
    Notice("ticket", "open complaint", "open complaints", "bad", (("kind_eq", "complaint"), ("resolved_at_empty", "1"))),
    Notice("alert", "open alert", "open alerts", "warning", (("state_eq", "open"),)),
    Notice("interaction", "follow-up is overdue", "follow-ups are overdue", "warning",
           (("follow_up_required_eq", "true"), ("follow_up_done_at_empty", "1"), ("follow_up_on_lt", "{today}"))),
    Notice("task", "task is overdue", "tasks are overdue", "warning", (("state_eq", "open"), ("due_at_lt", "{today}"))),
    Notice("document", "document expires soon or has", "documents expire soon or have", "warning",
           (("expires_on_le", "{soon}"),)),
    Notice("identifier", "identifier expires soon or has", "identifiers expire soon or have", "warning",
           (("valid_until_le", "{soon}"),)),
    Notice("contract", "contract ends soon or has", "contracts end soon or have", "warning",
           (("state_eq", "active"), ("ends_on_le", "{soon}"))),
    Notice("credit_account", "credit account is blocked", "credit accounts are blocked", "bad", (("standing_eq", "blocked"),)),
    Notice("credit_account", "credit account has overdue invoices", "credit accounts have overdue invoices", "warning",
           (("standing_eq", "warning"), ("overdue_gt", "0"))),
    Notice("credit_account", "credit review is overdue", "credit reviews are overdue", "warning",
           (("state_eq", "open"), ("next_review_on_lt", "{today}"))),
    Notice("privacy_request", "open privacy request", "open privacy requests", "warning", (("state_in", "received,in_work"),)),
)  # fmt: skip


Pairs = tuple[tuple[str, str], ...]


def notices_of(party: Entity, actor: Actor, today: dt.date) -> list[tuple[Notice, int, Face, list[tuple[str, str]]]]:
    """(notice, how many (at most one more than `MOST`), the face, the query of the list), of what the actor may see."""
    meant, statement = _asked(Asking.of(actor), today)
    if not meant:
        return []
    numbers = db.session.execute(statement, {"party": party.id}).one()
    return [(notice, number, face, [("flt_party_eq", str(party.id)), *pairs])
            for (notice, face, pairs), number in zip(meant, numbers, strict=True) if number]  # fmt: skip


@lru_cache(maxsize=256)  # to put it together takes longer than to ask it
def _asked(actor: Asking, today: dt.date) -> tuple[list[tuple[Notice, Face, Pairs]], Select[Any]]:
    """The notices that this actor may get, and the question how many of each there are."""
    days = {"today": today.isoformat(), "soon": (today + dt.timedelta(days=SOON)).isoformat()}
    meant, found = [], []
    for notice in NOTICES:
        face = face_named(notice.face)
        if not allowed(actor, f"{face.name}.read") or not accesses(actor, face)["party"].shows:
            continue
        pairs = tuple((f"flt_{name}", value.format(**days)) for name, value in notice.asked)
        try:
            rows = matching(face, read_query(face, pairs), actor)
        except BadQuery:
            continue  # what it is told by isn't shown to the actor
        found.append(rows.where(face.column("party") == bindparam("party", type_=BigInteger())))
        meant.append((notice, face, pairs))
    return meant, counts_up_to(found, MOST)
