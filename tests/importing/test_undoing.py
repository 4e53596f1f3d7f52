"""Undo of an import: what it changed is as before, what it made is put away, what others changed since is left and told."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import select, text

from crm.core.audit import Acting, acting_as
from crm.core.command import Refused
from crm.core.entity import db, face_named
from crm.core.figures import differences
from crm.core.jobs import JobState, retry
from crm.importing import undoing
from crm.importing.start import imported_before, may_be_loaded_again
from crm.importing.undo_looking import look_at_undo
from crm.importing.undoing import Insisted, ask_undo, run_undo
from crm.models.access import AuditEntry
from crm.models.imports import Duplicates, Import, ImportKept, ImportState, Kept
from crm.models.parties import Address, Contact, Party
from crm.models.sales_orders import Order, OrderLine
from tests.factories import make
from tests.importing.conftest import brought, counts

FIRST = "name,email,industry,city,account_number\nAnn,ann@x.org,Steel,Bonn,A1\nBob,bob@x.org,Wood,Rome,A2\nCid,cid@x.org,Coal,Oslo,\n"
SECOND = ("name,email,industry,city,account_number\nAnna,ann@x.org,Glass,Berlin,A1\nBob,bob@x.org,Paper,,A9\n"
          "Cid,cid@x.org,Lead,Lima,\nDee,dee@x.org,Salt,Nice,A4\nDeed,dee@x.org,Salt,Nice,A4\n")  # fmt: skip


def undo(record: Import, **insisted) -> dict[str, int]:
    """Undo an import as the runner does, and answer the counts."""
    job = ask_undo(record, by=record.asked_by_id, insisted=Insisted(**insisted))
    db.session.commit()
    return go_on(job)


def go_on(job) -> dict[str, int]:
    result = {}
    for step in run_undo(job):
        job.done, job.checkpoint, result = step.done, step.checkpoint, step.result
        db.session.commit()
    job.state = JobState.DONE
    db.session.commit()
    return {name: result[name] for name in ("restored", "archived", "deleted", "kept")}


def table(name: str) -> dict[int, dict]:
    """Every column of every row but the time of the last change."""
    return {row.id: row.whole for row in db.session.execute(text(
        f"SELECT id, to_jsonb(t) - 'updated_at' AS whole FROM {name} t ORDER BY id"))}  # fmt: skip


def wrong() -> list:
    """Figures that aren't what the records add up to."""
    db.session.execute(text("SET CONSTRAINTS figures_settle IMMEDIATE"))
    db.session.execute(text("SET CONSTRAINTS figures_settle DEFERRED"))
    return list(differences(db.session.connection()))


def party(email: str) -> Party:
    found = select(Party).where(Party.email == email, Party.archived_at.is_(None))
    return db.session.scalars(found.execution_options(populate_existing=True)).one()


def by_somebody(change: str, **values) -> None:
    with acting_as(Acting(None, "screen", "r-1")):
        db.session.commit()
        db.session.execute(text(change), values)
        db.session.commit()


def left(record: Import) -> set[tuple[str, str, Kept]]:
    return {(one.entity, one.field, one.reason) for one in db.session.scalars(
        select(ImportKept).where(ImportKept.import_id == record.id))}  # fmt: skip


def test_every_row_that_was_updated_is_as_it_was_and_what_was_made_matches_nothing_any_more(bring):
    bring(FIRST)
    parties, addresses = table("party"), table("address")
    second = bring(SECOND, duplicates=Duplicates.UPDATE, match="email")
    assert counts(second) == {"created": 1, "updated": 4}
    found = look_at_undo(second, None)
    assert (dict(+found.restored), dict(+found.put_away), found.left) == ({"address": 2, "party": 3}, {"party": 1}, [])
    assert undo(second) == {"restored": 5, "archived": 1, "deleted": 0, "kept": 0}
    now = table("party")
    assert {number: now[number] for number in parties} == parties
    assert {number: table("address")[number] for number in addresses} == addresses
    (new,) = (now[number] for number in now.keys() - parties.keys())
    assert (new["status"], new["account_number"], new["name"]) == ("archived", None, "Deed")
    entry = db.session.scalars(
        select(AuditEntry).where(AuditEntry.record_id == new["id"]).order_by(AuditEntry.id.desc())
    ).first()
    assert entry.via == f"undo of import {second.id}"
    assert wrong() == []
    assert second.state is ImportState.UNDONE
    assert imported_before(face_named("customer"), second.sha256) is None
    assert counts(bring(SECOND, duplicates=Duplicates.UPDATE, match="email")) == {"created": 1, "updated": 4}


