"""`make bench [ONLY=parts of names, with ; between] [ROWS=1000000]`: each path beside its floors; everything in bench/out.json."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from pathlib import Path

from bench import bulk, figures, memory, merging, page360, pages, segments, undoing
from bench.filled import filled
from bench.floors import Stock

ROWS = 100_000
MARKED = 100_000


def main() -> None:
    rows, only = int(os.environ.get("BENCH_ROWS") or ROWS), (os.environ.get("BENCH_ONLY") or "").lower()
    began, found = time.perf_counter(), []

    def wanted(name: str) -> bool:
        return any(part.strip() in name.lower() for part in only.split(";"))

    with filled(rows, min(MARKED, rows // 2)) as desk:
        stock = Stock(desk.servers)
        for theme in (pages, page360, bulk, undoing, memory, merging, figures, segments):
            for figure in theme.figures(desk, stock, wanted):
                found.append(figure.as_data())
                print(figure.line(), flush=True)
        with stock.app.app_context():
            stock.app.extensions["sqlalchemy"].engine.dispose()
    told = {"rows": rows, "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(),
            "seconds": round(time.perf_counter() - began), "figures": found}  # fmt: skip
    Path("bench/out.json").write_text(json.dumps(told, indent=1))
    print(f"In {told['seconds']} s; figures in bench/out.json")


if __name__ == "__main__":
    main()
