"""Deals on the board: a column for each open stage, moved by one command whichever way."""

from __future__ import annotations

import re

import pytest

from crm.core.entity import db, face_named
from crm.models.sales_deals import Deal, DealStage
from tests.factories import make

DEAL = face_named("deal")


def board(person, **asked):
    return person.client.get("/admin/deals/board/", query_string=asked)


def columns(page) -> dict[str, list[str]]:
    found = re.findall(r'<section class="board-column" data-stage="(\w+)".*?</section>', page.text, re.DOTALL)
    parts = re.split(r'<section class="board-column" data-stage="\w+"', page.text)[1:]
    return {stage: re.findall(r'draggable="false">([^<]+)</a>', part) for stage, part in zip(found, parts, strict=True)}


def test_open_deals_stand_in_their_stage_what_closes_first_on_top(session, as_user):
    person = as_user("admin")
    for name, stage, close in (("Late", "demo", "2026-12-01"), ("Soon", "demo", "2026-11-01"), ("Some day", "demo", None),
                               ("Talks", "negotiation", None), ("Gone", "lost", None), ("Got", "won", None)):  # fmt: skip
        make(DEAL, name=name, stage=stage, close_on=close)
    session.commit()
    shown = columns(board(person))
    assert shown == {"prospecting": [], "qualification": [], "demo": ["Soon", "Late", "Some day"], "quote": [],
                     "negotiation": ["Talks"]}  # fmt: skip
    assert columns(board(person, search="late"))["demo"] == ["Late"]
    assert board(person, flt_nonsense_eq="1").status_code == 422


def test_a_deal_is_moved_by_the_one_command_and_closed_with_a_reason(session, as_user):
    person, deal = as_user("manager"), make(DEAL, name="Vans", stage="demo", probability=40)
    deal.customer.owner_id = person.user_id
    session.commit()
    sent = {"action": "move", "confirm": "1", "rowid": deal.id, "next": "/admin/deals/board/"}

    def move(**given):
        answer = person.client.post("/admin/deals/action/", data=sent | given)
        assert (answer.status_code, answer.location) == (303, "/admin/deals/board/")
        session.expire_all()
        return board(person).text

    assert "Move to a stage: done for Vans" in move(stage="quote")
    assert "it is in the stage “Quote” already" in move(stage="quote")
    assert "say why it was lost" in move(stage="lost")
    assert (deal.stage, deal.closed_on) == (DealStage.QUOTE, None)
    move(stage="lost", lost_reason="Too dear")
    assert (deal.stage, deal.lost_reason, deal.probability) == (DealStage.LOST, "Too dear", 0)
    assert deal.closed_on is not None
    move(stage="negotiation")
    assert (deal.closed_on, deal.lost_reason) == (None, None)
    # The question for the reason leads back to the board as well.
    asked = person.client.get("/admin/deals/action/", query_string=sent | {"stage": "lost"})
    assert '<option value="lost" selected>' in asked.text
    assert 'name="next" value="/admin/deals/board/"' in asked.text


@pytest.mark.parametrize("role", ["auditor", "finance"])
def test_who_may_only_read_moves_nothing(session, as_user, role):
    deal = make(DEAL, name="Vans", stage="demo")
    session.commit()
    person = as_user(role)
    shown = board(person)
    assert shown.status_code == 200
    assert 'draggable="true"' not in shown.text
    answer = person.client.post(
        "/admin/deals/action/", data={"action": "move", "confirm": "1", "rowid": deal.id, "stage": "won"}
    )
    assert answer.status_code == 403
    assert db.session.get(Deal, deal.id).stage is DealStage.DEMO


def test_a_sales_person_sees_and_moves_his_own(session, as_user):
    rep, other = as_user("sales_rep"), as_user("sales_rep")
    mine = make(
        DEAL,
        name="Mine",
        stage="demo",
        customer_id=make(face_named("customer"), owner_id=rep.user_id).id,
        owner_id=rep.user_id,
    )
    make(
        DEAL,
        name="Theirs",
        stage="demo",
        customer_id=make(face_named("customer"), owner_id=other.user_id).id,
        owner_id=other.user_id,
    )
    session.commit()
    assert columns(board(rep))["demo"] == ["Mine"]
    rep.client.post("/admin/deals/action/", data={"action": "move", "confirm": "1", "rowid": mine.id, "stage": "won"})
    session.expire_all()
    assert (mine.stage, mine.probability) == (DealStage.WON, 100)
