"""Documents with their files: kept by version below CRM_HOME, given out as downloads to who may read them."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import os
import time
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from crm.commands import party_documents
from crm.commands.party_documents import FOLDER, attach, delete_unnamed_files
from crm.core.command import Refused, WrongInput
from crm.core.entity import db, face_named
from crm.core.kept_files import UNFINISHED_FOR, folder
from crm.core.transaction import run_in_transaction
from crm.models.access import RoleGrant
from crm.models.parties import Party
from crm.models.party_choices import DocumentKind
from crm.models.party_documents import Attachment, Document
from tests.commands.test_file_contents import HTML, picture, zip_bomb
from tests.factories import make

PDF = b"%PDF-1.7\n1 0 obj\n%%EOF\n"


@pytest.fixture(autouse=True)
def own_home(app, tmp_path, monkeypatch) -> None:
    """Another worker's tests keep files at the same time; here what lies there is counted."""
    monkeypatch.setitem(app.config, "DESK_SETTINGS", replace(app.config["DESK_SETTINGS"], home=tmp_path))


@pytest.fixture
def party(session) -> Party:
    return make(face_named("customer"), name="Ada")


def files() -> set[str]:
    return {entry.name for entry in os.scandir(folder(FOLDER))}


def new(person, party, file: bytes | None, name: str = "licence.pdf", **values):
    data = {"party": party.id, "kind": "trade_licence", "label": "Licence", "number": "L-1"} | values
    if file is not None:
        data["file"] = (io.BytesIO(file), name)
    return person.client.post("/admin/documents/new/", data=data)


def upload(person, document, file: bytes, name: str):
    return person.client.post("/admin/documents/upload/", query_string={"id": document.id},
                              data={"file": (io.BytesIO(file), name)})  # fmt: skip


def test_a_document_and_its_file_are_kept_together_and_given_out_as_a_download(as_user, party):
    person = as_user("admin")
    assert new(person, party, PDF, "Lizenz Ä.pdf", expires_on="2027-01-31").status_code == 303
    document = db.session.scalars(select(Document)).one()
    [kept] = document.files
    assert (document.version, kept.version, kept.file_name, kept.size) == (1, 1, "Lizenz Ä.pdf", len(PDF))
    assert (kept.sha256, kept.uploaded_by_id) == (hashlib.sha256(PDF).hexdigest(), person.user_id)
    path = folder(FOLDER) / kept.stored_name
    assert (path.read_bytes(), oct(path.stat().st_mode)[-3:]) == (PDF, "600")
    assert "Lizenz" not in kept.stored_name
    answer = person.client.get("/admin/attachments/file/", query_string={"id": kept.id})
    assert (answer.data, answer.mimetype) == (PDF, "application/pdf")
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"Lizenz _.pdf\"; filename*=UTF-8''Lizenz%20%C3%84.pdf")  # fmt: skip
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    shown = person.client.get("/admin/documents/", query_string={"flt_expires_on_le": "2027-12-31"}).text
    assert "Licence" in shown
    assert "Licence" not in person.client.get("/admin/documents/?flt_expires_on_within_next=7+days").text


def test_a_new_version_keeps_the_old_one_and_is_not_verified(as_user, party):
    person = as_user("admin")
    new(person, party, PDF)
    document = db.session.scalars(select(Document)).one()
    verify = {"action": "verify", "rowid": document.id, "confirm": "1"}
    assert person.client.post("/admin/documents/action/", data=verify).status_code == 303
    db.session.expire_all()
    assert (document.verified_by_id, document.verified_at is not None) == (person.user_id, True)
    same = upload(person, document, PDF, "licence.pdf")
    assert (same.status_code, "is the same as version 1" in same.text) == (422, True)
    assert upload(person, document, picture("JPEG", (900, 600)), "photo.jpg").status_code == 303
    db.session.expire_all()
    assert (document.version, document.verified_at) == (2, None)
    assert [one.version for one in document.files] == [2, 1]
    shown = person.client.get("/admin/documents/details/", query_string={"id": document.id}).text
    assert shown.index("photo.jpg") < shown.index("licence.pdf")
    assert shown.count("/attachments/file/?id=") == 2
    small = person.client.get("/admin/attachments/thumbnail/", query_string={"id": document.files[0].id})
    assert (small.mimetype, small.headers["Content-Security-Policy"]) == ("image/webp", "sandbox; default-src 'none'")
    none = person.client.get("/admin/attachments/thumbnail/", query_string={"id": document.files[1].id})
    assert none.status_code == 404


@pytest.mark.parametrize(("name", "file", "said"), [
    ("picture.png", HTML, "is a web page"), ("bomb.xlsx", zip_bomb(), "that is a bomb"), ("empty.pdf", b"", "is empty"),
    ("run.exe", b"MZ\x90", "is a program"), ("a/../b.pdf", PDF, "path in its name"),
])  # fmt: skip
def test_a_refused_file_takes_its_document_along_and_leaves_nothing(as_user, party, name, file, said):
    person, before = as_user("admin"), files()
    answer = new(person, party, file, name)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert 'value="L-1"' in answer.text  # what was typed stays
    assert db.session.scalar(select(func.count()).select_from(Document)) == 0
    document = make(face_named("document"), party_id=party.id)
    db.session.commit()
    assert upload(person, document, file, name).status_code == 422
    assert db.session.scalar(select(func.count()).select_from(Attachment)) == 0
    assert files() == before


