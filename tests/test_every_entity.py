"""Every face of every declared entity: a new one is tested by existing."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import contextmanager

import pytest
from markupsafe import escape
from python_calamine import CalamineWorkbook
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

import crm.commands  # noqa: F401 - declares the commands
from admin_views.lists import offered_columns
from crm.core.command import commands_of
from crm.core.entity import Face, all_faces, db
from crm.core.figures import settle
from crm.core.permissions import allowed
from crm.models.access import AuditEntry, User
from crm.queries.conditions import compile_condition
from crm.queries.listing import PAGE_SIZE, BadQuery, ListQuery, fetch_page, matching, read_query
from crm.queries.operators import WITH_PERIOD, WITHOUT_VALUE
from crm.queries.scope import row_scope
from tests.conftest import Person
from tests.factories import as_form, form_value, form_values, make, newest, sample
from tests.wellformed import inputs

FACES = [face for face in all_faces() if face.about.screen]
WRITABLE = [face for face in FACES if face.about.create]
QUICK = [(face, name) for face in FACES for name in face.about.quick]


def names(faces: list[Face]) -> list[str]:
    return [face.name for face in faces]


every = pytest.mark.parametrize("face", FACES, ids=names(FACES))
# What is the same under each of an entity's faces (filters, orders, hostile input) is tested under the first.
every_entity = pytest.mark.parametrize("face", [face for face in FACES if face is face.entity.faces[0]],
                                       ids=lambda face: face.name)  # fmt: skip
every_writable = pytest.mark.parametrize("face", WRITABLE, ids=names(WRITABLE))


@pytest.fixture
def admin(session, as_user) -> Person:
    return as_user("admin")


def seen(person: Person, face: Face, rest: str = "", status: int = 200, **query) -> str:
    answer = person.client.get(f"/admin/{face.plural}/{rest}", query_string=query)
    assert answer.status_code == status, answer.get_data(as_text=True)[:2000]
    return answer.get_data(as_text=True)


@every_entity
def test_an_empty_list_says_what_it_is_for(face, admin):
    assert face.label_plural in seen(admin, face)


@every
def test_the_list_shows_a_record_and_leads_to_it(face, admin):
    record = make(face)
    db.session.expunge_all()
    everything = ",".join(offered_columns(face))
    with _asked_again() as again:
        shown = seen(admin, face) + seen(admin, face, columns=everything)
    assert shown.count(f'data-href="/admin/{face.plural}/details/?id={record.id}"') == 2
    assert again == [], "all that a page shows is read with it"
    first = face.field(face.about.columns[0])
    if first.kind == "reference":  # a record without a name of its own goes by that of another, not by its number
        called = getattr(db.session.get(face.entity, record.id), first.name).title
        assert f">{escape(called)}</a>" in shown.partition('class="name-text"')[2].partition("</td>")[0]


@contextmanager
def _asked_again():
    """What is read of single records after their page was."""
    found: list[str] = []

    def note(state):
        if state.is_column_load or (state.is_relationship_load and state.lazy_loaded_from is not None):
            found.append(str(state.statement))

    event.listen(Session, "do_orm_execute", note)
    try:
        yield found
    finally:
        event.remove(Session, "do_orm_execute", note)


@every
def test_search_finds_by_the_title_and_not_by_nonsense(face, admin):
    if not face.about.search:
        make(face)
        seen(admin, face, status=422, search="abc")
        return
    searched = face.fields[face.about.search[0]]
    made_by_database = searched.kind == "code"
    record = make(face, **({} if made_by_database else {searched.attribute: str(sample(searched))}))
    term = getattr(record, searched.attribute)
    assert f"details/?id={record.id}" in seen(admin, face, search=term)
    assert f"details/?id={record.id}" not in seen(admin, face, search="zzz-no-such-thing")


@every_entity
def test_each_filter_and_operator_answers(face, admin):
    """Each condition is asked about one record, all in one statement; the page is drawn once, with one of each field."""
    record = make(face)
    settle()
    user = db.session.get_one(User, admin.user_id)
    asked: list[tuple[str, str]] = []
    expected: list[bool | None] = []
    for name in face.filters:
        declared = face.fields[name]
        present = getattr(record, declared.attribute, None)  # what stands in other rows isn't there yet
        for op in declared.operators:
            asked.append((f"flt_{name}_{op}", _filter_value(declared, op)))
            expected.append((present in (None, [])) is (op == "empty") if op in WITHOUT_VALUE else None)
            if op == "eq" and present is not None and declared.family not in ("list",):
                asked.append((f"flt_{name}_{op}", declared.text(present)))
                expected.append(True)
    query = read_query(face, asked)
    conditions = [compile_condition(face, kept.field, kept.op, kept.raw) for kept in query.filters]
    statement = matching(face, ListQuery(), user).where(face.entity.id == record.id)
    if any(kept.field.figure for kept in query.filters):
        statement = statement.where(face.figures[0].id == face.entity.id)
    found = db.session.execute(statement.with_only_columns(*conditions)).one() if conditions else ()
    wrong = [pair for pair, shown, wanted in zip(asked, found, expected, strict=True) if wanted not in (None, shown)]
    assert wrong == []
    some = {kept.field.name: (pair, shown) for kept, pair, shown in zip(query.filters, asked, found, strict=True)}
    page = seen(admin, face, **dict(pair for pair, _ in some.values()))
    assert page.count('<span class="chip">') == len(some)
    assert (f"details/?id={record.id}" in page) is all(shown for _, shown in some.values())


def _filter_value(declared, op: str) -> str:
    if op in WITHOUT_VALUE:
        return "1"
    if op in WITH_PERIOD:
        return "3 months"
    if declared.kind == "reference":
        return "1,2" if op in ("in", "not_in") else "1"
    first, second = (declared.text(sample(declared, number)) for number in (1, 2))
    if op == "between":
        return f"{first},{second}"
    return first.split(",")[0]


@every_entity
def test_each_order_works_both_ways(face, admin):
    make(face), make(face)
    user = db.session.get_one(User, admin.user_id)
    for name in ("id", *face.about.sort):
        column, ident = (face.entity.id, face.entity.id) if name == "id" else face.sort_column(name)
        for desc in (False, True):
            query = read_query(face, [("sort", name), ("desc", "1" if desc else "0")])
            found = [row.id for row in fetch_page(face, query, user).rows]
            order = [column.desc(), ident.desc()] if desc else [column, ident]
            reached = [*row_scope(face, user), ident == face.entity.id]
            statement = select(face.entity.id).where(*reached).order_by(*order).limit(PAGE_SIZE)
            assert found == list(db.session.scalars(statement))
    shown = seen(admin, face, **dict(query.parameters()))
    assert re.findall(rf'data-href="/admin/{face.plural}/details/\?id=(\d+)"', shown) == [str(one) for one in found]


REFUSED = ({"flt_nothing_eq": "1"}, {"sort": "nothing"}, {"page": "-1"}, {"page": "99999"}, {"after": "zzz"}, {"nothing": "1"},
           {"search": "a\x00b"}, {"flt_created_at_eq": "31/02/2024"}, {"limit": "1e9"})  # fmt: skip


@every_entity
def test_what_a_list_cannot_answer_is_refused(face, admin):
    for given in REFUSED:
        with pytest.raises(BadQuery):
            fetch_page(face, read_query(face, given.items()), db.session.get_one(User, admin.user_id))
    seen(admin, face, status=422, **given)


@every
def test_the_page_of_a_record_with_its_history_and_what_belongs_to_it(face, admin):
    record = make(face)
    assert record.title.split()[0] in seen(admin, face, "details/", id=record.id)
    history = admin.client.get(f"/admin/{face.plural}/history/", query_string={"id": record.id})
    assert history.status_code == 200
    for relation in face.about.related:
        answer = admin.client.get(
            f"/admin/{face.plural}/related/", query_string={"id": record.id, "relation": relation}
        )
        assert answer.status_code == 200
    seen(admin, face, "related/", 404, id=record.id, relation="__class__")


@every_writable
def test_a_record_is_made_as_typed_and_audited(face, admin):
    seen(admin, face, "new/")
    values = form_values(face)
    before = newest_id(face)
    answer = admin.client.post(f"/admin/{face.plural}/new/", data=as_form(face, values))
    assert answer.status_code == 303, _faults(answer)
    record = newest(face)
    assert record.id != before
    assert {name: face.value(record, name) for name in values} == values
    first = _audit(record)[0]
    assert (first.action, first.actor_id, first.via) == ("create", admin.user_id, "screen")


@every_writable
def test_a_change_changes_that_field_alone_and_is_audited(face, admin):
    record = make(face)
    if not face.about.edit:
        seen(admin, face, "edit/", 403, id=record.id)
        return
    declared = next(one for one in face.form_fields if one.kind in ("text", "long_text") and one.name in face.fields)
    shown = seen(admin, face, "edit/", id=record.id)
    data = {name: value for name, value in _hidden(shown).items() if name != "csrf_token"}
    answer = admin.client.post(f"/admin/{face.plural}/edit/", query_string={"id": record.id},
                               data=data | {declared.name: "New text"})  # fmt: skip
    assert answer.status_code == 303, _faults(answer)
    db.session.refresh(record)
    assert getattr(record, declared.attribute) == "New text"
    last = _audit(record)[-1]
    assert (last.action, list(last.changes), last.actor_id) == ("update", [declared.attribute], admin.user_id)


@every_writable
def test_a_stale_save_shows_both_and_changes_nothing(face, admin):
    record = make(face)
    if not face.about.edit:
        return
    declared = next(one for one in face.form_fields if one.kind in ("text", "long_text") and one.name in face.fields)
    data = _hidden(seen(admin, face, "edit/", id=record.id))
    setattr(record, declared.attribute, "Theirs")
    db.session.flush()
    # Within one transaction xmin stays; what the form carries is made older instead.
    data["_version"] = "1"
    answer = admin.client.post(f"/admin/{face.plural}/edit/", query_string={"id": record.id},
                               data=data | {declared.name: "Mine"})  # fmt: skip
    assert answer.status_code == 409
    shown = answer.text
    assert "Theirs" in shown
    assert "Mine" in shown
    db.session.expire_all()
    assert getattr(record, declared.attribute) == "Theirs"


@pytest.mark.parametrize(("face", "name"), QUICK, ids=lambda part: getattr(part, "name", part))
def test_a_value_changed_in_the_list_is_changed_alone_and_audited(face, name, admin):
    declared, record = face.field(name), make(face)
    before = face.value(record, name)
    wanted = next(value for value in (form_value(declared) for _ in range(9)) if value != before)
    address = {"id": record.id, "field": name}
    shown = seen(admin, face, "cell/", **address)
    assert f'data-edit="{name}"' in seen(admin, face)

    def sent(text: str):
        data = _hidden(shown) | {name: text}
        return admin.client.post(f"/admin/{face.plural}/cell/", query_string=address, data=data)

    refused = sent("\x00")
    assert (refused.status_code, "NUL" in refused.text or "not one of" in refused.text) == (422, True), refused.text
    assert sent(declared.text(wanted)).status_code == 200
    db.session.refresh(record)
    assert face.value(record, name) == wanted
    last = _audit(record)[-1]
    assert (last.action, last.actor_id) == ("update", admin.user_id)
    # Beside the value itself only what is kept of it: as it was typed, whether it has been verified.
    assert [column for column in last.changes if not column.startswith(declared.attribute)] == []
    assert admin.client.get(f"/admin/{face.plural}/cell/", query_string=address | {"field": "id"}).status_code == 422


@every_writable
def test_wrong_values_are_named_and_nothing_is_made(face, admin):
    before = newest_id(face)
    answer = admin.client.post(f"/admin/{face.plural}/new/", data={one.name: "\x00" for one in face.form_fields})
    assert answer.status_code == 422
    assert "NUL" in answer.text
    assert newest_id(face) == before


@every
def test_the_export_holds_what_the_list_shows(face, admin):
    record = make(face)
    columns = list(dict.fromkeys(name for name in ("id", *face.about.columns) if name in face.fields))
    found = {}
    for form, read in (("csv", _read_csv), ("xlsx", _read_xlsx), ("json", _read_json)):
        answer = admin.client.get(f"/admin/{face.plural}/export/{form}/", query_string={"columns": ",".join(columns)})
        assert answer.status_code == 200
        found[form] = read(answer.get_data())
        assert list(found[form][0]) == columns
        assert str(record.id) in {str(row["id"]) for row in found[form]}, form
    assert "id" in _read_csv(admin.client.get(f"/admin/{face.plural}/export/csv/").get_data())[0]
    assert admin.client.get(f"/admin/{face.plural}/export/xls%00/").status_code == 422
    assert admin.client.get(f"/admin/{face.plural}/export/csv/?columns=id,photo").status_code == 422


def _read_csv(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))


def _read_json(body: bytes) -> list[dict[str, object]]:
    return json.loads(body)


def _read_xlsx(body: bytes) -> list[dict[str, object]]:
    head, *rows = CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0).to_python()
    return [
        dict(zip(head, (int(cell) if isinstance(cell, float) else cell for cell in row), strict=True)) for row in rows
    ]


@every_entity
def test_the_picker_finds_by_text(face, admin):
    record = make(face)
    items = admin.client.get(f"/admin/{face.plural}/lookup/").get_json()["items"]
    assert record.id in {item["id"] for item in items}


@every
def test_each_command_asks_before_it_does_anything(face, admin):
    record = make(face)
    before = record.updated_at
    user = db.session.get_one(User, admin.user_id)
    for made in commands_of(face):
        if allowed(user, f"{face.name}.{made.verb}") is None:  # deciding on credit is denied also to administrators
            seen(admin, face, "action/", 403, action=made.verb, rowid=record.id)
            continue
        asked = {"action": made.verb, "rowid": record.id}
        answer = admin.client.get(f"/admin/{face.plural}/action/", query_string=asked, follow_redirects=True)
        assert answer.status_code == 200, made.verb
        if answer.history:
            continue  # it has a page of its own
        assert made.label in answer.text
        for name in made.asks:
            assert f'name="{name}"' in answer.text
    db.session.refresh(record)
    assert record.updated_at == before
    seen(admin, face, "action/", 404, action="no_such_verb", rowid=record.id)


@every
def test_deleting_asks_first(face, admin):
    record = make(face)
    address = f"/admin/{face.plural}/delete/"
    if not face.about.delete:
        # Also an administrator has no right that doesn't exist; nothing may be left to a missing check.
        admin.client.post(address, data={"id": record.id, "confirm": "1"})
        assert db.session.get(face.entity, record.id) is not None
        return
    assert admin.client.get(address).status_code == 405
    assert "Delete" in admin.client.post(address, data={"id": record.id}).text
    assert db.session.get(face.entity, record.id) is not None
    number = record.id
    assert admin.client.post(address, data={"id": number, "confirm": "1"}).status_code == 303
    db.session.expire_all()
    assert db.session.get(face.entity, number) is None
    assert _entries(face, number)[-1] == "delete"


def newest_id(face: Face) -> int | None:
    return db.session.scalar(select(func.max(face.entity.id)))


def _entries(face: Face, number: int) -> list[str]:
    return list(db.session.scalars(select(AuditEntry.action).where(
        AuditEntry.entity == face.entity.__tablename__, AuditEntry.record_id == number).order_by(AuditEntry.id)))  # fmt: skip


def _audit(record) -> list[AuditEntry]:
    return list(db.session.scalars(select(AuditEntry).where(
        AuditEntry.entity == record.__tablename__, AuditEntry.record_id == record.id).order_by(AuditEntry.id)))  # fmt: skip


def _hidden(page_text: str) -> dict[str, str]:
    return {field["name"]: field.get("value", "") for field in inputs(page_text)
            if field.get("type") == "hidden" and field["name"].startswith("_")}  # fmt: skip


def _faults(answer) -> str:
    """What a refused form says is wrong."""
    return " | ".join(re.findall(r'<li><a href="#[^"]*">[^<]*</a>:[^<]*', answer.get_data(as_text=True)))
