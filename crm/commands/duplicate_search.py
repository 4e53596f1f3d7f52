"""Looks for duplicates: among what has changed, at once; among all parties, by a job that also learns what tells them
apart. Both bring keys and queue up to date; what a person has decided stays as it is."""

from __future__ import annotations

import datetime as dt
import resource
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Integer, Text, TextClause, any_, bindparam, cast, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert

from crm.core.command import Refused, among
from crm.core.entity import db
from crm.core.jobs import Job, Step, ask_once
from crm.duplicates.finding import Likely, find, learned
from crm.duplicates.keys import crowded, keys_of, pairs_of
from crm.duplicates.records import Records
from crm.models.duplicate_search import SETTLER, DuplicateKeys, DuplicateNote, DuplicateWeights
from crm.queries.duplicates import changes, every_row, model, rows_of, score_of, sharing

TASK = "jobs.duplicates.find"
LOCK = 7_240_731
AT_ONCE = 1_000  # notes that are looked at in one go
FOR_A_JOB = 5_000  # from so many notes on all parties are looked at
AT_NIGHT = 1  # the hour, UTC
WRITTEN = 5_000  # candidates of one transaction


def _arrays(statement: str, **types: Any) -> TextClause:
    return text(statement).bindparams(*(bindparam(name, type_=ARRAY(type_)) for name, type_ in types.items()))


_KEEP_KEYS = _arrays(
    """
INSERT INTO duplicate_keys (id, keys) SELECT id, keys::int[] FROM unnest(:ids, :keys) AS k (id, keys)
ON CONFLICT (id) DO UPDATE SET keys = excluded.keys WHERE duplicate_keys.keys <> excluded.keys""",
    ids=BigInteger,
    keys=Text,
)
_KEEP_FOUND = _arrays(
    """
INSERT INTO duplicate_candidate (first_party_id, second_party_id, score, reasons)
SELECT least(one, other), greatest(one, other), score, reasons FROM unnest(:ones, :others, :scores, :reasons)
    AS f (one, other, score, reasons) ORDER BY 1, 2
ON CONFLICT (first_party_id, second_party_id) DO UPDATE SET score = excluded.score, reasons = excluded.reasons
 WHERE duplicate_candidate.state IN ('open', 'later') AND duplicate_candidate.score < 100
   AND (duplicate_candidate.score, duplicate_candidate.reasons) IS DISTINCT FROM (excluded.score, excluded.reasons)
RETURNING CAST(duplicate_candidate.created_at = now() AS int)""",
    ones=BigInteger,
    others=BigInteger,
    scores=Integer,
    reasons=Text,
)
# What nobody has touched goes when it isn't likely any more. A hundred is what somebody says.
_DROP_UNLIKELY = """
DELETE FROM duplicate_candidate c WHERE c.state = 'open' AND c.score < 100 {of_these}
   AND (c.first_party_id, c.second_party_id) NOT IN
       (SELECT least(one, other), greatest(one, other) FROM unnest(:ones, :others) AS f (one, other)) RETURNING 1"""
_DROP_OF_ALL = _arrays(_DROP_UNLIKELY.format(of_these=""), ones=BigInteger, others=BigInteger)
_DROP_OF_THESE = _arrays(_DROP_UNLIKELY.format(of_these="AND (c.first_party_id = ANY (:ids) OR c.second_party_id = ANY (:ids))"),
                         ones=BigInteger, others=BigInteger, ids=BigInteger)  # fmt: skip


def search_when_due() -> int:
    """Ask for the search of all parties once a night; answers whether it was asked for."""
    now = dt.datetime.now(dt.UTC)
    last = db.session.scalar(select(DuplicateWeights.learned_at))
    if now.hour != AT_NIGHT or (last is not None and now - last < dt.timedelta(hours=20)):
        return 0
    return int(ask_to_find(None) is not None)


def search_changed() -> int:
    """Look at the parties that were noted longest ago; answers how many notes that settled. One looks at a time.

    Where too much has changed, such as after an import, a job looks at all that has.
    """
    if changes(FOR_A_JOB) == FOR_A_JOB:
        return int(ask_to_find(None, anew=False) is not None)
    if not db.session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        return 0
    oldest = select(DuplicateNote.id).order_by(DuplicateNote.id).limit(AT_ONCE)
    noted = list(
        db.session.scalars(delete(DuplicateNote).where(DuplicateNote.id.in_(oldest)).returning(DuplicateNote.party_id))
    )
    if not noted:
        return 0
    ids = sorted(set(noted))
    changed = Records.read(rows_of(ids))
    keys = keys_of(changed)
    _write_keys(changed, keys, ids)
    known = model()
    pairs = {tuple(sorted((int(changed.ids[place]), party))) for place, party in sharing(keys, known.crowded, there=True)
             if int(changed.ids[place]) != party}  # fmt: skip
    both = Records.read(rows_of({party for pair in pairs for party in pair}))
    there = [pair for pair in sorted(pairs) if set(pair) <= set(both.ids.tolist())]
    places = np.searchsorted(both.ids, np.array(there, np.int64).reshape(-1, 2))
    found = find(both, known, places)
    _keep(found, 0, len(found))
    db.session.execute(_DROP_OF_THESE, _ids_of(found) | {"ids": ids})
    return len(noted)


