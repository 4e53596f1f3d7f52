"""What an undo would do, found out before it is asked for; nothing is written but these findings, and no values in them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select

from crm.core.entity import db
from crm.core.jobs import OPEN, Job, JobState, Step, ask
from crm.core.permissions import Actor
from crm.importing.rights import Rights
from crm.importing.start import locked
from crm.importing.undoing import UPDATE, Insisted, Left, Way, rights_to_undo, why_not
from crm.models.imports import Import, ImportKept, Kept

LOOK = "jobs.imports.look_at_undo"
LOOKED_AT = 100_000  # records: of more, a person is told what would become of the first ones
AT_ONCE = 5_000  # rows: up to so many a person waits for it, beyond that a job looks
SHOWN = 100
# Others go on working: after that time it is looked at again.
_FRESH = dt.timedelta(minutes=15)
_FAILED_LATELY = dt.timedelta(minutes=1)


@dataclass
class Findings:
    """What an undo would do: how many records of which kind, and what is left; of the first records when they are many."""

    restored: Counter[str] = field(default_factory=Counter)
    put_away: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Kept] = field(default_factory=Counter)
    left: list[Left] = field(default_factory=list)
    complete: bool = True
    at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    def as_data(self) -> dict[str, Any]:
        """Without what the fields hold: that stands in the audit and in the records alone."""
        return {
            "restored": self.restored, "put_away": self.put_away, "reasons": {str(one): n for one, n in self.reasons.items()},
            "left": [[one.table, one.record_id, one.field, str(one.reason)] for one in self.left],
            "complete": self.complete, "at": self.at.isoformat(),
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: dict[str, Any], record: Import) -> Findings:
        left = [Left(table, number, name, Kept(reason)) for table, number, name, reason in data["left"]]
        reasons = Counter({Kept(name): number for name, number in data["reasons"].items()})
        return cls(Counter(data["restored"]), Counter(data["put_away"]), reasons, with_values(record, left), data["complete"],
                   dt.datetime.fromisoformat(data["at"]))  # fmt: skip


def look_at_undo(record: Import, actor: Actor | None) -> Findings:
    """Find out what an undo would do, and write nothing. Raises Refused."""
    found = Findings()
    for _ in _look(record, None if actor is None else actor.id, found):
        pass
    return found


def _look(record: Import, user_id: int | None, found: Findings) -> Iterator[Step]:
    way, done = Way(record, rights_to_undo(record, user_id), Insisted()), 0
    total = min(way.count(), LOOKED_AT)
    for action, table in way.parts:
        for ids in way.chunks(action, table):
            if done >= LOOKED_AT:
                found.complete = False
                yield Step(total, total)
                return
            done += len(ids)
            back, left = way.look(action, table, ids)
            (found.restored if action == UPDATE else found.put_away)[table] += len(back)
            found.reasons.update(one.reason for one in left)
            found.left += left[: SHOWN - len(found.left)]
            yield Step(min(done, total), total)


def ask_look(record: Import, *, by: int) -> Job:
    """Look in the background, unless that is under way; the findings will stand in `record.undo_looked`."""
    locked(record.id)
    return open_look(record) or ask(LOOK, label=f"What an undo of {record.file_name} would do"[:255],
                                    args={"import": record.id}, by=by, unique_key=_key(record))  # fmt: skip


def run_look(job: Job) -> Iterator[Step]:
    """Find out in steps what an undo would do; killed, it begins anew. Raises Refused."""
    import_id, found, step = int(job.args["import"]), Findings(), Step(0, 0)
    for step in _look(db.session.get_one(Import, import_id), job.asked_by_id, found):
        yield step
    record = locked(import_id)
    if not why_not(record):
        record.undo_looked = found.as_data() | {"by": job.asked_by_id}
    counts = {"restored": found.restored.total(), "put_away": found.put_away.total(), "kept": found.reasons.total()}
    yield replace(step, result={**counts, "import": import_id})


def looked(record: Import, by: int) -> Findings | None:
    """What was found lately, with the rights of the same person."""
    data = record.undo_looked
    if data is None or data["by"] != by or dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(data["at"]) > _FRESH:
        return None
    return Findings.from_data(data, record)


def open_look(record: Import) -> Job | None:
    """The job that looks, while it is on its way."""
    return db.session.scalars(select(Job).where(Job.unique_key == _key(record), Job.state.in_(OPEN))).first()


def failed_look(record: Import) -> Job | None:
    """The last one, if it has failed just now: asked for again at once it would fail again."""
    since = dt.datetime.now(dt.UTC) - _FAILED_LATELY
    failed = select(Job).where(Job.unique_key == _key(record), Job.state == JobState.FAILED, Job.finished_at > since)
    return db.session.scalars(failed.order_by(Job.id.desc())).first()


def _key(record: Import) -> str:
    return f"look at undo of import {record.id}"


def kept_by(record: Import, limit: int = SHOWN) -> list[Left]:
    """What the undo of an import left, with the values as they are now; the first so many."""
    rows = db.session.scalars(
        select(ImportKept).where(ImportKept.import_id == record.id).order_by(ImportKept.id).limit(limit)
    )
    return with_values(record, [Left(row.entity, row.record_id, row.field, row.reason) for row in rows])


def with_values(record: Import, left: Sequence[Left]) -> list[Left]:
    """The same with what each field was, what the import wrote and what it is now."""
    way, told = Way(record, Rights(), Insisted()), {}
    for table in {one.table for one in left if one.field and one.table in way.made}:
        for row in way.values(table, sorted({one.record_id for one in left if one.table == table})):
            told[table, row.record_id, row.field] = row
    return [
        one if (row := told.get((one.table, one.record_id, one.field))) is None
        else replace(one, before=row.before, wrote=row.after, now=row.now)
        for one in left
    ]  # fmt: skip
