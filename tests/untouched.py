"""Whether anything was written: a count and a sum of versions per table, cheap enough to ask after each request."""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Flask
from sqlalchemy import text

from crm.core.entity import Base, db

State = dict[str, tuple[int, int]]


@cache
def _statement() -> Any:
    """A new, changed or removed row changes the number of rows or the sum of their `xmin`: within one transaction too,
    as each savepoint has a number of its own."""
    parts = (f"SELECT '{table.name}', count(*), coalesce(sum(xmin::text::bigint), 0) FROM \"{table.name}\""
             for table in Base.metadata.sorted_tables)  # fmt: skip
    return text(" UNION ALL ".join(parts))


def state(app: Flask) -> State:
    """Table → (rows, sum of versions), as the request's own connection sees them."""
    with app.app_context():
        found = {name: (int(rows), int(versions)) for name, rows, versions in db.session.execute(_statement())}
        db.session.rollback()
    return found


def difference(before: State, after: State) -> list[str]:
    return [name for name in after if before.get(name) != after[name]]
