"""The roles that come with the product: what each may do, on which rows, and which classes of fields it sees.

Areas and `business` stand in patterns wherever a right isn't about one entity, so that an entity that comes later is
covered by where it appears.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from crm import models as _models  # noqa: F401 - declares what lies in an area
from crm.core.entity import all_faces
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
# one saved are one's own. Whoever is given a task does it, whatever else the person may.
_EVERYBODY = (
    *_all("user.pick", "team.pick", "task.create", "policy.read", "policy.confirm"),
    *_rows(
        Scope.OWN,
        "job.read",
        "job.cancel",
        "job.pause",
        "job.resume",
        "job.retry",
        "import.read",
        "export.read",
        "saved_view.read",
        "saved_view.edit",
        "saved_view.delete",
        "import_profile.read",
        "import_profile.edit",
        "import_profile.delete",
        "task.read",
        "task.edit",
        "task.complete",
        "task.cancel",
        "task.reopen",
        "alert.read",
        "alert.settle",
        "alert.dismiss",
    ),
)
_COMMON = (
    *_show("user.name", READ),
    *_show("saved_view.name", WRITE),
    *_show("import_profile.name", WRITE),
    *_show("task.*", WRITE, OPEN),
)
_TASKS = _show("task.*", WRITE, PERSONAL)
_SERVICE_PARTS = ("contact", "address", "channel_preference", "relation", "note", "interaction")
# What a service advisor may begin for sales, and what operations keeps on its way.
_OFFERS = ("lead", "deal", "deal_line", "quote", "quote_line", "order", "order_line")
_ON_ITS_WAY = ("order", "order_line", "return", "return_line", "delivery", "orientation", "service_appointment")
_CHECKLIST = ("onboarding_step.finish", "onboarding_step.reopen")
_PRIVACY = ("consent.*", "privacy_request.*", "processing_activity.*", "suppression.*")
_VENDORS = ("performance_score.*", "risk_assessment.*", "relationship_health.*", "contract.*", "contract_obligation.*",
            "compliance_requirement.*", "compliance_record.*")  # fmt: skip

_MEMBERS = tuple(f"loyalty_account.{verb}" for verb in ("create", "edit", "accept_terms", "invite", "earn", "redeem"))
_OF_CREDIT = tuple(f"{part}.*" for part in ("credit_request", "credit_decision", "credit_delegation", "credit_hold", "credit_release", "credit_reminder", "invoice",
                                            "payment", "payment_allocation"))  # fmt: skip
_DECIDING = ("credit_request.approve", "credit_request.refuse", "approval_band.delegate")
# Who builds a ladder doesn't agree to moves down on it by the same role. Left out, not denied: a marketer may hold another
# role that agrees, such as a manager's or one of their own for whoever leads marketing.
_MARKETING = (*(f"{face.name}.*" for face in all_faces() if face.about.area == "Marketing" and face.name != "ladder_move"),
              "ladder_move.read", "ladder_move.export")  # fmt: skip
_HOLDING = ("credit_account.hold", "credit_hold.release", "order.release", "credit_release.review")
_PAID = ("payment.create", "payment.take_back", "payment.allocate", "credit_account.remind")


def _none(*patterns: str) -> tuple[Grant, ...]:
    return tuple(Grant(pattern, deny=True) for pattern in patterns)


# Lists for campaigns: whom one may write to, and how.
_MAILING = tuple(f"{face}.{verb}" for face in ("customer", "end_customer", "contact")
                 for verb in ("export", "export_consented"))  # fmt: skip
# To keep records right one by one isn't to bring them in by the thousand.
_NO_FILES = _none("business.import")
_READER = (*_all("business.read"), *_EVERYBODY)

DELIVERED: dict[str, Delivered] = {
    "admin": Delivered(
        "Administrator", "Everything but deciding on credit",
        (*_all("*"), *_none(*_DECIDING)),
        _show("*", WRITE)),
    "manager": Delivered(
        "Manager", "Runs a team: all of its customers and partners, imports, exports",
        (*_rows(Scope.TEAM, "business.read", "business.export", "business.export_personal", "Customers.*", "Sales.*",
                "Service.*", "Vehicles.*", "Products.*", "Partners.*", "Marketing.*", "Insight.*", "consent.*",
                "privacy_request.*", "credit_account.create", "credit_account.edit", "credit_account.review", "credit_account.remind", "credit_request.*",
                "approval_band.delegate", *_HOLDING, "loyalty_account.*", "redemption.*", "referral.*", "point_request.*", "credit_delegation.revoke"),
         *_EVERYBODY),
        (*_show("business.*", WRITE, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_show("business.*", READ, SPECIAL),
         *_COMMON, *_TASKS)),
    "sales_rep": Delivered(
        "Sales representative", "Own customers and what belongs to them; reads the team's",
        (*_rows(Scope.TEAM, "Customers.read", "Sales.read", "Service.read", "Vehicles.read", "Insight.read", "consent.read",
                "privacy_request.read", "Credit.read", "Loyalty.read", "Marketing.read"),
         *_rows(Scope.OWN, "Customers.edit", "Customers.delete", "customer.export", "customer.import", "Sales.edit", "Sales.delete",
                "Sales.export", "Vehicles.edit", "lead.convert", "deal.move", *_CHECKLIST, "customer.activate",
                "customer.deactivate", "customer.mark_prospect", "customer.mark_churned", "contact.set_primary",
                "address.set_default", "note.pin", "note.unpin", "relation.end", "interaction.follow_up_done",
                "ticket.escalate", "customer_offer.edit", "customer_offer.accept", "customer_offer.refuse",
                "consent.withdraw", "recommendation.edit", "recommendation.accept", "recommendation.refuse",
                "credit_account.create", "credit_request.create", "credit_request.withdraw", *_MEMBERS, "redemption.*",
                "referral.*", "customer.came_by", "check_in.done", "enrichment_proposal.accept", "enrichment_proposal.refuse"),
         *_all("Customers.create", "Sales.create", "service_appointment.create", "Vehicles.create", "Products.read",
               "Setup.read", "Partners.read", "ticket.create", "customer_offer.create",
               "consent.create", "privacy_request.create"), *_EVERYBODY),
        (*_show("business.*", WRITE, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_COMMON, *_TASKS)),
    "service_advisor": Delivered(
        "Service advisor", "Reads every customer; keeps what service needs, contacts and addresses right",
        (*_READER, *_all("customer.edit", "end_customer.edit", "Service.*", "Vehicles.create", "Vehicles.edit", "task.*",
                         "interaction.follow_up_done", "customer_offer.*", *_MEMBERS, "redemption.*",
                         "referral.*", "customer.came_by", "end_customer.came_by", "consent.create", "consent.withdraw",
                         "privacy_request.create", "check_in.done", "duplicate_candidate.create", *(f"{part}.create" for part in _OFFERS),
                         *(f"{part}.{verb}" for part in _SERVICE_PARTS for verb in ("create", "edit"))), *_NO_FILES),
        (*_show("business.*", READ, OPEN, CONTACT, PERSONAL), *_show("business.*", WRITE, SPECIAL),
         *(line for part in ("Service", "customer_offer", "consent", "privacy_request")
           for line in _show(f"{part}.*", WRITE, OPEN, CONTACT, PERSONAL)),
         *(line for part in _SERVICE_PARTS for line in _show(f"{part}.*", WRITE, OPEN, CONTACT, PERSONAL)),
         *(line for part in ("Service", "Vehicles", *_OFFERS)
           for line in _show(f"{part}.*", WRITE, OPEN, CONTACT, FINANCIAL, PERSONAL)),
         *(line for name in ("preferred_brands", "preferred_models", "preferred_features", "preferred_dealer",
                             "preferred_advisor", "service_channel") for line in _show(f"Customers.{name}", WRITE)),
         *_COMMON, *_TASKS)),
    "credit_approver": Delivered(
        "Credit approver", "Decides on credit, reads what it needs",
        (*_READER, *_all(*_DECIDING, *_HOLDING, "credit_account.edit", "credit_account.review", "credit_account.export", *_PAID),
         *_rows(Scope.OWN, "credit_delegation.revoke"), *_none("Marketing.*", "Loyalty.*", *_PRIVACY)),
        (*_show("business.*", READ, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_show("Credit.*", WRITE, OPEN, FINANCIAL), *_COMMON,
         *_TASKS)),
    "marketer": Delivered(
        "Marketer", "Reads customers without who they are, exports how to reach those who agreed; keeps tags and preferences",
        (*_READER, *_all("customer.edit", "end_customer.edit", "channel_preference.create", "channel_preference.edit",
                         *_MARKETING, "cost_input.create", "cost_input.edit", "consent.withdraw", *_MAILING,
                         *(f"{part}.*" for part in ("loyalty_program", "loyalty_terms", "loyalty_tier", "reward", "referral")),
                         *(f"{face}.{verb}" for face in ("customer", "end_customer")
                           for verb in ("add_to_segment", "remove_from_segment"))),
         *_none("privacy_request.*", "processing_activity.*", *_VENDORS, *_OF_CREDIT), *_NO_FILES),
        (*_show("business.*", READ, OPEN, FINANCIAL), *_show("business.*", MASKED, CONTACT, PERSONAL),
         *_show("Customers.tags", WRITE), *_show("Customers.preferred_*", WRITE), *_show("Customers.communication_*", WRITE),
         *_show("channel_preference.*", WRITE, OPEN), *_show("Marketing.*", WRITE, OPEN, FINANCIAL), *_show("Loyalty.*", WRITE, OPEN, FINANCIAL),
         *_show("cost_input.*", WRITE, OPEN, FINANCIAL),
         *_COMMON)),
    "auditor": Delivered(
        "Auditor", "Reads everything with the values masked, changes nothing", _all("*.read"),
        (*_show("*", MASKED, CONTACT, FINANCIAL, PERSONAL, SPECIAL, KYC), *_show("user.name", READ), *_show("team_member.who", READ))),
    "finance": Delivered(
        "Finance", "Invoices and payments; reads the rest",
        (*_READER, *_all("credit_account.create", "credit_account.edit", "credit_account.review", "credit_account.export", "invoice.*", *_PAID,
                         "segment.statements", "loyalty_account.pay_out", "loyalty_account.set_off"),
         *_none(*_DECIDING)),
        (*_show("business.*", READ, OPEN, CONTACT, FINANCIAL, PERSONAL, KYC), *_show("Credit.*", WRITE, OPEN, FINANCIAL), *_COMMON,
         *_TASKS)),
    "operations": Delivered(
        "Operations", "Orders, deliveries and appointments; reads the rest",
        (*_READER, *_all(*_CHECKLIST, *(f"{part}.{verb}" for part in _ON_ITS_WAY for verb in ("create", "edit", "delete")))),
        (*_show("business.*", READ, OPEN, CONTACT, PERSONAL), *_COMMON, *_TASKS,
         *(line for part in _ON_ITS_WAY for line in _show(f"{part}.*", WRITE, OPEN, CONTACT, FINANCIAL, PERSONAL)))),
}  # fmt: skip

# Up to which credit limit the people of a role decide: alone, and as one of two (None: any).
BANDS: dict[str, dict[str, Decimal | None]] = {
    "credit_approver": {"alone_up_to": Decimal(100_000), "up_to": None},
    "manager": {"alone_up_to": Decimal(10_000), "up_to": Decimal(10_000)},
}
