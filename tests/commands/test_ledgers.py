"""Ledgers: what was entered stays, nothing counts twice, several at once never take more than there is."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from crm.commands import access, demo, records
from crm.commands.credit import allocate, approve, credit, hold, refuse, release, take_back, withdraw
from crm.commands.demo_catalogue import load_catalogue
from crm.commands.loyalty import accept_terms, adjust, capture, earn, expire, redeem, void
from crm.commands.loyalty_referrals import reward
from crm.core.audit import Acting, acting_as
from crm.core.command import WrongInput, perform, perform_set
from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.ledgers import kept_entities
from crm.core.transaction import run_in_transaction
from crm.logins import dsn
from crm.models.access import User
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.queries.figures import wrong_figures
from tests.factories import make


def person(role: str, name: str) -> User:
    return access.create_user(email=f"{name.lower()}@example.com", role=role, name=name)[0]


def told(made: Any, record: Any, by: User, **values: Any) -> str:
    """What became of a command: empty when it was done."""
    db.session.flush()
    db.session.expire_all()
    [outcome] = perform(made, [record.id], by=by, values=values)
    settle()
    db.session.expire_all()
    return outcome.reason


# What was entered stays


def test_nobody_changes_or_deletes_what_was_entered(own_database: Any, owner_sql: Any) -> None:
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        load_catalogue()
        demo.load_story_of_demo()
        db.session.commit()
    with psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as login:
        for entity in kept_entities():
            table, may = entity.__tablename__, set(entity.only_changes or ())
            assert login.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, table
            for column in {*entity.__table__.columns.keys()} - {"xmin"}:
                if column in may:
                    login.execute(f"UPDATE {table} SET {column} = {column} WHERE false")
                    continue
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    login.execute(f"UPDATE {table} SET {column} = DEFAULT WHERE false")
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    login.execute(statement)
    with psycopg.connect(dsn(own_database.servers.owner_database_url), autocommit=True) as owner:
        for statement in ("UPDATE point_entry SET points = points + 1", "DELETE FROM credit_decision", "UPDATE invoice SET amount = 1",
                          "UPDATE credit_request SET amount = amount + 1", "DELETE FROM payment_allocation"):  # fmt: skip
            with pytest.raises(psycopg.errors.RestrictViolation):
                owner.execute(statement)
        # What was said of a person goes when that person is erased.
        owner.execute("UPDATE point_entry SET reason = NULL")
    with own_database.app.app_context():
        assert list(wrong_figures()) == []


def test_the_database_itself_wants_four_eyes(own_database: Any, owner_sql: Any) -> None:
    owner_sql("INSERT INTO app_user (name, email, email_given) SELECT 'U', 'u' || n, 'u' FROM generate_series(1, 3) n")
    owner_sql("INSERT INTO party (name, roles) VALUES ('P', ARRAY['end_customer'])")
    owner_sql("INSERT INTO credit_account (party_id) VALUES (1)")
    with psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as login:

        def decide(asked: int, by: int, step: int = 1, behalf: str = "NULL") -> None:
            login.execute("INSERT INTO credit_decision (request_id, account_id, requested_by_id, decided_by_id, step, final, verdict, "
                          f"credit_limit, on_behalf_of_id) VALUES (1, 1, {asked}, {by}, {step}, {step} = 2, 'approved', 9, {behalf})")  # fmt: skip

        login.execute("INSERT INTO credit_request (account_id, amount, requested_by_id) VALUES (1, 9, 1)")
        for wrong, fault in (((1, 1), psycopg.errors.CheckViolation), ((2, 1), psycopg.errors.ForeignKeyViolation),
                             ((1, 2, 1, "1"), psycopg.errors.CheckViolation)):  # fmt: skip
            with pytest.raises(fault):
                decide(*wrong)
        decide(1, 2)
        for again in ((1, 3, 1), (1, 2, 2)):
            with pytest.raises(psycopg.errors.UniqueViolation):
                decide(*again)
        decide(1, 3, 2)
        assert login.execute("SELECT credit_limit FROM credit_account_figures").fetchone() == (9,)


# Credit


@pytest.fixture
def account(session: Any) -> Any:
    return make(face_named("credit_account"))


def asked(account: Any, by: User, amount: int) -> CreditRequest:
    with acting_as(Acting(by.id, "test")):
        db.session.execute(text("SELECT set_config('crm.actor', :id, true)"), {"id": str(by.id)})
        face = face_named("credit_request")
        request = records.create(
            face, records.read_values(face, {"account": account.id, "amount": str(amount)}, by, new=True), by
        )
    db.session.refresh(request)
    assert isinstance(request, CreditRequest)
    return request


def test_a_limit_is_what_others_decided_within_their_band(account: Any) -> None:
    seller, manager, approver, second = (person(role, name) for role, name in (
        ("admin", "Ann"), ("manager", "Max"), ("credit_approver", "Cleo"), ("credit_approver", "Dan")))  # fmt: skip
    request = asked(account, seller, 50_000)
    assert request.requested_by_id == seller.id
    assert told(approve, request, seller, reason=None).startswith("you asked for it yourself")
    assert told(approve, request, manager, reason=None) == "it is above your authority of 10,000"
    assert told(approve, request, approver, reason="Good references") == ""
    assert (request.status, account.credit_limit, account.approved_on) == (
        "approved",
        50_000,
        dt.datetime.now(dt.UTC).date(),
    )
    assert told(approve, request, second, reason=None) == "it is approved already"
    large = asked(account, seller, 500_000)
    assert large.limit_then == 50_000
    assert told(approve, large, approver, reason=None) == ""
    assert (large.status, account.credit_limit) == ("pending", 50_000)
    assert told(approve, large, approver, reason=None) == "you have approved it already: a second approver must decide"
    assert told(approve, large, second, reason=None) == ""
    assert (large.status, account.credit_limit) == ("approved", 500_000)
    lower = asked(account, approver, 1)
    assert told(refuse, lower, approver, reason="no").startswith("you asked")
    assert told(refuse, lower, second, reason="Too little") == ""
    mine = asked(account, seller, 2)
    assert told(withdraw, mine, approver) == "only who asked may take it back"
    assert told(withdraw, mine, seller) == ""
    assert (lower.status, mine.status, account.credit_limit) == ("refused", "withdrawn", 500_000)
    outsider = person("sales_rep", "Otto")
    assert told(approve, asked(account, seller, 3), outsider, reason=None).startswith("none of your roles")


def _lines_of(own: Any) -> list[int]:
    """The connections of the app to its own database."""
    with psycopg.connect(dsn(own.servers.owner_database_url), autocommit=True) as login:
        found = login.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename <> current_user"
        )
        return [number for (number,) in found]


def _cut(own: Any, number: int) -> None:
    with psycopg.connect(dsn(own.servers.superuser_url), autocommit=True) as login:
        login.execute("SELECT pg_terminate_backend(%s)", [number])


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kills", [False, True])
def test_several_approvers_at_once_decide_each_request_once(own_database: Any, owner_sql: Any, kills: bool) -> None:
    requests, many = (1_000, 16) if os.environ.get("SOAK_N") else (30, 8)
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        approvers = [person("credit_approver", f"Approver{number}").id for number in range(many)]
        db.session.commit()
    owner_sql(
        f"INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, {requests}) n"
    )
    owner_sql("INSERT INTO credit_account (party_id) SELECT id FROM party")
    owner_sql("INSERT INTO credit_request (account_id, amount, requested_by_id) SELECT id, id * (CASE id % 3 WHEN 0 THEN 100000 ELSE 10 END), "
              f"{approvers[0]} + id % {len(approvers)} FROM credit_account")  # fmt: skip

    def decide(user_id: int) -> list[str]:
        """All of them in an order of one's own, one by one or some at once, as people do."""
        said: list[str] = []
        rng = random.Random(user_id)
        order = rng.sample(range(1, requests + 1), requests)

        def work(some: list[int]) -> list[str]:
            by = db.session.get_one(User, user_id)
            refused = perform_set(approve, some, by=by, values={"reason": None, "even_stale": False}) if len(some) > 1 else {
                one.id: one.reason for one in perform(approve, some, by=by, values={"reason": None}) if not one.done}  # fmt: skip
            return [refused.get(number, "") for number in some]

        with own_database.app.app_context(), acting_as(Acting(user_id, "test")):
            while order:
                some = order[: rng.choice((1, 1, 3, 20, 60))]
                try:
                    said += run_in_transaction(partial(work, some))
                except OperationalError:
                    db.session.rollback()  # somebody cut the line: once more, whatever became of it
                else:
                    del order[: len(some)]
        return said

    with ThreadPoolExecutor(len(approvers) + 1) as pool:
        work = [pool.submit(decide, user_id) for user_id in approvers]
        while kills and not all(one.done() for one in work):
            pids = _lines_of(own_database)
            if pids:
                _cut(own_database, random.choice(pids))
            wait(work, timeout=0.05)
        said = Counter(reason for one in work for reason in one.result())
    two = sum(1 for number in range(1, requests + 1) if number % 3 == 0 and number * 100_000 > 100_000)
    if not kills:  # what was done as the line was cut is told as done already
        assert said[""] == requests + two
    assert said["you asked for it yourself: another approver must decide"] == requests
    assert owner_sql("SELECT count(*) FROM credit_decision") == [(requests + two,)]
    assert owner_sql("SELECT count(*) FROM credit_decision WHERE decided_by_id = requested_by_id") == [(0,)]
    assert owner_sql("SELECT count(*) FROM credit_request q JOIN credit_account_figures f ON f.id = q.account_id "
                     "WHERE q.status = 'approved' AND f.credit_limit = q.amount") == [(requests,)]  # fmt: skip
    with own_database.app.app_context():
        assert list(wrong_figures()) == []


