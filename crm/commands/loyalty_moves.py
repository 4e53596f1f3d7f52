"""Points that go to another member, cashback that is paid out or set off against an invoice."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import func, select, text

from crm.commands.communications import refuse_archived
from crm.commands.ledger_entries import enter
from crm.commands.loyalty_entries import enter_points, next_source, refuse_unless_open
from crm.core import figures
from crm.core.command import Refused, command
from crm.core.entity import db, face_named
from crm.core.fields import FieldClass, field_of
from crm.core.permissions import PICK
from crm.models.access import User
from crm.models.credit_figures import InvoiceFigures
from crm.models.credit_invoices import Invoice, Payment
from crm.models.loyalty_accounts import CashbackEntry, LoyaltyAccount
from crm.models.loyalty_choices import CashbackKind, Membership, PointKind
from crm.models.parties import Party
from crm.queries.scope import find

_REASON = field_of("long_text", required=True, field_class=FieldClass.PERSONAL)
_AMOUNT = field_of("money", required=True, minimum=Decimal("0.01"), help="In the program's currency")
# Each part keeps the expiry of the lot it came from.
_GIVE = text("""
INSERT INTO point_entry (account_id, kind, points, expires_on, source, reason, by_id)
SELECT :account, 'transfer', a.points, l.expires_on, concat_ws(chr(58), CAST(:source AS text), l.id), :reason, :by
  FROM point_allocation a JOIN point_entry l ON l.id = a.lot_id WHERE a.point_entry_id = :taken ORDER BY l.id""")


@command(LoyaltyAccount, "Transfer points", icon="send", tone="warning",
         asks={"to": field_of("reference", refers_to="loyalty_account", required=True, label="To the membership"),
               "points": field_of("integer", required=True, minimum=1, maximum=1_000_000), "reason": _REASON},
         applies=lambda account: account.state is Membership.ACTIVE)  # fmt: skip
def transfer(account: LoyaltyAccount, *, by: User, to: int | None, points: int, reason: str) -> None:
    """Give points to another member of the program; they expire when they would have."""
    refuse_unless_open(account)
    other: LoyaltyAccount | None = find(face_named("loyalty_account"), by, str(to), PICK)
    if other is None or other.program_id != account.program_id:
        raise Refused("that is no membership of this program that you may see")
    if other.id == account.id:
        raise Refused("that is the membership itself")
    _let_no_merge_close(other)
    refuse_unless_open(other)
    source = next_source(account, "transfer")
    taken = enter_points(account, PointKind.TRANSFER, -points, source=source, by=by, reason=reason)
    given = {"account": other.id, "source": source, "reason": reason, "by": by.id, "taken": taken.id}
    db.session.execute(_GIVE, given)


def _let_no_merge_close(account: LoyaltyAccount) -> None:
    """Whoever merges holds the customer: wait for that, and keep it away meanwhile. Others may go on transferring."""
    held = None
    while held != account.party_id:
        held = account.party_id
        db.session.execute(select(Party.id).where(Party.id == held).with_for_update(read=True, key_share=True))
        db.session.refresh(account)


@command(LoyaltyAccount, "Pay out cashback", icon="banknote", tone="warning", asks={"amount": _AMOUNT, "reason": _REASON},
         applies=lambda account: "cashback" in account.program.kinds)  # fmt: skip
def pay_out(account: LoyaltyAccount, *, by: User, amount: Decimal, reason: str) -> None:
    """Note that cashback was paid to the customer."""
    _take_cashback(account, CashbackKind.PAYOUT, amount, by=by, reason=reason)


@command(LoyaltyAccount, "Set off cashback", icon="receipt-text", tone="warning",
         asks={"invoice": field_of("reference", refers_to="invoice", required=True), "amount": _AMOUNT},
         applies=lambda account: "cashback" in account.program.kinds)  # fmt: skip
def set_off(account: LoyaltyAccount, *, by: User, invoice: int | None, amount: Decimal) -> None:
    """Pay an open invoice of the customer with cashback."""
    owed: Invoice | None = find(face_named("invoice"), by, str(invoice), PICK)
    if owed is None or owed.account.party_id != account.party_id:
        raise Refused("that is no invoice of this customer that you may see")
    if owed.currency != account.program.currency:
        raise Refused(f"the invoice isn't in {account.program.currency}, in which the program counts")
    figures.settle()
    left = db.session.scalar(select(InvoiceFigures.open_amount).where(InvoiceFigures.id == owed.id)) or Decimal(0)
    if amount > left:
        raise Refused(f"{left:,.2f} of the invoice is open")
    entry = _take_cashback(account, CashbackKind.SET_OFF, amount, by=by, reason=f"Invoice {owed.number}")
    paid = Payment(account_id=owed.account_id, amount=amount, currency=owed.currency, invoice_id=owed.id, by_id=by.id,
                   reference=f"Cashback {entry.id}")  # fmt: skip
    enter(paid, twice="it was set off already")


def _take_cashback(
    account: LoyaltyAccount, kind: CashbackKind, amount: Decimal, *, by: User, reason: str
) -> CashbackEntry:
    """Never more than there is: whoever takes holds the account, as every command does with its record."""
    refuse_archived(account.party)
    there = db.session.scalar(
        select(func.sum(CashbackEntry.amount)).where(CashbackEntry.account_id == account.id)
    ) or Decimal(0)
    if amount > there:
        raise Refused(f"there is {there:,.2f} {account.program.currency} of cashback")
    entry = CashbackEntry(account_id=account.id, kind=kind, amount=-amount, source=next_source(account, str(kind.value)), by_id=by.id,
                          reason=reason)  # fmt: skip
    enter(entry, twice="it counts already")
    return entry
