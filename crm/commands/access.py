"""Users, roles, sign-in, sessions and keys."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Iterable
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Select, Text, bindparam, delete, func, select, text, update
from sqlalchemy.orm import joinedload, undefer

from crm.commands.delivered_roles import BANDS, DELIVERED
from crm.core.command import Refused, WrongInput, command
from crm.core.entity import all_faces, db
from crm.core.fields import field_of
from crm.core.permissions import FieldGrant, Grant, Scope, allowed
from crm.models.access import ApiKey, LoginAttempt, Origin, Role, RoleGrant, User, UserRole, UserSession
from crm.models.credit_accounts import ApprovalBand

_hasher = PasswordHasher()  # argon2id with the library's current parameters

SESSION_LIFETIME = dt.timedelta(hours=12)
SEEN_EVERY = dt.timedelta(minutes=1)
THROTTLE_WINDOW = dt.timedelta(minutes=15)
FAILURES_PER_EMAIL = 5
FAILURES_PER_ADDRESS = 30
SHORTEST_PASSWORD = 12


def deliver_roles() -> None:
    """Make the delivered roles and bring their lines up to date; what was adjusted or added here is left alone, and so
    are roles of one's own."""
    one_change_at_a_time()
    for name, delivered in DELIVERED.items():
        role = db.session.scalars(select(Role).where(Role.name == name)).one_or_none()
        if role is None:
            role = Role(name=name)
            db.session.add(role)
            if name in BANDS:
                db.session.add(ApprovalBand(role=role, **BANDS[name]))
        role.label, role.description, role.delivered = delivered.label, delivered.description, True
        db.session.flush()
        wanted = {line_key(grant): grant for grant in delivered.lines}
        for line in list(role.grants):
            grant = wanted.pop(line_key(line), None)
            if line.origin is not Origin.DELIVERED:
                continue
            if grant is not None:
                put_line(line, grant)
            else:
                role.grants.remove(line)
                db.session.delete(line)
        for grant in wanted.values():
            role.grants.append(put_line(RoleGrant(pattern=grant.pattern, origin=Origin.DELIVERED), grant))
    db.session.flush()


def line_key(line: Grant | FieldGrant | RoleGrant) -> tuple[str, bool, str]:
    """By what a role has a line once: pattern, whether it is about fields, and of which class."""
    of_fields = getattr(line, "access", None) is not None
    return line.pattern, of_fields, str(getattr(line, "field_class", None) or "")


def put_line(line: RoleGrant, grant: Grant | FieldGrant) -> RoleGrant:
    """Let the line say what the grant says."""
    if isinstance(grant, Grant):
        line.scope, line.deny = grant.scope, grant.deny
    else:
        line.access, line.field_class = grant.access, grant.field_class
    return line


def create_user(*, email: str, role: str, name: str | None = None, password: str | None = None) -> tuple[User, str]:
    """A user with a role, and the password (made, and to be changed, when none is given). Raises WrongInput."""
    found = db.session.scalars(select(Role).where(Role.name == role)).one_or_none()
    if found is None:
        names = ", ".join(db.session.scalars(select(Role.name).order_by(Role.id)))
        raise WrongInput({"role": f"“{role}” is not a role; use one of: {names}"})
    try:
        address = User.fields()["email"].parse(email)
    except ValueError as fault:
        raise WrongInput({"email": str(fault)}) from None
    if address is None:
        raise WrongInput({"email": "is required"})
    if db.session.scalars(select(User.id).where(User.email == address)).first() is not None:
        raise WrongInput({"email": f"{address} has a user already"})
    made = password is None
    secret = secrets.token_urlsafe(12) if password is None else password
    user = User(
        name=(name or "").strip() or address.split("@")[0].replace(".", " ").title(),
        email=email,
        must_change_password=made,
    )
    set_password(user, secret, must_change=made)
    db.session.add(user)
    db.session.flush()
    db.session.add(UserRole(user_id=user.id, role_id=found.id))
    db.session.flush()
    return user, secret


