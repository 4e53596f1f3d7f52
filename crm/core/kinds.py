"""Kinds of field: what a value may be, how it is read from text or JSON, and how it is written back.

Declared once, on a column. Forms, API, imports, filters and exports all read with `Field.parse`: one input, one answer.
"""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from babel import Locale
from babel.numbers import get_currency_precision

from crm.core.json_values import as_text, read_object

ENGLISH = Locale("en")
SHORT_TEXT = 255
LONG_TEXT = 20_000
MASK = "•••"  # stands where a value is that one may not see


class Choice(enum.StrEnum):
    """A closed list of values, each with the word a person reads and a tone for its pill.

    Tones are `good`, `warning`, `bad`, `info` and `neutral`.
    """

    label: str
    tone: str

    def __new__(cls, value: str, label: str = "", tone: str = "neutral") -> Choice:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label or value.replace("_", " ").capitalize()
        member.tone = tone
        return member


class FieldClass(Choice):
    """Why a value deserves care; rights, audit and erasure are decided per class."""

    OPEN = "open"
    CONTACT = "contact"
    FINANCIAL = "financial"
    PERSONAL = "personal"
    SPECIAL = "special"
    KYC = "kyc", "Know your customer"


# Classes whose values say something about a person: the audit keeps them apart, so that they can be erased.
PERSONAL_CLASSES = frozenset({FieldClass.CONTACT, FieldClass.PERSONAL, FieldClass.SPECIAL, FieldClass.KYC})

OPERATORS: dict[str, tuple[str, ...]] = {
    "text": ("contains", "starts", "eq", "ne", "in", "not_in", "empty", "not_empty"),
    "choice": ("eq", "ne", "in", "not_in", "empty", "not_empty"),
    "list": ("contains", "empty", "not_empty"),
    "number": ("eq", "ne", "lt", "le", "gt", "ge", "between", "empty", "not_empty"),
    "date": ("eq", "lt", "le", "gt", "ge", "between", "within_last", "before_last", "within_next", "empty",
             "not_empty"),
    "boolean": ("eq",), "json": ("empty", "not_empty"),
    "reference": ("eq", "ne", "in", "not_in", "empty", "not_empty"),
}  # fmt: skip
FAMILY = {
    "text": "text", "long_text": "text", "email": "text", "phone": "text", "url": "text", "code": "text",
    "country": "choice", "language": "choice", "currency": "choice", "time_zone": "choice", "choice": "choice",
    "choices": "list", "tags": "list", "json": "json", "money": "number", "decimal": "number", "integer": "number",
    "date": "date", "datetime": "date", "boolean": "boolean", "reference": "reference",
}  # fmt: skip


@cache
def countries() -> dict[str, str]:
    """ISO 3166 alpha-2 code → English name."""
    return {code: name for code, name in sorted(ENGLISH.territories.items(), key=lambda item: item[1])
            if len(code) == 2 and code.isalpha() and code not in {"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"}}  # fmt: skip


@cache
def _countries_by_name() -> dict[str, str]:
    names = {name.casefold(): code for code, name in countries().items()}
    names |= {"usa": "US", "u.s.a.": "US", "united states of america": "US", "uk": "GB", "great britain": "GB",
              "england": "GB", "korea": "KR", "south korea": "KR", "holland": "NL", "czech republic": "CZ",
              "eire": "IE", "rsa": "ZA", "uae": "AE", "hong kong": "HK", "macau": "MO"}  # fmt: skip
    return names


@cache
def languages() -> dict[str, str]:
    """ISO 639 two-letter code → English name."""
    return {code: name for code, name in sorted(ENGLISH.languages.items(), key=lambda item: item[1])
            if len(code) == 2}  # fmt: skip


@cache
def currencies() -> dict[str, str]:
    """ISO 4217 code → English name."""
    return dict(sorted(ENGLISH.currencies.items()))


@cache
def time_zones() -> dict[str, str]:
    return {name: name for name in sorted(available_timezones()) if "/" in name or name == "UTC"}


