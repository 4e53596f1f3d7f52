"""The way back from an import that updated many customers, beside one UPDATE of the same rows."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator

from bench.filled import Filled
from bench.floors import Stock
from bench.measuring import Figure, watched_memory
from crm.core.audit import Acting, acting_as
from crm.core.entity import db, face_named
from crm.core.transaction import run_in_transaction
from crm.importing.start import draft, replan, start
from crm.importing.undo_looking import look_at_undo
from crm.importing.undoing import ask_undo
from crm.models.imports import Duplicates, Import
from jobs.runner import run_here

UPDATED = 100_000
NAMES = {0: "account_number", 1: "name", 2: "industry", 3: "description"}
WHOLE = "SELECT count(*), md5(string_agg(md5((to_jsonb(p) - 'updated_at')::text), '' ORDER BY p.id)) FROM party p"


def figures(desk: Filled, stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    if wanted("undo"):
        yield _undo(desk, min(UPDATED, desk.rows))


def _undo(desk: Filled, count: int) -> Figure:
    desk.plain.execute("UPDATE party SET account_number = 'B' || id WHERE id IN (SELECT id FROM party ORDER BY id LIMIT %s)", (count,))  # fmt: skip
    desk.plain.execute("VACUUM ANALYZE party")
    before = desk.plain.execute(WHOLE).fetchone()
    numbers = desk.plain.execute(
        "SELECT account_number, name FROM party WHERE account_number LIKE 'B%' ORDER BY id"
    ).fetchall()
    file = io.StringIO()
    csv.writer(file).writerows(
        [("Number", "Name", "Industry", "About"), *((*known, "Undone", "As the file says") for known in numbers)]
    )
    with desk.app.app_context(), acting_as(Acting(via="bench")):
        import_id, job_id = run_in_transaction(lambda: _asked(file.getvalue()))
        job = run_here(job_id)
        assert job.error is None, job.error
        count = job.result["updated"] if job.result else 0  # what lies in the archive isn't found
        began = time.perf_counter()
        looked = run_in_transaction(lambda: look_at_undo(db.session.get_one(Import, import_id), None))
        looking = time.perf_counter() - began
        assert looked.restored.total() == count, looked
        # Now and then somebody else has been at a record since.
        desk.plain.execute(
            "UPDATE party SET industry = 'Since' WHERE account_number LIKE 'B%77' AND industry = 'Undone'"
        )
        changed = desk.plain.execute("SELECT count(*) FROM party WHERE industry = 'Since'").fetchone()
        undo_id = run_in_transaction(lambda: ask_undo(db.session.get_one(Import, import_id), by=None).id)
        began = time.perf_counter()
        with watched_memory() as memory:
            job = run_here(undo_id)
        ours = time.perf_counter() - began
        assert job.result is not None, job.error
    assert changed is not None
    assert (job.result["restored"], job.result["kept"]) == (count, changed[0]), (job.result, changed)
    desk.plain.execute("UPDATE party p SET industry = e.changes->'industry'->>0 FROM audit_entry e WHERE p.industry = 'Since' "
                       "AND e.entity = 'party' AND e.record_id = p.id AND e.request_id = %s", (f"import-{import_id}",))  # fmt: skip
    assert desk.plain.execute(WHOLE).fetchone() == before, "every row is as it was"
    desk.plain.execute("VACUUM ANALYZE party")
    desk.plain.execute(
        "CREATE TEMPORARY TABLE floor_undo AS SELECT id, industry, description FROM party WHERE account_number LIKE 'B%'"
    )
    began = time.perf_counter()
    with desk.plain.transaction(force_rollback=True):
        desk.plain.execute(
            "UPDATE party p SET industry = 'x' || f.industry, description = 'x' FROM floor_undo f WHERE p.id = f.id"
        )
    floor = time.perf_counter() - began
    return Figure(f"undo of {count:,} updated rows", count / ours, "rows/s", {"one update, audited": count / floor},
                  {"seconds": ours, "looking s": looking, "floor s": floor, "left": changed[0], "memory MiB": memory.peak})  # fmt: skip


def _asked(text: str) -> tuple[int, int]:
    face = face_named("customer")
    record, table = draft(
        face, io.BytesIO(text.encode()), "undo.csv", by=None, duplicates=Duplicates.UPDATE, match="account_number"
    )
    replan(record, face, table, NAMES)
    return record.id, start(record, by=None).id
