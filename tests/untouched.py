"""Whether anything was written: asked after each request, so it must cost little."""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Flask
from sqlalchemy import text

from crm.core.entity import Base, db

# What this transaction has written so far, also what was rolled back to a savepoint since.
_WRITES = text("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), sum(n_tup_ins) FROM pg_stat_xact_user_tables")


@cache
def _statement() -> Any:
    """A new, changed or removed row changes the number of rows or the sum of their `xmin`: within one transaction too,
    as each savepoint has a number of its own."""
    parts = (f"SELECT '{table.name}', count(*), coalesce(sum(xmin::text::bigint), 0) FROM \"{table.name}\""
             for table in Base.metadata.sorted_tables)  # fmt: skip
    return text(" UNION ALL ".join(parts))


class Tables:
    """The tables as they were when this was made, as the requests' own connection sees them."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._writes, self._state = self._ask(_WRITES), self._ask(_statement())

    def changed(self) -> list[str]:
        """The names of those that are different now. The tables are counted only when something was written at all."""
        writes = self._ask(_WRITES)
        if writes == self._writes:
            return []
        self._writes = writes
        return sorted({row[0] for row in self._state ^ self._ask(_statement())})

    def _ask(self, statement: Any) -> set[tuple[Any, ...]]:
        with self._app.app_context():
            found = {tuple(row) for row in db.session.execute(statement)}
            db.session.rollback()
        return found
