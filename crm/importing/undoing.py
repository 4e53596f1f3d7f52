"""The way back from an import: what it changed gets its values from before, what it made is put away.

What that was, the audit knows: nothing is kept a second time. What somebody else has changed since is left and noted,
unless the person insists on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import DBAPIError

from crm.commands.parties import archive_many
from crm.core.audit import Acting, acting_as, hand_over
from crm.core.command import Refused
from crm.core.entity import Face, db, entities, face_named
from crm.core.jobs import Job, Step, ask, before_retry
from crm.core.permissions import allowed
from crm.core.statistics import refresh_statistics
from crm.importing.plan import Plan
from crm.importing.rights import Rights
from crm.importing.start import locked
from crm.importing.targets import brought_face, embedded_entity
from crm.importing.undo_statements import Undoing, children_first, entity_of
from crm.models.access import User
from crm.models.imports import Import, ImportKept, Kept

UNDO = "jobs.imports.undo"
CHUNK = 5_000
_LAST = 2**63 - 1
UPDATE, CREATE = "update", "create"


@dataclass(frozen=True)
class Insisted:
    """What goes back although somebody else has changed it since: everything, or single keys (`party:12:email`)."""

    all: bool = False
    chosen: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        return {"all": self.all, "chosen": list(self.chosen)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Insisted:
        return cls(bool(data.get("all")), tuple(data.get("chosen", ())))


@dataclass(frozen=True)
class Left:
    """Something that stays as it is: a field with what it was, what the import wrote and what it is now, or a record."""

    table: str
    record_id: int
    field: str
    reason: Kept
    before: str | None = None
    wrote: str | None = None
    now: str | None = None

    @property
    def key(self) -> str:
        return f"{self.table}:{self.record_id}:{self.field}"


def why_not(record: Import) -> str:
    """Why an import can't be undone now; empty when it can."""
    if record.job is None:
        return "it has not been started"
    if record.job.is_open:
        return "it is not at its end: cancel it first"
    if record.undone_at is not None:
        return "it has been undone already"
    if record.undo_job is not None and record.undo_job.is_open:
        return "that is under way already"
    return ""


def ask_undo(record: Import, *, by: int | None, insisted: Insisted = Insisted()) -> Job:
    """Undo an import in the background. Raises Refused with the reason why that can't be."""
    record = locked(record.id)
    if reason := why_not(record):
        raise Refused(reason)
    job = ask(UNDO, label=f"Undo import {record.file_name}"[:255], args={"import": record.id, **insisted.as_data()}, by=by,
              unique_key=f"undo import {record.id}")  # fmt: skip
    record.undo_job_id, record.undo_looked = job.id, None
    db.session.flush()
    return job


@before_retry(UNDO)
def may_be_undone_again(job: Job) -> None:
    """Only the last one goes on. Raises Refused."""
    record = locked(job.args["import"])
    if record.undo_job_id != job.id or record.undone_at is not None:
        raise Refused("it has been undone otherwise since")


