"""Official numbers of parties: tax numbers, licences, identity documents; with their validity and who has seen them."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Computed, Index, Text
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship, validates

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    FieldClass,
    choice_field,
    country_field,
    date_field,
    datetime_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import IdentifierKind


class Identifier(Entity):
    """An official number of a party, with its validity: a licence, a tax number, an identity document."""

    about = About(
        area="Customers", icon="id-card", title="number", delete=True,
        columns=("number", "party", "kind", "country", "valid_until", "verified_at"),
        filters=("party", "kind", "country", "valid_until"), search=("number",), sort=("created_at",),
        within=("party", "owner"),
        sections=(Section("Identifier", ("party", "kind", "number", "country", "issued_on", "valid_until")),),
        detail=(Section("Identifier", ("party", "kind", "number", "country", "issued_on", "valid_until", "verified_by",
                                       "verified_at")),),
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Belongs to", required=True)
    kind: Mapped[IdentifierKind] = choice_field(IdentifierKind, required=True)
    number: Mapped[str] = text_field(max_length=64, required=True, field_class=FieldClass.KYC)
    country: Mapped[str | None] = country_field(label="Issuing country")
    issued_on: Mapped[dt.date | None] = date_field(label="Issued")
    valid_until: Mapped[dt.date | None] = date_field()
    verified_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    verified_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Verified")
    # Blanks and dashes don't make it another number.
    number_key: Mapped[str] = mapped_column(Text, Computed("upper(regexp_replace(number, '[^[:alnum:]]', '', 'g'))",
                                                           persisted=True), nullable=False)  # fmt: skip
    party: Mapped[Party] = relationship(backref=backref("identifiers", order_by="Identifier.id"))
    verified_by: Mapped[User | None] = relationship()

    __table_args__ = (
        in_order("issued_on", "valid_until"),
        # The same number may be entered for two parties, who are then one and the same; for one party it is there once.
        Index("uq_identifier_number", "party_id", "kind", "country", "number_key", unique=True,
              postgresql_nulls_not_distinct=True),
        Index("ix_identifier_number_key", "number_key"), Index("ix_identifier_valid_until", "valid_until"),
    )  # fmt: skip

    @validates("kind", "number", "country", "issued_on", "valid_until")
    def _changed(self, name: str, value: object) -> object:
        """Who has seen it has not seen this."""
        if self.id is not None and value != getattr(self, name):
            self.verified_by_id = self.verified_at = None
        return value
