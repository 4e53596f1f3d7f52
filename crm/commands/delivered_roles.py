"""The roles that come with the product: what each may do, on which rows, and which classes of fields it sees.

Areas and `business` stand in patterns wherever a right isn't about one entity, so that an entity that comes later is
covered by where it appears.
"""

from __future__ import annotations

from dataclasses import dataclass

from crm.core.fields import FieldClass
from crm.core.permissions import Access, FieldGrant, Grant, Scope

HIDDEN, MASKED, READ, WRITE = Access
OPEN, CONTACT, FINANCIAL, PERSONAL, SPECIAL, KYC = FieldClass


@dataclass(frozen=True)
class Delivered:
    label: str
    description: str
    grants: tuple[Grant, ...]
    fields: tuple[FieldGrant, ...]

    @property
    def lines(self) -> tuple[Grant | FieldGrant, ...]:
        return (*self.grants, *self.fields)


def _rows(scope: Scope, *patterns: str) -> tuple[Grant, ...]:
    return tuple(Grant(pattern, scope) for pattern in patterns)


def _all(*patterns: str) -> tuple[Grant, ...]:
    return _rows(Scope.ALL, *patterns)


def _show(pattern: str, access: Access, *classes: FieldClass) -> tuple[FieldGrant, ...]:
    return tuple(FieldGrant(pattern, access, one) for one in classes) or (FieldGrant(pattern, access),)


# People and teams are found by name to give them work; what one asked for oneself, one may watch and cancel; the views
# one saved are one's own.
_EVERYBODY = (
    *_all("user.pick", "team.pick"),
    *_rows(
        Scope.OWN,
        "job.read",
        "job.cancel",
        "job.retry",
        "import.read",
        "export.read",
        "saved_view.read",
        "saved_view.edit",
        "saved_view.delete",
    ),
)
_COMMON = (*_show("user.name", READ), *_show("saved_view.name", WRITE))
_SERVICE_PARTS = ("contact", "address", "channel_preference", "relation", "note")
_READER = (*_all("business.read"), *_EVERYBODY)

DELIVERED: dict[str, Delivered] = {
    "admin": Delivered(
        "Administrator", "Everything but deciding on credit",
        (*_all("*"), Grant("credit_request.approve", deny=True), Grant("credit_request.refuse", deny=True)),
        _show("*", WRITE)),
    "manager": Delivered(
        "Manager", "Runs a team: all of its customers and partners, imports, exports",
        (*_rows(Scope.TEAM, "business.read", "business.export", "business.export_personal", "Customers.*", "Partners.*"),
         *_EVERYBODY),
        (*_show("business.*", WRITE, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_show("business.*", READ, SPECIAL),
         *_COMMON)),
    "sales_rep": Delivered(
        "Sales representative", "Own customers and what belongs to them; reads the team's",
        (*_rows(Scope.TEAM, "Customers.read"),
         *_rows(Scope.OWN, "Customers.edit", "Customers.delete", "customer.export", "customer.activate",
                "customer.deactivate", "customer.mark_prospect", "customer.mark_churned", "contact.set_primary",
                "address.set_default", "note.pin", "note.unpin", "relation.end"),
         *_all("Customers.create", "Partners.read"), *_EVERYBODY),
        (*_show("business.*", WRITE, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_COMMON)),
    "service_advisor": Delivered(
        "Service advisor", "Reads every customer; keeps what service needs, contacts and addresses right",
        (*_READER, *_all("customer.edit", "end_customer.edit",
                         *(f"{part}.{verb}" for part in _SERVICE_PARTS for verb in ("create", "edit")))),
        (*_show("business.*", READ, OPEN, CONTACT, PERSONAL), *_show("business.*", WRITE, SPECIAL),
         *(line for part in _SERVICE_PARTS for line in _show(f"{part}.*", WRITE, OPEN, CONTACT, PERSONAL)),
         *(line for name in ("preferred_brands", "preferred_models", "preferred_features", "preferred_dealer",
                             "preferred_advisor", "service_channel") for line in _show(f"Customers.{name}", WRITE)),
         *_COMMON)),
    "credit_approver": Delivered(
        "Credit approver", "Decides on credit, reads what it needs", _READER,
        (*_show("business.*", READ, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_COMMON)),
    "marketer": Delivered(
        "Marketer", "Reads customers without who they are; keeps tags and preferences",
        (*_READER, *_all("customer.edit", "end_customer.edit", "channel_preference.create", "channel_preference.edit")),
        (*_show("business.*", READ, OPEN, FINANCIAL), *_show("business.*", MASKED, CONTACT, PERSONAL),
         *_show("Customers.tags", WRITE), *_show("Customers.preferred_*", WRITE), *_show("Customers.communication_*", WRITE),
         *_show("channel_preference.*", WRITE, OPEN), *_COMMON)),
    "auditor": Delivered(
        "Auditor", "Reads everything with the values masked, changes nothing", _all("*.read"),
        (*_show("*", MASKED, CONTACT, FINANCIAL, PERSONAL, SPECIAL, KYC), *_COMMON, *_show("team_member.who", READ))),
    "finance": Delivered(
        "Finance", "Invoices and payments; reads the rest", _READER,
        (*_show("business.*", READ, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_COMMON)),
    "operations": Delivered(
        "Operations", "Orders and deliveries; reads the rest", _READER,
        (*_show("business.*", READ, OPEN, CONTACT, PERSONAL), *_COMMON)),
}  # fmt: skip
