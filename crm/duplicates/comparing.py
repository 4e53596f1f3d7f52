"""How alike the two of each pair are, field by field, as a level from 0 (other) upwards; -1 where one isn't known."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA, JaroWinkler
from rapidfuzz.process import cpdist

from crm.duplicates.records import MISSING, Column, Records

Levels = NDArray[np.int8]
Places = NDArray[np.int64]
UNKNOWN = -1
_NO_DIGIT = re.compile(r"\D+")
# The levels of each field in words, from the highest; None: not worth a word.
WORDS: dict[str, tuple[str | None, ...]] = {
    "first": ("same first name", "first name alike", "first name somewhat alike", "first name a little alike", "other first name"),
    "last": ("same last name", "last name alike", "last name somewhat alike", "last name a little alike", "other last name"),
    "born": ("same date of birth", "date of birth alike", "date of birth somewhat alike", "other date of birth"),
    "email": ("same e-mail", "e-mail alike", "other e-mail"),
    "phone": ("same phone", "phone alike", "other phone"),
    "tax": ("same tax number", "tax number alike", "other tax number"),
    "street": ("same street", "street alike", "street somewhat alike", "other street"),
    "house": ("same house number", "house number alike", "other house number"),
    "place": ("same postcode and place", "same postcode", "postcode and place alike", "postcode or place alike", "other postcode"),
}  # fmt: skip
FIELDS = tuple(WORDS)
HIGHEST = {name: len(words) - 1 for name, words in WORDS.items()}
NAME_STEPS, STREET_STEPS = (0.72, 0.84, 0.92), (0.8, 0.92)


def compare(records: Records, pairs: NDArray[np.int64]) -> tuple[dict[str, Levels], NDArray[np.bool_]]:
    """The levels of each field of `FIELDS`, and whether first and last name had to be swapped for it."""
    one, other = pairs[:, 0], pairs[:, 1]
    levels: dict[str, Levels] = {}
    levels["first"], levels["last"], swapped = _names(records, one, other)
    # What a person and a firm are called can't be compared.
    unlike = records.organisation[one] != records.organisation[other]
    levels["first"][unlike] = levels["last"][unlike] = UNKNOWN
    swapped &= ~unlike
    levels["born"] = _born(records["born"], one, other)
    levels["email"] = _crossed(records, ("email", "email2"), one, other, _mistyped)
    levels["phone"] = _crossed(records, ("phone", "phone2"), one, other, lambda a, b: _near(a, b, 1))
    levels["tax"] = _stepped(records["tax"], one, other, lambda a, b: _near(a, b, 2), 2)
    levels["street"] = _stepped(records["street"], one, other,
                                lambda a, b: _steps(JaroWinkler.normalized_similarity, a, b, STREET_STEPS), 3)  # fmt: skip
    levels["house"] = _stepped(records["house"], one, other, lambda a, b: _near(a, b, 1), 2)
    levels["place"] = _places(records, one, other)
    return levels, swapped


Judge = Callable[[list[str], list[str]], Levels]


def _names(records: Records, one: Places, other: Places) -> tuple[Levels, Levels, NDArray[np.bool_]]:
    """First with first and last with last; crosswise where that fits clearly better."""
    first, last = records["first"], records["last"]

    def level(a: NDArray[np.int32], b: NDArray[np.int32]) -> Levels:
        return _stepped_codes(first.values, a, b,
                              lambda x, y: _steps(JaroWinkler.normalized_similarity, x, y, NAME_STEPS), 4)  # fmt: skip

    straight = level(first.codes[one], first.codes[other]), level(last.codes[one], last.codes[other])
    doubtful = np.flatnonzero((straight[0] < 3) & (straight[1] < 3)
                              & (first.codes[one] != MISSING) & (first.codes[other] != MISSING))  # fmt: skip
    a, b = one[doubtful], other[doubtful]
    crossed = level(first.codes[a], last.codes[b]), level(last.codes[a], first.codes[b])
    better = np.minimum(*crossed) >= 3
    swapped = np.zeros(len(one), bool)
    swapped[doubtful[better]] = True
    for levels, cross in zip(straight, crossed, strict=True):
        levels[doubtful[better]] = cross[better]
    return *straight, swapped


def _born(column: Column, one: Places, other: Places) -> Levels:
    """A digit apart, or day and month exchanged: alike; two digits apart: somewhat."""

    def judge(a: list[str], b: list[str]) -> Levels:
        apart = cpdist(a, b, scorer=OSA.distance, dtype=np.int32, workers=-1)
        exchanged = np.fromiter((x[:4] == y[:4] and x[4:6] == y[6:] and x[6:] == y[4:6]
                                 for x, y in zip(a, b, strict=True)), bool, len(a))  # fmt: skip
        return np.where((apart == 1) | exchanged, 2, np.where(apart == 2, 1, 0)).astype(np.int8)

    return _stepped(column, one, other, judge, 3)


def _places(records: Records, one: Places, other: Places) -> Levels:
    """Postcode and place tell the same thing, so they count once."""
    postcode = _stepped(records["postcode"], one, other, lambda a, b: _near(a, b, 1), 2)
    city = _stepped(records["city"], one, other, lambda a, b: _alike(a, b, 0.88), 2)
    level = np.select(
        [(postcode == 2) & (city >= 1), (postcode == 2), (city == 2) & (postcode == UNKNOWN), (city >= 1) & (postcode == 1),
         (postcode == 1) | (city >= 1)], [4, 3, 3, 2, 1], 0)  # fmt: skip
    return np.where((postcode == UNKNOWN) & (city == UNKNOWN), UNKNOWN, level).astype(np.int8)


def _crossed(records: Records, names: tuple[str, str], one: Places, other: Places, judge: Judge) -> Levels:
    """The best of first and second address or number of both; only the first ones are looked at for being alike."""
    best = _stepped(records[names[0]], one, other, judge, 2)
    for a, b in ((0, 1), (1, 0), (1, 1)):
        mine, yours = records[names[a]].codes[one], records[names[b]].codes[other]
        best[(mine == yours) & (mine != MISSING)] = 2
        best[(mine != yours) & (mine != MISSING) & (yours != MISSING) & (best == UNKNOWN)] = 0
    return best


def _stepped(column: Column, one: Places, other: Places, judge: Judge, highest: int) -> Levels:
    return _stepped_codes(column.values, column.codes[one], column.codes[other], judge, highest)


def _stepped_codes(values: list[str], a: NDArray[np.int32], b: NDArray[np.int32], judge: Judge, highest: int) -> Levels:
    """Equal texts have the highest level; each two different texts are judged once."""
    levels = np.full(len(a), highest, np.int8)
    levels[(a == MISSING) | (b == MISSING)] = UNKNOWN
    unlike = np.flatnonzero((a != b) & (levels != UNKNOWN))
    if len(unlike):
        low, high = np.minimum(a[unlike], b[unlike]), np.maximum(a[unlike], b[unlike])
        twos, back = np.unique(low.astype(np.int64) * len(values) + high, return_inverse=True)
        x, y = np.divmod(twos, len(values))
        levels[unlike] = judge([values[i] for i in x.tolist()], [values[i] for i in y.tolist()])[back]
    return levels


def _steps(scorer: Callable[..., float], a: list[str], b: list[str], steps: tuple[float, ...]) -> Levels:
    found = cpdist(a, b, scorer=scorer, dtype=np.float32, workers=-1)
    return np.digitize(found, steps).astype(np.int8)


def _alike(a: list[str], b: list[str], least: float) -> Levels:
    return _steps(JaroWinkler.normalized_similarity, a, b, (least,))


def _mistyped(a: list[str], b: list[str]) -> Levels:
    """Up to two letters apart, and the same digits: `john.smith1` and `john.smith2` are two."""
    digits = np.fromiter(
        (_NO_DIGIT.sub("", x) == _NO_DIGIT.sub("", y) for x, y in zip(a, b, strict=True)), bool, len(a)
    )
    return _near(a, b, 2) * digits.astype(np.int8)


def _near(a: list[str], b: list[str], most: int) -> Levels:
    """Up to so many letters apart."""
    return (cpdist(a, b, scorer=OSA.distance, dtype=np.int32, workers=-1) <= most).astype(np.int8)
