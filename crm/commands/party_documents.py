"""What may happen to a document: a file comes to it as its next version, somebody has seen it."""

from __future__ import annotations

import datetime as dt
import hashlib

from sqlalchemy import select

from crm.commands.file_contents import PICTURES, FileRefused, recognise, thumbnail
from crm.core.command import Refused, WrongInput, command
from crm.core.entity import db
from crm.core.kept_files import folder, keep, sweep
from crm.models.access import User
from crm.models.party_documents import Attachment, Document

FOLDER = "attachments"


def attach(document: Document, content: bytes, name: str) -> Attachment:
    """Keep the file as the newest version; older ones stay. Raises WrongInput for what is not kept, Refused."""
    if document.party.archived_at is not None:
        raise Refused(f"{document.party.title} is archived: restore it first")
    try:
        found, name = recognise(content, name)
        small = thumbnail(content) if found in PICTURES.values() else None
    except FileRefused as refusal:
        raise WrongInput({"file": str(refusal)}) from None
    db.session.refresh(document, with_for_update=True)
    digest = hashlib.sha256(content).hexdigest()
    newest = select(Attachment.sha256).where(
        Attachment.document_id == document.id, Attachment.version == document.version
    )
    if db.session.scalar(newest) == digest:
        raise WrongInput({"file": f"is the same as version {document.version}"})
    try:
        stored = keep(FOLDER, content)
    except OSError as error:
        raise WrongInput({"file": f"could not be kept: {error.strerror or 'the disk does not take it'}"}) from error
    document.version += 1
    made = Attachment(document=document, version=document.version, file_name=name, media_type=found.media_type,
                      size=len(content), sha256=digest, stored_name=stored, thumbnail=small)  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def content_of(attachment: Attachment) -> bytes:
    """Raises FileNotFoundError when the disk has lost it, ValueError when it isn't what was kept."""
    content = (folder(FOLDER) / attachment.stored_name).read_bytes()
    if hashlib.sha256(content).hexdigest() != attachment.sha256:
        raise ValueError(f"the file of attachment {attachment.id} was changed on the disk")
    return content


def delete_unnamed_files() -> int:
    """Remove the files of attachments that are no more, and those that a killed process left over."""

    def still_named(names: list[str]) -> set[str]:
        return set(db.session.scalars(select(Attachment.stored_name).where(Attachment.stored_name.in_(names))))

    return sweep(FOLDER, still_named)


@command(Document, "Mark as verified", icon="check", applies=lambda document: document.verified_at is None)
def verify(document: Document, *, by: User) -> None:
    """Say that you have seen the original."""
    if document.party.archived_at is not None:
        raise Refused(f"{document.party.title} is archived: restore it first")
    if document.verified_at is not None:
        raise Refused("it is verified already")
    document.verified_at, document.verified_by_id = dt.datetime.now(dt.UTC), by.id
