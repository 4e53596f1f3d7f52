"""Whatever a file is, it is refused in a sentence or its counts add up: nothing crashes. `make soak N=100` tries 2,000."""

from __future__ import annotations

import csv
import io
from collections import Counter
from random import Random

import pytest

from crm.core.entity import Face, all_faces, db, face_named
from crm.core.jobs import JobState
from crm.importing.files import FileRefused, ReadOptions
from crm.importing.plan import Plan, PlanRefused, missing
from crm.importing.rows import RowReader
from crm.importing.running import run_import
from crm.importing.staging import clear, stage, staged_rows
from crm.importing.start import check_now, draft, replan, start
from crm.importing.storage import uploads
from crm.importing.targets import DOT, landings
from crm.models.imports import Duplicates, Import
from tests.factories import make, sample
from tests.importing.broken_files import broken_file
from tests.importing.conftest import counts

FILES = 20
FACES = [face for face in all_faces() if face.about.imports]
# Of so many one goes through the whole engine: checked, then loaded.
WHOLE = 4


@pytest.mark.soak
def test_no_file_breaks_an_import(session, soak_round) -> None:
    came: Counter[str] = Counter()
    for number in range(soak_round * FILES, (soak_round + 1) * FILES):
        random = Random(number)  # the file is found again by it
        face = random.choice(FACES)
        data = broken_file(random, [landing.name for landing in landings(face)])
        try:
            _bring(random, face, data, whole=number % WHOLE == 0)
            came["read"] += 1
        except (FileRefused, PlanRefused):
            came["refused"] += 1
        except BaseException as fault:
            fault.add_note(f"file {number}, as {face.plural}: {data[:300]!r}")
            raise
    assert came["refused"] <= FILES - 3, came


def _bring(random: Random, face: Face, data: bytes, *, whole: bool) -> None:
    record, table = draft(
        face, io.BytesIO(data), f"file {random.random()}", by=None, again=True, options=_options(random)
    )
    columns = _columns(random, face, Plan.from_data(record.plan).columns, len(table.columns))
    lacking = _given(face, list(missing(face, list(columns.values())))) if random.random() < 0.9 else {}
    policy = random.choice([one for one in Duplicates if one is not Duplicates.UPDATE or face.about.edit])
    replan(record, face, table, columns, duplicates=policy, constants=lacking, system="erp",
           country=random.choice((None, "DE")))  # fmt: skip
    plan = Plan.from_data(record.plan)
    # A savepoint, as a session that failed would stand in the way of the next file.
    with db.session.begin_nested():
        if whole:
            _load(record)
            return
        number = sum(1 for _ in table.rows())
        for _ in stage(db.session.connection, record.id, RowReader(plan, face, table), table.rows()):
            pass
        assert staged_rows(db.session.connection(), record.id) == number
        clear(db.session.connection(), record.id)


def _options(random: Random) -> ReadOptions | None:
    if random.random() < 0.7:
        return None
    return ReadOptions(
        encoding=random.choice((None, "utf-8", "utf-16", "cp1252", "utf-7")),
        delimiter=random.choice((None, ",", ";", "\t", '"', "x", " ")), quote=random.choice((None, '"', "'", "", ",")),
        header=random.choice((None, 0, 1, 2, 7)), repair=random.random() < 0.3)  # fmt: skip


def _columns(random: Random, face: Face, suggested: dict[int, str], width: int) -> dict[int, str]:
    """What is suggested, and of the other columns some as something at random."""
    columns = dict(suggested)
    free = [
        landing.name for landing in landings(face) if landing.name not in columns.values() and not landing.is_brought
    ]
    random.shuffle(free)
    for place in range(min(width, 40)):
        if place not in columns and free and random.random() < 0.5:
            columns[place] = free.pop()
    return columns


def _given(face: Face, names: list[str]) -> dict[str, str]:
    """What no column gives and no record goes without: the same in every row."""
    fields = {name: face.field(name) for name in names if DOT not in name}
    return {name: f"#{make(face_named(field.refers_to)).id}" if field.kind == "reference" else field.text(sample(field))
            for name, field in fields.items()}  # fmt: skip


def _load(record: Import) -> None:
    told = check_now(record)["counts"]
    job = start(record, by=None)
    for _ in run_import(record.id, {}):
        pass
    job.state = JobState.DONE
    found = counts(record)
    assert found == {name: number for name, number in told.items() if number and name != "rows"}
    refused = found.get("refused", 0) + found.get("ambiguous", 0)
    if refused:
        csv.field_size_limit(max(csv.field_size_limit(), 2**21))
        with (uploads() / record.refused_name).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == refused
        assert all(row["_error"] for row in rows)
