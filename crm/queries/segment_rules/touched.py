"""Whose answer to a rule may be another since it was looked at last, by what is kept anyway.

The audit names every record that was changed, moved or deleted, whoever wrote; figures have no audit, their rows carry the
transaction that wrote them. Within one day nothing else moves: what hangs on the calendar is the same until midnight. A
rule that asks for more than that (ranks, other segments, records without an audit) is looked at for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Select, Text, TextClause, bindparam, cast, func, inspect, select, text, union
from sqlalchemy.orm import aliased

from crm.core.audit import audited_columns, is_audited
from crm.core.entity import Entity, Face, db
from crm.models.access import AuditEntry
from crm.queries.segment_rules.catalogue import RANKS, RuleField, root, target_of
from crm.queries.segment_rules.reading import Condition, Group, Node, RelatedCondition

# Beyond so many transactions the number that a row carries may be that of an earlier round of the counter.
LONGEST_AGO = 1_000_000_000


@dataclass(frozen=True)
class Seen:
    """As of when customers were looked at. All of it is taken before anybody is looked at, so nothing is missed."""

    seq: int
    xid: int

    @classmethod
    def now(cls) -> Seen:
        seq = select(func.coalesce(func.max(AuditEntry.seq), 0)).scalar_subquery()
        xid = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
        return cls(*db.session.execute(select(seq, xid)).one())

    def earlier(self, other: Seen) -> Seen:
        return Seen(min(self.seq, other.seq), min(self.xid, other.xid))

    @property
    def is_known(self) -> bool:
        """Whether what came later can be told; not after the database was restored, nor after a long time."""
        return 0 <= Seen.now().xid - self.xid < LONGEST_AGO


@dataclass(frozen=True)
class Trail:
    """Records by which customers are touched: changes of rows of `face`, which lead to customers by `steps`. Of
    `figures`, it is the figures' rows that change."""

    face: Face
    steps: tuple[str, ...]
    figures: bool = False


def trails(nodes: Iterable[Node]) -> set[Trail] | None:
    """By what the answers to these rules can change within a day; None when more is needed."""
    found: set[Trail] = {Trail(root(), ())}
    for node in nodes:
        more = _trails(node, root(), ())
        if more is None:
            return None
        found |= more
    return found


def _trails(node: Node | None, place: Face, way: tuple[tuple[Face, str], ...]) -> set[Trail] | None:
    """`way` are the references from the rows of the place to the customer, each with the face that has it."""
    match node:
        case None:
            return set()
        case Group():
            return _all(_trails(one, place, way) for one in node.nodes)
        case Condition():
            return None if node.op in RANKS else _of_field(node.field, place, way)
        case RelatedCondition():
            related = node.related
            inner, face = [], related.face
            for step in related.steps:
                inner.append((face, step))
                face = target_of(face, step)
            whole = (*inner, *way)
            parts = [_rows(whole[number:]) for number in range(len(inner))]
            fields = (one for one in (node.of, related.at, related.rate) if one is not None)
            parts += [_of_field(one, related.face, whole) for one in fields]
            return _all([*parts, _trails(node.where, related.face, whole)])
    return None  # who is in another segment is written by others as well


def _all(parts: Iterable[set[Trail] | None]) -> set[Trail] | None:
    found: set[Trail] = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found


def _rows(way: tuple[tuple[Face, str], ...]) -> set[Trail] | None:
    """Rows that lead to customers; their moves from one to another must be known."""
    face, step = way[0]
    audited = {name for name, _ in audited_columns(face.entity)}
    if not is_audited(face.entity) or face.fields[step].attribute not in audited:
        return None
    return {Trail(face, tuple(step for _, step in way))}


def _of_field(wanted: RuleField, place: Face, way: tuple[tuple[Face, str], ...]) -> set[Trail] | None:
    if wanted.embed is not None:
        link = next(iter(inspect(place.entity).relationships[wanted.embed.relation].remote_side))
        return _rows(((wanted.face, str(link.key).removesuffix("_id")),))
    if wanted.path != tuple(step for _, step in way)[: len(wanted.path)]:
        return None  # what is referred to may change for many customers at once
    steps = tuple(step for _, step in way)[len(wanted.path) :]
    if not wanted.field.figure:
        return set()
    return {Trail(wanted.face, steps, figures=True)}


def touched(since: Seen, by: set[Trail]) -> Select[Any]:
    """The numbers of parties whose answers may be others since then; some of them no customers."""
    ways = [
        part
        for trail in sorted(by, key=lambda one: (one.face.name, one.steps, one.figures))
        for part in _touched(trail, since)
    ]
    return select(union(*ways).subquery().c[0])


def _touched(trail: Trail, since: Seen) -> Iterable[Select[Any]]:
    face = trail.face
    if trail.figures:
        figures = face.figures[0]
        young = select(figures.id).where(written_since(figures.__tablename__, since.xid))
        yield _leading(face, trail.steps, young)
        return
    for later in (AuditEntry.seq > since.seq, AuditEntry.seq.is_(None)):
        entries = [AuditEntry.entity == face.entity.__tablename__, later]
        yield _leading(face, trail.steps, select(AuditEntry.record_id).where(*entries))
        if trail.steps:  # where a row belonged before it was moved or deleted
            link = face.fields[trail.steps[0]].attribute
            before = cast(AuditEntry.changes[link][0].astext, BigInteger)
            gone = select(before).where(*entries, AuditEntry.changes.has_key(link))
            yield _leading(target_of(face, trail.steps[0]), trail.steps[1:], gone)


def _leading(face: Face, steps: tuple[str, ...], numbers: Select[Any]) -> Select[Any]:
    """The customers that rows with these numbers lead to."""
    if not steps:
        return numbers
    row: type[Entity] = aliased(face.entity)
    found = select(getattr(row, face.fields[steps[0]].attribute)).where(row.id.in_(numbers))
    return _leading(target_of(face, steps[0]), steps[1:], found)


def written_since(table: str, xid: int) -> TextClause:
    """The condition that a row of the table was written by this transaction or a later one; rows of long ago may be
    among them, which does no harm."""
    young = text(f"age({table}.xmin) <= age(CAST(CAST(:since AS text) AS xid))")
    return young.bindparams(bindparam("since", xid % 2**32, unique=True))
