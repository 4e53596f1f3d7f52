"""Values as a person sees them in lists and on pages: pills, money, dates, links; masked or left out as the person's
roles say; safe HTML."""

from __future__ import annotations

import datetime as dt
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import nh3
from babel.dates import format_timedelta
from babel.numbers import get_currency_precision
from flask import current_app, g
from flask_login import current_user
from markdown_it import MarkdownIt
from markupsafe import Markup, _escape_inner, escape

from crm.core.entity import Face, face_named
from crm.core.fields import MASK, Choice, Field
from crm.core.permissions import Access, Asking, accesses, title_for
from crm.queries.organisation import company_currency

MASKED = Markup('<span class="faint" title="Your roles don’t show this value">{}</span>').format(MASK)
_ICON = '<svg class="icon " aria-hidden="true" focusable="false"><use href="%sicons.svg#%s"/></svg>'
EMPTY = Markup('<span class="faint">—</span>')
AVATAR_TONES = 8


def html(template: str, *parts: Any) -> Markup:
    """A template of our own with the parts escaped. `Markup.format` reads its template anew each time, which on a list
    took more time than all else."""
    # Most parts have been drawn already. `escape` and `Markup` do each in Python what takes a fifth of the time below them.
    safe = tuple([part if type(part) is Markup or type(part) is int
                  else _escape_inner(part) if type(part) is str else escape(part) for part in parts])  # fmt: skip
    return str.__new__(Markup, template % safe)


def icon(name: str) -> Markup:
    return html(_ICON, current_app.jinja_env.globals["asset_root"], name)


def asking() -> Asking:
    """The person of this request."""
    if "asking" not in g:
        g.asking = Asking.of(current_user)
    return cast(Asking, g.asking)


def fields_of(face: Face) -> Mapping[str, Access]:
    """What the person may do with each field of a face; worked out once per request."""
    known: dict[str, Mapping[str, Access]] = g.setdefault("fields", {})
    if face.name not in known:
        known[face.name] = accesses(asking(), face)
    return known[face.name]


def present(face: Face, names: Iterable[str]) -> list[str]:
    """The names without those that aren't there for this person."""
    return [name for name in names if fields_of(face)[name] is not Access.HIDDEN]


def columns_of(face: Face, chosen: Sequence[str] = ()) -> list[str]:
    """The columns of a list, those chosen or those declared, the naming one first; where that isn't there for this person
    the number stands in."""
    names = present(face, dict.fromkeys((face.about.columns[0], *chosen)) if chosen else face.about.columns)
    return names if names[:1] == [face.about.columns[0]] else ["id", *names]


def title_of(face: Face, record: Any) -> str:
    """What this person may call the record."""
    seen = fields_of(face)
    return str(record.title) if seen.get(face.about.title, Access.READ).shows else title_for(asking(), face, record)


def cell(face: Face, record: Any, name: str, url_of: Callable[[str, Any], str | None] | None = None) -> Markup:
    """One value of a record as this person sees it; only where the field is `present`."""
    declared, value = face.field(name), face.value(record, name)
    if fields_of(face)[name].shows:
        return render(declared, value, record=record, url_of=url_of)
    return EMPTY if value in (None, "", []) else MASKED


