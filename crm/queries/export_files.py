"""Rows as the bytes of a file, CSV, XLSX or JSON: made part by part, never held as a whole."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from markupsafe import escape

from crm.core.fields import Field
from crm.queries.exports import Batches, Extract

MIME = {"csv": "text/csv; charset=utf-8", "json": "application/json",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}  # fmt: skip
KEPT_MIME = MIME | {"zip": "application/zip"}  # of files that are kept: many letters are bound in one
ROWS_OF_A_SHEET = 1_000_000  # spreadsheets end at 1,048,576
BYTES_OF_A_SHEET = 1 << 30  # below what a zip holds without its 64-bit form, which not every program reads
LONGEST_CELL = 32_767

Chunks = Iterator[bytes]


def as_file(taken: Extract, batches: Batches) -> Chunks:
    """The file's bytes, of rows that come in parts; its first row, or each of its objects, names the fields."""
    return _FORMS[taken.form](taken.fields, batches, taken.face.label_plural)


def _csv(fields: Sequence[Field], batches: Batches, _title: str) -> Chunks:
    """UTF-8 with a byte order mark, so that spreadsheets read it right."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow([field.name for field in fields])
    yield _taken(buffer)
    for part in batches:
        writer.writerows(part)
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    made = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return made


def _json(fields: Sequence[Field], batches: Batches, _title: str) -> Chunks:
    """An array of objects, one on each line."""
    names = [field.name for field in fields]
    before = "[\n"
    for part in batches:
        lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in part]
        yield (before + ",\n".join(lines)).encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


class _Outlet:
    """Takes what the zip writes, and gives it on: a file that can't be gone back in."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        made, self._parts = b"".join(self._parts), []
        return made


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = (f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" '
          'activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>')  # fmt: skip
_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/></font><font><b/><sz val="11"/></font></fonts>'
    '<fills count="1"><fill><patternFill patternType="none"/></fill></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="4"><xf/><xf numFmtId="164" applyNumberFormat="1"/>'
    '<xf numFmtId="165" applyNumberFormat="1"/><xf fontId="1" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_EMPTY = "<c/>"


def _words(text: str, style: str = "") -> str:
    return f'<c t="inlineStr"{style}><is><t xml:space="preserve">{escape(text[:LONGEST_CELL])}</t></is></c>'


def _number(style: str) -> Callable[[str], str]:
    def cell(text: str) -> str:
        # More digits than a spreadsheet keeps, and days before its calendar, stay as they are written.
        exact = _PLAIN_NUMBER.fullmatch(text) and (style or len(text) <= 15)
        return f"<c{style}><v>{text}</v></c>" if exact else _words(text)

    return cell


def _cell_of(field: Field) -> Callable[[str], str]:
    match field.kind:
        case "integer" | "money" | "decimal":
            return _number("")
        case "date":
            return _number(' s="1"')
        case "datetime":
            return _number(' s="2"')
        case "boolean":
            return lambda text: f'<c t="b"><v>{int(text == "true")}</v></c>'
    return _words


def _xlsx(fields: Sequence[Field], batches: Batches, title: str) -> Chunks:
    """One sheet, or several where one can't hold the rows; values are typed, times stand in UTC without a zone."""
    outlet = _Outlet()
    cells = [_cell_of(field) for field in fields]
    head = "<row>" + "".join(_words(field.name, ' s="3"') for field in fields) + "</row>"
    sheets = 0
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:  # type: ignore[call-overload]
        part: Any = next(batches, [])
        while part or not sheets:
            sheets += 1
            with archive.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
                written = sheet.write((_SHEET + head).encode())
                number = 0
                while part and number < ROWS_OF_A_SHEET and written < BYTES_OF_A_SHEET:
                    written += _write_rows(sheet, cells, part)
                    number += len(part)
                    yield outlet.take()
                    part = next(batches, [])
                sheet.write(b"</sheetData></worksheet>")
        for name, text in _frame(sheets, title).items():
            archive.writestr(name, text)
    yield outlet.take()


def _write_rows(sheet: IO[bytes], cells: Sequence[Callable[[str], str]], part: Sequence[Sequence[Any]]) -> int:
    lines = ["<row>" + "".join([_EMPTY if value is None or value == "" else cell(value)
                                for cell, value in zip(cells, row, strict=True)]) + "</row>" for row in part]  # fmt: skip
    return sheet.write(_NOT_XML.sub("", "".join(lines)).encode())


def _frame(sheets: int, title: str) -> dict[str, str]:
    """The parts of a workbook that say what its sheets are."""
    name = str(escape(re.sub(r"[\[\]:*?/\\']", " ", title)[:27]))
    numbers = range(1, sheets + 1)
    types = "".join(f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="application/vnd.openxmlformats-'
                    'officedocument.spreadsheetml.worksheet+xml"/>' for n in numbers)  # fmt: skip
    listed = "".join(f'<sheet name="{name}{f" {n}" if n > 1 else ""}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    links = "".join(f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
                    for n in numbers)  # fmt: skip
    return {
        "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{links}'
                                      f'<Relationship Id="rId{sheets + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
                                      "</Relationships>",
        "xl/styles.xml": _STYLES,
        "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
                       f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="'
                               'application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
                               'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="'
                               'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
                               '<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-'
                               f'officedocument.spreadsheetml.styles+xml"/>{types}</Types>',
    }  # fmt: skip


_FORMS: dict[str, Callable[[Sequence[Field], Batches, str], Chunks]] = {"csv": _csv, "xlsx": _xlsx, "json": _json}
