"""Values as a person sees them in lists and on pages: pills, money, dates, links; safe HTML."""

from __future__ import annotations

import datetime as dt
import re
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import nh3
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import get_currency_precision
from flask_login import current_user
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from crm.core.fields import Choice, Field

EMPTY = Markup('<span class="faint">—</span>')
AVATAR_TONES = 8


def zone() -> dt.tzinfo:
    """The person's own zone, else UTC."""
    try:
        return ZoneInfo(getattr(current_user, "time_zone", None) or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC


def moment(value: dt.datetime) -> Markup:
    """Relative, with the exact time on hover."""
    now = dt.datetime.now(dt.UTC)
    distance = value - now
    near = abs(distance) < dt.timedelta(days=7)
    local = value.astimezone(zone())
    said = format_timedelta(distance, add_direction=True, locale="en") if near else format_date(local, "d MMM y", "en")
    exact = format_datetime(local, "EEEE d MMMM y, HH:mm:ss zzz", locale="en")
    return Markup('<time class="time" datetime="{}" title="{}">{}</time>').format(value.isoformat(), exact, said)


def pill(word: str, tone: str = "neutral", *, plain: bool = False) -> Markup:
    return Markup('<span class="pill pill-{}{}">{}</span>').format(tone, " pill-plain" if plain else "", word)


def _link(address: str, word: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(address, word)


def _money(field: Field, value: Decimal, currency: str | None) -> Markup:
    places = get_currency_precision(currency) if currency else 2
    unit = Markup(' <span class="unit">{}</span>').format(currency) if currency else Markup("")
    return Markup('<span class="num">{}{}</span>').format(f"{value:,.{places}f}", unit)


def render(
    field: Field, value: Any, *, record: Any = None, url_of: Callable[[str, Any], str | None] | None = None
) -> Markup:
    """One value. `url_of(face name, record)` answers the page of a referred record, where the person may open it."""
    if value is None and as_given(field, record):
        return Markup('<span class="muted" title="As it was given, without its country code">{}</span>').format(
            as_given(field, record))  # fmt: skip
    if value is None or value == "" or value == []:
        return EMPTY
    match field.kind:
        case "choice":
            assert isinstance(value, Choice)
            return pill(value.label, value.tone, plain=value.tone == "neutral")
        case "choices" | "tags":
            words = [field.choices(item).label if field.choices else item for item in value]
            return Markup('<span class="tags">{}</span>').format(
                Markup("").join(Markup('<span class="tag">{}</span>').format(word) for word in words))  # fmt: skip
        case "boolean":
            return Markup('<span class="yes">Yes</span>') if value else Markup('<span class="no">No</span>')
        case "money":
            currency = field.currency or getattr(record, f"{field.name}_currency", None)
            return _money(field, value, currency)
        case "integer" | "decimal":
            return Markup('<span class="num">{}</span>').format(field.word(value))
        case "datetime":
            return moment(value)
        case "date":
            return Markup('<time class="time" datetime="{}">{}</time>').format(
                value.isoformat(), format_date(value, "d MMM y", locale="en"))  # fmt: skip
        case "email":
            return Markup('<a class="clip" href="mailto:{}" title="{}">{}</a>').format(value, value, value)
        case "phone":
            return Markup('<a class="time" href="tel:{}">{}</a>').format(value, value)
        case "url":
            return Markup('<a class="clip" href="{}" rel="noopener noreferrer nofollow" target="_blank">{}</a>').format(
                value, re.sub(r"^https?://", "", value))  # fmt: skip
        case "code":
            return Markup('<span class="code">{}</span>').format(value)
        case "long_text" if field.markdown:
            return formatted(value)
        case "long_text":
            return Markup('<span class="long">{}</span>').format(value)
        case "reference":
            other = getattr(record, field.name, None) if record is not None else None
            if other is None:
                return Markup("#{}").format(value)
            address = url_of(field.refers_to, other) if url_of else None
            return _link(address, other.title) if address else escape(other.title)
        case "country" | "language":
            return Markup('<span class="clip" title="{}">{}</span>').format(field.word(value), field.word(value))
    return Markup('<span class="clip" title="{}">{}</span>').format(value, value)


def as_given(field: Field, record: Any) -> str | None:
    """The text that was given where it has no normal form, such as a phone number without its country."""
    return getattr(record, f"{field.attribute}_given", None) if field.keeps_given and record is not None else None


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable(
    ["table", "strikethrough"]
)
_TAGS = {"p", "br", "strong", "em", "s", "code", "pre", "ul", "ol", "li", "blockquote", "a", "hr", "h3", "h4", "h5", "h6",
         "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip
_HEADINGS = str.maketrans({"1": "3", "2": "4", "3": "5", "4": "6", "5": "6", "6": "6"})


def formatted(text: str) -> Markup:
    """Markdown as harmless HTML: no pictures, no HTML of one's own, links that tell the other side nothing.

    Headings begin below those of the page.
    """
    html = re.sub(r"(</?h)([1-6])(?=>)", lambda found: found[1] + found[2].translate(_HEADINGS), _MARKDOWN.render(text))
    clean = nh3.clean(html, tags=_TAGS, attributes={"a": {"href", "title"}, "ol": {"start"}},
                      url_schemes={"http", "https", "mailto", "tel"}, link_rel="noopener noreferrer nofollow")  # fmt: skip
    return Markup('<div class="prose">{}</div>').format(Markup(clean))  # noqa: S704 - cleaned in the line above


def initials(name: str) -> str:
    words = [word for word in re.split(r"[\s\-_.@]+", name) if word and word[0].isalnum()]
    return (
        "".join(word[0] for word in (words[0], words[-1]) if word)[: 2 if len(words) > 1 else 1].upper()
        if words
        else "?"
    )


def tone_of(record: Any) -> int:
    return zlib.crc32(f"{type(record).__name__}{record.id}".encode()) % AVATAR_TONES
