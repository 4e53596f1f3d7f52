"""Every HTML answer that a test gets is looked at: tags that close, no number twice; strictly where it holds a kind of
tag that none before it held."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape

import html5lib
from werkzeug.test import TestResponse

_TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z][\w:-]*)((?:\"[^\"]*\"|'[^']*'|[^'\">]++)*+)>", re.DOTALL)
_ID = re.compile(r"\sid=\"([^\"]*)\"")
# What HTML never closes; `link` and `meta` among them.
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_CLASS = re.compile(r"\sclass=\"([^\"]*)\"")
_ATTRIBUTE = re.compile(r"([\w:-]+)(?:=\"([^\"]*)\")?")
_strictly: set[tuple[str, str]] = set()


def faults(html: str) -> list[str]:
    """What is wrong with a page or a part of one; quick enough to be asked of every answer."""
    return _faults(_TAG.findall(html))


def _faults(tags: list[tuple[str, str, str]]) -> list[str]:
    open_tags: list[str] = []
    ids: Counter[str] = Counter()
    for closing, name, attributes in tags:
        tag = name.lower()
        if closing:
            if not open_tags or open_tags.pop() != tag:
                return [f"</{tag}> closes what wasn't open"]
            continue
        if " id=" in attributes:
            ids.update(_ID.findall(attributes))
        if tag and tag not in _VOID and not attributes.endswith("/"):
            open_tags.append(tag)
    found = [f"<{tag}> is never closed" for tag in open_tags]
    return found + [f"id “{name}” stands there {times} times" for name, times in ids.items() if times > 1]


def inputs(html: str) -> list[dict[str, str]]:
    """The attributes of each `<input>`; a strict parser takes forty times as long for them."""
    return [{one: unescape(value) for one, value in _ATTRIBUTE.findall(attributes)}
            for closing, name, attributes in _TAG.findall(html) if name == "input"]  # fmt: skip


def check(answer: TestResponse, method: str) -> None:
    """Fails for HTML that isn't well-formed. A strict parser takes longer than the page itself, and what differs between
    the pages of a hundred entities are the words: it reads those that hold a new kind of tag."""
    # The page of a redirect is the framework's own, and nobody sees it.
    if answer.mimetype != "text/html" or method == "HEAD" or 300 <= answer.status_code < 400:
        return
    html = answer.get_data(as_text=True)
    tags = _TAG.findall(html)
    assert _faults(tags) == [], (answer.request.path, answer.status_code, html[:3000])
    kinds = {
        (tag, " ".join(_CLASS.findall(attributes)) if "class=" in attributes else "") for _, tag, attributes in tags
    }
    if kinds <= _strictly:
        return
    _strictly.update(kinds)
    parser = html5lib.HTMLParser(strict=True)
    if html.lstrip()[:9].lower() == "<!doctype":
        parser.parse(html)
    else:
        parser.parseFragment(html)
