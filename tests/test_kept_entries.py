"""What was entered into a ledger stays, however somebody tries to have it otherwise: by fields that the form doesn't show, by
the API, by a file. What the database itself refuses is in tests/commands/test_ledgers.py."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from sqlalchemy import text

from crm.core.entity import Face, all_faces, db
from crm.importing.plan import PlanRefused
from crm.importing.running import run_import
from crm.importing.start import draft, replan, start
from crm.models.imports import Duplicates
from tests.factories import make, sample
from tests.importing.conftest import counts
from tests.test_every_entity import _hidden

KEPT = [face for face in all_faces() if face.entity.only_changes is not None]
each_kept = pytest.mark.parametrize("face", KEPT, ids=lambda face: face.name)


def others(face: Face) -> dict[str, str]:
    """Another value for each field that stays, as text: of a reference another record's number."""
    found = {}
    for name, declared in face.fields.items():
        if declared.attribute in (face.entity.only_changes or ()) or declared.figure or declared.linked is not None:
            continue
        found[name] = "4711" if declared.kind == "reference" else declared.text(sample(declared))
    return found


def stored(record: Any) -> Any:
    db.session.expire_all()
    return db.session.execute(
        text(f"SELECT t.* FROM {record.__tablename__} t WHERE t.id = :id"), {"id": record.id}
    ).one()


@pytest.fixture
def entered(session: Any, face: Face) -> tuple[Any, Any]:
    """A record, and its row as it has to stay."""
    record = make(face)
    session.commit()
    return record, stored(record)


def test_there_are_ledgers() -> None:
    assert {"point_entry", "cashback_entry", "invoice", "payment", "credit_decision"} <= {face.name for face in KEPT}


@each_kept
def test_a_form_with_more_fields_than_it_shows_changes_none_of_them(face: Face, entered: Any, as_user: Any) -> None:
    record, before = entered
    admin = as_user("admin")
    address = f"/admin/{face.plural}/edit/?id={record.id}"
    page = admin.client.get(address)
    assert (page.status_code == 200) is face.about.edit
    given = _hidden(page.text) | others(face) | {"id": "4711", "updated_at": "2001-01-01"}
    assert admin.client.post(address, data=given).status_code in ((303, 422) if face.about.edit else (403,))
    for name, value in others(face).items():
        answer = admin.client.post(f"/admin/{face.plural}/cell/?id={record.id}&field={name}", data={name: value})
        assert 400 <= answer.status_code < 500
    admin.client.post(f"/admin/{face.plural}/delete/", data={"id": record.id, "confirm": "1"})
    assert {**stored(record)._mapping, "updated_at": 0} == {**before._mapping, "updated_at": 0}


@each_kept
def test_a_program_changes_none_of_them(face: Face, entered: Any, client: Any, api_key: Any) -> None:
    record, before = entered
    place, key = f"/api/v1/{face.plural}/{record.id}", api_key()
    tag = client.get(place, headers=key).headers.get("ETag", "*") if face.about.api else "*"
    for name, value in (others(face) | {"id": "4711"}).items():
        answer = client.patch(place, json={name: value}, headers=key | {"If-Match": tag})
        assert 400 <= answer.status_code < 500, (name, answer.text)
    assert 400 <= client.delete(place, headers=key | {"If-Match": tag}).status_code < 500
    assert 400 <= client.put(place, json=others(face), headers=key | {"If-Match": tag}).status_code < 500
    assert stored(record) == before


@pytest.mark.parametrize("face", [face for face in KEPT if face.about.imports], ids=lambda face: face.name)
def test_a_file_changes_none_of_them(face: Face, entered: Any, as_user: Any) -> None:
    record, before = entered
    by = as_user("admin").user_id
    sheet = io.StringIO()
    values = others(face) | {"id": str(record.id)}
    table = csv.DictWriter(sheet, list(values))
    table.writeheader()
    table.writerow(values)
    made, read = draft(face, io.BytesIO(sheet.getvalue().encode()), "back.csv", by=by, again=True)
    with pytest.raises(PlanRefused, match="never changed"):
        replan(made, face, read, None, duplicates=Duplicates.UPDATE)
    replan(made, face, read, None, duplicates=Duplicates.SKIP)
    start(made, by=by)
    for _ in run_import(made.id, {}):
        pass
    assert counts(made) == {"skipped": 1}
    assert stored(record) == before
