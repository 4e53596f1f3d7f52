"""The ground floor: kinds of field, declarations that are refused, deciding, keeping what was given, one commit."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, configure_mappers, relationship

from crm.core import audit
from crm.core import jobs as job_table
from crm.core.audit import Acting, acting_as
from crm.core.entity import (
    About,
    Base,
    DeclarationError,
    Entity,
    Section,
    all_faces,
    check_declarations,
    db,
    entities,
    face_named,
    forget,
)
from crm.core.fields import (
    Choice,
    choice_field,
    date_field,
    email_field,
    field_of,
    reference_field,
    text_field,
)
from crm.core.jobs import Bell, ask
from crm.core.permissions import permissions
from crm.core.transaction import ATTEMPTS, keep_anyway, run_in_transaction
from crm.models.parties import Party
from tests.conftest import Own
from tests.factories import make


class Colour(Choice):
    DARK_RED = "dark_red", "Dark red", "bad"
    BLUE = "blue", "Blue", "info"


# Kinds of field

GOOD: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("text", {}, "  Ann  ", "Ann"), ("text", {}, "", None), ("text", {}, "   ", None), ("text", {}, None, None),
    ("text", {}, "Ärger 🚗", "Ärger 🚗"), ("text", {"max_length": 3}, "abc", "abc"),
    ("long_text", {}, "two\nlines", "two\nlines"),
    ("email", {}, " Ann.Lee@Example.COM ", "ann.lee@example.com"), ("email", {}, "a+b@x.co", "a+b@x.co"),
    ("phone", {}, "+60 12-345 6789", "+60123456789"),
    ("url", {}, "example.com", "https://example.com"), ("url", {}, "HTTP://x.org/a?b=1#c", "HTTP://x.org/a?b=1#c"),
    ("country", {}, "de", "DE"), ("country", {}, "Germany", "DE"), ("country", {}, "united states of america", "US"),
    ("country", {}, "UK", "GB"), ("language", {}, "DE", "de"), ("language", {}, "Malay", "ms"),
    ("time_zone", {}, "Asia/Kuala_Lumpur", "Asia/Kuala_Lumpur"), ("time_zone", {}, "europe/berlin", "Europe/Berlin"),
    ("currency", {}, "eur", "EUR"), ("currency", {}, "Euro", "EUR"),
    ("choice", {"choices": Colour}, "dark_red", Colour.DARK_RED),
    ("choice", {"choices": Colour}, "Dark Red", Colour.DARK_RED),
    ("choice", {"choices": Colour}, "DARK-RED", Colour.DARK_RED),
    ("choices", {"choices": Colour}, "blue, dark red, blue", ["blue", "dark_red"]),
    ("choices", {"choices": Colour}, ["Blue"], ["blue"]),
    ("tags", {}, "a; b,\n c ,, a", ["a", "b", "c"]), ("tags", {}, ["x", " y "], ["x", "y"]),
    ("money", {}, "1234.5", Decimal("1234.50")), ("money", {}, "1,234,567.89", Decimal("1234567.89")),
    ("money", {}, "12.34000", Decimal("12.34")), ("money", {"currency": "JPY"}, "100", Decimal("100")),
    ("money", {"currency": "KWD"}, "1.234", Decimal("1.234")), ("money", {}, -5, Decimal("-5.00")),
    ("decimal", {"decimals": 4}, "0.0001", Decimal("0.0001")),
    ("integer", {}, "42", 42), ("integer", {}, "1e3", 1000), ("integer", {}, 7.0, 7), ("integer", {"minimum": 0}, 0, 0),
    ("date", {}, "2026-02-28", dt.date(2026, 2, 28)), ("date", {}, dt.date(2000, 1, 1), dt.date(2000, 1, 1)),
    ("datetime", {}, "2026-01-31T14:30:00Z", dt.datetime(2026, 1, 31, 14, 30, tzinfo=dt.UTC)),
    ("datetime", {}, "2026-01-31T14:30:00+02:00", dt.datetime(2026, 1, 31, 12, 30, tzinfo=dt.UTC)),
    ("datetime", {}, "2026-01-31T14:30:00", dt.datetime(2026, 1, 31, 14, 30, tzinfo=dt.UTC)),
    ("boolean", {}, "Yes", True), ("boolean", {}, "on", True), ("boolean", {}, "0", False), ("boolean", {}, False, False),
    ("reference", {}, "12", 12), ("reference", {}, 12, 12),
]  # fmt: skip

BAD: list[tuple[str, dict[str, Any], Any, str]] = [
    ("text", {}, "a\x00b", "NUL"), ("text", {}, "a\ud83d", "broken character"), ("text", {}, "a\nb", "line break"),
    ("text", {}, 5, "must be text"), ("text", {}, ["a"], "must be text"), ("text", {"max_length": 3}, "abcd", "too long"),
    ("long_text", {}, "x" * 20_001, "too long"), ("long_text", {}, {"a": 1}, "must be text"),
    ("email", {}, "ann", "not an e-mail"), ("email", {}, "a@b", "not an e-mail"), ("email", {}, "a@@b.org", "not an e-mail"),
    ("email", {}, "a@b..org", "not an e-mail"), ("email", {}, "a b@x.org", "not an e-mail"), ("email", {}, 1, "text"),
    ("email", {}, "a@x.org, b@x.org", "not an e-mail"), ("email", {}, "a@x.org/../b.cd", "not an e-mail"),
    ("phone", {}, "012 345 6789", "country code"), ("phone", {}, "+60 12", "digits"), ("phone", {}, "call me", "country code"),
    ("phone", {}, 60123456789, "must be text"), ("phone", {}, "+1" + "2" * 300, "too long"),
    ("url", {}, "javascript:alert(1)", "not a web address"), ("url", {}, "ftp://x.org", "not a web address"),
    ("url", {}, "nothing", "not a web address"), ("url", {}, "https://user@evil.org", "not a web address"),
    ("country", {}, "Atlantis", "not a country"), ("country", {}, "EU", "not a country"),
    ("language", {}, "xx", "not a language"), ("currency", {}, "XXXX", "not a currency"),
    ("time_zone", {}, "Mars/Base", "looks like Europe/Berlin"),
    ("choice", {"choices": Colour}, "green", "none of: Dark red, Blue"), ("choice", {"choices": Colour}, 1, "must be text"),
    ("choices", {"choices": Colour}, "blue, green", "none of"), ("choices", {"choices": Colour}, 5, "must be a list"),
    ("tags", {}, {"a": 1}, "must be a list"), ("tags", {}, ",".join(map(str, range(101))), "more than 100"),
    ("money", {}, "12,34", "not a number"), ("money", {}, "1,234", "not a number"), ("money", {}, "NaN", "not a number"),
    ("money", {}, "Infinity", "not a number"), ("money", {}, "1e999999999", "too large"), ("money", {}, True, "number"),
    ("money", {}, "1.234", "more than 2 decimals"), ("money", {"currency": "JPY"}, "1.5", "more than 0 decimals"),
    ("money", {"minimum": 0}, "-1", "0 or more"), ("money", {}, "9" * 41, "not a number"), ("money", {}, [], "number"),
    ("integer", {}, "1.5", "whole number"), ("integer", {}, "2147483648", "too large"), ("integer", {}, "x", "not a number"),
    ("integer", {"maximum": 24}, 25, "24 or less"), ("integer", {}, float("nan"), "not a number"),
    ("date", {}, "31.01.2026", "not a day"), ("date", {}, "2026-02-30", "not a day"), ("date", {}, "1066-10-14", "1800"),
    ("date", {}, 20260131, "not a day"), ("datetime", {}, "yesterday", "not a time"),
    ("datetime", {}, "3000-01-01T00:00:00Z", "1800"), ("boolean", {}, "maybe", "yes or no"), ("boolean", {}, 2, "yes or no"),
    ("reference", {}, "0", "number of a record"), ("reference", {}, "1.5", "number of a record"),
    ("reference", {}, "9" * 19, "number of a record"), ("reference", {}, True, "number of a record"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "more", "raw", "value"), GOOD)
def test_a_good_value_is_read(kind: str, more: dict[str, Any], raw: Any, value: Any) -> None:
    read = field_of(kind, **more).parse(raw)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("kind", "more", "raw", "said"), BAD)
def test_a_bad_value_is_refused_with_a_sentence(kind: str, more: dict[str, Any], raw: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        field_of(kind, **more).parse(raw)


def test_a_phone_number_without_country_code_is_completed_where_a_country_is_known() -> None:
    assert field_of("phone").parse("012-345 6789", country="MY") == "+60123456789"


@pytest.mark.parametrize(("kind", "more", "raw", "value"), GOOD)
def test_the_text_of_a_value_is_read_back_unchanged(kind: str, more: dict[str, Any], raw: Any, value: Any) -> None:
    declared = field_of(kind, **more)
    assert declared.parse(declared.text(value)) == (value or None if isinstance(value, list) else value)


@given(st.decimals(min_value=-(10**14), max_value=10**14, places=2))
def test_any_amount_is_read_back_unchanged(value: Decimal) -> None:
    declared = field_of("money")
    assert declared.parse(declared.text(value)) == value
    assert str(declared.parse(declared.text(value))) == str(value.quantize(Decimal("0.01")) + 0)


@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_any_whole_number_is_read_back_unchanged(value: int) -> None:
    declared = field_of("integer")
    assert declared.parse(declared.text(value)) == value == declared.parse(declared.json(value))


@given(st.dates(dt.date(1800, 1, 1), dt.date(2200, 12, 31)))
def test_any_day_is_read_back_unchanged(value: dt.date) -> None:
    declared = field_of("date")
    assert declared.parse(declared.text(value)) == value == declared.parse(declared.json(value))


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))


@given(st.datetimes(dt.datetime(1801, 1, 1), dt.datetime(2199, 12, 31), timezones=OFFSETS))  # noqa: DTZ001 - with zones
def test_any_time_in_any_zone_is_the_same_moment_after_reading_it_back(value: dt.datetime) -> None:
    declared = field_of("datetime")
    assert declared.parse(declared.text(value)) == value
    assert declared.parse(declared.text(value)).tzinfo is dt.UTC


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=",;"), min_size=1, max_size=20)


@given(st.lists(WORDS.map(str.strip).filter(bool), min_size=1, max_size=100, unique=True))
def test_any_tags_are_read_back_unchanged(value: list[str]) -> None:
    declared = field_of("tags")
    assert declared.parse(declared.text(value)) == value


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
                 st.lists(st.text(), max_size=3), st.dictionaries(st.text(), st.integers(), max_size=2)),
       st.sampled_from(sorted({row[0] for row in GOOD})))  # fmt: skip
def test_whatever_is_given_is_read_or_refused_and_never_breaks(raw: Any, kind: str) -> None:
    declared, said = field_of(kind, choices=Colour), ""
    try:
        value = declared.parse(raw)
        assert value is None or value == [] or declared.parse(declared.text(value)) == value
    except ValueError as fault:
        said = str(fault)
    assert said == "" or 5 < len(said) < 200


def test_what_a_person_reads() -> None:
    assert field_of("choice", choices=Colour).word(Colour.DARK_RED) == "Dark red"
    assert field_of("choices", choices=Colour).word(["dark_red", "blue"]) == "Dark red, Blue"
    assert field_of("money", currency="JPY").word(Decimal("1234567")) == "1,234,567"
    assert field_of("money", currency="KWD").word(Decimal("1.2")) == "1.200"
    assert field_of("country").word("DE") == "Germany"
    assert field_of("boolean").word(False) == "No"
    assert field_of("integer").word(1234) == "1,234"
    assert field_of("text").word(None) == ""


# Declarations


@pytest.fixture
def throw_away() -> Iterator[Callable[..., type[Entity]]]:
    """Declares an entity for one test; afterwards everything is as if it had never been."""
    before = _known()
    made: list[type[Entity]] = []

    def declare(**body: Any) -> type[Entity]:
        body = {"__module__": __name__, "__qualname__": "Gadget", "__doc__": "A gadget."} | body
        annotations = {"name": Mapped[str]} | body.pop("__annotations__", {})
        made.append(type("Gadget", (Entity,), {"name": text_field(), "__annotations__": annotations, **body}))
        return made[-1]

    yield declare
    for entity in made:
        forget(entity)
    assert _known() == before
    configure_mappers()
    check_declarations()


def _known() -> tuple[Any, ...]:
    return (entities(), all_faces(), list(Base.metadata.tables), permissions(), audit.install_statements(),
            sorted(Base.registry._class_registry))  # fmt: skip


def about(**more: Any) -> About:
    return About(**({"area": "Trial", "columns": ("name",)} | more))


def test_a_right_declaration_is_taken_and_gets_what_follows_from_it(throw_away: Callable[..., type[Entity]]) -> None:
    gadget = throw_away(
        about=about(search=("name",), sort=("name",), sections=(Section("Gadget", ("name", "mail", "colour")),)),
        mail=email_field(), colour=choice_field(Colour),
        __annotations__={"mail": Mapped[str | None], "colour": Mapped[Colour | None]})  # fmt: skip
    check_declarations()
    assert (face_named("gadgets").name, gadget.__tablename__) == ("gadget", "gadget")
    columns = gadget.__table__.columns
    assert {"mail_given", "sort_name", "search_text"} <= set(columns.keys())
    assert {"ix_gadget_search", "ix_gadget_sort_sort_name"} == {index.name for index in gadget.__table__.indexes}
    checks = {str(one.name) for one in gadget.__table__.constraints}
    assert {"ck_gadget_colour_choice", "ck_gadget_mail_lower"} <= checks
    assert {"gadget.read", "gadget.create", "gadget.edit", "gadget.export"} <= set(permissions())
    assert "gadget.delete" not in permissions()
    assert ("gadget", "audit_gadget_update") in audit.installed_names()
    assert gadget.fields()["mail_given"].is_personal


@pytest.mark.parametrize("where", ["columns", "search", "filters", "sort"])
def test_a_name_that_is_no_field_is_refused(throw_away: Callable[..., type[Entity]], where: str) -> None:
    throw_away(about=about(**{where: ("name", "nmae")}))
    with pytest.raises(DeclarationError, match=rf"Gadget \(gadget\).about.{where}: there is no field “nmae”"):
        check_declarations()


@pytest.mark.parametrize("where", ["sections", "detail"])
def test_a_name_in_a_section_that_is_no_field_is_refused(throw_away: Callable[..., type[Entity]], where: str) -> None:
    throw_away(about=about(**{where: (Section("Gadget", ("name", "nmae")),)}))
    with pytest.raises(DeclarationError, match=rf"Gadget \(gadget\).about.{where}: there is no field “nmae”"):
        check_declarations()


def test_a_title_that_is_no_field_is_refused(throw_away: Callable[..., type[Entity]]) -> None:
    throw_away(about=about(title="nmae"))
    with pytest.raises(DeclarationError, match="Gadget .*title.*nmae"):
        check_declarations()


def test_sorting_by_what_may_be_empty_is_refused(throw_away: Callable[..., type[Entity]]) -> None:
    throw_away(about=about(sort=("day",)), day=date_field(), __annotations__={"day": Mapped[dt.date | None]})
    with pytest.raises(DeclarationError, match="Gadget .*sort: “day” may be NULL"):
        check_declarations()


def test_a_relation_that_is_not_there_is_refused(throw_away: Callable[..., type[Entity]]) -> None:
    throw_away(about=about(related=("parts",)))
    with pytest.raises(DeclarationError, match="Gadget .*no relationship “parts”"):
        check_declarations()


def test_a_reference_without_a_relationship_is_refused(throw_away: Callable[..., type[Entity]]) -> None:
    throw_away(about=about(), owner_id=reference_field("user", table="app_user"),
               __annotations__={"owner_id": Mapped[int | None]})  # fmt: skip
    with pytest.raises(DeclarationError, match=r"Gadget\.owner needs a relationship"):
        check_declarations()


def test_a_reference_to_no_face_is_refused(throw_away: Callable[..., type[Entity]]) -> None:
    throw_away(about=about(), owner_id=reference_field("nobody", table="app_user"), owner=relationship("User"),
               __annotations__={"owner_id": Mapped[int | None]})  # fmt: skip
    with pytest.raises(DeclarationError, match=r"Gadget\.owner refers to “nobody”"):
        check_declarations()


def test_a_declaration_whose_relation_leads_nowhere_can_be_forgotten(throw_away: Callable[..., type[Entity]]) -> None:
    throw_away(about=about(), owner_id=reference_field("user", table="app_user"), owner=relationship("Nowhere"),
               __annotations__={"owner_id": Mapped[int | None]})  # fmt: skip
    with pytest.raises(Exception, match="Nowhere"):
        configure_mappers()


# What was given


def test_the_text_as_given_stays_beside_the_normal_form(session: Any) -> None:
    party = Party(name="Ann", email="Ann@X.org", phone="+60 12-345 6789")
    session.add(party)
    session.flush()
    session.expire(party)
    assert (party.email, party.email_given) == ("ann@x.org", "Ann@X.org")
    assert (party.phone, party.phone_given) == ("+60123456789", "+60 12-345 6789")
    party.email = None
    session.flush()
    session.expire(party)
    assert (party.email, party.email_given) == (None, None)


def test_a_value_that_cannot_be_read_never_gets_into_a_record() -> None:
    with pytest.raises(ValueError, match="not an e-mail"):
        Party(name="Ann", email="ann at x")


# One commit at the edge


@pytest.fixture
def two_parties(own_database: Own) -> tuple[Own, list[int]]:
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        made = [make(face_named("customer"), name=f"Party {number}").id for number in (1, 2)]
        db.session.commit()
    return own_database, made


def _in_threads(own: Own, *works: Callable[[], Any]) -> list[Any]:
    """Each work in a thread with a session of its own; what each answered or raised."""
    answers: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        with own.app.app_context(), acting_as(Acting(via="test")):
            try:
                answers[number] = work()
            except Exception as fault:  # noqa: BLE001 - it is the answer
                answers[number] = fault
            finally:
                db.session.rollback()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    return answers


def test_two_that_stand_in_each_others_way_are_both_done(two_parties: tuple[Own, list[int]]) -> None:
    own, (first, second) = two_parties
    meet = threading.Barrier(2)
    tries: list[str] = []

    def worker(name: str, one: int, other: int) -> Callable[[], Any]:
        def work() -> str:
            tries.append(name)
            mine = tries.count(name)
            for number, party in enumerate((one, other)):
                db.session.execute(text("UPDATE party SET industry = coalesce(industry, '') || :name WHERE id = :id"),
                                   {"name": name, "id": party})  # fmt: skip
                if number == 0 and mine == 1:
                    meet.wait(timeout=10)  # each holds what the other wants: PostgreSQL ends one of them
            return name

        return lambda: run_in_transaction(work)

    assert _in_threads(own, worker("a", first, second), worker("b", second, first)) == ["a", "b"]
    assert sorted(tries) in (["a", "a", "b"], ["a", "b", "b"])
    with own.app.app_context():
        kept = db.session.execute(text("SELECT industry FROM party ORDER BY id")).scalars().all()
    assert [sorted(str(words)) for words in kept] == [["a", "b"], ["a", "b"]]


def _deadlocked() -> DBAPIError:
    fault = Exception("deadlock detected")
    fault.sqlstate = "40P01"  # type: ignore[attr-defined]
    return DBAPIError("UPDATE", {}, fault)


def test_who_stands_in_the_way_again_and_again_is_given_up(session: Any) -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise _deadlocked()

    with pytest.raises(DBAPIError, match="deadlock"):
        run_in_transaction(work)
    assert len(tries) == ATTEMPTS


def test_any_other_fault_is_not_tried_again_and_leaves_nothing(session: Any) -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        db.session.execute(text("INSERT INTO party (name) VALUES ('Half done')"))
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_in_transaction(work)
    assert tries == [1]
    assert session.query(Party).filter_by(name="Half done").count() == 0


@pytest.mark.parametrize(("keep", "anyway", "kept"), [(True, False, 1), (False, False, 0), (False, True, 1)])
def test_an_answer_that_is_an_error_changes_nothing_unless_it_must(
    session: Any, keep: bool, anyway: bool, kept: int
) -> None:
    def work() -> int:
        if anyway:
            keep_anyway()
        db.session.execute(text("INSERT INTO party (name) VALUES ('Kept?')"))
        return 400

    assert run_in_transaction(work, keep=lambda _: keep) == 400
    assert session.query(Party).filter_by(name="Kept?").count() == kept


def test_the_wish_to_keep_lasts_for_one_transaction_only(session: Any) -> None:
    run_in_transaction(keep_anyway)
    run_in_transaction(lambda: db.session.add(Party(name="Not this")), keep=lambda _: False)
    assert session.query(Party).filter_by(name="Not this").count() == 0


# The bell


@pytest.fixture
def rung(own_database: Own) -> Iterator[list[int]]:
    before = replace(job_table.bell)
    heard: list[int] = []
    job_table.hang(Bell(ring=heard.append))
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        yield heard
        db.session.rollback()
    job_table.hang(before)


def _ask() -> int:
    return ask("jobs.demo.load", label="Trial", args={}, by=None).id


def test_a_job_is_rung_once_and_only_after_the_commit(rung: list[int]) -> None:
    number = _ask()
    db.session.flush()
    assert rung == []
    db.session.commit()
    assert rung == [number]
    db.session.commit()
    assert rung == [number]


def test_what_is_rolled_back_is_never_rung(rung: list[int]) -> None:
    _ask()
    db.session.rollback()
    db.session.commit()
    assert rung == []


def test_a_savepoint_neither_rings_early_nor_silences(rung: list[int]) -> None:
    with db.session.begin_nested():
        number = _ask()
    assert rung == []
    with pytest.raises(KeyError), db.session.begin_nested():
        raise KeyError
    assert rung == []
    db.session.commit()
    assert rung == [number]


def test_a_transaction_that_is_tried_again_rings_for_the_try_that_counts(rung: list[int]) -> None:
    asked: list[int] = []

    def work() -> None:
        asked.append(_ask())
        if len(asked) == 1:
            raise _deadlocked()

    run_in_transaction(work)
    assert len(asked) == 2
    assert rung == asked[1:]
