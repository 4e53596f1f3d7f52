"""Who waits for whom: two who hold an account each may enter something on the other's; a merge makes everybody wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest

from crm.commands.loyalty_moves import transfer
from crm.core.command import lock_in_order
from crm.core.entity import db
from crm.logins import dsn
from crm.models.access import User
from crm.models.loyalty_accounts import LoyaltyAccount
from crm.models.parties import Party
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import members_with_100_points, person


def test_two_give_each_other_points_at_once_and_neither_starts_again(own_database: Any, owner_sql: Any) -> None:
    members_with_100_points(owner_sql, 2)
    with own_database.app.app_context():
        by = person("admin", "Ann").id
        db.session.commit()
    both_hold_theirs = Barrier(2, timeout=20)

    def give(number: int, points: int) -> None:
        """Without the edge, which would do it again."""
        with own_database.app.app_context():
            [account] = lock_in_order(LoyaltyAccount, [number])
            both_hold_theirs.wait()
            given: dict[str, Any] = {"to": 3 - number, "points": points, "reason": "x"}
            transfer.run(account, by=db.session.get_one(User, by), **given)
            db.session.commit()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(give, (1, 2), (30, 10)))
    assert owner_sql("SELECT id, points, in_lots FROM loyalty_account_sums ORDER BY id") == [(1, 80, 80), (2, 120, 120)]
    with own_database.app.app_context():
        assert list(wrong_figures()) == []


def test_who_holds_a_party_alone_keeps_others_from_entering_what_names_it(own_database: Any, owner_sql: Any) -> None:
    owner_sql("INSERT INTO party (name, roles) VALUES ('P', ARRAY['end_customer'])")
    owner_sql("INSERT INTO loyalty_program (name, kinds, currency) VALUES ('L', ARRAY['points'], 'EUR')")
    names_it = "INSERT INTO loyalty_account (party_id, program_id) VALUES (1, 1)"
    with (
        own_database.app.app_context(),
        psycopg.connect(dsn(own_database.servers.database_url), autocommit=True) as other,
    ):
        other.execute("SET lock_timeout = '100ms'")
        assert len(lock_in_order(Party, [1], alone=True)) == 1
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(names_it)
        db.session.rollback()
        assert len(lock_in_order(Party, [1])) == 1
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("UPDATE party SET name = 'Q'")
        other.execute(names_it)
        db.session.rollback()
