"""Who belongs to whom: the trees in which a party stands, what else it is related to, and what is past."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased

from crm.core.entity import db, face_named
from crm.core.permissions import PICK, Actor
from crm.models.parties import Party
from crm.models.party_choices import HIERARCHIES, RelationKind
from crm.models.party_relations import Relation
from crm.queries.scope import visible

MOST = 300  # relations in one tree, and of one party


@dataclass
class Node:
    """A party in a tree, and the relation by which it stands below the one above; `again` where it was met before, with
    what is below it."""

    party_id: int
    relation: Relation | None = None
    again: bool = False
    below: list[Node] = field(default_factory=list)


@dataclass
class Relations:
    """Everything about one party; `seen` holds only the parties that the actor may see."""

    trees: dict[RelationKind, list[Node]]
    others: list[Relation]
    past: list[Relation]
    seen: dict[int, Party]


def relations_of(party: Party, actor: Actor) -> Relations:
    """The current trees of each hierarchy that the party is in, up to the top and down to the last."""
    mine = select(Relation).where(or_(Relation.from_party_id == party.id, Relation.to_party_id == party.id))
    direct = list(db.session.scalars(mine.order_by(Relation.kind, Relation.id).limit(MOST)))
    current = set(db.session.scalars(select(Relation.id).where(Relation.id.in_([one.id for one in direct]), _today())))
    kinds = {one.kind for one in direct if one.id in current}
    edges = {kind: _edges(party.id, kind) for kind in HIERARCHIES if kind in kinds}
    shown = [*direct, *(one for found in edges.values() for one in found)]
    wanted = {number for one in shown for number in (one.from_party_id, one.to_party_id)}
    seen = db.session.scalars(visible(face_named("party"), actor, PICK).where(Party.id.in_(wanted)))
    return Relations(
        trees={kind: _forest(found) for kind, found in edges.items()},
        others=[one for one in direct if one.id in current and one.kind not in HIERARCHIES],
        past=[one for one in direct if one.id not in current],
        seen={one.id: one for one in seen},
    )


def _today() -> ColumnElement[bool]:
    during = func.daterange(Relation.valid_from, Relation.valid_until, "[]")
    return during.bool_op("@>")(func.current_date())


def _edges(party_id: int, kind: RelationKind) -> list[Relation]:
    """What holds today above the party and below it."""
    holds = (Relation.kind == kind, _today())
    walks = []
    for near, far in (("to_party_id", "from_party_id"), ("from_party_id", "to_party_id")):
        start = select(Relation.id, getattr(Relation, far).label("next"))
        walk = start.where(getattr(Relation, near) == party_id, *holds).cte(recursive=True)
        step = start.join(walk, getattr(Relation, near) == walk.c.next).where(*holds)
        walks.append(select(walk.union(step).c.id))
    found = aliased(Relation)
    ids = walks[0].union(walks[1]).subquery()
    return list(db.session.scalars(select(found).where(found.id.in_(select(ids))).order_by(found.id).limit(MOST)))


def _forest(edges: list[Relation]) -> list[Node]:
    """A party below two others stands under each; what is below it is told once, or a few dozen could fill a book."""
    below: dict[int, list[Relation]] = {}
    for one in edges:
        below.setdefault(one.from_party_id, []).append(one)
    grown: set[int] = set()

    def grow(party_id: int, relation: Relation | None) -> Node:
        node = Node(party_id, relation, again=party_id in grown and party_id in below)
        grown.add(party_id)
        if not node.again:
            node.below = [grow(one.to_party_id, one) for one in below.get(party_id, [])]
        return node

    lower = {one.to_party_id for one in edges}
    return [grow(party_id, None) for party_id in below if party_id not in lower]
