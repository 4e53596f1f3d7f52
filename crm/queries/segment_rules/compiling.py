"""Rules become SQL with bound values only: any number of them in one pass over customers.

What a rule asks of related records is worked out once for all customers (or those it is restricted to) and joined to
them, so rules that ask the same of the same records share it. An expression may be NULL where it isn't true: `all` and
`any` pass that on as false, `none` asks for IS NOT TRUE, and so no condition is ever unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Numeric,
    Select,
    and_,
    cast,
    false,
    func,
    inspect,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, distinct_on
from sqlalchemy.orm import aliased, outerjoin

from crm.core.days import today as this_day
from crm.core.entity import Face
from crm.models.access import AuditAction, AuditEntry
from crm.models.parties import Party
from crm.models.segments import Segment, SegmentMembership
from crm.queries.operators import (
    WITH_PERIOD,
    WITHOUT_VALUE,
    blank,
    compare,
    has_anniversary,
    has_one,
    in_period,
    like,
    span,
)
from crm.queries.segment_rules.catalogue import CHANGED, RANKS, Related, RuleField, root, target_of
from crm.queries.segment_rules.reading import Condition, Group, InSegment, Node, RelatedCondition

Only = Callable[[Any], ColumnElement[bool]]  # a column of numbers of customers → that they are among those meant
_HOLDER = "holder"
_ONE_AT_MOST = (("is_default", True),)  # a unique index says so


@dataclass(frozen=True)
class Leaf:
    """A condition as it was compiled: whether it holds (NULL: no), and the value it was held against, where there is
    one."""

    node: Node
    holds: ColumnElement[bool]
    value: Any = None


@dataclass
class _Source:
    """What is joined to rows by their number, one row each at most; `select` takes what is asked of it."""

    name: str
    select: Callable[[list[Any]], Select[Any]]
    place: Place | None = None
    asked: dict[str, Any] = field(default_factory=dict)


class Place:
    """The rows that conditions are about, with all that is joined to them."""

    def __init__(self, face: Face, entity: Any, only: Only | None, name: Callable[[], str]) -> None:
        self.face, self.entity, self.only, self.name = face, entity, only, name
        self.joins: dict[tuple[str, ...], tuple[Any, Any]] = {}
        self.sources: dict[tuple[Any, ...], _Source] = {}

    def column(self, wanted: RuleField) -> Any:
        """The column of a field; what leads to it is joined."""
        if wanted.embed is not None:
            return getattr(self._embedded(wanted), wanted.field.attribute)
        holder, face = self._walk(wanted.path)
        own = face.fields[wanted.name.rsplit(".", 1)[-1]]
        return getattr(self._figures(wanted.path, holder, face) if own.figure else holder, own.attribute)

    def number_at(self, steps: tuple[str, ...]) -> Any:
        """The number that references lead to."""
        holder, face = self._walk(steps[:-1])
        return getattr(holder, face.fields[steps[-1]].attribute)

    def _walk(self, path: tuple[str, ...]) -> tuple[Any, Face]:
        holder, face = self.entity, self.face
        for number, step in enumerate(path):
            key, target = path[: number + 1], target_of(face, step)
            if key not in self.joins:
                other = aliased(target.entity)
                self.joins[key] = other, other.id == getattr(holder, face.fields[step].attribute)
            holder, face = self.joins[key][0], target
        return holder, face

    def _figures(self, path: tuple[str, ...], holder: Any, face: Face) -> Any:
        key = (*path, "figures")
        if key not in self.joins:
            figures = face.figures[0] if holder is Party else aliased(face.figures[0])
            self.joins[key] = figures, and_(figures.id == holder.id, *self._theirs(figures.id, holder))
        return self.joins[key][0]

    def _theirs(self, column: Any, holder: Any) -> list[ColumnElement[bool]]:
        """Said of what is joined as well, as the database doesn't conclude it: of some customers, it isn't read of all."""
        return [self.only(column)] if holder is Party and self.only is not None else []

    def _embedded(self, wanted: RuleField) -> Any:
        """The one related record that an embed picks, as a page picks it."""
        embed, key = wanted.embed, ("embed", wanted.embed.prefix if wanted.embed else "")
        assert embed is not None
        if key not in self.joins:
            entity, link = wanted.face.entity, inspect(self.face.entity).relationships[embed.relation]
            holder: Any = next(iter(link.remote_side))
            picked = [getattr(entity, name) == value for name, value in embed.where]
            if embed.where == _ONE_AT_MOST:
                other = aliased(entity)
                one, chosen = getattr(other, holder.key), (getattr(other, name) for name, _ in embed.where)
                self.joins[key] = other, and_(one == self.entity.id, *chosen, *self._theirs(one, self.entity))
            else:
                if self.only is not None:
                    picked.append(self.only(holder))
                rows = select(entity).where(*picked).ext(distinct_on(holder)).order_by(holder, *(link.order_by or ()))
                other = aliased(entity, rows.subquery())
                self.joins[key] = other, getattr(other, holder.key) == self.entity.id
        return self.joins[key][0]

    def ask(
        self, key: tuple[Any, ...], make: Callable[[], _Source], word: str, of: Callable[[Place], Any], kind: Any
    ) -> Any:
        """A column of what is joined: one source for one key, one column for one word."""
        source = self.sources.get(key)
        if source is None:
            source = self.sources[key] = make()
        if word not in source.asked:
            source.asked[word] = of(source.place or self)
        return literal_column(f"{source.name}.a{list(source.asked).index(word)}", kind)

    def joined(self) -> Any:
        """FROM: the rows, with all that was asked for beside them."""
        found = self.entity
        for other, on in self.joins.values():
            found = outerjoin(found, other, on)
        for source in self.sources.values():
            asked = [of.label(f"a{number}") for number, of in enumerate(source.asked.values())]
            rows = source.select(asked).subquery(source.name)
            found = outerjoin(found, rows, rows.c[_HOLDER] == self.entity.id)
        return found


class Compiler:
    """One pass over customers: rules are added, then asked for as columns of `place.joined()`.

    `only` restricts what is worked out to some customers; `today` is the day from which periods are told.
    """

    def __init__(self, *, only: Only | None = None, today: dt.date | None = None) -> None:
        self.today = today or this_day()
        self.leaves: list[Leaf] = []
        self._sources = 0
        self.place = Place(root(), Party, only, self._name)

    def _name(self) -> str:
        self._sources += 1
        return f"r{self._sources}"

    def add(self, node: Node) -> ColumnElement[bool]:
        """Whether the rule holds of a customer; NULL counts as not."""
        return self._node(node, self.place)

    def customers(self, *columns: Any) -> Select[Any]:
        """These columns of all customers who aren't archived, or of those this is restricted to."""
        found = select(*columns).select_from(self.place.joined()).where(*everybody())
        return found if self.place.only is None else found.where(self.place.only(Party.id))

    def _node(self, node: Node, place: Place) -> ColumnElement[bool]:
        if isinstance(node, Group):
            inner = [self._node(one, place) for one in node.nodes]
            if node.mode == "all":
                return and_(true(), *inner)
            found = or_(false(), *inner)
            return found if node.mode == "any" else found.is_not(True)
        value = None
        if isinstance(node, InSegment):
            holds = self._in_segment(node, place)
        elif isinstance(node, RelatedCondition):
            holds, value = self._related(node, place)
        elif node.op == CHANGED:
            holds = self._changed(node, place)
        else:
            value = place.column(node.field)
            holds = _among_highest(node) if node.op in RANKS else _holds(node, value, self.today)
        if place is self.place:
            self.leaves.append(Leaf(node, holds, value))
        return holds

    def _related(self, node: RelatedCondition, place: Place) -> tuple[ColumnElement[bool], Any]:
        key = ("related", node.key)
        word = f"{node.aggregate} {node.of.name if node.of else ''}"
        value = place.ask(key, lambda: self._rows(node, place), word, lambda rows: _aggregate(node, rows), _kind(node))
        if node.aggregate in ("count", "sum"):  # of no records there are none, and they add up to nothing
            value = func.coalesce(value, 0)
        return _holds(node.test, value, self.today), value

    def _rows(self, node: RelatedCondition, place: Place) -> _Source:
        """The related records a condition is about, by whom they belong to."""
        related, row = node.related, aliased(node.related.face.entity)
        inner = Place(related.face, row, _of(place, related), self._name)
        holder = inner.number_at(related.steps)
        conditions = [holder.is_not(None)]
        if place.only is not None:
            conditions.append(place.only(holder))
        if node.within is not None:
            conditions.append(
                in_period(related.at.field, inner.column(related.at), "within_last", node.within, self.today)
            )
        if node.where is not None:
            conditions.append(self._node(node.where, inner))

        def rows(asked: list[Any]) -> Select[Any]:
            return select(holder.label(_HOLDER), *asked).select_from(inner.joined()).where(*conditions).group_by(holder)

        return _Source(self._name(), rows, inner)

    def _in_segment(self, node: InSegment, place: Place) -> ColumnElement[bool]:
        def make() -> _Source:
            wanted = select(Segment.id).where(func.lower(Segment.name) == func.lower(node.name)).scalar_subquery()
            open_now = [SegmentMembership.segment_id == wanted, SegmentMembership.left_at.is_(None)]
            if place.only is not None:
                open_now.append(place.only(SegmentMembership.party_id))
            return _Source(
                self._name(), lambda asked: select(SegmentMembership.party_id.label(_HOLDER), *asked).where(*open_now)
            )

        found = place.ask(("segment", node.name.lower()), make, "there", lambda _: literal(1, Integer), Integer())
        return found.is_not(None)

    def _changed(self, node: Condition, place: Place) -> ColumnElement[bool]:
        """By the audit: values that were there from the start haven't changed."""
        assert node.period is not None

        def make() -> _Source:
            entries = [AuditEntry.entity == Party.__tablename__, AuditEntry.action == AuditAction.UPDATE,
                       AuditEntry.created_at >= func.date(literal(self.today) - span(node.period or (0, "d"))),
                       AuditEntry.changes.has_key(node.field.field.attribute)]  # fmt: skip
            if place.only is not None:
                entries.append(place.only(AuditEntry.record_id))
            return _Source(self._name(), lambda asked: select(AuditEntry.record_id.label(_HOLDER), *asked)
                           .where(*entries).group_by(AuditEntry.record_id))  # fmt: skip

        key = ("changed", node.field.name, node.period)
        found = place.ask(key, make, "there", lambda _: func.max(AuditEntry.created_at), AuditEntry.created_at.type)
        return found.is_not(None)


