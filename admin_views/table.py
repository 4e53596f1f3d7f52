"""The rows of a list as HTML, put together in Python: drawn by templates they took half of a page's time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import url_for
from markupsafe import Markup, escape

from admin_views.cells import EMPTY, MASKED, fields_of, has_avatar, html, icon, initials, render, title_of, tone_of
from admin_views.lists import endpoint, may
from crm.core.entity import Face, face_named
from crm.core.permissions import Access

_TICK = ('<td class="cell-tick"><label class="hit"><input class="input" type="checkbox" name="rowid" value="%s" form="bulk" '
         'data-tick aria-label="Tick %s"></label></td>')  # fmt: skip
_NAME = ('<td class="cell-name"><div class="name">%s<span class="name-text"><a href="%s" title="%s">%s</a>%s</span>'
         "</div></td>")  # fmt: skip
_AVATAR = '<span class="avatar avatar-%s%s" aria-hidden="true">%s</span>'
_CODE = '<span class="name-sub">%s</span>'
_MENU = ('<td class="cell-menu"><button class="icon-btn row-btn" type="button" popovertarget="row-%s" data-menu-end '
         'aria-haspopup="menu" aria-label="More for %s">%s</button><div class="menu" id="row-%s" popover data-menu '
         'role="menu" aria-label="More for %s" hx-get="%s" hx-trigger="toggle once"></div></td>')  # fmt: skip

_ALIKE = frozenset(("choice", "boolean", "country", "language"))  # the same value looks the same in each row

Link = Callable[[str, Any], str | None]


def rows(face: Face, records: Sequence[Any], names: Sequence[str], *, ticks: bool) -> Markup:
    """The body of a list's table; the first column names the record. `ticks`: there are commands for ticked rows."""
    details, menu = url_for(endpoint(face, "details_view")), url_for(endpoint(face, "menu_view"))
    more = icon("ellipsis")
    seen = fields_of(face)
    quick = frozenset(name for name in face.about.quick if seen[name] is Access.WRITE and may(face, "edit"))
    url_of = _pages()
    cells = [_cell(face, name, url_of, quick=name in quick) for name in names[1:]]
    name_of, with_avatar, with_code = _name(face, names[0]), has_avatar(face), "code" not in names
    drawn = []
    for record in records:
        name, number, fixed = name_of(record), record.id, face.is_archived(record)
        title = escape(name)
        address = html("%s?id=%s", details, number)
        avatar = html(_AVATAR, tone_of(record), " avatar-org" if getattr(record, "kind", None) == "organization" else "",
                      initials(name)) if with_avatar else ""  # fmt: skip
        code = getattr(record, "code", None)
        drawn += [
            html('<tr data-row data-id="%s" data-href="%s">', number, address),
            html(_TICK, number, title) if ticks else "",
            html(_NAME, avatar, address, title, title, html(_CODE, code) if code and code != name and with_code else ""),
            *[cell(record, fixed) for cell in cells],
            html(_MENU, number, title, more, number, title, html("%s?id=%s", menu, number)), "</tr>\n",
        ]  # fmt: skip
    return Markup("".join(drawn))  # noqa: S704 - all of them are drawn by `html` or of what it drew


def _name(face: Face, name: str) -> Callable[[Any], str]:
    first = face.field(name)
    if name in ("id", face.about.title) or not fields_of(face)[name].shows:
        return lambda record: title_of(face, record)
    if first.kind == "reference":
        other = face_named(first.refers_to)
        return lambda record: (
            title_of(other, found) if (found := getattr(record, first.name)) else title_of(face, record)
        )
    return lambda record: first.word(face.value(record, name)) or title_of(face, record)


def _pages() -> Link:
    """Where the page of a referred record is, asked once for each face."""
    known: dict[str, str | None] = {}

    def url_of(face_name: str, record: Any) -> str | None:
        if face_name not in known:
            face = face_named(face_name)
            known[face_name] = url_for(endpoint(face, "details_view")) if may(face, "read") else None
        page = known[face_name]
        return None if page is None else f"{page}?id={record.id}"

    return url_of


def _cell(face: Face, name: str, url_of: Link, *, quick: bool) -> Callable[[Any, bool], str]:
    """Draws the cell of a record; of one that is `fixed` it can't be changed."""
    declared = face.field(name)
    value, numeric = _value(face, name), "num" if declared.family == "number" else ""
    start = html('<td class="%s" data-label="%s">', numeric, declared.label)
    changing = html('<td class="%s" data-label="%s" data-edit="%s">', numeric, declared.label, name) if quick else start

    if not fields_of(face)[name].shows:
        return lambda record, fixed: f"{start}{EMPTY if value(record) in (None, '', []) else MASKED}</td>"

    alike: dict[Any, Markup] | None = {} if declared.kind in _ALIKE else None

    def cell(record: Any, fixed: bool) -> str:
        given = value(record)
        shown = alike.get(given) if alike else None
        if shown is None:
            shown = render(declared, given, record=record, url_of=url_of)
            if alike is not None:
                alike[given] = shown
        return f"{start if fixed else changing}{shown}</td>"  # all of them are safe by type

    return cell


def _value(face: Face, name: str) -> Callable[[Any], Any]:
    """How the value is read, looked up once for all rows."""
    if name not in face.fields:
        return lambda record: face.value(record, name)
    attribute = face.fields[name].attribute
    return lambda record: getattr(record, attribute)
