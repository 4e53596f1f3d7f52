"""The matrix of who may do what and sees which fields, and the page that says why somebody can or can't."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import redirect, render_template, request, url_for
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from admin_views.base import EntityView
from admin_views.cells import asking, pill
from admin_views.forms import DeclaredField, described, form_class
from admin_views.lists import endpoint, may, page_of, refuse
from crm.core.entity import Face, all_faces, db, face_named
from crm.core.fields import FieldClass, field_of
from crm.core.permissions import Access, Scope, face_verbs
from crm.models.access import Role, User
from crm.queries.rights import Cell, classes, matrix, verb_words, why
from crm.queries.scope import find

NONE = Markup('<span class="faint">—</span>')


class RightsRoutes:
    """The two pages; a part of the home view, because they stand for no entity."""

    @expose("/rights/")
    def rights(self) -> Any:
        """Roles side by side: faces with their verbs, then classes of fields; or one role, or one area, alone."""
        if not current_user.is_authenticated:
            return redirect(url_for("access.login", next=request.full_path.rstrip("?")))
        if not may(face_named("role"), "read"):
            refuse(face_named("role"), "read")
        everyone = list(db.session.scalars(select(Role).options(selectinload(Role.grants)).order_by(Role.id)))
        areas = list(dict.fromkeys(face.about.area for face in all_faces() if face.about.screen))
        asked = request.args.get("area", "")
        area = asked if asked in areas else areas[0]
        chosen = request.args.get("role", "")
        roles = [role for role in everyone if role.name == chosen] or everyone
        page = {"title": "Rights", "breadcrumbs": [("System", None), ("Rights", None)],
                "description": "What each role may do, on which rows, and how the classes of fields show."}  # fmt: skip
        return render_template(
            "desk/rights.html", page=page, areas=areas, area=area, every_role=everyone,
            role=chosen if len(roles) == 1 else "", roles=[_role(role) for role in roles],
            faces=[_face(face, verbs, cells, roles) for face, verbs, cells in matrix(roles, {area})],
            why_url=url_for("admin.why"))  # fmt: skip

    @expose("/rights/why/")
    def why(self) -> Any:
        """Everybody may ask about himself; about others who sees people and roles."""
        if not current_user.is_authenticated:
            return redirect(url_for("access.login", next=request.full_path.rstrip("?")))
        others = may(face_named("user"), "read") and may(face_named("role"), "read")
        face = _asked_face()
        verbs = face_verbs(face) if face else []
        verb = request.args.get("verb", "") if request.args.get("verb") in verbs else (verbs[0] if verbs else "")
        name = request.args.get("field", "")
        record = "".join(char for char in request.args.get("record", "").strip()[:40] if char.isprintable())
        user = find(face_named("user"), asking(), request.args.get("user", "")) if others else None
        if user is None:
            user = db.session.get_one(User, current_user.id)
        answer = None
        if face is not None and verb:
            answer = why(user, face, verb, given=record, name=name, teller=asking())
        return render_template(
            "desk/why.html", page={"title": "Why can or can’t somebody do this?", "breadcrumbs": _crumbs()},
            answer=answer, lines=[_line(line) for line in answer.lines] if answer else [],
            picker=_person(user) if others else None, user=user, face=face, verb=verb, field=name,
            faces=[(one.name, one.label_plural) for one in all_faces() if one.about.screen],
            verbs=[(one, verb_words(face, one).capitalize()) for one in verbs] if face else [],
            fields=[(one, face.field(one).label) for one in (*face.fields, *face.embedded_names)] if face else [],
            record=record, action=url_for("admin.why"))  # fmt: skip


def _crumbs() -> list[tuple[str, str | None]]:
    matrix_url = url_for("admin.rights") if may(face_named("role"), "read") else None
    return [("System", None), ("Rights", matrix_url), ("Why", None)]


def _asked_face() -> Face | None:
    return next((face for face in all_faces() if face.about.screen and face.name == request.args.get("face")), None)


def _person(user: User) -> dict[str, Any]:
    form = form_class((field_of("reference", name="user", attribute="user", refers_to="user", label="Person"),))()
    field: DeclaredField = form._fields["user"]
    field.shown, field.shown_as = user.id, user.name
    return described(field)


def _line(line: Any) -> dict[str, Any]:
    return {"role": line.role.label, "url": page_of("role", line.role), "pattern": line.grant.pattern,
            "says": line.grant.says, "gives": line.gives, "origin": line.grant.origin.label}  # fmt: skip


def _role(role: Role) -> dict[str, Any]:
    return {"name": role.name, "label": role.label, "url": page_of("role", role)}


def _face(face: Face, verbs: list[str], cells: dict[tuple[int, str], Cell], roles: list[Role]) -> dict[str, Any]:
    shown = classes(roles, face)
    kinds = [kind for kind in FieldClass if any((role.id, str(kind)) in shown for role in roles)]
    return {
        "label": face.label_plural, "icon": face.about.icon,
        "verbs": [{"label": verb_words(face, verb).capitalize(), "name": f"{face.name}.{verb}",
                   "cells": [_right(role, face, verb, cells[role.id, verb]) for role in roles]} for verb in verbs],
        "classes": [{"label": kind.label, "name": f"{face.name}: {kind}",
                     "cells": [_fields(role, face, kind, shown.get((role.id, str(kind)), [])) for role in roles]}
                    for kind in kinds],
    }  # fmt: skip


def _right(role: Role, face: Face, verb: str, cell: Cell) -> dict[str, Any]:
    rows = cell.scope.value if cell.scope else Scope.OWN.value
    html = pill(cell.scope.label, cell.scope.tone) if cell.scope else pill("Denied", "bad") if cell.denied else NONE
    if cell.scope and cell.denied:
        html += Markup(" ") + pill(f"not {cell.denied.label.lower()}", "bad")
    return {"role": role.label, "html": html,
            "url": _change(role, "give_right", right=f"{face.name}.{verb}", rows=rows)}  # fmt: skip


def _fields(role: Role, face: Face, kind: FieldClass, found: list[Access]) -> dict[str, Any]:
    html = Markup(" ").join(pill(access.label, access.tone) for access in found) or NONE
    access = (found[-1] if found else Access.HIDDEN).value
    return {"role": role.label, "html": html,
            "url": _change(role, "show_fields", fields=f"{face.name}.*", field_class=kind.value, access=access)}  # fmt: skip


def _change(role: Role, verb: str, **values: str) -> str | None:
    """The form that changes this cell, for those who may; nobody changes a role that he holds."""
    if not may(face_named("role"), verb) or role.id in {held.id for held in current_user.roles}:
        return None
    query = urlencode({"action": verb, "rowid": role.id} | values)
    return f"{url_for(endpoint(face_named('role'), 'action_view'))}?{query}"


class RoleView(EntityView):
    """Roles, with the way to the matrix."""

    def list_extras(self) -> dict[str, Any]:
        return {"secondary": [{"label": "Matrix", "url": url_for("admin.rights"), "icon": "shield-check"}]}

    def detail_extras(self, record: Role) -> dict[str, Any]:
        there = {"label": "In the matrix", "url": url_for("admin.rights", role=record.name), "icon": "shield-check"}
        return {"menu": [there | {"tone": "", "method": "get"}]}


class UserView(EntityView):
    """People, with the way to what each of them may do."""

    def detail_extras(self, record: User) -> dict[str, Any]:
        there = {
            "label": "Why can or can’t this person …",
            "url": url_for("admin.why", user=record.id),
            "icon": "circle-help",
        }
        facts = [
            {"label": "Roles", "html": Markup("{}").format(", ".join(role.label for role in record.roles) or "None")}
        ]
        return {"menu": [there | {"tone": "", "method": "get"}], "facts": facts}
