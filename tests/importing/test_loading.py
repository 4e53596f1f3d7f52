"""Rows become customers: matched, created, updated, skipped, refused, and the counts add up."""

from __future__ import annotations

import io

import psycopg
import pytest
from sqlalchemy import make_url, select, text

from crm.commands.access import create_user
from crm.commands.duplicate_search import search_changed
from crm.core.command import Refused
from crm.core.entity import db, face_named
from crm.core.spreadsheets import neutral, plain
from crm.importing import loading, running, staging
from crm.importing.plan import Plan, PlanChanged, PlanRefused
from crm.importing.running import run_import
from crm.importing.start import (
    AlreadyImported,
    check_now,
    draft,
    ensure_checked,
    imported_before,
    replan,
    start,
)
from crm.importing.storage import uploads
from crm.logins import dsn
from crm.models.access import AuditEntry, RoleGrant, User, UserRole
from crm.models.imports import Duplicates, Import, ImportRow
from crm.models.parties import Address, Party
from tests.conftest import _named
from tests.importing.conftest import counts


def party(email: str) -> Party:
    return db.session.scalars(select(Party).where(Party.email == email).execution_options(populate_existing=True)).one()


def given(record: Party, name: str) -> str:
    """The text as it was given, which the entity keeps beside the normal form."""
    return getattr(record, f"{name}_given")


def test_the_contacts_of_salesforce(bring, shared):
    record = bring(shared / "salesforce_import_contacts.csv")
    assert counts(record) == {"created": 100}
    tony = party("tdykes0@umn.edu")
    assert (tony.name, tony.first_name, tony.kind, tony.account_number) == (
        "Tony Dykes",
        "Tony",
        "individual",
        "1",
    )
    assert tony.roles == ["business_customer"]
    assert tony.phone is None
    assert given(tony, "phone") == "345-840-9409"
    assert "88 phones kept as written" in record.remarks
    assert counts(bring(shared / "salesforce_import_contacts.csv")) == {"skipped": 100}
    update = bring(shared / "salesforce_import_contacts.csv", duplicates=Duplicates.UPDATE)
    assert counts(update) == {"unchanged": 93, "refused": 7}
    assert counts(bring(shared / "salesforce_import_contacts.csv", duplicates=Duplicates.CREATE)) == {"created": 100}
    assert counts(bring(shared / "salesforce_import_contacts.csv", duplicates=Duplicates.UPDATE)) == {
        "ambiguous": 93,
        "refused": 7,
    }


def test_the_companies_of_maven(bring, shared):
    record = bring(shared / "maven_crm_accounts.csv")
    assert counts(record) == {"created": 84, "refused": 1}
    acme = db.session.scalars(select(Party).where(Party.name == "Acme Corporation")).one()
    assert (acme.kind, acme.industry, str(acme.annual_revenue), acme.employees) == (
        "organization",
        "Technolgy",
        "1100.0400",
        2822,
    )
    assert [(place.country, place.kind, place.is_default) for place in acme.addresses] == [("US", "main", True)]
    refused = (uploads() / record.refused_name).read_text("utf-8-sig").splitlines()
    assert refused[0].endswith(",_row,_field,_error")
    assert "Philipines" in refused[1]
    assert "Office_Location" in refused[1]


@pytest.mark.slow
def test_the_customers_of_adventureworks(bring, shared):
    record = bring(shared / "adventureworks_DimCustomer.csv.gz")
    assert counts(record) == {"created": 18_484}
    numbers = db.session.execute(
        text(
            "SELECT count(*), count(DISTINCT p.account_number), count(p.gender), count(p.customer_since), "
            "count(a.city) "
            "FROM party p JOIN address a ON a.party_id = p.id AND a.is_default"
        )
    ).one()
    assert numbers == (18_484,) * 5
    assert counts(bring(shared / "adventureworks_DimCustomer.csv.gz")) == {"skipped": 18_484}
    assert counts(bring(shared / "adventureworks_DimCustomer.csv.gz", duplicates=Duplicates.UPDATE)) == {
        "unchanged": 18_484
    }


