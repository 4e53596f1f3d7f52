"""The secrets of webhooks: made anew, told once, worked out again for each signature and kept nowhere."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import secrets

from flask import current_app

from crm.core.command import Refused
from crm.core.entity import db
from crm.models.automation import Webhook

BEGIN = "whs_"


def new_secret(webhook: Webhook) -> str:
    """Give a webhook a new secret; the old one signs nothing any more. The answer is told to a person this once."""
    webhook.secret_salt = secrets.token_hex(24)
    secret = secret_of(webhook)
    webhook.secret_begins, webhook.secret_at = secret[:9], dt.datetime.now(dt.UTC)
    db.session.flush()
    return secret


def secret_of(webhook: Webhook) -> str:
    """The secret, from the system's own key: who has the database alone can't sign. Refused where none was made."""
    if webhook.secret_salt is None:
        raise Refused("it has no secret yet: make one with flask webhooks secret")
    key = str(current_app.config["SECRET_KEY"]).encode()
    made = hmac.new(key, f"webhook {webhook.id} {webhook.secret_salt}".encode(), hashlib.sha256).digest()
    return BEGIN + base64.urlsafe_b64encode(made).decode().rstrip("=")
