"""Rows of what belongs to a record, in its own form: read from what was sent, and drawn, also without a script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from flask import url_for
from werkzeug.datastructures import MultiDict

from admin_views import details
from admin_views.cells import asking, fields_of, title_of
from admin_views.forms import DeskForm, described, form_class, hidden
from admin_views.lists import endpoint, may
from crm.commands.inline import Row, as_text, belonging, clashes, face_of, save
from crm.core.command import WrongInput
from crm.core.entity import Face, Inline, db
from crm.core.permissions import Access

MORE = "_more"  # the button that adds a row where no script runs
BLANK = "n"  # stands for the number in the row that the script copies


class Rows:
    """The rows of one kind of record in a form: those that were sent, else those that are there."""

    def __init__(self, face: Face, record: Any, inline: Inline, sent: MultiDict[str, str] | None) -> None:
        self.face, self.record, self.inline, self.child = face, record, inline, face_of(face, inline)
        self.sent = sent
        seen = fields_of(self.child)
        self.names = [name for name in inline.fields if seen[name] is Access.WRITE]
        self.keys = self._sent_keys() if sent is not None else []

    @cached_property
    def there(self) -> list[Any]:
        """Those that are there: only to draw the form, what was sent is saved without them."""
        if self.record is None:
            return []
        statement = belonging(self.face, self.record, self.inline, asking())
        return list(db.session.scalars(statement.limit(self.inline.most + 1)))

    def drawn_again(self) -> None:
        """Should something of it be refused, the form shows those that were there before."""
        _ = self.there

    def _sent_keys(self) -> list[str]:
        shape = re.compile(rf"({self.inline.relation}-[0-9]{{1,4}})-\w+")
        found = (shape.fullmatch(name) for name in self.sent or ())
        return list(dict.fromkeys(match[1] for match in found if match))

    @property
    def offered(self) -> bool:
        return len(self.there) <= self.inline.most and (bool(self.there) or may(self.child, "create"))

    def read(self) -> list[Row]:
        """What was sent, without what wasn't changed. Raises WrongInput for more than the form may hold."""
        assert self.sent is not None
        if len(self.keys) > 2 * self.inline.most:
            raise WrongInput({self.inline.relation: f"are too many: {self.inline.most} at most fit into the form"})
        return [self._row(key) for key in self.keys]

    def _row(self, key: str) -> Row:
        sent: Any = self.sent
        first = details.read_original(sent.get(f"{key}-_original", "")) or {}
        ident = sent.get(f"{key}-_id", "")
        given = self._given(key)
        if ident:
            given = {name: typed for name, typed in given.items()
                     if first.get(name) != as_text(typed) and sent.get(f"pick_{key}-{name}") != "theirs"}  # fmt: skip
        elif all(as_text(typed) == self._start(name) for name, typed in given.items()):
            given = {}  # a new row in which nothing was written
        return Row(key, ident, sent.get(f"{key}-_version", ""), given, first, f"{key}-_remove" in sent)

    def _start(self, name: str) -> str:
        return "false" if self.child.field(name).kind == "boolean" else ""

    def _given(self, key: str) -> dict[str, Any]:
        return {name.removeprefix(f"{key}-"): typed for name, typed in self.form(key, self.sent).given().items()}

    def form(self, key: str, sent: MultiDict[str, str] | None) -> DeskForm:
        fields = tuple([replace(self.child.field(name), name=f"{key}-{name}") for name in self.names])
        return form_class(fields)(sent)

    # Drawing

    def shown(self, errors: Mapping[str, str]) -> dict[str, Any]:
        """What the form's template draws."""
        noun = self.child.label.lower()
        keys = self.keys if self.sent is not None else [f"{self.inline.relation}-{n}" for n in range(len(self.there))]
        by_id = {str(one.id): one for one in self.there}
        rows = []
        for number, key in enumerate(keys):
            other = by_id.get(self.sent.get(f"{key}-_id", "")) if self.sent is not None else self.there[number]
            rows.append(self._drawn(key, other, errors))
        used = [int(key.rpartition("-")[2]) for key in keys]
        following = max(used, default=-1) + 1
        if self.sent is not None and self.sent.get(MORE) == self.inline.relation:
            rows.append(self._drawn(f"{self.inline.relation}-{following}", None, {}))
            following += 1
        link = url_for(endpoint(self.child, "index_view"))
        return {"relation": self.inline.relation, "title": self.child.label_plural, "help": self.inline.help, "rows": rows,
                "blank": self._drawn(f"{self.inline.relation}-{BLANK}", None, {}), "next": following, "more": MORE,
                "add": f"Add {'an' if noun[0] in 'aeiou' else 'a'} {noun}" if may(self.child, "create") else "",
                "list_url": link}  # fmt: skip

    def _drawn(self, key: str, other: Any, errors: Mapping[str, str]) -> dict[str, Any]:
        form = self.form(key, self.sent if other is None or key in self.keys else None)
        first: dict[str, str] = {}
        for name, field in form._fields.items():
            inner = name.removeprefix(f"{key}-")
            field.shown = None if other is None else self.child.value(other, inner)
            given = f"{field.declared.attribute}_given"
            if field.shown is None and field.declared.keeps_given and other is not None:
                field.shown = getattr(other, given, None)
            if field.declared.kind == "reference" and field.text():
                details.prefill_name(field, field.text())
            first[inner] = field.declared.text(field.shown)
        form.blame(errors)
        pairs = []
        if other is not None:
            sent = self.sent if self.sent is not None and key in self.keys else {}
            pairs = [(f"{key}-_id", str(other.id)),
                     (f"{key}-_version", sent.get(f"{key}-_version") or self.child.version(other)),
                     (f"{key}-_original", sent.get(f"{key}-_original") or json.dumps(first))]  # fmt: skip
        return {"key": key, "title": title_of(self.child, other) if other is not None else f"New {self.child.label.lower()}",
                "hidden": hidden(pairs), "fields": [described(field) for field in form._fields.values()],
                "remove": other is None or (self.child.about.delete and may(self.child, "delete")), "new": other is None,
                "removed": self.sent is not None and f"{key}-_remove" in self.sent,
                "labels": {field.id: f"{self.child.label}: {field.declared.label}" for field in form._fields.values()}}  # fmt: skip


