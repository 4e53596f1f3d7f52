"""A statement of account as a file: PDF to send to the customer, CSV to reckon with; in the customer's language.

The PDF carries the letters it uses of DejaVu Sans: Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic without
ligatures. Any other letter is drawn as a question mark in a diamond.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast

from babel.dates import format_date
from babel.numbers import format_decimal, get_currency_precision
from fpdf import FPDF, FontFace
from fpdf.enums import TextMode, XPos, YPos
from fpdf.fonts import TTFFont

from crm.core.days import today
from crm.core.spreadsheets import neutral
from crm.queries.credit_statement import Entry, Statement
from crm.queries.credit_statement_texts import LOCALES, TEXTS

MOST_IN_PDF = 1_000  # entries; some seconds
_FONT = Path(__file__).parent.parent / "fonts" / "DejaVuSans.ttf"
_INK, _FAINT, _LINE, _SHADE = (17, 24, 39), (90, 98, 112), (200, 205, 212), (241, 243, 246)
_ALIGNED = ("LEFT", "LEFT", "LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT")
COLUMNS = ("day", "entry", "number", "due", "debit", "credit", "balance")
# They tell of each letter that is missing, and so of names.
for _noisy in ("fpdf", "fontTools"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Letter:
    """What stands on a statement besides its figures; `currency` is the company's."""

    currency: str
    company: str = ""
    customer: str = ""
    address: Sequence[str] = ()
    language: str = "en"

    @property
    def unit(self) -> str:
        return self.currency

    def word(self, name: str) -> str:
        return TEXTS[self.language][name]

    def day(self, value: dt.date | None) -> str:
        return format_date(value, "medium", LOCALES[self.language]) if value else ""

    def money(self, value: Decimal | None, currency: str | None = None) -> str:
        """With the digits of the currency; more where the ledger has them, so that what is read adds up."""
        if value is None:
            return ""
        places = get_currency_precision(currency or self.currency)
        pattern = "#,##0" + ("." + "0" * places + "#" * (4 - places) if places < 4 else ".0000")
        return format_decimal(value, pattern, LOCALES[self.language])

    def entry(self, one: Entry) -> str:
        """What it is; with its own amount if that is in another currency."""
        if one.currency in (None, self.currency):
            return self.word(one.kind)
        return f"{self.word(one.kind)} ({self.money(one.amount, one.currency)} {one.currency})"

    def ages(self, told: Statement) -> list[tuple[str, Decimal]]:
        return [
            *((self.word(one.value), worth) for one, worth in told.ages.items()),
            (self.word("unallocated"), told.unallocated),
            (self.word("closing"), told.closing),
        ]


