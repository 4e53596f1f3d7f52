"""Suggests which column of a file means which target, from its header and from what its values look like."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crm.core.fields import countries
from crm.importing.detecting import normalised
from crm.importing.files import Column
from crm.importing.values import as_datetime, as_number, as_yes_no, clean, date_style, number_style
from crm.importing.vocabulary import FILLERS, PLACE_WORDS, PLACES, WORDS

LEAST = 0.4
# 'street number' is no street, 'product name' no name of a customer.
_COUNTS = {"number", "no", "id", "code", "key", "count", "date", "product", "item", "order", "type"}
PREFIXES = ("billing", "shipping", "delivery")


@dataclass(frozen=True)
class Target:
    """Something a column can be imported into; comes from a declared field."""

    name: str
    label: str
    kind: str = "text"
    required: bool = False
    synonyms: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    help: str = ""
    noun: str = ""  # what the record is, where it is no customer or the like
    common: bool = True  # whether people call this by the usual words of `vocabulary`

    @property
    def leaf(self) -> str:
        """Its name within its own record."""
        return self.name.rpartition(".")[2]

    @property
    def words(self) -> tuple[str, ...]:
        """Every header that means this target, surest first, normalised."""
        prefix, _, rest = self.name.partition("_")
        known = WORDS.get(self.name, "") if self.common else ""
        if prefix in PREFIXES and rest in WORDS:
            known = ", ".join(f"{prefix} {word.strip()}" for word in WORDS[rest].split(","))
        listed = (self.name, self.label, *self.synonyms, *known.split(","))
        return tuple(dict.fromkeys(word for word in map(normalised, listed) if word))


class Suggestion(NamedTuple):
    """What one column most likely means, None when nothing fits; ``sure`` lies between 0 and 1."""

    column: int
    target: str | None
    sure: float
    reason: str


def known_words(targets: Iterable[Target]) -> frozenset[str]:
    """Every header that some target answers to (helps to recognise the header row and the right sheet)."""
    return frozenset(word for target in targets for word in target.words) | frozenset(PLACE_WORDS)


def suggest(columns: Sequence[Column], targets: Sequence[Target]) -> list[Suggestion]:
    """One suggestion per column, in their order; no target is suggested twice."""
    words = {target.name: target.words for target in targets}
    headers = [normalised(column.name) for column in columns]
    person = _names_a_person(headers)
    candidates: list[tuple[float, int, int, str]] = []
    for place, column in enumerate(columns):
        if not column.values and not headers[place]:
            continue
        for order, target in enumerate(targets):
            sure, reason = _by_header(headers[place], target, words[target.name])
            if person and target.leaf == "name" and headers[place] in ("account", "account name", "company"):
                sure *= 0.5
            sure, reason = _by_values(column, target, sure, reason)
            if sure >= LEAST:
                candidates.append((sure, place, order, reason))
    candidates.sort(key=lambda candidate: (-candidate[0], candidate[1], candidate[2]))
    chosen: dict[int, Suggestion] = {}
    taken: set[int] = set()
    for sure, place, order, reason in candidates:
        if place not in chosen and order not in taken:
            taken.add(order)
            chosen[place] = Suggestion(columns[place].index, targets[order].name, round(min(sure, 1.0), 2), reason)
    return [
        chosen.get(place) or Suggestion(column.index, None, 0.0, _why_not(column))
        for place, column in enumerate(columns)
    ]


def _names_a_person(headers: Collection[str]) -> bool:
    first = {"first name", "firstname", "given name", "forename", "vorname"}
    last = {"last name", "lastname", "surname", "family name", "nachname"}
    return (bool(first & set(headers)) and bool(last & set(headers))) or "full name" in headers


def _by_header(header: str, target: Target, words: Sequence[str]) -> tuple[float, str]:
    if not header:
        return 0.0, ""
    for place, word in enumerate(words):
        if header == word:
            return 1.0 - min(place, 30) * 0.005, f"its name says {target.label.lower()}"
    squashed = header.replace(" ", "")
    if any(squashed == word.replace(" ", "") for word in words):
        return 0.83, f"its name says {target.label.lower()}"
    for filler in (target.noun,) if target.noun else FILLERS:
        if header.startswith(filler + " ") and header[len(filler) + 1 :] in words:
            return 0.82, f"its name says {target.label.lower()}"
    if target.name in PLACES and target.common and header in PLACE_WORDS:
        return 0.5 - 0.01 * PLACES.index(target.name), "its name says a place"
    tokens = set(header.split())
    for word in words[:12]:
        parts = set(word.split())
        if _COUNTS & tokens - parts:
            continue
        if parts < tokens and len(tokens) <= len(parts) + 2 and (len(parts) > 1 or len(word) > 4):
            return 0.45, f"its name holds '{word}'"
    return 0.0, ""


# What shows in the values alone, whatever the header says.
_TOLD_BY_VALUES = frozenset(("email", "website", "country", "phone"))


def _by_values(column: Column, target: Target, sure: float, reason: str) -> tuple[float, str]:
    if not sure and target.name not in _TOLD_BY_VALUES:
        return 0.0, ""
    values = [value for value in map(clean, column.values[:200]) if value is not None]
    if not values:
        # An empty column may still be mapped by its name, after all that have values.
        return sure * 0.9, reason
    share = _share(values, target)
    if share is None:
        if target.leaf in ("company_name", "name") and _look_like_keys(values):
            return 0.0, ""
        return sure, reason
    if sure and target.name in PLACES and reason.endswith("a place"):
        return (sure + 0.3, f"its values are {target.label.lower()} names") if share > 0.7 else (sure, reason)
    if sure:
        if target.kind == "code" and share < 1:
            return 0.0, ""  # the codes of another system
        # A telling name is not believed against its values: 'email' without an address is something else.
        return (min(sure + 0.05, 1.05), reason) if share >= 0.5 else (sure * (0.3 + share), reason)
    if share >= 0.9 and len(values) >= 3:
        if target.name == "email":
            return 0.6, "its values are e-mail addresses"
        if target.name == "website":
            return 0.5, "its values are web addresses"
        if target.name == "country" and any(len(value) > 2 for value in values):
            return 0.5, "its values are names of countries"
        if target.name == "phone" and sum(bool(_FORMATTED_PHONE.fullmatch(v)) for v in values) >= 0.9 * len(values):
            return 0.5, "its values look like phone numbers"
    return 0.0, ""


_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CODE = re.compile(r"[A-Za-z]{1,4}-\d{6,}")
_URL = re.compile(r"(?:https?://)?[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}(?:[/?#:]\S*)?")
_FORMATTED_PHONE = re.compile(r"\+\d[\d\s().-]{6,}|\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}(?:\s*x\d+)?")


def _share(values: Sequence[str], target: Target) -> float | None:
    """Share of values that a target of this kind can take; None when any text would do."""
    match target.kind:
        case "email":
            fits = [bool(_EMAIL.fullmatch(value)) for value in values]
        case "phone":
            fits = [7 <= sum(sign.isdigit() for sign in value) <= 20 for value in values]
        case "code":
            fits = [bool(_CODE.fullmatch(value)) for value in values]
        case "url":
            fits = [bool(_URL.fullmatch(value)) for value in values]
        case "country":
            names = {name.casefold() for name in countries().values()}
            fits = [value.upper() in countries() or value.casefold() in names for value in values]
        case "money" | "decimal" | "integer":
            style = number_style(values).value
            fits = [_reads(lambda value: as_number(value, style), value) for value in values]
        case "date" | "datetime":
            order = date_style(values).value
            fits = [_reads(lambda value: as_datetime(value, order), value) for value in values]
        case "boolean":
            fits = [_reads(as_yes_no, value) for value in values]
        case "choice" if target.options:
            known = {normalised(option) for option in target.options}
            fits = [normalised(value) in known for value in values]
        case _:
            return None
    return sum(fits) / len(fits)


def _reads(read, value: str) -> bool:  # type: ignore[no-untyped-def]
    try:
        read(value)
    except ValueError:
        return False
    return True


def _look_like_keys(values: Sequence[str]) -> bool:
    """Single letters or bare numbers: a link to another file, not the name of anybody."""
    return len(values) >= 3 and all(len(value) == 1 or value.isdigit() for value in values)


def _why_not(column: Column) -> str:
    if not column.values:
        return "it is empty"
    if _look_like_keys(column.values[:200]):
        return "its values look like keys or numbers, not like names"
    return "nothing we import has such a name"
