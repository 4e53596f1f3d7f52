"""The base of every entity, what the rest of the house needs to know of one (`About`), and the session.

An entity is one class. `check_declarations()` refuses to start when a declaration names something that isn't there.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    DateTime,
    FetchedValue,
    Identity,
    Text,
    event,
    func,
    inspect,
    literal_column,
)  # fmt: skip
from sqlalchemy.orm import Mapped, MappedColumn, declared_attr, mapped_column
from sqlalchemy.orm.instrumentation import manager_of_class

from crm.core.about import About, Embed, Inline, Moment, Section
from crm.core.fields import Choice, Field
from crm.core.indexes import add_indexes
from crm.core.rules import in_bounds
from crm.core.searching import SEARCH_TEXT, search_column, search_table
from crm.core.tables import Base, Model, Xid, db


class DeclarationError(Exception):
    """A declaration names something that does not exist; the message says which entity and what."""


class Entity(Model):
    """Every record: a number, two times, and a version that moves with every change."""

    __abstract__ = True
    about: ClassVar[About | None] = None
    derived: ClassVar[dict[str, Field]] = {}
    faces: ClassVar[list[Face]]
    triggers: ClassVar[tuple[Any, ...]] = ()  # of crm.core.triggers
    search_apart: ClassVar[Any] = None  # the table of what is searched, where it isn't a column
    # A row stays as it was entered but for these columns, whoever writes (crm.core.ledgers); None: it may be changed.
    only_changes: ClassVar[tuple[str, ...] | None] = None
    doubts: ClassVar[tuple[Any, ...]] = ()  # of crm.core.rules
    __table__: ClassVar[Any]

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-10)
    created_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=90,
        info={"field": Field(kind="datetime", label="Created", editable=False, original=True)})  # fmt: skip
    updated_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=91,
        info={"field": Field(kind="datetime", label="Last changed", editable=False)})  # fmt: skip
    xmin: Mapped[str] = mapped_column("xmin", Xid(), system=True, server_default=FetchedValue())

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.xmin, "version_id_generator": False}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "__abstract__" not in cls.__dict__:
            _add_derived_columns(cls)
        super().__init_subclass__(**kwargs)
        if "__abstract__" not in cls.__dict__:
            _declare(cls)

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """What a person calls this record."""
        about = type(self).about
        value = getattr(self, about.title, None) if about else None
        return str(value) if value not in (None, "") else f"{type(self).noun()} {self.id}"

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """Fill in, before a new record is checked, what follows from the other values."""

    @classmethod
    def check(cls, face: Face, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        """What the fields can't know of each other and of who sets them: public name → sentence. `record` is None for a
        new one."""
        return {}

    def created(self) -> None:
        """What follows from there being a new record; runs once, after it has its number."""

    @classmethod
    def noun(cls) -> str:
        """`CreditRequest` → `Credit request`."""
        if cls.about and cls.about.label:
            return cls.about.label
        return re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__).capitalize()

    @classmethod
    def fields(cls) -> dict[str, Field]:
        """Every declared field by its public name, in declared order."""
        found = _fields.get(cls)
        if found is None:
            found = _fields[cls] = {bound.name: bound for bound in _bind(cls)}
        return found


@dataclass(frozen=True, eq=False)
class Face:
    """An entity as a person meets it: screen, path, rights, import target and tests are per face.

    `condition` answers the SQL that says which rows show this face; `defaults` is what a new one gets. A face
    `through` others has no rights of its own: a row is reached by the right to any of those.
    """

    entity: type[Entity]
    name: str
    plural: str
    about: About
    condition: Callable[[], ColumnElement[bool]] | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    through: tuple[str, ...] = ()
    figures: list[Any] = field(default_factory=list)  # of crm.core.figures, one at most
    linked: dict[str, Field] = field(default_factory=dict)  # what lists filter by though it stands in other rows

    @property
    def label(self) -> str:
        return self.about.label or self.name.replace("_", " ").capitalize()

    @property
    def label_plural(self) -> str:
        return self.about.label_plural or self.plural.replace("-", " ").capitalize()

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The entity's own, what is linked, then the figures of what shows this face."""
        own = self.entity.fields() | self.linked
        return own | self.figures[0].fields() if self.figures else own

    @property
    def filters(self) -> tuple[str, ...]:
        """What lists are filtered by: what is declared so, and what is linked."""
        return tuple(dict.fromkeys((*self.about.filters, *self.linked)))

    def field(self, name: str) -> Field:
        """The field of this name, the entity's own or an embedded one (`billing_city`)."""
        if name in self.fields:
            return self.fields[name]
        embed, inner = self._embedded(name)
        declared = inspect(self.entity).relationships[embed.relation].mapper.class_.fields()[inner]
        label = f"{embed.prefix.rstrip('_').capitalize()} {declared.label.lower()}" if embed.prefix else declared.label
        return replace(declared, name=name, label=label)

    def value(self, record: Any, name: str) -> Any:
        """What the record says under this name; None where there is no such related record."""
        if name in self.fields:
            return getattr(record, self.fields[name].attribute)
        embed, inner = self._embedded(name)
        other = embed.pick(record)
        return None if other is None else getattr(other, inner)

    def put(self, record: Any, name: str, value: Any) -> None:
        """Set a value under this name; an embedded one makes its related record when it is the first."""
        if name in self.fields:
            setattr(record, self.fields[name].attribute, value)
            return
        embed, inner = self._embedded(name)
        other = embed.pick(record)
        if other is None and value is not None:
            other = inspect(self.entity).relationships[embed.relation].mapper.class_(**dict(embed.where))
            getattr(record, embed.relation).append(other)
        if other is not None:
            setattr(other, inner, value)

    @property
    def embedded_names(self) -> list[str]:
        return [embed.prefix + name for embed in self.about.embeds for name in embed.fields]

    def is_archived(self, record: Any) -> bool:
        return bool(self.about.archived) and getattr(record, self.about.archived) is not None

    def version(self, record: Any) -> str:
        """The version of the row and of each embedded one, which may be set through it."""
        rows = [record, *(embed.pick(record) for embed in self.about.embeds)]
        return ".".join(str(row.xmin) if row is not None else "0" for row in rows)

    def _embedded(self, name: str) -> tuple[Embed, str]:
        for embed in self.about.embeds:
            for inner in embed.fields:
                if embed.prefix + inner == name:
                    return embed, inner
        raise KeyError(name)

    @property
    def form_fields(self) -> list[Field]:
        """What a person or program may set, in the order of the sections."""
        return [self.field(name) for section in self.about.sections for name in section.fields
                if self.field(name).editable]  # fmt: skip

    def column(self, name: str) -> Any:
        """The mapped column of a public field name."""
        return getattr(self._home(name), self.fields[name].attribute)

    def sort_column(self, name: str) -> Any:
        """The mapped column that a list in this order is sorted by, and that of the id beside it."""
        home = self._home(name)
        return getattr(home, f"sort_{name}" if hasattr(home, f"sort_{name}") else self.fields[name].attribute), home.id

    def _home(self, name: str) -> Any:
        return self.figures[0] if self.fields[name].figure else self.entity

    def where(self) -> list[ColumnElement[bool]]:
        return [self.condition()] if self.condition else []


