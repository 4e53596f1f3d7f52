"""The door: signing in and out, where it leads, tokens against forged requests, headers and cookies."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from admin_views.access import TOKEN
from admin_views.edges import HEADERS
from crm.commands import access
from crm.commands.delivered_roles import DELIVERED
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.models.access import LoginAttempt, User, UserSession
from crm.models.parties import BlockState, Party
from tests.factories import make

GOOD = "correct horse battery staple"
EMAIL = "ann@example.com"


@pytest.fixture
def ann(app: Flask) -> int:
    with app.app_context(), acting_as(Acting(via="test")):
        number = access.create_user(email=EMAIL, role="manager", name="Ann", password=GOOD)[0].id
        db.session.commit()
    return number


def log_in(client: Any, password: str = GOOD, email: str = EMAIL, **more: Any) -> Any:
    return client.post(
        "/login", data={"email": email, "password": password, **more}, base_url=more.pop("base_url", None)
    )


def count(app: Flask, entity: Any, *conditions: Any) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(entity).where(*conditions)) or 0


# In and out


def test_the_right_password_leads_home_and_opens_one_session(app: Flask, client: Any, ann: int) -> None:
    answer = log_in(client)
    assert (answer.status_code, answer.location) == (303, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert count(app, UserSession, UserSession.user_id == ann, UserSession.ended_at.is_(None)) == 1
    assert client.get("/login?next=/admin/customers/").location == "/admin/customers/"


@pytest.mark.parametrize(("email", "password"), [
    (EMAIL, "wrong"), ("nobody@example.com", GOOD), ("", ""), (EMAIL + "\x00", GOOD), ("x" * 3000, "y"),
])  # fmt: skip
def test_a_wrong_try_says_the_same_whoever_it_was_and_is_recorded(
    app: Flask, client: Any, ann: int, email: str, password: str
) -> None:
    answer = log_in(client, password, email)
    assert answer.status_code == 401
    assert "The e-mail or the password is wrong." in answer.text
    assert count(app, LoginAttempt, ~LoginAttempt.succeeded) == 1
    assert client.get("/admin/").status_code == 302


def test_who_is_locked_is_told_no_more_than_who_is_wrong(app: Flask, client: Any, ann: int) -> None:
    with app.app_context():
        db.session.get_one(User, ann).active = False
        db.session.commit()
    answer = log_in(client)
    assert answer.status_code == 401
    assert "The e-mail or the password is wrong." in answer.text


def test_after_five_failures_the_door_says_how_long_to_wait(app: Flask, client: Any, ann: int) -> None:
    for _ in range(access.FAILURES_PER_EMAIL):
        assert log_in(client, "wrong").status_code == 401
    answer = log_in(client)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60 + 1
    assert "Too many failed tries" in answer.text
    assert count(app, LoginAttempt) == access.FAILURES_PER_EMAIL
    assert client.get("/admin/").status_code == 302


def test_signing_out_ends_the_session_itself_and_not_only_the_cookie(app: Flask, client: Any, ann: int) -> None:
    log_in(client)
    with client.session_transaction() as cookie:
        stolen = cookie[TOKEN]
    assert client.get("/logout").status_code == 405
    answer = client.post("/logout")
    assert (answer.status_code, answer.location) == (303, "/login")
    assert count(app, UserSession, UserSession.ended_at.is_(None)) == 0
    thief = app.test_client()
    with thief.session_transaction() as cookie:
        cookie[TOKEN] = stolen
    assert thief.get("/admin/").status_code == 302
    assert client.get("/admin/").status_code == 302


def test_signing_in_does_not_keep_a_session_that_was_planted(client: Any, ann: int) -> None:
    with client.session_transaction() as cookie:
        cookie[TOKEN], cookie["planted"] = "planted", "1"
    log_in(client)
    with client.session_transaction() as cookie:
        assert cookie[TOKEN] != "planted"
        assert "planted" not in cookie


@pytest.mark.parametrize("token", ["", "x", "../", 5, None, ["a"], "a\x00b"])
def test_a_made_up_session_is_nobodys(client: Any, ann: int, token: Any) -> None:
    with client.session_transaction() as cookie:
        cookie[TOKEN] = token
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("role", DELIVERED)
def test_home_opens_for_every_role(as_user: Any, role: str) -> None:
    person = as_user(role)
    answer = person.client.get("/admin/")
    assert answer.status_code == 200
    # Every address in the menu is one that the person may open.
    menu = re.findall(r'class="nav-item" href="([^"]+)"', answer.text)
    assert len(menu) >= 2
    assert {address: person.client.get(address).status_code for address in menu} == dict.fromkeys(menu, 200)


# Where it leads

OWN = ["/admin/customers/", "/admin/customers/?search=a%20b&flt_status_eq=active", "/admin/customers/details/?id=1",
       "/admin/customers/?search=http://x.org"]  # fmt: skip
EVIL = ["//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil.example", "http:/evil.example",
        "https://evil.example", "https:evil.example", "javascript:alert(1)", "/\t/evil.example", "\t//evil.example",
        "/\n/evil.example", "/%0d%0aSet-Cookie:x=y\r\nX: y", "/admin\r\nX-Evil: 1", " //evil.example", "evil.example",
        "@evil.example", ".evil.example", "", "/admin\\..\\x", "data:text/html,x", "http://localhost@evil.example/",
        "/http://evil.example", "\x00/admin/"]  # fmt: skip


@pytest.mark.parametrize("path", OWN)
def test_signing_in_goes_on_to_where_one_was_going(client: Any, ann: int, path: str) -> None:
    assert log_in(client, next=path).location == path


@pytest.mark.parametrize("path", EVIL)
def test_signing_in_never_leads_elsewhere(client: Any, ann: int, path: str) -> None:
    answer = log_in(client, next=path)
    assert (answer.status_code, answer.location) == (303, "/admin/")
    again = client.get("/login", query_string={"next": path})  # signed in already
    assert again.location == "/admin/"


def test_an_encoded_line_break_stays_within_our_own_path(client: Any, ann: int) -> None:
    answer = log_in(client, next="/%0d%0aX-Evil:1")
    assert answer.location.startswith("/%0d%0a")
    assert "X-Evil" not in answer.headers


def test_who_is_not_signed_in_comes_back_to_the_page_he_asked_for(client: Any, ann: int) -> None:
    asked = client.get("/admin/customers/?search=ann&flt_status_eq=active")
    assert asked.status_code == 302
    page = client.get(asked.location).text
    found = re.search(r'name="next" value="([^"]*)"', page)
    assert found
    assert log_in(client, next=found[1].replace("&amp;", "&")).location.startswith("/admin/customers/?search=ann")


# Forged requests


@pytest.fixture
def guarded(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The app with its tokens checked, as it really runs."""
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    return app


