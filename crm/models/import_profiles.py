"""Plans of imports that were kept under a name, without their files."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import boolean_field, reference_field, text_field
from crm.models.access import User


class ImportProfile(Entity):
    """How files of one kind are read and matched, kept under a name; for oneself, or for everybody."""

    about = About(
        area="System", icon="bookmark", label="Import profile", columns=("name", "face", "owner", "everybody", "created_at"),
        search=("name",), filters=("face", "owner", "everybody"), sort=("name",), within=("owner",),
        sections=(Section("Profile", ("name",)),), create=False, delete=True, api=False,
        detail=(Section("Profile", ("name", "face", "owner", "everybody")),),
        help="What the columns of a file become, and all that was chosen with them. Save one where the columns are matched.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=60)
    face: Mapped[str] = text_field(max_length=64, editable=False, label="Records", help="What the rows are")
    owner_id: Mapped[int] = reference_field("user", table="app_user", on_delete="CASCADE", editable=False)
    everybody: Mapped[bool] = boolean_field(editable=False, label="For everybody",
                                            column={"server_default": text("false")})  # fmt: skip
    # What was chosen, columns by their headers.
    chosen: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    owner: Mapped[User] = relationship()

    __table_args__ = (UniqueConstraint("owner_id", "face", "name"), Index("ix_import_profile_face", "face"))
