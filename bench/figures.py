"""What it costs that figures are always true: orders written with and without them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import create_engine

from bench.filled import Filled
from bench.floors import Stock
from bench.measuring import Figure, timed
from crm.core.figures import installed_names, rebuild

MANY, IMPORTED, TURNS = 100_000, 10_000, 5
ORDER = ("WITH made AS (INSERT INTO sales_order (customer_id, currency, state) VALUES (%s, 'EUR', 'completed') RETURNING id) "
         "INSERT INTO order_line (order_id, name, quantity, unit_price) SELECT id, 'Part ' || n, n, 10 FROM made, "
         "generate_series(1, 3) n")  # fmt: skip
ORDERS = ("WITH made AS (INSERT INTO sales_order (customer_id, currency, state, ordered_at) SELECT (array(SELECT id FROM party WHERE "
          "code_letter = 'C' ORDER BY id LIMIT %s))[1 + n %% %s], 'EUR', 'completed', now() - n * interval '1 minute' "
          "FROM generate_series(1, %s) n RETURNING id) "
          "INSERT INTO order_line (order_id, name, quantity, unit_price) SELECT id, 'Part', 1, 10 FROM made")  # fmt: skip


def figures(desk: Filled, _stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    """Each beside the same statements with the triggers of the figures switched off; audit and all else stay on."""
    if not wanted("figures"):
        return
    many, few = (desk.plain.execute("SELECT id FROM party WHERE code_letter = 'C' ORDER BY id LIMIT 1 OFFSET %s", (place,))
                 .fetchone()[0] for place in (0, 5))  # type: ignore[index]  # fmt: skip
    desk.plain.execute(ORDERS, (1, 1, MANY))
    desk.plain.execute("VACUUM (ANALYZE) sales_order, order_line, order_figures, customer_figures")
    for label, customer in (("an order of 3 lines", few), (f"the same where {MANY:,} are", many)):
        kept, without = _in_turns(desk, lambda who=customer: desk.plain.execute(ORDER, (who,)))
        yield Figure(f"figures: {label}", kept, "ms", {"without": without})
    for label, order in (("total spent", "total_spent"), ("last activity", "last_activity_at")):
        path = f"/admin/customers/?sort={order}&desc=1"
        yield Figure(f"figures: list, by {label}", timed(lambda path=path: desk.page(path)).p50, "ms",
                     {"by name": timed(lambda: desk.page("/admin/customers/?sort=name")).p50})  # fmt: skip
    kept_rate = _imported(desk)
    _switch(desk, "DISABLE")
    without_rate = _imported(desk)
    _switch(desk, "ENABLE")
    yield Figure(f"figures: {IMPORTED:,} orders at once", kept_rate, "orders/s", {"without": without_rate})
    yield Figure("figures: all worked out anew", _rebuilt(desk), "seconds")


def _in_turns(desk: Filled, work: Callable[[], Any]) -> tuple[float, float]:
    """The medians with and without figures, measured in turns: what else the machine does slows both."""
    times: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
    for _ in range(TURNS):
        for how, found in times.items():
            _switch(desk, how)
            found.extend(timed(work).all)
    _switch(desk, "ENABLE")
    return statistics.median(times["ENABLE"]), statistics.median(times["DISABLE"])


def _imported(desk: Filled) -> float:
    began = time.perf_counter()
    desk.plain.execute(ORDERS, (min(5_000, desk.rows), min(5_000, desk.rows), IMPORTED))
    return IMPORTED / (time.perf_counter() - began)


def _rebuilt(desk: Filled) -> float:
    engine: Any = create_engine(desk.servers.owner_database_url)
    with engine.begin() as connection:
        began = time.perf_counter()
        rebuild(connection)
        taken = time.perf_counter() - began
    engine.dispose()
    return taken


def _switch(desk: Filled, how: str) -> None:
    for table, name in sorted(installed_names()):
        desk.plain.execute(f'ALTER TABLE "{table}" {how} TRIGGER {name}')
