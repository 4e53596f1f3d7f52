"""Requests that nobody should send, made for any face from its declaration: over its screens and over the API."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from crm.core.command import commands_of
from crm.core.entity import Face
from crm.core.fields import Field

HALF = "\ud800".encode("utf-8", "surrogatepass")
IDS = ("", "0", "-1", "+1", " 1", "1 ", "1.5", "1e3", "1 OR 1=1", "9" * 19, "9" * 40, "9223372036854775808", "0x10", "\x00",
       "1\x00", HALF, b"\xff", "C-", "C-1", "c-" + "9" * 20, "C-000000", "../etc/passwd", "１２", "[]", "{'a': 1}", "null",
       "true", "%", "'", "\U0001f600", "id", "None")  # fmt: skip
TEXTS = ("'; DROP TABLE party; --", "' OR 1=1 --", "%", "_", "\\", "%%%", "<script>alert(1)</script>", "{{7*7}}", "${7*7}",
         "9" * 400, "-" * 300, "NaN", "-Infinity", "1e999", "1e-999999999", "∞", "２", "a" * 5000, "\x00", "a\x00b", HALF,
         b"\xff\xfe", "\u202e", "\r\nSet-Cookie: a=b", "", " ", "\t", "=cmd|' /C calc'!A0", "9999-12-31", "0000-00-00",
         "2026-02-30", "31/02/2024", "C-000001", "1,2", ",", "0", "-1", str(2**63), str(-(2**63)), "null")  # fmt: skip
PLACES = ("zzz", "", "=", "A" * 9000, "bnVsbA", base64.urlsafe_b64encode(b"[" * 20_000).decode(),
          *(base64.urlsafe_b64encode(json.dumps([1, value, 5]).encode()).decode()
            for value in (None, True, 1.5, 5, "x", "\ud800", "\x00", [], {}, 10**30)),
          *(base64.urlsafe_b64encode(json.dumps(given).encode()).decode()
            for given in ([1, 5, 10**30], [1, "x", 5], [2, 1, 1], {"a": 1}, [], 1)))  # fmt: skip
VALUES: tuple[Any, ...] = (
    [], {}, [[]], [None], {"id": None}, {"id": []}, {"id": {"id": 1}}, True, -1, 0, 1.5, 2**63, -(2**63), 10**30, None,
    "é" * 300, "x" * 12_000, ["x"] * 1000, [1], ["\x00"], ["\ud800"],
    *(text if isinstance(text, str) else "\udfff" for text in TEXTS),
)  # fmt: skip
# What is sent as a document, and the status that refuses it.
DEEP = b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BODIES = {
    "array": (b"[]", 422),
    "text": (b'"x"', 422),
    "null": (b"null", 422),
    "number": (b"1", 422),
    "no json": (b"{", 400),
    "two": (b"{} {}", 400),
    "not utf-8": (b'{"name": "\xff"}', 400),
    "nan": (b'{"name": NaN}', 400),
    "infinity": (b'{"employees": -Infinity}', 400),
    "deep": (DEEP, 400),
    "less deep": (b'{"name": ' + b"[" * 20 + b"]" * 20 + b"}", 422),
    "huge int": (b'{"employees": ' + b"9" * 5000 + b"}", 400),
    "big int": (b'{"employees": ' + b"9" * 4000 + b"}", 422),
    "huge exponent": (b'{"annual_revenue": 1e999999999}', 422),
    "absurd exponent": (b'{"annual_revenue": 1e' + b"9" * 100 + b"}", 400),
    "tiny": (b'{"annual_revenue": 1e-999}', 422),
    "nul": (b'{"name": "a\\u0000b"}', 422),
    "nul in name": (b'{"na\\u0000me": 1}', 422),
    "half a pair": (b'{"name": "\\ud800"}', 422),
    "half a pair in a list": (b'{"name": "x", "tags": ["\\udfff"]}', 422),
    "half a pair in a name": (b'{"\\ud800": 1}', 422),
    "too large": (b'{"name": "' + b"x" * 10_000_000 + b'"}', 413),
    "empty": (b"", 422),
    "objects in objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
    "a name twice": (b'{"name": "x", "name": ["y"], "nonsense": 1}', 422),
    "names that are not fields": (b'{"__class__": 1, "xmin": "1", "id": 7}', 422),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "no text": (b"\x00", 400),
}
TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x",
         "application/xml", "application/json; charset=utf-16", "json", "", ";;;", "\xff")  # fmt: skip
HEADERS = ({"Host": "evil.test"}, {"Host": "a b"}, {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "gopher"},
           {"Range": "bytes=5-1"}, {"If-None-Match": '"' + "x" * 5000}, {"If-Modified-Since": "yesterday"},
           {"Accept-Language": "x" * 3000 + ";q=NaN"}, {"Accept": "\xff;q=1e9"}, {"HX-Request": "true", "HX-Target": "\xff"},
           {"Content-Length": "-1"}, {"Cookie": "desk_8000=\xff; =;;"}, {"Referer": "javascript:alert(1)"},
           {"X-HTTP-Method-Override": "DELETE"}, {"Transfer-Encoding": "nonsense"})  # fmt: skip
KEYS = ("", "Bearer", "Bearer ", "Bearer cdk_", "Bearer \xff", "Basic YTpi", "Bearer cdk_" + "x" * 9000, "Bearer ' OR 1=1",
        "Digest x", "Bearer cdk_" + "a" * 43)  # fmt: skip


Pairs = Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Attempt:
    """One request. What isn't `sane` by any reading must change nothing, whatever it is answered."""

    what: str
    method: str
    path: str
    body: bytes | Pairs | None = None
    headers: dict[str, str] = field(default_factory=dict)
    maybe_sane: bool = False

    @cached_property
    def data(self) -> bytes | None:
        """What is sent; a form is written when it is asked for, as most of them never are."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in self.body).encode()

    @property
    def of_program(self) -> bool:
        return self.path.startswith("/api/")

    def __str__(self) -> str:
        return f"{self.what}: {self.method} {self.path[:200]} {(self.data or b'')[:200]!r} {str(self.headers)[:200]}"


def attempts(face: Face, record_id: int, seed: int) -> list[Attempt]:
    """All of them for one face, which has a record of this number; another seed pairs them differently."""
    rng = random.Random(seed)
    made = [*_ids(face, rng), *_lists(face, rng), *_forms(face, record_id), *_actions(face, record_id, rng),
            *_addresses(face, record_id)]  # fmt: skip
    if face.about.api:
        made += [*_documents(face, record_id), *_api_queries(face, rng), *_api_edges(face, record_id, rng)]
    return made


def _encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    return quote(raw, safe="")


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def _around(values: Iterable[Any], rng: random.Random) -> Iterator[Any]:
    """The values again and again, from a place that depends on the seed."""
    kept = list(values)
    rng.shuffle(kept)
    return itertools.cycle(kept)


def _ids(face: Face, rng: random.Random) -> Iterator[Attempt]:
    ways = [("GET", name) for name in ("details/", "edit/", "history/", "related/", "menu/")]
    ways += [("POST", name) for name in ("edit/", "delete/")]
    # Each number meets three of the ways, each way nearly half of the numbers.
    for given, offset in itertools.product(IDS, range(3)):
        method, rest = ways[(IDS.index(given) + offset * 2) % len(ways)]
        path = f"/admin/{face.plural}/{rest}?id={_encoded(given)}&relation=contacts"
        yield Attempt("a number that is none", method, path, [("confirm", "1")] if method == "POST" else None,
                      FORM if method == "POST" else {})  # fmt: skip


def _lists(face: Face, rng: random.Random) -> Iterator[Attempt]:
    base, values, places = f"/admin/{face.plural}/", _around(TEXTS, rng), _around(PLACES, rng)
    pairs: list[tuple[Any, Any]] = [("search", value) for value in TEXTS[::2]]
    pairs += [
        (name, value) for name in ("page", "limit", "sort", "desc", "columns") for value in itertools.islice(values, 8)
    ]
    pairs += [(name, value) for name in ("after", "before") for value in itertools.islice(places, 8)]
    pairs += [
        (name, "1")
        for name in ("nonsense", "flt_", "flt_nothing_eq", "flt_id_", "flt___class___eq", "\x00", HALF, "a" * 4000)
    ]
    pairs += zip(_filters(face, rng, 40), values, strict=False)
    for name, value in pairs:
        yield Attempt("a list", "GET", f"{base}?{_encoded(name)}={_encoded(value)}")
    for value in itertools.islice(values, 6):
        yield Attempt("a picker", "GET", f"{base}lookup/?q={_encoded(value)}")
    for name, value in zip(("edited", "columns", "nothing") * 2, values, strict=False):
        yield Attempt(
            "a part of a list", "GET", f"{base}{rng.choice(('filters', 'columns', 'views'))}/?{name}={_encoded(value)}"
        )
    for value, other in itertools.islice(itertools.pairwise(values), 6):
        pairs = [("name", value), ("shared_with", other)]
        yield Attempt("a view", "POST", f"{base}views/?sort=id", pairs, FORM, maybe_sane=True)
    for kind in ("xls", "..", "csv%00", "%ff", "CSV", "a" * 3000):
        yield Attempt("an export", "GET", f"{base}export/{kind}/")
    yield Attempt("a filter of an export", "GET", f"{base}export/csv/?flt_nothing_eq=1")


def _filters(face: Face, rng: random.Random, most: int) -> list[str]:
    found = [f"flt_{name}_{op}" for name in face.filters for op in (*face.fields[name].operators, "nonsense", "")]
    rng.shuffle(found)
    return found[:most]


def _wrong(declared: Field) -> Any:
    """What the field can't be, whatever it is."""
    return {"email": "no address", "url": "javascript:alert(1)", "phone": "call me", "integer": "1e999", "money": "NaN",
            "decimal": "Infinity", "date": "2026-02-30", "datetime": "31/02/2024 25:00", "country": "Atlantis", "currency": "ZZZ",
            "language": "klingon!", "choice": "no such choice", "choices": "no such choice", "reference": "99999999999",
            "boolean": "perhaps"}.get(declared.kind, "a\x00b")  # fmt: skip


