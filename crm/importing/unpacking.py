"""Opens the bytes of a file: knows gzip, zip and old Excel by their first bytes, never unpacks a bomb."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO

from crm.importing.files import LIMITS, MIB, FileRefused, Limits

GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OTHERS = {
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with zstandard",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
}
STEP = MIB


class Unpacked(io.RawIOBase):
    """The content of a gzip file as a stream that stops with FileRefused as soon as it grows like a bomb."""

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._limits = limits
        self._gunzip = zlib.decompressobj(wbits=31)
        self._given = 0
        self._taken = 0
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, wanted: int) -> bytes:
        while True:
            if self._gunzip.eof:
                # Several gzip members one after the other are one file (that is what `cat a.gz b.gz` makes).
                rest = (self._gunzip.unused_data or self._file.read(STEP)).lstrip(b"\0")
                if not rest:
                    return b""
                self._gunzip = zlib.decompressobj(wbits=31)
                self._waiting = rest
            if not self._waiting:
                self._waiting = self._gunzip.unconsumed_tail or self._file.read(STEP)
                self._taken = self._file.tell()
                if not self._waiting:
                    raise FileRefused("the gzip file is cut off: its end is missing")
            try:
                data = self._gunzip.decompress(self._waiting, min(wanted, STEP))
            except zlib.error as error:
                raise FileRefused("the gzip file is damaged") from error
            self._waiting = self._gunzip.unconsumed_tail
            self._given += len(data)
            self._check()
            if data:
                return data

    def _check(self) -> None:
        limits = self._limits
        if self._given > limits.unpacked:
            raise FileRefused(f"unpacked it is larger than {limits.unpacked // MIB:,} MiB")
        if self._given > limits.ratio_matters_from and self._given > limits.ratio * max(self._taken, 1):
            raise FileRefused(
                f"unpacked it grows more than {limits.ratio} times: that is a decompression bomb, not a table"
            )

    def close(self) -> None:
        self._file.close()
        super().close()


def kind_of(path: Path, limits: Limits = LIMITS) -> tuple[str, bool]:
    """('text' | 'xlsx' | 'xls', packed with gzip or not); FileRefused for anything that holds no table."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise FileRefused("the file is empty")
    if head.startswith(GZIP):
        with open_bytes(path, packed=True, limits=limits) as stream:
            inner = stream.read(64)
        if not inner:
            raise FileRefused("the file is empty")
        if inner.startswith((GZIP, ZIP, OLE)):
            raise FileRefused("it is packed twice: unpack it once and send what is inside")
        _refuse_others(inner)
        return "text", True
    if head.startswith(OLE):
        return "xls", False
    if head.startswith(ZIP):
        return "xlsx", False
    if head.startswith((b"PK\x05\x06", b"PK\x07\x08")):
        raise FileRefused("the zip file is empty or in parts")
    _refuse_others(head)
    return "text", False


def _refuse_others(head: bytes) -> None:
    for magic, what in OTHERS.items():
        if head.startswith(magic):
            raise FileRefused(f"this is {what}, not a table: send CSV, TSV or an Excel workbook")


def open_bytes(path: Path, *, packed: bool, limits: Limits = LIMITS) -> BinaryIO:
    """The (unpacked) bytes of a text file as a buffered stream."""
    if packed:
        return io.BufferedReader(Unpacked(path, limits), STEP)
    if path.stat().st_size > limits.unpacked:
        raise FileRefused(f"it is larger than {limits.unpacked // MIB:,} MiB")
    return path.open("rb", buffering=STEP)