_fields: dict[type[Entity], dict[str, Field]] = {}
_entities: dict[str, type[Entity]] = {}
_faces: dict[str, Face] = {}

MOST_INLINE = 50


def entities() -> list[type[Entity]]:
    """Every declared entity, in order of declaration."""
    return list(_entities.values())


def all_faces() -> list[Face]:
    return list(_faces.values())


def face_named(name: str) -> Face:
    """By name (`customer`) or plural (`customers`). KeyError when there is none."""
    found = _faces.get(name) or next((face for face in _faces.values() if face.plural == name), None)
    if found is None:
        raise KeyError(name)
    return found


def add_face(face: Face) -> Face:
    """Make an entity appear under a name of its own."""
    _faces[face.name] = face
    face.entity.faces.append(face)
    return face


def forget(entity: type[Entity]) -> None:
    """Undo a declaration (tests that declare a throw-away entity)."""
    _entities.pop(entity.__name__, None)
    _fields.pop(entity, None)
    for face in entity.faces:
        _faces.pop(face.name, None)
    Base.metadata.remove(entity.__table__)
    # Its mapper too: one whose relationships lead nowhere would stop every other from being set up.
    manager = manager_of_class(entity)
    Base.registry._dispose_manager_and_mapper(manager)
    Base.registry._managers.pop(manager, None)


