"""Make, change and remove one record of any face from what a person or program gave.

Screens, API and inline forms come here, so a field is read, required and refused in one way. Nothing commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from crm.core.command import Refused, WrongInput
from crm.core.entity import Entity, Face, db, face_named
from crm.core.fields import Field
from crm.core.permissions import PICK, Access, Actor, Scope, accesses, allowed
from crm.queries.scope import find

# What is asked of values and of records by more than their own entity knows: by other records, by queries.
SaveCheck = Callable[[Any, Mapping[str, Any], Actor], dict[str, str]]
DeleteCheck = Callable[[Any], None]
Settle = Callable[[], None]
_when_saved: dict[type[Entity], SaveCheck] = {}
_before_delete: dict[type[Entity], DeleteCheck] = {}
_after_saved: dict[type[Entity], Settle] = {}


def when_saved(entity: type[Entity]) -> Callable[[SaveCheck], SaveCheck]:
    """Declare a check of values before a record of the entity is made (None) or changed: public name → sentence."""

    def declare(check: SaveCheck) -> SaveCheck:
        _when_saved[entity] = check
        return check

    return declare


def after_saved(*entities: type[Entity]) -> Callable[[Settle], Settle]:
    """Declare what follows when a record of these was made or changed; what the database refuses then is told like its own
    rules."""

    def declare(settle: Settle) -> Settle:
        _after_saved.update(dict.fromkeys(entities, settle))
        return settle

    return declare


def before_delete(entity: type[Entity]) -> Callable[[DeleteCheck], DeleteCheck]:
    """Declare what must be so when a record goes; the function raises Refused."""

    def declare(check: DeleteCheck) -> DeleteCheck:
        _before_delete[entity] = check
        return check

    return declare


def read_values(face: Face, given: Mapping[str, Any], actor: Actor, *, new: bool, on_screen: bool = False,
                country: str | None = None) -> dict[str, Any]:  # fmt: skip
    """Public name → value, of what was given. Raises WrongInput with every fault at once.

    `country` completes phone numbers; on the screen a few more fields are required than for programs.
    """
    may = accesses(actor, face)
    editable = {declared.name: declared for declared in face.form_fields if may[declared.name] is Access.WRITE}
    values: dict[str, Any] = {}
    errors = {name: _why_not(face, name, may) for name in given if name not in editable}
    raw = dict(given)
    if new:
        face.entity.complete(raw)
    for name, declared in editable.items():
        if name not in raw:
            continue
        try:
            values[name] = _read(declared, raw[name], actor, country)
        except ValueError as fault:
            errors[name] = str(fault)
    for name, declared in editable.items():
        must = declared.required or (on_screen and new and declared.required_on_screen)
        if must and name not in errors and (new or name in values) and values.get(name) in (None, [], ""):
            errors[name] = "is required"
    if errors:
        raise WrongInput(errors)
    return values


def _why_not(face: Face, name: str, may: Mapping[str, Access]) -> str:
    if name not in may:
        return "is not a field of this"
    settable = name in {declared.name for declared in face.form_fields}
    return "is not yours to set: your roles don't allow it" if settable else "can't be set here"


def _read(declared: Field, raw: Any, actor: Actor, country: str | None) -> Any:
    value = declared.parse(raw, country=country)
    if value is None or declared.kind != "reference":
        # E-mail and phone go on as they were given: the entity keeps both the text and its normal form.
        return raw if declared.keeps_given and not country and value is not None else value
    target = face_named(declared.refers_to)
    if find(target, actor, str(value), PICK) is None:
        raise ValueError(f"there is no {target.label.lower()} with number {value} that you may see")
    return value


def create(face: Face, values: Mapping[str, Any], by: Actor) -> Any:
    """A new record of the face, with its defaults. Raises WrongInput for what can't be, and for what the person could
    not reach once it is made; Refused when it belongs to something archived."""
    _check(face, None, values, by)
    record: Any = face.entity()
    for name, value in face.defaults.items():
        setattr(record, name, list(value) if isinstance(value, list) else value)
    own = "owner" in face.fields and values.get("owner") is None
    if own and allowed(by, f"{face.name}.read") is not Scope.ALL:
        record.owner_id = by.id
    try:
        with db.session.begin_nested():
            _set(face, record, values)
            db.session.add(record)
            db.session.flush()
            _refuse_archived(face, record)
            record.created()
            if find(face, by, str(record.id)) is None:
                raise WrongInput({next(iter(face.about.within), "id"): "is outside of what you may reach"})
            _follow(face)
    except IntegrityError as fault:
        raise _explained(face, fault, values) from None
    return record


def update(face: Face, record: Any, values: Mapping[str, Any], by: Actor) -> None:
    """Change what differs. Raises Refused for what is archived, WrongInput, and StaleDataError when somebody else was
    faster."""
    _refuse_archived(face, record)
    changes = {name: value for name, value in values.items()
               if face.field(name).text(face.value(record, name)) != face.field(name).text(value)}  # fmt: skip
    columns = inspect(face.entity).column_attrs
    if not any(name in face.fields and face.fields[name].attribute in columns for name in changes):
        _hold(record)  # a change of its own finds out by itself
    _check(face, record, changes, by)
    try:
        # Also the assignments are inside: what the database refuses must not stay in the session.
        with db.session.begin_nested():
            _set(face, record, changes)
            db.session.flush()
            _follow(face)
    except IntegrityError as fault:
        raise _explained(face, fault, values) from None


def _hold(record: Any) -> None:
    """Lock the row for what is written beside it; StaleDataError when somebody was faster."""
    own = type(record)
    if db.session.scalar(select(own.xmin).where(own.id == record.id).with_for_update()) != record.xmin:
        raise StaleDataError(f"{own.__tablename__} {record.id} was changed meanwhile")


def _check(face: Face, record: Any, values: Mapping[str, Any], by: Actor) -> None:
    errors = face.entity.check(face, record, values, by)
    if face.entity in _when_saved:
        errors = errors | _when_saved[face.entity](record, values, by)
    if errors:
        raise WrongInput(errors)


def _follow(face: Face) -> None:
    if face.entity in _after_saved:
        _after_saved[face.entity]()


def _refuse_archived(face: Face, record: Any) -> None:
    """What is archived, or belongs to what is, is read-only."""
    for path in face.about.paths or ((),):
        holder = record
        for step in (None, *path[:-1]):
            holder = holder if step is None else getattr(holder, step)
            about = type(holder).about if holder is not None else None
            if about is not None and about.archived and getattr(holder, about.archived) is not None:
                raise Refused("it is archived: restore it first" if holder is record
                              else f"the {type(holder).noun().lower()} is archived: restore it first")  # fmt: skip


def delete(face: Face, record: Any) -> None:
    """Remove a record that may go; Refused while something else needs it, or when it belongs to something archived."""
    _refuse_archived(face, record)
    if face.entity in _before_delete:
        _before_delete[face.entity](record)
    try:
        with db.session.begin_nested():
            db.session.delete(record)
            db.session.flush()
    except IntegrityError:
        raise Refused("other records still need it") from None


def _set(face: Face, record: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is None and name in face.fields and _has_default(face, name):
            continue  # left empty: what is there, or the default, stays
        face.put(record, name, value)


def _has_default(face: Face, name: str) -> bool:
    column = face.column(name).property.columns[0]
    return column.server_default is not None and not column.nullable


def _explained(face: Face, fault: IntegrityError, values: Mapping[str, Any]) -> WrongInput:
    """A constraint says itself what is wrong, or its name tells which field it guards."""
    diagnosis = getattr(fault.orig, "diag", None)
    broken = getattr(diagnosis, "constraint_name", None) or ""
    for constraint in face.entity.__table__.constraints:
        if constraint.name == broken and "says" in constraint.info:
            return WrongInput(dict([constraint.info["says"]]))
    name = broken.split("_", 1)[-1].removeprefix(face.entity.__tablename__ + "_")
    fields = sorted((field for field in face.fields.values() if name.startswith(field.attribute)),
                    key=lambda field: len(field.attribute), reverse=True)  # fmt: skip
    state = getattr(fault.orig, "sqlstate", "")
    column = getattr(diagnosis, "column_name", None)
    if state == "23502" and column:
        return WrongInput({column.removesuffix("_id"): "is required"})
    if state == "23514" and column:  # a trigger of ours: it says which field, and what is wrong with it
        return WrongInput({column: getattr(diagnosis, "message_primary", "")})
    if state == "23505" and fields:
        return WrongInput({fields[0].name: "is taken: another record has it already"})
    if state == "23503" and fields:
        return WrongInput({fields[0].name: "points to a record that isn't there"})
    involved = fields[0].name if fields else next(iter(values), "id")
    return WrongInput(
        {involved: f"doesn't fit the other values ({name.replace('_', ' ') or 'a rule of the database'})"}
    )
