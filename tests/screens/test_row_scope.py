"""Who reaches own customers, or those of a team, reaches no other by any way: list, pages, pickers, commands, export,
API."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from crm.commands.access import create_user, deliver_roles
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.models.access import RoleGrant, Team, TeamMember, User
from crm.models.parties import BlockState, Lifecycle, Party
from crm.queries.scope import visible
from tests.conftest import Person
from tests.factories import make

SECRET = "Somebody elses secret"


@dataclass
class Two:
    """A sales representative with a customer of his own, and one of somebody else, each with a contact."""

    person: Person
    mine: int
    other: int
    my_contact: int
    other_contact: int


@pytest.fixture
def two(app: Flask, as_user: Any) -> Two:
    person, colleague = as_user("sales_rep"), as_user("sales_rep")
    with app.app_context(), acting_as(Acting(via="test")):
        mine = make(face_named("customer"), name="My own", owner_id=person.user_id)
        other = make(face_named("customer"), name=SECRET, owner_id=colleague.user_id, lifecycle=Lifecycle.PROSPECT)
        nobodys = make(face_named("customer"), name=SECRET)
        first = make(face_named("contact"), party_id=mine.id, name="My contact")
        second = make(face_named("contact"), party_id=other.id, name=SECRET)
        found = Two(person, mine.id, other.id, first.id, second.id)
        assert nobodys.owner_id is None
        db.session.commit()
    return found


def test_lists_searches_and_pickers_show_own_rows_only(two: Two) -> None:
    get = two.person.client.get
    for address in ("customers/", "customers/?search=secret", "customers/?sort=name", "customers/?flt_name_starts=Somebody",
                    "contacts/", "contacts/?search=secret", "end-customers/", "customers/lookup/",
                    "customers/lookup/?q=secret", "contacts/lookup/", f"contacts/?flt_party_eq={two.other}"):  # fmt: skip
        answer = get(f"/admin/{address}")
        assert answer.status_code == 200, address
        assert "elses secret" not in answer.text, address
    assert "My own" in get("/admin/customers/").text
    assert [item["id"] for item in get("/admin/customers/lookup/").get_json()["items"]] == [two.mine]
    assert [item["id"] for item in get("/admin/contacts/lookup/").get_json()["items"]] == [two.my_contact]
    assert "elses secret" not in get("/admin/").text


@pytest.mark.parametrize("page", ["details", "edit", "history", "menu", "related"])
def test_the_pages_of_a_foreign_record_are_not_there(two: Two, page: str) -> None:
    for face, mine, other in (("customers", two.mine, two.other), ("contacts", two.my_contact, two.other_contact)):
        if page == "related" and face == "contacts":
            continue
        get = two.person.client.get
        more = "&relation=contacts" if page == "related" else ""
        assert get(f"/admin/{face}/{page}/?id={mine}{more}").status_code == 200
        answer = get(f"/admin/{face}/{page}/?id={other}{more}")
        assert answer.status_code == 404
        assert "elses secret" not in answer.text
    # By code it is no more there than by number.
    assert two.person.client.get(f"/admin/customers/details/?id=C-{two.other:06}").status_code == 404


def test_a_foreign_record_is_neither_changed_nor_moved_nor_removed(two: Two, app: Flask) -> None:
    post = two.person.client.post
    assert post(f"/admin/customers/edit/?id={two.other}", data={"name": "Changed"}).status_code == 404
    assert post("/admin/contacts/delete/", data={"id": two.other_contact, "confirm": "1"}).status_code == 404
    assert post("/admin/customers/action/", data={"action": "activate", "rowid": two.other}).status_code == 404
    post("/admin/customers/action/", data={"action": "activate", "rowid": two.other, "confirm": "1"})
    both = post("/admin/customers/action/",
                data={"action": "deactivate", "rowid": [two.mine, two.other], "confirm": "1"})  # fmt: skip
    assert both.status_code == 200
    assert "elses secret" not in both.text
    assert "there is no such record for you" in both.text
    # Rights that he doesn't hold at all.
    for verb in ("block", "blacklist", "reassign", "archive"):
        data = {"action": verb, "rowid": two.mine, "confirm": "1", "reason": "x", "owner": two.person.user_id}
        assert post("/admin/customers/action/", data=data).status_code == 403
    with app.app_context():
        other, mine = db.session.get_one(Party, two.other), db.session.get_one(Party, two.mine)
        assert (other.name, other.lifecycle, other.block_state) == (SECRET, Lifecycle.PROSPECT, BlockState.NONE)
        assert (mine.lifecycle, mine.block_state) == (Lifecycle.INACTIVE, BlockState.NONE)
        assert db.session.get(face_named("contact").entity, two.other_contact) is not None


def test_nothing_is_hung_onto_a_foreign_customer(two: Two, app: Flask) -> None:
    values = {"name": "Planted", "party": str(two.other)}
    answer = two.person.client.post("/admin/contacts/new/", data=values)
    assert answer.status_code == 422
    assert "that you may see" in answer.text
    assert "elses secret" not in answer.text
    shown = two.person.client.get(f"/admin/contacts/new/?party={two.other}")
    assert "elses secret" not in shown.text
    moved = two.person.client.post(f"/admin/contacts/edit/?id={two.my_contact}", data={"party": str(two.other)})
    assert moved.status_code in (409, 422)
    with app.app_context():
        assert db.session.get_one(face_named("contact").entity, two.my_contact).party_id == two.mine


def test_the_export_holds_own_rows_only(two: Two) -> None:
    answer = two.person.client.get("/admin/customers/export/csv/")
    assert answer.status_code == 200
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert [row["id"] for row in rows] == [str(two.mine)]
    assert two.person.client.get("/admin/contacts/export/csv/").status_code == 403


def test_a_new_customer_of_his_is_his_own(two: Two, app: Flask) -> None:
    answer = two.person.client.post("/admin/customers/new/", data={"name": "New", "email": "new@example.com"})
    assert answer.status_code == 303
    assert two.person.client.get(answer.location).status_code == 200
    with app.app_context():
        made = db.session.query(Party).filter_by(email="new@example.com").one()
        assert made.owner_id == two.person.user_id


def test_his_key_reaches_no_more_than_he_does(two: Two, app: Flask, client: Any, api_key: Any) -> None:
    headers = api_key(user_id=two.person.user_id)
    listed = client.get("/api/v1/customers", headers=headers)
    assert listed.status_code == 200
    assert "elses secret" not in listed.text
    assert "My own" in listed.text
    assert client.get(f"/api/v1/customers/{two.mine}", headers=headers).status_code == 200
    assert client.get(f"/api/v1/customers/{two.other}", headers=headers).status_code == 404
    changed = client.patch(f"/api/v1/customers/{two.other}", headers=headers, json={"name": "Changed"})
    assert changed.status_code == 404
    moved = client.post(f"/api/v1/customers/{two.other}/activate", headers=headers, json={})
    assert moved.status_code == 404
    assert client.get(f"/api/v1/contacts/{two.other_contact}", headers=headers).status_code == 404
    with app.app_context():
        other = db.session.get_one(Party, two.other)
        assert (other.name, other.lifecycle) == (SECRET, Lifecycle.PROSPECT)


# Teams


@dataclass
class Teams:
    """Two people of one team, one of another, and customers of each, of a team alone, and of nobody."""

    rep: Person
    manager: Person
    rows: dict[str, int]
    contacts: dict[str, int]
    team: int


@pytest.fixture
def teams(app: Flask, as_user: Any) -> Teams:
    rep, colleague, stranger = (as_user("sales_rep") for _ in range(3))
    manager = as_user("manager")
    customer, contact = face_named("customer"), face_named("contact")
    with app.app_context(), acting_as(Acting(via="test")):
        north, south = Team(name="North", lead_id=manager.user_id), Team(name="South", lead_id=stranger.user_id)
        north.members = [TeamMember(user_id=one.user_id) for one in (rep, colleague)]
        db.session.add_all([north, south])
        db.session.flush()
        given = {"mine": {"owner_id": rep.user_id}, "colleague": {"owner_id": colleague.user_id},
                 "lead": {"owner_id": manager.user_id}, "team": {"team_id": north.id},
                 "lent": {"owner_id": stranger.user_id, "team_id": north.id}, "nobody": {},
                 "stranger": {"owner_id": stranger.user_id}, "south": {"team_id": south.id}}  # fmt: skip
        rows = {name: make(customer, name=f"Row {name}", **values).id for name, values in given.items()}
        contacts = {name: make(contact, party_id=number, name=f"Of {name}").id for name, number in rows.items()}
        found = Teams(rep, manager, rows, contacts, north.id)
        db.session.commit()
    return found


TEAM_S = {"mine", "colleague", "lead", "team", "lent"}


def seen(person: Person, numbers: dict[str, int], plural: str = "customers") -> set[str]:
    """Which of the rows a person reaches, the same by list, picker, page and export."""
    listed = person.client.get(f"/admin/{plural}/").text
    by_list = {name for name, number in numbers.items() if f'/admin/{plural}/details/?id={number}"' in listed}
    found = {item["id"] for item in person.client.get(f"/admin/{plural}/lookup/").get_json()["items"]}
    assert by_list == {name for name, number in numbers.items() if number in found}
    pages = {name: person.client.get(f"/admin/{plural}/details/?id={number}") for name, number in numbers.items()}
    assert by_list == {name for name, page in pages.items() if page.status_code == 200}
    assert {page.status_code for page in pages.values()} <= {200, 404}
    return by_list


def test_a_team_s_rows_are_those_of_its_people_and_its_own(teams: Teams, app: Flask) -> None:
    assert seen(teams.rep, teams.rows) == TEAM_S
    assert seen(teams.rep, teams.contacts, "contacts") == TEAM_S
    # Who may hand customers out also reaches what is nobody's.
    assert seen(teams.manager, teams.rows) == TEAM_S | {"nobody"}
    rows = csv.DictReader(io.StringIO(teams.manager.client.get("/admin/customers/export/csv/").text.lstrip("\ufeff")))
    assert {row["id"] for row in rows} == {str(teams.rows[name]) for name in TEAM_S | {"nobody"}}
    with app.app_context(), acting_as(Acting(via="test")):
        db.session.delete(db.session.get_one(Team, teams.team).members[0])
        db.session.commit()
    assert seen(teams.rep, teams.rows) == {"mine"}


def test_reading_the_team_s_is_not_changing_it(teams: Teams, app: Flask, client: Any, api_key: Any) -> None:
    headers = api_key(user_id=teams.rep.user_id)
    for name in TEAM_S | {"stranger", "nobody"}:
        number, mine = teams.rows[name], name == "mine"
        assert teams.rep.client.get(f"/admin/customers/edit/?id={number}").status_code == (200 if mine else 404)
        done = client.post(f"/api/v1/customers/{number}/deactivate", json={}, headers=headers)
        assert done.status_code == (200 if mine else 403 if name in TEAM_S else 404), name
        blocked = teams.manager.client.post("/admin/customers/action/", data={"action": "block", "rowid": number,
                                                                              "reason": "x", "confirm": "1"})  # fmt: skip
        assert blocked.status_code == 303
    with app.app_context():
        states = {name: db.session.get_one(Party, number).block_state for name, number in teams.rows.items()}
    assert {name for name, state in states.items() if state is BlockState.BLOCKED} == TEAM_S | {"nobody"}


def test_a_deny_keeps_from_as_many_rows_as_it_says(teams: Teams, app: Flask) -> None:
    """Everything but what is one's own: four eyes by a line of a role."""
    with app.app_context(), acting_as(Acting(via="test")):
        role = db.session.get_one(User, teams.manager.user_id).roles[0]
        role.grants.append(RoleGrant(pattern="customer.block", scope="own", deny=True))
        role.grants.append(RoleGrant(pattern="customer.read", scope="all"))
        role.grants.append(RoleGrant(pattern="customer.archive", scope="team", deny=True))
        db.session.commit()
    assert seen(teams.manager, teams.rows) == teams.rows.keys()
    post = teams.manager.client.post
    data = {"action": "block", "reason": "x", "confirm": "1", "rowid": list(teams.rows.values())}
    post("/admin/customers/action/", data=data)
    assert post("/admin/customers/action/", data=data | {"action": "archive"}).status_code == 403
    with app.app_context():
        blocked = {name for name, number in teams.rows.items()
                   if db.session.get_one(Party, number).block_state is BlockState.BLOCKED}  # fmt: skip
    assert blocked == (TEAM_S | {"nobody"}) - {"lead"}


