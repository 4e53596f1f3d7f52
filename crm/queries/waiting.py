"""What waits for a person: due, open, about to expire, to be decided; each with the query of exactly that list."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, func, select
from sqlalchemy.dialects.postgresql import array

from crm.core.entity import Face, all_faces, db
from crm.core.permissions import Actor, access_of, allowed
from crm.queries.conditions import compile_condition
from crm.queries.deals import OPEN
from crm.queries.listing import BadQuery, matching, read_query

SOON = 30  # days
MOST = 99
Asked = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Wait:
    """Records of a face that wait: `asked` is the query of their list, in which `{me}`, `{today}` and `{soon}` stand for
    the person and for days; `late` narrows it to those that should be done by now. `needs` is the right to deal with them;
    `shown_by` is the page that shows them, if not the list.
    """

    face: str
    label: str
    tone: str
    asked: Asked
    late: Asked = ()
    needs: str = "read"
    shown_by: str = "index_view"


WAITS = (
    Wait("task", "My tasks due", "warning", (("state_eq", "open"), ("assignee_eq", "{me}"), ("due_at_le", "{today}")),
         (("due_at_lt", "{today}"),), "complete"),
    Wait("interaction", "My follow-ups due", "warning",
         (("follow_up_required_eq", "true"), ("follow_up_done_at_empty", "1"), ("handled_by_eq", "{me}"), ("follow_up_on_le", "{today}")),
         (("follow_up_on_lt", "{today}"),)),
    Wait("check_in", "My check-ins overdue", "warning", (("account_manager_eq", "{me}"), ("due_on_lt", "{today}"))),
    Wait("alert", "My open alerts", "warning", (("state_eq", "open"), ("assignee_eq", "{me}")), needs="settle"),
    Wait("ticket", "My open tickets", "info", (("resolved_at_empty", "1"), ("assignee_eq", "{me}")), (("due_at_lt", "{today}"),)),
    Wait("ticket", "Open complaints", "bad", (("kind_eq", "complaint"), ("resolved_at_empty", "1")), (("due_at_lt", "{today}"),)),
    Wait("deal", f"My deals closing in {SOON} days", "info",
         (("owner_eq", "{me}"), ("stage_in", ",".join(OPEN)), ("close_on_le", "{soon}")), (("close_on_lt", "{today}"),)),
    Wait("credit_request", "Credit requests to decide", "warning", (("status_eq", "pending"),), needs="approve"),
    Wait("credit_account", "Credit reviews due soon", "warning", (("state_eq", "open"), ("next_review_on_le", "{soon}")),
         (("next_review_on_lt", "{today}"),), "review", "reviews_view"),
    Wait("order", "Orders held for credit", "bad", (("state_eq", "pending"), ("credit_eq", "held")), needs="release"),
    Wait("credit_release", "Releases to review", "warning", (("reviewed_at_empty", "1"),), needs="review"),
    Wait("duplicate_candidate", "Possible duplicates", "neutral", (("state_eq", "open"),), needs="different"),
    Wait("enrichment_proposal", "Proposed values", "neutral", (("state_eq", "open"),), needs="accept"),
    Wait("privacy_request", "Open privacy requests", "warning", (("state_in", "received,in_work"),), (("due_on_lt", "{today}"),), "edit"),
    Wait("contract", "Contracts that end soon", "warning", (("state_eq", "active"), ("ends_on_le", "{soon}")),
         (("ends_on_lt", "{today}"),)),
    Wait("ladder_move", "Moves down to agree to", "warning", (("state_eq", "pending"),), needs="approve"),
    Wait("segment", "Segments that end soon", "warning", (("valid_until_ge", "{today}"), ("valid_until_le", "{soon}"))),
    Wait("segment_membership", "Memberships of segments that end soon", "neutral",
         (("left_at_empty", "1"), ("expires_on_ge", "{today}"), ("expires_on_le", "{soon}"))),
    Wait("document", "Documents that expire soon", "warning", (("expires_on_le", "{soon}"),), (("expires_on_lt", "{today}"),)),
    Wait("identifier", "Identifiers that expire soon", "warning", (("valid_until_le", "{soon}"),), (("valid_until_lt", "{today}"),)),
    Wait("compliance_record", "Compliance that ends soon", "warning", (("state_eq", "accepted"), ("valid_until_le", "{soon}")),
         (("valid_until_lt", "{today}"),)),
)  # fmt: skip


@dataclass(frozen=True)
class Waiting:
    """What of it there is: how many, at most one more than `MOST`, and how many late of these; `pairs` are the list's query."""

    wait: Wait
    face: Face
    number: int
    late: int
    pairs: tuple[tuple[str, str], ...]


def waiting_for(actor: Actor, today: dt.date) -> list[Waiting]:
    """All that waits, without what the actor may not see or deal with; counted in one question to the database."""
    stands_for = {
        "me": str(actor.id),
        "today": today.isoformat(),
        "soon": (today + dt.timedelta(days=SOON)).isoformat(),
    }
    faces = {face.name: face for face in all_faces()}
    meant, asked = [], []
    for wait in WAITS:
        face = faces.get(wait.face)
        if face is None or not all(allowed(actor, f"{face.name}.{verb}") for verb in ("read", wait.needs)):
            continue
        pairs, late = (
            tuple((f"flt_{name}", value.format(**stands_for)) for name, value in some)
            for some in (wait.asked, wait.late)
        )
        try:
            found = matching(face, read_query(face, pairs), actor).with_only_columns(
                _all_of(face, late, actor).label("late")
            )
        except BadQuery:
            continue  # what it is told by isn't shown to the actor
        capped = found.order_by(None).limit(MOST + 1).subquery()
        asked.append(
            select(array([func.count(), func.count().filter(capped.c.late)])).select_from(capped).scalar_subquery()
        )
        meant.append((wait, face, pairs))
    if not meant:
        return []
    numbers = db.session.execute(select(*asked)).one()
    return [Waiting(wait, face, number, late, pairs)
            for (wait, face, pairs), (number, late) in zip(meant, numbers, strict=True) if number]  # fmt: skip


def _all_of(face: Face, pairs: Asked, actor: Actor) -> ColumnElement[bool]:
    """Whether a row meets these conditions; none does where there are none, or the actor doesn't see what they ask."""
    filters = read_query(face, pairs).filters
    if not filters or not all(access_of(actor, face, kept.field.name).shows for kept in filters):
        return false()
    return and_(*(compile_condition(face, kept.field, kept.op, kept.raw) for kept in filters))
