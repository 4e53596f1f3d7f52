"""Idempotency-Key: the same POST again is answered, not done."""

from __future__ import annotations

import datetime as dt
import threading

from sqlalchemy import func, select, update

from crm.core.entity import db
from crm.models.access import IdempotencyKey
from crm.models.parties import Party
from tests.api.conftest import new_program


def count(session, name: str) -> int:
    return session.scalar(select(func.count()).select_from(Party).where(Party.name == name))


def test_the_same_again_gets_the_same_answer(program, session):
    ask = program()
    first = ask("POST", "/customers", {"name": "Once", "industry": "x"}, Idempotency_Key="k1")
    again = ask("POST", "/customers", b'{ "industry":"x", "name":"Once" }', Idempotency_Key="k1")
    assert (again.status_code, again.data) == (201, first.data)
    assert (again.headers["Location"], again.headers["ETag"]) == (
        first.headers["Location"],
        first.headers["ETag"],
    )
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert count(session, "Once") == 1
    assert ask("POST", "/customers", {"name": "Once"}).status_code == 201
    assert program()("POST", "/customers", {"name": "Once"}, Idempotency_Key="k1").status_code == 201
    assert count(session, "Once") == 3


def test_the_same_key_for_something_else_is_refused(program, session):
    ask = program()
    number = ask("POST", "/customers", {"name": "Once"}, Idempotency_Key="k1").get_json()["id"]
    for path, body in (
        ("/customers", {"name": "Other"}),
        ("/vendors", {"name": "Once"}),
        (f"/customers/{number}/block", {"reason": "x"}),
    ):
        answer = ask("POST", path, body, Idempotency_Key="k1")
        assert (answer.status_code, list(answer.get_json()["errors"])) == (422, ["Idempotency-Key"])
    assert count(session, "Other") == 0


def test_commands_too_and_a_refusal_keeps_nothing(program):
    ask = program()
    number = ask("POST", "/customers", {"name": "Once"}).get_json()["id"]
    path = f"/customers/{number}/block"
    assert ask("POST", path, {}, Idempotency_Key="b").status_code == 422
    assert [ask("POST", path, {"reason": "x"}, Idempotency_Key="b").status_code for _ in range(3)] == [
        200,
        200,
        200,
    ]
    assert ask("POST", path, {"reason": "x"}, Idempotency_Key="c").status_code == 409
    assert ask("POST", f"/customers/{number}/unblock", {}).status_code == 200
    assert ask("POST", path, {"reason": "x"}, Idempotency_Key="c").status_code == 200


def test_who_lost_the_right_gets_no_stored_answer(program, session):
    ask = program("customers:write")
    ask("POST", "/customers", {"name": "Once"}, Idempotency_Key="k1")
    session.execute(db.text("UPDATE api_key SET scopes = '{customers:read}'"))
    session.commit()
    assert ask("POST", "/customers", {"name": "Once"}, Idempotency_Key="k1").status_code == 403


def test_keys_that_cant_be_kept_are_refused(program):
    for key in ("", "x" * 256, "\x7f", "a\tb"):
        assert program()("POST", "/customers", {"name": "x"}, Idempotency_Key=key).status_code == 400, key


def test_stored_answers_go_after_a_day(program, session):
    ask = program()
    ask("POST", "/customers", {"name": "Old"}, Idempotency_Key="old")
    session.execute(update(IdempotencyKey).values(created_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=25)))
    session.commit()
    ask("POST", "/customers", {"name": "New"}, Idempotency_Key="new")
    session.expire_all()
    assert list(session.scalars(select(IdempotencyKey.key))) == ["new"]


def test_twenty_at_once_are_done_once(own_database):
    ask = new_program(own_database.app)
    barrier, answers = threading.Barrier(8, timeout=20), []

    def send(body: dict[str, str], path: str, key: str) -> None:
        barrier.wait()
        answers.append(ask("POST", path, body, Idempotency_Key=key))

    def together(body: dict[str, str], path: str, key: str) -> set[tuple[int, bytes]]:
        answers.clear()
        threads = [threading.Thread(target=send, args=(body, path, key)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(answers) == 8
        return {(answer.status_code, answer.data) for answer in answers}

    made = together({"name": "Once"}, "/customers", "k1")
    assert [status for status, _ in made] == [201]
    with own_database.app.app_context():
        assert count(db.session, "Once") == 1
        number = db.session.scalar(select(Party.id))
    done = together({"reason": "x"}, f"/customers/{number}/block", "k2")
    assert [status for status, _ in done] == [200]


def test_of_many_changes_at_once_with_one_version_one_wins(own_database):
    ask = new_program(own_database.app)
    number = ask("POST", "/customers", {"name": "Once"}).get_json()["id"]
    tag = ask("GET", f"/customers/{number}").headers["ETag"]
    barrier, answers = threading.Barrier(6, timeout=20), []

    def send(word: str) -> None:
        barrier.wait()
        answers.append(ask("PATCH", f"/customers/{number}", {"industry": word}, If_Match=tag).status_code)

    threads = [threading.Thread(target=send, args=(f"word {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [200, 412, 412, 412, 412, 412]
