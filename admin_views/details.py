"""The context of a record's page, its history, and the conflict of two who saved."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any

from babel.dates import format_date, format_datetime
from flask import request, url_for
from markupsafe import Markup
from sqlalchemy import select

from admin_views.cells import (
    MASK,
    as_given,
    asking,
    cell,
    fields_of,
    has_avatar,
    initials,
    moment,
    pill,
    present,
    title_of,
    tone_of,
    zone,
)
from admin_views.forms import DeclaredField, DeskForm
from admin_views.lists import command_items, endpoint, may, page_of
from admin_views.tabs import tabs_of
from crm.core.entity import Face, db, face_named
from crm.core.fields import Field
from crm.core.permissions import PICK
from crm.importing.access import may_undo, may_watch
from crm.models.imports import Import
from crm.queries.history import SHOWN, Change, Event, history, whole_history
from crm.queries.listing import BadQuery
from crm.queries.scope import find

ICONS = {"create": "plus", "update": "pencil", "delete": "trash-2"}


def context(face: Face, record: Any, extras: dict[str, Any], tab: str) -> dict[str, Any]:
    title = title_of(face, record)
    # A status tells the state as well, where there is one.
    names = ("status", "type") if "status" in face.fields else ("type", "state")
    told = (getattr(record, name, None) for name in names if _seen(face, name))
    pills = [pill(value.label, value.tone) for value in told if value is not None and hasattr(value, "tone")]
    edit = {"label": "Edit", "url": url_for(endpoint(face, "edit_view"), id=record.id), "icon": "pencil"}
    can_edit = face.about.edit and may(face, "edit") and not face.is_archived(record)
    menu = []
    if face.about.delete and may(face, "delete"):
        menu.append({"label": "Delete", "url": url_for(endpoint(face, "delete_view"), id=record.id), "icon": "trash-2",
                     "tone": "bad", "method": "post"})  # fmt: skip
    number = getattr(record, "code", "") or f"No. {record.id}"
    return {
        "page": {"title": title, "subtitle": number if number != title else "",
                 "initials": initials(title) if has_avatar(face) else "", "tone": tone_of(record),
                 "org": getattr(record, "kind", None) == "organization",
                 "breadcrumbs": [(face.about.area, None), (face.label_plural, url_for(endpoint(face, "index_view"))),
                                 (title, None)],
                 "photo_url": extras.get("photo_url"),
                 "primary": edit if can_edit else extras.get("primary")},
        "pills": [*pills, *extras.get("pills", [])], "facts": extras.get("facts", []), "alerts": extras.get("alerts", []),
        "figures": extras.get("figures", []), "commands": extras["commands"] if "commands" in extras else command_items(face, record), "links": extras.get("links", []), "menu": [*extras.get("menu", []), *menu],
        "tabs": tabs_of(face, record, extras.get("tabs", []), tab), "page_url": url_for(endpoint(face, "details_view"), id=record.id),
        "sections": [shown for shown in (_section(face, record, section.title, section.fields)
                                         for section in face.about.detail or face.about.sections) if shown["rows"]]
                    + extras.get("sections", []),
    }  # fmt: skip


def _section(face: Face, record: Any, title: str, names: tuple[str, ...]) -> dict[str, Any]:
    rows = []
    for name in present(face, names):
        value = face.value(record, name)
        declared = face.field(name)
        if (value in (None, "", []) and not as_given(declared, record)) or (
                declared.of and face.value(record, declared.of) is None):  # fmt: skip
            continue
        rows.append({"label": declared.label, "html": cell(face, record, name, page_of)})
    return {"title": title, "rows": rows}


def _seen(face: Face, name: str) -> bool:
    return name in face.fields and fields_of(face)[name].shows


def history_page(face: Face, record: Any) -> dict[str, Any]:
    """The context of a part of the timeline; the address says after which entry it goes on."""
    before = request.args.get("before", "")
    if before and not re.fullmatch(r"[1-9][0-9]{0,17}", before):
        raise BadQuery("before", "is the number of an entry")
    events = whole_history(face, record, asking(), before=int(before) if before else None)
    more = (
        url_for(endpoint(face, "history_view"), id=record.id, before=events[-1].entry.id)
        if len(events) == SHOWN
        else None
    )
    return {"entries": entries_of(face, events), "following": bool(before), "more_url": more}


def entries_of(face: Face, events: list[Event]) -> list[dict[str, Any]]:
    shown, imports = [], _imports_of(events)
    for event in events:
        changes = [_changed(change) for change in event.changes if _is_news(change, event)]
        reason = next((change.after for change in event.changes if change.column == "status_reason"), None)
        shown.append({
            "when_html": moment(event.entry.created_at), "who": _who(event),
            "what": _what(event.face or face, event), "tone": event.action.tone, "icon": ICONS[event.action.value], "changes": changes,
            "text": imports.get(event.entry.via) or (f"Reason: {reason}" if reason and reason != MASK else _by_way_of(event.entry.via)),
            "request": event.entry.request_id,
        })  # fmt: skip
    return shown


_OF_IMPORT = re.compile(r"(undo of )?import ([1-9][0-9]{0,17})")


def _imports_of(events: list[Event]) -> dict[str, Markup]:
    """The words for entries by way of an import, or of its undo: the file, and the way to its report for who may see it."""
    named = {event.entry.via: found for event in events if (found := _OF_IMPORT.fullmatch(event.entry.via))}
    ids = {int(found[2]) for found in named.values()}
    records = {one.id: one for one in db.session.scalars(select(Import).where(Import.id.in_(ids)))} if ids else {}
    words = {}
    for via, found in named.items():
        record = records.get(int(found[2]))
        if record is None:
            continue
        begins = "Undo of the import of" if found[1] else "Import of"
        page = "imports.undo_view" if found[1] else "imports.progress_view"
        face, asked = face_named(record.entity), asking()
        seen = may_undo(record, face, asked) if found[1] else may_watch(record, face, asked)
        link = Markup('{} <a href="{}">{}</a>').format(begins, url_for(page, id=record.id), record.file_name)
        words[via] = link if seen else Markup("{} {}").format(begins, record.file_name)
    return words


def _who(event: Event) -> str:
    return title_of(face_named("user"), event.actor) if event.actor else "The system"


def _is_news(change: Change, event: Event) -> bool:
    """What a person wants to read: not the copies that are kept beside, and not what a deletion took along."""
    if change.column.endswith("_given") or change.column == "status_reason":
        return False
    return event.action.value != "delete"


def _what(face: Face, event: Event) -> str:
    thing = face.label.lower()
    if event.child is not None:
        verbs = {"create": "added", "update": "changed", "delete": "deleted"}
        return f"{verbs[event.action.value]} the {thing} {title_of(face, event.child)}"
    if event.action.value == "create":
        return f"made this {thing}"
    if event.action.value == "delete":
        return f"deleted this {thing}"
    states = {change.column: change.after for change in event.changes}
    match states.get("block_state"):
        case "blocked":
            return f"blocked this {thing}"
        case "blacklisted":
            return f"blacklisted this {thing}"
        case "none":
            return f"unblocked this {thing}"
    number = sum(_is_news(change, event) for change in event.changes)
    return f"changed {number} fields" if number != 1 else "changed one field"


def _by_way_of(via: str) -> str:
    words = {"api": "By way of the API", "cli": "From the command line", "": "", "screen": ""}
    if via.startswith("api "):
        return f"By way of the API, with the key {via.removeprefix('api ')}…"
    return words.get(via, f"By {via}")


def _changed(change: Change) -> dict[str, Any]:
    declared = change.field
    label = declared.label if declared else change.column.replace("_", " ").capitalize()
    return {"label": label, "before": worded(declared, change.before), "after": worded(declared, change.after)}


def worded(declared: Field | None, kept: str | None) -> str | None:
    """The text of the database as a person reads it; as it stands where the field has changed since."""
    if kept in (None, MASK) or declared is None:
        return kept
    if declared.kind == "reference":
        record = find(face_named(declared.refers_to), asking(), kept, PICK)
        return title_of(face_named(declared.refers_to), record) if record is not None else f"No. {kept}"
    if declared.family == "list":
        return ", ".join(part.strip('"') for part in kept.strip("{}").split(",") if part)
    try:
        value = declared.parse(kept)
    except ValueError:
        return kept
    match value:
        case dt.datetime():
            return format_datetime(value.astimezone(zone()), "d MMM y, HH:mm", locale="en")
        case dt.date():
            return format_date(value, "d MMM y", locale="en")
    return declared.word(value)


# Forms


def fill(form: DeskForm, face: Face, record: Any) -> None:
    """The record's present values in a form; what was typed stays."""
    for name, field in form._fields.items():
        declared = field.declared
        field.shown = face.value(record, name)
        if declared.keeps_given and getattr(record, f"{declared.attribute}_given", None) and field.shown is None:
            field.shown = getattr(record, f"{declared.attribute}_given")
        if declared.kind == "reference":
            other = getattr(record, name, None)
            field.shown_as = title_of(face_named(declared.refers_to), other) if other is not None else ""
            if field.typed is not None and field.typed != declared.text(field.shown):
                prefill_name(field, str(field.typed))


