"""Documents of parties, such as licences and contracts, and the files that were attached to them."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, backref, mapped_column, relationship, validates

from crm.core.audit import acting
from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import (
    Field,
    FieldClass,
    choice_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import DocumentKind

_FACTS = ("party", "kind", "label", "number", "issued_on", "expires_on", "remarks")


class Document(Entity):
    """A paper of a party: what it is, how long it is valid, who has seen it. Each of its versions is a file."""

    about = About(
        area="Customers", icon="file-text", title="words", delete=True, importable=False,
        columns=("words", "kind", "party", "number", "expires_on", "verified_at", "version"),
        search=("label",),
        filters=("party", "kind", "expires_on", "issued_on", "verified_at", "number", "created_at"), sort=("created_at",),
        timeline=Moment("created_at"), within=("party", "owner"), sections=(Section("Document", _FACTS),),
        detail=(Section("Document", (*_FACTS, "version", "verified_by", "verified_at", "created_at")),),
        help="Licences, identity cards, contracts and other papers of everybody, with the days on which they expire.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="Belongs to", required=True)
    kind: Mapped[DocumentKind] = choice_field(DocumentKind, required=True)
    label: Mapped[str | None] = text_field(label="Title", field_class=FieldClass.PERSONAL,
                                           help="Empty: its kind")  # fmt: skip
    number: Mapped[str | None] = text_field(max_length=64, field_class=FieldClass.KYC)
    issued_on: Mapped[dt.date | None] = date_field(label="Issued")
    expires_on: Mapped[dt.date | None] = date_field(label="Expires", help="The last day on which it is valid")
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    version: Mapped[int] = integer_field(editable=False, column={"server_default": "0"})
    verified_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    verified_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Verified")
    party: Mapped[Party] = relationship(backref=backref("documents", order_by="Document.id.desc()"))
    verified_by: Mapped[User | None] = relationship()
    files: Mapped[list[Attachment]] = relationship(back_populates="document", order_by="Attachment.version.desc()",
                                                   cascade="all, delete-orphan", passive_deletes=True)  # fmt: skip
    derived = {"words": Field(kind="text", label="Document", field_class=FieldClass.PERSONAL)}

    __table_args__ = (
        in_order("issued_on", "expires_on"),
        Index("ix_document_expires_on", "expires_on"),
    )

    @validates("kind", "number", "issued_on", "expires_on", "version")
    def _changed(self, name: str, value: object) -> object:
        """Who has seen it has not seen this."""
        if self.id is not None and value != getattr(self, name):
            self.verified_by_id = self.verified_at = None
        return value

    @property
    def words(self) -> str:
        """Without the number, which not everybody may read."""
        return self.label or self.kind.label


class Attachment(Entity):
    """A file: one version of a document. It is never changed; a newer one comes beside it."""

    about = About(
        area="Customers", icon="paperclip", title="file_name", create=False, edit=False,
        columns=("file_name", "document", "version", "media_type", "size", "uploaded_by", "created_at"),
        search=("file_name",), filters=("document", "media_type", "version", "uploaded_by", "created_at"),
        sort=("created_at",), within=("document", "party", "owner"),
        detail=(Section("File", ("file_name", "document", "version", "media_type", "size", "sha256", "uploaded_by",
                                 "created_at")),),
        help="The files of all documents.",
    )  # fmt: skip

    document_id: Mapped[int] = reference_field("document", table="document", on_delete="CASCADE", editable=False)
    version: Mapped[int] = integer_field(editable=False)
    # Whoever may read the name may read the file: both are of this class.
    file_name: Mapped[str] = text_field(editable=False, field_class=FieldClass.KYC)
    media_type: Mapped[str] = text_field(editable=False, max_length=100, label="Type")
    size: Mapped[int] = integer_field(editable=False, label="Size in bytes")
    sha256: Mapped[str] = text_field(editable=False, max_length=64, label="SHA-256", field_class=FieldClass.KYC)
    uploaded_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False,
                                                         column={"default": lambda: acting().user_id})  # fmt: skip
    stored_name: Mapped[str] = mapped_column(Text, unique=True)
    thumbnail: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    document: Mapped[Document] = relationship(back_populates="files")
    uploaded_by: Mapped[User | None] = relationship()

    __table_args__ = (UniqueConstraint("document_id", "version"),)
