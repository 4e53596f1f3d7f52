"""That a customer was reminded of what is overdue: entered by hand, and kept."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import Field, FieldClass, choice_field, date_field, long_text_field, money_field, reference_field
from crm.models.access import User
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import Reminder


class CreditReminder(Entity):
    """A reminder that went out, of which level, and what was overdue then."""

    only_changes = ()
    about = About(
        area="Credit", icon="bell", title="words", columns=("account", "customer", "level", "overdue", "oldest_due_on", "by", "created_at"),
        filters=("account", "level", "overdue", "oldest_due_on", "by", "created_at"), sort=("created_at",),
        within=("account", "party", "owner"), create=False, edit=False, importable=False, audited=False,
        detail=(Section("Reminder", ("account", "customer", "level", "overdue", "oldest_due_on", "remarks", "by", "created_at")),),
        help="Who was reminded of overdue invoices, when and by whom. Enter one with “Reminder sent” on the account.",
    )  # fmt: skip

    account_id: Mapped[int] = reference_field("credit_account", table="credit_account", editable=False)
    level: Mapped[Reminder] = choice_field(Reminder, editable=False)
    overdue: Mapped[Decimal] = money_field(editable=False, help="What was overdue then")
    oldest_due_on: Mapped[dt.date] = date_field(editable=False, label="Oldest due date")
    remarks: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.FINANCIAL)
    by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="Sent by")
    derived = {
        "words": Field(kind="text", label="Reminder"),
        "customer": Field(kind="text", field_class=FieldClass.PERSONAL),
    }
    account: Mapped[CreditAccount] = relationship(lazy="selectin",
        backref=backref("reminders", order_by="CreditReminder.id.desc()", passive_deletes="all"))  # fmt: skip
    by: Mapped[User | None] = relationship()

    # One of each level for the same debt: a batch that is sent twice notes it once.
    __table_args__ = (UniqueConstraint("account_id", "oldest_due_on", "level"),)

    @property
    def words(self) -> str:
        return f"{self.level.label} of {self.account.code}"

    @property
    def customer(self) -> str:
        return self.account.party.name
