"""Opens a file as a table: columns with samples, and its rows one after the other in flat memory."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from crm.importing.detecting import (
    EVIDENCE,
    detect_delimiter,
    detect_encoding,
    detect_quote,
    header_row,
    looks_misread,
    repaired,
)
from crm.importing.files import LIMITS, Column, FileRefused, Found, Limits, ReadOptions, Row
from crm.importing.unpacking import kind_of, open_bytes
from crm.importing.workbooks import choose_sheet, open_workbook, workbook_rows

SAMPLE_ROWS = 1_000
SAMPLES = 5
NAME_LENGTH = 120
MARK = "\udcff"
# Stands alone as the last row unless a quote was never closed: then it ends up inside the last value.
_END = "\ue000end of file\ue000"
_SURROGATE = re.compile("[\ud800-\udfff]")

# The csv module has one limit for the whole process; ours is the larger of what anybody asked for.
csv.field_size_limit(max(csv.field_size_limit(), LIMITS.cell))


def _mark_damage(error: UnicodeError) -> tuple[str, int]:
    """Decoding goes on past damaged bytes; the row they stand in is refused by the mark they leave."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARK, error.end


codecs.register_error("customer_desk_mark", _mark_damage)


@dataclass(frozen=True)
class Table:
    """A file that can be read: ``options`` are complete (nothing left to find out), ``found`` says why."""

    path: Path
    options: ReadOptions
    found: Found
    columns: tuple[Column, ...]
    limits: Limits = LIMITS

    def rows(self) -> Iterator[Row]:
        """Every row below the header that has a value, numbered as in a spreadsheet: the first row is 1.

        A row that cannot be used carries its problem. FileRefused when the file as a whole cannot be read on.
        """
        width = len(self.columns)
        header = self.options.header or 0
        workbook = self.found.kind != "text"
        for number, cells, problem in raw_rows(self.path, self.found, self.options, self.limits):
            if number <= header:
                continue
            if len(cells) > width:
                if problem is None and any(cell.strip() for cell in cells[width:]):
                    problem = f"it has {len(cells)} values, the file has {width} columns"
                cells = cells[:width]
            elif len(cells) < width:
                if problem is None and not workbook:
                    problem = f"it has {len(cells)} values, the file has {width} columns"
                cells = cells + [""] * (width - len(cells))
            yield Row(number, cells, problem)


def open_table(
    path: Path | str,
    options: ReadOptions | None = None,
    *,
    words: Collection[str] = (),
    limits: Limits = LIMITS,
) -> Table:
    """Find out how the file is to be read, as far as ``options`` leave it open, and look at its first rows.

    ``words`` are names of columns one can expect (as `detecting.normalised` writes them): they help to tell
    the header and the right sheet. Raises FileRefused.
    """
    path, options = Path(path), options or ReadOptions()
    try:
        kind, packed = kind_of(path, limits)
    except OSError as error:
        raise FileRefused(f"the file cannot be opened: {error.strerror or error}") from error
    reasons: dict[str, str] = {}
    if kind == "text":
        options, reasons = _text_options(path, packed, options, limits)
        found = Found(kind, packed, reasons)
    else:
        book = open_workbook(path, kind, limits)
        if options.sheet is None:
            name, reasons["sheet"] = choose_sheet(book, words)
            options = options.filled(sheet=name)
        elif options.sheet not in book.heads:
            raise FileRefused(f"the workbook has no sheet '{options.sheet}'")
        found = Found(kind, packed, reasons, sheets=book.sheets, notes=book.notes)

    first = _first_rows(raw_rows(path, found, options, limits), limits.row)
    if options.header is None:
        number, reasons["header"] = header_row(first, words)
        options = options.filled(header=number)
    header = options.header or 0
    if header > len(first):
        raise FileRefused(f"there is no row {header} to take names from")
    body = [row for row in first[header:] if any(cell.strip() for cell in row)]
    columns = _columns(first[header - 1] if header else (), body, limits)
    if not columns:
        raise FileRefused("the file has no values")
    offered = None
    if not options.repair and kind == "text":
        offered = looks_misread("\n".join(",".join(row) for row in first))
    found = Found(kind, packed, reasons, found.sheets, offered, found.notes)
    return Table(path, options, found, columns, limits)


def _text_options(path: Path, packed: bool, options: ReadOptions, limits: Limits) -> tuple[ReadOptions, dict[str, str]]:
    reasons: dict[str, str] = {}
    if options.encoding is None:
        with open_bytes(path, packed=packed, limits=limits) as stream:
            codec, reasons["encoding"] = detect_encoding(stream)
        options = options.filled(encoding=codec)
    with open_bytes(path, packed=packed, limits=limits) as stream:
        text = _decoded(stream.read(EVIDENCE), options.encoding or "utf-8")
    if options.quote is None:
        quote, reasons["quote"] = detect_quote(text, options.delimiter)
        options = options.filled(quote=quote)
    if options.delimiter is None:
        delimiter, reasons["delimiter"] = detect_delimiter(text, options.quote or "")
        options = options.filled(delimiter=delimiter)
    return options, reasons


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)("customer_desk_mark").decode(data)
    except (UnicodeError, LookupError, ValueError) as error:
        raise FileRefused(f"the file is not written in {encoding}") from error


def raw_rows(path: Path, found: Found, options: ReadOptions, limits: Limits = LIMITS) -> Iterator[Row]:
    """Every row of the file that is not blank, header included, each as wide as it stands there."""
    if found.kind != "text":
        return workbook_rows(path, options.sheet or "", limits)
    return _text_rows(path, found, options, limits)


