"""Duplicates on the screen: asked about before a record is made, and decided pair by pair."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from sqlalchemy import select

from crm.commands.duplicate_search import search_changed
from crm.core.entity import db, face_named
from crm.models.parties import Party
from crm.models.party_duplicates import CandidateState, DuplicateCandidate
from tests.factories import make

CUSTOMER, CANDIDATE = face_named("customer"), face_named("duplicate_candidate")
ANN: dict[str, Any] = {"name": "Ann Lee", "first_name": "Ann", "last_name": "Lee", "kind": "individual", "email": "ann.lee@example.com",
                       "phone": "+4930123456", "email2": None, "phone2": None, "tax_id": None}  # fmt: skip
TYPED = {
    "name": "Ann Lee",
    "kind": "individual",
    "email": "Ann.Lee@Example.com",
    "phone": "+49 30 123456",
    "roles": "end_customer",
}


def ann(**changes: Any) -> Party:
    party: Party = make(CUSTOMER, **ANN | changes)
    db.session.flush()
    search_changed()
    return party


def test_a_new_customer_who_is_there_already_is_asked_about_and_the_answer_is_remembered(session, as_user):
    person, there = as_user("admin"), ann()
    session.commit()
    asked = person.client.post("/admin/customers/new/", data=TYPED)
    assert asked.status_code == 409
    assert "This may be there already" in asked.text
    assert f'href="/admin/parties/details/?id={there.id}"' in asked.text
    assert 'doubt-why">same name; same e-mail' in asked.text, re.findall('doubt-why">(.*?)<', asked.text)
    assert 'value="Ann.Lee@Example.com"' in asked.text, "what was typed is still there"
    (said,) = re.findall(r'name="_not_same" value="([\d,]+)"', asked.text)
    made = person.client.post("/admin/customers/new/", data=TYPED | {"_not_same": said})
    assert made.status_code == 303
    session.expire_all()
    (kept,) = session.scalars(select(DuplicateCandidate))
    assert (kept.first_party_id, kept.state, kept.decided_by_id) == (there.id, CandidateState.DIFFERENT, person.user_id)
    search_changed()
    assert [one.state for one in session.scalars(select(DuplicateCandidate))] == [CandidateState.DIFFERENT]


def test_whom_a_person_may_not_see_he_is_not_asked_about(session, as_user):
    ann(owner_id=as_user("admin").user_id)
    session.commit()
    made = as_user("sales_rep").client.post("/admin/customers/new/", data=TYPED)
    assert made.status_code == 303


def test_pairs_are_decided_one_after_the_other_the_likeliest_first(session, as_user):
    person = as_user("admin")
    one, two, three = make(CUSTOMER, **ANN), make(CUSTOMER, **ANN | {"phone": "+4930999999"}), make(CUSTOMER, name="Bo")
    first = make(CANDIDATE, first_party_id=one.id, second_party_id=two.id, score=97, reasons="same e-mail; other phone")
    second = make(CANDIDATE, first_party_id=two.id, second_party_id=three.id, score=60, reasons="same phone")
    session.commit()

    def page(**asked: Any) -> str:
        return person.client.get("/admin/duplicates/decide/", query_string=asked).text

    shown = page()
    assert "97 %" in shown
    assert "same e-mail; other phone" in shown
    assert f'href="/admin/duplicates/compare/?id={one.id}&amp;id={two.id}&amp;id={three.id}" data-key="s"' in shown
    assert f'href="/admin/duplicates/compare/?id={one.id}&amp;id={two.id}">Compare only these two' in shown
    assert "One of a group of 3" in shown
    assert re.search(r'<tr class="differs"><th scope="row">Phone<', shown)
    assert "60 %" in page(flt_score_le=90), "filters of the list hold here too"
    sent = {"confirm": "1", "next": "/admin/duplicates/decide/"}
    answer = person.client.post("/admin/duplicates/action/", data=sent | {"rowid": first.id, "action": "different"})
    assert answer.location == "/admin/duplicates/decide/"
    assert "60 %" in page()
    assert "group" not in page(), "one of them was said to be another"
    person.client.post("/admin/duplicates/action/", data=sent | {"rowid": second.id, "action": "later"})
    assert "Nothing to decide" in page()
    session.expire_all()
    assert [first.state, second.state] == [CandidateState.DIFFERENT, CandidateState.LATER]
    assert "/admin/duplicates/decide/" in person.client.get("/admin/duplicates/").text


def test_the_list_says_who_belongs_to_a_group_and_leads_to_all_of_it(session, as_user):
    desk = as_user("admin").client
    one, two, three, four = (make(CUSTOMER, **ANN | {"phone": f"+493099999{n}"}) for n in range(4))
    first = make(CANDIDATE, first_party_id=one.id, second_party_id=two.id, score=97)
    make(CANDIDATE, first_party_id=two.id, second_party_id=three.id, score=60)
    make(CANDIDATE, first_party_id=one.id, second_party_id=three.id, score=60)
    alone = make(CANDIDATE, first_party_id=one.id, second_party_id=four.id, score=50, state=CandidateState.DIFFERENT,
                 decided_at=dt.datetime.now(dt.UTC))  # fmt: skip
    session.commit()
    assert desk.get("/admin/duplicates/").text.count(">and 1 more<") == 3
    for at in (f"menu/?id={first.id}", f"details/?id={first.id}"):
        shown = desk.get(f"/admin/duplicates/{at}").text
        assert re.search(
            rf'href="/admin/duplicates/compare/\?id={one.id}&amp;id={two.id}&amp;id={three.id}".{{0,200}}Compare all 3',
            shown,
            re.S,
        )
        assert "Compare only these two" in shown
    assert "Compare" not in desk.get(f"/admin/duplicates/menu/?id={alone.id}").text
    desk.post("/admin/duplicates/action/", data={"confirm": "1", "rowid": first.id, "action": "different"})
    shown = desk.get("/admin/duplicates/").text
    assert "and 1 more" not in shown, "who is not the one of two is no third"


def test_of_a_pair_only_what_the_person_may_see_is_shown(session, as_user):
    rep = as_user("sales_rep")
    mine, other = (
        make(CUSTOMER, **ANN | {"owner_id": rep.user_id}),
        make(CUSTOMER, name="Secret Person", owner_id=as_user("admin").user_id),
    )
    make(CANDIDATE, first_party_id=mine.id, second_party_id=other.id, score=80, reasons="same phone")
    session.commit()
    shown = rep.client.get("/admin/duplicates/decide/").text
    assert "Ann Lee" in shown
    assert "A record that you may not see" in shown
    assert "Secret" not in shown
    assert other.code not in shown
    assert "compare/?id=" not in shown
