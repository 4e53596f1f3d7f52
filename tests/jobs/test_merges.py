"""Merges by real workers: a batch that is killed goes on and merges none twice, all of it is undone together, and a file may
be read meanwhile."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from crm.commands.batch import ask_for_all
from crm.commands.party_merges import merge_parties
from crm.core import figures
from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobState
from crm.core.transaction import run_in_transaction
from crm.importing import loading
from crm.importing.start import draft
from crm.importing.start import start as start_import
from crm.models.access import User
from crm.models.imports import Duplicates, Import
from jobs import commands
from tests.jobs.conftest import Desk, kill_tree, until

pytestmark = pytest.mark.usefixtures("real_bell")
Start = Callable[..., subprocess.Popen[bytes]]
PAIRS = 200 if os.environ.get("SOAK_N") else 40
CHUNK = PAIRS // 8
FILLED = (
    "INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['business_customer'] FROM generate_series(1, :many) n",
    "INSERT INTO loyalty_program (name, kinds, main, currency, state) VALUES ('L' || :many, '{points}', true, 'EUR', 'active')",
    "INSERT INTO loyalty_account (party_id, program_id) SELECT p.id, l.id FROM party p, loyalty_program l WHERE :many > 0",
    "INSERT INTO point_entry (account_id, kind, points, source) SELECT id, 'earn', 100, 's' || id FROM loyalty_account WHERE :many > 0",
    "INSERT INTO sales_order (customer_id, currency, state) SELECT id, 'EUR', 'completed' FROM party WHERE :many > 0",
)
# What belongs to whom, and what there is of it.
STATE = """
SELECT p.id, p.archived_at IS NULL, (SELECT count(*) FROM sales_order o WHERE o.customer_id = p.id),
       (SELECT coalesce(sum(e.points), 0) FROM point_entry e JOIN loyalty_account a ON a.id = e.account_id WHERE a.party_id = p.id),
       (SELECT orders_count FROM customer_figures f WHERE f.id = p.id), (SELECT points FROM customer_figures f WHERE f.id = p.id)
  FROM party p ORDER BY p.id"""


def fill(many: int) -> None:
    for statement in FILLED:
        db.session.execute(db.text(statement), {"many": many})
        db.session.commit()


def rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    db.session.rollback()
    return [tuple(row) for row in db.session.execute(db.text(sql), values)]


def ended(desk: Desk, number: int) -> Job:
    job: Job = until(lambda: (found := desk.job(number)).is_open is False and found, 300)
    return job


def killed_on_the_way(desk: Desk, start: Start, number: int) -> Job:
    """The job, done by a worker that is killed once something is done, and by the next one."""
    worker = start("work", "1")
    until(lambda: desk.job(number).done, 120)
    kill_tree(worker)
    assert desk.job(number).done < PAIRS
    worker = start("work", "1")
    job = ended(desk, number)
    kill_tree(worker)
    assert (job.state, job.done, job.run) == (JobState.DONE, PAIRS, 2)
    return job


def asked(desk: Desk, face: str, verb: str, by: int, **filters: Any) -> int:
    given = [(f"flt_{name}", str(value)) for name, value in filters.items()]
    number = ask_for_all(face_named(face), verb, given, {}, by=db.session.get_one(User, by)).id
    db.session.commit()
    return number


@pytest.mark.soak
@pytest.mark.slow
def test_a_batch_killed_in_the_middle_goes_on_merges_none_twice_and_is_undone_together(
    desk: Desk, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "CHUNK", CHUNK)
    start("schedule")
    by = desk.user().id
    fill(PAIRS * 2)
    # Each two are one; every fifth pair is joined with the next one, so that three and four become one.
    db.session.execute(db.text(
        "INSERT INTO duplicate_candidate (first_party_id, second_party_id, score) SELECT first.id, second.id, 97 "
        "FROM (SELECT id, row_number() OVER (ORDER BY id) n FROM party) first "
        "JOIN (SELECT id, row_number() OVER (ORDER BY id) n FROM party) second ON second.n = first.n + 1 "
        "WHERE first.n % 2 = 1 OR first.n % 10 = 2"))  # fmt: skip
    db.session.execute(db.text("DELETE FROM duplicate_candidate WHERE id IN "
                               "(SELECT id FROM duplicate_candidate ORDER BY id DESC LIMIT (SELECT count(*) - :pairs FROM duplicate_candidate))"),
                       {"pairs": PAIRS})  # fmt: skip
    db.session.commit()
    before = rows(STATE)
    number = asked(desk, "duplicate_candidate", "merge", by, score_ge=95, state_eq="open")
    job = killed_on_the_way(desk, start, number)
    assert job.result == {"done": PAIRS, "refused": 0}
    merged = rows("SELECT merged_party_id, count(*) FROM merge WHERE job_id = :job GROUP BY 1", job=number)
    assert len(merged) == PAIRS
    assert {times for _, times in merged} == {1}
    after = rows(STATE)
    assert [sum(row[place] for row in after if row[1]) for place in (2, 3, 4, 5)] == [
        PAIRS * 2, PAIRS * 200, PAIRS * 2, PAIRS * 200]  # fmt: skip
    assert rows("SELECT DISTINCT state FROM duplicate_candidate") == [("merged",)]
    undo = asked(desk, "merge", "undo", by, job_eq=number, state_eq="made")
    assert killed_on_the_way(desk, start, undo).result == {"done": PAIRS, "refused": 0}
    assert rows(STATE) == before
    assert rows("SELECT DISTINCT state FROM duplicate_candidate") == [("open",)]
    assert list(figures.differences(db.session.connection())) == []


@pytest.mark.soak
@pytest.mark.slow
def test_records_are_merged_while_a_worker_reads_a_file_about_them(
    desk: Desk, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK", 20)
    by = desk.user().id
    fill(PAIRS * 2)
    codes = rows("SELECT id, code FROM party ORDER BY id")
    lines = "\n".join(["code,name,industry", *(f"{code},Called {number},Steel {number}" for number, code in codes)])
    record, _ = draft(
        face_named("customer"), io.BytesIO(lines.encode()), "all.csv", by=by, duplicates=Duplicates.UPDATE, match="code"
    )
    job = start_import(record, by=by)
    db.session.commit()
    import_id, number = record.id, job.id
    start("work", "1")
    until(lambda: desk.job(number).total, 60)
    for (kept, _), (merged, _) in zip(codes[::2], codes[1::2], strict=True):
        run_in_transaction(lambda kept=kept, merged=merged: merge_parties(kept, [merged], by=None))
    assert ended(desk, number).state is JobState.DONE
    db.session.rollback()
    found = db.session.get_one(Import, import_id, populate_existing=True)
    assert (found.rows, found.rows_refused, found.rows_created or 0) == (PAIRS * 2, 0, 0)
    kept_ones = rows("SELECT id, industry FROM party WHERE archived_at IS NULL ORDER BY id")
    assert [number for number, _ in kept_ones] == [number for number, _ in codes[::2]]
    after = {number: following for (number, _), (following, _) in zip(codes[::2], codes[1::2], strict=True)}
    assert all(industry in (f"Steel {one}", f"Steel {after[one]}") for one, industry in kept_ones)
    late = rows("SELECT a.record_id FROM audit_entry a JOIN merge m ON m.merged_party_id = a.record_id WHERE a.entity = 'party' "
                "AND a.via = :via AND a.id > (SELECT max(id) FROM audit_entry WHERE entity = 'party' AND record_id = a.record_id "
                "AND via = 'test')", via=f"import {import_id}")  # fmt: skip
    assert late == [], "what is written after the merge lands at the one that is kept"
    assert sum(row[2] for row in rows(STATE) if row[1]) == PAIRS * 2
    assert list(figures.differences(db.session.connection())) == []
