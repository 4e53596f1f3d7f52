"""Users, sign-in, sessions, roles and keys: who gets in, who doesn't, and who is out at once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, update

from app import main
from crm.commands import access
from crm.core.audit import Acting, acting_as
from crm.core.command import Refused, WrongInput
from crm.core.entity import db
from crm.core.permissions import Scope, allowed
from crm.core.transaction import run_in_transaction
from crm.models.access import ApiKey, AuditEntry, LoginAttempt, Role, User, UserSession
from crm.queries.history import history
from tests.conftest import Own

GOOD = "correct horse battery staple"
EMAIL = "ann@example.com"


@pytest.fixture
def ann(session: Any) -> User:
    return access.create_user(email=EMAIL, role="sales_rep", name="Ann", password=GOOD)[0]


@pytest.fixture
def admin(session: Any) -> Iterator[User]:
    user, _ = access.create_user(email="admin@example.com", role="admin", password=GOOD)
    with acting_as(Acting(user.id, "test")):
        yield user


def sign_in(password: str = GOOD, email: str = EMAIL, ip: str = "10.0.0.1") -> tuple[User, str] | None:
    return access.sign_in(email, password, ip=ip, user_agent="test")


def token(**more: str) -> str:
    found = sign_in(**more)
    assert found is not None
    return found[1]


def age(**by: int) -> None:
    """Make every try look older."""
    db.session.execute(update(LoginAttempt).values(created_at=LoginAttempt.created_at - dt.timedelta(**by)))


# Users


def test_a_new_user_has_a_role_and_a_password_of_his_own(session: Any) -> None:
    user, password = access.create_user(email=" New.Person@Example.com ", role="manager")
    assert (user.email, user.name, user.must_change_password) == ("new.person@example.com", "New Person", True)
    assert [role.name for role in user.roles] == ["manager"]
    assert len(password) >= access.SHORTEST_PASSWORD
    assert user.password_hash is not None
    assert user.password_hash.startswith("$argon2id$")
    assert password not in user.password_hash
    assert sign_in(password, user.email) is not None


def test_a_password_that_was_given_need_not_be_changed(ann: User) -> None:
    assert not ann.must_change_password


@pytest.mark.parametrize(("given", "field", "said"), [
    ({"role": "boss"}, "role", "“boss” is not a role; use one of: admin, manager"), ({"role": ""}, "role", "is not a role"),
    ({"email": "nobody"}, "email", "is not an e-mail address"), ({"email": "  "}, "email", "is required"),
    ({"email": "ANN@example.com"}, "email", "ann@example.com has a user already"),
    ({"password": "eleven char"}, "password", "is too short: at least 12 characters"),
    ({"password": ""}, "password", "is too short"), ({"password": "x" * 201}, "password", "longer than 200"),
    ({"email": "long.name.of@example.com", "password": "LONG.NAME.OF@example.com"}, "password", "too easy"),
])  # fmt: skip
def test_a_user_that_cannot_be_is_refused_and_not_made(ann: User, given: dict[str, str], field: str, said: str) -> None:
    before = db.session.scalar(select(func.count()).select_from(User))
    with pytest.raises(WrongInput) as fault:
        access.create_user(**({"email": "other@example.com", "role": "manager", "password": GOOD} | given))
    assert list(fault.value.errors) == [field]
    assert said in fault.value.errors[field]
    assert db.session.scalar(select(func.count()).select_from(User)) == before


def test_a_password_is_nowhere_in_the_audit(ann: User) -> None:
    access.set_password(ann, "another good password")
    db.session.flush()
    assert "password_hash" not in {change.column for event in history(ann) for change in event.changes}
    ann.name = "Ann B"
    db.session.flush()
    assert {change.column for change in history(ann)[0].changes} == {"name"}


# Sign-in


@pytest.mark.parametrize("email", [EMAIL, " ANN@Example.com "])
def test_the_right_password_opens_a_session(ann: User, email: str) -> None:
    secret = token(email=email)
    row = db.session.scalars(select(UserSession)).one()
    assert (row.user_id, row.ip, row.user_agent) == (ann.id, "10.0.0.1", "test")
    assert secret not in (row.token_hash, str(row.id))
    assert access.session_user(secret) is ann
    assert ann.last_login_at is not None


@pytest.mark.parametrize(("email", "password"), [
    (EMAIL, "wrong"), (EMAIL, ""), (EMAIL, GOOD + " "), (EMAIL, GOOD.upper()), ("nobody@example.com", GOOD), ("", ""),
    (EMAIL + "\x00", GOOD), ("\ud800", GOOD), ("x" * 5000, "y" * 5000),
])  # fmt: skip
def test_a_wrong_password_or_name_is_written_down_and_opens_nothing(ann: User, email: str, password: str) -> None:
    assert sign_in(password, email) is None
    tried = db.session.scalars(select(LoginAttempt)).one()
    assert not tried.succeeded
    assert EMAIL not in tried.email_hash
    assert db.session.scalars(select(UserSession)).all() == []


def test_after_five_failures_even_the_right_password_is_not_heard_for_a_while(ann: User) -> None:
    for _ in range(access.FAILURES_PER_EMAIL):
        assert sign_in("wrong") is None
    with pytest.raises(access.Throttled) as throttled:
        sign_in()
    assert 14 * 60 < throttled.value.seconds <= 15 * 60 + 1
    assert "Try again in 15 min" in str(throttled.value)
    assert db.session.scalar(select(func.count()).select_from(LoginAttempt)) == access.FAILURES_PER_EMAIL
    assert sign_in("wrong", "other@example.com") is None  # another name is heard
    age(minutes=16)
    assert sign_in() is not None


def test_throttling_a_name_that_nobody_has_looks_the_same(session: Any) -> None:
    for _ in range(access.FAILURES_PER_EMAIL):
        assert sign_in("wrong", "nobody@example.com") is None
    with pytest.raises(access.Throttled):
        sign_in("wrong", "NOBODY@example.com")


def test_a_success_wipes_the_failures_before_it(ann: User) -> None:
    for _ in range(access.FAILURES_PER_EMAIL - 1):
        assert sign_in("wrong") is None
    assert sign_in() is not None
    for _ in range(access.FAILURES_PER_EMAIL):
        assert sign_in("wrong") is None
    with pytest.raises(access.Throttled):
        sign_in()


def test_many_names_from_one_address_are_slowed_down_too(ann: User) -> None:
    for number in range(access.FAILURES_PER_ADDRESS):
        assert sign_in("wrong", f"guess{number}@example.com", ip="10.6.6.6") is None
    with pytest.raises(access.Throttled):
        sign_in(ip="10.6.6.6")
    assert sign_in(ip="10.0.0.7") is not None


def test_of_twenty_tries_at_once_no_more_than_five_are_heard(own_database: Own) -> None:
    with own_database.app.app_context(), acting_as(Acting(via="test")):
        access.create_user(email=EMAIL, role="manager", password=GOOD)
        db.session.commit()
    go, answers = threading.Barrier(20), []

    def work() -> None:
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            go.wait(timeout=20)
            try:
                answers.append(run_in_transaction(lambda: sign_in("wrong")))
            except access.Throttled:
                answers.append("throttled")

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert sorted(answers, key=str) == [None] * 5 + ["throttled"] * 15
    with own_database.app.app_context():
        assert db.session.scalar(select(func.count()).select_from(LoginAttempt)) == 5


# Sessions


def test_a_session_ends_by_signing_out_and_by_itself(ann: User) -> None:
    first, second, third = token(), token(), token()
    assert len({first, second, third}) == 3
    access.end_session(first)
    assert access.session_user(first) is None
    assert access.session_user(second) is ann
    row = db.session.scalars(select(UserSession).where(UserSession.token_hash == access.hash_token(third))).one()
    row.expires_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    db.session.flush()
    assert access.session_user(third) is None
    assert access.session_user("") is None
    assert access.session_user("made up") is None


def test_a_session_that_is_used_goes_on(ann: User) -> None:
    secret = token()
    row = db.session.scalars(select(UserSession)).one()
    row.seen_at -= dt.timedelta(minutes=5)
    row.expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    db.session.flush()
    assert access.session_user(secret) is ann
    db.session.expire_all()
    left = row.expires_at - dt.datetime.now(dt.UTC)
    assert left > access.SESSION_LIFETIME - dt.timedelta(minutes=1)


def test_who_is_locked_is_out_at_once_and_stays_out_until_unlocked(ann: User, admin: User) -> None:
    secret = token()
    _, key = access.create_key(name="k", user=ann, scopes=["customers:read"])
    access.lock.run(ann, by=admin)
    db.session.flush()
    assert access.session_user(secret) is None
    assert access.key_for(key) is None
    assert sign_in() is None
    with pytest.raises(Refused, match="locked already"):
        access.lock.run(ann, by=admin)
    access.unlock.run(ann, by=admin)
    db.session.flush()
    assert access.session_user(secret) is None  # the old browser must sign in again
    assert sign_in() is not None
    assert access.key_for(key) is not None
    with pytest.raises(Refused, match="isn't locked"):
        access.unlock.run(ann, by=admin)


def test_nobody_locks_himself_out(admin: User) -> None:
    with pytest.raises(Refused, match="can't lock yourself out"):
        access.lock.run(admin, by=admin)
    assert admin.active


def test_a_new_password_ends_every_other_session(ann: User) -> None:
    here, elsewhere = token(), token()
    ann.must_change_password = True
    access.change_password(ann, current=GOOD, new="quite another sentence", keep_session=here)
    assert access.session_user(here) is ann
    assert access.session_user(elsewhere) is None
    assert not ann.must_change_password
    assert sign_in() is None
    assert sign_in("quite another sentence") is not None


@pytest.mark.parametrize(("given", "field"), [
    ({"current": "wrong", "new": "quite another sentence"}, "current"), ({"current": GOOD, "new": GOOD}, "password"),
    ({"current": GOOD, "new": "short"}, "password"),
])  # fmt: skip
def test_a_password_that_cannot_be_changed_so_stays_and_ends_nothing(
    ann: User, given: dict[str, str], field: str
) -> None:
    here, elsewhere = token(), token()
    with pytest.raises(WrongInput) as fault:
        access.change_password(ann, **given, keep_session=here)
    assert list(fault.value.errors) == [field]
    assert access.session_user(elsewhere) is ann
    assert sign_in() is not None


# Roles


def role(name: str) -> Role:
    return db.session.scalars(select(Role).where(Role.name == name)).one()


def test_a_role_is_given_and_taken_and_counts_at_once(ann: User, admin: User) -> None:
    assert allowed(ann, "customer.block") is None
    access.give_role.run(ann, by=admin, role=role("manager").id)
    assert allowed(ann, "customer.block") is Scope.TEAM
    with pytest.raises(Refused, match="has that role already"):
        access.give_role.run(ann, by=admin, role=role("manager").id)
    access.take_role.run(ann, by=admin, role=role("manager").id)
    assert allowed(ann, "customer.block") is None
    assert allowed(ann, "customer.read") is Scope.TEAM
    assert allowed(ann, "customer.edit") is Scope.OWN
    with pytest.raises(Refused, match="doesn't have that role"):
        access.take_role.run(ann, by=admin, role=role("manager").id)
    with pytest.raises(Refused, match="no such role"):
        access.give_role.run(ann, by=admin, role=10**9)
    entries = db.session.scalars(
        select(AuditEntry).where(AuditEntry.entity == "user_role").order_by(AuditEntry.id.desc())
    )
    assert [entry.action.value for entry in entries][:2] == ["delete", "create"]


def test_nobody_changes_his_own_roles(admin: User) -> None:
    for change, name in ((access.give_role, "credit_approver"), (access.take_role, "admin")):
        with pytest.raises(Refused, match="nobody changes his own roles"):
            change.run(admin, by=admin, role=role(name).id)
    assert [held.name for held in admin.roles] == ["admin"]


def test_delivering_the_roles_again_puts_them_right_and_leaves_others_alone(session: Any) -> None:
    manager = role("manager")
    kept = sorted(line.pattern for line in manager.grants)
    session.delete(manager.grants[0])
    own = Role(name="own_role", label="Ours")
    session.add(own)
    session.flush()
    session.expire_all()
    access.deliver_roles()
    session.expire_all()
    assert sorted(line.pattern for line in role("manager").grants) == kept
    assert not role("own_role").delivered


def test_an_upgrade_brings_the_rights_of_the_new_version(own_database: Own, owner_sql: Any) -> None:
    """An installation from before leads were converted and deals moved; what was switched off there stays off."""
    owner_sql("DELETE FROM role_grant WHERE pattern = 'lead.convert'")
    owner_sql("UPDATE role_grant SET origin = 'off' WHERE pattern = 'deal.move'")
    servers = own_database.servers
    environment = {"CRM_DATABASE_URL": servers.database_url, "CRM_OWNER_DATABASE_URL": servers.owner_database_url,
                   "CRM_REDIS_URL": servers.redis_url, "CRM_SECRET_KEY": servers.secret_key}  # fmt: skip
    done = CliRunner().invoke(main, ["db", "upgrade"], env=environment)
    assert (done.exit_code, done.stdout) == (0, "The database is up to date.\n"), done.output
    told = owner_sql("SELECT pattern, origin FROM role_grant g JOIN role r ON r.id = g.role_id WHERE r.name = 'sales_rep' "
                     "AND pattern IN ('lead.convert', 'deal.move') ORDER BY pattern")  # fmt: skip
    assert [tuple(row) for row in told] == [("deal.move", "off"), ("lead.convert", "delivered")]


# Keys


def test_a_key_is_told_once_and_kept_as_a_hash(ann: User) -> None:
    key, secret = access.create_key(name=" CI ", user=ann, scopes=["customers:read", "customers:read"], days=1)
    assert (key.name, key.scopes, key.prefix) == ("CI", ["customers:read"], secret[:12])
    assert secret not in (key.key_hash, key.prefix)
    found = access.key_for(secret)
    assert found is key
    db.session.expire_all()
    assert key.last_used_at is not None
    assert access.key_for(secret[:-1]) is None
    assert access.key_for(secret + "x") is None
    assert access.key_for("") is None


@pytest.mark.parametrize("given", [
    {"scopes": []}, {"scopes": ["customers:everything"]}, {"scopes": ["*"]}, {"name": "  "}, {"name": "x" * 256},
    {"days": 0}, {"days": 3651},
])  # fmt: skip
def test_a_key_that_cannot_be_is_refused(ann: User, given: dict[str, Any]) -> None:
    with pytest.raises(WrongInput):
        access.create_key(**({"name": "k", "user": ann, "scopes": ["customers:read"], "days": 1} | given))
    assert db.session.scalars(select(ApiKey)).all() == []


def test_a_key_ends_on_its_day_and_when_it_is_revoked(ann: User, admin: User) -> None:
    key, secret = access.create_key(name="k", user=ann, scopes=["customers:read"], days=1)
    key.expires_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    db.session.flush()
    assert access.key_for(secret) is None
    other, secret = access.create_key(name="k", user=ann, scopes=["customers:read"])
    assert access.key_for(secret) is other
    access.revoke.run(other, by=admin)
    db.session.flush()
    assert access.key_for(secret) is None
    with pytest.raises(Refused, match="revoked already"):
        access.revoke.run(other, by=admin)
