"""What an uploaded file is, told by its bytes alone; what could harm whoever opens it is refused.

Nothing is unpacked, rendered or run here; a picture is decoded once, within limits, to make its thumbnail.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
import zipfile
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

MIB = 1024 * 1024
LARGEST = 25 * MIB
PIXELS = 50_000_000  # of a picture
LONGEST_NAME = 200
PARTS = 10_000  # of an Office file
UNPACKED = 300 * MIB
RATIO = 100  # of unpacked to packed, once that is more than 10 MiB


class FileRefused(ValueError):
    """The file isn't taken; the message completes the sentence “The file …”."""


@dataclass(frozen=True)
class FileType:
    """A kind of file that is kept: its media type, the ends its name may have, what a person calls it."""

    media_type: str
    ends: tuple[str, ...]
    word: str


PICTURES = {
    "PNG": FileType("image/png", ("png",), "a PNG picture"),
    "JPEG": FileType("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), "a JPEG picture"),
    "WEBP": FileType("image/webp", ("webp",), "a WebP picture"),
    "GIF": FileType("image/gif", ("gif",), "a GIF picture"),
}
_PICTURE_HEADS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF"}
PDF = FileType("application/pdf", ("pdf",), "a PDF")
MAIL = FileType("message/rfc822", ("eml",), "an e-mail")
TEXT = FileType("text/plain", ("txt", "text", "md", "log", "csv", "tsv"), "plain text")
_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_OFFICE = {
    "word/document.xml": FileType(_OPEN_XML + "wordprocessingml.document", ("docx",), "a Word document"),
    "xl/workbook.xml": FileType(_OPEN_XML + "spreadsheetml.sheet", ("xlsx",), "an Excel workbook"),
    "ppt/presentation.xml": FileType(_OPEN_XML + "presentationml.presentation", ("pptx",), "a presentation"),
}
_OPEN_DOCUMENT = {
    kind: FileType(f"application/vnd.oasis.opendocument.{kind}", (end,), f"an OpenDocument {kind}")
    for kind, end in (("text", "odt"), ("spreadsheet", "ods"), ("presentation", "odp"))
}
_MPEG4 = FileType("video/mp4", ("mp4", "m4a", "m4v", "3gp", "mov"), "a recording")
# (place, bytes) → what it is
_RECORDINGS = {
    (0, b"ID3"): FileType("audio/mpeg", ("mp3",), "an MP3 recording"),
    (8, b"WAVE"): FileType("audio/wav", ("wav",), "a WAV recording"),
    (0, b"OggS"): FileType("audio/ogg", ("ogg", "oga", "opus"), "an Ogg recording"),
    (0, b"fLaC"): FileType("audio/flac", ("flac",), "a FLAC recording"),
    (0, b"#!AMR"): FileType("audio/amr", ("amr",), "an AMR recording"),
    (0, b"\x1aE\xdf\xa3"): FileType("video/webm", ("webm", "weba", "mkv"), "a WebM recording"),
    (4, b"ftyp"): _MPEG4,
}
_REFUSED = {
    b"MZ": "is a program for Windows: programs aren't kept",
    b"\x7fELF": "is a program: programs aren't kept",
    b"\xcf\xfa\xed\xfe": "is a program for the Mac: programs aren't kept",
    b"\xca\xfe\xba\xbe": "is a program: programs aren't kept",
    b"#!": "is a script: programs aren't kept",
    b"\xd0\xcf\x11\xe0": "is in the old format of Office, which may hide programs: save it as .docx, .xlsx, .eml or PDF",
    b"{\\rtf": "is rich text, which may hide programs: save it as .docx or PDF",
    b"Rar!": "is an archive: unpack it and send what is inside", b"7z\xbc\xaf": "is an archive: unpack it and send what is inside",
    b"\x1f\x8b": "is packed: unpack it and send what is inside", b"BZh": "is packed: unpack it and send what is inside",
    b"\xfd7zXZ": "is packed: unpack it and send what is inside", b"II*\0": "is a TIFF picture: save it as PDF, PNG or JPEG",
    b"MM\0*": "is a TIFF picture: save it as PDF, PNG or JPEG",
}  # fmt: skip
KEPT = "PDF, PNG, JPEG, WebP, GIF, Word, Excel, PowerPoint, OpenDocument, text, CSV, e-mail (.eml), sound and video"
_MARKUP = re.compile(
    rb"<\s*(!doctype|html|head|body|script|svg|iframe|object|embed|\?xml|\?php|%|math)\b|<\?xml|<\?php", re.I
)
_IN_PICTURE = re.compile(rb"<(script|html|svg|iframe|body|!doctype html)[\s>/]|<\?php|%PDF-1", re.I)
# Ends of names that a system may run, or a browser show as a page.
_RUNS = re.compile(
    r"ade|app|aspx?|bat|bin|cgi|chm|cmd|com|cpl|dll|dmg|exe|gadget|hta|html?|inf|iso|jar|jse?|jsp|lnk|mht(ml)?|msc|msi|msp|"
    r"ps1|php|phtml|pif|pl|py|reg|scf|scr|sh|svgz?|swf|url|vb[es]?|wasm|wsf|xht(ml)?|xml|xsl"
)
_HEADERS = re.compile(rb"(?:[!-9;-~]{1,70}:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*){2,}\r?\n")
_PRINTABLE = frozenset("\t\n\r\f\x1b\ufeff")


def recognise(content: bytes, name: str) -> tuple[FileType, str]:
    """What the file is, and the name under which it is kept. Raises FileRefused."""
    name = _plain_name(name)
    if not content:
        raise FileRefused("is empty")
    if len(content) > LARGEST:
        raise FileRefused(f"is too large: at most {LARGEST // MIB} MB")
    found = _by_content(content, name)
    first, *ends = [part.strip().lower() for part in name.split(".")]
    if not ends or not first:
        raise FileRefused(f"has a name without its kind: call it {first or 'file'}.{found.ends[0]}")
    hidden = next((end for end in ends[:-1] if _RUNS.fullmatch(end)), None)
    if hidden:
        raise FileRefused(f"has two endings in its name, one of a program (.{hidden}): rename it")
    if ends[-1] not in found.ends:
        raise FileRefused(
            f"is called .{ends[-1][:12]} but is {found.word}: rename it to .{found.ends[0]} if that is right"
        )
    return found, name


def _plain_name(name: str) -> str:
    """The name as it was given. Raises FileRefused for one that could lead elsewhere or reads otherwise than it is."""
    if not name.strip():
        raise FileRefused("has no name")
    if "/" in name or "\\" in name or name.startswith("."):
        raise FileRefused("has a path in its name: rename it")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name):
        raise FileRefused("has invisible characters in its name: rename it")
    if len(name.encode()) > LONGEST_NAME:
        raise FileRefused(f"has a name of more than {LONGEST_NAME} bytes: rename it")
    return name.strip()


