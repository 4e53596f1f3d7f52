"""The import wizard: upload, match, check, run; who may, what is refused, what can be downloaded."""

from __future__ import annotations

import io
import re

import pytest

from crm.core.entity import db
from crm.core.jobs import JobState
from crm.importing.running import run_import
from crm.models.imports import Import
from crm.models.parties import Party

HEADER = "name,email,phone,industry,website,address,status"
FILE = f"{HEADER}\nAnn Smith,ann@x.org,+60123456789,Steel,x.org,Jalan 1,active\n".encode()


def upload(person, data: bytes = FILE, name: str = "customers.csv", **more):
    form = {"entity": "customer", "duplicates": "skip", "file": (io.BytesIO(data), name), **more}
    return person.client.post("/admin/imports/new/", data=form, content_type="multipart/form-data")


def draft_id(answer) -> int:
    assert answer.status_code == 303, answer.text[:2000]
    found = re.search(r"id=(\d+)", answer.location)
    assert found
    return int(found[1])


def finish(app, number: int) -> None:
    with app.app_context():
        for _ in run_import(number, {}):
            db.session.commit()
        db.session.commit()


def test_from_the_upload_to_the_report(app, as_user):
    person = as_user("manager")
    assert "Import a file" in person.client.get("/admin/imports/new/").text
    number = draft_id(upload(person))
    page = person.client.get(f"/admin/imports/map/?id={number}")
    assert page.status_code == 200
    assert page.text.count("selected>E-mail<") == 1
    columns = {f"column_{place}": name for place, name in enumerate(HEADER.split(","))}
    answer = person.client.post(f"/admin/imports/map/?id={number}", data={"do": "next", **columns})
    assert answer.status_code == 303
    preview = person.client.get(answer.location)
    assert preview.status_code == 200
    assert "Nothing has been written yet" in preview.text
    assert "Ann Smith" in preview.text
    with app.app_context():
        assert db.session.query(Party).filter_by(email="ann@x.org").count() == 0
    answer = person.client.post(f"/admin/imports/preview/?id={number}", data={"do": "run"})
    assert "/admin/imports/progress/" in answer.location
    assert 'hx-get="/admin/imports/status/' in person.client.get(answer.location).text
    again = person.client.post(f"/admin/imports/preview/?id={number}", data={"do": "run"})
    assert again.status_code == 303
    finish(app, number)
    with app.app_context():
        record = db.session.get_one(Import, number)
        assert (record.rows, record.rows_created) == (1, 1)
        assert db.session.query(Party).filter_by(email="ann@x.org").one().name == "Ann Smith"
    for address in (
        "/admin/imports/",
        f"/admin/imports/details/?id={number}",
        f"/admin/imports/progress/?id={number}",
    ):
        page = person.client.get(address)
        assert page.status_code == 200, address
        assert "customers.csv" in page.text


def test_the_template_has_the_header_that_was_promised(as_user):
    answer = as_user("manager").client.get("/admin/imports/template/customers/")
    assert answer.text.strip() == "name,email,phone,industry,website,address,status"
    assert "attachment" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("role", ["auditor", "marketer", "credit_approver"])
def test_who_may_not_import_gets_no_wizard(as_user, role):
    person = as_user(role)
    assert person.client.get("/admin/imports/new/").status_code == 403
    assert upload(person).status_code == 403
    assert person.client.get("/admin/imports/template/customers/").status_code == 404


def test_drafts_of_others_are_not_there(app, as_user):
    number = draft_id(upload(as_user("manager")))
    stranger = as_user("sales_rep")
    for page in ("map", "preview", "progress", "status", "refused"):
        assert stranger.client.get(f"/admin/imports/{page}/?id={number}").status_code == 404
    assert as_user("manager").client.get("/admin/imports/map/?id=99999999999999999999").status_code == 404


def test_what_is_no_table_is_refused_on_the_page(as_user):
    answer = upload(as_user("manager"), b"%PDF-1.7 not a table", "report.pdf")
    assert answer.status_code == 422
    assert "this is a PDF" in answer.text


