"""Where an entity appears: the parts of a declaration that name its fields, without a widget, Flask or SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SYSTEM = "System"  # the area of what keeps the house itself: users, jobs, imports


@dataclass(frozen=True)
class Section:
    """A part of a form and of the overview: a title, a line of help, fields in order."""

    title: str
    fields: tuple[str, ...]
    help: str = ""


@dataclass(frozen=True)
class Embed:
    """Fields of a related record shown and taken as the parent's own, under a prefix (`billing_city`).

    `relation` is the relationship's name on the parent, `where` picks the one record.
    """

    relation: str
    fields: tuple[str, ...]
    prefix: str = ""
    where: tuple[tuple[str, Any], ...] = ()

    def pick(self, record: Any) -> Any:
        """The one related record that this shows; None where there is none."""
        return next((other for other in getattr(record, self.relation)
                     if all(getattr(other, attribute) == wanted for attribute, wanted in self.where)), None)  # fmt: skip


@dataclass(frozen=True)
class Inline:
    """Records that belong to this one and are written in its own form, a row of these fields each.

    `relation` is the relationship's name on the parent. One level deep; what is more than `most` has a list of its own.
    """

    relation: str
    fields: tuple[str, ...]
    help: str = ""
    most: int = 50


@dataclass(frozen=True)
class Moment:
    """How a record takes part in the timeline of a party: when it was, who had it in hand, whose timeline it is.

    `at` is NOT NULL; party and time together get an index, in place of the party's own.
    """

    at: str
    by: str = ""
    party: str = "party"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.at, self.by, self.party) if name)


@dataclass(frozen=True, kw_only=True)
class About:
    """Where an entity appears. Names are public field names; no widget, no Flask, no SQL.

    `within` is the path to the party whose owner decides the row scope, `also_within` another one that opens a row as
    well; `search_apart` keeps the text that is searched in a table of its own; `search_related` names relations whose
    records name this one too; `sort` names NOT NULL fields only, each gets
    the index (column, id). `archived` names the time that puts a record away, out of lists and pickers. `quick` names
    columns that may be changed in the list itself. `tabs` puts several of `related` into one tab of the page; what is in
    none has a tab of its own. Where it stands in another record's tab, `unfolds` says what of it is shown there at once,
    together with its own related records.
    `importable` is off where a file can't say all that a record needs. `brings` names
    references whose record a row of a file may bring along, such as a line its order.
    """

    area: str
    columns: tuple[str, ...]
    title: str = "name"
    icon: str = "list"
    search: tuple[str, ...] = ()
    search_apart: bool = False
    search_related: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    detail: tuple[Section, ...] = ()
    related: tuple[str, ...] = ()
    tabs: tuple[Section, ...] = ()
    unfolds: tuple[str, ...] = ()
    timeline: Moment | None = None
    embeds: tuple[Embed, ...] = ()
    inline: tuple[Inline, ...] = ()
    quick: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    also_within: tuple[str, ...] = ()
    label: str = ""
    label_plural: str = ""
    plural: str = ""
    screen: bool = True
    api: bool = True
    create: bool = True
    edit: bool = True
    delete: bool = False
    importable: bool = True
    brings: tuple[str, ...] = ()
    archived: str = ""
    audited: bool = True
    help: str = ""

    @property
    def imports(self) -> bool:
        """Whether files of it can be brought in: what a person may make, so no log, no ledger that keeps itself and no
        system record. What is never changed comes in as new alone."""
        return self.importable and self.create and self.area != SYSTEM

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """Every path to a party whose owner reaches the row."""
        return tuple(path for path in (self.within, self.also_within) if path)
