"""Reads Excel workbooks through a child process with limits, and knows which sheet is likely the table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from crm.importing.detecting import header_row, normalised
from crm.importing.files import LIMITS, MIB, FileRefused, Limits, Row, Sheet
from crm.importing.unpacking import check_workbook

CHILD = Path(__file__).with_name("workbook_child.py")


@dataclass(frozen=True)
class Workbook:
    """A checked workbook with the first rows of each of its sheets."""

    path: Path
    sheets: tuple[Sheet, ...]
    heads: dict[str, list[list[str]]]
    notes: tuple[str, ...] = ()


def open_workbook(path: Path, kind: str, limits: Limits = LIMITS) -> Workbook:
    """Check and look over a workbook; FileRefused when it is a bomb, damaged, locked or too large."""
    notes: tuple[str, ...] = ()
    if kind == "xlsx":
        empty = check_workbook(path, limits)
        if empty:
            what = (
                "formula has no result in the file and reads"
                if empty == 1
                else "formulas have no result in the file and read"
            )
            notes = (f"{empty:,} {what} as empty: open it in a spreadsheet and save it, to have them worked out",)
    elif path.stat().st_size > limits.workbook_unpacked:
        raise FileRefused(f"it is larger than {limits.workbook_unpacked // MIB:,} MiB: save it as CSV")
    sheets, heads = [], {}
    for line in _child("describe", path, limits):
        told = json.loads(line)
        head = told["head"]
        header, _ = header_row(head)
        body = [row for row in head[header:] if any(cell.strip() for cell in row)]
        width = max((len(row) for row in head), default=0)
        named = [cell for cell in head[header - 1] if cell.strip()] if header else []
        table = header > 0 and len(named) >= 2 and len(named) >= 0.8 * width and len(body) >= 1
        sheets.append(Sheet(told["name"], told["rows"], told["columns"], told["visible"], table))
        heads[told["name"]] = head
    if not sheets:
        raise FileRefused("the workbook has no sheet with cells")
    return Workbook(path, tuple(sheets), heads, notes)


def choose_sheet(book: Workbook, words: Collection[str]) -> tuple[str, str]:
    """(name, reason): the sheet whose header has most of ``words``, else the first that is like a table."""
    tables = [sheet for sheet in book.sheets if sheet.looks_like_table and sheet.visible]
    if not tables:
        filled = [sheet for sheet in book.sheets if sheet.rows > 0]
        if not filled:
            raise FileRefused("the workbook is empty")
        return filled[0].name, "no sheet looks like a table with names above its columns; this is the first with cells"
    if len(book.sheets) == 1:
        return tables[0].name, "it is the only sheet"

    def known(sheet: Sheet) -> int:
        head = book.heads[sheet.name]
        header, _ = header_row(head)
        return len({normalised(cell) for cell in head[header - 1]} & set(words))

    best = max(tables, key=lambda sheet: (known(sheet), -tables.index(sheet)))
    if known(best) > known(tables[0]):
        return best.name, f"its columns fit best what can be imported ({known(best)} names known)"
    return tables[0].name, "it is the first sheet that looks like a table"


def workbook_rows(path: Path, sheet: str, limits: Limits = LIMITS) -> Iterator[Row]:
    """Every row of a sheet that has a value, numbered as Excel numbers them."""
    for number, line in enumerate(_child("rows", path, limits, sheet), start=1):
        cells: list[str] = json.loads(line)
        if any(cells):
            yield Row(number, cells, _problem(cells, limits))


def _problem(cells: list[str], limits: Limits) -> str | None:
    for cell in cells:
        if "\0" in cell:
            return "it holds a NUL character"
        # The child has cut it off there.
        if len(cell) > limits.cell:
            return f"a value is longer than {limits.cell:,} characters"
        if not cell.isascii() and any("\ud800" <= sign <= "\udfff" for sign in cell):
            return "it holds half a character (a lone surrogate)"
    return None


def _child(task: str, path: Path, limits: Limits, *more: str) -> Iterator[str]:
    command = [sys.executable, "-I", str(CHILD), task, str(path.absolute())]
    numbers = (limits.workbook_memory, limits.workbook_seconds, limits.cell, limits.row)
    command += [*map(str, numbers), *more]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="ascii",
    ) as child:
        assert child.stdout is not None
        finished = False
        try:
            yield from child.stdout
            finished = True
        finally:
            # Whoever stops reading early (a preview) must not leave a process behind.
            if not finished:
                child.kill()
        code = child.wait()
    if code == 0:
        return
    if code == 4:
        raise FileRefused("it is locked with a password: save it without one")
    if code == 5:
        raise FileRefused(f"the workbook has no sheet '{more[0]}'")
    if code == 7:
        raise FileRefused(f"it has a row longer than {limits.row:,} characters: is this a table?")
    if code == 6:
        raise FileRefused("the workbook is damaged or no Excel workbook")
    if code in (-24, -9, 152):
        raise FileRefused(f"reading the workbook took longer than {limits.workbook_seconds} s: save the sheet as CSV")
    raise FileRefused(
        f"the workbook needs more than {limits.workbook_memory // MIB} MiB of memory or is damaged: "
        "save the sheet as CSV, which may be of any size"
    )
