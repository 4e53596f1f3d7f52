"""A merge undone: what moved goes back, what was changed is as before, and what came since is assigned by a person.

Any merge can be undone, in any order: what a later one took along is taken out of that one, so that undoing it afterwards
leaves nothing out and brings nothing back twice.
"""

# ruff: noqa: S608 - all SQL is made of declarations
from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import inspect, or_, select, text
from sqlalchemy.orm.attributes import flag_modified

from crm.commands import party_merge_accounts as accounts
from crm.commands.party_merges import images_of, move
from crm.core import figures
from crm.core.command import Refused, lock_in_order
from crm.core.entity import db
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_merges import Merge, MergeState
from crm.queries.party_merges import came_since, chain_of, moves
from crm.queries.party_survivorship import UNIQUE

MOST_ASSIGNED = 500


def unmerge(made: Merge, *, by: User | None, assign: Mapping[str, Sequence[int]] | None = None) -> None:
    """Bring the merged party back. `assign` names what came since and is to go with it: column → numbers. Raises Refused."""
    if made.state is not MergeState.MADE:
        raise Refused(f"it is {made.state.label.lower()}")
    chain = chain_of(made.kept_party_id)
    lock_in_order(Party, [*chain, made.merged_party_id], alone=True)
    _as_it_is(made)
    if made.state is not MergeState.MADE:
        raise Refused(f"it is {made.state.label.lower()}")
    if chain_of(made.kept_party_id) != chain:
        raise Refused("the record that was kept was merged just now: try again")
    wanted = _wanted(made, assign or {})
    later = list(db.session.scalars(select(Merge).where(
        Merge.state == MergeState.MADE, Merge.id != made.id, Merge.merged_at >= made.merged_at,
        or_(Merge.kept_party_id.in_(chain), Merge.merged_party_id.in_(chain)))
        .order_by(Merge.merged_at, Merge.id).execution_options(populate_existing=True)))  # fmt: skip
    # From here on what names the merged party stays with it.
    made.undone_at, made.undone_by_id = dt.datetime.now(dt.UTC), by.id if by else None
    db.session.flush()
    back = made.merged_party_id
    kept_back: dict[str, Any] = {}
    for key, ids in made.snapshot.get("moved", {}).items():
        _take_out(later, key, ids)
        went = move(key, ids, taken_from=chain, given_to=back)
        if len(went) < len(ids):
            kept_back.setdefault("elsewhere", {})[key] = len(ids) - len(went)
    lacking = accounts.part(made, [one for one in later if one.id != made.id], by=by.id if by else None)
    db.session.execute(text("DELETE FROM consent WHERE id = ANY (:ids)"), {"ids": made.snapshot.get("consents", [])})
    changed = _restore(made, later)
    for key, ids in wanted.items():
        possible = moves(kept=back, merged=chain[-1]).moving.get(key, [])
        went = move(key, [number for number in ids if number in possible], taken_from=[chain[-1]], given_to=back)
        kept_back |= {"assigned": {**kept_back.get("assigned", {}), key: len(went)}}
    if lacking:
        kept_back["accounts"] = lacking
    if changed:
        kept_back["changed_since"] = changed
    made.kept_back = kept_back or None
    db.session.flush()
    db.session.expire_all()
    figures.settle()


def _as_it_is(made: Merge) -> None:
    """Somebody may have undone it, or taken something out of it, while this waited."""
    db.session.refresh(made, attribute_names=[one.key for one in inspect(Merge).column_attrs])


def _wanted(made: Merge, assign: Mapping[str, Sequence[int]]) -> Mapping[str, Sequence[int]]:
    """What came since, and nothing else, can be assigned."""
    if not assign:
        return {}
    if sum(map(len, assign.values())) > MOST_ASSIGNED:
        raise Refused(f"choose at most {MOST_ASSIGNED} records at a time")
    came = came_since(made, limit=MOST_ASSIGNED)
    for key, ids in assign.items():
        if not set(ids) <= set(came.get(key, ())):
            raise Refused("what you chose isn't there any more: look again at what came since")
    return assign


def _take_out(later: Sequence[Merge], key: str, ids: Sequence[int]) -> None:
    """What goes home isn't for a later merge to give back."""
    gone = set(ids)
    for other in later:
        for part in ("moved", "stayed"):
            theirs = other.snapshot.get(part, {})
            if not gone.isdisjoint(theirs.get(key, ())):
                theirs[key] = [number for number in theirs[key] if number not in gone]
                flag_modified(other, "snapshot")


def _restore(made: Merge, later: Sequence[Merge]) -> list[str]:
    """Put values back that nobody changed since; answers what was, by table, number and column. Where a later merge changed
    them on, it puts them back to what they were before both."""
    changed = made.snapshot.get("changed", [])
    now = images_of(sorted({(table, number) for table, number, *_ in changed}))
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    kept = []
    for table, number, column, before, after in changed:
        present = now.get((table, number))
        if present is None:
            continue
        following = next((one for other in later for one in other.snapshot.get("changed", ())
                          if one[:3] == [table, number, column] and one[3] == after), None)  # fmt: skip
        if following is not None:
            following[3] = before
        elif present[column] == after:
            rows.setdefault((table, number), {})[column] = before
        elif present[column] != before:
            kept.append(f"{table} {number} {column}")
    for other in later:
        flag_modified(other, "snapshot")
    for name in UNIQUE:  # two that were swapped
        for (table, number), values in rows.items():
            if table == "party" and name in values:
                db.session.execute(text(f"UPDATE party SET {name} = NULL WHERE id = :id"), {"id": number})
    for (table, number), values in rows.items():
        _put(table, number, values)
    return kept


def _put(table: str, number: int, values: Mapping[str, Any]) -> None:
    """Twice, as the first time the database says by itself what a new address or number counts as."""
    names = ", ".join(f'"{name}"' for name in values)
    row = f'jsonb_populate_record(NULL::"{table}", CAST(:given AS jsonb))'.replace("::", r"\:\:")
    for _ in range(2):
        db.session.execute(text(f'UPDATE "{table}" SET ({names}) = (SELECT {names} FROM {row}) WHERE id = :id '
                                f"AND ROW ({names}) IS DISTINCT FROM (SELECT ROW ({names}) FROM {row})"),
                           {"given": json.dumps(values), "id": number})  # fmt: skip
