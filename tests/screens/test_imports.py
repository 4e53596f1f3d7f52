"""The import wizard: upload, match, check, run; who may, what is refused, what can be downloaded."""

from __future__ import annotations

import io
import re
from decimal import Decimal

import pytest
from sqlalchemy import select

from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobState
from crm.importing import start as starting
from crm.importing.running import run_import
from crm.models.access import User, UserRole
from crm.models.imports import Import
from crm.models.parties import Party
from crm.models.sales_orders import Order
from tests.factories import make

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


def mapped(person, data: bytes = FILE, **more) -> int:
    """A draft whose columns are chosen."""
    number = draft_id(upload(person, data, **more))
    columns = {f"column_{place}": name for place, name in enumerate(data.decode().splitlines()[0].split(","))}
    answer = person.client.post(f"/admin/imports/map/?id={number}", data={"do": "next", **columns})
    assert answer.status_code == 303, answer.text[:2000]
    return number


def confirmed(person, number: int) -> dict[str, str]:
    """What the form under the preview sends."""
    page = person.client.get(f"/admin/imports/preview/?id={number}")
    assert page.status_code == 200
    fields = dict(re.findall(r'<input type="hidden" name="(plan|again)" value="([^"]+)">', page.text))
    assert len(fields["plan"]) == 64
    return {"do": "run", **fields}


def run(person, number: int, **more):
    form = {**confirmed(person, number), **more}
    return person.client.post(f"/admin/imports/preview/?id={number}", data=form)


def is_started(app, number: int) -> bool:
    with app.app_context():
        return db.session.get_one(Import, number).job_id is not None


def end(app, number: int) -> None:
    finish(app, number)
    with app.app_context():
        job = db.session.get_one(Import, number).job
        assert job
        job.state = JobState.DONE
        db.session.commit()


def lose_roles(app, person) -> None:
    with app.app_context():
        db.session.query(UserRole).filter_by(user_id=person.user_id).delete()
        db.session.commit()


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
    assert 'value="email" selected>E-mail<' in page.text
    assert 'name="match" value="email" checked' in page.text
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
    assert person.client.get(f"/admin/imports/preview/?id={number}").status_code == 303
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
    assert re.search(r"all [56] columns agree<", page.text)


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
    for role in ("sales_rep", "auditor", "manager", "admin"):
        stranger = as_user(role)
        for page in ("map", "preview", "progress", "status", "refused"):
            assert stranger.client.get(f"/admin/imports/{page}/?id={number}").status_code == 404, (role, page)
        for page in ("map", "preview"):
            answer = stranger.client.post(f"/admin/imports/{page}/?id={number}", data={"do": "run", "column_0": "name"})
            assert answer.status_code == 404, (role, page)
        if role in ("auditor", "admin"):
            assert "Go on with it" not in stranger.client.get(f"/admin/imports/details/?id={number}").text
    with app.app_context():
        assert db.session.get_one(Import, number).job_id is None
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
    run(person, number)
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


REFUSED = b"name,email,phone\nAnn,not an address,+60123456789\nBob,bob@x.org,\n"


def test_who_sees_stops_and_takes_what_of_an_import_of_somebody_else(app, as_user):
    owner, admin = as_user("manager"), as_user("admin")
    auditor, others = as_user("auditor"), [as_user("auditor"), as_user("sales_rep"), as_user("manager")]
    number = mapped(owner, REFUSED)
    assert "/progress/" in run(owner, number).location
    for person in others:
        assert person.client.post(f"/admin/imports/cancel/?id={number}").status_code == 404
        for page in ("progress", "status", "refused"):
            assert person.client.get(f"/admin/imports/{page}/?id={number}").status_code == 404, page
    details = auditor.client.get(f"/admin/imports/details/?id={number}")
    assert details.status_code == 200
    assert "Progress and report" not in details.text
    with app.app_context():
        job = db.session.get_one(Import, number).job
        assert job
        assert (job.state, job.cancel_asked) == (JobState.WAITING, False)
    end(app, number)
    for person in (owner, admin):
        for page in ("progress", "status", "refused"):
            answer = person.client.get(f"/admin/imports/{page}/?id={number}")
            assert answer.status_code == 200, page
            answer.close()
    assert auditor.client.get(f"/admin/imports/refused/?id={number}").status_code == 404
    lose_roles(app, owner)
    for page in ("progress", "status", "refused"):
        assert owner.client.get(f"/admin/imports/{page}/?id={number}").status_code == 403, page


