"""Whether the audit is what was sealed: walks the chain, and names the first entry that isn't right."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, select, text

from crm.core.audit_chain import content
from crm.core.command import WrongInput
from crm.core.entity import db
from crm.models.access import AuditEntry, AuditHead

PART = 10_000


@dataclass(frozen=True)
class Sealed:
    """How far the audit is sealed, with the last entry's hash; and how many entries wait for it."""

    seq: int
    hash: str
    open: int


@dataclass(frozen=True)
class Fault:
    """The first entry that isn't right: its place in the chain, its number where it has one, and what is wrong."""

    seq: int
    entry: int | None
    kind: str
    says: str


@dataclass(frozen=True)
class Verdict:
    """What a walk found: how many entries were looked at, and the first that is wrong; None when all are right."""

    sealed: Sealed
    checked: int
    fault: Fault | None

    def as_data(self) -> dict[str, Any]:
        fault = asdict(self.fault) if self.fault else None
        return {"ok": fault is None, "checked": self.checked, **asdict(self.sealed), "first_bad": fault}

    def in_words(self) -> str:
        if self.fault is not None:
            return f"NOT as it was sealed, after {self.checked:,} good entries: {self.fault.says}."
        noted = (
            f" To notice a chain made anew, keep --known {self.sealed.seq}:{self.sealed.hash}" if self.checked else ""
        )
        return f"{self.checked:,} entries are as they were sealed; {self.sealed.open:,} wait to be sealed.{noted}"


def sealed() -> Sealed:
    head = db.session.execute(select(AuditHead.seq, AuditHead.hash)).one_or_none()
    waiting = db.session.scalar(select(func.count()).where(AuditEntry.seq.is_(None))) or 0
    return Sealed(*(head or (0, "")), open=waiting)


def read_known(given: str) -> tuple[int, str]:
    """`120:ab…` as `verify` takes it. Raises WrongInput."""
    seq, _, digest = given.partition(":")
    if not re.fullmatch(r"[1-9][0-9]{0,17}", seq) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise WrongInput({"known": "is a number, a colon and 64 letters and digits, as an earlier run answered"})
    return int(seq), digest


def verify(*, known: tuple[int, str] | None = None, tell: Callable[[int], None] = lambda checked: None) -> Verdict:
    """Walk the whole chain, part by part. `known` is the (seq, hash) of an earlier walk, kept elsewhere.

    Hashes are made here and not in the database, whose functions may have been changed as well.
    """
    now = sealed()
    seq, before, earlier = 0, "", None
    while rows := db.session.execute(_ENTRIES, {"seq": seq, "part": PART}).all():
        fault = None
        for row in rows:
            if row.seq != seq + 1:
                fault = Fault(seq + 1, None, "removed", f"entry {seq + 1} of the chain is gone")
            elif _link(before, row.content) != row.hash:
                fault = _what_happened(row, before)
            if fault is not None:
                break
            seq, before = row.seq, row.hash
            if known is not None and seq == known[0]:
                earlier = before
        wrong = _changed_value(rows[0].seq, seq)
        if wrong is not None or fault is not None:
            return Verdict(now, seq, wrong or fault)
        tell(seq)
    return Verdict(now, seq, _wrong_end(seq, before) or _not_as_known(known, earlier))


_COLUMNS = f"SELECT e.seq, e.id, e.hash, {content('e')} AS content FROM audit_entry e"  # noqa: S608 - made of constants
_ENTRIES = text(f"{_COLUMNS} WHERE e.seq > :seq ORDER BY e.seq LIMIT :part")
# Where an entry's hash comes from, when it isn't where it stands.
_PLACE = text("SELECT p.seq FROM audit_entry p WHERE p.seq IS NOT NULL "
              "AND encode(sha256(convert_to(p.hash || :content, 'UTF8')), 'hex') = :hash LIMIT 1")  # fmt: skip
_HASH_OF = "encode(sha256(convert_to(v.salt || coalesce(v.{side}, ''), 'UTF8')), 'hex')"
_VALUES = text(f"""
  SELECT e.seq, e.id, v.field FROM audit_entry e JOIN audit_value v ON v.entry_id = e.id
   WHERE e.seq BETWEEN :first AND :last AND e.changes -> v.field -> 'hash' IS DISTINCT FROM
         jsonb_build_array({_HASH_OF.format(side="before")}, {_HASH_OF.format(side="after")})
   ORDER BY e.seq LIMIT 1""")  # noqa: S608 - made of constants


def _link(before: str, written: str) -> str:
    return hashlib.sha256((before + written).encode()).hexdigest()


def _what_happened(row: Any, before: str) -> Fault:
    place = db.session.execute(_PLACE, {"content": row.content, "hash": row.hash}).scalar()
    if place is not None:
        return Fault(
            row.seq, row.id, "reordered", f"entry {row.id} stands at {row.seq} of the chain, not where it was sealed"
        )
    if row.seq > sealed().seq:
        return Fault(row.seq, row.id, "inserted", f"entry {row.id} stands after {row.seq - 1}, where sealing ended")
    following = db.session.execute(_ENTRIES, {"seq": row.seq, "part": 1}).one_or_none()
    if following is not None and _link(before, following.content) == following.hash:
        return Fault(row.seq, row.id, "inserted", f"entry {row.id}, at {row.seq} of the chain, was put in afterwards")
    return Fault(row.seq, row.id, "changed",
                 f"entry {row.id}, at {row.seq} of the chain, isn't as it was sealed, or the one before it is gone")  # fmt: skip


def _changed_value(first: int, last: int) -> Fault | None:
    """A personal value that isn't the one whose hash was sealed; those that were erased are not there to compare."""
    wrong = db.session.execute(_VALUES, {"first": first, "last": last}).one_or_none()
    if wrong is None:
        return None
    return Fault(wrong.seq, wrong.id, "changed", f"the kept value of “{wrong.field}” of entry {wrong.id} was changed")


def _wrong_end(seq: int, before: str) -> Fault | None:
    """The chain must end where the sealer ended; it may have gone on since, so both are read at once."""
    end = db.session.execute(text(
        "SELECT (SELECT seq FROM audit_head) AS head, (SELECT hash FROM audit_head) AS hash, max(seq) AS last "
        "FROM audit_entry")).one()  # fmt: skip
    if (end.last or 0) < (end.head or 0):
        return Fault(
            (end.last or 0) + 1, None, "removed", f"the chain ends at {end.last or 0}, but was sealed up to {end.head}"
        )
    if end.head == seq and end.hash != before:
        return Fault(seq, None, "changed", f"entry {seq} of the chain has another hash than it was sealed with")
    return None


def _not_as_known(known: tuple[int, str] | None, found: str | None) -> Fault | None:
    if known is None or found == known[1]:
        return None
    return Fault(
        known[0],
        None,
        "changed",
        f"entry {known[0]} of the chain hasn't the hash that was noted: the chain was made anew",
    )
