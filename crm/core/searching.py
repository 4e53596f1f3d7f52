"""The text that letters are searched in: a column of the record, or a table of its own where a record often changes in
something else, as every change of a row writes all its letters anew."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Computed, Index, Text
from sqlalchemy.orm import MappedColumn, mapped_column

from crm.core.tables import Model

SEARCH_TEXT = "search_text"


def search_column(cls: Any) -> MappedColumn[str]:
    """What is searched of a record, as a column of it."""
    return mapped_column(Text, Computed(made_of(cls), persisted=True), sort_order=96, deferred=True)


def search_table(cls: Any) -> Any:
    """The same in a table of its own. Without a foreign key: its rows follow by themselves, and a merge has nothing to
    move."""
    table = f"{cls.__tablename__}_search"
    return type(f"{cls.__name__}Search", (Model,), {
        "__tablename__": table, "id": mapped_column(BigInteger, primary_key=True, autoincrement=False),
        SEARCH_TEXT: mapped_column(Text, nullable=False), "__table_args__": (
            Index(f"ix_{table}", SEARCH_TEXT, postgresql_using="gin", postgresql_ops={SEARCH_TEXT: "gin_trgm_ops"}),)})  # fmt: skip


def made_of(cls: Any) -> str:
    """SQL of the text, in the names of the record's columns."""
    joined = " || ' ' || ".join(f"coalesce({_expression(cls, name)}, '')" for name in cls.about.search)
    return f"crm_sort_key({joined})"


def fill_apart(cls: Any) -> str:
    """SQL that writes the text of all records that have none yet, for who has put the triggers aside."""
    apart = cls.search_apart.__tablename__
    return f"INSERT INTO {apart} SELECT id, {made_of(cls)} FROM {cls.__tablename__} ON CONFLICT DO NOTHING"  # noqa: S608 - of declared names


def _expression(cls: Any, name: str) -> str:
    """A column in a generated column's expression: PostgreSQL refuses a generated one there, so that is repeated."""
    declared = vars(cls).get(name)
    computed = declared.column.computed if isinstance(declared, MappedColumn) else None
    return f"({computed.sqltext})" if computed is not None else name
