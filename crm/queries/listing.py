"""Lists of any face: search, filters, sort by name, pages by cursor; screens, exports and API read their query here.

A name that isn't there is refused, never ignored: an ignored filter would show all rows.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    false,
    func,
    inspect,
    literal,
    or_,
    select,
    tuple_,
    union,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Load, joinedload, selectinload
from sqlalchemy.sql.expression import ClauseElement, Executable

from crm.core.entity import Entity, Face, db
from crm.core.fields import Field
from crm.core.permissions import Access, Actor, Asking, access_of, accesses
from crm.queries.conditions import compile_condition, has_letters, search_key
from crm.queries.operators import BadCondition
from crm.queries.scope import belongs_to, related_face, row_scope, visible

PAGE_SIZE = 50
DEEPEST_ROW = 10_000  # `page=` reaches this far; beyond it a cursor is the way
COUNTED_EXACTLY = 1_000  # of what was filtered or searched for, where a longer count takes longer than the page
FAR_MORE = 20_000
ESTIMATE_KEPT = 60  # seconds


class BadQuery(ValueError):
    """A list query that can't be answered: the parameter, and what to do."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(reason)
        self.parameter = parameter


@dataclass(frozen=True)
class Filter:
    field: Field
    op: str
    raw: str

    @property
    def parameter(self) -> str:
        return f"flt_{self.field.name}_{self.op}"


@dataclass(frozen=True)
class ListQuery:
    """What a list was asked for. `cursor` is (forward, value of the sort column, id)."""

    search: str = ""
    sort: str = ""
    desc: bool = True
    filters: tuple[Filter, ...] = ()
    cursor: tuple[bool, Any, int] | None = None
    page: int = 1
    limit: int = PAGE_SIZE
    columns: tuple[str, ...] = ()  # those chosen on the screen; none: those that are declared

    def parameters(self) -> list[tuple[str, str]]:
        """The query as the address has it, without the place in the list."""
        pairs = [("search", self.search)] if self.search else []
        if self.sort:
            pairs.append(("sort", self.sort))
            if self.desc:
                pairs.append(("desc", "1"))
        pairs += [(kept.parameter, kept.raw) for kept in self.filters]
        return [*pairs, ("columns", ",".join(self.columns))] if self.columns else pairs

    @property
    def address(self) -> str:
        """The same as one text."""
        return urlencode(self.parameters())


@dataclass
class Page:
    rows: list[Any]
    newer: str | None = None
    older: str | None = None
    first_row: int | None = None
    query: ListQuery = field(default_factory=ListQuery)


# What screens add to a list's address and lists don't care for.
NOT_OURS = frozenset({"id", "url", "next", "rowid", "all", "action", "confirm", "csrf_token", "format", "columns",
                      "edited"})  # fmt: skip


