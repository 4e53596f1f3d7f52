"""How parties stand to each other: in order, never in a circle, told as a tree."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import html5lib
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from crm.commands import access, party_relations, records
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused, WrongInput, perform
from crm.core.entity import db, face_named
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import HIERARCHIES, RelationKind
from crm.models.party_relations import Relation
from crm.queries.relations import Node, relations_of
from tests.commands.test_parties import one_in_the_way_of_the_other
from tests.conftest import Own
from tests.factories import make

RELATION, CUSTOMER = face_named("relation"), face_named("customer")
PARENT, SUPPLIER, OTHER = RelationKind.PARENT, RelationKind.SUPPLIER, RelationKind.OTHER
Y20, Y25, Y26 = dt.date(2020, 1, 1), dt.date(2025, 12, 31), dt.date(2026, 1, 1)


@pytest.fixture
def by(session: Any) -> Iterator[User]:
    user, _ = access.create_user(email="doer@example.com", role="admin", name="Dora Doer")
    session.commit()
    with acting_as(Acting(user.id, "test")):
        yield user


def parties(number: int) -> list[Party]:
    return [make(CUSTOMER, name=f"Party {letter}") for letter in "ABCDEFGHIJ"[:number]]


def relate(one: Party, kind: RelationKind, other: Party, by: User, **dates: Any) -> Relation:
    made: Relation = records.create(RELATION, {"from_party": one.id, "kind": kind, "to_party": other.id, **dates}, by)
    return made


def insert(one: int, kind: str, other: int, first: Any = None, last: Any = None) -> None:
    """As an import or any other plain SQL would write it."""
    db.session.execute(text(
        "INSERT INTO relation (from_party_id, kind, to_party_id, valid_from, valid_until) VALUES (:a, :k, :b, :f, :l)"),
        {"a": one, "k": kind, "b": other, "f": first, "l": last})  # fmt: skip


def test_nobody_stands_in_a_relation_to_themselves(by: User) -> None:
    [one] = parties(1)
    with pytest.raises(WrongInput, match="to_party is the same"):
        relate(one, OTHER, one, by)
    with pytest.raises(IntegrityError, match="itself"), db.session.begin_nested():
        insert(one.id, "other", one.id)


@pytest.mark.parametrize("kind", HIERARCHIES)
def test_a_circle_is_refused_by_the_check_and_by_the_database(by: User, kind: RelationKind) -> None:
    a, b, c, d = parties(4)
    for one, other in ((a, b), (b, c), (c, d)):
        relate(one, kind, other, by)
    for low in (b, c, d):
        with pytest.raises(WrongInput, match="to_party stands above already.*circle"):
            relate(low, kind, a, by)
        with pytest.raises(IntegrityError, match="circle"), db.session.begin_nested():
            insert(low.id, kind, a.id)
    lowest = relate(d, SUPPLIER, a, by)  # another kind goes its own way
    with pytest.raises(WrongInput, match="circle"):
        records.update(RELATION, lowest, {"kind": kind}, by)
    with pytest.raises(IntegrityError, match="circle"), db.session.begin_nested():
        db.session.execute(text("UPDATE relation SET kind = :kind WHERE id = :id"), {"kind": kind, "id": lowest.id})


def test_what_stood_the_other_way_in_another_time_is_no_circle(by: User) -> None:
    a, b, c = parties(3)
    relate(a, PARENT, b, by, valid_from=Y20, valid_until=Y25)
    relate(b, PARENT, c, by)
    later = relate(c, PARENT, a, by, valid_from=Y26)
    with pytest.raises(WrongInput, match="circle"):
        records.update(RELATION, later, {"valid_from": Y25}, by)
    with pytest.raises(IntegrityError, match="circle"), db.session.begin_nested():
        db.session.execute(text("UPDATE relation SET valid_from = NULL WHERE id = :id"), {"id": later.id})


def test_suppliers_may_supply_each_other_but_not_twice(by: User) -> None:
    a, b = parties(2)
    first = relate(a, SUPPLIER, b, by, valid_from=Y20)
    relate(b, SUPPLIER, a, by)
    with pytest.raises(WrongInput, match="to_party has this relation at that time already"):
        relate(a, SUPPLIER, b, by, valid_until=Y25)
    with pytest.raises(IntegrityError, match="uq_relation"), db.session.begin_nested():
        insert(a.id, "supplier", b.id)
    records.update(RELATION, first, {"valid_until": Y25}, by)
    relate(a, SUPPLIER, b, by, valid_from=Y26)
    relate(a, OTHER, b, by)
    with pytest.raises(WrongInput, match="already"):
        relate(b, OTHER, a, by)  # it has no direction


def test_it_ends_after_it_began(by: User) -> None:
    a, b = parties(2)
    with pytest.raises(WrongInput, match="valid_until lies before"):
        relate(a, PARENT, b, by, valid_from=Y26, valid_until=Y20)
    one = relate(a, PARENT, b, by, valid_from=Y26)
    assert perform(party_relations.end, [one.id], by=by, values={"until": Y20})[0].reason == (
        "that day lies before the day it began")  # fmt: skip
    assert perform(party_relations.end, [one.id], by=by, values={"until": None})[0].done
    assert one.valid_until == dt.datetime.now(dt.UTC).date()
    a.archived_at = dt.datetime.now(dt.UTC)
    db.session.flush()
    with pytest.raises(Refused, match="the party is archived"):
        relate(b, SUPPLIER, a, by)


@pytest.mark.soak
def test_of_random_relations_exactly_those_that_close_a_circle_are_refused(by: User) -> None:
    seed = random.randrange(10**9)
    print("seed", seed)
    dice = random.Random(seed)
    ids = [party.id for party in parties(6)]
    days = [dt.date(2026, 1, day) for day in range(1, 6)]
    kept: list[tuple[int, int, dt.date, dt.date]] = []
    for _ in range(80):
        one, other = dice.sample(ids, 2)
        first, last = sorted((dice.choice(days), dice.choice(days)))
        closes = any(one in _below(other, [(a, b) for a, b, f, u in kept if f <= day <= u])
                     for day in days if first <= day <= last)  # fmt: skip
        try:
            with db.session.begin_nested():
                insert(one, "parent", other, first, last)
            assert not closes, (one, other, first, last, kept)
            kept.append((one, other, first, last))
        except IntegrityError:
            assert closes, (one, other, first, last, kept)


def _below(top: int, edges: list[tuple[int, int]]) -> set[int]:
    found, waiting = {top}, [top]
    while waiting:
        here = waiting.pop()
        more = {b for a, b in edges if a == here} - found
        found |= more
        waiting += more
    return found


@pytest.mark.parametrize("way", ["as a person does it", "as plain SQL does it"])
def test_two_at_once_make_no_circle(own_database: Own, way: str) -> None:
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        by, _ = access.create_user(email="doer@example.com", role="admin")
        first, second = (party.id for party in parties(2))
        db.session.commit()
        number = by.id

    def add(one: int, other: int) -> str:
        if way == "as plain SQL does it":
            insert(one, "parent", other)
        else:
            values = {"from_party": one, "kind": PARENT, "to_party": other}
            records.create(RELATION, values, db.session.get_one(User, number))
        return "made"

    answers = one_in_the_way_of_the_other(own_database, lambda: add(first, second), lambda: add(second, first))
    assert answers[0] == "made"
    assert isinstance(answers[1], WrongInput | IntegrityError)
    assert "circle" in str(answers[1])
    with own_database.app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Relation)) == 1


def shape(nodes: list[Node], names: dict[int, Party]) -> list[Any]:
    return [(names[node.party_id].name[-1], node.again, shape(node.below, names)) for node in nodes]


def test_the_tree_goes_up_to_the_top_and_down_to_the_last(by: User) -> None:
    a, b, c, d, e, f, g = parties(7)
    for one, other in ((a, b), (b, c), (c, d), (e, c), (a, f)):
        relate(one, PARENT, other, by)
    relate(c, SUPPLIER, g, by)
    past = relate(g, PARENT, c, by, valid_until=Y25)
    found = relations_of(c, by)
    # f stands beside, not above or below; d is told once.
    assert shape(found.trees[PARENT], found.seen) == [
        ("A", False, [("B", False, [("C", False, [("D", False, [])])])]), ("E", False, [("C", True, [])])]  # fmt: skip
    assert list(found.trees) == [PARENT]
    assert [one.kind for one in found.others] == [SUPPLIER]
    assert [one.id for one in found.past] == [past.id]


# On the page


def test_a_relation_is_added_on_the_page_from_either_side(session: Any, as_user: Any) -> None:
    a, b = parties(2)
    admin = as_user("admin").client
    post = {"query_string": {"id": a.id}, "headers": {"HX-Request": "true"}}
    made = admin.post("/admin/customers/relate/", data={"kind": "parent:back", "other": b.id}, **post)
    assert made.status_code == 200
    assert "Subsidiary of" in made.text
    html5lib.HTMLParser(strict=True).parseFragment(made.text)
    one = session.scalars(select(Relation)).one()
    assert (one.from_party_id, one.to_party_id) == (b.id, a.id)
    refused = admin.post("/admin/customers/relate/", data={"kind": "parent", "other": b.id}, **post)
    assert (refused.status_code, "would go round in a circle" in refused.text) == (422, True)
    for data in ({}, {"kind": "no", "other": "x", "valid_from": "\x00"}, {"kind": "parent", "other": 10**30}):
        assert admin.post("/admin/customers/relate/", data=data, **post).status_code == 422
    plain = admin.post("/admin/customers/relate/", data={"kind": "parent"}, query_string={"id": a.id})
    assert (plain.status_code, plain.location) == (303, f"/admin/customers/details/?id={a.id}&tab=relations")
    assert session.scalar(select(func.count()).select_from(Relation)) == 1
    auditor = as_user("auditor").client
    assert auditor.post("/admin/customers/relate/", data={"kind": "other", "other": b.id}, **post).status_code == 403
    assert "/relate/" not in auditor.get("/admin/customers/relations/", query_string={"id": a.id}).text


def test_whoever_sees_one_end_sees_the_relation_but_not_the_other_name(session: Any, as_user: Any, by: User) -> None:
    a, b, c = parties(3)
    rep = as_user("sales_rep")
    b.owner_id = rep.user_id
    up, down = relate(a, PARENT, b, by), relate(b, PARENT, c, by)
    session.commit()
    for one in (up, down):
        assert rep.client.get(f"/admin/relations/details/?id={one.id}").status_code == 200
    shown = rep.client.get(f"/admin/customers/relations/?id={b.id}").text
    assert "Subsidiary of" in shown
    assert "Somebody you may not see" in shown
    assert "Party A" not in shown
    assert rep.client.get(f"/admin/customers/relations/?id={a.id}").status_code == 404
