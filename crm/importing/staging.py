"""Rows of a file on their way in: copied into one table by import and line, gone at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from crm.importing.files import MIB, Row
from crm.importing.rows import RowReader, Staged

CHUNK = 5_000
CHUNK_TEXT = 16 * MIB  # characters: long rows go in smaller chunks


def stage(
    connect: Callable[[], Connection],
    import_id: int,
    reader: RowReader,
    rows: Iterable[Row],
    *,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[tuple[int, int]]:
    """Copy the rows below line `after` that the plan wants, chunk by chunk; yields (last line, rows in the chunk).

    `connect` answers the connection that counts now: the caller may commit after each chunk.
    """
    below = (reader.mended(row) for row in rows if row.number > after)
    for chunk in _chunks(islice(filter(reader.wants, below), limit)):
        _copy(connect(), import_id, (staged for row in chunk for staged in reader.read(row)))
        yield chunk[-1].number, len(chunk)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    length = 0
    for row in rows:
        chunk.append(row)
        length += sum(map(len, row.cells))
        if len(chunk) == CHUNK or length > CHUNK_TEXT:
            yield chunk
            chunk, length = [], 0
    if chunk:
        yield chunk


def _copy(connection: Connection, import_id: int, chunk: Iterable[Staged]) -> None:
    cursor = _driver(connection).cursor()
    columns = "import_id, line, data, match_key, outcome, field, reason, step"
    with cursor, cursor.copy(f"COPY import_row ({columns}) FROM STDIN") as copy:
        for line, data, key, field, reason, step in chunk:
            packed = None if data is None else json.dumps(data, ensure_ascii=False)
            copy.write_row((import_id, line, packed, key, "refused" if reason else None, field, reason, step))


def _driver(connection: Connection) -> Any:
    """psycopg's own connection below SQLAlchemy's: COPY is spoken there, in the same transaction."""
    return connection.connection.driver_connection


def staged_rows(connection: Connection, import_id: int) -> int:
    return int(
        connection.execute(
            text("SELECT count(*) FROM import_row WHERE import_id = :import AND step = ''"), {"import": import_id}
        ).scalar_one()
    )


def clear(connection: Connection, import_id: int) -> None:
    """Forget the staged rows of an import."""
    connection.execute(text("DELETE FROM import_row WHERE import_id = :import"), {"import": import_id})
