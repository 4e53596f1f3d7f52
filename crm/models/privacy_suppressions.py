"""Whom an erasure keeps out: a file that names them again doesn't bring them back."""

from __future__ import annotations

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import Field, reference_field, text_field
from crm.models.privacy import PrivacyRequest


class Suppression(Entity):
    """An e-mail address or a phone number of somebody whose data was erased at their request. What it is isn't kept,
    only a keyed hash by which it is known again."""

    about = About(
        area="Privacy", icon="user-x", title="words", create=False, edit=False, delete=True, api=False,
        columns=("kind", "request", "created_at"), filters=("request", "created_at"), sort=("created_at",),
        detail=(Section("Kept out", ("kind", "request", "created_at")),),
        help="Addresses and numbers of erased persons, unreadable: no import brings them back. Delete a line to let it in again.",
    )  # fmt: skip

    kind: Mapped[str] = text_field(max_length=32, editable=False, label="What it was")
    request_id: Mapped[int | None] = reference_field("privacy_request", table="privacy_request", editable=False,
                                                     on_delete="SET NULL")  # fmt: skip
    digest: Mapped[str] = mapped_column(Text, unique=True)
    derived = {"words": Field(kind="text", label="Kept out")}
    request: Mapped[PrivacyRequest | None] = relationship()

    @property
    def words(self) -> str:
        return f"{self.kind} {self.digest[:8]}"
