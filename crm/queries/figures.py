"""Figures that aren't what the records add up to; there should be none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crm.core.entity import db
from crm.core.figures import differences


@dataclass(frozen=True)
class Wrong:
    """A figure of one record: what stands there, and what is true; None is empty."""

    table: str
    record_id: int
    figure: str
    there: str | None
    true: str | None

    def as_data(self) -> dict[str, Any]:
        record = f"{self.table.removesuffix('_figures')} {self.record_id}"
        return {"record": record, "id": self.record_id, "figure": self.figure, "is": self.there, "must_be": self.true}


def wrong_figures() -> Iterator[Wrong]:
    """Everything worked out from scratch and compared, all as of one moment, while others go on writing."""
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        for found in differences(connection):
            yield Wrong(*found)
