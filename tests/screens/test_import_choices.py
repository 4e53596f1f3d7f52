"""What a person decides in the import wizard: which ladder finds known records, what each column may change, what words mean."""

from __future__ import annotations

import csv
import html
import io
import re

from crm.core.entity import db, face_named
from crm.importing.matching import matchable
from crm.models.access import User
from crm.models.imports import Import
from crm.models.parties import Party
from tests.factories import make
from tests.screens.test_imports import draft_id, end, mapped, run, upload


def lines_of(page: str) -> dict[str, dict[str, str]]:
    """The values that fit nothing, by target and word, with the number of their line."""
    pairs = re.findall(
        r'name="word_field_(\d+)" value="([^"]*)"><input type="hidden" name="word_value_\d+" value="([^"]*)"', page
    )
    found: dict[str, dict[str, str]] = {}
    for number, name, value in pairs:
        found.setdefault(name, {})[html.unescape(value)] = number
    return found


def settle(person, number: int, means: dict[tuple[str, str], str], **typed: str):
    page = person.client.get(f"/admin/imports/preview/?id={number}").text
    form = {"do": "words"}
    for name, words in lines_of(page).items():
        for word, line in words.items():
            form |= {f"word_field_{line}": name, f"word_value_{line}": word}
            kind = "text" if name in ("country", "owner") and means.get((name, word), "=") != "=" else "means"
            form[f"word_{kind}_{line}"] = means.get((name, word), "")
    return person.client.post(f"/admin/imports/preview/?id={number}", data=form)


def counts(app, number: int) -> dict[str, int]:
    with app.app_context():
        checked = db.session.get_one(Import, number).checked
        return {name: count for name, count in checked["counts"].items() if count and name != "rows"}


def test_values_that_fit_nothing_are_settled_once_for_the_whole_file(app, as_user):
    person = as_user("manager")
    with app.app_context():
        name = db.session.get_one(User, person.user_id).name
    many = "".join(f"Number {n},n{n}@x.org,=biz <b>,,,,\n" for n in range(300))
    data = ("name,email,type,gender,country,owner,status\n" + many
            + "Ann,ann@x.org,odd,man,Germania,the boss,\nBob,bob@x.org,,,,,hot\n").encode()  # fmt: skip
    number = mapped(person, data)
    page = person.client.get(f"/admin/imports/preview/?id={number}").text
    assert counts(app, number) == {"refused": 302}
    assert {name: set(words) for name, words in lines_of(page).items()} == {
        "type": {"=biz <b>", "odd"}, "gender": {"man"}, "country": {"Germania"}, "status": {"hot"}}, \
        "what a row refers to is looked up when the row itself can be read"  # fmt: skip
    assert "in 300 rows" in page
    assert "=biz &lt;b&gt;" in page
    chosen = {
        ("type", "=biz <b>"): "business",
        ("type", "odd"): "=",
        ("gender", "man"): "male",
        ("country", "Germania"): "Germany",
    }
    assert settle(person, number, chosen).status_code == 303
    page = person.client.get(f"/admin/imports/preview/?id={number}").text
    assert counts(app, number) == {"created": 300, "refused": 2}
    assert set(lines_of(page)["owner"]) == {"the boss"}
    settle(person, number, chosen | {("owner", "the boss"): "nobody"})
    assert set(lines_of(person.client.get(f"/admin/imports/preview/?id={number}").text)["owner"]) == {"the boss"}, (
        "what doesn't fit either is told as it stands in the file"
    )
    settle(person, number, chosen | {("owner", "the boss"): name, ("status", "hot"): "prospect"})
    person.client.get(f"/admin/imports/preview/?id={number}")
    assert counts(app, number) == {"created": 302}
    run(person, number)
    end(app, number)
    with app.app_context():
        ann = db.session.query(Party).filter_by(email="ann@x.org").one()
        assert (ann.type, str(ann.gender), ann.addresses[0].country, ann.owner_id) == (
            None,
            "male",
            "DE",
            person.user_id,
        )
        assert db.session.query(Party).filter_by(type="business").count() == 300


