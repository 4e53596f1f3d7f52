"""Notes about parties: internal, in Markdown, several of them pinned above the rest."""

from __future__ import annotations

import datetime as dt
import re

from sqlalchemy.orm import Mapped, backref, relationship, validates

from crm.core.audit import acting
from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import Field, FieldClass, datetime_field, long_text_field, reference_field
from crm.models.access import User
from crm.models.parties import Party

_MARKS = re.compile(r"[#>*_`~|]+|^\s*(?:[-+]|\d+[.)])\s+")
SHORT = 80


class Note(Entity):
    """What somebody wrote down about a party, for colleagues only."""

    about = About(
        area="Customers", icon="notebook-pen", title="summary", delete=True,
        columns=("summary", "party", "author", "pinned_at", "edited_at", "created_at"),
        search=("text",), filters=("party", "author", "pinned_at", "created_at"), sort=("created_at",),
        timeline=Moment("created_at", "author"), within=("party", "owner"), sections=(Section("Note", ("party", "text")),),
        detail=(Section("Note", ("party", "text", "author", "created_at", "edited_at", "pinned_at")),),
        help="What colleagues wrote down about customers. Only you and your colleagues read it.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", label="About", required=True)
    text: Mapped[str] = long_text_field(required=True, field_class=FieldClass.PERSONAL, label="Note", markdown=True,
        help="Markdown: **bold**, *italic*, - list, [text](https://address)")  # fmt: skip
    author_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, original=True,
                                                    column={"default": lambda: acting().user_id})  # fmt: skip
    pinned_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Pinned")
    edited_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Edited", audited=False)
    derived = {"summary": Field(kind="text", label="Note", field_class=FieldClass.PERSONAL)}
    party: Mapped[Party] = relationship(backref=backref("notes"))
    author: Mapped[User | None] = relationship()

    @validates("text")
    def _edited(self, _name: str, value: str) -> str:
        """A pin isn't an edit, so the time of the last change can't tell."""
        if self.id is not None and value != self.text:
            self.edited_at = dt.datetime.now(dt.UTC)
        return value

    @property
    def summary(self) -> str:
        """The first line that says something, without its marks."""
        lines = (_MARKS.sub("", line).strip() for line in self.text.splitlines())
        first = next((line for line in lines if line), "Empty note")
        return first if len(first) <= SHORT else first[: SHORT - 1].rstrip() + "…"
