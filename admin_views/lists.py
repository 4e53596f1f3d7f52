"""The context of a list: columns, rows, filter chips, batch commands, pager, and what an empty list says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode

from flask import abort, g, request, url_for
from flask_login import current_user

from admin_views.cells import asking, columns_of, fields_of, title_of
from crm.core.command import commands_of
from crm.core.entity import Face, face_named
from crm.core.fields import Field
from crm.core.permissions import PICK, allowed
from crm.queries.listing import FAR_MORE, BadQuery, Filter, ListQuery, Page, read_query
from crm.queries.operators import WITHOUT_VALUE, operator_word
from crm.queries.saved_views import views_of
from crm.queries.scope import find
from crm.queries.segment_rules.from_filters import records_of

INPUTS = {"number": "number", "date": "date", "text": "text", "reference": "picker", "boolean": "choice"}


def endpoint(face: Face, name: str) -> str:
    return f"{face.plural.replace('-', '_')}.{name}"


def may(face: Face, verb: str) -> bool:
    """Whether the person may do this at all; asked many times on a page, decided once."""
    known: dict[tuple[str, str], bool] = g.setdefault("may", {})
    if (face.name, verb) not in known:
        if not current_user.is_authenticated:
            return False
        known[face.name, verb] = allowed(asking(), f"{face.name}.{verb}") is not None
    return known[face.name, verb]


def refuse(face: Face, verb: str) -> NoReturn:
    """Answer 403; the page then names the right, who has it and whom to ask."""
    g.needed = (face, verb)
    abort(403)


def page_of(face_name: str, record: Any) -> str | None:
    """The page of a referred record, where the person may open that face at all."""
    face = face_named(face_name)
    return url_for(endpoint(face, "details_view"), id=record.id) if may(face, "read") else None


def hint(face: Face, record: Any) -> str:
    """What tells two of the same name apart in a picker: number, then e-mail."""
    seen = [name for name in ("code", "email") if name in face.fields and fields_of(face)[name].shows]
    return " · ".join(str(value) for value in (face.value(record, name) for name in seen) if value)


def _import(face: Face) -> list[dict[str, str]]:
    """The way to the import wizard, for who may bring such records in."""
    if not (face.about.imports and may(face, "import")):
        return []
    return [{"label": "Import", "url": url_for("imports.create_view", entity=face.plural), "icon": "upload"}]


def _as_segment(face: Face, query: ListQuery) -> list[dict[str, str]]:
    """What is filtered becomes a segment: of the customers, or of those who have such records."""
    customers = face.name == "customer"
    if not query.filters or not may(face_named("segment"), "create") or not (customers or records_of(face)):
        return []
    of = [] if customers else [("of", face.plural)]
    return [{"label": "Save as segment", "url": url_for("segments.from_list_view") + _query([*of, *query.parameters()]),
             "icon": "chart-pie"}]  # fmt: skip


def context(
    face: Face, query: ListQuery, page: Page, number: int, exact: bool, extras: dict[str, Any]
) -> dict[str, Any]:
    base = url_for(endpoint(face, "index_view"))
    names = columns_of(face, query.columns)
    words = counted(number, exact)
    pairs = query.parameters()
    offered = [made for made in commands_of(face) if may(face, made.verb)]
    narrowed = bool(query.search or query.filters)
    export_url = url_for(endpoint(face, "export_form")) + _query(pairs)
    new = {"label": f"New {face.label.lower()}", "url": url_for(endpoint(face, "create_view"))}
    can_make = face.about.create and may(face, "create")
    secondary = [*_import(face), *_as_segment(face, query), *extras.get("secondary", [])]
    shown = {
        "page": {"title": face.label_plural, "singular": face.label, "plural": face.label_plural, "count_text": words,
                 "description": extras.get("description", ""), "breadcrumbs": [], "primary": new if can_make else None,
                 "secondary": secondary, "export_url": export_url if may(face, "export") else None},
        "columns": [_column(face, name, query, base) for name in names],
        "cell_url": url_for(endpoint(face, "cell_view")),
        "filters": _filters(face, query, base, pairs),
        "search": _search(face, query, base),
        "columns_url": url_for(endpoint(face, "columns_view")) + _query(pairs),
        **_views(face, query, base),
        "commands": [{"verb": made.verb, "label": made.label, "tone": made.tone, "icon": made.icon} for made in offered],
        "action_url": url_for(endpoint(face, "action_view")),
        "list_query": pairs,
        "matching_text": f"all {words} that match" if number > len(page.rows) else "",
        "pager": _pager(page, base, pairs, number, exact),
        "state": None if page.rows else ("nothing" if narrowed or query.cursor else "empty"),
        "empty": extras.get("empty") or {
            "title": f"No {face.label_plural.lower()} yet", "text": face.about.help or (face.entity.__doc__ or "").strip(),
            "icon": face.about.icon, "primary": new if can_make else None,
            "secondary": next(iter(secondary), None)},
    }  # fmt: skip
    if narrowed and not page.rows:
        shown["empty"] = None
    return shown


def counted(number: int, exact: bool, *, more: str = "more than", about: str = "about") -> str:
    """How many: an estimate to two places, as it must not look counted."""
    if exact:
        return f"{number:,}"
    if number <= FAR_MORE + 1:  # one more than the bound up to which it was counted
        return f"{more} {number - 1:,}"
    return f"{about} {round(number, -max(0, len(str(number)) - 2)):,}"


def _query(pairs: list[tuple[str, str]]) -> str:
    return "?" + urlencode(pairs) if pairs else ""


def _column(face: Face, name: str, query: ListQuery, base: str) -> dict[str, Any]:
    declared = face.field(name)
    sorted_now = query.sort == name
    others = [pair for pair in query.parameters() if pair[0] not in ("sort", "desc")]
    flipped = [("desc", "1")] if (sorted_now and not query.desc) else []
    return {"name": name, "label": declared.label, "numeric": declared.family == "number",
            "sorted": ("desc" if query.desc else "asc") if sorted_now else None,
            "sort_url": base + _query([*others, ("sort", name), *flipped]) if name in face.about.sort and fields_of(face)[name].shows else None}  # fmt: skip


def row_menu(face: Face, record: Any) -> list[dict[str, Any]]:
    items = []
    if face.about.edit and may(face, "edit"):
        items.append({"label": "Edit", "url": url_for(endpoint(face, "edit_view"), id=record.id), "icon": "pencil",
                      "tone": "", "method": "get"})  # fmt: skip
    items += [item | {"ask": True} for item in command_items(face, record)]
    if face.about.delete and may(face, "delete"):
        items.append({"label": "Delete", "url": url_for(endpoint(face, "delete_view")) + f"?id={record.id}",
                      "icon": "trash-2", "tone": "bad", "method": "post"})  # fmt: skip
    return items


def command_items(face: Face, record: Any) -> list[dict[str, Any]]:
    """The commands that make sense for this record and that the person may use."""
    return [{"verb": made.verb, "label": made.label, "tone": made.tone, "icon": made.icon, "method": "get",
             "url": url_for(endpoint(face, "action_view"), action=made.verb, rowid=record.id)}
            for made in commands_of(face)
            if may(face, made.verb) and (made.applies is None or made.applies(record))]  # fmt: skip


def _views(face: Face, query: ListQuery, base: str) -> dict[str, Any]:
    """The saved views as tabs, without those that this person can't see all of any more."""
    tabs = []
    for view in views_of(face, asking()):
        try:
            of_view = chosen(
                face, read_query(face, parse_qsl(view.query)), dict(parse_qsl(view.query)).get("columns", "")
            )
        except BadQuery:
            continue
        asked = [kept.field.name for kept in of_view.filters] + [of_view.sort] * bool(of_view.sort)
        if all(fields_of(face)[name].shows for name in asked):
            tabs.append(
                {"label": view.name, "url": f"{base}?{of_view.address}", "active": of_view.address == query.address}
            )
    keeps = query.address and may(face_named("saved_view"), "edit")
    return {"views": [{"label": "All", "url": base, "active": not query.address}, *tabs] if tabs else [],
            "views_url": f"{url_for(endpoint(face, 'views_view'))}?{query.address}" if keeps else None}  # fmt: skip


