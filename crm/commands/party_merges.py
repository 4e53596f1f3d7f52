"""Two parties become one: all that names the one moves to the other, nothing is deleted, and the way back is kept."""

# ruff: noqa: S608 - all SQL is made of declarations
from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import TextClause, select, text
from sqlalchemy.exc import IntegrityError

from crm.commands import party_merge_accounts as accounts
from crm.core import figures
from crm.core.audit import acting
from crm.core.command import Refused, lock_in_order
from crm.core.entity import Base, db
from crm.core.jobs import Job
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_duplicates import DuplicateCandidate
from crm.models.party_merges import Merge, MergeState
from crm.queries.party_merges import merged_among, moves, newest
from crm.queries.party_survivorship import UNION, UNIQUE, chosen_fields, columns_of, is_union, needs_second, proposals

MOST = 10

# Rows of which values change, and not only whom they name: what they were is kept, and put back when it is undone.
_WATCHED = {
    "party": "id IN (:kept, :merged)", "check_in": "party_id IN (:kept, :merged)",
    "contact": "party_id = :merged AND is_primary", "address": "party_id = :merged AND is_default",
    "loyalty_account": "party_id = :merged AND state <> 'ended'", "credit_account": "party_id = :merged AND state = 'open'",
    "duplicate_candidate": "first_party_id IN (:kept, :merged) OR second_party_id IN (:kept, :merged)",
}  # fmt: skip
_NAMES_PARTY = {"party_id"}  # told by what moved
_SAID = text("""
WITH said AS (
  SELECT DISTINCT ON (w.party, w.purpose, w.channel) w.party, w.purpose, w.channel, c.id, c.state, c.decided_at
    FROM (SELECT DISTINCT p.party, c.purpose, c.channel FROM consent c CROSS JOIN (VALUES (CAST(:kept AS bigint)), (CAST(:merged AS bigint))) p (party)
           WHERE c.party_id IN (:kept, :merged) AND c.contact_id IS NULL) w
    JOIN consent c ON c.party_id = w.party AND c.contact_id IS NULL AND c.purpose = w.purpose
                  AND (c.channel IS NULL OR c.channel = w.channel)
   ORDER BY w.party, w.purpose, w.channel, c.decided_at DESC, c.id DESC
), stricter AS (
  SELECT n.id, n.channel, y.decided_at FROM said n JOIN said y ON y.purpose = n.purpose AND y.channel IS NOT DISTINCT FROM n.channel
     AND y.party <> n.party AND y.state = 'given'
   WHERE n.state = 'withdrawn' AND (y.decided_at, y.id) > (n.decided_at, n.id)
)
INSERT INTO consent (party_id, purpose, channel, state, legal_basis, decided_at, source, evidence, recorded_by_id)
SELECT :kept, c.purpose, s.channel, 'withdrawn', c.legal_basis, greatest(now(), s.decided_at), c.source,
       'One of two records that were merged had said no: ' || c.evidence, CAST(:by AS bigint)
  FROM stricter s JOIN consent c ON c.id = s.id ORDER BY c.id RETURNING id""")


def merge_parties(kept: int, merged: Sequence[int], *, by: User | None, chosen: Mapping[str, int] | None = None,
                  reason: str | None = None, candidate: int | None = None) -> list[Merge]:  # fmt: skip
    """Merge these parties into the first one, in this transaction. `chosen` overrules the proposals: field → the number of
    the record whose value is kept, or UNION.

    Where something speaks against it they are only proposed, for another person to confirm. Raises Refused.
    """
    parties = _locked([kept, *merged])
    if len(parties) < 2 or len(parties) > MOST:
        raise Refused(f"give 2 to {MOST} different records")
    picks = proposals(parties) | dict(chosen or {})
    wrong = [name for name, number in picks.items() if name not in chosen_fields() or (
        number not in {party.id for party in parties} and not (number == UNION and is_union(name)))]  # fmt: skip
    if wrong:
        raise Refused(f"“{wrong[0]}” can't be chosen so: name a field, and a record that is part of this")
    doubts = {party.id: needs_second(parties[0], party) for party in parties[1:]}
    made = [_begun(parties[0], party, by, reason, candidate) for party in parties[1:]]
    for one in made:
        one.needs_second = "; ".join(doubts[one.merged_party_id]) or None
        one.snapshot = {"chosen": picks}
    if any(doubts.values()):
        for one in made:
            one.proposed_by_id = by.id if by else None
    else:
        for one in made:
            _carry_out(one, picks, by)
    figures.settle()
    return made


def carry_out(made: Merge, *, by: User) -> None:
    """Do a merge that another person proposed. Raises Refused."""
    if made.state is not MergeState.PROPOSED:
        raise Refused(f"it is {made.state.label.lower()} already")
    if made.proposed_by_id == by.id:
        raise Refused("you proposed it yourself: another person must look")
    _locked([made.kept_party_id, made.merged_party_id])
    db.session.refresh(made)
    if made.state is not MergeState.PROPOSED:
        raise Refused(f"it is {made.state.label.lower()} already")
    _carry_out(made, made.snapshot.get("chosen", {}), by)
    figures.settle()


