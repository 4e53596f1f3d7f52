"""Times of a piece of work, again and again: wall clock as a person waits, processor time as the app pays."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROUNDS = 40
SECONDS = 20.0  # what is slow is repeated less often


@dataclass
class Times:
    """Milliseconds: median and 95th percentile of the wall clock, mean of this process's processor time."""

    p50: float
    p95: float
    cpu: float
    all: list[float] = field(default_factory=list)


def timed(work: Callable[..., Any], *, before: Callable[[], Any] | None = None) -> Times:
    """After one round that warms up. What `before` answers is handed to the work; its own time doesn't count."""
    walls: list[float] = []
    cpus: list[float] = []
    until = time.perf_counter() + SECONDS
    for number in range(ROUNDS + 1):
        given = [before()] if before else []
        wall, cpu = time.perf_counter(), time.process_time()
        work(*given)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if number:
            walls.append(wall * 1000)
            cpus.append(cpu * 1000)
        if len(walls) >= 3 and time.perf_counter() > until:
            break
    ranked = sorted(walls)
    return Times(
        statistics.median(ranked), ranked[min(len(ranked) - 1, int(len(ranked) * 0.95))], statistics.fmean(cpus), ranked
    )


@dataclass
class Memory:
    """The most that this process has taken since the watch began, in MiB."""

    peak: float = 0.0


@contextmanager
def watched_memory() -> Iterator[Memory]:
    page, started, seen, over = 4096 / 2**20, _resident(), Memory(), threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            seen.peak = max(seen.peak, (_resident() - started) * page)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@dataclass
class Figure:
    """A path in one unit, beside the same thing done otherwise in the same run; what is None wasn't comparable."""

    path: str
    ours: float
    unit: str = "ms"
    floors: dict[str, float | None] = field(default_factory=dict)
    more: dict[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as long as the other; for rows a second, how many times as fast."""
        return {name: round(self.ours / floor, 2) for name, floor in self.floors.items() if floor}

    def line(self) -> str:
        parts = [f"{self.path:34}{self.ours:12,.1f} {self.unit:7}"]
        parts += [f"{name} {floor:,.1f} (x{self.ratios[name]:g})" for name, floor in self.floors.items() if floor]
        parts += [f"{name} {value:,.1f}" for name, value in self.more.items()]
        return "  ".join(parts)

    def as_data(self) -> dict[str, Any]:
        return {"path": self.path, "unit": self.unit, "ours": round(self.ours, 2),
                "floors": {name: round(floor, 2) for name, floor in self.floors.items() if floor},
                "ratios": self.ratios, "more": {name: round(value, 2) for name, value in self.more.items()}}  # fmt: skip
