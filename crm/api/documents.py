"""Documents: marshmallow schemas made from the declarations, and records written with them.

A reference is `{"id", "name"}` and is taken as that or as the number; fields of an embedded record (the
address of a customer) stand under their prefix. The text an e-mail or phone was given as stays inside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError
from marshmallow import fields as ma
from sqlalchemy import inspect, select
from sqlalchemy.orm import selectinload

from crm.core import figures
from crm.core.command import WrongInput
from crm.core.entity import Entity, Face, db, face_named
from crm.core.fields import MASK, Field
from crm.core.permissions import PICK, Access, Actor, access_of, accesses, title_for
from crm.queries.scope import visible

# Only an order, so that a document reads like a card: names that an entity lacks are passed over, those that
# aren't named here follow as they are declared.
FIRST = (
    "id",
    "code",
    "account_number",
    "name",
    "kind",
    "type",
    "roles",
    "first_name",
    "middle_name",
    "last_name",
    "company_name",
    "gender",
    "date_of_birth",
    "age_group",
    "generation",
    "language",
    "status",
    "lifecycle",
    "stage",
    "sub_stage",
    "block_state",
    "email",
    "email2",
    "phone",
    "phone2",
    "fax",
    "website",
    "industry",
    "tax_id",
    "annual_revenue",
    "annual_revenue_currency",
    "employees",
    "description",
    "owner",
    "team",
    "tags",
)
LAST = ("income_level", "life_stage", "referral_code", "created_at", "updated_at", "customer_since")


def parts(face: Face) -> tuple[Field, ...]:
    """What a document of the face holds, in order; fields of an embedded record under their name here."""
    return _parts(face, tuple(face.fields))


@cache
def _parts(face: Face, _names: tuple[str, ...]) -> tuple[Field, ...]:
    own = {name: field for name, field in face.fields.items() if not (_as_given(face, name) or field.linked)}
    inner = [face.field(name) for name in face.embedded_names if name not in own]
    first = [own.pop(name) for name in FIRST if name in own]
    last = [own.pop(name) for name in LAST if name in own]
    return (*first, *inner, *own.values(), *last)


def _as_given(face: Face, name: str) -> bool:
    plain = face.fields.get(name.removesuffix("_given"))
    return name.endswith("_given") and plain is not None and plain.keeps_given


class Declared(ma.Field[Any]):
    """A declared field as marshmallow has it: reads with its `parse`, writes with its `json`."""

    def __init__(self, declared: Field, *, writable: bool) -> None:
        super().__init__(allow_none=True, dump_only=not writable)
        self.declared = declared

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        if value == MASK:
            return MASK
        if self.declared.kind == "money" and value is not None:
            value = _as_written(self.declared, value)
        if self.declared.kind != "reference":
            return self.declared.json(value)
        return None if value is None else {"id": value[0], "name": value[1]}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        """The value checked but not turned: the entity also keeps the text as it was given."""
        try:
            shaped = shape(self.declared, value)
            self.declared.parse(shaped)
        except ValueError as fault:
            raise ValidationError(str(fault)) from None
        return shaped


def _as_written(declared: Field, value: Decimal) -> Decimal:
    """The column keeps four decimals of any currency; a document shows those that were given."""
    short = value.quantize(Decimal(1).scaleb(-declared.decimals))
    return short if short == value else value


def shape(declared: Field, value: Any) -> Any:
    """What JSON may say in another way than a form: a reference as an object. Raises ValueError."""
    if declared.kind == "reference" and isinstance(value, dict):
        if "id" not in value:
            raise ValueError("must be the number of a record, or an object with its id")
        return value["id"]
    if declared.family == "list" and value is not None:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("must be a list of texts")
        return value
    if isinstance(value, dict | list) and declared.kind != "json":
        raise ValueError("must be a single value")
    return value


class _FaceSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        return obj.get(attr, default)


def schema_for(face: Face) -> Schema:
    """The schema of a face: every name it shows, those it may set writable."""
    return _schema(face, tuple(face.fields))


@cache
def _schema(face: Face, _names: tuple[str, ...]) -> Schema:
    writable = {field.name for field in face.form_fields}
    made = {part.name: Declared(part, writable=part.name in writable) for part in parts(face)}
    made_class: type[Schema] = type(f"{face.entity.__name__}Schema", (_FaceSchema,), made)
    return made_class()


def read_fields(face: Face, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(values by name, errors by name); names that may not be set are left for the caller to refuse."""
    schema = schema_for(face)
    settable = {name: value for name, value in given.items() if name in schema.load_fields}
    errors: dict[str, str] = {}
    try:
        values = _mapping(schema.load(settable))
    except ValidationError as fault:
        values = _mapping(fault.valid_data)
        errors = {name: " ".join(messages) for name, messages in fault.normalized_messages().items()}
    rest = {name: value for name, value in given.items() if name not in settable}
    return values | rest, errors


