"""What may happen to a note: it is pinned above the rest, or no longer."""

from __future__ import annotations

import datetime as dt

from crm.core.command import Refused, command
from crm.models.access import User
from crm.models.party_notes import Note


def _refuse_archived(note: Note) -> None:
    if note.party.archived_at is not None:
        raise Refused("the party is archived: restore it first")


@command(Note, "Pin", icon="bookmark", applies=lambda note: note.pinned_at is None)
def pin(note: Note, *, by: User) -> None:
    """Keep it above the other notes; several may be."""
    _refuse_archived(note)
    if note.pinned_at is not None:
        raise Refused("it is pinned already")
    note.pinned_at = dt.datetime.now(dt.UTC)


@command(Note, "Unpin", icon="bookmark", applies=lambda note: note.pinned_at is not None)
def unpin(note: Note, *, by: User) -> None:
    """Let it go back among the others."""
    _refuse_archived(note)
    if note.pinned_at is None:
        raise Refused("it isn't pinned")
    note.pinned_at = None
