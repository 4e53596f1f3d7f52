"""What waits for a person on the home page: counted rightly, each leading to exactly its list, nothing without the right."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from typing import Any

from crm.core.entity import face_named
from crm.queries.waiting import MOST, WAITS
from tests.factories import make

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def waits(person: Any) -> dict[str, tuple[str, str, str]]:
    """Label → (number, late, address)."""
    page = person.client.get("/admin/").text
    found = re.findall(r'<a class="wait" href="([^"]+)">.*?wait-label">([^<]+)</span>(?:<span class="muted small">([^<]*)</span>)?'
                       r"<span class=\"pill[^>]*>([^<]+)</span>", page)  # fmt: skip
    return {label: (number, late, unescape(address)) for address, label, late, number in found}


def fill(me: int, other: int) -> None:
    """Of each kind one that waits and is late, one that waits, and some that don't."""
    party = make(face_named("customer"), owner_id=me).id
    theirs = make(face_named("customer"), owner_id=other).id
    for mine, late in ((me, True), (me, False), (other, True)):
        when = NOW - 3 * DAY if late else NOW
        make(face_named("task"), party_id=party, assignee_id=mine, due_at=when, state="open")
        make(
            face_named("interaction"),
            party_id=party,
            handled_by_id=mine,
            follow_up_required=True,
            follow_up_on=when.date(),
        )
        make(face_named("alert"), party_id=party, assignee_id=mine, state="open")
        make(
            face_named("ticket"),
            party_id=party,
            assignee_id=mine,
            kind="question" if mine == me else "complaint",
            opened_at=NOW - 9 * DAY,
            due_at=when,
        )
        make(face_named("deal"), customer_id=party, owner_id=mine, stage="negotiation", close_on=when.date())
    make(face_named("check_in"), party_id=party, own_days=7, last_on=(NOW - 9 * DAY).date())
    make(face_named("check_in"), party_id=theirs, own_days=7, last_on=(NOW - 9 * DAY).date())
    for until in (NOW - DAY, NOW + 9 * DAY, NOW + 99 * DAY):
        make(face_named("document"), party_id=party, expires_on=until.date())
        make(face_named("identifier"), party_id=party, valid_until=until.date())
        make(
            face_named("contract"),
            party_id=party,
            starts_on=(NOW - 99 * DAY).date(),
            ends_on=until.date(),
            state="active",
        )
    make(face_named("duplicate_candidate"), first_party_id=party, second_party_id=theirs)
    make(face_named("enrichment_proposal"), party_id=party)


def test_each_line_leads_to_exactly_what_it_counts(session: Any, as_user: Any) -> None:
    admin, other = as_user("admin"), as_user("manager")
    fill(admin.user_id, other.user_id)
    session.commit()
    found = waits(admin)
    assert {label: (number, late) for label, (number, late, _) in found.items()} == {
        "My tasks due": ("2", "1 late"), "My follow-ups due": ("2", "1 late"), "My check-ins overdue": ("1", ""),
        "My open alerts": ("2", ""), "My open tickets": ("2", "1 late"), "Open complaints": ("1", "1 late"),
        "My deals closing in 30 days": ("2", "1 late"), "Possible duplicates": ("1", ""), "Proposed values": ("1", ""),
        "Contracts that end soon": ("2", "1 late"), "Documents that expire soon": ("2", "1 late"),
        "Identifiers that expire soon": ("2", "1 late")}  # fmt: skip
    for label, (number, _, address) in found.items():
        page = admin.client.get(address)
        assert page.text.count("<tr data-row") == int(number), label


def test_nobody_is_told_of_what_he_may_not_see_or_do(session: Any, as_user: Any) -> None:
    admin = as_user("admin")
    fill(admin.user_id, admin.user_id)
    session.commit()
    approver = waits(as_user("credit_approver"))
    assert not {"Possible duplicates", "Proposed values", "My check-ins overdue", "My tasks due"} & approver.keys()
    assert "Documents that expire soon" in approver
    # Reaches own and the team's rows only, but reads all partners.
    assert list(waits(as_user("sales_rep"))) == ["Contracts that end soon"]


def test_more_than_can_be_told_is_said_to_be_more(session: Any, as_user: Any) -> None:
    admin = as_user("admin")
    party = make(face_named("customer")).id
    for _ in range(MOST + 2):
        make(face_named("document"), party_id=party, expires_on=NOW.date())
    session.commit()
    assert waits(admin)["Documents that expire soon"][0] == f"{MOST}+"


def test_the_labels_tell_one_from_the_other() -> None:
    assert len({wait.label for wait in WAITS}) == len(WAITS)
