"""The page of a customer: the timeline over everything, the bar that logs, alerts that lead somewhere, tabs."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from sqlalchemy import select, text

from crm.core.audit import Acting, acting_as
from crm.core.entity import all_faces, db, face_named
from crm.models.access import User
from crm.models.communications import Interaction, Task
from crm.models.parties import Contact, Party
from crm.models.party_notes import Note
from crm.queries.listing import _Explain
from crm.queries.timeline import CHANGE, Asked, _changes, _of_face, takes_part, timeline
from tests.factories import make

DAY = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
NOON = DAY + dt.timedelta(hours=12)
TAKING_PART = [face for face in all_faces() if face.about.timeline]


@pytest.fixture
def party(session) -> Party:
    return make(face_named("customer"), name="Ada")


def happen(face, party, at=NOON, **given):
    """A record of the party in its timeline at this time."""
    moment = face.about.timeline
    if face.fields[moment.at].kind == "date":
        at = at.date()
    return make(face, **{f"{moment.party}_id": party.id, face.fields[moment.at].attribute: at, **given})


def page(person, party, where="details", **asked):
    return person.client.get(f"/admin/customers/{where}/", query_string={"id": party.id, **asked})


def told(answer) -> list[str]:
    """The titles of the entries, newest first."""
    return [re.sub(r"<[^>]+>", "", found) for found in
            re.findall(r'entry-kind">[^<]*</span>(<a [^>]*>.*?</a>|<strong>.*?</strong>)', answer.text)]  # fmt: skip


def test_whatever_happened_stands_once_newest_first_and_parts_follow_each_other(session, as_user, party):
    """Also what happened at the very same time, or on a day without a time."""
    admin = db.session.get(User, as_user("admin").user_id)
    made = [(face.name, happen(face, party, DAY + dt.timedelta(hours=hours)).id)
            for face in TAKING_PART for hours in (0, 0, 12)]  # fmt: skip
    found, place, parts, sources = [], None, 0, takes_part(admin)
    while parts == 0 or place:
        some, place = timeline(face_named("customer"), party, admin, sources, Asked(before=place), limit=7)
        found, parts = found + some, parts + 1
    of_records = [(one.kind, one.what.id) for one in found if one.kind != CHANGE]
    # What the database itself noted when the party was made comes on top.
    assert sorted(of_records) == sorted(made + [one for one in of_records if one not in made])
    assert len(of_records) == len(set(of_records)) >= len(made)
    order = [(one.at, one.kind, one.what.id if one.kind != CHANGE else one.what.entry.id) for one in found]
    assert order == sorted(order, reverse=True)
    assert {face.name for face in TAKING_PART} | {CHANGE} == {one.kind for one in found}


@pytest.mark.parametrize("face", TAKING_PART, ids=lambda face: face.name)
def test_each_part_is_read_in_the_order_of_its_index(session, as_user, face):
    admin = db.session.get(User, as_user("admin").user_id)
    customer = make(face_named("customer"))
    asked = Asked(before=(NOON, face.name, 5), since=DAY.date())
    session.execute(
        text(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; "
            "SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off"
        )
    )
    limited = _plan(session, _of_face(face, admin, asked, 31).params(party=customer.id))
    # Which index, the planner decides by what it knows of a table with hardly a row; that no sort is needed doesn't change.
    assert limited["Scan Direction"] == "Backward", limited
    table, moment = face.entity.__table__, face.about.timeline
    [made] = [index for index in table.indexes if index.name == f"ix_{table.name}_timeline"]
    assert [column.name for column in made.columns] == [
        face.column(moment.party).name,
        face.column(moment.at).name,
        "id",
    ]


def test_the_changes_of_a_party_among_many_are_read_in_the_order_of_their_index(own_database, owner_sql):
    owner_sql("INSERT INTO audit_entry (entity, record_id, action, via, changes, created_at) SELECT 'party', n % 200, 'update', "
              "'test', '{}', now() - n * interval '1 minute' FROM generate_series(1, 20000) AS n")  # fmt: skip
    owner_sql("ANALYZE audit_entry")
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        statement = _changes(face_named("customer"), Asked(), 31).params(party=make(face_named("customer")).id)
        limited = _plan(db.session, statement)
        db.session.rollback()
    assert (limited.get("Index Name"), limited["Scan Direction"]) == ("ix_audit_entry_party", "Backward"), limited


def _plan(session, statement):
    """What is below the limit: read in order, without a sort."""
    [plan] = session.connection().execute(_Explain(statement)).scalar_one()
    assert plan["Plan"]["Node Type"] == "Limit", plan
    return plan["Plan"]["Plans"][0]


def test_it_is_narrowed_by_kind_person_day_and_text(as_user, party):
    person, other = as_user("admin"), as_user("manager")
    face = face_named("interaction")
    happen(face, party, subject="Fleet price", content="twelve vans", handled_by_id=person.user_id)
    happen(face, party, NOON - dt.timedelta(days=3), subject="Old call", handled_by_id=other.user_id)
    happen(face_named("deal"), party, name="Vans")
    happen(face_named("note"), party, text="Twelve *vans*, or thirteen")
    db.session.commit()
    titles = {"Fleet price", "Old call", "Vans", "Twelve vans, or thirteen"}
    assert set(told(page(person, party, "timeline"))) == titles
    assert set(told(page(person, party, "timeline", type=["interaction", "deal"]))) == titles - {
        "Twelve vans, or thirteen"
    }
    assert told(page(person, party, "timeline", who=person.user_id)) == ["Fleet price"]
    assert told(page(person, party, "timeline", q="TWELVE")) == ["Twelve vans, or thirteen", "Fleet price"]
    assert told(page(person, party, "timeline", until="2026-03-09")) == ["Old call"]
    assert set(told(page(person, party, "timeline", since="2026-03-10", until="2026-03-10"))) == titles - {"Old call"}
    assert "Nothing of that" in page(person, party, "timeline", q="nowhere").text
    # The whole page can be narrowed by its address too.
    assert told(page(person, party, tab="activities", q="fleet")) == ["Fleet price"]


@pytest.mark.parametrize("wrong", [
    {"type": "party"}, {"type": "role"}, {"who": "me"}, {"since": "yesterday"}, {"until": "2026-02-31"}, {"q": "a\0b"},
    {"before": "x"}, {"before": "bnVsbA"}, {"before": "WyIyMDI2LTAxLTAxIiwgIm5vdGUiLCAxXQ"}, {"who": "9" * 20},
])  # fmt: skip
def test_what_cannot_be_asked_is_said(as_user, party, wrong):
    for where in ("timeline", "activities"):
        assert page(as_user("admin"), party, where, **wrong).status_code == 422


def test_everybody_sees_of_it_what_he_sees_elsewhere(as_user, party):
    rep, marketer = as_user("sales_rep"), as_user("marketer")
    party.owner_id = rep.user_id
    stranger = make(face_named("customer"))
    happen(face_named("note"), party, text="For colleagues")
    happen(face_named("ticket"), party, subject="Squeaks")
    happen(face_named("interaction"), stranger, subject="Not theirs")
    db.session.commit()
    assert {"For colleagues", "Squeaks"} <= set(told(page(rep, party, "timeline")))
    assert page(rep, stranger, "timeline").status_code == 404
    seen = page(marketer, party, "timeline")
    for name, word in (("note", "For colleagues"), ("ticket", "Squeaks")):
        readable = marketer.client.get(f"/admin/{face_named(name).plural}/").status_code == 200
        assert (word in seen.text) <= readable
    # Who wrote it is found by a filter only where the name is seen; a type one may not read isn't there to ask for.
    if "Ticket" not in seen.text and marketer.client.get("/admin/tickets/").status_code == 403:
        assert page(marketer, party, "timeline", type="ticket").status_code == 422


def test_a_change_of_the_party_shows_what_the_person_may_see(as_user, party):
    admin, auditor = as_user("admin"), as_user("auditor")
    with acting_as(Acting(user_id=admin.user_id, via="screen")):
        party.industry, party.email = "Steel", "ada@example.com"
        db.session.commit()
    shown = page(admin, party, "timeline", type=CHANGE).text
    assert "Steel" in shown
    assert "ada@example.com" in shown
    assert "ada@example.com" not in page(auditor, party, "timeline", type=CHANGE).text
    # A change of status is told by its own record, with its reason, and not once more.
    admin.client.post("/admin/customers/action/", data={"action": "block", "rowid": party.id, "confirm": "1",
                                                        "reason": "Unpaid", "code": "service"})  # fmt: skip
    assert page(admin, party, "timeline").text.count("Unpaid") == 1


# The bar


def log(person, party, **given):
    return person.client.post("/admin/customers/log/", query_string={"id": party.id}, data=given)


def test_the_bar_makes_calls_mails_meetings_notes_and_tasks(as_user, party):
    person = as_user("manager")
    for kind in ("call", "email", "meeting", "note", "task"):
        answer = log(person, party, kind=kind, subject=f"A {kind}", text=f"All about the {kind}", direction="inbound",
                     date="2026-12-01")  # fmt: skip
        assert answer.status_code == 303, answer.text
        assert answer.location == f"/admin/customers/details/?id={party.id}&tab=activities"
        shown = page(person, party, tab="activities").text
        assert "logged." in shown
        assert f"All about the {kind}" in shown
    calls = db.session.scalars(select(Interaction).order_by(Interaction.id)).all()
    assert [str(one.channel) for one in calls] == ["call", "email", "meeting"]
    assert {(one.handled_by_id, str(one.direction), one.follow_up_required, str(one.follow_up_on)) for one in calls} == {
        (person.user_id, "inbound", True, "2026-12-01")}  # fmt: skip
    assert db.session.scalars(select(Note.text)).all() == ["All about the note"]
    task = db.session.scalars(select(Task)).one()
    assert (task.subject, task.assignee_id, task.due_at.date()) == ("A task", person.user_id, dt.date(2026, 12, 1))


def test_what_the_bar_cannot_keep_comes_back_as_it_was_typed(as_user, party):
    person = as_user("manager")
    answer = log(person, party, kind="meeting", text="Much was said", date="31 February")
    assert answer.status_code == 422
    assert "The subject is required" in answer.text
    assert "The day " in answer.text
    assert "Much was said" in answer.text
    assert re.search(r'value="meeting" checked', answer.text)
    assert log(person, party, kind="party").status_code == 422
    assert log(as_user("auditor"), party, kind="note", text="No").status_code == 403
    party.archived_at = db.func.now()
    db.session.commit()
    assert "archived" in log(person, party, kind="note", text="Too late").text
    assert 'name="kind"' not in page(person, party, "activities").text
    assert db.session.scalars(select(Interaction)).all() == []


# Alerts and tabs


def test_an_alert_leads_to_exactly_what_it_counts(as_user, party):
    person = as_user("admin")
    today = dt.datetime.now(dt.UTC)
    other = make(face_named("customer"))
    for whose in (party, other):
        for kind in ("complaint", "question"):
            make(face_named("ticket"), party_id=whose.id, kind=kind, opened_at=today)
        make(face_named("task"), party_id=whose.id, due_at=today - dt.timedelta(days=2))
        make(face_named("alert"), party_id=whose.id)
    for days in (-1, -2, 1):
        make(face_named("interaction"), party_id=party.id, follow_up_required=True,
             follow_up_on=today.date() + dt.timedelta(days=days))  # fmt: skip
    for days in (-400, 5, 90):
        make(
            face_named("document"), party_id=party.id, expires_on=today.date() + dt.timedelta(days=days), issued_on=None
        )
    db.session.commit()
    strip = re.search(r'id="page-alerts">(.*?)</div>\s*<div data-tabs', page(person, party).text, re.DOTALL)[1]
    links = {words: url.replace("&amp;", "&") for url, words in
             re.findall(r'href="([^"]+)">.*?<strong>([^<]+)</strong>', strip)}  # fmt: skip
    assert set(links) == {"1 open complaint", "1 open alert", "2 follow-ups are overdue", "1 task is overdue",
                          "2 documents expire soon or have"}  # fmt: skip
    for words, url in links.items():
        listed = person.client.get(url)
        assert listed.status_code == 200
        assert f"1–{words.split()[0]} of {words.split()[0]}" in listed.text, url
    marketer = as_user("marketer")
    readable = marketer.client.get("/admin/tickets/").status_code == 200
    assert ("open complaint" in page(marketer, party).text) == readable


def test_tabs_have_addresses_and_count_what_is_in_them(as_user, party):
    person = as_user("admin")
    for _ in range(3):
        make(face_named("deal"), customer_id=party.id)
    make(face_named("quote"), customer_id=party.id)
    db.session.commit()
    first = page(person, party).text
    assert re.search(r'id="tab-overview"[^>]*aria-selected="true"', first)
    assert re.search(r'id="tab-deals"[^>]*>Deals<span class="tab-count">4</span>', first)
    assert 'hx-get="/admin/customers/related/' in first
    deals = page(person, party, tab="deals").text
    assert re.search(r'id="tab-deals"[^>]*aria-selected="true"', deals)
    panel = re.search(r'<section class="panel" id="panel-deals".*?</section>', deals, re.DOTALL)[0]
    assert (" hidden" in panel.split(">")[0], panel.count("<tr data-href")) == (False, 4)
    # One that isn't there is the overview.
    assert re.search(r'id="tab-overview"[^>]*aria-selected="true"', page(person, party, tab="nonsense").text)


def test_a_contact_becomes_the_primary_one_by_one_click_that_leads_back(as_user, party):
    person = as_user("manager")
    face = face_named("contact")
    first, second = make(face, party_id=party.id, name="First"), make(face, party_id=party.id, name="Second")
    first.is_primary = True
    db.session.commit()
    shown = page(person, party, tab="contacts").text
    assert shown.count("Set as primary") == 1
    back = f"/admin/customers/details/?id={party.id}&tab=contacts"
    sent = {"action": "set_primary", "confirm": "1", "rowid": second.id}
    answer = person.client.post("/admin/contacts/action/", data=sent | {"next": back})
    assert (answer.status_code, answer.location) == (303, back)
    assert "Second</a>" in re.search(r"Key contact</dt>.*?</div>", page(person, party).text, re.DOTALL)[0]
    assert db.session.scalars(select(Contact.name).where(Contact.is_primary)).all() == ["Second"]
    away = person.client.post("/admin/contacts/action/", data=sent | {"rowid": first.id, "next": "//evil.test/"})
    assert away.location == "/admin/"
