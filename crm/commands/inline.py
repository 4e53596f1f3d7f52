"""Records that are written in the form of what they belong to: each has its own right, row scope and version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, inspect
from sqlalchemy.orm.exc import StaleDataError

from crm.commands import records
from crm.core.command import Refused, WrongInput
from crm.core.entity import Face, Inline
from crm.core.permissions import Actor, allowed
from crm.queries.scope import find, visible

GONE = "is not there any more, or not for you"
CHANGED = "was changed meanwhile by somebody else: look at it again before you remove it"


@dataclass
class Row:
    """One record as the form sent it. `key` names it in the form (`contacts-0`), `id` is empty for a new one.

    `given` holds what the person changed, by public name; `first` what the form had shown.
    """

    key: str
    id: str = ""
    version: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)
    remove: bool = False

    @property
    def is_idle(self) -> bool:
        """Nothing was changed in it, or nothing was written into a new one."""
        return not self.remove and not any(self.given.values() if not self.id else self.given)


def face_of(face: Face, inline: Inline) -> Face:
    """The face of the records, whose rights count."""
    entity: Any = inspect(face.entity).relationships[inline.relation].mapper.class_
    found: Face = entity.faces[0]
    return found


def belonging(face: Face, record: Any, inline: Inline, by: Actor) -> Select[Any]:
    """The records that the person may change in this form; those whose fields stand in it already are left out."""
    link = inspect(face.entity).relationships[inline.relation]
    statement = visible(face_of(face, inline), by, "edit").where(next(iter(link.remote_side)) == record.id)
    shown = {name for section in face.about.sections for name in section.fields}
    for embed in face.about.embeds:
        other = embed.pick(record) if embed.relation == inline.relation else None
        if other is not None and any(embed.prefix + name in shown for name in embed.fields):
            statement = statement.where(link.mapper.class_.id != other.id)
    return statement.order_by(*link.order_by or ())


def clashes(
    face: Face, record: Any, inline: Inline, rows: Sequence[Row], by: Actor
) -> list[tuple[Row, Any, list[str]]]:
    """The rows in which somebody else has meanwhile changed the same fields to something else: row, record, fields."""
    child, found = face_of(face, inline), []
    for row in rows:
        other = _find(face, record, inline, row, by, "edit") if row.id and row.given and not row.remove else None
        if other is None or child.version(other) == row.version:
            continue
        names = [name for name, typed in row.given.items()
                 if child.field(name).text(child.value(other, name)) not in (row.first.get(name, ""), as_text(typed))]  # fmt: skip
        if names:
            found.append((row, other, names))
    return found


def save(face: Face, record: Any, inline: Inline, rows: Sequence[Row], by: Actor) -> None:
    """Make, change and remove what the rows say. Raises WrongInput with every fault, named `<key>-<field>`."""
    errors: dict[str, str] = {}
    for row in rows:
        if row.is_idle:
            continue
        try:
            _save(face, record, inline, row, by)
        except WrongInput as fault:
            errors |= {f"{row.key}-{name}": sentence for name, sentence in fault.errors.items()}
        except Refused as refusal:
            errors[f"{row.key}-{inline.fields[0]}"] = str(refusal)
        except StaleDataError:
            errors[f"{row.key}-{inline.fields[0]}"] = CHANGED
    if errors:
        raise WrongInput(errors)


def as_text(typed: Any) -> str:
    return ", ".join(typed) if isinstance(typed, list) else str(typed)


def _save(face: Face, record: Any, inline: Inline, row: Row, by: Actor) -> None:
    child = face_of(face, inline)
    if not row.id:
        if row.remove:
            return
        _need(child, by, "create")
        back = inspect(face.entity).relationships[inline.relation].back_populates or ""
        given = row.given | {back: str(record.id)}
        records.create(child, records.read_values(child, given, by, new=True, on_screen=True), by)
        return
    verb = "delete" if row.remove else "edit"
    _need(child, by, verb)
    other = _find(face, record, inline, row, by, verb)
    if other is None:
        raise Refused(GONE)
    if not row.remove:
        records.update(child, other, records.read_values(child, row.given, by, new=False, on_screen=True), by)
        return
    if child.version(other) != row.version:
        raise Refused(CHANGED)
    records.delete(child, other)


def _need(child: Face, by: Actor, verb: str) -> None:
    if allowed(by, f"{child.name}.{verb}") is None:
        raise Refused(f"you may not {verb} {child.label_plural.lower()}")


def _find(face: Face, record: Any, inline: Inline, row: Row, by: Actor, verb: str) -> Any:
    """The record of a row, when it belongs to this one and the person may do this to it."""
    other = find(face_of(face, inline), by, row.id, verb)
    remote = next(iter(inspect(face.entity).relationships[inline.relation].remote_side))
    return other if other is not None and getattr(other, str(remote.key)) == record.id else None