def test_an_upload_larger_than_a_form_is_taken(as_user):
    rows = b"".join(b"Person %d,person%d@x.org\n" % (n, n) for n in range(100_000))
    edge = b"--edge"
    part = b'\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = (
        edge
        + part % (b"entity", b"", b"customer")
        + edge
        + part % (b"file", b'; filename="f.csv"', b"name,email\n" + rows)
    )
    assert len(body) > 2 * 1024 * 1024
    answer = as_user("manager").client.post(
        "/admin/imports/new/", data=body + edge + b"--", content_type="multipart/form-data; boundary=edge"
    )
    assert answer.status_code == 303


def test_the_same_file_again_is_recognised(app, as_user):
    person = as_user("manager")
    number = draft_id(upload(person))
    columns = {f"column_{place}": name for place, name in enumerate(HEADER.split(","))}
    person.client.post(f"/admin/imports/map/?id={number}", data={"do": "next", **columns})
    person.client.post(f"/admin/imports/preview/?id={number}", data={"do": "run"})
    answer = upload(person)
    assert answer.status_code == 409
    assert "imported before" in answer.text
    assert upload(person, again="1").status_code == 303


def test_reading_can_be_overruled(as_user):
    person = as_user("manager")
    number = draft_id(upload(person, "name;email\nJosé;jose@x.org\n".encode("cp1252")))
    assert "José" in person.client.get(f"/admin/imports/map/?id={number}").text
    answer = person.client.post(
        f"/admin/imports/map/?id={number}",
        data={"do": "again", "encoding": "cp1251", "delimiter": ";", "quote": '"', "header": "1"},
    )
    assert answer.status_code == 303
    page = person.client.get(f"/admin/imports/map/?id={number}").text
    assert "Josй" in page
    assert "You chose it" in page
    answer = person.client.post(f"/admin/imports/map/?id={number}", data={"do": "again", "encoding": "klingon"})
    assert answer.status_code == 422


def test_a_plan_without_a_name_goes_nowhere(as_user):
    person = as_user("manager")
    number = draft_id(upload(person))
    answer = person.client.post(f"/admin/imports/map/?id={number}", data={"do": "next", "column_1": "email"})
    assert answer.status_code == 422
    assert "no record goes without it" in answer.text
    twice = {"do": "next", "column_0": "name", "column_1": "email", "column_2": "email"}
    assert person.client.post(f"/admin/imports/map/?id={number}", data=twice).status_code == 422
    strange = {"do": "next", "column_0": "name", "column_1": "password_hash"}
    assert person.client.post(f"/admin/imports/map/?id={number}", data=strange).status_code == 422


def test_refused_rows_come_back_as_a_file_that_runs_nothing(app, as_user):
    person = as_user("manager")
    number = draft_id(upload(person, b"name,email,phone\n=1+1,not an address,+60123456789\nBob,bob@x.org,\n"))
    columns = {"column_0": "name", "column_1": "email", "column_2": "phone"}
    person.client.post(f"/admin/imports/map/?id={number}", data={"do": "next", **columns})
    preview = person.client.get(f"/admin/imports/preview/?id={number}").text
    assert "is not an e-mail address" in preview
    person.client.post(f"/admin/imports/preview/?id={number}", data={"do": "run"})
    assert person.client.get(f"/admin/imports/refused/?id={number}").status_code == 404
    finish(app, number)
    with app.app_context():
        record = db.session.get_one(Import, number)
        assert record.job
        record.job.state = JobState.DONE
        db.session.commit()
    answer = person.client.get(f"/admin/imports/refused/?id={number}")
    assert answer.status_code == 200
    lines = answer.get_data().decode("utf-8-sig").splitlines()
    assert lines[0] == "name,email,phone,_row,_field,_error"
    assert lines[1].startswith("'=1+1,not an address,+60123456789,2,email,")
    assert len(lines) == 2
    answer.close()
