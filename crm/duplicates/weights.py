"""What each level of each field says about a pair: learned from the records, without anybody having said which are the same.

Three kinds of pairs are told apart: the same one twice, two who live together (they share name, address and phone, but
not first name and birth), and two who have nothing to do with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crm.duplicates.comparing import FIELDS, HIGHEST, UNKNOWN, Levels, two_people
from crm.duplicates.records import MISSING, Column, Records

Floats = NDArray[np.float64]
Common = dict[str, dict[str, dict[str, float]]]  # by field, country and text
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
# What many may share though it names one: who has it besides the two of a pair counts.
SHARED_TEXTS = {"email": "email", "phone": "phone"}
UNKNOWN_RARITY = (0.002, 0.0)  # before anything was counted: of names and the like, of what names one
LEAST = 1e-12
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
    number: int = 0  # of the records that this was learned from

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
                seldom = np.minimum(rarity[name], np.log(0.5))
                u = np.where(exact, np.maximum(seldom, u) if name in SHARED_TEXTS else seldom, u)
            part = (SHARED_BY_FIRMS if self.firms else SHARED).get(name, 0.0)
            same += np.where(known, m - u, 0.0)
            together += np.where(known, np.logaddexp(np.log(part) + m, np.log1p(-part) + u) - u if 0 < part < 1
                                 else (m - u) * part, 0.0)  # fmt: skip
        same += np.where(swapped, np.log(SWAPPED), 0.0) - rarity["country"]
        together -= rarity["country"]
        same[two_people(levels["born"], levels["email"], levels["phone"], levels["tax"])] = -np.inf
        whole = np.logaddexp(np.logaddexp(same, together), 0.0)
        return np.exp(same - whole), np.exp(together - whole)


@dataclass
class Rarity:
    """For each record by field the logarithm of how often an unrelated one agrees with it in just its text; and of how
    many are of its country."""

    texts: dict[str, Floats]
    countries: NDArray[np.int32]
    of_country: Floats

    def of(self, pairs: NDArray[np.int64]) -> dict[str, Floats]:
        """The same of pairs, by the one of whom it is commoner; under "country" how often unrelated ones are of one country,
        where both are."""
        one, other = pairs[:, 0], pairs[:, 1]
        found = {name: np.maximum(of_text[one], of_text[other]) for name, of_text in self.texts.items()}
        same = (self.countries[one] == self.countries[other]) & (self.countries[one] != MISSING)
        return found | {"country": np.where(same, self.of_country[one], 0.0)}


def rarity_of(records: Records, common: Common) -> Rarity:
    texts, country = {}, records["country"]
    for name, shown_in in (COUNTED | SHARED_TEXTS).items():
        column, known = records[name], common.get(name, {})
        of_text = np.zeros(len(records))
        for code in np.unique(country.codes).tolist():
            shares = known.get(country.values[code]) or known.get("") or {"": UNKNOWN_RARITY[name in SHARED_TEXTS]}
            members = np.flatnonzero(country.codes == code)
            of_text[members] = _shares_of(column.values, shares)[column.codes[members]]
        texts[shown_in] = np.log(np.maximum(of_text, LEAST))
    many = common.get("country", {}).get("", {})
    of_country = np.log([max(many.get(value, 1.0), LEAST) for value in country.values])
    return Rarity(texts, country.codes, of_country[country.codes])


def _shares_of(values: list[str], shares: dict[str, float]) -> Floats:
    """Of each text its share; whichever of the two is shorter is walked through."""
    if len(values) < len(shares):
        return np.array([shares.get(value, shares[""]) for value in values])
    found = np.full(len(values), shares[""])
    wanted = {value: code for code, value in enumerate(values) if value in shares}
    for value, code in wanted.items():
        found[code] = shares[value]
    return found


def commonness(records: Records) -> Common:
    """How often the commonest texts are in each country and, under "", among all; of each the share of a rarer one under ""
    again. Names, streets and places go together by country, and so does what they say."""
    country = records["country"]
    many = np.bincount(country.codes, minlength=len(country.values)).tolist()
    shares = {
        value: number / len(records) for value, number in zip(country.values, many, strict=True) if value and number
    }
    found: Common = {"country": {"": shares}}
    for name in (*COUNTED, *SHARED_TEXTS):
        column = records[name]
        found[name] = {value: _counted(name, column, column.codes[country.codes == code] if code else column.codes)
                       for code, value in enumerate(country.values) if not code or many[code]}  # fmt: skip
    return found


def _counted(name: str, column: Column, codes: NDArray[np.int32]) -> dict[str, float]:
    counts = np.bincount(codes, minlength=len(column.values)).astype(float)
    counts[MISSING] = 0.0
    total = counts.sum() + 100.0
    order = np.argsort(-counts)[: int(np.count_nonzero(counts))]
    rest = order[COMMON:]
    if name in SHARED_TEXTS:
        pairs = counts * (counts - 1)
        counts = np.maximum(counts - 2, 0.0)
        rare = float((pairs[rest] * counts[rest]).sum() / max(1.0, pairs[rest].sum()))
    else:
        rare = max(float(counts[rest].mean()) if len(rest) else 0.0, 2.0)
    told = {column.values[at]: float(counts[at]) / total for at in order[:COMMON].tolist() if counts[at] > rare}
    return told | {"": rare / total}


def learn(levels: dict[str, Levels], swapped: NDArray[np.bool_], rarity: dict[str, Floats], unrelated: dict[str, Levels], *,
          number: int, part: float = 1.0, firms: bool = False) -> Weights:  # fmt: skip
    """Weights for the pairs of so many records: first from those that agree in what is strong, each field by the others;
    then by expectation-maximisation from there. Without such a start it learns neighbours and namesakes instead.

    `unrelated` are the levels of pairs drawn by chance; `part` is the share of the pairs that is given.
    """
    weights = Weights(firms=firms, number=number)
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


def by_chance(records: Records, members: NDArray[np.int64], seed: int = 1) -> NDArray[np.int64]:
    """Pairs of different ones of these places, of one country each, drawn by chance; the same ones each time."""
    codes = records["country"].codes[members]
    order = members[np.argsort(codes, kind="stable")]
    sizes = np.bincount(codes)
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    chance = np.random.default_rng(seed)
    one = chance.integers(0, len(members), min(SAMPLE, len(members) * 20))
    other = before[one] + (chance.random(len(one)) * np.repeat(sizes, sizes)[one]).astype(np.int64)
    drawn = np.sort(np.stack([order[one], order[other]], axis=1), axis=1)
    return drawn[drawn[:, 0] < drawn[:, 1]]
