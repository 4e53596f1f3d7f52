"""Reads the values people write in files: money, dates in any style, yes and no, and 'nothing'.

A style is decided for a column as a whole, with a reason; a single value is then read by it, never guessed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from crm.core.spreadsheets import plain

# Compared exactly: 'Na' and 'Null' are names of people.
NOTHING = frozenset(
    (
        "",
        "NULL",
        "null",
        "(null)",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "#NULL!",
        "NaN",
        "nan",
        "\\N",
        "-",
        "--",
        "—",
        "(blank)",
    )
)
_SPACES = re.compile(r"[\s\u00a0\u2007\u202f]+")


def clean(text: str) -> str | None:
    """The text without blanks around it; None when it says 'nothing' (blank, NULL, NA …).

    A quote that an export put before a formula sign (so that a spreadsheet runs nothing) is taken off again.
    """
    text = plain(text.strip().strip("\u00a0\u200b\ufeff"))
    return None if text in NOTHING else text


@dataclass(frozen=True)
class Style:
    """How a column is written: `kind` 'date' (ymd, dmy, mdy, serial) or 'number' (point, comma).

    ``ambiguous``: nothing in the column proves it, a person should look.
    """

    kind: str
    value: str
    reason: str
    ambiguous: bool = False


_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan",
            "feb",
            "mar mär mrz",
            "apr avr abr",
            "may mai mei",
            "jun juin giu",
            "jul juil lug",
            "aug aoû ago",
            "sep set",
            "oct okt ott out",
            "nov",
            "dec dez déc dic",
        ),
        start=1,
    )
    for name in names.split()
}
_TIME = r"(?:[T\s]+(\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?\s*(?:[AaPp]\.?[Mm]\.?)?)\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}$")
_COMPACT = re.compile(r"((?:18|19|20|21)\d{2})(\d{2})(\d{2})$")
_NUMBERS = re.compile(rf"(\d{{1,2}})\s*[-/.]\s*(\d{{1,2}})\s*[-/.]\s*(\d{{4}}|\d{{2}}){_TIME}$")
_DAY_WORD = re.compile(
    rf"(?:\w+,\s*)?(\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-]+([^\W\d]+)\.?,?[\s-]+(\d{{4}}|\d{{2}}){_TIME}$"
)
_WORD_DAY = re.compile(rf"(?:\w+,\s*)?([^\W\d]+)\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}}){_TIME}$")
_SERIAL = re.compile(r"[1-9]\d{4}(?:\.\d+)?$")
_EXCEL_EPOCH = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - Excel's days have no zone
_WORDS = {"dmy": "day first", "mdy": "month first", "ymd": "year first", "serial": "Excel's day numbers"}


def date_style(values: Iterable[str]) -> Style:
    """Which of day and month comes first in a column, with the reason."""
    day_first = month_first = open_question = other = serial = 0
    example_day = example_month = dotted = ""
    for value in values:
        text = clean(value)
        if text is None:
            continue
        if match := _NUMBERS.match(text):
            first, second = int(match[1]), int(match[2])
            if first > 12 and second <= 12:
                day_first, example_day = day_first + 1, example_day or text
            elif second > 12 and first <= 12:
                month_first, example_month = month_first + 1, example_month or text
            else:
                open_question += 1
                dotted = dotted or (text if "." in text else "")
        elif _SERIAL.match(text):
            serial += 1
        else:
            other += 1
    if day_first and month_first:
        order = "dmy" if day_first >= month_first else "mdy"
        both = f"both styles occur ('{example_day}' and '{example_month}')"
        return Style("date", order, f"{both}; {_WORDS[order]} is more frequent, the other rows are refused", True)
    if day_first:
        return Style("date", "dmy", f"'{example_day}' has a day before its month")
    if month_first:
        return Style("date", "mdy", f"'{example_month}' has a month before its day")
    if open_question:
        if dotted:
            return Style("date", "dmy", f"dates with points ('{dotted}') are written day first")
        return Style("date", "dmy", "no date has a day above 12: day first is assumed, please check", ambiguous=True)
    if serial and not other:
        return Style("date", "serial", "whole numbers around 45,000 are how Excel stores days")
    return Style("date", "ymd", "the dates say themselves which part is which")


def as_datetime(text: str, order: str = "ymd") -> dt.datetime:
    """The moment a text means; ``order`` as in Style. ValueError with a sentence when it means none."""
    if match := _YEAR_FIRST.match(text):
        return _moment(text, int(match[1]), int(match[2]), int(match[3]), match[4], match[5])
    if match := _COMPACT.match(text):
        return _moment(text, int(match[1]), int(match[2]), int(match[3]))
    if match := _NUMBERS.match(text):
        first, second, year = int(match[1]), int(match[2]), _full_year(match[3])
        day, month = (second, first) if order == "mdy" else (first, second)
        if month > 12 and day <= 12:
            read = _WORDS["mdy" if order == "mdy" else "dmy"]
            raise ValueError(f"'{text}' has no month {month}; the column is read {read}")
        return _moment(text, year, month, day, match[4], match[5])
    if match := _DAY_WORD.match(text):
        return _moment(text, _full_year(match[3]), _month(text, match[2]), int(match[1]), match[4], match[5])
    if match := _WORD_DAY.match(text):
        return _moment(text, int(match[3]), _month(text, match[1]), int(match[2]), match[4], match[5])
    if order == "serial" and _SERIAL.match(text):
        return (_EXCEL_EPOCH + dt.timedelta(days=float(text))).replace(microsecond=0)
    raise ValueError(f"'{text[:40]}' is not a date")


def _moment(
    text: str, year: int, month: int, day: int, time: str | None = None, zone: str | None = None
) -> dt.datetime:
    if not 1 <= month <= 12:
        raise ValueError(f"'{text}' has no month {month}")
    if not 1800 <= year <= 2200:
        raise ValueError(f"'{text}' has a year outside 1800 to 2200")
    try:
        # A file says what the clock showed; its zone, if it has one, is put on below.
        date = dt.datetime(year, month, day)  # noqa: DTZ001
    except ValueError:
        raise ValueError(f"'{text}' is no day: {dt.date(year, month, 1):%B %Y} has no {day}.") from None
    if time:
        clock = _clock(text, time)
        date = dt.datetime.combine(date.date(), clock)
    if zone:
        hours = "+00:00" if zone in ("Z", "UTC") else zone
        sign = -1 if hours[0] == "-" else 1
        offset = dt.timedelta(hours=int(hours[1:3]), minutes=int(hours[-2:]))
        if offset >= dt.timedelta(hours=24):
            raise ValueError(f"'{text}' has no such time zone")
        date = date.replace(tzinfo=dt.timezone(sign * offset))
    return date


def _clock(text: str, time: str) -> dt.time:
    half = re.search(r"([AaPp])\.?[Mm]", time)
    whole, _, fraction = time.partition(".")
    parts = [int(part) for part in re.findall(r"\d+", whole)] + [0]
    hour, minute, second = parts[0], parts[1], parts[2]
    digits = re.match(r"\d*", fraction)
    micro = int((digits[0] if digits else "")[:6].ljust(6, "0"))
    if half:
        hour = hour % 12 + (12 if half[1] in "Pp" else 0)
    try:
        return dt.time(hour, minute, second, micro)
    except ValueError:
        raise ValueError(f"'{text}' has no such time of day") from None


def _full_year(year: str) -> int:
    """Two digits mean the century that lies closest, at most ten years ahead."""
    if len(year) == 4:
        return int(year)
    today = dt.datetime.now(dt.UTC).year
    full = today // 100 * 100 + int(year)
    return full - 100 if full > today + 10 else full


def _month(text: str, word: str) -> int:
    for length in (4, 3):
        if number := _MONTHS.get(word.casefold()[:length]):
            return number
    raise ValueError(f"'{text[:40]}' is not a date")


_MONEY_SIGNS = re.compile(
    r"""^(?:[A-Z]{2,3}\s*)?[$€£¥₹₽₩฿]
      | [$€£¥₹₽₩฿](?:\s*[A-Z]{3})?$
      | ^(?:[A-Z]{3}|RM|Rs\.?|kr|zł)\s*(?=[\d(-])
      | (?<=[\d)])\s*(?:[A-Z]{3}|kr|zł|Kč)$""",
    re.VERBOSE,
)
_POINT = re.compile(r"\d+(?:\.\d*)?|\.\d+|\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d*)?")
_COMMA = re.compile(r"\d+(?:,\d*)?|,\d+|\d{1,3}(?:\.\d{3})+(?:,\d*)?")
_SCIENCE = re.compile(r"\d+(?:\.\d+)?[eE][+-]?\d{1,2}")


def number_style(values: Iterable[str]) -> Style:
    """Whether the decimals of a column stand behind a point or a comma, with the reason."""
    point = comma = open_point = open_comma = 0
    example_point = example_comma = ""
    for value in values:
        text = clean(value)
        if text is None:
            continue
        bare = _bare(text)[0]
        last_point, last_comma = bare.rfind("."), bare.rfind(",")
        if last_point >= 0 and last_comma >= 0:
            is_comma = last_comma > last_point
        elif last_comma >= 0:
            if bare.count(",") == 1 and re.fullmatch(r"\d{1,3},\d{3}", bare):
                open_comma += 1
                continue
            is_comma = bare.count(",") == 1
        elif last_point >= 0:
            if bare.count(".") == 1 and re.fullmatch(r"\d{1,3}\.\d{3}", bare):
                open_point += 1
                continue
            is_comma = bare.count(".") > 1
        else:
            continue
        if is_comma:
            comma, example_comma = comma + 1, example_comma or text
        else:
            point, example_point = point + 1, example_point or text
    if point and comma:
        style = "point" if point >= comma else "comma"
        both = f"both styles occur ('{example_point}' and '{example_comma}')"
        why = f"{both}; the decimal {style} is more frequent, the other rows are refused"
        return Style("number", style, why, ambiguous=True)
    if comma:
        return Style("number", "comma", f"'{example_comma}' has a decimal comma")
    if point:
        return Style("number", "point", f"'{example_point}' has a decimal point")
    if open_comma:
        return Style("number", "point", "commas always stand before three digits: thousands", ambiguous=True)
    if open_point:
        return Style("number", "point", "points always stand before three digits: read as decimals, please check", True)
    return Style("number", "point", "whole numbers")


def _bare(text: str) -> tuple[str, bool]:
    """The digits with their separators, and whether they are negative: `(1,100.04)`, `-$5`, `5-`, `12 %`."""
    text = text.strip()
    negative = False
    if text.startswith("(") and text.endswith(")"):
        negative, text = True, text[1:-1].strip()
    text = text.removesuffix("%").strip()
    if text[:1] in "+-−":
        negative, text = negative ^ (text[:1] in "-−" and text[:1] != ""), text[1:].strip()
    text, signs = _MONEY_SIGNS.subn("", text, count=1)
    text = text.strip()
    # `$-5`: a sign behind the money sign; two signs in a row are no number.
    if signs and not negative and text and text[0] in "+-−":
        negative, text = text[0] != "+", text[1:].strip()
    if text[-1:] in "-−" and text:
        negative, text = not negative, text[:-1].strip()
    if text.startswith("(") and text.endswith(")"):
        negative, text = not negative, text[1:-1].strip()
    text = _MONEY_SIGNS.sub("", text, count=1).strip()
    # Blanks and the Swiss apostrophe separate thousands everywhere.
    text = re.sub(r"(?<=\d)[\s\u00a0\u2007\u202f'’](?=\d{3}(?!\d))", "", text)
    return text, negative


def as_number(text: str, style: str = "point") -> Decimal:
    """The number a text means: `$1,100.04 ` is 1100.04. ``style`` as in Style. ValueError with a sentence."""
    bare, negative = _bare(text)
    if len(bare) > 40:
        raise ValueError(f"'{text[:40]}…' is not a number")
    pattern, thousands, decimal = (_COMMA, ".", ",") if style == "comma" else (_POINT, ",", ".")
    if pattern.fullmatch(bare):
        plain = bare.replace(thousands, "").replace(decimal, ".")
    elif _SCIENCE.fullmatch(bare):
        plain = bare
    elif (_POINT if style == "comma" else _COMMA).fullmatch(bare):
        raise ValueError(f"'{text[:40]}' is not written with a decimal {style} like the rest of the column")
    else:
        raise ValueError(f"'{text[:40]}' is not a number")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"'{text[:40]}' is not a number") from None
    return -value if negative else value


_YES = frozenset(
    (
        "y",
        "yes",
        "true",
        "t",
        "1",
        "on",
        "x",
        "✓",
        "✔",
        "ja",
        "j",
        "oui",
        "o",
        "si",
        "sí",
        "sim",
        "tak",
        "da",
        "wahr",
        "vrai",
    )
)
_NO = frozenset(
    ("n", "no", "false", "f", "0", "off", "nein", "non", "não", "nao", "nie", "nee", "net", "falsch", "faux")
)


def as_yes_no(text: str) -> bool:
    """Yes or no in several languages. ValueError with a sentence."""
    word = text.casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(f"'{text[:40]}' is neither yes nor no")


def one_line(text: str, joint: str = " ") -> str:
    """Text of several lines as one: what a short field can hold."""
    if "\n" not in text and "\r" not in text and "\t" not in text and "\v" not in text and "\f" not in text:
        return text
    parts = [_SPACES.sub(" ", part).strip(" ,") for part in re.split(r"[\r\n\v\f]+", text)]
    return joint.join(part for part in parts if part)
