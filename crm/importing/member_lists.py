"""Customers named in a file or a text, to be put into a segment: who is meant, who isn't there, whom a name doesn't tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from crm.commands.segments import put_in
from crm.core.command import among
from crm.core.entity import db, face_named
from crm.core.permissions import accesses
from crm.importing.detecting import normalised
from crm.importing.files import MIB, FileRefused, ReadOptions
from crm.importing.reading import open_table
from crm.importing.storage import forget, keep, uploads
from crm.models.access import User
from crm.models.parties import Party
from crm.models.segment_choices import MemberSource
from crm.models.segments import Segment, SegmentMembership
from crm.queries.scope import row_scope

MOST = 10_000  # names at a time
LARGEST = 2 * MIB
VERB = "add_to_segment"
_CODE, _NUMBER = re.compile(r"[A-Za-z]{1,4}-[0-9]{6,19}"), re.compile(r"[1-9][0-9]{0,17}")
_HEADS = frozenset(
    ("code", "id", "customer", "customer_id", "customer_number", "account_number", "email", "e_mail", "number")
)


class TooMany(FileRefused):
    """More names than are taken at a time."""

    def __init__(self) -> None:
        super().__init__(f"it names more than {MOST:,} customers: cut it up")


@dataclass
class Meant:
    """What a list comes to: the numbers of those who can be put in, those of them who are in already; names that nobody in
    reach has, that several have, or somebody who is archived; how many came again."""

    ids: list[int] = field(default_factory=list)
    already: set[int] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    repeated: int = 0


def names_in_text(text: str) -> list[str]:
    """One name a line, or with commas between. Raises FileRefused."""
    return _some(re.split(r"[\r\n,;\t]+", text))


def names_in_file(stream: IO[bytes]) -> list[str]:
    """The names of a file as imports read it, of the column that holds most codes, e-mails or else numbers. Raises
    FileRefused."""
    kept = keep(stream, limit=LARGEST)
    try:
        table = open_table(uploads() / kept.name, ReadOptions(header=0))
        rows = []
        for row in table.rows():
            rows.append(row.cells)
            if len(rows) > MOST + 1:
                raise TooMany
    finally:
        forget(kept.name)

    def telling(place: int) -> tuple[int, int, int]:
        cells = [row[place].strip() for row in rows]
        return (sum(bool(_CODE.fullmatch(cell)) for cell in cells), sum("@" in cell for cell in cells),
                sum(bool(_NUMBER.fullmatch(cell)) for cell in cells))  # fmt: skip

    best = max(range(len(table.columns)), key=telling, default=0)
    return _some(row[best] for row in rows)


def _some(cells: Iterable[str]) -> list[str]:
    names = [name for cell in cells if (name := cell.strip().replace("\x00", "")[:254])]
    if names and normalised(names[0]).replace(" ", "_") in _HEADS:
        del names[0]
    if len(names) > MOST:
        raise TooMany
    if not names:
        raise FileRefused("it names nobody")
    return names


def meant(names: Sequence[str], segment: Segment, by: User) -> Meant:
    """Who is meant by codes, numbers, account numbers and e-mails, of the customers whom the person may put into segments. By
    what is hidden from the person nobody is found. The code of somebody who was merged means the one who is kept."""
    found = Meant()
    holders = _holders(names, by)
    everyone = sorted({number for numbers in holders.values() for number in numbers})
    scope = row_scope(face_named("customer"), by, VERB)
    archived = dict(
        db.session.execute(
            select(Party.id, Party.archived_at.is_not(None)).where(among(Party.id, everyone), *scope)
        ).all()
    )
    taken: set[int] = set()
    for name in dict.fromkeys(names):
        reached = [number for number in sorted(holders.get(name, ())) if number in archived]
        # Somebody who was put away doesn't make a name doubtful.
        alive = [number for number in reached if not archived[number]]
        if not reached:
            found.missing.append(name)
        elif not alive:
            found.archived.append(name)
        elif len(alive) > 1:
            found.ambiguous.append(name)
        elif alive[0] not in taken:
            taken.add(alive[0])
            found.ids.append(alive[0])
    told = len(found.ids) + len(found.missing) + len(found.ambiguous) + len(found.archived)
    found.repeated = len(names) - told
    inside = select(SegmentMembership.party_id).where(
        SegmentMembership.segment_id == segment.id, SegmentMembership.left_at.is_(None), among(SegmentMembership.party_id, found.ids))  # fmt: skip
    found.already = set(db.session.scalars(inside))
    return found


def put(found: Meant, segment: Segment, by: User) -> dict[int, str]:
    """Put them into the segment. Answers the refused ones with their reasons. Raises Refused for the segment. Flushes."""
    free = [number for number in found.ids if number not in found.already]
    reached = select(Party.id).where(among(Party.id, free), *row_scope(face_named("customer"), by, VERB))
    locked = list(db.session.scalars(reached.order_by(Party.id).with_for_update(of=Party)))
    return put_in(locked, by=by, segment=segment.id, until=None, source=MemberSource.IMPORT)


def _holders(names: Sequence[str], by: User) -> dict[str, set[int]]:
    """Name → the numbers of those who have it; of those who were merged, of the ones who stand for them."""
    face = face_named("customer")
    may = accesses(by, face)
    emails: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if "@" in name:
            try:
                emails[face.field("email").parse(name)].append(name)
            except ValueError:
                continue
    codes: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if _CODE.fullmatch(name):
            codes[name.upper()].append(name)
    numbers = {int(name): [name] for name in names if _NUMBER.fullmatch(name)}
    kept = func.survivor_of(Party.id)
    asked: list[tuple[Any, Any, dict[Any, list[str]]]] = [
        (Party.code, _one_of(Party.code, codes), codes),
        (Party.id, among(Party.id, numbers), numbers),
    ]
    if may["account_number"].shows:
        own = {name: [name] for name in names}
        asked.append((Party.account_number, _one_of(Party.account_number, own), own))
    if may["email"].shows:
        asked.append((Party.email, _one_of(Party.email, emails), emails))
    holders: dict[str, set[int]] = defaultdict(set)
    for column, condition, given in asked:
        if given:
            for value, number in db.session.execute(select(column, kept).where(condition)):
                for name in given[value]:
                    holders[name].add(number)
    return holders


def _one_of(column: Any, values: Iterable[str]) -> Any:
    return column == func.any(bindparam(None, list(values), ARRAY(Text)))
