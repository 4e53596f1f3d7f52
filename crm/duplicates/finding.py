"""From records to pairs that may be the same one, each with its chance and the reasons in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm.duplicates.comparing import FIELDS, HIGHEST, UNKNOWN, WORDS, Levels, compare, surely_two
from crm.duplicates.keys import keys_of, pairs_of
from crm.duplicates.records import MISSING, Records
from crm.duplicates.weights import Common, Rarity, Weights, by_chance, commonness, learn, rarity_of

LIKELY = 0.5  # from this chance on a pair is put before a person
THERE_ALREADY = 0.05  # of the records that somebody enters
OTHER_FORM = 0.89  # no more than this for two of different legal forms: never without a person
LEARNED_FROM = 600_000  # pairs at most
FEW = 1_000  # pairs: to tell beforehand which are surely two takes longer than to compare them
PART = 500_000  # pairs that are compared at once
LARGEST = 20  # records of a group that is looked at as a whole
SURE = 0.999999  # no pair says more than this for a group
Pairs = NDArray[np.int64]
_STATED = {"first": "first", "last": "last", "born": "born", "email": "email", "phone": "phone", "tax": "tax",
           "street": "street", "house": "house", "place": "postcode"}  # fmt: skip
# Said in one where all are said.
_TOGETHER = (({"same first name", "same last name"}, "same name"),
             ({"same street", "same house number", "same postcode and place"}, "same address"))  # fmt: skip


@dataclass
class Model:
    """What was learned from the records of a database: weights of persons and of organisations, common texts, and keys
    that far too many share."""

    persons: Weights = field(default_factory=Weights)
    organisations: Weights = field(default_factory=lambda: Weights(firms=True))
    common: Common = field(default_factory=dict)
    crowded: frozenset[int] = frozenset()

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {"crowded": sorted(self.crowded)}

    def at_entry(self) -> Model:
        """The same for records that are just being entered: so many are there already, however few there are twice."""
        weights = [replace(one, share_same=max(one.share_same, THERE_ALREADY / one.number)) if one.number else one
                   for one in (self.persons, self.organisations)]  # fmt: skip
        return replace(self, persons=weights[0], organisations=weights[1])

    @classmethod
    def of_data(cls, data: dict[str, Any]) -> Model:
        """What was learned before countries were told apart is of no use any more."""
        if data["common"] and "country" not in data["common"]:
            return cls()
        return cls(Weights(**data["persons"]), Weights(**data["organisations"]), data["common"],
                   frozenset(data.get("crowded", ())))  # fmt: skip


@dataclass
class Likely:
    """Pairs of places in the records, the most likely ones first, with what they were judged by."""

    records: Records
    pairs: Pairs
    chances: NDArray[np.float64]
    levels: dict[str, Levels]
    swapped: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pairs)

    def reasons(self, place: int, *, values: bool = False) -> str:
        """Why, in words: `same e-mail; first name alike; other postcode`; with the two values where they differ a little
        if `values`. What isn't known of both isn't told."""
        one, other = self.pairs[place].tolist()
        firm = bool(self.records.organisation[one]) or bool(self.records.organisation[other])
        told: list[tuple[int, str]] = []
        for name in FIELDS:
            level = int(self.levels[name][place])
            word = WORDS[name][HIGHEST[name] - level] if level != UNKNOWN else None
            if word is None:
                continue
            if firm and name == "last":
                word = word.replace("last name", "name")
            if values and 0 < level < HIGHEST[name] and not self.swapped[place]:
                column = self.records[_STATED[name]]
                a, b = (column.values[column.codes[at]] for at in (one, other))
                word += f" ({a}/{b})" if a != b else ""
            told.append((0 if level == HIGHEST[name] else 1 if level else 2, word))
        words = [word for _, word in sorted(told, key=lambda pair: pair[0])]
        for parts, whole in _TOGETHER:
            if parts <= set(words):
                words = [
                    whole if word == min(parts) else word for word in words if word == min(parts) or word not in parts
                ]
        if self.swapped[place]:
            words.insert(0, "first and last name swapped")
        if _other_form(self.records, self.pairs[place : place + 1])[0]:
            words.append("other legal form")
        return "; ".join(words)


def find(records: Records, model: Model, pairs: Pairs | None = None, *, least: float = LIKELY) -> Likely:
    """The pairs whose chance is at least so much; of all that share enough keys, or of those given."""
    wanted = pairs_of(keys_of(records)) if pairs is None else pairs
    rarity = rarity_of(records, model.common)
    parts = [_judged(records, model, rarity, part[~surely_two(records, part)] if least > 0 and len(part) > FEW else part)
             for part in _parts(wanted)]  # fmt: skip
    kept = [(part, np.flatnonzero(part.chances >= least)) for part in parts]
    likely = Likely(
        records, np.concatenate([part.pairs[at] for part, at in kept]), np.concatenate([part.chances[at] for part, at in kept]),
        {name: np.concatenate([part.levels[name][at] for part, at in kept]) for name in FIELDS},
        np.concatenate([part.swapped[at] for part, at in kept]))  # fmt: skip
    order = np.lexsort((likely.pairs[:, 1], likely.pairs[:, 0], -likely.chances))
    return Likely(records, likely.pairs[order], likely.chances[order],
                  {name: levels[order] for name, levels in likely.levels.items()}, likely.swapped[order])  # fmt: skip


def learned(records: Records, pairs: Pairs) -> Model:
    """What these records say about each other, without anybody having said which are the same."""
    model = Model(common=commonness(records))
    firm, rarity = records.organisation, rarity_of(records, model.common)
    for firms in (False, True):
        members = np.flatnonzero(firm == firms)
        own = pairs[(firm[pairs[:, 0]] == firms) & (firm[pairs[:, 1]] == firms)]
        part = min(1.0, LEARNED_FROM / max(1, len(own)))
        if part < 1.0:
            own = own[np.sort(np.random.default_rng(1).choice(len(own), LEARNED_FROM, replace=False))]
        if len(members) < 2:
            continue
        unrelated, _ = compare(records, by_chance(records, members))
        levels, swapped = compare(records, own)
        weights = learn(levels, swapped, rarity.of(own), unrelated, number=len(members), part=part, firms=firms)
        if firms:
            model.organisations = weights
        else:
            model.persons = weights
    return model


def groups(likely: Likely, model: Model) -> NDArray[np.int64]:
    """For each of the records the smallest place of the group it is in: whom likely pairs join, over any number of steps,
    as far as that isn't one doubtful pair between two whose others differ."""
    label = joined(len(likely.records), likely.pairs)
    members: dict[int, list[int]] = {}
    for place in np.flatnonzero(np.bincount(label, minlength=len(label))[label] > 2).tolist():
        members.setdefault(int(label[place]), []).append(place)
    asked = [places for places in members.values() if len(places) <= LARGEST]
    pairs = np.array([pair for places in asked for pair in combinations(places, 2)], np.int64).reshape(-1, 2)
    found = find(likely.records, model, pairs, least=0.0)
    sure = np.minimum(found.chances, SURE)
    odds = dict(zip(map(tuple, found.pairs.tolist()), (sure / (1 - sure)).tolist(), strict=True))
    for places in asked:
        for part in _parted(places, odds):
            label[part] = min(part)
    return label


