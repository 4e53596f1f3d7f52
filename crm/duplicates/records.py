"""Records as columns of small numbers: each different text is kept, normalised and compared once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm.duplicates import normal

# What a record is compared by, in the order of `Records.read`; `last` is the whole name of an organisation.
GIVEN = ("first", "last", "born", "email", "email2", "phone", "phone2", "tax", "street", "house", "postcode", "city",
         "country")  # fmt: skip
MISSING = 0  # the number of the empty text
AT_ONCE = 5_000  # rows that are taken apart at once
_TRUE = frozenset((True, "t"))
Numbers = NDArray[np.int32]


class _Numbers(dict[str | None, int]):
    """The number of each text, in the order in which they were seen."""

    def __init__(self) -> None:
        super().__init__({"": MISSING})

    def __missing__(self, text: str | None) -> int:
        number = self[text] = len(self) if text else MISSING
        return number


@dataclass
class Column:
    """One field of all records: `values[codes[i]]` is the text of record i; `values[0]` is empty: not known."""

    codes: Numbers
    values: list[str]


@dataclass
class Records:
    """Records by their numbers, whether each is an organisation, and the columns they are compared by."""

    ids: NDArray[np.int64]
    organisation: NDArray[np.bool_]
    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    @classmethod
    def read(cls, rows: Iterable[Sequence[Any]]) -> Records:
        """Rows of (id, is organisation, the texts of `GIVEN`), all of them as Python has them or all as COPY writes them;
        None and the empty text are not known."""
        ids: list[int] = []
        kinds: list[bool] = []
        seen = [_Numbers() for _ in GIVEN]
        codes = [array("i") for _ in GIVEN]
        parts = iter(rows)
        while part := list(islice(parts, AT_ONCE)):
            first, second, *columns = zip(*part, strict=True)
            ids.extend(map(int, first))
            kinds.extend(map(_TRUE.__contains__, second))
            for column, known, texts in zip(codes, seen, columns, strict=True):
                column.extend(map(known.__getitem__, texts))
        raw = {name: Column(np.array(column, np.int32), [text or "" for text in known])
               for name, column, known in zip(GIVEN, codes, seen, strict=True)}  # fmt: skip
        return cls._normal(np.array(ids, np.int64), np.array(kinds, np.bool_), raw)

    @classmethod
    def _normal(cls, ids: NDArray[np.int64], organisation: NDArray[np.bool_], raw: dict[str, Column]) -> Records:
        columns = {}
        persons, firms = (_each(raw["last"], do) for do in (normal.joined, normal.company))
        firms.codes += len(persons.values)
        last = Column(np.where(organisation, firms.codes, persons.codes), persons.values + firms.values)
        # First and last names share their numbers, so that swapped ones are found.
        columns["first"], columns["last"] = _together([_each(raw["first"], normal.joined), _each(last, str)])
        columns["form"] = _each(raw["last"], normal.legal_form)
        columns["form"].codes[~organisation] = MISSING
        columns["email"], columns["email2"] = _together([_each(raw[name], str.lower) for name in ("email", "email2")])
        columns["phone"], columns["phone2"] = _together([_each(raw[name], str.strip) for name in ("phone", "phone2")])
        for name in ("born", "tax", "postcode", "city", "country"):
            columns[name] = _each(raw[name], normal.joined)
        columns["house"] = _each(raw["house"], normal.house)
        inside = _each(raw["street"], normal.house)
        columns["house"], inside = _together([columns["house"], inside])
        columns["house"].codes = np.where(columns["house"].codes == MISSING, inside.codes, columns["house"].codes)
        columns["street"] = _each(raw["street"], normal.street)
        return cls(ids, organisation, columns)

    def among(self, chosen: NDArray[np.int64]) -> Records:
        """Only these of the records, by their places; the texts stay as they are."""
        columns = {name: Column(column.codes[chosen], column.values) for name, column in self.columns.items()}
        return Records(self.ids[chosen], self.organisation[chosen], columns)


def _each(column: Column, do: Callable[[str], str]) -> Column:
    """The column with each different text made anew."""
    return _together([Column(column.codes, [do(value) for value in column.values])])[0]


def _together(columns: list[Column]) -> list[Column]:
    """The columns with one numbering of their texts."""
    numbers: dict[str, int] = {"": MISSING}
    made = []
    for column in columns:
        anew = np.fromiter((numbers.setdefault(value, len(numbers)) for value in column.values), np.int32,
                           len(column.values))  # fmt: skip
        made.append(anew[column.codes])
    values = list(numbers)
    return [Column(codes, values) for codes in made]
