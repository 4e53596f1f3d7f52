"""What duplicates are compared by, read from the database; who shares keys; and which records are likely to be the one
that somebody is about to enter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased
from sqlalchemy.types import BigInteger, Boolean, Integer, SmallInteger

from crm.core.command import among
from crm.core.entity import Face, db, face_named
from crm.core.permissions import Actor, accesses
from crm.duplicates.finding import Model, find
from crm.duplicates.keys import FAMILIES, MOST_STRONG, MOST_WEAK, RARE, STRONG, keys_of
from crm.duplicates.records import Records
from crm.models.duplicate_search import DuplicateNote, DuplicateWeights
from crm.models.parties import Party
from crm.models.party_duplicates import UNDECIDED, DuplicateCandidate
from crm.queries.scope import visible

WORTH_ASKING = 0.2  # from this chance on somebody who enters a record is asked
COMPARED = 25  # who share keys with a new record, the rarest keys first
MOST = 5  # likely ones that are shown before saving
# In the order of `crm.duplicates.records.GIVEN`. Where only the display name is known, its last word is the last name.
# The field of a party by which a person sees each of them.
_SEEN_AS = ("name", "name", "date_of_birth", "email", "email2", "phone", "phone2", "tax_id", "address", "address",
            "postal_code", "city", "country")  # fmt: skip
_ESCAPED = re.compile(r"\\(.)")
_ROWS = """
SELECT p.id, p.kind = 'organization',
       CASE WHEN p.kind <> 'organization' THEN coalesce(p.first_name,
            CASE WHEN p.last_name IS NULL THEN substring(p.name from '^(.*\\S)\\s+\\S+\\s*$') END) END,
       CASE WHEN p.kind = 'organization' THEN p.name ELSE coalesce(p.last_name,
            CASE WHEN p.first_name IS NULL THEN substring(p.name from '(\\S+)\\s*$') END) END,
       to_char(p.date_of_birth, 'YYYYMMDD'), p.email, p.email2, p.phone, p.phone2, p.tax_id_key,
       coalesce(a.street, a.address), a.house, a.postal_code, a.city, a.country
  FROM party p LEFT JOIN address a ON a.party_id = p.id AND a.is_default
 WHERE p.archived_at IS NULL"""
# A key that more than so many share is left out; who shares the rarest keys stands first.
_SHARING = text("""
SELECT place, id
  FROM (SELECT k.place, unnest(s.ids) AS id, k.strong OR s.number <= :rare AS enough, s.number
          FROM unnest(:places, :keys, :most, :strong) AS k (place, key, most, strong)
         CROSS JOIN LATERAL (SELECT array_agg(id) AS ids, count(*) + :more AS number FROM (
                   SELECT id FROM duplicate_keys WHERE keys @> ARRAY[k.key] LIMIT k.most + 1) f) s
         WHERE s.number <= k.most) f
 GROUP BY place, id HAVING bool_or(enough) OR count(*) > 1
 ORDER BY place, sum(1.0 / number) DESC, id
""").bindparams(bindparam("places", type_=ARRAY(Integer)), bindparam("keys", type_=ARRAY(Integer)),
                bindparam("most", type_=ARRAY(SmallInteger)), bindparam("strong", type_=ARRAY(Boolean)))  # fmt: skip
_GROUP = text("""
WITH RECURSIVE belongs (id) AS (
    VALUES (CAST(:one AS bigint)), (:other)
     UNION
    SELECT c.id FROM belongs b CROSS JOIN LATERAL (
           SELECT second_party_id AS id FROM duplicate_candidate WHERE first_party_id = b.id AND state IN ('open', 'later')
            UNION ALL
           SELECT first_party_id FROM duplicate_candidate WHERE second_party_id = b.id AND state IN ('open', 'later')) c
     WHERE NOT EXISTS (SELECT FROM duplicate_candidate d WHERE d.state = 'different' AND (
           (d.first_party_id = c.id AND d.second_party_id IN (:one, :other))
           OR (d.second_party_id = c.id AND d.first_party_id IN (:one, :other)))))
