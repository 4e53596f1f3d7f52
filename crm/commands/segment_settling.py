"""Whom the rules of segments mean is compared with who is in, as bits, and what differs is written."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    and_,
    case,
    column,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from crm.core.command import among
from crm.core.entity import db
from crm.models.parties import Party
from crm.models.segment_choices import MemberSource, Pin
from crm.models.segment_figures import APART, WORD, SegmentBits
from crm.models.segments import SegmentMembership
from crm.queries.segment_rules.compiling import Compiler
from crm.queries.segment_rules.reading import Node

LOCK = 7_240_711 << 32  # with the number of the segment
TIMEOUT = "15min"  # of one range


@dataclass(frozen=True)
class Wanted:
    """A segment to be worked out: by which version of which rule, and the row that tells of it."""

    id: int
    version: int
    node: Node | None  # None: not valid today, so it means nobody


@dataclass(frozen=True)
class Those:
    """The customers that a part of a refresh is about: those of a range of numbers, or some of them."""

    first: int
    last: int
    some: Sequence[int] | None = None

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Those:
        return cls(0, 0, numbers)

    def __call__(self, column: Any, apart: int = 0) -> ColumnElement[bool]:
        """That this number of a customer, so much higher, is one of theirs."""
        if self.some is not None:
            return among(column, [number + apart for number in self.some])
        found: ColumnElement[bool] = column.between(self.first + apart, self.last + apart)
        return found


def settle(wanted: Sequence[Wanted], only: Those, day: dt.date) -> tuple[dict[int, int], dict[int, int]]:
    """Bring these customers into and out of these segments. Answers how many entered and left each.

    Who differs is looked for first, as the database shares that work among its processes, and written after. A segment is
    locked meanwhile, so that two who work it out don't work on what the other is about to change; what somebody lays down
    by hand between the two stays.
    """
    if not wanted:
        return {}, {}
    for number in sorted(one.id for one in wanted):
        db.session.execute(select(func.pg_advisory_xact_lock(LOCK + number)))
    db.session.execute(text("SELECT set_config('statement_timeout', :most, true), set_config('jit', 'off', true), "
                            "set_config('work_mem', '64MB', true)"), {"most": TIMEOUT})  # fmt: skip
    words = _words(wanted)
    coming, going = [], []
    for party, *bits in db.session.execute(_compared(words, only, day)):
        for word, now, was in zip(words, bits[::2], bits[1::2], strict=True):
            if now & ~was:
                coming.append((party, word, now & ~was))
            if was & ~now:
                going.append((party, word, was & ~now))
    came, gone = _written(words, coming, _come), _written(words, going, _go)
    db.session.expire_all()
    return came, gone


def _words(wanted: Sequence[Wanted]) -> dict[int, list[Wanted]]:
    """The segments of each word of `SegmentBits`."""
    words: dict[int, list[Wanted]] = defaultdict(list)
    for one in wanted:
        words[one.id // WORD].append(one)
    return words


def _bit(one: Wanted) -> int:
    return 1 << one.id % WORD


def _compared(words: dict[int, list[Wanted]], only: Those, day: dt.date) -> Select[Any]:
    """Those of whom the rules mean other than who is in: for each word the bits of now and as they were."""
    compiler = Compiler(only=only, today=day)
    meant = [_word(compiler, word).label(f"now{n}") for n, word in words.items()]
    now = compiler.customers(Party.id.label("party_id"), *meant).cte("now")
    nothing = literal(0, BigInteger)
    there = union_all(*(
        select((SegmentBits.id - literal(n * APART, BigInteger)).label("party_id"), *(
            (SegmentBits.bits.bitwise_and(sum(map(_bit, word))) if n == other else nothing).label(f"was{other}") for other in words))
        .where(only(SegmentBits.id, n * APART)) for n, word in words.items())).subquery()  # fmt: skip
    together = (func.bit_or(there.c[f"was{n}"]).label(f"was{n}") for n in words)
    was = (select(there) if len(words) == 1 else select(there.c.party_id, *together).group_by(there.c.party_id)).cte(
        "was"
    )
    pairs = [(func.coalesce(now.c[f"now{n}"], 0), func.coalesce(was.c[f"was{n}"], 0)) for n in words]
    return (select(func.coalesce(now.c.party_id, was.c.party_id), *itertools.chain.from_iterable(pairs))
            .select_from(now.join(was, now.c.party_id == was.c.party_id, full=True)).where(or_(*(new != old for new, old in pairs))))  # fmt: skip


def _written(
    words: dict[int, list[Wanted]], rows: Sequence[tuple[int, int, int]], write: Callable[[Any, Any], Any]
) -> dict[int, int]:
    """Write what those bits of words say of customers. Answers of each segment how many it was."""
    if not rows:
        return {}
    kinds = {"party_id": BigInteger, "word": Integer, "bits": BigInteger}
    parts = (
        literal(list(part), ARRAY(kind)) for part, kind in zip(zip(*rows, strict=True), kinds.values(), strict=True)
    )
    who = func.unnest(*parts).table_valued(*(column(*one) for one in kinds.items())).render_derived("who")
    slots = values(column("segment_id", BigInteger), column("version", Integer), column("word", Integer), column("bit", BigInteger),
                   name="slots").data([(one.id, one.version, n, _bit(one)) for n, word in words.items() for one in word])  # fmt: skip
    each = select(slots.c.segment_id, slots.c.version, who.c.party_id).select_from(who).join(
        slots, and_(slots.c.word == who.c.word, slots.c.bit.bitwise_and(who.c.bits) != 0)).subquery()  # fmt: skip
    wrote = write(SegmentMembership, each.c).returning(SegmentMembership.segment_id).cte("wrote")
    counted = select(wrote.c.segment_id, func.count()).group_by(wrote.c.segment_id)
    return {row[0]: row[1] for row in db.session.execute(counted)}


def _come(member: Any, each: Any) -> Any:
    kept_out = select(member.id).where(
        member.party_id == each.party_id, member.segment_id == each.segment_id, member.pin == Pin.OUT
    )
    rows = select(each.segment_id, each.party_id, literal(MemberSource.RULE.value), each.version).where(
        ~kept_out.exists()
    )
    return (upsert(member).from_select(["segment_id", "party_id", "source", "rule_version"], rows)
            .on_conflict_do_nothing(index_elements=["segment_id", "party_id"], index_where=member.left_at.is_(None)))  # fmt: skip


def _go(member: Any, each: Any) -> Any:
    return (update(member).where(member.party_id == each.party_id, member.segment_id == each.segment_id, member.left_at.is_(None),
                                 member.pin.is_(None)).values(left_at=func.clock_timestamp()))  # fmt: skip


def _word(compiler: Compiler, word: Sequence[Wanted]) -> ColumnElement[int]:
    """The bits of the segments whose rules mean a customer."""
    nothing = literal(0, BigInteger)
    bits = (case((compiler.add(one.node), literal(_bit(one), BigInteger)), else_=nothing) for one in word if one.node)
    return reduce(lambda some, more: some.bitwise_or(more), bits, nothing)
