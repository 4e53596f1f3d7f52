"""Parties: the persons and organisations we sell to, buy from or work with; their contacts and addresses.

One `Party` may be customer, vendor and partner at once; each of these is a face of it with a screen of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    FetchedValue,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.core.days import today
from crm.core.entity import About, Entity, Face, Section, db
from crm.core.fields import (
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    choices_field,
    countries,
    country_field,
    currency_field,
    date_field,
    datetime_field,
    declare,
    email_field,
    integer_field,
    language_field,
    long_text_field,
    money_field,
    phone_field,
    reference_field,
    tags_field,
    text_field,
    url_field,
)  # fmt: skip
from crm.core.permissions import allowed
from crm.models.access import Team, User
from crm.models.party_about import PARTY
from crm.models.party_choices import (
    AGE_GROUPS,
    FACE_ROLES,
    GENERATIONS,
    AddressKind,
    AreaType,
    BlockState,
    ChannelState,
    ContactMethod,
    DeliveryMethod,
    Frequency,
    Gender,
    IncomeLevel,
    Kind,
    Lifecycle,
    LifeStage,
    PartyRole,
    PartyType,
    PaymentMethod,
    ReasonCode,
    ServiceChannel,
    Stage,
    Status,
    SubStage,
    shows,
)
from crm.models.party_quality import SCORE
from crm.models.referral_codes import CODE

PERSON, COMPANY = (("kind", str(kind.value)) for kind in (Kind.INDIVIDUAL, Kind.ORGANIZATION))


class Party(Entity):
    """A person or organisation: customer, vendor, partner, dealer, or several of these at once."""

    about = PARTY

    code_letter: Mapped[str] = mapped_column(String(4), server_default="C")
    code: Mapped[str] = declare(
        "code", Text, Computed("code_letter || '-' || lpad(id::text, greatest(6, length(id::text)), '0')", persisted=True),
        label="Code", editable=False, column={"unique": True})  # fmt: skip
    account_number: Mapped[str | None] = text_field(max_length=64, label="Account number", column={"unique": True},
        help="Their number in your other systems; unique if given",
        synonyms=("account no", "account id", "customer number", "customer no", "customer key", "id"))  # fmt: skip
    name: Mapped[str] = text_field(required=True, label="Display name", field_class=FieldClass.PERSONAL,
        synonyms=("full name", "customer", "customer name", "account", "account name"))  # fmt: skip
    kind: Mapped[Kind] = choice_field(Kind, column={"server_default": "individual"})
    type: Mapped[PartyType | None] = choice_field(PartyType, synonyms=("customer type", "category"))
    roles: Mapped[list[str]] = choices_field(PartyRole, wide=True, column={"server_default": text("'{}'")})
    first_name: Mapped[str | None] = text_field(
        only_for=PERSON, field_class=FieldClass.PERSONAL, synonyms=("given name", "forename")
    )
    middle_name: Mapped[str | None] = text_field(only_for=PERSON, field_class=FieldClass.PERSONAL)
    last_name: Mapped[str | None] = text_field(
        only_for=PERSON, field_class=FieldClass.PERSONAL, synonyms=("surname", "family name")
    )
    gender: Mapped[Gender | None] = choice_field(
        Gender, only_for=PERSON, field_class=FieldClass.PERSONAL, synonyms=("sex",)
    )
    date_of_birth: Mapped[dt.date | None] = date_field(only_for=PERSON, field_class=FieldClass.PERSONAL,
        synonyms=("birthday", "birth date", "dob"))  # fmt: skip
    language: Mapped[str | None] = language_field(label="Preferred language")
    # A small WebP without metadata; only its time is a field, so lists and the audit don't carry the picture.
    photo: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    photo_at: Mapped[dt.datetime | None] = datetime_field(
        editable=False, label="Photo or logo since", field_class=FieldClass.PERSONAL
    )
    description: Mapped[str | None] = long_text_field(
        field_class=FieldClass.PERSONAL, help="About the customer", synonyms=("about", "notes")
    )
    tags: Mapped[list[str] | None] = tags_field(help="Separated by commas")
    owner_id: Mapped[int | None] = reference_field("user", table="app_user", label="Account manager")
    team_id: Mapped[int | None] = reference_field(
        "team", table="team", help="Whose people reach it, besides its manager's"
    )
    referral_code: Mapped[str] = declare("text", Text, Computed(CODE, persisted=True), editable=False, help="For whom they bring",
                                         column={"unique": True, "nullable": False})  # fmt: skip

    lifecycle: Mapped[Lifecycle] = choice_field(Lifecycle, editable=False, column={"server_default": "active"})
    block_state: Mapped[BlockState] = choice_field(BlockState, editable=False, column={"server_default": "none"})
    block_reason: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, editable=False)
    blocked_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    blocked_until: Mapped[dt.date | None] = date_field(editable=False)
    archived_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Archived")
    status_reason: Mapped[str | None] = long_text_field(
        field_class=FieldClass.PERSONAL, editable=False, label="Reason of the last change of status"
    )
    status_code: Mapped[ReasonCode | None] = choice_field(ReasonCode, editable=False, label="Why the status changed")
    status_at: Mapped[dt.datetime | None] = datetime_field(editable=False, audited=False, label="Status since")
    status: Mapped[Status] = choice_field(
        Status,
        editable=False,
        computed=(
            "CASE WHEN archived_at IS NOT NULL THEN 'archived' WHEN block_state <> 'none' THEN block_state ELSE lifecycle END"
        ),
    )
    stage: Mapped[Stage | None] = choice_field(Stage, label="Lifecycle stage")
    sub_stage: Mapped[SubStage | None] = choice_field(SubStage)
    customer_since: Mapped[dt.date | None] = date_field(editable=False, synonyms=("date first purchase",))

    email: Mapped[str | None] = email_field(label="E-mail", required_on_screen=True, column={"index": True},
        synonyms=("e mail", "email address", "mail", "primary email"))  # fmt: skip
    email_state: Mapped[ChannelState] = choice_field(ChannelState, of="email", label="E-mail is",
                                                     column={"server_default": "unverified"})  # fmt: skip
    email_state_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="E-mail so since")
    email2: Mapped[str | None] = email_field(label="Second e-mail", column={"index": True},
                                             synonyms=("secondary email", "email 2"))  # fmt: skip
    email2_state: Mapped[ChannelState] = choice_field(ChannelState, of="email2", label="Second e-mail is",
                                                      column={"server_default": "unverified"})  # fmt: skip
    email2_state_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Second e-mail so since")
    phone: Mapped[str | None] = phone_field(label="Phone", column={"index": True},
        synonyms=("telephone", "phone number", "tel", "mobile", "cell"))  # fmt: skip
    phone_state: Mapped[ChannelState] = choice_field(ChannelState, of="phone", label="Phone is",
                                                     column={"server_default": "unverified"})  # fmt: skip
    phone_state_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Phone so since")
    phone2: Mapped[str | None] = phone_field(label="Second phone", column={"index": True},
                                             synonyms=("secondary phone", "phone 2"))  # fmt: skip
    phone2_state: Mapped[ChannelState] = choice_field(ChannelState, of="phone2", label="Second phone is",
                                                      column={"server_default": "unverified"})  # fmt: skip
    phone2_state_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Second phone so since")
    fax: Mapped[str | None] = phone_field(synonyms=("fax number",))
    website: Mapped[str | None] = url_field(synonyms=("url", "web", "homepage"))
    facebook: Mapped[str | None] = text_field(field_class=FieldClass.CONTACT)
    instagram: Mapped[str | None] = text_field(field_class=FieldClass.CONTACT)
    whatsapp: Mapped[str | None] = text_field(label="WhatsApp", field_class=FieldClass.CONTACT)
    linkedin: Mapped[str | None] = text_field(label="LinkedIn", field_class=FieldClass.CONTACT)
    wechat: Mapped[str | None] = text_field(label="WeChat", field_class=FieldClass.CONTACT)
    other_social: Mapped[str | None] = text_field(label="Other social handle", field_class=FieldClass.CONTACT)

    company_name: Mapped[str | None] = text_field(synonyms=("company", "organization", "organisation"))
    industry: Mapped[str | None] = text_field(max_length=120, synonyms=("sector", "industry type"))
    tax_id: Mapped[str | None] = text_field(max_length=64, label="Tax ID", field_class=FieldClass.KYC,
        synonyms=("vat", "vat number", "tax number", "bin"))  # fmt: skip
    tax_id_key: Mapped[str | None] = mapped_column(
        Text, Computed("upper(regexp_replace(tax_id, '[^[:alnum:]]', '', 'g'))", persisted=True), index=True
    )
    annual_revenue: Mapped[Decimal | None] = money_field(only_for=COMPANY, synonyms=("revenue", "turnover"), minimum=0)
    annual_revenue_currency: Mapped[str | None] = currency_field(only_for=COMPANY, label="Currency of the revenue")
    employees: Mapped[int | None] = integer_field(only_for=COMPANY, label="Number of employees", minimum=0,
                                                  synonyms=("employees", "headcount", "staff"))  # fmt: skip

    preferred_payment_method: Mapped[PaymentMethod | None] = choice_field(PaymentMethod)
    preferred_delivery_method: Mapped[DeliveryMethod | None] = choice_field(DeliveryMethod)
    preferred_currency: Mapped[str | None] = currency_field()
    preferred_contact_method: Mapped[ContactMethod | None] = choice_field(ContactMethod)
    communication_language: Mapped[str | None] = language_field(help="Overrides the preferred language for messages")
    communication_frequency: Mapped[Frequency | None] = choice_field(Frequency)
    preferred_brands: Mapped[list[str] | None] = tags_field()
    preferred_models: Mapped[list[str] | None] = tags_field()
    preferred_features: Mapped[list[str] | None] = tags_field()
    price_from: Mapped[Decimal | None] = money_field(label="Price from", field_class=None, minimum=0)
    price_to: Mapped[Decimal | None] = money_field(label="Price to", field_class=None, minimum=0)
    preferred_dealer_id: Mapped[int | None] = reference_field("partner", table="party")
    preferred_advisor_id: Mapped[int | None] = reference_field("user", table="app_user")
    service_channel: Mapped[ServiceChannel | None] = choice_field(ServiceChannel, label="Preferred service channel")
    special_needs: Mapped[str | None] = long_text_field(field_class=FieldClass.SPECIAL,
                                                        help="Accessibility and other considerations")  # fmt: skip
    income_level: Mapped[IncomeLevel | None] = choice_field(
        IncomeLevel, only_for=PERSON, field_class=FieldClass.PERSONAL
    )
    life_stage: Mapped[LifeStage | None] = choice_field(LifeStage, only_for=PERSON, field_class=FieldClass.PERSONAL)

    data_quality: Mapped[int] = declare("integer", SmallInteger, Computed(SCORE, persisted=True), label="Data quality",
        editable=False, help="0 to 100; the page says what is missing", column={"nullable": False})  # fmt: skip

    derived = {
        "age_group": Field(kind="text", label="Age group", field_class=FieldClass.PERSONAL),
        "generation": Field(kind="text", field_class=FieldClass.PERSONAL),
        "merged_into": Field(kind="text", help="The code of the record that stands for this one"),
    }

    owner: Mapped[User | None] = relationship(foreign_keys=owner_id)
    team: Mapped[Team | None] = relationship()
    preferred_advisor: Mapped[User | None] = relationship(foreign_keys=preferred_advisor_id)
    preferred_dealer: Mapped[Party | None] = relationship(foreign_keys=preferred_dealer_id, remote_side="Party.id")
    contacts: Mapped[list[Contact]] = relationship(
        back_populates="party", order_by="Contact.is_primary.desc(), Contact.id"
    )
    addresses: Mapped[list[Address]] = relationship(back_populates="party",
                                                    order_by="Address.is_default.desc(), Address.id")  # fmt: skip

    __table_args__ = (
        CheckConstraint("price_from <= price_to", name="price_range", info={"says": ("price_to", "is less than “price from”")}),
        CheckConstraint("block_state = 'none' OR block_reason IS NOT NULL", name="block_has_reason"),
        Index("ix_party_status", "status", "id"), Index("ix_party_owner_name", "owner_id", "sort_name", "id"),
        Index("ix_party_roles", "roles", postgresql_using="gin"),
        Index("ix_party_industry", text("lower(industry)"), "id", postgresql_where=text("industry IS NOT NULL")),
        # Filters by these with their values; a name's order as well where a value has many.
        Index("ix_party_language", "language", "sort_name", "id"), Index("ix_party_gender", "gender", "id", postgresql_where=text("gender IS NOT NULL")),
        *(Index(f"ix_party_{name}_lower", literal_column(f"lower({name})").label("key"), "id",
                postgresql_ops={"key": "text_pattern_ops"}, postgresql_where=text(f"{name} IS NOT NULL")) for name in ("account_number", "tax_id")),
        # Who shows a rare face, and how many customers are new.
        *(Index(f"ix_party_is_{name}", "id", postgresql_where=text(shows(name))) for name in ("vendor", "partner", "end_customer")),
        Index("ix_party_new_customer", "created_at", "id",
              postgresql_where=text(f"{shows('customer')} AND archived_at IS NULL")),
    )  # fmt: skip

    @property
    def age(self) -> int | None:
        """Whole years today; None where the day of birth isn't known."""
        if self.date_of_birth is None:
            return None
        day = today()
        had_birthday = (day.month, day.day) >= (self.date_of_birth.month, self.date_of_birth.day)
        return day.year - self.date_of_birth.year - (not had_birthday)

    @property
    def age_group(self) -> str | None:
        if self.age is None:
            return None
        return next(name for limit, name in AGE_GROUPS if self.age < limit)

    @property
    def generation(self) -> str | None:
        """Boundaries by year of birth as the Pew Research Center draws them."""
        if self.date_of_birth is None:
            return None
        return next(name for first, name in GENERATIONS if self.date_of_birth.year >= first)

    @property
    def merged_into(self) -> str | None:
        """The code of the party that stands for this one; None unless it was merged."""
        if self.archived_at is None:
            return None
        return db.session.scalar(
            text("SELECT code FROM party WHERE id = survivor_of(:id) AND id <> :id"), {"id": self.id}
        )

    @classmethod
    def check(cls, face: Face, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        """A party keeps a role under which it is seen; a role or an owner is given by who may give it."""
        errors = {}
        if "roles" in values:
            roles = set(values["roles"] or ())
            shown = FACE_ROLES.get(face.name) or {role for some in FACE_ROLES.values() for role in some}
            if not roles.intersection(shown):
                errors["roles"] = f"must keep one that makes it a {face.label.lower()}"
            for role in sorted(roles.difference(record.roles if record is not None else face.defaults["roles"])):
                name = next(name for name, some in FACE_ROLES.items() if role in some)
                if allowed(by, f"{name}.create") is None:
                    errors["roles"] = f"you may not make a {name.replace('_', ' ')} of it"
        if allowed(by, f"{face.name}.reassign") is None:
            for name, own in (("owner", by.id), ("team", None)):
                given = values.get(name)
                if name in values if record is not None else given is not None and given != own:
                    errors[name] = "can only be changed by who may reassign"
        return errors

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """A display name from its parts, where only those were given."""
        if not values.get("name"):
            parts = [values.get(part) for part in ("first_name", "middle_name", "last_name")]
            values["name"] = " ".join(str(part).strip() for part in parts if part) or values.get("company_name")


def one_at_a_time(party_id: int) -> None:
    """Wait for whoever else is choosing which of this party's contacts or addresses comes first."""
    db.session.execute(select(Party.id).where(Party.id == party_id).with_for_update(key_share=True))


class Contact(Entity):
    """A person at a customer or vendor."""

    about = About(
        area="Customers", icon="contact", columns=("name", "party", "email", "phone", "designation", "is_primary"),
        search=("name", "email", "phone"), filters=("party", "is_primary", "designation", "department", "email", "phone",
                                                    "created_at"),
        sort=("name", "created_at"), within=("party", "owner"), delete=True, quick=("email", "phone", "designation"),
        brings=("party",),
        sections=(Section("Person", ("party", "name", "first_name", "last_name", "designation", "department")),
                  Section("How to reach them", ("email", "email_state", "phone", "phone_state", "notes"))),
        detail=(Section("Person", ("party", "name", "first_name", "last_name", "designation", "department", "is_primary")),
                Section("How to reach them", ("email", "email_state", "phone", "phone_state", "notes"))),
        help="The people at your customers and vendors.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Belongs to", required=True)
    name: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL)
    first_name: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL)
    last_name: Mapped[str | None] = text_field(field_class=FieldClass.PERSONAL)
    email: Mapped[str | None] = email_field(label="E-mail", column={"index": True})
    phone: Mapped[str | None] = phone_field(column={"index": True})
    email_state: Mapped[ChannelState] = choice_field(ChannelState, of="email", label="E-mail is",
                                                     column={"server_default": "unverified"})  # fmt: skip
    email_state_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="E-mail so since")
    phone_state: Mapped[ChannelState] = choice_field(ChannelState, of="phone", label="Phone is",
                                                     column={"server_default": "unverified"})  # fmt: skip
    phone_state_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Phone so since")
    designation: Mapped[str | None] = text_field(max_length=120, label="Title", synonyms=("title", "position"))
    department: Mapped[str | None] = text_field(max_length=120)
    is_primary: Mapped[bool] = boolean_field(editable=False, label="Primary", column={"server_default": text("false")})
    notes: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    party: Mapped[Party] = relationship(back_populates="contacts")

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """A name from its parts, where only those were given."""
        if not values.get("name"):
            values["name"] = " ".join(
                str(values[part]).strip() for part in ("first_name", "last_name") if values.get(part)
            )

    def created(self) -> None:
        """The first one of a party is its primary one."""
        one_at_a_time(self.party_id)
        others = select(Contact.id).where(Contact.party_id == self.party_id, Contact.is_primary).exists()
        db.session.execute(update(Contact).where(Contact.id == self.id, ~others).values(is_primary=True))

    __table_args__ = (Index("uq_contact_primary", "party_id", unique=True, postgresql_where=text("is_primary")),)


