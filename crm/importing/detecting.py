"""Finds out how a text file is written (encoding, delimiter, quote, header) and says in words why."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import BinaryIO, Literal, NamedTuple

import charset_normalizer

from crm.importing.files import DELIMITERS, MIB, FileRefused

LOOK_AT = 256 * MIB
EVIDENCE = 256 * 1024
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# What UTF-8 looks like after somebody read it as cp1252: Ã¼, Ã©, â€™, Å‚ …
_MOJIBAKE = re.compile("[ÃÂÅÄÐÑ][\u0080-\u00bf\u0152-\u0178\u2018-\u203a\u20ac\u2122]|â€[\u0080-\u02dc\u2018-\u2122]")


class Decided(NamedTuple):
    """A value that was found out, with the reason in words."""

    value: str
    reason: str


def detect_encoding(stream: BinaryIO) -> Decided:
    """Name of the codec the bytes are written in. Reads the stream until it is sure, 256 MiB at most."""
    head = stream.read(EVIDENCE)
    for bom, codec, name in BOMS:
        if head.startswith(bom):
            return Decided(codec, f"it starts with the byte order mark of {name}")
    if wide := _utf16_without_mark(head):
        return wide
    if head[:4096].count(0) > 64:
        raise FileRefused("this is no text: it is full of NUL bytes. Send CSV, TSV or an Excel workbook")

    decoder = codecs.getincrementaldecoder("utf-8")()
    block, seen, plain = head, 0, True
    while block:
        seen += len(block)
        if not block.isascii():
            plain = False
        try:
            decoder.decode(block)
        except UnicodeDecodeError:
            return _not_utf8(block, head)
        if seen >= LOOK_AT:
            break
        block = stream.read(MIB)
    if plain:
        return Decided("utf-8", "it holds only plain ASCII characters, which are the same in UTF-8")
    return Decided("utf-8", "its accented characters are valid UTF-8")


def _utf16_without_mark(head: bytes) -> Decided | None:
    sample = head[: len(head) // 2 * 2][:4096]
    if len(sample) < 8:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd > half * 0.6 and even < half * 0.05:
        return Decided("utf-16-le", "every second byte is empty: UTF-16 without a byte order mark")
    if even > half * 0.6 and odd < half * 0.05:
        return Decided("utf-16-be", "every second byte is empty: UTF-16 (big-endian) without a byte order mark")
    return None


def _not_utf8(block: bytes, head: bytes) -> Decided:
    evidence = block[:EVIDENCE] if _HIGH_RUN.search(block[:EVIDENCE]) else block
    valid = len(_UTF8_CHARACTER.findall(evidence))
    stray = len(_HIGH_RUN.findall(_UTF8_CHARACTER.sub(b"", evidence)))
    if valid > 20 * stray:
        return Decided(
            "utf-8",
            f"nearly all of its accented characters are UTF-8 ({stray} damaged: those rows are refused)",
        )
    runs = _HIGH_RUN.findall(evidence)
    high = sum(map(len, runs))
    letters = sum(evidence.count(bytes((code,))) for code in b"aeiounrstl")
    # Western text has single accented letters between plain ones; Cyrillic or Greek come in long runs.
    if runs and high / len(runs) < 2.2 and high < max(letters, 1) * 2:
        if not re.search(rb"[\x81\x8d\x8f\x90\x9d]", evidence):
            return Decided("cp1252", "it is not valid UTF-8; its accents fit Windows-1252 (Western European)")
        return Decided("latin-1", "it is not valid UTF-8, and holds bytes that only Latin-1 has")
    guess = charset_normalizer.from_bytes(evidence[:65536] if len(head) < 65536 else evidence).best()
    if guess is not None:
        return Decided(
            guess.encoding, f"it is not UTF-8; it reads best as {guess.encoding} (a guess: check the samples)"
        )
    return Decided("cp1252", "it is not valid UTF-8; Windows-1252 is the most common other encoding (a guess)")


def looks_misread(text: str) -> str | None:
    """An example of UTF-8 that was read as cp1252 and saved again ('JosÃ© → José'); None when all is well."""
    for match in _MOJIBAKE.finditer(text):
        start = max(text.rfind(sign, 0, match.start()) for sign in " ,\n") + 1
        word = re.split(r"[ ,\n]", text[start : start + 40], maxsplit=1)[0]
        mended = repaired(word)
        if mended != word:
            return f"{word} → {mended}"
    return None


def repaired(text: str) -> str:
    """UTF-8 that was read as cp1252, read rightly; text that is not of that kind comes back unchanged."""
    try:
        # cp1252 leaves five bytes undefined; programs pass those through as they are, so do we.
        raw = b"".join(_cp1252_byte(sign) for sign in text)
        return raw.decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text


def _cp1252_byte(sign: str) -> bytes:
    try:
        return sign.encode("cp1252")
    except UnicodeEncodeError:
        if sign in "\x81\x8d\x8f\x90\x9d":
            return sign.encode("latin-1")
        raise


def detect_quote(text: str, delimiter: str | None = None) -> Decided:
    """The quote character: the double quote unless single ones clearly stand around values."""
    ends = re.escape(delimiter) if delimiter else r",;\t|"
    single = len(re.findall(rf"(?:^|[{ends}])'[^'\n]*'(?=$|[{ends}\r])", text, re.M))
    double = len(re.findall(rf'(?:^|[{ends}])"', text, re.M))
    if single >= 3 and single > 3 * double:
        return Decided("'", f"{single} values stand in single quotes")
    if double:
        return Decided('"', f"{double} values at the start of the file stand in double quotes")
    return Decided('"', "no quotes seen; double quotes are usual")


def detect_delimiter(text: str, quote: str) -> Decided:
    """The character between values, from how evenly it cuts the first rows."""
    first = text.split("\n", 1)[0].strip("\r")
    if re.fullmatch(r"sep=.", first):
        return Decided(first[-1], "the first line says so (sep=)")
    best, best_score, best_reason = ",", 0.0, ""
    for delimiter, name in DELIMITERS.items():
        widths = [len(row) for row in parsed(text, delimiter, quote) if row][:300]
        # The last one may be cut off by the end of what we look at.
        widths = widths[:-1] if len(widths) > 2 else widths
        if not widths:
            continue
        width, count = Counter(widths).most_common(1)[0]
        if width < 2:
            continue
        share = count / len(widths)
        score = share * (1 + min(width, 20) / 100)
        if score > best_score:
            best, best_score = delimiter, score
            best_reason = f"the {name} cuts {share:.0%} of the first {len(widths)} rows into {width} values"
    if not best_score:
        return Decided(",", "no delimiter found: the file has one column")
    return Decided(best, best_reason)


def parsed(text: str, delimiter: str, quote: str) -> list[list[str]]:
    """The rows of a piece of text; stops quietly at what the csv module cannot read (rows say it later)."""
    rows: list[list[str]] = []
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote or None, quoting=quoting)
    try:
        for row in reader:
            rows.append(row)
            if len(rows) >= 1_000:
                break
    except csv.Error:
        return rows
    return rows


_VALUE_LIKE = re.compile(
    r"""[-+(]?\s*[$€£¥]?\s*[-+]?\d[\d.,\s'%)]*            # numbers, money
      | \d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*                 # dates
      | [^@\s]+@[^@\s]+\.\w+                              # e-mail
      | \+?[\d\s().-]{7,}                                 # phone
      | https?://\S+ | null | n/?a | true | false | yes | no
    """,
    re.VERBOSE | re.IGNORECASE,
)


def looks_like_value(cell: str) -> bool:
    """Whether this is rather a value (number, date, e-mail, phone, web address) than a column's name."""
    return bool(_VALUE_LIKE.fullmatch(cell.strip()))


def normalised(name: str) -> str:
    """A header for comparison: `DateFirstPurchase` and ` date_first-purchase ` are one."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.strip())
    name = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def header_row(rows: Sequence[Sequence[str]], words: Collection[str] = ()) -> tuple[int, str]:
    """(number of the header row or 0, reason). ``rows`` are the file's first rows, blank ones included."""
    width = max((sum(1 for cell in row if cell.strip()) for row in rows[:50]), default=0)
    if width == 0:
        return 0, "the file has no values"
    for number, row in enumerate(rows[:20], start=1):
        filled = [cell.strip() for cell in row if cell.strip()]
        # A title or a filter of a pivot stands above the table and is narrower than it.
        if len(filled) < max(1, round(width * 0.6)):
            continue
        below = next((r for r in rows[number:] if any(cell.strip() for cell in r)), None)
        if below is not None and not any(cell.strip() for cell in rows[number]):
            # Followed by a blank row it is a title, or the filter above a pivot.
            continue
        known = sum(1 for cell in filled if normalised(cell) in words)
        values = sum(1 for cell in filled if looks_like_value(cell))
        where = "" if number == 1 else f" (what stands above row {number} is no table)"
        if known and known >= len(filled) * 0.3 and values <= len(filled) * 0.5:
            return number, f"{known} of its {len(filled)} names are known{where}"
        if values > len(filled) * 0.2:
            return (
                0,
                f"{values} values of row {number} look like data (numbers, dates, addresses), not like names",
            )
        if len(filled) == 1 and width == 1 and (looks_like_value(filled[0]) or _mostly_digits(filled[0])):
            return 0, "the first row looks like data, not like a name"
        if len({cell.casefold() for cell in filled}) < len(filled) * 0.5:
            return 0, f"names repeat in row {number}: it looks like data"
        if below is None:
            return number, f"row {number} holds only words{where}"
        below_values = sum(1 for cell in below if cell.strip() and looks_like_value(cell))
        if below_values:
            return number, f"row {number} holds only words, the row below numbers, dates or addresses{where}"
        return number, f"row {number} holds only words that differ, like names of columns{where}"
    return 0, "no row looks like names of columns"


def _mostly_digits(cell: str) -> bool:
    return sum(sign.isdigit() for sign in cell) > len(cell) * 0.4