def everybody() -> list[ColumnElement[bool]]:
    """Whom rules are about: customers who aren't archived."""
    return [*root().where(), Party.archived_at.is_(None)]


def _of(place: Place, related: Related) -> Only | None:
    """The same restriction for what belongs to related records."""
    if place.only is None:
        return None
    rows = Place(related.face, aliased(related.face.entity), None, place.name)
    numbers = select(rows.entity.id).where(place.only(rows.number_at(related.steps))).select_from(rows.joined())
    return lambda column: column.in_(numbers)


def _aggregate(node: RelatedCondition, rows: Place) -> Any:
    """What is asked of the related rows of one holder; amounts that have a rate in the company's currency."""
    if node.of is None:
        return func.count()
    value = rows.column(node.of)
    if node.aggregate == "last":
        latest = aggregate_order_by(value, rows.column(node.related.at).desc().nulls_last(), rows.entity.id.desc())
        return func.array_agg(latest, type_=ARRAY(value.type))[1]
    if node.of.field.kind == "money" and not node.of.path and node.related.rate is not None:
        value = func.round(value * rows.column(node.related.rate), 4)
    return getattr(func, node.aggregate)(value)


def _kind(node: RelatedCondition) -> Any:
    if node.of is None or node.aggregate in ("sum", "avg"):
        return Numeric()
    return node.of.face.column(node.of.field.name.rsplit(".", 1)[-1]).type