def test_what_the_planner_believes_of_tables_that_were_just_filled_does_not_matter(bring, servers):
    """Once autovacuum had counted them while they were empty, an import of some thousand rows took hours."""
    lines = [f"Name {number},n{number}@x.org,A-{number}" for number in range(1200)]
    data = "\n".join(["name,email,account number", *lines])
    assert counts(bring(data)) == {"created": 1200}
    believed = "reltuples = 0 WHERE relname IN ('party', 'import_row', 'address')"
    own = make_url(servers.database_url).database
    with psycopg.connect(dsn(_named(servers.superuser_url, own)), autocommit=True) as superuser:
        superuser.execute(f"UPDATE pg_class SET {believed}")
    assert counts(bring(data, duplicates=Duplicates.UPDATE)) == {"unchanged": 1200}
    known = dict(db.session.execute(text("SELECT relname, reltuples FROM pg_class WHERE relname = 'party'")).all())
    assert known["party"] >= 1200


def test_an_update_changes_what_is_filled_and_counts_honestly(bring):
    bring("name,email,industry,city\nAnn,Ann@X.org,Steel,Bonn\nBob,bob@x.org,Wood,\nCyd,cyd@x.org,,Ulm\n")
    record = bring(
        "name,email,industry,city\nAnn,ann@x.org,NULL,Bonn\nBob,bob@x.org,Paper,Kiel\nCyd,cyd@x.org,,Jena\nDan,dan@x.org,,\n",
        duplicates=Duplicates.UPDATE,
    )
    assert counts(record) == {"unchanged": 1, "updated": 2, "created": 1}
    assert party("ann@x.org").industry == "Steel"
    assert given(party("ann@x.org"), "email") == "Ann@X.org"
    assert (party("bob@x.org").industry, [place.city for place in party("bob@x.org").addresses]) == (
        "Paper",
        ["Kiel"],
    )
    assert [place.city for place in party("cyd@x.org").addresses] == ["Jena"]


def test_three_addresses_of_one_customer(bring):
    header = "name,email,billing_city,shipping_city,city\n"
    bring(header + "Ann,ann@x.org,Bonn,Ulm,\n")
    kinds = {str(place.kind): (place.city, place.is_default) for place in party("ann@x.org").addresses}
    assert kinds == {"billing": ("Bonn", True), "shipping": ("Ulm", False)}
    assert counts(bring(header + "Ann,ann@x.org,Köln,Ulm,\n", duplicates=Duplicates.UPDATE)) == {"updated": 1}
    assert counts(bring(header + "Ann,ann@x.org,Köln,Ulm,\n", duplicates=Duplicates.UPDATE)) == {"unchanged": 1}
    assert db.session.query(Address).count() == 2


TWICE = "name,email,industry\nAnn,ann@x.org,Steel\nBob,bob@x.org,Wood\nAnn B,ANN@x.org,Paper\nAnn C,ann@x.org,\n"


@pytest.mark.parametrize(
    ("policy", "expected", "left"),
    [
        (Duplicates.SKIP, {"created": 2, "skipped": 2}, [("Ann", "Steel"), ("Bob", "Wood")]),
        (Duplicates.UPDATE, {"created": 2, "updated": 2}, [("Ann C", "Paper"), ("Bob", "Wood")]),
        (
            Duplicates.CREATE,
            {"created": 4},
            [("Ann", "Steel"), ("Bob", "Wood"), ("Ann B", "Paper"), ("Ann C", None)],
        ),
    ],
)
@pytest.mark.parametrize("chunk", [5_000, 1, 2])
def test_duplicates_inside_the_file(bring, monkeypatch, policy, expected, left, chunk):
    monkeypatch.setattr(loading, "CHUNK", chunk)
    monkeypatch.setattr(staging, "CHUNK", chunk)
    assert counts(bring(TWICE, duplicates=policy)) == expected
    assert [(row.name, row.industry) for row in db.session.scalars(select(Party).order_by(Party.id))] == left


def test_a_key_repeated_very_often_is_loaded_in_order(bring, monkeypatch):
    monkeypatch.setattr(loading, "MOST_ROUNDS", 3)
    rows = "".join(f"Ann {n},ann@x.org\n" for n in range(40))
    assert counts(bring("name,email\n" + rows, duplicates=Duplicates.UPDATE)) == {"created": 1, "updated": 39}
    assert party("ann@x.org").name == "Ann 39"