def test_ladder_and_rules_are_chosen_beside_the_columns(app, as_user):
    person = as_user("manager")
    with app.app_context():
        make(face_named("customer"), name="Ann", email="ann@x.org", phone="+49301234567", industry="Steel")
        db.session.commit()
    data = b"name,email,phone,industry\nAnna,new@x.org,+49301234567,Paper\nBob,bob@x.org,,Wood\n"
    number = draft_id(upload(person, data, duplicates="update"))
    page = person.client.get(f"/admin/imports/map/?id={number}").text
    assert page.count('<option value="fill">Only if blank</option>') == 4
    names = re.findall(r'name="match" value="([^"]+)"', page)
    assert names == [*matchable(face_named("customer"))]
    form = {"do": "next", "column_0": "name", "column_1": "email", "column_2": "phone", "column_3": "industry", "rule_0": "never",
            "rule_3": "fill", "match": ["email", "phone"], "known_only": "1"}  # fmt: skip
    assert person.client.post(f"/admin/imports/map/?id={number}", data=form).status_code == 303
    page = person.client.get(f"/admin/imports/map/?id={number}").text
    assert page.count('<option value="fill" selected>') == 1
    assert len(re.findall(r'name="match" value="[^"]+" checked', page)) == 2
    run(person, number)
    end(app, number)
    with app.app_context():
        (ann,) = db.session.query(Party).all()
        assert (ann.name, ann.email, ann.industry) == ("Ann", "new@x.org", "Steel")
    form |= {"match": ["phone"], "column_2": ""}
    again = draft_id(upload(person, data, duplicates="update", again="1"))
    answer = person.client.post(f"/admin/imports/map/?id={again}", data=form)
    assert answer.status_code == 422
    assert "no column becomes Phone, by which known records are to be found" in answer.text
    assert (
        "Overwrite" not in person.client.get(f"/admin/imports/map/?id={draft_id(upload(person, data, again='1'))}").text
    )


def test_a_mapping_is_kept_and_finds_the_next_file_by_itself(app, as_user):
    person = as_user("admin")
    data = b"wer,mail,egal\nAnn,ann@x.org,1\n"
    number = draft_id(upload(person, data))
    form = {
        "column_0": "name",
        "column_1": "email",
        "column_2": "",
        "match": ["email", "name"],
        "profile_name": "",
        "do": "keep",
    }
    person.client.post(f"/admin/imports/map/?id={number}", data=form)
    page = person.client.get(f"/admin/imports/map/?id={number}").text
    assert "The name of the profile must be given" in html.unescape(page) or "The name of the profile is" in page
    person.client.post(
        f"/admin/imports/map/?id={number}", data=form | {"profile_name": "Shop <1>", "profile_shared": "1"}
    )
    other = as_user("manager")
    number = draft_id(upload(other, data.replace(b"Ann", b"Bob").replace(b"ann", b"bob")))
    page = other.client.get(f"/admin/imports/map/?id={number}").text
    assert "Set as <strong>Shop &lt;1&gt;</strong> says" in page
    assert re.findall(r'name="match" value="([^"]+)" checked', page) == ["email", "name"]
    assert "For everybody" not in page
    assert "selected>Display name<" in page
    other.client.post(f"/admin/imports/map/?id={number}", data={"do": "profile", "profile": "Odoo contacts"})
    page = other.client.get(f"/admin/imports/map/?id={number}").text
    assert "Set as <strong>Odoo contacts</strong> says" in page
    other.client.post(f"/admin/imports/map/?id={number}", data={"do": "profile", "profile": "Nothing"})
    assert "there is no profile “Nothing”" in other.client.get(f"/admin/imports/map/?id={number}").text
    assert "Shop &lt;1&gt;" not in other.client.get("/admin/import-profiles/").text, "in the list stand one's own"
    assert "Shop &lt;1&gt;" in person.client.get("/admin/import-profiles/").text


def test_single_rows_are_left_out_or_told_whom_they_mean_and_the_whole_file_is_taken_away_with_remarks(app, as_user):
    person = as_user("manager")
    with app.app_context():
        twins = [
            make(face_named("customer"), name=f"Twin {n}", email="twin@x.org", owner_id=person.user_id) for n in (1, 2)
        ]
        code, others = twins[1].code, [twin.id for twin in twins]
        db.session.commit()
    data = b"name,email,industry\nTwins,twin@x.org,Steel\nAnn,ann@x.org,Wood\n=Bob,bob@x.org,Wood\nCy,no mail,Wood\n"
    number = mapped(person, data, duplicates="update")
    address = f"/admin/imports/preview/?id={number}"
    page = person.client.get(address).text
    assert counts(app, number) == {"created": 2, "ambiguous": 1, "refused": 1}
    assert (page.count('name="meant_'), page.count('name="leave_out"')) == (1, 4)
    only = person.client.get(f"{address}&show=created").text
    assert (only.count('name="leave_out"'), "Twins" in only) == (2, False)

    answer = person.client.get(f"/admin/imports/annotated/?id={number}")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    lines = list(csv.DictReader(io.StringIO(answer.get_data().decode("utf-8-sig"))))
    answer.close()
    assert [(line["_row"], line["_outcome"]) for line in lines] == [
        ("2", "ambiguous"), ("3", "created"), ("4", "created"), ("5", "refused")]  # fmt: skip
    assert (lines[2]["name"], "no mail" in lines[3]["_error"]) == ("'=Bob", True)
    assert as_user("admin").client.get(f"/admin/imports/annotated/?id={number}").status_code == 404

    def decide(**given: object) -> None:
        form = {"do": "rows", "shown": ["2", "3", "4", "5"]} | given
        assert person.client.post(address, data=form).status_code == 303
        person.client.get(address)

    decide(leave_out=["4", "x", "9" * 30], meant_2="C-999999")
    assert counts(app, number) == {"created": 1, "skipped": 1, "refused": 2}
    decide(leave_out=["4"], meant_2=code.lower())
    assert counts(app, number) == {"created": 1, "updated": 1, "skipped": 1, "refused": 1}
    page = person.client.get(address).text
    assert f'name="meant_2" value="{code.lower()}"' in page
    assert 'value="4" checked' in page
    assert "1 of the rows left out by hand" in page
    run(person, number)
    end(app, number)
    with app.app_context():
        assert [db.session.get_one(Party, twin).industry for twin in others] == [None, "Steel"]
        assert db.session.query(Party).filter(Party.email == "bob@x.org").count() == 0
        record = db.session.get_one(Import, number)
        assert (record.rows, record.rows_created, record.rows_updated, record.rows_skipped) == (4, 1, 1, 1)