def test_what_others_changed_since_is_left_and_told_unless_one_insists(bring):
    bring(FIRST)
    before = table("party")
    second = bring(SECOND, duplicates=Duplicates.UPDATE, match="email")
    by_somebody("UPDATE party SET industry = 'Gold' WHERE email = 'ann@x.org'")
    by_somebody("UPDATE party SET industry = 'Wood' WHERE email = 'bob@x.org'")  # put right by hand
    by_somebody("UPDATE party SET description = 'good' WHERE email = 'dee@x.org'")
    by_somebody("DELETE FROM address WHERE party_id = (SELECT id FROM party WHERE email = 'cid@x.org')")
    told = {
        (one.table, one.field): (one.reason, one.before, one.wrote, one.now) for one in look_at_undo(second, None).left
    }
    assert told == {
        ("party", "industry"): (Kept.CHANGED, "Steel", "Glass", "Gold"),
        ("party", ""): (Kept.CHANGED, None, None, None),
        ("address", "city"): (Kept.DELETED, "Oslo", "Lima", None),
    }
    assert undo(second) == {"restored": 4, "archived": 0, "deleted": 0, "kept": 3}
    assert left(second) == {
        ("party", "industry", Kept.CHANGED),
        ("party", "", Kept.CHANGED),
        ("address", "", Kept.DELETED),
    }
    ann, bob = party("ann@x.org"), party("bob@x.org")
    assert (ann.name, ann.industry, bob.industry, bob.account_number) == ("Ann", "Gold", "Wood", "A2")
    assert party("dee@x.org").description == "good"
    third = bring(SECOND, duplicates=Duplicates.UPDATE, match="email")
    by_somebody("UPDATE party SET industry = 'Gold', name = 'Annie' WHERE email = 'ann@x.org'")
    undo(third, chosen=(f"party:{ann.id}:industry",))
    assert (party("ann@x.org").industry, party("ann@x.org").name) == ("Gold", "Annie"), "what the third import found"
    fourth = bring(SECOND, duplicates=Duplicates.UPDATE, match="email")
    by_somebody("UPDATE party SET industry = 'Iron' WHERE email = 'bob@x.org'")
    undo(fourth, all=True)
    assert party("bob@x.org").industry == before[bob.id]["industry"]


def test_orders_and_lines_that_rows_brought_go_as_a_whole_and_stay_as_a_whole(bring):
    customers = bring("name,email\nAnn,ann@x.org\nBob,bob@x.org\n")
    file = ("order.number,order.customer,order.ordered_at,name,quantity,unit_price\nS1,ann@x.org,2026-01-02,Pen,2,3\n"
            "S1,ann@x.org,2026-01-02,Ink,1,5\nS2,bob@x.org,2026-01-03,Pen,4,3\n")  # fmt: skip
    assert wrong() == []
    figures = table("customer_figures")
    columns = dict(enumerate(file.splitlines()[0].split(",")))
    lines = bring(file, "order_line", columns=columns, constants={"order.currency": "EUR"})
    assert counts(lines) == {"created": 3}
    assert wrong() == []
    assert table("customer_figures") != figures
    first = db.session.scalars(select(Order).where(Order.number == "S1")).one().id
    by_somebody("UPDATE order_line SET quantity = 9 WHERE order_id = :o AND name = 'Pen'", o=first)
    assert undo(lines) == {"restored": 0, "archived": 0, "deleted": 1, "kept": 1}
    assert left(lines) == {("sales_order", "", Kept.USED)}
    assert db.session.scalars(select(Order.number)).all() == ["S1"]
    assert len(db.session.scalars(select(OrderLine)).all()) == 2
    assert wrong() == []
    assert undo(customers)["kept"] == 1, "Ann has an order that stays"


def test_an_undo_that_is_killed_goes_on_where_it_was_and_does_nothing_twice(bring, monkeypatch):
    monkeypatch.setattr(undoing, "CHUNK", 1)
    bring(FIRST)
    before = table("party")
    second = bring(SECOND, duplicates=Duplicates.UPDATE, match="email")
    job = ask_undo(second, by=None)
    db.session.commit()
    for _ in range(9):  # each start ends after its first step
        steps = run_undo(job)
        step = next(steps)
        job.done, job.checkpoint = step.done, step.checkpoint
        db.session.commit()
        steps.close()
        if step.checkpoint.get("ended"):
            break
    assert step.result == {"restored": 5, "archived": 1, "deleted": 0, "kept": 0, "import": second.id}
    assert list(run_undo(job)) == []
    assert {number: row for number, row in table("party").items() if number in before} == before


def test_what_the_database_refuses_to_have_back_is_told_and_the_rest_goes_back(bring):
    bring(FIRST)
    second = bring(SECOND, duplicates=Duplicates.UPDATE, match="email")
    by_somebody("INSERT INTO party (name, account_number) VALUES ('New', 'A2')")  # Bob's before the import
    assert undo(second) == {"restored": 4, "archived": 1, "deleted": 0, "kept": 1}
    assert left(second) == {("party", "", Kept.RULE)}
    assert (party("ann@x.org").name, party("bob@x.org").industry) == ("Ann", "Paper")