def test_payments_settle_the_oldest_first_and_what_is_over_stays_as_credit(account: Any) -> None:
    by = person("finance", "Fay")
    today = dt.datetime.now(dt.UTC).date()

    def invoice(days: int, amount: int, **more: Any) -> Any:
        issued = today - dt.timedelta(days=days)
        return make(face_named("invoice"), account_id=account.id, issued_on=issued, amount=Decimal(amount),
                    **({"currency": "EUR", "due_on": issued + dt.timedelta(days=30)} | more))  # fmt: skip

    def pay(amount: int, **more: Any) -> Any:
        made = make(
            face_named("payment"), account_id=account.id, amount=Decimal(amount), **({"currency": "EUR"} | more)
        )
        settle()
        db.session.expire_all()
        return made

    newer, older, dollars = invoice(40, 100), invoice(90, 200), invoice(10, 50, currency="USD")
    assert make(
        face_named("invoice"), account_id=account.id, issued_on=today, due_on=None, currency="MYR"
    ).due_on == today + dt.timedelta(days=30)
    settle()
    first = pay(250)
    assert [(one.open_amount, one.settlement, one.ageing) for one in (older, newer, dollars)] == [
        (0, "paid", None), (50, "part_paid", "1_30"), (50, "open", "current")]  # fmt: skip
    chosen = pay(20, invoice_id=newer.id)
    over = pay(100)
    assert (newer.open_amount, over.left_amount, account.unallocated) == (0, 70, 70)
    assert told(take_back, first, by, reason="Bounced") == ""
    assert told(take_back, first, by, reason="Again") == "it was taken back already"
    assert (older.open_amount, newer.open_amount, chosen.left_amount) == (200, 50, 0)
    assert account.standing == "blocked"
    assert told(allocate, over, by) == ""
    assert (older.open_amount, over.left_amount) == (130, 0)
    assert told(allocate, over, by) == "nothing is left of it"
    assert told(credit, older, by, amount=Decimal(500), reason="Damaged") == "give an amount up to 130.00"
    assert told(credit, older, by, amount=None, reason="Damaged") == ""
    assert (older.open_amount, newer.open_amount, account.overdue) == (0, 50, 50)
    customer = account.party
    db.session.refresh(customer.customer_figures)
    assert (customer.overdue, customer.outstanding) == (50, account.outstanding)
    by_hand = "INSERT INTO payment_allocation (payment_id, invoice_id, amount) VALUES (%s, %s, 1)"
    for taker, taken_from, why in (
        (first.id, newer.id, "left of the entry"),
        (pay(9).id, dollars.id, "another currency"),
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match=why), db.session.begin_nested():
            db.session.connection().connection.cursor().execute(by_hand, (taker, taken_from))


