"""While the database is away nobody is told that something broke, and programs are told when to come again."""

from __future__ import annotations

from typing import Any

import psycopg

from crm.commands import access
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.logins import dsn
from crm.models.access import User
from tests.conftest import sign_in


def test_a_request_while_the_database_is_away_is_asked_to_come_again(own_database: Any) -> None:
    app = own_database.app
    person = sign_in(app, "credit_approver")
    with app.app_context(), acting_as(Acting(via="test")):
        user = db.session.get_one(User, person.user_id)
        key = access.create_key(name="till", user=user, scopes=access.scope_names())[1]
        db.session.commit()
        db.session.remove()
        name = db.engine.url.database
    app.testing = False  # as where it is served: what breaks becomes a page
    ask, bearer = app.test_client(), {"Authorization": f"Bearer {key}"}
    answers = []
    with psycopg.connect(dsn(own_database.servers.superuser_url), autocommit=True) as owner:
        for there in (True, False, True):
            owner.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {str(there).lower()}')
            if not there:
                owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            for _ in range(1 + there):  # a line that was cut is noticed by the first who takes it
                screen = person.client.get("/admin/credit-requests/")
                program = ask.get("/api/v1/credit-requests", headers=bearer)
            answers.append((screen.status_code, program.status_code, program.headers.get("Retry-After")))
            if not there:
                assert "can’t be reached just now" in screen.text
                assert program.content_type == "application/problem+json"
    assert answers == [(200, 200, None), (503, 503, "2"), (200, 200, None)]
