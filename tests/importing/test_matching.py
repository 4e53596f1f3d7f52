"""Which known record a row means: the first step of the ladder that finds anything decides, and nothing is guessed."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import select, text

from crm.commands.party_merges import merge_parties
from crm.core.entity import db, face_named
from crm.importing import loading, matching, staging
from crm.importing.loading import Loader
from crm.importing.plan import Plan, PlanRefused
from crm.importing.rights import Rights
from crm.importing.running import run_import
from crm.importing.start import check_now, draft, replan, start
from crm.models.imports import Duplicates
from crm.models.parties import Party
from crm.models.party_merges import MergeState
from tests.importing.conftest import counts

KNOWN = (
    "name,email,phone,tax id,account number,postal code\n"
    "Ann Smith,ann@x.org,+49301234567,DE 123,A-1,10115\n"
    "Bob Jones,bob@x.org,+49307654321,DE 456,A-2,80331\n"
    "Bob Jones,bert@x.org,+49307654321,,A-3,50667\n"
)
LADDER = "code,tax_id,account_number,email,phone,name+postal_code"


@pytest.fixture
def known(bring):
    bring(KNOWN)
    return {party.email: party.code for party in db.session.scalars(select(Party))}


def test_the_first_step_that_finds_a_record_decides(known, face):
    codes = {email.partition("@")[0]: code for email, code in known.items()}
    header = "name,email,phone,tax id,account number,postal code,code\n"
    for row, outcome, told in (
        ("X,,,,,,{ann}", "skipped", "{ann} has this code already"),
        ("X,new@x.org,,de-123,,,", "skipped", "{ann} has this tax id already"),
        ("X,ANN@x.org,,,,,", "skipped", "{ann} has this e-mail already"),
        ("X,new@x.org,030 1234567,,,,", "skipped", "{ann} has this phone already"),
        ("BOB JONES,new@x.org,,,,80 331,", "skipped", "{bob} has this display name and postal code already"),
        ("Bob Jones,new@x.org,,,,99999,", "created", None),
        ("X,,,,,,C-999999", "created", None),
        # Bob is one of those with the phone.
        ("X,bob@x.org,030 7654321,,,,", "skipped", "{bob} has this e-mail already"),
        ("X,new@x.org,030 7654321,,,,", "ambiguous", "2 records have this phone: {bob}, {bert}"),
        ("X,ann@x.org,,DE456,,,", "ambiguous", "{bob} has this tax id, {ann} has this e-mail"),
        ("X,bob@x.org,,,A-1,,", "ambiguous", "{ann} has this account number, {bob} has this e-mail"),
    ):
        data = header + row.format(**codes) + "\n"
        record, table = draft(face, io.BytesIO(data.encode()), "f.csv", by=None, country="DE")
        columns = ("name", "email", "phone", "tax_id", "account_number", "postal_code", "code")
        replan(record, face, table, dict(enumerate(columns)), match=LADDER)
        (found,) = check_now(record)["rows"]
        assert (found["outcome"], found["reason"]) == (outcome, told and told.format(**codes)), row


def test_each_step_finds_repetitions_inside_the_file(bring):
    rows = "name,email,phone\nAnn,a@x.org,+49301234567\nBob,b@x.org,+49301234567\nCyd,b@x.org,\nDan,d@x.org,\n"
    assert counts(bring(rows, match="email,phone")) == {"created": 2, "skipped": 2}
    assert db.session.query(Party).count() == 2
    assert counts(bring(rows.replace(".org", ".net").replace("1234567", "1234568"))) == {"created": 3, "skipped": 1}, \
        "by default e-mail alone tells"  # fmt: skip


@pytest.mark.parametrize("chunk", [5_000, 2])
def test_updates_of_one_record_are_made_in_the_order_of_the_file(bring, monkeypatch, chunk):
    """Rows that share a key with each other in a chain, and rows that find one record by different keys."""
    monkeypatch.setattr(loading, "CHUNK", chunk)
    monkeypatch.setattr(staging, "CHUNK", chunk)
    bring("name,email,phone\nAnn,a@x.org,+49301234567\n")
    record = bring(
        "name,email,phone,industry\nAnn,a@x.org,,One\nAnn,,+49301234567,Two\nAnn,a@x.org,,Three\n"
        "Bob,b@x.org,+49307654321,Four\nBob,,+49307654321,Five\nBob,b@x.org,,Six\n",
        duplicates=Duplicates.UPDATE, match=("email", "phone"),
    )  # fmt: skip
    assert counts(record) == {"updated": 5, "created": 1}
    assert dict(db.session.execute(select(Party.name, Party.industry)).all()) == {"Ann": "Three", "Bob": "Six"}


def test_with_create_nothing_is_ambiguous(bring, known):
    row = "name,email,tax id\nX,ann@x.org,DE456\nX,ann@x.org,DE456\n"
    assert counts(bring(row, duplicates=Duplicates.CREATE, match="tax_id,email")) == {"created": 2}


def test_a_ladder_without_a_column_for_any_step_is_refused(bring, face):
    record, table = draft(face, io.BytesIO(b"name,email\nAnn,a@x.org\n"), "f.csv", by=None)
    with pytest.raises(PlanRefused, match="no column becomes Phone, by which"):
        replan(record, face, table, {0: "name", 1: "email"}, match="phone,tax_id")
    with pytest.raises(PlanRefused, match="can't be matched by “shoe size”; use .*name\\+postal_code"):
        bring("name,email\nAnn,a@x.org\n", match="shoe size")
    record = bring("name,email\nAnn,a@x.org\n", match="phone,email")
    assert (record.plan["match"], record.match_by) == (["email"], "email"), (
        "what the file has no column for is left out"
    )


def test_plans_from_before_the_ladder_still_load(face):
    record, _ = draft(face, io.BytesIO(b"name,email\nAnn,a@x.org\n"), "f.csv", by=None)
    assert Plan.from_data({**record.plan, "match": "email"}).match == ("email",)
    assert Plan.from_data({**record.plan, "match": None}).match == ()


def test_our_own_codes_are_recognised_and_those_of_others_are_not(face):
    for codes, found in (("C-000001\nC-000002", "code"), ("K77\nK78", None)):
        record, _ = draft(
            face, io.BytesIO(("code,name\n" + codes.replace("\n", ",Ann\n") + ",Bob\n").encode()), "f.csv", by=None
        )
        assert Plan.from_data(record.plan).columns.get(0) in (found, "account_number"), codes


def test_every_step_looks_records_up_by_an_index(bring, session):
    """However many records there are, and whatever the planner believes of the tables."""
    face = face_named("customer")
    record, table = draft(face, io.BytesIO(KNOWN.encode()), "f.csv", by=None, match=LADDER, system="erp")
    replan(record, face, table, None, match=LADDER)
    plan = Plan.from_data(record.plan)
    loader = Loader(session.connection, record.id, face, plan, lambda: Rights())
    session.execute(text("SET LOCAL enable_seqscan = off"))
    sql = loader._main.sql
    values = {**loader._values, "skip": False}
    told = "\n".join(session.execute(text("EXPLAIN " + sql.ladder.match(sql.chunk)), values).scalars())
    assert "Seq Scan on party" not in told, told
    assert "Seq Scan on address" not in told, told
    assert set(matching.matchable(face)) >= {*LADDER.split(","), "external_id"}


@pytest.fixture
def merged(bring, known):
    """Ann, and the code of hers that was merged into her."""
    bring("name,email,account number\nAnne Smith,anne@x.org,A-9\n")
    one = {party.email: party for party in db.session.scalars(select(Party))}
    ann, anne = one["ann@x.org"], one["anne@x.org"]
    code, anne.kind = anne.code, ann.kind
    db.session.flush()
    (made,) = merge_parties(ann.id, [anne.id], by=None)
    assert made.state is MergeState.MADE, made.needs_second
    db.session.commit()
    return ann, anne, code


def test_what_a_file_says_of_a_merged_record_lands_at_the_one_that_is_kept(bring, merged):
    ann, anne, code = merged
    known, own = ann.account_number, {"code": code, "account number": "A-9"}
    for number, (column, key) in enumerate([*own.items(), ("code", code.lower())]):
        record = bring(f"{column},name,industry\n{key},Ann Smith,Steel {number}\n", duplicates=Duplicates.UPDATE,
                       match=column.replace(" ", "_"))  # fmt: skip
        assert counts(record) == {"updated": 1}, key
        db.session.expire_all()
        assert (ann.industry, anne.industry) == (f"Steel {number}", None)
        assert (ann.account_number, anne.account_number) == (known, "A-9")
    assert counts(bring("email,name,account number,industry\nann@x.org,Ann Smith,A-9,Tin\n", duplicates=Duplicates.UPDATE, match="email")) == {
        "updated": 1}  # fmt: skip
    assert counts(bring(f"text,party\nCalled,{code}\n", into="note")) == {"created": 1}
    assert db.session.scalars(select(face_named("note").entity)).one().party_id == ann.id


@pytest.mark.parametrize("chunk", [1])
def test_two_are_merged_while_a_file_about_both_is_read(bring, face, known, monkeypatch, chunk):
    monkeypatch.setattr(loading, "CHUNK", chunk)
    ann, bob = (db.session.scalars(select(Party).where(Party.code == known[email])).one()
                for email in ("ann@x.org", "bert@x.org"))  # fmt: skip
    rows = f"code,name,industry\n{ann.code},Ann,One\n{bob.code},Ann,Two\n"
    record, table = draft(face, io.BytesIO(rows.encode()), "f.csv", by=None, duplicates=Duplicates.UPDATE, match="code")
    replan(record, face, table, {0: "code", 1: "name", 2: "industry"}, match="code")
    start(record, by=None)
    db.session.commit()
    for step in run_import(record.id, {}):
        db.session.commit()
        db.session.expire_all()
        if step.done and bob.archived_at is None:
            merge_parties(ann.id, [bob.id], by=None)
            db.session.commit()
    db.session.expire_all()
    assert bob.archived_at is not None
    assert counts(record) == {"updated": 2}
    assert (ann.industry, bob.industry) == ("Two", None)


def test_rows_that_mean_one_record_by_two_codes_come_one_after_the_other(bring, merged):
    ann, anne, code = merged
    rows = f"code,name,industry\n{code},Ann Smith,First\n{ann.code},Ann Smith,\n{code},Ann Smith,Last\n"
    assert counts(bring(rows, duplicates=Duplicates.UPDATE, match="code")) == {"updated": 2, "unchanged": 1}
    db.session.expire_all()
    assert (ann.industry, anne.industry) == ("Last", None)


def test_the_code_of_a_merged_one_can_be_named_for_a_row(bring, face, merged):
    ann, anne, code = merged
    record, table = draft(face, io.BytesIO(b"email,name,industry\nnobody@x.org,Ann Smith,Tin\n"), "f.csv", by=None,
                          duplicates=Duplicates.UPDATE, match="email")  # fmt: skip
    replan(record, face, table, {0: "email", 1: "name", 2: "industry"}, match="email")
    record.plan = record.plan | {"rows": {"2": code}}
    start(record, by=None)
    db.session.commit()
    for _ in run_import(record.id, {}):
        db.session.commit()
    db.session.expire_all()
    assert (counts(record), ann.industry, anne.industry) == ({"updated": 1}, "Tin", None)
