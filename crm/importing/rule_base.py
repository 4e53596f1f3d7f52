"""What an entity may say to importing beyond its declared fields; by itself nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm.core.entity import Face
from crm.core.fields import Field
from crm.core.permissions import Actor


class Rules:
    """What importing into an entity knows beyond its declared fields. This one knows nothing more."""

    def targets(self, face: Face) -> list[Field]:
        """Fields that can be imported although no form offers them."""
        return []

    def prepare(self, face: Face, data: dict[str, Any]) -> None:
        """Fill in what follows from the other values of the row alone."""
        face.entity.complete(data)

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        """Fill in, from what was read, what else a new record needs. ValueError refuses the row."""

    def kept_from(self, face: Face, actor: Actor) -> frozenset[str]:
        """Targets that this person may not set although the fields are open."""
        return frozenset()

    # Columns that only a new record gets; an update leaves them alone.
    only_new: frozenset[str] = frozenset()
    # Name → SQL type of staged values that are no columns, for `refuses_update`.
    more: Mapping[str, str] = {}

    def refuses_update(self) -> str | None:
        """SQL over the record and its new values (`v`): why a matched row must not be taken, or NULL."""
        return None

    # Column → (SQL: it may follow, SQL: its new value), where the file has its parts but not itself.
    derived: Mapping[str, tuple[str, str]] = {}
    # SQL: the records that a row may be matched with.
    matched_with: str = "true"
    # SQL: the number of the record that a found one stands for; empty: its own.
    meant: str = ""
    # SQL: that another one stands for it; goes with `meant`.
    left: str = "false"
    # What Python would check of one record at a time is checked here for all rows at once, or by the database.
    checked: bool = False

    # Columns that `fill` gives a value.
    filled: tuple[str, ...] = ()

    def fills(self, mapped: frozenset[str]) -> frozenset[str]:
        """Required fields that a new record gets from others of these."""
        return frozenset()

    def fill(self, face: Face) -> str | None:
        """SQL over the staged row `r`: what it adds where the file says nothing; None for nothing."""
        return None
