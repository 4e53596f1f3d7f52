"""Money, dates and 'nothing' are read as people write them; a column's style is decided once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crm.importing.values import as_datetime, as_number, as_yes_no, clean, date_style, number_style, one_line


@pytest.mark.parametrize("text", ["", "  ", "NULL", " NA ", "N/A", "n/a", "\\N", "-", "\u00a0", "NaN"])
def test_nothing_has_many_names(text):
    assert clean(text) is None


@pytest.mark.parametrize("text", ["Na", "Null", "None", "0", "no", "Nan"])
def test_names_of_people_are_not_nothing(text):
    assert clean(f" {text} ") == text


def test_the_guard_of_an_export_is_taken_off_again():
    assert clean("'=SUM(A1)") == "=SUM(A1)"
    assert clean("'+49 221") == "+49 221"
    assert clean("'t Hart") == "'t Hart"


@pytest.mark.parametrize(
    ("text", "style", "value"),
    [
        ("$1,100.04 ", "point", "1100.04"),
        ("1.234,56", "comma", "1234.56"),
        ("1,234,567", "point", "1234567"),
        ("(1,100.04)", "point", "-1100.04"),
        ("-$5", "point", "-5"),
        ("$-5.50", "point", "-5.50"),
        ("5-", "point", "-5"),
        ("12 %", "point", "12"),
        ("EUR 1.234,56", "comma", "1234.56"),
        ("1 234,56 €", "comma", "1234.56"),
        ("1'234.50", "point", "1234.50"),
        ("RM 12.30", "point", "12.30"),
        ("12,5", "comma", "12.5"),
        (".5", "point", "0.5"),
        ("1e5", "point", "1e5"),
        ("1,00,000", "point", "100000"),
        ("13085.0", "point", "13085.0"),
        ("1\u202f234,5", "comma", "1234.5"),
        ("−7", "point", "-7"),
        ("100 PLN", "point", "100"),
    ],
)
def test_numbers(text, style, value):
    assert as_number(text, style) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("1.234,56", "point"),
        ("1,234.56", "comma"),
        ("abc", "point"),
        ("", "point"),
        ("1,23,4", "point"),
        ("12.3.4", "point"),
        ("--5", "point"),
        ("NaN", "point"),
        ("Infinity", "point"),
        ("9" * 50, "point"),
        ("$", "point"),
        ("1e999", "point"),
    ],
)
def test_what_is_no_number_says_so(text, style):
    with pytest.raises(ValueError, match=r"number|decimal"):
        as_number(text, style)


@pytest.mark.parametrize(
    ("values", "style", "ambiguous"),
    [
        (["1.234,56", "12"], "comma", False),
        (["$1,100.04", "$251.41"], "point", False),
        (["1,234", "2,345"], "point", True),
        (["1.234", "2.345"], "point", True),
        (["1.234", "2,5"], "comma", False),
        (["5", "7"], "point", False),
        (["1.5", "1.5", "1,5"], "point", True),
        (["1.234.567"], "comma", False),
        (["NULL", ""], "point", False),
    ],
)
def test_the_decimal_sign_is_decided_for_the_column(values, style, ambiguous):
    found = number_style(values)
    assert (found.value, found.ambiguous) == (style, ambiguous)
    assert found.reason


@pytest.mark.parametrize(
    ("values", "order", "ambiguous"),
    [
        (["03/01/19", "25/12/19"], "dmy", False),
        (["5/10/2024", "2/13/2025"], "mdy", False),
        (["5/10/2024", "2/3/2025"], "dmy", True),
        (["5.10.2024"], "dmy", False),
        (["2024-01-02"], "ymd", False),
        (["20210101"], "ymd", False),
        (["44197", "44198"], "serial", False),
        (["13/01/2020", "01/13/2020"], "dmy", True),
        (["5 Jan 2024"], "ymd", False),
    ],
)
def test_day_or_month_first_is_decided_for_the_column(values, order, ambiguous):
    found = date_style(values)
    assert (found.value, found.ambiguous) == (order, ambiguous)
    assert found.reason


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("2024-02-29", "ymd", dt.date(2024, 2, 29)),
        ("20210101", "ymd", dt.date(2021, 1, 1)),
        ("03/01/19", "dmy", dt.date(2019, 1, 3)),
        ("5/10/2024", "mdy", dt.date(2024, 5, 10)),
        ("5 Jan 2024", "ymd", dt.date(2024, 1, 5)),
        ("January 5th, 2024", "ymd", dt.date(2024, 1, 5)),
        ("05-Mär-2024", "dmy", dt.date(2024, 3, 5)),
        ("44197", "serial", dt.date(2021, 1, 1)),
        ("2009-12-01 07:45:00", "ymd", dt.date(2009, 12, 1)),
        ("31.12.1999", "dmy", dt.date(1999, 12, 31)),
        ("2024-01-05T10:00:00Z", "ymd", dt.date(2024, 1, 5)),
    ],
)
def test_dates(text, order, day):
    assert as_datetime(text, order).date() == day


def test_times_of_day_and_zones():
    assert as_datetime("2024-01-05 1:07 PM") == dt.datetime(2024, 1, 5, 13, 7)  # noqa: DTZ001 - as written, without a zone
    assert as_datetime("2024-01-05T10:00:00.25Z").microsecond == 250_000
    assert as_datetime("2024-01-05T10:00:00+0200").utcoffset() == dt.timedelta(hours=2)
    assert as_datetime("44197.5", "serial") == dt.datetime(2021, 1, 1, 12)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "order", "told"),
    [
        ("31/02/2024", "dmy", "February 2024 has no 31"),
        ("02/31/2024", "mdy", "no 31"),
        ("13/13/2024", "dmy", "no month 13"),
        ("2024-13-01", "ymd", "no month 13"),
        ("2024-02-30", "ymd", "no 30"),
        ("soon", "ymd", "not a date"),
        ("5/13/2024", "dmy", "day first"),
        ("0001-01-01", "ymd", "year outside"),
        ("44197", "ymd", "not a date"),
        ("2024-01-05 25:00", "ymd", "time of day"),
        ("20241301", "ymd", "no month 13"),
    ],
)
def test_what_is_no_day_says_why(text, order, told):
    with pytest.raises(ValueError, match=told):
        as_datetime(text, order)


def test_yes_and_no():
    assert as_yes_no("Ja")
    assert as_yes_no("Y")
    assert not as_yes_no("0")
    assert not as_yes_no("Nein")
    with pytest.raises(ValueError, match="neither"):
        as_yes_no("maybe")


def test_several_lines_become_one():
    assert one_line("12 Main St\r\nSuite 4,\n", ", ") == "12 Main St, Suite 4"
    assert one_line("plain text") == "plain text"
