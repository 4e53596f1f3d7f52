"""How the import wizard reads a file, and what a person may overrule: encoding, sheet, dates and numbers, how known and
related records are found, values for all rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from admin_views.cells import asking
from crm.core.entity import Face, face_named
from crm.core.fields import countries
from crm.importing.files import DELIMITERS, Found, ReadOptions
from crm.importing.keys import EXTERNAL
from crm.importing.matching import matchable, offered
from crm.importing.plan import RULES, Plan, column_styles, missing, named_by
from crm.importing.reading import Table
from crm.importing.targets import Landing, landings
from crm.importing.unfit import EMPTY

ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte order mark",
    "cp1252": "Windows-1252 (Western Europe)",
    "latin-1": "ISO 8859-1 (Latin-1)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1254": "Windows-1254 (Turkish)",
    "iso8859-15": "ISO 8859-15 (with the euro)",
    "mac-roman": "Mac Roman",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 little-endian",
    "utf-16-be": "UTF-16 big-endian",
    "utf-32": "UTF-32",
    "shift_jis": "Shift-JIS (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
    "euc_kr": "EUC-KR (Korean)",
}
DATE_STYLES = {
    "dmy": "Day first (31/12/2024)",
    "mdy": "Month first (12/31/2024)",
    "ymd": "Year first (2024-12-31)",
    "serial": "Excel's numbers of days",
}
LONG_LIST = 60  # choices: more are typed, with suggestions
NUMBER_STYLES = {"point": "1,234.56", "comma": "1.234,56"}
_SHORT_NUMBER = re.compile(r"[0-9]{1,4}")


def _choice(name: str, label: str, value: Any, reason: str, choices: Mapping[str, str]) -> dict[str, Any]:
    listed = dict(choices)
    listed.setdefault(str(value), str(value))
    return {
        "name": name,
        "label": label,
        "value": str(value),
        "value_label": listed[str(value)],
        "reason": reason[:1].upper() + reason[1:],
        "choices": list(listed.items()),
    }


def detected(table: Table, plan: Plan, reasons: Mapping[str, str], repair: str | None) -> list[dict[str, Any]]:
    """How the file is read, each with its reason and the other possibilities."""
    options, found = table.options, table.found
    shown = []
    if found.kind == "text":
        delimiters = {
            sign: f"{word.capitalize()} ({'tab' if sign == chr(9) else sign})" for sign, word in DELIMITERS.items()
        }
        shown.append(_choice("encoding", "Encoding", options.encoding, reasons.get("encoding", ""), ENCODINGS))
        shown.append(
            _choice("delimiter", "Between values", options.delimiter, reasons.get("delimiter", ""), delimiters)
        )
        quotes = {'"': 'Double (")', "'": "Single (')", "": "None"}
        shown.append(_choice("quote", "Quotes", options.quote, reasons.get("quote", ""), quotes))
    else:
        shown.append(_choice("sheet", "Sheet", options.sheet, reasons.get("sheet", ""), _sheets(found)))
    headers = {"0": "None: the first row is data"} | {str(n): f"Row {n}" for n in range(1, 11)}
    shown.append(_choice("header", "Names of the columns", options.header, reasons.get("header", ""), headers))
    if repair or options.repair:
        reason = f"Accents look misread: {repair}" if repair else "Misread accents are mended"
        shown.append(
            _choice(
                "repair",
                "Accents",
                "1" if options.repair else "",
                reason,
                {"": "As they are", "1": "Mend them"},
            )
        )
    return shown


def _sheets(found: Found) -> dict[str, str]:
    return {sheet.name: f"{sheet.name} ({sheet.rows:,} rows)" for sheet in found.sheets}


def styles(table: Table, plan: Plan, known: Mapping[str, Landing]) -> list[dict[str, Any]]:
    """How dates and numbers are read, where that can be read in two ways; the country of phone numbers."""
    shown = []
    for number, style in column_styles(table, plan.columns, known).items():
        header, chosen = table.columns[number].name, plan.styles.get(number, style.value)
        if style.kind == "date":
            shown.append(_choice(f"style_{number}", f"Dates in “{header}”", chosen, style.reason, DATE_STYLES))
        elif style.reason != "whole numbers" or chosen != style.value:
            shown.append(_choice(f"style_{number}", f"Numbers in “{header}”", chosen, style.reason, NUMBER_STYLES))
    if any(known[name].field.kind == "phone" for name in plan.columns.values()):
        shown.append(
            _choice(
                "country",
                "Country of the phone numbers",
                plan.country or "",
                "For numbers without a country code, where the row names no country",
                {"": "None: keep such numbers as written"} | countries(),
            )
        )
    return shown


def ladder(face: Face, plan: Plan) -> list[dict[str, Any]]:
    """The steps by which known records can be found, in their usual order unless another was chosen."""
    steps = matchable(face, asking())
    given = offered(face, plan.names, asking())
    chosen = [name for name in plan.match if name in steps]
    usual = chosen == [name for name in steps if name in chosen]
    names = [*steps] if usual else [*chosen, *(name for name in steps if name not in chosen)]
    return [{"name": name, "label": steps[name].label, "ticked": name in chosen,
             "text": "" if name in given else "The file has no column for it yet"} for name in names]  # fmt: skip


def found_by(plan: Plan, known: Mapping[str, Landing], table: Table) -> list[dict[str, Any]]:
    """By what columns name other records."""
    shown = []
    for number, name in plan.columns.items():
        landing = known[name]
        if not landing.is_link:
            continue
        other = face_named(landing.field.refers_to)
        ways = named_by(other, asking())
        if not plan.system:
            ways.pop(EXTERNAL)
        told = _choice(f"style_{number}", f"{landing.field.label} in “{table.columns[number].name}”", plan.styles.get(number, ""),
                       f"Each row is linked to the one {other.label.lower()} that it names; none is guessed",
                       {"": "Whichever fits first"} | ways)  # fmt: skip
        shown.append(told)
    return shown


def for_all_rows(face: Face, plan: Plan, known: Mapping[str, Landing]) -> list[dict[str, Any]]:
    """Lines to fill in: what is given for all rows, what is still lacking, and a few blank ones."""
    lacking = [name for name in missing(face, plan.names) if name in known]
    chosen = [*plan.constants.items(), *((name, "") for name in lacking), ("", ""), ("", "")]
    return [{"number": number, "field": name, "value": value} for number, (name, value) in enumerate(chosen)]


def wanted_rows(plan: Plan) -> list[dict[str, Any]]:
    """Lines to fill in: what a column must say for a row to be taken, and two blank ones."""
    chosen = [*plan.only.items(), ("", ""), ("", "")]
    return [{"number": number, "column": column, "value": value.removeprefix("!"), "inverse": value.startswith("!")}
            for number, (column, value) in enumerate(chosen)]  # fmt: skip


def unfit(face: Face, plan: Plan, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """By field: the words of the file that fit nothing, and those that a person gave a meaning before."""
    known = {landing.name: landing for landing in landings(face, asking())}
    names = [name for name in plan.columns.values() if name in known and (name in found or plan.words.get(name))]
    shown, number = [], 0
    for name in names:
        told, words, landing = found.get(name, {"values": [], "more": 0}), plan.words.get(name, {}), known[name]
        lines = []
        for value, times in [*told["values"], *((word, None) for word in words if word not in dict(told["values"]))]:
            number += 1
            means = words.get(value)
            lines.append(
                {"number": number, "value": value, "times": times, "means": EMPTY if means == "" else means or ""}
            )
        options = landing.field.options()
        shown.append({"name": name, "label": landing.field.label, "lines": lines, "more": told["more"],
                      "options": [] if len(options) > LONG_LIST else options, "suggested": options if len(options) > LONG_LIST else [],
                      "free": landing.is_link or len(options) > LONG_LIST})  # fmt: skip
    return shown


def read_constants(given: Mapping[str, str]) -> dict[str, str]:
    """The lines as they came back; one without a field or a value says nothing."""
    found = {}
    for name, value in given.items():
        number = name.removeprefix("same_value_")
        if number != name and value.strip() and given.get(f"same_field_{number}"):
            found[given[f"same_field_{number}"]] = value
    return found


def read_only(given: Mapping[str, str]) -> dict[int, str]:
    """Which rows are meant, as the lines came back; one without a column says nothing, of two for one column the last counts."""
    found = {}
    for name, column in given.items():
        line = name.removeprefix("only_column_")
        if line != name and (number := short_number(column)) is not None:
            value = given.get(f"only_value_{line}", "").strip()[:255]
            found[number] = ("!" if given.get(f"only_not_{line}") == "1" else "") + value
    return found


def read_rules(given: Mapping[str, str]) -> dict[str, str]:
    """When each field of a known record is changed, as it was chosen beside the column that becomes it."""
    return {given[f"column_{number}"]: rule for name, rule in given.items()
            if (number := name.removeprefix("rule_")) != name and rule in RULES and given.get(f"column_{number}")}  # fmt: skip


def read_styles(given: Mapping[str, str]) -> dict[int, str]:
    """How columns are written, or by what they name other records, as it was chosen."""
    found = {
        short_number(name.removeprefix("style_")): value for name, value in given.items() if name.startswith("style_")
    }
    return {
        number: value
        for number, value in found.items()
        if number is not None and re.fullmatch("[a-z_0-9]{0,64}", value)
    }


def short_number(text: str) -> int | None:
    """A number of a row or column; None for what is none."""
    return int(text) if _SHORT_NUMBER.fullmatch(text) else None


def read_options(table_options: ReadOptions, given: Mapping[str, str]) -> ReadOptions:
    """What a person chose on the page; what was left alone is found out anew, for it may hang on the rest."""
    chosen: dict[str, Any] = {}
    for name in ("encoding", "delimiter", "quote", "sheet"):
        if name in given and given[name] != (getattr(table_options, name) or ""):
            chosen[name] = given[name]
    header = short_number(given.get("header", ""))
    if header is not None and header != table_options.header:
        chosen["header"] = header
    chosen["repair"] = given.get("repair") == "1"
    return ReadOptions(**chosen)
