"""Splink on a file of records, as `bench.duplicates_splink` asks it; run by the Python that has Splink, and nothing of ours.

Set up as its guide says: chances of unrelated ones by random sampling, of the same ones by expectation-maximisation over two or
three blocking rules, first and last name compared together (swapped ones too) and by how common they are. It blocks by what our
keys are made of. The postcode stands for the place as well: both tell the same.
"""

from __future__ import annotations

import json
import logging
import sys
import time

import duckdb
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

LIKELY = 0.5
# Splink has no rule for those who live together; this one is put after it: other first name, other or no birth and e-mail.
HOUSEHOLD = "NOT (first_l <> first_r AND jaro_winkler_similarity(first_l, first_r) < 0.84{})"
SAMPLED = 1_000_000
# Street, house number and postcode say much the same: one comparison, or relatives are taken for one person.
PLACE = [
    cll.CustomLevel("street_l IS NULL OR street_r IS NULL OR postcode_l IS NULL OR postcode_r IS NULL").configure(
        is_null_level=True
    ),
    cll.CustomLevel("street_l = street_r AND house_l = house_r AND postcode_l = postcode_r", "same address"),
    cll.CustomLevel(
        "jaro_winkler_similarity(street_l, street_r) >= 0.88 AND postcode_l = postcode_r", "nearly the same"
    ),
    cll.CustomLevel("jaro_winkler_similarity(street_l, street_r) >= 0.88 AND house_l = house_r", "street and house"),
    cll.CustomLevel("jaro_winkler_similarity(street_l, street_r) >= 0.88", "street"),
    cll.CustomLevel("postcode_l = postcode_r", "postcode"),
    cll.ElseLevel(),
]


def found(path: str) -> dict[str, object]:
    began, worked = time.perf_counter(), time.process_time()
    con = duckdb.connect()
    con.execute("SET threads = 2")
    con.execute("CREATE TABLE records AS SELECT CAST(unique_id AS INTEGER) AS unique_id, * EXCLUDE (unique_id), first || ' ' || last AS whole "
                "FROM read_csv(?, all_varchar = true, nullstr = '')", [path])  # fmt: skip
    names = [row[0] for row in con.execute("DESCRIBE records").fetchall()]
    counts = con.execute("SELECT " + ", ".join(f"count({name})" for name in names) + " FROM records").fetchall()[0]
    known = {name for name, number in zip(names, counts, strict=True) if number}
    near = cl.DamerauLevenshteinAtThresholds
    compared = {
        "born": near("born", [1, 2]), "email": near("email", [2]), "phone": near("phone", [1]), "tax": near("tax", [1]),
        "street": cl.CustomComparison(output_column_name="place", comparison_levels=PLACE),
    }  # fmt: skip
    called = cl.ForenameSurnameComparison("first", "last", forename_surname_concat_col_name="whole").configure(
        term_frequency_adjustments=True)  # fmt: skip
    rules = [("email",), ("phone",), ("tax",), ("first", "last"), ("first", "born"), ("last", "born"), ("born", "postcode"),
             ("first", "postcode"), ("last", "postcode"), ("street", "house")]  # fmt: skip
    blocks = [block_on(*rule) for rule in rules if set(rule) <= known]
    swapped = {"blocking_rule": "l.first = r.last AND l.last = r.first", "sql_dialect": "duckdb"}
    settings = SettingsCreator(
        link_type="dedupe_only", comparisons=[called, *(one for name, one in compared.items() if name in known)],
        blocking_rules_to_generate_predictions=[*blocks, swapped], retain_intermediate_calculation_columns=True)  # fmt: skip
    api = DuckDBAPI(con)
    linker = Linker(api.register(con.table("records")), settings, log_level=logging.ERROR)
    sure = [block_on(*rule) for rule in (("first", "last", "born"), ("tax",), ("email",)) if set(rule) <= known]
    training = linker.training
    training.estimate_probability_two_random_records_match(sure, recall=0.7)
    training.estimate_u_using_random_sampling(max_pairs=SAMPLED, seed=1)
    # What unrelated ones seldom share: among those of the same name it learns what namesakes are like.
    seldom = (("email",), ("last", "born"), ("first", "postcode"))
    for rule in seldom if "email" in known else (("first", "last"), ("born", "postcode")):
        training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    likely = linker.inference.predict(threshold_match_probability=LIKELY)
    other = "".join(f" AND {name}_l IS DISTINCT FROM {name}_r" for name in ("born", "email") if name in known)
    told: dict[str, object] = {}
    for name, condition in (
        ("as it is", "true"),
        ("with a household rule after it", f"coalesce({HOUSEHOLD.format(other)}, true)"),
    ):
        pairs = con.execute(f"SELECT unique_id_l, unique_id_r FROM {likely.physical_name} WHERE {condition}").fetchall()
        told[name] = [list(pair) for pair in pairs]
    return told | {"seconds": time.perf_counter() - began, "processors": time.process_time() - worked}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps(found(sys.argv[1])))
