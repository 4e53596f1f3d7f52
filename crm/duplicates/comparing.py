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
CONTACTS = (("email", "email2"), ("phone", "phone2"))
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
    levels["email"] = _crossed(records, CONTACTS[0], one, other, _mistyped)
    levels["phone"] = _crossed(records, CONTACTS[1], one, other, lambda a, b: _near(a, b, 1))
    levels["tax"] = _stepped(records["tax"], one, other, lambda a, b: _near(a, b, 2), 2)
    levels["street"] = _stepped(records["street"], one, other,
                                lambda a, b: _steps(JaroWinkler.normalized_similarity, a, b, STREET_STEPS), 3)  # fmt: skip
    levels["house"] = _stepped(records["house"], one, other, lambda a, b: _near(a, b, 1), 2)
    levels["place"] = _places(records, one, other)
    return levels, swapped


def two_people(born: Levels, email: Levels, phone: Levels, tax: Levels) -> NDArray[np.bool_]:
    """Whose birth is known to differ, and who have no address or number in common though some are known: they are two,
    however alike their names and homes. Where a few names and streets are common, these say less than one by one."""
    reached = (email != UNKNOWN) | (phone != UNKNOWN)
    return (born != UNKNOWN) & (born < 2) & reached & (email < 2) & (phone < 2) & (tax < 1)