def _parted(places: list[int], odds: dict[tuple[int, int], float]) -> list[list[int]]:
    """The parts of a group, put together the likeliest first. Which of a part a record would be a copy of isn't known, so
    the odds are the mean of those of all pairs: the one best fit among many says less than the only one there is."""
    parts = [[place] for place in places]

    def likeness(two: tuple[list[int], list[int]]) -> float:
        return fmean(odds[min(one, other), max(one, other)] for one in two[0] for other in two[1])

    while len(parts) > 1:
        best = max(combinations(parts, 2), key=likeness)
        if likeness(best) < LIKELY / (1 - LIKELY):
            break
        parts = [part for part in parts if part not in best] + [best[0] + best[1]]
    return parts


def joined(number: int, pairs: Pairs) -> NDArray[np.int64]:
    """For each of so many places the smallest place that pairs join it with, over any number of steps."""
    label = np.arange(number)
    while True:
        anew = label.copy()
        least = np.minimum(label[pairs[:, 0]], label[pairs[:, 1]])
        np.minimum.at(anew, pairs[:, 0], least)
        np.minimum.at(anew, pairs[:, 1], least)
        anew = anew[anew]
        if np.array_equal(anew, label):
            return label
        label = anew


def _parts(pairs: Pairs) -> Iterator[Pairs]:
    for first in range(0, max(1, len(pairs)), PART):
        yield pairs[first : first + PART]


def _judged(records: Records, model: Model, rarity: Rarity, pairs: Pairs) -> Likely:
    levels, swapped = compare(records, pairs)
    firm = records.organisation[pairs].any(axis=1)
    chances = np.empty(len(pairs))
    for weights, places in ((model.persons, np.flatnonzero(~firm)), (model.organisations, np.flatnonzero(firm))):
        if len(places):
            of_these = {name: level[places] for name, level in levels.items()}
            chances[places] = weights.chances(of_these, swapped[places], rarity.of(pairs[places]))[0]
    other = _other_form(records, pairs)
    chances[other] = np.minimum(chances[other], OTHER_FORM)
    return Likely(records, pairs, chances, levels, swapped)


def _other_form(records: Records, pairs: Pairs) -> NDArray[np.bool_]:
    """A person and an organisation, or two organisations with different legal forms."""
    firm, form = records.organisation[pairs], records["form"].codes[pairs]
    unlike = (form[:, 0] != form[:, 1]) & (form != MISSING).all(axis=1)
    return (firm[:, 0] != firm[:, 1]) | unlike