def _by_content(content: bytes, name: str) -> FileType:
    for head, kind in _PICTURE_HEADS.items():
        if content.startswith(head):
            return _picture(content, kind)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _picture(content, "WEBP")
    if content.startswith(b"%PDF-"):
        return _pdf(content)
    if content.startswith(b"PK"):
        return _office(content)
    for (place, mark), found in _RECORDINGS.items():
        if content[place : place + len(mark)] == mark:
            return found
    if (
        content[0] == 0xFF
        and content[1:2]
        and content[1] & 0xE6 in (0xE2, 0xE4, 0xE6)
        and name.lower().endswith(".mp3")
    ):
        return _RECORDINGS[0, b"ID3"]  # MPEG sound without a title
    for head, why in _REFUSED.items():
        if content.startswith(head):
            raise FileRefused(why)
    return _text(content, name)


def _text(content: bytes, name: str) -> FileType:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if any(ord(char) < 32 and char not in _PRINTABLE for char in text) or "\x7f" in text:
        raise FileRefused(f"is of no kind that is kept: {KEPT}")
    if name.lower().endswith(".eml") and _HEADERS.match(content[:65_536]):
        return MAIL
    if _MARKUP.search(content[:4096]):
        raise FileRefused("is a web page, SVG or XML, which may hide programs: save it as PDF")
    return TEXT


