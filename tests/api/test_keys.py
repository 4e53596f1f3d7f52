"""Keys: who comes in, how long, how often, and that their use is noted."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import event, select, update

from crm.api.rate import Buckets
from crm.commands.access import hash_token
from crm.core.entity import db
from crm.models.access import ApiKey, User


def the_key(session, ask) -> ApiKey:
    secret = ask.headers["Authorization"].split()[1]
    session.expire_all()
    return session.scalars(select(ApiKey).where(ApiKey.key_hash == hash_token(secret))).one()


def test_a_revoked_or_expired_key_or_a_locked_user_is_nobody(program, session):
    now = dt.datetime.now(dt.UTC)
    for change in ({"revoked_at": now}, {"expires_at": now - dt.timedelta(seconds=1)}):
        ask = program("customers:read", days=2)
        assert ask("GET", "/customers").status_code == 200
        session.execute(update(ApiKey).where(ApiKey.id == the_key(session, ask).id).values(**change))
        session.commit()
        answer = ask("GET", "/customers")
        assert (answer.status_code, "invalid_token" in answer.headers["WWW-Authenticate"]) == (401, True)
    ask = program("customers:read")
    session.execute(update(User).where(User.id == ask.user_id).values(active=False))
    session.commit()
    assert ask("GET", "/customers").status_code == 401


def test_what_is_no_key_is_refused(program):
    ask = program()
    good = ask.headers["Authorization"]
    for sent in (
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer cdk_short",
        good[:-1],
        good + "x",
        "Bearer \xe9" * 30,
        "Bearer " + "x" * 5000,
    ):
        assert ask("GET", "/customers", Authorization=sent).status_code == 401, sent
    assert ask("GET", "/customers", Authorization=good.replace("Bearer", "bearer")).status_code == 200
    assert ask("GET", "/nowhere/at/all/really", Authorization="").status_code == 401


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(program, session):
    ask = program("customers:read")
    assert the_key(session, ask).last_used_at is None
    ask.get("/customers")
    first = the_key(session, ask).last_used_at
    assert first is not None
    ask.get("/customers")
    assert the_key(session, ask).last_used_at == first
    earlier = first - dt.timedelta(minutes=2)
    session.execute(update(ApiKey).values(last_used_at=earlier))
    session.commit()
    ask.get("/customers")
    last = the_key(session, ask).last_used_at
    assert last is not None
    assert last > earlier


def test_a_look_up_asks_the_database_few_questions(program, session):
    ask = program("customers:read")
    program()("POST", "/customers", {"name": "Ana", "email": "ana@example.com", "owner": ask.user_id})
    ask.get("/customers?email=ana@example.com")
    said: list[str] = []

    def listen(_connection, _cursor, statement, *_rest):
        said.append(statement)

    engine = db.engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        assert len(ask.get("/customers?email=ana@example.com")["items"]) == 1
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    # Who acts; key, user and rights; the customer; its figures; its addresses; its owner's name.
    assert len([one for one in said if one.startswith(("SELECT", "UPDATE", "INSERT"))]) == 6, said


def test_too_many_requests_wait(app, program):
    ask, other = program("customers:read"), program("customers:read")
    before = app.extensions.pop("crm_api_buckets", None)
    app.extensions["crm_api_buckets"] = Buckets(per_minute=6, burst=3)
    try:
        assert [ask("GET", "/customers").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = ask("GET", "/customers")
        assert (answer.status_code, 1 <= int(answer.headers["Retry-After"]) <= 10) == (429, True)
        assert other("GET", "/customers").status_code == 200
    finally:
        app.extensions.pop("crm_api_buckets")
        if before is not None:
            app.extensions["crm_api_buckets"] = before


def test_tokens_come_back_evenly_up_to_the_burst():
    now = [0.0]
    buckets = Buckets(per_minute=60, burst=2, clock=lambda: now[0])
    assert [buckets.take(1) for _ in range(3)] == [0, 0, 1]
    now[0] += 1.0
    assert [buckets.take(1), buckets.take(1)] == [0, 1]
    now[0] += 1_000
    assert [buckets.take(1) for _ in range(3)] == [0, 0, 1]
