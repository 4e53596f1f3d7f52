"""What a process that imports takes, ten times the rows beside the rows: it must be the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bench.filled import Filled
from bench.floors import Stock
from bench.measuring import Figure
from crm.config import PROJECT_ROOT

ROWS = (100_000, 1_000_000)


def figures(desk: Filled, stock: Stock, wanted: Callable[[str], bool]) -> Iterator[Figure]:
    if wanted("memory of an import"):
        few, many = (_peak(desk, count) for count in ROWS)
        yield Figure(f"memory of an import of {ROWS[1]:,}", many, "MiB", {f"{ROWS[0]:,} rows": few})


def _peak(desk: Filled, count: int) -> float:
    """The most that the command took that imported so many new customers, all of it: no worker runs here."""
    home = desk.app.config["DESK_SETTINGS"].home
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("name,email,city,industry\n")
        file.writelines(f"Memory {n},memory-{count}-{n}@example.com,City {n % 50},Technology\n" for n in range(count))
        file.flush()
        command = [sys.executable, str(PROJECT_ROOT / "app.py"), "import", file.name, "--into", "customers", "--wait"]
        child = subprocess.Popen(command, env=os.environ | {"CRM_HOME": str(home)}, cwd=PROJECT_ROOT,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        most = 0
        while child.poll() is None:  # the system's own answer at the end would count this process as it was copied
            with suppress(OSError, StopIteration):
                lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
                most = max(most, next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
            time.sleep(0.1)
        assert child.stdout is not None
        told = child.stdout.read()
    assert json.loads(told)["created"] == count, told
    return most / 1024