def test_several_with_one_address_are_never_guessed(bring):
    bring("name,email\nAnn,ann@x.org\nAnna,ann@x.org\n", duplicates=Duplicates.CREATE)
    record = bring("name,email\nAnn B,ann@x.org\nBob,bob@x.org\n", duplicates=Duplicates.UPDATE)
    assert counts(record) == {"ambiguous": 1, "created": 1}
    refused = (uploads() / record.refused_name).read_text("utf-8-sig")
    assert "2 records have this e-mail: C-" in refused


def test_the_archived_are_not_matched(bring, session):
    bring("name,email\nAnn,ann@x.org\n")
    session.execute(text("UPDATE party SET archived_at = now()"))
    assert counts(bring("name,email\nAnn,ann@x.org\n")) == {"created": 1}


def test_vendors_are_not_matched_as_customers(bring, session):
    bring("name,email\nAnn,ann@x.org\n")
    session.execute(text("UPDATE party SET roles = '{vendor}'"))
    assert counts(bring("name,email\nAnn,ann@x.org\n", duplicates=Duplicates.UPDATE)) == {"created": 1}


def test_account_numbers_stay_unique(bring):
    assert counts(bring("name,account number\nAnn,A-1\nBob,A-2\nCyd,A-1\n")) == {"created": 2, "skipped": 1}
    record = bring("name,email,account number\nDan,dan@x.org,A-1\n", duplicates=Duplicates.UPDATE)
    assert counts(record) == {"refused": 1}
    assert "has the account number A-1 already" in (uploads() / record.refused_name).read_text("utf-8-sig")
    record = bring("name,account number\nEve,A-1\nFay,A-9\nGus,A-9\n", duplicates=Duplicates.CREATE)
    assert counts(record) == {"created": 3}
    assert "2 records were created without their account number" in record.remarks


def test_status_is_imported_as_one_word(bring):
    record = bring(
        "name,email,status\nAnn,a@x.org,Active\nBob,b@x.org,prospect\nCyd,c@x.org,Blocked\nDan,d@x.org,archived\nEve,e@x.org,odd\n"
    )
    assert counts(record) == {"created": 4, "refused": 1}
    states = {row.email: str(row.status) for row in db.session.scalars(select(Party))}
    assert states == {"a@x.org": "active", "b@x.org": "prospect", "c@x.org": "blocked", "d@x.org": "archived"}
    update = bring(
        "name,email,status\nAnn,a@x.org,inactive\nBob,b@x.org,blocked\nCyd,c@x.org,blocked\n",
        duplicates=Duplicates.UPDATE,
    )
    assert counts(update) == {"updated": 1, "refused": 1, "unchanged": 1}


def test_names_follow_their_parts_until_somebody_chose_one(bring, session):
    header = "first name,last name,email\n"
    bring(header + "Ann,Smith,a@x.org\nBob,Jones,b@x.org\n")
    session.execute(text("UPDATE party SET name = 'Bobby' WHERE email = 'b@x.org'"))
    update = bring(header + "Ann,Miller,a@x.org\nBob,Miller,b@x.org\n", duplicates=Duplicates.UPDATE)
    assert counts(update) == {"updated": 2}
    assert (party("a@x.org").name, party("b@x.org").name) == ("Ann Miller", "Bobby")


def test_phones_are_completed_by_the_country_of_their_row_or_of_the_plan(bring):
    data = (
        "name,email,phone,country\nAnn,a@x.org,030 901820,Germany\n"
        "Bob,b@x.org,012-345 6789,\nCyd,c@x.org,+44 20 7946 0958,\n"
    )
    bring(data, country="MY")
    assert [party(f"{who}@x.org").phone for who in "abc"] == ["+4930901820", "+60123456789", "+442079460958"]
    assert counts(bring(data, country="MY", duplicates=Duplicates.UPDATE)) == {"unchanged": 3}
    # A number that can't be read replaces no good one.
    assert counts(bring(data.replace("+44 20", "20"), duplicates=Duplicates.UPDATE)) == {"unchanged": 3}


