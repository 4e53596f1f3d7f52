"""The matrix of rights, how a role is changed, and the page that says why somebody can or can't."""

from __future__ import annotations

import html
import re
from typing import Any

import html5lib
import pytest

from crm.commands.access import deliver_roles
from crm.core.entity import db, face_named
from crm.core.permissions import Access, Scope, access_of, allowed
from crm.models.access import Origin, Role, RoleGrant, Team, TeamMember, User
from tests.conftest import Person
from tests.factories import make

CUSTOMER = face_named("customer")


@pytest.fixture
def admin(session: Any, as_user: Any) -> Person:
    return as_user("admin")


def role(name: str) -> Role:
    return db.session.query(Role).filter_by(name=name).one()


def user(person: Person) -> User:
    db.session.expire_all()
    return db.session.get_one(User, person.user_id)


def act(person: Person, plural: str, verb: str, row: int, **values: str) -> str:
    data = {"action": verb, "rowid": str(row), "confirm": "1"} | values
    answer = person.client.post(f"/admin/{plural}/action/", data=data, follow_redirects=True)
    return f"{answer.status_code} {html.unescape(answer.text)}"


def words(person: Person, **query: Any) -> str:
    answer = person.client.get("/admin/rights/why/", query_string=query)
    assert answer.status_code == 200
    html5lib.HTMLParser(strict=True).parse(answer.text)
    text = html.unescape(re.sub(r"<[^>]+>", " ", answer.text))
    return re.sub(r"\s+", " ", text)


def test_the_matrix_shows_each_role_as_its_lines_say(admin: Person, as_user: Any) -> None:
    for area in ("Customers", "Partners", "System"):
        page = admin.client.get(f"/admin/rights/?area={area}")
        assert page.status_code == 200
        html5lib.HTMLParser(strict=True).parse(page.text)
    page = admin.client.get("/admin/rights/?area=Customers&role=sales_rep").text
    row = page[page.index("customer.block<") :]
    row = row[: row.index("</tr>")]
    assert "—" in row
    assert "action=give_right" in row
    assert "Own and team" in page[page.index("customer.read<") :][:400]
    assert "Administrator</a></th>" not in page
    assert admin.client.get("/admin/rights/?area=Nowhere&role=nobody").status_code == 200
    for name, status in (("auditor", 200), ("manager", 403)):
        answer = as_user(name).client.get("/admin/rights/")
        assert (answer.status_code, "action=give_right" in answer.text) == (status, False)


def test_a_cell_leads_to_a_form_that_is_filled_in_and_what_it_says_then_counts(admin: Person, as_user: Any) -> None:
    rep, number = as_user("sales_rep"), role("sales_rep").id
    address = f"/admin/roles/action/?action=give_right&rowid={number}&right=customer.block&rows=own"
    form = admin.client.get(address).text
    assert 'value="customer.block"' in form
    assert '<option value="own" selected' in form
    assert "done" in act(admin, "roles", "give_right", number, right="customer.block", rows="team")
    assert allowed(user(rep), "customer.block") is Scope.TEAM
    assert "done" in act(admin, "roles", "give_right", number, right="Customers.*", rows="all", deny="true")
    assert allowed(user(rep), "customer.block") is None
    assert allowed(user(rep), "customer.read") is None
    assert allowed(user(rep), "vendor.read") is Scope.ALL
    line = db.session.query(RoleGrant).filter_by(role_id=number, pattern="Customers.*", deny=True).one()
    assert line.origin is Origin.OWN
    assert "done" in act(admin, "grants", "switch_off", line.id) or "done" in act(
        admin, "role-grants", "switch_off", line.id
    )
    assert allowed(user(rep), "customer.read") is Scope.TEAM


def test_how_fields_show_is_changed_for_a_role_and_put_back(admin: Person, as_user: Any) -> None:
    finance, number = as_user("finance"), role("finance").id
    values = {"fields": "business.*", "field_class": "contact"}
    assert "done" in act(admin, "roles", "show_fields", number, access="masked", **values)
    assert access_of(user(finance), CUSTOMER, "email") is Access.MASKED
    line = db.session.query(RoleGrant).filter_by(role_id=number, pattern="business.*", field_class="contact").one()
    assert line.origin is Origin.CHANGED
    plural = face_named("role_grant").plural
    assert "done" in act(admin, plural, "put_back", line.id)
    assert access_of(user(finance), CUSTOMER, "email") is Access.READ
    assert db.session.get_one(RoleGrant, line.id).origin is Origin.DELIVERED


