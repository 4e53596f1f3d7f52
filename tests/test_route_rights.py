"""Every address by every method, as each delivered role, as somebody without a role and as nobody.

What is expected is worked out from the declarations: the right that a route names, the grants of the role, the row scope.
A route that names none fails. What was refused must have changed nothing. `make test` tries a part of the faces with each
role, the next part with the next one; `make soak` tries all with all.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jinja2
import pytest
from flask import Flask
from sqlalchemy import delete, update
from werkzeug.test import TestResponse

from admin_views.base import EntityView
from crm.api import entering
from crm.api.below import CHECK, CREDIT, LOYALTY, below, lists_below
from crm.api.rate import Buckets
from crm.api.segments import TOLD
from crm.commands import access
from crm.commands.access import scope_names
from crm.commands.delivered_roles import DELIVERED
from crm.core.command import Command, commands_of
from crm.core.entity import Face, all_faces, db, entities, face_named
from crm.core.figures import settle
from crm.core.permissions import Access, Scope, accesses, allowed
from crm.models.access import ApiKey, User, UserRole
from crm.queries.scope import related_face
from tests.factories import as_form, form_values, make, sample
from tests.untouched import Tables

OPEN = {"root", "static", "admin.static", "alive", "ready", "api_pages", "api.openapi", "access.login", "access.logout"}
SIGNED_IN = {"admin.index", "admin.why", "access.password"}
# What one permission decides, wherever the address lies.
NAMED = {"admin.demo": "customer.import", "admin.rights": "role.read"}
# A route may ask for more than its screen's right: the right to what it shows besides.
ALSO = {"relations_view": "relation.read", "relate": "relation.create", "notes_view": "note.read", "note": "note.create",
        "pin_note": "note.pin", "log": "task.create", "views_view": "saved_view.edit", "from_file_view": "customer.add_to_segment"}  # fmt: skip
# Flask-Admin's own ways in: shut for everybody.
SHUT = {"ajax_lookup", "ajax_update"}
# These look at one record, which may be out of reach, or have nothing of the kind.
WITHOUT_RECORD = {"index_view", "create_view", "export", "export_form", "lookup_view", "filters_view",
                  "columns_view", "views_view", "board_view", "decide_view", "ageing_view", "ageing_file_view", "reviews_view", "liability_view", "liability_file_view", "coming_view"}  # fmt: skip
# A statement tells the amounts of all entries.
STATEMENT = {"statement_view", "statement_file_view", "check_view"}
STATED = {"credit_account": [("credit_account", "outstanding"), ("invoice", "amount"), ("payment", "amount")],
          "loyalty_account": [("loyalty_account", "points"), ("loyalty_account", "cashback"), ("point_entry", "points"),
                              ("cashback_entry", "amount")]}  # fmt: skip
# What a page is made of: nobody gets it who doesn't see that.
MADE_OF = {"ageing_view": ["outstanding"], "ageing_file_view": ["outstanding"], "reviews_view": ["next_review_on"],
           "liability_view": ["points"], "liability_file_view": ["points"], "coming_view": ["points", "tier"]}  # fmt: skip
MAYBE_NOTHING = {"related_view", "photo_view", "pin_note", "compare_view"}
# The wizard's own steps: a draft is its person's alone, so for everybody else it isn't there.
WIZARD = {
    "map_view",
    "preview_view",
    "progress_view",
    "status_view",
    "cancel_view",
    "refused_view",
    "annotated_view",
    "pause_view",
    "resume_view",
    "undo_view",
    "undo_status_view",
}
# A route that changes a field asks whether one may.
CHANGES = {"photo_form": "photo_at"}
# What one made for oneself is nobody else's, whatever the right; the files of documents have tests of their own.
OWN_ALONE = {"file_view", "thumbnail_view"}
API = {
    "api.collection",
    "api.record",
    "api.command",
    "api.below_record",
    "api.nothing",
    "api.imports",
    "api.one_import",
    "api.refused_rows",
    "api.cancel_import",
}
# What is told below a record that needs the right to something else.
NEEDED = {LOYALTY: ("loyalty_account",), CREDIT: ("credit_account",), CHECK: ("credit_account",)}
FACES = [face for face in all_faces() if face.about.screen]
API_FACES = [face for face in FACES if face.about.api]
# Statuses by which somebody is let in: done, asked, or told what is wrong with what was sent.
IN = frozenset({200, 201, 204, 303, 400, 405, 409, 412, 413, 415, 422, 428})


@dataclass
class Try:
    """A request and the status it must be answered with."""

    face: Face | None
    method: str
    path: str
    expected: frozenset[int]
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        return self.expected <= {302, 401, 403, 404}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def only(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


def _views(app: Flask) -> dict[str, EntityView]:
    return {view.endpoint: view for view in app.extensions["admin"][0]._views if isinstance(view, EntityView)}


def _rules(app: Flask) -> list[tuple[str, str]]:
    return sorted({(rule.endpoint, method) for rule in app.url_map.iter_rules()
                   for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}})  # fmt: skip


def test_no_route_is_without_a_rule(app: Flask) -> None:
    views = _views(app)
    for endpoint, _ in _rules(app):
        place, _, name = endpoint.rpartition(".")
        ruled = endpoint in OPEN | SIGNED_IN | API | NAMED.keys()
        assert ruled or (place in views and (name in views[place].rights or name in SHUT)), endpoint


# The screens


def _permitted(user: User | None, face: Face, verb: str) -> Scope | None:
    return None if user is None else allowed(user, f"{face.name}.{verb}")


def _reached(user: User, face: Face, verb: str) -> bool:
    """Whether the right reaches the record of a stranger; of a face `through` others it is one of the first of them."""
    held = face_named(face.through[0]) if face.through else face
    return allowed(user, f"{held.name}.{verb}") is Scope.ALL or not face.about.within


def _status(user: User | None, face: Face, name: str, right: str | None, *, nothing: bool = False) -> frozenset[int]:
    """What a screen must answer to somebody who sends nothing that could be taken."""
    if user is None:
        return only(302)
    if name in SHUT:
        return only(403)
    if name in WIZARD and face.name == "import":
        return only(404)
    if right is None and not any(_permitted(user, other, "import") for other in all_faces()):
        return only(403) if name == "create_view" else only(404)
    if name == "template_view" and _permitted(user, face_named("customer"), "import") is None:
        return only(404)  # that of customers is asked for
    if right is not None and _permitted(user, face, right) is None:
        return only(403)
    if name in CHANGES and accesses(user, face)[CHANGES[name]] is not Access.WRITE:
        return only(403)
    if name in OWN_ALONE:
        return only(403, 404)
    if name in STATEMENT and not all(_permitted(user, face_named(one), "read") and accesses(user, face_named(one))[amount].shows
                                     for one, amount in STATED[face.name]):  # fmt: skip
        return only(403)
    if not all(accesses(user, face)[seen].shows for seen in MADE_OF.get(name, ())):
        return only(403)
    also = ALSO.get(name)
    if right is not None and name not in WITHOUT_RECORD and not _reached(user, face, right):
        return only(404)
    if also is not None and allowed(user, also) is None:
        return only(403)
    return IN | only(404) if nothing or name in MAYBE_NOTHING else IN


def _screen_tries(app: Flask, user: User | None, records: dict[str, int]) -> Iterator[Try]:
    views = _views(app)
    for endpoint, method in _rules(app):
        place, _, name = endpoint.rpartition(".")
        if place not in views:
            yield from _other_tries(endpoint, method, user)
            continue
        view, face = views[place], views[place].face
        if name == "action_view":
            yield from _action_tries(face, method, user, records[face.name])
            continue
        values = {"export_type": "csv", "plural": "customers"}
        rule = next(rule for rule in app.url_map.iter_rules(endpoint) if method in (rule.methods or ()))
        path = rule.build({key: values[key] for key in rule.arguments})
        assert path is not None
        query = f"?id={records[face.name]}&relation={next(iter(face.about.related), 'none')}"
        expected = _status(user, face, name, view.rights.get(name, ""))
        data = {} if method == "GET" or not expected <= {302, 403, 404} else _full(face)
        yield Try(face, method, path[1] + ("" if name in WITHOUT_RECORD else query), expected, data)


def _other_tries(endpoint: str, method: str, user: User | None) -> Iterator[Try]:
    paths = {"root": "/", "admin.index": "/admin/", "access.password": "/password/", "access.login": "/login",
             "alive": "/healthz", "ready": "/readyz", "api_pages": "/api/docs", "admin.demo": "/admin/demo/", "admin.rights": "/admin/rights/",
             "admin.why": "/admin/rights/why/"}  # fmt: skip
    if endpoint not in paths:
        return
    expected = IN | only(302, 401, 503)
    if endpoint in SIGNED_IN:
        expected = only(302) if user is None else IN
    if endpoint in NAMED:
        if user is not None and allowed(user, NAMED[endpoint]) is Scope.ALL:
            return  # it would do it
        expected = only(302) if user is None and method == "GET" else only(403)
    yield Try(None, method, paths[endpoint], expected)


def _action_tries(face: Face, method: str, user: User | None, record_id: int) -> Iterator[Try]:
    for made in commands_of(face):
        expected = only(302)
        if user is not None:
            expected = only(403) if _permitted(user, face, made.verb) is None else IN
            if expected is IN and not _reached(user, face, made.verb):
                expected = only(404)
        data = {"action": made.verb, "rowid": str(record_id)}
        if expected == only(403):
            data |= _asked(made) | {"confirm": "1"}
        query = "&".join(f"{name}={value}" for name, value in data.items()) if method == "GET" else ""
        yield Try(face, method, f"/admin/{face.plural}/action/?{query}", expected, {} if query else data)


_values: dict[str, dict[str, Any]] = {}


def _full(face: Face) -> dict[str, Any]:
    """Everything that a person who may would need to send, so that a missing check would show in the database."""
    if face.name not in _values:
        _values[face.name] = as_form(face, form_values(face)) if face.about.create else {}
    return _values[face.name] | {"confirm": "1", "_another": "1", "_version": "1", "_original": "{}"}


def _asked(made: Command) -> dict[str, str]:
    return {
        name: "1" if asked.kind == "reference" else asked.text(sample(asked, 1)) for name, asked in made.asks.items()
    }


# The API


def _api_tries(user: User | None, records: dict[str, int], *, scoped: bool = True) -> Iterator[Try]:
    def status(face: Face, *verbs: str) -> frozenset[int]:
        if user is None:
            return only(401)
        if not scoped or any(_permitted(user, face, verb) is None for verb in ("read", *verbs)):
            return only(403)
        return IN

    def one(face: Face, verb: str) -> frozenset[int]:
        expected = status(face, *([] if verb == "read" else [verb]))
        if expected is not IN or user is None or _reached(user, face, verb):
            return expected
        return only(403) if _reached(user, face, "read") else only(404)

    shut = only(405) if user is not None else only(401)
    for face in API_FACES:
        base, place = f"/api/v1/{face.plural}", f"/api/v1/{face.plural}/{records[face.name]}"
        about = face.about
        yield Try(face, "GET", base, status(face))
        yield Try(face, "GET", place, one(face, "read"))
        yield Try(face, "POST", base, status(face, "create") if about.create else shut)
        yield Try(face, "PATCH", place, one(face, "edit") if about.edit else shut)
        yield Try(face, "DELETE", place, one(face, "delete") if about.delete else shut)
        for method, path in (("PUT", base), ("PATCH", base), ("DELETE", base), ("PUT", place), ("POST", place)):
            yield Try(face, method, path, shut)
        for made in commands_of(face):
            path = f"{place}/{made.verb.replace('_', '-')}"
            yield Try(face, "POST", path, status(face, made.verb), _asked(made))
            yield Try(face, "GET", path, shut)
        for name in below(face):
            relation = lists_below(face).get(name)
            expected = one(face, "read")
            needed = (
                [related_face(face, relation)]
                if relation
                else [face_named(more) for more in (TOLD[name][1] if name in TOLD else NEEDED.get(name, ()))]
            )
            if expected is IN and any(_permitted(user, more, "read") is None for more in needed):
                expected = only(403)
            yield Try(face, "GET", f"{place}/{name}", expected)
    yield Try(None, "GET", "/api/v1/nonsense", only(404) if user is not None else only(401))


# What is asked, and what came


Send = Callable[[Try], TestResponse]


def _by_screen(browser: Any) -> Send:
    return lambda one: browser.open(one.path, method=one.method, data=one.data or None)


def _by_api(app: Flask, headers: dict[str, str]) -> Send:
    def send(one: Try) -> TestResponse:
        body = one.data | ({} if one.refused else {"nonsense": 1})
        given = headers | {"Content-Type": "application/json", "If-Match": "*" if one.refused else '"1-0"'}
        data = None if one.method in ("GET", "DELETE") else json.dumps(body)
        return app.test_client().open(one.path, method=one.method, data=data, headers=given)

    return send


def differences(app: Flask, tries: list[Try], send: Send) -> list[str]:
    """Every request that was answered otherwise, and every batch of refused ones that left a trace."""
    found = []
    tables = Tables(app)
    asked: dict[str, list[Try]] = {}
    for one in (one for one in tries if one.refused):
        asked.setdefault(one.face.name if one.face else "", []).append(one)
    for name, some in asked.items():
        for one in some:
            answer = send(one)
            if answer.status_code not in one.expected:
                found.append(f"{one}: {answer.status_code} instead of {sorted(one.expected)}")
        if changed := tables.changed():
            found.append(f"refused requests to {name} changed {changed}")
            tables = Tables(app)
    for one in (one for one in tries if not one.refused):
        answer = send(one)
        answer.get_data()
        if answer.status_code not in one.expected:
            found.append(f"{one}: {answer.status_code} instead of being let in")
    return found


@pytest.fixture
def records(session: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A record of each face, a stranger's. Pages aren't drawn here: who gets in is decided before, and most of the
    time would go into that."""
    monkeypatch.setattr(jinja2.Template, "render", lambda *_, **__: "")
    monkeypatch.setattr(access, "SEEN_EVERY", dt.timedelta(days=1))  # who is seen again is noted: that is a change
    _values.clear()
    made = {face.name: make(face).id for face in FACES}
    stranger = make(face_named("user")).id
    for entity in entities():
        if "owner" in entity.fields():
            session.execute(update(entity).values(owner_id=stranger))
    settle()  # pages tell figures, and nothing is really committed here
    session.commit()
    return made