class _Lines:
    """The lines of a text file for the csv module; remembers whether one needs a closer look, and how long the row is
    that they make up."""

    def __init__(self, text: io.TextIOWrapper, limit: int, repair: bool) -> None:
        self._text = text
        self._limit = limit
        self._repair = repair
        self._ended = False
        self._length = 0
        self.number = 0
        self.started = 1
        self.doubtful = False

    def next_row(self) -> None:
        """The row is whole: what comes is another."""
        self.started, self._length, self.doubtful = self.number + 1, 0, False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._limit)
        self._length += len(line)
        if not line:
            if self._ended:
                raise StopIteration
            self._ended = True
            return _END
        self.number += 1
        if self._length >= self._limit:
            # Of many lines too: quotes that are closed and opened again could make one row of the whole file.
            raise FileRefused(
                f"the row that begins in line {self.started:,} is longer than {self._limit:,} characters: is this a table?"
            )
        if not line.isascii():
            if self._repair:
                line = repaired(line)
            self.doubtful = True
        elif "\0" in line:
            self.doubtful = True
        return line


def _text_rows(path: Path, found: Found, options: ReadOptions, limits: Limits) -> Iterator[Row]:
    with (
        open_bytes(path, packed=found.packed, limits=limits) as stream,
        io.TextIOWrapper(stream, options.encoding or "utf-8", "customer_desk_mark", newline="") as text,
    ):
        lines = _Lines(text, limits.row, options.repair)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE
        reader = csv.reader(
            lines,
            delimiter=options.delimiter or ",",
            quotechar=options.quote or None,
            quoting=quoting,
            strict=False,
        )
        number = 0
        try:
            for cells in reader:
                if cells and cells[-1].endswith(_END):
                    if len(cells) > 1 or len(cells[0]) > len(_END):
                        raise FileRefused(_unclosed(lines.started, options.quote))
                    return
                number += 1
                problem = _problem(cells) if lines.doubtful else None
                lines.next_row()
                if number == 1 and _is_sep_line(cells, options.delimiter or ","):
                    # Excel's 'sep=;' is a note on how to read the file, and counted as a row by Excel too.
                    continue
                if len(cells) > limits.columns:
                    if any(cell.strip() for cell in cells[limits.columns :]):
                        raise FileRefused(
                            f"row {number:,} has {len(cells):,} columns (at most {limits.columns:,}): "
                            "is the delimiter right?"
                        )
                    cells = cells[: limits.columns]
                if any(cells):
                    yield Row(number, cells, problem)
        except csv.Error as error:
            if "field larger" in str(error):
                raise FileRefused(_unclosed(lines.started, options.quote, limits.cell)) from error
            raise FileRefused(f"line {lines.number:,} cannot be read: {error}") from error
        except (UnicodeError, LookupError) as error:
            raise FileRefused(f"line {lines.number + 1:,} is not written in {options.encoding}") from error


def _is_sep_line(cells: list[str], delimiter: str) -> bool:
    return cells in ([f"sep={delimiter}"], ["sep=", ""])


def _unclosed(line: int, quote: str | None, limit: int | None = None) -> str:
    what = f"a value longer than {limit:,} characters" if limit else "a quoted value that never ends"
    missing = f": a quote ({quote}) is missing there, or quotes mean nothing in this file" if quote else ""
    return f"line {line:,} starts {what}{missing}"


def _problem(cells: Sequence[str]) -> str | None:
    text = "".join(cells)
    if "\0" in text:
        return "it holds a NUL character"
    if _SURROGATE.search(text):
        return "it holds bytes that are no text in this encoding"
    return None


def _first_rows(rows: Iterator[Row], most: int) -> list[list[str]]:
    """The first rows at their places, up to so many characters: a blank row of the file is an empty list."""
    first: list[list[str]] = []
    length = 0
    for row in islice(rows, SAMPLE_ROWS):
        length += sum(map(len, row.cells))
        if row.number > SAMPLE_ROWS + 1_000 or (first and length > most):
            break
        while len(first) < row.number - 1:
            first.append([])
        first.append([_clean_name(cell) if _SURROGATE.search(cell) else cell for cell in row.cells])
    close = getattr(rows, "close", None)
    if close is not None:
        close()
    return first


def _clean_name(name: str) -> str:
    return _SURROGATE.sub("\ufffd", name)


def _columns(names: Sequence[str], body: Sequence[Sequence[str]], limits: Limits) -> tuple[Column, ...]:
    width = len(names)
    while width and not names[width - 1].strip():
        width -= 1
    if not names:
        # Without a header most rows decide; one broken row must not make the table wider.
        widths = sorted(len(row) for row in body)
        width = widths[len(widths) // 2] if widths else 0
    elif body and width < len(names) and any(any(cell.strip() for cell in row[width:]) for row in body[:50]):
        width = len(names)
    width = min(width, limits.columns)
    taken: set[str] = set()
    columns = []
    for index in range(width):
        base = " ".join(names[index].replace("\0", " ").split())[:NAME_LENGTH] if index < len(names) else ""
        base = base or f"Column {index + 1}"
        name, again = base, 2
        while name.casefold() in taken:
            name, again = f"{base} ({again})", again + 1
        taken.add(name.casefold())
        values = tuple(row[index].strip() for row in body if index < len(row) and row[index].strip())
        samples = tuple(dict.fromkeys(value[:80] for value in values[:200]))[:SAMPLES]
        columns.append(Column(index, name, samples, len(values) / len(body) if body else 0.0, values))
    return tuple(columns)