def statement_csv(told: Statement, letter: Letter) -> bytes:
    """With a byte order mark, as spreadsheets want it. Days and amounts are written the same in each language."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([letter.word(name) for name in COLUMNS]
                    + [letter.word("in")])  # fmt: skip
    end = [letter.unit]
    writer.writerow([told.since, letter.word("opening"), "", "", "", "", told.opening, *end])
    for one in told.entries:
        writer.writerow([one.day, letter.entry(one), neutral(one.number), one.due_on or "", one.debit or "", one.credit or "", one.balance,
                         *end])  # fmt: skip
    writer.writerow([told.until, letter.word("closing"), "", "", "", "", told.closing, *end])
    for label, worth in letter.ages(told)[:-1]:
        writer.writerow([told.until, label, "", "", "", "", worth, *end])
    return ("\ufeff" + buffer.getvalue()).encode()


def statement_pdf(told: Statement, letter: Letter) -> bytes:
    """A4 pages with the letterhead on the first and the number on each."""
    page = _Pages(told, letter)
    page.add_page()
    page.head()
    page.entries()
    page.ages()
    return bytes(page.output())


class _Pages(FPDF):
    def __init__(self, told: Statement, letter: Letter) -> None:
        super().__init__(format="A4")
        self.told, self.letter = told, letter
        self.set_margins(18, 18)
        self.set_auto_page_break(True, 22)
        self.add_font("Text", fname=_FONT)
        self.set_title(f"{letter.word('title')} {told.account.code}")
        self.set_author(letter.company)
        self.set_lang(letter.language)

    def header(self) -> None:
        if self.page_no() > 1:
            self._write(8, _FAINT)
            self.cell(0, 5, f"{self.letter.company} · {self.letter.word('title')} {self.told.account.code}",
                      new_x=XPos.LMARGIN, new_y=YPos.NEXT)  # fmt: skip
            self.ln(3)

    def footer(self) -> None:
        self.set_y(-15)
        self._write(8, _FAINT)
        self.cell(0, 5, self.letter.word("page").format(self.page_no(), "{nb}"), align="C")

    def normalize_text(self, text: str) -> str:
        """A letter that the font lacks would leave no trace."""
        known = cast(TTFFont, self.fonts["text"]).cmap
        return "".join(one if one == "\n" or ord(one) in known else "\ufffd" for one in super().normalize_text(text))

    def head(self) -> None:
        """The letterhead, whom it goes to, and which account and days it is about."""
        told, letter = self.told, self.letter
        self._write(14, _INK, strong=True)
        self.multi_cell(0, 7, letter.company, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_draw_color(*_LINE)
        self.line(self.l_margin, self.y + 2, self.w - self.r_margin, self.y + 2)
        self.ln(12)
        top, half = self.y, self.epw * 0.52
        self._write(10, _INK)
        self.multi_cell(
            half, 5, "\n".join([letter.customer, *letter.address]), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )
        below = self.y
        facts = {"account": told.account.code, "period": f"{letter.day(told.since)} – {letter.day(told.until)}",
                 "made": letter.day(today()), "in": letter.unit}  # fmt: skip
        self.set_y(top)
        for name, said in facts.items():
            self.set_x(self.l_margin + self.epw * 0.56)
            self._write(8.5, _FAINT)
            self.cell(self.epw * 0.17, 5, letter.word(name))
            self._write(8.5, _INK)
            self.cell(self.epw * 0.27, 5, said, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_y(max(below, self.y) + 10)
        self._write(16, _INK, strong=True)
        self.cell(0, 9, letter.word("title"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(3)

    def entries(self) -> None:
        told, letter = self.told, self.letter
        total = FontFace(fill_color=_SHADE, color=_INK)
        self._write(8, _INK)
        with self.table(col_widths=(24, 36, 30, 24, 22, 22, 24), text_align=_ALIGNED, line_height=4.4, padding=(1.1, 1),
                        borders_layout="HORIZONTAL_LINES", headings_style=FontFace(color=_FAINT)) as table:  # fmt: skip
            table.row([letter.word(name) for name in COLUMNS])
            table.row(
                [letter.day(told.since), letter.word("opening"), "", "", "", "", letter.money(told.opening)],
                style=total,
            )
            for one in told.entries:
                table.row([letter.day(one.day), letter.entry(one), one.number, letter.day(one.due_on), letter.money(one.debit or None),
                           letter.money(one.credit or None), letter.money(one.balance)])  # fmt: skip
            table.row(
                [letter.day(told.until), letter.word("closing"), "", "", "", "", letter.money(told.closing)],
                style=total,
            )

    def ages(self) -> None:
        """How old what is open is; on one page with its heading."""
        letter = self.letter
        ages = letter.ages(self.told)
        if self.will_page_break(32):
            self.add_page()
        self.ln(8)
        self._write(10, _INK, strong=True)
        self.cell(0, 6, letter.word("ages").format(letter.day(self.told.until)), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(2)
        self._write(8, _INK)
        with self.table(text_align="RIGHT", line_height=4.4, padding=(1.1, 1), borders_layout="HORIZONTAL_LINES",
                        headings_style=FontFace(color=_FAINT)) as table:  # fmt: skip
            table.row([label for label, _ in ages])
            table.row([letter.money(worth) for _, worth in ages])

    def _write(self, size: float, color: tuple[int, int, int], *, strong: bool = False) -> None:
        """Only one face is carried; what is strong is drawn with an outline."""
        self.set_font("Text", size=size)
        self.set_text_color(*color)
        self.set_draw_color(*(color if strong else _LINE))
        self.set_line_width(0.25 if strong else 0.2)
        self.text_mode = TextMode.FILL_STROKE if strong else TextMode.FILL