@pytest.mark.parametrize(("verb", "values", "said"), [
    ("give_right", {"right": "customer.fly", "rows": "all"}, "fits no right"),
    ("give_right", {"right": "nobody.*", "rows": "all"}, "fits no right"),
    ("give_right", {"right": "customer.read", "rows": "some"}, "is none of"),
    ("show_fields", {"fields": "customer.shoe_size", "access": "read"}, "fits no field"),
    ("show_fields", {"fields": "customer.*", "access": ""}, "is required"),
])  # fmt: skip
def test_a_line_that_says_nothing_is_refused(admin: Person, verb: str, values: dict[str, str], said: str) -> None:
    number = role("finance").id
    before = db.session.query(RoleGrant).count()
    assert said in act(admin, "roles", verb, number, **values)
    assert db.session.query(RoleGrant).count() == before


def test_nobody_changes_a_role_that_he_holds_and_only_administrators_change_any(admin: Person, as_user: Any) -> None:
    said = act(admin, "roles", "give_right", role("admin").id, right="credit_request.approve", rows="all")
    assert "fits no right" in said or "you hold this role yourself" in said
    said = act(admin, "roles", "give_right", role("admin").id, right="customer.read", rows="own")
    assert "you hold this role yourself" in said
    line = role("admin").grants[0]
    assert "you hold this role yourself" in act(admin, face_named("role_grant").plural, "switch_off", line.id)
    manager = as_user("manager")
    assert act(manager, "roles", "give_right", role("manager").id, right="user.*", rows="all").startswith("403")
    assert allowed(user(manager), "user.give_role") is None


def test_the_last_who_can_change_roles_keeps_that_right(admin: Person, session: Any, as_user: Any) -> None:
    """An officer with a role of his own may change the role of administrators, but not take its last right."""
    officer = as_user("auditor")
    own = Role(label="Officer")
    own.grants = [RoleGrant(pattern=pattern) for pattern in ("role.*", "role_grant.*")]
    person = user(officer)
    person.roles.append(own)
    others = session.query(User).filter(User.id.not_in([admin.user_id, officer.user_id]))
    others.update({"active": False}, synchronize_session=False)
    session.commit()
    for pattern in ("user.give_role", "*.give_role", "user.*"):
        said = act(officer, "roles", "give_right", role("admin").id, right=pattern, rows="all", deny="true")
        assert "it would leave no administrator" in said, pattern
    assert allowed(user(admin), "user.give_role") is Scope.ALL


def test_delivering_again_leaves_alone_what_was_adjusted(admin: Person) -> None:
    number = role("manager").id
    act(admin, "roles", "give_right", number, right="Customers.*", rows="all")
    off = db.session.query(RoleGrant).filter_by(role_id=number, pattern="business.export").one()
    act(admin, face_named("role_grant").plural, "switch_off", off.id)
    deliver_roles()
    db.session.expire_all()
    kept = {line.pattern: (line.scope, line.origin) for line in role("manager").grants if line.access is None}
    assert kept["Customers.*"] == (Scope.ALL, Origin.CHANGED)
    assert kept["business.export"][1] is Origin.OFF
    assert kept["business.read"] == (Scope.TEAM, Origin.DELIVERED)


def test_a_new_role_is_made_by_a_form_and_a_delivered_one_keeps_its_name(admin: Person) -> None:
    answer = admin.client.post("/admin/roles/new/", data={"label": "Night shift"})
    assert answer.status_code == 303
    assert role("night_shift").delivered is False
    manager = role("manager")
    shown = admin.client.get(f"/admin/roles/edit/?id={manager.id}").text
    version = re.search(r'name="_version" value="([^"]+)"', shown)
    assert version
    refused = admin.client.post(f"/admin/roles/edit/?id={manager.id}", data={"label": "Boss", "_version": version[1]})
    assert refused.status_code == 422
    assert "comes with the product" in refused.text