def chosen(face: Face, query: ListQuery, given: str) -> ListQuery:
    """The query with the columns that were chosen, by name and with commas. Raises BadQuery for a name that isn't there."""
    names = tuple(dict.fromkeys(name for name in given.split(",") if name))
    for name in names:
        if name not in offered_columns(face):
            raise BadQuery("columns", f"there is no column “{name[:60]}” here")
    return replace(query, columns=names)


def offered_columns(face: Face) -> list[str]:
    """What a list can show: the columns that are declared, then whatever else is stored of a record."""
    names = [name for section in (*face.about.detail, *face.about.sections) for name in section.fields]
    stored = [
        name for name in (*names, *face.embedded_names, "created_at", "updated_at") if not face.field(name).derived
    ]
    return list(dict.fromkeys((*face.about.columns, *stored)))


def _search(face: Face, query: ListQuery, base: str) -> dict[str, Any] | None:
    if not face.about.search:
        return None
    seen = [name for name in face.about.search if fields_of(face)[name].shows]
    if not seen:
        return None
    fields = ", ".join(face.fields[name].label.lower() for name in seen[:4])
    return {"url": base, "value": query.search, "placeholder": f"Search {face.label_plural.lower()}: {fields} …",
            "hidden": [pair for pair in query.parameters() if pair[0] != "search"]}  # fmt: skip


