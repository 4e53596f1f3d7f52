"""Who is kept out after an erasure: values are known again by a keyed hash, so that nothing readable is kept of them."""

from __future__ import annotations

import hashlib
import hmac

from flask import current_app
from sqlalchemy import select

from crm.core.entity import db
from crm.models.privacy_suppressions import Suppression

KINDS = ("email", "phone")  # of fields: what tells a person in a file


def digest(value: str) -> str:
    """HMAC-SHA256 with the secret key of this desk: without it nobody finds out by trying whose address it is."""
    secret = current_app.secret_key
    assert isinstance(secret, str)
    return hmac.new(secret.encode(), value.casefold().encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def all_kept_out() -> frozenset[str]:
    """The digests of all that is kept out; a few bytes for each person who was ever erased."""
    return frozenset(db.session.scalars(select(Suppression.digest)))