def _token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def test_the_door_itself_wants_a_token(guarded: Flask, client: Any, ann: int) -> None:
    answer = log_in(client)
    assert answer.status_code == 400
    assert "open for too long" in answer.text
    assert count(guarded, UserSession) == 0
    assert log_in(client, csrf_token=_token(client.get("/login").text)).status_code == 303


def test_nothing_is_changed_without_the_token_of_this_browser(guarded: Flask, as_user: Any) -> None:
    person, other = as_user("admin"), as_user("admin")
    with guarded.app_context(), acting_as(Acting(via="test")):
        party = make(face_named("customer"), name="Ann").id
        contact = make(face_named("contact"), party_id=party).id
        db.session.commit()
    theirs = _token(other.client.get("/admin/customers/new/").text)
    posts = [("/admin/customers/new/", {"name": "Bob", "email": "bob@example.com"}),
             (f"/admin/customers/edit/?id={party}", {"name": "Changed"}),
             ("/admin/customers/action/", {"action": "block", "rowid": str(party), "confirm": "1", "reason": "x"}),
             ("/admin/contacts/delete/", {"id": str(contact), "confirm": "1"}),
             ("/admin/imports/new/", {"entity": "customer"}), ("/admin/demo/", {}),
             ("/password/", {"current": GOOD, "password": GOOD + "2", "again": GOOD + "2"}), ("/logout", {})]  # fmt: skip
    for address, data in posts:
        for token in (None, "", "made up", theirs):
            answer = person.client.post(address, data=data | ({} if token is None else {"csrf_token": token}))
            assert answer.status_code == 400, (address, token)
    with guarded.app_context():
        kept = db.session.get_one(Party, party)
        assert (kept.name, kept.block_state) == ("Ann", BlockState.NONE)
        assert db.session.get(face_named("contact").entity, contact) is not None
    assert count(guarded, Party) == 1
    mine = _token(person.client.get("/admin/customers/new/").text)
    answer = person.client.post("/admin/customers/action/", data=posts[2][1] | {"csrf_token": mine})
    assert answer.status_code == 303
    assert person.client.get("/admin/").status_code == 200  # nor was he signed out


# What every answer carries


def test_every_answer_carries_the_security_headers(app: Flask, client: Any, as_user: Any) -> None:
    person = as_user("admin")
    for who, address in ((client, "/"), (client, "/login"), (client, "/static/desk.css"), (client, "/nothing"),
                         (client, "/healthz"), (client, "/api/v1/customers"), (client, "/admin/"),
                         (person.client, "/admin/"), (person.client, "/admin/customers/?nothing=1"),
                         (person.client, "/admin/customers/details/?id=0"), (person.client, "/admin/customers/export/csv/"),
                         (person.client, "/admin/customers/lookup/")):  # fmt: skip
        answer = who.get(address)
        answer.close()
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, address
        if not address.startswith("/static/"):
            assert answer.headers["Cache-Control"] == "no-store", address
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert part in policy


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_for_us_alone_and_secure_over_https(client: Any, ann: int, scheme: str, secure: bool) -> None:
    answer = client.post("/login", data={"email": EMAIL, "password": GOOD}, base_url=f"{scheme}://localhost")
    assert answer.status_code == 303
    [cookie] = answer.headers.getlist("Set-Cookie")
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= flags
    assert ("secure" in flags) is secure
    assert not any(flag.startswith("domain") for flag in flags)


def test_an_archived_party_is_not_edited_but_shown(app: Flask, as_user: Any) -> None:
    person = as_user("manager")
    with app.app_context(), acting_as(Acting(via="test")):
        number = make(face_named("customer"), name="Ann", archived_at=db.func.now()).id
        db.session.commit()
    for method in ("GET", "POST"):
        answer = person.client.open(f"/admin/customers/edit/?id={number}", method=method, data={"name": "Changed"})
        assert (answer.status_code, answer.location) == (303, f"/admin/customers/details/?id={number}")
    assert "is archived: restore it" in person.client.get(answer.location).text
    with app.app_context():
        assert db.session.get_one(Party, number).name == "Ann"


def test_signing_somebody_out_everywhere_ends_each_browser_and_leaves_the_password(
    app: Flask, client: Any, ann: int, as_user: Any
) -> None:
    other = app.test_client()
    assert [log_in(one).status_code for one in (client, other)] == [303, 303]
    question = {"action": "end_sessions", "rowid": str(ann), "confirm": "1"}
    assert as_user("admin").client.post("/admin/users/action/", data=question).status_code == 303
    assert [one.get("/admin/").status_code for one in (client, other)] == [302, 302]
    assert log_in(client).status_code == 303
    assert client.get("/admin/").status_code == 200
