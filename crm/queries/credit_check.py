"""What would become of an order on credit: allowed, held, refused, and why."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select, text

from crm.core.entity import db
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import AccountState, OverLimit
from crm.models.credit_orders import OVER, STANDS
from crm.models.credit_policy import CreditPolicy
from crm.models.parties import BlockState, Party

ALLOW, HOLD, REFUSE = "allow", "hold", "refuse"


@dataclass(frozen=True)
class Checked:
    """`available` is in the company's currency, None without an open account; less than nothing where more is used."""

    decision: str
    why: str
    account: CreditAccount | None = None
    available: Decimal | None = None


def policy() -> CreditPolicy:
    """How credit is reckoned."""
    return db.session.scalars(select(CreditPolicy)).one()


def open_account(party: Party) -> CreditAccount | None:
    return db.session.scalars(select(CreditAccount).where(
        CreditAccount.party_id == party.id, CreditAccount.state == AccountState.OPEN)).first()  # fmt: skip


def left_on(account: CreditAccount) -> tuple[str | None, Decimal]:
    """(why it gets nothing more whatever the amount, what the limit leaves), as the database reckons when an order comes."""
    found = db.session.execute(text(STANDS.format(account=":account", besides="NULL")), {"account": account.id}).one()
    return found.why, found.room


def credit_check(party: Party, amount: Decimal) -> Checked:
    """As the database would check an order of this amount now; nothing is reserved."""
    account = open_account(party)
    if account is None:
        return Checked(REFUSE, "The customer has no open credit account")
    blocked, available = left_on(account)
    if party.archived_at is not None or party.block_state is not BlockState.NONE:
        return Checked(REFUSE, f"The customer is {'archived' if party.archived_at else party.block_state.label.lower()}",
                       account, available)  # fmt: skip
    if blocked is not None:
        return Checked(HOLD, blocked, account, available)
    if amount <= available:
        return Checked(ALLOW, "It fits into the credit that is available", account, available)
    refused = policy().over_limit is OverLimit.REFUSE
    return Checked(REFUSE if refused else HOLD, OVER, account, available)