def plural_of(name: str) -> str:
    """`service_record` → `service-records`, `address` → `addresses`, `entity` → `entities`."""
    words = name.replace("_", "-")
    if re.search(r"[^aeiou]y$", words):
        return words[:-1] + "ies"
    return words + ("es" if re.search(r"(s|x|ch|sh)$", words) else "s")


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _add_derived_columns(cls: type[Entity]) -> None:
    """The columns that follow from the declared ones: the text as given, the name to sort by, the text to search."""
    for name, value in list(vars(cls).items()):
        declared = value.column.info.get("field") if isinstance(value, MappedColumn) else None
        if declared is not None and declared.keeps_given:
            given = Field(kind="text", label=f"{declared.label or name} as given", editable=False,
                          field_class=declared.field_class)  # fmt: skip
            setattr(cls, f"{name}_given", mapped_column(Text, info={"field": given}))
    if cls.about is None:
        return
    if "name" in vars(cls) and "name" in cls.about.sort:
        cls.sort_name = mapped_column(Text, Computed("crm_sort_key(name)", persisted=True), nullable=False, sort_order=95)  # fmt: skip
    if cls.about.search and not cls.about.search_apart:
        setattr(cls, SEARCH_TEXT, search_column(cls))


def _declare(cls: type[Entity]) -> None:
    """Register the entity, and give its table the checks and indexes that follow from the declaration."""
    _entities[cls.__name__] = cls
    cls.faces = []
    table = cls.__table__
    if cls.about is not None and cls.about.search_apart:
        cls.search_apart = search_table(cls)
    for column in table.columns:
        declared: Field | None = column.info.get("field")
        if declared is None:
            continue
        if declared.kind in {"choice", "choices"}:
            _check_choice(table, column, declared)
        if declared.minimum is not None or declared.maximum is not None:
            table.append_constraint(in_bounds(column.name, declared.minimum, declared.maximum))
        if declared.keeps_given:
            event.listen(getattr(cls, column.key), "set", _keep_given(declared), retval=True, propagate=True)
        if declared.kind == "email":
            table.append_constraint(
                CheckConstraint(f"{column.name} = lower({column.name})", name=f"{column.name}_lower")
            )
    moment = cls.about.timeline if cls.about else None
    add_indexes(table, search=SEARCH_TEXT, timeline=(f"{moment.party}_id", moment.at) if moment else (),
                sort=[_sort_key(table, name) for name in cls.about.sort] if cls.about else [])  # fmt: skip
    if cls.about is not None and cls.about.screen:
        name = _snake(cls.__name__)
        add_face(Face(cls, name, cls.about.plural or plural_of(name), cls.about))


def _sort_key(table: Any, name: str) -> str:
    return f"sort_{name}" if f"sort_{name}" in table.columns else name


def _check_choice(table: Any, column: Column[Any], declared: Field) -> None:
    assert declared.choices is not None
    values = ", ".join(f"'{member.value}'" for member in declared.choices)
    sql = f"{column.name} IN ({values})"
    if declared.kind == "choices":
        sql = f"{column.name} <@ ARRAY[{values}]::varchar[]"
    table.append_constraint(CheckConstraint(sql, name=f"{column.name}_choice"))


def _keep_given(declared: Field) -> Callable[..., Any]:
    def on_set(target: Entity, value: Any, _old: Any, initiator: Any) -> Any:
        setattr(target, f"{initiator.key}_given", value)
        return declared.parse(value)

    return on_set


def _bind(cls: type[Entity]) -> Iterator[Field]:
    yield Field(kind="integer", name="id", attribute="id", label="Number", editable=False)
    for column in cls.__table__.columns:
        declared: Field | None = column.info.get("field")
        if declared is None:
            continue
        attribute = inspect(cls).get_property_by_column(column).key
        name = attribute.removesuffix("_id") if declared.kind == "reference" else attribute
        label = declared.label or name.replace("_", " ").capitalize()
        yield replace(declared, name=name, attribute=attribute, label=label)
    for name, declared in cls.derived.items():
        label = declared.label or name.replace("_", " ").capitalize()
        yield replace(declared, name=name, attribute=name, label=label, editable=False, derived=True)