def test_a_fault_is_mended_on_the_page_of_the_check_and_the_file_stays_as_it_is(app, as_user):
    person = as_user("manager")
    number = mapped(person, b"name,email,industry\nAnn,no mail,Wood\nBob,bob@x.org,Steel\n,cy@x.org,Wood\n")
    address = f"/admin/imports/preview/?id={number}"
    page = person.client.get(address).text
    assert counts(app, number) == {"created": 1, "refused": 2}
    assert re.findall(r'name="(cell_[^"]+)" value="([^"]*)"', page) == [("cell_2_1", "no mail"), ("cell_4_0", "")]

    def decide(**given: object) -> str:
        form = {"do": "rows", "shown": ["2", "3", "4"]} | given
        assert person.client.post(address, data=form).status_code == 303
        return str(person.client.get(address).text)

    decide(cell_2_1="also none", cell_4_0="Cy & Co", cell_3_2="Tin", cell_9_9="x", cell_2_0="Eve")
    assert counts(app, number) == {"created": 2, "refused": 1}, "only what was shown can be written anew"
    page = decide(cell_2_1="ann@x.org", cell_4_0="Cy & Co")
    assert counts(app, number) == {"created": 3}
    assert "The file says “no mail”" in html.unescape(page)
    page = decide(cell_2_1="no mail", cell_4_0="Cy & Co")
    assert counts(app, number) == {"created": 2, "refused": 1}, "as the file has it: nothing is mended"
    decide(cell_2_1="ann@x.org", cell_4_0="Cy & Co", leave_out=["3"])
    run(person, number)
    end(app, number)
    with app.app_context():
        came = db.session.scalars(db.select(Party).where(Party.email.in_(("ann@x.org", "bob@x.org", "cy@x.org"))))
        assert sorted((party.name, party.email, party.industry) for party in came) == [
            ("Ann", "ann@x.org", "Wood"), ("Cy & Co", "cy@x.org", "Wood")]  # fmt: skip
        record = db.session.get_one(Import, number)
        assert (record.rows, record.rows_created, record.rows_skipped) == (3, 2, 1)


def test_rows_are_taken_by_what_a_column_says_and_a_profile_remembers_that(app, as_user):
    person = as_user("admin")
    data = b"kind,name,email\nC1,Ann,ann@x.org\nD1,Bob,bob@x.org\nC2,Cy,\n"
    number = draft_id(upload(person, data))
    form = {"column_1": "name", "column_2": "email", "only_column_0": "0", "only_value_0": "C*",
            "only_column_1": "2", "only_not_1": "1", "only_value_1": ""}  # fmt: skip
    person.client.post(f"/admin/imports/map/?id={number}",
                       data=form | {"do": "keep", "profile_name": "Only C", "profile_shared": ""})  # fmt: skip
    person.client.post(f"/admin/imports/map/?id={number}", data=form | {"do": "next"})
    page = person.client.get(f"/admin/imports/preview/?id={number}").text
    assert counts(app, number) == {"created": 1, "skipped": 2}
    assert "2 rows were left out: only those come in where “kind” is “C*”, “email” is “!”" in html.unescape(page)
    other = draft_id(upload(person, data.replace(b"Ann", b"Eve"), again="1"))
    page = person.client.get(f"/admin/imports/map/?id={other}").text
    assert re.findall(r'name="only_value_\d" value="([^"]*)"', page) == ["C*", "", "", ""]
    third = draft_id(upload(person, b"name,email\nDee,dee@x.org\n"))
    person.client.post(f"/admin/imports/map/?id={third}", data={"do": "profile", "profile": "Only C"})
    told = html.unescape(person.client.get(f"/admin/imports/map/?id={third}").text)
    assert "takes rows by what stands in “kind”, and the file has no such column" in told
