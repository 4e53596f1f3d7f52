"""The tabs of a record's page: what each holds is counted with the page, and drawn when it is opened or asked for by
`?tab=`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import render_template, url_for
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup
from sqlalchemy import inspect

from admin_views.cells import asking, cell, fields_of, has_avatar, initials, present, title_of, tone_of
from admin_views.forms import hidden
from admin_views.lists import endpoint, may, page_of
from crm.core.about import Section
from crm.core.command import commands_of
from crm.core.entity import Face, db
from crm.queries.listing import count_belonging, loads
from crm.queries.scope import belonging, related_face

RELATED_ROWS = 50
COUNTED = 999
UNFOLDED = 3


@dataclass
class Tab:
    """`url` answers what is in it as a fragment, `draw` makes the same; `counted` are the relationships whose records it
    counts. What lies in `html` stands on the page already."""

    id: str
    label: str
    url: str = ""
    draw: Callable[[], str] | None = None
    counted: tuple[str, ...] = ()
    html: str = ""
    count: str = ""
    active: bool = False


def tabs_of(face: Face, record: Any, own: Iterable[Tab], asked_for: str) -> list[Tab]:
    """Every tab that the person may open, the overview first; the one that is asked for is drawn."""
    tabs = [*own, *_related_tabs(face, record)]
    if face.about.audited:
        from_history = url_for(endpoint(face, "history_view"), id=record.id)
        tabs.append(Tab("history", "History", from_history))
    if not tabs or tabs[0].id != "overview":
        tabs.insert(0, Tab("overview", "Overview"))
    _count(face, record, tabs)
    asked = next((tab for tab in tabs if tab.id == asked_for), tabs[0])
    asked.active = True
    if asked.draw and not asked.html:
        asked.html = Markup(asked.draw())  # noqa: S704 - our own templates
    return tabs


def _count(face: Face, record: Any, tabs: list[Tab]) -> None:
    found = count_belonging(face, record, tuple(name for tab in tabs for name in tab.counted), asking(), COUNTED)
    for tab in tabs:
        numbers = [found[name] for name in tab.counted]
        if numbers:
            tab.count = f"{COUNTED}+" if max(numbers) > COUNTED else f"{sum(numbers):,}"


def _related_tabs(face: Face, record: Any) -> list[Tab]:
    tabs = []
    for section in _sections(face):
        seen = [name for name in section.fields if may(related_face(face, name), "read")]
        if seen:
            tabs.append(Tab(
                _ident(section), section.title,
                url_for(endpoint(face, "related_view"), id=record.id, relation=seen),
                lambda seen=seen: draw_related(face, record, seen),  # type: ignore[misc]
                tuple(seen)))  # fmt: skip
    return tabs


def _sections(face: Face) -> list[Section]:
    """Which related lists stand together in a tab, and each of the others in one of its own."""
    together = {name for tab in face.about.tabs for name in tab.fields}
    alone = [
        Section(name.replace("_", " ").capitalize(), (name,)) for name in face.about.related if name not in together
    ]
    return [*face.about.tabs, *alone]


def _ident(section: Section) -> str:
    return section.title.lower().replace(" ", "-")


def draw_related(face: Face, record: Any, relations: Iterable[str]) -> str:
    """The small tables of what belongs to a record, and what unfolds of it."""
    relations = list(relations)
    tables = [_related(face, record, relation) for relation in relations]
    drawn = render_template("desk/related.html", tables=tables,
                            page_url=url_for(endpoint(face, "details_view"), id=record.id))  # fmt: skip
    for relation in relations:
        other = related_face(face, relation)
        if other.about.unfolds:
            found = db.session.scalars(belonging(face, record, relation, asking()).limit(UNFOLDED))
            drawn += "".join(_unfolded(other, row) for row in found)
    return drawn


def _unfolded(face: Face, record: Any) -> str:
    """A record that belongs to another one, in its tab: what it says of itself, and what belongs to it."""
    figures = [{"label": face.field(name).label, "value": cell(face, record, name)} for name in present(face, face.about.unfolds)
               if face.value(record, name) is not None]  # fmt: skip
    seen = [name for name in face.about.related if may(related_face(face, name), "read")]
    return render_template("desk/_unfolded.html", title=f"{face.label} {title_of(face, record)}", figures=figures,
                           url=url_for(endpoint(face, "details_view"), id=record.id) if may(face, "read") else None,
                           related=Markup(draw_related(face, record, seen)))  # fmt: skip  # noqa: S704 - our own templates


def _related(face: Face, record: Any, relation: str) -> dict[str, Any]:
    other = related_face(face, relation)
    back = inspect(face.entity).relationships[relation].back_populates or ""
    names = [name for name in present(other, other.about.columns) if name != back] or ["id"]

    def called(row: Any) -> str:
        first = other.field(names[0])
        if first.kind == "reference" or not fields_of(other)[names[0]].shows:
            return title_of(other, row)
        return first.word(other.value(row, names[0])) or title_of(other, row)

    archived = face.is_archived(record)
    tab = next(_ident(section) for section in _sections(face) if relation in section.fields)
    rows = [{
        "url": url_for(endpoint(other, "details_view"), id=row.id) if may(other, "read") else None,
        "title": called(row), "subtitle": "",
        "initials": initials(title_of(other, row)) if has_avatar(other) else None, "tone": tone_of(row),
        "cells": [cell(other, row, name, page_of) for name in names[1:]],
        "quick": None if archived else _quick(other, row, face, record, tab),
    } for row in db.session.scalars(belonging(face, record, relation, asking()).options(*loads(other, names))
                                    .limit(RELATED_ROWS))]  # fmt: skip
    can_add = other.about.create and may(other, "create") and not archived
    return {
        "title": other.label_plural, "rows": rows, "add_label": f"New {other.label.lower()}",
        "columns": [{"label": other.field(name).label, "numeric": other.field(name).family == "number"} for name in names],
        "add_url": url_for(endpoint(other, "create_view"), **{back: record.id}) if can_add else None,
        "more_url": url_for(endpoint(other, "index_view"), **{f"flt_{back}_eq": record.id}),
        "more_text": "Open as a list", "empty_text": f"No {other.label_plural.lower()} yet.", "empty_icon": other.about.icon,
    }  # fmt: skip


def _quick(other: Face, row: Any, face: Face, record: Any, tab: str) -> dict[str, Any] | None:
    """The first command that fits a row and asks nothing: done with one click, without leaving the page's `tab`."""
    made = next((made for made in commands_of(other) if not made.asks and not made.confirm and may(other, made.verb)
                 and (made.applies is None or made.applies(row))), None)  # fmt: skip
    if made is None:
        return None
    back = url_for(endpoint(face, "details_view"), id=record.id, tab=tab)
    pairs = [
        ("csrf_token", generate_csrf()),
        ("action", made.verb),
        ("confirm", "1"),
        ("rowid", str(row.id)),
        ("next", back),
    ]
    return {"label": made.label, "icon": made.icon, "url": url_for(endpoint(other, "action_view")),
            "hidden": hidden(pairs), "tab": tab}  # fmt: skip
