"""The rules of the house that a machine can watch: floors, sizes, personal data, routes, pages without inline code."""

from __future__ import annotations

import graphlib
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import html5lib
import pytest
from flask import Flask, template_rendered
from importlinter.cli import lint_imports
from sqlalchemy import delete
from werkzeug.routing import Rule

from admin_views.base import EntityView
from admin_views.home import HomeView
from crm.core.entity import db, entities, face_named
from crm.core.jobs import JobState
from crm.importing.running import run_import
from crm.models.access import UserRole
from crm.models.imports import Import
from tests.factories import make, newest

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "admin_views" / "templates"
LONGEST = 450

# Floors


def test_each_floor_imports_only_what_lies_below(capsys: pytest.CaptureFixture[str]) -> None:
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    for made in logging.root.manager.loggerDict.values():  # it sets logging up anew, which silences what is there
        if isinstance(made, logging.Logger):
            made.disabled = False
    assert code == 0, capsys.readouterr().out


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = grimp.build_graph("crm", "admin_views", "jobs", cache_dir=None)
    order = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(order) > 50
    assert len(list(graphlib.TopologicalSorter(order).static_order())) == len(
        order
    )  # raises CycleError with the circle


def modules() -> list[Path]:
    found = [ROOT / "app.py"]
    for folder in ("crm", "admin_views", "jobs", "migrations"):
        found += [path for path in (ROOT / folder).rglob("*.py") if "versions" not in path.parts]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_at_once_and_says_what_it_knows(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= LONGEST, f"{len(lines)} lines: split it by noun"
    if path.name != "__init__.py":
        first = next(line for line in lines if not line.startswith("#!"))
        assert first.startswith('"""'), "a module starts with one sentence that says what it knows"


# Personal data

OF_A_PERSON = re.compile(
    r"(^|_)(e?mail\d?|phone\d?|fax|mobile|(first|middle|last|given|family)_?name|surname|birth|gender|address|street|house|"
    r"flat|city|postal|postcode|zip|passport|tax_id|ip|user_agent|whatsapp|wechat|facebook|instagram|linkedin|social|"
    r"income|religion|health|special_needs|salary|iban|nationality)(_|$)"
)
NAMED_AFTER_PEOPLE = {"party", "contact", "app_user"}
# They tell about a value, not the value itself.
NOT_A_VALUE = {"boolean", "datetime", "integer", "reference"}
# Undeclared columns that are made from a personal one and die with it, or that are hashes of it.
UNDECLARED = {("party", "tax_id_key"), ("login_attempt", "email_hash")}


def looks_personal() -> Iterator[tuple[str, Any]]:
    for entity in entities():
        for column in entity.__table__.columns:
            named = column.name == "name" and entity.__tablename__ in NAMED_AFTER_PEOPLE
            if named or OF_A_PERSON.search(column.name):
                yield entity.__tablename__, column


def test_every_column_that_sounds_personal_has_a_personal_class() -> None:
    wrong, seen = [], set()
    for table, column in looks_personal():
        declared = column.info.get("field")
        seen.add((table, column.name))
        if declared is None:
            if (table, column.name) not in UNDECLARED:
                wrong.append(f"{table}.{column.name} is not declared")
        elif declared.kind not in NOT_A_VALUE and not column.name.endswith("_state") and not declared.is_personal:
            wrong.append(f"{table}.{column.name} has no personal class")
    assert {("party", "email"), ("party", "email_given"), ("contact", "name"), ("address", "street")} <= seen
    assert seen >= UNDECLARED, "an exception that is needed no more"
    assert wrong == []


# Routes

PUBLIC = {"static", "admin.static", "access.login", "root", "alive", "ready", "api_pages", "api.openapi"}
# Reachable for whoever is signed in; what they show is decided line by line.
FOR_ANYBODY_SIGNED_IN = {"access.logout", "access.password", "admin.index", "admin.demo", "admin.rights", "admin.why"}
# Flask-Admin's own ways in: they answer 404 behind the same door.
SHUT = {"ajax_lookup", "ajax_update"}


def rules(app: Flask) -> list[Rule]:
    return sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)


def views(app: Flask) -> dict[str, Any]:
    return {view.endpoint: view for view in app.extensions["desk_admin"]._views}


def address(rule: Rule) -> str:
    return re.sub(r"<[^>]+>", "1", rule.rule)


def test_every_route_has_a_rule(built_app: Flask) -> None:
    known, without = views(built_app), []
    for rule in rules(built_app):
        blueprint, _, method = rule.endpoint.rpartition(".")
        view = known.get(blueprint)
        if rule.endpoint in PUBLIC | FOR_ANYBODY_SIGNED_IN or blueprint == "api":
            continue
        if isinstance(view, EntityView) and (method in view.rights or method in SHUT):
            continue
        without.append(f"{rule.rule} ({rule.endpoint})")
    assert without == []