def test_one_who_may_export_only_his_own_gets_no_refused_rows_of_others(app, as_user):
    owner, rep = as_user("manager"), as_user("sales_rep")
    with app.app_context():
        role = db.session.get_one(User, rep.user_id).roles[0]
        lines = [line for line in role.grants if line.pattern in ("import.read", "job.cancel")]
        assert len(lines) == 2
        for line in lines:
            line.scope = "all"
        db.session.commit()
    number = mapped(owner, REFUSED)
    run(owner, number)
    end(app, number)
    page = rep.client.get(f"/admin/imports/progress/?id={number}")
    assert page.status_code == 200
    assert "/admin/imports/refused/" not in page.text
    assert "/admin/imports/refused/" in owner.client.get(f"/admin/imports/progress/?id={number}").text
    assert rep.client.get(f"/admin/imports/refused/?id={number}").status_code == 404


def test_an_import_is_cancelled_by_its_person_or_by_who_may_cancel_jobs(app, as_user):
    owner = as_user("manager")
    for person in (owner, as_user("admin")):
        number = mapped(owner, FILE, again="1")
        run(owner, number, again="1")
        answer = person.client.post(f"/admin/imports/cancel/?id={number}")
        assert "/admin/imports/progress/" in answer.location
        with app.app_context():
            job = db.session.get_one(Import, number).job
            assert job
            assert job.state is JobState.CANCELLED


def test_whoever_may_import_no_longer_cannot_go_on_with_a_draft(app, as_user):
    person = as_user("manager")
    number = mapped(person)
    form = confirmed(person, number)
    lose_roles(app, person)
    for page in ("map", "preview"):
        assert person.client.get(f"/admin/imports/{page}/?id={number}").status_code == 403
    assert person.client.post(f"/admin/imports/preview/?id={number}", data=form).status_code == 403
    assert person.client.post(f"/admin/imports/cancel/?id={number}").status_code == 403
    assert not is_started(app, number)


def test_only_the_plan_that_was_checked_is_started(app, as_user):
    person = as_user("manager")
    number = mapped(person)
    old = confirmed(person, number)
    person.client.post(f"/admin/imports/map/?id={number}", data={"do": "next", "column_0": "name"})
    for form in (old, {"do": "run"}, {"do": "run", "plan": ""}):
        answer = person.client.post(f"/admin/imports/preview/?id={number}", data=form)
        assert "/admin/imports/preview/" in answer.location
        assert not is_started(app, number)
    page = person.client.get(answer.location)
    assert "the plan changed since it was checked: check again" in page.text
    assert "/admin/imports/progress/" in run(person, number).location
    assert is_started(app, number)


def test_two_drafts_of_one_file_are_not_both_started(app, as_user):
    one, other = as_user("manager"), as_user("manager")
    first, second = mapped(one), mapped(other)
    form = confirmed(other, second)
    assert "again" not in form
    assert "/admin/imports/progress/" in run(one, first).location
    answer = other.client.post(f"/admin/imports/preview/?id={second}", data=form)
    assert "/admin/imports/preview/" in answer.location
    assert not is_started(app, second)
    page = other.client.get(answer.location).text
    assert "The same file is being imported already" in page
    assert "Import it all the same" in page
    assert "/admin/imports/progress/" in run(other, second).location
    assert is_started(app, second)
    third = mapped(one, again="1")
    assert "again" not in confirmed(one, third), "it was said when the file was sent"
    assert "/admin/imports/progress/" in run(one, third).location


