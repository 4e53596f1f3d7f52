"""What may happen to contracts and their obligations, to papers that are asked for, and to policies."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.dialects.postgresql import insert

from crm.commands.communications import refuse_archived
from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.compliance import ComplianceRecord, Policy, PolicyConfirmation
from crm.models.contracts import Contract, ContractObligation
from crm.models.partner_choices import ComplianceState, ContractState, ObligationState, PolicyState

DRAFT, ACTIVE, SUSPENDED, TERMINATED = ContractState
_REASON = field_of("long_text", required=True, field_class=FieldClass.PERSONAL)


def _from(contract: Contract, *states: ContractState) -> None:
    refuse_archived(contract.party)
    if contract.state not in states:
        raise Refused(f"it is {contract.state.label.lower()}")


@command(Contract, "Activate", tone="good", icon="play", applies=lambda contract: contract.state in (DRAFT, SUSPENDED))
def activate(contract: Contract, *, by: User) -> None:
    """It is signed and holds."""
    _from(contract, DRAFT, SUSPENDED)
    if contract.starts_on is None:
        raise Refused("it has no first day: set that first")
    contract.state = ACTIVE


@command(Contract, "Suspend", tone="warning", icon="pause", applies=lambda contract: contract.state is ACTIVE)
def suspend(contract: Contract, *, by: User) -> None:
    """It doesn't hold for the time being."""
    _from(contract, ACTIVE)
    contract.state = SUSPENDED


@command(Contract, "Renew", icon="refresh-cw", applies=lambda contract: contract.state is ACTIVE,
         asks={"until": field_of("date", required=True, label="New last day")})  # fmt: skip
def renew(contract: Contract, *, by: User, until: dt.date) -> None:
    """Let it hold longer."""
    _from(contract, ACTIVE)
    if contract.ends_on is None:
        raise Refused("it has no end")
    if until <= contract.ends_on:
        raise Refused(f"it holds until {contract.ends_on} already")
    contract.ends_on = until


@command(Contract, "Terminate", tone="danger", icon="ban", confirm="It stays in the list of contracts.",
         asks={"reason": _REASON, "on": field_of("date", label="Last day", help="Empty: today")},
         applies=lambda contract: contract.state is not TERMINATED)  # fmt: skip
def terminate(contract: Contract, *, by: User, reason: str, on: dt.date | None) -> None:
    """End it before its time."""
    _from(contract, DRAFT, ACTIVE, SUSPENDED)
    contract.state, contract.terminated_on, contract.termination_reason = TERMINATED, on or today(), reason


def _settle(obligation: ContractObligation, state: ObligationState, outcome: str | None) -> None:
    refuse_archived(obligation.contract.party)
    if obligation.state is not ObligationState.OPEN:
        raise Refused(f"it is {obligation.state.label.lower()}")
    obligation.state, obligation.settled_on, obligation.outcome = state, today(), outcome


def _open(obligation: ContractObligation) -> bool:
    return obligation.state is ObligationState.OPEN


@command(ContractObligation, "Fulfilled", tone="good", icon="check", applies=_open)
def fulfil(obligation: ContractObligation, *, by: User) -> None:
    """What was owed has been done."""
    _settle(obligation, ObligationState.FULFILLED, None)


@command(ContractObligation, "Broken", tone="warning", icon="circle-alert", applies=_open, asks={"reason": _REASON})
def break_(obligation: ContractObligation, *, by: User, reason: str) -> None:
    """What was owed has not been done."""
    _settle(obligation, ObligationState.BROKEN, reason)


@command(ContractObligation, "Waive", icon="circle-minus", applies=_open, asks={"reason": _REASON})
def waive(obligation: ContractObligation, *, by: User, reason: str) -> None:
    """It need not be done."""
    _settle(obligation, ObligationState.WAIVED, reason)


def _decide(record: ComplianceRecord, state: ComplianceState, by: User, reason: str | None) -> None:
    refuse_archived(record.party)
    if record.state is state:
        raise Refused(f"it is {state.label.lower()} already")
    if state is ComplianceState.ACCEPTED and record.valid_until is not None and record.valid_until < today():
        raise Refused(f"it was valid until {record.valid_until}")
    record.state, record.reason = state, reason
    record.checked_by_id, record.checked_at = by.id, dt.datetime.now(dt.UTC)


@command(ComplianceRecord, "Accept", tone="good", icon="check",
         applies=lambda record: record.state is not ComplianceState.ACCEPTED)  # fmt: skip
def accept(record: ComplianceRecord, *, by: User) -> None:
    """You have checked the paper and it holds."""
    _decide(record, ComplianceState.ACCEPTED, by, None)


@command(ComplianceRecord, "Refuse", tone="warning", icon="circle-x", asks={"reason": _REASON},
         applies=lambda record: record.state is not ComplianceState.REFUSED)  # fmt: skip
def refuse(record: ComplianceRecord, *, by: User, reason: str) -> None:
    """You have checked the paper and it doesn't hold."""
    _decide(record, ComplianceState.REFUSED, by, reason)


@command(ComplianceRecord, "Do without", icon="circle-minus", asks={"reason": _REASON},
         applies=lambda record: record.state is not ComplianceState.WAIVED)  # fmt: skip
def do_without(record: ComplianceRecord, *, by: User, reason: str) -> None:
    """This party need not show the paper."""
    _decide(record, ComplianceState.WAIVED, by, reason)


@command(
    Policy, "Put in force", tone="good", icon="play", applies=lambda policy: policy.state is not PolicyState.IN_FORCE
)
def put_in_force(policy: Policy, *, by: User) -> None:
    """From now on it is to be followed."""
    if policy.state is PolicyState.IN_FORCE:
        raise Refused("it is in force already")
    policy.state, policy.retired_on = PolicyState.IN_FORCE, None


@command(Policy, "Retire", icon="archive", applies=lambda policy: policy.state is PolicyState.IN_FORCE)
def retire(policy: Policy, *, by: User) -> None:
    """It need no longer be followed."""
    if policy.state is not PolicyState.IN_FORCE:
        raise Refused("it isn't in force")
    policy.state, policy.retired_on = PolicyState.RETIRED, today()


@command(Policy, "I have read it", icon="badge-check", confirm="Your name and the time are kept.",
         applies=lambda policy: policy.state is PolicyState.IN_FORCE)  # fmt: skip
def confirm(policy: Policy, *, by: User) -> None:
    """You have read it and will follow it."""
    if policy.state is not PolicyState.IN_FORCE:
        raise Refused("it isn't in force")
    made = insert(PolicyConfirmation).values(policy_id=policy.id, who_id=by.id).on_conflict_do_nothing()
    if db.session.execute(made.returning(PolicyConfirmation.id)).first() is None:
        raise Refused("you have confirmed it already")