def test_the_lists_of_routes_name_nothing_that_is_gone(built_app: Flask) -> None:
    there = {rule.endpoint for rule in rules(built_app)}
    assert there >= PUBLIC | FOR_ANYBODY_SIGNED_IN
    methods = {endpoint.rpartition(".")[2] for endpoint in there}
    for view in views(built_app).values():
        assert isinstance(view, EntityView | HomeView)
        if isinstance(view, EntityView):
            assert methods >= set(view.rights)


def test_nobody_gets_an_answer_without_signing_in(app: Flask, client: Any) -> None:
    asked = 0
    for rule in rules(app):
        if rule.endpoint in PUBLIC:
            continue
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            answer = client.open(address(rule), method=method)
            asked += 1
            said = (method, rule.rule, answer.status_code)
            if rule.rule.startswith("/api/"):
                assert answer.status_code == 401, said
            elif rule.endpoint in ("access.logout", "admin.demo"):
                assert answer.status_code in (302, 303, 403), said
            else:
                assert answer.status_code == 302, said
                assert answer.location.startswith("/login"), said
    assert asked > 100


def test_whoever_has_no_role_gets_no_screen_but_home(app: Flask, session: Any, as_user: Any) -> None:
    person = as_user("auditor")
    db.session.execute(delete(UserRole).where(UserRole.user_id == person.user_id))
    db.session.commit()
    for rule in rules(app):
        blueprint, _, name = rule.endpoint.rpartition(".")
        if rule.endpoint in PUBLIC | FOR_ANYBODY_SIGNED_IN or blueprint == "api":
            continue
        if blueprint != "customers" and name in EntityView.rights | dict.fromkeys(SHUT):
            continue  # the same code for every face, which test_every_entity goes through
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            answer = person.client.open(address(rule) + "?id=1&action=block&rowid=1", method=method)
            assert answer.status_code in (403, 404), (method, rule.rule, answer.status_code)
    assert person.client.get("/admin/").status_code == 200
    assert person.client.post("/admin/demo/").status_code == 403


# Pages without inline code: the policy would block it, silently

INLINE = (
    (re.compile(r"<script(?![^>]*\ssrc=)", re.I), "an inline script"),
    (re.compile(r"<style", re.I), "an inline style sheet"),
    (re.compile(r"\sstyle\s*=", re.I), "a style attribute"),
    (re.compile(r"\s(hx-)?on[a-z:-]+\s*=\s*[\"'{]", re.I), "an event attribute"),
    (re.compile(r"javascript:", re.I), "a javascript: address"),
    (re.compile(r"(src|href)=[\"'](https?:)?//", re.I), "something from another server"),
)


def templates() -> list[Path]:
    return sorted(TEMPLATES.rglob("*.html"))


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.name)
def test_a_template_holds_no_inline_code(path: Path) -> None:
    source = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.S)
    assert [what for pattern, what in INLINE if pattern.search(source)] == []


def inline_code(page: str) -> list[str]:
    """What the policy would block, found by a parser in the page as it is sent."""
    found = []
    for element in html5lib.parse(page, namespaceHTMLElements=False).iter():
        if not isinstance(element.tag, str):
            continue
        if element.tag == "style" or (element.tag == "script" and not element.get("src")):
            found.append(f"<{element.tag}>")
        for name, value in element.attrib.items():
            name = str(name).lower()
            if name == "style" or re.match(r"(hx-)?on", name) or str(value).strip().lower().startswith("javascript:"):
                found.append(f"<{element.tag} {name}>")
            if name in ("src", "srcset") and re.match(r"(https?:)?//", str(value)):
                found.append(f"<{element.tag} {name}={value}>")
    return found


@pytest.mark.parametrize("page", [
    "<p onclick='x()'>", "<p style='color:red'>", "<script>1</script>", "<style></style>", "<a href=' JavaScript:x'>",
    "<p hx-on:click='x'>", "<img src='//elsewhere/x.png'>",
])  # fmt: skip
def test_inline_code_in_a_page_is_seen(page: str) -> None:
    assert inline_code(page) != []


# Whoever names a person so must not get a script onto a page.
NASTY = "<script>alert(1)</script>\"'><b onmouseover=alert(1)>"


