"""The photo or logo of a party: checked by its content, made small, freed of what a camera writes into it."""

from __future__ import annotations

import datetime as dt

from crm.commands.file_contents import FileRefused, thumbnail
from crm.core.command import WrongInput
from crm.core.entity import db
from crm.models.parties import Party

LARGEST = 8 * 1024 * 1024  # bytes of an upload


def set_photo(party: Party, raw: bytes) -> None:
    """Keep a small WebP of the picture, without its metadata. Raises WrongInput for what is no picture."""
    if not raw:
        raise WrongInput({"photo": "is required: choose a picture"})
    if len(raw) > LARGEST:
        raise WrongInput({"photo": f"is too large: at most {LARGEST // 1024 // 1024} MB"})
    try:
        party.photo, party.photo_at = thumbnail(raw), dt.datetime.now(dt.UTC)
    except FileRefused as refusal:
        raise WrongInput({"photo": f"{refusal}; use PNG, JPEG, WebP or GIF"}) from None
    db.session.flush()


def remove_photo(party: Party) -> None:
    party.photo, party.photo_at = None, None
    db.session.flush()
