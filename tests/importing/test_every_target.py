"""Every kind of record that a file can bring: its own template comes in, a hostile row is refused, nothing is half written."""

from __future__ import annotations

import csv
import io

import pytest
from sqlalchemy import func, select

from crm.core.entity import Face, all_faces, db
from crm.importing.keys import EXTERNAL
from crm.importing.storage import uploads
from crm.importing.targets import own_landings
from tests.factories import form_values
from tests.importing.conftest import counts

# The faces of one entity differ in their rights and defaults only: two of them are enough.
TARGETS = [face for face in all_faces() if face.about.imports and face in face.entity.faces[:2]]
HOSTILE = '"; DROP TABLE party; -- ' + "x" * 300


def row_of(face: Face, names: list[str]) -> dict[str, str]:
    """A valid row; other records are named by their numbers here."""
    values = form_values(face)
    return {name: f"#{values[name]}" if face.field(name).kind == "reference" else face.field(name).text(values[name])
            for name in names}  # fmt: skip


def as_file(*rows: dict[str, str]) -> str:
    made = io.StringIO()
    writer = csv.DictWriter(made, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()


@pytest.mark.parametrize("face", TARGETS, ids=lambda face: face.name)
def test_a_row_comes_in_whole_and_a_hostile_one_is_refused_with_its_reason(face, bring):
    names = [
        one.name for one in own_landings(face) if one.name != EXTERNAL and one.embed is None and one.name != "status"
    ]
    names = [name for name in names if name in {field.name for field in face.form_fields}]
    row = row_of(face, names)
    hostile = dict.fromkeys(names, HOSTILE)
    before = db.session.scalar(select(func.count()).select_from(face.entity))
    number = db.session.scalar(select(func.max(face.entity.id))) or 0
    record = bring(as_file(row, hostile), face.name, columns=dict(enumerate(names)))
    refused = (uploads() / record.refused_name).read_text("utf-8-sig")
    assert counts(record) == {"created": 1, "refused": 1}, refused[-2000:]
    assert db.session.scalar(select(func.count()).select_from(face.entity)) == before + 1
    made = db.session.scalars(select(face.entity).where(face.entity.id > number)).one()
    for name, text in row.items():
        field = face.field(name)
        given = text.removeprefix("#") if field.kind == "reference" else text
        assert field.parse(field.text(face.value(made, name))) == field.parse(given), name
