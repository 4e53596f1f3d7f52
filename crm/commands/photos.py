"""The photo or logo of a party: checked by its content, made small, freed of what a camera writes into it."""

from __future__ import annotations

import datetime as dt
import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from crm.core.command import WrongInput
from crm.core.entity import db
from crm.models.parties import Party

LARGEST = 8 * 1024 * 1024  # bytes of an upload
PIXELS = 16_000_000
SIDE = 256  # of what is kept
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def set_photo(party: Party, raw: bytes) -> None:
    """Keep a small WebP of the picture, without its metadata. Raises WrongInput for what is no picture."""
    if not raw:
        raise WrongInput({"photo": "is required: choose a picture"})
    if len(raw) > LARGEST:
        raise WrongInput({"photo": f"is too large: at most {LARGEST // 1024 // 1024} MB"})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(raw), formats=FORMATS)
            if picture.width * picture.height > PIXELS:
                raise WrongInput({"photo": "has too many pixels: make it smaller first"})
            small = ImageOps.exif_transpose(picture).convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombWarning,
            Image.DecompressionBombError) as fault:  # fmt: skip
        if isinstance(fault, WrongInput):
            raise
        raise WrongInput({"photo": "is not a picture that can be read: use PNG, JPEG, WebP or GIF"}) from None
    small.thumbnail((SIDE, SIDE))
    written = io.BytesIO()
    small.save(written, "WEBP", quality=85)
    party.photo, party.photo_at = written.getvalue(), dt.datetime.now(dt.UTC)
    db.session.flush()


def remove_photo(party: Party) -> None:
    party.photo, party.photo_at = None, None
    db.session.flush()
