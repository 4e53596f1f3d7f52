"""Which sales region a country or one of its states belongs to; addresses without a region take it from here."""

from __future__ import annotations

from sqlalchemy import Computed, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm.core.entity import About, Entity, Section
from crm.core.fields import country_field, text_field
from crm.core.triggers import Trigger

# A state's own line goes before that of the whole country; case and accents don't matter.
REGION_OF = """(SELECT r.name FROM region r WHERE r.country = {country}
                 AND r.state_key IN ('', coalesce(crm_sort_key({state}), '')) ORDER BY r.state_key DESC LIMIT 1)"""


class Region(Entity):
    """A sales region or territory, and a country or state that lies in it; one region has as many lines as it takes."""

    about = About(
        area="Setup", icon="map-pin", columns=("name", "country", "state", "updated_at"), search=("name", "state"),
        filters=("name", "country", "state"), sort=("name", "created_at"), delete=True, importable=True,
        sections=(Section("Region", ("name", "country", "state"),
                          "An address in this country, or in this state of it, gets the region unless it has one of its own."),),
        detail=(Section("Region", ("name", "country", "state")),),
        help="Sales regions and territories: which country or state lies in which. Addresses take their region from here.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, label="Region", help="Such as DACH or West Coast",
                                   synonyms=("region", "territory", "sales region"))  # fmt: skip
    country: Mapped[str] = country_field(required=True)
    state: Mapped[str | None] = text_field(max_length=120, label="State or province", help="Empty: the whole country")
    state_key: Mapped[str] = mapped_column(
        String, Computed("coalesce(crm_sort_key(btrim(state)), '')", persisted=True), nullable=False
    )

    triggers = (
        # One rule for whoever writes an address. What a person gave stays; what came from here follows the place.
        Trigger("address_region", "BEFORE INSERT OR UPDATE", each="ROW", on="address",
                only="NEW.region IS NULL OR NEW.region_filled", body=f"""
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.region IS DISTINCT FROM OLD.region AND NEW.region IS NOT NULL THEN
    NEW.region_filled := false;
    RETURN NEW;
  END IF;
  NEW.region := {REGION_OF.format(country="NEW.country", state="btrim(NEW.state)")};
  NEW.region_filled := NEW.region IS NOT NULL;
  RETURN NEW;
END"""),
    )  # fmt: skip

    __table_args__ = (UniqueConstraint("country", "state_key", name="uq_region_state"),)
