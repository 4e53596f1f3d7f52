"""Files that were brought in or taken out: what was decided, what became of the rows, and the rows on their way."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    Field,
    choice_field,
    datetime_field,
    declare,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
)
from crm.core.jobs import Job, JobState
from crm.models.access import User


class Duplicates(Choice):
    """What becomes of a row whose record is there already."""

    SKIP = "skip", "Leave the record as it is", "neutral"
    UPDATE = "update", "Update the record", "info"
    CREATE = "create", "Create another one", "warning"


class ImportState(Choice):
    DRAFT = "draft", "Not started", "neutral"
    WAITING = "waiting", "Waiting", "neutral"
    RUNNING = "running", "Running", "info"
    PAUSED = "paused", "Paused", "warning"
    DONE = "done", "Done", "good"
    FAILED = "failed", "Failed", "bad"
    CANCELLED = "cancelled", "Cancelled", "warning"
    UNDONE = "undone", "Undone", "neutral"


class Import(Entity):
    """A file of records that was brought in, with what became of each of its rows."""

    about = About(
        area="System",
        icon="file-up",
        title="file_name",
        api=False,
        create=False,
        edit=False,
        audited=False,
        columns=(
            "file_name",
            "entity",
            "state",
            "rows",
            "rows_created",
            "rows_updated",
            "rows_refused",
            "asked_by",
            "created_at",
        ),
        search=("file_name",),
        filters=("entity", "duplicates", "asked_by", "created_at"),
        sort=("created_at",),
        within=("asked_by",),
        detail=(
            Section("File", ("file_name", "size", "entity", "asked_by", "created_at")),
            Section("How", ("duplicates", "match_by")),
            Section(
                "Rows",
                (
                    "state",
                    "rows",
                    "rows_created",
                    "rows_updated",
                    "rows_unchanged",
                    "rows_skipped",
                    "rows_ambiguous",
                    "rows_refused",
                    "remarks",
                    "job",
                ),
            ),
            Section("Undo", ("undone_at", "undo_job")),
        ),
        help="Every file that was imported, and what became of its rows.",
    )

    file_name: Mapped[str] = text_field(label="File", editable=False)
    entity: Mapped[str] = text_field(max_length=64, editable=False, label="Records", help="What the rows are")
    size: Mapped[int] = declare("integer", BigInteger, editable=False, label="Bytes")
    asked_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    job_id: Mapped[int | None] = reference_field("job", table="job", editable=False)
    undo_job_id: Mapped[int | None] = reference_field("job", table="job", editable=False, label="Undone by")
    undone_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Undone")
    duplicates: Mapped[Duplicates] = choice_field(
        Duplicates, editable=False, column={"server_default": "skip"}, label="When a record is there already"
    )
    match_by: Mapped[str | None] = text_field(max_length=64, editable=False, label="Known records are found by")
    rows: Mapped[int | None] = integer_field(editable=False)
    rows_created: Mapped[int | None] = integer_field(editable=False, label="Created")
    rows_updated: Mapped[int | None] = integer_field(editable=False, label="Updated")
    rows_unchanged: Mapped[int | None] = integer_field(editable=False, label="Unchanged")
    rows_skipped: Mapped[int | None] = integer_field(editable=False, label="Skipped")
    rows_ambiguous: Mapped[int | None] = integer_field(editable=False, label="Ambiguous")
    rows_refused: Mapped[int | None] = integer_field(editable=False, label="Refused")
    remarks: Mapped[str | None] = long_text_field(editable=False)
    # Random names below CRM_HOME/uploads: what a person called the file never becomes a path.
    stored_name: Mapped[str] = mapped_column(Text)
    refused_name: Mapped[str | None] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    plan: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    checked: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    # The totals of the file beside those of the records, as crm.importing.reconciling has them.
    added_up: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    # What an undo would do, as it was found out last, by whom and when; no values of records.
    undo_looked: Mapped[dict[str, Any] | None] = mapped_column(JSONB)

    derived = {"state": Field(kind="choice", choices=ImportState)}

    job: Mapped[Job | None] = relationship(lazy="joined", foreign_keys=job_id)
    undo_job: Mapped[Job | None] = relationship(lazy="joined", foreign_keys=undo_job_id)
    asked_by: Mapped[User | None] = relationship(foreign_keys=asked_by_id)

    __table_args__ = (Index("ix_import_file", "sha256", "entity"),)

    @property
    def state(self) -> ImportState:
        if self.job is None:
            return ImportState.DRAFT
        if self.undone_at is not None:
            return ImportState.UNDONE
        return ImportState(str(JobState(self.job.state).value))


class Outcome(Choice):
    """What became, or will become, of a row."""

    CREATED = "created", "Created", "good"
    UPDATED = "updated", "Updated", "info"
    UNCHANGED = "unchanged", "Unchanged", "neutral"
    SKIPPED = "skipped", "Skipped", "neutral"
    AMBIGUOUS = "ambiguous", "Ambiguous", "warning"
    REFUSED = "refused", "Refused", "bad"


class ImportRow(Entity):
    """A row of a file on its way in: its values, and what became of it. Gone when the import has ended."""

    about = About(
        area="System",
        title="line",
        columns=("line", "outcome"),
        screen=False,
        audited=False,
        create=False,
        edit=False,
        api=False,
    )

    import_id: Mapped[int] = mapped_column(ForeignKey("import.id", ondelete="CASCADE"))
    line: Mapped[int] = integer_field(editable=False, label="Row of the file")
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    match_key: Mapped[str | None] = mapped_column(Text)
    # The first row of the file with the same key, when this is a later one.
    same_as: Mapped[int | None] = integer_field(editable=False)
    record_id: Mapped[int | None] = mapped_column(BigInteger)
    # What the row brings along, such as the order of a line, is staged beside it under the reference to it.
    step: Mapped[str] = mapped_column(Text, server_default="")
    outcome: Mapped[Outcome | None] = choice_field(Outcome, editable=False)
    field: Mapped[str | None] = text_field(editable=False)
    reason: Mapped[str | None] = long_text_field(editable=False)
    changes: Mapped[dict[str, Any] | None] = mapped_column(JSONB)

    __table_args__ = (UniqueConstraint("import_id", "step", "line"),
                      Index("ix_import_row_brought", "import_id", "step", "match_key", postgresql_where=text("step <> ''")))  # fmt: skip


class Kept(Choice):
    """Why the undo of an import left something as it is."""

    CHANGED = "changed", "Changed since", "warning"
    USED = "used", "Other records refer to it", "warning"
    DELETED = "deleted", "Was deleted since", "neutral"
    ERASED = "erased", "What it was before has been erased", "neutral"
    LEDGER = "ledger", "Entries of a ledger stay", "neutral"
    REACH = "reach", "Is somebody else's record now", "warning"
    RULE = "rule", "The database doesn't let it be as before", "bad"


class ImportKept(Entity):
    """What the undo of an import left as it is: a field of a record, or a whole record that the import had made.

    The values stand in the audit and in the record, and nowhere a second time.
    """

    about = About(area="System", title="record_id", columns=("entity", "record_id"), screen=False, audited=False, create=False,
                  edit=False, api=False)  # fmt: skip

    import_id: Mapped[int] = mapped_column(ForeignKey("import.id", ondelete="CASCADE"))
    entity: Mapped[str] = text_field(max_length=64, editable=False)
    record_id: Mapped[int] = mapped_column(BigInteger)
    field: Mapped[str] = text_field(max_length=64, editable=False, column={"server_default": ""})
    reason: Mapped[Kept] = choice_field(Kept, editable=False)

    __table_args__ = (UniqueConstraint("import_id", "entity", "record_id", "field"),)


class ExportFormat(Choice):
    CSV = "csv", "CSV"
    XLSX = "xlsx", "Excel"
    JSON = "json", "JSON"
    PDF = "pdf", "PDF"  # a letter: no list is taken out so
    ZIP = "zip", "ZIP"  # many letters


class ExportState(Choice):
    STREAMED = "streamed", "Downloaded", "good"
    MAKING = "making", "Being made", "info"
    READY = "ready", "Ready", "good"
    GONE = "gone", "Expired", "neutral"
    FAILED = "failed", "Not made", "bad"


class Export(Entity):
    """A list that somebody took out as a file: what was asked, which columns, how many rows."""

    about = About(
        area="System", icon="file-down", title="file_name", api=False, create=False, edit=False, audited=False,
        columns=("file_name", "entity", "state", "rows", "query", "asked_by", "created_at"),
        search=("file_name",), filters=("entity", "format", "asked_by", "created_at"), sort=("created_at",),
        within=("asked_by",),
        detail=(Section("File", ("file_name", "format", "entity", "rows", "withheld", "state", "expires_at")),
                Section("What was asked", ("query", "columns", "asked_by", "created_at", "job"))),
        help="Every list that was taken out as a file: by whom, what was asked, how many rows.",
    )  # fmt: skip

    file_name: Mapped[str] = text_field(label="File", editable=False)
    entity: Mapped[str] = text_field(max_length=64, editable=False, label="Records")
    format: Mapped[ExportFormat] = choice_field(ExportFormat, editable=False)
    query: Mapped[str] = long_text_field(editable=False, label="Narrowed to", help="As the address of the list says it",
                                         column={"server_default": ""})  # fmt: skip
    columns: Mapped[list[str]] = declare("tags", ARRAY(Text), editable=False)
    rows: Mapped[int | None] = integer_field(editable=False)
    withheld: Mapped[int | None] = integer_field(editable=False, label="Rows with values withheld",
                                                 help="For want of consent to marketing")  # fmt: skip
    asked_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    job_id: Mapped[int | None] = reference_field("job", table="job", editable=False, on_delete="SET NULL")
    expires_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Kept until")
    # A random name below CRM_HOME/exports; none for what went straight to the browser, and once it has expired.
    stored_name: Mapped[str | None] = mapped_column(Text)

    derived = {"state": Field(kind="choice", choices=ExportState)}

    job: Mapped[Job | None] = relationship(lazy="joined", foreign_keys=job_id)
    asked_by: Mapped[User | None] = relationship(foreign_keys=asked_by_id)

    @property
    def state(self) -> ExportState:
        if self.expires_at is None:
            return ExportState.STREAMED
        if self.job is not None and self.job.state in (JobState.FAILED, JobState.CANCELLED):
            return ExportState.FAILED
        if self.stored_name is None:
            return ExportState.GONE
        return ExportState.READY if self.job is not None and self.job.state is JobState.DONE else ExportState.MAKING
