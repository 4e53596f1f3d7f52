"""What people and programs ask for: merge these, confirm what another proposed, decline it, undo it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from crm.commands.parties import OPTIONAL_REASON, REASON
from crm.commands.party_merges import MOST, carry_out, merge_parties
from crm.commands.party_unmerges import unmerge
from crm.core.command import Refused, command
from crm.core.entity import db, face_named
from crm.core.fields import field_of
from crm.core.permissions import Access, Actor, access_of, allowed
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_duplicates import CandidateState, DuplicateCandidate
from crm.models.party_merges import Merge, MergeState, references
from crm.queries.party_merges import moves, stands_for, survivor_of
from crm.queries.party_survivorship import (
    UNION,
    accounts_told,
    chosen_fields,
    is_union,
    needs_second,
    oldest_first,
    parties_numbered,
    proposals,
)
from crm.queries.scope import find

_OTHERS = field_of(
    "tags", required=True, label="Others", help="Numbers or codes of the records that become part of this one"
)
_VALUES = field_of(
    "json", help="Field to the number or code of the record whose value is kept, or “all” for lists; else as proposed"
)
# What is changed by a command, whoever may write the field.
_NEEDED = {"owner": "reassign", "team": "reassign", "block_state": "unblock", "lifecycle": "activate"}
_DRY_RUN = field_of("boolean", label="Dry run", help="Only tell what would happen")


@command(Party, "Merge", icon="merge", asks={"others": _OTHERS, "values": _VALUES, "reason": OPTIONAL_REASON, "dry_run": _DRY_RUN},
         confirm="All that belongs to the others moves to this one. It can be undone.",
         applies=lambda party: party.archived_at is None)  # fmt: skip
def merge(party: Party, *, by: User, others: list[str], values: Mapping[str, Any] | None, reason: str | None,
          dry_run: bool | None) -> None:  # fmt: skip
    """Make one record of this one and others: everything they have moves here, and their numbers lead here."""
    rest = reached(others, by)
    made = merge_parties(
        party.id, [one.id for one in rest], by=by, reason=reason, chosen=chosen_by(by, values, [party, *rest])
    )
    if waiting := [one.needs_second for one in made if one.needs_second]:
        raise Refused(
            f"{waiting[0]}: propose it on the page where they are compared, and let a second person confirm it"
        )


def reached(given: Sequence[str], by: Actor) -> list[Party]:
    """The records of these numbers or codes that one may merge. Raises Refused."""
    face = face_named("party")
    found: list[Party] = []
    for one in given:
        party = find(face, by, str(survivor) if (survivor := stands_for(face, one)) else one, "merge")
        if party is None:
            raise Refused(f"there is no record {one[:40]} that you may merge")
        if party.id not in {other.id for other in found}:
            found.append(party)
    if len(found) > MOST - 1:
        raise Refused(f"at most {MOST} records are merged at a time")
    return found


def may_choose(by: Actor, party: Party, name: str) -> bool:
    """Whether this person may say which value of a field is kept; without that it is as proposed."""
    faces = [face_named(one) for one in face_named("party").through]
    face = next((one for one in faces if find(one, by, str(party.id)) is not None), None)
    if face is None or access_of(by, face, name) is not Access.WRITE:
        return False
    needed = _NEEDED.get(name)
    return needed is None or allowed(by, f"{face.name}.{needed}") is not None


def chosen_by(by: Actor, values: Mapping[str, Any] | None, parties: Sequence[Party]) -> dict[str, int]:
    """Field → number of the record whose value is kept, of what differs from the proposals. Raises Refused."""
    picks = proposals(parties)
    chosen = {name: number for name, number in _read(values, parties).items() if picks[name] != number}
    for name in chosen:
        if not all(may_choose(by, party, name) for party in parties):
            raise Refused(f"{chosen_fields()[name].label} isn't yours to choose: your roles don't allow it")
    return chosen


def _read(values: Mapping[str, Any] | None, parties: Sequence[Party]) -> dict[str, int]:
    known = {str(name): party.id for party in parties for name in (party.id, party.code)}
    chosen = {}
    for name, given in (values or {}).items():
        if name not in chosen_fields():
            raise Refused(f"“{name[:40]}” is no field that can be chosen")
        if str(given).upper() in known:
            chosen[name] = known[str(given).upper()]
        elif given == "all" and is_union(name):
            chosen[name] = UNION
        else:
            raise Refused(f"{name}: “{str(given)[:40]}” is none of the records")
    return chosen


def preview(party: Party, others: Sequence[Party], chosen: Mapping[str, int]) -> dict[str, Any]:
    """What a merge would do, without doing it: rows that move and stay by kind, what becomes of accounts, what needs a second
    person, and whose value each field gets where that isn't the kept record's."""
    picks = proposals([party, *others]) | dict(chosen)
    codes = {one.id: one.code for one in (party, *others)} | {UNION: "all"}
    labels = {one.key: one.table.name for one in references()} | {"external_id.record": "external_id"}
    told: dict[str, Any] = {"kept": party.code, "merged": [], "values": {
        name: codes[number] for name, number in picks.items() if number not in (party.id, UNION)}}  # fmt: skip
    for one in others:
        found = moves(kept=party.id, merged=one.id)
        counts: dict[str, dict[str, int]] = {"moves": {}, "stays": {}}
        for kind, rows in (("moves", found.moving), ("stays", found.staying)):
            for key, ids in rows.items():
                counts[kind][labels[key]] = counts[kind].get(labels[key], 0) + len(ids)
        told["merged"].append(
            {
                "code": one.code,
                **counts,
                "accounts": accounts_told(party, one),
                "needs_second": needs_second(party, one),
            }
        )
    return told


@merge.tries
def _try(party: Party, *, by: Actor, others: list[str], values: Mapping[str, Any] | None, **_: Any) -> dict[str, Any]:
    rest = [one for one in reached(others, by) if one.id != party.id]
    if not rest:
        raise Refused(f"give 2 to {MOST} different records")
    return preview(party, rest, chosen_by(by, values, [party, *rest]))


@command(Merge, "Confirm", icon="check", tone="good", confirm="The two become one. It can be undone.",
         applies=lambda made: made.state is MergeState.PROPOSED)  # fmt: skip
def confirm(made: Merge, *, by: User) -> None:
    """Do the merge that another person proposed, after a look at why it needed a second one."""
    _refuse_strangers(made, by)
    carry_out(made, by=by)


@command(Merge, "Decline", icon="x", asks={"reason": REASON}, applies=lambda made: made.state is MergeState.PROPOSED)
def decline(made: Merge, *, by: User, reason: str) -> None:
    """They stay two."""
    if made.state is not MergeState.PROPOSED:
        raise Refused(f"it is {made.state.label.lower()}")
    made.undone_at, made.undone_by_id = dt.datetime.now(dt.UTC), by.id
    made.reason = "\n\n".join(filter(None, (made.reason, f"Declined: {reason}")))


@command(Merge, "Undo", icon="undo-2", tone="warning", applies=lambda made: made.state is MergeState.MADE,
         confirm="What moved goes back, and values that nobody has changed since are as before. What came since stays with "
                 "the record that was kept.")  # fmt: skip
def undo(made: Merge, *, by: User) -> None:
    """Make two of one again, in whatever order merges were made."""
    _refuse_strangers(made, by)
    unmerge(made, by=by)


def _refuse_strangers(made: Merge, by: Actor) -> None:
    """Whoever may merge the one that stands for them now may take it apart."""
    if find(face_named("party"), by, str(survivor_of(made.kept_party_id)), "merge") is None:
        raise Refused("you may not merge the record that was kept")


@command(DuplicateCandidate, "Merge", icon="merge", tone="good", applies=lambda one: one.state is not CandidateState.MERGED,
         confirm="The older record is kept, with the values that are proposed. It can be undone.")  # fmt: skip
def merge_(candidate: DuplicateCandidate, *, by: User) -> None:
    """Make one record of the two; what speaks against it needs a second person and is left."""
    if candidate.state is CandidateState.MERGED:
        raise Refused("they are merged already")
    if candidate.state is CandidateState.DIFFERENT:
        raise Refused("somebody said that they aren't the same")
    ids = dict.fromkeys(survivor_of(one) for one in (candidate.first_party_id, candidate.second_party_id))
    parties = oldest_first(parties_numbered(list(ids)))
    if any(find(face_named("party"), by, str(party.id), "merge") is None for party in parties):
        raise Refused("you may not merge both of them")
    if len(parties) > 1:
        made = merge_parties(parties[0].id, [parties[1].id], by=by, candidate=candidate.id)
        if made[0].needs_second:
            raise Refused(f"{made[0].needs_second}: compare them, and let a second person confirm it")
    db.session.execute(text("UPDATE duplicate_candidate SET state = 'merged', decided_at = coalesce(decided_at, now()), "
                            "decided_by_id = coalesce(decided_by_id, :by) WHERE id = :id AND state <> 'merged'"),
                       {"by": by.id, "id": candidate.id})  # fmt: skip
    db.session.expire(candidate)