def zone() -> dt.tzinfo:
    """The person's own zone, else UTC; looked up once per request."""
    known: dt.tzinfo | None = g.get("zone")
    if known is None:
        try:
            known = ZoneInfo(getattr(current_user, "time_zone", None) or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            known = dt.UTC
        g.zone = known
    return known


def day(value: dt.date) -> str:
    """`5 Jan 2026`."""
    return f"{value.day} {value:%b %Y}"


def moment(value: dt.datetime) -> Markup:
    """Relative, with the exact time on hover."""
    distance = value - dt.datetime.now(dt.UTC)
    near = abs(distance) < dt.timedelta(days=7)
    local = value.astimezone(zone())
    said = _from_now(round(distance.total_seconds())) if near else day(local)
    exact = local.strftime(f"%A {local.day} %B %Y, %H:%M:%S %Z")
    return html('<time class="time" datetime="%s" title="%s">%s</time>', value.isoformat(), exact, said)


@lru_cache(maxsize=4096)
def _from_now(seconds: int) -> str:
    if abs(seconds) < 5:  # the database's clock and ours differ by a moment
        return "just now"
    return format_timedelta(dt.timedelta(seconds=seconds), add_direction=True, locale="en")


def pill(word: str, tone: str = "neutral", *, plain: bool = False) -> Markup:
    return html('<span class="pill pill-%s%s">%s</span>', tone, " pill-plain" if plain else "", word)


def _link(address: str, word: str) -> Markup:
    return html('<a href="%s">%s</a>', address, word)


def _companys() -> str:
    """The currency of totals; looked up once per request."""
    if "company_currency" not in g:
        g.company_currency = company_currency()
    return cast(str, g.company_currency)


def _money(field: Field, value: Decimal, currency: str | None) -> Markup:
    places = get_currency_precision(currency) if currency else 2
    unit = html(' <span class="unit">%s</span>', currency) if currency else ""
    return html('<span class="num">%s%s</span>', f"{value:,.{places}f}", unit)


def render(
    field: Field, value: Any, *, record: Any = None, url_of: Callable[[str, Any], str | None] | None = None
) -> Markup:
    """One value. `url_of(face name, record)` answers the page of a referred record, where the person may open it."""
    if value is None and as_given(field, record):
        return html('<span class="muted" title="As it was given, without its country code">%s</span>',
                    as_given(field, record))  # fmt: skip
    if value is None or value == "" or value == []:
        return EMPTY
    match field.kind:
        case "choice":
            assert isinstance(value, Choice)
            return pill(value.label, value.tone, plain=value.tone == "neutral")
        case "choices" | "tags":
            words = [field.choices(item).label if field.choices else item for item in value]
            tags = Markup("").join(html('<span class="tag">%s</span>', word) for word in words)
            return html('<span class="tags">%s</span>', tags)
        case "boolean":
            return Markup('<span class="yes">Yes</span>') if value else Markup('<span class="no">No</span>')
        case "money":
            own = getattr(record, f"{field.name}_currency", None)
            currency = (
                field.currency or own or getattr(record, "currency", None) or (_companys() if field.figure else None)
            )
            return _money(field, value, currency)
        case "integer" | "decimal":
            return html('<span class="num">%s</span>', field.word(value))
        case "datetime":
            return moment(value)
        case "date":
            return html('<time class="time" datetime="%s">%s</time>', value.isoformat(), day(value))
        case "email":
            return html('<a class="clip" href="mailto:%s" title="%s">%s</a>', value, value, value)
        case "phone":
            return html('<a class="time" href="tel:%s">%s</a>', value, value)
        case "url":
            return html('<a class="clip" href="%s" rel="noopener noreferrer nofollow" target="_blank">%s</a>',
                        value, re.sub(r"^https?://", "", value))  # fmt: skip
        case "code":
            return html('<span class="code">%s</span>', value)
        case "long_text" if field.markdown:
            return formatted(value)
        case "json":
            return html('<pre class="long">%s</pre>', field.text(value))
        case "long_text":
            return html('<span class="long">%s</span>', value)
        case "reference":
            other = getattr(record, field.name, None) if record is not None else None
            if other is None:
                return html("#%s", value)
            name = title_of(face_named(field.refers_to), other)
            address = url_of(field.refers_to, other) if url_of else None
            return _link(address, name) if address else escape(name)
        case "country" | "language":
            return html('<span class="clip" title="%s">%s</span>', field.word(value), field.word(value))
    return html('<span class="clip" title="%s">%s</span>', value, value)


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


def has_avatar(face: Face) -> bool:
    """Whether a record is somebody, who has a name: initials in colours tell people apart, not things."""
    title = face.fields.get(face.about.title)
    return title is not None and title.name == "name" and title.is_personal


def initials(name: str) -> str:
    words = [word for word in re.split(r"[\s\-_.@]+", name) if word and word[0].isalnum()]
    return (
        "".join(word[0] for word in (words[0], words[-1]) if word)[: 2 if len(words) > 1 else 1].upper()
        if words
        else "?"
    )


def tone_of(record: Any) -> int:
    return zlib.crc32(f"{type(record).__name__}{record.id}".encode()) % AVATAR_TONES