def test_a_customer_is_given_to_a_team_only_by_who_hands_them_out(teams: Teams) -> None:
    for person, status in ((teams.rep, 422), (teams.manager, 303)):
        answer = person.client.post("/admin/customers/new/", data={
            "name": "New", "email": f"n{status}@example.com", "team": str(teams.team)})  # fmt: skip
        assert answer.status_code == status, status
        assert ("may reassign" in answer.text) is (status == 422)


def test_the_rows_of_a_team_are_found_by_index(own_database: Any, owner_sql: Any) -> None:
    """Among many customers those of a team are looked up, not searched through."""
    owner_sql(
        "INSERT INTO app_user (name, email) SELECT 'Person ' || n, 'p' || n || '@x.org' FROM generate_series(1, 400) n"
    )
    owner_sql("INSERT INTO party (name, roles, owner_id) SELECT 'Customer ' || n, '{business_customer}', "
              "(SELECT min(id) FROM app_user) + n % 400 FROM generate_series(1, 20000) n")  # fmt: skip
    owner_sql("ANALYZE party")
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        deliver_roles()
        person, _ = create_user(email="lead@x.org", role="sales_rep")
        people = [row[0] for row in owner_sql("SELECT id FROM app_user WHERE name LIKE 'Person %' LIMIT 3")]
        team = Team(name="T", lead_id=person.id)
        team.members = [TeamMember(user_id=number) for number in people]
        db.session.add(team)
        db.session.commit()
        face = face_named("customer")
        counted = visible(face, person).with_only_columns(Party.id)
        plan = db.session.execute(text("EXPLAIN " + str(counted.compile(
            db.engine, compile_kwargs={"literal_binds": True})))).scalars().all()  # fmt: skip
        assert len(db.session.scalars(counted).all()) == 150
    assert any("ix_party_owner" in line for line in plan), "\n".join(plan)
    assert not any("Seq Scan on party" in line for line in plan), "\n".join(plan)