def test_money_has_the_decimals_of_its_currency(account: Any) -> None:
    by = person("finance", "Fay")
    face = face_named("invoice")
    for currency, amount, fits in (
        ("JPY", "100.50", False),
        ("JPY", "100", True),
        ("KWD", "1.125", False),
        ("EUR", "1.25", True),
    ):
        given = {"account": account.id, "number": f"{currency} {amount}", "currency": currency, "amount": amount}
        if fits:
            records.create(face, records.read_values(face, given, by, new=True), by)
            continue
        with pytest.raises(WrongInput) as fault:
            records.create(face, records.read_values(face, given, by, new=True), by)
        assert "decimals" in fault.value.errors["amount"]


def test_a_hold_blocks_until_it_is_released(account: Any) -> None:
    by = person("credit_approver", "Cleo")
    settle()
    assert account.standing == "good"
    assert told(hold, account, by, scope="all", reason="Cheque bounced", until=None) == ""
    assert (account.standing, account.standing_reason) == ("blocked", "The account is on hold")
    assert told(release, account.holds[0], by, reason="Paid") == ""
    assert (account.standing, account.standing_reason) == ("good", None)


# Loyalty


@pytest.fixture
def member(session: Any) -> Callable[..., Any]:
    program = make(face_named("loyalty_program"), main=True, currency="EUR", state="active")
    make(face_named("loyalty_terms"), program_id=program.id, valid_from=dt.date(2020, 1, 1), points_per_unit=Decimal("0.5"),
         points_last_months=12, referrer_bonus=30, referred_bonus=20)  # fmt: skip
    return lambda **given: make(face_named("loyalty_account"), program_id=program.id, **given)


