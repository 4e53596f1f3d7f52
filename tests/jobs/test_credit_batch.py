"""Many credit requests approved by one job: progress, what became of each, and nobody's own among them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from sqlalchemy import func, select, text

from crm.commands.batch import ask_for_all
from crm.core.entity import db, face_named
from crm.core.jobs import JobItem
from crm.queries.credit_decisions import OWN
from jobs import commands, runner
from tests.jobs.conftest import Desk

MANY = 10_000 if os.environ.get("SOAK_N") else 300


@pytest.mark.soak
def test_a_batch_of_approvals_says_what_became_of_each(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SET_CHUNK", MANY // 2)
    seller, approver = desk.user("sales_rep"), desk.user("credit_approver")
    given: dict[str, Any] = {"many": MANY, "seller": seller.id, "approver": approver.id}
    for statement in (
        "INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, :many) n",
        "INSERT INTO credit_account (party_id) SELECT id FROM party ORDER BY id",
        # Every tenth is the approver's own; every twentieth of the others needs a second one.
        """INSERT INTO credit_request (account_id, amount, requested_by_id)
           SELECT id, CASE WHEN n % 20 = 1 THEN 200000 ELSE n END, CASE WHEN n % 10 = 0 THEN :approver ELSE :seller END
             FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM credit_account) a WHERE :many > 0""",
    ):
        db.session.execute(text(statement), {name: value for name, value in given.items() if f":{name}" in statement})
        db.session.commit()
    face = face_named("credit_request")
    job = ask_for_all(face, "approve", [("flt_status_eq", "pending")], {"reason": "Good"}, by=approver)
    number = job.id
    db.session.commit()
    assert runner.run(number) == "done"
    own, two = MANY // 10, MANY // 20
    told = desk.job(number)
    assert (told.result, told.done, told.total) == ({"done": MANY - own, "refused": own}, MANY, MANY)
    reasons = db.session.execute(
        select(JobItem.reason, func.count()).where(JobItem.job_id == number).group_by(JobItem.reason)
    )
    assert dict(reasons.all()) == {None: MANY - own, OWN: own}
    states = db.session.execute(text("SELECT status, count(*) FROM credit_request GROUP BY 1"))
    assert dict(states.all()) == {"approved": MANY - own - two, "pending": own + two}
    wrong = """SELECT count(*) FROM credit_request q JOIN credit_account_figures f ON f.id = q.account_id
                WHERE f.credit_limit <> CASE WHEN q.status = 'approved' THEN q.amount ELSE 0 END"""
    assert db.session.scalar(text(wrong)) == 0