def test_what_was_erased_since_does_not_come_back(own_database, owner_sql):
    """Of a person whose values were erased from the audit nothing is known any more: what is open goes back, the rest stays."""
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        brought(FIRST)
        second = brought(SECOND, duplicates=Duplicates.UPDATE, match="email")
        ann = party("ann@x.org").id
        owner_sql(
            "DELETE FROM audit_value WHERE entry_id IN (SELECT id FROM audit_entry WHERE entity = 'party' AND record_id = :id)",
            id=ann,
        )
        told = {(one.record_id, one.field, one.reason, one.before) for one in look_at_undo(second, None).left}
        assert (ann, "name", Kept.ERASED, None) in told
        undo(second)
        assert ("party", "name", Kept.ERASED) in left(second)
        assert (party("ann@x.org").name, party("ann@x.org").industry) == ("Anna", "Steel")
        assert (party("bob@x.org").industry, party("bob@x.org").account_number) == ("Wood", "A2")
        assert wrong() == []


def test_only_an_import_at_its_end_is_undone_and_once(bring):
    record = bring(FIRST)
    for state in (JobState.WAITING, JobState.RUNNING, JobState.PAUSED):
        record.job.state = state
        with pytest.raises(Refused, match="cancel it first"):
            ask_undo(record, by=None)
    record.job.state = JobState.CANCELLED
    job = ask_undo(record, by=None)
    with pytest.raises(Refused, match="under way"):
        ask_undo(record, by=None)
    with pytest.raises(Refused, match="undone"):
        may_be_loaded_again(record.job)
    job.state = JobState.CANCELLED
    again = ask_undo(record, by=None)
    with pytest.raises(Refused, match="under way"):
        retry.run(job, by=None)
    again.state = JobState.FAILED
    with pytest.raises(Refused, match="otherwise"):
        retry.run(job, by=None)
    retry.run(again, by=None)
    assert again.state is JobState.WAITING
    assert go_on(again) == {"restored": 0, "archived": 3, "deleted": 0, "kept": 0}
    with pytest.raises(Refused, match="already"):
        ask_undo(record, by=None)
    again.state = JobState.CANCELLED  # as its last part was being done
    with pytest.raises(Refused, match="otherwise"):
        retry.run(again, by=None)


def test_a_person_undoes_what_that_person_still_reaches(bring, as_user):
    rep = as_user("sales_rep").user_id
    other = as_user("sales_rep").user_id
    record = bring(FIRST, by=rep)
    by_somebody("UPDATE party SET owner_id = :other WHERE email = 'ann@x.org'", other=other)
    assert undo(record) == {"restored": 0, "archived": 2, "deleted": 0, "kept": 1}
    assert left(record) == {("party", "", Kept.REACH)}
    assert party("ann@x.org").archived_at is None
    second = bring("name,email\nEva,eva@x.org\n", by=rep)
    db.session.execute(text("DELETE FROM user_role WHERE user_id = :rep"), {"rep": rep})
    job = ask_undo(second, by=rep)
    with pytest.raises(Refused, match="no longer"):
        next(run_undo(job))


def test_numbers_of_another_system_go_with_their_records_and_point_nowhere(bring):
    file = "name,email,external_id\nAnn,ann@x.org,7\nBob,bob@x.org,8\n"
    record = bring(file, system="erp", columns={0: "name", 1: "email", 2: "external_id"})
    by_somebody("UPDATE party SET industry = 'Gold' WHERE email = 'bob@x.org'")
    assert undo(record) == {"restored": 0, "archived": 1, "deleted": 1, "kept": 1}
    assert db.session.execute(text("SELECT external_id FROM external_id")).scalars().all() == ["8"]
    assert counts(bring(file, system="erp", match="external_id", columns={0: "name", 1: "email", 2: "external_id"})) == {
        "created": 1, "skipped": 1}  # fmt: skip


def test_contacts_go(bring):
    bring("name,email\nAnn,ann@x.org\n")
    contacts = bring("company,name,email\nann@x.org,Kim,kim@x.org\n", "contact")
    assert undo(contacts) == {"restored": 0, "archived": 0, "deleted": 1, "kept": 0}
    assert db.session.scalars(select(Contact)).all() == []
    assert db.session.scalars(select(Address)).all() == []


def test_the_entries_of_a_ledger_stay_and_are_told(bring):
    account = make(face_named("credit_account"))
    db.session.commit()
    record = bring(f"number,account,amount,currency\nINV-7,#{account.id},120.50,EUR\n", "invoice")
    assert counts(record) == {"created": 1}
    assert undo(record) == {"restored": 0, "archived": 0, "deleted": 0, "kept": 1}
    assert left(record) == {("invoice", "", Kept.LEDGER)}
    assert db.session.execute(text("SELECT amount FROM invoice WHERE number = 'INV-7'")).scalar_one() == Decimal(
        "120.50"
    )
    assert wrong() == []
