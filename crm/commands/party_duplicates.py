"""What is decided about two records that may be the same: that they aren't, or not now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from crm.core.command import Refused, command
from crm.core.entity import db
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_duplicates import UNDECIDED, CandidateState, DuplicateCandidate


@command(DuplicateCandidate, "Not the same", icon="split", applies=lambda one: one.state in UNDECIDED)
def different(candidate: DuplicateCandidate, *, by: User) -> None:
    """They are two; they aren't proposed again."""
    if candidate.state not in UNDECIDED:
        raise Refused(f"it is decided: {candidate.state.label.lower()}")
    candidate.state, candidate.decided_at = CandidateState.DIFFERENT, dt.datetime.now(dt.UTC)
    candidate.decided_by_id = by.id


def remember_different(party: Party, others: Iterable[Party], *, by: User) -> None:
    """That a new party is none of these, though it looked like them: they aren't proposed."""
    now = dt.datetime.now(dt.UTC)
    for other in others:
        db.session.add(DuplicateCandidate(first_party_id=min(party.id, other.id), second_party_id=max(party.id, other.id),
                                          state=CandidateState.DIFFERENT, decided_at=now, decided_by_id=by.id))  # fmt: skip
    db.session.flush()


@command(DuplicateCandidate, "Later", icon="clock", applies=lambda one: one.state is CandidateState.OPEN)
def later(candidate: DuplicateCandidate, *, by: User) -> None:
    """Put it off; it stays in the list of those for later."""
    if candidate.state is not CandidateState.OPEN:
        raise Refused(f"it is {candidate.state.label.lower()} already")
    candidate.state = CandidateState.LATER


@command(DuplicateCandidate, "Decide again", icon="rotate-ccw",
         applies=lambda one: one.state in (CandidateState.LATER, CandidateState.DIFFERENT))  # fmt: skip
def reopen(candidate: DuplicateCandidate, *, by: User) -> None:
    """Put it back among those to decide."""
    if candidate.state not in (CandidateState.LATER, CandidateState.DIFFERENT):
        raise Refused(f"it is {candidate.state.label.lower()} already")
    candidate.state, candidate.decided_at, candidate.decided_by_id = CandidateState.OPEN, None, None
