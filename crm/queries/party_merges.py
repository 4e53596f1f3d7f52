"""Which party stands for which, and what a merge would move, leave and change."""

# ruff: noqa: S608 - all SQL is made of declarations
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import TextClause, select, text

from crm.core.command import among
from crm.core.entity import Face, db
from crm.models.parties import Party
from crm.models.party_merges import (
    ANY_RECORD,
    Collision,
    Merge,
    MergeState,
    Reference,
    references,
    uniques,
)
from crm.queries.scope import by_id_or_code

_BELOW = text("""
WITH RECURSIVE below AS (
  SELECT m.merged_party_id AS id FROM merge m WHERE m.kept_party_id = :id AND m.state = 'made'
  UNION SELECT m.merged_party_id FROM below b JOIN merge m ON m.kept_party_id = b.id AND m.state = 'made'
) SELECT id FROM below ORDER BY id""")


def survivor_of(party_id: int) -> int:
    """The number of the party that stands for this one: its own, unless it was merged."""
    found: int = db.session.scalar(text("SELECT survivor_of(:id)"), {"id": party_id})
    return found


def stands_for(face: Face, given: str) -> int | None:
    """The number of the party that stands for the merged one of this number or code; None where that wasn't merged."""
    condition = by_id_or_code(face, given)
    if condition is None:
        return None
    rows = db.session.execute(
        select(Party.id, text("survivor_of(party.id)")).where(condition, Party.archived_at.is_not(None))
    )
    return next((row[1] for row in rows if row[1] != row[0]), None)


def chain_of(party_id: int) -> list[int]:
    """The party, and those it was merged into one after the other."""
    found, following = [], party_id
    while following not in found:
        found.append(following)
        made = merge_of(following)
        following = made.kept_party_id if made is not None else following
    return found


def merge_of(party_id: int) -> Merge | None:
    """The merge by which a party is away, if it is."""
    return db.session.scalars(
        select(Merge).where(Merge.merged_party_id == party_id, Merge.state == MergeState.MADE)
    ).one_or_none()


def merged_into(party_id: int) -> list[int]:
    """The parties that this one stands for, directly or by way of others."""
    return list(db.session.scalars(_BELOW, {"id": party_id}))


def merged_among(ids: Iterable[int]) -> dict[int, int]:
    """Of these parties those that were merged, with the one that stands for each."""
    rows = db.session.execute(select(Merge.merged_party_id, text("survivor_of(merge.merged_party_id)")).where(
        among(Merge.merged_party_id, ids), Merge.state == MergeState.MADE))  # fmt: skip
    return {row[0]: row[1] for row in rows}


# What moves


@dataclass(frozen=True)
class Moves:
    """Column → the numbers of the rows that move, and of those that stay, as the other party has such a row already."""

    moving: dict[str, list[int]] = field(default_factory=dict)
    staying: dict[str, list[int]] = field(default_factory=dict)


def moves(*, kept: int, merged: int) -> Moves:
    """What names the merged party, in one question."""
    found = Moves()
    for key, moving, staying in db.session.execute(_named_by(), {"kept": kept, "merged": merged}):
        if moving:
            found.moving[key] = moving
        if staying:
            found.staying[key] = staying
    return found


@cache
def _named_by() -> TextClause:
    parts = [_rows(f"{one.table.name}.{one.column}", one.table.name, f"t.{one.column} = :merged", _stays(one))
             for one in references()]  # fmt: skip
    for table, (kind, number, moving) in ANY_RECORD.items():
        if moving:
            held = (f"EXISTS (SELECT FROM {table} o WHERE o.{kind} = 'party' AND o.{number} = :kept AND o.system = t.system)")  # fmt: skip
            parts.append(_rows(f"{table}.{number}", table, f"t.{kind} = 'party' AND t.{number} = :merged", held))
    return text(" UNION ALL ".join(parts).replace("::", r"\:\:"))


def _rows(key: str, table: str, condition: str, stays: str) -> str:
    return (f"(SELECT '{key}', array_agg(t.id ORDER BY t.id) FILTER (WHERE NOT ({stays})), "
            f'array_agg(t.id ORDER BY t.id) FILTER (WHERE {stays}) FROM "{table}" t WHERE {condition} HAVING count(*) > 0)')  # fmt: skip


def _stays(reference: Reference) -> str:
    """SQL over `t`: the row would name the kept party twice, or be there twice."""
    table, column = reference.table.name, reference.column
    wrong = [f"coalesce(t.{other} = :kept, false)" for other in reference.others]
    if table == "party":
        wrong.append("t.id IN (:kept, :merged)")
    for unique in uniques(reference.table, column):
        if unique.rule is not Collision.STAYS:
            continue
        keys = "".join(f", {key} AS k{number}" for number, key in enumerate(unique.keys))
        same = "IS NOT DISTINCT FROM" if unique.nulls_alike else "="
        alike = " AND ".join(f"n.k{number} {same} o.k{number}" for number in range(len(unique.keys))) or "true"
        ours, theirs = (f'(SELECT id{keys} FROM "{table}" WHERE {column} = :{whose} AND ({unique.where}))'
                        for whose in ("merged", "kept"))  # fmt: skip
        wrong.append(f"t.id IN (SELECT n.id FROM {ours} n JOIN {theirs} o ON {alike})")
    return " OR ".join(wrong) or "false"


@cache
def _newest() -> TextClause:
    tables = sorted({one.table.name for one in references()})
    return text(" UNION ALL ".join(f"SELECT '{table}', coalesce(max(id), 0) FROM \"{table}\"" for table in tables))


def newest() -> dict[str, int]:
    """Table → its highest number: what has a higher one later came since."""
    return {row[0]: row[1] for row in db.session.execute(_newest())}


def came_since(made: Merge, *, limit: int) -> dict[str, list[int]]:
    """Column → the numbers of what came to the kept party since, and by no other merge; the newest first."""
    holder = survivor_of(made.kept_party_id)
    upto = made.snapshot.get("upto", {})
    others: dict[str, set[int]] = {}
    for other in db.session.scalars(select(Merge).where(Merge.state == MergeState.MADE, Merge.id > made.id, Merge.kept_party_id.in_(
            chain_of(made.kept_party_id)))):  # fmt: skip
        for key, ids in other.snapshot.get("moved", {}).items():
            others.setdefault(key, set()).update(ids)
    found = {}
    for one in references():
        if one.table.name == "party" or one.table.name not in upto:
            continue
        rows = db.session.scalars(text(f'SELECT id FROM "{one.table.name}" WHERE {one.column} = :holder AND id > :upto ORDER BY id DESC LIMIT :limit'),
                                  {"holder": holder, "upto": upto[one.table.name], "limit": limit})  # fmt: skip
        if ids := [number for number in rows if number not in others.get(one.key, ())]:
            found[one.key] = ids
    return found
