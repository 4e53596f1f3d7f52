"""Registers a screen for every face; a view of its own where a domain needs more."""

from __future__ import annotations

from flask import Flask
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme

from admin_views import access, shell
from admin_views.audit import AuditView
from admin_views.base import EntityView
from admin_views.credit import CreditAccountView
from admin_views.credit_requests import CreditRequestView
from admin_views.deals import DealView
from admin_views.duplicates import DuplicateView
from admin_views.export_pages import ExportView
from admin_views.home import HomeView
from admin_views.imports import ImportView
from admin_views.jobs import JobView
from admin_views.ladders import LadderView
from admin_views.leads import LeadView
from admin_views.loyalty import LoyaltyAccountView
from admin_views.parties import PartyView
from admin_views.party_documents import AttachmentView, DocumentView
from admin_views.party_merges import MergeView
from admin_views.rights import RoleView, UserView
from admin_views.saved_view_pages import SavedViewView
from admin_views.segments import SegmentView
from crm.core.entity import Face, all_faces

# Face name → its view, where the generated one isn't enough.
SPECIAL: dict[str, type[EntityView]] = {
    "customer": PartyView, "vendor": PartyView, "partner": PartyView, "end_customer": PartyView, "party": PartyView,
    "lead": LeadView, "deal": DealView, "document": DocumentView, "attachment": AttachmentView,
    "role": RoleView, "user": UserView, "import": ImportView, "job": JobView, "audit_entry": AuditView, "export": ExportView,
    "saved_view": SavedViewView, "duplicate_candidate": DuplicateView, "credit_account": CreditAccountView, "loyalty_account": LoyaltyAccountView,
    "credit_request": CreditRequestView,
    "merge": MergeView, "segment": SegmentView, "ladder": LadderView,
}  # fmt: skip


def add_screens(app: Flask) -> Admin:
    """Sign-in, home, and a screen for each face of every declared entity."""
    access.login_manager.init_app(app)
    app.register_blueprint(access.blueprint)
    shell.add_shell(app)
    admin = Admin(app, name=shell.PRODUCT, index_view=HomeView(name="Home"), url="/admin",
                  theme=Bootstrap4Theme(base_template="desk/base.html"))  # fmt: skip
    for face in all_faces():
        if face.about.screen:
            add_screen(admin, face)
    return admin


def add_screen(admin: Admin, face: Face) -> EntityView:
    view = SPECIAL.get(face.name, EntityView)(face)
    admin.add_view(view)
    return view