def _pdf(content: bytes) -> FileType:
    if b"%%EOF" not in content[-2048:]:
        raise FileRefused("is a PDF whose end is missing")
    _refuse_hidden_archive(content, PDF)
    return PDF


def _refuse_hidden_archive(content: bytes, found: FileType) -> None:
    if zipfile.is_zipfile(io.BytesIO(content)):
        raise FileRefused(f"is {found.word} and an archive at once: save it anew")


def _picture(content: bytes, kind: str) -> FileType:
    found = PICTURES[kind]
    with _opened(content) as picture:
        try:
            picture.verify()
        except Exception as fault:
            raise FileRefused("is a picture that is damaged or cut off") from fault
    if _IN_PICTURE.search(content):
        raise FileRefused(f"is {found.word} and something else at once: save it anew")
    _refuse_hidden_archive(content, found)
    return found


def _opened(content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is asked below
            picture = Image.open(io.BytesIO(content), formats=tuple(PICTURES))
    except Image.DecompressionBombError:
        raise FileRefused(f"has too many pixels: at most {PIXELS // 1_000_000} million") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise FileRefused("is no picture that can be read, or a damaged one") from None
    if picture.width * picture.height > PIXELS:
        raise FileRefused(f"has too many pixels: at most {PIXELS // 1_000_000} million")
    return picture


def thumbnail(content: bytes, side: int = 256) -> bytes:
    """A small WebP of a recognised picture, without what a camera wrote into it. Raises FileRefused."""
    with _opened(content) as picture:
        try:
            picture.draft("RGB", (side * 2, side * 2))  # a JPEG is decoded small
            picture.thumbnail((side, side))
            small = ImageOps.exif_transpose(picture).convert("RGBA")
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
            raise FileRefused("is a picture that is damaged or cut off") from None
    written = io.BytesIO()
    small.save(written, "WEBP", quality=80)
    return written.getvalue()


def _office(content: bytes) -> FileType:
    """An Office file is an archive: what its directory says is enough to know it, and to know a bomb."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            _refuse_bomb(entries, len(content))
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 100:
                declared = archive.read("mimetype").decode("ascii", "replace").strip()
                found = _OPEN_DOCUMENT.get(declared.removeprefix("application/vnd.oasis.opendocument."))
            else:
                found = next((kind for part, kind in _OFFICE.items() if part in names), None)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as fault:
        if isinstance(fault, FileRefused):
            raise
        raise FileRefused("is an archive that is damaged or locked") from fault
    if found is None:
        raise FileRefused("is an archive: unpack it and send what is inside")
    if any(re.search(r"vbaproject|macrosheets/|^basic/|activex/", name, re.I) for name in names):
        raise FileRefused("holds macros: save it without them")
    return found


def _refuse_bomb(entries: list[zipfile.ZipInfo], size: int) -> None:
    if len(entries) > PARTS:
        raise FileRefused("is made of too many parts")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > UNPACKED or (unpacked > 10 * MIB and unpacked > RATIO * size):
        raise FileRefused(f"unpacks to {unpacked // MIB:,} MB: that is a bomb, not a document")
    if sum(entry.compress_size for entry in entries) > size:
        raise FileRefused("is an archive whose parts overlap: that is a bomb, not a document")
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        if entry.flag_bits & 1:
            raise FileRefused("is locked with a password: save it without one")
        if name.startswith("/") or ".." in name.split("/") or ":" in name:
            raise FileRefused("holds parts that lead out of it: save it anew")