@dataclass(frozen=True, kw_only=True)
class Field:
    """What a value is to a person and to the machine.

    `name` is the public name (of a reference: without `_id`); `attribute` the mapped attribute that holds it.
    """

    kind: str
    name: str = ""
    attribute: str = ""
    label: str = ""
    help: str = ""
    required: bool = False
    required_on_screen: bool = False
    editable: bool = True
    choices: type[Choice] | None = None
    field_class: FieldClass | None = None
    refers_to: str = ""
    max_length: int = SHORT_TEXT
    minimum: int | None = None
    maximum: int | None = None
    decimals: int = 2
    grouped: bool = True  # thousands apart, as a number is read; a year isn't
    currency: str = ""
    synonyms: tuple[str, ...] = ()
    example: str = ""
    wide: bool = False
    measured: bool = False  # a whole number that was measured: a file may have it with decimals
    markdown: bool = False  # shown formatted
    derived: bool = False
    figure: bool = False  # kept by crm.core.figures
    audited: bool = True
    original: bool = False  # set by nobody, but a file from another system may say it of a new record
    linked: Callable[[], Any] | None = None  # (numbers of ours, value) in other rows: to filter by, shown nowhere
    only_for: tuple[str, str] | None = None  # (field, value): empty, it is hidden in forms of another value
    of: str = ""  # says something about another field: shown only where that has a value

    @property
    def family(self) -> str:
        """Which operators, widgets and comparisons fit: text, choice, list, number, date, boolean, reference."""
        return FAMILY[self.kind]

    @property
    def operators(self) -> tuple[str, ...]:
        return OPERATORS[self.family]

    @property
    def is_personal(self) -> bool:
        return self.field_class in PERSONAL_CLASSES

    @property
    def keeps_given(self) -> bool:
        """Whether the text as it was given is kept beside the normal form (`<name>_given`)."""
        return self.kind in {"email", "phone"}

    def options(self) -> list[tuple[str, str]]:
        """The values a person may choose from, with their words; empty where any value is allowed."""
        match self.kind:
            case "choice" | "choices":
                assert self.choices is not None
                return [(member.value, member.label) for member in self.choices]
            case "country":
                return list(countries().items())
            case "language":
                return list(languages().items())
            case "time_zone":
                return list(time_zones().items())
            case "currency":
                return [(code, f"{code} – {name}") for code, name in currencies().items()]
            case "boolean":
                return [("true", "Yes"), ("false", "No")]
        return []

    def parse(self, raw: Any, *, country: str | None = None) -> Any:
        """The value of what a person or program gave; None for nothing.

        `country` (ISO) completes a phone number without a country code. Raises ValueError with a sentence that
        says what is wrong and what to do.
        """
        if raw is None:
            return None
        if isinstance(raw, str):
            _refuse_unprintable(raw)
            raw = raw.strip()
            if raw == "":
                return None
            if raw == MASK:
                raise ValueError("hides a value that somebody was not allowed to see; give the value itself")
        if self.kind == "phone":
            return _phone(raw, country)
        return _PARSERS[self.kind](self, raw)

    def text(self, value: Any) -> str:
        """The value as text that `parse` reads back unchanged (forms, CSV)."""
        match value:
            case None:
                return ""
            case Choice():
                return str(value.value)
            case bool():
                return "true" if value else "false"
            case dt.datetime():
                return value.astimezone(dt.UTC).isoformat(timespec="auto").replace("+00:00", "Z")
            case dt.date():
                return value.isoformat()
            case Decimal():
                return f"{value:f}"
            case list() | tuple():
                return ", ".join(self.text(item) for item in value)
            case dict():
                return as_text(value)
        return str(value)

    def json(self, value: Any) -> Any:
        """The value as the API writes it: numbers as numbers, money as text with its decimals, dates as ISO 8601."""
        if value is None or isinstance(value, bool | int | dict):
            return value
        if isinstance(value, list | tuple):
            return [self.json(item) for item in value]
        return self.text(value)

    def word(self, value: Any) -> str:
        """The value as a person reads it."""
        match value:
            case None:
                return ""
            case Choice():
                return value.label
            case bool():
                return "Yes" if value else "No"
            case list() | tuple():
                return ", ".join(self.choices(item).label if self.choices else str(item) for item in value)
            case Decimal() if self.kind == "money":
                return f"{value:,.{get_currency_precision(self.currency) if self.currency else 2}f}"
            case int() | Decimal() if self.kind in ("integer", "decimal") and self.grouped:
                return f"{Decimal(value).normalize():,f}"  # six pieces, not 6.000
        names = {"country": countries, "language": languages}.get(self.kind)
        return names().get(value, value) if names else self.text(value)


