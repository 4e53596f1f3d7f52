"""What every page shows around its content: menu, search, the person, notices."""

from __future__ import annotations

from typing import Any

from flask import Flask, url_for
from flask_login import current_user

from admin_views.cells import initials, tone_of
from admin_views.lists import endpoint, may
from admin_views.menu import menu
from crm.core.entity import face_named

PRODUCT = "Customer Desk"


def shell() -> dict[str, Any]:
    if not current_user.is_authenticated:
        return {"product": PRODUCT, "user": None, "nav": "", "notices": []}
    user = current_user
    customers = face_named("customer")
    notices = []
    if user.must_change_password:
        notices.append({"tone": "warning", "text": "You signed in with a one-time password.",
                        "url": url_for("access.password"), "link_text": "Choose your own"})  # fmt: skip
    return {
        "product": PRODUCT, "home_url": url_for("admin.index"), "nav": menu(),
        "user": {"name": user.name, "email": user.email, "initials": initials(user.name), "tone": tone_of(user),
                 "role": ", ".join(role.label for role in user.roles), "account_url": url_for("access.password"),
                 "logout_url": url_for("access.logout")},
        "search_url": url_for(endpoint(customers, "index_view")), "search_placeholder": "Search customers",
        "can_search": may(customers, "read"), "notices": notices,
    }  # fmt: skip


def add_shell(app: Flask) -> None:
    """Make `shell` known to every template; worked out only where one asks for it."""
    app.context_processor(lambda: {"shell": _Lazy()})
    # Icons ask for it hundreds of times on a page, and macros don't see a request's context.
    app.jinja_env.globals["asset_root"] = f"{app.static_url_path}/"


class _Lazy:
    """Works out the shell at the first question: fragments and files never ask."""

    def __init__(self) -> None:
        self._shell: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._shell is None:
            self._shell = shell()
        return self._shell.get(name)