# Why


def test_it_says_which_role_gives_and_which_denies(admin: Person, as_user: Any) -> None:
    rep = as_user("sales_rep")
    said = words(admin, user=rep.user_id, face="customer", verb="block")
    assert ": no" in said
    assert "None of the roles of Sales Rep (Sales representative) gives customer.block." in said
    assert "You need customer.block. These roles have it: Administrator, Manager." in said
    said = words(admin, user=rep.user_id, face="customer", verb="read")
    assert ": yes" in said
    assert (
        "Sales representative (by “Customers.read”) gives customer.read for his or her own and the teams' customers."
        in said
    )
    act(admin, "roles", "give_right", role("auditor").id, right="*.block", rows="all", deny="true")
    person = user(rep)
    person.roles.extend([role("auditor"), role("manager")])
    db.session.commit()
    said = words(admin, user=rep.user_id, face="customer", verb="block")
    assert "Auditor (by “*.block”) denies customer.block explicitly. That wins" in said


def test_it_says_whose_the_record_is_and_which_team_has_it(admin: Person, as_user: Any) -> None:
    rep, colleague = as_user("sales_rep"), as_user("sales_rep")
    user(colleague).name = "Cole League"
    record = make(CUSTOMER, name="Ana Lim", owner_id=colleague.user_id)
    asked = {"user": rep.user_id, "face": "customer", "verb": "read", "record": record.code}
    said = words(admin, **asked)
    assert ": no" in said
    assert "Ana Lim lies outside these rows: it belongs to Cole League, who is in no team of Sales Rep." in said
    team = Team(name="North", lead_id=rep.user_id)
    team.members = [TeamMember(user_id=colleague.user_id)]
    db.session.add(team)
    db.session.commit()
    said = words(admin, **asked)
    assert ": yes" in said
    assert "Ana Lim lies within these rows: it belongs to Cole League, who is in a team of Sales Rep." in said
    assert ": no" in words(admin, **asked | {"verb": "edit"})
    assert "There is no customer 999999 that you may see" in words(admin, **asked | {"record": "999999"})


def test_it_says_how_a_field_shows_and_why(admin: Person, as_user: Any) -> None:
    marketer = as_user("marketer")
    said = words(admin, user=marketer.user_id, face="customer", verb="read", field="email")
    assert "“E-mail” is a field of class contact: masked for Marketer." in said
    assert "It is so by Marketer (by “business.*”)." in said
    assert ": no" in said
    said = words(admin, user=marketer.user_id, face="customer", verb="edit", field="tags")
    assert ": yes" in said
    said = words(admin, user=marketer.user_id, face="customer", verb="read", field="tax_id")
    assert "not there for Marketer. No role says anything about it" in said


def test_everybody_asks_about_himself_and_learns_nothing_about_others(admin: Person, as_user: Any) -> None:
    rep, other = as_user("sales_rep"), as_user("manager")
    foreign = make(CUSTOMER, name="Somebody elses secret", owner_id=other.user_id)
    said = words(rep, user=other.user_id, face="customer", verb="block", record=str(foreign.id))
    assert "Sales Rep: block customers: no" in said
    assert "Manager: block" not in said
    said = words(rep, face="customer", verb="read", record=str(foreign.id))
    assert "that you may see" in said
    assert "secret" not in said
    for query in ({"face": "nothing"}, {"face": "customer", "verb": "fly"}, {"face": "customer", "field": "shoe"},
                  {"user": "1 OR 1=1"}, {"face": "customer", "record": "\x00"}):  # fmt: skip
        words(rep, **query)


def test_a_refusal_names_the_right_who_has_it_and_whom_to_ask(admin: Person, as_user: Any) -> None:
    rep = as_user("sales_rep")
    record = make(CUSTOMER, owner_id=rep.user_id)
    answer = rep.client.post("/admin/customers/action/", data={"action": "block", "rowid": record.id})
    assert answer.status_code == 403
    assert "You need customer.block. These roles have it: Administrator, Manager." in html.unescape(answer.text)
    assert "/admin/rights/why/?face=customer&amp;verb=block" in answer.text
    assert "You need user.read" in html.unescape(rep.client.get("/admin/users/").text)