def silver_and_gold(program: Any) -> list[Any]:
    """Two tiers: reached at 100 and 500, kept down to 80 and 400."""
    return [
        make(face_named("loyalty_tier"), program_id=program.id, name=name, rank=rank, enter_at=Decimal(enter), leave_below=Decimal(leave))
        for name, rank, enter, leave in (("Silver", 1, 100, 80), ("Gold", 2, 500, 400))
    ]  # fmt: skip


def members_with_100_points(owner_sql: Any, number: int) -> None:
    """Customers 1 to `number` of an own database, members of its one program."""
    owner_sql("INSERT INTO loyalty_program (name, kinds, currency, main) VALUES ('L', ARRAY['points'], 'EUR', true)")
    owner_sql(
        f"INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, {number}) n"
    )
    owner_sql("INSERT INTO loyalty_account (party_id, program_id) SELECT id, 1 FROM party ORDER BY id")
    owner_sql(
        "INSERT INTO point_entry (account_id, kind, points, source) SELECT id, 'earn', 100, 's' || id FROM loyalty_account"
    )


def lot(account: Any, points: int, days: int | None) -> Any:
    today = dt.datetime.now(dt.UTC).date()
    made = make(face_named("point_entry"), account_id=account.id, points=points,
                expires_on=None if days is None else today + dt.timedelta(days=days))  # fmt: skip
    settle()
    db.session.expire_all()
    return made


def test_points_go_out_of_the_lots_that_expire_first_and_back_into_the_same(member: Any) -> None:
    by, account = person("admin", "Ann"), member()
    never, late, soon, gone = (
        lot(account, points, days) for points, days in ((100, None), (50, 90), (30, 5), (40, -1))
    )
    wanted = make(
        face_named("reward"), program_id=account.program_id, points=60, valid_from=dt.date(2020, 1, 1), valid_until=None
    )

    def left() -> list[int]:
        db.session.expire_all()
        return [one.remaining for one in (never, late, soon, gone)]

    assert told(redeem, account, by, reward=wanted.id) == ""
    assert left() == [100, 20, 0, 40]
    assert told(redeem, account, by, reward=None) == "say either for which reward or how many points"
    assert told(redeem, account, by, reward=wanted.id) == ""
    assert left() == [60, 0, 0, 40]
    assert told(redeem, account, by, reward=wanted.id) == ""
    assert told(redeem, account, by, reward=wanted.id) == "there aren't as many points"
    _, second, first = account.redemptions
    assert told(void, second, by, reason="Not there") == ""
    assert left() == [40, 20, 0, 40]
    assert told(capture, first, by) == ""
    assert told(void, first, by, reason="x") == "it is given already"
    assert told(expire, account.program, by) == ""
    assert told(expire, account.program, by) == ""
    assert left() == [40, 20, 0, 0]
    assert told(adjust, account, by, points=-61, reason="Mistake") == "there aren't as many points"
    assert told(adjust, account, by, points=5, reason="Sorry") == ""
    figures = (account.points, account.earned, account.redeemed, account.expired, account.rewards_held)
    assert figures == (65, 220, 120, 40, 2)
    customer = account.party
    assert (customer.points, customer.rewards_held, customer.next_points_expiry_on, customer.points_expiring) == (
        65, 2, late.expires_on, 20)  # fmt: skip


