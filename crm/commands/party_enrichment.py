"""Values that outside sources propose for a party: asked for, taken with the rights of whoever takes them, or refused.

A source is a function of an installed package, named in its entry points under `customer_desk.enrichment`. It takes what
is known of a party (public name → text) and answers what it proposes (public name → text). None is asked unless
CRM_ENRICHMENT names it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from flask import current_app
from sqlalchemy.dialects.postgresql import insert

from crm.commands import records
from crm.core.command import Refused, WrongInput, command
from crm.core.entity import Face, db, face_named
from crm.core.fields import FieldClass, field_of
from crm.core.jobs import ask
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import FACE_ROLES
from crm.models.party_enrichment import EnrichmentProposal, ProposalState
from crm.queries.scope import find

GROUP = "customer_desk.enrichment"
TASK = "jobs.parties.enrich"
# What a source is told: enough to find an organisation by, nothing about a person's life.
TOLD = ("name", "company_name", "email", "phone", "website", "tax_id", "industry", "city", "country")
MOST = 50  # proposals of one source for one party

Source = Callable[[Mapping[str, str]], Mapping[str, str]]


def sources() -> tuple[str, ...]:
    """The names that CRM_ENRICHMENT switches on; none by default."""
    names: tuple[str, ...] = current_app.config["DESK_SETTINGS"].enrichment
    return names


def load_source(name: str) -> Source:
    """The function of that name. Raises Refused when no installed package has it."""
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise Refused(f"no installed package offers the source “{name}” under {GROUP}")
    source: Source = next(iter(found)).load()
    return source


def propose(party: Party, source: str, values: Mapping[str, str], *, confidence: int | None = None) -> int:
    """Keep what a source proposes, unless it stands there, was proposed before, or isn't a field that a person may set.

    Answers how many are new.
    """
    face = _face(party)
    settable = {field.name: field for field in face.form_fields if field.field_class is not FieldClass.SPECIAL}
    rows = []
    for name, raw in list(values.items())[:MOST]:
        try:
            value = settable[name].text(settable[name].parse(raw)) if name in settable else ""
        except ValueError:
            continue
        present = face.field(name).text(face.value(party, name)) if value else ""
        if value and value != present:
            rows.append({"party_id": party.id, "field": name, "value": value, "present": present or None, "source": source,
                         "confidence": confidence})  # fmt: skip
    if not rows:
        return 0
    made = insert(EnrichmentProposal).values(rows).on_conflict_do_nothing().returning(EnrichmentProposal.id)
    return len(list(db.session.scalars(made)))


def enrich_now(party: Party) -> int:
    """Ask every source that is switched on; answers how many values are new."""
    face = _face(party)
    known = {name: text for name in TOLD if (text := face.field(name).text(face.value(party, name)))}
    return sum(propose(party, name, load_source(name)(known)) for name in sources())


def _face(party: Party) -> Face:
    """The first face that the party shows."""
    return face_named(next(name for name, roles in FACE_ROLES.items() if set(roles).intersection(party.roles)))


@command(Party, "Look for more", icon="sparkles", applies=lambda party: party.archived_at is None and bool(sources()),
         confirm="What they propose waits until somebody takes it.")  # fmt: skip
def enrich(party: Party, *, by: User) -> None:
    """Ask the outside sources that are switched on what they know."""
    if not sources():
        raise Refused("no outside source is switched on (CRM_ENRICHMENT)")
    if party.archived_at is not None:
        raise Refused("it is archived: restore it first")
    ask(TASK, label=f"Look for more about {party.code}", args={"party": party.id}, by=by.id if by else None)


def _refuse_decided(proposal: EnrichmentProposal) -> None:
    if proposal.state is not ProposalState.OPEN:
        raise Refused(f"it is {proposal.state.label.lower()} already")


@command(EnrichmentProposal, "Take it", icon="check", tone="good", applies=lambda one: one.state is ProposalState.OPEN)
def accept(proposal: EnrichmentProposal, *, by: User) -> None:
    """Write the value into the customer's record, as you may change it yourself."""
    _refuse_decided(proposal)
    party = proposal.party
    faces = (face for face in party.faces if not face.through and find(face, by, str(party.id), "edit") is not None)
    face = next(faces, None)
    if face is None:
        raise Refused("you may not change this record")
    try:
        records.update(face, party, records.read_values(face, {proposal.field: proposal.value}, by, new=False), by)
    except WrongInput as fault:
        raise Refused(f"“{proposal.field}” {next(iter(fault.errors.values()))}") from None
    proposal.state, proposal.decided_at, proposal.decided_by_id = ProposalState.ACCEPTED, dt.datetime.now(dt.UTC), by.id


@command(EnrichmentProposal, "Refuse", icon="x", asks={"reason": field_of("text", field_class=FieldClass.PERSONAL)},
         applies=lambda one: one.state is ProposalState.OPEN)  # fmt: skip
def refuse(proposal: EnrichmentProposal, *, by: User, reason: str | None) -> None:
    """Leave the record as it is; the same value isn't proposed again."""
    _refuse_decided(proposal)
    proposal.state, proposal.decided_at, proposal.decided_by_id = ProposalState.REFUSED, dt.datetime.now(dt.UTC), by.id
    proposal.refusal_reason = reason
