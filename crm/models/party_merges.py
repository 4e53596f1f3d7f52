"""Merges of parties, what names a party and so moves along, and where whatever is written to a merged one lands."""

# ruff: noqa: S608 - all SQL is made of declarations

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, Table, UniqueConstraint, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.core.entity import About, Base, Entity, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    choice_field,
    datetime_field,
    json_field,
    long_text_field,
    reference_field,
)  # fmt: skip
from crm.core.jobs import Job
from crm.core.rules import in_order, rule
from crm.core.triggers import SETTINGS
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_duplicates import DuplicateCandidate


class MergeState(Choice):
    PROPOSED = "proposed", "Waits for a second person", "warning"
    MADE = "made", "Merged", "good"
    DECLINED = "declined", "Declined", "neutral"
    UNDONE = "undone", "Undone", "neutral"


_MADE = "merged_at IS NOT NULL AND undone_at IS NULL"


class Merge(Entity):
    """That a party was merged into another: who did it, what moved, and what it needs to be undone."""

    about = About(
        area="Customers", icon="merge", title="words", create=False, edit=False,
        columns=("words", "kept_party", "merged_party", "state", "proposed_by", "merged_by", "merged_at", "undone_at"),
        filters=("state", "kept_party", "merged_party", "proposed_by", "merged_by", "merged_at", "undone_at", "job", "created_at"),
        sort=("created_at",), within=("kept_party", "owner"),
        detail=(Section("Merge", ("kept_party", "merged_party", "candidate", "state", "reason", "needs_second", "moved",
                                  "proposed_by", "created_at", "merged_by", "merged_at", "job")),
                Section("Undone", ("undone_by", "undone_at", "kept_back"))),
        help="Records that were merged. The old number and code of each still lead to the one that was kept.",
    )  # fmt: skip

    kept_party_id: Mapped[int] = reference_field("party", table="party", editable=False, label="Kept")
    merged_party_id: Mapped[int] = reference_field("party", table="party", editable=False, label="Merged")
    candidate_id: Mapped[int | None] = reference_field("duplicate_candidate", table="duplicate_candidate", editable=False,
                                                       on_delete="SET NULL")  # fmt: skip
    reason: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)
    needs_second: Mapped[str | None] = long_text_field(editable=False, label="A second person looks, because")
    state: Mapped[MergeState] = choice_field(MergeState, editable=False, computed=(
        "CASE WHEN undone_at IS NOT NULL THEN CASE WHEN merged_at IS NULL THEN 'declined' ELSE 'undone' END "
        "WHEN merged_at IS NULL THEN 'proposed' ELSE 'made' END"))  # fmt: skip
    moved: Mapped[dict[str, Any] | None] = json_field(editable=False, help="How many records of each kind")
    kept_back: Mapped[dict[str, Any] | None] = json_field(
        editable=False, label="Left as it was", help="What wasn't put back, and why"
    )
    # What the two were before, and which rows moved: for undoing it, never shown; it goes with the person's erasure.
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"), deferred=True)
    proposed_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    merged_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    merged_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="When")
    undone_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="Undone by")
    undone_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Undone")
    job_id: Mapped[int | None] = reference_field("job", table="job", editable=False, on_delete="SET NULL",
                                                 help="Of merges that were made together")  # fmt: skip
    derived = {"words": Field(kind="text", label="Merge")}
    kept_party: Mapped[Party] = relationship(foreign_keys=kept_party_id)
    merged_party: Mapped[Party] = relationship(foreign_keys=merged_party_id)
    candidate: Mapped[DuplicateCandidate | None] = relationship()
    proposed_by: Mapped[User | None] = relationship(foreign_keys=proposed_by_id)
    merged_by: Mapped[User | None] = relationship(foreign_keys=merged_by_id)
    undone_by: Mapped[User | None] = relationship(foreign_keys=undone_by_id)
    job: Mapped[Job | None] = relationship()

    __table_args__ = (
        CheckConstraint("kept_party_id <> merged_party_id", name="merged_party_id_itself"),
        in_order("merged_at", "undone_at"),
        rule("merged_by", "merged_by_id <> proposed_by_id", "proposed it: another person must look"),
        # A record can be away in one place at a time.
        Index("uq_merge_merged_party_id", "merged_party_id", unique=True, postgresql_where=text(_MADE)),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return self.state.label


# What names a party


@dataclass(frozen=True)
class Reference:
    """A column that names a party."""

    table: Table
    column: str

    @property
    def key(self) -> str:
        return f"{self.table.name}.{self.column}"

    @property
    def others(self) -> list[str]:
        """The columns that must not name the same party as this one."""
        found = (re.fullmatch(r"(\w+) <> (\w+)", str(one.sqltext)) for one in self.table.constraints
                 if isinstance(one, CheckConstraint))  # fmt: skip
        pairs = [one.groups() for one in found if one and self.column in one.groups()]
        return [name for pair in pairs for name in pair if name != self.column and _names_party(self.table.c[name])]


class Collision(Enum):
    """What happens to a row of a merged party where the one that is kept has such a row already."""

    STAYS = "stays with the merged record"
    FLAG = "moves, and is no longer the first one"
    ACCOUNT = "moves and is closed; what is on it goes to the other account, or stays on it"


# Merges tell of two parties and stay; possible duplicates are led on by a rule of their own.
NOT_MOVED = frozenset(("merge", "duplicate_candidate"))

# Every unique constraint with a party in it; nothing is ever deleted, whichever it is.
COLLISIONS = {
    "uq_address_default": Collision.FLAG, "uq_contact_primary": Collision.FLAG,
    "uq_credit_account_party": Collision.ACCOUNT, "uq_loyalty_account_party": Collision.ACCOUNT,
    **dict.fromkeys(("uq_campaign_recipient_campaign_id_party_id", "uq_channel_preference_purpose", "uq_check_in_party_id",
                     "uq_customer_offer_offer_id_party_id", "uq_enrichment_proposal_value", "uq_external_id_entity_record_system",
                     "uq_identifier_number", "uq_ladder_move_pending", "uq_ownership_party_id_vehicle_id_owned_from",
                     "uq_performance_score_party_id_period_from_period_to", "uq_relation_to_party_id_open",
                     "uq_segment_membership_open", "uq_segment_membership_out"), Collision.STAYS),
}  # fmt: skip
# Who was put out of a segment by hand isn't in it through the back door, nor is who is in it thrown out.
_AT_ONCE = dict.fromkeys(("uq_segment_membership_open", "uq_segment_membership_out"), "left_at IS NULL OR pin = 'out'")

# Tables that name records of any kind, by the name of the table and its number: (kind, number, whether rows move). What
# tells what was done to a record, or is to be, stays as it was written and is read through the redirects.
ANY_RECORD = {
    "external_id": ("entity", "record", True),
    "audit_entry": ("entity", "record_id", False), "automation_run": ("entity", "record", False),
    "webhook_delivery": ("entity", "record", False), "import_kept": ("entity", "record_id", False),
}  # fmt: skip


def _names_party(column: Column[Any]) -> bool:
    return any(key.column.table is Party.__table__ for key in column.foreign_keys)


@cache
def references() -> tuple[Reference, ...]:
    """Every column by which rows of other tables, or parties themselves, name a party and move along."""
    return tuple(
        Reference(table, column.name)
        for _, table in sorted(Base.metadata.tables.items())
        if table.name not in NOT_MOVED
        for column in table.columns
        if _names_party(column)
    )


@dataclass(frozen=True)
class Unique:
    """What may be there once for a party: SQL over single rows."""

    name: str
    keys: tuple[str, ...]
    where: str
    nulls_alike: bool

    @property
    def rule(self) -> Collision:
        return COLLISIONS[self.name]


def uniques(table: Table, column: str) -> Iterator[Unique]:
    """The unique constraints and indexes of a table that a column which names a party is part of."""
    for one in sorted((*table.constraints, *table.indexes), key=lambda found: str(getattr(found, "name", ""))):
        if not isinstance(one, UniqueConstraint) and not (isinstance(one, Index) and one.unique):
            continue
        parts = [_sql(part) for part in (one.expressions if isinstance(one, Index) else one.columns)]
        if column not in parts:
            continue
        options: Any = one.dialect_options["postgresql"]
        name, where = str(one.name), options.get("where") if isinstance(one, Index) else None
        yield Unique(name, tuple(part for part in parts if part != column),
                     _AT_ONCE.get(name) or (_sql(where) if where is not None else "true"),
                     bool(options.get("nulls_not_distinct")))  # fmt: skip


def _sql(part: Any) -> str:
    """An expression of an index as it reads where its table is the only one."""
    return part.name if isinstance(part, Column) else str(part.compile(dialect=postgresql.dialect()))


# Where what is written to a merged party lands

_SURVIVOR = f"""
DECLARE
  next_one bigint;
BEGIN
  LOOP
    SELECT m.kept_party_id INTO next_one FROM merge m WHERE m.merged_party_id = given AND {_MADE};
    EXIT WHEN next_one IS NULL;
    given := next_one;
  END LOOP;
  RETURN given;
END"""


def _landing(reference: Reference) -> Iterator[tuple[str, str, str]]:
    """(name, trigger, function) for rows that come and rows that change.

    Both run after the foreign key was checked: that waits for a merge which is under way, and then this sees it.
    """
    table, column = reference.table.name, reference.column
    name = f"{table}_{column.removesuffix('_id')}_lands"
    # A row at a time by the index of merges, however many come: what is joined otherwise is planned for the first time's.
    by_index = "SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off"
    yield (
        f"{name}_new",
        f'AFTER INSERT ON "{table}" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT',
        f"""{SETTINGS} {by_index} AS $body$
BEGIN
  IF EXISTS (SELECT FROM new_rows n JOIN merge m ON m.merged_party_id = n.{column} AND {_MADE}) THEN
    UPDATE "{table}" t SET {column} = survivor_of(t.{column})
     WHERE t.id = ANY (ARRAY(SELECT n.id FROM new_rows n JOIN merge m ON m.merged_party_id = n.{column} AND {_MADE}));
  END IF;
  RETURN NULL;
END $body$""",
    )
    yield (
        name,
        f'AFTER UPDATE OF {column} ON "{table}" FOR EACH ROW WHEN (NEW.{column} IS DISTINCT FROM OLD.{column})',
        f"""{SETTINGS} AS $body$
BEGIN
  IF EXISTS (SELECT FROM merge m WHERE m.merged_party_id = NEW.{column} AND {_MADE}) THEN
    UPDATE "{table}" t SET {column} = survivor_of(t.{column}) WHERE t.id = NEW.id;
  END IF;
  RETURN NULL;
END $body$""",
    )


def install_statements() -> list[str]:
    """Every function and trigger, in an order that can be run again and again."""
    made = [(f"CREATE OR REPLACE FUNCTION survivor_of(given bigint) RETURNS bigint LANGUAGE plpgsql STABLE STRICT "
            f"{SETTINGS} AS $body${_SURVIVOR}$body$")]  # fmt: skip
    for reference in references():
        for name, when, function in _landing(reference):
            made += [f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {function}",
                     f"CREATE OR REPLACE TRIGGER {name} {when} EXECUTE FUNCTION {name}()",
                     f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC"]  # fmt: skip
    return made


def installed_names() -> set[tuple[str, str]]:
    """(table, trigger) of everything `install_statements` makes."""
    return {(reference.table.name, name) for reference in references() for name, _, _ in _landing(reference)}
