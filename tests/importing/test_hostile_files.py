"""Files that are broken, or made to break us: each is refused in a sentence, or costs the rows that are wrong."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from crm.core.entity import face_named
from crm.importing.files import LIMITS, MIB, FileRefused
from crm.importing.reading import open_table
from crm.importing.start import check_now, draft, replan
from crm.importing.storage import uploads
from tests.importing.conftest import workbook

HEADER = "name,email,date_of_birth,annual_revenue,employees\n"


def _cells(*rows: tuple[object, ...], merged: str = "") -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if merged:
        book.active.merge_cells(merged)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _one(cells: str) -> bytes:
    return HEADER.encode() + f"Ann,{cells}\n".encode()


# What is in the file → what becomes of its rows, with a part of the reason where one is refused.
ROWS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "rows that are too short or too long": (
        (HEADER + "Ann,a@x.org,,,\nBob,b@x.org\nCyd,c@x.org,,,,more\n").encode(),
        [("created", ""), ("refused", "it has 2 values"), ("refused", "it has 6 values")],
    ),
    "mixed line ends": (
        (HEADER + "Ann,a@x.org,,,\rBob,b@x.org,,,\r\nCyd,c@x.org,,,\n").encode(),
        [("created", "")] * 3,
    ),
    "a NUL": ((HEADER + "A\0nn,a@x.org,,,\n").encode(), [("refused", "NUL")]),
    "half a character in UTF-16": (
        b"\xff\xfe" + (HEADER + "Ann,a@x.org,,,\nB#b,b@x.org,,,\n").encode("utf-16-le").replace(b"#\0", b"\x00\xd8"),
        [("created", ""), ("refused", "no text in this encoding")],
    ),
    "UTF-16": ((HEADER + "Ännchen,a@x.org,,,\n").encode("utf-16"), [("created", "")]),
    "Latin-1": ((HEADER + "J\xf6rg M\xfcller,a@x.org,,,\n" ).encode("latin-1"), [("created", "")]),
    "names that are twice there or missing": (
        b"name,email,name,,email\nAnn,a@x.org,Other,x,other@x.org\n",
        [("created", "")],
    ),
    "a value of 200 KB": (_one("a@x.org,,,") + b"B" + b"b" * 200_000 + b",b@x.org,,,\n",
                          [("created", ""), ("refused", "too long")]),
    "formulas": (_one("a@x.org,,,") + b"=cmd|' /C calc'!A0,=1+1,,,\n", [("created", ""), ("refused", "e-mail")]),
    "a day that isn't": (_one("a@x.org,31/02/2024,,"), [("refused", "has no 31")]),
    "amounts with decimal commas": (
        b"name;email;date_of_birth;annual_revenue;employees\nAnn;a@x.org;;1.234,56;\nBob;b@x.org;;12.345.678,9;\n",
        [("created", "")] * 2,
    ),
    "amounts with their sign": (_one('a@x.org,,"$1,100.04 ",'), [("created", "")]),
    "amounts in two styles": (
        (HEADER + 'Ann,a@x.org,,"1,100.04",\nBob,b@x.org,,"2,200.04",\nCyd,c@x.org,,"1.234,56",\n').encode(),
        [("created", ""), ("created", ""), ("refused", "decimal point")],
    ),
    "nothing in many words": (_one("a@x.org,NULL,NA,  "), [("created", "")]),
    "days as Excel counts them": (
        (HEADER + "Ann,a@x.org,33000,,\nBob,b@x.org,33001.5,,\n").encode(),
        [("created", "")] * 2,
    ),
    "merged cells above the table": (
        _cells(("Customers", "", ""), ("name", "email", "employees"), ("Ann", "a@x.org", 3), merged="A1:C1"),
        [("created", "")],
    ),
    "merged names": (
        _cells(("name", "email", ""), ("Ann", "a@x.org", "x"), ("Bob", "b@x.org", "y"), merged="B1:C1"),
        [("created", "")] * 2,
    ),
    "formulas that nobody worked out": (
        _cells(("name", "email"), ("Ann", "a@x.org"), ("=A2", "b@x.org")),
        [("created", ""), ("refused", "name: is empty")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_a_bad_row_is_refused_with_its_reason_and_the_rest_comes_in(kind: str, session) -> None:
    data, expected = ROWS[kind]
    face = face_named("customer")
    record, table = draft(face, io.BytesIO(data), "file", by=None, again=True)
    replan(record, face, table, {one.index: one.name for one in table.columns if one.name in HEADER.strip().split(",")})
    told = check_now(record)
    assert [(row["outcome"], bool(row["reason"])) for row in told["rows"]] == [
        (outcome, bool(why)) for outcome, why in expected
    ], told["rows"]
    for row, (_, why) in zip(told["rows"], expected, strict=True):
        assert why in (row["reason"] or "")
    assert sum(number for name, number in told["counts"].items() if name != "rows") == told["counts"]["rows"]


def _long_row_of_many_lines() -> bytes:
    """Every quote is closed, and yet the whole file is one row."""
    return b'name,email\n"' + b'\n","' * (MIB // 2)


def _directory_of_a_million() -> bytes:
    """A zip that is nothing but its directory."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    number = 300_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, number & 0xFFFF, number & 0xFFFF, number * len(entry), 0, 0)
    return b"PK\x03\x04" + entry * number + end


