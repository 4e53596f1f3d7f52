"""Screens and API: what a person waits for all day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from bench.filled import MARK, Filled, Heard
from bench.floors import COLUMNS, Stock, bare, typed
from bench.measuring import Figure, Times, timed
from crm.queries.listing import _cursor


def figures(desk: Filled, stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    """Each list beside the stock one; what is asked deep in the list is asked there by its page number."""
    one, half = desk.one, desk.rows // 2
    name, email = quote(one["name"][:5]), quote(one["email"])
    deep = _cursor(True, one["id"], one["id"])
    two = f"{stock.filter('industry', 'Technology')}&{stock.filter('lifecycle', 'active', 1)}"
    lists = {
        "list, page 1": ("", ""),
        f"list, {half:,} rows in": (f"?after={deep}", f"?page={half // 50}"),
        "list, exact e-mail": (f"?flt_email_eq={email}", "?" + stock.filter("email", email)),
        "list, 5 letters of a name": (f"?search={name}", f"?search={name}"),
        "list, 4 letters of a name": (f"?search={name[:4]}", f"?search={name[:4]}"),
        "list, two-field filter": ("?flt_industry_eq=Technology&flt_lifecycle_eq=active", "?" + two),
        "list, by name": ("?sort=name", "?sort=0"),
        "list, 100,000 that match": (f"?flt_industry_eq={MARK}", "?" + stock.filter("industry", MARK)),
    }
    rows = desk.plain.execute(f"SELECT {', '.join(COLUMNS)} FROM party ORDER BY id DESC LIMIT 50").fetchall()
    simple = bare(rows)
    render = timed(lambda: simple.get("/").get_data())
    for label, (ours, theirs) in lists.items():
        if wanted(label):
            yield _beside(
                label, desk, f"/admin/customers/{ours}", lambda path=theirs: stock.page(f"/party/{path}"), render
            )
    if wanted("page of one"):
        yield _beside("page of one", desk, f"/admin/customers/details/?id={one['id']}", None, None)
    if wanted("edit page"):
        yield _beside("edit page", desk, f"/admin/customers/edit/?id={one['id']}",
                      lambda: stock.page(f"/party/edit/?id={one['id']}"), None)  # fmt: skip
    if wanted("save"):
        yield _save(desk, stock)
    if wanted("API look-up"):
        path = f"/api/v1/customers?email={email}"
        yield _figure(
            "API look-up by e-mail",
            timed(lambda: _look_up(desk, path)),
            timed(_heard(desk, lambda: _look_up(desk, path))),
        )


def _beside(label: str, desk: Filled, path: str, stock: Callable[[], Any] | None, render: Times | None) -> Figure:
    sql = timed(_heard(desk, lambda: desk.page(path)))
    return _figure(label, timed(lambda: desk.page(path)), sql, timed(stock) if stock else None, render)


def _heard(desk: Filled, work: Callable[[], Any]) -> Callable[[], None]:
    work()  # the first time more is asked: what is then kept
    with Heard(desk) as heard:
        work()
    return heard.again


def _figure(label: str, ours: Times, sql: Times, stock: Times | None = None, render: Times | None = None) -> Figure:
    floors = {"sql": sql.p50, "bare page": render.p50 if render else None, "stock": stock.p50 if stock else None}
    more = {"p95": ours.p95, "cpu": ours.cpu} | ({"stock p95": stock.p95, "stock cpu": stock.cpu} if stock else {})
    return Figure(label, ours.p50, floors=floors, more=more)


def _look_up(desk: Filled, path: str) -> None:
    answer = desk.browser.get(path, headers=desk.key)
    assert answer.get_json()["items"], answer.status


def _save(desk: Filled, stock: Stock) -> Figure:
    """The form as it stands with another description, sent back with all that it holds; ours checks token, version,
    rights and every field, and writes who changed what."""
    number, turn = desk.one["id"], iter(range(1_000_000))
    mine, theirs = f"/admin/customers/edit/?id={number}", f"/party/edit/?id={number}"

    def ours(values: dict[str, Any]) -> None:
        answer = desk.browser.post(mine, data=values | {"description": [f"Text {next(turn)}"]})
        assert answer.status_code == 303, (answer.status, answer.get_data(as_text=True)[:3000])

    def others(values: dict[str, Any]) -> None:
        answer = stock.browser.post(theirs, data=values | {"description": [f"Text {next(turn)}"]})
        assert answer.status_code == 302, answer.get_data(as_text=True)[:3000]

    def plain() -> None:
        desk.plain.execute("UPDATE party SET description = %s WHERE id = %s", (f"Text {next(turn)}", number))

    return _figure("save", timed(ours, before=lambda: typed(desk.page(mine))), timed(plain),
                   timed(others, before=lambda: typed(stock.page(theirs))))  # fmt: skip