def check_declarations() -> None:
    """Refuse names that do not exist, and sorts that may be NULL. Raises DeclarationError naming entity and field."""
    for face in all_faces():
        about, fields = face.about, face.fields
        listed = {"columns": about.columns, "filters": about.filters, "search": about.search, "sort": about.sort,
                  "title": (about.title,), "brings": about.brings, "timeline": about.timeline.names if about.timeline else (),
                  "sections": tuple(name for section in about.sections for name in section.fields),
                  "detail": (*about.unfolds, *(name for section in about.detail for name in section.fields))}  # fmt: skip
        embedded = {embed.prefix + name for embed in about.embeds for name in embed.fields}
        for where, names in listed.items():
            for name in names:
                shown = where in {"columns", "detail", "sections"}
                if (name in fields and (shown or not fields[name].derived or fields[name].linked)) or (
                    shown and name in embedded
                ):
                    continue
                if where == "title" and hasattr(face.entity, name):
                    continue
                raise DeclarationError(
                    f"{face.entity.__name__} ({face.name}).about.{where}: there is no field “{name}”"
                )
        for name in about.sort:
            if face.sort_column(name)[0].property.columns[0].nullable:
                raise DeclarationError(f"{face.entity.__name__} ({face.name}).about.sort: “{name}” may be NULL")
        if about.timeline and face.column(about.timeline.at).property.columns[0].nullable:
            raise DeclarationError(f"{face.entity.__name__} ({face.name}).about.timeline: its time may be NULL")
        if wrong := {name for tab in about.tabs for name in tab.fields}.difference(about.related):
            raise DeclarationError(f"{face.entity.__name__} ({face.name}).about.tabs: {wrong} not in related")
        for relation in (*about.related, *about.search_related, *(embed.relation for embed in about.embeds)):
            if relation not in inspect(face.entity).relationships:
                raise DeclarationError(f"{face.entity.__name__} ({face.name}).about: no relationship “{relation}”")
        _check_written_in_place(face)
        for declared in fields.values():
            if (
                declared.kind == "reference"
                and not declared.linked
                and declared.name not in inspect(face.entity).relationships
            ):
                raise DeclarationError(f"{face.entity.__name__}.{declared.name} needs a relationship of that name")
            if declared.kind == "reference" and declared.refers_to not in _faces:
                raise DeclarationError(f"{face.entity.__name__}.{declared.name} refers to “{declared.refers_to}”, "
                                       "which is no face of any entity")  # fmt: skip


def _check_written_in_place(face: Face) -> None:
    """What may be written in the list itself, and in the form of what it belongs to: one level deep, and not many."""
    where = f"{face.entity.__name__} ({face.name}).about"
    for name in face.about.quick:
        if name not in face.about.columns[1:] or name not in {field.name for field in face.form_fields}:
            raise DeclarationError(f"{where}.quick: “{name}” is no further column that a form may set")
    for inline in face.about.inline:
        if "." in inline.relation or not 1 <= inline.most <= MOST_INLINE:
            raise DeclarationError(f"{where}.inline: “{inline.relation}” must be one level deep, {MOST_INLINE} at most")
        link = inspect(face.entity).relationships.get(inline.relation)
        if link is None or not link.uselist or not link.back_populates:
            raise DeclarationError(f"{where}.inline: “{inline.relation}” is no list of records that belong to this one")
        for name in inline.fields:
            if name not in {field.name for field in link.mapper.class_.faces[0].form_fields}:
                raise DeclarationError(f"{where}.inline: {link.mapper.class_.__name__} has no field “{name}” to set")


def literal_condition(sql: str) -> Callable[[], ColumnElement[bool]]:
    """A face's condition as literal SQL: a bound value would hide it from partial indexes."""
    return lambda: literal_column(sql)


__all__ = [
    "About",
    "Base",
    "Choice",
    "DeclarationError",
    "Embed",
    "Entity",
    "Face",
    "Inline",
    "Model",
    "Moment",
    "Section",
    "add_face",
    "all_faces",
    "check_declarations",
    "db",
    "entities",
    "face_named",
    "forget",
    "literal_condition",
]  # fmt: skip
