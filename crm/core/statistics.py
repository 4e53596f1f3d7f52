"""What the planner knows of tables that were just filled: with counts of an hour ago it may walk two long lists against
each other row by row, which takes hours where it should take a second.

Only an owner may ANALYZE, so the app calls a function of the owner's, which can do nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import ARRAY, Text, TextClause, bindparam, text
from sqlalchemy.engine import Connection

from crm.core.tables import Base
from crm.core.triggers import SETTINGS

LEARNER = "refresh_statistics(text[])"
_OUTGROWN = 4  # times the size that was counted: what PostgreSQL's own counting didn't come to yet


def refresh_statistics(connection: Connection, tables: Iterable[str]) -> None:
    """Count and sample these tables anew, with what this transaction wrote; one that another is counting is left out."""
    wanted = bindparam("tables", list(tables), type_=ARRAY(Text))
    connection.execute(text("SELECT refresh_statistics(:tables)").bindparams(wanted))


def refresh_outgrown(connection: Connection, tables: Iterable[str]) -> None:
    """Count anew what has grown to several times the size that was counted, or wasn't; that costs nothing where none has."""
    wanted = bindparam("tables", list(tables), type_=ARRAY(Text))
    grown = text("SELECT relname FROM pg_class WHERE oid = ANY (CAST(:tables AS regclass[])) "
                 "AND (pg_relation_size(oid) > :times * current_setting('block_size')::bigint * greatest(relpages, 1) "
                 "OR reltuples <= 0 AND pg_relation_size(oid) > 0)")  # fmt: skip
    if outgrown := connection.execute(grown.bindparams(wanted), {"times": _OUTGROWN}).scalars().all():
        refresh_statistics(connection, outgrown)


def install_statements() -> list[str]:
    """The function, in an order that can be run again and again. It waits longer than PostgreSQL takes to send its own
    counting away from a table that somebody waits for, so only what a person counts is left out."""
    body = """
DECLARE wanted text;
BEGIN
  FOREACH wanted IN ARRAY tables LOOP
    BEGIN
      EXECUTE format('ANALYZE public.%I', wanted);
    EXCEPTION WHEN lock_not_available THEN
      NULL; -- somebody counts it at this moment, or changes its shape
    END;
  END LOOP;
END """
    function = (
        "CREATE OR REPLACE FUNCTION refresh_statistics(tables text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER "
        f"{SETTINGS} SET lock_timeout = '3s' AS $body${body}$body$"
    )
    return [function, f"REVOKE ALL ON FUNCTION {LEARNER} FROM PUBLIC", *_of_expressions()]


def _of_expressions() -> Iterator[str]:
    """The planner takes what it knows of an expression from the index over it, but not where that leaves rows out."""
    for table in Base.metadata.sorted_tables:
        for index in table.indexes:
            options, first = index.dialect_options["postgresql"], index.expressions[0]
            if options["where"] is not None and not options["using"] and isinstance(first, TextClause):
                yield f"CREATE STATISTICS IF NOT EXISTS {str(index.name).replace('ix_', 'of_', 1)} ON ({first}) FROM {table.name}"