_ROW = re.compile(rb'<(?:\w+:)?row\b[^>]*?\br="(\d{1,9})"')
_ANY_ROW = re.compile(rb"<(?:\w+:)?row\b")
_WIDE_CELL = re.compile(rb'\br="([A-Z]{3,})\d+"')
_FAR_CELL = re.compile(rb'\br="[A-Z]{1,3}(\d{5,9})"')
# A formula whose result was not kept: the program that wrote it has never worked it out.
_NO_RESULT = re.compile(rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?\s*</(?:\w+:)?c>")
FAR, LONELY = 10_000, 100  # below this row a cell is far when there are so many times fewer rows
_END_OF_ZIP, _END_OF_ZIP64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_PART = 1_024  # bytes of the directory for one part of a workbook


def check_workbook(path: Path, limits: Limits = LIMITS) -> int:
    """Look at an .xlsx before anything parses it: what its directory says and how far out its cells lie.

    Answers how many formulas it has that were never worked out: their cells read as empty.
    """
    without_result = 0
    try:
        _check_size_of_directory(path, limits)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_directory(path, entries, limits)
            for entry in entries:
                if entry.filename.startswith("xl/worksheets/") and entry.filename.endswith(".xml"):
                    with archive.open(entry) as sheet:
                        without_result += _check_cells(sheet, limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, RuntimeError) and "password" in str(error):
            raise FileRefused("it is locked with a password: save it without one") from error
        raise FileRefused("the workbook is damaged or cut off") from error
    return without_result


def _check_size_of_directory(path: Path, limits: Limits) -> None:
    """Before it is read: the directory of a zip may be as large as the file, and takes ten times that of memory."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 66_000), io.SEEK_END)
        tail = file.read()
    end, end64 = tail.rfind(_END_OF_ZIP), tail.rfind(_END_OF_ZIP64)
    size = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if end64 >= 0 and tail[end - 20 : end - 16] == _LOCATOR_64:  # a large directory is described there
        size = int.from_bytes(tail[end64 + 40 : end64 + 48], "little")
    if size > limits.workbook_parts * _PART:
        raise FileRefused("the workbook is made of too many parts")


def _check_directory(path: Path, entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    names = {entry.filename for entry in entries}
    if "xl/workbook.xml" not in names and "xl/workbook.bin" not in names:
        if "mimetype" in names and "content.xml" in names:
            raise FileRefused("this is an OpenDocument file: save it as .xlsx or CSV")
        inside = next((n for n in sorted(names) if n.lower().endswith((".csv", ".tsv", ".txt", ".xlsx"))), None)
        hint = f": unpack it and send '{inside[:80]}'" if inside else ""
        raise FileRefused(f"this is a zip archive, not an Excel workbook{hint}")
    if len(entries) > limits.workbook_parts:
        raise FileRefused("the workbook is made of too many parts")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.workbook_unpacked:
        raise FileRefused(
            f"unpacked the workbook has {unpacked // MIB:,} MiB, over {limits.workbook_unpacked // MIB:,}: "
            "save the sheet as CSV"
        )
    size = max(path.stat().st_size, 1)
    if unpacked > limits.ratio_matters_from and unpacked > limits.ratio * size:
        raise FileRefused(f"the workbook unpacks to {unpacked // size:,} times its size: that is a bomb, not a table")


def _check_cells(sheet: IO[bytes], limits: Limits) -> int:
    last_row, rows, carried, read, without_result = 0, 0, b"", 0, 0
    while block := sheet.read(STEP):
        read += len(block)
        if read > limits.workbook_unpacked:
            raise FileRefused("unpacked the workbook is larger than its directory says")
        text = carried + block
        # A tag cut by the edge of a block is looked at again with the next one.
        cut = text.rfind(b"<")
        text, carried = (text[:cut], text[cut:]) if cut > 0 and len(text) - cut < STEP else (text, b"")
        rows += len(_ANY_ROW.findall(text))
        for number in _ROW.findall(text):
            last_row = max(last_row, int(number))
        if rows * LONELY < limits.workbook_rows:
            # A cell may say another row than the one it stands in; where there are more rows, none is lonely.
            last_row = max([last_row, *map(int, _FAR_CELL.findall(text))])
        without_result += len(_NO_RESULT.findall(text))
        for letters in _WIDE_CELL.findall(text):
            if _column_number(letters) > limits.columns:
                raise FileRefused(f"it has cells out in column {letters.decode()}; at most {limits.columns:,} columns")
    if last_row > limits.workbook_rows:
        raise FileRefused(f"it has cells in row {last_row:,}; a sheet has at most {limits.workbook_rows:,}")
    if last_row > FAR and last_row > rows * LONELY:
        raise FileRefused(f"it has a lone cell far below its data, in row {last_row:,}: remove it or save it as CSV")
    return without_result


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters[:6]:
        number = number * 26 + letter - 64
    return number