def _pager(page: Page, base: str, pairs: list[tuple[str, str]], number: int, exact: bool) -> dict[str, Any]:
    first = page.first_row
    text = f"{len(page.rows):,} rows"
    if first is not None and page.rows:
        total = counted(number, exact)
        text = f"{first:,}–{first + len(page.rows) - 1:,} of {total}"
    return {"text": text, "newer_url": base + _query([*pairs, ("before", page.newer)]) if page.newer else None,
            "older_url": base + _query([*pairs, ("after", page.older)]) if page.older else None}  # fmt: skip


def _filters(face: Face, query: ListQuery, base: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields_url = url_for(endpoint(face, "filters_view"))
    active = [{"label": kept.field.label, "text": _said(kept),
               "remove_url": base + _query([pair for pair in pairs if pair != (kept.parameter, kept.raw)]),
               "edit_url": fields_url + _query([*pairs, ("edited", str(place))]) if kept.op in _operators_for(kept) else None}
              for place, kept in enumerate(query.filters)]  # fmt: skip
    return {"active": active, "available": bool(_filtered_by(face)),
            "clear_url": base + _query([pair for pair in pairs if pair[0] == "columns"]),
            "fields_url": fields_url + _query(pairs)}  # fmt: skip


def filter_fields(face: Face, query: ListQuery) -> dict[str, Any]:
    """The fields that can be filtered by, with the rest of the list's query to keep; to edit one filter, its field alone."""
    place = request.args.get("edited", "")
    if re.fullmatch(r"[0-9]{1,3}", place) and int(place) < len(query.filters):
        kept = query.filters[int(place)]
        others = replace(query, filters=tuple(one for one in query.filters if one is not kept))
        return {"edited": True, "available": [_filter(kept.field, kept)], "hidden": others.parameters(),
                "base_url": url_for(endpoint(face, "index_view"))}  # fmt: skip
    return {"available": [_filter(face.fields[name]) for name in _filtered_by(face)],
            "base_url": url_for(endpoint(face, "index_view")), "hidden": query.parameters()}  # fmt: skip


def _filtered_by(face: Face) -> list[str]:
    return [name for name in face.filters if fields_of(face)[name].shows]


def _filter(declared: Field, kept: Filter | None = None) -> dict[str, Any]:
    lookup = ""
    if declared.kind == "reference":
        lookup = url_for(endpoint(face_named(declared.refers_to), "lookup_view"))
    ops = []
    for op in _operators_for(kept) if kept else _offered_operators(declared):
        kind = "none" if op in WITHOUT_VALUE else INPUTS.get(declared.family, "choice")
        if op in ("between", "within_last", "before_last", "within_next", "in", "not_in"):
            kind = "text"
        now = kept is not None and kept.op == op
        ops.append({"param": f"flt_{declared.name}_{op}", "label": operator_word(declared, op), "input": kind, "now": now,
                    "choices": declared.options() if kind == "choice" else [], "lookup_url": lookup,
                    "value": kept.raw if now and kept else "", "text": _values(kept) if now and kept else ""})  # fmt: skip
    return {"name": declared.name, "label": declared.label, "ops": ops}


def _offered_operators(declared: Field) -> list[str]:
    """`in` and `not_in` take lists in addresses and rules; a person ticks one value at a time."""
    return [op for op in declared.operators if op not in ("in", "not_in")]


def _operators_for(kept: Filter) -> list[str]:
    """How a filter that is there can be changed; a list of values is one text, with commas. Of records it would be numbers."""
    offered = _offered_operators(kept.field)
    typed = kept.op in kept.field.operators and kept.field.kind != "reference"
    return [*offered, kept.op] if kept.op not in offered and typed else offered


def _said(kept: Filter) -> str:
    word = operator_word(kept.field, kept.op)
    return word if kept.op in WITHOUT_VALUE else f"{word} {_values(kept)}"


def _values(kept: Filter) -> str:
    if kept.field.kind == "reference":
        face = face_named(kept.field.refers_to)
        numbers = [part.strip() for part in kept.raw.split(",") if part.strip().isdigit()]
        # Only what the person may see is told by name.
        found = [find(face, asking(), number, PICK) for number in numbers[:3]]
        return ", ".join(title_of(face, record) for record in found if record is not None) or kept.raw
    names = dict(kept.field.options())
    return ", ".join(names.get(part.strip(), part.strip()) for part in kept.raw.split(","))
