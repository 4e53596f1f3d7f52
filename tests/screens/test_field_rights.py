"""Classes of fields that a role masks or leaves out are so in every place, for every declared face."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Callable
from typing import Any

import pytest

import crm.commands  # noqa: F401 - declares the commands
from crm.commands.records import read_values
from crm.core.command import WrongInput, commands_of
from crm.core.entity import Face, all_faces, db, face_named
from crm.core.fields import MASK, Field, FieldClass
from crm.core.figures import settle
from crm.core.permissions import Access, accesses
from crm.importing.targets import landings
from crm.models.access import Role, RoleGrant, User, UserRole
from crm.models.parties import Party
from crm.queries.exports import export_names
from crm.queries.listing import BadQuery, matching, read_query
from crm.queries.operators import WITH_PERIOD, WITHOUT_VALUE
from tests.conftest import Person
from tests.factories import WRITTEN_BY_DATABASE, make, put_in_order, sample

CARED_FOR = [one for one in FieldClass if one is not FieldClass.OPEN]
# Every entity that holds values of a class, under its first face. What names a user has a rule of its own.
FACES = [face for face in all_faces() if face.about.screen and face is face.entity.faces[0]
         and face.name not in ("user", "team_member")
         and any(one.field_class in CARED_FOR for one in face.fields.values())]  # fmt: skip
CLOSED = (Access.MASKED, Access.HIDDEN)
# `make test` masks the classes of every other face and hides those of the rest; `make soak` does both to all.
every = pytest.mark.parametrize(
    ("face", "access"),
    [(face, access) for number, face in enumerate(FACES) for turn, access in enumerate(CLOSED)
     if os.environ.get("SOAK_N") or face.entity is Party or number % 2 == turn],
    ids=lambda part: getattr(part, "name", str(part)))  # fmt: skip


@pytest.fixture
def person(session: Any, as_user: Callable[..., Person]) -> Callable[..., Person]:
    """Somebody with a role of its own: may do everything, and sees the classes as said."""

    def made(access: Access, *classes: FieldClass) -> Person:
        one = as_user("auditor")
        role = Role(label=f"Trial {secrets.token_hex(4)}")
        session.add(role)
        lines = [RoleGrant(pattern="*"), RoleGrant(pattern="*", access=Access.WRITE, field_class=FieldClass.OPEN)]
        for kind in CARED_FOR:
            lines.append(RoleGrant(pattern="*", access=access if kind in classes else Access.WRITE, field_class=kind))
        # People are named wherever they did something; that is a field of theirs, not of the record.
        lines.append(RoleGrant(pattern="user.name", access=Access.READ))
        role.grants.extend(line for line in lines if not (line.access is Access.HIDDEN and access is Access.MASKED))
        session.query(UserRole).filter_by(user_id=one.user_id).delete()
        session.flush()
        session.add(UserRole(user_id=one.user_id, role_id=role.id))
        session.commit()
        return one

    return made


def secret_of(face: Face) -> tuple[Any, dict[str, str]]:
    """A record with a value in every field of a class, and the texts by which these would be recognised."""
    values: dict[str, Any] = {}
    for declared in face.fields.values():
        if (
            declared.derived
            or declared.figure
            or declared.kind == "reference"
            or face.entity in WRITTEN_BY_DATABASE
            or declared.name.endswith("_given")
            or face.column(declared.name).property.columns[0].computed
        ):
            continue
        if declared.field_class in CARED_FOR or declared.kind == "currency":  # an amount has one
            values[declared.attribute] = _secret(declared)
    if "discount" in values:
        values["quantity"] = 5  # no more is given off than it costs
    put_in_order(face.entity, values)
    if "block_reason" in values:
        values["block_state"] = "blocked"
    record = make(face, **values)
    db.session.flush()
    texts = {name: text for name, declared in face.fields.items()
             if declared.field_class in CARED_FOR and len(text := declared.text(face.value(record, name))) > 6}  # fmt: skip
    return record, texts


def _secret(declared: Field) -> Any:
    if declared.kind in ("text", "long_text"):
        return f"Zq{secrets.token_hex(5)}"
    value = sample(declared)
    return value.replace("person", f"zq{secrets.token_hex(4)}") if declared.kind == "email" else value


@pytest.mark.soak
@every
def test_no_screen_shows_what_a_role_does_not(face: Face, access: Access, person: Any) -> None:
    one, (record, texts) = person(access, *CARED_FOR), secret_of(face)
    get, base = one.client.get, f"/admin/{face.plural}"
    for name in list(texts) if face.about.edit else ():  # something for the history
        declared = face.fields[name]
        changes = face.entity.only_changes is None or declared.attribute in face.entity.only_changes
        if changes and declared.kind == "text" and not declared.derived and "_given" not in name and declared.editable:
            setattr(record, declared.attribute, f"{getattr(record, declared.attribute)}x")
    settle()
    pages = ["", f"details/?id={record.id}", f"history/?id={record.id}", "filters/", "lookup/",
             f"menu/?id={record.id}", "export/csv/", "export/json/", "export/"]  # fmt: skip
    pages += [f"edit/?id={record.id}"] * face.about.edit
    pages += [f"related/?id={record.id}&relation={relation}" for relation in face.about.related]
    pages += [f"action/?action={made.verb}&rowid={record.id}" for made in commands_of(face)[:3]]
    for page in pages:
        answer = get(f"{base}/{page}", follow_redirects=True)
        shown = answer.text  # read to its end whatever there is to look for: an export is a stream
        assert answer.status_code == 200, (page, answer.status_code)
        for name, text in texts.items():
            assert text not in shown, (page, name)
    listed = get(f"{base}/").text
    classed = [name for name in face.about.columns if face.field(name).field_class in CARED_FOR]
    if any(face.value(record, name) not in (None, "", []) for name in classed[1:]):
        assert (MASK in listed) is (access is Access.MASKED)
    for name in classed:
        label = face.field(name).label
        assert access is Access.MASKED or f'data-label="{label}"' not in listed


@pytest.mark.soak
@every
def test_a_value_one_does_not_see_can_not_be_found_out(face: Face, access: Access, person: Any, api_key: Any) -> None:
    one, (record, texts) = person(access, *CARED_FOR), secret_of(face)
    headers = api_key(user_id=one.user_id)
    actor = db.session.get_one(User, one.user_id)
    filters, orders = ([name for name in some if face.fields[name].field_class in CARED_FOR]
                       for some in (face.about.filters, face.about.sort))  # fmt: skip
    refused = [("sort", name) for name in orders]
    for name in filters:
        declared = face.fields[name]
        for op in {declared.operators[0], declared.operators[-1]}:
            value = "1" if op in WITHOUT_VALUE else declared.text(sample(declared))
            value = "3 months" if op in WITH_PERIOD else f"{value},{value}" if op == "between" else value
            refused.append((f"flt_{name}_{op}", value))
    for asked in refused:
        with pytest.raises(BadQuery, match="roles don"):
            matching(face, read_query(face, [asked]), actor)
    if refused:
        assert "roles don" in one.client.get(f"/admin/{face.plural}/", query_string=[asked]).text
        assert face.about.api is False or one.client.get(f"/api/v1/{face.plural}", query_string=[asked],
                                                         headers=headers).status_code == 422  # fmt: skip
        offered = one.client.get(f"/admin/{face.plural}/filters/").text + one.client.get(f"/admin/{face.plural}/").text
        for name in [f"flt_{name}_" for name in filters] + [f"sort={name}" for name in orders]:
            assert name not in offered, name
    if face.about.search:
        for name in face.about.search:
            if name in texts:
                assert f"details/?id={record.id}" not in one.client.get(
                    f"/admin/{face.plural}/", query_string={"search": texts[name]}).text  # fmt: skip
                found = one.client.get(f"/admin/{face.plural}/lookup/", query_string={"q": texts[name][:2]})
                assert record.id not in [item["id"] for item in found.get_json()["items"]]
        open_ones = [name for name in face.about.search if face.fields[name].field_class not in CARED_FOR]
        if "code" in open_ones:
            assert f"details/?id={record.id}" in one.client.get(f"/admin/{face.plural}/?search={record.code}").text


@pytest.mark.soak
@every
def test_forms_api_and_imports_neither_take_nor_show_it(
    face: Face, access: Access, person: Any, api_key: Any, as_user: Any
) -> None:
    one, (record, texts) = person(access, *CARED_FOR), secret_of(face)
    actor = db.session.get_one(User, one.user_id)
    closed = [declared for declared in face.form_fields if declared.field_class in CARED_FOR]
    for declared in closed:
        with pytest.raises(WrongInput, match=f"{declared.name} is not yours to set"):
            read_values(face, {declared.name: declared.text(sample(declared))}, actor, new=False)
    if face.about.edit:
        form = one.client.get(f"/admin/{face.plural}/edit/?id={record.id}").text
        for declared in closed:
            assert f'name="{declared.name}"' not in form
    targets = {landing.name for landing in landings(face, actor)}
    assert targets.isdisjoint(declared.name for declared in closed)
    mine = set(export_names(face, actor))
    everything = export_names(face, db.session.get_one(User, as_user("admin").user_id))
    assert mine & texts.keys() == (texts.keys() & set(everything) if access is Access.MASKED else set())
    if not face.about.api:
        return
    client, headers = one.client, api_key(user_id=one.user_id)
    shown = client.get(f"/api/v1/{face.plural}/{record.id}", headers=headers)
    document = shown.get_json()
    assert document["id"] == record.id
    for name, text in texts.items():
        assert text not in shown.text, name
        if "_given" not in name:
            assert document.get(name) == (MASK if access is Access.MASKED else None), name
            assert (name in document) is (access is Access.MASKED), name
    listed = client.get(f"/api/v1/{face.plural}", headers=headers)
    assert all(text not in listed.text for text in texts.values())
    if face.about.edit and closed:
        tag = {"If-Match": shown.headers["ETag"]}
        change = {closed[0].name: sample(closed[0], 3) if closed[0].kind != "choice" else sample(closed[0]).value}
        refused = client.patch(f"/api/v1/{face.plural}/{record.id}", headers=headers | tag,
                               json={name: face.field(name).json(value) for name, value in change.items()})  # fmt: skip
        assert (refused.status_code, list(refused.get_json()["errors"])) == (422, [closed[0].name])


@pytest.mark.parametrize("access", CLOSED, ids=str)
def test_nobody_is_looked_up_by_what_the_key_does_not_show(access: Access, person: Any, api_key: Any) -> None:
    one, (record, texts) = person(access, *CARED_FOR), secret_of(face_named("customer"))
    headers = api_key(user_id=one.user_id)
    for name in ("email", "phone", "tax_id"):
        answer = one.client.get("/api/v1/customers", query_string={name: texts.get(name, "x")}, headers=headers)
        assert (answer.status_code, list(answer.get_json()["errors"])) == (422, [name])
    found = one.client.get("/api/v1/customers", query_string={"code": record.code}, headers=headers)
    assert [item["id"] for item in found.get_json()["items"]] == [record.id]


def test_one_class_is_closed_and_the_others_stay_open(person: Any) -> None:
    one, face = person(Access.MASKED, FieldClass.CONTACT), face_named("customer")
    record = make(face, name="Ana Lim", email="ana.lim@example.com", account_number="A-77")
    shown = one.client.get(f"/admin/customers/details/?id={record.id}").text
    assert "Ana Lim" in shown
    assert "ana.lim@example.com" not in shown
    assert f"details/?id={record.id}" in one.client.get("/admin/customers/?search=Ana Lim").text
    assert f"details/?id={record.id}" not in one.client.get("/admin/customers/?search=ana.lim@ex").text


def test_people_s_values_leave_in_files_only_with_a_right_of_its_own(as_user: Any, session: Any) -> None:
    rep, manager = as_user("sales_rep"), as_user("manager")
    for person in (rep, manager):
        make(face_named("customer"), name="Ana Lim", email="ana@example.com", industry="Steel", owner_id=person.user_id)
    for person, header in ((rep, False), (manager, True)):
        answer = person.client.get("/admin/customers/export/csv/")
        rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
        assert rows[0]["industry"] == "Steel"
        assert ("name" in rows[0], "email" in rows[0], "ana@example.com" in answer.text) == (header,) * 3


def test_the_delivered_roles_see_what_they_need(session: Any, as_user: Any) -> None:
    wanted = {
        "admin": {"name": "write", "email": "write", "tax_id": "write", "special_needs": "write"},
        "manager": {"name": "write", "email": "write", "tax_id": "write", "special_needs": "read"},
        "sales_rep": {"name": "write", "email": "write", "special_needs": "hidden"},
        "service_advisor": {"name": "read", "email": "read", "annual_revenue": "hidden", "tax_id": "hidden",
                            "special_needs": "write", "service_channel": "write"},
        "marketer": {"name": "masked", "email": "masked", "city": "masked", "tax_id": "hidden", "tags": "write",
                     "preferred_contact_method": "write", "industry": "read"},
        "auditor": {"name": "masked", "email": "masked", "tax_id": "masked", "special_needs": "masked", "status": "read"},
        "finance": {"name": "read", "tax_id": "read", "special_needs": "hidden", "annual_revenue": "read"},
    }  # fmt: skip
    for role, fields in wanted.items():
        user = db.session.get_one(User, as_user(role).user_id)
        may = accesses(user, face_named("customer"))
        assert {name: str(may[name]) for name in fields} == fields, role