def _refuse_unprintable(raw: str) -> None:
    if "\x00" in raw:
        raise ValueError("contains a NUL character; remove it")
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("contains a broken character (half of a surrogate pair); type it again") from None


def _string(field: Field, raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError("must be text")
    if len(raw) > field.max_length:
        raise ValueError(f"is too long: {len(raw):,} characters, at most {field.max_length:,} are kept")
    return raw


_CONTROL = re.compile(r"[\x00-\x1f]")


def _text(field: Field, raw: Any) -> str:
    value = _string(field, raw)
    if _CONTROL.search(value):
        raise ValueError("contains a line break or control character; keep it on one line")
    return value


_EMAIL = re.compile(r"[^@\s,;<>()\[\]\\\"]{1,64}@[^@\s,;<>()\[\]\\\"/:]+\.[^@\s,;<>()\[\]\\\"/:.]{2,63}")


def _email(field: Field, raw: Any) -> str:
    value = _string(field, raw).lower()
    if not _EMAIL.fullmatch(value) or ".." in value or value.startswith(".") or len(value) > 254:
        raise ValueError("is not an e-mail address; it looks like name@example.com")
    return value


def _phone(raw: Any, country: str | None) -> str:
    if not isinstance(raw, str):
        raise ValueError("must be text")
    if len(raw) > SHORT_TEXT:
        raise ValueError("is too long for a phone number")
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number with its country code; it looks like +60 12 345 6789") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("has too many or too few digits for its country; it looks like +60 12 345 6789")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _url(field: Field, raw: Any) -> str:
    value = _text(field, raw)
    if not re.match(r"https?://", value, re.I):
        if re.match(r"[a-z][a-z0-9+.-]*:", value, re.I):
            raise ValueError("is not a web address; it starts with http:// or https://")
        value = "https://" + value
    if not re.fullmatch(r"https?://[^\s/?#@\\]+\.[^\s/?#@\\]+([/?#]\S*)?", value, re.I):
        raise ValueError("is not a web address; it looks like https://example.com")
    return value


def _country(field: Field, raw: Any) -> str:
    value = _text(field, raw)
    code = value.upper() if value.upper() in countries() else _countries_by_name().get(value.casefold())
    if code is None:
        raise ValueError(f"“{value[:40]}” is not a country; give its English name or two-letter ISO code")
    return code


def _listed(field: Field, raw: Any) -> str:
    value = _text(field, raw)
    known = {"language": languages, "currency": currencies, "time_zone": time_zones}[field.kind]()
    folded = value.lower() if field.kind == "language" else value.upper() if field.kind == "currency" else value
    if folded in known:
        return folded
    for code, name in known.items():
        if name.casefold() == value.casefold():
            return code
    how = "it looks like Europe/Berlin" if field.kind == "time_zone" else "give its ISO code"
    raise ValueError(f"“{value[:40]}” is not a {field.kind.replace('_', ' ')}; {how}")


def _choice(field: Field, raw: Any) -> Choice:
    assert field.choices is not None
    value = _text(field, raw)
    folded = re.sub(r"[\s_-]+", "_", value.casefold())
    for member in field.choices:
        if folded in (member.value, re.sub(r"[\s_-]+", "_", member.label.casefold())):
            return member
    raise ValueError(f"“{value[:40]}” is none of: {', '.join(member.label for member in field.choices)}")


def _list(field: Field, raw: Any) -> list[str]:
    items: Iterable[Any] = re.split(r"[,;\n]", raw) if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple):
        raise ValueError("must be a list")
    read = _choice if field.kind == "choices" else _text
    values = [read(field, item.strip()) for item in items if isinstance(item, str) and item.strip()]
    if len(values) > 100:
        raise ValueError("has more than 100 entries")
    return list(dict.fromkeys(str(value) for value in values))