@pytest.mark.parametrize(
    ("row", "field", "told"),
    [
        ("Ann,not an address,,,", "email", "not an e-mail address"),
        (",a@x.org,,,", "name", "is empty"),
        ("Ann,a@x.org,31/02/2024,,", "birthday", "February 2024 has no 31"),
        ("Ann,a@x.org,,12 apples,", "revenue", "is not a number"),
        ("Ann,a@x.org,,,Atlantis", "country", "is not a country"),
        ("Ann,a@x.org,,1.234,Germany,more", "", "it has 6 values"),
        ("A" * 300 + ",a@x.org,,,", "name", "is too long"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why_and_stops_nobody(bring, row, field, told):
    record = bring(f"name,email,birthday,revenue,country\nBob,b@x.org,24/12/1990,1.5,France\n{row}\nCyd,c@x.org,,,\n")
    assert counts(record) == {"created": 2, "refused": 1}
    line = (uploads() / record.refused_name).read_text("utf-8-sig").splitlines()[1]
    assert told in line
    assert f",3,{field}," in line


def test_what_a_rule_of_the_database_refuses_costs_its_row_only(bring):
    rows = "".join(f"P{n},{100 if n == 13 else 1},50\n" for n in range(40))
    record = bring("name,price from,price to\n" + rows, columns={0: "name", 1: "price_from", 2: "price_to"})
    assert counts(record) == {"created": 39, "refused": 1}
    assert "15" in (uploads() / record.refused_name).read_text("utf-8-sig").splitlines()[1]


def test_the_refused_rows_can_be_mended_and_sent_again(bring):
    record = bring("name,email,phone\nAnn,a@x,'+60123456789\n=Bob,b@x.org,\n@Cyd,c@x,\n")
    assert counts(record) == {"created": 1, "refused": 2}
    mended = (
        (uploads() / record.refused_name).read_text("utf-8-sig").replace("a@x,", "a@x.org,").replace("c@x,", "c@x.org,")
    )
    assert counts(bring(mended)) == {"created": 2}
    assert party("c@x.org").name == "@Cyd"
    assert party("b@x.org").name == "=Bob"


def test_a_check_tells_which_new_rows_look_like_somebody_who_is_there(bring, face, session, as_user):
    bring("name,email,phone\nAnn Lee,ann.lee@x.org,+4930123456\n")
    search_changed()
    data = "name,email,phone\nBo Xu,bo@x.org,\nAnne Lee,ann.lee@x.org,+4930123456\n"

    def remarks(by: int | None) -> list[str]:
        record, _ = draft(face, io.BytesIO(data.encode()), f"{by}.csv", by=by, duplicates=Duplicates.CREATE)
        return [one for one in check_now(record)["remarks"] if "there already" in one]

    (told,) = remarks(None)
    code = party("ann.lee@x.org").code
    assert told == (f"1 row looks like somebody who is there already, and would be new: row 3 like {code} "
                    "(same last name; same e-mail; same phone; first name alike)")  # fmt: skip
    assert remarks(as_user("sales_rep").user_id) == [], "it isn't one of theirs"


def test_a_check_writes_nothing_and_tells_what_the_import_then_does(bring, face, session):
    bring("name,email,industry\nAnn,ann@x.org,Steel\n")
    before = (
        session.execute(text("SELECT count(*), max(xmin::text) FROM party")).one(),
        session.query(AuditEntry).count(),
    )
    data = "name,email,industry\nAnn,ann@x.org,Paper\nBob,bob@x.org,\nBob,bob@x.org,Wood\nCyd,c,\n"
    record, _ = draft(face, io.BytesIO(data.encode()), "f.csv", by=None, duplicates=Duplicates.UPDATE)
    findings = check_now(record)
    after = (
        session.execute(text("SELECT count(*), max(xmin::text) FROM party")).one(),
        session.query(AuditEntry).count(),
    )
    assert before == after
    assert session.query(ImportRow).count() == 0
    assert findings["counts"] == {
        "rows": 4,
        "created": 1,
        "updated": 2,
        "unchanged": 0,
        "skipped": 0,
        "ambiguous": 0,
        "refused": 1,
    }
    first = findings["rows"][0]
    assert (first["outcome"], first["changes"]) == (
        "updated",
        [{"label": "Industry", "before": "Steel", "after": "Paper"}],
    )
    assert findings["rows"][3]["outcome"] == "refused"
    assert counts(bring(data, duplicates=Duplicates.UPDATE)) == {"created": 1, "updated": 2, "refused": 1}


def test_the_history_names_the_person_and_the_import(bring, session):
    user, _ = create_user(email="ivy@x.org", role="manager")
    record = bring("name,email\nAnn,ann@x.org\n", by=user.id)
    mine = AuditEntry.entity == "party", AuditEntry.record_id == party("ann@x.org").id
    entry = session.scalars(select(AuditEntry).where(*mine)).one()
    assert (entry.actor_id, entry.via, str(entry.action)) == (user.id, f"import {record.id}", "create")


def test_the_same_file_is_recognised_and_a_second_start_refused(bring, face):
    data = "name,email\nAnn,ann@x.org\n"
    record = bring(data)
    with pytest.raises(AlreadyImported, match="was imported already"):
        draft(face, io.BytesIO(data.encode()), "other.csv", by=None)
    before = imported_before(face, record.sha256)
    assert before is not None
    assert before.id == record.id
    with pytest.raises(Refused, match="started already"):
        start(record, by=None)
    assert len(list(uploads().iterdir())) >= 1


def test_plans_that_cannot_work_are_refused(face, session):
    record, table = draft(face, io.BytesIO(b"colour,size\nred,5\nblue,6\n"), "f.csv", by=None)
    for columns, told in (
        ({}, "no column becomes Display name"),
        ({0: "name", 1: "name"}, "choose one"),
        ({0: "name", 7: "email"}, "no column 8"),
        ({0: "name", 1: "status_reason"}, "nothing that can"),
    ):
        with pytest.raises(PlanRefused, match=told):
            replan(record, face, table, columns)


@pytest.mark.parametrize("stop_at", range(1, 12))
def test_an_import_goes_on_wherever_it_was_stopped(face, session, monkeypatch, stop_at):
    monkeypatch.setattr(loading, "CHUNK", 7)
    monkeypatch.setattr(staging, "CHUNK", 7)
    rows = (
        "".join(f"Person {n},p{n}@x.org,City {n}\n" for n in range(30)) + "Broken,nowhere,\nPerson 3 again,p3@x.org,\n"
    )
    record, _ = draft(face, io.BytesIO(("name,email,city\n" + rows).encode()), "f.csv", by=None)
    number = record.id
    session.commit()
    checkpoint: dict = {}
    for place, step in enumerate(run_import(number, {}), start=1):
        if place == stop_at:
            session.rollback()  # killed: the chunk and its checkpoint are lost together
            break
        checkpoint = step.checkpoint
        session.commit()
    for _ in run_import(number, checkpoint):
        session.commit()
    record = session.get_one(Import, number, populate_existing=True)
    assert counts(record) == {"created": 30, "skipped": 1, "refused": 1}
    assert session.query(Party).count() == 30
    assert session.query(Address).count() == 30
    assert session.query(ImportRow).count() == 0
    assert session.query(running.Import).count() == 1


def test_who_may_only_reach_his_own_gets_and_changes_only_those(bring, session):
    rep, _ = create_user(email="rep@x.org", role="sales_rep")
    bring("name,email\nAnn,ann@x.org\n")
    assert counts(bring("name,email,industry\nBob,bob@x.org,Steel\n", by=rep.id)) == {"created": 1}
    assert party("bob@x.org").owner_id == rep.id
    record = bring(
        "name,email,industry\nAnn,ann@x.org,Wood\nBob,bob@x.org,Wood\n",
        by=rep.id,
        duplicates=Duplicates.UPDATE,
    )
    assert counts(record) == {"refused": 1, "updated": 1}
    assert "somebody else's" in (uploads() / record.refused_name).read_text("utf-8-sig")


def lock_out(person: User) -> None:
    person.active = False


def take_all_roles(person: User) -> None:
    db.session.query(UserRole).filter_by(user_id=person.id).delete()


def take_import(person: User) -> None:
    db.session.add(RoleGrant(role_id=person.roles[0].id, pattern="customer.import", deny=True))


def take_read(person: User) -> None:
    db.session.add(RoleGrant(role_id=person.roles[0].id, pattern="customer.read", deny=True))


@pytest.mark.parametrize("take", [lock_out, take_all_roles, take_import, take_read])
@pytest.mark.parametrize("after", [0, 1, 5, 6])
def test_an_import_stops_as_soon_as_its_person_may_import_no_longer(face, session, monkeypatch, take, after):
    monkeypatch.setattr(loading, "CHUNK", 10)
    monkeypatch.setattr(staging, "CHUNK", 10)
    person, _ = create_user(email="ivy@x.org", role="manager")
    person_id = person.id
    rows = "".join(f"Person {n},p{n}@x.org\n" for n in range(30))
    record, _ = draft(face, io.BytesIO(f"name,email\n{rows}".encode()), "f.csv", by=person_id)
    session.commit()
    work, reached = run_import(record.id, {}), 0
    for _ in range(after):
        reached = next(work).done
        session.commit()
    take(session.get_one(User, person_id))
    session.commit()
    with pytest.raises(Refused, match="the person who asked may no longer import"):
        next(work)
    session.rollback()
    assert session.query(Party).count() == reached
    assert reached < 30
    with pytest.raises(Refused, match="may no longer import"):
        check_now(session.get_one(Import, record.id))


def test_nobody_is_no_operator():
    with pytest.raises(Refused, match="may no longer import"):
        loading.Rights.of(face_named("customer"), None)


def test_rights_that_shrink_to_ones_own_count_from_the_next_chunk(face, session, monkeypatch, bring):
    monkeypatch.setattr(loading, "CHUNK", 1)
    bring("name,email,industry\nAnn,ann@x.org,\nBob,bob@x.org,\n")
    person, _ = create_user(email="ivy@x.org", role="sales_rep")
    next(grant for grant in person.roles[0].grants if grant.pattern == "customer.import").scope = "all"
    reading = RoleGrant(pattern="customer.read", scope="all")
    person.roles[0].grants.append(reading)
    data = b"name,email,industry\nAnn,ann@x.org,Steel\nBob,bob@x.org,Steel\nCyd,cyd@x.org,Steel\n"
    record, _ = draft(face, io.BytesIO(data), "f.csv", by=person.id, duplicates=Duplicates.UPDATE)
    session.commit()
    for step in run_import(record.id, {}):
        if step.done == 1:
            reading.scope = "own"
        session.commit()
    assert counts(session.get_one(Import, record.id, populate_existing=True)) == {
        "updated": 1,
        "refused": 1,
        "created": 1,
    }
    assert party("cyd@x.org").owner_id == person.id


def test_two_drafts_of_one_file_start_one_import(face, session):
    data = b"name,email\nAnn,ann@x.org\n"
    one, other = (draft(face, io.BytesIO(data), name, by=None)[0] for name in ("a.csv", "b.csv"))
    start(one, by=None)
    with pytest.raises(AlreadyImported, match="is being imported already"):
        start(other, by=None)
    assert other.job_id is None
    start(other, by=None, again=True)
    third, table = draft(face, io.BytesIO(data), "c.csv", by=None, again=True)
    replan(third, face, table, {0: "name", 1: "email"})
    start(third, by=None)


def test_only_what_was_checked_may_be_started(face, session):
    record, table = draft(face, io.BytesIO(b"name,email\nAnn,ann@x.org\n"), "f.csv", by=None)
    with pytest.raises(PlanChanged):
        ensure_checked(record, None)
    seen = Plan.from_data(record.plan).digest
    record.checked = check_now(record)
    ensure_checked(record, seen)
    ensure_checked(record, None)
    replan(record, face, table, {0: "name"})
    for digest in (seen, None, ""):
        with pytest.raises(PlanChanged, match="check again"):
            ensure_checked(record, digest)
    replan(record, face, table, {0: "name", 1: "email"})
    ensure_checked(record, seen)


@pytest.mark.parametrize(
    "cell", ["=1", "'=1", "''=1", "'", "''", "-5", "+60123456789", "-1+1", "'t Hooft", "@a", "\t=1", "x", ""]
)
def test_a_guard_that_was_put_comes_off_again(cell):
    assert plain(neutral(cell)) == cell
    assert neutral(cell)[:1] not in ("=", "@", "\t")


def test_apostrophes_survive_the_file_of_refused_rows(bring):
    columns = {0: "name", 1: "email"}
    record = bring("""name,email\n"'=1","a@x"\n"''=2","b@x"\n"'Ann","c@x"\n"-","d@x"\n""", columns=columns)
    assert counts(record) == {"refused": 4}
    refused = (uploads() / record.refused_name).read_text("utf-8-sig")
    assert [line.split(",")[0] for line in refused.splitlines()[1:]] == ["''=1", "'''=2", "''Ann", "'-"]
    assert counts(bring(refused.replace("@x,", "@x.org,"), columns=columns)) == {"created": 3, "refused": 1}
    assert [party(f"{who}@x.org").name for who in "abc"] == ["'=1", "''=2", "'Ann"]
