"""A list as a file: what it holds comes back unchanged, goes out at once, and is noted with who and what."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from sqlalchemy import func, select, text

from crm.commands import exports
from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobState
from crm.importing.running import run_import
from crm.importing.start import draft, replan, start
from crm.models.imports import Duplicates, Export, ExportState
from crm.models.parties import Party
from jobs import runner
from tests.conftest import Own, sign_in
from tests.factories import form_values, make, newest

CUSTOMER = face_named("customer")
FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "'=quoted", "''", "a 'b'", "-5", "+49 30 1")


@pytest.fixture
def admin(session: Any, as_user: Any) -> Any:
    return as_user("admin")


def rows(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))


def as_texts(record: Any, names: list[str]) -> dict[str, str]:
    return {name: CUSTOMER.field(name).text(CUSTOMER.value(record, name)) for name in names}


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_goes_out_comes_back_unchanged(admin: Any, form: str) -> None:
    made = []
    for number, formula in enumerate(FORMULAS):
        values = form_values(CUSTOMER) | {"description": f"{formula}\nsecond, “line”; ü", "industry": formula,
                                          "account_number": f"A-{number}", "email": f"p{number}@example.com"}  # fmt: skip
        record = make(CUSTOMER)
        for name, value in values.items():
            if value is not None:
                CUSTOMER.put(record, name, value)
        made.append(record)
    db.session.commit()  # what the database made of it is compared
    names = [declared.name for declared in CUSTOMER.form_fields if declared.name != "preferred_dealer"]
    query = {"columns": ",".join(names)}
    first = admin.client.get(f"/admin/customers/export/{form}/", query_string=query).get_data()
    before = {record.id: as_texts(record, names) for record in made}
    record, table = draft(CUSTOMER, io.BytesIO(first), f"back.{form}", by=None, again=True,
                          match="account_number", duplicates=Duplicates.UPDATE)  # fmt: skip
    replan(record, CUSTOMER, table, {column.index: column.name for column in table.columns if column.name in names})
    start(record, by=None)
    db.session.commit()
    for _ in run_import(record.id, {}):
        db.session.commit()
    db.session.expire_all()
    assert (record.rows, record.rows_unchanged, record.rows_refused) == (len(made), len(made), 0)
    for one in made:
        assert as_texts(one, names) == before[one.id]


def test_each_format_has_its_kinds_of_values(admin: Any) -> None:
    born, seen = dt.date(1990, 5, 17), dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)
    user = db.session.execute(text("SELECT email FROM app_user WHERE id = :id"), {"id": admin.user_id}).scalar_one()
    record = make(CUSTOMER, name="=Ärger & <Söhne>", date_of_birth=born, annual_revenue=Decimal("1234.5"), employees=7,
                  tags=["a", "b"], phone_state_at=seen, owner_id=admin.user_id, phone="+49301234567")  # fmt: skip
    early = make(CUSTOMER, date_of_birth=dt.date(1850, 1, 2))
    CUSTOMER.put(record, "city", "Bonn")
    db.session.flush()
    names = ["id", "name", "date_of_birth", "annual_revenue", "employees", "tags", "created_at", "owner", "phone", "city",
             "age_group"]  # fmt: skip
    get = lambda form: admin.client.get(f"/admin/customers/export/{form}/",  # noqa: E731
                                        query_string={"columns": names, "sort": "id"}).get_data()  # fmt: skip
    assert rows(get("csv"))[0] | {"created_at": ""} == {
        "id": str(record.id), "name": "'=Ärger & <Söhne>", "date_of_birth": "1990-05-17", "annual_revenue": "1234.5000",
        "employees": "7", "tags": "a, b", "created_at": "", "owner": user, "phone": "+49301234567", "city": "Bonn",
        "age_group": record.age_group}  # fmt: skip
    found = json.loads(get("json"))[0]
    assert (found["name"], found["employees"], found["tags"], found["annual_revenue"], found["date_of_birth"]) == (
        "=Ärger & <Söhne>", 7, ["a", "b"], "1234.5000", "1990-05-17")  # fmt: skip
    assert dt.datetime.fromisoformat(found["created_at"]) == record.created_at
    sheet = openpyxl.load_workbook(io.BytesIO(get("xlsx"))).active
    head, first, second = list(sheet.iter_rows(values_only=True))
    assert list(head) == names
    cells = dict(zip(names, first, strict=True))
    assert (cells["name"], cells["annual_revenue"], cells["employees"]) == ("'=Ärger & <Söhne>", 1234.5, 7)
    assert cells["date_of_birth"].date() == born
    assert abs(cells["created_at"] - record.created_at.replace(tzinfo=None)) < dt.timedelta(seconds=1)
    assert second[:3] == (early.id, early.name, "1850-01-02")


def test_nothing_to_export_is_a_file_too(admin: Any) -> None:
    query = {"search": "zzzz-nobody", "columns": "name"}
    get = lambda form: admin.client.get(f"/admin/customers/export/{form}/", query_string=query).get_data()  # noqa: E731
    assert get("csv").decode("utf-8-sig") == "name\r\n"
    assert json.loads(get("json")) == []
    assert list(openpyxl.load_workbook(io.BytesIO(get("xlsx"))).active.iter_rows(values_only=True)) == [("name",)]


def test_who_takes_out_what_is_noted(admin: Any) -> None:
    for number in range(3):
        make(CUSTOMER, industry="Mining", name=f"Miner {number}")
    make(CUSTOMER)
    answer = admin.client.get("/admin/customers/export/csv/?flt_industry_eq=mining&columns=shown&sort=name")
    assert len(rows(answer.get_data())) == 3
    answer.close()
    export = newest(face_named("export"))
    db.session.refresh(export)
    assert (export.asked_by_id, export.entity, export.rows, export.columns) == (
        admin.user_id, "customer", 3, list(CUSTOMER.about.columns))  # fmt: skip
    assert export.query == "sort=name&flt_industry_eq=mining"
    assert export.state is ExportState.STREAMED
    assert "flt_industry_eq=mining" in admin.client.get(f"/admin/exports/details/?id={export.id}").text


def test_a_bad_column_or_filter_leaves_no_note(admin: Any) -> None:
    for query in ("columns=nothing", "columns=photo", "flt_nothing_eq=1", "columns=name&page=-1"):
        assert admin.client.get(f"/admin/customers/export/csv/?{query}").status_code == 422
    assert db.session.scalar(select(func.count()).select_from(Export)) == 0


def test_a_long_one_is_made_in_the_background_and_kept_for_its_person(own_database: Own, monkeypatch: Any) -> None:
    monkeypatch.setattr("admin_views.exports.LARGE", 5)
    app = own_database.app
    person, other, reader = (sign_in(app, role) for role in ("manager", "manager", "auditor"))
    with app.app_context():
        db.session.execute(
            Party.__table__.insert(), [{"name": f"C {n}", "roles": ["business_customer"]} for n in range(12)]
        )
        db.session.commit()
    asked = person.client.get("/admin/customers/export/xlsx/?columns=name&search=C")
    assert "More than 5" in asked.text
    assert asked.mimetype == "text/html"
    answer = person.client.post("/admin/customers/export/xlsx/?columns=name&search=C")
    assert answer.status_code == 303
    with app.app_context():
        job = db.session.scalars(select(Job)).one()
        export = db.session.scalars(select(Export)).one()
        number = export.id
        assert export.state is ExportState.MAKING
        assert runner.run(job.id) == "done"
        db.session.expire_all()
        assert (export.rows, export.state, runner.look(job.id).done) == (12, ExportState.READY, 12)
        path = exports.path_of(export)
        assert path.stat().st_mode & 0o777 == 0o600
        db.session.rollback()
    status = person.client.get(answer.location)
    assert f"/admin/exports/file/?id={number}" in status.text
    with person.client.get(f"/admin/exports/file/?id={number}") as body:
        assert body.headers["Content-Disposition"].endswith(".xlsx")
        assert len(list(openpyxl.load_workbook(io.BytesIO(body.get_data())).active.iter_rows())) == 13
    # Another's isn't there; whoever sees all exports and may not export these gets the note, not the file.
    assert other.client.get(f"/admin/exports/file/?id={number}").status_code == 404
    assert reader.client.get(f"/admin/exports/details/?id={number}").status_code == 200
    assert reader.client.get(f"/admin/exports/file/?id={number}").status_code == 403
    with sign_in(app, "admin").client.get(f"/admin/exports/file/?id={number}") as body:
        assert body.status_code == 200
    with app.app_context():
        db.session.execute(text("UPDATE export SET expires_at = now() - interval '1 minute'"))
        assert exports.delete_expired() == 1
        db.session.commit()
    assert not path.exists()
    assert person.client.get(f"/admin/exports/file/?id={number}").status_code == 404


def test_a_right_lost_meanwhile_makes_no_file(own_database: Own) -> None:
    app = own_database.app
    person = sign_in(app, "manager")
    person.client.post("/admin/customers/export/csv/?columns=name")
    with app.app_context():
        db.session.execute(text("DELETE FROM user_role"))
        db.session.commit()
        job = db.session.scalars(select(Job)).one()
        assert runner.run(job.id) == JobState.FAILED
        assert "may no longer" in (runner.look(job.id).error or "")