def read_query(face: Face, given: Iterable[tuple[str, str]], *, strict: bool = True) -> ListQuery:
    """The query of an address (pairs of name and text). Raises BadQuery for what can't be answered."""
    query = ListQuery()
    filters: list[Filter] = []
    for name, raw in given:
        if "\x00" in raw:
            raise BadQuery(name[:60], "contains a NUL character")
        match name:
            case "search" | "q":
                query = replace(query, search=raw.strip()[:200])
            case "sort":
                if raw not in face.about.sort and raw != "id":
                    raise BadQuery(
                        "sort", f"“{raw[:60]}” can't be sorted by; use {', '.join(('id', *face.about.sort))}"
                    )
                query = replace(query, sort=raw)
            case "desc":
                query = replace(query, desc=raw == "1")
            case "after" | "before" | "cursor":
                query = replace(query, cursor=_read_cursor(name, raw))
            case "page":
                query = replace(query, page=_whole("page", raw, 1, DEEPEST_ROW // PAGE_SIZE))
            case "limit":
                query = replace(query, limit=_whole("limit", raw, 1, 200))
            case _ if name.startswith("flt_"):
                filters.append(_read_filter(face, name, raw))
            case _ if strict and name not in NOT_OURS:
                raise BadQuery(name[:60], "is not known here")
    if query.sort and not any(name == "desc" for name, _ in given):
        query = replace(query, desc=False)
    return replace(query, filters=tuple(filters))


def _whole(name: str, raw: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", raw) or not least <= int(raw) <= most:
        advice = "narrow the list, or page on with the arrows" if name == "page" else f"give {least} to {most}"
        raise BadQuery(name, f"must be a whole number from {least} to {most}; {advice}")
    return int(raw)


def _read_filter(face: Face, name: str, raw: str) -> Filter:
    for field_name in sorted(face.filters, key=len, reverse=True):
        prefix = f"flt_{field_name}_"
        if name.startswith(prefix):
            op = name.removeprefix(prefix)
            kept = Filter(face.fields[field_name], op, raw)
            try:
                compile_condition(face, kept.field, op, raw)
            except BadCondition as fault:
                raise BadQuery(name[:60], str(fault)) from None
            return kept
    raise BadQuery(name[:60], "there is no such filter here")


def _cursor(forward: bool, value: Any, record_id: int) -> str:
    shown = value if isinstance(value, str | int | None) else str(value)
    packed = json.dumps([1 if forward else 0, shown, record_id], ensure_ascii=False)
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _read_cursor(name: str, raw: str) -> tuple[bool, Any, int]:
    try:
        forward, value, record_id = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
        good = forward in (0, 1) and type(record_id) is int and abs(record_id) < 2**63
        good = good and (isinstance(value, str | None) or (type(value) is int and abs(value) < 2**31))
        if isinstance(value, str):
            value.encode()  # half a surrogate pair can't be sent to the database
            good = good and "\x00" not in value and len(value) < 1000
    except (ValueError, TypeError, binascii.Error, RecursionError):
        good = False
    if not good:
        raise BadQuery(name, "is not a cursor of this list; start again from its first page")
    return (bool(forward) if name == "cursor" else name == "after"), value, record_id


def _sort_columns(face: Face, query: ListQuery) -> tuple[Any, Any]:
    """(the column of the order, the id that decides between equals)."""
    if query.sort in ("", "id"):
        return face.entity.id, face.entity.id
    return face.sort_column(query.sort)


def matching(face: Face, query: ListQuery, actor: Actor, verb: str = "read") -> Select[Any]:
    """Every row the query matches and the actor may reach, in no order; what is archived only when it is asked for."""
    statement = visible(face, actor, verb)
    may = accesses(actor, face)
    _refuse_unseen(may, query)
    for kept in query.filters:
        statement = statement.where(compile_condition(face, kept.field, kept.op, kept.raw))
    if any(face.fields[name].figure for name in (query.sort or "id", *(kept.field.name for kept in query.filters))):
        statement = statement.where(face.figures[0].id == face.entity.id)
    if query.search:
        statement = statement.where(_search(face, query.search, actor))
    if face.about.archived and not any(kept.field.name in ("status", face.about.archived) for kept in query.filters):
        statement = statement.where(face.column(face.about.archived).is_(None))
    return statement


def _refuse_unseen(may: Mapping[str, Access], query: ListQuery) -> None:
    """A value that one may not see can't be found out by asking for it."""
    asked = [(kept.parameter, kept.field.name) for kept in query.filters] + [("sort", query.sort)] * bool(query.sort)
    for parameter, name in asked:
        if not may[name].shows:
            doing = "sorted" if parameter == "sort" else "filtered"
            raise BadQuery(parameter, f"your roles don't show “{name}”, so it can't be {doing} by")


def ordered(face: Face, query: ListQuery, actor: Actor, verb: str = "read") -> Select[Any]:
    """`matching` in the order of the list, for exports."""
    column, ident = _sort_columns(face, query)
    columns = [column] if column is ident else [column, ident]
    return matching(face, query, actor, verb).order_by(*(c.desc() if query.desc else c.asc() for c in columns))


def fetch_page(face: Face, query: ListQuery, actor: Actor, *, load: Iterable[Any] = (), verb: str = "read",
               where: Iterable[ColumnElement[bool]] = ()) -> Page:  # fmt: skip
    """One page by row values `(column, id) < (…)`: the same cost a million rows in. `where` narrows it further."""
    column, ident = _sort_columns(face, query)
    single = column is ident
    forward = query.cursor[0] if query.cursor else True
    downward = query.desc if forward else not query.desc
    statement = matching(face, query, actor, verb).where(*where)
    if query.cursor:
        _, value, record_id = query.cursor
        place = _place(column, single, value, record_id)
        here = ident if single else tuple_(column, ident)
        statement = statement.where(here < place if downward else here > place)
    columns = [column] if single else [column, ident]
    statement = statement.order_by(*(c.desc() if downward else c.asc() for c in columns))
    if query.page > 1 and not query.cursor:
        statement = statement.offset((query.page - 1) * query.limit)
    rows = list(db.session.scalars(statement.limit(query.limit + 1).options(*load)))
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    if not forward:
        rows.reverse()
    page = Page(rows, query=query)
    if rows:
        key = column.key
        if more or not forward:
            page.older = _cursor(True, getattr(rows[-1], key), rows[-1].id)
        if (query.cursor and (forward or more)) or (query.page > 1 and not query.cursor):
            page.newer = _cursor(False, getattr(rows[0], key), rows[0].id)
    if not query.cursor:
        page.first_row = (query.page - 1) * query.limit + 1
    return page


# How the value of a sort column is read from the text that a cursor keeps of it.
_PLACES: dict[type, Callable[[Any], Any]] = {
    dt.datetime: dt.datetime.fromisoformat, dt.date: dt.date.fromisoformat, Decimal: Decimal}  # fmt: skip


def _place(column: Any, single: bool, value: Any, record_id: int) -> Any:
    if single:
        return record_id
    read = _PLACES.get(column.type.python_type, column.type.python_type)
    try:
        if not isinstance(value, int if read is int else str):
            raise ValueError
        place = read(value)
        if isinstance(place, Decimal) and not (place.is_finite() and place.adjusted() < 19):
            raise ValueError
    except (ValueError, InvalidOperation):
        raise BadQuery("after", "is a cursor of another order; start again from the first page") from None
    return tuple_(literal(place, column.type), literal(record_id, inspect(column.class_).local_table.c.id.type))


def _search(face: Face, term: str, actor: Actor) -> Any:
    """Letters are found anywhere in what is searched; one or two letters at the start of a name.

    Trigram indexes find nothing for two letters, so those look at the start of the sorted name instead. Related
    records that name this one (contacts of a customer) are found too.
    """
    entity = face.entity
    if not face.about.search:
        raise BadQuery("search", "this list can't be searched; use a filter")
    escaped = search_key(_as_searched(term))
    if len(term) < 3 and hasattr(entity, "sort_name") and access_of(actor, face, "name").shows:
        return entity.sort_name.like(escaped.concat("%"))
    pattern = func.concat("%", escaped, "%")
    own = holds(face, term, pattern, actor)
    found = [select(entity.id).where(own)]
    for relation in face.about.search_related:
        link = inspect(entity).relationships[relation]
        named = link.mapper.class_.faces[0]
        found.append(select(*link.remote_side).where(holds(named, term, pattern, actor), *row_scope(named, actor)))
    return own if len(found) == 1 else entity.id.in_(union(*found).scalar_subquery())


def holds(face: Face, term: str, pattern: Any, actor: Actor) -> ColumnElement[bool]:
    """What is searched of a record has the pattern, as far as the actor sees it.

    The index is over all of it at once; where some isn't seen, one of the seen fields must have the pattern too.
    """
    may = accesses(actor, face)
    seen = [name for name in face.about.search if may[name].shows]
    whole = has_letters(face, term, pattern)
    if len(seen) == len(face.about.search):
        return whole
    return and_(whole, or_(false(), *(func.crm_sort_key(face.column(name)).like(pattern) for name in seen)))


def _as_searched(term: str) -> str:
    """A phone number as a person writes it becomes its digits, as E.164 has them."""
    digits = re.sub(r"\D", "", term)
    if len(digits) >= 5 and re.fullmatch(r"[\d\s()+./-]+", term):
        return digits.lstrip("0")
    return term


def count(face: Face, query: ListQuery, actor: Actor, page: Page | None = None, *, most: int = 0) -> tuple[int, bool]:
    """(how many match, whether that is exact): what a `page` that holds them all says, else counted up to a bound, `most`;
    one more than the bound where there are more, as far from the truth as the planner's guess of several filters may lie.

    Where the planner is sure that there are far more, its estimate.
    """
    if page is not None and page.first_row is not None and page.older is None and (page.rows or page.first_row == 1):
        return page.first_row - 1 + len(page.rows), True
    narrowed = replace(query, cursor=None, page=1, sort="", columns=())
    estimated = _estimated(face, narrowed, Asking.of(actor), int(time.monotonic() // ESTIMATE_KEPT))
    if estimated > FAR_MORE:
        return estimated, False
    most = most or (COUNTED_EXACTLY if query.filters or query.search else FAR_MORE)
    capped = matching(face, query, actor).with_only_columns(face.entity.id).limit(most + 1).subquery()
    number = db.session.execute(select(func.count()).select_from(capped)).scalar_one()
    return number, number <= most


def counts_up_to(asked: Iterable[Select[Any]], most: int) -> Select[Any]:
    """One question that finds how many rows each of these has, at most one more than `most`."""
    capped = [select(func.count()).select_from(statement.order_by(None).with_only_columns(literal(1)).limit(most + 1).subquery())
              .scalar_subquery() for statement in asked]  # fmt: skip
    return select(*capped)


def count_belonging(face: Face, record: Entity, relations: tuple[str, ...], actor: Actor, most: int) -> dict[str, int]:
    """How many of each relationship belong to a record and may be reached, at most one more than `most`."""
    if not relations:
        return {}
    found = db.session.execute(_belonging(face, relations, Asking.of(actor), most), {"record": record.id}).one()
    return dict(zip(relations, found, strict=True))


@lru_cache(maxsize=512)  # to put it together takes longer than to ask it
def _belonging(face: Face, relations: tuple[str, ...], actor: Asking, most: int) -> Select[Any]:
    number = bindparam("record", type_=BigInteger())
    return counts_up_to([visible(related_face(face, name), actor).where(belongs_to(face, number, name)) for name in relations],
                        most)  # fmt: skip


@lru_cache(maxsize=1024)
def _estimated(face: Face, query: ListQuery, actor: Asking, moment: int) -> int:
    """How many the planner expects, asked once in a `moment`: whatever it says, what follows from it is true."""
    plan = db.session.connection().execute(_Explain(matching(face, query, actor).with_only_columns(face.entity.id)))
    return int(plan.scalar_one()[0]["Plan"]["Plan Rows"])


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a statement, with its values bound as in the statement itself."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explain)
def _explain(element: _Explain, compiler: Any, **options: Any) -> str:
    return "EXPLAIN (FORMAT JSON) " + compiler.process(element.statement, **options)


def loads(face: Face, names: Iterable[str], *, joined: bool = False) -> list[Any]:
    """What to load with a page, so that no row asks the database again: of what is referred to, by what it is called.

    Figures come `joined`, one question less, where the rows are read in the order of an index: before a sort they would be
    looked up for every row that matches.
    """
    options, names = [], list(names)
    wanted = {face.fields[name].attribute.removesuffix("_id") for name in names
              if name in face.fields and face.fields[name].family == "reference"}  # fmt: skip
    embedded = {embed.relation for embed in face.about.embeds
                if any(name == embed.prefix + part for name in names for part in embed.fields)}  # fmt: skip
    mapper = inspect(face.entity)
    plain = all(face.fields[name].figure or face.fields[name].attribute in mapper.column_attrs
                for name in names if name in face.fields)  # fmt: skip
    for name in sorted(wanted | embedded):
        option, other = selectinload(getattr(face.entity, name)), mapper.relationships[name].mapper.class_
        # A value that is worked out may be that of another record: a line's day is its order's.
        if name in embedded:
            parts = {part for embed in face.about.embeds if embed.relation == name
                     for part in (*embed.fields, *dict(embed.where))}  # fmt: skip
            option = _only(option, other, parts)
        elif plain:
            option = _only(option, other, _naming(other))
        options.append(option)
    if shown := {face.fields[name].attribute for name in names if name in face.fields and face.fields[name].figure}:
        figures = face.figures[0]
        shown |= {f"sort_{name}" for name in shown if hasattr(figures, f"sort_{name}")}
        load = joinedload if joined else selectinload
        options.append(_only(load(getattr(face.entity, figures.__tablename__)), figures, shown))
    return options


def drawn(face: Face, query: ListQuery, names: Sequence[str]) -> list[Any]:
    """`loads` for a list on the screen: of all columns of a record those alone that it shows."""
    columns = set(face.entity.__table__.c.keys())
    attributes = _naming(face.entity)
    for one in (face.fields[name] for name in names if name in face.fields and not face.fields[name].figure):
        attributes |= {one.attribute} | {f"{one.attribute}_given", f"{one.name}_currency"} & columns
    if face.about.archived:
        attributes.add(face.about.archived)
    column, _ = _sort_columns(face, query)
    sorted_by_figure = column.class_ is not face.entity
    if not sorted_by_figure:
        attributes.add(column.key)
    kept = [*names, query.sort] if sorted_by_figure else names
    whole = not (query.search or query.filters or sorted_by_figure)
    return [*loads(face, kept, joined=whole), _only(Load(face.entity), face.entity, attributes)]


def _naming(entity: type[Any]) -> set[str]:
    """The attributes by which a record is called and pictured; a line has the currency of what it belongs to."""
    return {entity.about.title} | {"code", "kind", "currency"} & set(entity.__table__.c.keys())


def _only(option: Any, entity: type[Any], attributes: set[str]) -> Any:
    """The option without the other columns; as it is where a value is put together from we don't know what."""
    mapped = inspect(entity).column_attrs.keys()
    return (
        option.load_only(*(getattr(entity, name) for name in sorted(attributes)))
        if attributes <= set(mapped)
        else option
    )