def _locked(ids: Sequence[int]) -> list[Party]:
    """The parties in the order given, locked in that of their numbers: whoever enters something for them waits, and then
    finds where it belongs."""
    wanted = list(dict.fromkeys(ids))
    found = {party.id: party for party in lock_in_order(Party, wanted, alone=True)}
    if missing := [number for number in wanted if number not in found]:
        raise Refused(f"there is no record {missing[0]}")
    for number, survivor in merged_among(wanted).items():
        raise Refused(f"{found[number].code} was merged into {db.session.get_one(Party, survivor).code} already")
    if found[wanted[0]].archived_at is not None:
        raise Refused(f"{found[wanted[0]].code} is archived: restore it first, or keep the other")
    return [found[number] for number in wanted]


def _begun(kept: Party, merged: Party, by: User | None, reason: str | None, candidate: int | None) -> Merge:
    if candidate is None:
        pair = sorted((kept.id, merged.id))
        candidate = db.session.scalar(select(DuplicateCandidate.id).where(
            DuplicateCandidate.first_party_id == pair[0], DuplicateCandidate.second_party_id == pair[1]))  # fmt: skip
    via = acting().via
    job = int(via.removeprefix("job ")) if via.startswith("job ") else None
    made = Merge(kept_party_id=kept.id, merged_party_id=merged.id, reason=reason, candidate_id=candidate,
                 job_id=job if job and db.session.get(Job, job) else None)  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def _carry_out(made: Merge, picks: Mapping[str, int], by: User | None) -> None:
    db.session.flush()
    who: dict[str, Any] = {"kept": made.kept_party_id, "merged": made.merged_party_id, "by": by.id if by else None}
    before = _images(who)
    found = moves(kept=made.kept_party_id, merged=made.merged_party_id)
    joined, holds = accounts.join(made, by=who["by"])
    consents = list(db.session.scalars(_SAID, who))
    for table, flag in (("contact", "is_primary"), ("address", "is_default")):
        db.session.execute(text(f"UPDATE {table} SET {flag} = false WHERE party_id = :merged AND {flag} AND EXISTS "
                                f"(SELECT FROM {table} o WHERE o.party_id = :kept AND o.{flag})"), who)  # fmt: skip
    stayed = {key: list(ids) for key, ids in found.staying.items()}
    moved: dict[str, list[int]] = {}
    for key, ids in found.moving.items():
        went = move(key, ids, taken_from=[who["merged"]], given_to=who["kept"])
        moved |= {key: went} if went else {}
        if left := sorted(set(ids).difference(went)):
            stayed[key] = sorted((*stayed.get(key, ()), *left))
    _take_values(who, picks)
    _lead_candidates_on(who)
    _put_away(made, who)
    db.session.expire_all()
    made.merged_by_id, made.merged_at = who["by"], dt.datetime.now(dt.UTC)
    made.moved = {key: len(ids) for key, ids in moved.items()}
    made.snapshot = {"moved": moved, "stayed": stayed, "upto": newest(), "changed": _differences(before), "joined": joined,
                     "holds": holds, "consents": consents}  # fmt: skip
    db.session.flush()


def move(key: str, ids: Sequence[int], *, taken_from: Sequence[int], given_to: int) -> list[int]:
    """Let these rows name another party, where they still name one of those; answers which did.

    A relation that would go round in a circle stays where it is.
    """
    table, _, column = key.partition(".")
    told = {"ids": list(ids), "from": list(taken_from), "to": given_to}
    statement = text(
        f'UPDATE "{table}" SET {column} = :to WHERE id = ANY (:ids) AND {column} = ANY (:from) RETURNING id'
    )
    if table != "relation":
        return sorted(db.session.scalars(statement, told))
    return _in_parts(statement, told, [list(ids)]) or _in_parts(statement, told, [[number] for number in ids])


def _in_parts(statement: TextClause, told: Mapping[str, Any], parts: Sequence[list[int]]) -> list[int]:
    """Each part as a whole or not at all: of several circles the database tells the first one only."""
    went: list[int] = []
    for some in parts:
        try:
            with db.session.begin_nested():
                went += db.session.scalars(statement, {**told, "ids": some})
        except IntegrityError:
            continue
    return sorted(went)


