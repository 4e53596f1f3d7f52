"""Keeping a list as it is under a name; shared with a team by its members, with everybody by who may change every view."""

from __future__ import annotations

from sqlalchemy import select

from crm.commands import records
from crm.core.command import WrongInput
from crm.core.entity import Face, db, face_named
from crm.core.permissions import Actor, Scope, allowed
from crm.models.access import SavedView
from crm.queries.listing import ListQuery
from crm.queries.saved_views import teams_to_share_with

EVERYBODY = "everybody"


def save_view(face: Face, query: ListQuery, *, name: str, shared_with: str, by: Actor) -> SavedView:
    """The person's view of this name, made or replaced. `shared_with` is empty, the number of a team, or `everybody`.

    Raises WrongInput for a name or a sharing that can't be.
    """
    views = face_named("saved_view")
    values = records.read_values(views, {"name": name}, by, new=True)
    if shared_with and shared_with not in sharing(by):
        raise WrongInput({"shared_with": "is for a team of yours, or for you alone"})
    values |= {"face": face.name, "query": query.address, "owner": by.id,
               "team": int(shared_with) if shared_with.isdigit() else None, "everybody": shared_with == EVERYBODY}  # fmt: skip
    mine = select(SavedView).where(
        SavedView.owner_id == by.id, SavedView.face == face.name, SavedView.name == values["name"]
    )
    known = db.session.scalars(mine).one_or_none()
    if known is None:
        made: SavedView = records.create(views, values, by)
        return made
    records.update(views, known, values, by)
    return known


def sharing(by: Actor) -> dict[str, str]:
    """With whom somebody may share a view: what is sent → what it says."""
    offered = {str(team.id): f"Team {team.name}" for team in teams_to_share_with(by)}
    return offered | ({EVERYBODY: "Everybody"} if allowed(by, "saved_view.edit") is Scope.ALL else {})