def test_every_template_is_sent_without_inline_code(app: Flask, session: Any, as_user: Any, client: Any) -> None:
    drawn: set[str] = set()
    wrong: list[str] = []

    def note(_app: Flask, template: Any, **_: Any) -> None:
        drawn.add(template.name)

    def see(person: Any, method: str, where: str, **more: Any) -> Any:
        answer = person.open(where, method=method, **more)
        assert answer.status_code < 500, where
        wrong.extend(f"{method} {where}: {what}" for what in inline_code(answer.get_data(as_text=True)))
        return answer

    customer = face_named("customer")
    first, second = make(customer, name=NASTY), make(customer, name=NASTY, industry=NASTY, description=NASTY)
    make(face_named("contact"), party_id=first.id, name=NASTY)
    make(face_named("note"), party_id=first.id, text=NASTY)
    make(face_named("deal"), customer_id=first.id, name=NASTY, next_step=NASTY)
    make(face_named("interaction"), party_id=first.id, subject=NASTY, content=NASTY)
    make(face_named("relation"), from_party_id=first.id, to_party_id=second.id, kind="supplier")
    make(face_named("duplicate_candidate"), first_party_id=first.id, second_party_id=second.id, reasons=NASTY)
    rule = {"all": [{"field": "industry", "op": "eq", "value": NASTY}, {"related": "orders"}, {"none": []}]}
    segment = make(face_named("segment"), name=NASTY, type="dynamic", rule=rule)
    make(face_named("invoice"), account_id=make(face_named("credit_account"), party_id=first.id).id)
    other = make(face_named("credit_account"), party_id=make(customer, name=NASTY).id)
    member = make(face_named("loyalty_account"), party_id=other.party_id)
    make(face_named("credit_request"), account_id=other.id, reason=NASTY, status="pending")
    second.block_state, second.block_reason = "blocked", NASTY
    db.session.commit()
    with template_rendered.connected_to(note, app):
        admin = as_user("admin").client
        see(client, "GET", "/login")
        for where in ("/admin/", "/password/", "/api/docs", "/admin/customers/nothing/", "/admin/customers/new/",
                      f"/admin/customers/?search=script&flt_name_contains={NASTY}", "/admin/customers/?search=zzz",
                      f"/admin/customers/menu/?id={first.id}", "/admin/customers/filters/",
                      f"/admin/customers/details/?id={second.id}", f"/admin/customers/history/?id={second.id}",
                      f"/admin/customers/related/?id={first.id}&relation=contacts",
                      f"/admin/customers/relations/?id={first.id}", f"/admin/customers/notes/?id={first.id}",
                      f"/admin/customers/details/?id={first.id}&tab=activities&q={NASTY[:9]}",
                      f"/admin/customers/timeline/?id={first.id}", "/admin/deals/board/", "/admin/duplicates/decide/", "/admin/credit-accounts/ageing/", "/admin/credit-accounts/reviews/", f"/admin/credit-accounts/statement/?id={other.id}", "/admin/loyalty-accounts/liability/", "/admin/loyalty-accounts/coming/", f"/admin/loyalty-accounts/statement/?id={member.id}",
                      "/admin/credit-requests/decide/",
                      f"/admin/customers/edit/?id={second.id}", "/admin/jobs/", "/admin/imports/",
                      f"/admin/segments/rule/?id={segment.id}", f"/admin/segments/details/?id={segment.id}&tab=versions",
                      f"/admin/segments/trend/?id={segment.id}", f"/admin/segments/from-file/?id={segment.id}", "/admin/rights/", f"/admin/rights/why/?face=customer&verb=edit&record={first.id}&field=name"):  # fmt: skip
            see(admin, "GET", where)
        see(admin, "GET", f"/admin/customers/action/?action=block&rowid={first.id}")
        see(admin, "POST", f"/admin/customers/edit/?id={first.id}",
            data={"name": "Mine", "_version": "1", "_original": '{"name": "Older"}'})  # fmt: skip
        see(admin, "POST", "/admin/customers/action/",
            data={"action": "block", "rowid": [first.id, second.id], "confirm": "1", "reason": NASTY})  # fmt: skip
        _import(app, admin, see)
        both = f"/admin/duplicates/compare/?id={first.id}&id={second.id}"
        see(admin, "GET", both)
        see(admin, "POST", both, data={"keep": first.id, "reason": NASTY})
        see(admin, "GET", f"/admin/merges/undo/?id={newest(face_named('merge')).id}")
    assert wrong == []
    pages = {f"desk/{path.name}" for path in templates()}
    included = {"desk/base.html", "desk/bare.html", "desk/macros.html"}
    fragments = {name for name in pages if name.startswith("desk/_")}
    assert pages - included - fragments - drawn == set(), "these were never drawn here"


def _import(app: Flask, admin: Any, see: Any) -> None:
    """The wizard's pages, with a file that carries the same."""
    file = io.BytesIO(f'name,email,status\n"{NASTY}",a@x.org,active\n{NASTY},not an address,active\n'.encode())
    see(admin, "GET", "/admin/imports/new/")
    answer = see(admin, "POST", "/admin/imports/new/", content_type="multipart/form-data",
                 data={"entity": "customer", "duplicates": "skip", "file": (file, f"{NASTY}.csv")})  # fmt: skip
    number = int(answer.location.rpartition("=")[2])
    see(admin, "GET", f"/admin/imports/map/?id={number}")
    see(admin, "POST", f"/admin/imports/map/?id={number}",
        data={"do": "next", "column_0": "name", "column_1": "email", "column_2": "status"})  # fmt: skip
    see(admin, "GET", f"/admin/imports/preview/?id={number}")
    see(admin, "POST", f"/admin/imports/preview/?id={number}", data={"do": "run"})
    with app.app_context():
        for _ in run_import(number, {}):
            db.session.commit()
        db.session.get_one(Import, number).job.state = JobState.DONE
        db.session.commit()
    for where in ("progress", "status", "details", "undo"):
        see(admin, "GET", f"/admin/imports/{where}/?id={number}")
