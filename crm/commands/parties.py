"""What may happen to a party: its status, its owner, which contact and address come first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import select, update

from crm.core.command import Refused, among, command
from crm.core.entity import db
from crm.core.fields import field_of
from crm.models.access import User
from crm.models.parties import Address, BlockState, Contact, Identifier, Lifecycle, Party, one_at_a_time

REASON = field_of("long_text", label="Reason", required=True, max_length=2000, help="Kept in the history")
OPTIONAL_REASON = field_of("long_text", label="Reason", max_length=2000, help="Kept in the history")
ARCHIVED = "it is archived: restore it first"


def _refuse_archived(party: Party) -> None:
    if party.archived_at is not None:
        raise Refused(ARCHIVED)


def _move(party: Party, lifecycle: Lifecycle, reason: str | None) -> None:
    _refuse_archived(party)
    if party.lifecycle is lifecycle:
        raise Refused(f"it is {lifecycle.label.lower()} already")
    party.lifecycle, party.status_reason = lifecycle, reason


def _free(party: Party) -> bool:
    return party.archived_at is None


class _Standing(Protocol):
    """What decides on a block: a party, or a row with these columns."""

    id: int
    archived_at: dt.datetime | None
    block_state: BlockState
    block_reason: str | None


def _why_not_block(party: _Standing, until: dt.date | None) -> str | None:
    if party.archived_at is not None:
        return ARCHIVED
    if party.block_state is not BlockState.NONE:
        return f"it is {party.block_state.label.lower()} already: {party.block_reason}"
    if until is not None and until <= dt.datetime.now(dt.UTC).date():
        return "the day it ends lies in the past"
    return None


def _why_not_unblock(party: _Standing, state: BlockState) -> str | None:
    if party.archived_at is not None:
        return ARCHIVED
    return None if party.block_state is state else f"it isn't {state.label.lower()}"


def _blocked(state: BlockState, reason: str, until: dt.date | None) -> dict[str, Any]:
    return {"block_state": state, "block_reason": reason, "blocked_at": dt.datetime.now(dt.UTC),
            "blocked_until": until, "status_reason": reason}  # fmt: skip


def _unblocked(reason: str | None) -> dict[str, Any]:
    return {"block_state": BlockState.NONE, "block_reason": None, "blocked_at": None, "blocked_until": None,
            "status_reason": reason}  # fmt: skip


def _change(party: Party, why_not: str | None, changes: dict[str, Any]) -> None:
    if why_not:
        raise Refused(why_not)
    for name, value in changes.items():
        setattr(party, name, value)


def _change_many(ids: Sequence[int], why_not: Callable[[Any], str | None], changes: dict[str, Any]) -> dict[int, str]:
    """The same for many, in one statement."""
    rows = db.session.execute(select(Party.id, Party.archived_at, Party.block_state, Party.block_reason)
                              .where(among(Party.id, ids)))  # fmt: skip
    refused = {row.id: reason for row in rows if (reason := why_not(row))}
    rest = [record_id for record_id in ids if record_id not in refused]
    db.session.execute(update(Party).where(among(Party.id, rest)).values(**changes)
                       .execution_options(synchronize_session=False))  # fmt: skip
    return refused


@command(Party, "Block", asks={"reason": REASON, "until": field_of("date", label="Until", help="Empty: until unblocked")},
         confirm="Nothing can be sold to them while they are blocked.", tone="bad", icon="ban",
         applies=lambda party: _free(party) and party.block_state is BlockState.NONE)  # fmt: skip
def block(party: Party, *, by: User, reason: str, until: dt.date | None) -> None:
    """Stop business with them until they are unblocked."""
    _change(party, _why_not_block(party, until), _blocked(BlockState.BLOCKED, reason, until))


@block.many
def block_many(ids: Sequence[int], *, by: User | None, reason: str, until: dt.date | None) -> dict[int, str]:
    return _change_many(ids, lambda row: _why_not_block(row, until), _blocked(BlockState.BLOCKED, reason, until))


@command(Party, "Unblock", asks={"reason": OPTIONAL_REASON}, confirm="They return to the status they had before.",
         icon="lock-open", applies=lambda party: _free(party) and party.block_state is BlockState.BLOCKED)  # fmt: skip
def unblock(party: Party, *, by: User, reason: str | None) -> None:
    """End a block; the status from before the block counts again."""
    _change(party, _why_not_unblock(party, BlockState.BLOCKED), _unblocked(reason))


@unblock.many
def unblock_many(ids: Sequence[int], *, by: User | None, reason: str | None) -> dict[int, str]:
    return _change_many(ids, lambda row: _why_not_unblock(row, BlockState.BLOCKED), _unblocked(reason))


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


@command(Party, "Activate", asks={"reason": OPTIONAL_REASON}, icon="check",
         applies=lambda party: _free(party) and party.lifecycle is not Lifecycle.ACTIVE)  # fmt: skip
def activate(party: Party, *, by: User, reason: str | None) -> None:
    """Count as active again."""
    _move(party, Lifecycle.ACTIVE, reason)


@command(Party, "Deactivate", asks={"reason": OPTIONAL_REASON}, icon="pause",
         applies=lambda party: _free(party) and party.lifecycle is not Lifecycle.INACTIVE)  # fmt: skip
def deactivate(party: Party, *, by: User, reason: str | None) -> None:
    """Count as inactive, with everything kept."""
    _move(party, Lifecycle.INACTIVE, reason)


@command(Party, "Mark as prospect", asks={"reason": OPTIONAL_REASON}, icon="flag",
         applies=lambda party: _free(party) and party.lifecycle is not Lifecycle.PROSPECT)  # fmt: skip
def mark_prospect(party: Party, *, by: User, reason: str | None) -> None:
    """Count as a prospect: no completed order yet."""
    _move(party, Lifecycle.PROSPECT, reason)


@command(Party, "Mark as churned", asks={"reason": REASON}, tone="warning", icon="user-x",
         applies=lambda party: _free(party) and party.lifecycle is not Lifecycle.CHURNED)  # fmt: skip
def mark_churned(party: Party, *, by: User, reason: str) -> None:
    """Count as lost, and say why."""
    _move(party, Lifecycle.CHURNED, reason)


@command(Party, "Blacklist", asks={"reason": REASON}, confirm="They are refused everywhere, without an end.", tone="bad",
         icon="shield-alert", applies=lambda party: _free(party) and party.block_state is BlockState.NONE)  # fmt: skip
def blacklist(party: Party, *, by: User, reason: str) -> None:
    """Refuse them for good."""
    _change(party, _why_not_block(party, None), _blocked(BlockState.BLACKLISTED, reason, None))


@command(Party, "Remove from blacklist", asks={"reason": REASON}, icon="lock-open",
         applies=lambda party: _free(party) and party.block_state is BlockState.BLACKLISTED)  # fmt: skip
def unblacklist(party: Party, *, by: User, reason: str) -> None:
    """Take them off the blacklist, and say why."""
    _change(party, _why_not_unblock(party, BlockState.BLACKLISTED), _unblocked(reason))


@command(Party, "Archive", asks={"reason": OPTIONAL_REASON}, confirm="It becomes read-only and can be restored.",
         tone="warning", icon="archive", applies=_free)  # fmt: skip
def archive(party: Party, *, by: User, reason: str | None) -> None:
    """Put it away: read-only, and out of work lists."""
    if party.archived_at is not None:
        raise Refused("it is archived already")
    party.archived_at, party.status_reason = dt.datetime.now(dt.UTC), reason


@command(Party, "Restore", asks={"reason": OPTIONAL_REASON}, icon="archive-restore",
         applies=lambda party: party.archived_at is not None)  # fmt: skip
def restore(party: Party, *, by: User, reason: str | None) -> None:
    """Take it out of the archive, with the status it had."""
    if party.archived_at is None:
        raise Refused("it isn't archived")
    party.archived_at, party.status_reason = None, reason


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
