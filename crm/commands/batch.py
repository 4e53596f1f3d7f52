"""A command for all that match a list's query: fixed when confirmed, done in the background in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, bindparam, case, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from crm.core.command import Command, Refused, command_named, perform_set
from crm.core.entity import Face, db
from crm.core.jobs import ItemState, Job, JobItem, ask
from crm.core.permissions import Actor, allowed
from crm.queries.listing import ListQuery, matching, read_query
from crm.queries.scope import row_scope

TASK = "jobs.commands.perform_many"
NO_RIGHT = "you may no longer do this"


def ask_for_all(
    face: Face, verb: str, parameters: Iterable[tuple[str, str]], given: Mapping[str, Any], *, by: Any
) -> Job:
    """Ask for a command on all records that a list shows and the right reaches; `given` are the asked values.

    Raises BadQuery for the list's parameters, WrongInput for the values, Refused without right or match.
    """
    made = command_named(face, verb)
    if made is None or allowed(by, f"{face.name}.{verb}") is None:
        raise Refused("you may not do this")
    values = {name: made.asks[name].json(value) for name, value in made.read(given).items()}
    query = read_query(face, parameters)
    args = {"face": face.name, "verb": verb, "values": values, "query": query.parameters()}
    with db.session.begin_nested():
        job = ask(TASK, label=made.label, args=args, by=by.id)
        fix(job, face, meant(face, verb, query, by), nothing="nothing matches: there is nothing to do")
        records = face.label if job.total == 1 else face.label_plural
        job.label = f"{made.label}: {job.total:,} {records.lower()}"
    return job


def fix(job: Job, face: Face, found: Select[Any], *, nothing: str) -> None:
    """Fix the records of a batch: what is found now, whatever comes and goes until they are done. Raises Refused with
    `nothing` when there is none."""
    rows = found.with_only_columns(literal(job.id, BigInteger), face.entity.id).order_by(None)
    db.session.execute(insert(JobItem).from_select(["job_id", "record_id"], rows))
    job.total = db.session.scalar(select(func.count()).where(JobItem.job_id == job.id))
    if not job.total:
        raise Refused(nothing)


def waiting(job_id: int, limit: int) -> list[int]:
    """The next records of a batch."""
    found = select(JobItem.record_id).where(JobItem.job_id == job_id, JobItem.state == ItemState.WAITING)
    return list(db.session.scalars(found.order_by(JobItem.record_id).limit(limit)))


def count_meant(face: Face, verb: str, query: ListQuery, *, by: Actor) -> int:
    """How many records the command would meet if it were confirmed now; counted, not estimated."""
    rows = meant(face, verb, query, by).with_only_columns(face.entity.id).subquery()
    return db.session.execute(select(func.count()).select_from(rows)).scalar_one()


def meant(face: Face, verb: str, query: ListQuery, by: Actor) -> Select[Any]:
    """What matches and the person both sees and may do this to."""
    return matching(face, query, by, verb).where(*row_scope(face, by))


def perform_next(
    job_id: int, face: Face, made: Command, values: Mapping[str, Any], *, by: Actor | None, limit: int
) -> tuple[int, int]:
    """Do the next records of a batch, and note on each what became of it.

    Answers (done, refused); (0, 0) when none is left. Right and row scope are asked anew: `by` may have lost
    them since, which refuses the records.
    """
    ids = waiting(job_id, limit)
    if not ids:
        return 0, 0
    if by is None or allowed(by, f"{face.name}.{made.verb}") is None:
        refused = dict.fromkeys(ids, NO_RIGHT)
    else:
        scope = [*row_scope(face, by, made.verb), *row_scope(face, by)]
        refused = perform_set(made, ids, by=by, values=values, where=scope)
    note_outcomes(job_id, ids, refused)
    return len(ids) - len(refused), len(refused)


def note_outcomes(job_id: int, ids: list[int], refused: Mapping[int, str]) -> None:
    """Note on these records of a batch what became of them: done, or refused with the reason."""
    reasons = [refused.get(record_id) for record_id in ids]
    lists = func.unnest(bindparam("ids", ids, ARRAY(BigInteger)), bindparam("reasons", reasons, ARRAY(Text)))
    became = lists.table_valued("record_id", "reason", name="became").render_derived()
    state = case((became.c.reason.is_(None), ItemState.DONE.value), else_=ItemState.REFUSED.value)
    db.session.execute(
        update(JobItem)
        .where(JobItem.job_id == job_id, JobItem.record_id == became.c.record_id)
        .values(state=state, reason=became.c.reason)
        .execution_options(synchronize_session=False)
    )
