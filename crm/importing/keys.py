"""What tells which record is meant: code, unique number, e-mail, name, the number of another system; from declarations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint

from crm.core.entity import Face, face_named
from crm.core.fields import Field
from crm.core.permissions import Actor, accesses

EXTERNAL = "external_id"  # the number of the record in the system that the plan names
NUMBER_HERE = "[1-9][0-9]{0,17}"  # how our own numbers are written
NUMBER = "id"  # our own number; said expressly, for any number of another system looks the same


@dataclass(frozen=True)
class Key:
    """A way to name a record: `column` of its table is what `of`, SQL in which `{}` is the given text, comes out as."""

    name: str
    label: str
    column: str
    of: str = "{}"
    unique: bool = False

    def sql(self, given: str) -> str:
        return self.of.replace("{}", given)


def fence(face: Face, column: str) -> str:
    """SQL at the end of a sub-select by this column: what has an index is looked up for each by that alone, whatever is believed
    of the table; the others are joined, so that the table is gone through once."""
    table = face.entity.__table__
    first = [
        next(iter(one.columns)) for one in table.constraints if isinstance(one, UniqueConstraint | PrimaryKeyConstraint)
    ]
    for index in table.indexes:
        made = index.dialect_options["postgresql"]
        if made["using"] in (False, "btree") and str(made["where"]).removeprefix(f"{table.name}.") in (
            "None",
            f"{column} IS NOT NULL",
        ):
            first.append(index.expressions[0])
    return "OFFSET 0" if any(getattr(one, "name", "") == column for one in first) else ""


def keys_of(face: Face) -> list[Key]:
    """The keys of a face's records, surest first: their code, what only one has, e-mail, and what people call them."""
    found = [key for field in face.fields.values() if (key := _key(face, field)) is not None]
    return sorted(found, key=lambda key: _rank(face, key))


def _rank(face: Face, key: Key) -> int:
    """People share a name more often than an e-mail, and that more often than a number."""
    kind = face.fields[key.name].kind
    return 0 if kind == "code" else 2 if kind == "email" else 3 if key.name == face.about.title else 1


def owner_of(face: Face) -> tuple[Face, str, str] | None:
    """Whose one and only record this is, with the column that says so, and SQL of when it counts: an account is named by
    whatever names its customer."""
    by_column = {field.attribute: field for field in face.fields.values() if field.kind == "reference"}
    for index in face.entity.__table__.indexes:
        names = [str(column.name) for column in index.columns]
        condition = index.dialect_options["postgresql"]["where"]
        # A flag says that one of several comes first, not that there is one.
        if index.unique and len(names) == 1 and names[0] in by_column and str(condition) not in face.entity.__table__.c:
            return face_named(by_column[names[0]].refers_to), names[0], "true" if condition is None else str(condition)
    return None


def usable(face: Face, actor: Actor | None) -> list[Key]:
    """Those whose values this person sees; by another nobody may try out what is there. Without a person, all."""
    keys = keys_of(face)
    if actor is None:
        return keys
    may = accesses(actor, face)
    return [key for key in keys if face.fields[key.name].kind == "code" or may[key.name].shows]


def _key(face: Face, field: Field) -> Key | None:
    columns = face.entity.__table__.c
    column = columns.get(field.attribute)
    if column is None or field.figure or field.kind not in ("code", "text", "email"):
        return None
    if field.kind == "code":
        return Key(field.name, field.label, column.name, "upper({})", unique=True)
    if not field.editable:
        return None
    normal = columns.get(f"{column.name}_key")
    if normal is not None and normal.computed is not None:
        of = f"(SELECT {normal.computed.sqltext} FROM (SELECT CAST({{}} AS text) AS {column.name}) given)"  # noqa: S608 - declarations
        return Key(field.name, field.label, normal.name, of, unique=_is_unique(face, normal))
    if field.kind == "email":
        first = next(other for other in face.fields.values() if other.kind == "email")
        return (
            Key(field.name, field.label, column.name, "lower({})", _is_unique(face, column)) if field == first else None
        )
    if _is_unique(face, column):
        return Key(field.name, field.label, column.name, unique=True)
    if field.name != face.about.title:
        return None
    sorted_by = columns.get(f"sort_{column.name}")
    if sorted_by is not None:
        return Key(field.name, field.label, sorted_by.name, "crm_sort_key({})")
    return Key(field.name, field.label, column.name)


def _is_unique(face: Face, column: Any) -> bool:
    table = face.entity.__table__
    alone = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    alone += [one for one in table.indexes if one.unique and one.dialect_options["postgresql"]["where"] is None]
    return bool(column.unique) or any(list(one.columns) == [column] for one in alone)


def name_of_record(face: Face) -> str:
    """SQL: what a person calls a record in a report: its code, or its number as a file may give it."""
    table = face.entity.__tablename__
    return f"{table}.code" if "code" in face.entity.__table__.c else f"'#' || {table}.id"