class Way:
    """The way back of one import, on the session's connection."""

    def __init__(self, record: Import, rights: Rights, insisted: Insisted) -> None:
        self._values: dict[str, Any] = {
            "import": record.id,
            "mark": f"import-{record.id}",
            "undo": f"undo-{record.id}",
            **insisted.as_data(),
        }
        self._touched_tables = self._find_tables()
        reached = _reached(record, rights)
        self.made = {table: Undoing(entity, reached.get(table, "true")) for table in {t for _, t in self._touched_tables}
                     if (entity := entity_of(table)) is not None}  # fmt: skip

    def _find_tables(self) -> list[tuple[str, str]]:
        """(action, table) of everything that the import did."""
        found = self._run(
            "SELECT a.action, t.name FROM unnest(CAST(:tables AS text[])) AS t(name) CROSS JOIN (VALUES ('update'), ('create')) "
            "AS a(action) WHERE (SELECT true FROM audit_entry e WHERE e.request_id = :mark AND starts_with(e.request_id, 'import-') "
            "AND e.action = a.action AND e.entity = t.name LIMIT 1)",
            tables=sorted(str(entity.__tablename__) for entity in entities()))  # fmt: skip
        return [(action, table) for action, table in found]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """(action, table) in the order in which they are undone: changes first, then what was made, children first."""
        changed = sorted(table for action, table in self._touched_tables if action == UPDATE)
        made = children_first([table for action, table in self._touched_tables if action == CREATE])
        return [*((UPDATE, table) for table in changed), *((CREATE, table) for table in made)]

    def count(self) -> int:
        """How many records the import changed or made; what it changed again counts once more."""
        found = self._run("SELECT count(*) FROM audit_entry WHERE request_id = :mark AND starts_with(request_id, 'import-') "
                          "AND action IN ('update', 'create')")  # fmt: skip
        return int(found.scalar_one())

    def _run(self, statement: str, **more: Any) -> Any:
        return db.session.connection().execute(text(statement), {**self._values, **more})

    def chunks(self, action: str, table: str, after: int | None = None) -> Iterator[list[int]]:
        """The numbers of the records, chunk by chunk."""
        after = (0 if action == UPDATE else _LAST) if after is None else after
        statement = self.made[table].next(action)
        while ids := list(self._run(statement, after=after, chunk=CHUNK).scalars()):
            yield ids
            after = ids[-1]

    def look(self, action: str, table: str, ids: Sequence[int]) -> tuple[set[int], list[Left]]:
        """The records of a chunk that would go or go back to what they were, and what would stay as it is."""
        sql = self.made[table]
        if action == CREATE:
            fates = self._run(sql.fates(), ids=list(ids)).all()
            left = [Left(table, number, "", Kept(fate)) for number, fate in fates if fate != "go"]
            return {number for number, fate in fates if fate == "go"}, left
        rows = self.values(table, ids)
        back = {row.record_id for row in rows if row.fate == "back"}
        return back, [Left(table, row.record_id, row.field, Kept(row.fate), row.before, row.after, row.now)
                      for row in rows if row.fate not in (None, "back")]  # fmt: skip

    def values(self, table: str, ids: Sequence[int]) -> list[Any]:
        """(record_id, field, before, after, now, fate) of every field that the import changed."""
        sql = self.made[table]
        columns = self._touched(sql, ids)
        return list(self._run(sql.look(columns), ids=list(ids), columns=columns)) if columns else []

    def undo(self, action: str, table: str, ids: Sequence[int]) -> Counter[str]:
        """Undo a chunk; answers how many records were restored, archived and deleted."""
        sql = self.made[table]
        self._run(sql.lock(), ids=list(ids))
        if action == UPDATE:
            return self._by_halves(table, ids, lambda some: self._restore(sql, some))
        fates = dict(self._run(sql.fates(), ids=list(ids)).all())
        self._note(table, {number: fate for number, fate in fates.items() if fate != "go"})
        going = [number for number, fate in fates.items() if fate == "go"]
        return self._by_halves(table, going, lambda some: self._put_away(sql, some)) if going else Counter()

    def _by_halves(self, table: str, ids: Sequence[int], do: Callable[[Sequence[int]], Counter[str]]) -> Counter[str]:
        """When a rule of the database refuses it, look for the record to blame: that one stays."""
        try:
            # The connection's own: one of the session's would sign as whoever runs the job.
            with db.session.connection().begin_nested():
                return do(ids)
        except DBAPIError as fault:
            if not _is_rule(fault):
                raise
        if len(ids) == 1:
            self._note(table, {ids[0]: Kept.RULE.value})
            return Counter()
        middle = len(ids) // 2
        return self._by_halves(table, ids[:middle], do) + self._by_halves(table, ids[middle:], do)

    def _touched(self, sql: Undoing, ids: Sequence[int]) -> list[str]:
        found = set(self._run(sql.touched(), ids=list(ids)).scalars())
        return [name for name in sql.columns if name in found]

    def _restore(self, sql: Undoing, ids: Sequence[int]) -> Counter[str]:
        columns = self._touched(sql, ids)
        if not columns:
            return Counter()
        return Counter(restored=self._run(sql.restore(columns), ids=list(ids), columns=columns).scalar_one())

    def _put_away(self, sql: Undoing, ids: Sequence[int]) -> Counter[str]:
        if sql.archived:
            refused = archive_many(ids, by=None, reason=f"Import {self._values['import']} was undone")
            release = sql.release()
            if release:
                self._run(release, ids=list(ids))
            return Counter(archived=len(ids) - len(refused))
        self._delete_parts(sql, ids)
        return Counter(deleted=self._run(f"DELETE FROM {sql.table} WHERE id = ANY (CAST(:ids AS bigint[]))",  # noqa: S608 - declarations
                                         ids=list(ids)).rowcount)  # fmt: skip

    def _delete_parts(self, sql: Undoing, ids: Sequence[int]) -> None:
        """What goes with them goes before them, as many at once, so that the audit writes it at once too."""
        for part in sql.parts():
            below = list(self._run(f"SELECT id FROM {part.table} WHERE {part.column} = ANY (CAST(:ids AS bigint[]))",  # noqa: S608 - declarations
                                   ids=list(ids)).scalars())  # fmt: skip
            if below:
                self._put_away(Undoing(part.entity, "true"), below)

    def _note(self, table: str, reasons: Mapping[int, str]) -> None:
        self._run(
            "INSERT INTO import_kept (import_id, entity, record_id, field, reason) SELECT :import, :table, record_id, '', reason "
            "FROM unnest(CAST(:numbers AS bigint[]), CAST(:reasons AS text[])) AS given(record_id, reason) ON CONFLICT DO NOTHING",
            table=table, numbers=list(reasons), reasons=list(reasons.values()))  # fmt: skip

    def learn(self) -> None:
        """Let the planner know what was written lately."""
        refresh_statistics(db.session.connection(), ["audit_entry", "audit_value", *self.made])


