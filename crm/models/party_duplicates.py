"""Parties that may be the same, and what was decided about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, and_, case, func, or_, select, text
from sqlalchemy.orm import Mapped, MappedSQLExpression, aliased, column_property, relationship

from crm.core.entity import About, Entity, Face, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    choice_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
)  # fmt: skip
from crm.models.access import User
from crm.models.duplicate_search import NOTES
from crm.models.parties import Party


class CandidateState(Choice):
    OPEN = "open", "To decide", "warning"
    LATER = "later", "Later", "neutral"
    DIFFERENT = "different", "Not the same", "neutral"
    MERGED = "merged", "Merged", "good"


UNDECIDED = (CandidateState.OPEN, CandidateState.LATER)


class DuplicateCandidate(Entity):
    """Two parties that may be one: how likely that is, and why; what was decided is remembered."""

    about = About(
        area="Customers", icon="copy", title="words", label="Possible duplicate", label_plural="Possible duplicates", plural="duplicates", edit=False,
        columns=("words", "first_party", "second_party", "group", "state", "reasons", "created_at"),
        filters=("state", "score", "first_party", "second_party", "decided_by", "decided_at", "created_at"),
        sort=("score", "created_at"), importable=False, within=("first_party", "owner"), also_within=("second_party", "owner"),
        sections=(Section("The two", ("first_party", "second_party", "reasons")),),
        detail=(Section("The two", ("first_party", "second_party", "group", "score", "reasons", "state")),
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
    derived = {
        "words": Field(kind="text", label="How likely"),
        "group": Field(kind="text", help="How many more are like one of the two"),
    }
    if TYPE_CHECKING:
        beside: Mapped[int]
    triggers = NOTES
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

    @property
    def group(self) -> str:
        return f"and {self.beside} more" if self.beside and self.state in UNDECIDED else ""

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


def _beside() -> MappedSQLExpression[int]:
    """How many others undecided pairs join with one of the two, without who was said not to be the other one."""
    next_, apart = aliased(DuplicateCandidate), aliased(DuplicateCandidate)
    two = (DuplicateCandidate.first_party_id, DuplicateCandidate.second_party_id)
    third = case((next_.first_party_id.in_(two), next_.second_party_id), else_=next_.first_party_id)
    told_apart = select(apart.id).where(
        apart.state == CandidateState.DIFFERENT,
        or_(and_(apart.first_party_id == third, apart.second_party_id.in_(two)),
            and_(apart.second_party_id == third, apart.first_party_id.in_(two)))).correlate(DuplicateCandidate, next_)  # fmt: skip
    counted = select(func.count(third.distinct())).where(
        next_.id != DuplicateCandidate.id, next_.state.in_(UNDECIDED), ~told_apart.exists(),
        or_(next_.first_party_id.in_(two), next_.second_party_id.in_(two)))  # fmt: skip
    return column_property(counted.correlate(DuplicateCandidate).scalar_subquery())


DuplicateCandidate.beside = _beside()
