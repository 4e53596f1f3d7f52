"""What a file is is told by its bytes; every poisonous kind is refused with its reason."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from PIL import Image

from crm.commands.file_contents import LARGEST, FileRefused, recognise, thumbnail

HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
EICAR_LIKE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"
MAIL = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: Hi\r\n there\r\n\r\n<html>Hello</html>\r\n"


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), **more: object) -> bytes:
    written = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(written, kind, **more)
    return written.getvalue()


def office(*parts: str, content: bytes = b"<x/>", **more: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("[Content_Types].xml", *parts):
            archive.writestr(name, content)
        for name, bytes_ in more.items():
            archive.writestr(name.replace("__", "/"), bytes_)
    return written.getvalue()


def bomb(pixels: int = 60_000) -> bytes:
    """A PNG of a few bytes that says it is 60,000 by 60,000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", pixels, pixels, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def zip_bomb() -> bytes:
    return office("xl/workbook.xml", xl__worksheets__sheet1=b"\0" * 60_000_000)


WELCOME = (
    ("scan.pdf", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF\n", "application/pdf"),
    ("photo.PNG", picture(), "image/png"), ("photo.jpeg", picture("JPEG"), "image/jpeg"),
    ("photo.webp", picture("WEBP"), "image/webp"), ("photo.gif", picture("GIF"), "image/gif"),
    ("letter.docx", office("word/document.xml"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("list.xlsx", office("xl/workbook.xml"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("text.odt", office(mimetype=b"application/vnd.oasis.opendocument.text"), "application/vnd.oasis.opendocument.text"),
    ("Übersicht 2026.v2.txt", "Grüße\n\tAda".encode(), "text/plain"), ("list.csv", b"a;b\r\n1;2\r\n", "text/plain"),
    ("old.txt", "Grüße".encode("cp1252"), "text/plain"), ("copy.eml", MAIL, "message/rfc822"),
    ("call.mp3", b"ID3\x04" + b"\0" * 100, "audio/mpeg"), ("call.mp3", b"\xff\xfb\x90\x64" + b"\0" * 100, "audio/mpeg"),
    ("call.wav", b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"), ("call.m4a", b"\0\0\0\x18ftypM4A \0\0", "video/mp4"),
    ("invoice.2026.01.31.pdf", b"%PDF-1.4\n%%EOF", "application/pdf"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "content", "media_type"), WELCOME, ids=[f"{one[0]} {len(one[1])}" for one in WELCOME])
def test_what_is_welcome_is_known_by_its_content(name: str, content: bytes, media_type: str) -> None:
    found, kept = recognise(content, name)
    assert (found.media_type, kept) == (media_type, name)


POISON = (
    ("empty.pdf", b"", "is empty"),
    ("large.txt", b"a" * (LARGEST + 1), "is too large: at most 25 MB"),
    ("picture.png", HTML, "is a web page, SVG or XML"), ("picture.png", SVG, "is a web page, SVG or XML"),
    ("page.html", HTML, "is a web page"), ("picture.svg", SVG, "SVG"), ("notes.txt", b"\xef\xbb\xbf" + HTML, "web page"),
    ("notes.txt", b"<?php system($_GET['c']);", "web page"), ("copy.eml", HTML, "web page"),
    ("picture.png", picture() + HTML, "is a PNG picture and something else at once"),
    ("picture.jpg", picture("JPEG", comment=b"<script>alert(1)</script>"), "something else at once"),
    ("picture.gif", b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)", "picture"),
    ("picture.png", picture() + office("x"), "is a PNG picture and an archive at once"),
    ("scan.pdf", b"%PDF-1.4\n%%EOF\n" + office("x"), "is a PDF and an archive at once"),
    ("scan.pdf", b"%PDF-1.4\n1 0 obj", "is a PDF whose end is missing"),
    ("scan.pdf", HTML, "web page"), ("scan.pdf", picture(), "is called .pdf but is a PNG picture"),
    ("bomb.png", bomb(), "has too many pixels"), ("bomb.png", bomb(9_000), "has too many pixels"),
    ("cut.png", picture()[:60], "damaged"), ("cut.png", b"\x89PNG\r\n\x1a\n", "picture"),
    ("bomb.xlsx", zip_bomb(), "that is a bomb, not a document"),
    ("macros.xlsx", office("xl/workbook.xml", "xl/vbaProject.bin"), "holds macros"),
    ("slip.docx", office("word/document.xml", "../../../etc/cron.d/x"), "lead out of it"),
    ("slip.docx", office("word/document.xml", "/etc/passwd"), "lead out of it"),
    ("cut.xlsx", office("xl/workbook.xml")[:-30], "is an archive that is damaged"),
    ("stuff.zip", office("a.txt"), "is an archive: unpack it"), ("stuff.docx", office("a.txt"), "is an archive"),
    ("many.xlsx", office("xl/workbook.xml", *(f"x{n}" for n in range(10_001)), content=b""), "too many parts"),
    ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100, "old format of Office"),
    ("run.exe", EICAR_LIKE, "is a program for Windows"), ("scan.pdf", EICAR_LIKE, "is a program"),
    ("scan.pdf", b"\x7fELF\x02\x01\x01", "is a program"), ("notes.txt", b"#!/bin/sh\nrm -rf /\n", "is a script"),
    ("scan.pdf.exe", b"%PDF-1.4\n%%EOF", "is called .exe but is a PDF"),
    ("picture.php.png", picture(), "has two endings in its name, one of a program (.php)"),
    ("picture.png.html", picture(), "is called .html"), ("scan.exe.pdf", b"%PDF-1.4\n%%EOF", "one of a program (.exe)"),
    ("script.js", b"alert(1)", "is called .js but is plain text"), ("run.bat", b"del *.*", "is called .bat"),
    ("../../etc/passwd.txt", b"a", "has a path in its name"), ("..\\..\\boot.txt", b"a", "has a path in its name"),
    ("C:\\x.txt", b"a", "has a path in its name"), (".htaccess", b"a", "has a path in its name"),
    ("a\x00.txt", b"a", "has invisible characters"), ("photo\u202egnp.txt", b"a", "has invisible characters"),
    ("a\r\nSet-Cookie: x.txt", b"a", "has invisible characters"), ("a\ud800.txt", b"a", "has invisible characters"),
    ("", b"a", "has no name"), ("  ", b"a", "has no name"), ("x" * 250 + ".txt", b"a", "more than 200 bytes"),
    ("noending", b"a", "has a name without its kind: call it noending.txt"),
    ("mystery.txt", bytes(range(256)), "is of no kind that is kept"), ("nul.txt", b"a\0b", "no kind that is kept"),
    ("notes.txt.gz", b"\x1f\x8b\x08\0\0\0", "is packed"), ("x.rtf", b"{\\rtf1 x}", "rich text"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "content", "said"), POISON, ids=[f"{one[0][:20]!a} {one[2][:24]}" for one in POISON])
def test_what_is_poisonous_is_refused_with_its_reason(name: str, content: bytes, said: str) -> None:
    with pytest.raises(FileRefused) as refusal:
        recognise(content, name)
    assert said in str(refusal.value)


def test_a_thumbnail_is_small_upright_and_tells_nothing_of_the_camera() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera of Ada", 6  # turned by a quarter
    small = thumbnail(picture("JPEG", (800, 400), exif=exif))
    assert b"Camera" not in small
    with Image.open(io.BytesIO(small)) as made:
        assert (made.format, made.size, dict(made.getexif())) == ("WEBP", (128, 256), {})


def test_a_picture_as_large_as_a_camera_makes_is_taken() -> None:
    written = io.BytesIO()
    Image.new("L", (8000, 6000)).save(written, "JPEG")
    assert recognise(written.getvalue(), "photo.jpg")[0].media_type == "image/jpeg"
    assert len(thumbnail(written.getvalue())) < 10_000
