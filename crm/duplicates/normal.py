"""What is left of a text when it is compared: small letters without accents, known short forms written out."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_NOT_WORD = re.compile(r"[\W_]+")
_STREETS = {
    "st": "street", "str": "strasse", "rd": "road", "ave": "avenue", "av": "avenue", "ln": "lane", "dr": "drive",
    "pl": "place", "ct": "court", "blvd": "boulevard", "sq": "square", "cres": "crescent", "hwy": "highway",
}  # fmt: skip
LEGAL_FORMS = frozenset(
    [
        "ab",
        "ag",
        "as",
        "asa",
        "bv",
        "co",
        "company",
        "corp",
        "corporation",
        "cv",
        "doo",
        "eg",
        "ek",
        "enk",
        "gbr",
        "gmbh",
        "inc",
        "incorporated",
        "kft",
        "kg",
        "kgaa",
        "kk",
        "limited",
        "llc",
        "llp",
        "lp",
        "ltd",
        "mbh",
        "nv",
        "ohg",
        "oy",
        "oyj",
        "plc",
        "pllc",
        "pte",
        "pty",
        "sa",
        "sarl",
        "sas",
        "sc",
        "se",
        "sl",
        "sp",
        "spa",
        "spzoo",
        "srl",
        "srls",
        "ug",
        "zrt",
    ]
)
# Sounds that are often written one for the other get one sign; vowels none, but for one that stands first.
_SOUNDS = {ord(letter): str(number) for number, letters in enumerate(("bfpvw", "cgjkqsxz", "dt", "l", "mn", "r"), 1)
           for letter in letters}  # fmt: skip


def plain(given: str) -> str:
    """`Müller-Lüdenscheid` → `muller ludenscheid`; letters and digits of any script stay."""
    if not given.isascii():
        given = unicodedata.normalize("NFKD", given.casefold().translate(_SPECIAL))
        given = "".join(letter for letter in given if not unicodedata.combining(letter))
    return _NOT_WORD.sub(" ", given.lower()).strip()


def joined(given: str) -> str:
    """A name or a number in one word: `O'Neil` and `O Neil` are the same."""
    return plain(given).replace(" ", "")


def company(given: str) -> str:
    """Without its legal form, unless nothing else is left: `ACME Ltd.` → `acme`."""
    words = plain(given.replace(".", "")).split()
    return " ".join(word for word in words if word not in LEGAL_FORMS) or " ".join(words)


def legal_form(given: str) -> str:
    """`ACME Holding GmbH & Co. KG` → `gmbh kg`; empty where none is named. A company by other words is none."""
    found = {word for word in plain(given.replace(".", "")).split() if word in LEGAL_FORMS}
    same = {"limited": "ltd", "incorporated": "inc", "corporation": "corp", "company": "co"}
    return " ".join(sorted({same.get(word, word) for word in found} - {"co"}))


def street(given: str) -> str:
    """The words of a street without its numbers, short forms written out: `12 Main St.` → `mainstreet`."""
    words = [word for word in plain(given).split() if not any(letter.isdigit() for letter in word)]
    text = "".join(_STREETS.get(word, word) for word in words)
    return f"{text[:-3]}strasse" if text.endswith("str") else text


def house(given: str) -> str:
    """The first number of an address line: `12b Main St.` → `12b`."""
    return next((word for word in plain(given).split() if word[0].isdigit()), "")


def sound(name: str) -> str:
    """How a name sounds, roughly and in any language of Latin letters: `meyer`, `maier` and `mayr` are the same."""
    name = name.replace("ph", "f").replace(" ", "")
    if not name:
        return ""
    told = "" if name[0] not in "aeiouyh" else "a"
    last = ""
    for letter in name:
        sign = _SOUNDS.get(ord(letter), letter if letter not in "aeiouyh" else "")
        if sign and sign != last:
            told += sign
        last = sign
    return told
