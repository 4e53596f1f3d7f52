"""Who brought whom: the code finds the referrer, both get their bonus once, and nobody refers themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text

from crm.commands import records
from crm.commands.loyalty_referrals import _reward_some, came_by, reward
from crm.commands.party_merges import merge_parties
from crm.commands.party_unmerges import unmerge
from crm.core.audit import Acting, acting_as
from crm.core.command import WrongInput, perform
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.transaction import run_in_transaction
from crm.models.loyalty_rewards import Referral
from crm.models.parties import Party
from crm.models.referral_codes import CODE, SIGNS
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import person, told
from tests.factories import make

REFERRAL = face_named("referral")


@pytest.fixture
def program(session: Any) -> Any:
    made = make(face_named("loyalty_program"), main=True, currency="EUR", state="active", kinds=["points", "referral"], valid_from=None,
                valid_until=None)  # fmt: skip
    make(
        face_named("loyalty_terms"),
        program_id=made.id,
        valid_from=dt.date(2020, 1, 1),
        referrer_bonus=30,
        referred_bonus=20,
    )
    return made


@pytest.fixture
def customer(session: Any) -> Callable[..., Any]:
    def made(**given: Any) -> Any:
        party = make(face_named("customer"), **given)
        db.session.refresh(party)
        return party

    return made


def entered(by: Any, **given: Any) -> Any:
    return records.create(REFERRAL, records.read_values(REFERRAL, given, by, new=True), by)


def test_codes_are_of_one_customer_each_and_a_slip_is_the_code_of_nobody(session: Any) -> None:
    found = session.execute(
        text(f"SELECT id, {CODE} FROM (SELECT generate_series(1, 20000) AS id UNION ALL SELECT 26000000000) n")
    )
    codes = {code for _, code in found}
    assert len(codes) == 20_001
    assert all(len(code) == 9 and set(code) - {"-"} <= set(SIGNS) for code in codes)
    assert not set(SIGNS) & set("01OIL")
    for code in list(codes)[:40]:
        plain = code.replace("-", "")
        swapped = [plain[:n] + plain[n + 1] + plain[n] + plain[n + 2 :] for n in range(7) if plain[n] != plain[n + 1]]
        wrong = [plain[:n] + sign + plain[n + 1 :] for n in range(8) for sign in SIGNS if sign != plain[n]]
        assert not {f"{one[:4]}-{one[4:]}" for one in swapped + wrong} & codes


def test_a_code_finds_who_referred_however_it_is_typed(program: Any, customer: Callable[..., Any]) -> None:
    by, anna, friend, other = person("admin", "Ann"), customer(), customer(), customer()
    brought = entered(
        by, referral_code=f" {anna.referral_code.replace('-', ' ').lower()} ", name="A friend", channel="whatsapp"
    )
    assert (brought.referrer_id, brought.referral_code, brought.program_id) == (anna.id, anna.referral_code, program.id)
    assert brought.state == "invited"
    lead = make(face_named("lead"))
    brought.lead_id = lead.id
    db.session.flush()
    assert brought.state == "lead"
    lead.customer_id, lead.converted_at = friend.id, dt.datetime.now(dt.UTC)
    db.session.flush()
    db.session.refresh(brought)
    assert (brought.state, brought.referred_id) == ("customer", friend.id)
    for given, field, says in (
        ({"referral_code": "2222-2222"}, "referral_code", "is nobody's code: look at it again"),
        ({"referral_code": anna.referral_code, "referrer": str(other.id)}, "referral_code", "is the code of somebody else"),
        ({"referral_code": anna.referral_code, "referred": str(anna.id)}, "referral_code", "is their own code: nobody refers themselves"),
        ({"name": "A friend"}, "referrer", "is required where there is no code"),
    ):  # fmt: skip
        with pytest.raises(WrongInput) as fault:
            entered(by, **given)
        assert fault.value.errors == {field: says}


def test_who_joins_or_is_entered_with_a_code_came_by_it(program: Any, customer: Callable[..., Any]) -> None:
    by, anna, first, second = person("admin", "Ann"), customer(), customer(), customer()
    for party in (anna, first):
        make(face_named("loyalty_account"), party_id=party.id, program_id=program.id,
             referral_code=None if party is anna else anna.referral_code.lower())  # fmt: skip
    [brought] = db.session.scalars(select(Referral))
    assert (brought.referrer_id, brought.referred_id, brought.program_id, brought.state) == (
        anna.id,
        first.id,
        program.id,
        "customer",
    )
    assert (
        told(came_by, first, by, code=anna.referral_code, channel=None)
        == "it is noted already that they referred this customer"
    )
    assert told(came_by, second, by, code=anna.referral_code, channel="email") == ""
    wrong = "that is nobody's code, or their own: look at it again"
    assert told(came_by, anna, by, code=anna.referral_code, channel=None) == wrong
    assert told(came_by, anna, by, code="nonsense", channel=None) == wrong
    assert db.session.scalars(select(Referral.referred_id).order_by(Referral.id)).all() == [first.id, second.id]
    make(
        face_named("order"), customer_id=first.id, state="completed", currency="EUR", ordered_at=dt.datetime.now(dt.UTC)
    )
    settle()
    assert _reward_some(0) == (None, 1)
    settle()
    db.session.expire_all()
    assert (anna.points, first.points, brought.state) == (30, 20, "rewarded")


def test_the_code_of_a_merged_customer_means_who_stands_for_it(program: Any, customer: Callable[..., Any]) -> None:
    by, anna, double, friend = person("admin", "Ann"), customer(), customer(), customer()
    ours, theirs = anna.referral_code, double.referral_code
    earlier = entered(by, referral_code=theirs, name="Somebody")
    with_herself = entered(by, referral_code=theirs, referred=str(anna.id))
    [made] = merge_parties(anna.id, [double.id], by=None)
    db.session.expire_all()
    assert (earlier.referrer_id, with_herself.referrer_id, with_herself.referred_id) == (anna.id, double.id, anna.id)
    assert told(reward, with_herself, by) == "the party is archived: restore it first"
    assert entered(by, referral_code=theirs, referred=str(friend.id)).referrer_id == anna.id
    with pytest.raises(WrongInput, match="nobody refers themselves"):
        entered(by, referral_code=theirs, referred=str(anna.id))
    unmerge(made, by=None)
    assert (anna.referral_code, double.referral_code, earlier.referrer_id) == (ours, theirs, double.id)


def test_who_may_see_only_their_own_customers_can_still_take_a_code(program: Any, customer: Callable[..., Any]) -> None:
    seller = person("sales_rep", "Bo")
    anna, own = customer(), customer(owner_id=seller.id)
    assert told(came_by, own, seller, code=anna.referral_code, channel=None) == ""
    brought = entered(seller, referral_code=customer().referral_code, referred=str(own.id))
    assert brought.referrer_id not in (anna.id, None)


@pytest.mark.soak
def test_many_at_once_give_one_bonus_for_who_came(own_database: Any, owner_sql: Any) -> None:
    owner_sql(
        "INSERT INTO loyalty_program (name, kinds, currency, main) VALUES ('L', ARRAY['points', 'referral'], 'EUR', true)"
    )
    owner_sql(
        "INSERT INTO loyalty_terms (program_id, valid_from, referrer_bonus, referred_bonus) VALUES (1, '2020-01-01', 30, 20)"
    )
    owner_sql("INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, 9) n")
    owner_sql("INSERT INTO loyalty_account (party_id, program_id) SELECT id, 1 FROM party")
    owner_sql("INSERT INTO referral (referral_code, referred_id) SELECT p.referral_code, 9 FROM party p WHERE id < 9")
    owner_sql("INSERT INTO referral (referral_code, referred_id) SELECT p.referral_code, 8 FROM party p WHERE id = 9")
    owner_sql(
        "INSERT INTO sales_order (customer_id, state, currency, exchange_rate) VALUES (9, 'completed', 'EUR', 1), (8, 'completed', 'EUR', 1)"
    )

    def work(number: int) -> int:
        """By hand, by the scheduler, and again, as where an answer was lost."""
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            if number % 4 == 3:
                return run_in_transaction(lambda: _reward_some(0)[1])
            return run_in_transaction(
                lambda: sum(one.done for one in perform(reward, [1 + number % 9], by=None, values={}))
            )

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(64))) == 2
    assert owner_sql("SELECT sum(points), count(*) FROM point_entry WHERE kind = 'bonus'") == [(100, 4)]
    assert owner_sql("SELECT referred_id, count(*) FROM referral WHERE state = 'rewarded' GROUP BY 1 ORDER BY 1") == [
        (8, 1),
        (9, 1),
    ]
    with own_database.app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Party).where(Party.referral_code.is_(None))) == 0
        assert list(wrong_figures()) == []
