"""Statements of a segment: a PDF for each member in one file, whatever becomes of the worker meanwhile."""

from __future__ import annotations

import datetime as dt
import io
import threading
import zipfile
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from pypdf import PdfReader
from sqlalchemy import select

from crm.commands.credit_statements import QUIET, statements
from crm.commands.exports import delete_expired, parts_of, path_of
from crm.core.command import perform
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobItem
from crm.logins import dsn
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount
from crm.models.imports import Export
from crm.queries.credit_statement import credit_statement
from jobs import runner
from jobs import statements as job_of_statements
from tests.conftest import sign_in
from tests.factories import make
from tests.jobs.conftest import Desk


def segment(number: int) -> Any:
    """Members with an invoice each, and one without anything; somebody with one who isn't a member."""
    made = make(face_named("segment"), type="static", rule=None)
    for n in range(number + 2):
        account = make(face_named("credit_account"), party_id=make(face_named("customer"), name=f"Customer {n}").id)
        if n < number + 1:
            make(face_named("segment_membership"), segment_id=made.id, party_id=account.party_id)
        if n != number:
            make(face_named("invoice"), account_id=account.id, amount=Decimal(100 + n), currency="EUR", exchange_rate=1, number=f"R-{n}",
                 issued_on=today() - dt.timedelta(days=10), due_on=today())  # fmt: skip
    db.session.commit()
    return made


def asked(one: Any, by: User, **given: Any) -> str:
    values = {"since": today() - dt.timedelta(days=30), "until": today()} | given
    [outcome] = perform(statements, [one.id], by=by, values=values)
    db.session.commit()
    return outcome.reason


def newest() -> Any:
    return db.session.scalars(select(Export).order_by(Export.id.desc()).limit(1)).one()


def test_each_member_gets_a_statement_and_the_file_is_there_for_who_asked(desk: Desk) -> None:
    one, by = segment(3), desk.user("finance")
    assert (
        asked(one, by, since=today(), until=today() - dt.timedelta(days=1))
        == "the last day must lie between the first one and today"
    )
    assert asked(one, desk.user("marketer")) == "you may not take statements out"
    assert (
        asked(make(face_named("segment"), type="static", rule=None), by)
        == "none of its members has a credit account that you see"
    )
    assert db.session.query(Job).count() == 0
    assert asked(one, by) == ""
    export = newest()
    assert runner.run(export.job_id) == "done"
    db.session.rollback()
    export = newest()
    assert desk.job(export.job_id).result == {"done": 3, "refused": 1}
    assert db.session.scalars(select(JobItem.reason).where(JobItem.reason.is_not(None))).all() == [QUIET]
    assert (export.rows, str(export.state), parts_of(export).exists()) == (3, "ready", False)
    person = sign_in(desk.app, "finance")
    assert person.client.get(f"/admin/exports/file/?id={export.id}").status_code in (403, 404), "who didn't ask"
    with zipfile.ZipFile(path_of(export)) as bound:
        names = bound.namelist()
        said = PdfReader(io.BytesIO(bound.read(names[0]))).pages[0].extract_text()
    assert len(names) == 3
    assert "R-0" in said
    assert "100.00" in said
    export.expires_at = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    path = path_of(export)
    assert (delete_expired(), path.exists()) == (1, False)


def test_a_worker_that_ends_in_the_middle_leaves_nothing_out_and_nothing_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, by = segment(5), desk.user("finance")
    assert asked(one, by) == ""
    number = newest().job_id
    monkeypatch.setattr(job_of_statements, "AT_ONCE", 2)
    told: list[int] = []

    def ends(job: Job) -> Any:
        for step in job_of_statements.write(job):
            told.append(step.done)
            if len(told) in (2, 5):
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(runner, "resolve", lambda task: ends)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            runner.run(number)
    assert runner.run(number) == "done"
    assert desk.job(number).result == {"done": 5, "refused": 1}
    with zipfile.ZipFile(path_of(newest())) as bound:
        assert len(bound.namelist()) == 5


def test_who_may_no_longer_gets_none(desk: Desk) -> None:
    one, by = segment(2), desk.user("finance")
    assert asked(one, by) == ""
    number = newest().job_id
    db.session.execute(db.text("DELETE FROM user_role WHERE user_id = :id"), {"id": by.id})
    db.session.commit()
    assert runner.run(number) == "done"
    assert desk.job(number).result == {"done": 0, "refused": 3}


@pytest.mark.soak
def test_a_statement_adds_up_while_others_enter(own_database: Any, owner_sql: Any) -> None:
    owner_sql("INSERT INTO party (name, roles) VALUES ('P', ARRAY['end_customer'])")
    owner_sql("INSERT INTO credit_account (party_id) VALUES (1)")
    ended = threading.Event()

    def enter(seed: int) -> None:
        with psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as login:
            n = 0
            while not ended.is_set():
                n += 1
                login.execute("INSERT INTO invoice (account_id, number, amount, currency, exchange_rate, issued_on, due_on) VALUES "
                              "(1, %s, 10, 'EUR', 1, CURRENT_DATE - %s::int, CURRENT_DATE)", [f"{seed}-{n}", n % 40])  # fmt: skip
                login.execute("INSERT INTO payment (account_id, amount, currency, exchange_rate, kind, paid_on) VALUES "
                              "(1, 7, 'EUR', 1, 'payment', CURRENT_DATE - %s::int)", [n % 40])  # fmt: skip

    writers = [threading.Thread(target=enter, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    try:
        with own_database.app.app_context():
            account, entries = db.session.get_one(CreditAccount, 1), 0
            for _ in range(40):
                told = credit_statement(account, today() - dt.timedelta(days=20), today())
                db.session.rollback()
                assert told.opening + sum(one.debit - one.credit for one in told.entries) == told.closing
                # Invoices are 10 each and payments 7 each: what settles what never makes up for an entry that isn't counted.
                assert told.closing == sum(told.ages.values()) + told.unallocated
                assert told.unallocated <= 0
                entries = max(entries, len(told.entries))
            assert entries > 10
    finally:
        ended.set()
        for writer in writers:
            writer.join()