def _fat_strings() -> bytes:
    """One long text of a megabyte, used by many cells of one row."""
    texts = (
        "<sst xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><si><t>"
        + "x" * (MIB // 8 - 1)
        + "</t></si></sst>"
    )
    cells = "".join(f'<c r="{letter}1" t="s"><v>0</v></c>' for letter in "ABCDEFGHIJKLMNOPQRST")
    return workbook(f'<row r="1">{cells}</row>', extra={"xl/sharedStrings.xml": texts.encode()})


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a million columns": (lambda: b"," * 1_000_000 + b"x\n", "columns"),
    "a million columns in a later row": (lambda: b"name,email\na,b\n" + b"," * 1_000_000 + b"x\n", "columns"),
    "a quote that is never closed": (lambda: b'name,email\n"Ann,a@x.org\nBob,b@x.org\n', "line 2 starts"),
    "a row that never ends": (_long_row_of_many_lines, "longer than 1,048,576 characters"),
    "a line that never ends": (lambda: b"x" * (2 * MIB), "longer than 1,048,576 characters"),
    "a directory of a million parts": (_directory_of_a_million, "too many parts"),
    "a cell that says it is far below its row": (
        lambda: workbook('<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="A1048576"><v>2</v></c></row>'),
        "lone cell",
    ),
    "a row of texts of a megabyte each": (_fat_strings, "row longer than"),
    "nothing but NULs": (lambda: b"\0" * 100_000, "no text"),
    "a document of another kind": (lambda: b"%PDF-1.4\n" + b"x" * 100, "PDF"),
    "a workbook that is cut off": (lambda: workbook("<row r='1'><c r='A1'><v>1</v></c></row>")[:-200], "damaged"),
}


