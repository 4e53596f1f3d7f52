"""Records are compared, merged and taken apart on pages; whoever looks for the merged one finds the other."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import select

from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobState
from crm.models.parties import Party
from crm.models.party_duplicates import DuplicateCandidate
from crm.models.party_merges import Merge, MergeState
from jobs import commands
from tests.factories import make

CUSTOMER = face_named("customer")


@pytest.fixture
def two(session):
    return make(CUSTOMER, name="Ann Ltd", phone="+49301234567"), make(
        CUSTOMER, name="Ann Limited", tags=["b"], industry="Retail"
    )


def compare(person, *parties, **data):
    address = "/admin/duplicates/compare/?" + "&".join(f"id={party.id}" for party in parties)
    return person.client.post(address, data=data) if data else person.client.get(address)


def test_two_are_compared_merged_found_by_either_number_and_taken_apart(two, as_user, session):
    kept, merged = two
    note = make(face_named("note"), party_id=merged.id)
    admin = as_user("admin")
    page = compare(admin, *two).text
    assert page.index("Ann Limited") < page.index("fields are the same in all")
    assert f"These move to {kept.code}: 1 notes" in page
    answer = compare(admin, *two, keep=str(kept.id), pick_name=str(merged.id), reason="same person")
    assert answer.headers["Location"] == f"/admin/customers/details/?id={kept.id}"
    session.expire_all()
    made = session.scalars(select(Merge)).one()
    assert (kept.name, kept.industry, kept.tags, note.party_id, made.reason) == (
        "Ann Limited",
        "Retail",
        ["b"],
        kept.id,
        "same person",
    )
    for number in (merged.id, merged.code):
        answer = admin.client.get(f"/admin/customers/details/?id={number}")
        assert answer.headers["Location"] == f"/admin/customers/details/?id={kept.id}"
    assert (
        f"{merged.code} was merged into this record" in admin.client.get(f"/admin/customers/details/?id={kept.id}").text
    )
    found = admin.client.get(f"/admin/customers/lookup/?q={merged.code}").json["items"]
    assert [one["id"] for one in found] == [kept.id]
    assert admin.client.get(f"/admin/customers/?search={merged.code}").status_code == 302
    assert "Ann Limited" in admin.client.get(f"/admin/customers/history/?id={kept.id}").text
    assert (
        admin.client.get(f"/admin/merges/action/?action=undo&rowid={made.id}").headers["Location"]
        == f"/admin/merges/undo/?id={made.id}"
    )
    late = make(face_named("note"), party_id=merged.id)
    page = admin.client.get(f"/admin/merges/undo/?id={made.id}").text
    assert f'value="note.party_id:{late.id}"' in page
    admin.client.post(f"/admin/merges/undo/?id={made.id}", data={"assign": f"note.party_id:{late.id}"})
    session.expire_all()
    assert (kept.name, kept.industry, note.party_id, late.party_id) == ("Ann Ltd", None, merged.id, merged.id)
    assert made.state is MergeState.UNDONE


def test_ticked_customers_are_compared(two, as_user):
    person = as_user("admin")
    answer = person.client.post(
        "/admin/customers/action/", data={"action": "merge", "rowid": [str(one.id) for one in two]}
    )
    assert answer.headers["Location"] == f"/admin/duplicates/compare/?id={two[0].id}&id={two[1].id}"
    page = compare(person, two[0]).text
    assert 'name="id" data-picker data-url="/admin/parties/lookup/"' in page


def test_who_may_not_merge_proposes_and_chooses_nothing_that_is_hidden(two, as_user, session):
    two[0].tax_id, two[1].tax_id = "SECRET1", "SECRET2"
    session.flush()
    advisor = as_user("service_advisor")
    page = compare(advisor, *two).text
    assert "SECRET" not in page
    assert "Propose that they are the same" in page
    assert compare(advisor, *two, keep=str(two[0].id)).status_code == 403
    assert compare(advisor, *two, do="propose").status_code == 303
    assert session.scalars(select(DuplicateCandidate)).one().first_party_id == two[0].id
    assert session.scalars(select(Merge)).all() == []


def test_what_is_doubtful_is_confirmed_by_another_person(two, as_user, session):
    two[0].tax_id, two[1].tax_id = "DE1", "DE2"
    session.flush()
    first, second = as_user("admin"), as_user("admin")
    assert "tax IDs differ" in compare(first, *two).text
    compare(first, *two, keep=str(two[0].id))
    made = session.scalars(select(Merge)).one()
    for person, state in ((first, MergeState.PROPOSED), (second, MergeState.MADE)):
        person.client.post("/admin/merges/action/", data={"action": "confirm", "rowid": str(made.id), "confirm": "1"})
        session.expire_all()
        assert made.state is state


def test_a_manager_merges_his_teams_customers_alone(two, as_user, session):
    manager = as_user("manager")
    two[0].owner_id = two[1].owner_id = manager.user_id
    stranger = make(CUSTOMER, owner_id=as_user("admin").user_id)
    assert compare(manager, two[0], stranger).status_code == 404
    assert compare(manager, *two, keep=str(two[1].id), pick_nonsense="1").status_code == 303
    session.expire_all()
    assert (two[0].archived_at is not None, two[0].merged_into) == (True, two[1].code)


def test_a_list_of_possible_duplicates_is_merged_at_once(session, as_user):
    pairs = [(make(CUSTOMER), make(CUSTOMER)) for _ in range(3)]
    pairs[2][0].tax_id, pairs[2][1].tax_id = "DE1", "DE2"
    session.flush()
    rows = [
        make(face_named("duplicate_candidate"), first_party_id=one.id, second_party_id=other.id) for one, other in pairs
    ]
    page = as_user("admin").client.post("/admin/duplicates/action/", data={
        "action": "merge", "rowid": [str(row.id) for row in rows], "confirm": "1"}).text  # fmt: skip
    assert "their tax IDs differ" in page
    session.expire_all()
    assert [db.session.get_one(Party, other.id).merged_into for _, other in pairs] == [
        pairs[0][0].code,
        pairs[1][0].code,
        None,
    ]
    assert [row.state.value for row in rows] == ["merged", "merged", "open"]


def test_all_from_a_score_on_are_merged_by_a_job_and_the_job_is_undone(session, as_user):
    pairs = [(make(CUSTOMER), make(CUSTOMER)) for _ in range(4)]
    for (one, other), score in zip(pairs, (99, 96, 95, 94), strict=True):
        make(face_named("duplicate_candidate"), first_party_id=one.id, second_party_id=other.id, score=score)
    asked = {"flt_score_ge": "95", "action": "merge", "all": "1"}
    person = as_user("admin")
    assert "3 possible duplicates" in person.client.post("/admin/duplicates/action/", data=asked).text
    person.client.post("/admin/duplicates/action/", data=asked | {"confirm": "1"})
    job = session.scalars(select(Job)).one()
    assert job.total == 3
    with acting_as(Acting(person.user_id, via=f"job {job.id}")):
        list(commands.perform_many(job))
    session.expire_all()
    made = session.scalars(select(Merge).order_by(Merge.id)).all()
    assert [(one.job_id, one.state) for one in made] == [(job.id, MergeState.MADE)] * 3
    assert [other.archived_at is not None for _, other in pairs] == [True, True, True, False]
    job.state = JobState.DONE
    session.flush()
    page = person.client.get(f"/admin/jobs/details/?id={job.id}").text
    assert f"flt_job_eq={job.id}" in page
    (undo,) = re.findall(r'href="(/admin/merges/action/[^"]+)"', page)
    assert "3 merges" in person.client.get(unescape(undo)).text
    asked = dict(parse_qsl(urlsplit(unescape(undo)).query))
    person.client.post("/admin/merges/action/", data=asked | {"confirm": "1"})
    undoing = session.scalars(select(Job).where(Job.id != job.id)).one()
    with acting_as(Acting(person.user_id, via=f"job {undoing.id}")):
        list(commands.perform_many(undoing))
    session.expire_all()
    assert [other.archived_at for _, other in pairs] == [None] * 4
    assert "Undo all of it" not in person.client.get(f"/admin/jobs/details/?id={job.id}").text
