"""Signing in and out, and choosing a password."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from flask_login import LoginManager, current_user, login_required
from werkzeug.wrappers import Response

from crm.commands import access
from crm.core.audit import Acting, acting_as
from crm.core.command import WrongInput
from crm.core.transaction import keep_anyway
from crm.models.access import User

blueprint = Blueprint("access", __name__)
login_manager = LoginManager()
login_manager.login_view = "access.login"
login_manager.login_message = None  # the page says itself what it is for
TOKEN = "desk_session"  # noqa: S105 - the name under which the cookie holds it


@login_manager.request_loader
def _user_of_request(_request: Any) -> User | None:
    token = session.get(TOKEN)
    return access.session_user(token) if isinstance(token, str) else None


def safe_next(raw: str | None) -> str:
    """Where to go after signing in: a path of ours, whatever was asked for."""
    if raw and re.fullmatch(r"/(?![/\\])[^\x00-\x1f\\]*", raw) and "://" not in raw.split("?")[0]:
        return raw
    return url_for("admin.index")


@blueprint.route("/login", methods=("GET", "POST"))
def login() -> Any:
    wanted = request.values.get("next")
    if current_user.is_authenticated:
        return redirect(safe_next(wanted), 303)
    email = request.form.get("email", "")
    errors: list[str] = []
    status = 200
    if request.method == "POST":
        # A failed try answers with an error page, and is recorded all the same.
        keep_anyway()
        try:
            found = access.sign_in(email, request.form.get("password", ""), ip=request.remote_addr or "",
                                   user_agent=request.user_agent.string)  # fmt: skip
            if found is not None:
                session.clear()
                session[TOKEN] = found[1]
                session.permanent = True
                return redirect(safe_next(wanted), 303)
            errors, status = ["The e-mail or the password is wrong."], 401
        except access.Throttled as throttled:
            errors, status = [str(throttled)], 429
            answer = _login_page(email, errors, wanted, status)
            answer.headers["Retry-After"] = str(throttled.seconds)
            return answer
    return _login_page(email, errors, wanted, status)


def _login_page(email: str, errors: list[str], wanted: str | None, status: int) -> Response:
    page = render_template("desk/login.html", action=url_for("access.login"), next=wanted, email=email[:255],
                           errors=errors, needs_code=False)  # fmt: skip
    return make_response(page, status)


@blueprint.route("/logout", methods=("POST",))
def logout() -> Any:
    token = session.get(TOKEN)
    if isinstance(token, str):
        access.end_session(token)
    session.clear()
    flash("You are signed out.", "good")
    return redirect(url_for("access.login"), 303)


@blueprint.route("/password/", methods=("GET", "POST"))
@login_required
def password() -> Any:
    wrong: dict[str, str] = {}
    if request.method == "POST":
        try:
            if request.form.get("password") != request.form.get("again"):
                raise WrongInput({"again": "is not the same as the new password"})
            with acting_as(Acting(current_user.id, "screen")):
                access.change_password(current_user, current=request.form.get("current", ""),
                                       new=request.form.get("password", ""), keep_session=session[TOKEN])  # fmt: skip
            flash("Your password was changed; every other browser was signed out.", "good")
            return redirect(url_for("admin.index"), 303)
        except WrongInput as fault:
            wrong = fault.errors
    least = f"At least {access.SHORTEST_PASSWORD} characters; a sentence is good"
    fields = [
        {"name": "current", "label": "Present password", "autocomplete": "current-password", "help": ""},
        {"name": "password", "label": "New password", "autocomplete": "new-password", "help": least},
        {"name": "again", "label": "New password again", "autocomplete": "new-password", "help": ""},
    ]  # fmt: skip
    page = render_template(
        "desk/password.html", action=url_for("access.password"), title="Choose a password",
        text="You stay signed in here and are signed out everywhere else.", errors=[],
        fields=[field | {"type": "password", "errors": [wrong[name]] if (name := field["name"]) in wrong else []}
                for field in fields],
        submit_label="Change the password", cancel_url=url_for("admin.index"))  # fmt: skip
    return make_response(page, 422 if wrong else 200)