def surely_two(records: Records, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of which pairs `two_people` holds, told without comparing texts but dates: most that share keys are two."""
    one, other = pairs[:, 0], pairs[:, 1]
    contacts = [_crossed(records, names, one, other, None) for names in CONTACTS]
    tax = records["tax"]
    no_tax = (tax.codes[one] == MISSING) | (tax.codes[other] == MISSING)
    doubtful = np.flatnonzero((np.maximum(*contacts) == 0) & no_tax)
    two = np.zeros(len(pairs), bool)
    born = _born(records["born"], one[doubtful], other[doubtful])
    two[doubtful] = (born != UNKNOWN) & (born < 2)
    return two


Judge = Callable[[list[str], list[str]], Levels]


def _names(records: Records, one: Places, other: Places) -> tuple[Levels, Levels, NDArray[np.bool_]]:
    """First with first and last with last; crosswise where both fit so, or where one does and neither did straight: then
    it may be the name of the family, so it counts as the last name."""
    first, last = records["first"], records["last"]

    def level(a: NDArray[np.int32], b: NDArray[np.int32]) -> Levels:
        return _stepped_codes(first.values, a, b,
                              lambda x, y: _steps(JaroWinkler.normalized_similarity, x, y, NAME_STEPS), 4)  # fmt: skip

    straight = level(first.codes[one], first.codes[other]), level(last.codes[one], last.codes[other])
    doubtful = np.flatnonzero((straight[0] < 3) & (straight[1] < 3)
                              & (first.codes[one] != MISSING) & (first.codes[other] != MISSING))  # fmt: skip
    a, b = one[doubtful], other[doubtful]
    crossed = level(first.codes[a], last.codes[b]), level(last.codes[a], first.codes[b])
    neither = np.maximum(straight[0][doubtful], straight[1][doubtful]) <= 1
    better = (np.minimum(*crossed) >= 3) | (neither & (np.maximum(*crossed) == 4))
    swapped = np.zeros(len(one), bool)
    swapped[doubtful[better]] = True
    for levels, cross in zip(straight, (np.minimum(*crossed), np.maximum(*crossed)), strict=True):
        levels[doubtful[better]] = cross[better]
    return *straight, swapped


def _born(column: Column, one: Places, other: Places) -> Levels:
    """A digit apart, or day and month exchanged: alike; two digits apart: somewhat. Whole dates are told by their digits."""
    whole = np.fromiter((len(value) == 8 and value.isascii() for value in column.values), bool, len(column.values))
    digits = np.array([value if there else "00000000" for value, there in zip(column.values, whole, strict=True)], "S8")
    digits = digits.view(np.uint8).reshape(-1, 8)
    a, b = column.codes[one], column.codes[other]
    levels = np.full(len(one), 3, np.int8)
    levels[(a == MISSING) | (b == MISSING)] = UNKNOWN
    unlike = (a != b) & (levels != UNKNOWN)
    quick = np.flatnonzero(unlike & whole[a] & whole[b])
    x, y = digits[a[quick]], digits[b[quick]]
    apart = (x != y).sum(axis=1)
    apart -= ((x[:, :-1] == y[:, 1:]) & (x[:, 1:] == y[:, :-1]) & (x[:, 1:] != y[:, 1:])).sum(axis=1)
    exchanged = ((x[:, :4] == y[:, :4]) & (x[:, [4, 5, 6, 7]] == y[:, [6, 7, 4, 5]])).all(axis=1)
    levels[quick] = np.where((apart <= 1) | exchanged, 2, np.where(apart == 2, 1, 0))
    slow = np.flatnonzero(unlike & ~(whole[a] & whole[b]))
    levels[slow] = _stepped_codes(column.values, a[slow], b[slow], _dates, 3)
    return levels


def _dates(a: list[str], b: list[str]) -> Levels:
    apart = _distances(a, b)
    return np.where(apart == 1, 2, np.where(apart == 2, 1, 0)).astype(np.int8)


def _places(records: Records, one: Places, other: Places) -> Levels:
    """Postcode and place tell the same thing, so they count once."""
    postcode = _stepped(records["postcode"], one, other, lambda a, b: _near(a, b, 1), 2)
    city = _stepped(records["city"], one, other, lambda a, b: _alike(a, b, 0.88), 2)
    level = np.select(
        [(postcode == 2) & (city >= 1), (postcode == 2), (city == 2) & (postcode == UNKNOWN), (city >= 1) & (postcode == 1),
         (postcode == 1) | (city >= 1)], [4, 3, 3, 2, 1], 0)  # fmt: skip
    return np.where((postcode == UNKNOWN) & (city == UNKNOWN), UNKNOWN, level).astype(np.int8)


def _crossed(records: Records, names: tuple[str, str], one: Places, other: Places, judge: Judge | None) -> Levels:
    """The best of first and second address or number of both; only the first ones are looked at for being alike."""
    best = _stepped(records[names[0]], one, other, judge, 2)
    for a, b in ((0, 1), (1, 0), (1, 1)):
        mine, yours = records[names[a]].codes[one], records[names[b]].codes[other]
        best[(mine == yours) & (mine != MISSING)] = 2
        best[(mine != yours) & (mine != MISSING) & (yours != MISSING) & (best == UNKNOWN)] = 0
    return best


def _stepped(column: Column, one: Places, other: Places, judge: Judge | None, highest: int) -> Levels:
    return _stepped_codes(column.values, column.codes[one], column.codes[other], judge, highest)


def _stepped_codes(values: list[str], a: NDArray[np.int32], b: NDArray[np.int32], judge: Judge | None,
                   highest: int) -> Levels:  # fmt: skip
    """Equal texts have the highest level; each two different texts are judged once, or without a judge are other."""
    levels = np.full(len(a), highest, np.int8)
    levels[(a == MISSING) | (b == MISSING)] = UNKNOWN
    unlike = np.flatnonzero((a != b) & (levels != UNKNOWN))
    if judge is None:
        levels[unlike] = 0
    elif len(unlike):
        low, high = np.minimum(a[unlike], b[unlike]), np.maximum(a[unlike], b[unlike])
        twos, back = np.unique(low.astype(np.int64) * len(values) + high, return_inverse=True)
        x, y = np.divmod(twos, len(values))
        levels[unlike] = judge([values[i] for i in x.tolist()], [values[i] for i in y.tolist()])[back]
    return levels


def _steps(scorer: Callable[..., float], a: list[str], b: list[str], steps: tuple[float, ...]) -> Levels:
    found = cpdist(a, b, scorer=scorer, dtype=np.float32, workers=_workers(a))
    return np.digitize(found, steps).astype(np.int8)


def _alike(a: list[str], b: list[str], least: float) -> Levels:
    return _steps(JaroWinkler.normalized_similarity, a, b, (least,))


def _mistyped(a: list[str], b: list[str]) -> Levels:
    """Up to two letters apart, and the same digits: `john.smith1` and `john.smith2` are two."""
    near = _near(a, b, 2)
    for place in np.flatnonzero(near).tolist():
        near[place] = _NO_DIGIT.sub("", a[place]) == _NO_DIGIT.sub("", b[place])
    return near


def _near(a: list[str], b: list[str], most: int) -> Levels:
    """Up to so many letters apart."""
    return (_distances(a, b) <= most).astype(np.int8)


def _distances(a: list[str], b: list[str]) -> NDArray[np.int32]:
    return cpdist(a, b, scorer=OSA.distance, dtype=np.int32, workers=_workers(a))


def _workers(a: list[str]) -> int:
    """All processors for many; of few, to start them would take longer than the work."""
    return -1 if len(a) > 10_000 else 1