def test_without_a_file_it_says_that_there_is_a_paper(as_user, party):
    person = as_user("admin")
    assert new(person, party, None).status_code == 303
    document = db.session.scalars(select(Document)).one()
    assert (document.version, document.files) == (0, [])
    empty = person.client.post("/admin/documents/upload/", query_string={"id": document.id}, data={})
    assert (empty.status_code, "is required" in empty.text) == (422, True)


def test_what_is_rolled_back_leaves_no_file(own_database):
    with own_database.app.app_context():
        document = make(face_named("document"))
        db.session.commit()
        before = files()

        def fail() -> None:
            attach(document, PDF, "a.pdf")
            assert len(files() - before) == 1
            raise Refused("on second thoughts no")

        with pytest.raises(Refused):
            run_in_transaction(fail)
        assert files() == before
        run_in_transaction(lambda: attach(document, PDF, "a.pdf"))
        assert len(files() - before) == 1
        assert document.version == 1


def test_a_full_disk_is_said_and_leaves_nothing(session, party, monkeypatch):
    document, before = make(face_named("document"), party_id=party.id), files()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WrongInput, match="could not be kept: No space left on device"):
        attach(document, PDF, "a.pdf")
    db.session.rollback()
    assert files() == before


def test_files_that_no_document_names_are_swept_and_no_others(session, party):
    document = make(face_named("document"), party_id=party.id)
    named = attach(document, PDF, "a.pdf").stored_name
    old, young = folder(FOLDER) / "old", folder(FOLDER) / "young"
    for path in (old, young):
        path.write_bytes(b"x")
    long_ago = time.time() - UNFINISHED_FOR - 60
    for path in (old, folder(FOLDER) / named):
        os.utime(path, (long_ago, long_ago))
    delete_unnamed_files()
    assert {named, "young"} <= files()
    assert "old" not in files()
    young.unlink()
    db.session.delete(document)
    db.session.flush()
    assert delete_unnamed_files() == 1
    assert named not in files()


def test_a_file_that_was_changed_or_lost_on_the_disk_is_not_given_out(as_user, party):
    person = as_user("admin")
    new(person, party, PDF)
    kept = db.session.scalars(select(Attachment)).one()
    path = folder(FOLDER) / kept.stored_name
    path.write_bytes(PDF + b"!")
    assert person.client.get("/admin/attachments/file/", query_string={"id": kept.id}).status_code == 404
    path.unlink()
    assert person.client.get("/admin/attachments/file/", query_string={"id": kept.id}).status_code == 404


def test_a_file_is_for_who_reaches_the_party_and_reads_such_papers(as_user, party, session):
    admin, rep, other = as_user("admin"), as_user("sales_rep"), as_user("sales_rep")
    party.owner_id = rep.user_id
    session.commit()
    new(admin, party, picture(), "card.png")
    kept = db.session.scalars(select(Attachment)).one()
    both = ("/admin/attachments/file/", "/admin/attachments/thumbnail/")
    for where in both:
        assert rep.client.get(where, query_string={"id": kept.id}).status_code == 200
        assert other.client.get(where, query_string={"id": kept.id}).status_code == 404
        # They read customers, but not identity papers.
        for role in ("marketer", "service_advisor", "auditor"):
            assert as_user(role).client.get(where, query_string={"id": kept.id}).status_code == 403
    advisor = as_user("service_advisor").client
    shown = advisor.get("/admin/documents/details/", query_string={"id": kept.document_id}).text
    assert "card.png" not in shown
    assert "/attachments/file/" not in shown
    post = {"query_string": {"id": kept.document_id}, "data": {"file": (io.BytesIO(PDF), "a.pdf")}}
    assert advisor.post("/admin/documents/upload/", **post).status_code in (403, 404)
    db.session.query(RoleGrant).filter_by(pattern="Customers.read").delete()
    session.commit()
    assert rep.client.get(both[0], query_string={"id": kept.id}).status_code in (403, 404)


def test_an_archived_party_takes_no_file_and_dates_are_in_order(as_user, party):
    person = as_user("admin")
    answer = new(person, party, PDF, issued_on="2026-02-01", expires_on="2026-01-31")
    assert answer.status_code == 422
    party.archived_at = dt.datetime.now(dt.UTC)
    document = make(face_named("document"), party_id=party.id, kind=DocumentKind.KYC)
    db.session.commit()
    assert new(person, party, PDF).status_code == 303
    upload(person, document, PDF, "a.pdf")
    with pytest.raises(Refused, match="archived"):
        party_documents.verify.run(document, by=None)
    assert db.session.scalar(select(func.count()).select_from(Attachment)) == 0
