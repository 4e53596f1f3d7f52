"""Run as a process of its own: prints one Excel workbook as JSON lines, within memory and time limits.

It imports nothing of ours, so that it starts fast and a workbook that kills it takes nothing else along.
Usage: workbook_child.py (describe | rows) PATH MEMORY_BYTES SECONDS CELL ROW [SHEET]
What stands in a cell is cut off behind CELL characters; a row of more than ROW ends it, and so many go out of all heads.
"""

import datetime
import json
import resource
import sys
from typing import Any

import python_calamine

HEAD_ROWS = 200


def text(value: Any) -> str:
    """A cell as the text a person would expect of it: whole numbers without '.0', dates as ISO."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        # Excel computes in 15 digits; the rest is noise of the binary fraction.
        return format(value, ".15g")
    if isinstance(value, datetime.datetime):
        # A time is a fraction of a day there: whole seconds come out a little off.
        value = (value + datetime.timedelta(milliseconds=500)).replace(microsecond=0)
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return "" if value is None else str(value)


def limit(what: int, value: int) -> None:
    try:
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (value if hard < 0 else min(value, hard), hard))
    except (ValueError, OSError) as error:
        # macOS has no limit of address space; the check of the zip directory still stands there.
        print(f"limit {what} not set: {error}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    task, path, memory, seconds, cell, row, *sheets = arguments
    limit(resource.RLIMIT_AS, int(memory))
    limit(resource.RLIMIT_CPU, int(seconds))
    limit(resource.RLIMIT_CORE, 0)
    try:
        workbook = python_calamine.CalamineWorkbook.from_path(path)
        if task == "describe":
            describe(workbook, int(row))
        elif not rows(workbook, sheets[0], int(cell), int(row)):
            return 7
    except MemoryError:
        return 3
    except python_calamine.PasswordError:
        return 4
    except python_calamine.WorksheetNotFound:
        return 5
    except python_calamine.CalamineError as error:
        print(error, file=sys.stderr)
        return 6
    return 0


def describe(workbook: Any, most: int) -> None:
    for meta in workbook.sheets_metadata:
        if meta.typ != python_calamine.SheetTypeEnum.WorkSheet:
            continue
        sheet = workbook.get_sheet_by_name(meta.name)
        head = []
        for number, row in enumerate(sheet.iter_rows(), start=1):
            if number > HEAD_ROWS:
                break
            cells = [text(cell)[:2000] for cell in row]
            most -= sum(map(len, cells)) + len(cells)
            if most < 0:
                break
            head.append(cells)
        print(
            json.dumps(
                {
                    "name": meta.name,
                    "visible": meta.visible == python_calamine.SheetVisibleEnum.Visible,
                    "rows": sheet.total_height + 1 if sheet.end else 0,
                    "columns": sheet.width,
                    "head": head,
                }
            )
        )
        del sheet


def rows(workbook: Any, name: str, longest: int, most: int) -> bool:
    """False when a row is too long to go on."""
    sheet = workbook.get_sheet_by_name(name)
    del workbook
    write = sys.stdout.write
    encode = json.JSONEncoder(ensure_ascii=True, check_circular=False).encode
    for row in sheet.iter_rows():
        cells = [text(cell)[: longest + 1] for cell in row]
        if sum(map(len, cells)) > most:
            return False
        write(encode(cells) + "\n")
    sys.stdout.flush()
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