def _forms(face: Face, record_id: int) -> Iterator[Attempt]:
    names = [declared.name for declared in face.form_fields] or ["name"]
    new, edit = f"/admin/{face.plural}/new/", f"/admin/{face.plural}/edit/?id={record_id}"
    for value in TEXTS:
        pairs = [(name, value) for name in names]
        yield Attempt("a form", "POST", new, pairs, FORM, maybe_sane=True)
    for declared in face.form_fields:
        yield Attempt("a field", "POST", new, [(declared.name, _wrong(declared))], FORM)
    for value in ("", "1", "\x00", HALF, "9" * 30, "1.2.3", "[]", "-1"):
        pairs = [("_version", value), ("_original", value), *((name, "\x00") for name in names)]
        yield Attempt("a version", "POST", edit, pairs, FORM)
    for original in (
        '{"name": ' + "[" * 5000,
        '{"a":' * 5000,
        "null",
        "[1]",
        '{"name": {"a": 1}}',
        '"' + "x" * 100_000,
    ):
        yield Attempt(
            "an original", "POST", edit, [("_version", "1"), ("_original", original), (names[0], "\x00")], FORM
        )
    for path in (new, edit):
        yield Attempt("ten megabytes", "POST", path, [(names[0], "x" * 10_000_000)], FORM)
        yield Attempt("many parts", "POST", path, [(names[0], "\x00")] * 3000, FORM)
        for kind in TYPES[1:6]:
            yield Attempt(
                "a type", "POST", path, b'{"name": "x"}' if "json" in kind else b"--x\r\n\x00", {"Content-Type": kind}
            )
    part = (
        b'--x\r\nContent-Disposition: form-data; name="'
        + names[0].encode()
        + b'"; filename="../../x"\r\n\r\n\x00\r\n--x--\r\n'
    )
    yield Attempt("a file for a field", "POST", new, part, {"Content-Type": "multipart/form-data; boundary=x"})


