"""What was exported comes back unchanged: every kind of record, all of its columns, as CSV and as a workbook; JSON, which
programs read and no import takes, says the same.

`make test` takes one kind of record as the one, the next as the other; `make soak` each as both.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os

import pytest
from sqlalchemy import func, select

from crm.commands.access import create_user
from crm.core.entity import Face, all_faces, db
from crm.core.jobs import JobState
from crm.core.spreadsheets import plain
from crm.importing.running import run_import
from crm.importing.start import draft, replan, start
from crm.importing.storage import uploads
from crm.importing.targets import own_landings
from crm.models.access import AuditEntry, User
from crm.models.imports import Duplicates, Import
from crm.queries.export_files import as_file
from crm.queries.exports import ALL, extract, read_columns
from crm.queries.listing import read_query
from tests.factories import form_values, make
from tests.importing.conftest import counts

# The faces of one entity differ in their rights and defaults only: two of them are enough.
TARGETS = [face for face in all_faces() if face.about.imports and face in face.entity.faces[:2]]
FORMS = ("csv", "xlsx")
TRIED = [(face, form) for place, face in enumerate(TARGETS) for form in FORMS
         if os.environ.get("SOAK_N") or form == FORMS[place % 2]]  # fmt: skip
TRICKY = (
    "=1+1",
    "'quoted",
    "''",
    "- a line\n\n  and “another”; with, signs\tand a tab",
    "+49 (0)221 1",
    "@home",
    "a 'b'",
)


@pytest.fixture
def actor(session) -> User:
    """Somebody who may everything."""
    return create_user(email="round-trip@example.com", role="admin", password="correct horse battery staple")[0]


def exported(face: Face, form: str, actor) -> bytes:
    taken = extract(face, read_query(face, []), read_columns(face, [ALL], actor), form, by=actor)
    return b"".join(as_file(taken, taken.rows(db.session.connection())))


@pytest.mark.soak
@pytest.mark.parametrize(("face", "form"), TRIED, ids=lambda one: getattr(one, "name", one))
def test_what_was_exported_comes_back_unchanged(face: Face, form: str, session, actor) -> None:
    number = _make(face)
    last = session.scalar(select(func.max(AuditEntry.id)))
    record, table = draft(face, io.BytesIO(exported(face, form, actor)), f"back.{form}", by=actor.id, again=True)
    plan = replan(record, face, table, None, duplicates=Duplicates.UPDATE if face.about.edit else Duplicates.SKIP)
    assert plan.match == ("id",)
    own = {landing.name for landing in own_landings(face) if not landing.field.original}
    lost = {column.name for column in table.columns if column.values} & own - set(plan.columns.values())
    assert not lost, "a column that is exported under its own name is known again"
    start(record, by=actor.id).state = JobState.DONE
    for _ in run_import(record.id, {}):
        pass
    assert counts(record) == {"unchanged" if face.about.edit else "skipped": number}, _told(record)
    assert session.scalar(select(func.max(AuditEntry.id))) == last
    _json_says_the_same(face, actor)


def _told(record: Import) -> str | None:
    """Why it was not so."""
    return (uploads() / record.refused_name).read_text() if record.refused_name else record.remarks


def _make(face: Face) -> int:
    """A record with a value in each field, one with what it needs; how many there are now."""
    if face.entity.only_changes is None:  # what is never changed is made in the plain way
        record, tricky = make(face), itertools.cycle(TRICKY)
        for name, value in form_values(face).items():
            text = next(tricky) if _is_free(face, name) else ""
            face.put(record, name, (text if face.field(name).kind == "long_text" else " ".join(text.split())) or value)
        db.session.flush()
    make(face)
    db.session.commit()
    return int(db.session.scalar(select(func.count()).select_from(face.entity).where(*face.where())) or 0)


def _is_free(face: Face, name: str) -> bool:
    field = face.field(name)
    column = face.entity.__table__.c.get(field.attribute)
    return field.kind in ("text", "long_text") and column is not None and not column.unique and field.max_length > 60


def _json_says_the_same(face: Face, actor) -> None:
    rows = json.loads(exported(face, "json", actor))
    texts = list(csv.DictReader(io.StringIO(exported(face, "csv", actor).decode("utf-8-sig"))))
    assert [list(row) for row in rows] == [list(row) for row in texts]
    for row, text in zip(rows, texts, strict=True):
        for name, value in row.items():
            assert plain(text[name]) == face.field(name).text(value), name
