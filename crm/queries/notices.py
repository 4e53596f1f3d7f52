"""What a person must know of a party before doing anything: what is open, overdue or about to expire, each as a list."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from crm.core.entity import Entity, Face, face_named
from crm.core.permissions import Actor, allowed
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
    Notice("privacy_request", "open privacy request", "open privacy requests", "warning", (("state_in", "received,in_work"),)),
)  # fmt: skip


def notices_of(party: Entity, actor: Actor, today: dt.date) -> list[tuple[Notice, int, Face, list[tuple[str, str]]]]:
    """(notice, how many (at most one more than `MOST`), the face, the query of the list), of what the actor may see."""
    days = {"today": today.isoformat(), "soon": (today + dt.timedelta(days=SOON)).isoformat()}
    meant, found = {}, {}
    for notice in NOTICES:
        face = face_named(notice.face)
        if not allowed(actor, f"{face.name}.read"):
            continue
        pairs = [
            ("flt_party_eq", str(party.id)),
            *((f"flt_{name}", value.format(**days)) for name, value in notice.asked),
        ]
        try:
            found[notice.face] = matching(face, read_query(face, pairs), actor)
        except BadQuery:
            continue  # what it is told by isn't shown to the actor
        meant[notice.face] = (notice, face, pairs)
    numbers = counts_up_to(found, MOST)
    return [(notice, numbers[name], face, pairs) for name, (notice, face, pairs) in meant.items() if numbers[name]]
