"""The indexes that follow from a declaration. Each costs every change of a row, so none is made twice or for nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Column, Index, UniqueConstraint


def add_indexes(table: Any, *, search: str, sort: Iterable[str], timeline: tuple[str, ...] = ()) -> None:
    """One for each reference, for the letters of the column `search`, for each column that a list sorts by with the id;
    over `timeline`, which is whose and when, with the id."""
    if timeline:
        Index(f"ix_{table.name}_timeline", *(table.c[name] for name in timeline), table.c.id)
    for column in table.columns:
        declared = column.info.get("field")
        if declared is not None and declared.kind == "reference" and not _leads_an_index(table, column):
            Index(f"ix_{table.name}_{column.name}", column)
    if search in table.columns:
        Index(
            f"ix_{table.name}_search", table.c[search], postgresql_using="gin", postgresql_ops={search: "gin_trgm_ops"}
        )
    for name in sort:
        if name in table.columns:
            Index(f"ix_{table.name}_sort_{name}", table.c[name], table.c.id)
    _leave_out_nothing(table)


def _leads_an_index(table: Any, column: Column[Any]) -> bool:
    """Whether an index over all rows begins with this column already."""
    unique = [next(iter(made.columns)) for made in table.constraints if isinstance(made, UniqueConstraint)]
    whole = [made.expressions[0] for made in table.indexes if made.dialect_options["postgresql"]["where"] is None]
    return any(first is column for first in (*unique, *whole))


def _leave_out_nothing(table: Any) -> None:
    """An index of one column is asked for a value, never for none."""
    for index in table.indexes:
        options, (first, *others) = index.dialect_options["postgresql"], index.expressions
        if options["using"] or options["where"] is not None or index.unique or others:
            continue
        if isinstance(first, Column) and first.nullable:
            options["where"] = first.is_not(None)
