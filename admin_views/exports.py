"""Lists as files: streamed row by row from the database, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from flask import Response, stream_with_context
from sqlalchemy import Select

from crm.core.entity import Face, db
from crm.core.spreadsheets import neutral
from crm.queries.listing import loads

ROWS_AT_A_TIME = 1_000


def export_names(face: Face) -> list[str]:
    """Every field of the forms and pages, by the names that import and API use."""
    names = ["id", *(name for section in (*face.about.detail, *face.about.sections) for name in section.fields)]
    names += [*face.embedded_names, "created_at", "updated_at"]
    return list(dict.fromkeys(name for name in names if name in face.fields or name in face.embedded_names))


def stream_csv(face: Face, statement: Select[Any]) -> Response:
    """UTF-8 with a byte order mark, so that spreadsheets read it right; the first row names the fields."""
    names = export_names(face)

    def lines() -> Iterator[str]:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        buffer.write("\ufeff")
        writer.writerow(names)
        rows = db.session.scalars(statement.options(*loads(face, names)).execution_options(yield_per=ROWS_AT_A_TIME))
        for number, record in enumerate(rows, 1):
            writer.writerow([neutral(face.field(name).text(face.value(record, name))) for name in names])
            if number % 200 == 0:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
        yield buffer.getvalue()

    answer = Response(stream_with_context(lines()), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{face.plural}.csv"'
    return answer
