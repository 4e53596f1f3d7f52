"""Valid records and values for any entity, made from its declaration."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, select

from crm.core.entity import Entity, Face, all_faces, db, face_named
from crm.core.fields import Field
from crm.models.access import AuditEntry
from crm.models.check_ins import CheckIn
from crm.models.credit_invoices import Invoice, Payment, PaymentAllocation
from crm.models.credit_policy import CreditPolicy
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.models.external_ids import ExternalId
from crm.models.imports import Export, Import
from crm.models.loyalty_accounts import CashbackEntry, PointAllocation, PointEntry
from crm.models.loyalty_choices import ProgramKind
from crm.models.loyalty_programs import LoyaltyProgram
from crm.models.loyalty_rewards import Referral
from crm.models.organisation import Organisation
from crm.models.parties import Party
from crm.models.sales_orders import OrderLine, ReturnLine

_counter = itertools.count(1)


def sample(declared: Field, number: int | None = None) -> Any:
    """A value that the field takes; another one for another number."""
    number = next(_counter) if number is None else number
    match declared.kind:
        case "choice":
            assert declared.choices is not None
            return list(declared.choices)[number % len(declared.choices)]
        case "choices":
            assert declared.choices is not None
            return [list(declared.choices)[number % len(declared.choices)].value]
        case "tags":
            return [f"tag{number}", "änder"]
        case "email":
            return f"person{number}@example.com"
        case "phone":
            return f"+1202555{number % 10000:04}"
        case "url":
            return f"https://example.com/{number}"
        case "country":
            return ("DE", "MY", "US")[number % 3]
        case "language":
            return ("de", "ms", "en")[number % 3]
        case "currency":
            return ("EUR", "MYR", "USD")[number % 3]
        case "time_zone":
            return ("Europe/Berlin", "Asia/Kuala_Lumpur", "UTC")[number % 3]
        case "money" | "decimal":  # from 1.50 on, so that of two in a row the product is more than the next
            low = (declared.minimum or 0) + 1
            return low + number % ((declared.maximum or low + 1000) - low) + Decimal("0.50")
        case "integer":
            low = 1 if declared.minimum is None else declared.minimum  # no entry of points is about none
            return low + number % ((declared.maximum or low + 1000) - low + 1)
        case "date":
            return dt.date(1990, 1, 1) + dt.timedelta(days=number % 5000)
        case "datetime":
            return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=number % 5000)
        case "json":
            return {"all": [{"field": "industry", "op": "eq", "value": f"Ärger {number}"}]}
        case "boolean":
            return number % 2 == 0
    return f"{declared.label} Ärger {number}"[: declared.max_length]


def form_value(declared: Field) -> Any:
    """A value that a person may give; what it refers to is made for it."""
    return make(_face_of(declared)).id if declared.kind == "reference" else sample(declared)


def form_values(face: Face) -> dict[str, Any]:
    """Public name → value for everything that a person may set, such that the whole is valid."""
    values: dict[str, Any] = {}
    for declared in face.form_fields:
        values[declared.name] = form_value(declared)
    put_in_order(face.entity, values)
    if "quiet_from" in values:
        values["quiet_from"], values["quiet_to"] = 22, 7
    if face.name == "return_line":
        values |= {"sales_return": _return_of(values["order_line"]), "quantity": Decimal(1)}
    if face.entity is ExternalId:
        values |= {"entity": "party", "record": make(face_named("customer")).id}
    if face.entity is Payment:
        invoice = db.session.get_one(Invoice, values["invoice"])
        values |= {"account": invoice.account_id, "currency": invoice.currency, "kind": "credit_note"}
    if "main" in values:
        values["main"] = False  # only one is
    if "referral_code" in values:
        values["referral_code"] = db.session.get_one(
            Party, values.get("referrer") or make(face_named("customer")).id
        ).referral_code
    if "survey" in values:
        values["score"] = 3  # lies on each scale
    if "may_publish" in values:
        values["may_publish"] = True
    if "roles" in values:
        values["roles"] = list(face.defaults["roles"])
    return values


def ordered(entity: type[Entity]) -> list[tuple[str, str]]:
    """Each pair of columns of which a check says that the first isn't more than the second."""
    conditions = (str(one.sqltext) for one in entity.__table__.constraints if isinstance(one, CheckConstraint))
    found = (re.fullmatch(r"(\w+) <=? ([a-z_]+)", one) for one in conditions)
    return sorted(one.groups() for one in found if one)  # a table keeps its constraints in no order