def _read(path: Path, **limits: int) -> int:
    return sum(1 for _ in open_table(path, limits=replace(LIMITS, **limits)).rows())


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence_and_little_memory(kind: str, tmp_path: Path) -> None:
    made, why = REFUSED[kind]
    path = tmp_path / "file"
    path.write_bytes(made())
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused, match=why):
            _read(path, row=MIB, cell=MIB // 8)
        assert tracemalloc.get_traced_memory()[1] < 128 * MIB
    finally:
        tracemalloc.stop()


def _gzip_bomb() -> bytes:
    return gzip.compress(b"a,b\n" * (64 * MIB), 1)


def _wide_sheet() -> bytes:
    """Small when packed; unpacked, every row is seven hundred cells wide."""
    return workbook("".join(f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="ZZ{n}"><v>1</v></c></row>' for n in range(1, 90_000)))  # fmt: skip


def _rows_of_eight_megabytes() -> bytes:
    return b"name,a,b,c,d,e,f,g\n" + (b"Ann," + b",".join([b"x" * (MIB - 8)] * 7) + b"\n") * 8


HEAVY = {kind: made for kind, (made, _) in REFUSED.items()} | {
    "a gzip bomb": _gzip_bomb, "a wide sheet": _wide_sheet, "rows of eight megabytes": _rows_of_eight_megabytes,
    "a workbook bomb": lambda: workbook("", extra={"xl/media/big.bin": b"\0" * (64 * MIB)}),
    "a quote that is never closed, in a large file": lambda: b'name,email\n"Ann,a@x.org\n' + b"Bob,b@x.org\n" * (4 * MIB),
}  # fmt: skip


# A process with the whole app in it, as a worker's is, and nothing of ours; each file is read in a copy of it. MiB at most.
_READER = """
import os, re, resource, sys
from contextlib import suppress
from pathlib import Path
import app
from crm.importing.files import FileRefused
from crm.importing.reading import open_table
for line in sys.stdin:
    if os.fork():
        assert os.wait()[1] == 0
        continue
    with suppress(FileRefused):
        sum(1 for _ in open_table(Path(line.rstrip())).rows())
    own = int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024, flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def reader() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        yield started
        assert started.stdin
        started.stdin.close()


@pytest.mark.parametrize("kind", HEAVY)
def test_no_file_takes_a_worker_or_the_process_it_starts_above_half_a_gigabyte(
    kind: str, tmp_path: Path, reader: subprocess.Popen[str]
) -> None:
    """With the limits as they are."""
    path = tmp_path / "file"
    path.write_bytes(HEAVY[kind]())
    assert reader.stdin
    assert reader.stdout
    reader.stdin.write(f"{path}\n")
    reader.stdin.flush()
    mebibytes = int(reader.stdout.readline())
    assert 0 < mebibytes < 512


def test_rows_that_are_as_long_as_they_may_be_are_read_one_at_a_time(tmp_path: Path) -> None:
    """A thousand of them are looked at first, if they are short: not eight gigabytes."""
    path = tmp_path / "file"
    path.write_bytes(b"name,a,b,c,d,e,f,g\n" + (b"Ann," + b",".join([b"x" * 140_000] * 7) + b"\n") * 40)
    tracemalloc.start()
    try:
        assert _read(path, row=MIB) == 40
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_formulas_without_a_result_are_told(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsx"
    path.write_bytes(_cells(("name", "total"), ("Ann", "=1+1"), ("Bob", "=2+2")))
    assert open_table(path).found.notes == (
        "2 formulas have no result in the file and read as empty: open it in a spreadsheet and save it, to have them worked out",
    )  # fmt: skip


def test_a_file_that_is_refused_is_not_kept(session) -> None:
    before = len(list(uploads().iterdir()))
    with pytest.raises(FileRefused):
        draft(face_named("customer"), io.BytesIO(b"%PDF"), "file", by=None)
    assert len(list(uploads().iterdir())) == before


def test_a_zip_that_lies_about_its_size_is_not_believed(tmp_path: Path) -> None:
    made = bytearray(workbook("<row r='1'><c r='A1'><v>1</v></c></row>" * 2_000))
    with zipfile.ZipFile(io.BytesIO(bytes(made))) as archive:
        sheet = archive.getinfo("xl/worksheets/sheet1.xml")
    size = struct.pack("<I", sheet.file_size)
    made[made.rfind(size) : made.rfind(size) + 4] = struct.pack("<I", 100)
    path = tmp_path / "file"
    path.write_bytes(bytes(made))
    with pytest.raises(FileRefused, match="damaged|memory"):
        _read(path)