class Address(Entity):
    """A place of a party: main, billing or shipping."""

    about = About(
        area="Customers", icon="map-pin", title="one_line", delete=True,
        columns=("one_line", "party", "kind", "city", "country", "region", "is_default"),
        filters=("party", "kind", "city", "state", "country", "region", "postal_code", "is_default", "area_type"),
        search=("address", "street", "city", "postal_code"), sort=("created_at",), within=("party", "owner"),
        sections=(Section("Address", ("party", "kind", "address", "street", "house", "flat", "city", "state",
                                      "postal_code", "country", "region", "area_type")),),
        detail=(Section("Address", ("party", "kind", "is_default", "address", "street", "house", "flat", "city", "state",
                                    "postal_code", "country", "region", "area_type")),),
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Belongs to", required=True)
    kind: Mapped[AddressKind] = choice_field(AddressKind, column={"server_default": "main"})
    is_default: Mapped[bool] = boolean_field(editable=False, label="Default", column={"server_default": text("false")})
    address: Mapped[str | None] = text_field(label="Address", wide=True, field_class=FieldClass.CONTACT,
        help="On one line, as it stands on a letter", synonyms=("street address", "address line", "mailing street"))  # fmt: skip
    street: Mapped[str | None] = text_field(field_class=FieldClass.CONTACT)
    house: Mapped[str | None] = text_field(max_length=32, field_class=FieldClass.CONTACT)
    flat: Mapped[str | None] = text_field(max_length=32, field_class=FieldClass.CONTACT)
    city: Mapped[str | None] = text_field(max_length=120, field_class=FieldClass.CONTACT,
                                          synonyms=("town", "customer city"))  # fmt: skip
    state: Mapped[str | None] = text_field(max_length=120, label="State or province", field_class=FieldClass.CONTACT,
                                           synonyms=("province", "state province", "county"))  # fmt: skip
    postal_code: Mapped[str | None] = text_field(max_length=32, field_class=FieldClass.CONTACT,
                                                 synonyms=("zip", "zip code", "postcode", "plz"))  # fmt: skip
    country: Mapped[str | None] = country_field(synonyms=("country region", "office location", "nation"))
    # A trigger fills an empty one from the table of regions, as it does for whoever writes.
    region: Mapped[str | None] = text_field(max_length=120, help="Sales region or territory; empty: as the table of regions says",
        column={"server_default": FetchedValue(), "server_onupdate": FetchedValue()})  # fmt: skip
    region_filled: Mapped[bool] = boolean_field(editable=False, audited=False, label="Region from the table", column={
        "server_default": text("false"), "server_onupdate": FetchedValue()})  # fmt: skip
    area_type: Mapped[AreaType | None] = choice_field(AreaType)
    derived = {"one_line": Field(kind="text", label="Address", field_class=FieldClass.CONTACT)}
    party: Mapped[Party] = relationship(back_populates="addresses")

    def created(self) -> None:
        """The first one of a party is its default one."""
        one_at_a_time(self.party_id)
        others = select(Address.id).where(Address.party_id == self.party_id, Address.is_default).exists()
        db.session.execute(update(Address).where(Address.id == self.id, ~others).values(is_default=True))

    __table_args__ = (
        Index("uq_address_default", "party_id", unique=True, postgresql_where=text("is_default")),
        Index("ix_address_country", "country", "party_id"), Index("ix_address_city", text("lower(city)"), "party_id"),
    )  # fmt: skip

    @property
    def one_line(self) -> str:
        """The address as one reads it: as given, else from its parts."""
        street = " ".join(part for part in (self.street, self.house, self.flat) if part)
        place = " ".join(part for part in (self.postal_code, self.city) if part)
        country = countries().get(self.country or "", self.country)
        return (
            ", ".join(part for part in (self.address or street, place, self.state, country) if part) or self.kind.label
        )