def test_an_order_earns_once_by_terms_and_tier(member: Any) -> None:
    by, account = person("admin", "Ann"), member()
    account.tier_id = make(
        face_named("loyalty_tier"), program_id=account.program_id, multiplier=Decimal("1.5"), name="Gold"
    ).id
    order = make(face_named("order"), customer_id=account.party_id, state="completed", currency="EUR")
    make(
        face_named("order_line"), order_id=order.id, quantity=Decimal(1), unit_price=Decimal("33.40"), discount=0, tax=0
    )
    assert told(earn, account, by, order=order.id) == ""
    assert told(earn, account, by, order=order.id) == "it counts already"
    assert told(earn, account, by, order=make(face_named("order")).id) == "that is no order of this customer"
    assert (account.points, account.party.tier) == (25, "Gold")  # 25.05, rounded once
    assert told(accept_terms, account, by) == ""
    assert account.terms.version == 1


def test_a_referral_rewards_both_once(member: Any) -> None:
    by, referrer, friend = person("admin", "Ann"), member(), member()
    brought = make(
        face_named("referral"),
        referrer_id=referrer.party_id,
        referred_id=friend.party_id,
        program_id=referrer.program_id,
    )
    assert told(reward, brought, by) == ""
    assert told(reward, brought, by) == "both have their bonus already"
    assert (referrer.points, friend.points, brought.state) == (30, 20, "rewarded")


def test_many_at_once_never_take_more_points_than_there_are(own_database: Any, owner_sql: Any) -> None:
    owner_sql("INSERT INTO party (name, roles) VALUES ('P', ARRAY['end_customer'])")
    owner_sql("INSERT INTO loyalty_program (name, kinds, currency, main) VALUES ('L', ARRAY['points'], 'EUR', true)")
    owner_sql("INSERT INTO loyalty_account (party_id, program_id) VALUES (1, 1)")
    owner_sql(
        "INSERT INTO point_entry (account_id, kind, points, source) SELECT 1, 'earn', 10, 'e' || n FROM generate_series(1, 20) n"
    )

    def take(number: int) -> int:
        done = 0
        with psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as login:
            for turn in range(5):
                try:
                    login.execute(
                        f"INSERT INTO point_entry (account_id, kind, points, source) VALUES (1, 'redeem', -7, 'r{number}.{turn}')"
                    )
                    done += 1
                except psycopg.errors.CheckViolation:
                    pass
        return done

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(take, range(16))) == 200 // 7
    assert owner_sql("SELECT points, in_lots FROM loyalty_account_sums") == [(200 - 7 * (200 // 7),) * 2]
    with own_database.app.app_context():
        assert list(wrong_figures()) == []
    assert owner_sql(
        "SELECT count(*) FROM point_entry e JOIN point_entry_figures f USING (id) WHERE f.remaining < 0"
    ) == [(0,)]


def test_decisions_are_never_typed_into_a_form_or_the_api(session: Any, api_key: Any, app: Any) -> None:
    make(face_named("credit_decision"))
    db.session.commit()
    ask, key = app.test_client(), api_key()
    for path in ("credit-decisions", "point-entries", "point-allocations", "payment-allocations", "cashback-entries"):
        assert ask.post(f"/api/v1/{path}", headers=key, json={}).status_code in (403, 404, 405), path
        assert ask.patch(f"/api/v1/{path}/1", headers=key | {"If-Match": "1"}, json={}).status_code in (
            403,
            404,
            405,
        ), path
    number = db.session.scalar(select(CreditDecision.request_id).limit(1))
    answer = ask.patch(f"/api/v1/credit-requests/{number}", headers=key | {"If-Match": "1"}, json={"amount": "9"})
    assert answer.status_code in (403, 404, 405)
