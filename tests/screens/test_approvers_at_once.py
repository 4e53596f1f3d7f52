"""Several approvers on the same requests at the same time, by the screens and the API: each is decided once."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from crm.commands import access
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.models.access import User
from crm.queries.figures import wrong_figures
from tests.commands.test_ledgers import _cut, _lines_of
from tests.conftest import sign_in

ACTION = "/admin/credit-requests/action/"


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kills", [False, True])
def test_each_request_is_decided_once_by_somebody_else_and_nothing_breaks(
    own_database: Any, owner_sql: Any, kills: bool
) -> None:
    requests, many = (1_000, 16) if os.environ.get("SOAK_N") else (40, 6)
    app = own_database.app
    people = [sign_in(app, "credit_approver") for _ in range(many)]
    with app.app_context(), acting_as(Acting(via="test")):
        keys = {one.user_id: access.create_key(name="test", user=db.session.get_one(User, one.user_id), scopes=access.scope_names())[1]
                for one in people}  # fmt: skip
        db.session.commit()
        db.session.remove()
    owner_sql(
        f"INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, {requests}) n"
    )
    owner_sql("INSERT INTO credit_account (party_id) SELECT id FROM party ORDER BY id")
    owner_sql("INSERT INTO credit_request (account_id, amount, requested_by_id) SELECT id, id * (CASE id % 3 WHEN 0 THEN 100000 ELSE 10 END), "
              f"({[one.user_id for one in people]}::bigint[])[1 + id % {many}] FROM credit_account".replace("([", "(ARRAY["))  # fmt: skip

    def sent(person: Any, some: list[int]) -> tuple[int, set[int]]:
        if len(some) > 1:
            given = {"action": "approve", "rowid": some, "confirm": "1", "reason": "Good"}
            return person.client.post(ACTION, data=given).status_code, {200, 302, 303}
        key = {"Authorization": f"Bearer {keys[person.user_id]}"}
        answer = person.client.post(f"/api/v1/credit-requests/{some[0]}/approve", json={"reason": "Good"}, headers=key)
        return answer.status_code, {200, 409}

    def decide(person: Any) -> None:
        """Whatever breaks within is raised here."""
        rng = random.Random(person.user_id)
        order = rng.sample(range(1, requests + 1), requests)
        while order:
            try:
                code, expected = sent(person, some := order[: rng.choice((1, 5, 20, 50))])
            except OperationalError:
                assert kills
                continue  # a line was cut: once more, whatever became of it
            assert code in expected
            del order[: len(some)]

    with ThreadPoolExecutor(many) as pool:
        work = [pool.submit(decide, person) for person in people]
        for _ in range(requests // 2 if kills else 0):
            if all(one.done() for one in work):
                break
            if pids := _lines_of(own_database):
                _cut(own_database, random.choice(pids))
            wait(work, timeout=0.2)
        for one in work:
            one.result()
    two = sum(1 for number in range(1, requests + 1) if number % 3 == 0 and number * 100_000 > 100_000)
    assert owner_sql(
        "SELECT count(*), count(*) FILTER (WHERE decided_by_id = requested_by_id) FROM credit_decision"
    ) == [(requests + two, 0)]
    assert owner_sql("SELECT count(*) FROM credit_request q JOIN credit_account_figures f ON f.id = q.account_id "
                     "WHERE q.status = 'approved' AND f.credit_limit = q.amount") == [(requests,)]  # fmt: skip
    with app.app_context():
        assert list(wrong_figures()) == []
