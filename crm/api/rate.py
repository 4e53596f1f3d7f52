"""How many requests a key may make: a bucket of tokens per key, in this process's memory.

A count that all web processes share would have to be committed apart from the request (a refused request is
rolled back, and its count with it), or hold a row lock on the key's counter until the request ends: a
second transaction, or all requests of a key in single file. The limit is here to keep a runaway program
from the others, so each process counts for itself: with n web processes a key may get up to n times as
much. It needs no Valkey and costs nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

PER_MINUTE = 3_000
BURST = 1_000


class Buckets:
    """A token a request; they come back evenly, up to the burst."""

    def __init__(self, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst, self._clock = per_minute / 60, burst, clock
        self._left: dict[int, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, key_id: int) -> int:
        """0 when the request may go on, else the seconds to wait."""
        with self._lock:
            now = self._clock()
            left, since = self._left.get(key_id, (float(self.burst), now))
            left = min(self.burst, left + (now - since) * self.per_second)
            if left < 1:
                self._left[key_id] = (left, now)
                return max(1, math.ceil((1 - left) / self.per_second))
            self._left[key_id] = (left - 1, now)
            return 0
