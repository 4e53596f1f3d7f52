"""`flask import`: one line of JSON at the end, the exit codes promised, work done where no worker runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crm.core.entity import db
from crm.models.imports import Duplicates, Import
from jobs.import_command import ALREADY_IMPORTED, ImportNotPossible, cli_import, cli_undo
from tests.jobs.conftest import Desk


@pytest.fixture
def bring(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Runs the command on a text; answers its exit code and what its last line says."""

    def run(data: str, *, entity: str = "customers", wait: bool = True, **more):
        file = tmp_path / "customers.csv"
        file.write_text(data)
        asked = {
            "match": None,
            "duplicates": Duplicates.SKIP,
            "country": None,
            "dry_run": False,
            "again": False,
            "quiet": False,
        } | more
        code = cli_import(file, entity, wait=wait, **asked)
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


FILE = "name,email\nAnn,ann@x.org\nBob,bob@x.org\nBob,bob@x.org\nCyd,nowhere\n"
COUNTS = {"rows": 4, "created": 2, "updated": 0, "unchanged": 0, "skipped": 1, "ambiguous": 0, "refused": 1}


def parties() -> int:
    db.session.rollback()
    return int(db.session.execute(db.text("SELECT count(*) FROM party")).scalar_one())


def test_it_imports_and_ends_with_the_counts(bring):
    code, told = bring(FILE)
    assert code == 0
    assert {name: told[name] for name in COUNTS} == COUNTS
    assert parties() == 2


def test_a_dry_run_writes_nothing(bring):
    code, told = bring(FILE, dry_run=True)
    assert code == 0
    assert {name: told[name] for name in COUNTS} == COUNTS
    assert parties() == 0
    assert db.session.query(Import).count() == 0


def test_the_same_file_needs_again(bring):
    bring(FILE)
    assert bring(FILE)[0] == ALREADY_IMPORTED
    code, told = bring(FILE, again=True, duplicates=Duplicates.UPDATE)
    assert (code, told["unchanged"], told["refused"], told["rows"]) == (0, 3, 1, 4)
    assert parties() == 2


def test_a_profile_says_what_the_columns_become(bring):
    data = "id,name,is_company,street,zip,country_id,email,wrong\n7,Acme,True,Main 1,53111,Germany,a@x.org,1\n"
    code, told = bring(data, profile="odoo contacts")
    assert (code, told["created"]) == (0, 1)
    assert db.session.execute(db.text("SELECT kind FROM party")).scalar_one() == "organization"
    assert (
        bring(data.replace("Main 1", "Main 2"), profile="Odoo contacts", duplicates=Duplicates.UPDATE)[1]["updated"]
        == 1
    )
    with pytest.raises(ImportNotPossible, match="there is no profile “shop” for customers; use one of: Our template, "):
        bring(data, profile="shop", again=True)


def test_without_waiting_it_says_which_job_does_it(bring, desk):
    code, told = bring(FILE, wait=False)
    assert code == 0
    assert desk.rung == [told["job"]]
    assert told["rows"] is None
    assert parties() == 0


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        ("", {}, "the file is empty"),
        ("colour,size\nred,5\n", {}, "no column becomes Display name"),
        (FILE, {"entity": "users"}, "can't be imported; use one of: contacts, .*customers"),
        (FILE, {"country": "Atlantis"}, "not the two-letter code"),
        ('name,email\n"Ann,ann@x.org\n', {"dry_run": True}, "never ends"),
    ],
)
def test_what_cannot_be_imported_is_said_in_one_line(bring, data, more, words):
    with pytest.raises(ImportNotPossible, match=words):
        bring(data, **more)
    assert parties() == 0


def test_a_file_that_breaks_in_the_middle_fails_with_the_reason(bring, capsys):
    rows = "".join(f"P{n},p{n}@x.org\n" for n in range(60))
    # The quote opens behind what is looked at first, so that only the job meets it.
    long = "".join(f"Q{n} {'x' * 200},q{n}@x.org\n" for n in range(3_000))
    code, told = bring("name,email\n" + rows + long + '"Ann,ann@x.org\n' + rows)
    assert code == 1
    assert told["state"] == "failed"
    assert told["created"] == 0
    assert parties() == 0


def test_an_import_is_undone_from_the_command_line(bring, capsys):
    _, first = bring(FILE)
    _, second = bring("name,email\nAnna,ann@x.org\nEva,eva@x.org\n", duplicates=Duplicates.UPDATE, match="email")
    db.session.execute(db.text("UPDATE party SET name = 'Annie' WHERE email = 'ann@x.org'"))
    db.session.commit()

    def undo(number: int, **more):
        code = cli_undo(number, **({"everything": False, "dry_run": False, "wait": True, "quiet": False} | more))
        out = capsys.readouterr()
        return code, json.loads(out.out.splitlines()[-1]), out.err

    counts = {"restored": 0, "archived": 1, "deleted": 0, "kept": 1}
    code, told, said = undo(second["import"], dry_run=True)
    assert (code, {name: told[name] for name in counts}, parties()) == (0, counts, 3)
    code, told, said = undo(second["import"])
    assert (code, told["state"], {name: told[name] for name in counts}) == (0, "done", counts)
    assert "name: changed since" in said
    code, told, _ = undo(first["import"], everything=True)
    assert {name: told[name] for name in counts} == {"restored": 0, "archived": 2, "deleted": 0, "kept": 0}
    for number in (first["import"], 999):
        with pytest.raises(ImportNotPossible, match="already|there is no import"):
            undo(number)