def prefill_reference(field: DeclaredField, raw: str) -> None:
    other = face_named(field.declared.refers_to)
    target = find(other, asking(), raw, PICK)
    if target is not None:
        field.shown, field.shown_as = target.id, title_of(other, target)


def suggest(form: DeskForm, values: Mapping[str, Any]) -> None:
    """What the fields of a form begin with where nothing was typed."""
    for name, value in values.items():
        field = form._fields[name]
        if field.typed is None and field.declared.kind == "reference":
            prefill_reference(field, str(value))
        elif field.typed is None:
            field.shown = value


def prefill_name(field: DeclaredField, raw: str) -> None:
    other = face_named(field.declared.refers_to)
    target = find(other, asking(), raw, PICK)
    field.shown_as = title_of(other, target) if target is not None else ""


def original(form: DeskForm) -> str:
    """What the form showed when it was opened, to tell what the person changed."""
    return json.dumps({name: field.opened_with() for name, field in form._fields.items()})


def read_original(raw: str) -> dict[str, str] | None:
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return {str(name): str(text) for name, text in read.items()} if isinstance(read, dict) else None


def as_text(typed: Any) -> str:
    return ", ".join(typed) if isinstance(typed, list) else str(typed)


def clashes(face: Face, record: Any, given: Mapping[str, Any], first: Mapping[str, str]) -> list[str]:
    """The fields that both changed, to different values."""
    found = []
    for name, typed in given.items():
        theirs = face.field(name).text(face.value(record, name))
        if theirs not in (first.get(name, ""), as_text(typed)):
            found.append(name)
    return found


def conflict(
    face: Face, record: Any, names: list[str], given: Mapping[str, Any], first: Mapping[str, str]
) -> dict[str, Any]:
    """What the conflict page shows: each field as it was, as the person wants it, as it is now."""
    latest = next(iter(history(record, 1)), None)
    fields = [{"name": name, "label": face.field(name).label, "original": first.get(name, ""),
               "mine": as_text(given.get(name, "")), "theirs": face.field(name).text(face.value(record, name)),
               "choose": "mine"} for name in names]  # fmt: skip
    return {"fields": fields, "who": _who(latest) if latest and latest.actor else "Somebody",
            "when_html": moment(latest.entry.created_at) if latest else Markup("")}  # fmt: skip