def _actions(face: Face, record_id: int, rng: random.Random) -> Iterator[Attempt]:
    path, verbs = f"/admin/{face.plural}/action/", [made.verb for made in commands_of(face)]
    for verb in (*TEXTS[:8], "__class__", "delete", "read", "\x00", HALF):
        yield Attempt("a verb", "POST", path, [("action", verb), ("rowid", record_id), ("confirm", "1")], FORM)
    verb = _around(verbs or ["block"], rng)
    for given in IDS:
        yield Attempt("a ticked row", "POST", path, [("action", next(verb)), ("rowid", given), ("confirm", "1")], FORM)
    yield Attempt(
        "many ticked rows",
        "POST",
        path,
        [("action", next(verb)), *[("rowid", "1")] * 1900, ("confirm", "1")],
        FORM,
    )
    for name in ("flt_nothing_eq", "flt_", "flt_id_eq"):
        yield Attempt(
            "all that match",
            "POST",
            path,
            [("action", next(verb)), ("all", "1"), (name, "\x00"), ("confirm", "1")],
            FORM,
        )
    values = _around(TEXTS, rng)
    for made in commands_of(face):
        for name in made.asks:
            for value in itertools.islice(values, 3):
                pairs = [("action", made.verb), ("rowid", record_id), ("confirm", "1"), (name, value)]
                yield Attempt("an asked value", "POST", path, pairs, FORM, maybe_sane=True)


