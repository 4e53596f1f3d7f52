"""Values of a file that fit no choice and no record: what they are, how often they occur, and what a person says they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from crm.importing.targets import Landing

# Kinds whose values come from a list, so that a person can say which of it is meant.
LISTED = frozenset(("choice", "boolean", "country", "language", "currency", "time_zone"))
SHOWN = 30  # of a column at a time: when these are settled the next ones come up
MOST = 5_000  # different ones that are counted
LONGEST = 255
EMPTY = "="  # what leaves a value out; no choice is called so


class Unfit:
    """Counts the values that fit no choice, while rows are read: by the name of what they were to become."""

    def __init__(self) -> None:
        self.values: Counter[tuple[str, str]] = Counter()

    def note(self, landing: Landing, cell: str) -> None:
        key = landing.name, cell[:LONGEST]
        if landing.field.kind in LISTED and (len(self.values) < MOST or key in self.values):
            self.values[key] += 1


def not_found(connection: Connection, import_id: int, step: str, name: str, attribute: str) -> list[tuple[str, int]]:
    """The names that no record has, or several have, of staged rows that refer to others; the most frequent first."""
    rows = connection.execute(
        text(
            "SELECT r.data->>CAST(:name AS text), count(*) FROM import_row r WHERE r.import_id = :import AND r.step = :step "
            "AND r.outcome IN ('refused', 'ambiguous') AND r.field = :name AND r.data ? CAST(:name AS text) AND NOT r.data ? CAST(:attribute AS text) "
            "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT :most"
        ),
        {"import": import_id, "step": step, "name": name, "attribute": attribute, "most": MOST},
    )
    return [(value, number) for value, number in rows]


def as_found(counted: Iterable[tuple[str, str, int]], words: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """By target: the most frequent values with their numbers, and how many different ones there are besides. A word that
    was said to mean something else, and that doesn't fit either, is told as it stands in the file."""
    meant = {(name, means): word for name, given in words.items() for word, means in given.items() if means}
    found: dict[str, Counter[str]] = {}
    for name, value, number in counted:
        found.setdefault(name, Counter())[meant.get((name, value), value)] += number
    return {
        name: {"values": values.most_common(SHOWN), "more": max(0, len(values) - SHOWN)}
        for name, values in found.items()
    }


def read_words(given: Mapping[str, str], known: Iterable[str]) -> dict[str, dict[str, str]]:
    """What a person said that words of the file mean: lines of `word_field_N`, `word_value_N` and what it means, a choice
    (`word_means_N`, EMPTY for nothing) or a name (`word_text_N`); a line without either says nothing."""
    names, found = frozenset(known), dict[str, dict[str, str]]()
    for field in given:
        number = field.removeprefix("word_field_")
        if number == field or given[field] not in names:
            continue
        means = given.get(f"word_text_{number}", "").strip() or given.get(f"word_means_{number}", "")
        if means and (value := given.get(f"word_value_{number}", "")):
            found.setdefault(given[field], {})[value[:LONGEST]] = "" if means == EMPTY else means[:LONGEST]
    return found
