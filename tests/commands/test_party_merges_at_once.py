"""Several people merge, undo, enter and change at once: no circle, nothing lost, and half a merge is none."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from crm.commands.loyalty import redeem
from crm.commands.party_merges import merge_parties
from crm.commands.party_unmerges import unmerge
from crm.core import figures
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused
from crm.core.entity import db
from crm.core.jobs import JobState
from crm.core.transaction import run_in_transaction
from crm.models.access import User
from crm.models.imports import Duplicates, Import
from crm.models.loyalty_accounts import LoyaltyAccount, Membership
from crm.models.party_merges import Merge, MergeState
from jobs.runner import run_here
from tests.commands.test_parties import until_somebody_waits
from tests.importing.conftest import asked, counts

PARTIES, PEOPLE, TIMES, IMPORTS = 6, 4, 8, 3
SUMS = ("SELECT (SELECT count(*) FROM sales_order), (SELECT sum(points) FROM point_entry), (SELECT sum(remaining) FROM point_entry_figures), "
        "(SELECT sum(orders_count) FROM customer_figures), (SELECT sum(points) FROM customer_figures)")  # fmt: skip
CREDIT = ("SELECT (SELECT sum(amount) FROM invoice) - (SELECT sum(amount) FROM payment), (SELECT sum(outstanding) FROM customer_figures), "
          "(SELECT count(*) FROM credit_account a JOIN merge m ON m.merged_party_id = a.party_id AND m.state = 'made')")  # fmt: skip


@pytest.fixture
def filled(owner_sql: Any) -> None:
    owner_sql(
        "INSERT INTO party (name, account_number, roles) SELECT 'P' || n, 'A' || n, ARRAY['business_customer'] "
        f"FROM generate_series(1, {PARTIES}) n"
    )
    owner_sql(
        "INSERT INTO loyalty_program (name, kinds, main, currency, state) VALUES ('L', '{points}', true, 'EUR', 'active')"
    )
    owner_sql("INSERT INTO loyalty_account (party_id, program_id) SELECT p.id, l.id FROM party p, loyalty_program l")
    owner_sql(
        "INSERT INTO point_entry (account_id, kind, points, source) SELECT id, 'earn', 100, 's' || id FROM loyalty_account"
    )
    owner_sql("INSERT INTO sales_order (customer_id, currency, state) SELECT id, 'EUR', 'completed' FROM party")
    owner_sql("INSERT INTO credit_account (party_id) SELECT id FROM party")
    owner_sql("INSERT INTO invoice (account_id, number, amount, currency) SELECT a.id, 'I' || a.id, 1000, o.currency "
              "FROM credit_account a, organisation o")  # fmt: skip
    owner_sql(
        "INSERT INTO payment (account_id, amount, currency) SELECT a.id, 1, o.currency FROM credit_account a, organisation o"
    )


@pytest.mark.soak
def test_merges_both_ways_chains_undo_orders_and_edits_at_once(own_database, owner_sql, filled, soak_round):
    entered: list[int] = []
    by = owner_sql("INSERT INTO app_user (email, name) VALUES ('till@example.com', 'Till') RETURNING id")[0][0]

    def one_of(pick: random.Random) -> int:
        """Answers how many points it took."""
        kept, merged, *others = pick.sample(range(1, PARTIES + 1), pick.choice((2, 2, 3)))
        what = pick.random()
        if what < 0.35:
            merge_parties(kept, [merged, *others], by=None)
        elif what < 0.5:
            made = db.session.scalars(select(Merge).where(Merge.state == MergeState.MADE).order_by(Merge.id)).all()
            if made:
                unmerge(pick.choice(made), by=None)
        elif what < 0.65:
            db.session.execute(
                text("INSERT INTO sales_order (customer_id, currency, state) VALUES (:id, 'EUR', 'completed')"),
                {"id": merged},
            )
        elif what < 0.75:
            account = db.session.scalar(select(LoyaltyAccount).where(
                LoyaltyAccount.party_id == merged, LoyaltyAccount.state == Membership.ACTIVE).limit(1))  # fmt: skip
            if account is not None:
                redeem.run(account, by=db.session.get_one(User, by), points=7)
                return 7
        elif what < 0.9:
            db.session.execute(text("INSERT INTO payment (account_id, amount, currency) SELECT a.id, 3, o.currency "
                                    "FROM credit_account a, organisation o WHERE a.party_id = :id ORDER BY a.id LIMIT 1"),
                               {"id": merged})  # fmt: skip
        else:
            db.session.execute(
                text("UPDATE party SET description = :said WHERE id = :id"), {"said": str(what), "id": merged}
            )
        return 0

    def person(seed: int) -> None:
        pick = random.Random(seed)
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            for _ in range(TIMES):
                try:
                    entered.append(run_in_transaction(lambda: one_of(pick)))
                except Refused:
                    continue
            db.session.remove()

    def importer() -> list[dict[str, int]]:
        """The same records from files, time and again, by their numbers: those of merged ones mean who stands for them."""
        found = []
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            for turn in range(IMPORTS):
                lines = [f"A{number},P{number},Industry {soak_round} {turn}" for number in range(1, PARTIES + 1)]
                record, job = asked("\n".join(["account_number,name,industry", *lines]), duplicates=Duplicates.UPDATE,
                                    match="account_number")  # fmt: skip
                number = record.id
                assert run_here(job.id).state is JobState.DONE
                db.session.expire_all()
                found.append(counts(db.session.get_one(Import, number)))
            db.session.remove()
        return found

    with ThreadPoolExecutor(PEOPLE + 1) as pool:
        importing = pool.submit(importer)
        for done in [pool.submit(person, soak_round * PEOPLE + number) for number in range(PEOPLE)]:
            done.result(120)
        imported = importing.result(120)
    assert [sum(found.values()) for found in imported] == [PARTIES] * IMPORTS
    assert entered
    to = dict(tuple(row) for row in owner_sql("SELECT merged_party_id, kept_party_id FROM merge WHERE state = 'made'"))
    for start in to:
        seen = [start]
        while seen[-1] in to:
            seen.append(to[seen[-1]])
            assert len(seen) == len(set(seen)), "round in a circle"
    assert (
        owner_sql(
            "SELECT o.id FROM sales_order o JOIN merge m ON m.merged_party_id = o.customer_id AND m.state = 'made'"
        )
        == []
    )
    orders, points, left, counted, shown = owner_sql(SUMS)[0]
    worth = PARTIES * 100 - sum(entered)
    assert (points, left, shown, counted) == (worth, worth, worth, orders)
    owed, outstanding, behind = owner_sql(CREDIT)[0]
    assert (outstanding, behind) == (owed, 0)
    with own_database.app.app_context():
        assert list(figures.differences(db.session.connection())) == []
        db.session.remove()


def test_who_is_cut_off_in_the_middle_leaves_nothing(own_database, owner_sql, filled):
    before = owner_sql(SUMS)
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        merge_parties(1, [2, 3], by=None)
        db.session.connection().connection.driver_connection.pgconn.finish()
        with pytest.raises(DBAPIError):
            db.session.commit()
        db.session.rollback()
        db.session.remove()
    assert owner_sql("SELECT count(*) FROM merge")[0][0] == 0
    assert owner_sql("SELECT count(*) FROM party WHERE archived_at IS NOT NULL")[0][0] == 0
    assert owner_sql(SUMS) == before


def test_what_a_file_says_of_one_that_is_merged_this_very_moment_lands_at_the_one_that_is_kept(
    own_database, owner_sql, filled
):
    def imported() -> dict[str, int]:
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            lines = [f"A{number},P{number},Industry {number}" for number in range(1, PARTIES + 1)]
            record, job = asked("\n".join(["account_number,name,industry", *lines]), duplicates=Duplicates.UPDATE,
                                match="account_number")  # fmt: skip
            number = record.id
            assert run_here(job.id).state is JobState.DONE
            found = counts(db.session.get_one(Import, number, populate_existing=True))
            db.session.remove()
        return found

    with own_database.app.app_context(), acting_as(Acting(via="test")), ThreadPoolExecutor(1) as pool:
        merge_parties(PARTIES, [1, 2], by=None)
        done = pool.submit(imported)
        try:
            until_somebody_waits(own_database)
        finally:
            db.session.commit()
        assert done.result(120) == {"updated": PARTIES}
        db.session.remove()
    assert owner_sql("SELECT industry FROM party ORDER BY id") == [
        (None,), (None,), *((f"Industry {number}",) for number in range(3, PARTIES + 1))]  # fmt: skip