def rows_of(face: Face, record: Any, sent: MultiDict[str, str] | None) -> list[Rows]:
    """Every kind of record that the face's form holds and of which the person may set something there."""
    made = [Rows(face, record, inline, sent) for inline in face.about.inline]
    return [one for one in made if one.names]


def save_all(groups: list[Rows], record: Any) -> None:
    """Write all rows; raises WrongInput with every fault of all of them."""
    errors: dict[str, str] = {}
    for group in groups:
        try:
            rows = group.read()
            if not all(row.is_idle for row in rows):
                group.drawn_again()
            save(group.face, record, group.inline, rows, asking())
        except WrongInput as fault:
            errors |= fault.errors
    if errors:
        raise WrongInput(errors)


def conflict_fields(groups: list[Rows], record: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What of the rows both changed, for the conflict page; and the versions (`<key>-_version`) it was seen in."""
    fields, versions = [], {}
    for group in groups:
        for row, other, names in clashes(group.face, record, group.inline, group.read(), asking()):
            versions[f"{row.key}-_version"] = group.child.version(other)
            fields += [{"name": f"{row.key}-{name}", "original": row.first.get(name, ""), "mine": as_text(row.given[name]),
                        "label": f"{group.child.label} {title_of(group.child, other)}: {group.child.field(name).label}", "choose": "mine",
                        "theirs": group.child.field(name).text(group.child.value(other, name))} for name in names]  # fmt: skip
    return fields, versions


def sent_again(groups: list[Rows], versions: Mapping[str, str]) -> list[tuple[str, str]]:
    """All that was sent of the rows, to be sent again with the person's choice."""
    pairs = []
    for group in groups:
        for name, value in (group.sent or MultiDict()).items(multi=True):
            if any(name.startswith(f"{key}-") for key in group.keys):
                pairs.append((name, versions.get(name, value)))
    return pairs
