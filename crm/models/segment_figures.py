"""How many are in a segment; and in which segments each customer is, as bits: a refresh reads and compares those instead of
the memberships."""

# ruff: noqa: S608 - made of constants
from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.core.fields import integer_field
from crm.core.figures import Figures, Only, Source, Summed
from crm.models import segments as _segments  # noqa: F401 - declares what is read here

WORD = 63  # segments in a bigint
APART = 1 << 40  # the rows of one word follow each other, by customer


class SegmentFigures(Summed):
    """What the memberships of a segment add up to."""

    shown_by = ("segment",)
    sort = ("member_count",)
    holders = ("segment", "true")
    sources = (Source("segment_membership", "segment_id", {"member_count": "(r.left_at IS NULL)::int"}),)

    member_count: Mapped[int] = integer_field(label="Members", column={"server_default": text("0")})


class SegmentBits(Figures):
    """Those of 63 segments that a customer is in now; no row where that is none. The number of the row is that of the
    word times `APART`, and the customer's; the words are the segments' numbers through 63, a bit is what is left."""

    __tablename__ = "segment_bits"
    at_once = True

    bits: Mapped[int] = mapped_column(BigInteger)

    @classmethod
    def triggers(cls) -> Iterator[tuple[str, str, str]]:
        for event, rows in (("INSERT", ["new_rows"]), ("UPDATE", ["old_rows", "new_rows"]), ("DELETE", ["old_rows"])):
            each = " UNION ALL ".join(f"SELECT m.* FROM {name} m WHERE m.left_at IS NULL" for name in rows)
            # What was open and still is cancels itself out; somebody is in a segment once at a time.
            yield "segment_membership", event, (
                f"INSERT INTO segment_bits AS f (id, bits) SELECT {_ROW}, bit_xor({_BIT}) FROM ({each}) m GROUP BY 1 "
                f"HAVING bit_xor({_BIT}) <> 0 ORDER BY 1 ON CONFLICT (id) DO UPDATE SET bits = f.bits # excluded.bits")  # fmt: skip
            if "old_rows" in rows:
                yield "segment_membership", event, (
                    "DELETE FROM segment_bits f WHERE f.bits = 0 AND f.id = ANY (ARRAY("
                    f"SELECT DISTINCT {_ROW} FROM old_rows m WHERE m.left_at IS NULL))")  # fmt: skip

    @classmethod
    def from_scratch(cls, only: Only) -> str:
        return (f"SELECT {_ROW} AS id, bit_or({_BIT}) AS bits FROM segment_membership m "
                f"WHERE m.left_at IS NULL AND {only(_ROW)} GROUP BY 1")  # fmt: skip


_ROW = f"((m.segment_id / {WORD}) * {APART} + m.party_id)"
_BIT = f"(1::bigint << (m.segment_id % {WORD})::int)"