def _number(field: Field, raw: Any) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float | Decimal):
        raise ValueError("must be a number")
    text = str(raw)
    # 1,234,567.89 is read; a lone comma could be a decimal comma and is never guessed.
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text) and (text.count(",") > 1 or "." in text):
        text = text.replace(",", "")
    try:
        value = Decimal(text) if len(text) <= 40 else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        raise ValueError("is not a number; write it like 1234.50")
    if value and value.adjusted() >= 15:  # comparing would overflow for an exponent of nine digits
        raise ValueError("is too large")
    return value


def _decimal(field: Field, raw: Any) -> Decimal:
    value = _number(field, raw)
    places = get_currency_precision(field.currency) if field.currency else field.decimals
    if value != round(value, places):
        raise ValueError(f"has more than {places} decimals; it isn't rounded silently")
    _check_bounds(field, value)
    return value.quantize(Decimal(1).scaleb(-places))


def _integer(field: Field, raw: Any) -> int:
    value = _number(field, raw)
    if value != int(value):
        raise ValueError("must be a whole number")
    if abs(value) >= 2**31:
        raise ValueError("is too large")
    _check_bounds(field, value)
    return int(value)


def _check_bounds(field: Field, value: Decimal) -> None:
    if field.minimum is not None and value < field.minimum:
        raise ValueError(f"must be {field.minimum} or more")
    if field.maximum is not None and value > field.maximum:
        raise ValueError(f"must be {field.maximum} or less")


def _date(field: Field, raw: Any) -> dt.date:
    if isinstance(raw, dt.date) and not isinstance(raw, dt.datetime):
        return raw
    try:
        value = dt.date.fromisoformat(_text(field, raw))
    except ValueError:
        raise ValueError("is not a day; write it like 2026-01-31") from None
    if not 1800 <= value.year <= 2200:
        raise ValueError("has a year outside 1800 to 2200")
    return value


def _datetime(field: Field, raw: Any) -> dt.datetime:
    if isinstance(raw, dt.datetime):
        value = raw
    else:
        try:
            value = dt.datetime.fromisoformat(_text(field, raw))
        except ValueError:
            raise ValueError("is not a time; write it like 2026-01-31T14:30:00Z") from None
    if not 1800 <= value.year <= 2200:
        raise ValueError("has a year outside 1800 to 2200")
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def _boolean(field: Field, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    match str(raw).casefold():
        case "true" | "yes" | "y" | "1" | "on":
            return True
        case "false" | "no" | "n" | "0" | "off":
            return False
    raise ValueError("must be yes or no")


def _reference(field: Field, raw: Any) -> int:
    text = str(raw)
    if isinstance(raw, bool) or not re.fullmatch(r"[1-9]\d{0,17}", text):
        raise ValueError("is not the number of a record")
    return int(text)


_PARSERS: dict[str, Any] = {
    "text": _text, "code": _text, "long_text": _string, "email": _email, "url": _url, "country": _country,
    "language": _listed, "currency": _listed, "time_zone": _listed,
    "choice": _choice, "choices": _list, "tags": _list,
    "money": _decimal, "decimal": _decimal, "integer": _integer, "date": _date, "datetime": _datetime,
    "boolean": _boolean, "reference": _reference, "json": lambda _field, raw: read_object(raw),
}  # fmt: skip