def _among_highest(node: Condition) -> ColumnElement[bool]:
    """Whether a value is no less than the last of those that are meant, among all customers; an empty one has no rank."""
    face, name = node.field.face, node.field.name
    ranked = face.column(name)

    def of_all(*columns: Any) -> Select[Any]:
        found = Place(face, Party, None, str)
        value = found.column(node.field)
        return select(*columns).select_from(found.joined()).where(*everybody(), value.is_not(None)).correlate(None)

    skipped: Any = int(node.number) - 1
    if node.op == "top_percent":
        number = select(func.count()).select_from(Party).where(*everybody()).correlate(None).scalar_subquery()
        skipped = func.greatest(cast(func.ceil(number * node.number / 100), BigInteger) - 1, 0)
    last = of_all(ranked).order_by(ranked.desc()).offset(skipped).limit(1).scalar_subquery()
    least = of_all(func.min(ranked)).scalar_subquery()
    return ranked >= func.coalesce(last, least)


def _holds(node: Condition, column: Any, today: dt.date) -> ColumnElement[bool]:
    declared, op = node.field.field, node.op
    if op in WITHOUT_VALUE:
        return blank(declared, column, op)
    if op in WITH_PERIOD:
        assert node.period is not None
        return in_period(declared, column, op, node.period, today)
    if op == "anniversary_within":
        assert node.period is not None
        return has_anniversary(declared, column, node.period, today)
    if declared.family == "list":
        return has_one(column, list(node.values), op)
    if op in ("contains", "starts"):
        return like(declared, column, op, node.values[0])
    return compare(declared, column, op, list(node.values))
