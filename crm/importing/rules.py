"""What importing into an entity knows beyond its declared fields: a word that means several columns, what follows from others."""

# ruff: noqa: S608 - statements are put together from declarations

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crm.core.entity import Entity, Face
from crm.core.fields import Field
from crm.core.permissions import Actor, allowed
from crm.models.access import User
from crm.models.parties import BlockState, Kind, Lifecycle, Party, Status
from crm.models.products import Product
from crm.models.sales_lines import Line


class Rules:
    """What importing into an entity knows beyond its declared fields. This one knows nothing more."""

    def targets(self, face: Face) -> list[Field]:
        """Fields that can be imported although no form offers them."""
        return []

    def prepare(self, face: Face, data: dict[str, Any]) -> None:
        """Fill in what follows from the other values of the row alone."""
        face.entity.complete(data)

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        """Fill in, from what was read, what else a new record needs. ValueError refuses the row."""

    def kept_from(self, face: Face, actor: Actor) -> frozenset[str]:
        """Targets that this person may not set although the fields are open."""
        return frozenset()

    # Columns that only a new record gets; an update leaves them alone.
    only_new: frozenset[str] = frozenset()
    # Name → SQL type of staged values that are no columns, for `refuses_update`.
    more: Mapping[str, str] = {}

    def refuses_update(self) -> str | None:
        """SQL over the record and its new values (`v`): why a matched row must not be taken, or NULL."""
        return None

    # Column → (SQL: it may follow, SQL: its new value), where the file has its parts but not itself.
    derived: Mapping[str, tuple[str, str]] = {}
    # SQL: the records that a row may be matched with.
    matched_with: str = "true"
    # What Python would check of one record at a time is checked here for all rows at once, or by the database.
    checked: bool = False

    # Columns that `fill` gives a value.
    filled: tuple[str, ...] = ()

    def fills(self, mapped: frozenset[str]) -> frozenset[str]:
        """Required fields that a new record gets from others of these."""
        return frozenset()

    def fill(self, face: Face) -> str | None:
        """SQL over the staged row `r`: what it adds where the file says nothing; None for nothing."""
        return None


class PartyRules(Rules):
    """Customers and their kin: the kind follows from the columns, the status is told as one word."""

    only_new = frozenset(("kind", "block_state", "block_reason", "blocked_at", "archived_at"))
    more = {"status": "text", "first_name": "text", "middle_name": "text", "last_name": "text"}
    # A display name that was put together from its parts goes on following them.
    derived = {
        "name": (
            "party.name = concat_ws(' ', party.first_name, party.middle_name, party.last_name)",
            (
                "concat_ws(' ', coalesce(v.first_name, party.first_name), "
                "coalesce(v.middle_name, party.middle_name), coalesce(v.last_name, party.last_name))"
            ),
        )
    }
    # What was undone or put away must not come back to life through a file.
    matched_with = "party.archived_at IS NULL"
    checked = True
    filled = ("kind",)

    def targets(self, face: Face) -> list[Field]:
        status = face.fields["status"]
        return [
            replace(status, choices=Status, editable=True),
            replace(face.fields["customer_since"], editable=True),
        ]

    def kept_from(self, face: Face, actor: Actor) -> frozenset[str]:
        return frozenset(("owner", "team")) if allowed(actor, f"{face.name}.reassign") is None else frozenset()

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        if not data.get("kind"):
            data["kind"] = str(self._kind(data, mapped).value)
        status = data.get("status")
        if status in tuple(BlockState):
            data |= {
                "block_state": status,
                "block_reason": "It was so in the imported file",
                "blocked_at": "now",
            }
        elif status == Status.ARCHIVED.value:
            data["archived_at"] = "now"
        elif status in tuple(Lifecycle):
            data["lifecycle"] = status

    @staticmethod
    def _kind(data: Mapping[str, Any], mapped: frozenset[str]) -> Kind:
        if any(data.get(name) for name in ("first_name", "last_name", "gender", "date_of_birth")):
            return Kind.INDIVIDUAL
        company = data.get("company_name")
        if company and data.get("name") in (None, company):
            return Kind.ORGANIZATION
        persons = mapped & {"first_name", "last_name", "gender", "date_of_birth", "company_name"}
        businesses = mapped & {"industry", "annual_revenue", "employees", "tax_id", "website"}
        return Kind.ORGANIZATION if businesses and not persons else Kind.INDIVIDUAL

    def refuses_update(self) -> str | None:
        special = "('blocked', 'blacklisted', 'archived')"
        return (
            f"CASE WHEN v.status <> party.status AND (v.status IN {special} OR party.status IN {special}) "
            "THEN 'it is ' || party.status || ', the file says ' || v.status "
            "|| ': change that on the record itself' END"
        )


class LineRules(Rules):
    """Lines of orders, quotes and deals say what their product says, where the file says nothing of its own."""

    filled = ("name", "sku", "unit_price", "unit_cost")

    def prepare(self, face: Face, data: dict[str, Any]) -> None:
        """Which product is meant isn't known yet; see `fill`."""

    def fills(self, mapped: frozenset[str]) -> frozenset[str]:
        return frozenset(("name", "unit_price")) if "product" in mapped else frozenset()

    def fill(self, face: Face) -> str | None:
        assert issubclass(face.entity, Line)
        link, holder = face.entity.holder
        known = {"name": "p.name", "sku": "p.sku"}
        priced = {name: f"CASE WHEN h.currency = p.currency THEN p.{other} END"
                  for name, other in (("unit_price", "price"), ("unit_cost", "unit_cost"))}  # fmt: skip
        pairs = ", ".join(f"'{name}', {value}" for name, value in (known | priced).items())
        return (
            f"SELECT jsonb_strip_nulls(jsonb_build_object({pairs})) FROM product p, {holder.__tablename__} h "
            f"WHERE p.id = CAST(r.data->>'product_id' AS bigint) AND h.id = CAST(r.data->>'{link}_id' AS bigint)"
        )


class ProductRules(Rules):
    """A file without codes of its own means its products by their names."""

    def fills(self, mapped: frozenset[str]) -> frozenset[str]:
        return frozenset(("sku",)) if "name" in mapped and "sku" not in mapped else frozenset()

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        if self.fills(mapped):
            data["sku"] = data["name"]
            if len(data["sku"]) > 64:
                raise ValueError("SKU: is missing, and the name is too long to stand for it")


class UserRules(Rules):
    """Who has left gets no more work."""

    matched_with = "app_user.active"


_RULES: tuple[tuple[type[Entity], Rules], ...] = (
    (Party, PartyRules()),
    (Line, LineRules()),
    (Product, ProductRules()),
    (User, UserRules()),
)
_NONE = Rules()


def rules_of(face: Face) -> Rules:
    return next((rules for entity, rules in _RULES if issubclass(face.entity, entity)), _NONE)