def test_what_is_no_number_of_a_column_or_row_breaks_nothing(as_user):
    person = as_user("manager")
    number = draft_id(upload(person))
    for odd in ("\u00b2", "9" * 5000, "-1", "", "\u0663"):
        form = {"do": "next", "column_0": "name", f"style_{odd}": "dmy"}
        assert person.client.post(f"/admin/imports/map/?id={number}", data=form).status_code == 303
        form = {"do": "again", "header": odd, f"style_{odd}": "dmy"}
        assert person.client.post(f"/admin/imports/map/?id={number}", data=form).status_code == 303
    assert (
        person.client.post(f"/admin/imports/map/?id={number}", data={"do": "again", "header": "9999"}).status_code
        == 422
    )


def test_a_report_speaks_of_the_past_once_it_has_ended(app, as_user):
    person = as_user("manager")
    number = mapped(person, REFUSED)
    preview = person.client.get(f"/admin/imports/preview/?id={number}").text
    assert "become new records" in preview
    assert "cannot be taken" in preview
    run(person, number)
    end(app, number)
    report = person.client.get(f"/admin/imports/progress/?id={number}").text
    assert "became new records" in report
    assert "could not be taken" in report
    for future in ("become new records", "cannot be taken"):
        assert future not in report


def test_a_check_that_runs_is_its_persons_too(app, as_user):
    person = as_user("manager")
    number = mapped(person)
    with app.app_context():
        job_id = starting.ask_check(db.session.get_one(Import, number), by=person.user_id).id
        db.session.commit()
    assert as_user("manager").client.get(f"/admin/imports/status/?id={number}").status_code == 404
    assert as_user("auditor").client.post(f"/admin/imports/cancel/?id={number}").status_code == 404
    assert "Checking" in person.client.get(f"/admin/imports/status/?id={number}").text
    assert as_user("manager").client.post(f"/admin/imports/cancel/?id={number}").status_code == 404
    assert as_user("admin").client.post(f"/admin/imports/cancel/?id={number}").location == "/admin/"
    with app.app_context():
        assert db.session.get_one(Job, job_id).state is JobState.CANCELLED


def test_orders_with_their_lines_come_in_from_the_button_of_the_list(app, as_user):
    """One row is one line; its order and what is the same for all come with it."""
    person = as_user("admin")
    assert 'href="/admin/imports/new/?entity=purchases"' in person.client.get("/admin/purchases/").text
    shown = person.client.get("/admin/imports/new/?entity=purchases").text
    assert re.search(r'<option value="order_line" selected data-template="/admin/imports/template/purchases/"', shown)
    with app.app_context():
        made = make(face_named("customer"), name="Ann Smith", account_number="77")
        db.session.commit()
        customer = made.id
    file = b"order number,customer no,product name,quantity,price\nA-1,77,Tyre,4,99.50\nA-1,77,Fitting,1,20\nA-2,78,Tyre,1,99.50\n"
    number = draft_id(upload(person, file, "lines.csv", entity="order_line"))
    columns = ("order.number", "order.customer", "name", "quantity", "unit_price")
    form = {"do": "next", **{f"column_{place}": name for place, name in enumerate(columns)}}
    answer = person.client.post(f"/admin/imports/map/?id={number}", data=form)
    assert answer.status_code == 422
    assert "no column becomes Order: Currency" in answer.text
    assert '<option value="order.currency" selected>' in answer.text, "what is lacking is asked for"
    form |= {"same_field_0": "order.currency", "same_value_0": "eur", "style_1": "account_number"}
    answer = person.client.post(f"/admin/imports/map/?id={number}", data=form)
    assert answer.status_code == 303, answer.text
    page = person.client.get(f"/admin/imports/preview/?id={number}").text
    assert "there is no customer with the account number “78”" in page
    assert "1 orders came with the rows" in page
    assert "Import 2 purchases" in page
    run(person, number)
    end(app, number)
    with app.app_context():
        order = db.session.scalars(select(Order)).one()
        assert (order.number, order.customer_id, order.currency) == ("A-1", customer, "EUR")
        assert [(line.name, line.total) for line in order.lines] == [
            ("Tyre", Decimal("398")),
            ("Fitting", Decimal("20")),
        ]