def _take_values(who: Mapping[str, Any], picks: Mapping[str, int]) -> None:
    """What the kept party takes over: each field as it was chosen, and of lists what either has."""
    taken = [
        column
        for name, number in picks.items()
        if number == who["merged"] and name not in UNIQUE
        for column in columns_of(name)
    ]
    if taken:
        _take_over(taken, who)
    unions = [*(chosen_fields()[name].attribute for name, number in picks.items() if number == UNION)]
    for name in unions:
        db.session.execute(text(
            f"UPDATE party k SET {name} = coalesce(k.{name}, '{{}}') || ARRAY(SELECT v FROM unnest(l.{name}) WITH ORDINALITY u(v, n) "
            f"WHERE v <> ALL (coalesce(k.{name}, '{{}}')) ORDER BY n) FROM party l "
            f"WHERE k.id = :kept AND l.id = :merged AND NOT l.{name} <@ coalesce(k.{name}, '{{}}')"), who)  # fmt: skip
    for name in UNIQUE:
        if picks.get(name) == who["merged"]:
            _swap(name, who)


def _swap(name: str, who: Mapping[str, Any]) -> None:
    ours, theirs = (
        db.session.scalar(text(f"SELECT {name} FROM party WHERE id = :id"), {"id": who[one]})
        for one in ("kept", "merged")
    )
    for one, value in (("merged", None), ("kept", theirs), ("merged", ours)):
        db.session.execute(text(f"UPDATE party SET {name} = :value WHERE id = :id"), {"value": value, "id": who[one]})


def _take_over(columns: Sequence[str], who: Mapping[str, Any]) -> None:
    """Twice, as the first time the database says by itself what a new address or number counts as."""
    ours, theirs = (", ".join(f"{party}.{name}" for name in columns) for party in "kl")
    statement = text(f"UPDATE party k SET ({', '.join(columns)}) = ROW ({theirs}) FROM party l "
                     f"WHERE k.id = :kept AND l.id = :merged AND ROW ({ours}) IS DISTINCT FROM ROW ({theirs})")  # fmt: skip
    for _ in range(2):
        db.session.execute(statement, who)


def _lead_candidates_on(who: Mapping[str, Any]) -> None:
    """What was possible between the two is decided; what the merged one may have in common with others is asked of the kept
    one, unless that is asked already."""
    db.session.execute(text("""
      UPDATE duplicate_candidate c SET state = 'merged', decided_at = coalesce(c.decided_at, now()), decided_by_id = coalesce(c.decided_by_id, CAST(:by AS bigint))
       WHERE (c.first_party_id IN (:kept, :merged) AND c.second_party_id IN (:kept, :merged))
          OR (:merged IN (c.first_party_id, c.second_party_id) AND EXISTS (
                SELECT FROM duplicate_candidate o WHERE :kept IN (o.first_party_id, o.second_party_id)
                   AND o.first_party_id + o.second_party_id - :kept = c.first_party_id + c.second_party_id - :merged))"""), who)  # fmt: skip
    db.session.execute(text("""
      UPDATE duplicate_candidate SET first_party_id = least(:kept, first_party_id + second_party_id - :merged),
             second_party_id = greatest(:kept, first_party_id + second_party_id - :merged)
       WHERE :merged IN (first_party_id, second_party_id) AND state <> 'merged'"""), who)  # fmt: skip


def _put_away(made: Merge, who: Mapping[str, Any]) -> None:
    db.session.execute(text(
        "UPDATE party SET archived_at = coalesce(archived_at, now()), status_at = clock_timestamp(), status_code = NULL, "
        "status_reason = :reason WHERE id = :merged"), {**who, "reason": f"Merged into {made.kept_party.code}"})  # fmt: skip


# Images

Image = dict[tuple[str, int], dict[str, Any]]


def _image_sql(conditions: Mapping[str, str]) -> str:
    return " UNION ALL ".join(
        f"SELECT '{table}', id, to_jsonb(t) FROM \"{table}\" t WHERE {condition}"
        for table, condition in conditions.items()
    )


def _images(who: Mapping[str, Any]) -> Image:
    return {
        (table, number): _written(table, row)
        for table, number, row in db.session.execute(text(_image_sql(_WATCHED)), who)
    }


def _written(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wrote, without what follows from it."""
    columns = Base.metadata.tables[table].columns
    return {one.name: row[one.name] for one in columns
            if not one.system and one.computed is None and one.name not in ("id", "created_at", "updated_at", *_NAMES_PARTY)}  # fmt: skip


def images_of(rows: Sequence[tuple[str, int]]) -> Image:
    """These rows as they are now."""
    tables: dict[str, list[int]] = {}
    for table, number in rows:
        tables.setdefault(table, []).append(number)
    if not tables:
        return {}
    asked = _image_sql({table: f"id = ANY (:{table})" for table in tables})
    return {(table, number): _written(table, row) for table, number, row in db.session.execute(text(asked), tables)}


def _differences(before: Image) -> list[list[Any]]:
    """[table, number, column, before, after] of every value that isn't what it was."""
    after = images_of(list(before))
    return [[*row, column, value, after[row][column]] for row, image in before.items()
            for column, value in image.items() if after[row][column] != value]  # fmt: skip
