"""Saved views of lists: whose a person finds."""

from __future__ import annotations

from sqlalchemy import or_, select

from crm.core.entity import Face, db
from crm.core.permissions import Actor
from crm.models.access import SavedView, Team
from crm.queries.scope import teams_of


def views_of(face: Face, actor: Actor) -> list[SavedView]:
    """What somebody finds above a list: one's own first, then what teams and others share."""
    shared = or_(SavedView.owner_id == actor.id, SavedView.everybody, SavedView.team_id.in_(teams_of(actor.id)))
    found = select(SavedView).where(SavedView.face == face.name, shared)
    return list(db.session.scalars(found.order_by(SavedView.owner_id != actor.id, SavedView.name, SavedView.id)))


def teams_to_share_with(actor: Actor) -> list[Team]:
    """The teams a person leads or is in."""
    return list(db.session.scalars(select(Team).where(Team.id.in_(teams_of(actor.id))).order_by(Team.name)))