def _addresses(face: Face, record_id: int) -> Iterator[Attempt]:
    base = f"/admin/{face.plural}"
    for rest in ("/../", "//", "/%2e%2e/", "/%00/", "/%ff/", "/.git/config", "/details/;x=1", "/details/%2f", "/" + "a" * 8000,
                 "/ajax/lookup/?name=party&query=x", "/details/x/y/z", "/Details/", "/edit", "/?id=1&id=2", "/menu/?id[]=1"):  # fmt: skip
        yield Attempt("an address", "GET", base + rest)
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "NONSENSE", "X" * 300):
        yield Attempt("a method", method, f"{base}/?id={record_id}")
    for headers in HEADERS:
        yield Attempt("a header", "GET", f"{base}/?limit=1", headers=headers)
    yield Attempt("an old way in", "POST", f"{base}/ajax/update/", [("list_form_pk", record_id), ("name", "x")], FORM)
    for target in ("//evil.test", "/\\evil.test", "http:/evil.test", "javascript:alert(1)", "\x00"):
        yield Attempt("a way back", "POST", f"{base}/new/?url={_encoded(target)}", [("name", "\x00")], FORM)


def _documents(face: Face, record_id: int) -> Iterator[Attempt]:
    path, one = f"/api/v1/{face.plural}", f"/api/v1/{face.plural}/{record_id}"
    for number, (body, _) in enumerate(BODIES.values()):
        yield Attempt("a body", "POST", path, body, JSON)
        if number % 3 == 0:
            yield Attempt("a body", "PATCH", one, body, JSON | {"If-Match": "*"})
    names = [declared.name for declared in face.form_fields] or ["name"]
    for value in VALUES:
        yield Attempt("a value", "POST", path, json.dumps(dict.fromkeys(names, value)).encode(), JSON, maybe_sane=True)
    for declared in face.form_fields:
        yield Attempt("a field", "POST", path, json.dumps({declared.name: _wrong(declared)}).encode(), JSON)
    for kind in TYPES:
        yield Attempt("a type", "POST", path, b"name=x", {"Content-Type": kind})


def _api_queries(face: Face, rng: random.Random) -> Iterator[Attempt]:
    path, values, places = f"/api/v1/{face.plural}", _around(TEXTS, rng), _around(PLACES, rng)
    names = ["q", "limit", "sort", "desc", "nonsense", "email", "phone", "code", "after", *_filters(face, rng, 24)]
    for name in names:
        yield Attempt("a query", "GET", f"{path}?{name}={_encoded(next(values))}")
    for place in itertools.islice(places, 12):
        yield Attempt("a cursor", "GET", f"{path}?cursor={_encoded(place)}")
        yield Attempt("a cursor", "GET", f"{path}?sort={next(iter(face.about.sort), 'id')}&cursor={_encoded(place)}")
    yield Attempt("a query", "GET", f"{path}?limit=1&limit=2")


def _api_edges(face: Face, record_id: int, rng: random.Random) -> Iterator[Attempt]:
    path = f"/api/v1/{face.plural}"
    made = _around(commands_of(face), rng) if commands_of(face) else None
    for number, given in enumerate(IDS[1:]):
        method = ("GET", "PATCH", "DELETE", "POST")[number % 4]
        rest = f"/{next(made).verb.replace('_', '-')}" if method == "POST" and made is not None else ""
        address = f"{path}/{_encoded(given)}{rest}"
        yield Attempt("a number that is none", method, address, None if method == "GET" else b'{"reason": "x"}',
                      JSON | {"If-Match": "*"})  # fmt: skip
    for key in KEYS:
        yield Attempt("a key", "GET", path, headers={"Authorization": key})
    for tag in ("", "*x", '"', '"1-0', "W/", '"' + "9" * 400 + '"', "\xff"):
        yield Attempt("a version", "PATCH", f"{path}/{record_id}", b'{"nonsense": 1}', JSON | {"If-Match": tag})
    for key in ("", "x" * 300, "\xff", "a b\t"):
        yield Attempt("a repeated request", "POST", path, b'{"nonsense": 1}', JSON | {"Idempotency-Key": key})
    for headers in HEADERS:
        yield Attempt("a header", "GET", f"{path}?limit=1", headers=headers)
    for verb in ("no-such-thing", "__class__", "%00", "%ff", "a" * 3000, "read"):
        yield Attempt("a verb", "POST", f"{path}/{record_id}/{verb}", b"{}", JSON)
    if made is None:
        return
    values = _around(VALUES, rng)
    for command in commands_of(face):
        for name in command.asks:
            for value in itertools.islice(values, 4):
                body = json.dumps({name: value}).encode()
                yield Attempt(
                    "an asked value", "POST", f"{path}/{record_id}/{command.verb.replace('_', '-')}", body, JSON, True
                )
