"""What a file to import is: the choices about reading it, what was found out, and when it is refused."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

MIB = 1024 * 1024


class FileRefused(Exception):
    """The whole file cannot be read; the message is one sentence for the person who sent it."""


class Row(NamedTuple):
    """One row as it stands in the file; ``problem`` says why it cannot be used, None when it can."""

    number: int
    cells: list[str]
    problem: str | None


@dataclass(frozen=True)
class Limits:
    """How much of a stranger's file we are ready to look at. Sizes are bytes, of `cell` and `row` characters; times are
    seconds.

    Text is read in this process, a row at a time: these limits keep its memory flat. A workbook has to be unpacked as
    a whole, so a process of its own does that.
    """

    unpacked: int = 8 * 1024 * MIB
    ratio: int = 200
    ratio_matters_from: int = 32 * MIB
    columns: int = 1_000
    cell: int = MIB
    row: int = 8 * MIB
    workbook_parts: int = 10_000
    workbook_unpacked: int = 600 * MIB
    workbook_memory: int = 448 * MIB
    workbook_seconds: int = 120
    workbook_rows: int = 1_048_576


LIMITS = Limits()

_NO_TEXT = frozenset(("unicode-escape", "raw-unicode-escape", "punycode", "idna", "undefined"))
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


@dataclass(frozen=True)
class ReadOptions:
    """What a person decided about reading the file; None means: find out.

    ``header`` is the number of the row that holds the names, 0 when there is none. ``quote`` is one character
    or '' for none. ``repair`` turns UTF-8 that was once read as cp1252 back into what it was.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    header: int | None = None
    sheet: str | None = None
    repair: bool = False

    def __post_init__(self) -> None:
        if self.encoding is not None:
            try:
                codec = codecs.lookup(self.encoding)
            except (LookupError, ValueError) as error:
                raise FileRefused(f"'{self.encoding}' is no encoding we know") from error
            # rot13, zip, hex … are codecs too, but no way to write text down; nor is what a program's source has.
            if not getattr(codec, "_is_text_encoding", True) or codec.name in _NO_TEXT:
                raise FileRefused(f"'{self.encoding}' is no encoding of text")
        for name, value in (("delimiter", self.delimiter), ("quote", self.quote)):
            if value is not None and (len(value) > 1 or value in ("\n", "\r", "\0") or not value.isascii()):
                raise FileRefused(f"the {name} must be one plain character")
        if self.delimiter == "":
            raise FileRefused("the delimiter must be one plain character")
        if self.header is not None and not 0 <= self.header <= 1_000:
            raise FileRefused("the header must stand in one of the first 1,000 rows (0 = there is none)")

    @property
    def chosen(self) -> list[str]:
        """Names of what is decided."""
        return [f.name for f in fields(self) if getattr(self, f.name) not in (None, False)]

    def as_data(self) -> dict[str, Any]:
        """As JSON-able data, to be kept in a plan."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> ReadOptions:
        """Back from :meth:`as_data`; unknown names are an error, not ignored."""
        kinds = {"header": (int, "a number"), "repair": (bool, "true or false")}
        for name, value in data.items():
            if name not in {f.name for f in fields(cls)}:
                raise FileRefused(f"unknown reading option '{name}'")
            kind, told = kinds.get(name, (str, "text"))
            if value is not None and type(value) is not kind:
                raise FileRefused(f"the reading option '{name}' must be {told}")
        return cls(**data)

    def filled(self, **found: Any) -> ReadOptions:
        """These options with what was found out where nothing had been decided."""
        return replace(self, **{name: value for name, value in found.items() if getattr(self, name) is None})


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook: how large it is and whether it looks like a table."""

    name: str
    rows: int
    columns: int
    visible: bool
    looks_like_table: bool


@dataclass(frozen=True)
class Found:
    """What was found out about the file and why, in words; ``reasons`` go by the names of ReadOptions."""

    kind: str
    packed: bool
    reasons: dict[str, str]
    sheets: tuple[Sheet, ...] = ()
    repair_offered: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of the file: its unique name, some values and the share of looked-at rows that have one."""

    index: int
    name: str
    samples: tuple[str, ...]
    fill_rate: float
    values: tuple[str, ...] = field(default=(), repr=False)