def set_password(user: User, password: str, *, must_change: bool = False) -> None:
    """Raises WrongInput for a password that is too short or is the person's own address."""
    if len(password) < SHORTEST_PASSWORD:
        raise WrongInput({"password": f"is too short: at least {SHORTEST_PASSWORD} characters"})
    if len(password) > 200 or (user.email and password.lower() in (user.email, user.email.split("@")[0])):
        raise WrongInput({"password": "is too easy to guess, or longer than 200 characters"})
    user.password_hash, user.must_change_password = _hasher.hash(password), must_change


def any_user() -> bool:
    return db.session.scalars(select(User.id).limit(1)).first() is not None


class Throttled(Exception):
    """Too many failed tries; `seconds` until the next one is heard."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many failed tries. Try again in {max(1, round(seconds / 60))} min.")
        self.seconds = seconds


def sign_in(email: str, password: str, *, ip: str, user_agent: str) -> tuple[User, str] | None:
    """The user and a session token, or None for a wrong e-mail or password. Raises Throttled.

    The try is recorded either way: the caller commits. Tries for one e-mail are heard one after the other.
    """
    address = email.strip().lower()[:255].strip()
    hashed = hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"sign-in {hashed}"})
    _refuse_when_throttled(hashed, ip)
    user = _user_named(address)
    good = verify_password(user, password) and user is not None and user.active
    db.session.add(LoginAttempt(email_hash=hashed, ip=ip, succeeded=good, created_at=func.clock_timestamp()))
    db.session.flush()
    if not good or user is None:
        return None
    return user, begin_session(user, ip=ip, user_agent=user_agent)


def begin_session(user: User, *, ip: str, user_agent: str) -> str:
    """The token of a new session of somebody who has shown who he is."""
    token = secrets.token_urlsafe(32)
    now = dt.datetime.now(dt.UTC)
    db.session.add(UserSession(user_id=user.id, token_hash=hash_token(token), ip=ip, user_agent=user_agent[:255],
                               expires_at=now + SESSION_LIFETIME))  # fmt: skip
    user.last_login_at = now
    db.session.flush()
    return token


def _user_named(address: str) -> User | None:
    try:
        known = User.fields()["email"].parse(address)
    except ValueError:  # nobody can have it, and the database can't even be asked for some of them
        return None
    return db.session.scalars(select(User).where(User.email == known)).one_or_none()


@cache
def _nobodys_hash() -> str:
    """Checked when there is no such user, so that the answer takes as long."""
    return _hasher.hash(secrets.token_urlsafe(16))


def verify_password(user: User | None, password: str) -> bool:
    try:
        _hasher.verify((user.password_hash if user else None) or _nobodys_hash(), password[:200])
    except (VerificationError, InvalidHashError):
        return False
    return user is not None and user.password_hash is not None


def _refuse_when_throttled(email_hash: str, ip: str) -> None:
    since = dt.datetime.now(dt.UTC) - THROTTLE_WINDOW
    last_good = select(func.max(LoginAttempt.created_at)).where(
        LoginAttempt.email_hash == email_hash, LoginAttempt.succeeded).scalar_subquery()  # fmt: skip
    for conditions, limit in (
        ((LoginAttempt.email_hash == email_hash, LoginAttempt.created_at > func.coalesce(last_good, since)),
         FAILURES_PER_EMAIL),
        ((LoginAttempt.ip == ip,), FAILURES_PER_ADDRESS),
    ):  # fmt: skip
        failed = select(func.count(), func.max(LoginAttempt.created_at)).where(
            *conditions, ~LoginAttempt.succeeded, LoginAttempt.created_at > since)  # fmt: skip
        number, latest = db.session.execute(failed).one()
        if number >= limit:
            raise Throttled(int((latest + THROTTLE_WINDOW - dt.datetime.now(dt.UTC)).total_seconds()) + 1)


def hash_token(token: str) -> str:
    """Tokens and keys are long and random: a plain SHA-256 keeps them as safe as a slow hash would."""
    return hashlib.sha256(token.encode()).hexdigest()


def session_user(token: str) -> User | None:
    """Whose session this is, while it lasts; notes at most once a minute that it was seen."""
    now = dt.datetime.now(dt.UTC)
    given = {"hash": hash_token(token)}
    session = db.session.scalars(_held_by(UserSession, "token_hash"), given).unique().one_or_none()
    if session is None or session.ended_at is not None or session.expires_at <= now or not session.user.active:
        return None
    if session.seen_at < now - SEEN_EVERY:
        db.session.execute(update(UserSession).where(UserSession.id == session.id)
                           .values(seen_at=now, expires_at=now + SESSION_LIFETIME))  # fmt: skip
    return session.user


@cache  # every page begins with it: to put it together takes as long as to ask it
def _held_by(entity: Any, column: str) -> Select[Any]:
    """The session or key with this hash, its user, what the roles say, and how these are called: in one question."""
    user = joinedload(entity.user).options(
        undefer(User.rights), joinedload(User.roles).load_only(Role.name, Role.label)
    )
    return select(entity).options(user).where(getattr(entity, column) == bindparam("hash", type_=Text))


def end_session(token: str) -> None:
    db.session.execute(update(UserSession).where(UserSession.token_hash == hash_token(token))
                       .values(ended_at=func.now()))  # fmt: skip


def end_other_sessions(user: User, keep: str | None) -> None:
    """Sign out everywhere (else)."""
    statement = update(UserSession).where(UserSession.user_id == user.id, UserSession.ended_at.is_(None))
    if keep:
        statement = statement.where(UserSession.token_hash != hash_token(keep))
    db.session.execute(statement.values(ended_at=func.now()))


def change_password(user: User, *, current: str, new: str, keep_session: str) -> None:
    """Raises WrongInput. Every other session of the user ends."""
    if not verify_password(user, current):
        raise WrongInput({"current": "is not your password"})
    if new == current:
        raise WrongInput({"password": "is the one you have; choose another"})
    set_password(user, new)
    end_other_sessions(user, keep_session)
    db.session.flush()


KEY_PREFIX = "cdk_"


def scope_names() -> list[str]:
    """`<entity>:read|write|command` for every face that the API opens, `<entity>:import` for what files can bring."""
    opened = [
        f"{face.plural}:{verb}" for face in all_faces() if face.about.api for verb in ("read", "write", "command")
    ]
    return opened + [f"{face.plural}:import" for face in all_faces() if face.about.imports]


def create_key(*, name: str, user: User, scopes: Iterable[str], days: int | None = None) -> tuple[ApiKey, str]:
    """A key that acts as the user within the scopes; its text is told this once. Raises WrongInput."""
    wanted, known = list(dict.fromkeys(scopes)), set(scope_names())
    unknown = [scope for scope in wanted if scope not in known]
    if unknown or not wanted:
        raise WrongInput({"scope": f"“{(unknown or ['nothing'])[0]}” is not a scope; use such as customers:read"})
    if not name.strip() or len(name) > 255:
        raise WrongInput({"name": "is required, with at most 255 characters"})
    if days is not None and not 1 <= days <= 3650:
        raise WrongInput({"expires": "must be 1 to 3650 days"})
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    expires = None if days is None else dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    key = ApiKey(name=name.strip(), user_id=user.id, prefix=secret[:12], key_hash=hash_token(secret), scopes=wanted,
                 expires_at=expires)  # fmt: skip
    db.session.add(key)
    db.session.flush()
    return key, secret


def key_for(secret: str) -> ApiKey | None:
    """The key with this text, while it is good; notes at most once a minute that it was used."""
    if not re.fullmatch(r"cdk_[\w-]{20,80}", secret):
        return None
    now = dt.datetime.now(dt.UTC)
    key = db.session.scalars(_held_by(ApiKey, "key_hash"), {"hash": hash_token(secret)}).unique().one_or_none()
    if key is None or key.revoked_at is not None or not key.user.active:
        return None
    if key.expires_at is not None and key.expires_at <= now:
        return None
    if key.last_used_at is None or key.last_used_at < now - SEEN_EVERY:
        db.session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
    return key


@command(ApiKey, "Revoke", confirm="Programs that use it are refused from now on.", tone="bad", icon="ban",
         applies=lambda key: key.revoked_at is None)  # fmt: skip
def revoke(key: ApiKey, *, by: User) -> None:
    """End a key at once."""
    if key.revoked_at is not None:
        raise Refused("it is revoked already")
    key.revoked_at = dt.datetime.now(dt.UTC)


@command(User, "Sign out and lock", confirm="The person can't sign in until unlocked.", tone="bad", icon="lock",
         applies=lambda user: user.active)  # fmt: skip
def lock(user: User, *, by: User) -> None:
    """End all sessions of a user and let nobody in by that name."""
    if user.id == by.id:
        raise Refused("you can't lock yourself out")
    if not user.active:
        raise Refused("the user is locked already")
    one_change_at_a_time()
    user.active = False
    db.session.flush()
    refuse_without_administrator()
    end_other_sessions(user, None)


@command(User, "Sign out everywhere", confirm="Every browser the person is signed in with is signed out.", tone="warning",
         icon="log-out")  # fmt: skip
def end_sessions(user: User, *, by: User) -> None:
    """End all sessions of a user; the password stays good."""
    end_other_sessions(user, None)
    user.signed_out_at = dt.datetime.now(dt.UTC)


@command(User, "Unlock", icon="lock-open", applies=lambda user: not user.active)
def unlock(user: User, *, by: User) -> None:
    """Let a locked user sign in again."""
    if user.active:
        raise Refused("the user isn't locked")
    user.active = True


@command(User, "Give role", asks={"role": field_of("reference", refers_to="role", label="Role", required=True)},
         icon="shield-check")  # fmt: skip
def give_role(user: User, *, by: User, role: int) -> None:
    """Add a role to a user; nobody changes his own."""
    _refuse_own(user, by)
    if db.session.get(Role, role) is None:
        raise Refused("there is no such role")
    if role in {held.id for held in user.roles}:
        raise Refused("the user has that role already")
    db.session.add(UserRole(user_id=user.id, role_id=role))
    db.session.flush()
    db.session.expire(user, ["roles", "rights"])


@command(User, "Take role", asks={"role": field_of("reference", refers_to="role", label="Role", required=True)},
         tone="warning", icon="shield-check")  # fmt: skip
def take_role(user: User, *, by: User, role: int) -> None:
    """Remove a role from a user; nobody changes his own."""
    _refuse_own(user, by)
    one_change_at_a_time()
    gone = db.session.execute(delete(UserRole).where(UserRole.user_id == user.id, UserRole.role_id == role)
                              .returning(UserRole.id)).first()  # fmt: skip
    if gone is None:
        raise Refused("the user doesn't have that role")
    db.session.expire(user, ["roles", "rights"])
    refuse_without_administrator()


def _refuse_own(user: User, by: User) -> None:
    if user.id == by.id:
        raise Refused("nobody changes his own roles: ask another administrator")


def one_change_at_a_time() -> None:
    """Two administrators who take each other's rights at once must not leave nobody."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('roles', 0))"))


# Who has all of these on all rows can put anything right that concerns rights.
_ADMINISTERS = ("user.give_role", "user.take_role", "role.give_right")


def refuse_without_administrator() -> None:
    """Raises Refused when nobody who can sign in could change roles any more."""
    db.session.flush()
    holders = select(User).where(User.active, User.id.in_(select(UserRole.user_id))).order_by(User.id)
    for user in db.session.scalars(holders.options(undefer(User.rights)).execution_options(populate_existing=True)):
        if all(allowed(user, permission) is Scope.ALL for permission in _ADMINISTERS):
            return
    raise Refused("it would leave no administrator")
