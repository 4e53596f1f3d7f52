"""The organisation that runs this desk: one row, made with the database."""

from __future__ import annotations

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped

from crm.core.entity import About, Entity, Section
from crm.core.fields import currency_field, text_field
from crm.core.triggers import Trigger


class Organisation(Entity):
    """Who you are, and the currency that totals are told in."""

    about = About(
        area="Setup", icon="landmark", label_plural="Organisation", columns=("name", "currency", "updated_at"),
        filters=("currency",), create=False, importable=False,
        sections=(Section("Organisation", ("name", "currency"),
                          "Choose the currency before the first order: amounts that were told in it can't be told anew."),),
        detail=(Section("Organisation", ("name", "currency")),),
        help="Your organisation. What customers bought and owe is added up in its currency; the original is kept.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120)
    currency: Mapped[str] = currency_field(required=True, label="Company currency")

    triggers = (
        Trigger("organisation_currency", "BEFORE UPDATE", each="ROW", only="NEW.currency <> OLD.currency", body="""
BEGIN
  IF EXISTS (SELECT FROM sales_order) OR EXISTS (SELECT FROM deal) OR EXISTS (SELECT FROM invoice)
     OR EXISTS (SELECT FROM payment) THEN
    RAISE EXCEPTION 'stays as it is: amounts have been told in it'
      USING ERRCODE = 'check_violation', COLUMN = 'currency', TABLE = 'organisation';
  END IF;
  RETURN NEW;
END"""),
    )  # fmt: skip

    __table_args__ = (CheckConstraint("id = 1", name="one"),)
