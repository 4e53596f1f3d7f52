"""What may happen to a party: its status, its owner, which contact and address come first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy import select, update

from crm.core.command import Refused, among, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import field_of
from crm.models.access import User
from crm.models.parties import Address, Contact, Party, one_at_a_time
from crm.models.party_choices import BlockState, Lifecycle, ReasonCode
from crm.models.party_identifiers import Identifier
from crm.queries.party_merges import merged_among

REASON = field_of("long_text", label="Reason", required=True, max_length=2000, help="Kept in the history")
OPTIONAL_REASON = field_of("long_text", label="Reason", max_length=2000, help="Kept in the history")
CODE = field_of("choice", choices=ReasonCode, label="Kind of reason")
ARCHIVED = "it is archived: restore it first"


class _Standing(Protocol):
    """What decides on a status: a party, or a row with these columns."""

    id: int
    lifecycle: Lifecycle
    archived_at: dt.datetime | None
    block_state: BlockState


# Why a party can't be changed so, or None; and what changes. Both forms of a command do what its plan says.
Plan = tuple[Callable[[_Standing], str | None], dict[str, Any]]


def _free(party: Party) -> bool:
    return party.archived_at is None


def _refuse_archived(party: Party) -> None:
    if party.archived_at is not None:
        raise Refused(ARCHIVED)


def _because(reason: str | None, code: ReasonCode | None) -> dict[str, Any]:
    """A reason counts with the moment it was given at; the database forgets one that came without."""
    if code is ReasonCode.OTHER and not reason:
        raise Refused("say in words why: “Other” tells nothing")
    return {"status_reason": reason, "status_code": code, "status_at": dt.datetime.now(dt.UTC)}


def _moving(lifecycle: Lifecycle, reason: str | None, code: ReasonCode | None = None) -> Plan:
    def why_not(party: _Standing) -> str | None:
        if party.archived_at is not None:
            return ARCHIVED
        return f"it is {lifecycle.label.lower()} already" if party.lifecycle is lifecycle else None

    return why_not, {"lifecycle": lifecycle, **_because(reason, code)}


def _blocking(state: BlockState, reason: str, code: ReasonCode | None, until: dt.date | None = None) -> Plan:
    def why_not(party: _Standing) -> str | None:
        if party.archived_at is not None:
            return ARCHIVED
        if party.block_state is not BlockState.NONE:
            return f"it is {party.block_state.label.lower()} already"
        if until is not None and until <= today():
            return "the day it ends lies in the past"
        return None

    because = _because(reason, code)
    return why_not, {"block_state": state, "block_reason": reason, "blocked_at": because["status_at"],
                     "blocked_until": until, **because}  # fmt: skip


def _unblocking(state: BlockState, reason: str | None) -> Plan:
    def why_not(party: _Standing) -> str | None:
        if party.archived_at is not None:
            return ARCHIVED
        return None if party.block_state is state else f"it isn't {state.label.lower()}"

    return why_not, {"block_state": BlockState.NONE, "block_reason": None, "blocked_at": None, "blocked_until": None,
                     **_because(reason, None)}  # fmt: skip


def _archiving(put_away: bool, reason: str | None) -> Plan:
    def why_not(party: _Standing) -> str | None:
        if (party.archived_at is not None) is put_away:
            return "it is archived already" if put_away else "it isn't archived"
        return None if put_away or not merged_among([party.id]) else "it was merged into another one: undo that merge"

    because = _because(reason, None)
    return why_not, {"archived_at": because["status_at"] if put_away else None, **because}


def _change(party: Party, plan: Plan) -> None:
    why_not, changes = plan
    if reason := why_not(party):
        raise Refused(reason)
    for name, value in changes.items():
        setattr(party, name, value)


def _change_many(ids: Sequence[int], plan: Plan) -> dict[int, str]:
    """The same for many, in one statement."""
    why_not, changes = plan
    rows = db.session.execute(select(Party.id, Party.lifecycle, Party.archived_at, Party.block_state)
                              .where(among(Party.id, ids)))  # fmt: skip
    refused = {row.id: reason for row in rows if (reason := why_not(row))}
    rest = [record_id for record_id in ids if record_id not in refused]
    db.session.execute(update(Party).where(among(Party.id, rest)).values(**changes)
                       .execution_options(synchronize_session=False))  # fmt: skip
    return refused


def _is(state: BlockState) -> Callable[[Party], bool]:
    return lambda party: _free(party) and party.block_state is state


def _is_not(lifecycle: Lifecycle) -> Callable[[Party], bool]:
    return lambda party: _free(party) and party.lifecycle is not lifecycle


@command(Party, "Block", asks={"reason": REASON, "code": CODE,
                               "until": field_of("date", label="Until", help="Empty: until unblocked")},
         confirm="Nothing can be sold to them while they are blocked.", tone="bad", icon="ban",
         applies=_is(BlockState.NONE))  # fmt: skip
def block(party: Party, *, by: User, reason: str, code: ReasonCode | None, until: dt.date | None) -> None:
    """Stop business with them until they are unblocked."""
    _change(party, _blocking(BlockState.BLOCKED, reason, code, until))


@block.many
def block_many(ids: Sequence[int], *, by: User | None, reason: str, code: ReasonCode | None,
               until: dt.date | None) -> dict[int, str]:  # fmt: skip
    return _change_many(ids, _blocking(BlockState.BLOCKED, reason, code, until))


@command(Party, "Unblock", asks={"reason": OPTIONAL_REASON}, confirm="They return to the status they had before.",
         icon="lock-open", applies=_is(BlockState.BLOCKED))  # fmt: skip
def unblock(party: Party, *, by: User, reason: str | None) -> None:
    """End a block; the status from before the block counts again."""
    _change(party, _unblocking(BlockState.BLOCKED, reason))


@unblock.many
def unblock_many(ids: Sequence[int], *, by: User | None, reason: str | None) -> dict[int, str]:
    return _change_many(ids, _unblocking(BlockState.BLOCKED, reason))


@command(Party, "Reassign", asks={"owner": field_of("reference", refers_to="user", label="Account manager", required=True),
                                  "note": field_of("long_text", label="Hand-over note", max_length=2000)},
         icon="user", applies=_free)  # fmt: skip
def reassign(party: Party, *, by: User, owner: int, note: str | None) -> None:
    """Give it to another account manager."""
    _refuse_archived(party)
    new = db.session.get(User, owner)
    if new is None or not new.active:
        raise Refused("there is no active user with that number")
    if party.owner_id == owner:
        raise Refused(f"{new.name} is its account manager already")
    party.owner_id, party.status_reason = owner, note or party.status_reason


@command(Party, "Activate", asks={"reason": OPTIONAL_REASON}, icon="check", applies=_is_not(Lifecycle.ACTIVE))  # fmt: skip
def activate(party: Party, *, by: User, reason: str | None) -> None:
    """Count as active again."""
    _change(party, _moving(Lifecycle.ACTIVE, reason))


@activate.many
def activate_many(ids: Sequence[int], *, by: User | None, reason: str | None) -> dict[int, str]:
    return _change_many(ids, _moving(Lifecycle.ACTIVE, reason))


@command(Party, "Deactivate", asks={"reason": OPTIONAL_REASON}, icon="pause", applies=_is_not(Lifecycle.INACTIVE))  # fmt: skip
def deactivate(party: Party, *, by: User, reason: str | None) -> None:
    """Count as inactive, with everything kept."""
    _change(party, _moving(Lifecycle.INACTIVE, reason))


@deactivate.many
def deactivate_many(ids: Sequence[int], *, by: User | None, reason: str | None) -> dict[int, str]:
    return _change_many(ids, _moving(Lifecycle.INACTIVE, reason))


@command(Party, "Mark as prospect", asks={"reason": OPTIONAL_REASON}, icon="flag", applies=_is_not(Lifecycle.PROSPECT))  # fmt: skip
def mark_prospect(party: Party, *, by: User, reason: str | None) -> None:
    """Count as a prospect: no completed order yet."""
    _change(party, _moving(Lifecycle.PROSPECT, reason))


@mark_prospect.many
def mark_prospect_many(ids: Sequence[int], *, by: User | None, reason: str | None) -> dict[int, str]:
    return _change_many(ids, _moving(Lifecycle.PROSPECT, reason))


@command(Party, "Mark as churned", asks={"code": replace(CODE, required=True), "reason": OPTIONAL_REASON}, tone="warning",
         icon="user-x", applies=_is_not(Lifecycle.CHURNED))  # fmt: skip
def mark_churned(party: Party, *, by: User, code: ReasonCode, reason: str | None) -> None:
    """Count as lost, and say why."""
    _change(party, _moving(Lifecycle.CHURNED, reason, code))


@mark_churned.many
def mark_churned_many(ids: Sequence[int], *, by: User | None, code: ReasonCode, reason: str | None) -> dict[int, str]:
    return _change_many(ids, _moving(Lifecycle.CHURNED, reason, code))


@command(Party, "Blacklist", asks={"reason": REASON, "code": CODE}, tone="bad", icon="shield-alert",
         confirm="They are refused everywhere, without an end.", applies=_is(BlockState.NONE))  # fmt: skip
def blacklist(party: Party, *, by: User, reason: str, code: ReasonCode | None) -> None:
    """Refuse them for good."""
    _change(party, _blocking(BlockState.BLACKLISTED, reason, code))


@blacklist.many
def blacklist_many(ids: Sequence[int], *, by: User | None, reason: str, code: ReasonCode | None) -> dict[int, str]:
    return _change_many(ids, _blocking(BlockState.BLACKLISTED, reason, code))


@command(Party, "Remove from blacklist", asks={"reason": REASON}, icon="lock-open", applies=_is(BlockState.BLACKLISTED))  # fmt: skip
def unblacklist(party: Party, *, by: User, reason: str) -> None:
    """Take them off the blacklist, and say why."""
    _change(party, _unblocking(BlockState.BLACKLISTED, reason))


@unblacklist.many
def unblacklist_many(ids: Sequence[int], *, by: User | None, reason: str) -> dict[int, str]:
    return _change_many(ids, _unblocking(BlockState.BLACKLISTED, reason))


@command(Party, "Archive", asks={"reason": OPTIONAL_REASON}, tone="warning", icon="archive",
         confirm="It becomes read-only and can be restored.", applies=_free)  # fmt: skip
def archive(party: Party, *, by: User, reason: str | None) -> None:
    """Put it away: read-only, and out of work lists."""
    _change(party, _archiving(True, reason))


@archive.many
def archive_many(ids: Sequence[int], *, by: User | None, reason: str | None) -> dict[int, str]:
    return _change_many(ids, _archiving(True, reason))


@command(Party, "Restore", asks={"reason": OPTIONAL_REASON}, icon="archive-restore",
         applies=lambda party: party.archived_at is not None)  # fmt: skip
def restore(party: Party, *, by: User, reason: str | None) -> None:
    """Take it out of the archive, with the status it had."""
    _change(party, _archiving(False, reason))


@restore.many
def restore_many(ids: Sequence[int], *, by: User | None, reason: str | None) -> dict[int, str]:
    return _change_many(ids, _archiving(False, reason))


@command(Contact, "Set as primary", icon="star", applies=lambda contact: not contact.is_primary)
def set_primary(contact: Contact, *, by: User) -> None:
    """The one person to talk to first; there is one per customer."""
    if contact.is_primary:
        raise Refused("it is the primary contact already")
    one_at_a_time(contact.party_id)
    db.session.execute(update(Contact).where(Contact.party_id == contact.party_id, Contact.is_primary)
                       .values(is_primary=False))  # fmt: skip
    contact.is_primary = True


@command(Address, "Set as default", icon="star", applies=lambda address: not address.is_default)
def set_default(address: Address, *, by: User) -> None:
    """The address that counts where none is chosen; there is one per customer."""
    if address.is_default:
        raise Refused("it is the default address already")
    one_at_a_time(address.party_id)
    db.session.execute(update(Address).where(Address.party_id == address.party_id, Address.is_default)
                       .values(is_default=False))  # fmt: skip
    address.is_default = True


@command(Identifier, "Mark as verified", icon="check", applies=lambda identifier: identifier.verified_at is None)
def verify(identifier: Identifier, *, by: User) -> None:
    """Say that you have seen the document."""
    if identifier.verified_at is not None:
        raise Refused("it is verified already")
    identifier.verified_at, identifier.verified_by_id = dt.datetime.now(dt.UTC), by.id
