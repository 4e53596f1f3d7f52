"""A form that makes something carries a token of its own: sent twice, by a double click or from a page gone back to,
it makes one thing and leads there both times."""

from __future__ import annotations

import re
import secrets

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from crm.core.entity import db
from crm.models.access import SentForm

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,64}")


def new_token() -> str:
    return secrets.token_urlsafe(24)


def led_to(token: str, user_id: int) -> str | None:
    """Where this form led when it was sent before; None when this is the first time, or it carries no token.

    A second one waits here until the first has ended: what was refused may be sent again.
    """
    if not _TOKEN.fullmatch(token):
        return None
    kept = insert(SentForm).values(user_id=user_id, token=token).on_conflict_do_nothing().returning(SentForm.id)
    if db.session.scalar(kept) is not None:
        return None
    return db.session.scalar(select(SentForm.location).where(SentForm.user_id == user_id, SentForm.token == token))


def leads_to(token: str, user_id: int, location: str) -> None:
    """Keep where the form has led."""
    db.session.execute(
        update(SentForm).where(SentForm.user_id == user_id, SentForm.token == token).values(location=location)
        .execution_options(synchronize_session=False))  # fmt: skip
