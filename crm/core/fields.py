"""Columns that carry their field: one function for each kind, so that an entity says what a value is once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Computed,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Integer,
    Numeric,
    String,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import MappedColumn, mapped_column

from crm.core.kinds import (
    FAMILY,
    LONG_TEXT,
    MASK,
    OPERATORS,
    PERSONAL_CLASSES,
    SHORT_TEXT,
    Choice,
    Field,
    FieldClass,
    countries,
    currencies,
    languages,
)  # fmt: skip

__all__ = [
    "FAMILY",
    "MASK",
    "OPERATORS",
    "PERSONAL_CLASSES",
    "Choice",
    "Field",
    "FieldClass",
    "boolean_field",
    "choice_field",
    "choices_field",
    "code_field",
    "countries",
    "country_field",
    "currencies",
    "currency_field",
    "date_field",
    "datetime_field",
    "decimal_field",
    "declare",
    "email_field",
    "field_of",
    "integer_field",
    "json_field",
    "language_field",
    "languages",
    "long_text_field",
    "money_field",
    "phone_field",
    "reference_field",
    "tags_field",
    "text_field",
    "time_zone_field",
    "url_field",
]  # fmt: skip


def field_of(kind: str, **declared: Any) -> Field:
    """A field without a column: what a command asks for."""
    if kind == "long_text":
        declared = {"max_length": LONG_TEXT, "wide": True} | declared
    return Field(kind=kind, **declared)


def declare(kind: str, column_type: Any, *args: Any, column: dict[str, Any] | None = None,
            **declared: Any) -> MappedColumn[Any]:  # fmt: skip
    """A mapped column that carries its field; `column` goes to the column, the rest to the field."""
    return mapped_column(column_type, *args, info={"field": field_of(kind, **declared)}, **(column or {}))


def text_field(**declared: Any) -> MappedColumn[Any]:
    return declare("text", String(declared.get("max_length", SHORT_TEXT)), **declared)


def long_text_field(**declared: Any) -> MappedColumn[Any]:
    return declare("long_text", Text, **declared)


def email_field(**declared: Any) -> MappedColumn[Any]:
    """Lower-cased; the text as given is kept beside it."""
    return declare("email", String(SHORT_TEXT), **({"field_class": FieldClass.CONTACT} | declared))


def phone_field(**declared: Any) -> MappedColumn[Any]:
    """E.164 (library phonenumbers); the text as given is kept beside it."""
    return declare("phone", String(20), **({"field_class": FieldClass.CONTACT} | declared))


def url_field(**declared: Any) -> MappedColumn[Any]:
    return declare("url", String(SHORT_TEXT), **declared)


def country_field(**declared: Any) -> MappedColumn[Any]:
    """ISO 3166 alpha-2."""
    return declare("country", String(2), **declared)


def language_field(**declared: Any) -> MappedColumn[Any]:
    return declare("language", String(2), **declared)


def time_zone_field(**declared: Any) -> MappedColumn[Any]:
    """A name of the IANA database, such as Europe/Berlin."""
    return declare("time_zone", String(64), **declared)


def currency_field(**declared: Any) -> MappedColumn[Any]:
    """ISO 4217."""
    return declare("currency", String(3), **declared)


def money_field(*, computed: str | None = None, **declared: Any) -> MappedColumn[Any]:
    """NUMERIC(19, 4); more decimals than the currency has are refused, not rounded; `computed` makes it a generated
    column, rounded half up."""
    args = (Computed(computed, persisted=True),) if computed else ()
    return declare("money", Numeric(19, 4), *args, **({"field_class": FieldClass.FINANCIAL} | declared))


def decimal_field(*, computed: str | None = None, **declared: Any) -> MappedColumn[Any]:
    """A number with as many decimals as declared (two unless told); more are refused, not rounded."""
    args = (Computed(computed, persisted=True),) if computed else ()
    return declare("decimal", Numeric(19, declared.get("decimals", 2)), *args, **declared)


def code_field(letters: str, **declared: Any) -> MappedColumn[Any]:
    """What people call a record among themselves, made of its number: `T-000123`. Taken wherever a number is."""
    sql = f"'{letters}-' || lpad(id::text, greatest(6, length(id::text)), '0')"
    shown: dict[str, Any] = {"label": "Code", "editable": False, "column": {"unique": True}}
    return declare("code", Text, Computed(sql, persisted=True), **(shown | declared))


def integer_field(**declared: Any) -> MappedColumn[Any]:
    return declare("integer", Integer, **declared)


def date_field(**declared: Any) -> MappedColumn[Any]:
    return declare("date", Date, **declared)


def datetime_field(**declared: Any) -> MappedColumn[Any]:
    """UTC in the database."""
    return declare("datetime", DateTime(timezone=True), **declared)


def boolean_field(**declared: Any) -> MappedColumn[Any]:
    return declare("boolean", Boolean, **declared)


def choice_field(choices: type[Choice], *, computed: str | None = None, **declared: Any) -> MappedColumn[Any]:
    """Text in the database, with a check that it is one of the choices; `computed` makes it a generated column."""
    kind = Enum(choices, native_enum=False, length=32, create_constraint=False,
                values_callable=lambda members: [member.value for member in members])  # fmt: skip
    args = (Computed(computed, persisted=True),) if computed else ()
    return declare("choice", kind, *args, choices=choices, **declared)


def choices_field(choices: type[Choice], **declared: Any) -> MappedColumn[Any]:
    """Several of a closed list."""
    return declare("choices", ARRAY(String(32)), choices=choices, **declared)


def tags_field(**declared: Any) -> MappedColumn[Any]:
    return declare("tags", ARRAY(String(SHORT_TEXT)), **declared)


def json_field(**declared: Any) -> MappedColumn[Any]:
    """A JSON object, such as a rule."""
    return declare("json", JSONB(none_as_null=True), **({"wide": True} | declared))


def reference_field(target: str, *, table: str, on_delete: str = "RESTRICT", **declared: Any) -> MappedColumn[Any]:
    """A link to another entity; `target` is the face (`user`, `customer`) or entity (`party`) it leads to."""
    return declare("reference", BigInteger, ForeignKey(f"{table}.id", ondelete=on_delete), refers_to=target, **declared)
