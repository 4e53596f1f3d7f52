"""A list as the rows of a file: which columns it may have, and their values as PostgreSQL itself writes them.

No record is loaded for a row: the database answers every cell as it stands in the file, from a cursor of its own.
Only derived fields, which PostgreSQL doesn't know, are worked out from records, part by part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Text, and_, case, cast, func, inspect, literal, select, true
from sqlalchemy.orm import aliased

from crm.core.entity import Embed, Face, db, face_named
from crm.core.fields import MASK, Field, FieldClass
from crm.core.permissions import BULK_PERSONAL, CONSENTED, Access, Actor, accesses, allowed
from crm.core.spreadsheets import FORMULA, NUMBER, neutral
from crm.models.privacy_choices import ConsentPurpose
from crm.queries.consents import may_be_used
from crm.queries.listing import BadQuery, ListQuery, loads, matching, ordered

SHOWN, ALL = "shown", "all"  # words for the columns of the list, and for everything that is stored
WITHHELD = "_withheld"  # the column that says which values of a row stay here for want of consent
FIRST_PART, PART = 100, 1_000
_SERIAL_FROM = "1900-03-01"  # spreadsheets take 1900 for a leap year: earlier days stay text

Batches = Iterator[Sequence[Sequence[Any]]]


def export_names(face: Face, actor: Actor) -> list[str]:
    """Everything of a face that a file of this person's may hold, by the names that import and API use.

    What says something about a person leaves in files only with a right of its own; or through the gate of consent, if it
    tells how to reach somebody.
    """
    may, personal = accesses(actor, face), allowed(actor, f"{face.name}.{BULK_PERSONAL}") is not None
    gated = asks_consent(face, actor)
    names = ["id", *(name for section in (*face.about.detail, *face.about.sections) for name in section.fields)]
    names += [*face.about.columns, *face.embedded_names, "created_at", "updated_at"]
    return [name for name in dict.fromkeys(names) if may.get(name, Access.HIDDEN) is not Access.HIDDEN
            and (personal or not face.field(name).is_personal or (gated and _reaches(face.field(name))))]  # fmt: skip


def asks_consent(face: Face, actor: Actor) -> bool:
    """Whether this person's files hold contact values of those alone who agreed to marketing on that channel."""
    return not allowed(actor, f"{face.name}.{BULK_PERSONAL}") and allowed(actor, f"{face.name}.{CONSENTED}") is not None


def _reaches(field: Field) -> bool:
    return field.field_class is FieldClass.CONTACT and not field.derived


def read_columns(face: Face, given: Sequence[str], actor: Actor) -> list[str]:
    """The columns that were asked for: names, `shown` for the list's own, `all` for what is stored; that without any.

    Raises BadQuery for a name that isn't there for this person.
    """
    offered = export_names(face, actor)
    stored = [name for name in offered if not face.field(name).derived or name in face.about.columns]
    words: dict[str, Sequence[str]] = {SHOWN: [name for name in face.about.columns if name in offered], ALL: stored}
    wanted = [name.strip() for part in given for name in part.split(",") if name.strip()] or [ALL]
    names = list(dict.fromkeys(name for word in wanted for name in words.get(word, (word,))))
    for name in names:
        if name not in offered:
            raise BadQuery("columns", f"there is no column “{name[:60]}” here")
    return names


def count_up_to(face: Face, query: ListQuery, actor: Actor, most: int) -> int:
    """How many rows the file would have; `most + 1` for more."""
    capped = matching(face, query, actor, "export").with_only_columns(face.entity.id).limit(most + 1).subquery()
    return db.session.execute(select(func.count()).select_from(capped)).scalar_one()


@dataclass(frozen=True)
class Extract:
    """The rows of a file, worked out for a person and ready to be read; `form` is csv, xlsx or json."""

    face: Face
    fields: list[Field]
    form: str
    statement: Select[Any]
    masked: frozenset[str] = frozenset()
    gated: bool = False  # the last column says what was withheld for want of consent

    def rows(self, on: Connection) -> Batches:
        """The rows in the order of the list, in parts, from a cursor on this connection.

        In CSV and XLSX every value is text, in JSON numbers, lists and yes or no are what they are. NULL is None.
        """
        found = on.execute(self.statement.execution_options(stream_results=True, max_row_buffer=PART))
        derived = [(place, field) for place, field in enumerate(self.fields) if field.derived]
        size = FIRST_PART
        while part := found.fetchmany(size):
            size = PART
            yield _derive(self, part, derived) if derived else [row[1:] for row in part]

    def withheld(self, part: Sequence[Sequence[Any]]) -> int:
        """How many of these rows lack a value for want of consent."""
        return sum(bool(row[-1]) for row in part) if self.gated else 0


