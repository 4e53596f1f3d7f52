"""Keys that two records of the same person or organisation are likely to share, and the pairs that share enough of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm.duplicates.normal import sound
from crm.duplicates.records import MISSING, Column, Records

# One key of these is enough to look at a pair, of the others it takes two.
STRONG = ("email", "email2", "phone", "phone2", "tax", "name born", "name postcode", "name street")
WEAK = (
    "first born",
    "last born",
    "first postcode",
    "last postcode",
    "sounds",
    "letters",
    "street",
    "house",
    "town",
    "born",
    "birth",
)
FAMILIES = (*STRONG, *WEAK)
# A key that more records share says too little.
MOST_STRONG, MOST_WEAK = 60, 40
RARE = 8  # a weak key that so few share is as good as a strong one
CROWDED = 400
_EMPTY = np.uint64(0)
Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


def keys_of(records: Records) -> NDArray[np.int32]:
    """One row per record, one column per family; 0: the record lacks what that key is made of."""
    first, last = (_hashed(records[name]) for name in ("first", "last"))
    first_sound, last_sound = (_hashed(records[name], sound) for name in ("first", "last"))
    first_letters, last_letters = (_hashed(records[name], lambda text: text[:3]) for name in ("first", "last"))
    # An organisation has one name: it is told by more letters of it.
    firm = records.organisation
    last_letters = np.where(firm, _hashed(records["last"], lambda text: text.replace(" ", "")[:7]), last_letters)
    # Sums don't mind the order: swapped names give the same key.
    name, sounds, letters = (_either(firm, b, _sum(a, b)) for a, b in (
        (first, last), (first_sound, last_sound), (first_letters, last_letters)))  # fmt: skip
    born, postcode, street, house = (_hashed(records[one]) for one in ("born", "postcode", "street", "house"))
    street_start = _hashed(records["street"], lambda text: text[:5])
    city_start = _hashed(records["city"], lambda text: text[:4])
    phone, phone2, email, email2 = (_hashed(records[one]) for one in ("phone", "phone2", "email", "email2"))
    made = {
        # The second e-mail address of one may be the first of the other: both are keys of one family.
        "email": _mixed(1, email), "email2": _mixed(1, email2), "phone": _mixed(2, phone), "phone2": _mixed(2, phone2),
        "tax": _mixed(3, _hashed(records["tax"])),
        "name born": _mixed(4, name, born), "name postcode": _mixed(5, name, postcode),
        "name street": _mixed(6, name, street),
        "first born": _mixed(7, first_sound, born), "last born": _mixed(7, last_sound, born),
        "first postcode": _mixed(8, first_sound, postcode), "last postcode": _mixed(8, last_sound, postcode),
        "sounds": _mixed(9, sounds), "letters": _mixed(10, letters),
        "street": _mixed(11, street_start, postcode), "house": _mixed(12, street_start, house),
        "town": _mixed(14, street_start, city_start), "born": _mixed(13, born, postcode), "birth": _mixed(15, born),
    }  # fmt: skip
    return np.stack([_short(made[family]) for family in FAMILIES], axis=1)


def pairs_of(keys: NDArray[np.int32]) -> NDArray[np.int64]:
    """The pairs (of places in `keys`) that share one strong key or two weak ones; the smaller place first."""
    strong = _pairs(*_shared(keys[:, : len(STRONG)]), MOST_STRONG, len(keys))
    weak = _shared(keys[:, len(STRONG) :])
    rare = _pairs(*weak, RARE, len(keys))
    all_weak = _pairs(*weak, MOST_WEAK, len(keys))
    all_weak.sort()
    twice = all_weak[1:][all_weak[1:] == all_weak[:-1]]
    both = np.concatenate([strong, rare, twice])
    del strong, rare, all_weak, twice
    both.sort()
    return np.stack(np.divmod(both[_first_of(both)], max(1, len(keys))), axis=1)


def crowded(keys: NDArray[np.int32]) -> frozenset[int]:
    """The keys that so many share that nobody need look them up: they say nothing, now or tomorrow."""
    found, times = np.unique(keys, return_counts=True)
    return frozenset(found[(times > CROWDED) & (found != 0)].tolist())


def _first_of(ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Where in an ordered array another number begins."""
    first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


def _shared(keys: NDArray[np.int32]) -> tuple[NDArray[np.int32], Places, Places]:
    """The places ordered by the key they have, and for each key where its places begin there and how many they are."""
    rows, families = keys.shape
    flat = keys.ravel()
    both = (flat.view(np.uint32).astype(np.uint64) << np.uint64(32)) | np.repeat(
        np.arange(rows, dtype=np.uint64), families
    )
    both = both[flat != 0]
    both.sort()
    # A record that has one key twice (both e-mail addresses the same) has it once.
    both = both[_first_of(both)]
    starts = np.flatnonzero(_first_of(both >> np.uint64(32)))
    return both.astype(np.uint32).view(np.int32), starts, np.diff(np.append(starts, len(both)))


def _pairs(places: NDArray[np.int32], starts: Places, lengths: Places, most: int, rows: int) -> Places:
    """Each pair once for every key that no more than so many share, as one number: first place * rows + second place."""
    found = [np.empty(0, np.int64)]
    for length in range(2, most + 1):
        of_length = starts[lengths == length]
        if len(of_length):
            members = places[of_length[:, None] + np.arange(length)].astype(np.int64)
            one, other = np.triu_indices(length, 1)
            found.append((members[:, one] * rows + members[:, other]).ravel())
    return np.concatenate(found)


def _hashed(column: Column, made: Callable[[str], str] = str) -> Hashes:
    """A number for each record's text; 0 where there is none."""
    numbers = np.fromiter((zlib.crc32(made(value).encode()) if value else 0 for value in column.values), np.uint64,
                          len(column.values))  # fmt: skip
    numbers[1:] = _stirred(numbers[1:] + np.uint64(1))
    numbers[MISSING] = _EMPTY
    return numbers[column.codes]


def _stirred(numbers: Hashes) -> Hashes:
    """Spread over all bits (the finishing step of splitmix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _sum(one: Hashes, other: Hashes) -> Hashes:
    return np.where((one == 0) | (other == 0), _EMPTY, one + other)


def _either(condition: NDArray[np.bool_], one: Hashes, other: Hashes) -> Hashes:
    return np.where(condition, one, other)


def _mixed(kind: int, *parts: Hashes) -> Hashes:
    """One number of all parts; 0 where one of them is missing."""
    there = np.logical_and.reduce([part != 0 for part in parts])
    mixed = np.full(len(parts[0]), np.uint64(kind))
    for part in parts:
        mixed = _stirred(mixed * np.uint64(0x9E3779B97F4A7C15) + part)
    return np.where(there, mixed, _EMPTY)


def _short(numbers: Hashes) -> NDArray[np.int32]:
    """In 32 bits: two different keys in four thousand million become one, and the score sees through it."""
    short = (numbers >> np.uint64(32)).astype(np.uint32).view(np.int32)
    return np.where((numbers != 0) & (short == 0), np.int32(1), short)