SELECT id FROM belongs LIMIT :most""")
_OF_THESE = text(f"{_ROWS} AND p.id = ANY (:ids)").bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


@dataclass(frozen=True)
class LikelyOne:
    """A record that may be the same as the one being entered: how likely, from 20 to 99, and why."""

    party: Party
    score: int
    reasons: str


def every_row() -> Iterator[Sequence[Any]]:
    """What every party that isn't archived is compared by, as COPY writes it, streamed: to have the driver read values
    takes three times as long."""
    driver: Any = db.session.connection().connection.driver_connection
    with driver.cursor().copy(f"COPY ({_ROWS} ORDER BY p.id) TO STDOUT (NULL '')") as copy:
        rest = b""
        for block in copy:
            lines = (rest + bytes(block)).split(b"\n")
            rest = lines.pop()
            for line in lines:
                told = line.decode()
                yield [_ESCAPED.sub(_meant, one) for one in told.split("\t")] if "\\" in told else told.split("\t")


def _meant(escaped: re.Match[str]) -> str:
    return {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}.get(escaped[1], escaped[1])


def rows_of(ids: Iterable[int]) -> list[tuple[Any, ...]]:
    """The same of these; archived ones and those that are gone are left out."""
    return sorted(tuple(row) for row in db.session.execute(_OF_THESE, {"ids": list(ids)}))


_known: dict[str, tuple[Any, Model]] = {}


def model() -> Model:
    """What the last search has learned; before the first one what is to be expected anywhere. Kept while it lasts."""
    learned_at = _plain("SELECT learned_at FROM duplicate_weights")
    known = _known.get("model")
    if known is None or known[0] != learned_at:
        row = db.session.scalars(select(DuplicateWeights)).one_or_none()
        known = _known["model"] = (learned_at, Model() if row is None else Model.of_data(row.weights))
    return known[1]


def _plain(statement: str) -> Any:
    """The first value that it answers, asked without what makes a statement of one; for what is asked at each entry."""
    driver: Any = db.session.connection().connection.driver_connection
    row = driver.execute(statement).fetchone()
    return row and row[0]


def sharing(keys: NDArray[np.int32], crowded: frozenset[int], *, there: bool) -> list[tuple[int, int]]:
    """(place in `keys`, id of a party) of all that share one strong key or two weak ones, or a weak one that few have; of
    each place those first who share what is rarest.

    `there` says whether the records of the keys are in the database themselves: a key that too many share says nothing,
    and those in `crowded` aren't even asked for.
    """
    asked: dict[tuple[int, int], bool] = {}
    for family, name in enumerate(FAMILIES):
        for place in np.flatnonzero(keys[:, family]).tolist():
            key = int(keys[place, family])
            if key not in crowded:
                asked.setdefault((place, key), name in STRONG)
    rows = db.session.execute(_SHARING, {
        "places": [place for place, _ in asked], "keys": [key for _, key in asked], "strong": list(asked.values()),
        "most": [MOST_STRONG if strong else MOST_WEAK for strong in asked.values()], "rare": RARE, "more": int(not there)})  # fmt: skip
    return [(place, party) for place, party in rows]


def changes(most: int) -> int:
    """How many notes there are, counted up to so many."""
    return db.session.scalar(select(func.count()).select_from(select(DuplicateNote.id).limit(most).subquery())) or 0


def undecided() -> Iterator[tuple[str, str, int, str]]:
    """The queue as (code, code, score, why), the likeliest first, streamed."""
    one, other = aliased(Party), aliased(Party)
    statement = (
        select(one.code, other.code, DuplicateCandidate.score, func.coalesce(DuplicateCandidate.reasons, ""))
        .join(one, DuplicateCandidate.first_party_id == one.id)
        .join(other, DuplicateCandidate.second_party_id == other.id)
        .where(DuplicateCandidate.state.in_(UNDECIDED))
        .order_by(DuplicateCandidate.score.desc(), DuplicateCandidate.id)
    )
    for row in db.session.execute(statement.execution_options(yield_per=1_000)):
        yield row[0], row[1], row[2], row[3]


def likely_duplicates(face: Face, values: Mapping[str, Any], actor: Actor) -> list[LikelyOne]:
    """The records that a new one with these values (by public name) is likely to be, the likeliest first.

    Only of a party, only those that the actor may reach, and only by fields that he sees: the answer must not tell what a look would not.
    """
    if face.entity is not Party:
        return []
    may = accesses(actor, face)
    seen = {
        name: value for name, value in values.items() if value not in (None, "") and name in may and may[name].shows
    }
    row = _row_of(seen)
    if not any(row[2:]):
        return []
    known = model()
    ids = [party for _, party in sharing(keys_of(Records.read([row])), known.crowded, there=False)]
    others = rows_of(ids[:COMPARED]) if ids else []
    if not others:
        return []
    both = Records.read([row, *others])
    pairs = np.stack([np.zeros(len(others), np.int64), np.arange(1, len(others) + 1)], axis=1)
    found = find(both, known.at_entry(), pairs, least=WORTH_ASKING)
    numbers = both.ids[found.pairs[:, 1]].tolist()
    reached = visible(face_named("party"), actor).where(among(Party.id, numbers))
    parties = {party.id: party for party in db.session.scalars(reached)} if numbers else {}
    shown = [(place, number) for place, number in enumerate(numbers) if number in parties][:MOST]
    return [LikelyOne(parties[number], score_of(found.chances[place]), found.reasons(place))
            for place, number in shown]  # fmt: skip


@dataclass(frozen=True)
class LikeOne:
    """That a new record (by its id) looks like one that is there (by its code)."""

    new: int
    code: str
    score: int
    reasons: str


def like_known_ones(connection: Connection, ids: Sequence[int], face: Face, actor: Actor | None) -> list[LikeOne]:
    """For each of these new records that looks like one which was there before them the likeliest one, the new ones seen
    through the connection that made them. Without an actor, as at the command line, all is seen; an actor is told only of
    records that he may reach, and by fields that he sees."""
    may = None if actor is None else accesses(actor, face)
    hidden = [
        place for place, name in enumerate(_SEEN_AS, 2) if may is not None and not (name in may and may[name].shows)
    ]
    rows = [[None if place in hidden else value for place, value in enumerate(row)]
            for row in sorted(tuple(row) for row in connection.execute(_OF_THESE, {"ids": list(ids)}))]  # fmt: skip
    known = model()
    shared = sharing(keys_of(Records.read(rows)), known.crowded, there=False)
    sharers = {party for _, party in shared} - set(ids)
    seen = select(Party.id) if actor is None else visible(face_named("party"), actor).with_only_columns(Party.id)
    reached = set(db.session.scalars(seen.where(among(Party.id, sharers))))
    others = {row[0]: (place, row) for place, row in enumerate(rows_of(reached), len(rows))}
    times: Counter[int] = Counter()
    pairs = []
    for place, party in shared:
        if party in others and times[place] < COMPARED:
            times[place] += 1
            pairs.append((place, others[party][0]))
    both = Records.read([*rows, *(row for _, row in others.values())])
    found = find(both, known.at_entry(), np.array(pairs, np.int64).reshape(-1, 2))
    best: dict[int, int] = {}
    for at, (place, _) in enumerate(found.pairs.tolist()):
        best.setdefault(place, at)
    numbers = {at: int(both.ids[found.pairs[at, 1]]) for at in best.values()}
    named = select(Party).where(Party.id.in_(numbers.values()))
    codes = {party.id: party.code for party in db.session.scalars(named)}
    return [LikeOne(int(both.ids[place]), codes[numbers[at]], score_of(found.chances[at]), found.reasons(at))
            for place, at in sorted(best.items())]  # fmt: skip


def group_of(candidate: DuplicateCandidate, most: int) -> list[int]:
    """The parties that undecided pairs join with these two over any number of steps, the two first and then the nearest,
    at most so many; without who was said not to be one of the two."""
    return list(
        db.session.scalars(_GROUP, {"one": candidate.first_party_id, "other": candidate.second_party_id, "most": most})
    )


def score_of(chance: float) -> int:
    """A chance as the queue shows it: a hundred is kept for what somebody says."""
    return min(99, int(chance * 100))


def _row_of(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The row that `_ROWS` would give for a record of these values."""
    firm = str(values.get("kind") or "individual") == "organization"
    first, last, name = (str(values.get(part) or "").strip() for part in ("first_name", "last_name", "name"))
    if firm:
        first, last = "", name or str(values.get("company_name") or "")
    elif not first and not last:
        first, _, last = name.rpartition(" ")
    born = values.get("date_of_birth")
    tax = "".join(letter for letter in str(values.get("tax_id") or "") if letter.isalnum()).upper()
    texts = [first, last, f"{born:%Y%m%d}" if born else "",
             *(str(values.get(part) or "") for part in ("email", "email2", "phone", "phone2")), tax,
             str(values.get("street") or values.get("address") or ""),
             *(str(values.get(part) or "") for part in ("house", "postal_code", "city", "country"))]  # fmt: skip
    return (0, firm, *(part or None for part in texts))
