"""Files of every kind of brokenness, made of a seed: text and workbooks, made up or public ones that were damaged."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from tests.importing.conftest import SHARED, workbook

_ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "cp1251",
              "shift_jis", "cp437", "utf-7", "gb18030")  # fmt: skip
_LINE_ENDS = ("\n", "\r\n", "\r", "\n\n", "\u2028", "\x0b")
_CELLS = (
    "", "", " ", "NULL", "NA", "-", "Ann Smith", "Müller, Jürgen", "ann@x.org", "ANN@X.ORG", "not@", "+49 221 123456", "0221-12",
    "31/02/2024", "2024-02-30", "12.11.10", "45000", "45000.75", "99999999", "2024-01-31T25:00:00Z", "1.234,56", "$1,100.04 ",
    "(5)", "--5", "1e999", "NaN", "9" * 50, "٣٤", "²", "=1+1", "=cmd|' /C calc'!A0", "'=1", "''", "'", '"', '""', 'a"b', "a\nb",
    "a\r\nb", "a,b;c|d\te", "\0", "\ufeff", "\u200b", "\u202eabc", "\U0001f600", "\ue000end of file\ue000", "�", "x" * 300,
    "y" * 21_000, "C-000001", "#1", "#99999999999999999999", "1", "0", "true", "Yes", "DE", "Germany", "en", "EUR", "active",
    "Blocked", "{}", '{"a": 1}', "[" * 60, "tag1, tag2;tag3", "https://x", "javascript:alert(1)", "a:b", "%s", "\\N", "🇩🇪", "ẞ", "İ",
    "; DROP TABLE party; --", "{{ 7*7 }}", "•••", "external", "2020-01-01", "2021-05-05 10:00", "10:00",
)  # fmt: skip
_NAMES = ("name", "email", "e-mail", "Phone", "id", "code", "date of birth", "annual revenue", "employees", "country", "city", "tags",
          "status", "type", "kind", "language", "First Name", "Last Name", "", " ", "name", "NAME", "x" * 200, "=1+1", "1", "\0",
          "customer", "number", "amount", "date", "currency", "owner", "created_at", "product", "quantity", "description", "_row")  # fmt: skip
_XLSX_NAMES = ("A", "B", "Z", "AA", "ZZ", "XFD", "a", "")


def broken_file(random: Random, names: list[str]) -> bytes:
    """The bytes of a file; `names` are names of fields that its columns may have."""
    made = random.choices((_text, _workbook, _public), (10, 4, 3))[0](random, names)
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        made = random.choice((_cut, _flip, _put_in, _repeat, _swap))(random, made)
    return gzip.compress(made, 1) if random.random() < 0.08 else made


def _table(random: Random, names: list[str]) -> list[list[str]]:
    width = random.choice((1, 2, 3, 5, 8, 13, 40, 1_200 if random.random() < 0.05 else 4))
    head = [random.choice((*names, *_NAMES)) for _ in range(width)]
    rows = []
    for _ in range(random.choice((0, 1, 2, 10, 30, 60))):
        number = width if random.random() < 0.9 else random.randrange(width + 3)
        rows.append(
            [random.choice(_CELLS) if random.random() < 0.7 else f"v{random.randrange(50)}" for _ in range(number)]
        )
    return [head, *rows] if random.random() < 0.9 else rows


def _text(random: Random, names: list[str]) -> bytes:
    delimiter = random.choice((",", ",", ";", "\t", "|", "~"))
    end = random.choice(_LINE_ENDS[:2]) if random.random() < 0.8 else random.choice(_LINE_ENDS)
    rows = _table(random, names)
    if random.random() < 0.7:
        out = io.StringIO()
        quote = random.choice(('"', '"', "'"))
        csv.writer(out, delimiter=delimiter, quotechar=quote, lineterminator=end, escapechar="\\").writerows(rows)
        text = out.getvalue()
    else:  # as people write it who don't know of quotes
        text = end.join(delimiter.join(row) for row in rows)
    if random.random() < 0.1:
        text = text.encode().decode("cp1252", "replace")
    try:
        return text.encode(random.choice(_ENCODINGS), random.choice(("ignore", "replace", "surrogatepass")))
    except UnicodeEncodeError:
        return text.encode()


def _workbook(random: Random, names: list[str]) -> bytes:
    lines = []
    for number, row in enumerate(_table(random, names), start=1):
        cells = "".join(_cell(random, number, place, text) for place, text in enumerate(row[:60]))
        lines.append(f'<row r="{number if random.random() < 0.98 else random.randrange(3_000_000)}">{cells}</row>')
    return workbook("".join(lines), sheets=random.choice((1, 1, 1, 2, 5)))


def _cell(random: Random, row: int, place: int, text: str) -> str:
    column = chr(65 + place) if place < 26 else f"A{chr(65 + place % 26)}"
    if random.random() < 0.01:
        column = random.choice(_XLSX_NAMES)
    where = f' r="{column}{row}"' if random.random() < 0.95 else ""
    text = escape("".join(sign for sign in text if sign >= " " or sign in "\n\t"))
    return random.choice((
        f'<c{where} t="inlineStr"><is><t>{text}</t></is></c>', f'<c{where} t="str"><v>{text}</v></c>',
        f"<c{where}><v>{random.choice(('1', '1.5', '45000', '-1e9', '1e308', 'NaN', text))}</v></c>",
        f'<c{where} t="{random.choice(("b", "e", "s", "d", "n", "x"))}"><v>{random.choice(("0", "1", "#N/A", "2024-01-01", "99999"))}</v></c>',
        f"<c{where}><f>SUM(A1:A2)</f><v/></c>",
    ))  # fmt: skip


def _public(random: Random, names: list[str]) -> bytes:
    """A piece of a public file, or a made-up one where there are none."""
    found = sorted(SHARED.glob("*.csv")) + sorted(SHARED.glob("*.txt")) + sorted(SHARED.glob("*.csv.gz"))
    if not found:
        return _text(random, names)
    path: Path = random.choice(found)
    with path.open("rb") as file:
        return file.read(random.randrange(1, 30_000))


def _cut(random: Random, made: bytes) -> bytes:
    return made[: random.randrange(len(made) + 1)]


def _flip(random: Random, made: bytes) -> bytes:
    changed = bytearray(made)
    for _ in range(random.choice((1, 3, 30))):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _put_in(random: Random, made: bytes) -> bytes:
    place = random.randrange(len(made) + 1)
    return (
        made[:place]
        + random.choice((b"\0", b'"', b"\xff\xfe", b"\r", b"\n" * 50, b"," * 2_000, random.randbytes(9)))
        + made[place:]
    )


def _repeat(random: Random, made: bytes) -> bytes:
    first = random.randrange(len(made) + 1)
    part = made[first : first + random.randrange(2_000)]
    return made[:first] + part * random.randrange(4) + made[first:]


def _swap(random: Random, made: bytes) -> bytes:
    place = random.randrange(len(made) + 1)
    return made[place:] + made[:place]
