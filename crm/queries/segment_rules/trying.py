"""What a rule would do, before it is kept: how many it means, some of them, who would come and go, why one is in or out.

Answers are given within a time; what takes longer is estimated from some parts of the customers, and says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select, text
from sqlalchemy.exc import OperationalError

from crm.core.entity import db, face_named
from crm.core.permissions import Actor
from crm.models.parties import Party
from crm.models.segment_choices import Pin
from crm.models.segments import Segment, SegmentMembership
from crm.queries.scope import row_scope
from crm.queries.segment_rules.compiling import Compiler, Only
from crm.queries.segment_rules.reading import Node
from crm.queries.segment_rules.words import in_words

T = TypeVar("T")
WITHIN = 300  # milliseconds for a count or samples
CAREFULLY = 10_000  # for who would come and go
_BLOCKS, _BLOCK = 40, 250  # of numbers, for an estimate


@dataclass(frozen=True)
class Count:
    """How many; `exact` unless it is told from some parts of the customers."""

    number: int
    exact: bool

    @property
    def words(self) -> str:
        return f"{self.number:,}" if self.exact else f"about {float(f'{self.number:.2g}'):,.0f}"


@dataclass(frozen=True)
class Told:
    """A condition for one customer: where it stands in the rule, in words, whether it holds, and the value there is."""

    path: str
    words: str
    holds: bool
    value: str


@dataclass(frozen=True)
class Moves:
    """Who would enter and leave a segment, with some of each; None where that takes too long to tell."""

    entering: int
    leaving: int
    staying: int
    some_entering: list[Party]
    some_leaving: list[Party]


def count(rule: Node, actor: Actor | None, *, within: int = WITHIN) -> Count:
    """How many of the customers that the actor may see a rule means, told within so many milliseconds or so."""
    compiler = Compiler()
    exact = _in_time(
        within * 2 // 3, lambda: db.session.execute(_meant(compiler, rule, actor, func.count())).scalar_one()
    )
    if exact is not None:
        return Count(exact, exact=True)
    only, share = _some_blocks()
    found = db.session.execute(_meant(Compiler(only=only), rule, actor, func.count())).scalar_one()
    return Count(round(found / share), exact=False)


def counts(rules: Sequence[Node], actor: Actor | None, *, within: int = WITHIN) -> list[Count]:
    """How many each of some rules means, as parts of one rule have it, in one pass over customers."""

    def ask(only: Only | None) -> Sequence[int]:
        compiler = Compiler(only=only)
        columns = [func.count().filter(func.coalesce(compiler.add(rule), False)) for rule in rules]
        return list(db.session.execute(compiler.customers(*columns).where(*_scope(actor))).one())

    if not rules:
        return []
    exact = _in_time(within * 2 // 3, lambda: ask(None))
    if exact is not None:
        return [Count(number, exact=True) for number in exact]
    only, share = _some_blocks()
    return [Count(round(number / share), exact=False) for number in ask(only)]


def samples(rule: Node, actor: Actor | None, number: int = 10, *, within: int = WITHIN) -> list[Party]:
    """Some of those a rule means, of the customers that the actor may see."""

    def some(only: Only | None) -> list[Party]:
        return list(db.session.scalars(_meant(Compiler(only=only), rule, actor, Party).limit(number)))

    found = _in_time(within, lambda: some(None))
    return found if found is not None else some(_some_blocks()[0])


def explain(rule: Node, party: Party) -> tuple[bool, list[Told]]:
    """Whether a rule means this customer, and each of its conditions with what is there; an archived one is in nothing by
    rule."""
    compiler = Compiler(only=lambda column: column == party.id)
    whole = compiler.add(rule)
    columns: list[Any] = [whole.label("whole")]
    for number, leaf in enumerate(compiler.leaves):
        columns.append(leaf.holds.label(f"h{number}"))
        if leaf.value is not None:
            columns.append(leaf.value.label(f"v{number}"))
    row = db.session.execute(compiler.customers(*columns)).mappings().one_or_none()
    if row is None:
        return False, []
    told = []
    for number, leaf in enumerate(compiler.leaves):
        value = row.get(f"v{number}")
        declared = leaf.node.test.field.field if hasattr(leaf.node, "test") else getattr(leaf.node, "field", None)
        declared = getattr(declared, "field", declared)
        shown = "" if value is None else declared.word(value) if declared is not None else str(value)
        told.append(Told(leaf.node.path, in_words(leaf.node), bool(row[f"h{number}"]), shown))
    return bool(row["whole"]), told


def would_change(
    segment: Segment, rule: Node, actor: Actor | None, *, number: int = 10, within: int = CAREFULLY
) -> Moves | None:
    """Who would enter and leave a segment by this rule, among the customers that the actor may see. Those who were laid
    down by hand stay as they are."""
    compiler = Compiler()
    meant = _meant(compiler, rule, actor, Party.id).cte("meant")
    mine = select(SegmentMembership.party_id).where(SegmentMembership.segment_id == segment.id)
    inside = mine.where(SegmentMembership.left_at.is_(None))
    seen = [SegmentMembership.party_id.in_(select(Party.id).where(*_scope(actor)))] if actor is not None else []
    entering = select(meant.c.id).where(
        meant.c.id.not_in(inside), meant.c.id.not_in(mine.where(SegmentMembership.pin == Pin.OUT))
    )
    leaving = inside.where(
        SegmentMembership.pin.is_(None), SegmentMembership.party_id.not_in(select(meant.c.id)), *seen
    )

    def work() -> Moves:
        numbers = [
            db.session.execute(select(func.count()).select_from(one.subquery())).scalar_one()
            for one in (entering, leaving, inside.where(*seen))
        ]
        some = [
            list(db.session.scalars(select(Party).where(Party.id.in_(one.limit(number)))))
            for one in (entering, leaving)
        ]
        return Moves(numbers[0], numbers[1], numbers[2] - numbers[1], *some)

    return _in_time(within, work)


def _scope(actor: Actor | None) -> list[ColumnElement[bool]]:
    return [] if actor is None else row_scope(face_named("customer"), actor)


def _meant(compiler: Compiler, rule: Node, actor: Actor | None, *columns: Any) -> Select[Any]:
    fits = compiler.add(rule)
    return compiler.customers(*columns).where(fits, *_scope(actor))


def _some_blocks() -> tuple[Only, float]:
    """Some ranges of numbers at random, and which share of all they are."""
    last = db.session.scalar(select(func.max(Party.id))) or 0
    starts = [random.randrange(max(last, 1)) for _ in range(_BLOCKS)]  # noqa: S311 - only spreads the ranges
    wanted = [range(start, start + _BLOCK) for start in sorted(starts)]
    numbers = sorted({number for one in wanted for number in one if number <= last})
    return (lambda column: or_(*(column.between(one[0], one[-1]) for one in wanted))), max(len(numbers), 1) / max(
        last, 1
    )


def _in_time(within: int, work: Callable[[], T]) -> T | None:
    """What the database answers in so many milliseconds; None when that isn't enough."""
    try:
        with db.session.begin_nested():
            db.session.execute(
                text("SELECT set_config('statement_timeout', :most, true), set_config('jit', 'off', true)"),
                {"most": str(max(within, 1))},
            )
            found = work()
            db.session.execute(text("SELECT set_config('statement_timeout', '0', true)"))
    except OperationalError as fault:
        if getattr(fault.orig, "sqlstate", None) != "57014":  # query_canceled
            raise
        return None
    return found