def ask_to_find(by: int | None, *, anew: bool = True) -> Job | None:
    """Ask for a search of all parties, or only of what has changed since the last one by what that has learned; None when
    one is under way."""
    label = "Look for duplicates" if anew else "Look for duplicates of what has changed"
    try:
        return ask_once(TASK, label=label, args={"anew": anew}, by=by, busy="it is under way")
    except Refused:
        return None


def find_all(*, anew: bool = True) -> Iterator[Step]:
    """Look at all parties; or, unless `anew`, at the pairs of those that were noted, judged by what was learned before. Each
    step is a transaction; done again from the beginning after an interruption, with the same outcome."""
    began = time.perf_counter()
    told: dict[str, float] = {}

    def lap(name: str) -> None:
        told[name] = round(time.perf_counter() - began - sum(told.values()), 1)

    yield Step(done=0, total=100, message="Reading")
    db.session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    # They go when all is done: who was noted isn't forgotten by an interruption.
    notes = {row.id: row.party_id for row in db.session.execute(select(DuplicateNote.id, DuplicateNote.party_id))}
    noted = set(notes.values())
    judge = None if anew or not model().common else model()
    records = Records.read(every_row())
    keys = keys_of(records)
    lap("reading")
    kept = set(db.session.scalars(select(DuplicateKeys.id)))
    known = set(records.ids.tolist())
    wanted = np.array([number in noted or number not in kept for number in records.ids.tolist()], bool)
    looked_at = sorted(noted | (kept ^ known))
    _write_keys(records.among(np.flatnonzero(wanted)), keys[wanted], sorted(set(looked_at) - known))
    lap("keys")
    yield Step(done=30, total=100, message="Comparing")
    pairs, common = pairs_of(keys), crowded(keys)
    del keys
    lap("pairs")
    if judge is None:
        weights = learned(records, pairs)
        weights.crowded = common
        lap("learning")
    else:
        weights, pairs = judge, pairs[wanted[pairs].any(axis=1)]
    found = find(records, weights, pairs)
    lap("comparing")
    yield Step(done=70, total=100, message="Writing")
    new = 0
    for first in range(0, len(found), WRITTEN):
        new += _keep(found, first, first + WRITTEN)
        yield Step(done=70 + int(29 * first / max(1, len(found))), total=100, message="Writing")
    if judge is None:
        gone = len(db.session.execute(_DROP_OF_ALL, _ids_of(found)).all())
        kept_row = {"weights": weights.as_data(), "learned_at": func.clock_timestamp()}
        keep = insert(DuplicateWeights).values(id=1, **kept_row)
        db.session.execute(keep.on_conflict_do_update(index_elements=["id"], set_=kept_row))
    else:
        gone = len(db.session.execute(_DROP_OF_THESE, _ids_of(found) | {"ids": looked_at}).all())
    db.session.execute(delete(DuplicateNote).where(among(DuplicateNote.id, notes)))
    lap("writing")
    yield Step(done=100, total=100, result={
        "parties": len(records), "compared": len(pairs), "likely": len(found), "new": new, "gone": gone, "seconds": told,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024})  # fmt: skip


def _keep(found: Likely, first: int, last: int) -> int:
    """Put these of what was found into the queue; answers how many are new there."""
    places = range(first, min(len(found), last))
    scores = [score_of(chance) for chance in found.chances[first:last].tolist()]
    given = _ids_of(found, first, last) | {"scores": scores, "reasons": [found.reasons(place) for place in places]}
    return sum(db.session.scalars(_KEEP_FOUND, given))


def _ids_of(found: Likely, first: int = 0, last: int | None = None) -> dict[str, list[int]]:
    ids = found.records.ids[found.pairs[first:last]]
    return {"ones": ids[:, 0].tolist(), "others": ids[:, 1].tolist()}


def _write_keys(records: Records, keys: NDArray[np.int32], ids: Sequence[int]) -> None:
    """Keep the keys of these records; `ids` are all that were looked at: who isn't among the records has none any more."""
    # New keys are put into the index in order, all at once.
    db.session.execute(text("SET LOCAL gin_pending_list_limit = '1GB'"))
    db.session.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
    for first in range(0, len(records), WRITTEN):
        part = slice(first, first + WRITTEN)
        texts = ["{" + ",".join(map(str, sorted({key for key in row if key}))) + "}" for row in keys[part].tolist()]
        db.session.execute(_KEEP_KEYS, {"ids": records.ids[part].tolist(), "keys": texts})
    db.session.execute(text(f"SELECT {SETTLER}"))
    gone = sorted(set(ids) - set(records.ids.tolist()))
    if gone:
        db.session.execute(delete(DuplicateKeys).where(DuplicateKeys.id == any_(cast(gone, ARRAY(BigInteger)))))
