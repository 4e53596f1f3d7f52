"""How parties want to be reached: for each purpose the channels in order, days, hours and quiet hours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Face, Section
from crm.core.fields import (
    FieldClass,
    choice_field,
    choices_field,
    integer_field,
    long_text_field,
    reference_field,
    time_zone_field,
)  # fmt: skip
from crm.models.parties import Party
from crm.models.party_choices import ContactMethod, Purpose, Weekday


class ChannelPreference(Entity):
    """How a party wants to be reached for one purpose: channels in order, days, hours, quiet hours."""

    about = About(
        area="Customers", icon="clock", title="purpose", delete=True,
        columns=("purpose", "party", "channels", "days", "hours_from", "hours_to"),
        filters=("party", "purpose", "channels"), sort=("created_at",), within=("party", "owner"),
        sections=(Section("Preference", ("party", "purpose", "channels", "days", "hours_from", "hours_to", "quiet_from",
                                         "quiet_to", "time_zone", "remarks")),),
        detail=(Section("Preference", ("party", "purpose", "channels", "days", "hours_from", "hours_to", "quiet_from",
                                       "quiet_to", "time_zone", "remarks")),),
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Belongs to", required=True)
    purpose: Mapped[Purpose] = choice_field(Purpose, required=True)
    channels: Mapped[list[str] | None] = choices_field(ContactMethod, help="The first one is tried first")
    days: Mapped[list[str] | None] = choices_field(Weekday, label="Preferred days")
    hours_from: Mapped[int | None] = integer_field(minimum=0, maximum=23, label="From (hour)")
    hours_to: Mapped[int | None] = integer_field(minimum=1, maximum=24, label="To (hour)")
    quiet_from: Mapped[int | None] = integer_field(minimum=0, maximum=23, label="Quiet from (hour)")
    quiet_to: Mapped[int | None] = integer_field(minimum=0, maximum=24, label="Quiet to (hour)")
    time_zone: Mapped[str | None] = time_zone_field()
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    party: Mapped[Party] = relationship(backref=backref("channel_preferences", order_by="ChannelPreference.id"))

    __table_args__ = (
        UniqueConstraint("party_id", "purpose", name="uq_channel_preference_purpose"),
        CheckConstraint("hours_from < hours_to", name="hours_to_order"),
        CheckConstraint("(hours_from IS NULL) = (hours_to IS NULL)", name="hours_both"),
        # Quiet hours may go over midnight.
        CheckConstraint("(quiet_from IS NULL) = (quiet_to IS NULL) AND quiet_from <> quiet_to", name="quiet_both"),
    )  # fmt: skip

    @classmethod
    def check(cls, face: Face, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        """A span has two ends."""
        errors = {}
        after = {name: values.get(name, getattr(record, name, None)) for name in cls.fields()}
        for first, last in (("hours_from", "hours_to"), ("quiet_from", "quiet_to")):
            if (after[first] is None) != (after[last] is None):
                errors[last if after[last] is None else first] = "is missing: give both hours, or none"
        if after["quiet_from"] is not None and after["quiet_from"] == after["quiet_to"]:
            errors["quiet_to"] = "is the hour at which they begin"
        return errors