def extract(face: Face, query: ListQuery, names: Sequence[str], form: str, *, by: Actor) -> Extract:
    """What a list shows a person who may export it, with these columns."""
    fields = [face.field(name) for name in names]
    may = accesses(by, face)
    gated = {field.name for field in fields if _reaches(field)} if asks_consent(face, by) else set()
    masked = frozenset(name for name in names if not may[name].shows and name not in gated)
    sources: Any = face.entity.__table__
    embedded: dict[str, Any] = {}
    for embed in face.about.embeds:
        if any(embed.prefix + inner in names for inner in embed.fields):
            lateral = _one_related(face, embed)
            embedded |= {embed.prefix + inner: lateral.c[inner] for inner in embed.fields}
            sources = sources.outerjoin(lateral, true())
    if any(field.figure for field in fields):
        sources = sources.outerjoin(face.figures[0].__table__, face.figures[0].id == face.entity.id)
    cells, withheld = [], []
    for field in fields:
        source = literal(None) if field.derived else embedded.get(field.name)
        source = _source(face, field, by) if source is None else source
        if field.name in gated:
            allows = may_be_used(face, field, ConsentPurpose.MARKETING)
            withheld.append(case((and_(source.is_not(None), ~allows), literal(field.name))))
            source = case((allows, source))
        cells.append(literal(None, Text) if field.derived else _masked(source) if field.name in masked
                     else _cell(field, source, form))  # fmt: skip
    if gated:
        fields.append(Field(kind="text", name=WITHHELD, label="Withheld for want of consent"))
        cells.append(func.concat_ws(", ", *withheld))
    # A name of its own for each: no two of them are taken for the same column.
    labelled = [cell.label(f"c{number}") for number, cell in enumerate(cells)]
    statement = ordered(face, query, by, "export").with_only_columns(face.entity.id, *labelled).select_from(sources)
    return Extract(face, fields, form, statement, masked, bool(gated))


def _one_related(face: Face, embed: Embed) -> Any:
    """The one related record that an embed shows, beside each row."""
    link = inspect(face.entity).relationships[embed.relation]
    other = link.mapper.class_
    conditions = [getattr(other, attribute) == wanted for attribute, wanted in embed.where]
    return (select(*(getattr(other, name) for name in embed.fields))
            .where(next(iter(link.remote_side)) == face.entity.id, *conditions)
            .order_by(*link.order_by or ()).limit(1).correlate(face.entity).lateral())  # fmt: skip


def _masked(source: Any) -> Any:
    return case((source.is_(None), literal(None, Text)), else_=literal(MASK))


def _source(face: Face, field: Field, by: Actor) -> Any:
    """The column; for a reference what tells a person, and an import, which record is meant: code, e-mail, a name that only
    one has, or its name with its number behind."""
    column = face.column(field.name)
    if field.kind != "reference":
        return (
            func.coalesce(column, getattr(face.entity, f"{field.attribute}_given")) if field.kind == "phone" else column
        )
    target = face_named(field.refers_to)
    title = target.about.title
    in_table = target.entity.__table__.c.get(title)
    names = ("code", "email", *([title] if in_table is not None and in_table.unique else []))
    may = accesses(by, target)
    name = next((name for name in names if name in target.fields and may[name].shows), None)
    other: Any = aliased(target.entity)
    if name is not None:
        told = getattr(other, target.fields[name].attribute)
    elif in_table is None or not may[title].shows:
        return literal("#").concat(cast(column, Text))
    else:
        told = func.coalesce(cast(getattr(other, title), Text), "").concat(" #").concat(cast(other.id, Text))
    return select(told).where(other.id == column).scalar_subquery()


def _cell(field: Field, source: Any, form: str) -> Any:
    as_text: Any = cast(source, Text)
    if field.kind == "datetime":
        # As ISO 8601 has it, without the quotes that JSON puts around.
        as_text = func.trim(cast(func.to_json(func.timezone("UTC", source)), Text), '"').concat("Z")
    elif field.family == "list":
        as_text = func.array_to_string(source, ", ")
    if form == "json":
        return source if field.kind in ("integer", "boolean") or field.family == "list" else as_text
    if form == "xlsx" and field.family == "date":
        return case((source >= literal(_SERIAL_FROM).cast(source.type), cast(_serial(field, source), Text)),
                    else_=as_text)  # fmt: skip
    if field.family in ("text", "list", "reference"):
        is_formula = and_(func.left(as_text, 1).in_(FORMULA), as_text.op("!~")(f"^({NUMBER})$"))
        return case((is_formula, literal("'").concat(as_text)), else_=as_text)
    return as_text


def _serial(field: Field, source: Any) -> Any:
    """Days since the epoch of spreadsheets, without a zone: UTC, in whole seconds, which a fraction of a day can tell."""
    if field.kind == "date":
        return source - func.date("1899-12-30")
    return func.floor(func.date_part("epoch", source)) / 86_400 + 25_569


def _derive(taken: Extract, part: Sequence[Any], derived: list[tuple[int, Field]]) -> list[list[Any]]:
    face = taken.face
    ids = [row[0] for row in part]
    statement = select(face.entity).where(face.entity.id.in_(ids)).options(*loads(face, [f.name for _, f in derived]))
    known = {record.id: record for record in db.session.scalars(statement)}
    made = []
    for row in part:
        cells, record = list(row[1:]), known.get(row[0])
        for place, field in derived:
            value = face.value(record, field.name) if record is not None else None
            if field.name in taken.masked:
                cells[place] = MASK if value is not None else None
            else:
                cells[place] = field.json(value) if taken.form == "json" else neutral(field.text(value))
        made.append(cells)
    return made
