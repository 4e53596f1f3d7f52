"""Parties that may be the same, what was decided about them, and the merges that were made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.core.entity import About, Entity, Face, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    choice_field,
    datetime_field,
    integer_field,
    json_field,
    long_text_field,
    reference_field,
)  # fmt: skip
from crm.core.rules import in_order
from crm.models.access import User
from crm.models.parties import Party


class CandidateState(Choice):
    OPEN = "open", "To decide", "warning"
    LATER = "later", "Later", "neutral"
    DIFFERENT = "different", "Not the same", "neutral"
    MERGED = "merged", "Merged", "good"


class DuplicateCandidate(Entity):
    """Two parties that may be one: how likely that is, and why; what was decided is remembered."""

    about = About(
        area="Customers", icon="copy", title="words", label="Possible duplicate", label_plural="Possible duplicates", plural="duplicates", edit=False,
        columns=("words", "first_party", "second_party", "state", "reasons", "created_at"),
        filters=("state", "score", "first_party", "second_party", "decided_by", "decided_at", "created_at"),
        sort=("score", "created_at"), importable=False, within=("first_party", "owner"), also_within=("second_party", "owner"),
        sections=(Section("The two", ("first_party", "second_party", "reasons")),),
        detail=(Section("The two", ("first_party", "second_party", "score", "reasons", "state")),
                Section("Decision", ("decided_by", "decided_at"))),
        help="Records that may stand for the same person or organisation. Say so here, or that they don't.",
    )  # fmt: skip

    first_party_id: Mapped[int] = reference_field("party", table="party", label="This one", required=True)
    second_party_id: Mapped[int] = reference_field("party", table="party", label="And this one", required=True)
    score: Mapped[int] = integer_field(editable=False, minimum=0, maximum=100, help="0 to 100; 100: somebody says so",
                                       column={"server_default": "100"})  # fmt: skip
    reasons: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, label="Why")
    state: Mapped[CandidateState] = choice_field(CandidateState, editable=False, column={"server_default": "open"})
    decided_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    decided_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Decided")
    derived = {"words": Field(kind="text", label="How likely")}
    first_party: Mapped[Party] = relationship(foreign_keys=first_party_id, backref="duplicate_candidates")
    second_party: Mapped[Party] = relationship(foreign_keys=second_party_id)
    decided_by: Mapped[User | None] = relationship()

    __table_args__ = (
        UniqueConstraint("first_party_id", "second_party_id", name="uq_duplicate_candidate_second_party_id"),
        CheckConstraint("first_party_id < second_party_id", name="second_party_id_later",
                        info={"says": ("second_party", "is the same, or was made before the first: name the older one first")}),
        CheckConstraint("(state IN ('open', 'later')) = (decided_at IS NULL)", name="decided_at_state"),
        Index("ix_duplicate_candidate_open", "score", "id", postgresql_where=text("state = 'open'")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        """Without the names: who sees the one need not see the other."""
        return f"{self.score} %"

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """The older one stands first, whichever was named first."""
        first, second = (str(values.get(name, "")) for name in ("first_party", "second_party"))
        if first.isdigit() and second.isdigit() and int(first) > int(second):
            values["first_party"], values["second_party"] = second, first

    @classmethod
    def check(cls, face: Face, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        if values.get("first_party") is not None and values["first_party"] == values.get("second_party"):
            return {"second_party": "is the same record"}
        return {}


class Merge(Entity):
    """That a party was merged into another: who did it, what moved, and what it needs to be undone."""

    about = About(
        area="Customers", icon="merge", title="words", create=False, edit=False,
        columns=("words", "kept_party", "merged_party", "merged_by", "merged_at", "undone_at"),
        filters=("kept_party", "merged_party", "merged_by", "merged_at", "undone_at"), sort=("merged_at",),
        within=("kept_party", "owner"),
        detail=(Section("Merge", ("kept_party", "merged_party", "candidate", "reason", "moved", "merged_by", "merged_at")),
                Section("Undone", ("undone_by", "undone_at"))),
        help="Records that were merged. The old number and code of each still lead to the one that was kept.",
    )  # fmt: skip

    kept_party_id: Mapped[int] = reference_field("party", table="party", editable=False, label="Kept")
    merged_party_id: Mapped[int] = reference_field("party", table="party", editable=False, label="Merged")
    candidate_id: Mapped[int | None] = reference_field("duplicate_candidate", table="duplicate_candidate", editable=False,
                                                       on_delete="SET NULL")  # fmt: skip
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)
    moved: Mapped[dict[str, Any] | None] = json_field(editable=False, help="How many records of each kind")
    # What the two were before, and which rows moved: for undoing it, never shown; it goes with the person's erasure.
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"), deferred=True)
    merged_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    merged_at: Mapped[dt.datetime] = datetime_field(editable=False, label="When", column={"server_default": func.now()})
    undone_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="Undone by")
    undone_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Undone")
    derived = {"words": Field(kind="text", label="Merge")}
    kept_party: Mapped[Party] = relationship(foreign_keys=kept_party_id)
    merged_party: Mapped[Party] = relationship(foreign_keys=merged_party_id)
    candidate: Mapped[DuplicateCandidate | None] = relationship()
    merged_by: Mapped[User | None] = relationship(foreign_keys=merged_by_id)
    undone_by: Mapped[User | None] = relationship(foreign_keys=undone_by_id)

    __table_args__ = (
        CheckConstraint("kept_party_id <> merged_party_id", name="merged_party_id_itself"),
        in_order("merged_at", "undone_at"),
        # A record can be away in one place at a time.
        Index("uq_merge_merged_party_id", "merged_party_id", unique=True, postgresql_where=text("undone_at IS NULL")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return "Undone" if self.undone_at else "Merged"