def _is_rule(fault: DBAPIError) -> bool:
    """Whether the database refuses a value or a deletion, rather than being away or in somebody's way."""
    return str(getattr(fault.orig, "sqlstate", None) or "")[:2] in ("22", "23", "P0")


def _reached(record: Import, rights: Rights) -> dict[str, str]:
    """SQL by table: what the person may change, of the rows themselves, what they bring along and show as their own."""
    if rights.person is None:
        return {}
    face, plan = face_named(record.entity), Plan.from_data(record.plan)
    found: dict[str, str] = {}

    def add(face: Face, plan: Plan) -> None:
        table = str(face.entity.__tablename__)
        found[table] = rights.reached(face)
        for embed in face.about.embeds:
            part = embedded_entity(face, embed)
            (column,) = (
                key.parent.name for key in part.__table__.foreign_keys if key.column.table is face.entity.__table__
            )
            found[str(part.__tablename__)] = (
                f"EXISTS (SELECT FROM {table} WHERE {table}.id = {part.__tablename__}.{column} AND ({found[table]}))"
            )
        for reference, other in plan.brought().items():
            add(brought_face(face, reference), other)

    add(face, plan)
    return found


def rights_to_undo(record: Import, user_id: int | None) -> Rights:
    """The rights as they are at this moment. Raises Refused."""
    if user_id is None:
        return Rights()
    person = db.session.get(User, user_id, populate_existing=True)
    if person is None or not person.active or allowed(person, f"{record.entity}.import") is None:
        raise Refused("the person who asked may no longer import")
    return Rights(person)


def run_undo(job: Job) -> Iterator[Step]:
    """Undo an import in steps; a step's effect and checkpoint belong into one commit. Raises Refused.

    Killed at any point and started again with the last checkpoint it goes on where that was.
    """
    import_id, checkpoint = int(job.args["import"]), job.checkpoint
    insisted = Insisted.from_data(job.args)
    if checkpoint.get("ended"):
        return  # killed between its last step and its end
    way = _begin(import_id, job.asked_by_id, insisted)
    parts, counts = way.parts, Counter(checkpoint.get("counts", {}))
    if "total" not in checkpoint:
        db.session.execute(delete(ImportKept).where(ImportKept.import_id == import_id))
        way.learn()
    total = checkpoint.get("total", way.count())
    done, place, after = checkpoint.get("done", 0), checkpoint.get("place", 0), checkpoint.get("after")
    for number, (action, table) in enumerate(parts[place:], place):
        for ids in way.chunks(action, table, after):
            counts += way.undo(action, table, ids)
            done += len(ids)
            kept = {"total": total, "done": done, "place": number, "after": ids[-1], "counts": dict(counts)}
            yield Step(min(done, total), total, kept, f"{counts.total():,} records")
            way = _begin(import_id, job.asked_by_id, insisted)
        after = None
    result = {name: counts[name] for name in ("restored", "archived", "deleted")}
    record = db.session.get_one(Import, import_id)
    record.undone_at = db.session.scalar(select(func.clock_timestamp()))
    left = db.session.scalar(select(func.count()).where(ImportKept.import_id == import_id)) or 0
    db.session.flush()
    yield Step(total, total, {"ended": True}, "", {**result, "kept": left, "import": import_id})


def _begin(import_id: int, user_id: int | None, insisted: Insisted) -> Way:
    """What a transaction of an undo begins with: the rights as they are now, and its name in the audit."""
    record = db.session.get_one(Import, import_id)
    rights = rights_to_undo(record, user_id)
    with acting_as(Acting(user_id, via=f"undo of import {import_id}", request_id=f"undo-{import_id}")):
        hand_over(db.session.connection())
    return Way(record, rights, insisted)


def is_archived(table: str) -> bool:
    """Whether records of a table are put into the archive, rather than deleted."""
    entity = entity_of(table)
    return entity is not None and entity.about is not None and bool(entity.about.archived)
