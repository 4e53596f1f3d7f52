"""What each level of each field says about a pair: learned from the records, without anybody having said which are the same.

Three kinds of pairs are told apart: the same one twice, two who live together (they share name, address and phone, but
not first name and birth), and two who have nothing to do with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crm.duplicates.comparing import FIELDS, HIGHEST, UNKNOWN, Levels, two_people
from crm.duplicates.records import Records

Floats = NDArray[np.float64]
# How often the level of a field is seen in pairs of the same one, from the lowest level; with this many pairs' worth of
# belief it takes part in what is learned, so that a small database has sensible weights too.
EXPECTED = {
    "first": (0.06, 0.02, 0.03, 0.07, 0.82), "last": (0.06, 0.02, 0.03, 0.07, 0.82), "born": (0.03, 0.02, 0.05, 0.90),
    "email": (0.25, 0.10, 0.65), "phone": (0.30, 0.10, 0.60), "tax": (0.03, 0.07, 0.90),
    "street": (0.15, 0.03, 0.07, 0.75), "house": (0.15, 0.05, 0.80), "place": (0.12, 0.05, 0.06, 0.05, 0.72),
}  # fmt: skip
# The same of pairs that have nothing to do with each other, where the records are too few to tell.
UNRELATED = {
    "first": (0.90, 0.06, 0.025, 0.005, 0.01), "last": (0.92, 0.06, 0.015, 0.003, 0.002), "born": (0.985, 0.012, 0.002, 0.001),
    "email": (0.999, 0.0009, 0.0001), "phone": (0.9985, 0.0014, 0.0001), "tax": (0.997, 0.0029, 0.0001),
    "street": (0.95, 0.04, 0.006, 0.004), "house": (0.84, 0.14, 0.02), "place": (0.96, 0.02, 0.005, 0.005, 0.01),
}  # fmt: skip
BELIEF = 40.0
MOST_UNLIKE = 3.0  # the lowest level is seen at most so many times as often as expected
ENOUGH = 100  # pairs that are the same by strong signs, to learn from
# Of two who live together, or firms in one house: which fields they have in common as if they were one, and how often.
SHARED = {"last": 0.85, "street": 1.0, "house": 1.0, "place": 1.0, "phone": 0.6, "email": 0.1}
SHARED_BY_FIRMS = {"street": 1.0, "house": 1.0, "place": 1.0, "phone": 0.4, "email": 0.1}
SWAPPED = 0.03  # how often names of the same one are swapped
COMMON = 4_000  # so many of the commonest texts of a field are kept with how common they are
COUNTED = {"first": "first", "last": "last", "postcode": "place", "street": "street"}  # the column, and its field
ROUNDS = 6
SAMPLE = 400_000


@dataclass
class Weights:
    """How often each level is seen: in pairs of the same one, of two who live together, and of two unrelated."""

    same: dict[str, list[float]] = field(default_factory=lambda: {name: list(EXPECTED[name]) for name in FIELDS})
    unrelated: dict[str, list[float]] = field(default_factory=lambda: {name: list(UNRELATED[name]) for name in FIELDS})
    share_same: float = 0.0001  # of all pairs
    share_together: float = 0.0001
    firms: bool = False

    def chances(
        self, levels: dict[str, Levels], swapped: NDArray[np.bool_], rarity: dict[str, Floats]
    ) -> tuple[Floats, Floats]:
        """For each pair the chance that it is the same one, and that the two live together."""
        same = np.full(len(swapped), np.log(self.share_same))
        together = np.full(len(swapped), np.log(self.share_together))
        for name in FIELDS:
            level = levels[name].astype(np.intp)
            m, u = (np.log(np.append(of[name], 1.0))[level] for of in (self.same, self.unrelated))
            known = level != UNKNOWN
            exact = level == HIGHEST[name]
            if name in rarity:
                u = np.where(exact, np.minimum(rarity[name], np.log(0.5)), u)
            part = (SHARED_BY_FIRMS if self.firms else SHARED).get(name, 0.0)
            same += np.where(known, m - u, 0.0)
            together += np.where(known, np.logaddexp(np.log(part) + m, np.log1p(-part) + u) - u if 0 < part < 1
                                 else (m - u) * part, 0.0)  # fmt: skip
        same += np.where(swapped, np.log(SWAPPED), 0.0)
        same[two_people(levels["born"], levels["email"], levels["phone"], levels["tax"])] = -np.inf
        whole = np.logaddexp(np.logaddexp(same, together), 0.0)
        return np.exp(same - whole), np.exp(together - whole)


def rarity_of(records: Records, pairs: NDArray[np.int64], common: dict[str, dict[str, float]]) -> dict[str, Floats]:
    """The logarithm of how often two unrelated records agree in just this text, for each pair by field."""
    found = {}
    for name, shown_in in COUNTED.items():
        column, known = records[name], common.get(name, {})
        rare = known.get("", 0.002)
        of_text = np.log(np.fromiter((known.get(value, rare) for value in column.values), float, len(column.values)))
        found[shown_in] = of_text[column.codes[pairs[:, 0]]]
    return found


def commonness(records: Records) -> dict[str, dict[str, float]]:
    """How often the commonest texts are, and under "" what every rarer one counts as."""
    found = {}
    for name in COUNTED:
        column = records[name]
        counts = np.bincount(column.codes, minlength=len(column.values))
        total = max(1, int(counts[1:].sum()))
        order = np.argsort(counts[1:])[::-1] + 1
        rest = counts[order[COMMON:]]
        rare = max(float(rest.mean()) if len(rest) else 0.0, 2.0) / (total + 100.0)
        kept = order[:COMMON]
        found[name] = {column.values[i]: max(float(counts[i]) / (total + 100.0), rare) for i in kept.tolist()
                       if counts[i]} | {"": rare}  # fmt: skip
    return found


def learn(levels: dict[str, Levels], swapped: NDArray[np.bool_], rarity: dict[str, Floats], unrelated: dict[str, Levels], *,
          number: int, part: float = 1.0, firms: bool = False) -> Weights:  # fmt: skip
    """Weights for the pairs of so many records: first from those that agree in what is strong, each field by the others;
    then by expectation-maximisation from there. Without such a start it learns neighbours and namesakes instead.

    `unrelated` are the levels of pairs drawn by chance; `part` is the share of the pairs that is given.
    """
    weights = Weights(firms=firms)
    for name in FIELDS:
        weights.unrelated[name] = _shares(unrelated[name], np.ones(len(unrelated[name])), UNRELATED[name])
    all_pairs = max(1.0, number * (number - 1) / 2 * part)
    signs = _signs(levels)
    for name in FIELDS:
        strength = sum((sign for fields, sign in signs.items() if name not in fields), np.zeros(len(swapped), np.int8))
        weights.same[name] = _shares(
            levels[name], (strength >= 2).astype(float), EXPECTED[name], MOST_UNLIKE * EXPECTED[name][0]
        )
    least, most = 0.002 * number * part / all_pairs, 2.0 * number * part / all_pairs
    weights.share_same = float(np.clip((np.sum(list(signs.values()), axis=0) >= 2).sum() / all_pairs, least, most))
    weights.share_together = weights.share_same
    # Too few to learn from: what is to be expected anywhere is safer.
    for _ in range(ROUNDS if (np.sum(list(signs.values()), axis=0) >= 2).sum() >= ENOUGH else 0):
        same, together = weights.chances(levels, swapped, rarity)
        for name in FIELDS:
            weights.same[name] = _shares(levels[name], same, EXPECTED[name], MOST_UNLIKE * EXPECTED[name][0])
        weights.share_same = float(np.clip(same.sum() / all_pairs, least, most))
        weights.share_together = float(np.clip(together.sum() / all_pairs, least / 50, most))
    return weights


def _signs(levels: dict[str, Levels]) -> dict[tuple[str, ...], NDArray[np.int8]]:
    """What speaks strongly for the same one, by the fields it is seen in. Phone and address count once together: they
    are those of a household."""
    names = (levels["first"] >= 3) & (levels["last"] >= 3)
    home = (levels["street"] == 3) & (levels["house"] == 2) & (levels["place"] >= 3)
    found = {("tax",): 2 * (levels["tax"] == 2), ("email",): levels["email"] == 2, ("born",): levels["born"] == 3,
             ("first", "last"): names, ("phone", "street", "house", "place"): (levels["phone"] == 2) | home}  # fmt: skip
    return {fields: sign.astype(np.int8) for fields, sign in found.items()}


def _shares(level: Levels, weight: Floats, expected: tuple[float, ...], at_most: float = 1.0) -> list[float]:
    known = level != UNKNOWN
    counts = np.bincount(level[known], weight[known], len(expected)) + BELIEF * np.array(expected)
    shares = np.maximum(counts / counts.sum(), 1e-9)
    # Where hardly any are the same it would learn namesakes, whose other fields differ: no field may say so little.
    lowest = min(float(shares[0]), at_most)
    shares[1:] *= (1 - lowest) / (1 - shares[0])
    return [lowest, *(float(share) for share in shares[1:])]


def by_chance(number: int, seed: int = 1) -> NDArray[np.int64]:
    """Pairs of different places below `number`, drawn by chance; the same ones each time."""
    drawn = np.random.default_rng(seed).integers(0, max(number, 2), (min(SAMPLE, number * 20), 2))
    drawn.sort(axis=1)
    return drawn[drawn[:, 0] < drawn[:, 1]]
