"""Orders of customers with a credit account: what doesn't fit into their credit is held, until it fits or is released.

The database checks whenever an order comes or grows, whoever writes it, and holds the account meanwhile: of two orders that
arrive together the second sees the first. Orders count in the company's currency, without what was invoiced already.
"""

# ruff: noqa: S608 - all SQL is made of constants

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, literal_column, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import Field, FieldClass, datetime_field, long_text_field, money_field, reference_field
from crm.core.rules import rule
from crm.core.triggers import Trigger
from crm.models import credit_figures as _figures  # noqa: F401 - declares what is asked here
from crm.models.access import User
from crm.models.credit_accounts import why_held
from crm.models.credit_choices import HoldScope
from crm.models.credit_policy import in_sql
from crm.models.sales_orders import Order

OVER = "More than the credit that is available"
REFUSED = "can’t take it: the order is more than the credit that is available"
# Why an account (its number stands for {account}) gets nothing more whatever the amount, and the room that is left besides an
# order; all of one moment, or an invoice that comes between would count neither as order nor as owed.
STANDS = f"""SELECT
  {in_sql(why_held(literal_column("f.id"), HoldScope.ALL, HoldScope.ORDERS))} AS why,
  credit_room(f.id, {{besides}}) AS room FROM credit_account_figures f WHERE f.id = {{account}}"""
# Holds an account and those above it whose limits count as well, so that of two orders the second sees the first.
LOCKED = (
    "SELECT a.id FROM credit_account a WHERE a.id IN (SELECT credit_caps({account})) ORDER BY a.id FOR NO KEY UPDATE"
)


class CreditRelease(Entity):
    """That somebody let an order through which didn't fit into its customer's credit; somebody else looks at it later."""

    only_changes = ("reviewed_by_id", "reviewed_at")
    about = About(
        area="Credit", icon="lock-open", title="words", columns=("order", "customer", "amount", "released_by", "created_at", "reviewed_by"),
        filters=("order", "amount", "released_by", "reviewed_by", "reviewed_at", "created_at"), sort=("created_at", "amount"),
        within=("order", "customer", "owner"), create=False, edit=False, importable=False,
        detail=(Section("Release", ("order", "customer", "amount", "held_because", "reason", "released_by", "created_at")),
                Section("Review", ("reviewed_by", "reviewed_at"))),
        help="Orders that were let through above the customer's credit: by whom and why. Somebody else reviews them.",
    )  # fmt: skip

    order_id: Mapped[int] = reference_field("order", table="sales_order", editable=False)
    amount: Mapped[Decimal] = money_field(editable=False, help="What of the order wasn't invoiced yet")
    held_because: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.FINANCIAL)
    reason: Mapped[str | None] = long_text_field(
        editable=False, field_class=FieldClass.FINANCIAL, label="Released because"
    )
    released_by_id: Mapped[int] = reference_field("user", table="app_user", editable=False)
    reviewed_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    reviewed_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Reviewed")
    derived = {
        "words": Field(kind="text", label="Release"),
        "customer": Field(kind="text", field_class=FieldClass.PERSONAL),
    }
    order: Mapped[Order] = relationship(
        lazy="selectin", backref=backref("releases", order_by="CreditRelease.id.desc()", passive_deletes="all")
    )
    released_by: Mapped[User] = relationship(foreign_keys=released_by_id)
    reviewed_by: Mapped[User | None] = relationship(foreign_keys=reviewed_by_id)

    __table_args__ = (
        rule("reviewed_by", "reviewed_by_id <> released_by_id", "released it: somebody else must review"),
        rule("reviewed_at", "(reviewed_by_id IS NULL) = (reviewed_at IS NULL)", "goes with who reviewed it"),
        Index("ix_credit_release_open", "created_at", "id", postgresql_where=text("reviewed_at IS NULL")),
    )

    triggers = (
        Trigger("order_fits_credit", "AFTER INSERT OR UPDATE OF to_bill, customer_id", on="order_figures", each="ROW",
                only="NEW.to_bill > 0", body=f"""
DECLARE
  account bigint;
  blocked text;
  room numeric;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    -- Two records that become one, or two again, order nothing.
    IF NEW.to_bill <= OLD.to_bill AND (NEW.customer_id = OLD.customer_id OR EXISTS (SELECT FROM merge m
         WHERE (m.merged_party_id, m.kept_party_id) IN ((OLD.customer_id, NEW.customer_id), (NEW.customer_id, OLD.customer_id)))) THEN
      RETURN NULL;
    END IF;
  END IF;
  SELECT a.id INTO account FROM credit_account a WHERE a.party_id = NEW.customer_id AND a.state = 'open';
  PERFORM FROM ({LOCKED.format(account="account")}) l;
  IF NOT EXISTS (SELECT FROM credit_account a WHERE a.id = account AND a.party_id = NEW.customer_id AND a.state = 'open') THEN
    RETURN NULL;
  END IF;
  SELECT s.why, s.room INTO blocked, room FROM ({STANDS.format(account="account", besides="NEW.id")}) s;
  IF blocked IS NULL AND NEW.to_bill > room THEN
    blocked := '{OVER}';
    IF (SELECT p.over_limit = 'refuse' FROM credit_policy p) AND coalesce(current_setting('crm.via', true), '') NOT LIKE 'import %' THEN
      RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'check_violation', COLUMN = 'customer', TABLE = 'sales_order';
    END IF;
  END IF;
  UPDATE sales_order o SET credit = CASE WHEN blocked IS NULL THEN 'accepted' ELSE 'held' END, credit_reason = blocked
   WHERE o.id = NEW.id
     AND (o.credit, o.credit_reason) IS DISTINCT FROM (CASE WHEN blocked IS NULL THEN 'accepted' ELSE 'held' END, blocked);
  -- This runs while the figures are settled, so nobody comes by here again.
  UPDATE order_figures q SET unbilled = CASE WHEN blocked IS NULL THEN q.to_bill ELSE 0 END WHERE q.id = NEW.id;
  RETURN NULL;
END"""),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"Release of {self.order.code}"

    @property
    def customer(self) -> str:
        return self.order.customer.name
