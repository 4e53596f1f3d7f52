"""What importing into an entity knows beyond its declared fields: a word that means several columns, what follows from others."""

from __future__ import annotations

import datetime as dt
import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crm.core.days import today
from crm.core.entity import Entity, Face
from crm.core.fields import Field
from crm.core.permissions import Actor, allowed
from crm.importing.line_rules import LineRules, ReturnLineRules
from crm.importing.rule_base import Rules
from crm.models.access import User
from crm.models.contracts import Contract
from crm.models.parties import BlockState, Kind, Lifecycle, Party, Status
from crm.models.products import Product
from crm.models.sales_lines import Line
from crm.models.sales_orders import ReturnLine
from crm.models.vehicles import Vehicle

# Masked at its end, or the eleven signs that say model and plant but not which one (publishers cut it there), or no signs.
_PART_OF_A_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{11}|[A-HJ-NPR-Z0-9]*\*+|[^A-Z0-9]+", re.IGNORECASE)


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
    # What was undone or put away must not come back to life through a file; a merged one leads to the one that stands for it.
    matched_with = ("(party.archived_at IS NULL OR EXISTS (SELECT FROM party s "
                    "WHERE s.id = survivor_of(party.id) AND s.archived_at IS NULL OFFSET 0))")  # fmt: skip
    meant = "survivor_of(party.id)"
    left = "party.archived_at IS NOT NULL AND survivor_of(party.id) <> party.id"
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


class ProductRules(Rules):
    """A file without codes of its own means its products by their names."""

    def fills(self, mapped: frozenset[str]) -> frozenset[str]:
        return frozenset(("sku",)) if "name" in mapped and "sku" not in mapped else frozenset()

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        if self.fills(mapped):
            data["sku"] = data["name"]
            if len(data["sku"]) > 64:
                raise ValueError("SKU: is missing, and the name is too long to stand for it")


class VehicleRules(Rules):
    """The beginning of a VIN is that of many vehicles: it names none."""

    filled = ("remarks",)

    def prepare(self, face: Face, data: dict[str, Any]) -> None:
        super().prepare(face, data)
        vin = data.get("vin")
        if vin and _PART_OF_A_VIN.fullmatch(vin):
            del data["vin"]
            if any(map(str.isalnum, vin)):
                said = f"VIN as far as it was given: {vin}"
                data["remarks"] = "\n\n".join(filter(None, (data.get("remarks"), said)))


class ContractRules(Rules):
    """A contract that has run so many months began so many months ago."""

    filled = ("starts_on",)

    def targets(self, face: Face) -> list[Field]:
        return [Field(kind="integer", name="months_so_far", attribute="months_so_far", label="Months it has run", minimum=0,
                      maximum=1200, of="starts_on", synonyms=("tenure", "tenure in months"))]  # fmt: skip

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        months = data.pop("months_so_far", None)
        if months is not None and not data.get("starts_on"):
            day = today()
            year, month = divmod(day.year * 12 + day.month - 1 - int(months), 12)
            data["starts_on"] = dt.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1])).isoformat()


class UserRules(Rules):
    """Who has left gets no more work."""

    matched_with = "app_user.active"


_RULES: tuple[tuple[type[Entity], Rules], ...] = (
    (Party, PartyRules()),
    (Line, LineRules()),
    (ReturnLine, ReturnLineRules()),
    (Product, ProductRules()),
    (Vehicle, VehicleRules()),
    (Contract, ContractRules()),
    (User, UserRules()),
)
_NONE = Rules()


def rules_of(face: Face) -> Rules:
    return next((rules for entity, rules in _RULES if issubclass(face.entity, entity)), _NONE)