def _roles() -> list[str]:
    """One of those that hold the very same grants; and no role at all."""
    alike = {str(delivered.lines): role for role, delivered in reversed(DELIVERED.items())}
    return [*alike.values(), ""]


STRIDE = 1 if os.environ.get("SOAK_N") else len(_roles())


@pytest.mark.soak
@pytest.mark.timeout(1200)  # `make soak` asks for all of it
@pytest.mark.parametrize("role", _roles(), ids=lambda role: role or "no_role")
def test_each_route_answers_each_role_as_declared(role, app, session, as_user, api_key, records, monkeypatch):
    person = as_user(role or "auditor")
    if not role:
        session.execute(delete(UserRole).where(UserRole.user_id == person.user_id))
        session.commit()
    key = api_key(*scope_names(), user_id=person.user_id)
    monkeypatch.setitem(
        app.extensions, "crm_api_buckets", Buckets(10**6, 10**6)
    )  # thousands of requests are no flood here
    user = session.get_one(User, person.user_id, populate_existing=True)
    assert person.client.get("/admin/").status_code == 200
    app.test_client().get("/api/v1/customers", headers=key)  # noted as seen, once
    # Whose key it is, and what his roles say, is looked up once and not for each of a thousand requests.
    monkeypatch.setattr(User, "grants", user.grants)
    monkeypatch.setattr(User, "field_grants", user.field_grants)
    monkeypatch.setattr(entering, "key_for", lambda _: db.session.query(ApiKey).filter_by(user_id=person.user_id).one())
    screens = list(_screen_tries(app, user, records))
    # That a method is shut holds for everybody: one role is enough for those.
    programs = [one for one in _api_tries(user, records) if role == "admin" or one.expected != only(405)]
    session.commit()
    turn = _roles().index(role) % STRIDE
    tried = {None, *FACES[turn::STRIDE]}
    screens, programs = ([one for one in some if one.face in tried] for some in (screens, programs))
    assert differences(app, screens, _by_screen(person.client)) + differences(app, programs, _by_api(app, key)) == []


def test_each_route_is_shut_for_nobody(app, session, records):
    screens, programs = list(_screen_tries(app, None, records)), list(_api_tries(None, records))
    session.commit()
    found = differences(app, screens, _by_screen(app.test_client())) + differences(app, programs, _by_api(app, {}))
    assert found == []


def test_a_key_opens_nothing_but_its_scopes(app, session, api_key, records):
    """The key of an administrator with one scope, for each face and scope another way."""
    found = []
    for number, face in enumerate(API_FACES):
        other = API_FACES[number - 1]
        key = api_key(*(f"{other.plural}:{verb}" for verb in ("read", "write", "command")))
        user = session.get(User, 0) or User(name="x", email="x@example.com")
        some = [
            one for one in _api_tries(user, records, scoped=False) if one.face is face and one.expected != only(405)
        ]
        app.test_client().get(f"/api/v1/{other.plural}", headers=key)
        found += differences(app, some, _by_api(app, key))
    assert found == []