def _mapping(loaded: Any) -> dict[str, Any]:
    """marshmallow also knows lists of documents; here there is one."""
    return dict(loaded or {})


def read_asked(asks: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a command, shaped for `Command.read`. Raises WrongInput."""
    shaped, errors = dict(given), {}
    for name, asked in asks.items():
        try:
            shaped[name] = shape(asked, given.get(name))
        except ValueError as fault:
            errors[name] = str(fault)
    if errors:
        raise WrongInput(errors)
    return shaped


def loads(face: Face) -> list[Any]:
    """What to load with the records, so that none of them asks again."""
    relations = [*(embed.relation for embed in face.about.embeds), *(cls.__tablename__ for cls in face.figures)]
    return [selectinload(getattr(face.entity, name)) for name in dict.fromkeys(relations)]


def documents(face: Face, records: Iterable[Entity], actor: Actor) -> list[dict[str, Any]]:
    """The records as documents, with the names of what they refer to: one question per kind of it."""
    rows = list(records)
    may = accesses(actor, face)
    shown = tuple(part for part in parts(face) if may[part.name] is not Access.HIDDEN)
    masked = frozenset(part.name for part in shown if not may[part.name].shows)
    names = _names([part for part in shown if part.kind == "reference" and part.name not in masked], rows, face, actor)
    schema = schema_for(face)
    return [schema.dump(dict(_values(face, shown, row, names, masked))) for row in rows]


def _values(
    face: Face, shown: tuple[Field, ...], row: Any, names: dict[tuple[str, int], str], masked: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    own = face.fields
    for part in shown:
        value = getattr(row, part.attribute) if part.name in own else face.value(row, part.name)
        if part.name in masked and value is not None:
            value = MASK
        elif part.kind == "reference" and value is not None:
            value = (value, names.get((part.refers_to, value)))
        yield part.name, value


def _names(references: list[Field], rows: list[Any], face: Face, actor: Actor) -> dict[tuple[str, int], str]:
    """(face, id) → what a person calls it, for those the actor may see."""
    wanted: dict[str, set[int]] = {}
    for field in references:
        ids = {value for row in rows if (value := face.value(row, field.name)) is not None}
        if ids:
            wanted.setdefault(field.refers_to, set()).update(ids)
    found: dict[tuple[str, int], str] = {}
    for target, ids in wanted.items():
        face = face_named(target)
        statement = visible(face, actor, PICK).where(face.entity.id.in_(sorted(ids)))
        title = face.about.title
        if title in inspect(face.entity).column_attrs and access_of(actor, face, title).shows:
            pairs = db.session.execute(statement.with_only_columns(face.entity.id, getattr(face.entity, title)))
            found |= {(target, record_id): str(name) for record_id, name in pairs}
        else:
            found |= {(target, record.id): title_for(actor, face, record) for record in db.session.scalars(statement)}
    return found


def fresh(face: Face, record_id: int) -> Any:
    """The record as the database has it now: triggers, generated columns and figures have moved it since."""
    if face.figures:
        figures.settle()
    db.session.flush()
    statement = select(face.entity).where(face.entity.id == record_id).options(*loads(face))
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def etag(face: Face, record: Entity, document: Mapping[str, Any]) -> str:
    """The version, then a hash of what is shown: a name in the document may change on its own."""
    packed = json.dumps(document, ensure_ascii=False).encode()
    return f'"{face.version(record)}-{hashlib.sha256(packed).hexdigest()[:12]}"'


def same_version(given: str, face: Face, record: Entity) -> bool:
    """Whether one of the tags of an If-Match names the record as it is."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in given.split(",")]
    return "*" in tags or any(tag.partition("-")[0] == face.version(record) for tag in tags)
