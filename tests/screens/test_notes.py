"""Notes on a party's page: written, formatted harmlessly, pinned; read by who sees the party."""

from __future__ import annotations

import re
import sys

import html5lib
import pytest
from sqlalchemy import select

from admin_views.cells import formatted
from crm.core.entity import db, face_named
from crm.models.parties import Party
from crm.models.party_notes import Note
from tests.factories import make
from tests.test_architecture import inline_code


@pytest.fixture
def party(session) -> Party:
    return make(face_named("customer"), name="Ada")


def post(person, party, where="note", htmx=True, **data):
    headers = {"HX-Request": "true"} if htmx else {}
    return person.client.post(f"/admin/customers/{where}/", query_string={"id": party.id}, data=data, headers=headers)


def test_a_note_is_written_formatted_edited_and_pinned_above_the_rest(as_user, party):
    person = as_user("manager")
    assert "<strong>Bring</strong> the keys" in post(person, party, text="**Bring** the keys").text
    shown = post(person, party, text="# Plan\n\n- one\n- two").text
    assert "<h3>Plan</h3>" in shown
    html5lib.HTMLParser(strict=True).parseFragment(shown)
    first, second = db.session.scalars(select(Note).order_by(Note.id))
    assert (first.author_id, first.edited_at, first.pinned_at) == (person.user_id, None, None)
    assert (first.title, second.title) == ("Bring the keys", "Plan")
    assert shown.index("Plan") < shown.index("Bring")
    shown = post(person, party, "pin", note=first.id, action="pin").text
    assert shown.index("Bring") < shown.index("Plan")
    third = post(person, party, text="Third", pin="1").text
    assert third.count("note-pinned") == 2
    db.session.expire_all()
    assert first.pinned_at is not None
    assert first.edited_at is None  # a pin is no edit
    first.text = "**Bring** the papers"
    db.session.flush()
    assert first.edited_at is not None
    shown = post(person, party, "pin", note=first.id, action="unpin").text
    assert "edited" in shown
    assert shown.count("note-pinned") == 1
    assert "Bring the papers" in person.client.get("/admin/notes/", query_string={"search": "papers"}).text


def test_what_is_wrong_is_said_and_the_text_stays(as_user, party):
    person = as_user("admin")
    for text, said in (("", "is required"), (" \n", "is required"), ("x" * 20_001, "too long"), ("a\x00b", "NUL")):
        answer = post(person, party, text=text)
        assert (answer.status_code, said in answer.text) == (422, True), said
    plain = post(person, party, htmx=False, text="")
    assert (plain.status_code, plain.location.endswith("&tab=notes")) == (303, True)
    party.archived_at = db.func.now()
    db.session.commit()
    assert "is archived" in post(person, party, text="Too late").text
    assert db.session.scalars(select(Note)).all() == []


def test_notes_keep_to_who_sees_the_party(as_user, party, session):
    rep, other = as_user("sales_rep"), make(face_named("customer"), name="Bea")
    party.owner_id = rep.user_id
    mine, foreign = make(face_named("note"), party_id=party.id), make(face_named("note"), party_id=other.id)
    session.commit()
    assert post(rep, party, text="Mine").status_code == 200
    assert post(rep, other, text="Not mine").status_code == 404
    assert post(rep, party, "pin", note=foreign.id, action="pin").status_code in (403, 404)
    assert rep.client.get(f"/admin/notes/details/?id={foreign.id}").status_code == 404
    assert rep.client.get(f"/admin/notes/details/?id={mine.id}").status_code == 200
    auditor = as_user("auditor")
    assert post(auditor, party, text="No").status_code == 403
    assert "note-text" not in auditor.client.get(f"/admin/customers/notes/?id={party.id}").text


EVIL = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](JaVaScRiPt&#58;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)", "![x](https://elsewhere.example/p.png)", "<style>*{display:none}</style>",
    "[x](vbscript:x)", "<a href='x' onclick='y'>z</a>", "<https://a.b/\"onmouseover=alert(1)>", "<svg><animate onbegin=alert(1)>",
    "[x][y]\n\n[y]: javascript:alert(1)", "`<script>`", "<form action=//evil><button>", "[a](https://x.y \"' onclick=1\")",
)  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_evil_survives_the_formatting(evil):
    html = str(formatted(f"before\n\n{evil}\n\nafter"))
    assert inline_code(html) == []
    assert not re.search(r"<(script|img|svg|style|form|button|iframe|object)|href=\"(?!https://)", html)
    assert all('rel="noopener noreferrer nofollow"' in link for link in re.findall(r"<a [^>]*>", html))


@pytest.mark.parametrize("bomb", [">", "[", "*", "`", "- ", "![](", "a\n", "|", "_a ", "<", "\\"])
def test_no_note_keeps_the_server_busy(bomb):
    """Twice the text is twice the work: counted in calls, as the clock of a busy machine proves nothing."""
    once, twice = work_of(bomb * 1_000), work_of(bomb * 2_000)
    assert twice < 2.5 * once + 1_000


def work_of(text: str) -> int:
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        formatted(text)
    finally:
        sys.setprofile(before)
    return calls