def put_in_order(entity: type[Entity], values: dict[str, Any]) -> None:
    pairs = ordered(entity)
    for low, high in pairs * len(pairs):  # one pair may undo what another did
        if values.get(low) is not None and values.get(high) is not None:
            values[low], values[high] = sorted((values[low], values[high]))


def as_form(face: Face, values: dict[str, Any]) -> dict[str, Any]:
    """What a browser posts for these values."""
    return {name: value if isinstance(value, list) and face.field(name).kind == "choices"
            else face.field(name).text(value) for name, value in values.items()}  # fmt: skip


# Rows that the database writes when others come.
WRITTEN_BY_DATABASE = (AuditEntry, PointAllocation, PaymentAllocation)


def make(face: Face, **given: Any) -> Any:
    """A flushed record that shows the face, with what the database requires and a title to find it by."""
    entity = face.entity
    if entity is AuditEntry:
        make(face_named("role"))  # the database writes the entry
        return newest(face)
    if entity in (Organisation, CreditPolicy):  # there is one
        record = newest(face)
        for name, value in given.items():
            setattr(record, name, value)
        db.session.flush()
        return record
    if entity is PointAllocation:
        lot = make(face_named("point_entry"))
        make(face_named("point_entry"), account_id=lot.account_id, points=-1, kind="redeem")
        return newest(face)
    if entity is PaymentAllocation:
        invoice = make(face_named("invoice"))
        make(face_named("payment"), account_id=invoice.account_id, currency=invoice.currency)
        return newest(face)
    defaults = face_named(face.through[0]).defaults if face.through else face.defaults
    values: dict[str, Any] = {name: list(v) if isinstance(v, list) else v for name, v in defaults.items()}
    by_column = {declared.attribute: declared for declared in entity.fields().values()}
    for column in entity.__table__.columns:
        attribute = column.key
        required = not column.nullable and column.server_default is None and column.computed is None
        declared = by_column.get(attribute)
        titled = declared is not None and declared.name == face.about.title and declared.name != "id"
        if attribute in ("id", "xmin") or attribute in given or attribute in values or not (required or titled):
            continue
        if column.computed is not None:
            continue
        values[attribute] = _value(entity, attribute, column, declared)
    if entity is ReturnLine and "order_line_id" not in given:
        values["order_line_id"] = make(face_named("order_line")).id
    if entity is ReturnLine and "sales_return_id" not in given:
        values["sales_return_id"] = _return_of(given.get("order_line_id") or values["order_line_id"])
    if entity is LoyaltyProgram:
        values["kinds"] = [kind.value for kind in ProgramKind]
    if entity is CheckIn:
        values["own_days"] = 30
    if entity is Referral and not {"referrer_id", "referral_code"} & given.keys():
        values["referrer_id"] = make(face_named("customer")).id
    if entity in (Import, Export):
        values["entity"] = "customer"  # the name of a face, kept as text
    if entity is ExternalId and "record" not in given:
        values |= {"entity": "party", "record": make(face_named("customer")).id}
    if entity in (PointEntry, CashbackEntry):
        values["kind"] = "earn"
    if entity is CreditDecision:
        asked = db.session.get_one(CreditRequest, given.get("request_id") or values["request_id"])
        values |= {"account_id": asked.account_id, "requested_by_id": asked.requested_by_id, "step": 1, "final": True,
                   "verdict": "refused" if given.get("credit_limit") is None else "approved"}  # fmt: skip
    put_in_order(entity, values)
    record = entity(**(values | given))
    db.session.add(record)
    db.session.flush()
    return record


def _return_of(order_line: int) -> int:
    """A return of the order that this line stands on."""
    number: int = make(face_named("return"), order_id=db.session.get_one(OrderLine, order_line).order_id).id
    return number


def _value(entity: type[Entity], attribute: str, column: Any, declared: Field | None) -> Any:
    if column.foreign_keys or (declared is not None and declared.kind == "reference"):
        if declared is not None:
            return make(_face_of(declared)).id
        target = next(iter(column.foreign_keys)).column.table
        other = next(face for face in all_faces() if face.entity.__table__ is target)
        return make(other).id
    if declared is not None:
        return sample(declared)
    if column.type.python_type is int:
        return next(_counter)
    if column.type.python_type is dict:
        return {}
    return f"{attribute}{next(_counter)}"


def _face_of(declared: Field) -> Face:
    return face_named(declared.refers_to)


def newest(face: Face) -> Any:
    return db.session.scalars(select(face.entity).order_by(face.entity.id.desc()).limit(1)).one()
